// Package oidc drives log-in by a real OpenID Connect provider, a Node program, from a browser's side.
package oidc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fengsui/fengsui/e2e/npm"
)

const oldestNode = 20

// needNode fails without Node: a check that is left out in silence proves nothing.
func needNode(t *testing.T) {
	t.Helper()
	const missing = "the check of log-in by a provider needs Node.js 20 or newer with npm in PATH"
	version, err := exec.CommandContext(t.Context(), "node", "--version").Output()
	if err != nil {
		t.Fatal(missing)
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(string(version)), "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldestNode {
		t.Fatalf("%s (found %s)", missing, strings.TrimSpace(string(version)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	npm.Install(ctx, t, "node")
}

// The lock file is committed: it must name packages and hashes, not a download host.
func TestTheLockFileNamesNoHost(t *testing.T) { npm.LockNamesNoHost(t, "node") }

// front is the address of a provider. Behind it are one or more real ones, so that a provider can be started
// anew, or mixed from two, at one address.
type front struct {
	url string
	mu  sync.Mutex
	all *url.URL // the provider behind
	key *url.URL // the one that answers for its keys; nil = the same
	off bool
	say func(idToken string) string // what becomes of an ID token on its way; nil = nothing
}

func newFront(t *testing.T) *front {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{url: "http://" + l.Addr().String()}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			f.mu.Lock()
			defer f.mu.Unlock()
			to := f.all
			if f.key != nil && r.In.URL.Path == "/jwks" {
				to = f.key
			}
			r.SetURL(to)
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(res *http.Response) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.say == nil || res.Request.URL.Path != "/token" {
				return nil
			}
			var body map[string]any
			if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
				return err
			}
			if token, ok := body["id_token"].(string); ok {
				body["id_token"] = f.say(token)
			}
			raw, err := json.Marshal(body)
			res.Body = io.NopCloser(bytes.NewReader(raw))
			res.ContentLength = int64(len(raw))
			res.Header.Set("Content-Length", strconv.Itoa(len(raw)))
			return err
		},
	}
	srv := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		off := f.off
		f.mu.Unlock()
		if off {
			panic(http.ErrAbortHandler) // as if nobody were there
		}
		proxy.ServeHTTP(w, r)
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return f
}

func (f *front) set(change func(f *front)) { f.mu.Lock(); defer f.mu.Unlock(); change(f) }

type clientOf struct {
	ID       string   `json:"client_id"`
	Secret   string   `json:"client_secret"`
	Redirect []string `json:"redirect_uris"`
}

// start starts a provider with a key of its own and gives its address.
func start(t *testing.T, issuer string, clients ...clientOf) *url.URL {
	t.Helper()
	config, err := json.Marshal(map[string]any{"issuer": issuer, "clients": clients})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "provider.mjs")
	cmd.Dir, cmd.WaitDelay = "node", 5*time.Second
	cmd.Env = append(os.Environ(), "PROVIDER="+string(config))
	var log bytes.Buffer
	cmd.Stderr = &log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var port int
		if n, _ := fmt.Sscanf(lines.Text(), "port %d", &port); n == 1 {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return &url.URL{Scheme: "http", Host: "127.0.0.1:" + strconv.Itoa(port)}
		}
	}
	_ = in.Close()
	t.Fatalf("the provider did not start:\n%s", log.String())
	return nil
}
