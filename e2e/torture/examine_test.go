//go:build torture

package torture

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/e2e/examine"
	"github.com/fengsui/fengsui/internal/platform/store"
)

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

// examined is what is found in a data folder.
func examined(t *testing.T, data string) examine.Findings {
	t.Helper()
	db, err := database(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	f, err := examine.Database(t.Context(), db)
	if err != nil {
		t.Fatal(err)
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
		if found := examined(t, data); found.Count(c.finds) == 0 {
			t.Errorf("%s, and the examination does not see it: %s", name, found)
		}
	}
	return made
}
