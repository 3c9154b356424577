package anomaly

import (
	"slices"
	"time"

	"github.com/fengsui/fengsui/internal/platform/store"
)

// tracker is the memory of the engine: a fold over signals in the order of their storing. It does no
// I/O and reads no clock, so that the same signals give the same anomalies, live or after a restart.
type tracker struct {
	rules   Rules
	windows map[string]*window
	active  map[string]*live  // by fingerprint
	decided map[string]ending // the last decision about a fingerprint: what was stored until then is covered
	late    map[string]*live  // what was stored before a decision and read after it
}

type ending struct {
	ms int64
	id string // of the anomaly
}

// live is an active anomaly and what joined it since the last commit.
type live struct {
	a        Anomaly // what was known at opening; counts are in the database
	stored   bool
	subjects map[string]struct{}
	kept     int // signals in the main database
	pending  []arrival
	sample   []Signal // of a new one: the signals to open with
}

type arrival struct {
	ms int64
	o  Observation
}

// maxKept is how many signals of one anomaly the main database keeps.
const maxKept = 500

func newTracker(rules Rules) *tracker {
	return &tracker{rules: rules, windows: map[string]*window{}, active: map[string]*live{}, decided: map[string]ending{}, late: map[string]*live{}}
}

// feed takes a signal stored at ms and reports whether it opened an anomaly.
func (t *tracker) feed(o Observation, ms int64) (opened bool) {
	rule := t.rules.For(o)
	if rule == nil {
		return false
	}
	f := rule.fingerprint(o)
	if l := t.active[f]; l != nil {
		l.pending = append(l.pending, arrival{ms, o})
		return false
	}
	if end := t.decided[f]; ms <= end.ms {
		l := t.late[f]
		if l == nil {
			l = &live{a: Anomaly{ID: end.id, FirstMs: o.AtMs, LastMs: o.AtMs}, stored: true, kept: maxKept}
			t.late[f] = l
		}
		l.pending = append(l.pending, arrival{ms, o})
		return false
	}
	w := t.windows[f]
	if w == nil {
		w = &window{}
		t.windows[f] = w
	}
	w.expire(max(ms-time.Duration(rule.Window).Milliseconds(), t.decided[f].ms))
	w.add(ms, o)
	if !w.reached(rule) {
		return false
	}
	l := &live{a: newAnomaly(rule, o, store.NewID(ms), ms), subjects: map[string]struct{}{}, sample: slices.Clone(w.sample)}
	for _, s := range w.sample {
		l.a.FirstMs, l.a.LastMs = min(l.a.FirstMs, s.AtMs), max(l.a.LastMs, s.AtMs)
	}
	for s := range w.last {
		l.subjects[s] = struct{}{}
	}
	l.a.Signals, l.a.Subjects = int64(w.total), int64(len(w.last))
	t.active[f] = l
	delete(t.windows, f)
	return true
}

// warm takes a signal that the database reflects already, to fill the windows again. It reports an
// opening that a crash prevented.
func (t *tracker) warm(o Observation, ms int64) (opened bool) {
	if rule := t.rules.For(o); rule != nil {
		f := rule.fingerprint(o)
		if l := t.active[f]; ms <= t.decided[f].ms || (l != nil && l.stored) {
			return false // counted
		}
	}
	return t.feed(o, ms)
}

// settle ends a live anomaly that people decided about at ms: what came later begins anew.
func (t *tracker) settle(f string, ms int64, later []arrival) (opened bool) {
	t.decided[f] = ending{ms, t.active[f].a.ID}
	delete(t.active, f)
	for _, a := range later {
		opened = t.feed(a.o, a.ms) || opened
	}
	return opened
}

// forget drops windows in which nothing arrived since ms, and old decisions.
func (t *tracker) forget(ms int64) {
	for f, w := range t.windows {
		if n := len(w.ticks); n == 0 || w.ticks[n-1].ms <= ms {
			delete(t.windows, f)
		}
	}
	for f, end := range t.decided {
		if end.ms <= ms {
			delete(t.decided, f)
		}
	}
}
