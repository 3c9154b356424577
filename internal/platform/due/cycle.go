package due

import (
	"sync/atomic"
	"time"
)

// Cycle is the heartbeat of a loop, readable from outside while the loop hangs. Safe for concurrent use.
type Cycle struct {
	name     string
	lastMs   atomic.Int64
	failures atomic.Int64
}

// NewCycle starts a heartbeat at startMs, so that a loop that never comes round is noticed too.
func NewCycle(name string, startMs int64) *Cycle {
	c := &Cycle{name: name}
	c.lastMs.Store(startMs)
	return c
}

// Beat notes a round that ended well at nowMs.
func (c *Cycle) Beat(nowMs int64) { c.lastMs.Store(nowMs) }

// Fail notes a round that ended in an error.
func (c *Cycle) Fail() { c.failures.Add(1) }

// Name tells which loop it is.
func (c *Cycle) Name() string { return c.name }

// LastMs is when the last good round ended, UTC milliseconds.
func (c *Cycle) LastMs() int64 { return c.lastMs.Load() }

// Failures is how many rounds ended in an error since the start.
func (c *Cycle) Failures() int64 { return c.failures.Load() }

// Age is how long ago the last good round ended; never negative, even if the clock stepped back.
func (c *Cycle) Age(nowMs int64) time.Duration {
	return max(0, time.Duration(nowMs-c.lastMs.Load())*time.Millisecond)
}
