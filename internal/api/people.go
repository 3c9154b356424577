package api

import (
	"context"

	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
)

type personBody struct {
	Body struct {
		Name  string   `json:"name" maxLength:"100"`
		Roles []string `json:"roles" minItems:"1"`
	}
}

type tokenBody struct {
	ByID
	Body struct {
		Label    string `json:"label,omitempty" maxLength:"100"`
		Lifetime int64  `json:"lifetime_ms,omitempty" minimum:"0" doc:"0 = does not expire"`
	}
}

// TokenIssued shows a token once.
type TokenIssued struct {
	Token string `json:"token"`
}

// Me is who the token stands for.
type Me struct {
	ID    string   `json:"id"`
	Roles []string `json:"roles"`
	Drill string   `json:"drill,omitempty"`
}

func (a *API) people() {
	get(a, operation{path: "/me", id: "me", room: "identity", summary: "Who am I"}, func(_ context.Context, actor store.Actor, _ *none) (Me, error) {
		return Me{actor.ID, actor.Roles, actor.Drill}, nil
	})
	get(a, operation{path: "/persons", id: "list-persons", room: "identity", summary: "List persons"}, func(ctx context.Context, actor store.Actor, _ *none) ([]identity.Person, error) {
		return identity.ListPersons(ctx, a.Store.Read(), actor, "")
	})
	get(a, operation{path: "/persons/directory", id: "list-directory", room: "identity", summary: "List whom one may put on an allow-list"}, func(ctx context.Context, actor store.Actor, _ *none) ([]identity.Named, error) {
		return identity.Directory(ctx, a.Store.Read(), actor)
	})
	post(a, operation{path: "/persons", id: "add-person", room: "identity", summary: "Add a person"}, func(ctx context.Context, tx *store.Tx, in *personBody) (identity.Person, error) {
		return identity.AddPerson(ctx, tx, in.Body.Name, in.Body.Roles, "")
	})
	post(a, operation{path: "/persons/{id}/tokens", id: "issue-token", room: "identity", summary: "Issue an API token", secret: true}, func(ctx context.Context, tx *store.Tx, in *tokenBody) (TokenIssued, error) {
		t, err := identity.IssueToken(ctx, tx, in.ID, in.Body.Label, in.Body.Lifetime)
		return TokenIssued{t}, err
	})
	get(a, operation{path: "/persons/{id}/tokens", id: "list-tokens", room: "identity", summary: "List a person's API tokens, without what they are"}, func(ctx context.Context, actor store.Actor, in *ByID) ([]identity.Token, error) {
		return identity.ListTokens(ctx, a.Store.Read(), actor, in.ID)
	})
	post(a, operation{path: "/tokens/{id}/revoke", id: "revoke-token", room: "identity", summary: "Revoke an API token"}, func(ctx context.Context, tx *store.Tx, in *ByID) (done, error) {
		err := identity.RevokeToken(ctx, tx, in.ID)
		return done{err == nil}, err
	})
	post(a, operation{path: "/persons/{id}/deactivate", id: "deactivate-person", room: "identity", summary: "Take every right from a person who has left"}, func(ctx context.Context, tx *store.Tx, in *ByID) (done, error) {
		err := identity.Deactivate(ctx, tx, in.ID)
		return done{err == nil}, err
	})
}
