package app

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/node"
	"github.com/fengsui/fengsui/internal/platform/store"
)

func TestANodeThatIsBehindServesOnAndSaysWhatItLeavesToNewerOnes(t *testing.T) {
	o := Options{DataDir: t.TempDir() + "/data", Node: "Old", Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0"}
	if _, err := New(t.Context(), o); !fault.Is(err, "node.name") {
		t.Errorf("a name that is none: %v", err)
	}
	o.Node = "old"
	a, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	nodes := func() []node.Node {
		t.Helper()
		all, err := node.List(t.Context(), a.House.Store.Read(), a.House.NowMs())
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if n := nodes(); len(n) != 0 {
		t.Errorf("it is entered before it runs: %+v", n)
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(context.Background()) }()
	stop := func() {
		a.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	ready := func() (int, string) {
		w := httptest.NewRecorder()
		a.checks.Ready().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/readyz", nil))
		return w.Code, w.Body.String()
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for range 400 {
			if ok() {
				return
			}
			time.Sleep(25 * time.Millisecond)
		}
		t.Fatal(what)
	}
	until("the node is entered and has its leases", func() bool {
		n := nodes()
		return len(n) == 1 && n[0].ID == "old" && n[0].State == node.Serving && len(n[0].Leases) == 3 && n[0].BuiltFor == store.Schema()
	})
	if code, body := ready(); code != http.StatusOK || strings.Contains(body, "left to newer nodes") {
		t.Errorf("%d %s", code, body)
	}
	err = a.House.Store.Write(t.Context(), store.System("test"), func(tx *store.Tx) error {
		_, err := tx.ExecContext(t.Context(), "UPDATE module_need SET version = 99 WHERE module IN ('due', 'anomaly')")
		tx.Touch(node.Topic)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	until("it leaves to newer nodes what they need", func() bool {
		code, body := ready()
		return code == http.StatusOK && strings.Contains(body, "left to newer nodes: anomaly, due")
	})
	until("the lease of what it leaves is free", func() bool { n := nodes(); return slices.Equal(n[0].Leases, []string{"evaluation", "probes"}) })
	stop()
	if a, err = New(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	if n := nodes(); len(n) != 1 || n[0].State != node.Left {
		t.Errorf("after a stop: %+v", n)
	}
	if a.node.May("due") || !a.node.May("outbox") {
		t.Error("after a restart it has forgotten what it does not understand")
	}
	a.Stop()
	off, err := Offline(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := off.House.Store.Write(t.Context(), store.System("test"), func(tx *store.Tx) error {
		if _, err := tx.ExecContext(t.Context(), "INSERT INTO gateway_join (id, name, hash, issued_by, issued_ms, expires_ms) VALUES ('j', 'old', 'h', 'x', 1, 2)"); err != nil {
			return err
		}
		_, err := tx.ExecContext(t.Context(), "INSERT INTO gateway_member (id, url, credential_hash, public_key, version, join_id, joined_ms, revoked_ms, lease_until_ms) VALUES ('old', '', 'h', 'k', 'v', 'j', 1, 0, 0)")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	off.Stop()
	if _, err := New(t.Context(), o); !fault.Is(err, "containment.gateway_exists") {
		t.Errorf("under the name of a gateway that is a process of its own: %v", err)
	}
}
