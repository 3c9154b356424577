package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// recordFolder makes a data folder with a few entries, as `fengsui serve` leaves it.
func recordFolder(t *testing.T) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	keys, err := secret.Open(secret.DefaultDir(data))
	if err != nil {
		t.Fatal(err)
	}
	l := record.New(record.Options{Keys: keys})
	st, err := store.Open(context.Background(), store.Options{Dir: data, Clock: clock.System(), Recorder: l})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if err := l.Bind(context.Background(), st); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		err := st.Write(context.Background(), store.Actor{ID: "person-a"}, func(tx *store.Tx) error {
			tx.Record(store.Entry{Action: "incident.note", ObjectKind: "incident", ObjectID: "1", Scope: "incident:1", Content: "测试违禁词甲"})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return data
}

// recordRun parses and runs a command line; it needs no other command to be there.
func recordRun(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var root struct {
		Record  RecordCmd  `cmd:""`
		Backup  BackupCmd  `cmd:""`
		Restore RestoreCmd `cmd:""`
	}
	var out bytes.Buffer
	p, err := kong.New(&root, kong.Writers(&out, &out), kong.Exit(func(int) {}), kong.BindTo(context.Background(), (*context.Context)(nil)), kong.BindTo(&out, (*io.Writer)(nil)))
	if err != nil {
		t.Fatal(err)
	}
	k, err := p.Parse(args)
	if err != nil {
		t.Fatal(err)
	}
	err = k.Run()
	return out.String(), err
}

// recordRuns gives what runs commands that have to succeed.
func recordRuns(t *testing.T) func(args ...string) string {
	return func(args ...string) string {
		t.Helper()
		out, err := recordRun(t, args...)
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return out
	}
}

func TestTheRecordCommandsSignVerifyRotateAndExport(t *testing.T) {
	data := recordFolder(t)
	run := recordRuns(t)
	fp := strings.TrimSpace(run("record", "signer", "--data", data))
	if !strings.Contains(run("record", "verify", "--data", data, "--lang", "en"), "signer unknown") {
		t.Error("unpinned, it does not say that the signer is unknown")
	}
	if note := run("record", "checkpoint", "--data", data); !strings.Contains(note, "\nepoch 1\n") {
		t.Errorf("checkpoint: %s", note)
	}
	next := strings.TrimSpace(run("record", "rotate-key", "--data", data))
	if next == fp || len(next) != 64 {
		t.Errorf("the key did not change: %s", next)
	}
	out := run("record", "verify", "--data", data, "--signer", fp)
	for _, want := range []string{"校验通过", next, "没有未覆盖的尾部", "依法删除内容 0 条"} {
		if !strings.Contains(out, want) {
			t.Errorf("verify lacks %q:\n%s", want, out)
		}
	}
	var rep record.Report
	if err := json.Unmarshal([]byte(run("record", "verify", "--data", data, "--signer", fp, "--json")), &rep); err != nil || !rep.OK || rep.CoveredOutside != rep.Entries {
		t.Errorf("json: %+v %v", rep, err)
	}
	file := filepath.Join(t.TempDir(), "e.jsonl")
	run("record", "export", "--data", data, "--out", file)
	if raw, _ := os.ReadFile(file); bytes.Contains(raw, []byte("违禁词")) {
		t.Error("the export holds contents without being asked to")
	}
	run("record", "verify", "--file", file, "--signer", fp)
	full := filepath.Join(t.TempDir(), "f.jsonl")
	run("record", "export", "--data", data, "--out", full, "--with-content")
	if raw, _ := os.ReadFile(full); !bytes.Contains(raw, []byte("违禁词")) {
		t.Error("the export lacks the contents it was asked for")
	}
	run("record", "verify", "--file", full, "--signer", fp)
}

func TestOneEntryIsProvenAndItsProofIsCheckedElsewhere(t *testing.T) {
	data := recordFolder(t)
	run := recordRuns(t)
	if out, err := recordRun(t, "record", "proof", "99", "--data", data); err == nil || !strings.Contains(err.Error(), "99") {
		t.Errorf("an entry that is not there: %v %s", err, out)
	}
	run("record", "checkpoint", "--data", data)
	fp := strings.TrimSpace(run("record", "signer", "--data", data))
	if out := run("record", "proof", "2", "--data", data, "--lang", "en"); !strings.Contains(out, "signer unknown") || !strings.Contains(out, "Entry 2") {
		t.Errorf("unpinned: %s", out)
	}
	if out := run("record", "proof", "2", "--data", data, "--signer", fp); !strings.Contains(out, "校验通过") || !strings.Contains(out, fp) {
		t.Errorf("pinned: %s", out)
	}
	js := run("record", "proof", "2", "--data", data, "--json")
	if strings.Contains(js, "违禁词") || strings.Contains(js, "salt") {
		t.Error("the proof discloses contents")
	}
	file := filepath.Join(t.TempDir(), "p.json")
	keep := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keep(js)
	run("record", "proof", "--file", file, "--signer", fp)
	if _, err := recordRun(t, "record", "proof", "--file", file, "--signer", strings.Repeat("0", 64)); !errors.Is(err, ErrNotVerified) {
		t.Errorf("another's fingerprint: %v", err)
	}
	keep(strings.Replace(js, "person-a", "person-b", 1))
	if out, err := recordRun(t, "record", "proof", "--file", file, "--signer", fp); !errors.Is(err, ErrNotVerified) {
		t.Errorf("an altered entry: %v %s", err, out)
	}
	keep("{}")
	if _, err := recordRun(t, "record", "proof", "--file", file); !errors.Is(err, ErrNotVerified) {
		t.Errorf("nothing at all: %v", err)
	}
	if _, err := recordRun(t, "record", "proof", "--data", data); err == nil {
		t.Error("without a number")
	}
}

func TestVerifyFailsWithAnErrorWhenSomethingIsWrong(t *testing.T) {
	data := recordFolder(t)
	db, err := store.OpenSQLite(context.Background(), filepath.Join(data, store.MainFile), store.Durable, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(context.Background(), `UPDATE record_entries SET actor = 'person-x' WHERE idx = 2`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	out, err := recordRun(t, "record", "verify", "--data", data)
	if !errors.Is(err, ErrNotVerified) || !strings.Contains(out, "第 2 条的检索列") {
		t.Errorf("%v\n%s", err, out)
	}
	for name, args := range map[string][]string{
		"no data folder":        {"record", "verify", "--data", filepath.Join(data, "nowhere")},
		"a bad fingerprint":     {"record", "verify", "--data", data, "--signer", "abc"},
		"no such checkpoints":   {"record", "verify", "--data", data, "--checkpoints", filepath.Join(data, "nowhere")},
		"no such file":          {"record", "verify", "--file", filepath.Join(data, "nowhere")},
		"an export over a file": {"record", "export", "--data", data, "--out", filepath.Join(data, store.MainFile)},
		"nothing to sign":       {"record", "checkpoint", "--data", filepath.Join(data, "nowhere")},
	} {
		if _, err := recordRun(t, args...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := os.Stat(filepath.Join(data, store.MainFile)); err != nil {
		t.Error("the database is gone")
	}
	if _, err := os.Stat(filepath.Join(data, "nowhere")); err == nil {
		t.Error("a command that was to read made a folder")
	}
}

func TestBackupAndRestoreFromTheCommandLine(t *testing.T) {
	data := recordFolder(t)
	file := filepath.Join(t.TempDir(), "b.tar.gz")
	fp, err := recordRun(t, "record", "signer", "--data", data)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := recordRun(t, "backup", "--data", data, "--out", file); err != nil || !strings.Contains(out, "密钥目录") {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := recordRun(t, "restore", "--from", file, "--data", data, "--signer", strings.TrimSpace(fp)); err == nil {
		t.Fatal("restored over live data")
	}
	back := filepath.Join(t.TempDir(), "data")
	args := []string{"--data", back, "--keys", secret.DefaultDir(data), "--signer", strings.TrimSpace(fp), "--lang", "en"}
	out, err := recordRun(t, append([]string{"restore", "--from", file}, args...)...)
	if err != nil || !strings.Contains(out, "now in epoch 2") {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := recordRun(t, append([]string{"record", "verify"}, args...)...); err != nil || !strings.Contains(out, "No entry is uncovered") {
		t.Errorf("%v\n%s", err, out)
	}
}
