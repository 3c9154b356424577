package gatelink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
)

var seed = bytes.Repeat([]byte{7}, 32)

func newSpool(t *testing.T, dir string, bound int64) (*Spool, *clock.Fake) {
	t.Helper()
	clk := clock.NewFake(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	s, err := OpenSpool(dir, bound, clk, nil)
	if err != nil {
		t.Fatal(err)
	}
	begun := clk.Now()
	s.running = func() time.Duration { return clk.Now().Sub(begun) }
	key, err := SpoolKey(seed)
	if err != nil {
		t.Fatal(err)
	}
	s.Configure(key.PublicKey().Bytes(), false)
	return s, clk
}

// taken hands in everything that a spool holds.
func taken(t *testing.T, s *Spool) (b telemetry.Batch) {
	t.Helper()
	key, err := SpoolKey(seed)
	if err != nil {
		t.Fatal(err)
	}
	for {
		one, ok := s.next()
		if !ok {
			return b
		}
		raw, err := s.read(one)
		if err != nil {
			t.Fatal(err)
		}
		if err := ReadSpool(bytes.NewReader(raw), key, &b); err != nil {
			t.Fatal(err)
		}
		if err := s.done(one, false); err != nil {
			t.Fatal(err)
		}
	}
}

func signal(i int) telemetry.Signal {
	return telemetry.Signal{ID: fmt.Sprint("s", i), ServiceID: "svc", Rule: "r", Kind: "real", Subject: fmt.Sprint("u", i), Content: &telemetry.Content{Prompt: "prompt-in-clear"}}
}

func TestWhatIsKeptIsThereAfterAKillAndNobodyButControlReadsIt(t *testing.T) {
	dir := t.TempDir()
	s, _ := newSpool(t, dir, 0)
	for i := range 10 {
		s.PutSignal(signal(i))
		s.PutTraffic(telemetry.Traffic{RequestID: fmt.Sprint("r", i), Kind: "real"})
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) != 1 || !strings.HasSuffix(files[0], openSuffix) {
		t.Fatalf("%v", files)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte("prompt-in-clear")) || bytes.Contains(raw, []byte("svc")) {
		t.Error("what was seen lies on the disk in the clear")
	}
	// Killed here, in the middle of a row.
	if err := os.WriteFile(files[0], append(raw, 0, 0, 1, 0, 'x'), 0o600); err != nil {
		t.Fatal(err)
	}
	again, _ := newSpool(t, dir, 0)
	again.PutSignal(signal(10))
	b := taken(t, again)
	if len(b.Signals) != 11 || len(b.Traffic) != 10 || b.Signals[3].Content == nil || b.Signals[3].Content.Prompt != "prompt-in-clear" {
		t.Fatalf("%d signals, %d requests", len(b.Signals), len(b.Traffic))
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if waiting, _, _, _ := again.Numbers(); waiting != 0 {
		t.Errorf("%d bytes are counted as waiting", waiting)
	}
	other, err := SpoolKey([]byte("another control"))
	if err != nil {
		t.Fatal(err)
	}
	if err := ReadSpool(bytes.NewReader(raw), other, &telemetry.Batch{}); !fault.Is(err, CodeBad) {
		t.Errorf("another control reads it: %v", err)
	}
	raw[len(raw)-1] ^= 1
	key, _ := SpoolKey(seed)
	if err := ReadSpool(bytes.NewReader(raw), key, &telemetry.Batch{}); !fault.Is(err, CodeBad) {
		t.Errorf("an altered row is taken: %v", err)
	}
}

// Gateways and control are of different versions for a while: what a verdict is called on the line is as old as its column.
func TestAVerdictTravelsUnderTheNameThatOlderVersionsKnow(t *testing.T) {
	s, _ := newSpool(t, t.TempDir(), 0)
	told := []string{`{"action":"mask","texts":[{"side":"output","channel":"content","bytes":9,"held":2,"why":"term"}]}`, `[{"rule_id":"r","action":"mask"}]`}
	for i, v := range told {
		s.PutTraffic(telemetry.Traffic{RequestID: fmt.Sprint("r", i), Kind: "real", Verdict: v})
	}
	for i, row := range taken(t, s).Traffic {
		if row.Verdict != told[i] {
			t.Errorf("%s came as %s", told[i], row.Verdict)
		}
	}
	js, err := json.Marshal(row{Traffic: &telemetry.Traffic{Verdict: told[1]}})
	if err != nil || !strings.Contains(string(js), `"matches":"[`) {
		t.Errorf("%s, %v", js, err)
	}
}

func TestAFloodIsFoldedBeyondTheBoundAndNothingOfItIsUncounted(t *testing.T) {
	const rows = 5000
	s, _ := newSpool(t, t.TempDir(), 100_000)
	for i := range rows {
		s.PutSignal(signal(i))
		s.PutTraffic(telemetry.Traffic{RequestID: fmt.Sprint("r", i), ServiceID: "svc", Kind: "real", InputVerdict: "block", EndedMs: int64(i)})
	}
	waiting, folded, lost, _ := s.Numbers()
	if waiting > 110_000 || folded == 0 || lost != 0 {
		t.Errorf("%d bytes, %d folded, %d lost", waiting, folded, lost)
	}
	b := taken(t, s)
	signals, traffic, wide := 0, len(b.Traffic), 0
	for _, g := range b.Signals {
		signals += g.Count
		if g.Count > 1 {
			wide++
			if g.Subject != "" || g.Content != nil || strings.Count(g.Subjects, "u") != 64 {
				t.Errorf("%+v", g)
			}
		}
	}
	for _, a := range b.Aggregates {
		traffic += int(a.Count)
	}
	if signals != rows || traffic != rows || wide != 1 || len(b.Aggregates) != 1 {
		t.Errorf("%d signals, %d requests of %d; %d and %d folded rows", signals, traffic, rows, wide, len(b.Aggregates))
	}
	s.PutSignal(signal(1))
	if b := taken(t, s); len(b.Signals) != 1 || b.Signals[0].Count != 1 {
		t.Error("folding goes on when there is room again")
	}
}

func TestContentTooLongForASpoolIsLeftOutAndCostsNoRow(t *testing.T) {
	s, _ := newSpool(t, t.TempDir(), 0)
	s.PutSignal(signal(1))
	s.PutTraffic(telemetry.Traffic{RequestID: "r1", Kind: "real", Content: &telemetry.Content{Prompt: strings.Repeat("x", maxFrame-100)}})
	s.PutTraffic(telemetry.Traffic{RequestID: "r2", Kind: "real", Content: &telemetry.Content{Prompt: strings.Repeat("x", maxFrame-1000)}})
	s.PutSignal(signal(2))
	b := taken(t, s)
	if len(b.Signals) != 2 || len(b.Traffic) != 2 || b.Traffic[0].Content != nil || b.Traffic[1].Content == nil || b.Signals[1].Content == nil {
		t.Errorf("%d signals, %d requests", len(b.Signals), len(b.Traffic))
	}
	if _, folded, lost, bad := s.Numbers(); folded+lost+bad != 0 {
		t.Errorf("%d folded, %d lost, %d bad", folded, lost, bad)
	}
}

func TestABatchThatCannotBeReadIsCountedAsLostAndHoldsUpNothing(t *testing.T) {
	spoolKey, err := SpoolKey(seed)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got telemetry.Batch
	control := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if err := ReadSpool(r.Body, spoolKey, &got); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(Refusal{Code: CodeBad})
		}
	}))
	defer control.Close()
	for name, c := range map[string]struct {
		harm func(path string) error
		lost int64 // of three rows
	}{
		"whole":                    {func(string) error { return nil }, 0},
		"missing":                  {os.Remove, 1}, // how many there were is not known after a restart
		"unreadable":               {func(path string) error { return errors.Join(os.Remove(path), os.MkdirAll(path+"/x", 0o700)) }, 1},
		"altered, known by frames": {func(path string) error { return alter(path) }, 3},
	} {
		for _, again := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", restarted: ", again), func(t *testing.T) {
				dir := t.TempDir()
				s, clk := newSpool(t, dir, 0)
				for i := range 3 {
					s.PutSignal(signal(i))
				}
				first, _ := s.next()
				path := s.path(first)
				want := c.lost
				if again {
					s, clk = newSpool(t, dir, 0)
				} else if want > 0 {
					want = 3
				}
				if err := c.harm(path); err != nil {
					t.Fatal(err)
				}
				clk.Advance(time.Second)
				s.PutSignal(signal(9))
				mu.Lock()
				got = telemetry.Batch{}
				mu.Unlock()
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				a, err := New(Options{Controls: []string{control.URL}, StateDir: t.TempDir(), Client: &http.Client{}, Clock: clock.System()})
				if err != nil {
					t.Fatal(err)
				}
				go func() { done <- a.HandIn(ctx, s) }()
				defer func() { stop(); <-done }()
				until(t, "what stands behind it is handed in", func() bool {
					mu.Lock()
					defer mu.Unlock()
					return len(got.Signals) > 0 && got.Signals[len(got.Signals)-1].ID == "s9"
				})
				until(t, "nothing waits", func() bool { waiting, _, _, _ := s.Numbers(); return waiting == 0 })
				if _, _, lost, bad := s.Numbers(); lost != want || (bad > 0) != (want > 0) {
					t.Errorf("%d lost, want %d; %d put aside", lost, want, bad)
				}
			})
		}
	}
}

