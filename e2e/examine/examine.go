//go:build torture

// Package examine looks into a database after everything went wrong for what was lost and what happened twice.
package examine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

// Findings are what a database shows.
type Findings struct {
	Incidents                                             int64 // with clocks
	Standing, Overdue, Lapsed, Due, Fired, Entries, Notes int64
	Problems                                              []string
}

func (f Findings) String() string {
	return fmt.Sprintf("%d due rows (%d fired), %d obligations still standing with a clock, %d found overdue, %d orders lapsed, %d messages, %d entries in the record; %d lost, %d repeated or otherwise wrong",
		f.Due, f.Fired, f.Standing, f.Overdue, f.Lapsed, f.Notes, f.Entries, f.Count("lost"), int64(len(f.Problems))-f.Count("lost"))
}

// Count is how many problems begin with a word.
func (f Findings) Count(word string) (n int64) {
	for _, p := range f.Problems {
		if strings.HasPrefix(p, word) {
			n++
		}
	}
	return n
}

// Database looks for what was lost and what happened twice. What is due in the last five seconds may still be under way.
func Database(ctx context.Context, db bun.IDB) (f Findings, err error) {
	one := func(into *int64, sql string, args ...any) {
		if err == nil {
			err = db.NewRaw(sql, args...).Scan(ctx, into)
		}
	}
	nowMs := time.Now().UnixMilli()
	one(&f.Incidents, "SELECT COUNT(*) FROM incident WHERE kind = 'test'")
	one(&f.Standing, "SELECT COUNT(*) FROM obligation WHERE state IN ('pending','owed','decision') AND due_ms > 0")
	one(&f.Overdue, "SELECT COUNT(*) FROM obligation WHERE overdue_ms > 0")
	one(&f.Lapsed, "SELECT COUNT(*) FROM disposal_order WHERE state = 'lapsed'")
	one(&f.Due, "SELECT COUNT(*) FROM due")
	one(&f.Fired, "SELECT COUNT(*) FROM due WHERE state = 'fired'")
	one(&f.Entries, "SELECT COUNT(*) FROM record_entries")
	one(&f.Notes, "SELECT COUNT(*) FROM outbox")
	const standing = "o.state IN ('pending','owed','decision') AND o.due_ms > 0"
	for _, c := range []struct {
		what, sql string
		args      []any
	}{
		{"lost: an obligation that stands has no due row", `SELECT o.id FROM obligation o WHERE ` + standing + `
			AND NOT EXISTS (SELECT 1 FROM due d WHERE d.kind = 'obligation.due' AND d.object_id = o.id AND d.due_ms = o.due_ms AND d.state IN ('pending','fired'))`, nil},
		{"lost: an obligation is past its time and was not found overdue", "SELECT o.id FROM obligation o WHERE " + standing + " AND o.due_ms <= ? AND o.overdue_ms = 0", []any{nowMs - 5000}},
		{"lost: a due row that has come is not fired", "SELECT id FROM due WHERE state IN ('pending','failed') AND due_ms <= ?", []any{nowMs - 5000}},
		{"lost: an action that is open has no due row", `SELECT a.id FROM improvement_action a WHERE a.state = 'open'
			AND NOT EXISTS (SELECT 1 FROM due d WHERE d.kind = 'action.due' AND d.object_id = a.id AND d.due_ms = a.due_ms AND d.state IN ('pending','fired'))`, nil},
		{"lost: an order is past its expiry and still in force", "SELECT id FROM disposal_order WHERE state = 'in_force' AND expires_ms > 0 AND expires_ms <= ?", []any{nowMs - 5000}},
		{"lost: an order in force without a clock", `SELECT o.id FROM disposal_order o WHERE o.state = 'in_force'
			AND NOT EXISTS (SELECT 1 FROM due d WHERE d.object_id = o.id AND d.state = 'pending')`, nil},
		{"lost: an open task has no due row", `SELECT k.id FROM task k WHERE k.state = 'open' AND k.due_ms > 0
			AND NOT EXISTS (SELECT 1 FROM due d WHERE d.object_id = k.id AND d.state IN ('pending','fired'))`, nil},
		{"lost: an overdue obligation is not on record", `SELECT o.id FROM obligation o WHERE o.overdue_ms > 0
			AND NOT EXISTS (SELECT 1 FROM record_entries e WHERE e.action = 'obligation.overdue' AND e.object_id = o.id)`, nil},
		{"lost: nobody was told of an overdue obligation", `SELECT o.id FROM obligation o WHERE o.overdue_ms > 0
			AND NOT EXISTS (SELECT 1 FROM outbox m WHERE m.object_id = o.id AND m.template = 'obligation.overdue' AND m.state = 'sent')`, nil},
		{"lost: a lapsed order is not on record", `SELECT o.id FROM disposal_order o WHERE o.state = 'lapsed'
			AND NOT EXISTS (SELECT 1 FROM record_entries e WHERE e.action = 'order.lapse' AND e.object_id = o.id)`, nil},
		// One that was queued while the server went down waits for its next start.
		{"lost: a message did not leave", "SELECT id FROM outbox WHERE state <> 'sent' AND NOT (state = 'pending' AND queued_ms > ?)", []any{nowMs - 5000}},
		{"twice: an obligation was found overdue more than once", "SELECT object_id FROM record_entries WHERE action = 'obligation.overdue' GROUP BY object_id HAVING COUNT(*) > 1", nil},
		{"twice: an overdue obligation was told of more than once", "SELECT object_id FROM outbox WHERE template = 'obligation.overdue' GROUP BY object_id HAVING COUNT(*) > 1", nil},
		{"twice: an order lapsed more than once", "SELECT object_id FROM record_entries WHERE action = 'order.lapse' GROUP BY object_id HAVING COUNT(*) > 1", nil},
		{"twice: an incident was promoted from more than one anomaly of a rule", "SELECT drill_id FROM incident WHERE kind = 'drill' GROUP BY drill_id HAVING COUNT(*) > 1", nil},
		{"twice: a level was assessed more often than by two persons", "SELECT incident_id FROM assessment GROUP BY incident_id HAVING COUNT(*) > 2", nil},
		{"twice: a plan was started more than once", "SELECT incident_id FROM plan_run GROUP BY incident_id HAVING COUNT(*) > 1", nil},
		{"twice: a retrospective was held more than once", "SELECT incident_id FROM retrospective GROUP BY incident_id HAVING COUNT(*) > 1", nil},
		{"wrong: a drill is left open", "SELECT id FROM drill WHERE state <> 'passed'", nil},
		{"wrong: an incident of a drill is left open", "SELECT id FROM incident WHERE kind = 'drill' AND state <> 'closed'", nil},
		{"wrong: an order of a drill is left in force", "SELECT id FROM disposal_order WHERE kind = 'drill' AND state = 'in_force'", nil},
		{"wrong: something real came out of a drill", "SELECT id FROM anomaly WHERE kind = 'real'", nil},
	} {
		var ids []string
		if err := db.NewRaw(c.sql, c.args...).Scan(ctx, &ids); err != nil {
			return f, fmt.Errorf("%s: %w", c.what, err)
		}
		for _, id := range ids {
			f.Problems = append(f.Problems, c.what+": "+id)
		}
	}
	return f, err
}
