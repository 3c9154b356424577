package api_test

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/login"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

const goodPassword = "correct horse 烽燧"

// browser is a client with a cookie jar.
type browser struct {
	b      *bench
	client *http.Client
}

func (b *bench) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{b, &http.Client{Jar: jar}}
}

func (w *browser) do(t *testing.T, method, path, body string, headers ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.b.app.URL()+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for k := 0; k+1 < len(headers); k += 2 {
		req.Header.Set(headers[k], headers[k+1])
	}
	res, err := w.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(raw), res.Header
}

func (w *browser) want(t *testing.T, status int, says, method, path, body string, headers ...string) http.Header {
	t.Helper()
	code, text, header := w.do(t, method, path, body, headers...)
	if code != status || !strings.Contains(text, says) {
		t.Errorf("%s %s: %d %s, want %d %q", method, path, code, text, status, says)
	}
	return header
}

func (b *bench) account(t *testing.T, role, account string) {
	t.Helper()
	if err := b.app.House.Login.SetAccount(context.Background(), store.System("test"), b.person[role], account, goodPassword); err != nil {
		t.Fatal(err)
	}
}

func TestALogInLastsInACookieThatNoScriptAndNoOtherSiteCanUse(t *testing.T) {
	b := newBench(t)
	b.account(t, "engineer", "Li.Si")
	w := b.browser(t)
	w.want(t, 401, "login.refused", "POST", "/login/password", `{"account":"li.si","password":"wrong password"}`)
	w.want(t, 401, "login.refused", "POST", "/login/password", `{"account":"nobody","password":"`+goodPassword+`"}`)
	w.want(t, 401, "identity.unknown", "GET", "/me", "")
	h := w.want(t, 200, `{"state":"in"}`, "POST", "/login/password", `{"account":" LI.si ","password":"`+goodPassword+`"}`)
	c := h.Get("Set-Cookie")
	for _, flag := range []string{"fengsui_session=", "HttpOnly", "SameSite=Strict", "Path=/"} {
		if !strings.Contains(c, flag) {
			t.Errorf("%s lacks %s", c, flag)
		}
	}
	w.want(t, 200, `"account":"Li.Si"`, "GET", "/me", "")
	w.want(t, 403, "login.cross_site", "POST", "/logout-everywhere", "", "Sec-Fetch-Site", "cross-site")
	w.want(t, 403, "login.cross_site", "POST", "/logout-everywhere", "", "Origin", "https://evil.example.com")
	w.want(t, 200, b.person["engineer"], "GET", "/me", "", "Sec-Fetch-Site", "cross-site") // reading shows nothing to another site
	w.want(t, 403, "login.cross_site", "POST", "/login/password", `{"account":"li.si","password":"x"}`, "Sec-Fetch-Site", "cross-site")
	other := b.browser(t)
	other.want(t, 200, "in", "POST", "/login/password", `{"account":"li.si","password":"`+goodPassword+`"}`)
	w.want(t, 401, "login.refused", "POST", "/me/password", `{"old":"wrong password","new":"another good one"}`)
	w.want(t, 422, "login.short_password", "POST", "/me/password", `{"old":"`+goodPassword+`","new":"short"}`)
	w.want(t, 200, "true", "POST", "/me/password", `{"old":"`+goodPassword+`","new":"another good one"}`, "Sec-Fetch-Site", "same-origin")
	other.want(t, 401, "login.no_session", "GET", "/me", "")
	w.want(t, 200, `"current":true`, "GET", "/me/sessions", "")
	w.want(t, 200, "true", "POST", "/logout", "")
	w.want(t, 401, "identity.unknown", "GET", "/me", "")
}

func TestASessionEndsWithItsTimeItsPersonAndTheirRoles(t *testing.T) {
	for name, end := range map[string]string{
		"idle":        "UPDATE session SET seen_ms = seen_ms - 28800001",
		"absolute":    "UPDATE session SET expires_ms = created_ms",
		"deactivated": "UPDATE person SET active = FALSE WHERE name = 'engineer'",
		"other roles": `UPDATE person SET roles = '["expert"]' WHERE name = 'engineer'`,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.account(t, "engineer", "li.si")
			w := b.browser(t)
			w.want(t, 200, "in", "POST", "/login/password", `{"account":"li.si","password":"`+goodPassword+`"}`)
			w.want(t, 200, "li.si", "GET", "/me", "")
			b.exec(t, end)
			w.want(t, 401, "login.no_session", "GET", "/me", "")
		})
	}
}

