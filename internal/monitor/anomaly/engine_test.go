package anomaly

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/platform/telemetry/telemetrytest"
	"github.com/fengsui/fengsui/internal/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	begin   = time.Date(2026, 11, 22, 23, 50, 0, 0, time.UTC) // midnight passes in the tests
	officer = store.Actor{ID: "p-officer", Roles: []string{"duty_officer"}}
	auditor = store.Actor{ID: "p-auditor", Roles: []string{"auditor"}}
)

type alerts struct {
	mu   sync.Mutex
	got  []Anomaly
	fail error
}

func (n *alerts) AnomalyOpened(_ context.Context, _ *store.Tx, a Anomaly) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail != nil {
		return n.fail
	}
	n.got = append(n.got, a)
	return nil
}

type house struct {
	t        testing.TB
	clock    *clock.Fake
	st       *store.Store
	rec      *telemetrytest.Recorder
	log      *telemetry.Log
	stopLog  func()
	alerts   *alerts
	desk     *Desk
	engine   *Engine
	n        int
	services map[string]service.Service
}

func newHouse(t testing.TB, dir string) *house {
	h := &house{t: t, clock: clock.NewFake(begin), rec: &telemetrytest.Recorder{}, alerts: &alerts{}, services: map[string]service.Service{}}
	h.st = telemetrytest.OpenStore(t, dir, h.clock, h.rec)
	h.log, h.stopLog = telemetrytest.Run(t, telemetry.Options{Store: h.st, Vault: &telemetrytest.Vault{}})
	h.desk = NewDesk(mustRules(t, testRules), h.alerts)
	h.write(store.System("test"), func(tx *store.Tx) error {
		op, err := service.AddOperator(t.Context(), tx, service.Operator{Name: "甲公司", Province: "北京", Kind: "other"})
		if err != nil {
			return err
		}
		for _, s := range []service.Service{{Name: "a", Kind: "real"}, {Name: "b", Kind: "real"}, {Name: "d", Kind: "drill", DrillID: "drill-1"}} {
			s.OperatorID, s.ModelName = op.ID, s.Name
			if s, _, err = service.AddService(t.Context(), tx, s); err != nil {
				return err
			}
			h.services[s.Name] = s
		}
		return nil
	})
	h.restart()
	return h
}

// restart forgets what the engine had in memory, as a kill would.
func (h *house) restart() { h.engine = NewEngine(h.st, h.log, h.desk, nil) }

func (h *house) write(a store.Actor, fn func(tx *store.Tx) error) {
	h.t.Helper()
	if err := h.st.Write(context.Background(), a, fn); err != nil {
		h.t.Fatal(err)
	}
}

// put stores a discriminating answer to subject.
func (h *house) put(svc, subject string, change ...func(*telemetry.Signal)) {
	h.n++
	s := telemetry.Signal{ID: fmt.Sprintf("sig-%04d", h.n), AtMs: clock.Ms(h.clock), RequestID: fmt.Sprintf("req-%d", h.n), ContentNo: fmt.Sprintf("C-%d", h.n),
		ServiceID: h.services[svc].ID, Kind: h.services[svc].Kind, Subject: subject, Rule: "term-1", Risk: "A.2.e", Action: "block", Side: "output", Modality: "text", Language: "zh"}
	for _, f := range change {
		f(&s)
	}
	h.log.PutSignal(s)
}

