package telemetry

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// files is a folder with one SQLite file a day, of which this process is the only writer.
type files struct {
	dir   string
	st    *store.Store
	clock clock.Clock
	out   *slog.Logger

	mu        sync.Mutex // guards the next three
	today     *dayFile
	yesterday *dayFile // readers may still hold it
	last      int64    // newest position, so that none is used twice even if the clock went back

	past sync.RWMutex // held to delete the file of a past day, shared to open one
}

// dayFile is the open file of one day: one writer, a few readers.
type dayFile struct {
	day  string
	w, r *bun.DB
}

func (d *dayFile) close() error { return errors.Join(d.r.Close(), d.w.Close()) }

func openFiles(ctx context.Context, st *store.Store, out *slog.Logger) (*files, error) {
	f := &files{dir: filepath.Join(st.Dir(), "telemetry"), st: st, clock: st.Clock(), out: out}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, err
	}
	days, err := f.days(ctx)
	if err != nil || len(days) == 0 {
		return f, err
	}
	return f, f.read(ctx, days[len(days)-1], func(db bun.IDB) error {
		f.last, _, err = bounds(ctx, db)
		return err
	})
}

func (f *files) path(day string) string { return filepath.Join(f.dir, FileOf(day)) }

// FileOf is the name of the file of a day (YYYYMMDD) inside the telemetry folder.
func FileOf(day string) string { return day + ".db" }

// DayOf gives the day (YYYYMMDD) whose file has this name; false for any other name.
func DayOf(file string) (day string, ok bool) {
	day, ok = strings.CutSuffix(file, ".db")
	if _, err := time.Parse(dayLayout, day); !ok || err != nil {
		return "", false
	}
	return day, true
}

