package telemetry

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"github.com/uptrace/bun"
)

// Days lists the days that hold anything, oldest first.
func (l *Log) Days(ctx context.Context) ([]string, error) { return l.shelf.days(ctx) }

// eachDay runs fn over the days from…to (inclusive, "" unbounded), newest first if desc, until fn says stop.
func (l *Log) eachDay(ctx context.Context, from, to string, desc bool, fn func(day string, db bun.IDB) (stop bool, err error)) error {
	days, err := l.shelf.days(ctx)
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
		err := l.shelf.read(ctx, day, func(db bun.IDB) error {
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
