package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // the "sqlite" driver

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Durability is how a database file treats the power switch.
type Durability string

// The main database must not lose a commit (FULL); telemetry may lose the last moment (NORMAL).
const (
	Durable Durability = "FULL"
	Relaxed Durability = "NORMAL"
)

// OpenSQLite opens one SQLite file with the house's pragmas. Write transactions begin immediate, so
// that two writers wait for each other rather than fail at the first write.
func OpenSQLite(ctx context.Context, path string, d Durability, conns int) (*bun.DB, error) {
	return openSQLite(ctx, path, d, conns)
}

func openSQLite(ctx context.Context, path string, d Durability, conns int, more ...string) (*bun.DB, error) {
	q := url.Values{}
	q.Set("_txlock", "immediate")
	// busy_timeout comes first: the pragmas after it may already need to wait for another process.
	// secure_delete overwrites what is deleted: an erasure must not leave its bytes in a free page.
	for _, p := range append([]string{"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(" + string(d) + ")", "foreign_keys(1)",
		"secure_delete(1)", "temp_store(MEMORY)", "cache_size(-16000)"}, more...) {
		q.Add("_pragma", p)
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	var version string
	if err := db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		db.Close()
		return nil, fmt.Errorf("open %s: %w", filepath.Base(path), err)
	}
	if olderThan(version, 3, 51, 3) {
		db.Close()
		return nil, fault.Unavailable("store.old_sqlite", "version", version)
	}
	return bun.NewDB(db, sqlitedialect.New(), tolerant), nil
}

// olderThan reports whether a dotted version is older than the WAL-reset fix.
func olderThan(version string, want ...int) bool {
	var got [3]int
	fmt.Sscanf(version, "%d.%d.%d", &got[0], &got[1], &got[2])
	for i, w := range want {
		if got[i] != w {
			return got[i] < w
		}
	}
	return false
}
