package containment_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/containment"
)

func TestOnePersonContainsFromEveryCauseWithoutLevelOrEvidence(t *testing.T) {
	for _, c := range []struct {
		cause    containment.Cause
		id       string
		who      store.Actor
		kind     string
		incident string
	}{
		{containment.FromAnomaly, "a1", officer, "real", ""},
		{containment.FromIncident, "i1", officer, "real", "i1"},
		{containment.FromDirective, "r1", officer, "real", ""},
		{containment.FromDrill, "d1", standIn, "drill", ""},
		{containment.FromAnomaly, "a2", standIn, "drill", ""},
		{containment.FromIncident, "i2", officer, "drill", "i2"},
	} {
		b := newBench(t)
		o := b.issue(t, c.who, offline(c.cause, c.id))
		if o.Kind != c.kind || o.IncidentID != c.incident || o.State != containment.InForce || o.Measure != posture.Offline || !o.Emergency || o.ReleaseMode != containment.OnlineReview || o.Seq != 1 {
			t.Errorf("%s %s: %+v", c.cause, c.id, o)
		}
		back := b.order(t, o.ID)
		if asJSON(back) != asJSON(o) {
			t.Errorf("stored %s, issued %s", asJSON(back), asJSON(o))
		}
		rows, _ := due.List(ctx, b.st.Read(), due.Filter{Kind: containment.DueAdopt, ObjectID: o.ID})
		if (len(rows) == 1) != (c.incident == "") {
			t.Errorf("%s %s: %d adoption clocks", c.cause, c.id, len(rows))
		}
		var reviews int
		if err := b.st.Read().NewRaw("SELECT COUNT(*) FROM gate_review WHERE order_id = ? AND direction = 'offline' AND state = 'requested'", o.ID).Scan(ctx, &reviews); err != nil || reviews != 1 {
			t.Errorf("%d reviews, %v", reviews, err)
		}
	}
}

