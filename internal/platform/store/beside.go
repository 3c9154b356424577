package store

import (
	"context"

	"github.com/uptrace/bun"
)

// Beside are connections to the same PostgreSQL database for rows that are not written through Write, with a turn of their
// own: many rows of little weight must not stand in the way of a decision.
type Beside struct {
	W *bun.DB // one connection
	R *bun.DB // each transaction is one snapshot, and cannot write
}

// Beside opens them; nil on SQLite. Whoever asks closes them.
func (s *Store) Beside() *Beside {
	if s.pg == nil {
		return nil
	}
	return &Beside{W: pool(s.pg.config, 1, session, writing), R: pool(s.pg.config, 4, session, reading)}
}

// Turn waits until nobody else of any process is in a turn; the end of tx ends it.
func (b *Beside) Turn(ctx context.Context, tx bun.Tx) error {
	_, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(?, ?)", lockSpace, lockBeside)
	return err
}

// Exclusive makes every Write of any process wait until tx ends.
func Exclusive(ctx context.Context, tx bun.Tx) error {
	_, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(?, ?)", lockSpace, lockWriter)
	return err
}

// Gone reports that a statement failed because its table or schema does not exist (any more).
func Gone(err error) bool {
	s := state(err)
	return s == "42P01" || s == "3F000" // undefined_table, invalid_schema_name
}
