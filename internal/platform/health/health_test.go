package health_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/health"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type ready struct {
	Status string          `json:"status"`
	Checks []health.Result `json:"checks"`
}

func ask(t *testing.T, h http.Handler) (int, ready) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	var r ready
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
		t.Fatalf("%s: %v", w.Body, err)
	}
	return w.Code, r
}

func TestReadinessShowsEachCheckAndFailsIfOneFails(t *testing.T) {
	c := health.NewChecks(health.ReadBuild("v1"))
	if code, _ := ask(t, c.Ready()); code != 200 {
		t.Fatalf("%d without any check", code)
	}
	c.Add("store", func(context.Context) error { return nil })
	if code, r := ask(t, c.Ready()); code != 200 || r.Status != "ready" || len(r.Checks) != 1 || !r.Checks[0].OK {
		t.Fatalf("%d %+v", code, r)
	}
	c.Add("posture", func(context.Context) error { return errors.New("none loaded") })
	c.Add("audit", func(context.Context) error { panic("oh no") })
	code, r := ask(t, c.Ready())
	if code != 503 || r.Status != "not ready" || len(r.Checks) != 3 {
		t.Fatalf("%d %+v", code, r)
	}
	for i, want := range []struct {
		name, err string
	}{{"audit", "panic: oh no"}, {"posture", "none loaded"}, {"store", ""}} {
		if got := r.Checks[i]; got.Name != want.name || got.Error != want.err || got.OK != (want.err == "") {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if code, r := ask(t, c.Live()); code != 200 || r.Status != "alive" {
		t.Fatalf("a process that is not ready is still alive: %d %+v", code, r)
	}
}

func TestACheckThatHangsCountsAsFailedAndHoldsUpNobodyForLong(t *testing.T) {
	c := health.NewChecks(health.Build{})
	c.Add("quick", func(context.Context) error { return nil })
	c.Add("obeys", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	release := make(chan struct{})
	defer close(release)
	c.Add("deaf", func(context.Context) error { <-release; return nil })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	begun := time.Now()
	ok := map[string]bool{}
	for _, r := range c.Run(ctx) {
		ok[r.Name] = r.OK
	}
	if len(ok) != 3 || !ok["quick"] || ok["obeys"] || ok["deaf"] || time.Since(begun) > time.Second {
		t.Fatalf("%v after %s", ok, time.Since(begun))
	}
}

func TestACheckThatNeverAnswersIsNotCalledForEver(t *testing.T) {
	c := health.NewChecks(health.Build{})
	release := make(chan struct{})
	defer close(release)
	var calls atomic.Int32
	c.Add("deaf", func(context.Context) error { calls.Add(1); <-release; return nil })
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	var last health.Result
	for range 20 {
		last = c.Run(gone)[0]
	}
	if calls.Load() != 16 || last.OK || last.Error != "earlier calls never answered" {
		t.Fatalf("%d calls, %+v", calls.Load(), last)
	}
}

func TestALoopThatDoesNotComeRoundMakesTheProcessNotReady(t *testing.T) {
	c := health.NewChecks(health.Build{})
	cycle, now := due.NewCycle("due", 1000), int64(1000)
	c.AddCycle(cycle, 5*time.Second, func() int64 { return now })
	if code, _ := ask(t, c.Ready()); code != 200 {
		t.Fatal("not ready at the start")
	}
	now += 5001
	if code, r := ask(t, c.Ready()); code != 503 || r.Checks[0].Name != "cycle:due" {
		t.Fatalf("%d %+v", code, r)
	}
	cycle.Beat(now)
	if code, _ := ask(t, c.Ready()); code != 200 {
		t.Fatal("not ready after it came round")
	}
	now -= 60_000 // the clock steps back
	if code, _ := ask(t, c.Ready()); code != 200 {
		t.Fatal("a clock that steps back makes the process not ready")
	}
}

func scrape(t *testing.T, m *health.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestTheFiguresShowQueuesLatenessCyclesWritesAndBuild(t *testing.T) {
	m := health.NewMetrics(health.Build{Version: "v1", Commit: "abc", Go: "go1"})
	var broken error
	if err := m.AddQueue("due", func(context.Context) (health.Queue, error) {
		return health.Queue{Pending: 7, Overdue: 2, OldestSeconds: 1.5}, broken
	}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"due", "audit"} {
		if err := m.AddCycle(due.NewCycle(name, 1000), func() int64 { return 3500 }); err != nil {
			t.Fatal(err)
		}
	}
	m.ObserveLateness(30 * time.Millisecond)
	m.ObserveLateness(-time.Second) // a clock that stepped back is not a negative lateness
	m.ObserveWrite(2*time.Millisecond, nil)
	m.ObserveWrite(time.Second, errors.New("busy"))
	got := scrape(t, m)
	for _, want := range []string{
		"fengsui_due_pending 7", "fengsui_due_overdue 2", "fengsui_due_oldest_overdue_seconds 1.5", "fengsui_due_unreadable 0",
		`fengsui_cycle_age_seconds{cycle="audit"} 2.5`, `fengsui_cycle_age_seconds{cycle="due"} 2.5`,
		`fengsui_due_lateness_seconds_bucket{le="0.025"} 1`, `fengsui_due_lateness_seconds_bucket{le="0.05"} 2`, "fengsui_due_lateness_seconds_count 2",
		`fengsui_store_write_seconds_count{outcome="ok"} 1`, `fengsui_store_write_seconds_count{outcome="error"} 1`,
		`fengsui_build_info{commit="abc",go="go1",version="v1"} 1`, "go_goroutines",
	} {
		if !strings.Contains(got, want+"\n") && !strings.Contains(got, want+" ") {
			t.Errorf("%s is missing", want)
		}
	}
	broken = errors.New("cannot read")
	if got := scrape(t, m); strings.Contains(got, "fengsui_due_pending 7") || !strings.Contains(got, "fengsui_due_unreadable 1\n") {
		t.Error("a queue that cannot be read must not show old figures")
	}
	if err := m.AddCycle(due.NewCycle("due", 0), func() int64 { return 0 }); err == nil {
		t.Error("a cycle was registered twice")
	}
}
