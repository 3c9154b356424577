package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/prepare/lexicon"
)

const (
	floodRequests = 50_000 // issue 4
	floodClients  = 64     // connections at once
	floodTerm     = "灌水样例词"
)

// floodPart sends requests that are all blocked at a whole server, as fast as it takes them, and looks at what that does to its memory,
// to the writes of its main store and to the desk of the incident that somebody works on meanwhile.
func floodPart(ctx context.Context, b *bench) (_ []table, err error) {
	bin, err := b.server(ctx)
	if err != nil {
		return nil, err
	}
	var upstreamURL string
	model, err := start(ctx, b.log, "upstream", nil, &upstreamURL)
	if err != nil {
		return nil, err
	}
	defer model.stop()
	s := &series{}
	for n := range b.runs {
		b.say("       flood run %d of %d", n+1, b.runs)
		if err := floodOnce(ctx, b, bin, filepath.Join(b.dir, fmt.Sprintf("flood-%d", n)), upstreamURL, s); err != nil {
			return nil, err
		}
	}
	return []table{{Part: "flood", Title: fmt.Sprintf("Flood: %s blocked requests from as many subjects (goal: memory bounded, under 100 writes a second in the main store, the desk under 300 ms)", number(floodRequests)),
		Keys: []string{"flood"}, Rows: []row{{Keys: []string{fmt.Sprintf("%d connections", floodClients)}, Figures: s.figures()}},
		Notes: []string{
			"One `fengsui serve` with SQLite, clients and stub model on the same cores. Every answer is checked to be a block, and after the server has stopped its telemetry must count each request, stored or folded; otherwise the run fails.",
			"Memory: resident, read each 100 ms; before, at most while it lasts, and ten seconds after. Writes: transactions of the main store, the worst second of all.",
			"Desk: the incident is read whole by its officer each 100 ms while the flood lasts, from the request to the last byte.",
		}}}, nil
}

func floodOnce(ctx context.Context, b *bench, bin, dir, upstreamURL string, s *series) (err error) {
	data := filepath.Join(dir, "data")
	h, token, err := floodHouse(ctx, data, upstreamURL)
	if err != nil {
		return err
	}
	srv, gateway, err := serveBoth(ctx, b.log, bin, data)
	if err != nil {
		return err
	}
	running := true
	defer func() {
		if running {
			err = errors.Join(err, srv.stop())
		}
	}()
	before, err := resident(srv.cmd.Process.Pid)
	if err != nil {
		return err
	}
	began := time.Now()
	watching, stopWatching := context.WithCancel(ctx)
	w := &floodWatch{pid: srv.cmd.Process.Pid, url: srv.url, desk: srv.url + "/api/v1/incidents/" + h.event, token: token, peak: before}
	var looking sync.WaitGroup
	looking.Go(func() { w.memory(watching) })
	looking.Go(func() { w.writes(watching) })
	looking.Go(func() { w.desks(watching) })
	floodErr := pour(ctx, gateway, h.key)
	took := time.Since(began)
	stopWatching()
	looking.Wait()
	if err := errors.Join(floodErr, w.err); err != nil {
		return err
	}
	if err := wait(ctx, 10*time.Second); err != nil {
		return err
	}
	after, err := resident(srv.cmd.Process.Pid)
	if err != nil {
		return err
	}
	running = false
	if err := srv.stop(); err != nil {
		return err
	}
	stored, err := countedIn(ctx, data, h.service, began)
	if err != nil {
		return err
	}
	if stored != floodRequests {
		return fmt.Errorf("telemetry counts %d blocked requests instead of %d", stored, floodRequests)
	}
	s.add("requests", "/s", floodRequests/took.Seconds())
	s.add("memory before", "MB", float64(before)/1e6)
	s.add("at most", "MB", float64(w.peak)/1e6)
	s.add("10 s after", "MB", float64(after)/1e6)
	s.add("writes, worst second", "/s", w.worst)
	s.add("writes, all", "", w.all)
	s.add("desk p50", "ms", ms(percentile(w.took, 0.5)))
	s.add("desk p99", "ms", ms(percentile(w.took, 0.99)))
	s.add("desk max", "ms", ms(percentile(w.took, 1)))
	return nil
}

