package app

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/fengsui/fengsui/internal/platform/login"
)

func TestAnAdministratorSetsUpAnAccountBehindAOneTimeLink(t *testing.T) {
	a := running(t)
	links, err := a.FirstAdmins(t.Context())
	if err != nil || len(links) != 3 {
		t.Fatal(links, err)
	}
	if again, err := a.FirstAdmins(t.Context()); err != nil || len(again) != 0 {
		t.Errorf("a later start gave links: %v %v", again, err)
	}
	fresh, err := a.InviteByName(t.Context(), links[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	at := func(link string) string { return a.URL() + "/welcome/" + link[strings.LastIndex(link, "/")+1:] }
	get := func(link string, status int) string {
		t.Helper()
		return page200(t, status, func() (*http.Response, error) { return http.Get(at(link)) })
	}
	post := func(link string, status int, form ...string) string {
		t.Helper()
		v := url.Values{}
		for i := 0; i+1 < len(form); i += 2 {
			v.Set(form[i], form[i+1])
		}
		return page200(t, status, func() (*http.Response, error) { return http.PostForm(at(link), v) })
	}
	get(links[0].URL, 404) // void since the newer one
	if body := get(fresh, 200); strings.Contains(body, "<script") || !strings.Contains(body, links[0].Name) {
		t.Error(body)
	}
	post(fresh, 422, "step", "account", "account", "root", "password", "too short", "again", "too short")
	post(fresh, 422, "step", "account", "account", "root", "password", "a good long one", "again", "another long one")
	body := post(fresh, 200, "step", "account", "account", "root", "password", "a good long one", "again", "a good long one")
	if !strings.Contains(body, `src="data:image/png;base64,`) {
		t.Error("no picture of the secret")
	}
	secret := regexp.MustCompile(`<code>([A-Z2-7]{32})</code>`).FindStringSubmatch(body)
	if secret == nil {
		t.Fatal(body)
	}
	post(fresh, 403, "step", "skip") // an administrator must not
	post(fresh, 422, "step", "code", "code", "000000x")
	code, err := totp.GenerateCode(secret[1], time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if body := post(fresh, 200, "step", "code", "code", code); !strings.Contains(body, `href="/console/"`) {
		t.Error(body)
	}
	get(fresh, 404)
	in := login.Attempt{Account: "ROOT", Password: "a good long one", From: login.From{Address: "192.0.2.1"}}
	if got, err := a.House.Login.Password(t.Context(), in); err != nil || got.Token != "" {
		t.Errorf("no code was asked for: %v", err)
	}
	if in.Code, err = totp.GenerateCode(secret[1], time.Now().Add(30*time.Second)); err != nil {
		t.Fatal(err)
	}
	if got, err := a.House.Login.Password(t.Context(), in); err != nil || got.Token == "" {
		t.Errorf("not let in: %v", err)
	}
}
