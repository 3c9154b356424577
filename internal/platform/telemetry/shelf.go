package telemetry

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/store"
)

// shelf is where the days lie: files beside the main database where that is SQLite, schemas inside it where it is PostgreSQL.
// A day that is not there (any more) is fs.ErrNotExist.
type shelf interface {
	// days lists the days, oldest first.
	days(ctx context.Context) ([]string, error)
	// read runs fn on one snapshot of a day.
	read(ctx context.Context, day string, fn func(db bun.IDB) error) error
	// add runs fn in a transaction on the day that rows stored now belong to; nobody else stores meanwhile, and all who stored
	// before are visible. nowMs is not before any of theirs, and last is the position of the newest of them; fn says which is the newest now. lasting is whether the commit must
	// survive the power switch at once.
	add(ctx context.Context, lasting bool, fn func(tx bun.IDB, nowMs, last int64) (newest int64, err error)) error
	// amend is add on a day that is there already.
	amend(ctx context.Context, day string, fn func(tx bun.IDB) error) error
	// settled marks a segment as handed to the record, and lets record append the entry, at least once.
	settled(ctx context.Context, s Segment, record func(tx *store.Tx)) error
	// drop deletes a day, and lets record append the entry before.
	drop(ctx context.Context, day string, record func(tx *store.Tx)) error
	// follow calls changed when others have stored something, until ctx ends.
	follow(ctx context.Context, changed func())
	close() error
}

var system = store.System("telemetry")
