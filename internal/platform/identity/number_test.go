package identity_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
)

func asText(v any) string { js, _ := json.Marshal(v); return string(js) }

func (b *bench) number(series, kind string, then error) (n string, err error) {
	err = b.try(officer, func(tx *store.Tx) (err error) {
		if n, err = identity.NextNumber(ctx, tx, series, kind); err != nil {
			return err
		}
		return then
	})
	return n, err
}

// Each series and kind counts for itself, 1, 2, 3 …; what was rolled back leaves no gap; the year is
// Beijing's, where a new one begins eight hours before UTC.
func TestNumbersHaveNoGapWithinASeriesAKindAndAYear(t *testing.T) {
	prefix := map[string]string{"real": "", "drill": "D-", "test": "T-", "backfill": "B-"}
	rolledBack := errors.New("rolled back")
	b, round := newBench(t), 0
	rapid.Check(t, func(r *rapid.T) {
		round++ // series of its own for each round, in one database
		b.clock.Set(time.Date(2026, 12, 31, 15, 59, 0, 0, time.UTC))
		next := map[string]int{}
		for range rapid.IntRange(1, 20).Draw(r, "steps") {
			series := fmt.Sprint(rapid.SampledFrom([]string{"IN", "AN"}).Draw(r, "series"), round)
			kind := rapid.SampledFrom([]string{"real", "drill", "test", "backfill", "other", ""}).Draw(r, "kind")
			var then error
			if rapid.Bool().Draw(r, "rolled back") {
				then = rolledBack
			}
			got, err := b.number(series, kind, then)
			if p, ok := prefix[kind]; !ok {
				if fault.KindOf(err) != fault.KindInvalid || got != "" {
					r.Fatalf("kind %q: %q %v", kind, got, err)
				}
			} else {
				year := b.clock.Now().Add(8 * time.Hour).Year()
				k := fmt.Sprintf("%s%s-%d-", p, series, year)
				if want := fmt.Sprintf("%s%04d", k, next[k]+1); got != want || !errors.Is(err, then) {
					r.Fatalf("%q, want %q: %v", got, want, err)
				}
				if then == nil {
					next[k]++
				}
			}
			b.clock.Advance(time.Duration(rapid.IntRange(0, 40).Draw(r, "seconds")) * time.Second)
		}
	})
}

func TestANumberTurnsTheYearInBeijing(t *testing.T) {
	b := newBench(t) // 2026-12-31 23:59 in Beijing
	for _, want := range []string{"IN-2026-0001", "IN-2027-0001"} {
		if got, err := b.number("IN", "real", nil); err != nil || got != want {
			t.Errorf("%q %v, want %q", got, err, want)
		}
		b.clock.Advance(time.Minute)
	}
}

func TestANumberOutgrowsItsFourPlaces(t *testing.T) {
	b := newBench(t)
	b.exec(t, "INSERT INTO number_series (name, kind, year, next) VALUES ('IN', 'real', 2026, 9999)")
	for _, want := range []string{"IN-2026-9999", "IN-2026-10000"} {
		if got, err := b.number("IN", "real", nil); err != nil || got != want {
			t.Errorf("%q %v", got, err)
		}
	}
}
