// Package store is the only way to change anything: Store.Write runs one function in one
// transaction in which state, record entries, due rows and outgoing messages commit together.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/trace"
	"github.com/fengsui/fengsui/internal/platform/watch"
)

// MainFile is the name of the main database inside the data folder, where that is SQLite.
const MainFile = "fengsui.db"

// TopicRecord is touched by every transaction that appends to the record.
const TopicRecord = "record"

// Recorder appends entries to the record inside the transaction that they describe. It is called
// last, just before the commit, so that the head row is locked for the shortest time.
type Recorder interface {
	Append(ctx context.Context, tx bun.Tx, atMs int64, entries []Entry) error
}

// Options say where the data lives and who keeps the record.
type Options struct {
	Dir      string      // the data folder; created with mode 0700
	Database string      // "postgres://…": the main database; "" is SQLite in the data folder
	Clock    clock.Clock // the one clock
	Recorder Recorder    // nil only in tests of packages that append no entry
	Hub      *watch.Hub  // woken after a commit for every touched topic; may be nil

	OnWrite func(took time.Duration, err error) // called after each Write, for metrics; may be nil
	Tracer  *trace.Tracer                       // nil: no traces

	schema fs.FS // the schema changes of a program of another age, in tests; nil for this one's
}

// Store is the main database: one writer connection, a pool of readers.
type Store struct {
	w, r     *bun.DB
	pg       *postgres // nil on SQLite
	clock    clock.Clock
	recorder Recorder
	hub      *watch.Hub
	dir      string
	onWrite  func(time.Duration, error)
	tracer   *trace.Tracer
	guard    func(ctx context.Context, tx *Tx) error // nil but in a guarded view
	fullMs   *atomic.Int64                           // when a write last found the disk full; 0 for never
}

// Open opens or creates the main database, in o.Dir or where o.Database says, and brings its schema up to date.
// A newer schema is left as it is if it lets programs of this age work on it: see schema.go.
// Errors: fault kind unavailable with store.old_sqlite, store.newer_schema, store.older_nodes, store.old_postgres or
// store.collation; fault kind invalid store.bad_database; fault kind conflict store.elsewhere, store.here or store.moving; else I/O errors.
func Open(ctx context.Context, o Options) (*Store, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := o.placed(); err != nil {
		return nil, err
	}
	if o.Database != "" {
		return openPostgres(ctx, o)
	}
	path := filepath.Join(o.Dir, MainFile)
	w, err := OpenSQLite(ctx, path, Durable, 1)
	if err != nil {
		return nil, err
	}
	if err := o.migrate(ctx, goose.DialectSQLite3, w); err != nil {
		w.Close()
		return nil, err
	}
	r, err := openSQLite(ctx, path, Durable, 8, "query_only(1)") // a reader that writes by mistake fails
	if err != nil {
		w.Close()
		return nil, err
	}
	return o.store(w, r), nil
}

func (o Options) store(w, r *bun.DB) *Store {
	return &Store{w: w, r: r, clock: o.Clock, recorder: o.Recorder, hub: o.Hub, dir: o.Dir, onWrite: o.OnWrite, tracer: o.Tracer, fullMs: new(atomic.Int64)}
}

// Guarded is a view of the same store for work that may be taken away from this process: each write through it
// begins with guard, in its own transaction, and an error of guard ends it. It is not closed.
func (s *Store) Guarded(guard func(ctx context.Context, tx *Tx) error) *Store {
	g := *s
	g.guard = guard
	return &g
}

// Close closes both pools.
func (s *Store) Close() error {
	if s.pg != nil {
		s.pg.close()
	}
	return errors.Join(s.r.Close(), s.w.Close())
}

// Dir is the data folder.
func (s *Store) Dir() string { return s.dir }

// Clock is the store's clock, the one by which due times are judged: on PostgreSQL, the machine's corrected
// to the database's.
func (s *Store) Clock() clock.Clock { return s.clock }

// Hub wakes watchers after commits; nil if none was given.
func (s *Store) Hub() *watch.Hub { return s.hub }

// Read is the pool of read connections. Nothing may be written through it.
func (s *Store) Read() bun.IDB { return s.r }

// Write runs fn in one transaction as actor. All that fn did through tx commits together or not at
// all. fn may run more than once and must do no I/O but through tx. No other Write, of this process or
// another, runs between its first statement and its commit. Errors of fn come back as they are; a
// database that stays locked or away is fault store.busy, a full disk is fault store.full, and a commit of
// which nobody can say whether it took place is fault store.unknown.
func (s *Store) Write(ctx context.Context, actor Actor, fn func(tx *Tx) error) (err error) {
	if s.onWrite != nil {
		defer func(began time.Time) { s.onWrite(s.clock.Now().Sub(began), err) }(s.clock.Now())
	}
	ctx, span := s.tracer.Inside(ctx, "store.write")
	defer func() { span.End(err) }()
	for again := (patience{}); ; {
		var tx *Tx
		tx, err = s.try(ctx, actor, fn)
		if err == nil {
			span.Count("entries", int64(len(tx.entries)))
			if s.hub != nil && len(tx.topics) > 0 {
				s.hub.Bump(tx.topics...)
			}
			return nil
		}
		if isFull(err) {
			s.fullMs.Store(clock.Ms(s.clock))
			return fault.Unavailable("store.full").Because(err)
		}
		wait, ok := again.after(err)
		if wait == 0 {
			return err
		}
		if !ok {
			return fault.Unavailable("store.busy").Because(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

func (s *Store) try(ctx context.Context, actor Actor, fn func(tx *Tx) error) (*Tx, error) {
	btx, err := s.w.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer btx.Rollback() //nolint:errcheck // after a commit it only says that the transaction is done
	var t turn
	if s.pg != nil {
		if t, err = s.pg.enter(ctx, btx); err != nil {
			return nil, err
		}
	}
	tx := &Tx{Tx: btx, Actor: actor, NowMs: clock.Ms(s.clock)}
	if s.guard != nil {
		if err := s.guard(ctx, tx); err != nil {
			return nil, err
		}
	}
	if err := fn(tx); err != nil {
		return nil, err
	}
	if len(tx.entries) > 0 {
		if s.recorder == nil {
			return nil, errors.New("store: an entry was recorded, but the store has no recorder")
		}
		if err := s.recorder.Append(ctx, btx, tx.NowMs, tx.entries); err != nil {
			return nil, fmt.Errorf("append to the record: %w", err)
		}
		tx.Touch(TopicRecord)
	}
	if s.pg == nil {
		return tx, btx.Commit()
	}
	if err := s.pg.tell(ctx, btx, tx.topics); err != nil {
		return nil, err
	}
	return tx, s.pg.fate(ctx, t, btx.Commit())
}

// roomAgain is how long after a write found the disk full the store is still said to be without room.
const roomAgain = time.Minute

// Room is fault unavailable store.full if a write of the last minute found the disk full. Reading goes on
// without room, so only this tells whoever watches from outside.
func (s *Store) Room() error {
	if at := s.fullMs.Load(); at != 0 && clock.Ms(s.clock)-at < roomAgain.Milliseconds() {
		return fault.Unavailable("store.full")
	}
	return nil
}
