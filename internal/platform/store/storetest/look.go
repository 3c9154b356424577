package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/uptrace/bun"
)

// Files lists the files in which the database of a folder keeps its rows as of now: all of the folder, or those of the
// PostgreSQL database, without the server's log of changes.
func Files(t testing.TB, dir string) []string {
	t.Helper()
	at := filepath.Join(dir, "*")
	if On() == Postgres {
		db, done := Raw(t, dir)
		defer done()
		var oid int64
		if _, err := db.ExecContext(context.Background(), "CHECKPOINT"); err != nil {
			t.Fatal(err)
		}
		if err := db.QueryRowContext(context.Background(), "SELECT oid FROM pg_database WHERE datname = current_database()").Scan(&oid); err != nil {
			t.Fatal(err)
		}
		at = filepath.Join(Cluster(t).socket, "data", "base", fmt.Sprint(oid), "*")
	}
	files, err := filepath.Glob(at)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files at %s: %v", at, err)
	}
	return files
}

// QueryPlan is how the engine would answer a query, one step a line.
type QueryPlan string

// Plan asks for it. A table of a test has few rows, for which PostgreSQL would rather read and sort them all; it is told not to.
func Plan(t testing.TB, db bun.IDB, query string) QueryPlan {
	t.Helper()
	ctx := context.Background()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	explain := "EXPLAIN QUERY PLAN "
	if On() == Postgres {
		explain = "EXPLAIN "
		if _, err := tx.ExecContext(ctx, "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := tx.QueryContext(ctx, explain+query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var b strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var step string
		into := []any{&id, &parent, &unused, &step}
		if On() == Postgres {
			into = into[3:]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		if parent != 0 {
			b.WriteString("  ")
		}
		b.WriteString(step + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return QueryPlan(b.String())
}

// Uses reports whether a step goes by the index.
func (p QueryPlan) Uses(index string) bool {
	return strings.Contains(string(p), "INDEX "+index) || strings.Contains(string(p), "using "+index+" ")
}

// Scans reports whether a step reads all rows of the table.
func (p QueryPlan) Scans(table string) bool {
	return strings.Contains(string(p), "SCAN "+table) || strings.Contains(string(p), "Seq Scan on "+table)
}

// SortsAll reports whether the rows of the answer, not only those of a part of the question, are put in order after they were read.
func (p QueryPlan) SortsAll() bool {
	for i, step := range strings.Split(string(p), "\n") {
		if strings.HasPrefix(step, "USE TEMP B-TREE") && strings.Contains(step, "ORDER BY") && !strings.Contains(step, "LAST TERM") || i < 2 && strings.Contains(step, "Sort  (") && !strings.Contains(step, "Incremental Sort") {
			return true
		}
	}
	return false
}

// Sorts reports whether rows are put in order after they were read.
func (p QueryPlan) Sorts() bool {
	return strings.Contains(string(p), "TEMP B-TREE") || strings.Contains(string(p), "Sort")
}

// Contains is the condition that the column holds the bytes of a text, which is its one parameter.
func (c Column) Contains() string {
	switch {
	case On() == SQLite:
		return `INSTR(CAST("` + c.Name + `" AS BLOB), CAST(? AS BLOB)) > 0`
	case c.Type == "BYTEA":
		return `POSITION(CONVERT_TO(?, 'UTF8') IN "` + c.Name + `") > 0`
	}
	return `POSITION(? IN CAST("` + c.Name + `" AS TEXT)) > 0`
}

// Bytes writes bytes as SQL.
func Bytes(b []byte) string {
	if On() == Postgres {
		return fmt.Sprintf(`'\x%x'`, b)
	}
	return fmt.Sprintf("x'%x'", b)
}
