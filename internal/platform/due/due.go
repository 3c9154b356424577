// Package due keeps what must happen at an instant: each legal clock, renewal and time-out is a row
// with a due time, set in the transaction that decides it. A worker fires the rows exactly once for
// our own state, because the handler's changes and the firing commit together; an auditor that does
// not depend on the worker pages about rows that nobody attempted (design.md, promise 3).
package due

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Topic is woken when rows are set, moved or retried.
const Topic = "due"

// The kinds of an incident, carried by every row.
const (
	KindReal     = "real"
	KindDrill    = "drill"
	KindTest     = "test"
	KindBackfill = "backfill"
)

// IsIncidentKind reports whether s is a kind of an incident.
func IsIncidentKind(s string) bool {
	return s == KindReal || s == KindDrill || s == KindTest || s == KindBackfill
}

// State is where a row stands.
type State string

// The states of a row. A pending row is fired, cancelled, or, after the last allowed attempt, failed;
// a failed row stays visible and is paged about until it is retried or cancelled.
const (
	Pending   State = "pending"
	Fired     State = "fired"
	Cancelled State = "cancelled"
	Failed    State = "failed"
)

// Row is one thing that must happen at DueMs. Kind names the handler; (ObjectKind, ObjectID, Kind,
// Name) is unique, Name tells several rows of one kind on one object apart. Times are UTC
// milliseconds, 0 for never.
type Row struct {
	bun.BaseModel `bun:"table:due"`

	ID           string `bun:"id,pk"`
	Kind         string `bun:"kind"`
	Name         string `bun:"name"`
	ObjectKind   string `bun:"object_kind"`
	ObjectID     string `bun:"object_id"`
	IncidentKind string `bun:"incident_kind"` // real, drill, test, backfill
	DueMs        int64  `bun:"due_ms"`
	Payload      string `bun:"payload"` // JSON; no prompts, answers or names

	// What follows is kept by this package; Set ignores it.
	NextMs         int64  `bun:"next_ms"`
	State          State  `bun:"state"`
	Attempts       int    `bun:"attempts"`
	FirstAttemptMs int64  `bun:"first_attempt_ms"`
	Owner          string `bun:"owner"`
	LeaseUntilMs   int64  `bun:"lease_until_ms"`
	FiredMs        int64  `bun:"fired_ms"`
	SetMs          int64  `bun:"set_ms"`
	LastError      string `bun:"last_error"`
}

// Decode reads the payload into v.
func (r Row) Decode(v any) error { return json.Unmarshal([]byte(r.Payload), v) }

func (r Row) check() error {
	for _, f := range []struct{ name, value string }{{"kind", r.Kind}, {"object_kind", r.ObjectKind}, {"object_id", r.ObjectID}} {
		if f.value == "" {
			return fault.Invalid(f.name, "due.field_missing", "field", f.name)
		}
	}
	if !IsIncidentKind(r.IncidentKind) {
		return fault.Invalid("incident_kind", "due.incident_kind_unknown", "kind", r.IncidentKind)
	}
	if r.DueMs <= 0 {
		return fault.Invalid("due_ms", "due.time_missing")
	}
	if !json.Valid([]byte(r.Payload)) {
		return fault.Invalid("payload", "due.payload_not_json")
	}
	return nil
}

// Set makes or moves the row of (ObjectKind, ObjectID, Kind, Name). Setting the same again changes
// nothing; in particular a row that has fired does not fire again at the same due time. Another due
// time, another payload before firing, or a row that was cancelled or failed arms it anew with its
// attempts forgotten. A handler may set its own row to a later time. An empty payload is {}.
// Errors: fault invalid for a missing field, an unknown incident kind or a payload that is not JSON.
func Set(ctx context.Context, tx *store.Tx, r Row) error {
	if r.Payload == "" {
		r.Payload = "{}"
	}
	if err := r.check(); err != nil {
		return err
	}
	_, err := tx.NewRaw(`INSERT INTO due (id, kind, name, object_kind, object_id, incident_kind, due_ms, next_ms, state, set_ms, payload)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?)
		ON CONFLICT (object_kind, object_id, kind, name) DO UPDATE SET
			incident_kind = excluded.incident_kind, due_ms = excluded.due_ms, next_ms = excluded.next_ms, state = 'pending',
			attempts = 0, first_attempt_ms = 0, owner = '', lease_until_ms = 0, fired_ms = 0,
			set_ms = excluded.set_ms, payload = excluded.payload, last_error = ''
		WHERE due.state IN ('cancelled', 'failed') OR due.due_ms <> excluded.due_ms OR (due.state = 'pending' AND due.payload <> excluded.payload)`,
		tx.NewID(), r.Kind, r.Name, r.ObjectKind, r.ObjectID, r.IncidentKind, r.DueMs, r.DueMs, tx.NowMs, r.Payload).Exec(ctx)
	if err != nil {
		return fmt.Errorf("set due row %s of %s %s: %w", r.Kind, r.ObjectKind, r.ObjectID, err)
	}
	tx.Touch(Topic)
	return nil
}

