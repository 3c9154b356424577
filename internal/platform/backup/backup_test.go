package backup_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/backup"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/platform/telemetry/telemetrytest"
)

var (
	ctx = context.Background()
	a   = store.Actor{ID: "person-a"}
)

type house struct {
	t    *testing.T
	base string
	keys *secret.Keys
	exp  *record.FileExporter
	log  *record.Log
	st   *store.Store
	clk  *clock.Fake

	end   func() // of telemetry
	files bool   // on SQLite, whatever the engine of this run
}

func newHouse(t *testing.T) *house {
	t.Helper()
	return (&house{}).furnish(t)
}

func (h *house) furnish(t *testing.T) *house {
	t.Helper()
	*h = house{files: h.files, t: t, base: t.TempDir(), clk: clock.NewFake(time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC))}
	var err error
	if h.keys, err = secret.Open(h.path("keys")); err != nil {
		t.Fatal(err)
	}
	if h.exp, err = record.NewFileExporter(h.path("elsewhere"), h.path("data")); err != nil {
		t.Fatal(err)
	}
	h.open("data")
	// A live server keeps its day open, and writes it as only it knows how.
	var tel *telemetry.Log
	tel, h.end = telemetrytest.Run(t, telemetry.Options{Store: h.st, Vault: h.log})
	now := clock.Ms(h.clk)
	tel.PutTraffic(telemetry.Traffic{RequestID: "r1", ContentNo: "C-1", ServiceID: "svc", Kind: "real", Subject: "someone", OutputVerdict: "block",
		StartedMs: now, EndedMs: now, Content: &telemetry.Content{Prompt: "测试提示甲", Answer: "测试违禁词甲"}})
	if err := tel.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	return h
}

