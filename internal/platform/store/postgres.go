package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Keys of advisory locks, in the space of two integers; the first is ours.
const (
	lockSpace   = 0x0fe65012
	lockWriter  = 1 // held by the one transaction that writes
	lockMigrate = 2 // held by the one node that changes the schema
	lockBeside  = 9 // held by the one transaction that writes telemetry
)

// What a connection of ours asks of the server. A node that stops in the middle of a transaction, or is cut
// off in it, loses the transaction and with it the writer's lock after idle_in_transaction_session_timeout.
var (
	session = map[string]string{"application_name": "fengsui", "timezone": "UTC", "client_encoding": "UTF8", "standard_conforming_strings": "on",
		"jit":                 "off",
		"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"} // its compiling takes longer than any query of ours
	writing = map[string]string{"lock_timeout": "10s", "idle_in_transaction_session_timeout": "5s"}
	// One snapshot a transaction, as on SQLite; a reader that writes by mistake fails.
	reading = map[string]string{"default_transaction_read_only": "on", "default_transaction_isolation": "repeatable read"}
)

// postgres is what the store knows only where the main database is PostgreSQL.
type postgres struct {
	config *pgx.ConnConfig
	node   string // tells our own notices from those of others
	clock  *corrected
	course course
	served *pgx.Conn // holds the name under which this process serves; touched by one at a time
	stop   context.CancelFunc
	done   chan struct{}
}

// connectWithin is how long a server may take to answer at first.
const connectWithin = 5 * time.Second

// openPostgres opens the database at o.Database, one writer connection and a pool of readers. The writer's
// transactions run one after the other, in this process because there is one connection, among processes
// because each begins with an advisory lock: see docs/decisions/0009.
func openPostgres(ctx context.Context, o Options) (*Store, error) {
	config, err := parse(o.Database)
	if err != nil {
		return nil, err
	}
	if err := o.prepare(ctx, config); err != nil {
		return nil, err
	}
	p := &postgres{config: config, node: NewID(clock.Ms(o.Clock)), clock: &corrected{Clock: o.Clock, running: clock.Running}, course: course{moved: make(chan struct{}, 1)}}
	if clock.IsSystem(o.Clock) {
		o.Clock = p.clock
	}
	s := o.store(pool(config, 1, session, writing), pool(config, 8, session, reading))
	s.pg = p
	if o.Hub != nil {
		ear, err := p.ear(ctx)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		var listening context.Context
		listening, p.stop = context.WithCancel(context.Background())
		p.done = make(chan struct{})
		go func() { defer close(p.done); p.listen(listening, o.Hub, ear) }()
	}
	return s, nil
}

