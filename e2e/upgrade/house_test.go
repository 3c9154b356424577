//go:build torture

// Package upgrade runs two control nodes and two gateways of the previous version under load, replaces one after the
// other by this version, and goes back.
package upgrade

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/fengsui/fengsui/e2e/process"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

var (
	binary string // of this version
	older  = sync.OnceValues(buildPrevious)
)

func TestMain(m *testing.M) { os.Exit(process.Main(m, &binary)) }

// previous gives the program of the previous version and that version's name.
func previous(t *testing.T) (bin, name string) {
	t.Helper()
	bin, err := older()
	if err != nil {
		t.Fatal(err)
	}
	line, err := os.ReadFile("previous")
	if err != nil {
		t.Fatal(err)
	}
	return bin, strings.Fields(string(line))[0]
}

// buildPrevious builds the commit that the file previous names beside its tag; a clone need not have tags.
func buildPrevious() (string, error) {
	line, err := os.ReadFile("previous")
	if err != nil {
		return "", err
	}
	commit := strings.Fields(string(line))[1]
	folder := filepath.Dir(binary)
	tree := filepath.Join(folder, "previous")
	if err := os.Mkdir(tree, 0o700); err != nil {
		return "", err
	}
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return "", fmt.Errorf("the previous version is built from git: %w", err)
	}
	archive := exec.Command("git", "archive", commit)
	archive.Dir = strings.TrimSpace(string(top))
	unpack := exec.Command("tar", "-x", "-C", tree)
	if unpack.Stdin, err = archive.StdoutPipe(); err != nil {
		return "", err
	}
	var said bytes.Buffer
	archive.Stderr, unpack.Stderr = &said, &said
	if err := archive.Start(); err != nil {
		return "", err
	}
	if err := unpack.Run(); err != nil {
		return "", fmt.Errorf("commit %s of the previous version is not in this clone (a shallow one has to be deepened: git fetch --unshallow): %w %s", commit, err, said.String())
	}
	if err := archive.Wait(); err != nil {
		return "", fmt.Errorf("commit %s of the previous version is not in this clone (a shallow one has to be deepened: git fetch --unshallow): %w %s", commit, err, said.String())
	}
	bin := filepath.Join(folder, "fengsui-previous")
	build := exec.Command("go", "build", "-o", bin, "./cmd/fengsui")
	build.Dir = tree
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the previous version does not build: %w\n%s", err, out)
	}
	return bin, os.RemoveAll(tree)
}

// member is a node or a gateway; it keeps its folder, addresses and arguments when its program changes.
type member struct {
	*process.Process
	name, bin, ops string // ops is where /readyz is
	args           []string
	inherited      []*os.File
}

func (p *member) begin(t *testing.T) {
	t.Helper()
	p.Process = process.Start(t, p.inherited, p.bin, p.args...)
}

