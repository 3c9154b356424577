package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/platform/telemetry/telemetrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

type house struct {
	dir   string
	clock *clock.Fake
	st    *store.Store
	rec   *telemetrytest.Recorder
	vault *telemetrytest.Vault
}

func newHouse(t *testing.T) *house {
	h := &house{dir: t.TempDir(), clock: clock.NewFake(start), rec: &telemetrytest.Recorder{}, vault: &telemetrytest.Vault{}}
	h.st = telemetrytest.OpenStore(t, h.dir, h.clock, h.rec)
	return h
}

func (h *house) options() telemetry.Options {
	return telemetry.Options{Store: h.st, Vault: h.vault}
}

func flush(t *testing.T, l *telemetry.Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := l.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("never happened: %s", what)
}

func traffic(n int, verdict string) telemetry.Traffic {
	return telemetry.Traffic{RequestID: fmt.Sprintf("req-%d", n), ContentNo: fmt.Sprintf("C-%d", n), ServiceID: "svc", Kind: "real", Modality: "text", Language: "zh",
		Subject: fmt.Sprintf("subj-%d", n%3), InputVerdict: "allow", OutputVerdict: verdict, ReleasedRunes: 10, StartedMs: start.UnixMilli(), EndedMs: start.UnixMilli()}
}

func signal(n int) telemetry.Signal {
	return telemetry.Signal{ID: fmt.Sprintf("sig-%d", n), AtMs: start.UnixMilli(), RequestID: fmt.Sprintf("req-%d", n), ContentNo: fmt.Sprintf("C-%d", n), ServiceID: "svc", Kind: "real",
		Subject: fmt.Sprintf("subj-%d", n%3), Rule: "term-1", Risk: "A.2.e", Action: "block", Side: "output", Modality: "text", Language: "zh"}
}

func TestRowsComeBackAsTheyWerePut(t *testing.T) {
	h := newHouse(t)
	l, _ := telemetrytest.Run(t, h.options())
	want := traffic(1, "block")
	want.Simulated, want.Stream, want.Tenant, want.Group, want.PostureDigest, want.Finish = true, true, "t1", "g1", "sha256:x", "content_filter"
	want.Verdict, want.TokensOut, want.LastByteUs = `{"hits":[{"rule_id":"term-1"}]}`, 7, 12345
	l.PutTraffic(want)
	l.PutSignal(signal(1))
	flush(t, l)
	got, signals, err := l.ByContent(t.Context(), "C-1", 0)
	if err != nil {
		t.Fatal(err)
	}
	if telemetry.StoredMs(got.Seq) != start.UnixMilli() {
		t.Errorf("position %d does not hold the time of storing", got.Seq)
	}
	want.Seq, want.OrderIDs = got.Seq, "[]"
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if len(signals) != 1 || signals[0].Rule != "term-1" || signals[0].Count != 1 {
		t.Errorf("signals: %+v", signals)
	}
	if _, _, err := l.ByContent(t.Context(), "C-9", start.UnixMilli()); !fault.Is(err, "telemetry.no_content") {
		t.Errorf("an unknown content number gives %v", err)
	}
}

func TestTheSameRowTwiceIsStoredOnceEvenAcrossMidnight(t *testing.T) {
	h := newHouse(t)
	h.clock.Set(time.Date(2026, 11, 22, 23, 59, 59, 0, time.UTC))
	l, _ := telemetrytest.Run(t, h.options())
	l.PutSignal(signal(1))
	l.PutSignal(signal(1))
	l.PutTraffic(traffic(1, "allow"))
	flush(t, l)
	h.clock.Advance(2 * time.Second)
	l.PutSignal(signal(1))
	l.PutTraffic(traffic(1, "allow"))
	l.PutSignal(signal(2))
	flush(t, l)
	got, err := l.Signals(t.Context(), 0, 100)
	if err != nil || len(got) != 2 || got[0].ID != "sig-1" || got[1].ID != "sig-2" || got[0].Seq >= got[1].Seq {
		t.Fatalf("signals %+v, %v", got, err)
	}
	if s := l.Status(); s.Duplicates != 3 || s.Stored != 3 {
		t.Errorf("status %+v", s)
	}
	if days, _ := l.Days(t.Context()); !slices.Equal(days, []string{"20261122", "20261123"}) {
		t.Errorf("days %v", days)
	}
}

