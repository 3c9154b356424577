package store_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

// schema opens a database with the whole schema, without a store on it.
func schema(t *testing.T) (*bun.DB, *goose.Provider) {
	t.Helper()
	dir := t.TempDir()
	st, err := store.Open(ctx, storetest.With(t, store.Options{Dir: dir, Clock: clock.System()}))
	if err != nil {
		t.Fatal(err)
	}
	st.Close()
	db, done := storetest.Raw(t, dir)
	t.Cleanup(done)
	dialect := goose.DialectSQLite3
	if storetest.On() == storetest.Postgres {
		dialect = goose.DialectPostgres
	}
	p, err := store.Migrations(dialect, db.DB)
	if err != nil {
		t.Fatal(err)
	}
	return db, p
}

// rows reads everything that the tables hold which stand in both, the columns by name.
func rows(t *testing.T, db *bun.DB, tables map[string][]storetest.Column) map[string]string {
	t.Helper()
	out := map[string]string{}
	for table, columns := range tables {
		var kept []string
		for _, c := range columns {
			kept = append(kept, fmt.Sprintf(`CAST("%s" AS TEXT)`, c.Name))
		}
		var found []string
		if err := db.NewRaw("SELECT "+strings.Join(kept, " || '|' || ")+` FROM "`+table+`" ORDER BY 1`).Scan(ctx, &found); err != nil {
			t.Fatalf("%s: %v", table, err)
		}
		out[table] = strings.Join(found, "\n")
	}
	return out
}

// one row for each table that a later migration changes, and for two that none does.
var filled = []string{
	`INSERT INTO idempotency (actor, idem_key, operation, request_hash, response, at_ms) VALUES ('a', 'k', 'o', 'h', 'r', 7)`,
	`INSERT INTO person (id, name, roles, created_ms) VALUES ('p', '张三', '["duty"]', 7)`,
	`INSERT INTO token (id, person_id, hash, created_ms) VALUES ('t', 'p', 'h', 7)`,
	`INSERT INTO secrets (name, sealed, updated_ms) VALUES ('s', '\x00ff', 7)`,
	`INSERT INTO second_signature (id, action, object_kind, object_id, request, reason, state, requested_by, requested_ms) VALUES ('2', 'a', 'k', 'o', '{}', 'r', 'requested', 'p', 7)`,
	`INSERT INTO drill (id, number, scenario, state, started_by, started_ms) VALUES ('d', 'D-1', 'a2', 'running', 'p', 7)`,
}

func TestTheSchemaGoesUpDownAndUpStepByStepAndKeepsWhatItDoesNotDrop(t *testing.T) {
	db, p := schema(t)
	for _, q := range filled {
		if _, err := db.ExecContext(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	whole := storetest.Columns(t, db)
	if len(whole) < 60 {
		t.Fatalf("only %d tables", len(whole))
	}
	before, compared := rows(t, db, whole), 0
	for i := len(p.ListSources()) - 1; i >= 0; i-- {
		if _, err := p.Down(ctx); err != nil {
			t.Fatal(err)
		}
		left := storetest.Columns(t, db)
		for table, now := range rows(t, db, left) {
			if reflect.DeepEqual(left[table], whole[table]) {
				if compared++; now != before[table] {
					t.Errorf("after the way down past migration %d, %s holds %q instead of %q", p.ListSources()[i].Version, table, now, before[table])
				}
			}
		}
	}
	if left := storetest.Columns(t, db); len(left) != 0 || compared < 500 {
		t.Fatalf("%d tables are left at the bottom, %d were compared on the way", len(left), compared)
	}
	if _, err := p.Up(ctx); err != nil {
		t.Fatal(err)
	}
	if again := storetest.Columns(t, db); !reflect.DeepEqual(again, whole) {
		t.Errorf("up again, the schema is another one:\n%v\n%v", again, whole)
	}
}

func TestTheDataOfAnOldSchemaIsThereAfterEveryUpgrade(t *testing.T) {
	db, p := schema(t)
	if _, err := p.DownTo(ctx, 80); err != nil { // before the first change of a table that was there
		t.Fatal(err)
	}
	old := storetest.Columns(t, db)
	for _, q := range filled {
		if _, err := db.ExecContext(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	before := rows(t, db, old)
	if _, err := p.Up(ctx); err != nil {
		t.Fatal(err)
	}
	for table, now := range rows(t, db, old) {
		if now != before[table] {
			t.Errorf("%s: %q became %q", table, before[table], now)
		}
	}
	for _, table := range []string{"person", "token", "secrets", "second_signature", "drill", "record_head"} {
		if before[table] == "" {
			t.Errorf("%s was empty: nothing was compared", table)
		}
	}
}

func TestBothEnginesHaveTheSameTablesAndColumns(t *testing.T) {
	db, _ := schema(t)
	here := storetest.Columns(t, db)
	there := map[string][]storetest.Column{}
	t.Run("the other engine", func(t *testing.T) {
		other := storetest.Postgres
		if storetest.On() == other {
			other = storetest.SQLite
		}
		t.Setenv(storetest.Var, string(other))
		db, _ := schema(t)
		there = storetest.Columns(t, db)
	})
	if len(here) < 60 || !reflect.DeepEqual(here, there) {
		t.Errorf("%v\n%v", here, there)
	}
}
