package store_test

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pressly/goose/v3"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/platform/watch"
)

// aged are the schema changes of a program: those of this one as far as to, and more.
func aged(t *testing.T, to int64, more map[string]string) fs.FS {
	t.Helper()
	all, err := store.SchemaFiles()
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(all, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	out := fstest.MapFS{}
	for _, name := range names {
		v, err := goose.NumericComponent(name)
		if err != nil {
			t.Fatal(err)
		}
		if v > to {
			continue
		}
		text, err := fs.ReadFile(all, name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = &fstest.MapFile{Data: text}
	}
	for name, text := range more {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

// Changes of programs newer than this one: the first can be borne by it, the second cannot.
const (
	adds  = "-- +goose Up\nCREATE TABLE later (id TEXT PRIMARY KEY);\nALTER TABLE idempotency ADD COLUMN more TEXT NOT NULL DEFAULT 'x';\n-- +goose Down\nDROP TABLE later;\n"
	takes = "-- +goose Up\nDROP TABLE idempotency;\nUPDATE schema_need SET oldest = 99902;\n-- +goose Down\nSELECT 1;\n"
)

func TestAProgramGoesOnUnderANewerSchemaThatLetsItAndIsRefusedByOneThatDoesNot(t *testing.T) {
	this := aged(t, 99900, nil)
	newer := aged(t, 99900, map[string]string{"99901_adds.sql": adds})
	newest := aged(t, 99900, map[string]string{"99901_adds.sql": adds, "99902_takes.sql": takes})
	dir := t.TempDir()
	o := storetest.With(t, store.Options{Dir: dir, Clock: clock.System(), Recorder: &ledger{}, Hub: watch.New()})
	open := func(files fs.FS) (*store.Store, error) {
		st, err := store.Open(ctx, o.Knowing(files))
		if err == nil {
			t.Cleanup(func() { st.Close() })
		}
		return st, err
	}
	old, err := open(this)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(newer); err != nil {
		t.Fatalf("an upgrade beside a node of before: %v", err)
	}
	write := func(st *store.Store, key string) error {
		return st.Write(ctx, store.System("test"), func(tx *store.Tx) error {
			// It names what it gives, and takes what it knows of what it gets.
			var back []struct {
				Actor, IdemKey, Operation, RequestHash, Response string
				AtMs                                             int64
			}
			return tx.NewRaw("INSERT INTO idempotency (actor, idem_key, operation, request_hash, response, at_ms) VALUES ('a', ?, 'o', 'h', 'r', 7) RETURNING *", key).Scan(ctx, &back)
		})
	}
	if err := write(old, "1"); err != nil {
		t.Errorf("a node of before, after the upgrade: %v", err)
	}
	old.Close()
	if old, err = open(this); err != nil {
		t.Fatalf("a node of before that starts again: %v", err)
	}
	if err := write(old, "2"); err != nil {
		t.Error(err)
	}
	// While it serves, nothing that it does not understand is changed under it.
	says := func(seenMs int64) {
		t.Helper()
		if err := old.Write(ctx, store.System("test"), func(tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO node (id, first_ms, started_ms, seen_ms, version, built_for, modules) VALUES ('old', 1, 1, ?, 'v', 99900, '{}')
				ON CONFLICT (id) DO UPDATE SET seen_ms = excluded.seen_ms`, seenMs)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	says(clock.Ms(clock.System()))
	if _, err := open(newest); !fault.Is(err, "store.older_nodes") || !strings.Contains(fmt.Sprint(err), "old") {
		t.Errorf("a change that takes away, beside it: %v", err)
	}
	if err := write(old, "3"); err != nil {
		t.Errorf("it was made nevertheless: %v", err)
	}
	says(clock.Ms(clock.System()) - store.NodeGone - 1)
	if _, err := open(newest); err != nil {
		t.Fatalf("without it: %v", err)
	}
	if _, err := open(this); !fault.Is(err, "store.newer_schema") {
		t.Errorf("a program that does not bear the schema starts: %v", err)
	}
	if _, err := open(newer); !fault.Is(err, "store.newer_schema") {
		t.Errorf("nor may one that knows half of it: %v", err)
	}
}

// What a program of before would stumble over: it names what is gone, or leaves out what must be given.
var breaking = []*regexp.Regexp{regexp.MustCompile(`(?i)\bDROP\s+(TABLE|COLUMN)\b`), regexp.MustCompile(`(?i)\bRENAME\b`), regexp.MustCompile(`(?i)ADD\s+COLUMN\s+\w+\s+\w+\s+NOT\s+NULL\s*(;|,|--|$)`)}

func breaks(text string) bool {
	up, _, _ := strings.Cut(text, "-- +goose Down")
	for _, b := range breaking {
		if b.MatchString(up) {
			return true
		}
	}
	return false
}

func TestASchemaChangeThatTakesAwaySaysWhoBearsIt(t *testing.T) {
	files := aged(t, 99900, nil)
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		if v, _ := goose.NumericComponent(name); v > 170 && breaks(string(text)) && !store.Oldest.Match(text) {
			t.Errorf("%s takes away or demands what programs of before do not know; say UPDATE schema_need SET oldest = %d", name, v)
		}
	}
	for text, want := range map[string]bool{
		takes: true, adds: false,
		"ALTER TABLE a DROP COLUMN b;":                        true,
		"ALTER TABLE a RENAME COLUMN b TO c;":                 true,
		"ALTER TABLE a ADD COLUMN b TEXT NOT NULL;":           true,
		"ALTER TABLE a ADD COLUMN b TEXT NOT NULL DEFAULT ''": false,
	} {
		if breaks(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}