func TestContentIsReadableOnlyWithTheSubjectsKeyAndNeverOnDiskInClear(t *testing.T) {
	h := newHouse(t)
	l, stop := telemetrytest.Run(t, h.options())
	row, sig := traffic(1, "block"), signal(1)
	sig.Content = &telemetry.Content{Prompt: "测试提示甲", Answer: "测试违禁词甲"}
	row.Content = &telemetry.Content{Prompt: "测试提示甲", Answer: "测试违禁词甲 之后"}
	l.PutSignal(sig)
	again := signal(99) // a second rule of the same request: the first sight is kept once
	again.RequestID, again.ContentNo, again.Content = sig.RequestID, sig.ContentNo, sig.Content
	l.PutSignal(again)
	l.PutTraffic(row)
	flush(t, l)
	captures, err := l.Captures(t.Context(), []string{"C-1"}, start.UnixMilli())
	if err != nil || len(captures) != 2 || captures[0].Stage != telemetry.StageEnded || captures[1].Stage != telemetry.StageFound {
		t.Fatalf("captures %+v, %v", captures, err)
	}
	key, err := l.DataKey(t.Context(), h.st.Read(), captures[0])
	if err != nil {
		t.Fatal(err)
	}
	if content, err := captures[0].Read(key); err != nil || content.Answer != "测试违禁词甲 之后" {
		t.Errorf("content %+v, %v", content, err)
	}
	if _, err := captures[1].Read(key); !fault.Is(err, "telemetry.altered") {
		t.Errorf("another capture's key opens it: %v", err)
	}
	altered := captures[0]
	altered.Body = slices.Clone(altered.Body)
	altered.Body[40] ^= 1
	if _, err := altered.Read(key); altered.Intact() || !fault.Is(err, "telemetry.altered") {
		t.Errorf("an altered byte is not found: %v", err)
	}
	h.vault.Erase("subject:subj-1")
	if _, err := l.DataKey(t.Context(), h.st.Read(), captures[0]); err == nil {
		t.Error("the content outlived the erasure of its subject")
	}
	stop()
	err = filepath.WalkDir(h.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if bytes.Contains(raw, []byte("违禁词")) || bytes.Contains(raw, []byte("测试提示")) {
			t.Errorf("%s holds content in clear", filepath.Base(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRowsAreKeptWhenTheirCaptureCannotBe(t *testing.T) {
	h := newHouse(t)
	h.vault.Fail = errors.New("no key today")
	l, _ := telemetrytest.Run(t, h.options())
	sig := signal(1)
	sig.Content = &telemetry.Content{Answer: "测试"}
	l.PutSignal(sig)
	flush(t, l)
	if got, err := l.Signals(t.Context(), 0, 10); err != nil || len(got) != 1 {
		t.Errorf("signals %v, %v", got, err)
	}
	if s := l.Status(); s.CapturesLost != 1 || s.Captured != 0 {
		t.Errorf("the loss is not counted: %+v", s)
	}
}

func TestAFullQueueFoldsRowsAndCountsThemWithoutBlocking(t *testing.T) {
	h := newHouse(t)
	o := h.options()
	o.QueueRows, o.QueueBytes, o.Pause = 10, 100, -1
	l, err := telemetry.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	// Nobody writes yet, so the queue is full after ten rows; a Put that blocked would hang here.
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 100 {
				s, r := signal(w*1000+i), traffic(w*1000+i, "block")
				s.Content = &telemetry.Content{Answer: strings.Repeat("x", 60)}
				l.PutSignal(s)
				l.PutTraffic(r)
			}
		})
	}
	wg.Wait()
	if s := l.Status(); s.Aggregated != 790 || s.QueuedRows != 10 || s.CapturesLost < 380 || s.QueuedBytes > 100 {
		t.Fatalf("status %+v", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	flush(t, l)
	signals, err := l.Signals(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	total, subjects := 0, ""
	for _, s := range signals {
		total += s.Count
		if s.Count > 1 {
			subjects = s.Subjects
		}
	}
	if total != 400 || len(signals) > 11 || strings.Count(subjects, "subj-") != 3 {
		t.Errorf("%d signals in %d rows, subjects %s", total, len(signals), subjects)
	}
	counts, err := l.Verdicts(t.Context(), start.UnixMilli(), start.UnixMilli()+1)
	if err != nil || len(counts) != 1 || counts[0].Count != 400 || counts[0].ReleasedRunes != 4000 {
		t.Errorf("counts %+v, %v", counts, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	l.Close()
}

func TestStoppingStoresWhatIsQueued(t *testing.T) {
	h := newHouse(t)
	l, stop := telemetrytest.Run(t, h.options())
	for i := range 3000 {
		l.PutTraffic(traffic(i, "allow"))
	}
	stop()
	l2, _ := telemetrytest.Run(t, h.options())
	counts, err := l2.Verdicts(t.Context(), start.UnixMilli(), start.UnixMilli()+1)
	if err != nil || len(counts) != 1 || counts[0].Count != 3000 {
		t.Errorf("counts %+v, %v; %+v", counts, err, l.Status())
	}
}

func TestPositionsGrowWhenTheClockGoesBackAndAfterARestart(t *testing.T) {
	h := newHouse(t)
	l, stop := telemetrytest.Run(t, h.options())
	l.PutSignal(signal(1))
	flush(t, l)
	h.clock.Advance(-time.Hour)
	l.PutSignal(signal(2))
	flush(t, l)
	stop()
	h.clock.Advance(-time.Hour)
	l, _ = telemetrytest.Run(t, h.options())
	l.PutSignal(signal(3))
	flush(t, l)
	got, err := l.Signals(t.Context(), 0, 10)
	if err != nil || len(got) != 3 || got[2].ID != "sig-3" || got[1].Seq <= got[0].Seq || got[2].Seq <= got[1].Seq {
		t.Errorf("signals %+v, %v", got, err)
	}
	if after, err := l.Signals(t.Context(), got[1].Seq, 10); err != nil || len(after) != 1 || after[0].ID != "sig-3" {
		t.Errorf("after the second: %+v, %v", after, err)
	}
}

func TestClosedSegmentsEnterTheRecordAndAnAlteredRowIsFound(t *testing.T) {
	h := newHouse(t)
	l, stop := telemetrytest.Run(t, h.options())
	sig := signal(1)
	sig.Content = &telemetry.Content{Answer: "测试"}
	l.PutSignal(sig)
	l.PutTraffic(traffic(1, "block"))
	flush(t, l)
	if n := len(h.rec.Of("telemetry.segment")); n != 0 {
		t.Fatalf("%d open segments are in the record", n)
	}
	h.clock.Advance(11 * time.Minute)
	l.PutTraffic(traffic(2, "allow"))
	eventually(t, "a segment in the record", func() bool {
		h.clock.Advance(time.Minute)
		return len(h.rec.Of("telemetry.segment")) > 0
	})
	stop() // closes the rest
	l, _ = telemetrytest.Run(t, h.options())
	segments, err := l.Segments(t.Context(), "20261122")
	if err != nil || len(segments) == 0 || segments[0].Rows < 3 {
		t.Fatalf("segments %+v, %v", segments, err)
	}
	var rows int64
	for i, s := range segments {
		rows += s.Rows
		if s.HandedMs == 0 || (i > 0 && s.FromSeq != segments[i-1].ToSeq) {
			t.Errorf("segment %+v", s)
		}
		if err := l.Verify(t.Context(), s); err != nil {
			t.Errorf("an untouched segment: %v", err)
		}
	}
	if rows != 4 {
		t.Errorf("%d rows are covered, want 4", rows)
	}
	for _, s := range segments { // at least one entry each, and all say the same
		n := 0
		for _, e := range h.rec.Of("telemetry.segment") {
			if e.ObjectID == s.ID {
				n++
				if !strings.Contains(e.Content, s.SHA256) {
					t.Errorf("the entry %s does not hold the digest %s", e.Content, s.SHA256)
				}
			}
		}
		if n == 0 {
			t.Errorf("no entry for %s", s.ID)
		}
	}
	telemetrytest.Alter(t, h.dir, "20261122", "UPDATE traffic SET output_verdict = 'allow' WHERE request_id = 'req-1'")
	if err := l.Verify(t.Context(), segments[0]); !fault.Is(err, "telemetry.altered") {
		t.Errorf("an altered row: %v", err)
	}
}

func TestRowsThatACrashLeftUncoveredAreCoveredAtTheNextStart(t *testing.T) {
	h := newHouse(t)
	l, _ := telemetrytest.Run(t, h.options())
	l.PutTraffic(traffic(1, "allow"))
	flush(t, l)
	// As a crash would leave it: the file as it is now, without the closing of a stop.
	crashed := t.TempDir()
	if storetest.On() == storetest.Postgres {
		storetest.Copy(t, h.dir, crashed)
	} else if err := os.CopyFS(filepath.Join(crashed, "telemetry"), os.DirFS(filepath.Join(h.dir, "telemetry"))); err != nil {
		t.Fatal(err)
	}
	rec := &telemetrytest.Recorder{}
	st := telemetrytest.OpenStore(t, crashed, h.clock, rec)
	l2, _ := telemetrytest.Run(t, telemetry.Options{Store: st, Vault: h.vault})
	var segments []telemetry.Segment
	eventually(t, "the segment of the crash handed to the record", func() bool {
		var err error
		if segments, err = l2.Segments(t.Context(), "20261122"); err != nil {
			t.Fatal(err)
		}
		return len(segments) == 1 && segments[0].HandedMs > 0
	})
	if segments[0].Rows != 1 {
		t.Errorf("segments %+v", segments)
	}
}

func TestRetentionDeletesOldDaysButNeverPinnedOnes(t *testing.T) {
	h := newHouse(t)
	o := h.options()
	var mu sync.Mutex
	pinned, pinErr := []string{"20261123"}, error(nil)
	o.Pinned = func(context.Context) ([]string, error) {
		mu.Lock()
		defer mu.Unlock()
		return pinned, pinErr
	}
	l, _ := telemetrytest.Run(t, o)
	for day := range 5 { // the files of the last two stay open
		l.PutTraffic(traffic(day, "allow"))
		flush(t, l)
		h.clock.Advance(24 * time.Hour)
	}
	days := func() []string { d, _ := l.Days(t.Context()); return d }
	h.clock.Set(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC).AddDate(0, 0, 180).Add(-time.Second))
	if err := l.Retain(t.Context()); err != nil || len(days()) != 5 {
		t.Fatalf("deleted too early: %v, %v", days(), err)
	}
	mu.Lock()
	pinErr = errors.New("unknown")
	mu.Unlock()
	h.clock.Advance(30 * 24 * time.Hour)
	if err := l.Retain(t.Context()); err == nil || len(days()) != 5 {
		t.Fatalf("deleted without knowing the pins: %v, %v", days(), err)
	}
	mu.Lock()
	pinErr = nil
	mu.Unlock()
	left := []string{"20261123", "20261125", "20261126"}
	if storetest.On() == storetest.Postgres {
		left = left[:1] // nothing is open between two transactions
	}
	if err := l.Retain(t.Context()); err != nil || !slices.Equal(days(), left) {
		t.Fatalf("left %v, %v", days(), err)
	}
	// Run's own housekeeping may have had a part in it; each day is named at least once.
	if e := h.rec.Of("telemetry.delete_day"); len(e) < 2 || e[0].ObjectID != "20261122" {
		t.Errorf("entries %+v", e)
	}
}

func TestASettingUnderTheLegalLeastIsNotObeyed(t *testing.T) {
	for value, want := range map[string]int{"": 180, "30": 180, "-1": 180, "x": 180, "365": 365} {
		h := newHouse(t)
		if value != "" {
			err := h.st.Write(t.Context(), store.System("test"), func(tx *store.Tx) error {
				_, err := tx.ExecContext(t.Context(), "INSERT INTO setting (name, value, changed_by, changed_ms) VALUES (?, ?, '', 0), (?, 'all', '', 0)", telemetry.SettingRetention, value, telemetry.SettingCapture)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		l, err := telemetry.Open(t.Context(), h.options())
		if err != nil {
			t.Fatal(err)
		}
		if s := l.Status(); s.RetentionDays != want || s.CaptureAll != (value != "") {
			t.Errorf("setting %q: %+v", value, s)
		}
		l.Close()
	}
}

func TestRecentListsNewestFirstAndObeysTheFilter(t *testing.T) {
	h := newHouse(t)
	h.clock.Set(time.Date(2026, 11, 22, 23, 59, 0, 0, time.UTC))
	l, _ := telemetrytest.Run(t, h.options())
	for i := range 6 {
		row := traffic(i, []string{"allow", "block"}[i%2])
		if i == 5 {
			row.Kind = "drill"
		}
		l.PutTraffic(row)
		flush(t, l)
		h.clock.Advance(20 * time.Second) // passes midnight
	}
	for name, tc := range map[string]struct {
		f    telemetry.Filter
		want string
	}{
		"all":     {telemetry.Filter{}, "req-5 req-4 req-3 req-2 req-1 req-0"},
		"limited": {telemetry.Filter{Limit: 4}, "req-5 req-4 req-3 req-2"},
		"verdict": {telemetry.Filter{Verdict: "block"}, "req-5 req-3 req-1"},
		"kind":    {telemetry.Filter{Verdict: "block", Kind: "real"}, "req-3 req-1"},
		"service": {telemetry.Filter{ServiceID: "other"}, ""},
		"subject": {telemetry.Filter{Subject: "subj-0"}, "req-3 req-0"},
		"window":  {telemetry.Filter{FromMs: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC).UnixMilli(), ToMs: time.Date(2026, 11, 23, 0, 0, 20, 0, time.UTC).UnixMilli()}, "req-3"},
	} {
		rows, err := l.Recent(t.Context(), tc.f)
		var got []string
		for _, r := range rows {
			got = append(got, r.RequestID)
		}
		if err != nil || strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %v, %v; want %s", name, got, err, tc.want)
		}
	}
}