// The clock moves only where it is moved here: how slow the machine is does not count.
func TestGuessingWaitsLongerEachTimeAndNoRestartForgetsIt(t *testing.T) {
	now := clock.NewFake(time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC))
	b := newBenchWith(t, app.Options{Clock: now})
	b.account(t, "engineer", "li.si")
	w := b.browser(t)
	later := func(s int) { now.Advance(time.Duration(s) * time.Second) }
	for _, account := range []string{"li.si", "nobody"} { // whether an account exists cannot be told
		try := func(status int, says, retry string) {
			t.Helper()
			if h := w.want(t, status, says, "POST", "/login/password", `{"account":"`+account+`","password":"wrong password"}`); h.Get("Retry-After") != retry {
				t.Errorf("%s: Retry-After is %q, want %q", account, h.Get("Retry-After"), retry)
			}
		}
		for range 5 {
			try(401, "login.refused", "")
		}
		for _, wait := range []int{2, 4, 8} {
			try(401, "login.refused", "")
			try(429, "login.too_many", strconv.Itoa(wait))
			later(wait - 1)
			try(429, "login.too_many", "1")
			later(1)
		}
		try(401, "login.refused", "")
	}
	w.want(t, 429, "too_many", "POST", "/login/password", `{"account":"nobody","password":"`+goodPassword+`"}`)
	fresh := login.New(b.app.House.Store, b.app.House.Secrets) // as after a restart
	if _, err := fresh.Password(t.Context(), login.Attempt{Account: "li.si", Password: goodPassword, From: login.From{Address: "192.0.2.1:1"}}); !fault.Is(err, "login.too_many") {
		t.Errorf("a new process forgot the tries: %v", err)
	}
	if n := b.count(t, "SELECT COUNT(*) FROM record_entries WHERE action = 'login.refused' AND object_id = ?", b.person["engineer"]); n != 4 {
		t.Errorf("%d entries for nine refusals", n)
	}
	later(16)
	w.want(t, 200, "in", "POST", "/login/password", `{"account":"li.si","password":"`+goodPassword+`"}`)
}

func TestACodeIsAskedForAndTakenOnce(t *testing.T) {
	b := newBench(t)
	b.account(t, "engineer", "li.si")
	w := b.browser(t)
	w.want(t, 200, "in", "POST", "/login/password", `{"account":"li.si","password":"`+goodPassword+`"}`)
	var s login.Secret
	if err := b.app.House.Store.Write(t.Context(), store.Actor{ID: b.person["engineer"], Roles: []string{"engineer"}}, func(tx *store.Tx) (err error) {
		s, err = b.app.House.Login.BeginTOTP(t.Context(), tx)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	code := func(steps int) string {
		c, err := totp.GenerateCode(s.Secret, time.Now().Add(time.Duration(steps)*30*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	w.want(t, 422, "login.bad_code", "POST", "/me/totp/confirm", `{"code":"`+code(5)+`"}`)
	w.want(t, 200, "true", "POST", "/me/totp/confirm", `{"code":"`+code(-1)+`"}`)
	in := `{"account":"li.si","password":"` + goodPassword + `"`
	w.want(t, 200, `{"state":"code"}`, "POST", "/login/password", in+`}`)
	w.want(t, 401, "login.refused", "POST", "/login/password", in+`,"code":"`+code(-1)+`"}`) // used up by the confirmation
	now := code(0)
	w.want(t, 200, `{"state":"in"}`, "POST", "/login/password", in+`,"code":"`+now+`"}`)
	w.want(t, 401, "login.refused", "POST", "/login/password", in+`,"code":"`+now+`"}`)
	if n := b.count(t, "SELECT COUNT(*) FROM secrets WHERE "+storetest.Column{Name: "sealed", Type: "BYTEA"}.Contains(), s.Secret); n != 0 {
		t.Error("the secret is in clear in the database")
	}
	w.want(t, 403, "login.needs_session", "POST", "/me/totp/remove", `{"code":"000000"}`, "Authorization", "Bearer "+b.tokens["engineer"])
}

func TestNobodyIssuesACredentialAlone(t *testing.T) {
	b := newBench(t)
	b.exec(t, "DELETE FROM token WHERE person_id = '"+b.person["expert"]+"'")
	var i struct {
		URL     string
		Waiting bool
	}
	b.must(t, b.call(t, "security_admin", "POST", "/persons/"+b.person["expert"]+"/invitation", ""), &i)
	link := i.URL[strings.LastIndex(i.URL, "/")+1:]
	if _, err := b.app.House.Login.Open(t.Context(), link); err == nil || !i.Waiting {
		t.Errorf("the link is good before a second person confirmed it: %v", err)
	}
	var list []struct{ ID string }
	b.must(t, b.call(t, "security_admin", "GET", "/credentials/waiting", ""), &list)
	if a := b.call(t, "security_admin", "POST", "/credentials/"+list[0].ID+"/decide", `{"approve":true}`); a.Key != "identity.same_person" {
		t.Errorf("oneself: %d %s", a.status, a.body)
	}
	b.confirm(t, "audit_admin")
	if _, err := b.app.House.Login.Open(t.Context(), link); err != nil {
		t.Errorf("the link is not good after it was confirmed: %v", err)
	}
}
