package api

import (
	"context"
	"encoding/json"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/login"
	"github.com/fengsui/fengsui/internal/platform/store"
)

type personBody struct {
	Body struct {
		Name  string   `json:"name" maxLength:"100"`
		Roles []string `json:"roles" minItems:"1"`
	}
}

// Listed is a person with the roles they hold.
type Listed struct {
	identity.Person
	Roles []string `json:"roles"`
}

func (a *API) persons(ctx context.Context, actor store.Actor) ([]Listed, error) {
	all, err := identity.ListPersons(ctx, a.Store.Read(), actor, "")
	out := make([]Listed, len(all))
	for i, p := range all {
		out[i] = Listed{p, p.Roles()}
	}
	return out, err
}

// rolesAndActions says what each role may do where nothing about a thing forbids it. It is no secret: whoever
// is refused must be able to see whom to ask.
func rolesAndActions(_ context.Context, _ store.Actor, _ *none) (map[string][]string, error) {
	out := map[string][]string{}
	for _, role := range identity.Roles() {
		out[role] = identity.ActionsOf(store.Actor{ID: "anybody", Roles: []string{role}})
	}
	return out, nil
}

type tokenBody struct {
	ByID
	Body struct {
		Label    string `json:"label,omitempty" maxLength:"100"`
		Lifetime int64  `json:"lifetime_ms,omitempty" minimum:"0" doc:"0 = does not expire"`
	}
}

// TokenIssued shows a token once. A waiting one is good after a second person has confirmed it.
type TokenIssued struct {
	Token   string `json:"token"`
	Waiting bool   `json:"waiting"`
}

// WaitingCredential is an invitation, token or binding that waits for a second person. ID is that of the
// request; issuer and subject are those of a binding.
type WaitingCredential struct {
	ID          string `json:"id"`
	Kind        string `json:"kind" doc:"invitation, token or oidc_binding"`
	PersonID    string `json:"person_id"`
	PersonName  string `json:"person_name"`
	RequestedBy string `json:"requested_by"`
	RequestedMs int64  `json:"requested_ms"`
	Issuer      string `json:"issuer,omitempty"`
	Subject     string `json:"subject,omitempty"`
}

func (a *API) waitingCredentials(ctx context.Context, actor store.Actor) ([]WaitingCredential, error) {
	list, err := a.WaitingCredentials(ctx, actor)
	out := make([]WaitingCredential, len(list))
	for i, s := range list {
		out[i] = WaitingCredential{ID: s.ID, Kind: s.ObjectKind, RequestedBy: s.RequestedBy, RequestedMs: s.RequestedMs}
		if err := json.Unmarshal([]byte(s.Request), &out[i].PersonID); err != nil {
			return nil, err
		}
		if err := a.Store.Read().NewRaw("SELECT name FROM person WHERE id = ?", out[i].PersonID).Scan(ctx, &out[i].PersonName); err != nil {
			return nil, err
		}
		if s.ObjectKind == "oidc_binding" {
			if err := a.Store.Read().NewRaw("SELECT issuer, subject FROM oidc_binding WHERE id = ?", s.ObjectID).Scan(ctx, &out[i].Issuer, &out[i].Subject); err != nil {
				return nil, err
			}
		}
	}
	return out, err
}

func (a *API) people() {
	get(a, operation{path: "/persons", id: "list-persons", room: "identity", summary: "List persons"}, func(ctx context.Context, actor store.Actor, _ *none) ([]Listed, error) {
		return a.persons(ctx, actor)
	})
	get(a, operation{path: "/roles", id: "list-roles", room: "identity", summary: "What each role may do"}, rolesAndActions)
	get(a, operation{path: "/persons/directory", id: "list-directory", room: "identity", summary: "List whom one may put on an allow-list"}, func(ctx context.Context, actor store.Actor, _ *none) ([]identity.Named, error) {
		return identity.Directory(ctx, a.Store.Read(), actor)
	})
	get(a, operation{path: "/persons/names", id: "names-of-persons", room: "identity", summary: "The names of persons whose ids one has met"}, func(ctx context.Context, actor store.Actor, in *struct {
		IDs []string `query:"ids" maxItems:"200" doc:"separated by commas"`
	}) ([]identity.NameOf, error) {
		return identity.NamesOf(ctx, a.Store.Read(), actor, in.IDs)
	})
	post(a, operation{path: "/persons", id: "add-person", room: "identity", summary: "Add a person"}, func(ctx context.Context, tx *store.Tx, in *personBody) (identity.Person, error) {
		return identity.AddPerson(ctx, tx, in.Body.Name, in.Body.Roles, "")
	})
	post(a, operation{path: "/persons/{id}/tokens", id: "issue-token", room: "identity", summary: "Issue an API token", secret: true}, func(ctx context.Context, tx *store.Tx, in *tokenBody) (TokenIssued, error) {
		t, waiting, err := a.IssueToken(ctx, tx, in.ID, in.Body.Label, in.Body.Lifetime)
		return TokenIssued{t, waiting}, err
	})
	get(a, operation{path: "/persons/{id}/tokens", id: "list-tokens", room: "identity", summary: "List a person's API tokens, without what they are"}, func(ctx context.Context, actor store.Actor, in *ByID) ([]identity.Token, error) {
		return identity.ListTokens(ctx, a.Store.Read(), actor, in.ID)
	})
	post(a, operation{path: "/tokens/{id}/revoke", id: "revoke-token", room: "identity", summary: "Revoke an API token"}, func(ctx context.Context, tx *store.Tx, in *ByID) (done, error) {
		err := identity.RevokeToken(ctx, tx, in.ID)
		return done{err == nil}, err
	})
	post(a, operation{path: "/persons/{id}/deactivate", id: "deactivate-person", room: "identity", summary: "Take every right from a person who has left"}, func(ctx context.Context, tx *store.Tx, in *ByID) (done, error) {
		if err := identity.Deactivate(ctx, tx, in.ID); err != nil {
			return done{}, err
		}
		_, err := login.EndSessions(ctx, tx, in.ID, "")
		return done{err == nil}, err
	})
	post(a, operation{path: "/persons/{id}/invitation", id: "invite-person", room: "identity", summary: "Issue a one-time link with which a person sets up an account; a second person confirms it", secret: true}, func(ctx context.Context, tx *store.Tx, in *ByID) (flow.Invited, error) {
		return a.Invite(ctx, tx, in.ID)
	})
	get(a, operation{path: "/credentials/waiting", id: "list-waiting-credentials", room: "identity", summary: "Invitations, tokens and bindings that wait for a second person"}, func(ctx context.Context, actor store.Actor, _ *none) ([]WaitingCredential, error) {
		return a.waitingCredentials(ctx, actor)
	})
	post(a, operation{path: "/credentials/{id}/decide", id: "decide-credential", room: "identity", summary: "Confirm or reject an invitation, token or binding; not by who issued it"}, func(ctx context.Context, tx *store.Tx, in *decisionBody) (identity.SecondSignature, error) {
		return a.DecideCredential(ctx, tx, in.ID, in.Body.Approve)
	})
}
