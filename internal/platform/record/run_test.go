package record_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

// inbox is an exporter that fails while down is set, and signals every arrival.
type inbox struct {
	mu     sync.Mutex
	down   bool
	failed int
	got    []record.Dispatch
	came   chan struct{}
}

func (i *inbox) set(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

func (i *inbox) Export(_ context.Context, d record.Dispatch) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	select {
	case i.came <- struct{}{}:
	default:
	}
	if i.down {
		i.failed++
		return errors.New("the mailbox is away")
	}
	i.got = append(i.got, d)
	return nil
}

func (i *inbox) last() (record.Dispatch, *record.Checkpoint) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.got) == 0 {
		return record.Dispatch{}, &record.Checkpoint{}
	}
	d := i.got[len(i.got)-1]
	c, err := record.ParseCheckpoint(d.Checkpoint)
	if err != nil {
		panic(err)
	}
	return d, c
}

func (i *inbox) wait(t *testing.T) {
	t.Helper()
	select {
	case <-i.came:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was exported")
	}
}

func TestRunSignsAndExportsInTimeAndStopsCleanly(t *testing.T) {
	h := newHouse(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	box := &inbox{came: make(chan struct{}, 100)}
	h.log.Add(box)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.log.Run(ctx) }()
	box.wait(t)
	if _, c := box.last(); c.Size != 1 {
		t.Fatalf("at the start: %+v", c)
	}
	idle := func() { // Run waits on the clock and on nothing older
		for h.clock.Waiting() != 1 {
			time.Sleep(time.Millisecond)
		}
	}
	until := func(what string, move time.Duration, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				_, c := box.last()
				t.Fatalf("%s: %+v", what, c)
			}
			h.clock.Advance(move)
		}
	}
	size := func(n int64) func() bool {
		return func() bool { _, c := box.last(); return c.Size == n }
	}
	h.write(decision("subject:9", 1))
	until("after the interval", 5*time.Minute, size(2))
	h.erase("subject:9")
	until("an erasure goes out at once, without the clock", 0, size(3))
	if d, _ := box.last(); len(d.Erasures) != 1 || !strings.Contains(d.Erasures[0], "\nerasure\nsubject:9\n") {
		t.Fatalf("erasures: %v", d.Erasures)
	}
	box.set(true)
	h.write(decision("", 2))
	until("a failure", 5*time.Minute, func() bool { box.mu.Lock(); defer box.mu.Unlock(); return box.failed > 0 })
	idle()
	box.set(false)
	h.clock.Advance(10 * time.Second)
	until("it tries again after ten seconds, not five minutes", 0, size(4))
	h.write(decision("", 3))
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if _, c := box.last(); c.Size != 5 {
		t.Errorf("the last checkpoint at the stop: %+v", c)
	}
}

func TestRunSignsAfterSoManyEntries(t *testing.T) {
	h := newHouse(t)
	box := &inbox{came: make(chan struct{}, 100)}
	h.log.Add(box)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.log.Run(ctx) }()
	defer func() { stop(); <-ended }()
	box.wait(t)
	var batch []store.Entry
	for i := range 100 {
		batch = append(batch, decision("", i))
	}
	for range 30 { // the default is a thousand; the clock moves by seconds only
		h.write(batch...)
		if _, c := box.last(); c.Size > 1000 {
			return
		}
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, c := box.last(); c.Size > 1000 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("nothing was signed after three thousand entries")
		}
	}
}

func TestTheOutsideFileSurvivesATornLineAndIsNotWrittenTwice(t *testing.T) {
	h := newHouse(t)
	path := filepath.Join(h.outside, record.OutsideFile)
	h.write(decision("", 1))
	h.checkpoint()
	size := func() int64 {
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	before := size()
	h.checkpoint()
	if size() != before {
		t.Error("the same checkpoint was written twice")
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"checkpoint":"cut of`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	h.write(decision("", 2))
	h.checkpoint()
	rep := h.verify(record.VerifyOptions{Outside: h.kept()})
	passes(t, rep)
	if rep.CoveredOutside != 3 || len(rep.Notices) != 1 || rep.Notices[0].Key != "record.notice.outside_unreadable" {
		t.Errorf("report: %+v", rep)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Replace(raw, []byte(`\nepoch 1\n`), []byte(`\nepoch 2\n`), 1)
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	finds(t, h.verify(record.VerifyOptions{Outside: h.kept()}), "signature")
}

func TestANoteSavedFromAMailCountsAsKeptOutside(t *testing.T) {
	h := newHouse(t)
	h.write(decision("", 1))
	c := h.checkpoint()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mail.txt"), []byte(c.Note), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := record.ReadOutside(dir)
	if err != nil {
		t.Fatal(err)
	}
	if rep := h.verify(record.VerifyOptions{Outside: o}); !rep.OK || rep.CoveredOutside != c.Size || rep.Tail != nil {
		t.Errorf("report: %+v", rep)
	}
}

func TestTheCheckpointFolderMayNotLieInTheDataFolder(t *testing.T) {
	dir := t.TempDir()
	for _, in := range []string{dir, filepath.Join(dir, "checkpoints")} {
		if _, err := record.NewFileExporter(in, dir); !fault.Is(err, "record.outside_inside") {
			t.Errorf("%s: %v", in, err)
		}
	}
	if _, err := record.NewFileExporter(dir+"-checkpoints", dir); err != nil {
		t.Errorf("beside it: %v", err)
	}
}

func TestNothingOfAnErasedScopeIsLeftInTheDataFolder(t *testing.T) {
	h := newHouse(t)
	h.write(decision("subject:9", 1))
	var sealed, wrapped []byte
	if err := h.st.Read().QueryRowContext(ctx, `SELECT p.sealed, k.wrapped FROM record_payloads AS p, record_keys AS k WHERE p.idx = 1 AND k.scope = 'subject:9'`).Scan(&sealed, &wrapped); err != nil {
		t.Fatal(err)
	}
	found := func() bool {
		for _, f := range storetest.Files(t, h.dir) {
			// PostgreSQL writes over a deleted row's bytes when it needs the room; without the key they say nothing.
			if raw, _ := os.ReadFile(f); bytes.Contains(raw, wrapped) || storetest.On() == storetest.SQLite && bytes.Contains(raw, sealed) {
				return true
			}
		}
		return false
	}
	if !found() {
		t.Fatal("the test looks in the wrong place")
	}
	h.erase("subject:9")
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- h.log.Run(run) }()
	for range 500 {
		if !found() {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if found() {
		t.Error("ciphertext or wrapped key of the erased scope is still in a file")
	}
}
