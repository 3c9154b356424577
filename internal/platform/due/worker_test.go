package due_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/platform/watch"
)

func noteEffect(ctx context.Context, tx *store.Tx, r due.Row) error {
	_, err := tx.NewRaw("INSERT INTO effect (object_id, at_ms) VALUES (?, ?)", r.ObjectID, tx.NowMs).Exec(ctx)
	return err
}

// run starts a worker and stops it at the end of the test.
func run(t testing.TB, st *store.Store, handlers map[string]due.Handler, o due.Options) *due.Worker {
	t.Helper()
	w := due.New(st, handlers, o)
	done := make(chan struct{})
	go func() { defer close(done); w.Run(context.Background()) }()
	t.Cleanup(func() { w.Stop(); <-done })
	return w
}

// wake makes idle workers look again, as a write by another part would.
func wake(st *store.Store) { st.Hub().Bump(due.Topic) }

func get(t testing.TB, st *store.Store, objectID string) due.Row {
	t.Helper()
	rows := list(t, st, due.Filter{ObjectID: objectID})
	if len(rows) != 1 {
		t.Fatalf("%d rows for %s", len(rows), objectID)
	}
	return rows[0]
}

func TestARowFiresAtItsTimeOnceAndNotBefore(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	set(t, st, row("a", start.Add(time.Minute).UnixMilli()), row("sentinel", start.UnixMilli()))
	late := make(chan time.Duration, 10)
	run(t, st, map[string]due.Handler{"note": noteEffect}, due.Options{OnFired: func(_ due.Row, d time.Duration) { late <- d }})
	until(t, "the sentinel fires", func() bool { return effects(t, st, "sentinel") == 1 })
	if effects(t, st, "a") != 0 {
		t.Fatal("fired before its time")
	}
	c.Advance(time.Minute + 5*time.Millisecond)
	until(t, "the row fires", func() bool { return get(t, st, "a").State == due.Fired })
	wake(st)
	set(t, st, row("sentinel", c.Now().UnixMilli()))
	until(t, "another round has passed", func() bool { return effects(t, st, "sentinel") == 2 })
	r := get(t, st, "a")
	if n := effects(t, st, "a"); n != 1 || r.Attempts != 1 || r.FiredMs != c.Now().UnixMilli() || r.FirstAttemptMs != r.FiredMs {
		t.Fatalf("%d effects, row %+v", n, r)
	}
	if <-late; <-late != 5*time.Millisecond {
		t.Fatal("lateness was not reported")
	}
}

func TestSettingARowWakesTheWorkerWithoutWaitingForItsPoll(t *testing.T) {
	c := clock.NewFake(start) // stands still: only the topic can wake the worker
	st := open(t, c)
	run(t, st, map[string]due.Handler{"note": noteEffect}, due.Options{})
	until(t, "the worker is idle", func() bool { return c.Waiting() > 0 })
	set(t, st, row("a", start.UnixMilli()))
	until(t, "the row fires", func() bool { return effects(t, st, "a") == 1 })
}

