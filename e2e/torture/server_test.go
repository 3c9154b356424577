//go:build torture

package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fengsui/fengsui/e2e/process"
	"github.com/fengsui/fengsui/internal/simulate"
)

// server is Fengsui as a child process on a folder and on ports that stay the same.
type server struct {
	bin, dir, data, api, gateway string
	upstream                     string // of the real service
	token                        string
	signer                       string // fingerprint, pinned before the first kill
	service                      string // id of the real service
	http                         *http.Client

	mu sync.Mutex
	p  *process.Process
}

// begin builds the binary and starts a server with a real service and an organiser of drills.
func begin(t *testing.T, ctx context.Context) *server {
	t.Helper()
	dir := t.TempDir()
	s := &server{dir: dir, data: filepath.Join(dir, "data"), api: "http://" + process.Free(t), gateway: process.Free(t),
		http: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
	var err error
	if s.bin, err = process.Build(dir); err != nil {
		t.Fatal(err)
	}
	upstream, stop := model(t, ctx)
	s.upstream = upstream
	s.start(t)
	t.Cleanup(func() {
		s.mu.Lock()
		s.p.Kill()
		s.mu.Unlock()
		stop()
		if t.Failed() {
			t.Logf("the last the server said:\n%s", s.lastWords())
		}
	})
	for until := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		res, err := s.http.Get(s.api + "/readyz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == 200 {
				break
			}
		}
		if time.Now().After(until) {
			t.Fatalf("the server does not come up: %v\n%s", err, s.lastWords())
		}
	}
	s.token = after(t, "token (shown once) ", s.ask(t, ctx, "person", "add", "--data", s.data, "--name", "organiser", "--roles", "duty_officer"))
	var signer struct {
		Signer      string `json:"signer"`
		Fingerprint string `json:"fingerprint"`
	}
	out := s.ask(t, ctx, "record", "signer", "--data", s.data, "--json")
	if err := json.Unmarshal([]byte(out), &signer); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if s.signer = signer.Signer + signer.Fingerprint; s.signer == "" {
		t.Fatalf("no fingerprint in %s", out)
	}
	var services []struct {
		ID   string `json:"id"`
		Kind string `json:"kind"`
	}
	if status, err := s.call(ctx, "GET", "/services", "", nil, &services); err != nil || status != 200 || len(services) != 1 || services[0].Kind != "real" {
		t.Fatalf("services %+v, %d, %v", services, status, err)
	}
	s.service = services[0].ID
	return s
}

func after(t *testing.T, mark, out string) string {
	t.Helper()
	_, rest, ok := strings.Cut(out, mark)
	if !ok {
		t.Fatalf("no %q in %s", mark, out)
	}
	return strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0])
}

func (s *server) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.bin, args...)
	cmd.Dir = s.dir
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// ask runs a command of the binary and gives what it printed.
func (s *server) ask(t *testing.T, ctx context.Context, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := s.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("fengsui %v: %v\n%s%s", args, err, out.String(), errs.String())
	}
	return out.String()
}

func (s *server) start(t *testing.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := process.Run(nil, nil, s.bin, "serve", "--data", s.data, "--listen", strings.TrimPrefix(s.api, "http://"), "--gateway-listen", s.gateway,
		"--upstream", s.upstream, "--upstream-model", simulate.DefaultModelID, "--allow-private-upstream", "--log-level", "warn")
	if err != nil {
		t.Fatal(err)
	}
	s.p = p
}

// kill is kill -9. A server that had ended by itself before is an error: nothing may bring it down.
func (s *server) kill(t *testing.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.p.Ended() {
		t.Errorf("the server ended by itself: %v\n%s", s.p.Cmd.ProcessState, s.lastWords())
	}
	s.p.Kill()
}

// stop ends the server in good order.
func (s *server) stop(t *testing.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.p.Term()
	select {
	case <-s.p.Done:
		if !s.p.Cmd.ProcessState.Success() {
			t.Errorf("the server did not stop in good order: %v\n%s", s.p.Cmd.ProcessState, s.lastWords())
		}
	case <-time.After(30 * time.Second):
		s.p.Kill()
		t.Error("the server did not stop when asked to")
	}
}

func (s *server) lastWords() string {
	said := s.p.Said()
	return said[max(0, len(said)-4000):]
}

// call does one request as the organiser; a server that cannot be reached is an error.
func (s *server) call(ctx context.Context, method, path, key string, in, out any) (int, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, method, s.api+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := s.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	if res.StatusCode >= 300 {
		return res.StatusCode, fmt.Errorf("%s %s: %d %s", method, path, res.StatusCode, raw)
	}
	return res.StatusCode, json.Unmarshal(raw, out)
}

// insist repeats a call under its key until the server answers it.
func (s *server) insist(ctx context.Context, method, path, key string, in, out any) (int, error) {
	for {
		status, err := s.call(ctx, method, path, key, in, out)
		if status != 0 && status != 502 && status != 503 || ctx.Err() != nil {
			return status, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// verify holds the record against the pinned signer and the checkpoints outside the data folder.
func (s *server) verify(t *testing.T) {
	t.Helper()
	t.Logf("record verify:\n%s", strings.TrimSpace(s.ask(t, t.Context(), "record", "verify", "--data", s.data, "--signer", s.signer, "--lang", "en")))
}
