//go:build torture

package upgrade

import (
	"bufio"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load asks all the time: gateways and API, by those who may and by one who is stopped.
type load struct {
	h      *house
	stop   chan struct{}
	asking sync.WaitGroup
	kinds  []*kind

	mu    sync.Mutex
	wrong string // what went wrong first
	steps []string
}

// kind is one sort of request.
type kind struct {
	name          string
	asked, failed atomic.Int64
}

func (h *house) load(t *testing.T, stopped string) *load {
	t.Helper()
	l := &load{h: h, stop: make(chan struct{})}
	l.every(10*time.Millisecond, "answers", func(int) string {
		code, body := h.chat(h.key)
		return want(code == 200, code, body)
	})
	l.every(300*time.Millisecond, "streams", func(int) string { return l.stream() })
	l.every(100*time.Millisecond, "refused to the tenant that is stopped", func(int) string {
		code, body := h.chat(stopped)
		return want(code == 503 && strings.Contains(body, "service_offline"), code, body)
	})
	l.every(100*time.Millisecond, "reads of the API", func(n int) string {
		code, body := h.ask("GET", []string{"/overview", "/incidents", "/orders", "/gateways"}[n%4], "", nil, nil)
		return want(code == 200, code, body)
	})
	l.every(500*time.Millisecond, "writes by the API", func(n int) string {
		code, body := h.ask("POST", "/incidents", fmt.Sprintf("load-%d-%p", n, l), map[string]any{"kind": "test", "service_id": h.service, "title": "t"}, nil)
		return want(code == 200, code, body)
	})
	return l
}

func want(ok bool, code int, body string) string {
	if ok {
		return ""
	}
	return fmt.Sprint(code, " ", body[:min(len(body), 300)])
}

func (l *load) every(d time.Duration, name string, ask func(n int) (wrong string)) {
	k := &kind{name: name}
	l.kinds = append(l.kinds, k)
	l.asking.Go(func() {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-l.stop:
				return
			case <-tick.C:
			}
			l.asking.Go(func() {
				k.asked.Add(1)
				if wrong := ask(n); wrong != "" {
					k.failed.Add(1)
					l.mu.Lock()
					defer l.mu.Unlock()
					if l.wrong == "" {
						l.wrong = name + ": " + wrong
					}
				}
			})
		}
	})
}

func (l *load) stream() (wrong string) {
	res, err := l.h.post(l.h.key, `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		return fmt.Sprint(res.StatusCode)
	}
	l.h.answered.Add(1)
	got, end := 0, ""
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if strings.Contains(lines.Text(), "word ") {
			got++
		}
		if lines.Text() != "" {
			end = lines.Text()
		}
	}
	if got != words || !strings.Contains(end, "[DONE]") {
		return fmt.Sprintf("ended after %d of %d words", got, words)
	}
	return ""
}

// during does a step and keeps what was asked and failed meanwhile.
func (l *load) during(t *testing.T, what string, step func()) {
	t.Helper()
	asked, failed, began := l.asked(), l.failed(), time.Now()
	step()
	l.steps = append(l.steps, fmt.Sprintf("%-24s %5.1f s %6d asked %4d failed", what, time.Since(began).Seconds(), l.asked()-asked, l.failed()-failed))
}

func (l *load) end() { close(l.stop); l.asking.Wait() }

func (l *load) asked() (n int64) {
	for _, k := range l.kinds {
		n += k.asked.Load()
	}
	return n
}

func (l *load) failed() (n int64) {
	for _, k := range l.kinds {
		n += k.failed.Load()
	}
	return n
}

func (l *load) first() string { l.mu.Lock(); defer l.mu.Unlock(); return l.wrong }

func (l *load) table() string {
	out := strings.Join(l.steps, "\n")
	for _, k := range l.kinds {
		out += fmt.Sprintf("\n%-38s %6d asked %4d failed", k.name, k.asked.Load(), k.failed.Load())
	}
	return out
}
