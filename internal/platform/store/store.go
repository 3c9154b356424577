// Package store is the only way to change anything: Store.Write runs one function in one
// transaction in which state, record entries, due rows and outgoing messages commit together.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // the "sqlite" driver

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/watch"
)

//go:embed migrations/*.sql
var migrationFS embed.FS

// MainFile is the name of the main database inside the data folder.
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
	Clock    clock.Clock // the one clock
	Recorder Recorder    // nil only in tests of packages that append no entry
	Hub      *watch.Hub  // woken after a commit for every touched topic; may be nil

	OnWrite func(took time.Duration, err error) // called after each Write, for metrics; may be nil
}

// Store is the main database: one writer connection, a pool of readers.
type Store struct {
	w, r     *bun.DB
	clock    clock.Clock
	recorder Recorder
	hub      *watch.Hub
	dir      string
	onWrite  func(time.Duration, error)
	fullMs   atomic.Int64 // when a write last found the disk full; 0 for never
}

// Open opens or creates the main database in o.Dir and brings its schema up to date.
// Errors: fault kind unavailable with store.old_sqlite or store.newer_schema; else I/O errors.
func Open(ctx context.Context, o Options) (*Store, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(o.Dir, MainFile)
	w, err := OpenSQLite(ctx, path, Durable, 1)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, w.DB); err != nil {
		w.Close()
		return nil, err
	}
	r, err := openSQLite(ctx, path, Durable, 8, "query_only(1)") // a reader that writes by mistake fails
	if err != nil {
		w.Close()
		return nil, err
	}
	return &Store{w: w, r: r, clock: o.Clock, recorder: o.Recorder, hub: o.Hub, dir: o.Dir, onWrite: o.OnWrite}, nil
}

// Close closes both pools.
func (s *Store) Close() error { return errors.Join(s.r.Close(), s.w.Close()) }

// Dir is the data folder.
func (s *Store) Dir() string { return s.dir }

// Clock is the store's clock, the one by which due times are judged.
func (s *Store) Clock() clock.Clock { return s.clock }

// Hub wakes watchers after commits; nil if none was given.
func (s *Store) Hub() *watch.Hub { return s.hub }

// Read is the pool of read connections. Nothing may be written through it.
func (s *Store) Read() bun.IDB { return s.r }

// Durability is how a database file treats the power switch.
type Durability string

// The main database must not lose a commit (FULL); telemetry may lose the last moment (NORMAL).
const (
	Durable Durability = "FULL"
	Relaxed Durability = "NORMAL"
)

// OpenSQLite opens one SQLite file with the house's pragmas. Write transactions begin immediate, so
// that two writers wait for each other rather than fail at the first write.
func OpenSQLite(ctx context.Context, path string, d Durability, conns int) (*bun.DB, error) {
	return openSQLite(ctx, path, d, conns)
}

func openSQLite(ctx context.Context, path string, d Durability, conns int, more ...string) (*bun.DB, error) {
	q := url.Values{}
	q.Set("_txlock", "immediate")
	// busy_timeout comes first: the pragmas after it may already need to wait for another process.
	// secure_delete overwrites what is deleted: an erasure must not leave its bytes in a free page.
	for _, p := range append([]string{"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(" + string(d) + ")", "foreign_keys(1)",
		"secure_delete(1)", "temp_store(MEMORY)", "cache_size(-16000)"}, more...) {
		q.Add("_pragma", p)
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	var version string
	if err := db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		db.Close()
		return nil, fmt.Errorf("open %s: %w", filepath.Base(path), err)
	}
	if olderThan(version, 3, 51, 3) {
		db.Close()
		return nil, fault.Unavailable("store.old_sqlite", "version", version)
	}
	return bun.NewDB(db, sqlitedialect.New()), nil
}

// olderThan reports whether a dotted version is older than the WAL-reset fix.
func olderThan(version string, want ...int) bool {
	var got [3]int
	fmt.Sscanf(version, "%d.%d.%d", &got[0], &got[1], &got[2])
	for i, w := range want {
		if got[i] != w {
			return got[i] < w
		}
	}
	return false
}

func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrationFS, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return err
	}
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	src := p.ListSources()
	if len(src) > 0 && have > src[len(src)-1].Version {
		return fault.Unavailable("store.newer_schema")
	}
	_, err = p.Up(ctx)
	return err
}

// Write runs fn in one transaction as actor. All that fn did through tx commits together or not at
// all. fn may run more than once and must do no I/O but through tx. Errors of fn come back as they
// are; a database that stays locked is fault store.busy, a full disk is fault store.full.
func (s *Store) Write(ctx context.Context, actor Actor, fn func(tx *Tx) error) (err error) {
	if s.onWrite != nil {
		defer func(began time.Time) { s.onWrite(s.clock.Now().Sub(began), err) }(s.clock.Now())
	}
	for attempt := 0; attempt < 5; attempt++ {
		var tx *Tx
		tx, err = s.try(ctx, actor, fn)
		if err == nil {
			if s.hub != nil && len(tx.topics) > 0 {
				s.hub.Bump(tx.topics...)
			}
			return nil
		}
		if isFull(err) {
			s.fullMs.Store(clock.Ms(s.clock))
			return fault.Unavailable("store.full").Because(err)
		}
		if !isBusy(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(attempt+1) * 20 * time.Millisecond):
		}
	}
	return fault.Unavailable("store.busy").Because(err)
}

func (s *Store) try(ctx context.Context, actor Actor, fn func(tx *Tx) error) (*Tx, error) {
	btx, err := s.w.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer btx.Rollback() //nolint:errcheck // after a commit it only says that the transaction is done
	tx := &Tx{Tx: btx, Actor: actor, NowMs: clock.Ms(s.clock)}
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
	return tx, btx.Commit()
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

// isFull reports SQLite's result code for a full disk (SQLITE_FULL).
func isFull(err error) bool {
	var e interface{ Code() int }
	return errors.As(err, &e) && e.Code()&0xff == 13
}

func isBusy(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "SQLITE_BUSY") || strings.Contains(err.Error(), "database is locked"))
}