// run stores what was put and lets the engine read it, without its timer.
func (h *house) run() {
	h.t.Helper()
	h.flush()
	for again := true; again; {
		var err error
		if again, err = h.engine.round(context.Background()); err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *house) flush() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := h.log.Flush(ctx); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) list(f Filter) []Anomaly {
	h.t.Helper()
	out, err := List(context.Background(), h.st.Read(), officer, f)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

func TestAnAnomalyOpensWhenTheThresholdIsReachedAndOnlyThen(t *testing.T) {
	for name, tc := range map[string]struct {
		put  func(h *house)
		want int
	}{
		"three are too few":      {func(h *house) { h.put("a", "p"); h.put("a", "q"); h.put("a", "r") }, 0},
		"four from two subjects": {func(h *house) { h.put("a", "p"); h.put("a", "q"); h.put("a", "p"); h.put("a", "p") }, 1},
		"four from one subject only": {func(h *house) {
			for range 4 {
				h.put("a", "p")
			}
		}, 0},
		"four from unknown subjects": {func(h *house) {
			for range 4 {
				h.put("a", "")
			}
		}, 0},
		"eight from one subject": {func(h *house) {
			for range 8 {
				h.put("a", "p")
			}
		}, 1},
		"eight from unknown subjects": {func(h *house) {
			for range 8 {
				h.put("a", "")
			}
		}, 1},
		"two services do not add up": {func(h *house) { h.put("a", "p"); h.put("a", "q"); h.put("b", "p"); h.put("b", "q") }, 0},
		"a drill does not add up":    {func(h *house) { h.put("a", "p"); h.put("a", "q"); h.put("d", "p"); h.put("d", "q") }, 0},
		"drill traffic on a real one": {func(h *house) {
			drill := func(s *telemetry.Signal) { s.Kind = "drill" }
			h.put("a", "p")
			h.put("a", "q")
			h.put("a", "p", drill)
			h.put("a", "q", drill)
		}, 0},
		"spread wider than the window": {func(h *house) {
			for i := range 6 {
				h.put("a", fmt.Sprint(i))
				h.flush()
				h.clock.Advance(4 * time.Second)
			}
		}, 0},
		"the same signal again": {func(h *house) {
			for range 6 {
				h.put("a", "p", func(s *telemetry.Signal) { s.ID = "same" })
			}
			h.put("a", "q")
		}, 0},
		"a kind of verdict not asked for": {func(h *house) {
			for i := range 9 {
				h.put("a", fmt.Sprint(i), func(s *telemetry.Signal) { s.Action = "mask" })
			}
		}, 0},
		"no such service": {func(h *house) {
			for i := range 4 {
				h.put("a", fmt.Sprint(i), func(s *telemetry.Signal) { s.ServiceID = "gone" })
			}
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, t.TempDir())
			tc.put(h)
			h.run()
			got := h.list(Filter{})
			if len(got) != tc.want || len(h.alerts.got) != tc.want || len(h.rec.Of("anomaly.open")) != tc.want {
				t.Fatalf("%d anomalies, %d alerts, %d entries; want %d", len(got), len(h.alerts.got), len(h.rec.Of("anomaly.open")), tc.want)
			}
		})
	}
}

// What is noticed last may be stored after the drill has swept its desk, or after its end.
func TestADrillThatIsOverLeavesNoAnomalyUndecided(t *testing.T) {
	h := newHouse(t, t.TempDir())
	h.write(store.System("test"), func(tx *store.Tx) error {
		_, err := tx.ExecContext(t.Context(), "INSERT INTO drill (id, number, scenario, state, started_by, started_ms) VALUES ('drill-1', 'D-1', 'A.1', 'running', 'p', 1)")
		return err
	})
	four := func(risk string) {
		for i := range 4 {
			h.put("d", fmt.Sprint(i), func(s *telemetry.Signal) { s.Risk = risk })
			h.put("a", fmt.Sprint(i), func(s *telemetry.Signal) { s.Risk = risk })
		}
		h.run()
	}
	four("A.2.e")
	if err := h.st.Write(t.Context(), officer, func(tx *store.Tx) error { return EndDrill(t.Context(), tx, "drill-1") }); fault.KindOf(err) != fault.KindForbidden {
		t.Errorf("a person ends a drill's anomalies: %v", err)
	}
	h.write(store.System("test"), func(tx *store.Tx) error {
		if _, err := tx.ExecContext(t.Context(), "UPDATE drill SET state = 'passed', ended_ms = 2"); err != nil {
			return err
		}
		return EndDrill(t.Context(), tx, "drill-1")
	})
	four("A.2.e")
	four("A.2.d")
	if drill := h.list(Filter{Kind: "drill"}); len(drill) != 1 || drill[0].State != Dismissed || len(h.rec.Of("anomaly.drill_over")) != 1 {
		t.Errorf("drill: %+v", drill)
	}
	for _, a := range h.list(Filter{Kind: "real"}) {
		if a.State != Open {
			t.Errorf("a real one is ended with the drill: %+v", a)
		}
	}
	if n := len(h.list(Filter{Kind: "real"})); n != 2 {
		t.Errorf("%d real ones", n)
	}
}

