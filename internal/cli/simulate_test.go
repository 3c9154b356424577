package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/fengsui/fengsui/internal/simulate"
)

func parseSimulate(t *testing.T, out io.Writer, args ...string) (*kong.Context, error) {
	t.Helper()
	var app struct {
		SimulateModel   SimulateModelCmd   `cmd:""`
		SimulateTraffic SimulateTrafficCmd `cmd:""`
	}
	p, err := kong.New(&app, kong.Writers(out, io.Discard), kong.Exit(func(int) { t.Error("exit was called") }))
	if err != nil {
		t.Fatal(err)
	}
	return p.Parse(args)
}

func TestSimulateModelPrintsOneLineServesAndLeavesOnASignal(t *testing.T) {
	r, w := io.Pipe()
	defer r.Close()
	k, err := parseSimulate(t, w, "simulate-model", "--listen", "127.0.0.1:0", "--api-key", "sk-up", "--fault", "discrimination", "--fault", "slow")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { err := k.Run(); _ = w.Close(); ended <- err }()
	out := bufio.NewReader(r)
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(line, "faults: ")
	if at < 0 {
		t.Fatalf("printed %q", line)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSpace(line[at+len("faults: "):]), nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Faults []simulate.Fault }
	err = json.NewDecoder(resp.Body).Decode(&doc)
	_ = resp.Body.Close()
	if err != nil || len(doc.Faults) != 2 {
		t.Errorf("faults %+v, %v", doc, err)
	}
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(out); err != nil || len(rest) != 0 {
		t.Errorf("printed more: %q %v", rest, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestSimulateModelRefusesAFaultItDoesNotKnow(t *testing.T) {
	k, err := parseSimulate(t, io.Discard, "simulate-model", "--listen", "127.0.0.1:0", "--fault", "explode")
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Run(); err == nil || !strings.Contains(err.Error(), "explode") {
		t.Errorf("Run: %v", err)
	}
}

func TestSimulateTrafficRefusesAnotherMachine(t *testing.T) {
	k, err := parseSimulate(t, io.Discard, "simulate-traffic", "--gateway", "https://api.example.com", "--key", "k")
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Run(); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("Run: %v", err)
	}
}

func TestSimulateTrafficPrintsItsCountsWhenItStops(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	var out strings.Builder
	// Port 1 answers nothing: the counts must say so.
	c := SimulateTrafficCmd{Gateway: "http://127.0.0.1:1", Key: "k", Rate: 20}
	if err := c.run(ctx, &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var stats simulate.TrafficStats
	if len(lines) != 2 || json.Unmarshal([]byte(lines[1]), &stats) != nil || stats.Failed == 0 || stats.Sent != stats.Failed {
		t.Errorf("printed %q", out.String())
	}
}
