package reach_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/platform/telemetry/telemetrytest"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/respond/reach"
	"github.com/fengsui/fengsui/internal/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	officer  = store.Actor{ID: "p-officer", Roles: []string{"duty_officer"}}
	engineer = store.Actor{ID: "p-eng", Roles: []string{"engineer"}}
)

type house struct {
	t     *testing.T
	clock *clock.Fake
	st    *store.Store
	rec   *telemetrytest.Recorder
	log   *telemetry.Log
	svc   service.Service
}

func newHouse(t *testing.T) *house {
	h := &house{t: t, clock: clock.NewFake(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)), rec: &telemetrytest.Recorder{}}
	h.st = telemetrytest.OpenStore(t, t.TempDir(), h.clock, h.rec)
	h.log, _ = telemetrytest.Run(t, telemetry.Options{Store: h.st, Vault: &telemetrytest.Vault{}})
	h.must(store.System("test"), func(tx *store.Tx) error {
		op, err := service.AddOperator(t.Context(), tx, service.Operator{Name: "甲公司", Province: "北京", Kind: "other"})
		if err != nil {
			return err
		}
		h.svc, _, err = service.AddService(t.Context(), tx, service.Service{OperatorID: op.ID, Name: "甲", ModelName: "a", Kind: "real"})
		return err
	})
	return h
}

func (h *house) must(a store.Actor, fn func(tx *store.Tx) error) {
	h.t.Helper()
	if err := h.st.Write(h.t.Context(), a, fn); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) answer(n int, subject, tenant string, released int, rule string) {
	now := clock.Ms(h.clock)
	no, req := fmt.Sprintf("C-%d", n), fmt.Sprintf("req-%d", n)
	h.log.PutTraffic(telemetry.Traffic{RequestID: req, ContentNo: no, ServiceID: h.svc.ID, Kind: "real", Subject: subject, Tenant: tenant, ReleasedRunes: released, StartedMs: now, EndedMs: now, OutputVerdict: "block"})
	if rule != "" {
		h.log.PutSignal(telemetry.Signal{ID: "sig-" + no, AtMs: now, RequestID: req, ContentNo: no, ServiceID: h.svc.ID, Kind: "real", Subject: subject, Tenant: tenant, Rule: rule, Risk: "A.2.e", Action: "block", Side: "output"})
	}
}

// incident lets the engine open an anomaly from what is stored and declares an incident from it.
func (h *house) incident() string {
	h.t.Helper()
	t := h.t
	if err := h.log.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	rules, err := anomaly.LoadRules()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- anomaly.NewEngine(h.st, h.log, anomaly.NewDesk(rules, nil), nil).Run(ctx) }()
	var open []anomaly.Anomaly
	for range 2000 {
		if open, err = anomaly.List(t.Context(), h.st.Read(), officer, anomaly.Filter{}); err != nil || len(open) > 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	if stopped := <-done; stopped != nil || err != nil || len(open) != 1 {
		t.Fatalf("anomalies %+v, %v, %v", open, err, stopped)
	}
	var i incident.Incident
	h.must(officer, func(tx *store.Tx) (err error) {
		if _, err = anomaly.Assess(t.Context(), tx, open[0].ID); err != nil {
			return err
		}
		if i, err = incident.Declare(t.Context(), tx, incident.Declaration{Kind: "real", ServiceID: h.svc.ID, Title: "测试事件", Editions: []string{"e"}, AwareMs: tx.NowMs, AwareSource: "alarm_seen"}); err != nil {
			return err
		}
		_, err = anomaly.MarkPromoted(t.Context(), tx, open[0].ID, i.ID)
		return err
	})
	return i.ID
}

