package incident_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

var (
	allStates = []incident.State{incident.Declared, incident.Responding, incident.Recovering, incident.Ended, incident.Verifying, incident.Closed}
	allEvents = []incident.Event{incident.OnRespond, incident.OnRecover, incident.OnReSpread, incident.OnEndHandling, incident.OnApplyClosing, incident.OnRejectClosing, incident.OnVerifyClosing, incident.OnReopen, incident.OnDrillOver, "no_such_event", ""}
)

// arrows is written out here a second time on purpose: a change of the machine has to be made twice.
var arrows = map[incident.State]map[incident.Event]struct {
	to        incident.State
	milestone string
}{
	incident.Declared:   {incident.OnDrillOver: {incident.Closed, "closed"}, incident.OnRespond: {incident.Responding, ""}},
	incident.Responding: {incident.OnDrillOver: {incident.Closed, "closed"}, incident.OnRecover: {incident.Recovering, "recovered"}, incident.OnEndHandling: {incident.Ended, "handling_ended"}},
	incident.Recovering: {incident.OnDrillOver: {incident.Closed, "closed"}, incident.OnReSpread: {incident.Responding, "re_spread"}, incident.OnEndHandling: {incident.Ended, "handling_ended"}},
	incident.Ended:      {incident.OnDrillOver: {incident.Closed, "closed"}, incident.OnReSpread: {incident.Responding, "re_spread"}, incident.OnApplyClosing: {incident.Verifying, ""}},
	incident.Verifying:  {incident.OnDrillOver: {incident.Closed, "closed"}, incident.OnRejectClosing: {incident.Ended, ""}, incident.OnVerifyClosing: {incident.Closed, "closed"}},
	incident.Closed:     {incident.OnReopen: {incident.Responding, "reopened"}},
}

func (b *bench) advance(a store.Actor, id string, e incident.Event) error {
	return b.try(a, func(tx *store.Tx) error {
		_, err := incident.Advance(ctx, tx, id, e, "incident.handle", "r")
		return err
	})
}

func TestEveryTransitionOfTheMachineAndEveryOneItDoesNotKnow(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, officer, nil)
	known := 0
	for _, from := range allStates {
		for _, e := range allEvents {
			b.do(t, store.System("test"), func(tx *store.Tx) error {
				_, err := tx.Exec("UPDATE incident SET state = ? WHERE id = ?", string(from), i.ID)
				return err
			})
			before, version := b.snapshot(t), b.get(t, i.ID).Version
			err := b.advance(commander, i.ID, e)
			want, ok := arrows[from][e]
			if !ok {
				b.refused(t, before, err, fault.KindConflict, "error.transition")
				continue
			}
			known++
			after := b.get(t, i.ID)
			if err != nil || after.State != want.to || after.Version != version+1 {
				t.Errorf("%s on %s: %v, now %s version %d", e, from, err, after.State, after.Version)
			}
			if want.milestone != "" && b.milestone(t, i.ID, want.milestone).LastMs != b.now()-1000 {
				t.Errorf("%s on %s did not reach %s: %+v", e, from, want.milestone, b.milestone(t, i.ID, want.milestone))
			}
		}
	}
	if known != len(incident.Machine()) {
		t.Errorf("the machine has %d transitions, this table %d", len(incident.Machine()), known)
	}
}

func TestAnUnknownStateInTheDatabaseMovesNowhere(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, officer, nil)
	b.do(t, store.System("test"), func(tx *store.Tx) error {
		_, err := tx.Exec("UPDATE incident SET state = 'limbo' WHERE id = ?", i.ID)
		return err
	})
	for _, e := range allEvents {
		b.refused(t, b.snapshot(t), b.advance(commander, i.ID, e), fault.KindConflict, "error.transition")
	}
}

func TestWhoMayMoveAnIncident(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, officer, nil)
	for name, c := range map[string]struct {
		actor store.Actor
		kind  fault.Kind
		key   string
	}{
		"who may only read": {auditor, fault.KindForbidden, "identity.not_allowed"},
		"an administrator":  {admin, fault.KindForbidden, "identity.not_allowed"},
		"a drill's seat":    {standIn, fault.KindNotFound, "error.not_found"},
		"nobody":            {store.Actor{}, fault.KindUnauthenticated, "identity.unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			b.refused(t, b.snapshot(t), b.advance(c.actor, i.ID, incident.OnRespond), c.kind, c.key)
		})
	}
	b.refused(t, b.snapshot(t), b.advance(commander, "no such", incident.OnRespond), fault.KindNotFound, "error.not_found")
	if err := b.advance(commander, i.ID, incident.OnRespond); err != nil {
		t.Error("the control failed:", err)
	}
}

// Whatever is tried in whatever order, the state is where the arrows lead, the version counts what
// succeeded, and milestones keep their first time while last and times follow.
func TestAnyCourseOfEventsFollowsTheArrows(t *testing.T) {
	b := newBench(t)
	rapid.Check(t, func(r *rapid.T) {
		i := b.declare(t, officer, nil)
		state, version := incident.Declared, int64(1)
		first, last, times := map[string]int64{}, map[string]int64{}, map[string]int{}
		for _, e := range rapid.SliceOfN(rapid.SampledFrom(allEvents), 1, 15).Draw(r, "events") {
			at := b.now()
			err := b.advance(commander, i.ID, e)
			a, ok := arrows[state][e]
			if ok != (err == nil) {
				r.Fatalf("%s on %s: %v", e, state, err)
			}
			if !ok {
				continue
			}
			state, version = a.to, version+1
			if m := a.milestone; m != "" {
				if times[m] == 0 {
					first[m] = at
				}
				last[m] = at
				times[m]++
			}
			b.clock.Advance(time.Minute)
		}
		got := b.get(t, i.ID)
		if got.State != state || got.Version != version {
			r.Fatalf("%s version %d, want %s %d", got.State, got.Version, state, version)
		}
		for m, n := range times {
			if s := b.milestone(t, i.ID, m); s.FirstMs != first[m] || s.LastMs != last[m] || s.Times != n {
				r.Fatalf("milestone %s is %+v, want %d to %d, %d times", m, s, first[m], last[m], n)
			}
		}
	})
}
