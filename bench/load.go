package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
)

// target is one way to the stub model: direct, through the bare proxy or through the gateway.
type target struct {
	name    string
	addr    string
	key     string
	process *child // nil for the direct way
}

func newTarget(name, rawURL, key string, process *child) (*target, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	return &target{name: name, addr: u.Host, key: key, process: process}, nil
}

// request is the whole request as it goes over the wire, the same for every path but for host and key.
func (t *target) request(stream bool, prompt string) []byte {
	body := fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":%q}],"stream":%t}`, modelName, prompt, stream)
	key := t.key
	if key == "" {
		key = "none"
	}
	return fmt.Appendf(nil, "POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", t.addr, key, len(body), body)
}

// caller is a client with one connection. It does as little as possible, because it shares the cores.
type caller struct {
	conn net.Conn
	in   *bufio.Reader
	body []byte
}

func dial(ctx context.Context, addr string) (*caller, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &caller{conn: c, in: bufio.NewReaderSize(c, 16<<10), body: make([]byte, 0, 32<<10)}, nil
}

// once sends a request and reads the whole answer into c.body. first is when the answer's first bytes came.
func (c *caller) once(request []byte) (first, last time.Time, err error) {
	if _, err := c.conn.Write(request); err != nil {
		return first, last, err
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return first, last, err
	}
	c.body = c.body[:0]
	for {
		if len(c.body) == cap(c.body) {
			return first, last, errors.New("the answer is longer than any that the stub model gives")
		}
		n, err := res.Body.Read(c.body[len(c.body):cap(c.body)])
		if n > 0 && first.IsZero() {
			first = time.Now()
		}
		c.body = c.body[:len(c.body)+n]
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return first, last, err
		}
	}
	last = time.Now()
	if res.StatusCode != http.StatusOK {
		return first, last, fmt.Errorf("status %d: %.200s", res.StatusCode, c.body)
	}
	return first, last, nil
}

// load says how a path is used.
type load struct {
	stream bool
	conns  int
	rate   float64 // requests a second over all connections; 0: each asks again as soon as it has its answer
	phase  time.Duration
}

// outcome is what one load against one path gave.
type outcome struct {
	p50, p99, first50 time.Duration
	perSecond         float64
	cpu               time.Duration // of the process in the middle, for one request
}

var errWrongAnswer = errors.New("an answer was not what the stub model says")

// complete reports whether an answer is whole; what it says is compared once before, by said.
func complete(body []byte, stream bool, events int) bool {
	if !stream {
		return bytes.Contains(body, []byte(`"finish_reason":"stop"`)) && bytes.HasSuffix(bytes.TrimSpace(body), []byte("}"))
	}
	return bytes.HasSuffix(body, []byte("data: [DONE]\n\n")) && bytes.Count(body, []byte("data: ")) == events
}

// apply runs a load. Every answer is checked.
func (t *target) apply(ctx context.Context, l load, events int) (out outcome, err error) {
	request := t.request(l.stream, promptText)
	callers := make([]*caller, l.conns)
	defer func() {
		for _, c := range callers {
			if c != nil {
				_ = c.conn.Close()
			}
		}
	}()
	for i := range callers {
		if callers[i], err = dial(ctx, t.addr); err != nil {
			return out, err
		}
		_ = callers[i].conn.SetDeadline(time.Now().Add(l.phase + 30*time.Second))
		if i%8 == 0 { // so that neither side's first connections are part of the figure
			if _, _, err := callers[i].once(request); err != nil {
				return out, fmt.Errorf("%s: %w", t.name, err)
			}
		}
	}
	var before time.Duration
	if t.process != nil {
		if before, err = t.process.spent(); err != nil {
			return out, err
		}
	}
	took := make([][]time.Duration, l.conns)
	firsts := make([][]time.Duration, l.conns)
	errs := make([]error, l.conns)
	begin := time.Now()
	end := begin.Add(l.phase)
	var all sync.WaitGroup
	for i, c := range callers {
		all.Go(func() {
			next := begin
			if l.rate > 0 {
				next = begin.Add(time.Duration(float64(i) / l.rate * float64(time.Second)))
			}
			for ctx.Err() == nil {
				sent := time.Now()
				if l.rate > 0 {
					// An answer that comes after the next request was due delays that request: it counts from when it was due.
					if wait := next.Sub(sent); wait > 0 {
						time.Sleep(wait)
						sent = time.Now()
					} else if next.After(begin) {
						sent = next
					}
					next = next.Add(time.Duration(float64(l.conns) / l.rate * float64(time.Second)))
				}
				if !sent.Before(end) {
					return
				}
				first, last, err := c.once(request)
				if err == nil && !complete(c.body, l.stream, events) {
					err = errWrongAnswer
				}
				if err != nil {
					errs[i] = err
					return
				}
				took[i], firsts[i] = append(took[i], last.Sub(sent)), append(firsts[i], first.Sub(sent))
			}
		})
	}
	all.Wait()
	elapsed := time.Since(begin)
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return out, fmt.Errorf("%s: %w", t.name, err)
	}
	var whole, start []time.Duration
	for i := range took {
		whole, start = append(whole, took[i]...), append(start, firsts[i]...)
	}
	if len(whole) == 0 {
		return out, fmt.Errorf("%s: no answer within %s; choose a longer -phase", t.name, l.phase)
	}
	if t.process != nil {
		after, err := t.process.spent()
		if err != nil {
			return out, err
		}
		out.cpu = (after - before) / time.Duration(len(whole))
	}
	out.p50, out.p99, out.first50 = percentile(whole, 0.5), percentile(whole, 0.99), percentile(start, 0.5)
	out.perSecond = float64(len(whole)) / elapsed.Seconds()
	return out, nil
}

// said puts together what an answer says and how it ends, whatever the events it came in.
func said(body []byte, stream bool) (text, finish string, err error) {
	type words struct {
		Content string `json:"content"`
	}
	var answer struct {
		Choices []struct {
			Message words  `json:"message"`
			Delta   words  `json:"delta"`
			Finish  string `json:"finish_reason"`
		} `json:"choices"`
	}
	docs := []string{string(body)}
	if stream {
		docs = docs[:0]
		for line := range strings.Lines(string(body)) {
			if data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: "); ok && data != "[DONE]" {
				docs = append(docs, data)
			}
		}
	}
	for _, d := range docs {
		answer.Choices = nil
		if err := json.Unmarshal([]byte(d), &answer); err != nil {
			return "", "", err
		}
		for _, c := range answer.Choices {
			text += c.Message.Content + c.Delta.Content
			if c.Finish != "" {
				finish = c.Finish
			}
		}
	}
	return text, finish, nil
}

// prove asks once each way and compares the answer, word by word, with what the stub model says; then warms up.
func (t *target) prove(ctx context.Context, events int) error {
	c, err := dial(ctx, t.addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.conn.Close() }()
	_ = c.conn.SetDeadline(time.Now().Add(30 * time.Second))
	for _, stream := range []bool{false, true} {
		request := t.request(stream, promptText)
		for range 100 {
			if _, _, err := c.once(request); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
		text, finish, err := said(c.body, stream)
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		if text != answerText || finish != "stop" || !complete(c.body, stream, events) {
			return fmt.Errorf("%s: %w", t.name, errWrongAnswer)
		}
	}
	return nil
}
