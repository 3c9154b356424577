package incident_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

func (b *bench) aware(a store.Actor, id, source string, atMs int64) (w incident.Awareness, err error) {
	err = b.try(a, func(tx *store.Tx) (err error) {
		w, err = incident.AddAwareness(ctx, tx, id, source, atMs, "")
		return err
	})
	return w, err
}

func (b *bench) withdraw(a store.Actor, awarenessID, reason string) (s identity.SecondSignature, err error) {
	err = b.try(a, func(tx *store.Tx) (err error) {
		s, err = incident.AskWithdrawAwareness(ctx, tx, awarenessID, reason)
		return err
	})
	return s, err
}

func (b *bench) awareMs(t testing.TB, id string) int64 {
	t.Helper()
	ms, err := incident.AwareMs(ctx, b.st.Read(), id)
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

// Promise 10: the earliest candidate that stands counts, and the milestone says the same.
func TestTheEarliestAwarenessThatStandsCounts(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, officer, nil)
	start := i.DeclaredMs
	b.clock.Advance(time.Hour)
	late, err := b.aware(officer, i.ID, "supplier_told", b.now())
	if err != nil {
		t.Fatal(err)
	}
	early, err := b.aware(officer, i.ID, "complaint_read", start-5000)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.awareMs(t, i.ID); got != start-5000 {
		t.Errorf("aware at %d, want %d", got, start-5000)
	}
	if m := b.milestone(t, i.ID, "aware"); m.FirstMs != start-5000 || m.LastMs != late.AtMs || m.Times != 3 {
		t.Errorf("%+v", m)
	}
	for _, c := range []struct {
		id          string
		first, last int64
	}{{late.ID, start - 5000, start}, {early.ID, start, start}} {
		s, err := b.withdraw(officer, c.id, "a slip")
		if err != nil {
			t.Fatal(err)
		}
		if err := b.decide(second, s.ID, true); err != nil {
			t.Fatal(err)
		}
		if m := b.milestone(t, i.ID, "aware"); m.FirstMs != c.first || m.LastMs != c.last || b.awareMs(t, i.ID) != c.first {
			t.Errorf("after a withdrawal: %+v, aware %d", m, b.awareMs(t, i.ID))
		}
	}
	all, err := incident.AwarenessOf(ctx, b.st.Read(), i.ID)
	if err != nil || len(all) != 3 {
		t.Fatalf("what was withdrawn is not kept: %d %v", len(all), err)
	}
	for _, w := range all {
		if w.ID == early.ID && (w.WithdrawnBy != "officer" || w.WithdrawnSecond != "second" || w.WithdrawnReason != "a slip") {
			t.Errorf("%+v", w)
		}
	}
}

func TestAnAwarenessThatCannotBeIsRefused(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, officer, nil)
	for name, c := range map[string]struct {
		actor  store.Actor
		source string
		at     int64
		kind   fault.Kind
		key    string
	}{
		"in the future":      {officer, "alarm_seen", b.now() + 3_600_000, fault.KindInvalid, "incident.aware_future"},
		"years ago":          {officer, "alarm_seen", b.now() - 366*24*3_600_000 - 1, fault.KindInvalid, "incident.aware_long_ago"},
		"never":              {officer, "alarm_seen", 0, fault.KindInvalid, "incident.aware_future"},
		"before time":        {officer, "alarm_seen", -1, fault.KindInvalid, "incident.aware_future"},
		"by rumour":          {officer, "rumour", 1, fault.KindInvalid, "error.unknown_value"},
		"by who may not":     {engineer, "alarm_seen", 1, fault.KindForbidden, "identity.not_allowed"},
		"by a drill's seat":  {standIn, "alarm_seen", 1, fault.KindNotFound, "error.not_found"},
		"by who is not here": {store.Actor{}, "alarm_seen", 1, fault.KindUnauthenticated, "identity.unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			before := b.snapshot(t)
			_, err := b.aware(c.actor, i.ID, c.source, c.at)
			b.refused(t, before, err, c.kind, c.key)
		})
	}
	if w, err := b.aware(officer, i.ID, "authority_called", b.now()); err != nil || w.Zone != "Asia/Shanghai" || w.TimeSource != "system" {
		t.Error("the control failed:", err)
	}
}

