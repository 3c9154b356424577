package anomaly

// window holds, for one fingerprint, what arrived lately. Its memory is bounded by the number of
// instants in the window and by the rule's numbers, not by how many signals arrive.
type window struct {
	ticks  []tick
	total  int
	last   map[string]int64 // newest arrival of each known subject
	sample []Signal         // the newest, for the people who will look
	at     []int64          // arrival of each in sample
}

type tick struct {
	ms int64
	n  int
}

// maxSample is how many signals an anomaly begins with in the main database.
const maxSample = 50

// add takes a signal that arrived at ms; arrivals come in order.
func (w *window) add(ms int64, o Observation) {
	if n := len(w.ticks); n > 0 && w.ticks[n-1].ms == ms {
		w.ticks[n-1].n += o.Count
	} else {
		w.ticks = append(w.ticks, tick{ms, o.Count})
	}
	w.total += o.Count
	if w.last == nil {
		w.last = map[string]int64{}
	}
	for _, s := range o.subjects() {
		w.last[s] = ms
	}
	if len(w.sample) == maxSample {
		w.sample, w.at = append(w.sample[:0], w.sample[1:]...), append(w.at[:0], w.at[1:]...)
	}
	w.sample, w.at = append(w.sample, o.Signal), append(w.at, ms)
}

// expire forgets what arrived at or before ms.
func (w *window) expire(ms int64) {
	i := 0
	for ; i < len(w.ticks) && w.ticks[i].ms <= ms; i++ {
		w.total -= w.ticks[i].n
	}
	if i == 0 {
		return
	}
	w.ticks = append(w.ticks[:0], w.ticks[i:]...)
	for s, at := range w.last {
		if at <= ms {
			delete(w.last, s)
		}
	}
	i = 0
	for i < len(w.at) && w.at[i] <= ms {
		i++
	}
	w.sample, w.at = append(w.sample[:0], w.sample[i:]...), append(w.at[:0], w.at[i:]...)
}

// reached reports whether r opens an anomaly on what is in the window.
func (w *window) reached(r *Rule) bool {
	return (w.total >= r.Threshold && len(w.last) >= r.MinSubjects) || (r.AnySubjects > 0 && w.total >= r.AnySubjects)
}
