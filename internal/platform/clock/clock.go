// Package clock is the one source of time for everything that decides.
// Domain code never calls time.Now; it is handed a Clock, so that tests travel instead of sleeping.
package clock

import (
	"sort"
	"sync"
	"time"
)

// Clock tells the time and wakes its caller later.
type Clock interface {
	// Now is the current instant, UTC.
	Now() time.Time
	// After delivers once, when d has passed on this clock.
	After(d time.Duration) <-chan time.Time
}

// Ms is t as milliseconds since the Unix epoch, UTC, the unit of every stored time.
func Ms(c Clock) int64 { return c.Now().UnixMilli() }

// Beijing is the zone of documents and numbers. It is fixed: China has one zone and no daylight saving, and no zone
// files are needed.
var Beijing = time.FixedZone("Asia/Shanghai", 8*3600)

type system struct{}

// System is the machine's clock.
func System() Clock { return system{} }

// IsSystem reports whether c is the machine's clock itself.
func IsSystem(c Clock) bool { _, ok := c.(system); return ok }

func (system) Now() time.Time                         { return stepped(time.Now()).UTC() }
func (system) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Running says how long the process has run, by a clock that nobody steps: what lies between two of its answers has passed, whatever
// the machine's clock says.
func Running() time.Duration { return time.Since(started) }

var started = time.Now()

// Fake is a clock that stands still until it is told to move. Safe for concurrent use.
type Fake struct {
	mu      sync.Mutex
	now     time.Time
	waiters []waiter
}

type waiter struct {
	at time.Time
	ch chan time.Time
}

// NewFake starts a fake clock at t.
func NewFake(t time.Time) *Fake { return &Fake{now: t.UTC()} }

// Now is the instant the fake clock stands at.
func (f *Fake) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// After delivers when Advance or Set has moved the clock by d or more.
func (f *Fake) After(d time.Duration) <-chan time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	ch := make(chan time.Time, 1)
	if d <= 0 {
		ch <- f.now
		return ch
	}
	f.waiters = append(f.waiters, waiter{f.now.Add(d), ch})
	return ch
}

// Advance moves the clock forward by d and wakes, in order of their time, those whose time has come.
// Two who advance at once move it by both.
func (f *Fake) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set(f.now.Add(d))
}

// Set moves the clock to t, which may also lie in the past (a clock step).
func (f *Fake) Set(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set(t)
}

// set is called with the lock held.
func (f *Fake) set(t time.Time) {
	f.now = t.UTC()
	sort.SliceStable(f.waiters, func(i, j int) bool { return f.waiters[i].at.Before(f.waiters[j].at) })
	n := 0
	for n < len(f.waiters) && !f.waiters[n].at.After(f.now) {
		f.waiters[n].ch <- f.now
		n++
	}
	f.waiters = append([]waiter(nil), f.waiters[n:]...)
}

// Waiting is how many callers wait on After; tests use it to know that a worker is idle.
func (f *Fake) Waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.waiters)
}
