package app

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/containment"
)

// chat asks the gateway through a real connection and gives status, code and body.
func chat(t *testing.T, url, key string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", url+"/v1/chat/completions", strings.NewReader(`{"model":"m","messages":[{"role":"user","content":"hi"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(raw)
}

// until asks until the answer holds what is wanted.
func until(t *testing.T, url, key, want string) {
	t.Helper()
	body := ""
	for range 200 {
		if _, body = chat(t, url, key); strings.Contains(body, want) {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("no %q: %s", want, body)
}

// A crash between the commit of an order and its handing out leaves the bundle on disk behind the store.
func TestAfterACrashNothingPassesByTheOlderBundle(t *testing.T) {
	var asked atomic.Int64
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}`)
	}))
	defer model.Close()
	o := Options{DataDir: t.TempDir() + "/data", Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0", AllowPrivateUpstreams: true}
	start := func() (*App, func()) {
		t.Helper()
		a, err := New(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return a, func() {
			done := make(chan error, 1)
			go func() { done <- a.Run(context.Background()) }()
			t.Cleanup(func() {
				a.Stop()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		}
	}
	a, run := start()
	first, err := a.FirstService(t.Context(), FirstService{Upstream: model.URL + "/v1", Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	run()
	until(t, a.GatewayURL(), first.Key, "hello")
	bundle := filepath.Join(o.DataDir, "gateway", "bundle.json")
	older, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	err = a.House.Store.Write(t.Context(), store.Actor{ID: "p", Roles: []string{"commander"}}, func(tx *store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO anomaly (id, number, kind, service_id, rule_id, fingerprint, state, first_ms, last_ms, opened_ms) VALUES ('an', 'AN-X', 'real', ?, 'r', 'f', 'open', 1, 1, 1)`, first.ServiceID); err != nil {
			return err
		}
		_, err := a.House.Control.Issue(t.Context(), tx, containment.Request{Cause: containment.FromAnomaly, CauseID: "an", Rung: posture.ServiceOffline, Scope: posture.Scope{ServiceID: first.ServiceID}, Reason: "止损"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	until(t, a.GatewayURL(), first.Key, "service_offline")
	a.Stop()
	if err := os.WriteFile(bundle, older, 0o600); err != nil {
		t.Fatal(err)
	}

	a, run = start()
	before := asked.Load()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader(`{"model":"m","messages":[{"role":"user","content":"hi"}]}`))
	r.Header.Set("Authorization", "Bearer "+first.Key)
	r.Header.Set("Content-Type", "application/json")
	a.gwSrv.Handler.ServeHTTP(w, r) // as it answers before the distributor has said anything
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"code":"no_posture"`) || asked.Load() != before {
		t.Errorf("before the first bundle: %d %s, %d times upstream", w.Code, w.Body, asked.Load()-before)
	}
	run()
	until(t, a.GatewayURL(), first.Key, "service_offline")
	if asked.Load() != before {
		t.Error("a request passed by the older bundle")
	}
	// The orders of this process hold now; what passes again does so by control's word.
	if resp, body := chat(t, a.GatewayURL(), "fsk-wrong"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the door stayed shut: %d %s", resp.StatusCode, body)
	}
}
