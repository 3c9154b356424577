//go:build torture

// Package gates runs control and gateways as processes of their own, over loopback, and does to them what happens to
// processes and lines.
package gates

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/fengsui/fengsui/e2e/process"
)

var binary string

func TestMain(m *testing.M) { os.Exit(process.Main(m, &binary)) }

func start(t *testing.T, extra []*os.File, args ...string) *process.Process {
	t.Helper()
	return process.Start(t, extra, binary, args...)
}

// until waits for something to come true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	process.Until(t, what, 40*time.Second, ok)
}

func free(t *testing.T) string { t.Helper(); return process.Free(t) }

// house is control as a process, in front of a model that streams until nobody listens.
type house struct {
	dir, data, api, node string
	model                *httptest.Server
	control              *process.Process
	key, token, service  string
	more                 []string // arguments of control
}

// openModel answers at once, or streams a numbered word each 10 ms without end.
func openModel(t *testing.T) *httptest.Server {
	const chunk = `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"word %d. "},"finish_reason":null}]}` + "\n\n"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !bytes.Contains(body, []byte(`"stream":true`)) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		words := 1 << 30
		if bytes.Contains(body, []byte("short")) {
			words = 100
		}
		for i := range words {
			if _, err := fmt.Fprintf(w, chunk, i); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
		_, _ = io.WriteString(w, `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
	}))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

func open(t *testing.T, more ...string) *house {
	t.Helper()
	dir := t.TempDir()
	h := &house{dir: dir, data: filepath.Join(dir, "data"), api: free(t), node: free(t), model: openModel(t), more: more}
	h.serve(t)
	_, rest, _ := strings.Cut(h.control.Said(), "gateway key (shown once): ")
	h.key, _, _ = strings.Cut(rest, "\n")
	out, err := exec.Command(binary, "person", "add", "--data", h.data, "--name", "duty", "--roles", "duty_officer,safety_engineer").CombinedOutput()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	_, rest, _ = strings.Cut(string(out), "token (shown once) ")
	h.token = strings.TrimSpace(rest)
	var services []struct{ ID string }
	h.call(t, "GET", "/services", nil, &services)
	h.service = services[0].ID
	return h
}

// serve starts control, again on the same folder and ports.
func (h *house) serve(t *testing.T) {
	t.Helper()
	h.control = start(t, nil, append([]string{"serve", "--role", "control", "--data", h.data, "--listen", h.api, "--node-listen", h.node,
		"--upstream", h.model.URL + "/v1", "--upstream-model", "m", "--allow-private-upstream"}, h.more...)...)
	until(t, "control", func() bool { return status("http://"+h.api+"/readyz") == 200 })
}

func status(url string) int {
	resp, err := http.Get(url)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func (h *house) call(t *testing.T, method, path string, in, out any) {
	t.Helper()
	var body io.Reader
	if in != nil {
		js, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(js)
	}
	req, err := http.NewRequest(method, "http://"+h.api+"/api/v1"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+h.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 {
		t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, raw)
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			t.Fatal(err)
		}
	}
}

// offline takes the service offline and gives the order's id.
func (h *house) offline(t *testing.T) string {
	t.Helper()
	var incident, order struct{ ID string }
	h.call(t, "POST", "/incidents", map[string]any{"service_id": h.service, "title": "t"}, &incident)
	h.call(t, "POST", "/orders", map[string]any{"cause": "incident", "cause_id": incident.ID, "rung": "service_offline", "service_id": h.service, "reason": "r"}, &order)
	return order.ID
}

// proof is what control knows of an order.
type proof struct {
	Acknowledged bool     `json:"acknowledged"`
	Proven       bool     `json:"proven"`
	Missing      []string `json:"missing"`
	Acks         []struct {
		GatewayID  string `json:"gateway_id"`
		StreamsCut int    `json:"streams_cut"`
	} `json:"acks"`
}

func (h *house) proof(t *testing.T, id string) (p proof) {
	t.Helper()
	h.call(t, "GET", "/orders/"+id, nil, &p)
	return p
}

// effective says whether control counts on a gateway.
func (h *house) effective(t *testing.T, id string) bool {
	t.Helper()
	var all []struct {
		ID        string
		Effective bool
	}
	h.call(t, "GET", "/gateways", nil, &all)
	for _, g := range all {
		if g.ID == id {
			return g.Effective
		}
	}
	return false
}

// rows are the requests of a gateway that control has, by request, probes not counted.
func (h *house) rows(t *testing.T, gateway string) (n int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(h.data, "telemetry", "*.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		db, err := sql.Open("sqlite", "file:"+f+"?mode=ro")
		if err != nil {
			t.Fatal(err)
		}
		var day int
		if err := db.QueryRow("SELECT COUNT(*) FROM traffic WHERE gateway_id = ? AND key_id NOT LIKE 'probe:%'", gateway).Scan(&day); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		n += day
		db.Close()
	}
	return n
}

// gate is a gateway as a process.
type gate struct {
	name, dir, url, ops string
	p                   *process.Process
	args                []string
	inherited           []*os.File
}

// join starts a gateway that reaches control at an address.
func (h *house) join(t *testing.T, name, control string, more ...string) *gate {
	t.Helper()
	g := &gate{name: name, dir: filepath.Join(h.dir, name), url: free(t), ops: free(t)}
	g.args = append([]string{"serve", "--role", "gateway", "--data", g.dir, "--listen", g.ops, "--gateway-listen", g.url, "--gateway-url", "http://" + g.url, "--control", scheme(control), "--join", h.invite(t, name), "--allow-private-upstream"}, more...)
	g.start(t)
	var code int
	var body string
	t.Cleanup(func() {
		if code != 200 {
			t.Logf("%s answered %d %s", name, code, body)
		}
	})
	until(t, name+" to pass", func() bool { code, body = chat(g.url, h.key); return code == 200 })
	return g
}

func scheme(address string) string {
	if strings.Contains(address, "://") {
		return address
	}
	return "http://" + address
}

// invite gives the file with the join token of a gateway.
func (h *house) invite(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command(binary, "gateway", "join-token", "--data", h.data, name).Output()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	token := filepath.Join(h.dir, name+".join")
	if err := os.WriteFile(token, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return token
}

func (g *gate) start(t *testing.T) { t.Helper(); g.p = start(t, g.inherited, g.args...) }

// chat asks once; code 0 is no answer.
func chat(address, key string) (code int, body string) {
	req, err := http.NewRequest("POST", "http://"+address+"/v1/chat/completions", strings.NewReader(`{"model":"m","messages":[{"role":"user","content":"hi"}]}`))
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(raw)
}

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}

// stream is an answer being read.
type stream struct {
	bytes atomic.Int64
	words atomic.Int64
	last  atomic.Int64 // µs: a word arrived
	done  chan struct{}
	end   string // the last line
}

func (h *house) stream(t *testing.T, address, prompt string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "POST", "http://"+address+"/v1/chat/completions", strings.NewReader(`{"model":"m","stream":true,"messages":[{"role":"user","content":"`+prompt+`"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+h.key)
	resp, err := client.Transport.RoundTrip(req) // the connection is used again as soon as the stream ends
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 {
		t.Fatalf("a stream was refused: %d", resp.StatusCode)
	}
	s := &stream{done: make(chan struct{})}
	go func() {
		defer close(s.done)
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			s.bytes.Add(int64(len(lines.Bytes())))
			if strings.Contains(lines.Text(), "word ") {
				s.words.Add(1)
				s.last.Store(time.Now().UnixMicro())
			}
			if lines.Text() != "" {
				s.end = lines.Text()
			}
		}
	}()
	return s
}

// line is a TCP line that can be cut: nothing connects, and what is connected is reset.
type line struct {
	l   net.Listener
	to  string
	mu  sync.Mutex
	cut bool
	all map[net.Conn]bool
	lag atomic.Int64 // nanoseconds that each piece waits
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &line{l: l, to: to, all: map[net.Conn]bool{}}
	t.Cleanup(func() { l.Close(); p.set(true) })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.carry(c)
		}
	}()
	return p
}

func (p *line) address() string { return p.l.Addr().String() }

func (p *line) set(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	if cut {
		for c := range p.all {
			c.Close()
		}
	}
}

func (p *line) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		c.Close()
		return false
	}
	p.all[c] = true
	return true
}

func (p *line) carry(c net.Conn) {
	if !p.keep(c) {
		return
	}
	d, err := net.Dial("tcp", p.to)
	if err != nil || !p.keep(d) {
		c.Close()
		return
	}
	both := sync.WaitGroup{}
	for _, way := range [][2]net.Conn{{c, d}, {d, c}} {
		both.Go(func() { _, _ = io.Copy(way[0], late{way[1], &p.lag}); way[0].Close(); way[1].Close() })
	}
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, c)
	delete(p.all, d)
}

// late reads from a slow line.
type late struct {
	io.Reader
	lag *atomic.Int64
}

func (l late) Read(b []byte) (int, error) {
	n, err := l.Reader.Read(b)
	time.Sleep(time.Duration(l.lag.Load()))
	return n, err
}