// end asks it to end and waits until it has.
func (p *member) end(t *testing.T) {
	t.Helper()
	p.Term()
	select {
	case <-p.Done:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s does not end", p.name)
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	process.Until(t, what, time.Minute, ok)
}

// house is two control nodes behind a balancer, and two gateways that share a socket.
type house struct {
	nodes, gates        []*member
	balancer            *balancer
	socket              *os.File
	gateway             string // address of the socket
	database, data      string // data is the folder of the first node
	keys                string
	key, token, service string
	answered            atomic.Int64 // requests that a gateway answered
	chats               *http.Client
}

func open(t *testing.T, bin string) *house {
	t.Helper()
	dir := t.TempDir()
	h := &house{database: storetest.Database(t, dir), chats: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 100, IdleConnTimeout: time.Second}}}
	h.data, h.keys = filepath.Join(dir, "a"), filepath.Join(dir, "keys")
	model := openModel(t)
	var controls []string
	for _, name := range []string{"a", "b"} {
		config := filepath.Join(dir, name+".yaml")
		text := fmt.Sprintf("data: %s\nkeys: %s\ncheckpoints: %s\ndatabase: %q\n", filepath.Join(dir, name), h.keys, filepath.Join(dir, name+"-out"), h.database)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p := &member{name: name, bin: bin, ops: process.Free(t)}
		link := process.Free(t)
		p.args = []string{"serve", "--config", config, "--role", "control", "--node", name, "--listen", p.ops, "--node-listen", link, "--allow-private-upstream", "--lang", "en"}
		if name == "a" {
			p.args = append(p.args, "--upstream", model+"/v1", "--upstream-model", "m")
		}
		controls = append(controls, "http://"+link)
		p.begin(t)
		until(t, name, func() bool { return ready(p) })
		h.nodes = append(h.nodes, p)
	}
	h.key = after(t, h.nodes[0].Said(), "gateway key (shown once): ")
	h.token = after(t, h.cli(t, bin, "person", "add", "--data", h.data, "--keys", h.keys, "--name", "duty", "--roles", "duty_officer,safety_engineer"), "token (shown once) ")
	h.balancer = newBalancer(t, h.nodes)
	var services []struct{ ID string }
	h.must(t, "GET", "/services", nil, &services)
	h.service = services[0].ID

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.gateway = l.Addr().String()
	if h.socket, err = l.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.socket.Close() })
	l.Close() // only the processes accept
	for _, name := range []string{"edge-1", "edge-2"} {
		var token struct {
			Token string `json:"token"`
		}
		h.must(t, "POST", "/gateways/join-tokens", map[string]any{"name": name}, &token)
		join := filepath.Join(dir, name+".join")
		if err := os.WriteFile(join, []byte(token.Token), 0o600); err != nil {
			t.Fatal(err)
		}
		p := &member{name: name, bin: bin, ops: process.Free(t), inherited: []*os.File{h.socket}}
		p.args = []string{"serve", "--role", "gateway", "--data", filepath.Join(dir, name), "--listen", p.ops, "--gateway-listen", "fd:3", "--control", strings.Join(controls, ","), "--join", join, "--allow-private-upstream", "--drain", "20s"}
		p.begin(t)
		until(t, name, func() bool { return ready(p) && h.effective(t, name) })
		h.gates = append(h.gates, p)
	}
	return h
}

func after(t *testing.T, text, mark string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, mark)
	if !ok {
		t.Fatalf("no %q in %s", mark, text)
	}
	rest, _, _ = strings.Cut(rest, "\n")
	return strings.TrimSpace(rest)
}

func ready(p *member) bool {
	resp, err := http.Get("http://" + p.ops + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == 200
}

// replace stops a process in good order and starts it as another program.
func (h *house) replace(t *testing.T, p *member, bin string) {
	t.Helper()
	h.balancer.without(p)
	p.end(t)
	p.bin = bin
	p.begin(t)
	until(t, p.name+" to be ready", func() bool { return ready(p) })
	h.balancer.with(p)
	for _, g := range h.gates {
		until(t, g.name+" to be in touch", func() bool { return h.effective(t, g.name) })
	}
}

func (h *house) cli(t *testing.T, bin string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Env = append(os.Environ(), "FENGSUI_DATABASE="+h.database)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v %s %s", args, err, out, errs.String())
	}
	return string(out)
}

