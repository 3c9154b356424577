package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

// The drill of docs/operations/postgresql.md: base backup, the server lost, restored to a time, started again.
func TestAnInstanceRestoredToAPointInTimeGoesOnInANewEpochThatNamesWhatWasLost(t *testing.T) {
	restoredToAPointInTime(t, true)
}

// Checkpoints are minutes apart, so most of what a restore or a failover loses is younger than the last one.
func TestAnInstanceThatLostLessThanACheckpointCoversGoesOnInANewEpochToo(t *testing.T) {
	restoredToAPointInTime(t, false)
}

func restoredToAPointInTime(t *testing.T, covered bool) {
	storetest.Only(t, storetest.Postgres, "restores to a point in time")
	server := storetest.StartArchived(t)
	server.Exec(t, "postgres", "CREATE DATABASE fengsui")
	data, database := filepath.Join(t.TempDir(), "data"), server.URL("fengsui")
	person := func(name string) {
		t.Helper()
		add := &PersonAddCmd{Name: name, Roles: []string{"duty_officer"}}
		add.Data, add.Database, add.Lang = data, database, "en"
		if err := add.Run(context.Background(), &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (string, error) {
		t.Helper()
		return recordRun(t, append(args, "--data", data, "--database", database)...)
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := run(args...)
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return out
	}
	report := func() (r record.Report) {
		t.Helper()
		out, _ := run("record", "verify", "--json") // whether it verifies is in the report
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return r
	}
	serveOnce(t, data, database)
	server.Base(t)
	person("before")
	at := server.Now(t)
	person("after")
	if covered {
		must("record", "checkpoint")
	}
	last := report()
	server.Archive(t)
	server.Kill(t)

	server.RestoreTo(t, at)
	if r := report(); r.OK == covered || r.Entries >= last.Entries {
		t.Errorf("before the start the loss is not found: %+v", r)
	}
	serveOnce(t, data, database)
	must("record", "checkpoint")
	r := report()
	if !r.OK || r.Epoch != 2 || len(r.Restores) != 1 || covered && (r.Restores[0].Lost == nil || r.Restores[0].Lost.To != last.Entries-1) {
		t.Errorf("after the start: %+v", r)
	}
	serveOnce(t, data, database)
	if again := report(); again.Epoch != 2 {
		t.Errorf("the next start began epoch %d", again.Epoch)
	}
}
