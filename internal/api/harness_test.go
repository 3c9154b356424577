package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/api"
	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/platform/trace"
)

// logbook collects what the instance logs.
type logbook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}
func (l *logbook) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.buf.String() }

// bench is a running instance with a person and a token for each role, and a drill's seat "seat".
type bench struct {
	app    *app.App
	log    *logbook
	tokens map[string]string
	person map[string]string
	svc    string
	obj    string
	dep    string
}

func newBench(t testing.TB) *bench { t.Helper(); return newBenchWith(t, app.Options{}) }

// newBenchWith is newBench with options beyond what every instance here has.
func newBenchWith(t testing.TB, o app.Options) *bench {
	t.Helper()
	b := &bench{log: &logbook{}, tokens: map[string]string{}, person: map[string]string{}}
	o.DataDir, o.Listen, o.GatewayListen, o.AllowPrivateUpstreams, o.Logger = t.TempDir()+"/data", "127.0.0.1:0", "127.0.0.1:0", true, slog.New(trace.Logs(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	o.Database = storetest.Prepare(t, o.DataDir)
	a, err := app.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	b.app = a
	first, err := a.FirstService(t.Context(), app.FirstService{Upstream: "http://127.0.0.1:1/v1", Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	b.svc = first.ServiceID
	for _, role := range identity.Roles() {
		if b.person[role], b.tokens[role], err = a.AddPerson(t.Context(), role, role); err != nil {
			t.Fatal(err)
		}
	}
	b.exec(t, `INSERT INTO drill (id, number, scenario, state, started_by, started_ms) VALUES ('01DRILLX', 'D-DR-X', 'A.1', 'running', 'x', 1)`)
	b.write(t, func(tx *store.Tx) error {
		p, err := identity.AddPerson(t.Context(), tx, "seat", []string{"duty_officer"}, "01DRILLX")
		if err != nil {
			return err
		}
		b.person["seat"] = p.ID
		if b.tokens["seat"], _, err = identity.IssueToken(t.Context(), tx, p.ID, "", 0); err != nil {
			return err
		}
		if err := tx.NewRaw("SELECT id FROM affected_object WHERE service_id = ?", b.svc).Scan(t.Context(), &b.obj); err != nil {
			return err
		}
		return tx.NewRaw("SELECT id FROM deployment WHERE service_id = ?", b.svc).Scan(t.Context(), &b.dep)
	})
	done := make(chan error, 1)
	go func() { done <- a.Run(context.Background()) }()
	t.Cleanup(func() {
		a.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) write(t testing.TB, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := b.app.House.Store.Write(context.Background(), store.System("test"), fn); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) exec(t testing.TB, queries ...string) {
	t.Helper()
	b.write(t, func(tx *store.Tx) error {
		for _, q := range queries {
			if _, err := tx.Exec(q); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *bench) count(t testing.TB, query string, args ...any) (n int) {
	t.Helper()
	if err := b.app.House.Store.Read().NewRaw(query, args...).Scan(context.Background(), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	api.Problem
}

// call sends a request as the holder of a role's token; header pairs follow the body.
func (b *bench) call(t testing.TB, role, method, path, body string, headers ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, b.app.URL()+"/api/v1"+path, r)
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if role != "" {
		req.Header.Set("Authorization", "Bearer "+b.tokens[role])
	}
	for k := 0; k+1 < len(headers); k += 2 {
		req.Header.Set(headers[k], headers[k+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, body: string(raw)}
	if res.StatusCode >= 400 {
		if err := json.Unmarshal(raw, &a.Problem); err != nil || a.Status != res.StatusCode || a.Key == "" || a.Detail == "" || res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d is no problem of ours: %q %s", method, path, res.StatusCode, res.Header.Get("Content-Type"), raw)
		}
		if res.StatusCode >= 500 != (a.ID != "") {
			t.Errorf("%s %s: %d has the id %q", method, path, res.StatusCode, a.ID)
		}
	}
	return a
}

func (b *bench) must(t testing.TB, a answer, into any) {
	t.Helper()
	if a.status >= 300 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(a.body), into); err != nil {
			t.Fatal(err)
		}
	}
}