func TestReachCountsWhoSawTextAndKeepsUnknownSubjectsApart(t *testing.T) {
	h := newHouse(t)
	h.answer(1, "p", "t1", 10, "term-1")
	h.answer(2, "p", "t1", 5, "term-1")
	h.answer(3, "q", "t2", 7, "term-1")
	h.answer(4, "", "t2", 3, "term-1")
	h.answer(5, "r", "t3", 0, "term-1") // stopped before a rune left
	h.answer(6, "s", "t4", 99, "")      // another answer, without a signal
	h.log.PutSignal(telemetry.Signal{ID: "lone", AtMs: clock.Ms(h.clock), RequestID: "x", ContentNo: "C-lone", ServiceID: h.svc.ID, Kind: "real", Rule: "term-1", Risk: "A.2.e", Action: "block", Side: "output"})
	id := h.incident()
	r, err := reach.Compute(t.Context(), h.st.Read(), h.log, officer, id)
	if err != nil {
		t.Fatal(err)
	}
	if r.Answers != 4 || r.Subjects != 2 || r.UnknownAnswers != 1 || r.ReleasedRunes != 25 || r.Stopped != 1 || r.Untraced != 1 || !slices.Equal(r.Tenants, []string{"t1", "t2"}) {
		t.Errorf("reach %+v", r)
	}
	if kept, err := reach.Get(t.Context(), h.st.Read(), officer, id); err != nil || kept.Answers != 0 {
		t.Errorf("computing kept something: %+v, %v", kept, err)
	}
	for range 2 { // storing again changes nothing
		h.must(officer, func(tx *store.Tx) error { _, err := reach.Store(t.Context(), tx, r); return err })
	}
	kept, err := reach.Get(t.Context(), h.st.Read(), officer, id)
	rows, _ := reach.Rows(t.Context(), h.st.Read(), officer, id)
	if err != nil || kept.Answers != 4 || kept.ReleasedRunes != 25 || kept.Subjects != 2 || len(rows) != 4 || len(h.rec.Of("reach.store")) != 2 {
		t.Errorf("kept %+v, %v", kept, err)
	}
	err = h.st.Write(t.Context(), engineer, func(tx *store.Tx) error { _, err := reach.Store(t.Context(), tx, r); return err })
	if !fault.Is(err, "identity.not_allowed") {
		t.Errorf("an engineer stores reach: %v", err)
	}
	if _, err := reach.Compute(t.Context(), h.st.Read(), h.log, store.Actor{ID: "x", Roles: []string{"system_admin"}}, id); !fault.Is(err, "identity.not_allowed") {
		t.Errorf("an administrator reads reach: %v", err)
	}
}

func TestOutsideSpreadIsFoundAskedForAndRemoved(t *testing.T) {
	h := newHouse(t)
	for n := range 3 {
		h.answer(n, fmt.Sprint(n), "t", 1, "term-1")
	}
	id := h.incident()
	add := func(a store.Actor, platform, location string) (s reach.Spread, err error) {
		err = h.st.Write(t.Context(), a, func(tx *store.Tx) (err error) {
			s, err = reach.AddSpread(t.Context(), tx, id, platform, location)
			return err
		})
		return s, err
	}
	s, err := add(officer, "某平台", "https://example.com/post/1")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		actor                    store.Actor
		platform, location, want string
	}{
		"the same place":       {officer, "某平台", "https://example.com/post/1", "error.exists"},
		"no platform":          {officer, " ", "x", "error.required"},
		"no location":          {officer, "某平台", "", "error.required"},
		"a script for address": {officer, "某平台", "javascript://x", "reach.bad_location"},
		"an engineer":          {engineer, "某平台", "y", "identity.not_allowed"},
	} {
		if _, err := add(tc.actor, tc.platform, tc.location); !fault.Is(err, tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
	step := func(fn func(context.Context, *store.Tx, string) (reach.Spread, error)) error {
		h.clock.Advance(time.Minute)
		return h.st.Write(t.Context(), officer, func(tx *store.Tx) (err error) { s, err = fn(t.Context(), tx, s.ID); return err })
	}
	if err := step(reach.SpreadAsked); err != nil {
		t.Fatal(err)
	}
	if err := step(reach.SpreadAsked); !fault.Is(err, "error.transition") {
		t.Errorf("asked twice: %v", err)
	}
	if err := step(reach.SpreadRemoved); err != nil {
		t.Fatal(err)
	}
	for name, fn := range map[string]func(context.Context, *store.Tx, string) (reach.Spread, error){"ask": reach.SpreadAsked, "remove": reach.SpreadRemoved} {
		if err := step(fn); !fault.Is(err, "error.transition") {
			t.Errorf("%s after removal: %v", name, err)
		}
	}
	list, err := reach.Spreads(t.Context(), h.st.Read(), officer, id)
	if err != nil || len(list) != 1 || list[0].AskedMs != list[0].FoundMs+60_000 || list[0].RemovedMs != list[0].FoundMs+180_000 {
		t.Errorf("%+v, %v", list, err)
	}
	for _, action := range []string{"spread.add", "spread.ask", "spread.remove"} {
		if n := len(h.rec.Of(action)); n != 1 {
			t.Errorf("%d entries %s", n, action)
		}
	}
}