func TestWithoutAHubTheWorkerStillLooksEachSecond(t *testing.T) {
	c := clock.NewFake(start)
	st, err := store.Open(context.Background(), storetest.With(t, store.Options{Dir: t.TempDir(), Clock: c}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	makeEffects(t, st)
	run(t, st, map[string]due.Handler{"note": noteEffect}, due.Options{})
	until(t, "the worker is idle", func() bool { return c.Waiting() > 0 })
	set(t, st, row("a", start.UnixMilli()))
	c.Advance(time.Second)
	until(t, "the row fires", func() bool { return effects(t, st, "a") == 1 })
}

func TestAHandlerThatErrsLeavesNothingBehindButItsAttemptAndIsTriedAgain(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	set(t, st, row("a", start.UnixMilli()))
	var calls atomic.Int32
	run(t, st, map[string]due.Handler{"note": func(ctx context.Context, tx *store.Tx, r due.Row) error {
		if err := noteEffect(ctx, tx, r); err != nil {
			return err
		}
		if calls.Add(1) < 3 {
			return errors.New("not yet")
		}
		return nil
	}}, due.Options{RetryBase: 10 * time.Second})
	until(t, "the failure is noted", func() bool { return get(t, st, "a").Attempts == 1 })
	r := get(t, st, "a")
	if r.State != due.Pending || r.LastError != "not yet" || r.NextMs != start.UnixMilli()+10_000 || r.FirstAttemptMs != start.UnixMilli() || effects(t, st, "a") != 0 {
		t.Fatalf("%+v, %d effects", r, effects(t, st, "a"))
	}
	c.Advance(10 * time.Second)
	until(t, "the second failure is noted", func() bool { r = get(t, st, "a"); return r.Attempts == 2 && r.LastError != "" && r.Owner == "" })
	if r.NextMs != start.UnixMilli()+30_000 || r.FirstAttemptMs != start.UnixMilli() {
		t.Fatalf("the wait did not double, or the first attempt moved: %+v", r)
	}
	c.Advance(20 * time.Second)
	until(t, "the row fires", func() bool { return get(t, st, "a").State == due.Fired })
	if r = get(t, st, "a"); r.Attempts != 3 || r.LastError != "" || effects(t, st, "a") != 1 {
		t.Fatalf("%+v, %d effects", r, effects(t, st, "a"))
	}
}

func TestBadRowsDoNotHoldBackOrSpoilTheOthersOfTheirBatch(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	var rows []due.Row
	bad := map[string]bool{}
	for i := range 300 {
		id := fmt.Sprintf("r%03d", i)
		bad[id] = i%7 == 3
		rows = append(rows, row(id, start.UnixMilli()-int64(300-i)))
	}
	unknown := row("unknown", start.UnixMilli()-150)
	unknown.Kind = "nobody knows"
	panicky := row("panicky", start.UnixMilli()-100)
	panicky.Kind = "panic"
	set(t, st, append(rows, unknown, panicky)...)
	run(t, st, map[string]due.Handler{
		"panic": func(context.Context, *store.Tx, due.Row) error { panic("oh no") },
		"note": func(ctx context.Context, tx *store.Tx, r due.Row) error {
			if err := noteEffect(ctx, tx, r); err != nil {
				return err
			}
			if bad[r.ObjectID] {
				return errors.New("bad row")
			}
			return nil
		},
	}, due.Options{})
	until(t, "every row was attempted", func() bool {
		for _, r := range list(t, st, due.Filter{Limit: 1000}) {
			if r.Attempts == 0 && r.ObjectID != "unknown" {
				return false
			}
		}
		return true
	})
	for _, r := range list(t, st, due.Filter{Limit: 1000}) {
		want, n := due.Fired, 1
		if r.Kind != "note" || bad[r.ObjectID] {
			want, n = due.Pending, 0
		}
		if r.State != want || effects(t, st, r.ObjectID) != n {
			t.Fatalf("row %+v has %d effects", r, effects(t, st, r.ObjectID))
		}
	}
	if r := get(t, st, "unknown"); r.Attempts != 0 || r.Owner != "" { // left to a newer process, and paged about meanwhile
		t.Fatalf("%+v", r)
	}
	if r := get(t, st, "panicky"); r.LastError != "panic: oh no" {
		t.Fatalf("%+v", r)
	}
}

func TestARowCancelledOrMovedByAnEarlierRowOfItsBatchDoesNotFire(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	at := start.UnixMilli()
	first := row("first", at-3)
	first.Kind = "stop the others"
	set(t, st, first, row("cancelled", at-2), row("moved", at-1), row("kept", at))
	run(t, st, map[string]due.Handler{"note": noteEffect, "stop the others": func(ctx context.Context, tx *store.Tx, _ due.Row) error {
		return errors.Join(due.Cancel(ctx, tx, "note", "cancelled"), due.Set(ctx, tx, row("moved", at+60_000)))
	}}, due.Options{})
	until(t, "the last row fires", func() bool { return effects(t, st, "kept") == 1 })
	if effects(t, st, "cancelled") != 0 || effects(t, st, "moved") != 0 || get(t, st, "cancelled").State != due.Cancelled || get(t, st, "moved").State != due.Pending {
		t.Fatal("a row fired that an earlier one had cancelled or moved")
	}
}

func TestAHandlerMaySetItsOwnRowToALaterTime(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	set(t, st, row("a", start.UnixMilli()))
	run(t, st, map[string]due.Handler{"note": func(ctx context.Context, tx *store.Tx, r due.Row) error {
		if err := noteEffect(ctx, tx, r); err != nil {
			return err
		}
		r.DueMs += time.Hour.Milliseconds()
		return due.Set(ctx, tx, r)
	}}, due.Options{})
	for i := 1; i <= 3; i++ {
		until(t, "the row fires", func() bool { return effects(t, st, "a") == i })
		c.Advance(time.Hour)
		wake(st)
	}
}

func TestSettingAFiredRowAtTheSameTimeDoesNotFireItAgain(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	set(t, st, row("a", start.UnixMilli()))
	run(t, st, map[string]due.Handler{"note": noteEffect}, due.Options{})
	until(t, "the row fires", func() bool { return effects(t, st, "a") == 1 })
	again := row("a", start.UnixMilli())
	again.Payload = `{"told":"twice"}`
	set(t, st, again, row("sentinel", start.UnixMilli()))
	until(t, "the sentinel fires", func() bool { return effects(t, st, "sentinel") == 1 })
	if effects(t, st, "a") != 1 || get(t, st, "a").State != due.Fired {
		t.Fatal("it fired again")
	}
}

func TestARowGivenUpStaysVisibleUntilAPersonRetriesIt(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	set(t, st, row("a", start.UnixMilli()))
	var mended atomic.Bool
	run(t, st, map[string]due.Handler{"note": func(ctx context.Context, tx *store.Tx, r due.Row) error {
		if !mended.Load() {
			return errors.New("broken")
		}
		return noteEffect(ctx, tx, r)
	}}, due.Options{MaxAttempts: 2, RetryBase: time.Second})
	until(t, "the failure is noted", func() bool { return get(t, st, "a").Attempts == 1 })
	c.Advance(time.Second)
	until(t, "the row is given up", func() bool { return get(t, st, "a").State == due.Failed })
	mended.Store(true)
	c.Advance(time.Hour)
	set(t, st, row("sentinel", start.UnixMilli()))
	until(t, "the sentinel fires", func() bool { return effects(t, st, "sentinel") == 1 })
	id := get(t, st, "a").ID
	if effects(t, st, "a") != 0 {
		t.Fatal("a row given up was tried again by itself")
	}
	write(t, st, func(tx *store.Tx) error { return due.Retry(context.Background(), tx, id) })
	until(t, "the row fires", func() bool { return effects(t, st, "a") == 1 })
	err := st.Write(context.Background(), store.System("test"), func(tx *store.Tx) error { return due.Retry(context.Background(), tx, id) })
	if !fault.Is(err, "due.no_failed_row") {
		t.Fatalf("a fired row was retried: %v", err)
	}
}

func TestAClockThatStepsBackDoesNotDelayARetryByTheStep(t *testing.T) {
	c := clock.NewFake(start.Add(24 * time.Hour)) // a day ahead
	st := open(t, c)
	set(t, st, row("a", start.UnixMilli()))
	var calls atomic.Int32
	run(t, st, map[string]due.Handler{"note": func(ctx context.Context, tx *store.Tx, r due.Row) error {
		if calls.Add(1) == 1 {
			return errors.New("not yet")
		}
		return noteEffect(ctx, tx, r)
	}}, due.Options{RetryBase: time.Minute, RetryMax: time.Hour})
	until(t, "the failure is noted", func() bool { return get(t, st, "a").Attempts == 1 })
	c.Set(start.Add(time.Minute)) // set right
	wake(st)
	until(t, "the row fires", func() bool { return effects(t, st, "a") == 1 })
}

func TestAClockThatLeapsForwardFiresWhatItPassedEachOnce(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	for i := range 20 {
		set(t, st, row(fmt.Sprint(i), start.Add(time.Duration(i+1)*time.Hour).UnixMilli()))
	}
	run(t, st, map[string]due.Handler{"note": noteEffect}, due.Options{})
	until(t, "the worker is idle", func() bool { return c.Waiting() > 0 })
	c.Advance(10*time.Hour + time.Minute)
	until(t, "ten rows fire", func() bool { return len(list(t, st, due.Filter{States: []due.State{due.Fired}})) == 10 })
	c.Set(start) // and back: what has fired stays fired
	wake(st)
	c.Advance(10*time.Hour + time.Minute)
	set(t, st, row("sentinel", start.UnixMilli()))
	until(t, "the sentinel fires", func() bool { return effects(t, st, "sentinel") == 1 })
	for i := range 20 {
		if want := map[bool]int{true: 1, false: 0}[i < 10]; effects(t, st, fmt.Sprint(i)) != want {
			t.Fatalf("row %d has %d effects", i, effects(t, st, fmt.Sprint(i)))
		}
	}
}

type recorder struct {
	mu      sync.Mutex
	objects []string
	refuse  string
}

func (r *recorder) Append(_ context.Context, _ bun.Tx, _ int64, entries []store.Entry) error {
	for _, e := range entries {
		if e.ObjectID == r.refuse {
			return errors.New("the record refuses")
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range entries {
		r.objects = append(r.objects, e.ObjectID)
	}
	return nil
}

func TestEntriesOfARowThatFailsAreNotRecordedAndOneThatTheRecordRefusesStopsNobodyElse(t *testing.T) {
	c, rec := clock.NewFake(start), &recorder{refuse: "refused"}
	st, err := store.Open(context.Background(), storetest.With(t, store.Options{Dir: t.TempDir(), Clock: c, Hub: watch.New(), Recorder: rec}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	makeEffects(t, st)
	at := start.UnixMilli()
	set(t, st, row("good 1", at-4), row("bad", at-3), row("good 2", at-2), row("refused", at-1), row("good 3", at))
	w := run(t, st, map[string]due.Handler{"note": func(ctx context.Context, tx *store.Tx, r due.Row) error {
		tx.Record(store.Entry{Action: "test.note", ObjectKind: "thing", ObjectID: r.ObjectID})
		if r.ObjectID == "bad" {
			return errors.New("bad row")
		}
		return noteEffect(ctx, tx, r)
	}}, due.Options{})
	until(t, "every row was attempted", func() bool {
		for _, r := range list(t, st, due.Filter{}) {
			if r.Attempts == 0 {
				return false
			}
		}
		return true
	})
	w.Stop()
	if got := strings.Join(rec.objects, ","); got != "good 1,good 2,good 3" {
		t.Fatalf("recorded %s", got)
	}
	if effects(t, st, "refused") != 0 || get(t, st, "refused").State != due.Pending || get(t, st, "bad").State != due.Pending {
		t.Fatal("a row fired without its entry")
	}
}

func TestATransactionThatLastsTooLongGivesTheRestBack(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	var rows []due.Row
	for i := range 10 {
		rows = append(rows, row(fmt.Sprint(i), start.UnixMilli()))
	}
	set(t, st, rows...)
	var mu sync.Mutex
	commits := map[int64]int{}
	run(t, st, map[string]due.Handler{"note": func(ctx context.Context, tx *store.Tx, r due.Row) error {
		mu.Lock()
		commits[tx.NowMs]++
		mu.Unlock()
		c.Advance(15 * time.Millisecond) // each row is slow
		return noteEffect(ctx, tx, r)
	}}, due.Options{Hold: 20 * time.Millisecond})
	until(t, "all rows fire", func() bool { return len(list(t, st, due.Filter{States: []due.State{due.Fired}})) == 10 })
	for _, r := range rows {
		if effects(t, st, r.ObjectID) != 1 {
			t.Fatalf("row %s has %d effects", r.ObjectID, effects(t, st, r.ObjectID))
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(commits) != 5 {
		t.Fatalf("%d transactions, want 5 of two rows each: %v", len(commits), commits)
	}
}

func TestStopMayComeBeforeRunAndTwiceAndWaitsForTheTransactionUnderWay(t *testing.T) {
	st := open(t, clock.NewFake(start))
	early := due.New(st, nil, due.Options{})
	early.Stop()
	if err := early.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	early.Stop()

	set(t, st, row("a", start.UnixMilli()))
	inside, release := make(chan struct{}), make(chan struct{})
	w := run(t, st, map[string]due.Handler{"note": func(ctx context.Context, tx *store.Tx, r due.Row) error {
		close(inside)
		<-release
		return noteEffect(ctx, tx, r)
	}}, due.Options{})
	<-inside
	stopped := make(chan struct{})
	go func() { w.Stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Fatal("stopped while a transaction was under way")
	case <-time.After(30 * time.Millisecond):
	}
	close(release)
	<-stopped
	w.Stop()
	if get(t, st, "a").State != due.Fired || effects(t, st, "a") != 1 {
		t.Fatal("the transaction under way was lost")
	}
}

func TestTwoWorkersOnOneDatabaseFireEachRowOnce(t *testing.T) {
	c := clock.NewFake(start)
	dir := t.TempDir()
	var stores []*store.Store
	for range 2 {
		st, err := store.Open(context.Background(), storetest.With(t, store.Options{Dir: dir, Clock: c, Hub: watch.New()}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { st.Close() })
		stores = append(stores, st)
	}
	makeEffects(t, stores[0])
	var rows []due.Row
	for i := range 500 {
		rows = append(rows, row(fmt.Sprint(i), start.UnixMilli()))
	}
	set(t, stores[0], rows...)
	for i, st := range stores {
		run(t, st, map[string]due.Handler{"note": func(ctx context.Context, tx *store.Tx, r due.Row) error {
			if r.ObjectID == "250" && r.Attempts == 1 {
				return errors.New("the first attempt fails")
			}
			return noteEffect(ctx, tx, r)
		}}, due.Options{Owner: fmt.Sprint("worker ", i), Batch: 16})
	}
	until(t, "all rows but one fire", func() bool {
		return len(list(t, stores[0], due.Filter{States: []due.State{due.Fired}, Limit: 1000})) >= 499
	})
	c.Advance(time.Second)
	until(t, "the last row fires", func() bool { return effects(t, stores[0], "250") == 1 })
	for i := range 500 {
		if n := effects(t, stores[0], fmt.Sprint(i)); n != 1 {
			t.Fatalf("row %d has %d effects", i, n)
		}
	}
}

func TestTheBacklogIsCountedWithoutReadingARow(t *testing.T) {
	st := open(t, clock.NewFake(start))
	plan := storetest.Plan(t, st.Read(), strings.ReplaceAll(due.CountBacklogSQL, "?", "5"))
	if !plan.Uses("due_open") || !strings.Contains(string(plan), "due_next") || plan.Scans("due\n") {
		t.Error(plan)
	}
}

func TestTheQueriesOfEachRoundUseAnIndex(t *testing.T) {
	st := open(t, clock.NewFake(start))
	for name, q := range map[string]string{
		"due_next":    "SELECT id FROM due WHERE state = 'pending' AND attempts = 0 AND next_ms <= 5 ORDER BY next_ms LIMIT 9",
		"due_open":    due.OverdueRowsSQL,
		"due_put_off": "SELECT id FROM due WHERE state = 'pending' AND next_ms > due_ms AND next_ms > 5",
		// Else each round would read all that is overdue: after a long stop, for every batch again.
		"due_retry": "SELECT id FROM due WHERE state = 'pending' AND attempts > 0 AND next_ms <= 5 AND lease_until_ms <= 5 AND kind IN ('a', 'b') ORDER BY next_ms LIMIT 1",
	} {
		if plan := storetest.Plan(t, st.Read(), strings.ReplaceAll(q, "?", "5")); !plan.Uses(name) || plan.Sorts() {
			t.Errorf("%s: %s", name, plan)
		}
	}
	// Nor does a batch that gives its rest back read all that waits. PostgreSQL takes any index of an empty table.
	if storetest.On() == storetest.Postgres {
		return
	}
	if plan := storetest.Plan(t, st.Read(), strings.ReplaceAll(due.GiveBackSQL, "?", "'5'")); strings.Contains(string(plan), "due_next") || plan.Scans("due") {
		t.Error(plan)
	}
}
