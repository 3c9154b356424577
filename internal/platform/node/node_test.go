package node_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/node"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/platform/watch"
)

var start = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

func open(t *testing.T, c clock.Clock) *store.Store {
	t.Helper()
	return storetest.Open(t, store.Options{Dir: t.TempDir(), Clock: c, Hub: watch.New()})
}

func join(t *testing.T, st *store.Store, id string, modules ...node.Module) *node.Keeper {
	t.Helper()
	k, err := node.New(t.Context(), st, node.Options{ID: id, Version: "v1", Modules: modules})
	if err != nil {
		t.Fatal(err)
	}
	beat(t, k)
	return k
}

func beat(t *testing.T, keepers ...*node.Keeper) {
	t.Helper()
	for _, k := range keepers {
		if err := k.Beat(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// jobs runs a job of each keeper and tells who works, and with which store.
type jobs struct {
	works map[string]chan *store.Store
	ends  map[string]chan error
}

func run(t *testing.T, module string, keepers ...*node.Keeper) jobs {
	t.Helper()
	j := jobs{map[string]chan *store.Store{}, map[string]chan error{}}
	for _, k := range keepers {
		works, ends := make(chan *store.Store, 10), make(chan error, 10)
		j.works[k.ID()], j.ends[k.ID()] = works, ends
		loop := k.Alone("job", module, func(ctx context.Context, st *store.Store) error {
			works <- st
			<-ctx.Done()
			ends <- ctx.Err()
			return ctx.Err()
		})
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- loop(ctx) }()
		t.Cleanup(func() {
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	return j
}

func (j jobs) begins(t *testing.T, id string) *store.Store {
	t.Helper()
	select {
	case st := <-j.works[id]:
		return st
	case <-time.After(10 * time.Second):
		t.Fatal(id + " does not work")
		return nil
	}
}

func (j jobs) idle(t *testing.T, id string) {
	t.Helper()
	select {
	case <-j.works[id]:
		t.Error(id + " works too")
	case <-time.After(50 * time.Millisecond):
	}
}

func (j jobs) ends1(t *testing.T, id string) {
	t.Helper()
	select {
	case <-j.ends[id]:
	case <-time.After(10 * time.Second):
		t.Fatal(id + " goes on working")
	}
}

func list(t *testing.T, st *store.Store, c clock.Clock) map[string]node.Node {
	t.Helper()
	all, err := node.List(t.Context(), st.Read(), clock.Ms(c))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]node.Node{}
	for _, n := range all {
		out[n.ID] = n
	}
	return out
}

func nothing(*store.Tx) error { return nil }

func TestOneNodeAtATimeWorksAndAnotherTakesOverWhatIsNotRenewed(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	a, b := join(t, st, "a"), join(t, st, "b")
	j := run(t, "", a, b)
	beat(t, a, b, a, b)
	first := j.begins(t, "a")
	j.idle(t, "b")
	if n := list(t, st, c); !slices.Equal(n["a"].Leases, []string{"job"}) || len(n["b"].Leases) != 0 {
		t.Errorf("%+v", n)
	}
	// It renews, so it keeps the work for as long as it likes.
	for range 10 {
		c.Advance(5 * time.Second)
		beat(t, b, a)
	}
	j.idle(t, "b")
	if err := first.Write(t.Context(), store.System("test"), nothing); err != nil {
		t.Errorf("the holder writes: %v", err)
	}
	// It is not heard of: not before the lease has ended does another take it.
	c.Advance(15 * time.Second)
	beat(t, b)
	j.idle(t, "b")
	c.Advance(time.Millisecond)
	beat(t, b)
	second := j.begins(t, "b")
	// The first has not noticed, and changes nothing any more.
	if err := first.Write(t.Context(), store.System("test"), nothing); !fault.Is(err, "node.lease_lost") {
		t.Errorf("who was taken for dead writes: %v", err)
	}
	if err := st.Write(t.Context(), store.System("test"), nothing); err != nil {
		t.Errorf("what is not under the lease: %v", err)
	}
	beat(t, a)
	j.ends1(t, "a")
	j.idle(t, "a")
	if err := second.Write(t.Context(), store.System("test"), nothing); err != nil {
		t.Errorf("the new holder writes: %v", err)
	}
}

func TestALeaseFencesByItsEpochAlsoWhenTheSameNodeHasItAgain(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	a, b := join(t, st, "a"), join(t, st, "b")
	j := run(t, "", a, b)
	beat(t, a)
	old := j.begins(t, "a")
	c.Advance(16 * time.Second)
	beat(t, b)
	j.begins(t, "b")
	c.Advance(16 * time.Second)
	beat(t, a)
	now := j.begins(t, "a")
	if err := old.Write(t.Context(), store.System("test"), nothing); !fault.Is(err, "node.lease_lost") {
		t.Errorf("its work of before: %v", err)
	}
	if err := now.Write(t.Context(), store.System("test"), nothing); err != nil {
		t.Error(err)
	}
}

func TestANodeThatStartsAgainHasItsLeasesAtOnceAndOneThatLeavesGivesThemBack(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	a := join(t, st, "a")
	j := run(t, "", a)
	beat(t, a)
	j.begins(t, "a")
	again := join(t, st, "a") // killed, and started again within a moment
	j2 := run(t, "", again)
	beat(t, again)
	j2.begins(t, "a")

	b := join(t, st, "b")
	j3 := run(t, "", b)
	beat(t, b)
	j3.idle(t, "b")
	ctx, stop := context.WithCancel(t.Context())
	c2 := clock.NewFake(start)
	last := open(t, c2)
	d, e := join(t, last, "d"), join(t, last, "e")
	j4 := run(t, "", e)
	wrote := make(chan error, 1)
	loop := d.Alone("job", "", func(ctx context.Context, st *store.Store) error {
		<-ctx.Done()
		wrote <- st.Write(context.WithoutCancel(ctx), store.System("test"), nothing)
		return ctx.Err()
	})
	done := make(chan error, 2)
	go func() { done <- d.Run(ctx) }()
	go func() { done <- loop(ctx) }()
	for list(t, last, c2)["d"].Leases == nil || len(list(t, last, c2)["d"].Leases) == 0 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond)
	stop()
	if err := errors.Join(<-done, <-done); err != nil {
		t.Fatal(err)
	}
	if err := <-wrote; err != nil {
		t.Errorf("the last write of who leaves: %v", err)
	}
	beat(t, e)
	j4.begins(t, "e")
	if n := list(t, last, c2)["d"]; n.State != node.Left || n.LeftMs == 0 || len(n.Leases) != 0 {
		t.Errorf("%+v", n)
	}
}

func TestANodeThatIsNotHeardOfIsGonePagedAboutAndForgotten(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	a, b := join(t, st, "a"), join(t, st, "b")
	missing := func() int {
		t.Helper()
		found, err := node.Missing{Read: st.Read()}.Overdue(t.Context(), clock.Ms(c), 0)
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	c.Advance(30 * time.Second)
	beat(t, b)
	if n := list(t, st, c); n["a"].State != node.Serving || missing() != 0 {
		t.Errorf("after thirty seconds: %+v, %d missing", n["a"], missing())
	}
	c.Advance(time.Millisecond)
	if n := list(t, st, c); n["a"].State != node.Gone || n["b"].State != node.Serving || missing() != 1 {
		t.Errorf("a moment later: %+v, %d missing", n["a"], missing())
	}
	beat(t, a)
	if n := list(t, st, c); n["a"].State != node.Serving || missing() != 0 {
		t.Errorf("back again: %+v", n["a"])
	}
	c.Advance(time.Hour + time.Second)
	beat(t, b)
	if missing() != 0 {
		t.Error("one that stays away is paged about for ever")
	}
	c.Advance(24 * time.Hour)
	beat(t, b)
	if n := list(t, st, c); len(n) != 1 {
		t.Errorf("%+v", n)
	}
}

func TestAnOldNodeLeavesToNewerOnesWhatItDoesNotUnderstandAndSaysSo(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	old := join(t, st, "old", node.Module{Name: "due", Version: 1, Beside: 1}, node.Module{Name: "outbox", Version: 1, Beside: 1})
	j := run(t, "due", old)
	beat(t, old)
	held := j.begins(t, "old")
	if !old.May("due") || old.Behind() != nil {
		t.Errorf("alone it does everything: %v", old.Behind())
	}
	// A newer one beside which the old may go on changes nothing.
	join(t, st, "mild", node.Module{Name: "due", Version: 2, Beside: 1})
	if beat(t, old); !old.May("due") {
		t.Error("what the newer one bears was left to it")
	}
	young := join(t, st, "young", node.Module{Name: "due", Version: 2, Beside: 2}, node.Module{Name: "outbox", Version: 1, Beside: 1})
	j2 := run(t, "due", young)
	beat(t, old)
	if old.May("due") || !old.May("outbox") || old.Behind() == nil || !strings.Contains(old.Behind().Error(), "due") || strings.Contains(old.Behind().Error(), "outbox") {
		t.Errorf("the old one: due %v, outbox %v, %v", old.May("due"), old.May("outbox"), old.Behind())
	}
	j.ends1(t, "old")
	beat(t, young)
	j2.begins(t, "young")
	if err := held.Write(t.Context(), store.System("test"), nothing); !fault.Is(err, "node.lease_lost") {
		t.Errorf("the old one writes: %v", err)
	}
	if n := list(t, st, c); !slices.Equal(n["old"].Behind, []string{"due"}) || len(n["young"].Behind) != 0 {
		t.Errorf("%+v", n)
	}
	// What was needed once stays so: rows of the newer make may be there although it is not.
	again, err := node.New(t.Context(), st, node.Options{ID: "old", Modules: []node.Module{{Name: "due", Version: 1, Beside: 1}}})
	if err != nil || again.May("due") {
		t.Errorf("after a restart, and before its first round, it does what it does not understand: %v", err)
	}
}

func TestANodeServesWithoutABreakSinceItWasEntered(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	serves := func(id string, since time.Time) bool {
		t.Helper()
		ok, err := node.Serves(t.Context(), st.Read(), id, since.UnixMilli(), clock.Ms(c))
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if _, err := node.New(t.Context(), st, node.Options{ID: "a"}); err != nil || serves("a", c.Now()) {
		t.Errorf("one that never ran is shown as serving: %v", err)
	}
	a := join(t, st, "a")
	if serves("a", c.Now().Add(-time.Second)) || !serves("a", c.Now()) || serves("b", c.Now()) || serves("", c.Now()) {
		t.Error("what began before it")
	}
	c.Advance(20 * time.Second)
	began := c.Now()
	beat(t, a)
	if !serves("a", began) {
		t.Error("it goes on")
	}
	c.Advance(time.Second)
	join(t, st, "a")
	if serves("a", began) {
		t.Error("it was started again since")
	}
}

func TestANameIsCheckedBeforeItIsUsed(t *testing.T) {
	for name, ok := range map[string]bool{"gateway-1": true, "n2.example": true, "": false, "A": false, "-a": false, "a b": false, strings.Repeat("a", 63): true, strings.Repeat("a", 64): false} {
		if err := node.Check(name); (err == nil) != ok || err != nil && !fault.Is(err, "node.name") {
			t.Errorf("%q: %v", name, err)
		}
	}
}
