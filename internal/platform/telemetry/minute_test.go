package telemetry_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/platform/telemetry/telemetrytest"
)

// The hour before now lies in two files after midnight, and what was counted once is counted the same when
// it is asked for again, with what came since.
func TestMinutesAreCountedOverMidnightAndTheSameWhenAskedAgain(t *testing.T) {
	h := newHouse(t)
	h.clock = clock.NewFake(time.Date(2026, 11, 22, 23, 30, 0, 0, time.UTC))
	h.st = telemetrytest.OpenStore(t, t.TempDir(), h.clock, h.rec)
	l, _ := telemetrytest.Run(t, h.options())
	begin := clock.Ms(h.clock)
	want := map[int64]int64{}
	n := 0
	ask := func(fromMs, toMs int64) {
		t.Helper()
		for range 2 {
			rows, err := l.Minutes(t.Context(), fromMs, toMs)
			if err != nil {
				t.Fatal(err)
			}
			got := map[int64]int64{}
			for _, r := range rows {
				got[r.AtMs] += r.Count
			}
			expect := map[int64]int64{}
			for at, k := range want {
				if at >= fromMs && at < toMs {
					expect[at] = k
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(expect) {
				t.Fatalf("minutes of %d…%d: %v, want %v", fromMs, toMs, got, expect)
			}
		}
	}
	for minute := range 60 {
		for range 1 + minute%3 {
			l.PutTraffic(traffic(n, "allow"))
			n++
		}
		flush(t, l)
		now := clock.Ms(h.clock)
		want[now] = int64(1 + minute%3)
		ask(now-59*telemetry.MinuteMs, now+telemetry.MinuteMs)
		h.clock.Advance(time.Minute)
	}
	if days, err := l.Days(t.Context()); err != nil || len(days) != 2 {
		t.Fatalf("the test does not cross midnight: %v, %v", days, err)
	}
	ask(begin, begin+30*telemetry.MinuteMs) // further back than what is kept
	ask(begin+50*telemetry.MinuteMs, begin+90*telemetry.MinuteMs)
}
