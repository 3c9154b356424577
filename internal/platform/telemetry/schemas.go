package telemetry

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
)

const (
	schemaPrefix = "telemetry_" // then the day
	gonePrefix   = "gone_"      // of a day whose deletion is in the record, until it is dropped
	// Whoever is cut off must not be waited for longer: the queue fills meanwhile.
	addWithin = 30 * time.Second
	// lookEvery is how soon a node sees what another has stored.
	lookEvery = 500 * time.Millisecond
)

// schemas is one schema a day in the main database, into which several nodes store. They take turns: positions are given and
// committed inside a turn, so that whoever has read up to a position has missed none before it.
type schemas struct {
	st    *store.Store
	db    *store.Beside
	clock clock.Clock
}

// SchemaOf is the name of the schema of a day (YYYYMMDD).
func SchemaOf(day string) string { return schemaPrefix + day }

// SchemaDays lists the days that have a schema, oldest first.
func SchemaDays(ctx context.Context, db bun.IDB) ([]string, error) {
	return named(ctx, db, schemaPrefix)
}

func named(ctx context.Context, db bun.IDB, prefix string) ([]string, error) {
	var names, days []string
	err := db.NewRaw("SELECT nspname FROM pg_namespace WHERE STARTS_WITH(nspname, ?) ORDER BY nspname", prefix).Scan(ctx, &names)
	for _, n := range names {
		day := strings.TrimPrefix(n, prefix)
		if _, err := time.Parse(dayLayout, day); err == nil {
			days = append(days, day)
		}
	}
	return days, err
}

// At lets the statements of a transaction find the tables of a day.
func At(ctx context.Context, tx bun.IDB, day string) error {
	_, err := tx.ExecContext(ctx, "SELECT set_config('search_path', ?, true)", SchemaOf(day))
	return err
}

// MakeSchema makes the tables of a day in the transaction, which then finds them.
func MakeSchema(ctx context.Context, tx bun.IDB, day string) error {
	if _, err := tx.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS ?", bun.Ident(SchemaOf(day))); err != nil {
		return err
	}
	if err := At(ctx, tx, day); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, strings.NewReplacer("INTEGER", "BIGINT", "BLOB", "BYTEA").Replace(schema))
	return err
}

func (s *schemas) days(ctx context.Context) ([]string, error) { return SchemaDays(ctx, s.db.R) }

func (s *schemas) read(ctx context.Context, day string, fn func(db bun.IDB) error) error {
	return missing(s.db.R.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := At(ctx, tx, day); err != nil {
			return err
		}
		return fn(tx)
	}))
}

func missing(err error) error {
	if store.Gone(err) {
		return errors.Join(fs.ErrNotExist, err)
	}
	return err
}

func (s *schemas) turn(ctx context.Context, fn func(ctx context.Context, tx bun.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, addWithin)
	defer cancel()
	return s.db.W.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := s.db.Turn(ctx, tx); err != nil {
			return err
		}
		return fn(ctx, tx)
	})
}

func (s *schemas) add(ctx context.Context, _ bool, fn func(tx bun.IDB, nowMs, last int64) (newest int64, err error)) error {
	return s.turn(ctx, func(ctx context.Context, tx bun.Tx) error {
		last, at, err := newest(ctx, tx)
		if err != nil {
			return err
		}
		// Read after the wait. Another node's clock may have been a little ahead; the rows before ours have its time.
		nowMs := max(clock.Ms(s.clock), StoredMs(last))
		if day := Day(nowMs); day != at {
			if err := MakeSchema(ctx, tx, day); err != nil {
				return err
			}
		}
		_, err = fn(tx, nowMs, last)
		return err
	})
}

// newest gives the newest position that is stored, and its day, whose tables the transaction then finds; 0 and "" in an empty log.
func newest(ctx context.Context, tx bun.IDB) (last int64, day string, err error) {
	days, err := SchemaDays(ctx, tx)
	if err != nil {
		return 0, "", err
	}
	for i := len(days) - 1; i >= 0 && last == 0; i-- { // a day without rows says nothing
		if err := At(ctx, tx, days[i]); err != nil {
			return 0, "", err
		}
		day = days[i]
		if last, _, err = bounds(ctx, tx); err != nil {
			return 0, "", err
		}
	}
	return last, day, nil
}

func (s *schemas) amend(ctx context.Context, day string, fn func(tx bun.IDB) error) error {
	return missing(s.turn(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := At(ctx, tx, day); err != nil {
			return err
		}
		return fn(tx)
	}))
}

// settled does both in one transaction: of several nodes that come to it, one does.
func (s *schemas) settled(ctx context.Context, seg Segment, record func(tx *store.Tx)) error {
	return s.st.Write(ctx, system, func(tx *store.Tx) error {
		if err := At(ctx, tx, seg.Day); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, "UPDATE segment SET handed_ms = ?, sha256 = ?, rows = ? WHERE id = ? AND handed_ms = 0", tx.NowMs, seg.SHA256, seg.Rows, seg.ID)
		if err != nil {
			return missing(err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		if _, err := tx.ExecContext(ctx, "SET LOCAL search_path TO DEFAULT"); err != nil { // where the record is
			return err
		}
		record(tx)
		return nil
	})
}

// drop renames the schema in the transaction of the entry, which waits for nobody, and drops it after that, which waits for
// those who read it.
func (s *schemas) drop(ctx context.Context, day string, record func(tx *store.Tx)) error {
	if err := s.st.Write(ctx, system, func(tx *store.Tx) error {
		var there int
		if err := tx.NewRaw("SELECT COUNT(*) FROM pg_namespace WHERE nspname = ?", SchemaOf(day)).Scan(ctx, &there); err != nil || there == 0 {
			return err // another node was faster
		}
		record(tx)
		_, err := tx.ExecContext(ctx, "ALTER SCHEMA ? RENAME TO ?", bun.Ident(SchemaOf(day)), bun.Ident(gonePrefix+day))
		return err
	}); err != nil {
		return err
	}
	gone, err := named(ctx, s.db.R, gonePrefix) // also those that an earlier attempt left
	for _, day := range gone {
		if _, err := s.db.W.ExecContext(ctx, "DROP SCHEMA IF EXISTS ? CASCADE", bun.Ident(gonePrefix+day)); err != nil {
			return err
		}
	}
	return err
}

// follow looks, rather than listens: a notice for each batch would hold up the commits of decisions, which are told too.
func (s *schemas) follow(ctx context.Context, changed func()) {
	var known int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookEvery):
		}
		var last int64
		err := s.db.R.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) (err error) {
			last, _, err = newest(ctx, tx)
			return err
		})
		if err == nil && last > known {
			known = last
			changed()
		}
	}
}

func (s *schemas) close() error { return errors.Join(s.db.R.Close(), s.db.W.Close()) }
