package due

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Handler does what a row is for. It runs inside the transaction that fires the row: what it changes
// through tx commits with the firing or not at all. It may run more than once before a commit, does
// no I/O but through tx, and obeys the deadline of ctx. An error, or a panic, takes back everything
// and the row is tried again later.
type Handler func(ctx context.Context, tx *store.Tx, r Row) error

// Options tune a worker. Zero values mean the default.
type Options struct {
	Owner          string                              // names this process in the rows; default "worker"
	Batch          int                                 // rows in one transaction at most; default 128
	Hold           time.Duration                       // a transaction takes no further row after this long; default 20 ms
	Poll           time.Duration                       // looks at least this often; default 1 s
	HandlerTimeout time.Duration                       // for one transaction; default 5 s
	RetryBase      time.Duration                       // wait after the first failed attempt, doubling; default 1 s
	RetryMax       time.Duration                       // longest such wait; default 5 min
	MaxAttempts    int                                 // then the row is failed, stays visible and is paged about; default 60
	Log            *slog.Logger                        // default: discards
	OnFired        func(r Row, lateness time.Duration) // called after the commit; default: nothing
	May            func() bool                         // whether this process fires rows now, or leaves them to newer ones; default: it does
}

func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&o.Hold, 20*time.Millisecond)
	def(&o.Poll, time.Second)
	def(&o.HandlerTimeout, 5*time.Second)
	def(&o.RetryBase, time.Second)
	def(&o.RetryMax, 5*time.Minute)
	if o.Owner == "" {
		o.Owner = "worker"
	}
	if o.Batch <= 0 {
		o.Batch = 128
	}
	if o.MaxAttempts <= 0 {
		o.MaxAttempts = 60
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OnFired == nil {
		o.OnFired = func(Row, time.Duration) {}
	}
	if o.May == nil {
		o.May = func() bool { return true }
	}
	return o
}

// Worker fires rows. Make it with New.
type Worker struct {
	st       *store.Store
	handlers map[string]Handler
	kinds    bun.ListValues // of the handlers
	o        Options
	clock    clock.Clock
	cycle    *Cycle
	batch    int   // how many rows the next transaction takes: shrinks after a failure, grows again
	seenMs   int64 // latest instant seen, to notice a clock that steps back

	mu      sync.Mutex
	cancel  context.CancelFunc
	done    chan struct{}
	stopped bool
}

// New makes a worker with one handler for each kind of row. A row of a kind without a handler is left to another
// process, one of a newer make, and paged about if none fires it.
func New(st *store.Store, handlers map[string]Handler, o Options) *Worker {
	o = o.withDefaults()
	kinds := bun.List(slices.Sorted(maps.Keys(handlers)))
	return &Worker{st: st, handlers: handlers, kinds: kinds, o: o, clock: st.Clock(), cycle: NewCycle("due", clock.Ms(st.Clock())), batch: o.Batch}
}

// Cycle is the worker's heartbeat.
func (w *Worker) Cycle() *Cycle { return w.cycle }

// Run fires rows until ctx ends or Stop is called; the transaction under way is finished first. It
// returns nil at once if the worker was stopped before, and must not be called twice.
func (w *Worker) Run(ctx context.Context) error {
	w.mu.Lock()
	if w.stopped {
		w.mu.Unlock()
		return nil
	}
	ctx, w.cancel = context.WithCancel(ctx)
	w.done = make(chan struct{})
	w.mu.Unlock()
	defer close(w.done)
	defer w.cancel()
	w.loop(ctx)
	return nil
}

// Stop ends Run and waits until it has returned. It may come before Run and more than once.
func (w *Worker) Stop() {
	w.mu.Lock()
	w.stopped = true
	cancel, done := w.cancel, w.done
	w.mu.Unlock()
	if done == nil {
		return
	}
	cancel()
	<-done
}

func (w *Worker) loop(ctx context.Context) {
	for ctx.Err() == nil {
		// The topic is taken before the table is read, so that no change falls between.
		var changed <-chan struct{}
		if hub := w.st.Hub(); hub != nil {
			_, changed = hub.Watch(Topic)
		}
		wait, err := w.round(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			w.cycle.Fail()
			w.o.Log.Error("due cycle failed", "error", err)
			// The cause is the database, so a wake-up by a write must not make this spin.
			wait, changed = w.o.Poll, nil
		} else {
			w.cycle.Beat(clock.Ms(w.clock))
		}
		timer := w.clock.After(wait)
		if clock.Ms(w.clock)-w.seenMs >= wait.Milliseconds() && err == nil {
			continue // the clock moved on between the round and the timer
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer:
		}
	}
}

// round fires all that is due and says how long to wait for the next.
func (w *Worker) round(ctx context.Context) (time.Duration, error) {
	for ctx.Err() == nil {
		now := clock.Ms(w.clock)
		if now < w.seenMs || w.seenMs == 0 {
			if err := w.repair(ctx, now); err != nil {
				return 0, err
			}
		}
		w.seenMs = now
		if !w.o.May() {
			return w.o.Poll, nil
		}
		next, err := w.next(ctx)
		if err != nil {
			return 0, err
		}
		if next == 0 || next > now {
			return w.until(next, now), nil
		}
		fired, err := w.fireBatch(ctx)
		if err != nil {
			return 0, err
		}
		retried, err := w.retry(ctx)
		if err != nil {
			return 0, err
		}
		if !fired && !retried {
			return w.o.Poll, nil // another process holds what is due
		}
		w.cycle.Beat(clock.Ms(w.clock))
	}
	return 0, ctx.Err()
}

func (w *Worker) until(next, now int64) time.Duration {
	if next == 0 {
		return w.o.Poll
	}
	return min(w.o.Poll, time.Duration(next-now)*time.Millisecond)
}

// next is when the earliest pending row wants to be looked at; 0 if there is none.
func (w *Worker) next(ctx context.Context) (ms int64, err error) {
	err = w.st.Read().NewRaw("SELECT COALESCE((SELECT next_ms FROM due WHERE state = 'pending' AND kind IN (?) ORDER BY next_ms LIMIT 1), 0)", w.kinds).Scan(ctx, &ms)
	return ms, err
}

// repair undoes what a clock that was ahead has written: a wait or a lease longer than this worker
// ever grants cannot be right, and would hold a row back for as long as the clock was ahead.
func (w *Worker) repair(ctx context.Context, now int64) error {
	return w.st.Write(ctx, store.System("due"), func(tx *store.Tx) error {
		_, err := tx.NewRaw(`UPDATE due SET next_ms = CASE WHEN due_ms > ? THEN due_ms ELSE ? END, owner = '', lease_until_ms = 0
			WHERE state = 'pending' AND next_ms > due_ms AND next_ms > ?`, now, now, now+w.longestWait().Milliseconds()).Exec(ctx)
		return err
	})
}

func (w *Worker) lease() time.Duration { return w.o.HandlerTimeout + 5*time.Second }

func (w *Worker) longestWait() time.Duration { return max(w.o.RetryMax, w.lease()) }

// backoff is the wait after the attempt with this number, counted from 1.
func (w *Worker) backoff(attempt int) time.Duration {
	d := w.o.RetryBase
	for ; attempt > 1 && d < w.o.RetryMax; attempt-- {
		d *= 2
	}
	return min(d, w.o.RetryMax)
}
