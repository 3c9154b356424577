package telemetry

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/store"
)

// dayFile is the open file of one day: one writer, a few readers.
type dayFile struct {
	day  string
	w, r *bun.DB
}

func (d *dayFile) close() error { return errors.Join(d.r.Close(), d.w.Close()) }

func (l *Log) path(day string) string { return filepath.Join(l.dir, FileOf(day)) }

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

// openDay opens the file of a day. A new one is made under another name first, so that nobody who
// lists the days meets a file without tables.
func (l *Log) openDay(ctx context.Context, day string) (*dayFile, error) {
	if _, err := os.Stat(l.path(day)); errors.Is(err, fs.ErrNotExist) {
		if err := makeDay(ctx, l.path(day)); err != nil {
			return nil, err
		}
	}
	w, err := store.OpenSQLite(ctx, l.path(day), store.Relaxed, 1)
	if err != nil {
		return nil, err
	}
	if _, err := w.ExecContext(ctx, schema); err != nil { // of a day that an older version began
		return nil, errors.Join(err, w.Close())
	}
	r, err := store.OpenSQLite(ctx, l.path(day), store.Relaxed, 4)
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return &dayFile{day: day, w: w, r: r}, nil
}

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

// Days lists the days that have a file, oldest first.
func (l *Log) Days() ([]string, error) {
	entries, err := os.ReadDir(l.dir)
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

// onDay runs fn on the file of a day; a day without a file is fs.ErrNotExist. Today's file is shared,
// an older one is opened for the call.
func (l *Log) onDay(ctx context.Context, day string, fn func(db *bun.DB) error) error {
	l.mu.Lock()
	if l.today != nil && l.today.day == day {
		db := l.today.r
		l.mu.Unlock()
		return fn(db)
	}
	l.mu.Unlock()
	l.files.RLock() // opening a file that is being deleted would make it anew
	defer l.files.RUnlock()
	if _, err := os.Stat(l.path(day)); err != nil {
		return err
	}
	db, err := store.OpenSQLite(ctx, l.path(day), store.Relaxed, 1)
	if err != nil {
		return err
	}
	return errors.Join(fn(db), db.Close())
}

// eachDay runs fn over the days from…to (inclusive, "" unbounded), newest first if desc, until fn says stop.
func (l *Log) eachDay(ctx context.Context, from, to string, desc bool, fn func(day string, db *bun.DB) (stop bool, err error)) error {
	days, err := l.Days()
	if err != nil {
		return err
	}
	if desc {
		slices.Reverse(days)
	}
	for _, day := range days {
		if (from != "" && day < from) || (to != "" && day > to) {
			continue
		}
		var stop bool
		err := l.onDay(ctx, day, func(db *bun.DB) error {
			var err error
			stop, err = fn(day, db)
			return err
		})
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted by retention meanwhile
		}
		if err != nil || stop {
			return err
		}
	}
	return nil
}