func pool(config *pgx.ConnConfig, conns int, params ...map[string]string) *bun.DB {
	config = config.Copy()
	for _, m := range params {
		for k, v := range m {
			config.RuntimeParams[k] = v
		}
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return bun.NewDB(db, pgdialect.New(), tolerant)
}

// prepare looks whether the database is fit and brings its schema up to date; of several nodes that start
// at once, one does and the others wait.
func (o Options) prepare(ctx context.Context, config *pgx.ConnConfig) error {
	db := pool(config, 2, session)
	defer db.Close()
	var version int
	var collation, ctype, encoding string
	err := db.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int, datcollate, datctype, pg_encoding_to_char(encoding)
		FROM pg_database WHERE datname = current_database()`).Scan(&version, &collation, &ctype, &encoding)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	if version < 150000 {
		return fault.Unavailable("store.old_postgres", "version", fmt.Sprint(version/10000))
	}
	// Ids, cursors and searches are compared byte by byte, as on SQLite.
	if plain := func(s string) bool { return s == "C" || s == "POSIX" }; !plain(collation) || !plain(ctype) || encoding != "UTF8" {
		return fault.Unavailable("store.collation", "collation", collation, "encoding", encoding)
	}
	lock, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer lock.Close() // ends the session at the latest, and the lock with it
	if _, err := lock.ExecContext(ctx, "SELECT pg_advisory_lock(?, ?)", lockSpace, lockMigrate); err != nil {
		return err
	}
	err = o.migrate(ctx, goose.DialectPostgres, db)
	_, unlock := lock.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock(?, ?)", lockSpace, lockMigrate)
	return errors.Join(err, unlock)
}

// turn is one in which somebody writes.
type turn struct {
	id   string // number of the transaction
	line string // timeline of the server, which a promoted standby begins anew
}

// enter waits for its turn to write. It reads what the turn is, and the database's clock, after the wait.
func (p *postgres) enter(ctx context.Context, tx bun.Tx) (t turn, err error) {
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(?, ?)", lockSpace, lockWriter); err != nil {
		return t, err
	}
	var ms int64
	asked := clock.Ms(p.clock.Clock)
	if err := tx.QueryRowContext(ctx, "SELECT pg_current_xact_id()::text, "+timeline+", (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint").Scan(&t.id, &t.line, &ms); err != nil {
		return t, err
	}
	p.clock.correct(ms, asked, clock.Ms(p.clock.Clock))
	return t, p.course.keeps(ctx, t.line)
}

// errAborted is a commit that did not take place, although its answer was lost: it can be made again.
var errAborted = errors.New("store: the connection was lost and the transaction rolled back")

// fate finds out what became of a commit whose answer did not arrive: running the transaction again
// would do it twice if it took place. The server says which, as soon as it has noticed the lost connection.
func (p *postgres) fate(ctx context.Context, t turn, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, pgx.ErrTxCommitRollback) || refused(state(err)) {
		return err // the server's own answer
	}
	left := ctx.Err()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		switch status := p.status(ctx, t); {
		case status == "committed":
			return nil
		case status == "aborted" && left != nil:
			return left
		case status == "aborted":
			return errAborted
		case status == "reused":
			return fault.Unavailable("store.unknown").Because(err)
		}
		select {
		case <-ctx.Done():
			return fault.Unavailable("store.unknown").Because(err)
		case <-time.After(wait):
		}
	}
}

// status asks on a connection of its own: committed, aborted, in progress, or "" if nobody answers. A standby that was promoted gives
// the numbers that it had not heard of to others: there, a number that is committed may be somebody else's ("reused"), and
// one that it does not know was never committed.
func (p *postgres) status(ctx context.Context, t turn) (status string) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	c, err := pgx.ConnectConfig(ctx, p.config)
	if err != nil {
		return ""
	}
	defer c.Close(ctx) //nolint:errcheck // nothing hangs on it
	var line string
	if err := c.QueryRow(ctx, "SELECT "+timeline).Scan(&line); err != nil {
		return "" // nobody, or a standby that is not promoted yet
	}
	err = c.QueryRow(ctx, "SELECT COALESCE(pg_xact_status($1::text::xid8), '')", t.id).Scan(&status)
	switch {
	case line == t.line && err == nil:
		return status
	case line != t.line && state(err) == stateBadValue:
		return "aborted"
	case line != t.line && status == "committed":
		return "reused"
	}
	return status
}

// corrected is the machine's clock, put right by the database's where they are visibly apart: several nodes
// judge a due time by one clock. A step of the machine's clock is seen by what has passed meanwhile, and left out.
type corrected struct {
	clock.Clock
	running func() time.Duration
	last    atomic.Pointer[instant]
}

// instant is what all clocks said at once.
type instant struct {
	machineMs, behindMs int64
	running             time.Duration
}

func (c *corrected) asked() instant {
	if r := c.last.Load(); r != nil {
		return *r
	}
	return instant{machineMs: clock.Ms(c.Clock), running: c.running()}
}

// Now is the database's time as far as it is known.
func (c *corrected) Now() time.Time {
	r := c.asked()
	now := c.Clock.Now()
	stepped := now.UnixMilli() - r.machineMs - (c.running() - r.running).Milliseconds()
	if stepped < visible && stepped > -visible {
		stepped = 0
	}
	return now.Add(time.Duration(r.behindMs-stepped) * time.Millisecond)
}

// visible is how far apart clocks may be before it counts: below it is the noise of an answer's way.
const visible = 100

// correct takes the database's time, asked for and answered at two instants of the machine's clock. An answer
// that took long says little and is left out.
func (c *corrected) correct(ms, asked, answered int64) {
	if answered-asked > visible || answered < asked {
		return
	}
	r := instant{answered, c.asked().behindMs, c.running()}
	behind := ms - (asked+answered)/2
	if d := behind - r.behindMs; d > visible || d < -visible {
		r.behindMs = behind
	}
	c.last.Store(&r)
}

// Skew is how far the machine's clock is behind the database's, as of the last write; 0 on SQLite.
func (s *Store) Skew() time.Duration {
	if s.pg == nil {
		return 0
	}
	return time.Duration(s.pg.clock.asked().behindMs) * time.Millisecond
}
