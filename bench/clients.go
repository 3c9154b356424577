package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/fengsui/fengsui/internal/monitor/gateway"
)

// Classes of streams in the measurement of orders.
const (
	steady = "keeps up"        // reads at once, an event each 50 ms
	slow   = "reads slowly"    // takes 1 KiB a second of 40 KiB and has a small receive buffer
	silent = "silent upstream" // reads at once, but the model says nothing
)

var classes = []string{steady, slow, silent}

var prompts = map[string]string{steady: askSteady, slow: askLarge, silent: askSilent}

type openCall struct {
	Addr    string         `json:"addr"`
	Key     string         `json:"key"`
	Streams map[string]int `json:"streams"` // by class
}

// seen is what one client saw of its stream.
type seen struct {
	Class     string `json:"class"`
	ContentNo string `json:"content_no"`
	Bytes     int64  `json:"bytes"`
	LastUs    int64  `json:"last_us"`   // when it last read something, µs UTC
	AfterAck  int64  `json:"after_ack"` // bytes that it read after the gateway's acknowledgement
	Farewell  bool   `json:"farewell"`  // it read the gateway's own end of the stream
	Ended     bool   `json:"ended"`     // the stream is over
	Reset     bool   `json:"reset"`     // by a reset of the connection
}

// crowd holds many open streams in one process.
type crowd struct {
	clients []*client
	hurry   atomic.Bool // slow readers need not be slow any more
	reading sync.WaitGroup
}

func beginClients() (actor, any, error) { return &crowd{}, true, nil }

func (c *crowd) stop() {
	for _, k := range c.clients {
		_ = k.conn.Close()
	}
	c.reading.Wait()
	c.clients = nil
	c.hurry.Store(false)
}

func (c *crowd) answer(ctx context.Context, op string, raw jsontext.Value) (any, error) {
	switch op {
	case "open":
		var o openCall
		if err := json.Unmarshal(raw, &o); err != nil {
			return nil, err
		}
		c.stop()
		return c.open(ctx, o)
	case "see":
		var ackUs int64
		if err := json.Unmarshal(raw, &ackUs); err != nil {
			return nil, err
		}
		c.hurry.Store(true) // whatever their kernel still holds for them counts, so they read all of it
		over := make(chan struct{})
		go func() { c.reading.Wait(); close(over) }()
		select {
		case <-over:
		case <-time.After(5 * time.Second): // those that still read are shown as not ended
		}
		out := make([]seen, 0, len(c.clients))
		for _, k := range c.clients {
			out = append(out, k.saw(ackUs))
		}
		return out, nil
	}
	return nil, fmt.Errorf("unknown question %q", op)
}

// open gives the number of streams that have said something.
func (c *crowd) open(ctx context.Context, o openCall) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	var mu sync.Mutex
	var failed error
	slots := make(chan struct{}, 32)
	var all sync.WaitGroup
	t := target{addr: o.Addr, key: o.Key}
	for _, class := range classes {
		for range o.Streams[class] {
			slots <- struct{}{}
			all.Go(func() {
				defer func() { <-slots }()
				k, err := openStream(ctx, o.Addr, class, t.request(true, prompts[class]))
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					failed = err
					return
				}
				c.clients = append(c.clients, k)
				c.reading.Go(func() { k.read(&c.hurry) })
			})
		}
	}
	all.Wait()
	if failed != nil {
		return 0, failed
	}
	return len(c.clients), nil
}

// client is one stream that is read.
type client struct {
	class string
	conn  net.Conn
	body  io.ReadCloser
	no    string

	mu    sync.Mutex
	reads []oneRead
	tail  []byte // last bytes read
	ended bool
	err   error
}

type oneRead struct {
	us int64
	n  int
}

func openStream(ctx context.Context, addr, class string, request []byte) (*client, error) {
	var d net.Dialer
	size := 4096
	if class == slow {
		size = 512
		d.Control = func(_, _ string, raw syscall.RawConn) error { // before connecting, or the window is already promised
			var err error
			return errors.Join(raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) }), err)
		}
	}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if _, err := conn.Write(request); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(conn, size), nil)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("a stream was answered with status %d", res.StatusCode)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	_ = conn.SetDeadline(time.Time{})
	return &client{class: class, conn: conn, body: res.Body, no: res.Header.Get(gateway.HeaderContentNumber)}, nil
}

const farewell = "data: [DONE]\n\n"

func (k *client) read(hurry *atomic.Bool) {
	buf := make([]byte, 4096)
	if k.class == slow {
		buf = buf[:512]
	}
	for {
		n, err := k.body.Read(buf)
		now := time.Now().UnixMicro()
		k.mu.Lock()
		if n > 0 {
			k.reads = append(k.reads, oneRead{now, n})
			k.tail = append(k.tail, buf[:n]...)
			k.tail = k.tail[max(0, len(k.tail)-len(farewell)):]
		}
		if err != nil {
			k.ended, k.err = true, err
			k.mu.Unlock()
			_ = k.conn.Close()
			return
		}
		k.mu.Unlock()
		for until := time.Now().Add(500 * time.Millisecond); k.class == slow && !hurry.Load() && time.Now().Before(until); {
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func (k *client) saw(ackUs int64) seen {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := seen{Class: k.class, ContentNo: k.no, Ended: k.ended, Reset: errors.Is(k.err, syscall.ECONNRESET), Farewell: string(k.tail) == farewell}
	for _, r := range k.reads {
		s.Bytes += int64(r.n)
		if r.us > ackUs {
			s.AfterAck += int64(r.n)
		}
		s.LastUs = r.us
	}
	return s
}