// Cancel takes back every row of kind on these objects that has not fired, under whatever name. Cancelling
// what does not exist, or has fired, changes nothing.
func Cancel(ctx context.Context, tx *store.Tx, kind string, objectIDs ...string) error {
	if len(objectIDs) == 0 {
		return nil
	}
	_, err := tx.NewRaw(`UPDATE due SET state = 'cancelled', owner = '', lease_until_ms = 0
		WHERE object_id IN (?) AND kind = ? AND state IN ('pending', 'failed')`, bun.List(objectIDs), kind).Exec(ctx)
	if err != nil {
		return fmt.Errorf("cancel due rows %s of %q: %w", kind, objectIDs, err)
	}
	return nil
}

// Retry puts a failed row back to work at once. Errors: fault not-found if id is no failed row.
func Retry(ctx context.Context, tx *store.Tx, id string) error {
	res, err := tx.NewRaw(`UPDATE due SET state = 'pending', attempts = 0, first_attempt_ms = 0, next_ms = ?, owner = '', lease_until_ms = 0
		WHERE id = ? AND state = 'failed'`, tx.NowMs, id).Exec(ctx)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return fault.NotFound("id", "due.no_failed_row").Because(err)
	}
	tx.Touch(Topic)
	return nil
}

// Filter picks rows; an empty field does not restrict.
type Filter struct {
	ObjectKind   string
	ObjectID     string
	Kind         string
	IncidentKind string
	States       []State
	BeforeMs     int64 // due before this instant
	Limit        int   // default 200
	Offset       int
}

// List reads rows, earliest due first.
func List(ctx context.Context, read bun.IDB, f Filter) ([]Row, error) {
	if f.Limit <= 0 {
		f.Limit = 200
	}
	rows := []Row{}
	q := read.NewSelect().Model(&rows).Order("due_ms", "id").Limit(int64(f.Limit)).Offset(int64(f.Offset))
	for _, c := range []struct{ column, value string }{{"object_kind", f.ObjectKind}, {"object_id", f.ObjectID}, {"kind", f.Kind}, {"incident_kind", f.IncidentKind}} {
		if c.value != "" {
			q = q.Where("? = ?", bun.Ident(c.column), c.value)
		}
	}
	if len(f.States) > 0 {
		q = q.Where("state IN (?)", bun.List(f.States))
	}
	if f.BeforeMs > 0 {
		q = q.Where("due_ms < ?", f.BeforeMs)
	}
	return rows, q.Scan(ctx)
}

// Backlog is how much work waits.
type Backlog struct {
	Pending     int64 // rows not yet fired, future ones included
	Overdue     int64 // of these and of the failed ones, past their due time
	OldestDueMs int64 // due time of the oldest overdue row, 0 if none
}

// countBacklog reads the index of what waits once, and none of its rows: a million clocks may run.
const countBacklog = `SELECT (SELECT COUNT(*) FROM due WHERE state = 'pending'), (SELECT COUNT(*) FROM due WHERE state IN ('pending', 'failed') AND due_ms <= ?),
	COALESCE((SELECT MIN(due_ms) FROM due WHERE state IN ('pending', 'failed') AND due_ms <= ?), 0)`

// CountBacklog reads the backlog as of nowMs.
func CountBacklog(ctx context.Context, read bun.IDB, nowMs int64) (Backlog, error) {
	var b Backlog
	err := read.NewRaw(countBacklog, nowMs, nowMs).Scan(ctx, &b.Pending, &b.Overdue, &b.OldestDueMs)
	return b, err
}