// pin makes a row of evidence on a day, as far as a backup looks at it.
func (h *house) pin(day string) {
	h.t.Helper()
	err := h.st.Write(ctx, a, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO evidence (id, anomaly_id, kind, content_no, day, sha256, pinned_by, pinned_ms) VALUES (?, 'a', 'real', ?, ?, '', 'p', 0)`, tx.NewID(), day, day)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func mkdir(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (h *house) path(name string) string { return filepath.Join(h.base, name) }

// database is where the main database of a folder is; "" inside it.
func (h *house) database(data string) string {
	if h.files || storetest.On() == storetest.SQLite {
		return ""
	}
	return storetest.Database(h.t, h.path(data))
}

func (h *house) source() backup.Source {
	return backup.Source{DataDir: h.st.Dir(), Database: h.database(filepath.Base(h.st.Dir())), Keys: h.keys, Clock: h.clk}
}

func (h *house) open(data string) {
	h.t.Helper()
	h.log = record.New(record.Options{Keys: h.keys, Exporters: []record.Exporter{h.exp}})
	st, err := store.Open(ctx, store.Options{Dir: h.path(data), Database: h.database(data), Clock: h.clk, Recorder: h.log})
	if err != nil {
		h.t.Fatal(err)
	}
	h.st = st
	h.t.Cleanup(func() { st.Close() })
	if err := h.log.Bind(ctx, h.st); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) write(scope string, n int) {
	h.t.Helper()
	err := h.st.Write(ctx, a, func(tx *store.Tx) error {
		tx.Record(store.Entry{Action: "incident.note", ObjectKind: "incident", ObjectID: "1", Scope: scope, Content: map[string]int{"n": n}})
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) checkpoint() {
	h.t.Helper()
	if _, err := h.log.Checkpoint(ctx); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) kept() *record.Outside {
	h.t.Helper()
	o, err := record.ReadOutside(h.path("elsewhere"))
	if err != nil {
		h.t.Fatal(err)
	}
	return o
}

func (h *house) create(name string) string {
	h.t.Helper()
	out := h.path(name)
	if _, err := backup.Create(ctx, h.source(), out); err != nil {
		h.t.Fatal(err)
	}
	return out
}

func (h *house) target(name string) backup.Target {
	h.t.Helper()
	fp, err := h.log.Signer(ctx, h.st.Read())
	if err != nil {
		h.t.Fatal(err)
	}
	return backup.Target{DataDir: h.path(name), Database: h.database(name), Keys: h.keys, Signer: fp, Outside: h.kept(), Exporters: []record.Exporter{h.exp}, Clock: h.clk}
}

func TestALiveDataFolderComesBackAndItsRecordVerifies(t *testing.T) {
	h := newHouse(t)
	h.write("incident:1", 0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { // the server goes on writing while it is copied
		defer close(done)
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
				h.write("incident:1", i)
			}
		}
	}()
	time.Sleep(50 * time.Millisecond)
	file := h.create("b.tar.gz")
	close(stop)
	<-done
	h.write("incident:1", -1) // so that one is lost however soon the server stopped
	h.checkpoint()
	res, err := backup.Restore(ctx, file, h.target("new"))
	if err != nil {
		t.Fatalf("%v %+v", err, res)
	}
	if !res.Report.OK || !res.Report.Pinned || res.Report.Epoch != 2 || len(res.Report.Restores) != 1 || res.Report.Restores[0].Lost == nil {
		t.Errorf("report: %+v", res.Report)
	}
	// The restored folder works: it reads what was captured, writes, signs, and verifies against all that
	// was kept outside.
	h.open("new")
	h.captured()
	h.write("incident:1", 1)
	h.checkpoint()
	rep, err := record.Verify(ctx, h.st.Read(), record.VerifyOptions{Keys: h.keys, Outside: h.kept()})
	if err != nil || !rep.OK || rep.Tail != nil {
		t.Errorf("afterwards: %+v %v", rep, err)
	}
	if c, err := h.log.Content(ctx, h.st.Read(), 1); err != nil || string(c) != `{"n":0}` {
		t.Errorf("content: %s %v", c, err)
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode of the backup: %v %v", st.Mode(), err)
	}
	for _, left := range []string{".fengsui-backup-*", ".fengsui-restore-*"} {
		if found, _ := filepath.Glob(h.path(left)); len(found) > 0 {
			t.Errorf("left behind: %v", found)
		}
	}
}

// captured reads the capture of newHouse in the folder that is open now.
func (h *house) captured() {
	h.t.Helper()
	tel, stop := telemetrytest.Run(h.t, telemetry.Options{Store: h.st, Vault: h.log})
	defer stop()
	found, err := tel.Captures(ctx, []string{"C-1"}, 0)
	if err != nil || len(found) == 0 || !found[0].Intact() {
		h.t.Fatalf("captures: %+v, %v", found, err)
	}
	key, err := tel.DataKey(ctx, h.st.Read(), found[0])
	if err != nil {
		h.t.Fatal(err)
	}
	if c, err := found[0].Read(key); err != nil || c.Answer != "测试违禁词甲" {
		h.t.Errorf("content: %+v, %v", c, err)
	}
}

func TestABackupWithoutADayThatEvidenceIsPinnedOnIsNotMade(t *testing.T) {
	h := newHouse(t)
	h.write("incident:1", 1)
	h.pin("20261122")
	h.create("b.tar.gz")
	h.pin("20261121")
	_, err := backup.Create(ctx, h.source(), h.path("c.tar.gz"))
	if !fault.Is(err, "backup.pinned_day") {
		t.Errorf("err = %v", err)
	}
	if found, _ := filepath.Glob(h.path("c.tar.gz*")); len(found) > 0 {
		t.Errorf("left behind: %v", found)
	}
}

func TestWhatWasErasedAfterTheBackupIsErasedInTheRestoredDataToo(t *testing.T) {
	h := newHouse(t)
	h.write("subject:9", 1)
	h.write("subject:8", 2)
	file := h.create("b.tar.gz")
	err := h.st.Write(ctx, a, func(tx *store.Tx) error {
		return h.log.Erase(ctx, tx, record.Erasure{Scope: "subject:9", Ground: "request", Requester: "person-b", Approver: "person-a"})
	})
	if err != nil {
		t.Fatal(err)
	}
	h.checkpoint()
	res, err := backup.Restore(ctx, file, h.target("new"))
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(res.Resumption.Reerased) != "[subject:9]" || res.Report.Erased != 1 {
		t.Errorf("result: %+v %+v", res.Resumption, res.Report)
	}
	h.open("new")
	if _, err := h.log.Content(ctx, h.st.Read(), 1); !fault.Is(err, "record.erased") {
		t.Errorf("erased content came back: %v", err)
	}
	if _, err := h.log.Content(ctx, h.st.Read(), 2); err != nil {
		t.Errorf("the other subject: %v", err)
	}
	// A second round: the repeated erasure is not repeated once more.
	h.write("subject:9", 3)
	h.checkpoint()
	file = h.create("c.tar.gz")
	res, err = backup.Restore(ctx, file, h.target("newer"))
	if err != nil || len(res.Resumption.Reerased) != 0 || res.Report.Epoch != 3 {
		t.Fatalf("second round: %+v %v", res, err)
	}
}

func TestRestoreNeverTouchesAFolderWithSomethingInIt(t *testing.T) {
	h := newHouse(t)
	h.write("", 1)
	file := h.create("b.tar.gz")
	taken := "backup.not_empty"
	if storetest.On() == storetest.Postgres {
		taken = "backup.in_use"
	}
	if _, err := backup.Restore(ctx, file, h.target("data")); !fault.Is(err, taken) {
		t.Errorf("err = %v", err)
	}
	mkdir(t, h.path("empty"))
	if _, err := backup.Restore(ctx, file, h.target("empty")); err != nil {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := backup.Create(ctx, h.source(), file); !fault.Is(err, "backup.exists") {
		t.Errorf("a second backup under the same name: %v", err)
	}
	if storetest.On() == storetest.Postgres {
		return
	}
	if _, err := backup.Create(ctx, backup.Source{DataDir: h.path("nowhere"), Keys: h.keys, Clock: h.clk}, h.path("x")); !fault.Is(err, "backup.no_data") {
		t.Errorf("no data: %v", err)
	}
}

func TestADamagedBackupIsRefusedAndLeavesNothing(t *testing.T) {
	h := newHouse(t)
	h.write("incident:1", 1)
	file := h.create("b.tar.gz")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bad := h.path("bad.tar.gz")
	try := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(bad, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := backup.Restore(ctx, bad, h.target("new")); err == nil {
			t.Fatalf("%s: restored", name)
		}
		if _, err := os.Stat(h.path("new")); !os.IsNotExist(err) {
			t.Fatalf("%s: the target is there", name)
		}
	}
	damaged := 0
	for i := range 40 {
		b := append([]byte(nil), raw...)
		at := 10 + i*(len(b)-20)/40 // past the gzip header, whose time and system fields say nothing
		b[at] ^= 0x10
		if bytes.Equal(unpacked(b), unpacked(raw)) {
			continue // among zeros a match at another distance says the same: nothing is damaged
		}
		damaged++
		try(fmt.Sprintf("byte %d of %d altered", at, len(b)), b)
	}
	if damaged < 30 {
		t.Errorf("only %d of 40 bytes say anything", damaged)
	}
	try("cut short", raw[:len(raw)-5])
	try("half", raw[:len(raw)/2])
	try("empty", nil)
}

// unpacked is what a gzip file holds; nil if its end does not vouch for it.
func unpacked(b []byte) []byte {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil
	}
	out, err := io.ReadAll(z)
	if err != nil {
		return nil
	}
	return out
}

func TestABackupThatWasRepackedWithoutTheSignerIsRefused(t *testing.T) {
	h := newHouse(t)
	h.write("incident:1", 1)
	file := h.create("b.tar.gz")
	_, err := backup.Restore(ctx, h.forge(file), h.target("forged"))
	if !fault.Is(err, "backup.signature") {
		t.Errorf("a repacked backup: %v", err)
	}
	// Another house with its own keys makes a backup of an altered copy; the hashes fit, the signer does not.
	stranger := newHouse(t)
	to := stranger.target("new")
	if _, err := backup.Restore(ctx, file, to); err == nil {
		t.Error("restored with a key folder that does not belong to it")
	}
	stranger.write("incident:1", 1)
	to = h.target("new")
	if _, err := backup.Restore(ctx, stranger.create("s.tar.gz"), to); err == nil {
		t.Error("a stranger's backup was restored")
	}
}

// forge alters a byte of the telemetry in a backup and makes manifest and hashes fit again.
func (h *house) forge(file string) string {
	h.t.Helper()
	must := func(err error) {
		h.t.Helper()
		if err != nil {
			h.t.Fatal(err)
		}
	}
	in, err := os.Open(file)
	must(err)
	defer in.Close()
	z, err := gzip.NewReader(in)
	must(err)
	var names []string
	parts := map[string][]byte{}
	for t := tar.NewReader(z); ; {
		head, err := t.Next()
		if err == io.EOF {
			break
		}
		must(err)
		b, err := io.ReadAll(t)
		must(err)
		names, parts[head.Name] = append(names, head.Name), b
	}
	day := parts["telemetry/20261122.db"]
	day[len(day)-1] ^= 1
	var m backup.Manifest
	must(json.Unmarshal(parts["manifest.json"], &m))
	for i, f := range m.Files {
		m.Files[i].SHA256 = fmt.Sprintf("%x", sha256.Sum256(parts[f.Name]))
	}
	parts["manifest.json"], err = json.MarshalIndent(m, "", " ")
	must(err)
	out, err := os.Create(h.path("forged.tar.gz"))
	must(err)
	g := gzip.NewWriter(out)
	t := tar.NewWriter(g)
	for _, n := range names {
		must(t.WriteHeader(&tar.Header{Name: n, Mode: 0o600, Size: int64(len(parts[n]))}))
		_, err := t.Write(parts[n])
		must(err)
	}
	must(t.Close())
	must(g.Close())
	must(out.Close())
	return out.Name()
}
