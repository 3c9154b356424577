// Package watch wakes those who wait for a topic to change. It carries no data: a woken reader
// reads the truth from the store, so a lost or doubled wake-up does no harm.
package watch

import "sync"

// Hub counts revisions of topics. The zero value is not usable; use New.
type Hub struct {
	mu     sync.Mutex
	topics map[string]*topic
}

type topic struct {
	rev  uint64
	next chan struct{}
}

// New makes an empty hub.
func New() *Hub { return &Hub{topics: map[string]*topic{}} }

func (h *Hub) get(name string) *topic {
	t := h.topics[name]
	if t == nil {
		t = &topic{next: make(chan struct{})}
		h.topics[name] = t
	}
	return t
}

// Bump marks topics as changed and wakes their watchers.
func (h *Hub) Bump(names ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range names {
		t := h.get(n)
		t.rev++
		close(t.next)
		t.next = make(chan struct{})
	}
}

// BumpAll marks every topic that anybody watches or has changed.
func (h *Hub) BumpAll() {
	h.mu.Lock()
	names := make([]string, 0, len(h.topics))
	for n := range h.topics {
		names = append(names, n)
	}
	h.mu.Unlock()
	h.Bump(names...)
}

// Watch gives the topic's revision and a channel that is closed at its next change. Take both,
// read the store, then wait: no change can fall between.
func (h *Hub) Watch(name string) (rev uint64, changed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.get(name)
	return t.rev, t.next
}
