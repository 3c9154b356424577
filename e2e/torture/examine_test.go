//go:build torture

package torture

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/store"
)

// findings are what the data folder shows after the kills.
type findings struct {
	incidents                                             int64 // with clocks
	standing, overdue, lapsed, due, fired, entries, notes int64
	problems                                              []string
}

func (f findings) String() string {
	return fmt.Sprintf("%d due rows (%d fired), %d obligations still standing with a clock, %d found overdue, %d orders lapsed, %d messages, %d entries in the record; %d lost, %d repeated or otherwise wrong",
		f.due, f.fired, f.standing, f.overdue, f.lapsed, f.notes, f.entries, f.count("lost"), int64(len(f.problems))-f.count("lost"))
}

func (f findings) count(word string) (n int64) {
	for _, p := range f.problems {
		if strings.HasPrefix(p, word) {
			n++
		}
	}
	return n
}

func database(ctx context.Context, data string) (*bun.DB, error) {
	return store.OpenSQLite(ctx, filepath.Join(data, store.MainFile), store.Durable, 1)
}

// backlog counts what is due and has not been done.
func backlog(ctx context.Context, data string) (n int64, err error) {
	db, err := database(ctx, data)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	nowMs := time.Now().UnixMilli()
	err = db.NewRaw(`SELECT (SELECT COUNT(*) FROM due WHERE state = 'pending' AND due_ms <= ?) + (SELECT COUNT(*) FROM outbox WHERE state = 'pending')`, nowMs).Scan(ctx, &n)
	return n, err
}

// examine looks for what was lost and what happened twice.
func examine(t *testing.T, data string) findings {
	t.Helper()
	db, err := database(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var f findings
	one := func(into *int64, sql string, args ...any) {
		t.Helper()
		if err := db.NewRaw(sql, args...).Scan(t.Context(), into); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	nowMs := time.Now().UnixMilli()
	one(&f.incidents, "SELECT COUNT(*) FROM incident WHERE kind = 'test'")
	one(&f.standing, "SELECT COUNT(*) FROM obligation WHERE state IN ('pending','owed','decision') AND due_ms > 0")
	one(&f.overdue, "SELECT COUNT(*) FROM obligation WHERE overdue_ms > 0")
	one(&f.lapsed, "SELECT COUNT(*) FROM disposal_order WHERE state = 'lapsed'")
	one(&f.due, "SELECT COUNT(*) FROM due")
	one(&f.fired, "SELECT COUNT(*) FROM due WHERE state = 'fired'")
	one(&f.entries, "SELECT COUNT(*) FROM record_entries")
	one(&f.notes, "SELECT COUNT(*) FROM outbox")
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
		if err := db.NewRaw(c.sql, c.args...).Scan(t.Context(), &ids); err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		for _, id := range ids {
			f.problems = append(f.problems, c.what+": "+id)
		}
	}
	return f
}

// controls tampers with copies of the folder: an examination that finds nothing there would prove nothing.
func controls(t *testing.T, s *server) (made int) {
	for name, c := range map[string]struct{ sql, finds string }{
		"a due row is taken away":           {"DELETE FROM due WHERE id IN (SELECT d.id FROM due d JOIN improvement_action a ON a.id = d.object_id WHERE a.state = 'open' LIMIT 1)", "lost: an action that is open has no due row"},
		"an overdue mark is taken away":     {"UPDATE obligation SET overdue_ms = 0 WHERE id IN (SELECT id FROM obligation WHERE overdue_ms > 0 AND state = 'pending' LIMIT 1)", "lost: an obligation is past its time"},
		"an overdue is recorded once more":  {"INSERT INTO record_entries SELECT (SELECT MAX(idx) + 1 FROM record_entries), leaf, at_ms, action, object_kind, object_id, actor, scope FROM record_entries WHERE action = 'obligation.overdue' LIMIT 1", "twice: an obligation was found overdue"},
		"a message is held back":            {"UPDATE outbox SET state = 'failed' WHERE id IN (SELECT id FROM outbox LIMIT 1)", "lost: a message did not leave"},
		"an entry of the record is changed": {"UPDATE record_entries SET leaf = REPLACE(leaf, 'drill.start', 'drill.stort') WHERE idx IN (SELECT idx FROM record_entries WHERE action = 'drill.start' LIMIT 1)", "verify"},
	} {
		dir := t.TempDir()
		data := filepath.Join(dir, "data")
		if err := os.CopyFS(data, os.DirFS(s.data)); err != nil {
			t.Fatal(err)
		}
		db, err := database(t.Context(), data)
		if err != nil {
			t.Fatal(err)
		}
		res, err := db.ExecContext(t.Context(), c.sql)
		if err == nil {
			var n int64
			if n, err = res.RowsAffected(); err == nil && n == 0 {
				db.Close() // few kills, so there was none of it
				continue
			}
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		made++
		if c.finds == "verify" {
			cmd := exec.CommandContext(t.Context(), s.bin, "record", "verify", "--data", data, "--keys", s.data+"-keys", "--checkpoints", s.data+"-checkpoints", "--signer", s.signer)
			if out, err := cmd.CombinedOutput(); err == nil {
				t.Errorf("%s, and verify passes:\n%s", name, out)
			}
			continue
		}
		if found := examine(t, data); found.count(c.finds) == 0 {
			t.Errorf("%s, and the examination does not see it: %s", name, found)
		}
	}
	return made
}
