package store

import "github.com/fengsui/fengsui/internal/platform/clock"

// Migrations is the one list of schema changes.
var Migrations = migrations

// CorrectedClock is a clock, and what it is told of the database's.
func CorrectedClock(c clock.Clock) (clock.Clock, func(ms, asked, answered int64)) {
	x := &corrected{Clock: c}
	return x, x.correct
}
