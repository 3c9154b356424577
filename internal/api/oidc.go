package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/login"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// FlowCookie is the name of the cookie by which a browser is known when it comes back from a provider.
const FlowCookie = "fengsui_oidc"

// SetFlow puts the mark of a flow into its cookie; "" takes it out. It is Lax where the session's is Strict,
// because the browser comes back from another site.
func SetFlow(w http.ResponseWriter, r *http.Request, public, mark string) {
	c := &http.Cookie{Name: FlowCookie, Value: mark, Path: "/login/oidc/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(login.FlowLasts.Seconds()), Secure: r.TLS != nil || strings.HasPrefix(public, "https:")}
	if mark == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// Away is where the browser goes on.
type Away struct {
	URL string `json:"url"`
}

type providerBody struct {
	Body struct {
		Name         string `json:"name" maxLength:"100"`
		Issuer       string `json:"issuer" maxLength:"500" doc:"to the letter as the provider writes it"`
		ClientID     string `json:"client_id" maxLength:"500"`
		ClientSecret string `json:"client_secret" maxLength:"2000" doc:"kept sealed, shown never, sent to the origin of the issuer alone"`
	}
}

type bindingBody struct {
	ByID
	Body struct {
		ProviderID string `json:"provider_id" maxLength:"64"`
		Subject    string `json:"subject" maxLength:"255" doc:"what the provider calls the person: the sub of its tokens"`
	}
}

// oidc are the operations about identity providers and whom they mean. The log-in itself is pages, see internal/app.
func (a *API) oidc() {
	const room = "identity"
	get(a, operation{path: "/oidc-providers", id: "list-oidc-providers", room: room, summary: "List identity providers"}, func(ctx context.Context, actor store.Actor, _ *none) ([]login.Provider, error) {
		return a.Login.ListProviders(ctx, a.Store.Read(), actor)
	})
	post(a, operation{path: "/oidc-providers", id: "add-oidc-provider", room: room, summary: "Add an identity provider"}, func(ctx context.Context, tx *store.Tx, in *providerBody) (login.Provider, error) {
		return a.Login.AddProvider(ctx, tx, in.Body.Name, in.Body.Issuer, in.Body.ClientID, in.Body.ClientSecret)
	})
	post(a, operation{path: "/oidc-providers/{id}/remove", id: "remove-oidc-provider", room: room, summary: "Remove an identity provider with its secret and every binding by it"}, func(ctx context.Context, tx *store.Tx, in *ByID) (done, error) {
		err := a.Login.RemoveProvider(ctx, tx, in.ID)
		return done{err == nil}, err
	})
	act(a, operation{path: "/oidc-providers/{id}/test", id: "test-oidc-provider", room: room, summary: "Ask an identity provider about itself, as a log-in would"}, func(ctx context.Context, _ *wire, actor store.Actor, in *ByID) (done, error) {
		err := a.Login.TryProvider(ctx, actor, in.ID)
		return done{err == nil}, err
	})
	get(a, operation{path: "/persons/{id}/oidc", id: "list-bindings", room: room, summary: "What identity providers call a person"}, func(ctx context.Context, actor store.Actor, in *ByID) ([]login.Binding, error) {
		if err := identity.Require(actor, "person.manage"); err != nil { // one's own are at /me/oidc
			return nil, err
		}
		return login.Bindings(ctx, a.Store.Read(), actor, in.ID)
	})
	post(a, operation{path: "/persons/{id}/oidc", id: "bind-person", room: room, summary: "Bind a person to a provider's subject; a second person confirms it"}, func(ctx context.Context, tx *store.Tx, in *bindingBody) (login.Binding, error) {
		return a.BindOIDC(ctx, tx, in.ID, in.Body.ProviderID, in.Body.Subject)
	})
	post(a, operation{path: "/oidc-bindings/{id}/remove", id: "unbind-person", room: room, summary: "Take a binding from a person and end their sessions"}, func(ctx context.Context, tx *store.Tx, in *ByID) (done, error) {
		err := a.Login.Unbind(ctx, tx, in.ID)
		return done{err == nil}, err
	})
	get(a, operation{path: "/me/oidc", id: "list-my-bindings", room: room, summary: "What identity providers call me"}, func(ctx context.Context, actor store.Actor, _ *none) ([]login.Binding, error) {
		return login.Bindings(ctx, a.Store.Read(), actor, actor.ID)
	})
	act(a, operation{path: "/me/oidc/{id}/begin", id: "begin-binding", room: room, summary: "Begin to bind oneself to a provider"}, func(ctx context.Context, w *wire, actor store.Actor, in *ByID) (Away, error) {
		if err := inPerson(ctx); err != nil {
			return Away{}, err
		}
		l, err := a.Login.BeginOIDC(ctx, in.ID, actor.ID, w.session.ID)
		if err != nil {
			return Away{}, err
		}
		SetFlow(w.w, w.r, a.Login.PublicURL(), l.Cookie)
		return Away{l.URL}, nil
	})
	post(a, operation{path: "/me/oidc/{id}/remove", id: "remove-my-binding", room: room, summary: "Take one of one's bindings away", again: true}, func(ctx context.Context, tx *store.Tx, in *ByID) (done, error) {
		if err := inPerson(ctx); err != nil {
			return done{}, err
		}
		err := a.Login.UnbindOwn(ctx, tx, in.ID)
		return done{err == nil}, err
	})
}
