package app

import (
	"bytes"
	"encoding/base64"
	"html/template"
	"image/png"
	"net/http"
	"strings"

	"github.com/pquerna/otp"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/login"
)

type welcomeForm struct {
	Welcome login.Welcome
	Account string       // what was typed
	QR      template.URL // the secret as a picture; made here, of nothing that anybody typed but the account's name
	Done    bool
}

// welcome is the page behind a one-time link: account and password first, then the secret for codes.
// Without scripts, so that it works on any telephone.
func (p *pages) welcome(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	// The picture of the secret stands in the page itself, so that no address ever serves it.
	w.Header().Set("Content-Security-Policy", strings.Replace(w.Header().Get("Content-Security-Policy"), "img-src 'self'", "img-src data:", 1))
	lang := p.lang(r)
	token, f := r.PathValue("token"), welcomeForm{}
	err := error(nil)
	if r.Method == http.MethodPost {
		if err = p.welcomeStep(w, r, token); err == nil && r.FormValue("step") != "account" {
			f.Done = true
			p.render(w, r, http.StatusOK, "welcome.html", page{Data: f})
			return
		}
	}
	shown, look := p.house.Login.Open(r.Context(), token)
	if err == nil {
		err = look
	}
	f.Welcome, f.Account = shown, shown.Account
	if r.Method == http.MethodPost && r.FormValue("step") == "account" {
		f.Account = r.FormValue("account")
	}
	if shown.Secret != nil {
		if f.QR, look = qr(shown.Secret.URI); err == nil {
			err = look
		}
	}
	code, g := http.StatusOK, page{Data: f}
	if err != nil {
		code, g.Field, g.Error = p.say(lang, err)
	}
	p.render(w, r, code, "welcome.html", g)
}

func (p *pages) welcomeStep(w http.ResponseWriter, r *http.Request, token string) error {
	if !p.allow(w, r) {
		return fault.Unavailable("page.too_many")
	}
	switch r.FormValue("step") {
	case "code":
		return p.house.Login.Accept(r.Context(), token, r.FormValue("code"), false)
	case "skip":
		return p.house.Login.Accept(r.Context(), token, "", true)
	}
	if r.FormValue("password") != r.FormValue("again") {
		return fault.Invalid("again", "page.welcome_differ")
	}
	return p.house.Login.Choose(r.Context(), token, r.FormValue("account"), r.FormValue("password"))
}

func qr(uri string) (template.URL, error) {
	key, err := otp.NewKeyFromURL(uri)
	if err != nil {
		return "", err
	}
	picture, err := key.Image(240, 240)
	if err != nil {
		return "", err
	}
	var buf bytes.Buffer
	err = png.Encode(&buf, picture)
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(buf.Bytes())), err
}
