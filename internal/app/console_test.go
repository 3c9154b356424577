package app

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"log/slog"

	"github.com/fengsui/fengsui/internal/platform/clock"
)

const builtIndex = `<html><head><meta property="csp-nonce" nonce="__CSP_NONCE__"><script type="module" nonce="__CSP_NONCE__" src="/console/assets/a.js"></script></head></html>`

func visit(c *console, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	secureHeaders(http.HandlerFunc(c.serve)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestTheConsoleGetsAFreshNonceThatItsPolicyNames(t *testing.T) {
	c := newConsole(fstest.MapFS{"index.html": {Data: []byte(builtIndex)}, "assets/a.js": {Data: []byte("1")}}, slog.New(slog.DiscardHandler), clock.System())
	nonces := map[string]bool{}
	for _, path := range []string{"/console/", "/console/incidents/01J", "/console/index.html", "/console/../status"} {
		w := visit(c, path)
		policy, body := w.Header().Get("Content-Security-Policy"), w.Body.String()
		m := regexp.MustCompile(`script-src 'nonce-(\w+)'`).FindStringSubmatch(policy)
		if m == nil || strings.Count(body, `nonce="`+m[1]+`"`) != 2 || strings.Contains(body, noncePlace) {
			t.Fatalf("%s: policy %q, body %s", path, policy, body)
		}
		if nonces[m[1]] {
			t.Error("a nonce was used twice")
		}
		nonces[m[1]] = true
		if strings.Contains(policy, "unsafe") || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %q %q", path, policy, w.Header().Get("Cache-Control"))
		}
	}
	if w := visit(c, "/console/assets/a.js"); w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
		t.Error(w.Code, w.Header())
	}
	if w := visit(c, "/console/assets/gone.js"); w.Code != 404 {
		t.Error("a missing file is answered as", w.Code)
	}
}

func TestABuiltFileGoesOverTheLineGzippedToWhomTakesIt(t *testing.T) {
	text := strings.Repeat("const a = 1\n", 1000)
	c := newConsole(fstest.MapFS{"index.html": {Data: []byte(builtIndex)}, "assets/a.js": {Data: []byte(text)}}, slog.New(slog.DiscardHandler), clock.System())
	for _, encoding := range []string{"gzip, br", ""} {
		for range 2 { // the second one is kept from the first
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/console/assets/a.js", nil)
			r.Header.Set("Accept-Encoding", encoding)
			c.serve(w, r)
			got := io.Reader(w.Body)
			if encoding != "" {
				if w.Header().Get("Content-Encoding") != "gzip" || w.Body.Len() > len(text)/10 {
					t.Fatalf("%v, %d bytes", w.Header(), w.Body.Len())
				}
				var err error
				if got, err = gzip.NewReader(w.Body); err != nil {
					t.Fatal(err)
				}
			}
			raw, err := io.ReadAll(got)
			if err != nil || string(raw) != text || w.Header().Get("Vary") != "Accept-Encoding" || !strings.Contains(w.Header().Get("Content-Type"), "javascript") {
				t.Errorf("%q: %d bytes, %v, %v", encoding, len(raw), w.Header(), err)
			}
		}
	}
}

func TestPolicyReportsAreBoundedInSizeAndNumber(t *testing.T) {
	var log strings.Builder
	c := newConsole(fstest.MapFS{}, slog.New(slog.NewTextHandler(&log, nil)), clock.NewFake(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)))
	send := func(body string) int {
		w := httptest.NewRecorder()
		c.report(w, httptest.NewRequest(http.MethodPost, "/csp-report", strings.NewReader(body)))
		return w.Code
	}
	if code := send(`{"csp-report":{"violated-directive":"img-src"}}`); code != 204 || !strings.Contains(log.String(), "img-src") {
		t.Error(code, log.String())
	}
	if code := send(strings.Repeat("x", 9<<10)); code != 413 {
		t.Error(code)
	}
	for range 100 {
		send("x")
	}
	if code := send("x"); code != 429 {
		t.Error("a flood of reports is taken:", code)
	}
}

func TestTheRootLeadsToTheConsoleOrToTheStatusPage(t *testing.T) {
	a := running(t)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(a.URL() + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	to := resp.Header.Get("Location")
	if resp.StatusCode != http.StatusFound || to != "/console/" && to != "/status" {
		t.Fatal(resp.StatusCode, to)
	}
	body := page200(t, 200, func() (*http.Response, error) { return http.Get(a.URL() + "/console/") })
	if to == "/status" && !strings.Contains(body, "Node.js 20") {
		t.Error("a binary without a console does not say what to do:", body)
	}
	if to == "/console/" && !strings.Contains(body, `id="root"`) {
		t.Error(body)
	}
}
