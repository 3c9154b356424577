// Package storetest opens stores for tests on the engine that FENGSUI_TEST_STORE names, sqlite or postgres, so that one
// suite holds both to the same behaviour. What a test opens twice under one folder is one database.
package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Engine is the name of a database engine.
type Engine string

// The engines.
const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

// Var names the engine of this run; the default is sqlite.
const Var = "FENGSUI_TEST_STORE"

// On is the engine of this run. A name that it does not know ends the process: silence would test the wrong engine.
func On() Engine {
	switch e := Engine(os.Getenv(Var)); e {
	case "", SQLite:
		return SQLite
	case Postgres:
		return e
	default:
		panic(Var + " is " + string(e) + "; it knows sqlite and postgres")
	}
}

// Only skips a test of something that the other engine does not have, and says why. scripts/engines counts these apart.
func Only(t testing.TB, e Engine, why string) {
	t.Helper()
	if On() != e {
		t.Skipf("only on %s: %s", e, why)
	}
}

// Open opens the store of o.Dir on the engine of this run and closes it when the test ends.
func Open(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	st, err := store.Open(context.Background(), With(t, o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// With gives the options with the database of this run's engine, prepared.
func With(t testing.TB, o store.Options) store.Options {
	t.Helper()
	o.Database = Prepare(t, o.Dir)
	return o
}

// Prepare gives a folder that was not opened before a database with the schema in it, copied from one that was made
// for all tests of this process, and its address: on PostgreSQL it is dropped when the test ends; on SQLite it is the
// file in the folder, and the address is "".
func Prepare(t testing.TB, dir string) (database string) {
	t.Helper()
	if On() == Postgres {
		return Database(t, dir)
	}
	raw, err := schema()
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, store.MainFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return ""
	}
	if err == nil {
		_, err = f.Write(raw)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return ""
}

// schema is an SQLite database that holds nothing but the schema.
var schema = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "fengsui-template-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	st, err := store.Open(context.Background(), store.Options{Dir: dir, Clock: clock.System()})
	if err != nil {
		return nil, err
	}
	if err := st.Close(); err != nil { // the last to close it brings all into the one file
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, store.MainFile))
})

var (
	mu   sync.Mutex
	have = map[string]bool{}
)

// Database is the address of the PostgreSQL database that belongs to a folder.
func Database(t testing.TB, dir string) string {
	t.Helper()
	c := Cluster(t)
	name := nameOf(dir)
	mu.Lock()
	defer mu.Unlock()
	if !have[name] && os.Getenv(clusterVar) != "" && c.exists(t, name) {
		return c.URL(name) // a parent process made it, and drops it
	}
	if !have[name] {
		c.create(t, name)
		have[name] = true
		t.Cleanup(func() {
			mu.Lock()
			defer mu.Unlock()
			delete(have, name)
			c.Exec(t, "postgres", `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`)
		})
	}
	return c.URL(name)
}

func nameOf(dir string) string {
	sum := sha256.Sum256([]byte(filepath.Clean(dir)))
	return "t_" + hex.EncodeToString(sum[:10])
}

// Inherit is With for a process that a test starts: the database is there already.
func Inherit(o store.Options) store.Options {
	if On() == Postgres {
		o.Database = Server{os.Getenv(clusterVar)}.URL(nameOf(o.Dir))
	}
	return o
}

// Statements is a hook of bun that counts what is asked of a database.
type Statements int

// BeforeQuery counts.
func (s *Statements) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context {
	*s++
	return ctx
}

// AfterQuery does nothing.
func (s *Statements) AfterQuery(context.Context, *bun.QueryEvent) {}

// Raw opens the database of a folder past the store, for tests that look at, or spoil, what it keeps.
func Raw(t testing.TB, dir string) (db *bun.DB, done func()) {
	t.Helper()
	if On() == Postgres {
		db = Cluster(t).open(t, nameOf(dir))
	} else {
		var err error
		if db, err = store.OpenSQLite(context.Background(), filepath.Join(dir, store.MainFile), store.Relaxed, 1); err != nil {
			t.Fatal(err)
		}
	}
	return db, func() { db.Close() }
}

// Copy copies the database of one folder to another, as a backup and its restoring would.
func Copy(t testing.TB, from, to string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	if On() == Postgres {
		Cluster(t).copy(t, Database(t, from), Database(t, to))
		return
	}
	db, done := Raw(t, from)
	defer done()
	if _, err := db.ExecContext(context.Background(), `VACUUM INTO ?`, filepath.Join(to, store.MainFile)); err != nil {
		t.Fatal(err)
	}
}

// RowID is the column by which the engine tells rows apart that are alike.
func RowID() string {
	if On() == Postgres {
		return "ctid"
	}
	return "rowid"
}

// Columns lists the columns of every table, by table, without those of the migrations.
func Columns(t testing.TB, db bun.IDB) map[string][]Column {
	t.Helper()
	q := `SELECT m.name AS tbl, c.name AS name, c.type AS type FROM sqlite_master AS m, pragma_table_info(m.name) AS c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE 'goose%' ORDER BY m.name, c.name`
	if On() == Postgres {
		q = `SELECT table_name AS tbl, column_name AS name, UPPER(data_type) AS type FROM information_schema.columns
			WHERE table_schema = 'public' AND table_name NOT LIKE 'goose%' ORDER BY 1, 2`
	}
	var rows []struct {
		Tbl string
		Column
	}
	if err := db.NewRaw(q).Scan(context.Background(), &rows); err != nil {
		t.Fatal(err)
	}
	out := map[string][]Column{}
	for _, r := range rows {
		out[r.Tbl] = append(out[r.Tbl], r.Column)
	}
	return out
}

// Column is a column of a table.
type Column struct{ Name, Type string }
