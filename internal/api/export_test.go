package api

import "time"

// HurryStreams shortens the waits of event streams, so that tests need not sleep through them.
func (a *API) HurryStreams(beat, write time.Duration, perPerson int) {
	a.streams.beat, a.streams.pace, a.streams.write, a.streams.perPerson = beat, time.Millisecond, write, perPerson
}

// OpenStreams is how many event streams are open.
func (a *API) OpenStreams() (n int) {
	a.streams.mu.Lock()
	defer a.streams.mu.Unlock()
	for _, k := range a.streams.open {
		n += k
	}
	return n
}
