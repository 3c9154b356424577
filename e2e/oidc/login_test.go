package oidc

import (
	"context"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
)

const (
	password    = "correct horse 烽燧"
	clientKey   = "only-the-provider-may-see-this"
	otherClient = "another-client"
)

// house is an instance with a provider; li is bound to the subject "li-at-work" there.
type house struct {
	app      *app.App
	clock    *clock.Fake
	front    *front
	clients  []clientOf
	id       string // the provider's
	callback string
	li       string
	tokens   map[string]string
}

func build(t *testing.T) *house {
	t.Helper()
	needNode(t)
	h := &house{clock: clock.NewFake(time.Now()), front: newFront(t), tokens: map[string]string{}}
	a, err := app.New(t.Context(), app.Options{DataDir: t.TempDir() + "/data", Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0", AllowPrivateOIDC: true, Clock: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	h.app = a
	done := make(chan error, 1)
	go func() { done <- a.Run(context.Background()) }()
	t.Cleanup(func() {
		a.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for _, role := range []string{"security_admin", "audit_admin", "engineer", "expert"} {
		id, token, err := a.AddPerson(t.Context(), role, role)
		if err != nil {
			t.Fatal(err)
		}
		h.tokens[role] = token
		if role == "engineer" {
			h.li = id
		}
	}
	if err := a.House.Login.SetAccount(t.Context(), store.System("test"), h.li, "li.si", password); err != nil {
		t.Fatal(err)
	}
	var p struct {
		ID       string `json:"id"`
		Redirect string `json:"redirect_uri"`
	}
	h.api(t, "security_admin", "POST", "/oidc-providers", `{"name":"Work","issuer":"`+h.front.url+`","client_id":"fengsui","client_secret":"`+clientKey+`"}`, &p)
	h.id, h.callback = p.ID, p.Redirect
	h.clients = []clientOf{{"fengsui", clientKey, []string{p.Redirect}}, {otherClient, "other-secret", []string{p.Redirect}}}
	h.front.set(func(f *front) { f.all = start(t, h.front.url, h.clients...) })
	return h
}

// api calls the API by a role's token and wants it to go well.
func (h *house) api(t *testing.T, role, method, path, body string, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, h.app.URL()+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+h.tokens[role])
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, _ := io.ReadAll(res.Body)
	if res.StatusCode >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, raw)
	}
	if into != nil {
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatal(err)
		}
	}
}

// browser keeps cookies and follows nothing by itself.
type browser struct {
	h      *house
	client *http.Client
}

func (h *house) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{h, &http.Client{Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (b *browser) do(t *testing.T, method, at, kind, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Language", "en")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	res, err := b.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(raw)}
}

// own calls the API of the house with the browser's cookies.
func (b *browser) own(t *testing.T, method, path, body string) answer {
	t.Helper()
	return b.do(t, method, b.h.app.PublicURL()+"/api/v1"+path, "application/json", body)
}

// leave begins a log-in and gives the address at the provider.
func (b *browser) leave(t *testing.T) *url.URL {
	t.Helper()
	a := b.do(t, "GET", b.h.app.PublicURL()+"/login/oidc/"+b.h.id, "", "")
	u, err := url.Parse(a.header.Get("Location"))
	if a.status != http.StatusSeeOther || err != nil {
		t.Fatalf("%d %s %v", a.status, a.body, err)
	}
	return u
}

var (
	action = regexp.MustCompile(`<form[^>]* action="([^"]+)"`)
	prompt = regexp.MustCompile(`name="prompt" value="(\w+)"`)
)

// signIn goes through the provider's pages as a subject and gives the address to which it sends the browser back.
func (b *browser) signIn(t *testing.T, at *url.URL, subject string) string {
	t.Helper()
	method, kind, body := "GET", "", ""
	for range 12 {
		a := b.do(t, method, at.String(), kind, body)
		method, kind, body = "GET", "", ""
		next := a.header.Get("Location")
		if a.status == http.StatusOK {
			form, ask := action.FindStringSubmatch(a.body), prompt.FindStringSubmatch(a.body)
			if form == nil || ask == nil {
				t.Fatalf("no form: %s", a.body)
			}
			next, method, kind = html.UnescapeString(form[1]), "POST", "application/x-www-form-urlencoded"
			body = url.Values{"prompt": {ask[1]}, "login": {subject}, "password": {"any"}}.Encode()
		} else if a.status < 300 || a.status > 399 {
			t.Fatalf("the provider answers %d %s", a.status, a.body)
		}
		to, err := at.Parse(next)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(to.String(), b.h.callback) {
			return to.String()
		}
		at = to
	}
	t.Fatal("the provider never sends the browser back")
	return ""
}

// back opens the callback as a browser does that another site sent: without its Strict cookies.
func (b *browser) back(t *testing.T, at string) answer {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", at, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Language", "en")
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == "fengsui_oidc" {
			req.AddCookie(c)
		}
	}
	res, err := (&http.Client{CheckRedirect: b.client.CheckRedirect}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	b.client.Jar.SetCookies(u, res.Cookies())
	return answer{res.StatusCode, res.Header, string(raw)}
}

// in wants an answer to have logged the engineer in.
func (b *browser) in(t *testing.T, a answer) {
	t.Helper()
	if a.status != 200 || !strings.Contains(a.body, `<meta http-equiv="refresh" content="0;url=/console/">`) {
		t.Errorf("not logged in: %d %s", a.status, a.body)
		return
	}
	if me := b.own(t, "GET", "/me", ""); me.status != 200 || !strings.Contains(me.body, `"id":"`+b.h.li+`"`) {
		t.Errorf("somebody else is in: %d %s", me.status, me.body)
	}
}

// refused wants an answer to say why nobody is in.
func (b *browser) refused(t *testing.T, a answer, status int, says string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.body, says) || strings.Contains(a.body, "refresh") {
		t.Errorf("%d %s, want %d %q", a.status, a.body, status, says)
	}
	if me := b.own(t, "GET", "/me", ""); me.status != 401 {
		t.Errorf("somebody is in: %s", me.body)
	}
}