func TestWithdrawingAnAwarenessTakesTwoPeopleAReasonAndAnotherThatStands(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, officer, nil)
	all, _ := incident.AwarenessOf(ctx, b.st.Read(), i.ID)
	only := all[0].ID
	before := b.snapshot(t)
	_, err := b.withdraw(officer, only, "r")
	b.refused(t, before, err, fault.KindConflict, "incident.last_awareness")

	other, err := b.aware(officer, i.ID, "complaint_read", b.now())
	if err != nil {
		t.Fatal(err)
	}
	before = b.snapshot(t)
	_, err = b.withdraw(officer, only, "")
	b.refused(t, before, err, fault.KindInvalid, "error.required")
	_, err = b.withdraw(engineer, only, "r")
	b.refused(t, before, err, fault.KindForbidden, "identity.not_allowed")

	one, err := b.withdraw(officer, only, "r")
	if err != nil {
		t.Fatal(err)
	}
	two, err := b.withdraw(second, other.ID, "r")
	if err != nil {
		t.Fatal(err)
	}
	if got := b.awareMs(t, i.ID); got != i.DeclaredMs {
		t.Error("a mere request moved the clock to", got)
	}
	before = b.snapshot(t)
	b.refused(t, before, b.decide(officer, one.ID, true), fault.KindForbidden, "identity.same_person")
	if err := b.decide(commander, one.ID, true); err != nil {
		t.Fatal(err)
	}
	// Two requests that were each allowed when asked for must not strike the last one between them.
	before = b.snapshot(t)
	b.refused(t, before, b.decide(commander, two.ID, true), fault.KindConflict, "incident.last_awareness")
	_, err = b.withdraw(officer, only, "again")
	b.refused(t, before, err, fault.KindNotFound, "error.not_found")
	if got := b.awareMs(t, i.ID); got != other.AtMs {
		t.Errorf("aware at %d, want %d", got, other.AtMs)
	}
}

// One candidate always stands; the clock's start is the least of those that stand; and it moves later
// only in a step in which two different people had a hand.
func TestAwarenessMovesLaterOnlyByTwoPeople(t *testing.T) {
	b := newBench(t)
	rapid.Check(t, func(r *rapid.T) {
		i := b.declare(t, officer, nil)
		var open []identity.SecondSignature
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			actor := rapid.SampledFrom([]store.Actor{officer, second, commander}).Draw(r, "who")
			before := b.awareMs(t, i.ID)
			decided := ""
			switch rapid.IntRange(0, 2).Draw(r, "step") {
			case 0:
				_, _ = b.aware(actor, i.ID, "complaint_read", b.now()+rapid.Int64Range(-50_000, 10_000).Draw(r, "at"))
			case 1:
				all, _ := incident.AwarenessOf(ctx, b.st.Read(), i.ID)
				if s, err := b.withdraw(actor, rapid.SampledFrom(all).Draw(r, "which").ID, "r"); err == nil {
					open = append(open, s)
				}
			case 2:
				if len(open) > 0 {
					k := rapid.IntRange(0, len(open)-1).Draw(r, "request")
					if b.decide(actor, open[k].ID, rapid.Bool().Draw(r, "confirm")) == nil {
						decided = open[k].RequestedBy
					}
				}
			}
			after := b.awareMs(t, i.ID)
			if after == 0 || after > before && (decided == "" || decided == actor.ID) {
				r.Fatalf("%s moved awareness from %d to %d (%q asked)", actor.ID, before, after, decided)
			}
			m := b.milestone(t, i.ID, "aware")
			least := b.count(t, "SELECT MIN(at_ms) FROM awareness WHERE incident_id = ? AND withdrawn_by = ''", i.ID)
			most := b.count(t, "SELECT MAX(at_ms) FROM awareness WHERE incident_id = ? AND withdrawn_by = ''", i.ID)
			if m.FirstMs != after || m.FirstMs != int64(least) || m.LastMs != int64(most) {
				r.Fatalf("milestone %+v, candidates %d to %d", m, least, most)
			}
		}
	})
}
