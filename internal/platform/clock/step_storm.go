//go:build storm

package clock

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// StepVar names a file with the milliseconds by which the machine's clock is stepped.
const StepVar = "FENGSUI_STORM_CLOCK"

var (
	stepFile = os.Getenv(StepVar)
	stepMs   atomic.Int64
	lookedMs atomic.Int64
)

// stepped is the time of a machine whose clock was stepped: what is measured over the step is as wrong as it is there.
func stepped(t time.Time) time.Time {
	if stepFile == "" {
		return t
	}
	if now := t.UnixMilli(); now-lookedMs.Load() > 20 {
		lookedMs.Store(now)
		if raw, err := os.ReadFile(stepFile); err == nil {
			if ms, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64); err == nil {
				stepMs.Store(ms)
			}
		}
	}
	return t.Round(0).Add(time.Duration(stepMs.Load()) * time.Millisecond)
}