// alter changes a byte of the first row of a spool file.
func alter(path string) error {
	raw, err := os.ReadFile(path)
	if err == nil {
		raw[spoolHeader+10] ^= 1
		err = os.WriteFile(path, raw, 0o600)
	}
	return err
}

func TestWhatADiskRefusesWaitsInMemoryAndIsHandedInWhole(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	away := dir + ".away"
	refuse := func(t *testing.T) (s *Spool, clk *clock.Fake) {
		t.Helper()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		s, clk = newSpool(t, dir, 0)
		s.PutSignal(signal(0))
		s.mu.Lock()
		s.close()
		s.mu.Unlock()
		if err := errors.Join(os.RemoveAll(away), os.Rename(dir, away)); err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			s.PutSignal(signal(1 + i))
			clk.Advance(100 * time.Millisecond) // the disk is tried every second
		}
		return s, clk
	}
	whole := func(t *testing.T, b telemetry.Batch, n int) {
		t.Helper()
		if len(b.Signals) != n {
			t.Errorf("%d signals, want %d", len(b.Signals), n)
		}
		for _, g := range b.Signals {
			if g.Count != 1 || g.Content == nil || g.Content.Prompt != "prompt-in-clear" {
				t.Errorf("%+v", g)
			}
		}
	}
	t.Run("control takes it", func(t *testing.T) {
		s, _ := refuse(t)
		first, _ := s.next()
		if err := s.done(first, false); err != nil { // lies elsewhere
			t.Fatal(err)
		}
		whole(t, taken(t, s), 50)
		if waiting, folded, lost, _ := s.Numbers(); waiting != 0 || folded != 0 || lost != 0 || s.held != 0 {
			t.Errorf("%d bytes wait, %d of them in memory; %d folded, %d lost", waiting, s.held, folded, lost)
		}
	})
	t.Run("the disk takes it", func(t *testing.T) {
		s, clk := refuse(t)
		if err := os.Rename(away, dir); err != nil {
			t.Fatal(err)
		}
		clk.Advance(2 * time.Second)
		s.next()
		if s.held != 0 {
			t.Errorf("%d bytes are still in memory", s.held)
		}
		again, _ := newSpool(t, dir, 0) // killed here
		whole(t, taken(t, again), 51)
	})
	t.Run("neither takes it", func(t *testing.T) {
		s, _ := refuse(t)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, _, lost, _ := s.Numbers(); lost != 50 {
			t.Errorf("%d rows are said to be lost", lost)
		}
	})
	t.Run("stopped when the disk takes it again", func(t *testing.T) {
		s, _ := refuse(t)
		if err := os.Rename(away, dir); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again, _ := newSpool(t, dir, 0)
		whole(t, taken(t, again), 51)
	})
	t.Run("more than memory may hold is folded", func(t *testing.T) {
		s, clk := refuse(t)
		for i := range 40 {
			g := signal(100 + i)
			g.Content.Prompt = strings.Repeat("x", 1<<20)
			s.PutSignal(g)
		}
		waiting, folded, _, _ := s.Numbers()
		if waiting > maxHeld+2<<20 || folded == 0 {
			t.Errorf("%d bytes, %d folded", waiting, folded)
		}
		if err := os.Rename(away, dir); err != nil {
			t.Fatal(err)
		}
		clk.Advance(2 * time.Second)
		n := 0
		for _, g := range taken(t, s).Signals {
			n += g.Count
		}
		if n != 91 {
			t.Errorf("%d signals of 91", n)
		}
	})
}

