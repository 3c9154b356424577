package app

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/monitor/gateway"
	"github.com/fengsui/fengsui/internal/platform/locale"
)

// running starts an instance with one service on loopback and stops it when the test ends.
func running(t *testing.T) *App {
	t.Helper()
	a, err := New(t.Context(), Options{DataDir: t.TempDir() + "/data", Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0", AllowPrivateUpstreams: true})
	if err != nil {
		t.Fatal(err)
	}
	start(t, a)
	return a
}

// start gives an instance its first service and runs it until the test ends.
func start(t *testing.T, a *App) {
	t.Helper()
	if _, err := a.FirstService(t.Context(), FirstService{Upstream: "http://127.0.0.1:1/v1", Model: "m"}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(context.Background()) }()
	t.Cleanup(func() {
		a.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func page200(t *testing.T, want int, do func() (*http.Response, error)) string {
	t.Helper()
	resp, err := do()
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != want {
		t.Fatalf("status %d, want %d: %s", resp.StatusCode, want, raw)
	}
	return string(raw)
}

func TestStatusPageSpeaksBothLanguagesAndAllowsNoScript(t *testing.T) {
	a := running(t)
	for lang, word := range map[string]string{"zh": "平静", "en": "Calm"} {
		resp, err := http.Get(a.URL() + "/status?lang=" + lang)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.Contains(string(raw), word) {
			t.Errorf("%s: %q is missing (%v)", lang, word, err)
		}
		if strings.Contains(string(raw), "[page.") || strings.Contains(string(raw), "<script") {
			t.Errorf("%s: an untranslated key or a script", lang)
		}
		if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
			t.Errorf("policy %q", csp)
		}
	}
}

func TestTheStatusPageTellsAStrangerOnlyWhetherItIsCalm(t *testing.T) {
	a := running(t)
	id := oneService(t, a)
	_, token, err := a.AddPerson(t.Context(), "值班甲", "duty_officer")
	if err != nil {
		t.Fatal(err)
	}
	a.run(t, fmt.Sprintf(anOfflineOrder, "O", 901, "real", id, "service_offline", "", "in_force"))
	told := func(token string) bool {
		body := a.get(t, "/status", token, 200)
		if !strings.Contains(body, "有事在办") {
			t.Errorf("it does not say that something is being handled: %s", body)
		}
		return strings.Contains(body, "gateway") || strings.Contains(body, "<table") || strings.Contains(body, "loop")
	}
	if told("") {
		t.Error("a stranger learns services, gateways or figures")
	}
	if !told(token) {
		t.Error("who is signed in learns nothing")
	}
	a.House.Login.SetDemo("demo")
	if !told("") {
		t.Error("a demonstration shows nothing")
	}
}

func TestTheStatusPageRenewsItselfOnlyForWhomAsked(t *testing.T) {
	a := running(t)
	for path, want := range map[string]bool{"/status": false, "/status?follow=1": true} {
		if body := page200(t, 200, func() (*http.Response, error) { return http.Get(a.URL() + path) }); strings.Contains(body, `http-equiv="refresh"`) != want {
			t.Errorf("%s:\n%s", path, body)
		}
	}
}

func TestAComplaintGoesInByThePlainFormAndItsProgressIsFoundByCode(t *testing.T) {
	a := running(t)
	var id string
	if err := a.House.Store.Read().NewRaw("SELECT id FROM service").Scan(t.Context(), &id); err != nil {
		t.Fatal(err)
	}
	form := url.Values{"service": {id}, "kind": {"complaint"}, "text": {"<script>alert(1)</script> 回答不对"}}
	body := page200(t, 200, func() (*http.Response, error) { return http.PostForm(a.URL()+"/complaint", form) })
	codes := strings.Split(body, "<code>")
	if len(codes) != 3 {
		t.Fatalf("no number and code: %s", body)
	}
	number, _, _ := strings.Cut(codes[1], "<")
	code, _, _ := strings.Cut(codes[2], "<")
	body = page200(t, 200, func() (*http.Response, error) {
		return http.PostForm(a.URL()+"/complaint/status", url.Values{"number": {number}, "code": {code}})
	})
	if !strings.Contains(body, "已收到") {
		t.Errorf("no progress: %s", body)
	}
	page200(t, 404, func() (*http.Response, error) {
		return http.PostForm(a.URL()+"/complaint/status", url.Values{"number": {number}, "code": {"wrong"}})
	})
	// What was typed is kept when something is missing, and shown as text.
	form.Set("kind", "poem")
	body = page200(t, 422, func() (*http.Response, error) { return http.PostForm(a.URL()+"/complaint", form) })
	if strings.Contains(body, "<script>") || !strings.Contains(body, "&lt;script&gt;") {
		t.Error("markup of a complainant came through, or the text was lost")
	}
}

func TestProbesAndMetricsAnswer(t *testing.T) {
	a := running(t)
	for path, word := range map[string]string{"/healthz": "", "/readyz": `"ready"`, "/metrics": "fengsui_due_pending", "/api/v1/openapi.json": `"openapi":"3.1`, "/style.css": "body"} {
		if body := page200(t, 200, func() (*http.Response, error) { return http.Get(a.URL() + path) }); !strings.Contains(body, word) {
			t.Errorf("%s lacks %q", path, word)
		}
	}
}

func TestEveryVerdictAndStateOfTheStatusPageIsTranslated(t *testing.T) {
	c, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{gateway.VerdictAllow, gateway.VerdictNone, gateway.VerdictUninspected, "observe", "mask", "replace", "block"} {
		if !c.Has("verdict." + v) {
			t.Errorf("verdict.%s has no text", v)
		}
	}
}

func TestAStoppedInstanceCanBeStoppedAgainAndBeforeItRan(t *testing.T) {
	a, err := New(t.Context(), Options{DataDir: t.TempDir() + "/data", Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { a.Stop(); a.Stop(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("Stop did not come back")
	}
}
