//go:build torture

package storm

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/monitor/gatelink"
)

// muddle carries messages between a gateway and a control node. While it is on, it says things twice and out of order:
// batches again at once and once more after later ones, acknowledgements again after newer ones, and old news for new.
type muddle struct {
	address string
	on      atomic.Bool
	to      string
	client  *http.Client

	mu               sync.Mutex
	batches, acks    []message
	news             []byte // the last answer with a bundle
	seen             int    // how many there were
	twice, late, old atomic.Int64
}

type message struct {
	path   string
	header http.Header
	body   []byte
}

func openMuddle(t *testing.T, to string) *muddle {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &muddle{address: l.Addr().String(), to: to, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}}
	srv := &http.Server{Handler: m, ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { srv.Close() })
	return m
}

func (m *muddle) send(ctx context.Context, method string, msg message) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+m.to+msg.path, bytes.NewReader(msg.body))
	if err != nil {
		return 0, nil, err
	}
	req.Header = msg.header
	res, err := m.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	return res.StatusCode, raw, err
}

func (m *muddle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	msg := message{r.URL.Path, r.Header.Clone(), body}
	code, raw, err := m.send(r.Context(), r.Method, msg)
	if err != nil {
		panic(http.ErrAbortHandler) // the line broke
	}
	if m.on.Load() && code == 200 {
		raw = m.again(r.Context(), msg, raw)
	}
	w.WriteHeader(code)
	_, _ = w.Write(raw)
}

// again says what was said before, and may answer with what was answered before.
func (m *muddle) again(ctx context.Context, msg message, answer []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case strings.HasPrefix(msg.path, gatelink.PathBatch):
		_, _, _ = m.send(ctx, "POST", msg)
		m.twice.Add(1)
		if m.batches = append(m.batches, msg); len(m.batches) > 3 {
			_, _, _ = m.send(ctx, "POST", m.batches[0])
			m.batches = m.batches[1:]
			m.late.Add(1)
		}
	case msg.path == gatelink.PathAck:
		if m.acks = append(m.acks, msg); len(m.acks) > 1 {
			_, _, _ = m.send(ctx, "POST", m.acks[0])
			m.acks = m.acks[1:]
			m.late.Add(1)
		}
	case msg.path == gatelink.PathWatch && bytes.Contains(answer, []byte(`"bundle":{`)):
		before := m.news
		m.seen++
		if m.news = answer; before != nil && m.seen%3 == 2 {
			m.old.Add(1)
			return before
		}
	}
	return answer
}
