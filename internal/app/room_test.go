package app

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// ready asks the probe until it answers as wanted.
func ready(t *testing.T, a *App, want int) {
	t.Helper()
	got := 0
	for range 400 {
		resp, err := http.Get(a.URL() + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got = resp.StatusCode; got == want {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("/readyz answers %d, not %d", got, want)
}

// With a full disk everything can still be read; whoever only reads must not think that all is well.
func TestAnInstanceThatCannotWriteIsNotReady(t *testing.T) {
	a := running(t)
	ready(t, a, http.StatusOK)
	err := a.House.Store.Write(t.Context(), store.System("test"), func(tx *store.Tx) error {
		if _, err := tx.ExecContext(t.Context(), "PRAGMA max_page_count = 1"); err != nil {
			return err
		}
		_, err := tx.ExecContext(t.Context(), "INSERT INTO idempotency (actor, idem_key, operation, request_hash, response, at_ms) VALUES ('', '', '', '', zeroblob(1000000), 0)")
		return err
	})
	if !fault.Is(err, "store.full") {
		t.Fatal(err)
	}
	ready(t, a, http.StatusServiceUnavailable)
}

func TestAnInstanceThatCannotKeepTelemetryIsNotReadyUntilItCan(t *testing.T) {
	a, err := New(t.Context(), Options{DataDir: t.TempDir() + "/data", Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0", AllowPrivateUpstreams: true})
	if err != nil {
		t.Fatal(err)
	}
	first, err := a.FirstService(t.Context(), FirstService{Upstream: "http://127.0.0.1:1/v1", Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	days := filepath.Join(a.House.Store.Dir(), "telemetry")
	if err := os.RemoveAll(days); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(days, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(context.Background()) }()
	defer func() {
		a.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	ready(t, a, http.StatusOK)
	until(t, a.GatewayURL(), first.Key, "upstream")
	ready(t, a, http.StatusServiceUnavailable)
	if err := os.Remove(days); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(days, 0o700); err != nil {
		t.Fatal(err)
	}
	ready(t, a, http.StatusOK)
}

// A balancer must have seen that an instance ends before it refuses connections.
func TestAnInstanceThatIsStoppedSaysSoBeforeItRefusesConnections(t *testing.T) {
	clk := clock.NewFake(time.Now())
	a, err := New(t.Context(), Options{DataDir: t.TempDir() + "/data", Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0", DrainWait: time.Minute, Clock: clk})
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { ran <- a.Run(ctx) }()
	ready(t, a, http.StatusOK)
	stop()
	ready(t, a, http.StatusServiceUnavailable)
	if resp, err := http.Get(a.URL() + "/healthz"); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("it is gone already: %v", err)
	}
	for over := false; !over; {
		clk.Advance(time.Minute)
		select {
		case err := <-ran:
			if err != nil {
				t.Error(err)
			}
			over = true
		case <-time.After(20 * time.Millisecond):
		}
	}
	if _, err := http.Get(a.URL() + "/healthz"); err == nil {
		t.Error("it answers after its end")
	}
}
