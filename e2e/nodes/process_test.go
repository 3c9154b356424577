//go:build torture

// Package nodes runs several Fengsui processes on one PostgreSQL database and ends them as they end in the world.
package nodes

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fengsui/fengsui/e2e/process"
	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/simulate"
)

var bin string

func TestMain(m *testing.M) { os.Exit(process.Main(m, &bin)) }

// cluster is a database, the key folder that its nodes share, and a model behind them.
type cluster struct {
	dir, database, keys string
	token               string // of somebody who may do everything here
	key                 string // of a gateway's client
	service             string
}

// node is one process.
type node struct {
	*process.Process
	name, api, gateway string
}

// empty is a cluster on which nothing was ever started.
func empty(t *testing.T) *cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes and waits for leases to end")
	}
	dir := t.TempDir()
	return &cluster{dir: dir, database: storetest.Database(t, dir), keys: filepath.Join(dir, "keys")}
}

// begin is one with a service, its model, and somebody who may do everything here.
func begin(t *testing.T) *cluster {
	t.Helper()
	c := empty(t)
	dir := c.dir
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- simulate.NewModel(simulate.Options{}).Serve(ctx, l) }()
	t.Cleanup(func() { stop(); <-done })
	// Made as the first start makes it; the processes find it.
	a, err := app.New(t.Context(), app.Options{DataDir: filepath.Join(dir, "first"), Database: c.database, KeysDir: c.keys, OutsideDir: filepath.Join(dir, "first-out"), Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0", AllowPrivateUpstreams: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	first, err := a.FirstService(t.Context(), app.FirstService{Upstream: "http://" + l.Addr().String() + "/v1", Model: simulate.DefaultModelID})
	if err != nil {
		t.Fatal(err)
	}
	c.key, c.service = first.Key, first.ServiceID
	if _, c.token, err = a.AddPerson(t.Context(), "x", "commander", "duty_officer"); err != nil {
		t.Fatal(err)
	}
	return c
}

// start starts a process under a name, with a data folder of its own, and does not wait for it.
func (c *cluster) start(t *testing.T, folder, name string) *node {
	t.Helper()
	n := &node{name: name, api: process.Free(t), gateway: process.Free(t)}
	config := filepath.Join(c.dir, folder+".yaml")
	text := fmt.Sprintf("data: %s\nkeys: %s\ncheckpoints: %s\ndatabase: %q\n", filepath.Join(c.dir, folder), c.keys, filepath.Join(c.dir, folder+"-out"), c.database)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n.Process = process.Start(t, nil, bin, "serve", "--config", config, "--node", name, "--listen", n.api, "--gateway-listen", n.gateway, "--allow-private-upstream", "--lang", "en")
	return n
}

func (c *cluster) serve(t *testing.T, name string) *node {
	t.Helper()
	n := c.start(t, name, name)
	n.ready(t, c)
	return n
}

func (n *node) ready(t *testing.T, c *cluster) {
	t.Helper()
	process.Until(t, n.name+" is ready", time.Minute, func() bool { status, _ := n.ask(t, c, "GET", "/readyz", nil, nil); return status == 200 })
}

// ask calls the API, or a page where the path begins otherwise. The status is 0 when nobody answers.
func (n *node) ask(t *testing.T, c *cluster, method, path string, in, out any) (int, string) {
	t.Helper()
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(raw)
	}
	if path != "/readyz" {
		path = "/api/v1" + path
	}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+n.api+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
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
	if out != nil && res.StatusCode < 300 {
		if err := json.Unmarshal(raw, out); err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
	}
	return res.StatusCode, string(raw)
}

func (n *node) must(t *testing.T, c *cluster, method, path string, in, out any) {
	t.Helper()
	if status, body := n.ask(t, c, method, path, in, out); status < 200 || status > 299 {
		t.Fatalf("%s %s at %s: %d %s", method, path, n.name, status, body)
	}
}

// chat asks the model through a node's gateway.
func (n *node) chat(t *testing.T, c *cluster) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+n.gateway+"/v1/chat/completions", strings.NewReader(`{"model":"`+simulate.DefaultModelID+`","messages":[{"role":"user","content":"hi"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Content-Type", "application/json")
	res, err := (&http.Client{Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	raw, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(raw)
}

// change is an event of a node's stream.
type change struct{ Action, Kind, ID string }

// listen opens the stream of changes at a node.
func (n *node) listen(t *testing.T, c *cluster) <-chan change {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+n.api+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	out, first := make(chan change, 1000), make(chan struct{})
	go func() {
		defer close(out)
		defer res.Body.Close()
		hello := sync.OnceFunc(func() { close(first) })
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			if data, ok := strings.CutPrefix(s.Text(), "data: "); ok {
				hello()
				var ch change
				if json.Unmarshal([]byte(data), &ch) == nil && ch.Action != "" {
					out <- ch
				}
			}
		}
		hello()
	}()
	<-first
	return out
}

func heard(t *testing.T, from <-chan change, action, id string, within time.Duration) {
	t.Helper()
	for end := time.After(within); ; {
		select {
		case ch, ok := <-from:
			if !ok {
				t.Fatal("the stream ended")
			}
			if ch.Action == action && (id == "" || ch.ID == id) {
				return
			}
		case <-end:
			t.Fatalf("nobody told of %s of %s", action, id)
		}
	}
}