func TestARequestThatCannotHoldIsRefusedAndChangesNothing(t *testing.T) {
	b := newBench(t)
	future := clock.Ms(b.clock) + 1000
	change := func(f func(*containment.Request)) containment.Request {
		r := strict(containment.FromAnomaly, "a1")
		f(&r)
		return r
	}
	b.level["i1"] = 1
	for name, c := range map[string]struct {
		who        store.Actor
		r          containment.Request
		field, key string
	}{
		"auditor":                    {auditor, strict(containment.FromAnomaly, "a1"), "", "identity.not_allowed"},
		"nobody":                     {store.Actor{}, strict(containment.FromAnomaly, "a1"), "", "identity.unknown"},
		"stand-in on real":           {standIn, strict(containment.FromAnomaly, "a1"), "", "identity.other_drill"},
		"stand-in by directive":      {standIn, strict(containment.FromDirective, "r1"), "", "identity.other_drill"},
		"unknown rung":               {officer, change(func(r *containment.Request) { r.Rung = "throttle" }), "rung", "error.unknown_value"},
		"unknown cause":              {officer, change(func(r *containment.Request) { r.Cause = "mood" }), "cause", "error.unknown_value"},
		"cause of nobody":            {officer, strict(containment.FromAnomaly, "nope"), "cause_id", "error.not_found"},
		"paused drill":               {officer, strict(containment.FromDrill, "d2"), "cause_id", "containment.drill_not_running"},
		"backfill":                   {officer, strict(containment.FromIncident, "i3"), "cause_id", "containment.kind_without_orders"},
		"no service":                 {officer, change(func(r *containment.Request) { r.Scope.ServiceID = "" }), "scope.service_id", "error.required"},
		"unknown service":            {officer, change(func(r *containment.Request) { r.Scope.ServiceID = "x" }), "scope.service_id", "error.not_found"},
		"another operator's service": {officer, change(func(r *containment.Request) { r.Scope.ServiceID = "s3" }), "scope.service_id", "containment.other_operator"},
		"one subject":                {officer, change(func(r *containment.Request) { r.Scope.Subject = "h" }), "scope.subject", "containment.subject_scope"},
		"deployment elsewhere":       {officer, change(func(r *containment.Request) { r.Scope.DeploymentID = "p2" }), "scope.deployment_id", "error.not_found"},
		"expiry past":                {officer, change(func(r *containment.Request) { r.ExpiresMs = 5 }), "expires_ms", "containment.expiry_past"},
		"review with expiry":         {officer, change(func(r *containment.Request) { r.ExpiresMs, r.Mode = future, containment.Review }), "expires_ms", "containment.expiry_is_auto"},
		"auto without expiry":        {officer, change(func(r *containment.Request) { r.Mode = containment.Auto }), "expires_ms", "containment.expiry_is_auto"},
		"online review of a filter":  {officer, change(func(r *containment.Request) { r.Mode = containment.OnlineReview }), "release_mode", "containment.online_review_only_offline"},
		"unknown mode":               {officer, change(func(r *containment.Request) { r.Mode = "never" }), "release_mode", "error.unknown_value"},
		"offline that lapses":        {officer, change(func(r *containment.Request) { r.Rung, r.ExpiresMs = posture.ServiceOffline, future }), "expires_ms", "containment.never_lapses"},
		"offline by two persons":     {officer, change(func(r *containment.Request) { r.Rung, r.Mode = posture.ServiceOffline, containment.Review }), "release_mode", "containment.offline_mode"},
		"level 1 that lapses":        {officer, change(func(r *containment.Request) { r.Cause, r.CauseID, r.ExpiresMs = containment.FromIncident, "i1", future }), "expires_ms", "containment.never_lapses"},
		"topic without topics":       {officer, change(func(r *containment.Request) { r.Rung = posture.TopicBlock }), "params.topic_ids", "error.required"},
		"unknown topic":              {officer, change(func(r *containment.Request) { r.Rung, r.Params.TopicIDs = posture.TopicBlock, []string{"rumour", "x"} }), "params.topic_ids", "containment.unknown_topic"},
		"params of another rung":     {officer, change(func(r *containment.Request) { r.Params.AllowedGroups = []string{"g"} }), "params.allowed_groups", "containment.param_not_used"},
		"limit that limits nobody": {officer, change(func(r *containment.Request) {
			r.Rung, r.Scope.Group, r.Params.AllowedGroups = posture.AudienceLimit, "g", []string{"g"}
		}), "params.allowed_groups", "containment.limits_nobody"},
		"backup unnamed":             {officer, change(func(r *containment.Request) { r.Rung = posture.BackupModel }), "params.backup_id", "error.required"},
		"backup of another service":  {officer, change(func(r *containment.Request) { r.Rung, r.Params.BackupID = posture.BackupModel, "p2" }), "params.backup_id", "error.not_found"},
		"backup that is the primary": {officer, change(func(r *containment.Request) { r.Rung, r.Params.BackupID = posture.BackupModel, "p1" }), "params.backup_id", "containment.not_a_backup"},
		"backup not filed":           {officer, change(func(r *containment.Request) { r.Rung, r.Params.BackupID = posture.BackupModel, "b2" }), "params.backup_id", "containment.backup_not_filed"},
		"backup not tested":          {officer, change(func(r *containment.Request) { r.Rung, r.Params.BackupID = posture.BackupModel, "b3" }), "params.backup_id", "containment.backup_not_tested"},
		"rule without evidence":      {rule, strict(containment.FromAnomaly, "a1"), "", "containment.needs_person"},
		"rule going offline": {rule, change(func(r *containment.Request) {
			r.Rung, r.Evidence = posture.ServiceOffline, containment.Evidence{OutputSignals: 99, DistinctSubjects: 99}
		}), "", "containment.needs_person"},
	} {
		_, err := b.tryIssue(c.who, c.r)
		if !fault.Is(err, c.key) || !strings.Contains(err.Error(), c.field) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var n int
	if err := b.st.Read().NewRaw("SELECT (SELECT COUNT(*) FROM disposal_order) + (SELECT COUNT(*) FROM due) + (SELECT COUNT(*) FROM gate_review) + (SELECT revision + order_seq FROM bundle_state)").Scan(ctx, &n); err != nil || n != 0 {
		t.Fatalf("%d traces, %v", n, err)
	}
	// Controls: the same shapes, made right.
	for name, r := range map[string]containment.Request{
		"backup": change(func(r *containment.Request) { r.Rung, r.Params.BackupID = posture.BackupModel, "b1" }),
		"topic":  change(func(r *containment.Request) { r.Rung, r.Params.TopicIDs = posture.TopicBlock, []string{"rumour"} }),
		"audience": change(func(r *containment.Request) {
			r.Rung, r.Params.AllowedGroups = posture.AudienceLimit, []string{"staff"}
		}),
		"auto": change(func(r *containment.Request) { r.ExpiresMs = future }),
	} {
		if _, err := b.tryIssue(officer, r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := change(func(r *containment.Request) { r.Scope.Group = "g" })
	r.Evidence = containment.Evidence{OutputSignals: 3, DistinctSubjects: 3}
	if _, err := b.tryIssue(rule, r); err != nil {
		t.Errorf("a rule with evidence: %v", err)
	}
	if _, err := b.tryIssue(second, r); !fault.Is(err, "containment.same_in_force") {
		t.Errorf("the same again: %v", err)
	}
}

func TestLiftingTakesTwoPersonsAndOfflineComesBackThroughReviewOnly(t *testing.T) {
	b := newBench(t)
	o, off := b.issue(t, officer, strict(containment.FromIncident, "i1")), b.issue(t, officer, offline(containment.FromIncident, "i1"))
	ask := func(a store.Actor, id, reason string) (secondID string, err error) {
		err = b.try(a, func(tx *store.Tx) error {
			s, err := b.control.RequestLift(ctx, tx, id, reason)
			secondID = s.ID
			return err
		})
		return secondID, err
	}
	decide := func(a store.Actor, id string, yes bool) error {
		return b.try(a, func(tx *store.Tx) error { _, err := b.control.DecideLift(ctx, tx, id, yes); return err })
	}
	for name, c := range map[string]struct {
		err error
		key string
	}{
		"without a reason": {func() error { _, err := ask(officer, o.ID, " "); return err }(), "error.required"},
		"by an auditor":    {func() error { _, err := ask(auditor, o.ID, "r"); return err }(), "identity.not_allowed"},
		"by a rule":        {func() error { _, err := ask(rule, o.ID, "r"); return err }(), "containment.needs_person"},
		"by a stand-in":    {func() error { _, err := ask(standIn, o.ID, "r"); return err }(), "identity.other_drill"},
		"offline":          {func() error { _, err := ask(officer, off.ID, "r"); return err }(), "containment.offline_needs_review"},
		"go online":        {b.try(commander, func(tx *store.Tx) error { _, err := b.control.GoOnline(ctx, tx, off.ID); return err }), "containment.offline_needs_review"},
		"of nothing":       {func() error { _, err := ask(officer, "x", "r"); return err }(), "error.not_found"},
	} {
		if !fault.Is(c.err, c.key) {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	id, err := ask(officer, o.ID, "误报已排除")
	if err != nil {
		t.Fatal(err)
	}
	if err := decide(officer, id, true); !fault.Is(err, "identity.same_person") || b.order(t, o.ID).State != containment.InForce {
		t.Fatalf("one person lifted alone: %v", err)
	}
	if err := decide(second, id, false); err != nil || b.order(t, o.ID).State != containment.InForce {
		t.Fatalf("a rejection lifted: %v", err)
	}
	if err := decide(second, id, true); !fault.Is(err, "identity.second_decided") {
		t.Fatalf("decided twice: %v", err)
	}
	id1, _ := ask(officer, o.ID, "r")
	id2, _ := ask(second, o.ID, "r")
	if err := decide(second, id1, true); err != nil {
		t.Fatal(err)
	}
	got := b.order(t, o.ID)
	if got.State != containment.Lifted || got.EndedBy != "officer" || got.EndedSecond != "second" || got.EndedMs == 0 {
		t.Fatalf("%+v", got)
	}
	if err := decide(officer, id2, true); !fault.Is(err, "identity.second_decided") {
		t.Fatalf("lifted twice: %v", err)
	}
	rows, _ := due.List(ctx, b.st.Read(), due.Filter{ObjectID: o.ID, States: []due.State{due.Pending}})
	if len(rows) != 0 {
		t.Fatalf("clocks of a lifted order still run: %+v", rows)
	}
}

func TestOfflineIsTakenBackAsASlipOnlyByWhoeverOrderedItWithinAMinuteAndUnratified(t *testing.T) {
	b := newBench(t)
	undo := func(a store.Actor, id string) error {
		return b.try(a, func(tx *store.Tx) error { _, err := b.control.UndoOffline(ctx, tx, id, "按错了"); return err })
	}
	o := b.issue(t, officer, offline(containment.FromIncident, "i1"))
	if err := undo(second, o.ID); !fault.Is(err, "containment.not_your_slip") {
		t.Fatalf("another person's slip: %v", err)
	}
	b.clock.Advance(60 * time.Second)
	if err := undo(officer, o.ID); err != nil || b.order(t, o.ID).State != containment.Lifted {
		t.Fatal(err)
	}
	if err := undo(officer, o.ID); !fault.Is(err, "error.transition") {
		t.Fatalf("undone twice: %v", err)
	}
	var state, by string
	if err := b.st.Read().NewRaw("SELECT state, decided_by FROM gate_review WHERE order_id = ?", o.ID).Scan(ctx, &state, &by); err != nil || state != "rejected" || by == "officer" {
		t.Fatalf("%v %s %s", err, state, by)
	}
	late := b.issue(t, officer, offline(containment.FromIncident, "i1"))
	b.clock.Advance(60*time.Second + time.Millisecond)
	if err := undo(officer, late.ID); !fault.Is(err, "containment.too_late") || b.order(t, late.ID).State != containment.InForce {
		t.Fatalf("too late: %v", err)
	}
	filter := b.issue(t, officer, strict(containment.FromIncident, "i1"))
	if err := undo(officer, filter.ID); !fault.Is(err, "containment.undo_only_offline") {
		t.Fatalf("a filter was undone by one person: %v", err)
	}
	b2 := newBench(t)
	o = b2.issue(t, officer, offline(containment.FromIncident, "i1"))
	b2.do(t, commander, func(tx *store.Tx) error {
		var id string
		if err := tx.NewRaw("SELECT id FROM gate_review WHERE order_id = ?", o.ID).Scan(ctx, &id); err != nil {
			return err
		}
		_, err := b2.desk.Ratify(ctx, tx, id, true, "属实")
		return err
	})
	if err := b2.try(officer, func(tx *store.Tx) error { _, err := b2.control.UndoOffline(ctx, tx, o.ID, "r"); return err }); !fault.Is(err, "error.transition") || b2.order(t, o.ID).State != containment.InForce {
		t.Fatalf("a ratified offline was undone by one person: %v", err)
	}
}

func TestARequestToLiftDoesNotWaitForASecondPersonWhenItsOrderIsOver(t *testing.T) {
	b := newBench(t)
	auto := strict(containment.FromIncident, "i1")
	auto.ExpiresMs = clock.Ms(b.clock) + time.Hour.Milliseconds()
	lapses := b.issue(t, officer, auto)
	auto.Scope.Group, auto.ExpiresMs = "g", 0
	lifted := b.issue(t, officer, auto)
	auto.Scope.Group = "h"
	stays := b.issue(t, officer, auto)
	ask := func(a store.Actor, id string) (s identity.SecondSignature) {
		b.do(t, a, func(tx *store.Tx) (err error) { s, err = b.control.RequestLift(ctx, tx, id, "r"); return err })
		return s
	}
	asked := map[string]identity.SecondSignature{"of the one that lapses": ask(officer, lapses.ID), "the one confirmed": ask(officer, lifted.ID), "its twin": ask(commander, lifted.ID), "of one in force": ask(officer, stays.ID)}
	b.do(t, second, func(tx *store.Tx) error {
		_, err := b.control.DecideLift(ctx, tx, asked["the one confirmed"].ID, true)
		return err
	})
	b.clock.Advance(time.Hour)
	b.fire(t, containment.DueExpire, lapses.ID)
	for name, want := range map[string]string{"of the one that lapses": "lapsed order.lapse", "the one confirmed": "confirmed ", "its twin": "lapsed order.lift", "of one in force": "requested "} {
		var s identity.SecondSignature
		if err := b.st.Read().NewSelect().Model(&s).Where("id = ?", asked[name].ID).Scan(ctx); err != nil {
			t.Fatal(err)
		}
		if got := s.State + " " + s.LapsedBy; got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestOnlyAnAutoOrderLapsesAndNeverOneOfALevel1Incident(t *testing.T) {
	b := newBench(t)
	in := func(d time.Duration) int64 { return clock.Ms(b.clock) + d.Milliseconds() }
	auto := strict(containment.FromIncident, "i1")
	auto.ExpiresMs = in(time.Hour)
	lapses := b.issue(t, officer, auto)
	auto.Scope.Group = "g"
	held := b.issue(t, officer, auto)
	off := b.issue(t, officer, offline(containment.FromIncident, "i1"))
	if b.fire(t, containment.DueExpire, lapses.ID) {
		t.Fatal("an expiry fired before its time")
	}
	b.clock.Advance(time.Hour)
	b.fire(t, containment.DueExpire, lapses.ID)
	if o := b.order(t, lapses.ID); o.State != containment.Lapsed || o.EndedBy != "system:due" {
		t.Fatalf("%+v", o)
	}
	b.level["i1"] = 1
	b.fire(t, containment.DueExpire, held.ID)
	if o := b.order(t, held.ID); o.State != containment.InForce || o.ExpiresMs != 0 || o.ReleaseMode != containment.Review {
		t.Fatalf("%+v", o)
	}
	for i := range 3 {
		b.clock.Advance(24 * time.Hour)
		for _, id := range []string{held.ID, off.ID} {
			if !b.fire(t, containment.DueRenew, id) || b.order(t, id).State != containment.InForce {
				t.Fatalf("day %d: order %s was not renewed", i, id)
			}
		}
	}
	if got := strings.Count(b.pager.keys(), "containment.page_renew"); got != 6 {
		t.Fatalf("%d pages: %s", got, b.pager.keys())
	}
	if !strings.Contains(b.pager.keys(), "containment.page_never_lapses") {
		t.Fatal("nobody was told that the order does not lapse")
	}
}

func TestAnOrderWithoutAnIncidentPagesEveryTwoHoursUntilItIsAdopted(t *testing.T) {
	b := newBench(t)
	o := b.issue(t, officer, strict(containment.FromAnomaly, "a1"))
	adopt := func(a store.Actor, incident string) error {
		return b.try(a, func(tx *store.Tx) error { _, err := b.control.Adopt(ctx, tx, o.ID, incident); return err })
	}
	b.clock.Advance(2*time.Hour - time.Millisecond)
	if b.fire(t, containment.DueAdopt, o.ID) {
		t.Fatal("paged early")
	}
	b.clock.Advance(time.Millisecond)
	b.fire(t, containment.DueAdopt, o.ID)
	b.clock.Advance(2 * time.Hour)
	b.fire(t, containment.DueAdopt, o.ID)
	if b.pager.keys() != "containment.page_adopt containment.page_adopt" {
		t.Fatal(b.pager.keys())
	}
	for incident, key := range map[string]string{"i2": "containment.other_kind", "i3": "containment.kind_without_orders", "x": "error.not_found"} {
		if err := adopt(officer, incident); !fault.Is(err, key) {
			t.Errorf("%s: %v", incident, err)
		}
	}
	if err := adopt(officer, "i1"); err != nil {
		t.Fatal(err)
	}
	if err := adopt(officer, "i1"); !fault.Is(err, "containment.adopted") {
		t.Fatalf("adopted twice: %v", err)
	}
	b.clock.Advance(2 * time.Hour)
	if b.fire(t, containment.DueAdopt, o.ID) {
		t.Fatal("an adopted order still pages")
	}
	p := b.issue(t, officer, offline(containment.FromAnomaly, "a1"))
	var all []containment.Order
	b.do(t, officer, func(tx *store.Tx) (err error) {
		all, err = b.control.AdoptAll(ctx, tx, containment.FromAnomaly, "a1", "i1")
		return err
	})
	if len(all) != 1 || all[0].ID != p.ID || b.order(t, p.ID).IncidentID != "i1" {
		t.Fatalf("%+v", all)
	}
}

func TestRulesActAloneOnLowRungsWithOutputSeenBySeveralPeople(t *testing.T) {
	for _, rung := range containment.Rungs() {
		low := rung == posture.StrictFilter || rung == posture.TopicBlock
		for _, c := range []struct {
			e  containment.Evidence
			ok bool
		}{{containment.Evidence{}, false}, {containment.Evidence{OutputSignals: 100, DistinctSubjects: 2}, false}, {containment.Evidence{OutputSignals: 2, DistinctSubjects: 3}, false}, {containment.Evidence{OutputSignals: 3, DistinctSubjects: 3}, true}} {
			if got := containment.MayAutomate(rung, c.e); got != (c.ok && low) {
				t.Errorf("%s %+v: %v", rung, c.e, got)
			}
		}
	}
}

func TestLevelThreeAndAboveWithoutARestrictionIsANonconformityThatNeedsAReason(t *testing.T) {
	for level := 0; level <= 4; level++ {
		for _, c := range []struct {
			tags []posture.Tag
			has  bool
		}{{nil, false}, {[]posture.Tag{posture.Adjust}, false}, {[]posture.Tag{posture.Adjust, posture.Restrict}, true}, {[]posture.Tag{posture.Offline}, true}} {
			if got, want := containment.RestrictionMissing(level, c.tags), level >= 1 && level <= 3 && !c.has; got != want {
				t.Errorf("level %d, %v: %v", level, c.tags, got)
			}
		}
	}
	b := newBench(t)
	check := func(level int) (n *containment.Nonconformity) {
		b.do(t, rule, func(tx *store.Tx) (err error) { n, err = b.control.CheckMeasure(ctx, tx, "i1", level); return err })
		return n
	}
	if n := check(4); n != nil {
		t.Fatalf("%+v", n)
	}
	b.issue(t, officer, strict(containment.FromIncident, "i1")) // 局部调整 is not enough
	if n := check(3); n == nil || n.SettledMs != 0 {
		t.Fatalf("%+v", n)
	}
	r := strict(containment.FromIncident, "i1")
	r.Rung, r.Params.AllowedGroups = posture.AudienceLimit, []string{"staff"}
	o := b.issue(t, officer, r)
	if n := check(3); n.SettledMs == 0 {
		t.Fatalf("%+v", n)
	}
	var id string
	b.do(t, officer, func(tx *store.Tx) error { s, err := b.control.RequestLift(ctx, tx, o.ID, "r"); id = s.ID; return err })
	b.do(t, second, func(tx *store.Tx) error { _, err := b.control.DecideLift(ctx, tx, id, true); return err })
	n := check(2)
	if n.SettledMs != 0 {
		t.Fatalf("lifting the restriction raised nothing: %+v", n)
	}
	explain := func(reason string) error {
		return b.try(officer, func(tx *store.Tx) error { _, err := b.control.ExplainNonconformity(ctx, tx, n.ID, reason); return err })
	}
	if err := explain(""); !fault.Is(err, "error.required") {
		t.Fatal(err)
	}
	if err := explain("服务已无流量"); err != nil {
		t.Fatal(err)
	}
	if err := explain("again"); !fault.Is(err, "containment.settled") {
		t.Fatal(err)
	}
	if n := check(2); n.SettledMs == 0 || n.Reason == "" {
		t.Fatalf("an explained one was raised again: %+v", n)
	}
}

func TestAPreviewCountsWhomAnOrderWouldHitAndNamesContradictions(t *testing.T) {
	b := newBench(t)
	b.traffic.counts = containment.Counts{Requests: 7, Subjects: 3}
	limit := strict(containment.FromAnomaly, "a1")
	limit.Rung, limit.Params.AllowedGroups = posture.AudienceLimit, []string{"staff"}
	first := b.issue(t, officer, limit)
	limit.Params.AllowedGroups = []string{"partners"}
	h, err := b.control.Preview(ctx, b.st.Read(), officer, b.clock, limit)
	if err != nil || h.Requests != 7 || h.Measure != posture.Restrict || len(h.Conflicts) != 1 || h.Conflicts[0] != (containment.Conflict{OrderID: first.ID, Key: "containment.conflict_audience"}) {
		t.Fatalf("%v %+v", err, h)
	}
	if a := b.traffic.asked[0]; a.DrillOnly || len(a.ExceptGroups) != 1 || a.SinceMs != clock.Ms(b.clock)-3600_000 {
		t.Fatalf("%+v", a)
	}
	if h, err = b.control.Preview(ctx, b.st.Read(), standIn, b.clock, offline(containment.FromDrill, "d1")); err != nil || !b.traffic.asked[1].DrillOnly || len(h.Conflicts) != 0 {
		t.Fatalf("%v %+v", err, h)
	}
	if _, err = b.control.Preview(ctx, b.st.Read(), standIn, b.clock, limit); !fault.Is(err, "identity.other_drill") {
		t.Fatal(err)
	}
	var n int
	if err := b.st.Read().NewRaw("SELECT COUNT(*) FROM disposal_order").Scan(ctx, &n); err != nil || n != 1 {
		t.Fatalf("a preview issued: %d, %v", n, err)
	}
}

func TestEveryKeyThatContainmentAndGateReviewSayHasItsText(t *testing.T) {
	c, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"subject_scope", "offline_mode", "online_review_only_offline", "never_lapses", "expiry_is_auto", "expiry_past", "limits_nobody", "param_not_used", "needs_person",
		"same_in_force", "drill_not_running", "kind_without_orders", "other_operator", "not_a_backup", "backup_not_filed", "backup_not_tested", "unknown_topic", "offline_needs_review",
		"undo_only_offline", "not_your_slip", "too_late", "adopted", "other_kind", "no_traffic", "settled", "conflict_same", "conflict_offline", "conflict_backup", "conflict_audience",
		"notice_replaced", "notice_blocked", "notice_limited", "notice_offline", "page_adopt.subject", "page_renew.body", "page_never_lapses.subject", "page_not_effective.body", "page_unreachable.body"} {
		if !c.Has("containment." + k) {
			t.Error(k)
		}
	}
}
