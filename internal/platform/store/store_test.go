package store_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/platform/watch"
)

var (
	ctx   = context.Background()
	actor = store.Actor{ID: "person-a"}
)

// ledger is a recorder that writes one row an entry, and fails while err is set.
type ledger struct {
	err   error
	calls int
	got   []store.Entry
}

func (l *ledger) Append(ctx context.Context, tx bun.Tx, atMs int64, entries []store.Entry) error {
	l.calls++
	for _, e := range entries {
		if err := put(ctx, tx, "entry:"+e.ObjectID, e.Actor.ID); err != nil {
			return err
		}
	}
	l.got = append(l.got, entries...)
	return l.err
}

func put(ctx context.Context, db bun.IDB, key, actor string) error {
	_, err := db.ExecContext(ctx, `INSERT INTO idempotency (actor, idem_key, operation, request_hash, response, at_ms) VALUES (?, ?, '', '', '', 0)`, actor, key)
	return err
}

func count(t *testing.T, st *store.Store) int {
	t.Helper()
	var n int
	if err := st.Read().QueryRowContext(ctx, `SELECT COUNT(*) FROM idempotency`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func open(t *testing.T, dir string, rec store.Recorder) *store.Store {
	t.Helper()
	st, err := store.Open(ctx, storetest.With(t, store.Options{Dir: dir, Clock: clock.NewFake(time.UnixMilli(1_700_000_000_123)), Recorder: rec, Hub: watch.New()}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

func TestStateAndEntriesCommitTogetherOrNotAtAll(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		fn, rec error
		want    int
	}{
		"all is well":        {nil, nil, 2},
		"the function fails": {boom, nil, 0},
		"the recorder fails": {nil, boom, 0},
	} {
		t.Run(name, func(t *testing.T) {
			rec := &ledger{err: c.rec}
			st := open(t, t.TempDir(), rec)
			_, changed := st.Hub().Watch("topic")
			err := st.Write(ctx, actor, func(tx *store.Tx) error {
				if tx.NowMs != 1_700_000_000_123 || tx.Actor.ID != actor.ID {
					t.Errorf("the transaction's instant and actor: %d %v", tx.NowMs, tx.Actor)
				}
				tx.Touch("topic")
				tx.Record(store.Entry{Action: "a.b", ObjectID: "1"})
				return errors.Join(put(ctx, tx, "state", actor.ID), c.fn)
			})
			if (err == nil) != (c.want > 0) || err != nil && !errors.Is(err, boom) {
				t.Errorf("err = %v", err)
			}
			if n := count(t, st); n != c.want {
				t.Errorf("%d rows, want %d", n, c.want)
			}
			if c.fn != nil && rec.calls > 0 {
				t.Error("the recorder was asked although the function failed")
			}
			woken := false
			select {
			case <-changed:
				woken = true
			default:
			}
			if woken != (c.want > 0) {
				t.Errorf("watchers woken: %v", woken)
			}
		})
	}
}

func TestWatchersAreWokenOnlyWhenTheChangeCanBeRead(t *testing.T) {
	st := open(t, t.TempDir(), &ledger{})
	_, changed := st.Hub().Watch("topic")
	seen := make(chan int, 1)
	go func() {
		<-changed
		seen <- count(t, st)
	}()
	err := st.Write(ctx, actor, func(tx *store.Tx) error {
		tx.Touch("topic")
		time.Sleep(20 * time.Millisecond) // time for a wake-up that came too early
		return put(ctx, tx, "state", actor.ID)
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := <-seen; n != 1 {
		t.Errorf("the woken watcher read %d rows", n)
	}
}

func TestAnEntryWithoutARecorderRollsBack(t *testing.T) {
	st := open(t, t.TempDir(), nil)
	err := st.Write(ctx, actor, func(tx *store.Tx) error {
		tx.Record(store.Entry{Action: "a.b"})
		return put(ctx, tx, "state", actor.ID)
	})
	if err == nil || count(t, st) != 0 {
		t.Errorf("err = %v, %d rows", err, count(t, st))
	}
}

// full lets a write of more than a page find no room: SQLite is given no page more than it has, PostgreSQL says itself what
// it says of a full disk.
func full(tx *store.Tx, bytes int) error {
	q := "PRAGMA max_page_count = 1"
	if storetest.On() == storetest.Postgres {
		if q = "SELECT 1"; bytes > 8192 {
			q = "DO $$ BEGIN RAISE disk_full; END $$"
		}
	}
	_, err := tx.ExecContext(ctx, q)
	return err
}

func TestAFullDiskSaysSoAndIsSeenFromOutsideForAMinute(t *testing.T) {
	now := clock.NewFake(time.UnixMilli(1_700_000_000_123))
	st, err := store.Open(ctx, storetest.With(t, store.Options{Dir: t.TempDir(), Clock: now, Recorder: &ledger{}}))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	fill := func(bytes int) error {
		return st.Write(ctx, actor, func(tx *store.Tx) error {
			if err := full(tx, bytes); err != nil {
				return err
			}
			return put(ctx, tx, strings.Repeat("x", bytes), actor.ID)
		})
	}
	if err := st.Room(); err != nil {
		t.Errorf("before: %v", err)
	}
	err = fill(1 << 20)
	if !fault.Is(err, "store.full") || fault.KindOf(err) != fault.KindUnavailable || count(t, st) != 0 {
		t.Errorf("err = %v, %d rows", err, count(t, st))
	}
	if err := st.Room(); !fault.Is(err, "store.full") {
		t.Errorf("at once: %v", err)
	}
	now.Advance(59 * time.Second)
	if err := st.Room(); !fault.Is(err, "store.full") {
		t.Errorf("after 59 s: %v", err)
	}
	now.Advance(2 * time.Second)
	if err := errors.Join(st.Room(), fill(1)); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestABusyDatabaseIsTriedAgainAndThenSaysSo(t *testing.T) {
	st := open(t, t.TempDir(), &ledger{})
	busy := errors.New("database is locked (5) (SQLITE_BUSY)")
	tries := 0
	err := st.Write(ctx, actor, func(tx *store.Tx) error {
		tries++
		if err := put(ctx, tx, "state", actor.ID); err != nil {
			return err // a second try must find nothing of the first
		}
		if tries < 3 {
			return busy
		}
		return nil
	})
	if err != nil || tries != 3 || count(t, st) != 1 {
		t.Errorf("err = %v after %d tries, %d rows", err, tries, count(t, st))
	}
	tries = 0
	err = st.Write(ctx, actor, func(*store.Tx) error { tries++; return busy })
	if !fault.Is(err, "store.busy") || fault.KindOf(err) != fault.KindUnavailable || tries != 5 || !errors.Is(err, busy) {
		t.Errorf("err = %v after %d tries", err, tries)
	}
	tries = 0
	err = st.Write(ctx, actor, func(*store.Tx) error { tries++; return fault.Conflict("x", "test.no") })
	if !fault.Is(err, "test.no") || tries != 1 {
		t.Errorf("another error: %v after %d tries", err, tries)
	}
	gone, cancel := context.WithCancel(ctx)
	err = st.Write(gone, actor, func(*store.Tx) error { cancel(); return busy })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who left: %v", err)
	}
}

func TestTwoProcessesWriteToOneFileWithoutLosingAWrite(t *testing.T) {
	dir := t.TempDir()
	stores := []*store.Store{open(t, dir, &ledger{}), open(t, dir, &ledger{})}
	var wg sync.WaitGroup
	for i, st := range stores {
		wg.Go(func() {
			for n := range 50 {
				err := st.Write(ctx, actor, func(tx *store.Tx) error {
					return put(ctx, tx, strings.Repeat("x", n+1), actor.ID+string(rune('0'+i)))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := count(t, stores[0]); n != 100 {
		t.Errorf("%d rows, want 100", n)
	}
}

func TestAReaderCannotWrite(t *testing.T) {
	st := open(t, t.TempDir(), &ledger{})
	if err := put(ctx, st.Read(), "x", "y"); err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "-", ""), "readonly") {
		t.Errorf("err = %v", err)
	}
	if err := st.Write(ctx, actor, func(tx *store.Tx) error { return put(ctx, tx, "x", "y") }); err != nil {
		t.Errorf("the writer: %v", err)
	}
}

func TestIDsSortByTime(t *testing.T) {
	if a, b := store.NewID(1000), store.NewID(1001); a >= b || len(a) != 26 {
		t.Errorf("%s, %s", a, b)
	}
}

func TestALentTransactionComesBackToItsPerson(t *testing.T) {
	st := open(t, t.TempDir(), nil)
	if err := st.Write(t.Context(), store.Actor{ID: "p"}, func(tx *store.Tx) error {
		func() {
			defer tx.Lend(store.System("flow"))()
			if tx.Actor.ID != "system:flow" {
				t.Errorf("lent to %s", tx.Actor.ID)
			}
		}()
		if tx.Actor.ID != "p" {
			t.Errorf("came back to %s", tx.Actor.ID)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
