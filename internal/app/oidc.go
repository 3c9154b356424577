package app

import (
	"net/http"

	"github.com/fengsui/fengsui/internal/api"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/login"
)

// leave sends a browser to an identity provider.
func (p *pages) leave(w http.ResponseWriter, r *http.Request) {
	if !p.logins.Allow(p.house.Store.Clock().Now(), r.RemoteAddr) {
		w.Header().Set("Retry-After", p.logins.RetryAfter())
		p.oidcFailed(w, r, fault.Unavailable("page.too_many"))
		return
	}
	l, err := p.house.Login.BeginOIDC(r.Context(), r.PathValue("id"), "", "")
	if err != nil {
		p.oidcFailed(w, r, err)
		return
	}
	api.SetFlow(w, r, p.house.Login.PublicURL(), l.Cookie)
	http.Redirect(w, r, l.URL, http.StatusSeeOther)
}

// back is where the provider sends the browser to. It ends with a page and not with a redirect: the session's
// cookie is not sent along a chain of redirects that another site began, but it is by what this page leads to.
func (p *pages) back(w http.ResponseWriter, r *http.Request) {
	q, got := r.URL.Query(), login.Return{ProviderID: r.PathValue("id"), From: login.From{Address: r.RemoteAddr, Agent: r.UserAgent()}}
	got.State, got.Code, got.Issuer, got.Err = q.Get("state"), q.Get("code"), q.Get("iss"), q.Get("error")
	if c, err := r.Cookie(api.FlowCookie); err == nil {
		got.Cookie = c.Value
	}
	in, err := p.house.Login.FinishOIDC(r.Context(), got)
	public := p.house.Login.PublicURL()
	api.SetFlow(w, r, public, "")
	if err != nil {
		p.oidcFailed(w, r, err)
		return
	}
	onward := "/console/me" // was bound
	if in.Token != "" {
		api.SetSession(w, r, public, in.Token)
		onward = "/console/"
	}
	p.render(w, r, http.StatusOK, "oidc.html", page{Onward: onward})
}

func (p *pages) oidcFailed(w http.ResponseWriter, r *http.Request, err error) {
	p.log.Info("log-in by an identity provider failed", "error", err)
	code, _, says := p.say(locale.Parse(r.Header.Get("Accept-Language")), err)
	p.render(w, r, code, "oidc.html", page{Error: says})
}
