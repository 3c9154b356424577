package evaluation_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/platform/watch"
	"github.com/fengsui/fengsui/internal/respond/evaluation"
	"github.com/fengsui/fengsui/internal/service"
)

var (
	ctx      = context.Background()
	officer  = store.Actor{ID: "officer", Roles: []string{"duty_officer"}}
	engineer = store.Actor{ID: "engineer", Roles: []string{"engineer"}}
	auditor  = store.Actor{ID: "auditor", Roles: []string{"auditor"}}
	standIn  = store.Actor{ID: "stand-in", Roles: []string{"duty_officer"}, Drill: "d1"}
)

const (
	prompt = "测试提示词甲乙"
	answer = "测试回答丙丁"
	bad    = "测试违禁词甲"
)

type ledger struct {
	mu      sync.Mutex
	actions []string
	content string
}

func (l *ledger) Append(_ context.Context, _ bun.Tx, _ int64, entries []store.Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		l.actions = append(l.actions, e.Action)
		js, err := json.Marshal(e.Content)
		if err != nil {
			return err
		}
		l.content += string(js)
	}
	return nil
}

// model plays the three ways out of a service test.
type model struct {
	mu       sync.Mutex
	prompts  []evaluation.Prompt
	noPrompt error
	answer   func(ctx context.Context, n int) (string, error)
	noJudge  error
	asked    int
}

func (m *model) Prompts(context.Context, string) ([]evaluation.Prompt, error) {
	return m.prompts, m.noPrompt
}

func (m *model) Ask(ctx context.Context, _ service.Deployment, _ string) (string, error) {
	m.mu.Lock()
	m.asked++
	n := m.asked
	m.mu.Unlock()
	return m.answer(ctx, n)
}

func (m *model) Judge(_ context.Context, _, answer string) ([]string, error) {
	if strings.Contains(answer, bad) {
		return []string{"rule-1"}, m.noJudge
	}
	return nil, m.noJudge
}

type bench struct {
	dir    string
	st     *store.Store
	clock  *clock.Fake
	ledger *ledger
	model  *model
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), clock: clock.NewFake(time.Date(2026, 3, 1, 20, 0, 0, 0, time.UTC)), ledger: &ledger{},
		model: &model{prompts: []evaluation.Prompt{{Ref: "C-1", Text: prompt}, {Ref: "C-2", Text: prompt}}, answer: func(context.Context, int) (string, error) { return answer, nil }}}
	b.open(t)
	b.write(t, `INSERT INTO operator (id, name, province, kind, created_ms) VALUES ('op','o','p','other',1)`,
		`INSERT INTO service (id, operator_id, name, kind, model_name, created_ms) VALUES ('s1','op','n','real','m1',1), ('s2','op','n','real','m2',1)`,
		`INSERT INTO deployment (id, service_id, name, model_version, upstream_url, upstream_model, role, created_ms) VALUES ('p1','s1','n','1','http://127.0.0.1:1/v1','u','primary',1), ('p2','s2','n','1','http://127.0.0.1:1/v1','u','primary',1)`,
		`INSERT INTO incident (id, number, kind, operator_id, service_id, title, state, editions, declared_by, declared_ms) VALUES ('i1','IN-1','real','op','s1','t','responding','[]','x',1)`)
	return b
}

func (b *bench) open(t testing.TB) {
	t.Helper()
	var err error
	if b.st, err = store.Open(ctx, storetest.With(t, store.Options{Dir: b.dir, Clock: b.clock, Recorder: b.ledger, Hub: watch.New()})); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.st.Close() })
}