// bindLi binds li to "li-at-work" by their own doing.
func (h *house) bindLi(t *testing.T) *browser {
	t.Helper()
	b := h.browser(t)
	if a := b.own(t, "POST", "/login/password", `{"account":"li.si","password":"`+password+`"}`); a.status != 200 {
		t.Fatal(a)
	}
	a := b.own(t, "POST", "/me/oidc/"+h.id+"/begin", "")
	var to struct{ URL string }
	if err := json.Unmarshal([]byte(a.body), &to); err != nil || a.status != 200 {
		t.Fatal(a, err)
	}
	u, err := url.Parse(to.URL)
	if err != nil {
		t.Fatal(err)
	}
	if a := b.back(t, b.signIn(t, u, "li-at-work")); a.status != 200 || !strings.Contains(a.body, "0;url=/console/me") {
		t.Fatal(a)
	}
	return b
}

func (h *house) entries(t *testing.T, action string) (n int) {
	t.Helper()
	if err := h.app.House.Store.Read().NewRaw("SELECT COUNT(*) FROM record_entries WHERE action = ?", action).Scan(t.Context(), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWhoIsBoundToAProvidersSubjectLogsInByIt(t *testing.T) {
	h := build(t)
	b := h.browser(t)
	if a := b.own(t, "GET", "/login/ways", ""); !strings.Contains(a.body, `"oidc":[{"id":"`+h.id+`","name":"Work"}]`) {
		t.Error(a.body)
	}
	b.refused(t, b.back(t, b.signIn(t, b.leave(t), "li-at-work")), 401, "Nobody here is bound to your identity at “Work”")
	own := h.bindLi(t)

	b = h.browser(t)
	to := b.leave(t)
	q := to.Query()
	if q.Get("code_challenge_method") != "S256" || q.Get("redirect_uri") != h.callback || q.Get("state") == "" || q.Get("nonce") == "" || strings.Contains(to.String(), clientKey) {
		t.Error(to)
	}
	a := b.back(t, b.signIn(t, to, "li-at-work"))
	b.in(t, a)
	cookies := strings.Join(a.header.Values("Set-Cookie"), "\n")
	for _, part := range []string{"fengsui_session=", "SameSite=Strict", "fengsui_oidc=; Path=/login/oidc/; Max-Age=0"} {
		if !strings.Contains(cookies, part) {
			t.Errorf("%s lacks %s", cookies, part)
		}
	}
	if a := b.own(t, "GET", "/me/sessions", ""); !strings.Contains(a.body, `"way":"oidc"`) {
		t.Error(a.body)
	}
	if h.entries(t, "oidc.bind") != 1 || h.entries(t, "login.in") != 2 || h.entries(t, "login.refused") == 0 {
		t.Error("the record does not tell what happened")
	}

	var mine []struct{ ID, Subject string }
	if err := json.Unmarshal([]byte(own.own(t, "GET", "/me/oidc", "").body), &mine); err != nil || len(mine) != 1 || mine[0].Subject != "li-at-work" {
		t.Fatal(mine, err)
	}
	if a := own.own(t, "POST", "/me/oidc/"+mine[0].ID+"/remove", ""); a.status != 200 {
		t.Error(a)
	}
	b = h.browser(t)
	b.refused(t, b.back(t, b.signIn(t, b.leave(t), "li-at-work")), 401, "Nobody here is bound")
	if h.entries(t, "oidc.unbind") != 1 {
		t.Error("the record does not tell of the end of the binding")
	}
}

func TestABindingByAnAdministratorIsGoodWhenASecondOneConfirmsIt(t *testing.T) {
	h := build(t)
	h.api(t, "security_admin", "POST", "/persons/"+h.li+"/oidc", `{"provider_id":"`+h.id+`","subject":"li-at-work"}`, nil)
	b := h.browser(t)
	b.refused(t, b.back(t, b.signIn(t, b.leave(t), "li-at-work")), 401, "Nobody here is bound")
	var waiting []struct{ ID, Kind, Issuer, Subject string }
	h.api(t, "audit_admin", "GET", "/credentials/waiting", "", &waiting)
	if len(waiting) != 1 || waiting[0].Kind != "oidc_binding" || waiting[0].Issuer != h.front.url || waiting[0].Subject != "li-at-work" {
		t.Fatal(waiting)
	}
	req, _ := http.NewRequestWithContext(t.Context(), "POST", h.app.URL()+"/api/v1/credentials/"+waiting[0].ID+"/decide", strings.NewReader(`{"approve":true}`))
	req.Header.Set("Authorization", "Bearer "+h.tokens["security_admin"])
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 403 {
		t.Errorf("who asked confirmed it: %d", res.StatusCode)
	}
	h.api(t, "audit_admin", "POST", "/credentials/"+waiting[0].ID+"/decide", `{"approve":true}`, nil)
	b = h.browser(t)
	b.in(t, b.back(t, b.signIn(t, b.leave(t), "li-at-work")))
	h.api(t, "security_admin", "POST", "/oidc-providers/"+h.id+"/remove", "", nil)
	if a := h.browser(t).do(t, "GET", h.app.PublicURL()+"/login/oidc/"+h.id, "", ""); a.status != 404 {
		t.Error(a)
	}
}

// token is what the provider truly says to a client about li, in answer to a nonce.
func (h *house) token(t *testing.T, client clientOf, nonce string) string {
	t.Helper()
	c := oauth2.Config{ClientID: client.ID, ClientSecret: client.Secret, RedirectURL: h.callback, Scopes: []string{"openid"},
		Endpoint: oauth2.Endpoint{AuthURL: h.front.url + "/auth", TokenURL: h.front.url + "/token", AuthStyle: oauth2.AuthStyleInHeader}}
	verifier := oauth2.GenerateVerifier()
	u, err := url.Parse(c.AuthCodeURL("s", oauth2.SetAuthURLParam("nonce", nonce), oauth2.S256ChallengeOption(verifier)))
	if err != nil {
		t.Fatal(err)
	}
	back, err := url.Parse(h.browser(t).signIn(t, u, "li-at-work"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Exchange(t.Context(), back.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	token, _ := got.Extra("id_token").(string)
	if token == "" {
		t.Fatal("no token")
	}
	return token
}

func with(at, name, value string) string {
	u, _ := url.Parse(at)
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

const bad, over = "could not be verified", "has timed out, is over or was not begun in this browser"

// Each is refused, and the same without what is wrong with it logs in.
func TestWhatAProviderDidNotSayIsRefused(t *testing.T) {
	h := build(t)
	h.bindLi(t)
	first := h.front.all
	swap := func(client clientOf) func(t *testing.T, b *browser) answer {
		return func(t *testing.T, b *browser) answer {
			to := b.leave(t)
			back := b.signIn(t, to, "li-at-work")
			other := h.token(t, client, to.Query().Get("nonce"))
			h.front.set(func(f *front) { f.say = func(string) string { return other } })
			return b.back(t, back)
		}
	}
	straight := func(t *testing.T, b *browser) answer { return b.back(t, b.signIn(t, b.leave(t), "li-at-work")) }
	for name, c := range map[string]struct {
		wrong, right func(t *testing.T, b *browser) answer
		status       int
		says         string
	}{
		"a token that answers another request": {func(t *testing.T, b *browser) answer {
			to, _ := url.Parse(with(b.leave(t).String(), "nonce", "another"))
			return b.back(t, b.signIn(t, to, "li-at-work"))
		}, straight, 403, bad},
		"another state": {func(t *testing.T, b *browser) answer {
			return b.back(t, with(b.signIn(t, b.leave(t), "li-at-work"), "state", "another"))
		}, straight, 422, over},
		"the state of another browser": {func(t *testing.T, b *browser) answer {
			b.leave(t)
			thief := h.browser(t)
			return b.back(t, thief.signIn(t, thief.leave(t), "li-at-work"))
		}, straight, 422, over},
		"a code that was used": {func(t *testing.T, b *browser) answer {
			other := h.browser(t)
			used := other.signIn(t, other.leave(t), "li-at-work")
			other.in(t, other.back(t, used))
			u, _ := url.Parse(used)
			return b.back(t, with(b.signIn(t, b.leave(t), "li-at-work"), "code", u.Query().Get("code")))
		}, straight, 403, bad},
		"a token for another client": {swap(h.clients[1]), swap(h.clients[0]), 403, bad},
		"a token signed by another key": {func(t *testing.T, b *browser) answer {
			h.front.set(func(f *front) { f.all, f.key = start(t, f.url, h.clients...), first })
			return straight(t, b)
		}, func(t *testing.T, b *browser) answer {
			h.front.set(func(f *front) { f.all = start(t, f.url, h.clients...) })
			return straight(t, b)
		}, 403, bad},
		"a token that was altered": {func(t *testing.T, b *browser) answer {
			h.front.set(func(f *front) { f.say = func(s string) string { return s[:len(s)-8] + "AAAAAAAA" } })
			return straight(t, b)
		}, straight, 403, bad},
		"a subject that nobody is": {func(t *testing.T, b *browser) answer { return b.back(t, b.signIn(t, b.leave(t), "li-at-home")) }, straight, 401, "Nobody here is bound"},
		"a callback of another issuer": {func(t *testing.T, b *browser) answer {
			return b.back(t, with(b.signIn(t, b.leave(t), "li-at-work"), "iss", "http://127.0.0.1:1"))
		}, straight, 403, bad},
		"a provider of another name": {func(t *testing.T, b *browser) answer {
			h.front.set(func(f *front) { f.all = start(t, "http://127.0.0.1:1", h.clients...) })
			return b.do(t, "GET", h.app.PublicURL()+"/login/oidc/"+h.id, "", "")
		}, straight, 503, "calls itself by another issuer"},
		"a provider that is down": {func(t *testing.T, b *browser) answer {
			h.front.set(func(f *front) { f.off = true })
			return b.do(t, "GET", h.app.PublicURL()+"/login/oidc/"+h.id, "", "")
		}, straight, 503, "cannot be reached now"},
		"a provider that went down since": {func(t *testing.T, b *browser) answer {
			at := b.signIn(t, b.leave(t), "li-at-work")
			h.front.set(func(f *front) { f.off = true })
			return b.back(t, at)
		}, straight, 503, "cannot be reached now"},
		"somebody who says no": {func(t *testing.T, b *browser) answer {
			return b.back(t, strings.Replace(b.signIn(t, b.leave(t), "li-at-work"), "code=", "error=access_denied&x=", 1))
		}, straight, 403, "did not vouch for you"},
		"too late": {func(t *testing.T, b *browser) answer {
			at := b.signIn(t, b.leave(t), "li-at-work")
			h.clock.Advance(10*time.Minute + time.Second)
			return b.back(t, at)
		}, func(t *testing.T, b *browser) answer {
			at := b.signIn(t, b.leave(t), "li-at-work")
			h.clock.Advance(9 * time.Minute)
			return b.back(t, at)
		}, 422, over},
	} {
		t.Run(name, func(t *testing.T) {
			still := func() { h.front.set(func(f *front) { f.all, f.key, f.off, f.say = first, nil, false, nil }) }
			t.Cleanup(still)
			b := h.browser(t)
			b.refused(t, c.wrong(t, b), c.status, c.says)
			if strings.HasPrefix(name, "a provider that") { // the other ways still work
				if a := b.own(t, "POST", "/login/password", `{"account":"li.si","password":"`+password+`"}`); a.status != 200 {
					t.Error(a)
				}
			}
			still()
			b = h.browser(t)
			b.in(t, c.right(t, b))
		})
	}
	if t.Failed() {
		return
	}
	b := h.browser(t)
	at := b.signIn(t, b.leave(t), "li-at-work")
	cookieless := h.browser(t)
	cookieless.refused(t, cookieless.back(t, at), 422, over)
	b.in(t, b.back(t, at)) // and that did not spend it
	again := h.browser(t)
	again.refused(t, again.back(t, at), 422, over)
}
