package telemetry

import "sync"

// queue holds rows between the path of a request and the writer. It never blocks: when it is full, rows
// are folded into one per kind of event, and captures are let go, both counted.
type queue struct {
	mu       sync.Mutex
	items    []item
	bytes    int
	marks    int
	maxRows  int
	maxBytes int
	folded   *Fold
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

func newQueue(maxRows, maxBytes int) *queue {
	return &queue{maxRows: maxRows, maxBytes: maxBytes, wake: make(chan struct{}, 1), folded: NewFold()}
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
	if it.traffic != nil {
		q.folded.Traffic(it.traffic)
		return
	}
	q.folded.Signal(it.signal)
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
	q.folded.Take(func(g *Signal) bool { folded = append(folded, *g); return true },
		func(a *Aggregate) bool { aggregates = append(aggregates, *a); return true })
	return items, folded, aggregates
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items) == 0 && q.folded.Len() == 0
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
