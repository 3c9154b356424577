package store_test

import (
	"path/filepath"
	"testing"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
)

func TestTheMainDatabaseIsDurable(t *testing.T) {
	dir := t.TempDir()
	openSQLite(t, dir)
	for name, c := range map[string]struct {
		d    store.Durability
		want map[string]string
	}{
		"main":      {store.Durable, map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "secure_delete": "1", "busy_timeout": "10000"}},
		"telemetry": {store.Relaxed, map[string]string{"synchronous": "1", "journal_mode": "wal"}},
	} {
		db, err := store.OpenSQLite(ctx, filepath.Join(dir, store.MainFile), c.d, 1)
		if err != nil {
			t.Fatal(err)
		}
		for pragma, want := range c.want {
			var got string
			if err := db.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s: %s = %s, want %s (%v)", name, pragma, got, want, err)
			}
		}
		db.Close()
	}
	st := openSQLite(t, dir)
	err := st.Write(ctx, actor, func(tx *store.Tx) error {
		var got string
		if err := tx.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&got); err != nil || got != "2" {
			t.Errorf("the writer: synchronous = %s (%v)", got, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func openSQLite(t *testing.T, dir string) *store.Store {
	t.Helper()
	st, err := store.Open(ctx, store.Options{Dir: dir, Clock: clock.System()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}
