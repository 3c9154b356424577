// Package telemetry keeps what the gateways saw: traffic, signals and captured content, in one SQLite
// file a UTC day, or one PostgreSQL schema, so that retention is deleting one thing. Writing never blocks the path of a request and
// loses nothing in silence: what does not fit is folded and counted. Each closed segment of rows gets a
// digest that enters the record (design promises 1 and 3, section 6).
package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Vault seals small values under the key of a scope ("subject:<hmac>"), such that erasing the scope
// makes them unreadable.
type Vault interface {
	Seal(ctx context.Context, tx *store.Tx, scope string, plaintext []byte) (string, error)
	Open(ctx context.Context, db bun.IDB, scope, sealed string) ([]byte, error)
}

// Options say where telemetry lives and how it behaves. Store and Vault are required.
type Options struct {
	Store *store.Store // of the main database: settings, sealed keys, record entries
	Vault Vault
	// Pinned names the days (YYYYMMDD) that retention must keep; nil keeps none. An error keeps all.
	Pinned func(ctx context.Context) ([]string, error)

	QueueRows    int           // default 16384
	QueueBytes   int           // of captured content waiting; default 64 MiB
	BatchRows    int           // in one transaction; default 2000
	Pause        time.Duration // least time between two batches; default 50 ms; negative: none
	SegmentEvery time.Duration // default 10 min
	SegmentRows  int64         // default 100000
	Logger       *slog.Logger  // default: discards
}

// Log is the telemetry of one data folder, or this node's view of that of a database. Put and read from any goroutine; Run owns
// the writing.
type Log struct {
	o     Options
	clock clock.Clock
	shelf shelf
	q     *queue

	mu      sync.Mutex // guards changed
	changed chan struct{}

	// Used by the writer alone.
	found   recent // requests whose first capture is stored
	name    string // of this log, for batches of its own that cannot be told apart by their rows
	batches int64
	open    int64 // rows stored since it last asked for a segment to be closed

	full atomic.Bool // the open segment is to be closed at once

	hands     chan handing  // batches on their way to the writer
	ended     chan struct{} // closed when Run has ended
	urgent    chan struct{} // a Flush waits: do not pause
	segments  chan struct{} // wakes the segment worker
	settings  atomic.Pointer[settings]
	counters  counters
	lastError atomic.Pointer[string]
	past      pastMinutes
}

type counters struct {
	stored, duplicates, malformed, captured, capturesLost, failures, lost, segments, unhanded, deletedDays atomic.Int64
}

// Status is the view from outside; counters only grow while the process lives.
type Status struct {
	Day           string `json:"day"`
	QueuedRows    int    `json:"queued_rows"`
	QueuedBytes   int    `json:"queued_bytes"`
	Stored        int64  `json:"stored"`
	Aggregated    int64  `json:"aggregated"`     // rows folded because the queue was full
	CapturesLost  int64  `json:"captures_lost"`  // contents not kept: queue full, or the key could not be sealed
	Captured      int64  `json:"captured"`       //
	Duplicates    int64  `json:"duplicates"`     // rows that were handed in twice
	Malformed     int64  `json:"malformed"`      // rows with an unknown kind, stored as real
	WriteFailures int64  `json:"write_failures"` // batches that had to be tried again
	Lost          int64  `json:"lost"`           // rows that were still not writable at the end
	Segments      int64  `json:"segments"`       // closed
	Unhanded      int64  `json:"unhanded"`       // attempts since the last success to hand a segment to the record
	DeletedDays   int64  `json:"deleted_days"`
	CaptureAll    bool   `json:"capture_all"`
	RetentionDays int    `json:"retention_days"`
	Failing       string `json:"failing,omitempty"` // the last error, until a write succeeds; never holds content
}

// Open prepares the folder telemetry/ beside the main database, or finds the days inside it.
func Open(ctx context.Context, o Options) (*Log, error) {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.QueueRows, 16384)
	def(&o.QueueBytes, 64<<20)
	def(&o.BatchRows, 2000)
	if o.Pause == 0 {
		o.Pause = 50 * time.Millisecond
	}
	if o.SegmentEvery <= 0 {
		o.SegmentEvery = 10 * time.Minute
	}
	if o.SegmentRows <= 0 {
		o.SegmentRows = 100_000
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Store == nil || o.Vault == nil {
		return nil, errors.New("telemetry: Store and Vault are required")
	}
	l := &Log{o: o, clock: o.Store.Clock(), q: newQueue(o.QueueRows, o.QueueBytes), changed: make(chan struct{}),
		hands: make(chan handing), ended: make(chan struct{}), urgent: make(chan struct{}, 1), segments: make(chan struct{}, 1)}
	l.name = "log:" + store.NewID(clock.Ms(l.clock))
	l.settings.Store(&settings{days: DefaultRetentionDays})
	if err := l.readSettings(ctx); err != nil {
		return nil, err
	}
	if db := o.Store.Beside(); db != nil {
		l.shelf = &schemas{st: o.Store, db: db, clock: l.clock}
	} else {
		f, err := openFiles(ctx, o.Store, o.Logger)
		if err != nil {
			return nil, err
		}
		l.shelf = f
	}
	if err := l.closeDue(ctx, true); err != nil { // what a crash left open
		return nil, errors.Join(err, l.shelf.close())
	}
	return l, nil
}

// Close closes the files; call it after Run has returned.
func (l *Log) Close() error { return l.shelf.close() }

var kinds = map[string]bool{"real": true, "drill": true, "test": true, "backfill": true}

// PutTraffic takes a row for storing. It never blocks.
func (l *Log) PutTraffic(t Traffic) {
	l.mend(&t.Kind, &t.RequestID)
	t.Verdict, t.OrderIDs = orEmptyArray(t.Verdict), orEmptyArray(t.OrderIDs)
	l.q.put(item{traffic: &t})
}

// PutSignal takes a row for storing. It never blocks.
func (l *Log) PutSignal(s Signal) {
	l.mend(&s.Kind, &s.ID)
	s.Count, s.Subjects = 1, "[]"
	l.q.put(item{signal: &s})
}

// mend gives a row what it cannot be stored without; id may be nil.
func (l *Log) mend(kind, id *string) {
	if !kinds[*kind] {
		*kind = "real" // the safe side: it is looked at by people
		l.counters.malformed.Add(1)
	}
	if id != nil && *id == "" {
		*id = store.NewID(clock.Ms(l.clock))
	}
}

func orEmptyArray(js string) string {
	if js == "" {
		return "[]"
	}
	return js
}

// Changed gives a channel that is closed when rows are stored next. Take it, read, then wait.
func (l *Log) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

func (l *Log) bump() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
}

// Status is where telemetry stands.
func (l *Log) Status() Status {
	rows, bytes, aggregated, gone := l.q.numbers()
	set, c := l.settings.Load(), &l.counters
	s := Status{Day: Day(clock.Ms(l.clock)), QueuedRows: rows, QueuedBytes: bytes, Stored: c.stored.Load(), Aggregated: aggregated,
		CapturesLost: gone + c.capturesLost.Load(), Captured: c.captured.Load(), Duplicates: c.duplicates.Load(), Malformed: c.malformed.Load(),
		WriteFailures: c.failures.Load(), Lost: c.lost.Load(), Segments: c.segments.Load(), Unhanded: c.unhanded.Load(),
		DeletedDays: c.deletedDays.Load(), CaptureAll: set.captureAll, RetentionDays: set.days}
	if e := l.lastError.Load(); e != nil {
		s.Failing = *e
	}
	return s
}