func TestSignalsJoinTheOpenAnomalyAndADrillHasItsOwn(t *testing.T) {
	h := newHouse(t, t.TempDir())
	for i := range 4 {
		h.put("a", fmt.Sprint(i))
		h.put("d", fmt.Sprint(i))
	}
	h.run()
	h.clock.Advance(time.Hour) // the window is over, the anomaly is not
	h.put("a", "p")
	h.put("a", "0")
	h.run()
	real, drill := h.list(Filter{Kind: "real"}), h.list(Filter{Kind: "drill"})
	if len(real) != 1 || real[0].Signals != 6 || real[0].Subjects != 5 || real[0].Number != "AN-2026-0001" || real[0].DrillID != "" || real[0].LastMs != clock.Ms(h.clock) {
		t.Errorf("real: %+v", real)
	}
	if len(drill) != 1 || drill[0].Signals != 4 || drill[0].Number != "D-AN-2026-0001" || drill[0].DrillID != "drill-1" {
		t.Errorf("drill: %+v", drill)
	}
	if len(h.alerts.got) != 2 {
		t.Errorf("%d alerts", len(h.alerts.got))
	}
	signals, err := Signals(t.Context(), h.st.Read(), officer, real[0].ID)
	if err != nil || len(signals) != 6 || signals[0].ContentNo != "C-1" || signals[0].Source != "gateway" {
		t.Errorf("kept signals %+v, %v", signals, err)
	}
	stand := store.Actor{ID: "p-stand", Roles: []string{"duty_officer"}, Drill: "drill-1"}
	if seen, err := List(t.Context(), h.st.Read(), stand, Filter{}); err != nil || len(seen) != 1 || seen[0].Kind != "drill" {
		t.Errorf("a stand-in sees %+v, %v", seen, err)
	}
	if _, err := Get(t.Context(), h.st.Read(), stand, real[0].ID); !fault.Is(err, "identity.other_drill") {
		t.Errorf("a stand-in reads a real anomaly: %v", err)
	}
}

func TestTheMainDatabaseIsWrittenAtMostOnceASecondUnderAFlood(t *testing.T) {
	h := newHouse(t, t.TempDir())
	for i := range 4 {
		h.put("a", fmt.Sprint(i))
	}
	h.run()
	before := h.engine.Status().Commits
	h.engine.note(nil)
	for range 50 {
		for range 40 {
			h.put("a", "x")
		}
		h.run()
		h.clock.Advance(20 * time.Millisecond)
	}
	h.clock.Advance(time.Second)
	h.run()
	if n := h.engine.Status().Commits - before; n > 3 {
		t.Errorf("%d commits in two seconds", n)
	}
	if a := h.list(Filter{})[0]; a.Signals != 2004 || a.Subjects != 5 {
		t.Errorf("counted %d signals of %d subjects", a.Signals, a.Subjects)
	}
	kept, _ := Signals(t.Context(), h.st.Read(), officer, h.list(Filter{})[0].ID)
	if len(kept) != maxKept {
		t.Errorf("%d signals are kept in the main database", len(kept))
	}
}

