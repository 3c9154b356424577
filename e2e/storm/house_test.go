//go:build torture

// Package storm runs two control nodes on a PostgreSQL with a standby, two gateways and a thousand open streams, does to
// them in turn everything that goes wrong in the world, and sees that nothing decided is lost and every order is obeyed.
package storm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/fengsui/fengsui/e2e/process"
	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/service"
	"github.com/fengsui/fengsui/internal/simulate"
)

// tenants share the streams evenly, so that an order hits a part of them and the others show that it hit no more.
const tenants = 10

const database = "fengsui"

// house is all of it.
type house struct {
	t        *testing.T
	dir, bin string
	pg       *storetest.Pair
	toxi     *toxiproxy.ApiServer
	model    *model
	drillAt  string // a simulated model for drills
	nodes    [2]*node
	gates    [2]*gate
	service  string
	persons  [2]string // tokens: who orders, and who countersigns
	keys     [tenants]string
	signer   string
	small    []string // folders with little room; nil if that cannot be made here
	api      *http.Client
}

// child is a process that is killed and started again.
type child struct {
	name  string
	args  []string
	env   []string
	bin   string
	clock string // the file of its clock's step

	mu sync.Mutex
	p  *process.Process
}

func (c *child) start() (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.p, err = process.Run(nil, c.env, c.bin, c.args...)
	return err
}

// kill is kill -9. One that had ended by itself is an error, for nothing may bring it down.
func (c *child) kill() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.p.Ended() {
		return fmt.Errorf("%s ended by itself:\n%s", c.name, tail(c.p.Said()))
	}
	c.p.Kill()
	return nil
}

func (c *child) said() string { c.mu.Lock(); defer c.mu.Unlock(); return c.p.Said() }

func tail(s string) string { return s[max(0, len(s)-3000):] }

// step sets how far its clock is wrong.
func (c *child) step(by time.Duration) error {
	return os.WriteFile(c.clock, strconv.AppendInt(nil, by.Milliseconds(), 10), 0o600)
}

// node is a control node.
type node struct {
	child
	api, listen string
	config      string
	db          *line // to the database
}

// gate is a gateway.
type gate struct {
	child
	url, ops, dir string
	muddles       [2]*muddle // in front of each control node
	links         [2]*line   // to them
}

// open builds everything and waits until it works.
func open(t *testing.T, streams int) *house {
	t.Helper()
	dir := t.TempDir()
	h := &house{t: t, dir: dir, pg: storetest.StartPair(t, database), api: &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Second}}}
	var err error
	if h.bin, err = process.Build(dir, "storm"); err != nil {
		t.Fatal(err)
	}
	h.toxi = toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	h.small = smallDisks(h)
	h.model = openModel(t)
	h.drillAt = drillModel(t)
	keys := filepath.Join(dir, "keys")
	joins := h.first(keys)
	for i, name := range []string{"a", "b"} {
		n := &node{child: child{name: name, bin: h.bin, clock: filepath.Join(dir, name+".clock")}, api: process.Free(t), listen: process.Free(t), config: filepath.Join(dir, name+".yaml"), db: h.line(name+"-db", h.pg.Address())}
		text := fmt.Sprintf("data: %s\nkeys: %s\ncheckpoints: %s\ndatabase: %q\n", filepath.Join(dir, name), keys, filepath.Join(dir, name+"-out"), storetest.URLAt(n.db.address, database))
		if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		h.nodes[i] = n
	}
	for i, name := range []string{"edge-1", "edge-2"} {
		g := &gate{child: child{name: name, bin: h.bin, clock: filepath.Join(dir, name+".clock")}, url: process.Free(t), ops: process.Free(t), dir: filepath.Join(dir, name)}
		var controls []string
		for j, n := range h.nodes {
			g.muddles[j] = openMuddle(t, n.listen)
			g.links[j] = h.line(name+"-"+n.name, g.muddles[j].address)
			controls = append(controls, "http://"+g.links[j].address)
		}
		join := filepath.Join(dir, name+".join")
		if err := os.WriteFile(join, []byte(joins[i]), 0o600); err != nil {
			t.Fatal(err)
		}
		g.args = []string{"serve", "--role", "gateway", "--data", g.dir, "--listen", g.ops, "--gateway-listen", g.url, "--gateway-url", "http://" + g.url, "--control", strings.Join(controls, ","), "--join", join, "--allow-private-upstream", "--log-level", "warn"}
		h.gates[i] = g
	}
	for _, n := range h.nodes {
		n.args = []string{"serve", "--config", n.config, "--role", "control", "--node", n.name, "--listen", n.api, "--node-listen", n.listen, "--gateway-url", "http://" + h.gates[0].url, "--allow-private-upstream", "--lang", "en", "--log-level", "warn"}
	}
	for _, c := range h.children() {
		c.env = []string{"FENGSUI_STORM_CLOCK=" + c.clock}
		if err := c.start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.p.Kill()
			if t.Failed() {
				t.Logf("%s said:\n%s", c.name, tail(c.p.Said()))
			}
		})
	}
	if err := h.well(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) children() []*child {
	return []*child{&h.nodes[0].child, &h.nodes[1].child, &h.gates[0].child, &h.gates[1].child}
}