// MakeDay makes the file of a day inside dir, if there is none, and opens it for writing.
func MakeDay(ctx context.Context, dir, day string) (*bun.DB, error) {
	path := filepath.Join(dir, FileOf(day))
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := makeDay(ctx, path); err != nil {
			return nil, err
		}
	}
	db, err := store.OpenSQLite(ctx, path, store.Relaxed, 1)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, schema); err != nil { // of a day that an older version began
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// makeDay makes it under another name first, so that nobody who lists the days meets a file without tables.
func makeDay(ctx context.Context, path string) error {
	fresh := path + ".new"
	for _, suffix := range []string{"", "-wal", "-shm"} { // of an attempt that a crash ended
		if err := os.Remove(fresh + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	db, err := store.OpenSQLite(ctx, fresh, store.Durable, 1)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, schema)
	if err := errors.Join(err, db.Close()); err != nil { // folds the log into the file
		return err
	}
	if err := os.Chmod(fresh, 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}

func (f *files) openDay(ctx context.Context, day string) (*dayFile, error) {
	w, err := MakeDay(ctx, f.dir, day)
	if err != nil {
		return nil, err
	}
	r, err := store.OpenSQLite(ctx, f.path(day), store.Relaxed, 4)
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return &dayFile{day: day, w: w, r: r}, nil
}

func (f *files) days(context.Context) ([]string, error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, err
	}
	var days []string
	for _, e := range entries {
		if day, ok := DayOf(e.Name()); ok {
			days = append(days, day)
		}
	}
	slices.Sort(days)
	return days, nil
}

// read shares today's file; an older one is opened for the call.
func (f *files) read(ctx context.Context, day string, fn func(db bun.IDB) error) error {
	f.mu.Lock()
	if f.today != nil && f.today.day == day {
		db := f.today.r
		f.mu.Unlock()
		return fn(db)
	}
	f.mu.Unlock()
	return f.open(ctx, day, func(db *bun.DB) error { return fn(db) })
}

func (f *files) open(ctx context.Context, day string, fn func(db *bun.DB) error) error {
	f.past.RLock() // opening a file that is being deleted would make it anew
	defer f.past.RUnlock()
	if _, err := os.Stat(f.path(day)); err != nil {
		return err
	}
	db, err := store.OpenSQLite(ctx, f.path(day), store.Relaxed, 1)
	if err != nil {
		return err
	}
	return errors.Join(fn(db), db.Close())
}

func (f *files) add(ctx context.Context, lasting bool, fn func(tx bun.IDB, nowMs, last int64) (newest int64, err error)) error {
	f.mu.Lock()
	last := f.last
	f.mu.Unlock()
	nowMs := max(clock.Ms(f.clock), StoredMs(last))
	d, err := f.roll(ctx, Day(nowMs))
	if err != nil {
		return err
	}
	if lasting {
		if _, err := d.w.ExecContext(ctx, "PRAGMA synchronous = FULL"); err != nil {
			return err
		}
		defer d.w.ExecContext(context.WithoutCancel(ctx), "PRAGMA synchronous = NORMAL") //nolint:errcheck // then the next ones are only slower
	}
	newest := last
	if err := d.w.RunInTx(ctx, nil, func(_ context.Context, tx bun.Tx) error {
		newest, err = fn(tx, nowMs, last)
		return err
	}); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = max(f.last, newest)
	return nil
}

// roll gives the file of day, closing the one before yesterday's.
func (f *files) roll(ctx context.Context, day string) (*dayFile, error) {
	f.mu.Lock()
	d := f.today
	f.mu.Unlock()
	if d != nil && d.day == day {
		return d, nil
	}
	fresh, err := f.openDay(ctx, day)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	old := f.yesterday
	f.today, f.yesterday = fresh, d
	f.mu.Unlock()
	if old != nil {
		if err := old.close(); err != nil {
			f.out.Warn("closing a day", "day", old.day, "error", err)
		}
	}
	if d != nil {
		if _, err := d.w.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
			f.out.Warn("the day could not be folded into one file", "day", d.day, "error", err)
		}
	}
	return fresh, nil
}

func (f *files) amend(ctx context.Context, day string, fn func(tx bun.IDB) error) error {
	change := func(db *bun.DB) error {
		return db.RunInTx(ctx, nil, func(_ context.Context, tx bun.Tx) error { return fn(tx) })
	}
	f.mu.Lock()
	d := f.today
	f.mu.Unlock()
	if d != nil && d.day == day {
		return change(d.w)
	}
	return f.open(ctx, day, change)
}

func (f *files) settled(ctx context.Context, s Segment, record func(tx *store.Tx)) error {
	if err := f.st.Write(ctx, system, func(tx *store.Tx) error {
		record(tx)
		s.HandedMs = tx.NowMs
		return nil
	}); err != nil {
		return err
	}
	// The entry stands; a stop between the two would only make a second one that says the same.
	ctx = context.WithoutCancel(ctx)
	return f.amend(ctx, s.Day, func(tx bun.IDB) error {
		_, err := tx.NewUpdate().Model(&s).WherePK().Exec(ctx)
		return err
	})
}

// holds reports whether the file of a day is open for writing, which it is for the last two days that
// saw traffic; in a log that long saw none they are deleted when it does again.
func (f *files) holds(day string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return (f.today != nil && f.today.day == day) || (f.yesterday != nil && f.yesterday.day == day)
}

func (f *files) drop(ctx context.Context, day string, record func(tx *store.Tx)) error {
	if f.holds(day) {
		return errHeld
	}
	// The entry comes first: a deletion without one would look like a loss.
	if err := f.st.Write(ctx, system, func(tx *store.Tx) error { record(tx); return nil }); err != nil {
		return err
	}
	f.past.Lock()
	defer f.past.Unlock()
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if err := os.Remove(f.path(day) + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// errHeld says that a day is still in use.
var errHeld = errors.New("telemetry: the day is still open for writing")

func (f *files) follow(ctx context.Context, _ func()) { <-ctx.Done() }

func (f *files) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	for _, d := range []*dayFile{f.yesterday, f.today} {
		if d != nil {
			err = errors.Join(err, d.close())
		}
	}
	f.yesterday, f.today = nil, nil
	return err
}