func TestNothingIsLostOrCountedTwiceWhenAnAlertFailsAtFirst(t *testing.T) {
	h := newHouse(t, t.TempDir())
	h.alerts.fail = errors.New("no channel")
	for i := range 5 {
		h.put("a", fmt.Sprint(i))
	}
	h.flush()
	if _, err := h.engine.round(t.Context()); err == nil || len(h.list(Filter{})) != 0 {
		t.Fatalf("an anomaly without its alert: %v", err)
	}
	h.alerts.fail = nil
	h.run()
	if got := h.list(Filter{}); len(got) != 1 || got[0].Signals != 5 || len(h.alerts.got) != 1 {
		t.Errorf("after the repair: %+v, %d alerts", got, len(h.alerts.got))
	}
}

func TestAfterADecisionTheFingerprintBeginsAnew(t *testing.T) {
	h := newHouse(t, t.TempDir())
	for i := range 4 {
		h.put("a", fmt.Sprint(i))
	}
	h.run()
	a := h.list(Filter{})[0]
	h.clock.Advance(time.Millisecond)
	h.put("a", "late") // stored before the decision, read after it
	h.flush()
	h.clock.Advance(time.Millisecond)
	h.write(officer, func(tx *store.Tx) error {
		if _, err := Assess(t.Context(), tx, a.ID); err != nil {
			return err
		}
		_, err := Dismiss(t.Context(), tx, a.ID, "误报")
		return err
	})
	h.clock.Advance(2 * time.Second)
	for i := range 3 {
		h.put("a", fmt.Sprint(i))
	}
	h.run()
	if got := h.list(Filter{}); len(got) != 1 || got[0].Signals != 5 || got[0].State != Dismissed {
		t.Fatalf("after three more: %+v", got)
	}
	h.put("a", "q")
	h.run()
	if got := h.list(Filter{States: []State{Open}}); len(got) != 1 || got[0].Signals != 4 || got[0].ID == a.ID || got[0].Number != "AN-2026-0002" {
		t.Errorf("after the fourth: %+v", got)
	}
}

func TestASignalReadAfterARestartButStoredBeforeADecisionCountsToTheDecidedAnomaly(t *testing.T) {
	h := newHouse(t, t.TempDir())
	for i := range 4 {
		h.put("a", fmt.Sprint(i))
	}
	h.run()
	a := h.list(Filter{})[0]
	h.clock.Advance(time.Millisecond)
	for range 4 {
		h.put("a", "late")
	}
	h.put("a", "3")
	h.flush()
	h.clock.Advance(time.Millisecond)
	h.write(officer, func(tx *store.Tx) error {
		if _, err := Assess(t.Context(), tx, a.ID); err != nil {
			return err
		}
		_, err := MarkPromoted(t.Context(), tx, a.ID, "inc-1")
		return err
	})
	h.restart()
	h.clock.Advance(2 * time.Second)
	h.run()
	if got := h.list(Filter{}); len(got) != 1 || got[0].Signals != 9 || got[0].Subjects != 5 || got[0].State != Promoted || got[0].IncidentID != "inc-1" {
		t.Errorf("%+v", got)
	}
}

