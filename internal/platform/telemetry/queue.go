package telemetry

import (
	"encoding/json"
	"sync"
)

// maxAggregatedSubjects bounds the distinct subjects that an aggregated row names.
const maxAggregatedSubjects = 64

// queue holds rows between the path of a request and the writer. It never blocks: when it is full, rows
// are folded into one per kind of event, and captures are let go, both counted.
type queue struct {
	mu       sync.Mutex
	items    []item
	bytes    int
	marks    int
	maxRows  int
	maxBytes int
	signals  map[signalKey]*foldedSignal
	traffic  map[trafficKey]*Aggregate
	wake     chan struct{}

	aggregated   int64 // rows folded, ever
	capturesGone int64 // captures given up for want of room, ever
}

// item is one row, or the mark of a Flush that waits for all before it; exactly one is set.
type item struct {
	traffic *Traffic
	signal  *Signal
	mark    chan error
}

func (i item) content() *Content {
	switch {
	case i.traffic != nil:
		return i.traffic.Content
	case i.signal != nil:
		return i.signal.Content
	}
	return nil
}

// signalKey tells folded signals apart by what configuration bounds, not by what a caller can vary.
type signalKey struct {
	service, kind, rule, risk, action, side string
	simulated                               bool
}

type foldedSignal struct {
	row      Signal
	subjects map[string]bool
}

type trafficKey struct {
	service, kind, input, output string
	simulated                    bool
}

func newQueue(maxRows, maxBytes int) *queue {
	return &queue{maxRows: maxRows, maxBytes: maxBytes, wake: make(chan struct{}, 1),
		signals: map[signalKey]*foldedSignal{}, traffic: map[trafficKey]*Aggregate{}}
}

func (q *queue) put(it item) {
	q.mu.Lock()
	switch size := it.content().size(); {
	case it.mark != nil:
		q.items = append(q.items, it)
		q.marks++
	case len(q.items) >= q.maxRows:
		q.fold(it)
	default:
		if size > 0 && q.bytes+size > q.maxBytes {
			q.capturesGone++
			if it.traffic != nil {
				it.traffic.Content = nil
			} else {
				it.signal.Content = nil
			}
			size = 0
		}
		q.bytes += size
		q.items = append(q.items, it)
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) fold(it item) {
	q.aggregated++
	if it.content().size() > 0 {
		q.capturesGone++
	}
	if t := it.traffic; t != nil {
		k := trafficKey{t.ServiceID, t.Kind, t.InputVerdict, t.OutputVerdict, t.Simulated}
		a := q.traffic[k]
		if a == nil {
			a = &Aggregate{FirstMs: t.EndedMs, ServiceID: t.ServiceID, Kind: t.Kind, Simulated: t.Simulated, InputVerdict: t.InputVerdict, OutputVerdict: t.OutputVerdict}
			q.traffic[k] = a
		}
		a.FirstMs, a.LastMs = min(a.FirstMs, t.EndedMs), max(a.LastMs, t.EndedMs)
		a.Count++
		a.ReleasedRunes += int64(t.ReleasedRunes)
		return
	}
	s := it.signal
	k := signalKey{s.ServiceID, s.Kind, s.Rule, s.Risk, s.Action, s.Side, s.Simulated}
	f := q.signals[k]
	if f == nil {
		f = &foldedSignal{row: *s, subjects: map[string]bool{}}
		f.row.Count, f.row.Content = 0, nil
		f.row.RequestID, f.row.ContentNo, f.row.Subject, f.row.Fingerprint = "", "", "", ""
		f.row.Tenant, f.row.Group, f.row.DeploymentID = "", "", ""
		q.signals[k] = f
	}
	f.row.Count++
	f.row.AtMs = min(f.row.AtMs, s.AtMs)
	if s.Subject != "" && len(f.subjects) < maxAggregatedSubjects {
		f.subjects[s.Subject] = true
	}
}

// take removes up to n rows, and with them all that was folded.
func (q *queue) take(n int) (items []item, folded []Signal, aggregates []Aggregate) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, len(q.items))
	items = append(items, q.items[:n]...)
	rest := copy(q.items, q.items[n:])
	clear(q.items[rest:])
	q.items = q.items[:rest]
	for _, it := range items {
		q.bytes -= it.content().size()
		if it.mark != nil {
			q.marks--
		}
	}
	for _, f := range q.signals {
		names := make([]string, 0, len(f.subjects))
		for s := range f.subjects {
			names = append(names, s)
		}
		js, _ := json.Marshal(names) // strings always marshal
		f.row.Subjects = string(js)
		folded = append(folded, f.row)
	}
	for _, a := range q.traffic {
		aggregates = append(aggregates, *a)
	}
	clear(q.signals)
	clear(q.traffic)
	return items, folded, aggregates
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items) == 0 && len(q.signals) == 0 && len(q.traffic) == 0
}

func (q *queue) marked() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.marks > 0
}

func (q *queue) numbers() (rows int, bytes int, aggregated, capturesGone int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items), q.bytes, q.aggregated, q.capturesGone
}
