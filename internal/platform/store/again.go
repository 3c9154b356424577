package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
)

// patience says how often a transaction is run again: at most four more times when the database is busy, and
// for about ten seconds, a restart or a failover, when it is away.
type patience struct {
	busy, away int
	since      time.Duration // by clock.Running, when it was first away
}

// after gives the wait before the next attempt, 0 for an error that another attempt does not change, and
// whether there is another one.
func (p *patience) after(err error) (wait time.Duration, again bool) {
	switch {
	case isBusy(err):
		p.busy++
		return time.Duration(p.busy) * 20 * time.Millisecond, p.busy < 5
	case isAway(err):
		if p.away++; p.away == 1 {
			p.since = clock.Running()
		}
		return min(25*time.Millisecond<<min(p.away, 10), time.Second), p.away < 14 && clock.Running()-p.since < 2*connectWithin
	}
	return 0, false
}

// SQLSTATE classes and codes of PostgreSQL, appendix A of its manual.
const (
	stateFull          = "53100" // disk_full
	stateSerialization = "40001"
	stateDeadlock      = "40P01"
	stateLockTimeout   = "55P03" // lock_not_available
	stateTooMany       = "53300" // too_many_connections
	stateShutdown      = "57P01" // admin_shutdown
	stateCrash         = "57P02" // crash_shutdown
	stateStarting      = "57P03" // cannot_connect_now
	stateIdle          = "25P03" // idle_in_transaction_session_timeout
	stateReadOnly      = "25006" // a standby that has not become the primary yet
	classConnection    = "08"    // 08007 is transaction_resolution_unknown
	stateUnknownCommit = "40003" // statement_completion_unknown
	stateBadValue      = "22023" // invalid_parameter_value
)

// state is the SQLSTATE that the server gave with err, "" if the error is not the server's.
func state(err error) string {
	var e interface{ SQLState() string }
	if errors.As(err, &e) {
		return e.SQLState()
	}
	return ""
}

// refused reports that a commit that was answered with this code has not taken place.
func refused(state string) bool {
	return state != "" && !strings.HasPrefix(state, classConnection) && !slices.Contains([]string{stateUnknownCommit, stateShutdown, stateCrash}, state)
}

// isFull reports SQLite's result code for a full disk (SQLITE_FULL), and PostgreSQL's.
func isFull(err error) bool {
	var e interface{ Code() int }
	return errors.As(err, &e) && e.Code()&0xff == 13 || state(err) == stateFull
}

// isBusy reports that somebody else was in the way.
func isBusy(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "SQLITE_BUSY") || strings.Contains(err.Error(), "database is locked")) ||
		slices.Contains([]string{stateSerialization, stateDeadlock, stateLockTimeout, stateTooMany}, state(err))
}

// isAway reports that the server went away or is not there yet. Before a commit was sent this means that
// nothing was changed; about a commit itself postgres.fate asks first.
func isAway(err error) bool {
	if s := state(err); s != "" {
		return strings.HasPrefix(s, classConnection) || slices.Contains([]string{stateShutdown, stateCrash, stateStarting, stateIdle, stateReadOnly}, s)
	}
	var op *net.OpError
	var unmade *pgconn.ConnectError            // no connection, so nothing was sent
	var unsent interface{ SafeToRetry() bool } // of pgconn: nothing was sent, as on a connection that was found closed
	return errors.As(err, &unsent) && unsent.SafeToRetry() && !errors.Is(err, context.Canceled) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) ||
		errors.As(err, &op) || errors.As(err, &unmade) || errors.Is(err, errAborted) || errors.Is(err, errMoved)
}

// Away gives an error of a read as fault unavailable store.busy if the database was away or busy, for whoever asked can try again;
// any other error as it is. Write does so by itself.
func Away(err error) error {
	if err != nil && fault.KindOf(err) == fault.KindInternal && (isAway(err) || isBusy(err)) {
		return fault.Unavailable("store.busy").Because(err)
	}
	return err
}