func TestKilledAtAnyInstantAndBesideAnotherTheEngineCountsAsIfItHadNeverStopped(t *testing.T) {
	root := t.TempDir()
	round, opened := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		if round > 25 { // each opens real files
			return
		}
		h := newHouse(t, fmt.Sprintf("%s/%d", root, round))
		defer h.st.Close()
		defer func() { h.stopLog() }()
		or := &oracle{rules: h.desk.rules, decided: map[string]int64{}}
		var other *Engine
		byName := map[string]string{"svc-a": "a", "svc-b": "b"}
		for i := range rapid.IntRange(20, 80).Draw(rt, "steps") {
			switch rapid.IntRange(0, 19).Draw(rt, "op") {
			case 0:
				h.restart()
			case 1:
				h.stopLog()
				h.log, h.stopLog = telemetrytest.Run(t, telemetry.Options{Store: h.st, Vault: &telemetrytest.Vault{}})
				h.restart()
				other = nil // it read the log that was stopped
			case 2:
				h.run()
			case 8: // another node's engine goes on, with what it remembers from when it last had its turn
				h.engine, other = other, h.engine
				if h.engine == nil {
					h.restart()
				}
				h.run()
			case 3:
				h.run()
				if open := h.list(Filter{States: active}); len(open) > 0 {
					a := rapid.SampledFrom(open).Draw(rt, "decide")
					h.clock.Advance(time.Millisecond)
					h.write(officer, func(tx *store.Tx) error {
						if _, err := Assess(t.Context(), tx, a.ID); err != nil {
							return err
						}
						_, err := Dismiss(t.Context(), tx, a.ID, "误报")
						return err
					})
					or.decide(a.Fingerprint, clock.Ms(h.clock))
					h.clock.Advance(time.Millisecond)
				}
			case 4, 5, 6, 7:
				h.clock.Advance(rapid.SampledFrom([]time.Duration{time.Millisecond, 700 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second}).Draw(rt, "advance"))
			default:
				o := drawObservation(rt, fmt.Sprintf("%04d", i))
				o.ServiceID = h.services[byName[o.ServiceID]].ID
				h.log.PutSignal(telemetry.Signal{ID: o.ID, AtMs: clock.Ms(h.clock), RequestID: o.ID, ContentNo: o.ContentNo, ServiceID: o.ServiceID, Kind: o.Kind,
					Subject: o.Subject, Tenant: o.Tenant, Rule: o.Rule, Risk: o.Risk, Action: o.Action, Side: o.Side})
				h.flush()
				or.feed(o, clock.Ms(h.clock))
			}
		}
		h.clock.Advance(2 * time.Second)
		h.run()
		var got []string
		for _, a := range h.list(Filter{}) {
			got = append(got, fmt.Sprintf("%s opened %d signals %d subjects %d ended %v", a.Fingerprint, a.OpenedMs, a.Signals, a.Subjects, a.State == Dismissed))
		}
		slices.Sort(got)
		opened += len(got)
		if fmt.Sprint(got) != or.String() {
			rt.Fatalf("\n got %s\nwant %s", strings.Join(got, "\n     "), or)
		}
	})
	if opened == 0 {
		t.Error("the property was never put to the test: nothing opened")
	}
}

func TestARestartDoesNotForgetTheSubjectThatOpenedAnAnomaly(t *testing.T) {
	h := newHouse(t, t.TempDir())
	illegal := func(s *telemetry.Signal) { s.Risk = "A.1.d" } // a rule without a window
	h.put("a", "p", illegal)
	h.run()
	h.restart()
	h.put("a", "p", illegal)
	h.put("a", "q", illegal)
	h.clock.Advance(2 * time.Second)
	h.run()
	if got := h.list(Filter{}); len(got) != 1 || got[0].Signals != 3 || got[0].Subjects != 2 {
		t.Errorf("%+v", got)
	}
}

func TestRunFollowsTheLogAndCommitsAtItsEnd(t *testing.T) {
	h := newHouse(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.engine.Run(ctx) }()
	for i := range 4 {
		h.put("a", fmt.Sprint(i))
	}
	for range 2000 {
		if len(h.list(Filter{})) == 1 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	h.put("a", "more")
	h.flush()
	for range 2000 {
		if s := h.engine.Status(); s.BehindMs == 0 && s.Active == 1 && s.Cursor > 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond) // the round that reads the fifth; its commit waits for the clock, which stands still
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := h.list(Filter{}); len(got) != 1 || got[0].Signals != 5 {
		t.Errorf("%+v; %+v; %+v", got, h.engine.Status(), h.log.Status())
	}
}
