package gateway

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

type connKey struct{}

// sendBuffer is what the kernel may keep for a client that does not read: text that an order can no
// longer take back except by resetting the connection.
const sendBuffer = 16 << 10

// ConnContext is for http.Server.ConnContext: it keeps the send buffer small and lets the gateway reach
// the connection under a request, to reset it when a stream is taken away from a client that does not read.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if t := tcp(c); t != nil {
		_ = t.SetWriteBuffer(sendBuffer)
	}
	return context.WithValue(ctx, connKey{}, c)
}

func tcp(c net.Conn) *net.TCPConn {
	if u, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = u.NetConn()
	}
	t, _ := c.(*net.TCPConn)
	return t
}

// link is the way to the client.
type link struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	conn  net.Conn // nil over HTTP/2 or without ConnContext
	clock Clock
	limit time.Duration // for one write
	armed time.Time     // when the write deadline was last set
	gone  atomic.Bool   // reset was called: no more deadlines into the future
	first int64         // ms
	last  atomic.Int64  // µs
}

func (l *link) open(w http.ResponseWriter, r *http.Request, clock Clock) {
	l.w, l.rc, l.clock = w, http.NewResponseController(w), clock
	if r.ProtoMajor == 1 {
		l.conn, _ = r.Context().Value(connKey{}).(net.Conn)
	}
}

// arm moves the write deadline, at most every quarter of its length. Deadlines are the kernel's, so the
// machine's clock is right here.
func (l *link) arm() {
	now := time.Now()
	if l.limit <= 0 || l.gone.Load() || now.Sub(l.armed) < l.limit/4 {
		return
	}
	l.armed = now
	_ = l.rc.SetWriteDeadline(now.Add(l.limit))
	if l.gone.Load() { // reset in between
		_ = l.rc.SetWriteDeadline(now)
	}
}

func (l *link) write(b []byte) error {
	l.arm()
	_, err := l.w.Write(b)
	return err
}

// flush hands all that was written to the kernel and notes when.
func (l *link) flush() error {
	l.arm()
	if err := l.rc.Flush(); err != nil {
		return err
	}
	now := l.clock.Now()
	if l.first == 0 {
		l.first = now.UnixMilli()
	}
	l.last.Store(now.UnixMicro())
	return nil
}

// reset throws away what the kernel still holds for the client (RST). Safe from any goroutine.
func (l *link) reset() {
	l.gone.Store(true)
	if l.conn == nil {
		_ = l.rc.SetWriteDeadline(time.Now())
		return
	}
	if t := tcp(l.conn); t != nil {
		_ = t.SetLinger(0)
	}
	_ = l.conn.Close()
}

// settle waits, after the last event of a stream that was cut, until the client has taken all of it, and throws away
// what it has not taken within grace. The connection of a client that keeps up stays usable: closing it would
// only race with its next request.
func (l *link) settle(grace time.Duration) {
	if l.conn == nil {
		return
	}
	t := tcp(l.conn)
	if t == nil {
		return
	}
	for until := time.Now().Add(grace); ; time.Sleep(2 * time.Millisecond) {
		n, known := unsent(t)
		if known && n == 0 {
			return
		}
		if !known || !time.Now().Before(until) {
			l.reset()
			return
		}
	}
}