// first makes what the first start makes, past the processes, and gives the join tokens of the gateways.
func (h *house) first(keys string) (joins [2]string) {
	h.t.Helper()
	ctx := h.t.Context()
	a, err := app.New(ctx, app.Options{DataDir: filepath.Join(h.dir, "first"), Database: h.pg.URL(database), KeysDir: keys, OutsideDir: filepath.Join(h.dir, "a-out"), Node: "a", Listen: "127.0.0.1:0", ControlOnly: true, AllowPrivateUpstreams: true})
	if err != nil {
		h.t.Fatal(err)
	}
	defer a.Stop()
	first, err := a.FirstService(ctx, app.FirstService{Upstream: h.model.url, Model: "m"})
	if err != nil {
		h.t.Fatal(err)
	}
	h.service = first.ServiceID
	for i, name := range []string{"storm", "second"} {
		if _, h.persons[i], err = a.AddPerson(ctx, name, "commander", "duty_officer"); err != nil {
			h.t.Fatal(err)
		}
	}
	for i, name := range []string{"edge-1", "edge-2"} {
		if joins[i], err = a.JoinToken(ctx, name); err != nil {
			h.t.Fatal(err)
		}
	}
	err = a.House.Store.Write(ctx, store.System("first-start"), func(tx *store.Tx) error {
		for i := range h.keys {
			if _, h.keys[i], err = service.IssueKey(ctx, tx, service.GatewayKey{ServiceID: h.service, Tenant: name(i), UserGroup: "default", TrafficKind: "real", Label: name(i)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return joins
}

func name(i int) string { return fmt.Sprint("tenant-", i) }

// well waits until both nodes are ready and both gateways are in touch and obey.
func (h *house) well(ctx context.Context, within time.Duration) error {
	var why string
	for end := time.Now().Add(within); time.Now().Before(end); {
		if why = h.ails(ctx); why == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return errors.New("not well again: " + why)
}

// ails says what is not as it should be.
func (h *house) ails(ctx context.Context) string {
	for _, n := range h.nodes {
		if code, said := h.get(ctx, "http://"+n.api+"/readyz"); code != 200 {
			return fmt.Sprintf("%s %d %s", n.name, code, said)
		}
	}
	for _, g := range h.gates {
		if code, said := h.get(ctx, "http://"+g.ops+"/readyz"); code != 200 {
			return fmt.Sprintf("%s %d %s", g.name, code, said)
		}
	}
	for _, n := range h.nodes {
		var rows []struct {
			ID        string
			Effective bool
		}
		if code, err := h.ask(ctx, n, 0, "GET", "/gateways", "", nil, &rows); err != nil {
			return fmt.Sprint(n.name, code, err)
		}
		for _, g := range h.gates {
			in := false
			for _, r := range rows {
				in = in || r.ID == g.name && r.Effective
			}
			if !in {
				return g.name + " is not effective at " + n.name
			}
		}
	}
	return ""
}

func (h *house) get(ctx context.Context, url string) (int, string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return 0, err.Error()
	}
	res, err := h.api.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	raw, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(raw)
}

// ask calls the API of a node once, as one of the persons; code 0 is no answer.
func (h *house) ask(ctx context.Context, n *node, who int, method, path, key string, in, out any) (int, error) {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return 0, err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+n.api+"/api/v1"+path, body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+h.persons[who])
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := h.api.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	if res.StatusCode >= 300 {
		err := fmt.Errorf("%s %s at %s: %d %s", method, path, n.name, res.StatusCode, raw)
		var p struct{ ID string }
		if res.StatusCode == 500 && json.Unmarshal(raw, &p) == nil && p.ID != "" {
			_, why, _ := strings.Cut(n.said(), p.ID)
			err = fmt.Errorf("%w: %s", err, strings.SplitN(why, "\n", 2)[0])
		}
		return res.StatusCode, err
	}
	if out == nil {
		return res.StatusCode, nil
	}
	return res.StatusCode, json.Unmarshal(raw, out)
}

// turn spreads calls over the nodes.
var turn atomic.Int64

// insist repeats a call under its key at one node after the other until one answers it.
func (h *house) insist(ctx context.Context, who int, method, path, key string, in, out any) (int, error) {
	for {
		code, err := h.ask(ctx, h.nodes[turn.Add(1)%2], who, method, path, key, in, out)
		if code != 0 && code != 502 && code != 503 && code != 429 || ctx.Err() != nil {
			return code, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// line is a proxy of toxiproxy between two of them.
type line struct {
	p       *toxiproxy.Proxy
	address string
}

func (h *house) line(name, to string) *line {
	h.t.Helper()
	p := toxiproxy.NewProxy(h.toxi, name, process.Free(h.t), to)
	if err := p.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(p.Stop)
	return &line{p, p.Listen}
}

// toxic puts a toxic on both directions; off takes all away.
func (l *line) toxic(kind string, attributes string) error {
	for _, way := range []string{"upstream", "downstream"} {
		if _, err := l.p.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(`{"type":%q,"stream":%q,"attributes":%s}`, kind, way, attributes))); err != nil {
			return err
		}
	}
	return nil
}

func (l *line) off() { l.p.Toxics.ResetToxics(context.Background()) }

// cut ends all connections and refuses new ones, until mend.
func (l *line) cut()        { l.p.Stop() }
func (l *line) mend() error { return l.p.Start() }

// turnTo leads new connections elsewhere, and ends the others.
func (l *line) turnTo(to string) error {
	l.p.Stop()
	l.p.Lock()
	l.p.Upstream = to
	l.p.Unlock()
	return l.p.Start()
}

// drillModel is a simulated model that nobody kills.
func drillModel(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- simulate.NewModel(simulate.Options{}).Serve(ctx, l) }()
	t.Cleanup(func() { stop(); <-done })
	return "http://" + l.Addr().String() + "/v1"
}
