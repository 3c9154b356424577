package store

import (
	"context"
	"database/sql"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/fengsui/fengsui/internal/platform/clock"
)

// Migrations is the one list of schema changes.
func Migrations(engine goose.Dialect, db *sql.DB) (*goose.Provider, error) {
	return Options{}.migrations(engine, db)
}

// SchemaFiles are the schema changes of this program.
func SchemaFiles() (fs.FS, error) { return Options{}.changes() }

// Knowing are the options of a program with other schema changes.
func (o Options) Knowing(files fs.FS) Options { o.schema = files; return o }

// Oldest finds what a schema change says of the programs that bear it.
var Oldest = oldest

// CorrectedClock is a clock, beside one that nobody steps, and what it is told of the database's.
func CorrectedClock(c clock.Clock, running func() time.Duration) (clock.Clock, func(ms, asked, answered int64)) {
	x := &corrected{Clock: c, running: running}
	return x, x.correct
}

// Fate finds out what became of a transaction of a timeline whose commit was not answered; line "" is the server's own.
func (s *Store) Fate(ctx context.Context, id, line string, err error) error {
	if line == "" {
		if err := s.r.QueryRowContext(ctx, "SELECT "+timeline).Scan(&line); err != nil {
			return err
		}
	}
	return s.pg.fate(ctx, turn{id, line}, err)
}

// ErrAborted says that a commit did not take place.
var ErrAborted = errAborted

// Quiet sets how long nothing is heard before somebody is asked, and how long the answer may take, and puts both back.
func Quiet(quiet, answer time.Duration) (back func()) {
	wasQuiet, wasAnswer := quietFor, answerWithin
	quietFor, answerWithin = quiet, answer
	return func() { quietFor, answerWithin = wasQuiet, wasAnswer }
}

// Dial opens a line as to a server.
var Dial = dial