// floodHouse prepares a folder with a service that blocks a term, an incident and its officer.
func floodHouse(ctx context.Context, data, upstreamURL string) (_ *housed, token string, err error) {
	a, err := app.New(ctx, app.Options{DataDir: data, Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0", AllowPrivateUpstreams: true})
	if err != nil {
		return nil, "", err
	}
	defer a.Stop()
	h, err := prepareHouse(ctx, a, upstreamURL)
	if err != nil {
		return nil, "", err
	}
	if err := a.House.Store.Write(ctx, h.officer, func(tx *store.Tx) error {
		_, _, err := a.House.Lexicon.Import(ctx, tx, []lexicon.Draft{{ServiceID: h.service, Term: floodTerm, Action: string(posture.Block), Risk: "A.1.a"}})
		return err
	}); err != nil {
		return nil, "", err
	}
	_, token, err = a.AddPerson(ctx, "second duty officer", "duty_officer")
	return h, token, err
}

// serveBoth is serveFolder with the gateway's address.
func serveBoth(ctx context.Context, log io.Writer, bin, dir string) (*served, string, error) {
	l, err := app.Listen(ctx, "127.0.0.1:0", "gateway-listen")
	if err != nil {
		return nil, "", err
	}
	gateway := l.Addr().String()
	if err := l.Close(); err != nil { // the server takes it next; on loopback nobody else does in between
		return nil, "", err
	}
	s, err := serveFolder(ctx, log, bin, dir, "--gateway-listen", gateway)
	return s, gateway, err
}

// pour sends the requests, each of a subject of its own, and checks that each is blocked.
func pour(ctx context.Context, gateway, key string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	var next atomic.Int64
	var pouring sync.WaitGroup
	failed := make(chan error, floodClients)
	for range floodClients {
		pouring.Go(func() {
			c, err := dial(ctx, gateway)
			if err != nil {
				failed <- err
				return
			}
			defer func() { _ = c.conn.Close() }()
			for ctx.Err() == nil {
				n := next.Add(1)
				if n > floodRequests {
					return
				}
				body := fmt.Sprintf(`{"model":%q,"user":"u%d","messages":[{"role":"user","content":"%s 第 %d 次"}]}`, modelName, n, floodTerm, n)
				req := fmt.Appendf(nil, "POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", gateway, key, len(body), body)
				if _, _, err := c.once(req); err != nil {
					failed <- err
					return
				}
				if !bytes.Contains(c.body, []byte(`"content_filter"`)) {
					failed <- errors.New("a request of the flood was not blocked")
					return
				}
			}
			failed <- ctx.Err()
		})
	}
	pouring.Wait()
	close(failed)
	var errs []error
	for err := range failed {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// floodWatch looks at the server while the flood lasts. Each loop touches fields of its own.
type floodWatch struct {
	pid              int
	url, desk, token string

	peak       int64
	worst, all float64
	took       []time.Duration

	mu  sync.Mutex
	err error
}

func (w *floodWatch) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = errors.Join(w.err, err)
}

func (w *floodWatch) memory(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := resident(w.pid)
		if err != nil {
			w.fail(err)
			return
		}
		w.peak = max(w.peak, n)
		_ = wait(ctx, 100*time.Millisecond)
	}
}

func (w *floodWatch) writes(ctx context.Context) {
	whole := context.WithoutCancel(ctx)
	first, err := writesOf(whole, w.url)
	last, at := first, time.Now()
	for err == nil && ctx.Err() == nil {
		_ = wait(ctx, time.Second)
		var n float64
		if n, err = writesOf(whole, w.url); err != nil {
			break
		}
		if d := time.Since(at); d > 500*time.Millisecond { // the rest of a second says little
			w.worst = max(w.worst, (n-last)/d.Seconds())
		}
		last, at, w.all = n, time.Now(), n-first
	}
	if err != nil {
		w.fail(err)
	}
}

func (w *floodWatch) desks(ctx context.Context) {
	whole := context.WithoutCancel(ctx)
	for ctx.Err() == nil {
		began := time.Now()
		body, err := fetch(whole, w.desk, w.token)
		if err == nil && !bytes.Contains(body, []byte(`"working"`)) {
			err = errors.New("the desk's answer is no incident")
		}
		if err != nil {
			w.fail(err)
			return
		}
		w.took = append(w.took, time.Since(began))
		_ = wait(ctx, 100*time.Millisecond)
	}
}

func fetch(ctx context.Context, url, token string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %.200s", url, res.StatusCode, body)
	}
	return body, err
}

// writesOf is how many write transactions the main store has made, by the server's own metrics.
func writesOf(ctx context.Context, base string) (sum float64, err error) {
	body, err := fetch(ctx, base+"/metrics", "")
	if err != nil {
		return 0, err
	}
	found := false
	for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "fengsui_store_write_seconds_count"); ok {
			v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
			if err != nil {
				return 0, err
			}
			sum, found = sum+v, true
		}
	}
	if !found {
		return 0, errors.New("the metrics do not say how many writes there were")
	}
	return sum, nil
}

// resident is the memory that a process holds, in bytes.
func resident(pid int) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, absent{fmt.Errorf("memory is read from Linux's /proc: %w", err)}
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("the process has no VmRSS")
}

// countedIn is how many blocked requests the stopped server's telemetry counts.
func countedIn(ctx context.Context, data, service string, since time.Time) (n int64, err error) {
	a, err := app.Offline(ctx, app.Options{DataDir: data})
	if err != nil {
		return 0, err
	}
	defer a.Stop()
	counts, err := a.House.Telemetry.Verdicts(ctx, since.Add(-time.Minute).UnixMilli(), time.Now().Add(time.Minute).UnixMilli())
	for _, c := range counts {
		if c.ServiceID == service && c.InputVerdict == string(posture.Block) {
			n += c.Count
		}
	}
	return n, err
}
