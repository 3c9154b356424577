package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Words in the prompt that make the stub model behave otherwise than to answer at once and in full.
const (
	askSteady = "bench-steady" // an event of text each 50 ms, without end
	askLarge  = "bench-large"  // the same with 2 KiB of text each: more than a slow reader takes
	askSilent = "bench-silent" // one event, then silence
)

const tick = 50 * time.Millisecond

// upstream is a stub model that costs as little as it can: its answers are made once and always the same.
type upstream struct {
	server
	plain         []byte
	events        [][]byte // with their frames
	steady, large []byte
}

// server is an HTTP server on a free port of loopback with the goroutine that serves it.
type server struct {
	http *http.Server
	url  string
	done chan struct{}
}

func listen(ctx context.Context, s *http.Server) (server, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return server{}, err
	}
	out := server{http: s, url: "http://" + l.Addr().String(), done: make(chan struct{})}
	go func() {
		defer close(out.done)
		_ = s.Serve(l) // http.ErrServerClosed; anything else shows as requests that fail
	}()
	return out, nil
}

func (s server) stop() {
	_ = s.http.Close()
	<-s.done
}

func event(delta, finish string) []byte {
	return fmt.Appendf(nil, `data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":%q,"choices":[{"index":0,"delta":%s,"logprobs":null,"finish_reason":%s}]}`+"\n\n", modelName, delta, finish)
}

func contentEvent(text string) []byte { return event(fmt.Sprintf(`{"content":%q}`, text), "null") }

func newUpstream() *upstream {
	u := &upstream{
		plain: fmt.Appendf(nil, `{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":%q,"choices":[{"index":0,"message":{"role":"assistant","content":%q},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":90,"total_tokens":110}}`,
			modelName, answerText),
		steady: contentEvent("一段平稳的回答，"),
		large:  contentEvent(strings.Repeat("一段很长的回答，", 86)),
	}
	u.events = append(u.events, event(`{"role":"assistant","content":""}`, "null"))
	for _, p := range answerPieces() {
		u.events = append(u.events, contentEvent(p))
	}
	u.events = append(u.events, event(`{}`, `"stop"`), []byte("data: [DONE]\n\n"))
	return u
}

func beginUpstream(ctx context.Context) (actor, any, error) {
	u := newUpstream()
	var err error
	if u.server, err = listen(ctx, &http.Server{Handler: u, ReadHeaderTimeout: 10 * time.Second}); err != nil {
		return nil, nil, err
	}
	return u, u.url, nil
}

func (u *upstream) answer(context.Context, string, jsontext.Value) (any, error) {
	return nil, errors.New("the stub model answers over HTTP only")
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	if !bytes.Contains(body, []byte(`"stream":true`)) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(u.plain)))
		_, _ = w.Write(u.plain)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	send := func(b []byte) bool {
		_, err := w.Write(b)
		return err == nil && rc.Flush() == nil
	}
	switch {
	case bytes.Contains(body, []byte(askSilent)):
		send(u.steady)
		<-r.Context().Done()
	case bytes.Contains(body, []byte(askSteady)):
		u.talk(r.Context(), u.steady, send)
	case bytes.Contains(body, []byte(askLarge)):
		u.talk(r.Context(), u.large, send)
	default:
		for _, e := range u.events {
			if !send(e) {
				return
			}
		}
	}
}

func (u *upstream) talk(ctx context.Context, piece []byte, send func([]byte) bool) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for send(piece) {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
