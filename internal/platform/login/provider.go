package login

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/uptrace/bun"
	"golang.org/x/oauth2"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/outgoing"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Provider is an OpenID Connect provider that may vouch for persons. Its client secret is in the vault and
// is sent to the origin of the issuer alone.
type Provider struct {
	bun.BaseModel `bun:"table:oidc_provider" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	Name          string `json:"name"`
	Issuer        string `json:"issuer"`
	ClientID      string `json:"client_id"`
	CreatedMs     int64  `json:"created_ms"`
	RedirectURI   string `bun:"-" json:"redirect_uri" doc:"what the provider has to know of this client, to the letter"`
}

// providerTimeout bounds each call to a provider: somebody waits in front of a browser.
const providerTimeout = 10 * time.Second

// longestAnswer bounds what a provider may answer, in bytes.
const longestAnswer = 1 << 20

// short cuts the answers of a transport off, because the library reads them whole.
type short struct{ http.RoundTripper }

func (s short) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := s.RoundTripper.RoundTrip(r)
	if err == nil {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, longestAnswer), res.Body}
	}
	return res, err
}

// ReachProviders tells the desk how it may reach identity providers. Plain http is for private addresses only.
func (d *Desk) ReachProviders(g outgoing.Guard) {
	c := g.Client(providerTimeout)
	c.Transport = short{c.Transport}
	d.reach, d.plain = c, g.AllowPrivate
}

func providerSecret(id string) string { return "fengsui.oidc." + id } // own: nobody sets or names it otherwise

func (d *Desk) redirectURI(id string) string {
	return d.PublicURL() + "/login/oidc/" + id + "/callback"
}

// address says whether a browser may be sent to, or a provider called at, an address.
func (d *Desk) address(s string) bool {
	u, err := url.Parse(s)
	return err == nil && secret.Origin(s) != "" && u.Fragment == "" && (u.Scheme == "https" || d.plain && u.Scheme == "http")
}

// Providers lists the providers, by name.
func (d *Desk) Providers(ctx context.Context, db bun.IDB) ([]Provider, error) {
	out := []Provider{}
	err := db.NewSelect().Model(&out).Order("name", "id").Scan(ctx)
	for i := range out {
		out[i].RedirectURI = d.redirectURI(out[i].ID)
	}
	return out, err
}

// ListProviders lists them for who manages them. Errors: forbidden without person.manage.
func (d *Desk) ListProviders(ctx context.Context, db bun.IDB, a store.Actor) ([]Provider, error) {
	if err := mayManage(a); err != nil {
		return nil, err
	}
	return d.Providers(ctx, db)
}

func provider(ctx context.Context, db bun.IDB, id string) (p Provider, err error) {
	err = db.NewSelect().Model(&p).Where("id = ?", id).Scan(ctx)
	return p, store.Missing(err, "id")
}

// AddProvider adds a provider. It is not called before somebody logs in by it. Errors: forbidden without
// person.manage; invalid name, issuer, client_id or client_secret; conflict login.oidc_issuer_known.
func (d *Desk) AddProvider(ctx context.Context, tx *store.Tx, name, issuer, clientID, clientSecret string) (Provider, error) {
	p := Provider{ID: tx.NewID(), Name: strings.TrimSpace(name), Issuer: strings.TrimSpace(issuer), ClientID: strings.TrimSpace(clientID), CreatedMs: tx.NowMs}
	if err := mayManage(tx.Actor); err != nil {
		return p, err
	}
	for _, f := range []struct{ field, value string }{{"name", p.Name}, {"client_id", p.ClientID}, {"client_secret", clientSecret}} {
		if f.value == "" {
			return p, fault.Invalid(f.field, "error.required", "field", f.field)
		}
	}
	if u, err := url.Parse(p.Issuer); !d.address(p.Issuer) || err != nil || u.RawQuery != "" {
		return p, fault.Invalid("issuer", "login.oidc_bad_issuer")
	}
	if n, err := tx.NewSelect().Model((*Provider)(nil)).Where("issuer = ?", p.Issuer).Count(ctx); err != nil || n > 0 {
		return p, errors.Join(err, fault.Conflict("issuer", "login.oidc_issuer_known"))
	}
	if _, err := tx.NewInsert().Model(&p).Exec(ctx); err != nil {
		return p, err
	}
	if err := d.vault.Put(ctx, tx, providerSecret(p.ID), []byte(clientSecret)); err != nil {
		return p, err
	}
	p.RedirectURI = d.redirectURI(p.ID)
	tx.Record(store.Entry{Action: "oidc.provider_add", ObjectKind: "oidc_provider", ObjectID: p.ID, Content: map[string]any{"issuer": p.Issuer, "client_id": p.ClientID}})
	return p, nil
}

// RemoveProvider takes a provider away, with its secret and every binding by it; sessions go on. Errors: forbidden without person.manage; not found.
func (d *Desk) RemoveProvider(ctx context.Context, tx *store.Tx, id string) error {
	if err := mayManage(tx.Actor); err != nil {
		return err
	}
	p, err := provider(ctx, tx, id)
	if err != nil {
		return err
	}
	if err := d.unbindAll(ctx, tx, "provider_id", id); err != nil {
		return err
	}
	for _, q := range []string{"DELETE FROM oidc_flow WHERE provider_id = ?", "DELETE FROM oidc_provider WHERE id = ?"} {
		if _, err := tx.ExecContext(ctx, q, id); err != nil {
			return err
		}
	}
	if err := d.forget(ctx, tx, providerSecret(id)); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "oidc.provider_remove", ObjectKind: "oidc_provider", ObjectID: id, Content: map[string]any{"issuer": p.Issuer}})
	return nil
}

// TryProvider asks a provider about itself, as a log-in would. Errors: forbidden without person.manage; not
// found; those of discover.
func (d *Desk) TryProvider(ctx context.Context, a store.Actor, id string) error {
	if err := mayManage(a); err != nil {
		return err
	}
	p, err := provider(ctx, d.st.Read(), id)
	if err != nil {
		return err
	}
	_, err = d.discover(ctx, d.st.Read(), p)
	return err
}

func mayManage(a store.Actor) error {
	if err := identity.Require(a, "person.manage"); err != nil {
		return err
	}
	return identity.RequireDrill(a, "")
}

// found is what a provider says of itself.
type found struct {
	*oidc.Provider
	oauth2  oauth2.Config
	saysIss bool // the callback names the issuer (RFC 9207)
}

// discover asks a provider about itself, each time anew: log-ins are rare, and what is not kept does not
// go stale. Errors: unavailable login.oidc_down, login.oidc_issuer, login.oidc_elsewhere.
func (d *Desk) discover(ctx context.Context, db bun.IDB, p Provider) (f found, err error) {
	if d.reach == nil {
		return f, fault.Unavailable("login.oidc_down", "name", p.Name)
	}
	if f.Provider, err = oidc.NewProvider(oidc.ClientContext(ctx, d.reach), p.Issuer); err != nil {
		var other *oidc.IssuerMismatchError
		if errors.As(err, &other) {
			return f, fault.Unavailable("login.oidc_issuer", "name", p.Name).Because(err)
		}
		return f, fault.Unavailable("login.oidc_down", "name", p.Name).Because(err)
	}
	var says struct {
		Methods []string `json:"token_endpoint_auth_methods_supported"`
		Iss     bool     `json:"authorization_response_iss_parameter_supported"`
		JWKS    string   `json:"jwks_uri"`
	}
	if err := f.Claims(&says); err != nil {
		return f, fault.Unavailable("login.oidc_down", "name", p.Name).Because(err)
	}
	end := f.Endpoint()
	if !d.address(end.AuthURL) || !d.address(says.JWKS) || secret.Origin(end.TokenURL) != secret.Origin(p.Issuer) {
		return f, fault.Unavailable("login.oidc_elsewhere", "name", p.Name)
	}
	// Fixed, because the library would otherwise try one way after the other and spend the code on the first.
	end.AuthStyle = oauth2.AuthStyleInHeader
	if len(says.Methods) > 0 && !slices.Contains(says.Methods, "client_secret_basic") {
		end.AuthStyle = oauth2.AuthStyleInParams
	}
	key, err := d.vault.Get(ctx, db, providerSecret(p.ID))
	if err != nil {
		return f, err
	}
	f.saysIss = says.Iss
	f.oauth2 = oauth2.Config{ClientID: p.ClientID, ClientSecret: string(key), Endpoint: end, RedirectURL: d.redirectURI(p.ID), Scopes: []string{oidc.ScopeOpenID}}
	return f, nil
}
