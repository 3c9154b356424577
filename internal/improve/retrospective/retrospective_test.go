package retrospective_test

import (
	"context"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/improve/retrospective"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

var (
	ctx      = context.Background()
	officer  = store.Actor{ID: "officer", Roles: []string{"duty_officer"}}
	engineer = store.Actor{ID: "engineer", Roles: []string{"engineer"}}
	standIn  = store.Actor{ID: "stand-in", Roles: []string{"commander"}, Drill: "d1"}
)

type ledger struct{ n int }

func (l *ledger) Append(_ context.Context, _ bun.Tx, _ int64, e []store.Entry) error {
	l.n += len(e)
	return nil
}

type bench struct {
	st     *store.Store
	clock  *clock.Fake
	ledger *ledger
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{clock: clock.NewFake(time.Date(2026, 3, 1, 20, 0, 0, 0, time.UTC)), ledger: &ledger{}}
	var err error
	if b.st, err = store.Open(ctx, storetest.With(t, store.Options{Dir: t.TempDir(), Clock: b.clock, Recorder: b.ledger})); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.st.Close() })
	if err := b.try(store.System("test"), func(tx *store.Tx) error {
		for _, q := range []string{
			`INSERT INTO operator (id, name, province, kind, created_ms) VALUES ('op','o','p','other',1)`,
			`INSERT INTO service (id, operator_id, name, kind, model_name, created_ms) VALUES ('s1','op','n','real','m1',1)`,
			`INSERT INTO incident (id, number, kind, operator_id, service_id, title, state, editions, declared_by, declared_ms) VALUES ('closed','IN-1','real','op','s1','t','closed','[]','x',1),
				('declared','IN-2','real','op','s1','t','declared','[]','x',1), ('ended','IN-3','real','op','s1','t','ended','[]','x',1), ('verifying','IN-4','real','op','s1','t','verifying','[]','x',1)`,
		} {
			if _, err := tx.Exec(q); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) try(a store.Actor, fn func(tx *store.Tx) error) error { return b.st.Write(ctx, a, fn) }

func (b *bench) action(in time.Duration) retrospective.Action {
	return retrospective.Action{Title: "t", Owner: "o", DueMs: clock.Ms(b.clock) + in.Milliseconds(), State: "done", DoneBy: "forged"}
}

func (b *bench) hold(a store.Actor, id, cause string, actions ...retrospective.Action) (out []retrospective.Action, err error) {
	err = b.try(a, func(tx *store.Tx) (err error) {
		_, out, err = retrospective.Hold(ctx, tx, retrospective.Retrospective{IncidentID: id, RootCause: cause, HeldBy: "forged"}, actions)
		return err
	})
	return out, err
}

func (b *bench) done(a store.Actor, id, proof string) error {
	return b.try(a, func(tx *store.Tx) error { _, err := retrospective.Done(ctx, tx, id, proof); return err })
}

func TestARetrospectiveIsHeldOfAClosedIncidentAndSomethingFollows(t *testing.T) {
	b := newBench(t)
	untitled, unowned := b.action(time.Hour), b.action(time.Hour)
	untitled.Title, unowned.Owner = " ", ""
	for name, c := range map[string]struct {
		actor     store.Actor
		id, cause string
		actions   []retrospective.Action
		key       string
	}{
		"of one just declared":    {officer, "declared", "c", []retrospective.Action{b.action(time.Hour)}, "retrospective.not_closed"},
		"of one that has ended":   {officer, "ended", "c", []retrospective.Action{b.action(time.Hour)}, "retrospective.not_closed"},
		"of one being verified":   {officer, "verifying", "c", []retrospective.Action{b.action(time.Hour)}, "retrospective.not_closed"},
		"of none":                 {officer, "x", "c", []retrospective.Action{b.action(time.Hour)}, "error.not_found"},
		"without a cause":         {officer, "closed", " ", []retrospective.Action{b.action(time.Hour)}, "error.required"},
		"without an action":       {officer, "closed", "c", nil, "retrospective.no_actions"},
		"with one without title":  {officer, "closed", "c", []retrospective.Action{b.action(time.Hour), untitled}, "retrospective.action_incomplete"},
		"with one nobody owns":    {officer, "closed", "c", []retrospective.Action{unowned}, "retrospective.action_incomplete"},
		"with one that is past":   {officer, "closed", "c", []retrospective.Action{b.action(time.Hour), b.action(-time.Hour)}, "retrospective.action_past"},
		"with one that is due":    {officer, "closed", "c", []retrospective.Action{b.action(0)}, "retrospective.action_past"},
		"by who may not":          {engineer, "closed", "c", []retrospective.Action{b.action(time.Hour)}, "identity.not_allowed"},
		"of a real one by a seat": {standIn, "closed", "c", []retrospective.Action{b.action(time.Hour)}, "error.not_found"},
	} {
		if _, err := b.hold(c.actor, c.id, c.cause, c.actions...); !fault.Is(err, c.key) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if rs, as, err := retrospective.Of(ctx, b.st.Read(), officer, "closed"); err != nil || len(rs)+len(as)+b.ledger.n != 0 {
		t.Fatalf("refusals left %d and %d rows and %d entries, %v", len(rs), len(as), b.ledger.n, err)
	}
	if rows, err := due.List(ctx, b.st.Read(), due.Filter{}); err != nil || len(rows) != 0 {
		t.Fatalf("refusals left %d clocks", len(rows))
	}
	if _, err := b.hold(officer, "closed", "c", b.action(2*time.Hour), b.action(time.Hour)); err != nil {
		t.Fatal(err)
	}
	rs, as, err := retrospective.Of(ctx, b.st.Read(), officer, "closed")
	if err != nil || len(rs) != 1 || rs[0].HeldBy != "officer" || len(as) != 2 || as[0].DueMs > as[1].DueMs || as[0].State != "open" || as[0].DoneBy != "" {
		t.Errorf("%+v %+v %v", rs, as, err)
	}
	if rows, err := due.List(ctx, b.st.Read(), due.Filter{Kind: retrospective.DueKind, States: []due.State{due.Pending}}); err != nil || len(rows) != 2 || rows[0].DueMs != as[0].DueMs || rows[0].ObjectID != as[0].ID {
		t.Errorf("%+v", rows)
	}
	if _, _, err := retrospective.Of(ctx, b.st.Read(), standIn, "closed"); !fault.Is(err, "error.not_found") {
		t.Error(err)
	}
}

func TestAnActionIsDoneWithProofAndOnce(t *testing.T) {
	b := newBench(t)
	as, err := b.hold(officer, "closed", "c", b.action(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	id := as[0].ID
	for _, c := range []struct {
		actor     store.Actor
		id, proof string
		key       string
	}{{officer, id, " ", "error.required"}, {engineer, id, "p", "identity.not_allowed"}, {standIn, id, "p", "error.not_found"}, {officer, "x", "p", "error.not_found"}} {
		if err := b.done(c.actor, c.id, c.proof); !fault.Is(err, c.key) {
			t.Errorf("%v, want %s", err, c.key)
		}
	}
	if err := b.done(officer, id, "see the change"); err != nil {
		t.Fatal(err)
	}
	if err := b.done(officer, id, "again"); !fault.Is(err, "error.transition") {
		t.Error(err)
	}
	rows, err := due.List(ctx, b.st.Read(), due.Filter{ObjectID: id})
	if err != nil || len(rows) != 1 || rows[0].State != due.Cancelled {
		t.Errorf("its clock: %+v", rows)
	}
}

func TestAnActionPastItsTimeIsMarkedOnceAndOnlyWhileOpen(t *testing.T) {
	b := newBench(t)
	as, err := b.hold(officer, "closed", "c", b.action(time.Hour), b.action(2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.done(officer, as[1].ID, "p"); err != nil {
		t.Fatal(err)
	}
	told := 0
	overdue := func(id string) (ms int64) {
		if err := b.try(store.System("due"), func(tx *store.Tx) error {
			return retrospective.Overdue(ctx, tx, id, func(context.Context, *store.Tx, retrospective.Action, incident.Incident) error { told++; return nil })
		}); err != nil {
			t.Fatal(err)
		}
		if err := b.st.Read().NewRaw("SELECT overdue_ms FROM improvement_action WHERE id = ?", id).Scan(ctx, &ms); err != nil {
			t.Fatal(err)
		}
		return ms
	}
	b.clock.Advance(time.Hour)
	first := overdue(as[0].ID)
	if first != clock.Ms(b.clock) {
		t.Error(first)
	}
	entries := b.ledger.n
	b.clock.Advance(time.Hour)
	if again := overdue(as[0].ID); again != first || b.ledger.n != entries {
		t.Error("marked twice")
	}
	if told != 1 {
		t.Errorf("people are told %d times", told)
	}
	if ms := overdue(as[1].ID); ms != 0 {
		t.Error("what is done is marked overdue")
	}
	if err := b.done(officer, as[0].ID, "late"); err != nil {
		t.Error("late is not never:", err)
	}
}
