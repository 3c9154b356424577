package app

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/platform/setting"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/simulate"
)

func TestSettingsPutAGuardModelToWorkWithItsKeyAndMetricsShowHowItFares(t *testing.T) {
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}`)
	}))
	defer model.Close()
	judge := simulate.NewModel(simulate.Options{APIKey: "guard-key-1", Record: true, Faults: []simulate.Fault{{Name: simulate.FaultScripted, Always: true, Text: "fraud"}}})
	guard := httptest.NewServer(judge)
	defer guard.Close()
	a, err := New(t.Context(), Options{DataDir: t.TempDir() + "/data", Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0", AllowPrivateUpstreams: true})
	if err != nil {
		t.Fatal(err)
	}
	first, err := a.FirstService(t.Context(), FirstService{Upstream: model.URL + "/v1", Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	write := func(fn func(tx *store.Tx) error) {
		t.Helper()
		if err := a.House.Store.Write(t.Context(), store.Actor{ID: "p", Roles: []string{"system_admin"}}, fn); err != nil {
			t.Fatal(err)
		}
	}
	write(func(tx *store.Tx) error { // a rule that only notices
		_, err := tx.Exec("INSERT INTO lexicon_entry (id, term, action, risk, source, state, created_by, approved_by, created_ms) VALUES ('noticed', 'hi', 'observe', 'A.1.h', 's', 'live', 'x', 'y', 1)")
		return err
	})
	done := make(chan error, 1)
	go func() { done <- a.Run(context.Background()) }()
	defer func() {
		a.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	until(t, a.GatewayURL(), first.Key, "hello")
	write(func(tx *store.Tx) error {
		if err := a.House.Secrets.PutUpstream(t.Context(), tx, "guard.key", guard.URL, []byte("guard-key-1")); err != nil {
			return err
		}
		// What takes two persons is another test's; here it stands as if it had been confirmed.
		for name, value := range map[string]string{"guard.address": guard.URL + "/v1", "guard.model": "g", "guard.secret": "guard.key"} {
			if _, err := tx.Exec("INSERT INTO setting (name, value, changed_by, changed_ms) VALUES (?, ?, 'p', 1)", name, value); err != nil {
				return err
			}
		}
		_, err := setting.Change(t.Context(), tx, containment.GuardSettings(), "guard.action", "block", "")
		return err
	})
	until(t, a.GatewayURL(), first.Key, "content_filter")
	if calls := judge.Calls(); len(calls) == 0 || calls[0].Header.Get("Authorization") != "Bearer guard-key-1" {
		t.Error("the guard was not asked with its key")
	}
	w := httptest.NewRecorder()
	a.metrics.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	for _, want := range []string{`fengsui_guard_questions_total{service="` + first.ServiceID + `"}`, "fengsui_guard_unsafe_total{", "fengsui_guard_resting{", "fengsui_guard_quiet{", "fengsui_guard_partly_total{"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s", want)
		}
	}
	if err := judge.SetFaults([]simulate.Fault{{Name: simulate.FaultScripted, Always: true, Text: "safe"}}); err != nil {
		t.Fatal(err)
	}
	write(func(tx *store.Tx) error { // other terms, so that what it remembers does not count
		_, err := setting.Change(t.Context(), tx, containment.GuardSettings(), "guard.per_minute", "600", "")
		return err
	})
	until(t, a.GatewayURL(), first.Key, "hello")
	ready := func() string {
		w := httptest.NewRecorder()
		a.checks.Ready().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/readyz", nil))
		return w.Body.String()
	}
	const note = "gives no opinions"
	if s := ready(); strings.Contains(s, note) {
		t.Error(s)
	}
	if err := judge.SetFaults([]simulate.Fault{{Name: simulate.FaultScripted, Always: true, Text: "perhaps"}}); err != nil {
		t.Fatal(err)
	}
	write(func(tx *store.Tx) error {
		_, err := setting.Change(t.Context(), tx, containment.GuardSettings(), "guard.per_minute", "700", "")
		return err
	})
	for range 6 { // the first ones may still come under the posture before
		until(t, a.GatewayURL(), first.Key, "inspection_failed")
	}
	if s := ready(); !strings.Contains(s, note) || !strings.Contains(s, first.ServiceID) {
		t.Error(s)
	}
}
