package dispatch_test

import (
	"context"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/prepare/plan"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/dispatch"
)

var (
	ctx      = context.Background()
	officer  = store.Actor{ID: "officer", Roles: []string{"duty_officer"}}
	engineer = store.Actor{ID: "engineer", Roles: []string{"engineer"}}
	auditor  = store.Actor{ID: "auditor", Roles: []string{"auditor"}}
	standIn  = store.Actor{ID: "stand-in", Roles: []string{"duty_officer"}, Drill: "d1"}
)

type nothing struct{}

func (nothing) Append(context.Context, bun.Tx, int64, []store.Entry) error { return nil }

type pages []containment.Page

func (p *pages) Page(_ context.Context, _ *store.Tx, page containment.Page) error {
	*p = append(*p, page)
	return nil
}

type bench struct {
	st    *store.Store
	clock *clock.Fake
	desk  *dispatch.Desk
	pages *pages
	plan  plan.Version
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{clock: clock.NewFake(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)), pages: &pages{}}
	st, err := store.Open(ctx, storetest.With(t, store.Options{Dir: t.TempDir(), Clock: b.clock, Recorder: nothing{}}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	b.st, b.desk = st, dispatch.New(b.pages)
	yes := func(string) bool { return true }
	b.do(t, store.System("test"), func(tx *store.Tx) error {
		for _, q := range []string{
			`INSERT INTO operator (id, name, province, kind, created_ms) VALUES ('op','o','p','other',1)`,
			`INSERT INTO service (id, operator_id, name, kind, model_name, created_ms) VALUES ('s1','op','n','real','m1',1)`,
			`INSERT INTO incident (id, number, kind, drill_id, operator_id, service_id, title, state, editions, declared_by, declared_ms) VALUES
				('i1','IN-1','real','','op','s1','t','declared','[]','x',1), ('i2','D-IN-1','drill','d1','op','s1','t','declared','[]','x',1)`,
		} {
			if _, err := tx.Exec(q); err != nil {
				return err
			}
		}
		_, err := plan.Rules{KnowsCategory: yes, KnowsEdition: yes}.InstallStarter(ctx, tx)
		return err
	})
	if b.plan, err = plan.Select(ctx, st.Read(), "content.discrimination", 4); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) try(a store.Actor, fn func(tx *store.Tx) error) error { return b.st.Write(ctx, a, fn) }

func (b *bench) do(t testing.TB, a store.Actor, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := b.try(a, fn); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) start(a store.Actor, incident string) (run dispatch.Run, err error) {
	err = b.try(a, func(tx *store.Tx) (err error) { run, err = b.desk.Start(ctx, tx, incident, b.plan); return err })
	return run, err
}

func (b *bench) fire(t testing.TB) (n int) {
	t.Helper()
	rows, err := due.List(ctx, b.st.Read(), due.Filter{States: []due.State{due.Pending}, BeforeMs: clock.Ms(b.clock) + 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		b.do(t, store.System("due"), func(tx *store.Tx) error {
			if err := b.desk.DueHandlers()[r.Kind](ctx, tx, r); err != nil {
				return err
			}
			_, err := tx.Exec("UPDATE due SET state = 'fired' WHERE id = ?", r.ID)
			return err
		})
	}
	return len(rows)
}

func TestStartingAPlanGivesEachStepATaskWithItsClock(t *testing.T) {
	b := newBench(t)
	run, err := b.start(officer, "i1")
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := dispatch.List(ctx, b.st.Read(), officer, "i1")
	if err != nil || len(tasks) != len(b.plan.Plan.Steps) || len(run.Tasks) != len(tasks) {
		t.Fatalf("%v, %d tasks", err, len(tasks))
	}
	automatic := 0
	for _, task := range tasks {
		var step plan.Step
		for _, s := range b.plan.Plan.Steps {
			if s.ID == task.StepID {
				step = s
			}
		}
		if task.Title != step.Title || task.Role != step.Role || task.DueMs != clock.Ms(b.clock)+int64(step.WithinMin)*60_000 || task.State != dispatch.Open {
			t.Errorf("%+v", task)
		}
		if (task.Automatic == nil) != (step.Automatic == nil) {
			t.Errorf("%s: %+v", task.StepID, task.Automatic)
		}
		if task.Automatic != nil {
			automatic++
			if task.Automatic.Action != step.Automatic.Action || task.Automatic.Rung != step.Automatic.Rung {
				t.Errorf("%+v", task.Automatic)
			}
		}
	}
	if automatic != 3 {
		t.Errorf("%d automatic steps", automatic)
	}
	rows, _ := due.List(ctx, b.st.Read(), due.Filter{States: []due.State{due.Pending}})
	if len(rows) != len(tasks)+len(b.plan.Plan.Escalation) {
		t.Errorf("%d clocks", len(rows))
	}
	if _, err := b.start(officer, "i1"); !fault.Is(err, "dispatch.started") {
		t.Errorf("started twice: %v", err)
	}
	if runs, err := dispatch.Runs(ctx, b.st.Read(), "i1"); err != nil || len(runs) != 1 || runs[0].PlanID != "discrimination-4" || runs[0].PlanVersion != 1 || runs[0].PlanTitle.ZH == "" {
		t.Errorf("%v %+v", err, runs)
	}
}

func TestAPlanIsNotStartedByWhoMayNotNorBeforeItIsApproved(t *testing.T) {
	b := newBench(t)
	for name, c := range map[string]struct {
		who      store.Actor
		incident string
		key      string
	}{
		"auditor":              {auditor, "i1", "identity.not_allowed"},
		"stand-in on the real": {standIn, "i1", "error.not_found"},
		"no such incident":     {officer, "x", "error.not_found"},
	} {
		if _, err := b.start(c.who, c.incident); !fault.Is(err, c.key) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.plan.State = plan.Draft
	if _, err := b.start(officer, "i1"); !fault.Is(err, "error.transition") {
		t.Errorf("a draft: %v", err)
	}
	b.plan.State = plan.Approved
	if _, err := b.start(standIn, "i2"); err != nil {
		t.Errorf("control: %v", err)
	}
	if _, err := dispatch.List(ctx, b.st.Read(), store.Actor{ID: "x", Roles: standIn.Roles, Drill: "d2"}, "i2"); !fault.Is(err, "identity.other_drill") {
		t.Errorf("another drill's stand-in read: %v", err)
	}
}

func TestATaskIsClosedOnceWithItsOutput(t *testing.T) {
	b := newBench(t)
	run, _ := b.start(officer, "i1")
	done := func(a store.Actor, id, output string) error {
		return b.try(a, func(tx *store.Tx) error { _, err := b.desk.Done(ctx, tx, id, output); return err })
	}
	skip := func(a store.Actor, id, reason string) error {
		return b.try(a, func(tx *store.Tx) error { _, err := b.desk.Skip(ctx, tx, id, reason); return err })
	}
	id := run.Tasks[0].ID
	for name, c := range map[string]struct {
		err error
		key string
	}{
		"without output":   {done(engineer, id, " "), "error.required"},
		"by an auditor":    {done(auditor, id, "x"), "identity.not_allowed"},
		"by a stand-in":    {done(standIn, id, "x"), "error.not_found"},
		"of nothing":       {done(engineer, "x", "x"), "error.not_found"},
		"skip by engineer": {skip(engineer, id, "x"), "identity.not_allowed"},
		"skip, no reason":  {skip(officer, id, ""), "error.required"},
	} {
		if !fault.Is(c.err, c.key) {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	if err := done(engineer, id, "证据包 3 件"); err != nil {
		t.Fatal(err)
	}
	if err := done(engineer, id, "again"); !fault.Is(err, "error.transition") {
		t.Fatalf("done twice: %v", err)
	}
	if err := skip(officer, id, "again"); !fault.Is(err, "error.transition") {
		t.Fatalf("skipped after done: %v", err)
	}
	if err := skip(officer, run.Tasks[1].ID, "不适用"); err != nil {
		t.Fatal(err)
	}
	tasks, _ := dispatch.List(ctx, b.st.Read(), officer, "i1")
	for _, task := range tasks {
		if task.ID == id && (task.State != dispatch.Done || task.DoneBy != "engineer" || task.Output != "证据包 3 件" || task.DoneMs == 0) {
			t.Fatalf("%+v", task)
		}
	}
}

func TestALateTaskIsMarkedOncePagedToItsRoleAndEscalatedAsThePlanSays(t *testing.T) {
	b := newBench(t)
	run, _ := b.start(officer, "i1")
	b.do(t, engineer, func(tx *store.Tx) error { _, err := b.desk.Done(ctx, tx, run.Tasks[0].ID, "x"); return err }) // due after 5 min
	b.clock.Advance(9 * time.Minute)
	if n := b.fire(t); n != 0 {
		t.Fatalf("%d rows fired for a task that was done", n)
	}
	b.clock.Advance(time.Minute) // strict_filter is due after 10 min
	if n := b.fire(t); n != 1 || len(*b.pages) != 1 || (*b.pages)[0].Role != "duty_officer" || (*b.pages)[0].ObjectID != run.Tasks[1].ID {
		t.Fatalf("%d, %+v", n, *b.pages)
	}
	tasks, _ := dispatch.List(ctx, b.st.Read(), officer, "i1")
	if tasks[1].ID != run.Tasks[1].ID || tasks[1].OverdueMs != clock.Ms(b.clock) {
		t.Fatalf("%+v", tasks[1])
	}
	for _, task := range run.Tasks[1:] {
		if task.DueMs <= clock.Ms(b.clock)+110*60_000 {
			b.do(t, engineer, func(tx *store.Tx) error { _, err := b.desk.Done(ctx, tx, task.ID, "late"); return err })
		}
	}
	*b.pages = nil
	b.clock.Advance(110 * time.Minute) // escalation after 120 min, and nothing is late any more
	b.fire(t)
	if len(*b.pages) != 0 {
		t.Fatalf("escalated without need: %+v", *b.pages)
	}
	b2 := newBench(t)
	if _, err := b2.start(standIn, "i2"); err != nil {
		t.Fatal(err)
	}
	b2.clock.Advance(2 * time.Hour)
	b2.fire(t)
	last := (*b2.pages)[len(*b2.pages)-1]
	if last.Key != "dispatch.page_escalate" || last.Role != "commander" || last.IncidentKind != "drill" || last.DrillID != "d1" {
		t.Fatalf("%+v", last)
	}
}

func TestATaskMayBeAddedBesideThePlan(t *testing.T) {
	b := newBench(t)
	add := func(title plan.Text, role string, within int) error {
		return b.try(officer, func(tx *store.Tx) error { _, err := b.desk.Add(ctx, tx, "i1", title, role, within); return err })
	}
	title := plan.Text{ZH: "联系供应商", EN: "Call the supplier"}
	for key, err := range map[string]error{"error.required": add(plan.Text{}, "engineer", 5), "error.unknown_value": add(title, "hero", 5), "plan.bad_minutes": add(title, "engineer", -1)} {
		if !fault.Is(err, key) {
			t.Errorf("%s: %v", key, err)
		}
	}
	if err := add(title, "engineer", 0); err != nil {
		t.Fatal(err)
	}
	tasks, _ := dispatch.List(ctx, b.st.Read(), officer, "i1")
	if len(tasks) != 1 || tasks[0].Title != title || tasks[0].DueMs != 0 {
		t.Fatalf("%+v", tasks)
	}
}

func TestEveryKeyOfDispatchHasItsText(t *testing.T) {
	c, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"started", "page_overdue.subject", "page_overdue.body", "page_escalate.subject", "page_escalate.body"} {
		if !c.Has("dispatch." + k) {
			t.Error(k)
		}
	}
}
