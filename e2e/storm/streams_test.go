//go:build torture

package storm

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// crowd keeps streams open, spread evenly over gateways and tenants: one that ends is opened again.
type crowd struct {
	h      *house
	all    []*stream
	held   [tenants]atomic.Bool // nobody opens streams of this tenant
	client *http.Client
	opened atomic.Int64
}

type stream struct {
	tenant, gate int
	now          atomic.Pointer[session] // nil while closed
}

// session is one answer being read.
type session struct {
	done        chan struct{}
	words       atomic.Int64
	lastUs, end atomic.Int64 // µs since the epoch: the last word came; it ended
}

func (h *house) crowd(ctx context.Context, n int, working *sync.WaitGroup) *crowd {
	c := &crowd{h: h, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	for i := range n {
		s := &stream{tenant: i % tenants, gate: i / tenants % len(h.gates)}
		c.all = append(c.all, s)
		working.Go(func() { c.keep(ctx, s) })
	}
	return c
}

func (c *crowd) keep(ctx context.Context, s *stream) {
	for ctx.Err() == nil {
		if !c.held[s.tenant].Load() && c.read(ctx, s) {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(300+rand.IntN(700)) * time.Millisecond):
		}
	}
}

// read opens a stream and reads it to its end; false if it was refused.
func (c *crowd) read(ctx context.Context, s *stream) bool {
	req, err := http.NewRequestWithContext(ctx, "POST", "http://"+c.h.gates[s.gate].url+"/v1/chat/completions", strings.NewReader(`{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.h.keys[s.tenant])
	res, err := c.client.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		_, _ = io.Copy(io.Discard, res.Body)
		return false
	}
	x := &session{done: make(chan struct{})}
	s.now.Store(x)
	c.opened.Add(1)
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "word ") {
			x.lastUs.Store(time.Now().UnixMicro())
			x.words.Add(1)
		}
	}
	x.end.Store(time.Now().UnixMicro())
	s.now.Store(nil)
	close(x.done)
	return true
}

// of are the open sessions of a tenant that have said something, by gateway.
func (c *crowd) of(tenant int) (out [2][]*session) {
	for _, s := range c.all {
		if s.tenant != tenant {
			continue
		}
		if x := s.now.Load(); x != nil && x.words.Load() > 0 {
			out[s.gate] = append(out[s.gate], x)
		}
	}
	return out
}

// open counts the open streams.
func (c *crowd) open() (n int) {
	for _, s := range c.all {
		if s.now.Load() != nil {
			n++
		}
	}
	return n
}

// full waits until almost all streams are open.
func (c *crowd) full(ctx context.Context, within time.Duration) error {
	for end := time.Now().Add(within); c.open() < len(c.all)*98/100; {
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d streams are open", c.open(), len(c.all))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// chat asks a gateway once; code 0 is no answer.
func (c *crowd) chat(ctx context.Context, gate, tenant int, prompt string, streamed bool) (code int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, "POST", "http://"+c.h.gates[gate].url+"/v1/chat/completions", strings.NewReader(fmt.Sprintf(`{"model":"m","stream":%v,"messages":[{"role":"user","content":%q}]}`, streamed, prompt)))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.h.keys[tenant])
	res, err := c.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	return res.StatusCode, string(raw), err
}
