package backup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/backup"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/platform/telemetry/telemetrytest"
)

// stopped is a data folder of a server that has stopped, on SQLite, with a database to move it to.
func stopped(t *testing.T) (h *house, data, database string) {
	t.Helper()
	storetest.Only(t, storetest.Postgres, "moves a folder to a database")
	h = (&house{files: true}).furnish(t)
	for i := range 20 {
		h.write([]string{"incident:1", "subject:9", ""}[i%3], i)
	}
	if err := h.st.Write(ctx, a, func(tx *store.Tx) error {
		_, err := tx.Exec("INSERT INTO operator (id, name, province, kind, created_ms) VALUES ('z', '甲''公司\\', '北京', 'other', 1)")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	h.end()
	h.checkpoint()
	h.st.Close()
	return h, h.path("data"), storetest.Database(t, h.path("pg"))
}

func (h *house) verify(db bun.IDB) *record.Report {
	h.t.Helper()
	rep, err := record.Verify(ctx, db, record.VerifyOptions{Keys: h.keys, Outside: h.kept()})
	if err != nil || !rep.OK {
		h.t.Fatalf("report %+v, %v", rep, err)
	}
	return rep
}

func TestADataFolderMovedToPostgreSQLAndBackIsTheSame(t *testing.T) {
	h, data, database := stopped(t)
	db, err := store.Reader(ctx, data, "")
	if err != nil {
		t.Fatal(err)
	}
	before := h.verify(db)
	db.Close()
	there, err := backup.ToPostgres(ctx, data, database, h.keys)
	if err != nil {
		t.Fatal(err)
	}
	if there.Record.Root != before.Root || there.Tables["record_entries"].Rows < 20 && there.Tables["record_leaves"].Rows < 20 || strings.Join(there.Days, " ") != "20261122" {
		t.Errorf("moved %+v", there)
	}
	if _, err := store.Open(ctx, store.Options{Dir: data, Clock: h.clk}); !fault.Is(err, "store.elsewhere") {
		t.Errorf("the folder is opened without the database: %v", err)
	}
	// It goes on there: what was captured is read, entries follow, telemetry follows.
	h.log = record.New(record.Options{Keys: h.keys, Exporters: []record.Exporter{h.exp}})
	if h.st, err = store.Open(ctx, store.Options{Dir: data, Database: database, Clock: h.clk, Recorder: h.log}); err != nil {
		t.Fatal(err)
	}
	if err := h.log.Bind(ctx, h.st); err != nil {
		t.Fatal(err)
	}
	h.captured()
	h.write("incident:1", 100)
	l, stop := telemetrytest.Run(t, telemetry.Options{Store: h.st, Vault: h.log})
	segments, err := l.Segments(ctx, "20261122")
	if err != nil || len(segments) == 0 {
		t.Fatalf("segments %+v, %v", segments, err)
	}
	for _, s := range segments {
		if err := l.Verify(ctx, s); err != nil {
			t.Errorf("a segment that was digested on the other engine: %v", err)
		}
	}
	stop()
	h.checkpoint()
	after := h.verify(h.st.Read())
	h.st.Close()
	back, err := backup.ToSQLite(ctx, data, database, h.keys)
	if err != nil {
		t.Fatal(err)
	}
	if back.Record.Root != after.Root || back.Record.Entries != after.Entries {
		t.Errorf("back: %+v, there: %+v", back.Record, after)
	}
	h.open("data")
	h.captured()
	h.write("incident:1", 101)
	h.verify(h.st.Read())
	h.st.Close()
	if _, err := backup.ToPostgres(ctx, data, storetest.Database(t, h.path("pg2")), h.keys); err != nil {
		t.Errorf("there a second time: %v", err)
	}
}

func TestAMoveThatCannotBeMadeLeavesBothSidesAsTheyWere(t *testing.T) {
	h, data, database := stopped(t)
	in := func(fn func(db *bun.DB)) {
		db, done := storetest.Raw(t, h.path("pg"))
		defer done()
		fn(db)
	}
	serves := func(name string) {
		t.Helper()
		h.open("data")
		h.st.Close()
		in(func(db *bun.DB) {
			var n int
			if err := db.NewRaw("SELECT (SELECT COUNT(*) FROM record_signers) + (SELECT COUNT(*) FROM operator)").Scan(ctx, &n); err != nil || n != 0 {
				t.Errorf("%s: %d rows came across, %v", name, n, err)
			}
		})
	}
	server, err := store.Open(ctx, store.Options{Dir: h.path("other"), Database: database, Clock: h.clk})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read().ExecContext(ctx, "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.ToPostgres(ctx, data, database, h.keys); !fault.Is(err, "backup.in_use") {
		t.Errorf("a database in use: %v", err)
	}
	server.Close()
	serves("in use")
	in(func(db *bun.DB) { db.Exec("ALTER TABLE setting ADD COLUMN more TEXT") })
	if _, err := backup.ToPostgres(ctx, data, database, h.keys); !fault.Is(err, "backup.schema_differs") {
		t.Errorf("another schema: %v", err)
	}
	in(func(db *bun.DB) { db.Exec("ALTER TABLE setting DROP COLUMN more") })
	serves("another schema")
	// A row that is lost, or altered, on the way is found.
	in(func(db *bun.DB) {
		if _, err := db.Exec(`CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := NEW.name || '.'; RETURN NEW; END $$;
			CREATE TRIGGER spoil BEFORE INSERT ON operator FOR EACH ROW EXECUTE FUNCTION spoil()`); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := backup.ToPostgres(ctx, data, database, h.keys); !fault.Is(err, "backup.copy_differs") {
		t.Errorf("a copy that differs: %v", err)
	}
	in(func(db *bun.DB) { db.Exec("DROP TRIGGER spoil ON operator; DROP FUNCTION spoil") })
	serves("a copy that differs")
	// Values of another type than their column says come into a SQLite file easily.
	raw, err := store.OpenSQLite(ctx, filepath.Join(data, store.MainFile), store.Relaxed, 1)
	if err != nil {
		t.Fatal(err)
	}
	raw.Exec("UPDATE operator SET created_ms = 'yesterday' WHERE id = 'z'")
	if _, err := backup.ToPostgres(ctx, data, database, h.keys); !fault.Is(err, "backup.bad_value") {
		t.Errorf("a value of another type: %v", err)
	}
	raw.Exec("UPDATE operator SET created_ms = 1 WHERE id = 'z'")
	raw.Close()
	serves("a value of another type")
	if _, err := backup.ToPostgres(ctx, data, database, h.keys); err != nil {
		t.Fatalf("and then it can be: %v", err)
	}
	h2, data2, _ := stopped(t)
	if _, err := backup.ToPostgres(ctx, data2, database, h2.keys); !fault.Is(err, "backup.not_empty") {
		t.Errorf("a database that holds an instance: %v", err)
	}
}

// Killed before the commit or after it, before the folder's files were put away.
func TestAnInterruptedMoveIsServedByNeitherSideUntilItIsMadeAgain(t *testing.T) {
	for name, committed := range map[string]bool{"before the commit": false, "after the commit": true} {
		h, data, database := stopped(t)
		place, err := store.PlaceOf(database)
		if err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(copied, os.DirFS(data)); err != nil {
			t.Fatal(err)
		}
		if committed {
			if _, err := backup.ToPostgres(ctx, data, database, h.keys); err != nil {
				t.Fatal(err)
			}
		}
		place.Moving = true
		if err := place.Remember(copied); err != nil {
			t.Fatal(err)
		}
		for _, d := range []string{"", database} {
			if _, err := store.Open(ctx, store.Options{Dir: copied, Database: d, Clock: h.clk}); !fault.Is(err, "store.moving") {
				t.Errorf("%s: served from %q: %v", name, d, err)
			}
		}
		m, err := backup.ToPostgres(ctx, copied, database, h.keys)
		if err != nil || !m.Record.OK {
			t.Fatalf("%s: %v", name, err)
		}
		st, err := store.Open(ctx, store.Options{Dir: copied, Database: database, Clock: h.clk})
		if err != nil {
			t.Fatal(err)
		}
		h.verify(st.Read())
		st.Close()
	}
}