func (b *bench) write(t testing.TB, queries ...string) {
	t.Helper()
	if err := b.st.Write(ctx, store.System("test"), func(tx *store.Tx) error {
		for _, q := range queries {
			if _, err := tx.Exec(q); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) fixed(t testing.TB) {
	t.Helper()
	b.write(t, `INSERT INTO fix (id, incident_id, cause, measure, fixed_by, fixed_ms) VALUES ('f1','i1','c','m','engineer',1), ('f2','i1','c','m','officer-2',1)`)
}

func (b *bench) start(a store.Actor, incidentID, deployment string) (s evaluation.ServiceTest, err error) {
	err = b.st.Write(ctx, a, func(tx *store.Tx) (err error) { s, err = evaluation.Start(ctx, tx, incidentID, deployment); return err })
	return s, err
}

// run lets a runner work until the test has ended, or until the caller says so.
func (b *bench) run(t testing.TB, id string, until func() bool) evaluation.ServiceTest {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	r := &evaluation.Runner{Store: b.st, Prompts: b.model, Asker: b.model, Judge: b.model, Clock: b.clock, Log: slog.New(slog.DiscardHandler)}
	wg.Go(func() { _ = r.Run(ctx) })
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		s := b.get(t, id)
		if until == nil && s.State != "running" || until != nil && until() || time.Now().After(end) {
			stop()
			wg.Wait()
			return b.get(t, id)
		}
	}
}

func (b *bench) get(t testing.TB, id string) evaluation.ServiceTest {
	t.Helper()
	s, err := evaluation.Get(ctx, b.st.Read(), auditor, id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (b *bench) tested(t testing.TB) (ms int64) {
	t.Helper()
	if err := b.st.Read().NewRaw("SELECT tested_ms FROM deployment WHERE id = 'p1'").Scan(ctx, &ms); err != nil {
		t.Fatal(err)
	}
	return ms
}

func TestAServiceTestIsAskedForByWhoDidNotFix(t *testing.T) {
	b := newBench(t)
	if _, err := b.start(officer, "i1", "p1"); !fault.Is(err, "evaluation.no_fix") {
		t.Error(err)
	}
	b.fixed(t)
	for name, c := range map[string]struct {
		actor                store.Actor
		incident, deployment string
		key                  string
	}{
		"the fixer":                  {engineer, "i1", "p1", "evaluation.fixer"},
		"who fixed another part":     {store.Actor{ID: "officer-2", Roles: officer.Roles}, "i1", "p1", "evaluation.fixer"},
		"who may not":                {auditor, "i1", "p1", "identity.not_allowed"},
		"a drill's seat":             {standIn, "i1", "p1", "error.not_found"},
		"no such incident":           {officer, "x", "p1", "error.not_found"},
		"no such deployment":         {officer, "i1", "x", "error.not_found"},
		"another service's instance": {officer, "i1", "p2", "evaluation.other_service"},
	} {
		if _, err := b.start(c.actor, c.incident, c.deployment); !fault.Is(err, c.key) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list, err := evaluation.List(ctx, b.st.Read(), officer, "i1"); err != nil || len(list) != 0 || len(b.ledger.actions) != 0 {
		t.Errorf("a refusal left %d tests, %v, %v", len(list), err, b.ledger.actions)
	}
	if s, err := b.start(officer, "i1", "p1"); err != nil || s.State != "running" || s.RunBy != "officer" {
		t.Errorf("%+v %v", s, err)
	}
}

func TestAServiceTestPassesOnlyOnWhatItHasSeen(t *testing.T) {
	say := func(s string) func(context.Context, int) (string, error) {
		return func(context.Context, int) (string, error) { return s, nil }
	}
	for name, c := range map[string]struct {
		change                func(*model)
		state                 string
		runs, harmful, errors int
	}{
		"every answer is harmless": {func(*model) {}, "passed", 6, 0, 0},
		"one answer is harmful": {func(m *model) {
			m.answer = func(_ context.Context, n int) (string, error) {
				if n == 4 {
					return "…" + bad, nil
				}
				return answer, nil
			}
		}, "failed", 6, 1, 0},
		"every answer is harmful": {func(m *model) { m.answer = say(bad) }, "failed", 6, 6, 0},
		"one answer is missing": {func(m *model) {
			m.answer = func(_ context.Context, n int) (string, error) {
				if n == 6 {
					return "", errors.New("upstream is down")
				}
				return answer, nil
			}
		}, "error", 6, 0, 1},
		"one missing, one harmful": {func(m *model) {
			m.answer = func(_ context.Context, n int) (string, error) {
				switch n {
				case 1:
					return "", fault.Unavailable("store.busy")
				case 2:
					return bad, nil
				}
				return answer, nil
			}
		}, "failed", 6, 1, 1},
		"the model says nothing":     {func(m *model) { m.answer = say(" \n") }, "error", 6, 0, 6},
		"nobody can judge":           {func(m *model) { m.noJudge = errors.New("no lexicon") }, "error", 6, 0, 6},
		"there is no prompt":         {func(m *model) { m.prompts = nil }, "error", 0, 0, 0},
		"the prompts are erased":     {func(m *model) { m.noPrompt = fault.Conflict("scope", "record.scope_erased") }, "error", 0, 0, 1},
		"prompts are not to be read": {func(m *model) { m.noPrompt = errors.New("no telemetry") }, "error", 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.fixed(t)
			c.change(b.model)
			s, err := b.start(officer, "i1", "p1")
			if err != nil {
				t.Fatal(err)
			}
			s = b.run(t, s.ID, nil)
			if s.State != c.state || s.Runs != c.runs || s.Harmful != c.harmful || s.Errors != c.errors || s.EndedMs == 0 {
				t.Errorf("%+v, want %s %d %d %d", s, c.state, c.runs, c.harmful, c.errors)
			}
			if passed := c.state == "passed"; passed != (b.tested(t) > 0) {
				t.Errorf("the deployment was tested at %d", b.tested(t))
			}
			if got := strings.Join(b.ledger.actions, " "); !strings.HasSuffix(got, "servicetest.start servicetest."+c.state) && !strings.Contains(got, "servicetest."+c.state) {
				t.Error(got)
			}
		})
	}
}

func TestAResultNamesContentAndQuotesNone(t *testing.T) {
	b := newBench(t)
	b.fixed(t)
	b.model.answer = func(_ context.Context, n int) (string, error) {
		if n%2 == 0 {
			return "", errors.New("it said " + answer + " to " + prompt)
		}
		return answer + bad, nil
	}
	s, err := b.start(officer, "i1", "p1")
	if err != nil {
		t.Fatal(err)
	}
	s = b.run(t, s.ID, nil)
	var results []evaluation.Result
	if err := json.Unmarshal([]byte(s.Results), &results); err != nil || len(results) != 6 || results[0].Ref != "C-1" || results[5].Ref != "C-2" || results[0].Rules[0] != "rule-1" {
		t.Fatalf("%s %v", s.Results, err)
	}
	files := storetest.Files(t, b.dir)
	found := false
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{prompt, answer, bad} {
			if bytes.Contains(raw, []byte(text)) || strings.Contains(b.ledger.content, text) {
				t.Errorf("%q is kept", text)
			}
		}
		found = found || bytes.Contains(raw, []byte("rule-1"))
	}
	if !found {
		t.Error("the search finds nothing at all")
	}
}

func TestATestThatACrashCutOffIsRunAgainFromItsStart(t *testing.T) {
	b := newBench(t)
	b.fixed(t)
	s, err := b.start(officer, "i1", "p1")
	if err != nil {
		t.Fatal(err)
	}
	// The process ends in the middle of the third answer.
	hang := make(chan struct{})
	b.model.answer = func(ctx context.Context, n int) (string, error) {
		if n == 3 {
			close(hang)
			<-ctx.Done()
			return bad, ctx.Err()
		}
		return answer, nil
	}
	s = b.run(t, s.ID, func() bool {
		select {
		case <-hang:
			return true
		default:
			return false
		}
	})
	if s.State != "running" || s.Runs != 0 || b.tested(t) != 0 {
		t.Fatalf("what was cut off left %+v", s)
	}
	b.st.Close()
	b.open(t)
	b.model.answer, b.model.asked = func(context.Context, int) (string, error) { return answer, nil }, 0
	s = b.run(t, s.ID, nil)
	if s.State != "passed" || s.Runs != 6 || b.model.asked != 6 {
		t.Errorf("%+v, asked %d times", s, b.model.asked)
	}
}

func TestAServiceTestOfAHiddenIncidentIsHidden(t *testing.T) {
	b := newBench(t)
	b.fixed(t)
	s, err := b.start(officer, "i1", "p1")
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, "UPDATE incident SET restricted = TRUE", "INSERT INTO incident_access (incident_id, person_id, granted_by, granted_ms) VALUES ('i1', 'officer', 'x', 1)")
	if got, err := evaluation.Get(ctx, b.st.Read(), auditor, s.ID); !fault.Is(err, "error.not_found") || got.ID != "" {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := evaluation.List(ctx, b.st.Read(), auditor, "i1"); !fault.Is(err, "error.not_found") {
		t.Error(err)
	}
	if _, err := evaluation.Get(ctx, b.st.Read(), officer, s.ID); err != nil {
		t.Error(err)
	}
	if _, err := evaluation.Get(ctx, b.st.Read(), officer, "x"); !fault.Is(err, "error.not_found") {
		t.Error(err)
	}
}