func TestTheDiskIsTriedAgainThoughTheMachinesClockWasSetBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s, clk := newSpool(t, dir, 0)
	ran := time.Duration(0)
	s.running = func() time.Duration { return ran }
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	s.PutSignal(signal(1))
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	clk.Set(clk.Now().Add(-24 * time.Hour))
	if s.next(); s.held == 0 {
		t.Error("the disk was not left alone")
	}
	ran += retryAfter
	if s.next(); s.held != 0 {
		t.Errorf("%d bytes still wait in memory", s.held)
	}
}

func TestWhoPutsARowDoesNotWaitForWhatIsWrittenFromMemory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s, clk := newSpool(t, dir, 0)
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	s.PutSignal(signal(1))
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	clk.Advance(retryAfter)
	b, ok := s.inMemory()
	if !ok {
		t.Fatal("nothing waits in memory")
	}
	// A disk that never answers: the batch's file is a pipe that nobody reads.
	pipe := filepath.Join(dir, b.name+openSuffix)
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip("no pipes here:", err)
	}
	settled := make(chan struct{})
	go func() { s.settle(); close(settled) }()
	put := make(chan struct{})
	go func() {
		for i := range 20 {
			s.PutSignal(signal(10 + i))
			time.Sleep(time.Millisecond)
		}
		close(put)
	}()
	select {
	case <-put:
	case <-time.After(10 * time.Second):
		t.Error("a row waits for the disk")
	}
	reader, err := os.Open(pipe)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, reader)
	_ = reader.Close()
	<-settled
	<-put
}

