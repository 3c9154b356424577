package due_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// BenchmarkDueLateness lets 5,000 rows fall due evenly over one second and reports how late they
// fired, in milliseconds. Goal: p99 under 100 ms. Run it with -benchtime 1x -count 5.
func BenchmarkDueLateness(b *testing.B) {
	for range b.N {
		const rows = 5000
		st := open(b, clock.System())
		begin := clock.Ms(clock.System()) + 1500
		write(b, st, func(tx *store.Tx) error {
			for i := range rows {
				if err := due.Set(b.Context(), tx, row(fmt.Sprint(i), begin+int64(i)*1000/rows)); err != nil {
					return err
				}
			}
			return nil
		})
		var mu sync.Mutex
		var late []time.Duration
		all := make(chan struct{})
		w := due.New(st, map[string]due.Handler{"note": noteEffect}, due.Options{OnFired: func(r due.Row, _ time.Duration) {
			// Lateness up to the commit, not up to the transaction's instant.
			d := time.Duration(clock.Ms(clock.System())-r.DueMs) * time.Millisecond
			mu.Lock()
			defer mu.Unlock()
			if late = append(late, d); len(late) == rows {
				close(all)
			}
		}})
		done := make(chan struct{})
		go func() { defer close(done); w.Run(b.Context()) }()
		select {
		case <-all:
		case <-time.After(60 * time.Second):
			b.Fatalf("%d of %d rows fired", len(late), rows)
		}
		w.Stop()
		<-done
		if _, lost, doubled := tally(b, st); lost != 0 || doubled != 0 {
			b.Fatalf("%d lost, %d doubled", lost, doubled)
		}
		slices.Sort(late)
		b.ReportMetric(float64(late[rows/2].Milliseconds()), "p50-ms")
		b.ReportMetric(float64(late[rows*99/100].Milliseconds()), "p99-ms")
		b.ReportMetric(float64(late[rows-1].Milliseconds()), "max-ms")
	}
}
