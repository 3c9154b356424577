package clock_test

import (
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fengsui/fengsui/internal/platform/clock"
)

var start = time.Date(2026, 3, 1, 20, 0, 0, 0, time.FixedZone("x", 8*3600))

func woken(ch <-chan time.Time) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestAFakeClockStandsUntilItIsMoved(t *testing.T) {
	f := clock.NewFake(start)
	if got := f.Now(); !got.Equal(start) || got.Location() != time.UTC {
		t.Error(got)
	}
	if clock.Ms(f) != start.UnixMilli() {
		t.Error(clock.Ms(f))
	}
	now, soon, later := f.After(0), f.After(time.Second), f.After(time.Minute)
	if !woken(now) || !woken(f.After(-time.Second)) || woken(soon) || f.Waiting() != 2 {
		t.Error("what is due at once waits, or what is not does not")
	}
	f.Advance(time.Second - 1)
	if woken(soon) {
		t.Error("woken a nanosecond early")
	}
	f.Advance(1)
	if !woken(soon) || woken(soon) || woken(later) || f.Waiting() != 1 {
		t.Error("woken not once")
	}
	f.Set(start.Add(-time.Hour)) // a step back wakes nobody
	if woken(later) || !f.Now().Equal(start.Add(-time.Hour)) {
		t.Error("a step back")
	}
	f.Set(start.Add(time.Hour))
	if !woken(later) || f.Waiting() != 0 {
		t.Error("a step forward")
	}
}

func TestTheSystemsClockIsInUTCAndRuns(t *testing.T) {
	c := clock.System()
	a := c.Now()
	select {
	case b := <-c.After(time.Millisecond):
		if b.Before(a) || a.Location() != time.UTC {
			t.Error(a, b)
		}
	case <-time.After(10 * time.Second):
		t.Error("never woken")
	}
}

// Each waiter is woken exactly once, and exactly when the clock has first reached its time.
func TestEachWaiterIsWokenOnceWhenItsTimeHasCome(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := clock.NewFake(start)
		type waiter struct {
			at time.Time
			ch <-chan time.Time
		}
		var waiting []waiter
		for range rapid.IntRange(1, 30).Draw(r, "steps") {
			d := time.Duration(rapid.IntRange(-5, 20).Draw(r, "d"))
			if rapid.Bool().Draw(r, "wait") {
				waiting = append(waiting, waiter{f.Now().Add(d), f.After(d)})
			} else {
				f.Advance(d)
			}
			left := waiting[:0]
			for _, w := range waiting {
				due := !w.at.After(f.Now())
				if woken(w.ch) != due {
					r.Fatalf("waits for %v at %v", w.at, f.Now())
				}
				if !due {
					left = append(left, w)
				}
			}
			waiting = left
			if f.Waiting() != len(waiting) {
				r.Fatalf("%d wait, the clock says %d", len(waiting), f.Waiting())
			}
		}
	})
}

func TestAFakeClockIsSafeForManyAtOnce(t *testing.T) {
	f := clock.NewFake(start)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				ch := f.After(1)
				f.Advance(1)
				<-ch
			}
		})
	}
	wg.Wait()
	if got := f.Now().Sub(start); got != 800 {
		t.Errorf("800 steps of a nanosecond moved the clock by %d", got)
	}
}
