package due_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/store"
)

type pager struct {
	mu    sync.Mutex
	pages []due.Page
	fail  error
}

func (p *pager) Page(_ context.Context, page due.Page) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return "", p.fail
	}
	p.pages = append(p.pages, page)
	return fmt.Sprintf("page %d", len(p.pages)), nil
}

func (p *pager) sent() []due.Page {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]due.Page(nil), p.pages...)
}

// audit runs an auditor until the end of the test and waits until it sleeps.
func audit(t *testing.T, st *store.Store, c *clock.Fake, p due.Pager, o due.AuditOptions) *due.Auditor {
	t.Helper()
	a := due.NewAuditor(st, p, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	before := c.Waiting()
	go func() { defer close(done); a.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	until(t, "the auditor waits", func() bool { return c.Waiting() > before })
	return a
}

func TestTheAuditorPagesWithinTwoMinutesWhenTheWorkerDoesNotRun(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	set(t, st, row("a", start.UnixMilli()+1000), row("future", start.Add(time.Hour).UnixMilli()))
	p := &pager{}
	audit(t, st, c, p, due.AuditOptions{})
	for range 4 {
		c.Advance(30 * time.Second)
		time.Sleep(10 * time.Millisecond)
	}
	until(t, "a page", func() bool { return len(p.sent()) > 0 })
	g := p.sent()[0]
	if g.Source != "due" || g.Reason != due.ReasonNoAttempt || g.Count != 1 || g.Items[0].ObjectID != "a" || g.OldestMs != start.UnixMilli()+1000 || g.Times != 1 {
		t.Fatalf("%+v", g)
	}
}

func TestWhatOneNodeHasPagedAboutTheOthersDoNotAndAMatterThatComesUpAgainIsNew(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	set(t, st, row("a", start.UnixMilli()))
	one, other := &pager{}, &pager{}
	a, b := due.NewAuditor(st, one, due.AuditOptions{Node: "a"}), due.NewAuditor(st, other, due.AuditOptions{Node: "b"})
	round := func(pages, others int) {
		t.Helper()
		for _, x := range []*due.Auditor{a, b} {
			if err := x.Audit(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if len(one.sent()) != pages || len(other.sent()) != others {
			t.Fatalf("%d and %d pages, want %d and %d", len(one.sent()), len(other.sent()), pages, others)
		}
	}
	c.Advance(31 * time.Second)
	round(1, 0)
	c.Advance(14 * time.Minute)
	round(1, 0)
	c.Advance(time.Minute)
	round(2, 0)
	// It is done after all; the same row late once more is a new matter and does not wait.
	due1 := func(at time.Time) {
		t.Helper()
		set(t, st, row("a", at.UnixMilli()))
	}
	due1(c.Now().Add(time.Minute))
	round(2, 0)
	c.Advance(time.Minute + 31*time.Second)
	round(3, 0)
	// A loop that hangs is the matter of its own node.
	cycle := due.NewCycle("due", c.Now().UnixMilli())
	a = due.NewAuditor(st, one, due.AuditOptions{Node: "a", Watch: []*due.Cycle{cycle}})
	b = due.NewAuditor(st, other, due.AuditOptions{Node: "b", Watch: []*due.Cycle{cycle}})
	round(3, 0)
	c.Advance(61 * time.Second)
	round(4, 1)
}

func TestTheAuditorIsSilentWhenTheWorkerDoesItsWork(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	for i := range 50 {
		set(t, st, row(fmt.Sprint(i), start.Add(time.Duration(i*6)*time.Second).UnixMilli()))
	}
	w := run(t, st, map[string]due.Handler{"note": noteEffect}, due.Options{})
	p := &pager{}
	a := audit(t, st, c, p, due.AuditOptions{Watch: []*due.Cycle{w.Cycle()}})
	for range 60 { // five minutes, five seconds at a time, each caught up with
		c.Advance(5 * time.Second)
		until(t, "the worker has caught up", func() bool {
			b, err := due.CountBacklog(context.Background(), st.Read(), c.Now().UnixMilli())
			return err == nil && b.Overdue == 0 && w.Cycle().Age(c.Now().UnixMilli()) == 0
		})
	}
	until(t, "the auditor has looked", func() bool { return a.Cycle().Age(c.Now().UnixMilli()) <= time.Minute })
	if pages := p.sent(); len(pages) != 0 {
		t.Fatalf("%+v", pages)
	}
}

func TestTheAuditorPagesWhenTheWorkerHangsInAHandlerThatHoldsTheWritePath(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	set(t, st, row("a", start.UnixMilli()))
	inside, release := make(chan struct{}), make(chan struct{})
	w := run(t, st, map[string]due.Handler{"note": func(context.Context, *store.Tx, due.Row) error {
		close(inside)
		<-release // deaf to its context
		return nil
	}}, due.Options{HandlerTimeout: time.Minute})
	defer w.Stop()
	defer close(release)
	<-inside
	p := &pager{}
	audit(t, st, c, p, due.AuditOptions{Watch: []*due.Cycle{w.Cycle()}, Timeout: 50 * time.Millisecond})
	reasons := func() map[string]bool {
		m := map[string]bool{}
		for _, g := range p.sent() {
			m[g.Source+" "+g.Reason] = true
		}
		return m
	}
	until(t, "pages about the row and about the loop", func() bool {
		c.Advance(10 * time.Second)
		r := reasons()
		return r["due no_attempt"] && r["cycle stale"]
	})
}

func TestARowIsPagedAboutOncePerEscalationIntervalAlsoAcrossARestart(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	set(t, st, row("a", start.UnixMilli()))
	p := &pager{}
	ctx := context.Background()
	round := func(a *due.Auditor) int {
		t.Helper()
		if err := a.Audit(ctx); err != nil {
			t.Fatal(err)
		}
		return len(p.sent())
	}
	c.Advance(31 * time.Second)
	a := due.NewAuditor(st, p, due.AuditOptions{})
	if n := round(a); n != 1 {
		t.Fatalf("%d pages", n)
	}
	for range 14 {
		c.Advance(time.Minute)
		if n := round(a); n != 1 {
			t.Fatalf("%d pages within the interval", n)
		}
	}
	if n := round(due.NewAuditor(st, p, due.AuditOptions{})); n != 1 {
		t.Fatalf("%d pages: the restart paged again", n)
	}
	set(t, st, row("b", start.UnixMilli())) // a new one does not wait for the interval of the old
	if n := round(a); n != 2 || p.sent()[1].Items[0].ObjectID != "b" || p.sent()[1].Count != 1 {
		t.Fatalf("%+v", p.sent())
	}
	c.Advance(time.Minute)
	if n := round(a); n != 3 || p.sent()[2].Times != 2 || p.sent()[2].Items[0].ObjectID != "a" {
		t.Fatalf("%+v", p.sent())
	}
}

func TestAPageThatCouldNotBeSentIsSentInTheNextRound(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	set(t, st, row("a", start.UnixMilli()))
	p := &pager{fail: errors.New("line is dead")}
	a := due.NewAuditor(st, p, due.AuditOptions{})
	c.Advance(time.Minute)
	if err := a.Audit(context.Background()); !errors.Is(err, p.fail) || a.Cycle().Failures() != 1 || a.Cycle().Age(c.Now().UnixMilli()) == 0 {
		t.Fatalf("err %v: the failure must be seen from outside", err)
	}
	p.fail = nil
	if err := a.Audit(context.Background()); err != nil || len(p.sent()) != 1 {
		t.Fatalf("err %v, %d pages", err, len(p.sent()))
	}
}

func TestRealAndDrillRowsArePagedApartAndManyRowsMakeOnePage(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	rows := []due.Row{}
	for i := range 40 {
		rows = append(rows, row(fmt.Sprint(i), start.UnixMilli()+int64(i)))
	}
	drill := row("d", start.UnixMilli())
	drill.IncidentKind = due.KindDrill
	set(t, st, append(rows, drill)...)
	c.Advance(time.Minute)
	p := &pager{}
	if err := due.NewAuditor(st, p, due.AuditOptions{}).Audit(context.Background()); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, g := range p.sent() {
		counts[g.IncidentKind] += g.Count
		if len(g.Items) > 10 {
			t.Errorf("%d items on one page", len(g.Items))
		}
	}
	if len(p.sent()) != 2 || counts[due.KindReal] != 40 || counts[due.KindDrill] != 1 {
		t.Fatalf("%d pages, %v", len(p.sent()), counts)
	}
}

func TestAFailingRowAndAGivenUpRowArePagedAboutWithTheirReason(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	failing := row("failing", start.UnixMilli())
	set(t, st, failing)
	w := run(t, st, map[string]due.Handler{"note": func(context.Context, *store.Tx, due.Row) error { return errors.New("broken") }},
		due.Options{MaxAttempts: 2, RetryBase: time.Minute})
	until(t, "the failure is noted", func() bool { return get(t, st, "failing").Attempts == 1 })
	c.Advance(31 * time.Second)
	p := &pager{}
	a := due.NewAuditor(st, p, due.AuditOptions{})
	if err := a.Audit(context.Background()); err != nil || len(p.sent()) != 1 || p.sent()[0].Reason != due.ReasonFailing {
		t.Fatalf("err %v, %+v", err, p.sent())
	}
	c.Advance(time.Minute)
	until(t, "the row is given up", func() bool { return get(t, st, "failing").State == due.Failed })
	w.Stop()
	if err := a.Audit(context.Background()); err != nil || len(p.sent()) != 2 || p.sent()[1].Reason != due.ReasonGivenUp {
		t.Fatalf("err %v, %+v", err, p.sent())
	}
}

type blind struct{}

func (blind) Overdue(context.Context, int64, time.Duration) ([]due.Overdue, error) {
	return nil, errors.New("cannot read")
}

func TestASourceThatCannotBeReadIsItselfPagedAboutAndTheOthersAreStillAudited(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	set(t, st, row("a", start.UnixMilli()))
	c.Advance(time.Minute)
	p := &pager{}
	if err := due.NewAuditor(st, p, due.AuditOptions{}, blind{}).Audit(context.Background()); err == nil {
		t.Fatal("the failure was not reported")
	}
	got := map[string]bool{}
	for _, g := range p.sent() {
		got[g.Reason] = true
	}
	if !got[due.ReasonUnreadable] || !got[due.ReasonNoAttempt] {
		t.Fatalf("%+v", p.sent())
	}
}
