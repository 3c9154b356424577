package simulate

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
)

// keptCalls bounds the log of calls; older ones are dropped.
const keptCalls = 256

// Call is what the model saw of one request to it, kept only with
// Options.Record. It lets a test look at the far side of a gateway.
type Call struct {
	Method, Path string
	Header       http.Header
	Body         []byte
	// Events counts streamed events handed to the connection.
	Events int
	// Ended is true once the handler has returned, Cancelled if the caller had
	// left by then.
	Ended, Cancelled bool
}

type call struct {
	Call
	log *callLog
}

// sent counts one streamed event.
func (c *call) sent() {
	if c.log == nil {
		return
	}
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	c.Events++
}

type callLog struct {
	mu    sync.Mutex
	calls []*call
}

func (l *callLog) open(r *http.Request) *call {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequestBytes+1))
	if err != nil {
		body = nil // the handler meets the same broken body and refuses it
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	c := &call{Call: Call{Method: r.Method, Path: r.URL.Path, Header: r.Header.Clone(), Body: body}, log: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, c)
	if len(l.calls) > keptCalls {
		l.calls = append([]*call(nil), l.calls[len(l.calls)-keptCalls:]...)
	}
	return c
}

func (l *callLog) close(c *call, ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.Ended, c.Cancelled = true, ctx.Err() != nil
}

// Calls returns the recorded calls, oldest first, at most the last 256. It is
// empty without Options.Record.
func (m *Model) Calls() []Call {
	m.calls.mu.Lock()
	defer m.calls.mu.Unlock()
	out := make([]Call, len(m.calls.calls))
	for i, c := range m.calls.calls {
		out[i] = c.Call
	}
	return out
}

// ForgetCalls empties the log of calls.
func (m *Model) ForgetCalls() {
	m.calls.mu.Lock()
	defer m.calls.mu.Unlock()
	m.calls.calls = nil
}