// openModel answers at once, or streams 50 words over five seconds.
func openModel(t *testing.T) string {
	const chunk = `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"word %d. "},"finish_reason":null}]}` + "\n\n"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !bytes.Contains(body, []byte(`"stream":true`)) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range words {
			if _, err := fmt.Fprintf(w, chunk, i); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
		_, _ = io.WriteString(w, `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
	}))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.URL
}

const words = 50

// balancer stands before the control nodes. A node is taken out before it is stopped, and a connection that a node
// does not take goes to the other, as balancers do.
type balancer struct {
	url   string
	mu    sync.Mutex
	nodes []*member
	out   map[*member]bool
	next  int
}

func newBalancer(t *testing.T, nodes []*member) *balancer {
	b := &balancer{nodes: nodes, out: map[*member]bool{}}
	s := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "node", r.In.Host
	}, Transport: &http.Transport{DialContext: b.dial, DisableKeepAlives: true}, ErrorLog: log.New(io.Discard, "", 0)})
	t.Cleanup(s.Close)
	b.url = s.URL
	return b
}

func (b *balancer) without(p *member) { b.mu.Lock(); defer b.mu.Unlock(); b.out[p] = true }
func (b *balancer) with(p *member)    { b.mu.Lock(); defer b.mu.Unlock(); delete(b.out, p) }

func (b *balancer) dial(ctx context.Context, network, _ string) (c net.Conn, err error) {
	err = fmt.Errorf("every node is taken out")
	for range b.nodes {
		b.mu.Lock()
		p := b.nodes[b.next%len(b.nodes)]
		b.next++
		out := b.out[p]
		b.mu.Unlock()
		if out {
			continue
		}
		if c, err = new(net.Dialer).DialContext(ctx, network, p.ops); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// ask calls the API through the balancer; status 0 is no answer.
func (h *house) ask(method, path, key string, in, out any) (status int, body string) {
	var js io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return 0, err.Error()
		}
		js = bytes.NewReader(raw)
	}
	req, err := http.NewRequest(method, h.balancer.url+"/api/v1"+path, js)
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+h.token)
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := (&http.Client{Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	if out != nil && res.StatusCode == 200 {
		if err := json.Unmarshal(raw, out); err != nil {
			return 0, err.Error()
		}
	}
	return res.StatusCode, string(raw)
}

func (h *house) must(t *testing.T, method, path string, in, out any) {
	t.Helper()
	if status, body := h.ask(method, path, "", in, out); status != 200 {
		t.Fatalf("%s %s: %d %s", method, path, status, body)
	}
}

func (h *house) effective(t *testing.T, id string) bool {
	t.Helper()
	var all []struct {
		ID        string
		Effective bool
	}
	h.must(t, "GET", "/gateways", nil, &all)
	for _, g := range all {
		if g.ID == id {
			return g.Effective
		}
	}
	return false
}

func (h *house) issueKey(t *testing.T, tenant string) string {
	t.Helper()
	var k struct {
		Key string `json:"key"`
	}
	h.must(t, "POST", "/services/"+h.service+"/keys", map[string]any{"tenant": tenant, "user_group": "all", "traffic_kind": "real", "label": tenant}, &k)
	return k.Key
}

// chat asks the model through the gateways; code 0 is no answer.
func (h *house) chat(key string) (code int, body string) {
	res, err := h.post(key, `{"model":"m","messages":[{"role":"user","content":"hi"}]}`)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	if res.StatusCode == 200 || strings.Contains(string(raw), "service_offline") {
		h.answered.Add(1)
	}
	return res.StatusCode, string(raw)
}

func (h *house) post(key, body string) (*http.Response, error) {
	req, err := http.NewRequest("POST", "http://"+h.gateway+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+key)
	req.Close = strings.Contains(body, `"stream":true`) // v0.1.0, draining, closes a connection right after the stream on it
	return h.chats.Do(req)
}

// versions are what control says of nodes and gateways.
func (h *house) versions(t *testing.T) map[string]string {
	t.Helper()
	db := h.db(t)
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "SELECT id, version FROM node UNION ALL SELECT id, version FROM gateway_member")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var id, version string
		if err := rows.Scan(&id, &version); err != nil {
			t.Fatal(err)
		}
		out[id] = version
	}
	return out
}

// all waits until control knows that nodes and gateways are of one version.
func (h *house) all(t *testing.T, version string) {
	t.Helper()
	until(t, "nodes and gateways of "+version, func() bool {
		found := h.versions(t)
		for _, v := range found {
			if v != version {
				return false
			}
		}
		return len(found) == 4
	})
}

func (h *house) db(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", h.database)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func (h *house) scan(t *testing.T, into any, query string, args ...any) {
	t.Helper()
	db := h.db(t)
	defer db.Close()
	for i := range args {
		query = strings.Replace(query, "?", fmt.Sprint("$", i+1), 1)
	}
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(into); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func (h *house) exec(t *testing.T, query string) {
	t.Helper()
	db := h.db(t)
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// rows are the requests that control knows of, probes not counted.
func (h *house) rows(t *testing.T) (n int64) {
	t.Helper()
	db := h.db(t)
	defer db.Close()
	days, err := db.QueryContext(t.Context(), "SELECT table_schema FROM information_schema.tables WHERE table_name = 'traffic'")
	if err != nil {
		t.Fatal(err)
	}
	var schemas []string
	for days.Next() {
		var s string
		if err := days.Scan(&s); err != nil {
			t.Fatal(err)
		}
		schemas = append(schemas, s)
	}
	days.Close()
	for _, s := range schemas {
		var day int64
		if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+s+".traffic WHERE key_id NOT LIKE 'probe:%'").Scan(&day); err != nil {
			t.Fatal(err)
		}
		n += day
	}
	return n
}

func (h *house) verify(t *testing.T, bin string) {
	t.Helper()
	t.Log(strings.TrimSpace(h.cli(t, bin, "record", "verify", "--data", h.data, "--keys", h.keys, "--lang", "en")))
}
