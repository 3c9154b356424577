package gatereview_test

import (
	"context"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/gatereview"
	"github.com/fengsui/fengsui/internal/service"
)

var (
	ctx       = context.Background()
	officer   = store.Actor{ID: "officer", Roles: []string{"duty_officer"}}
	boss      = store.Actor{ID: "boss", Roles: []string{"management"}}
	commander = store.Actor{ID: "commander", Roles: []string{"commander"}}
	engineer  = store.Actor{ID: "engineer", Roles: []string{"engineer", "management"}}
	standIn   = store.Actor{ID: "stand-in", Roles: []string{"commander"}, Drill: "d1"}
)

type nothing struct{}

func (nothing) Append(context.Context, bun.Tx, int64, []store.Entry) error { return nil }

type pages []containment.Page

func (p *pages) Page(_ context.Context, _ *store.Tx, page containment.Page) error {
	*p = append(*p, page)
	return nil
}

type bench struct {
	st      *store.Store
	clock   *clock.Fake
	desk    *gatereview.Desk
	control *containment.Control
	pages   *pages
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{clock: clock.NewFake(time.Date(2026, 3, 1, 20, 0, 0, 0, time.UTC)), pages: &pages{}}
	st, err := store.Open(ctx, storetest.With(t, store.Options{Dir: t.TempDir(), Clock: b.clock, Recorder: nothing{}}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	b.st, b.desk = st, gatereview.New(b.pages)
	catalog, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	b.control, err = containment.New(containment.Options{Key: ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", 32))), ProbeSecret: []byte(strings.Repeat("p", 32)), Pager: b.pages, Review: b.desk,
		Level: func(context.Context, bun.IDB, string) (int, error) { return 0, nil }, Notices: containment.CatalogNotices{Catalog: catalog}})
	if err != nil {
		t.Fatal(err)
	}
	b.desk.Bind(b.control)
	b.do(t, store.System("test"), func(tx *store.Tx) error {
		return exec(tx,
			`INSERT INTO operator (id, name, province, kind, created_ms) VALUES ('op','o','p','other',1)`,
			`INSERT INTO service (id, operator_id, name, kind, drill_id, model_name, created_ms) VALUES ('s1','op','n','real','','m1',1), ('s2','op','n','real','','m2',1)`,
			`INSERT INTO deployment (id, service_id, name, model_version, upstream_url, upstream_model, role, created_ms) VALUES ('p1','s1','n','1','http://127.0.0.1:1/v1','u','primary',1), ('p2','s2','n','1','http://127.0.0.1:1/v1','u','primary',1)`,
			`INSERT INTO incident (id, number, kind, operator_id, service_id, title, state, editions, declared_by, declared_ms) VALUES ('i1','IN-1','real','op','s1','t','declared','[]','x',1), ('i2','IN-2','real','op','s1','t','declared','[]','x',1)`,
			`INSERT INTO anomaly (id, number, kind, service_id, rule_id, fingerprint, state, first_ms, last_ms, opened_ms) VALUES ('a1','AN-1','real','s1','r','f','open',1,1,1)`)
	})
	return b
}

func exec(tx *store.Tx, queries ...string) error {
	for _, q := range queries {
		if _, err := tx.Exec(q); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) try(a store.Actor, fn func(tx *store.Tx) error) error { return b.st.Write(ctx, a, fn) }

func (b *bench) do(t testing.TB, a store.Actor, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := b.try(a, fn); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) offline(t testing.TB, cause containment.Cause, id string) (o containment.Order) {
	t.Helper()
	b.do(t, officer, func(tx *store.Tx) (err error) {
		o, err = b.control.Issue(ctx, tx, containment.Request{Cause: cause, CauseID: id, Rung: posture.ServiceOffline, Scope: posture.Scope{ServiceID: "s1"}, Reason: "止损"})
		return err
	})
	return o
}

// mend writes down a fix by engineer and, a second later, a service test by officer.
func (b *bench) mend(t testing.TB, testID, state string) {
	t.Helper()
	b.clock.Advance(time.Second)
	b.do(t, store.System("test"), func(tx *store.Tx) error {
		_, err := tx.Exec("INSERT INTO fix (id, incident_id, cause, measure, fixed_by, fixed_ms) VALUES (?, 'i1', 'c', 'm', 'engineer', ?)", tx.NewID(), tx.NowMs)
		return err
	})
	b.clock.Advance(time.Second)
	b.test(t, testID, "i1", "p1", state, "officer")
}

func (b *bench) test(t testing.TB, id, incident, deployment, state, by string) {
	t.Helper()
	b.do(t, store.System("test"), func(tx *store.Tx) error {
		_, err := tx.Exec("INSERT INTO service_test (id, incident_id, deployment_id, state, prompts, run_by, started_ms) VALUES (?, ?, ?, ?, 1, ?, ?)", id, incident, deployment, state, by, tx.NowMs)
		return err
	})
}

func (b *bench) reviewOf(t testing.TB, orderID string, d gatereview.Direction) gatereview.Review {
	t.Helper()
	list, err := gatereview.List(ctx, b.st.Read(), officer, gatereview.Filter{OrderID: orderID, Direction: d})
	if err != nil || len(list) == 0 {
		t.Fatalf("%v, %d reviews", err, len(list))
	}
	return list[0]
}

func (b *bench) request(a store.Actor, orderID, testID string) (r gatereview.Review, err error) {
	err = b.try(a, func(tx *store.Tx) (err error) {
		r, err = b.desk.RequestOnline(ctx, tx, gatereview.OnlineRequest{OrderID: orderID, ServiceTestID: testID, Ground: "已修复并复测"})
		return err
	})
	return r, err
}

func (b *bench) decide(a store.Actor, id string, yes bool, reason string) error {
	return b.try(a, func(tx *store.Tx) error { _, err := b.desk.Decide(ctx, tx, id, yes, reason); return err })
}

func (b *bench) ratify(a store.Actor, id string, yes bool) error {
	return b.try(a, func(tx *store.Tx) error { _, err := b.desk.Ratify(ctx, tx, id, yes, "r"); return err })
}

func (b *bench) state(t testing.TB, orderID string) containment.State {
	t.Helper()
	o, err := service.Get[containment.Order](ctx, b.st.Read(), "order_id", orderID)
	if err != nil {
		t.Fatal(err)
	}
	return o.State
}

func TestAnEmergencyOfflineIsRatifiedByAnotherPersonAndPagesUntilItIs(t *testing.T) {
	b := newBench(t)
	o := b.offline(t, containment.FromAnomaly, "a1")
	r := b.reviewOf(t, o.ID, gatereview.Offline)
	alone := store.Actor{ID: "officer", Roles: []string{"commander"}}
	for name, c := range map[string]struct {
		err error
		key string
	}{
		"who ordered it":  {b.ratify(alone, r.ID, true), "identity.same_person"},
		"a duty officer":  {b.ratify(store.Actor{ID: "x", Roles: []string{"duty_officer"}}, r.ID, true), "identity.not_allowed"},
		"a part":          {b.ratify(store.System("due"), r.ID, true), "identity.not_allowed"},
		"a stand-in":      {b.ratify(standIn, r.ID, true), "identity.other_drill"},
		"as going online": {b.decide(boss, r.ID, true, "r"), "error.transition"},
		"of nothing":      {b.ratify(boss, "x", true), "error.not_found"},
	} {
		if !fault.Is(c.err, c.key) {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	b.clock.Advance(24 * time.Hour)
	rows, err := due.List(ctx, b.st.Read(), due.Filter{Kind: gatereview.DueRatify, States: []due.State{due.Pending}})
	if err != nil || len(rows) != 1 || rows[0].DueMs != clock.Ms(b.clock) {
		t.Fatalf("%v %+v", err, rows)
	}
	b.do(t, store.System("due"), func(tx *store.Tx) error { return b.desk.DueHandlers()[gatereview.DueRatify](ctx, tx, rows[0]) })
	if len(*b.pages) != 1 {
		t.Fatal("nobody was paged")
	}
	if err := b.ratify(boss, r.ID, true); err != nil {
		t.Fatal(err)
	}
	if err := b.ratify(commander, r.ID, false); !fault.Is(err, "error.transition") || b.reviewOf(t, o.ID, gatereview.Offline).State != gatereview.Approved {
		t.Fatalf("decided twice: %v", err)
	}
	if b.state(t, o.ID) != containment.InForce {
		t.Fatal("ratifying changed the order")
	}
	rows, _ = due.List(ctx, b.st.Read(), due.Filter{Kind: gatereview.DueRatify, States: []due.State{due.Pending}})
	if len(rows) != 0 {
		t.Fatal("the clock of ratification still runs")
	}
}

func TestARefusedRatificationLoosensNothing(t *testing.T) {
	b := newBench(t)
	o := b.offline(t, containment.FromIncident, "i1")
	if err := b.ratify(boss, b.reviewOf(t, o.ID, gatereview.Offline).ID, false); err != nil {
		t.Fatal(err)
	}
	if b.state(t, o.ID) != containment.InForce {
		t.Fatal("a refusal brought the service back")
	}
}

func TestAskingToGoOnlineNeedsATestThatStands(t *testing.T) {
	b := newBench(t)
	var orphan, filter containment.Order
	b.do(t, officer, func(tx *store.Tx) (err error) {
		if orphan, err = b.control.Issue(ctx, tx, containment.Request{Cause: containment.FromAnomaly, CauseID: "a1", Rung: posture.ServiceOffline, Scope: posture.Scope{ServiceID: "s1", Group: "g"}, Reason: "r"}); err != nil {
			return err
		}
		filter, err = b.control.Issue(ctx, tx, containment.Request{Cause: containment.FromIncident, CauseID: "i1", Rung: posture.StrictFilter, Scope: posture.Scope{ServiceID: "s1"}, Reason: "r"})
		return err
	})
	b.test(t, "early", "i1", "p1", "passed", "officer")
	b.clock.Advance(time.Second)
	var o containment.Order
	b.do(t, officer, func(tx *store.Tx) (err error) {
		o, err = b.control.Issue(ctx, tx, containment.Request{Cause: containment.FromIncident, CauseID: "i1", Rung: posture.ServiceOffline, Scope: posture.Scope{ServiceID: "s1"}, Reason: "r"})
		return err
	})
	b.test(t, "before-fix", "i1", "p1", "passed", "officer")
	b.mend(t, "good", "passed")
	b.test(t, "failed", "i1", "p1", "failed", "officer")
	b.test(t, "running", "i1", "p1", "running", "officer")
	b.test(t, "other-incident", "i2", "p1", "passed", "officer")
	b.test(t, "other-service", "i1", "p2", "passed", "officer")
	b.test(t, "by-fixer", "i1", "p1", "passed", "engineer")
	for testID, key := range map[string]string{"": "error.required", "x": "error.not_found", "early": "gatereview.test_stale", "before-fix": "gatereview.test_stale", "failed": "gatereview.test_not_passed",
		"running": "gatereview.test_not_passed", "other-incident": "gatereview.other_test", "other-service": "gatereview.other_test", "by-fixer": "gatereview.tested_by_fixer"} {
		if _, err := b.request(officer, o.ID, testID); !fault.Is(err, key) {
			t.Errorf("%q: %v", testID, err)
		}
	}
	if _, err := b.request(officer, orphan.ID, "good"); !fault.Is(err, "gatereview.not_adopted") {
		t.Errorf("orphan: %v", err)
	}
	if _, err := b.request(officer, filter.ID, "good"); !fault.Is(err, "gatereview.not_offline") {
		t.Errorf("filter: %v", err)
	}
	if _, err := b.request(store.Actor{ID: "a", Roles: []string{"auditor"}}, o.ID, "good"); !fault.Is(err, "identity.not_allowed") {
		t.Errorf("auditor: %v", err)
	}
	if _, err := b.request(standIn, o.ID, "good"); !fault.Is(err, "identity.other_drill") {
		t.Errorf("stand-in: %v", err)
	}
	if _, err := b.request(officer, o.ID, "good"); err != nil {
		t.Fatalf("control: %v", err)
	}
	if _, err := b.request(commander, o.ID, "good"); !fault.Is(err, "error.exists") {
		t.Errorf("twice: %v", err)
	}
}

func TestGoingOnlineIsApprovedByNeitherWhoAskedNorWhoFixedAndLiftsTheOrderAtOnce(t *testing.T) {
	b := newBench(t)
	o := b.offline(t, containment.FromIncident, "i1")
	b.mend(t, "good", "passed")
	asker := store.Actor{ID: "officer", Roles: []string{"duty_officer", "commander"}}
	r, err := b.request(asker, o.ID, "good")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		err error
		key string
	}{
		"who asked":        {b.decide(asker, r.ID, true, "r"), "identity.same_person"},
		"who fixed":        {b.decide(engineer, r.ID, true, "r"), "gatereview.fixer"},
		"a part":           {b.decide(store.System("x"), r.ID, true, "r"), "identity.not_allowed"},
		"a stand-in":       {b.decide(standIn, r.ID, true, "r"), "identity.other_drill"},
		"without a reason": {b.decide(boss, r.ID, true, " "), "error.required"},
		"as ratification":  {b.ratify(boss, r.ID, true), "error.transition"},
	} {
		if !fault.Is(c.err, c.key) || b.state(t, o.ID) != containment.InForce || b.reviewOf(t, o.ID, gatereview.Online).State != gatereview.Requested {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	// A fix after the test makes the test void.
	b.clock.Advance(time.Second)
	b.do(t, store.System("test"), func(tx *store.Tx) error {
		return exec(tx, "INSERT INTO fix (id, incident_id, cause, measure, fixed_by, fixed_ms) VALUES ('f9','i1','c','m','engineer',(SELECT MAX(started_ms) + 1 FROM service_test))")
	})
	if err := b.decide(boss, r.ID, true, "r"); !fault.Is(err, "gatereview.test_stale") || b.state(t, o.ID) != containment.InForce {
		t.Fatalf("a stale test was enough: %v", err)
	}
	if err := b.decide(boss, r.ID, false, "请复测"); err != nil || b.state(t, o.ID) != containment.InForce {
		t.Fatal(err)
	}
	if err := b.try(boss, func(tx *store.Tx) error { _, err := b.control.GoOnline(ctx, tx, o.ID); return err }); !fault.Is(err, "containment.offline_needs_review") {
		t.Fatalf("a rejected review brought the service back: %v", err)
	}
	b.clock.Advance(time.Second)
	b.test(t, "again", "i1", "p1", "passed", "officer")
	if r, err = b.request(asker, o.ID, "again"); err != nil {
		t.Fatal(err)
	}
	if err := b.decide(boss, r.ID, true, "同意上线"); err != nil {
		t.Fatal(err)
	}
	got, _ := service.Get[containment.Order](ctx, b.st.Read(), "order_id", o.ID)
	if got.State != containment.Lifted || got.EndedBy != "officer" || got.EndedSecond != "boss" {
		t.Fatalf("%+v", got)
	}
	if err := b.decide(commander, r.ID, false, "r"); !fault.Is(err, "error.transition") {
		t.Fatalf("decided twice: %v", err)
	}
	// An approval is for one order: the next offline needs its own review.
	next := b.offline(t, containment.FromIncident, "i1")
	if err := b.try(boss, func(tx *store.Tx) error { _, err := b.control.GoOnline(ctx, tx, next.ID); return err }); !fault.Is(err, "containment.offline_needs_review") {
		t.Fatalf("an old approval was used again: %v", err)
	}
}

func TestEveryKeyOfGateReviewHasItsText(t *testing.T) {
	c, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"not_offline", "not_adopted", "other_test", "test_not_passed", "test_stale", "tested_by_fixer", "fixer", "page_ratify.subject", "page_ratify.body"} {
		if !c.Has("gatereview." + k) {
			t.Error(k)
		}
	}
}

func TestTheReviewOfAnOfflineIsPartOfTheIncidentThatTheOrderBecamePartOf(t *testing.T) {
	b := newBench(t)
	o := b.offline(t, containment.FromAnomaly, "a1")
	read := func() (r gatereview.Review) {
		if err := b.st.Read().NewSelect().Model(&r).Where("order_id = ?", o.ID).Scan(ctx); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := read(); r.IncidentID != "" {
		t.Fatalf("before: %+v", r)
	}
	b.do(t, store.System("test"), func(tx *store.Tx) error {
		_, err := b.control.Adopt(ctx, tx, o.ID, "i1")
		return err
	})
	if r := read(); r.IncidentID != "i1" || r.State != gatereview.Requested || r.RequestedBy != officer.ID {
		t.Errorf("%+v", r)
	}
}
