package cli

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

// served leaves a data folder as `fengsui serve --database` does, and gives the database.
func served(t *testing.T) (data, database string) {
	t.Helper()
	storetest.Only(t, storetest.Postgres, "a folder that remembers its database")
	data = filepath.Join(t.TempDir(), "data")
	database = storetest.Database(t, data)
	serveOnce(t, data, database)
	return data, database
}

func serveOnce(t *testing.T, data, database string) {
	t.Helper()
	a, err := app.New(t.Context(), app.Options{DataDir: data, Database: database, Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	a.Stop()
}

func TestTheCommandsWorkOnADatabaseAsOnAFolder(t *testing.T) {
	data, database := served(t)
	run := func(args ...string) string {
		t.Helper()
		out, err := recordRun(t, append(args, "--data", data, "--database", database)...)
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return out
	}
	fp := strings.TrimSpace(run("record", "signer"))
	run("record", "checkpoint")
	run("record", "verify", "--signer", fp)
	run("record", "export", "--out", filepath.Join(t.TempDir(), "export"))
	if next := strings.TrimSpace(run("record", "rotate-key")); next == fp {
		t.Error("the key was not replaced")
	}
	var out bytes.Buffer
	add := &PersonAddCmd{Name: "甲", Roles: []string{"duty_officer"}}
	add.Data, add.Database, add.Lang = data, database, "en"
	if err := add.Run(context.Background(), &out); err != nil || !strings.Contains(out.String(), "token") {
		t.Errorf("person add: %s, %v", out.String(), err)
	}
}

func TestAFolderRemembersItsDatabaseAndIsNotOpenedWithoutItOrWithAnother(t *testing.T) {
	data, database := served(t)
	p, err := store.ReadPlace(data)
	if err != nil || p == nil || p.Instance == "" || !strings.Contains(database, "/"+p.Database+"?") {
		t.Fatalf("place %+v, %v", p, err)
	}
	other := filepath.Join(t.TempDir(), "other")
	elsewhere := storetest.Database(t, other)
	serveOnce(t, other, elsewhere)
	folder := recordFolder(t)
	for name, c := range map[string]struct{ data, database, key string }{
		"forgotten":            {data, "", "store.elsewhere"},
		"another instance":     {data, elsewhere, "store.other_instance"},
		"a folder of its own":  {folder, database, "store.here"},
		"the one it is":        {data, database, ""},
		"a folder without one": {folder, "", ""},
	} {
		a, err := app.New(t.Context(), app.Options{DataDir: c.data, Database: c.database, Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0"})
		if err == nil {
			a.Stop()
		}
		if c.key == "" && err != nil || c.key != "" && !fault.Is(err, c.key) {
			t.Errorf("%s: %v, want %q", name, err, c.key)
		}
	}
	if _, err := recordRun(t, "record", "verify", "--data", data); err == nil || !strings.Contains(err.Error(), "--database") {
		t.Errorf("verify without --database: %v", err)
	}
	if entries, _ := filepath.Glob(filepath.Join(data, store.MainFile)); entries != nil {
		t.Error("a SQLite database was begun beside the real one")
	}
	moving := *p
	moving.Moving = true
	if err := moving.Remember(data); err != nil {
		t.Fatal(err)
	}
	_, err = store.Open(t.Context(), store.Options{Dir: data, Database: database})
	var f *fault.Error
	if !errors.As(err, &f) || f.Key != "store.moving" {
		t.Errorf("a folder whose move was not finished: %v", err)
	}
}