func TestAFileThatCouldNotBeGivenItsNameIsHandedInAllTheSame(t *testing.T) {
	dir := t.TempDir()
	s, _ := newSpool(t, dir, 0)
	s.PutSignal(signal(1))
	// A folder stands where the batch is to lie.
	if err := os.MkdirAll(filepath.Join(dir, s.open.name+closedSuffix, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if b := taken(t, s); len(b.Signals) != 1 || b.Signals[0].ID != "s1" {
		t.Errorf("%+v", b.Signals)
	}
	if waiting, _, lost, _ := s.Numbers(); waiting != 0 || lost != 0 {
		t.Errorf("%d bytes wait, %d lost", waiting, lost)
	}
}

func TestWhatWasPutAsideDoesNotFillTheDisk(t *testing.T) {
	dir := t.TempDir()
	size := func() (sum int64, names []string) {
		list, _ := filepath.Glob(filepath.Join(dir, "*"+badSuffix))
		for _, f := range list {
			if st, err := os.Stat(f); err == nil {
				sum, names = sum+st.Size(), append(names, filepath.Base(f))
			}
		}
		return sum, names
	}
	var first string
	for round := range 2 { // also after a restart
		s, clk := newSpool(t, dir, 0)
		for i := range 12 {
			clk.Advance(time.Duration(round*100+i+1) * time.Second)
			g := signal(i)
			g.Content.Prompt = strings.Repeat("x", fileBytes)
			s.PutSignal(g)
			b, ok := s.next()
			if !ok {
				t.Fatal("no batch")
			}
			if first == "" {
				first = b.name + badSuffix
			}
			if err := s.done(b, true); err != nil {
				t.Fatal(err)
			}
		}
		sum, names := size()
		if sum > maxBad || sum < maxBad/2 || slices.Contains(names, first) {
			t.Errorf("round %d: %d bytes in %d files are kept, the first among them: %v", round, sum, len(names), slices.Contains(names, first))
		}
	}
}
