package app

import (
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
)

// connections are those of a server that clients keep open, so that it can end without cutting a request. HTTP/1.1 has
// no way to take a connection back: one that is closed as the client sends its next request fails that request. While
// the server drains it answers such requests and says with the answer that the connection ends; it closes itself only
// what its client left alone for a while.
type connections struct {
	clock clock.Clock
	mu    sync.Mutex
	rest  map[net.Conn]time.Time // since when no request is under way; zero while one is
}

func newConnections(c clock.Clock) *connections {
	return &connections{clock: c, rest: map[net.Conn]time.Time{}}
}

// note is a server's ConnState.
func (c *connections) note(conn net.Conn, s http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch s {
	case http.StateNew, http.StateIdle:
		c.rest[conn] = c.clock.Now()
	case http.StateActive:
		c.rest[conn] = time.Time{}
	default: // closed, or the server's no more
		delete(c.rest, conn)
	}
}

// left reports whether every connection has been without a request for d.
func (c *connections) left(d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.clock.Now().Add(-d)
	for _, since := range c.rest {
		if since.IsZero() || since.After(before) {
			return false
		}
	}
	return true
}

// wait returns when all are left alone for d, or when limit is done.
func (c *connections) wait(d time.Duration, limit <-chan struct{}) {
	for !c.left(d) {
		select {
		case <-c.clock.After(50 * time.Millisecond):
		case <-limit:
			return
		}
	}
}
