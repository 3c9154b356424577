//go:build torture

// Package torture kills Fengsui with SIGKILL at random instants while it works, and sees afterwards that
// nothing was lost and nothing happened twice.
package torture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/prepare/drill"
	"github.com/fengsui/fengsui/internal/simulate"
)

// hardLimit bounds the whole; what is not done by then has failed.
const hardLimit = 14 * time.Minute

func number(t *testing.T, name string, fallback uint64) uint64 {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return fallback
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q is no number", name, s)
	}
	return n
}

// counts of what happened, printed at the end.
type counts struct {
	serverKills, drillKills, startupKills, passed, again, incidents, orders, skipped atomic.Int64
}

func TestTortureKillsLoseNothingAndRepeatNothing(t *testing.T) {
	kills := int64(number(t, "FENGSUI_TORTURE_KILLS", 100))
	seed := number(t, "FENGSUI_TORTURE_SEED", uint64(time.Now().UnixNano()))
	t.Logf("FENGSUI_TORTURE_SEED=%d FENGSUI_TORTURE_KILLS=%d", seed, kills)
	ctx, cancel := context.WithTimeout(t.Context(), hardLimit)
	defer cancel()
	began := time.Now()
	s := begin(t, ctx)
	var c counts
	var working sync.WaitGroup
	// over ends the work: drills under way are played to their end first.
	over := make(chan struct{})
	players := []*player{{scenario: "A.1", seed: seed + 1}, {scenario: "A.2", seed: seed + 2}}
	for _, p := range players {
		working.Go(func() { p.play(t, ctx, s, &c, over) })
	}
	clocks := &clocks{rng: rand.New(rand.NewPCG(seed, 3))}
	working.Go(func() { clocks.work(t, ctx, s, &c, over) })
	killing := rand.New(rand.NewPCG(seed, 0))
	for c.serverKills.Load()+c.drillKills.Load() < kills && ctx.Err() == nil && !t.Failed() {
		life, startup := lifetime(killing)
		select {
		case <-ctx.Done():
		case <-time.After(life):
		}
		if killing.IntN(6) == 0 && players[killing.IntN(len(players))].kill() {
			c.drillKills.Add(1)
		}
		if c.serverKills.Load()+c.drillKills.Load() >= kills {
			break
		}
		s.kill(t)
		c.serverKills.Add(1)
		if startup {
			c.startupKills.Add(1)
		}
		s.start(t)
	}
	close(over)
	working.Wait()
	if ctx.Err() != nil {
		t.Fatalf("not done after %s", hardLimit)
	}
	clocks.settle(t, ctx, s)
	s.stop(t)
	t.Logf("%d kills in %s: %d of the server (%d meant for its start), %d of drills; %d drills passed, which made %d calls again because nobody answered", c.serverKills.Load()+c.drillKills.Load(), time.Since(began).Round(time.Second),
		c.serverKills.Load(), c.startupKills.Load(), c.drillKills.Load(), c.passed.Load(), c.again.Load())
	if c.again.Load() == 0 && kills > 0 {
		t.Error("no drill noticed a kill, so nothing was shown about them")
	}
	if c.passed.Load() < int64(len(players)) {
		t.Errorf("only %d drills passed", c.passed.Load())
	}
	found := examined(t, s.data)
	t.Logf("examined: %s", found)
	for _, p := range found.Problems {
		t.Error(p)
	}
	if found.Incidents != c.incidents.Load() {
		t.Errorf("%d incidents with clocks were acknowledged and %d are there", c.incidents.Load(), found.Incidents)
	}
	if kills >= 20 && (found.Overdue == 0 || found.Lapsed == 0) {
		t.Error("no clock ran out in all that time, so nothing was shown about them")
	}
	s.verify(t)
	made := controls(t, s)
	t.Logf("%d ways of tampering with the outcome were tried and looked for", made)
	if kills >= 20 && made < 5 {
		t.Error("not every control could be made")
	}
}

// lifetime is how long the server lives this time: often too short to come up, often in the middle of
// things, sometimes long enough to get far.
func lifetime(r *rand.Rand) (d time.Duration, startup bool) {
	ms := func(from, to int) time.Duration { return time.Duration(from+r.IntN(to-from)) * time.Millisecond }
	switch n := r.IntN(100); {
	case n < 15:
		return ms(0, 300), true
	case n < 70:
		return ms(300, 2000), false
	}
	return ms(2000, 5000), false
}

// player plays one scenario over and over, each drill in a process of its own that may be killed too.
type player struct {
	scenario string
	seed     uint64
	mu       sync.Mutex
	proc     *os.Process
	killed   bool
}

// kill ends the drill process under way; false if there is none.
func (p *player) kill() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proc == nil || p.killed {
		return false
	}
	p.killed = p.proc.Kill() == nil
	return p.killed
}

func (p *player) play(t *testing.T, ctx context.Context, s *server, c *counts, over <-chan struct{}) {
	upstream, stop := model(t, ctx)
	defer stop()
	for ctx.Err() == nil {
		select {
		case <-over:
			return
		default:
		}
		id := store.NewID(clock.Ms(clock.System()))
		for again := true; again && ctx.Err() == nil; {
			res, out, killed := p.once(ctx, s, upstream, id)
			again = killed
			switch {
			case killed || ctx.Err() != nil:
			case !res.Passed:
				t.Errorf("drill %s %s failed: %+v\n%s", p.scenario, id, res, out)
				return
			default:
				c.passed.Add(1)
				c.again.Add(int64(res.Trials))
			}
		}
	}
}

// once runs the drill as a user would who goes on with it.
func (p *player) once(ctx context.Context, s *server, upstream, id string) (res drill.Result, stderr string, killed bool) {
	cmd := s.command(ctx, "drill", "run", p.scenario, "--json", "--server", s.api, "--upstream", upstream, "--resume", id)
	cmd.Env = append(os.Environ(), "FENGSUI_TOKEN="+s.token)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		return res, err.Error(), false
	}
	p.mu.Lock()
	p.proc, p.killed = cmd.Process, false
	p.mu.Unlock()
	err := cmd.Wait()
	p.mu.Lock()
	p.proc, killed = nil, p.killed
	p.mu.Unlock()
	if json.Unmarshal([]byte(out.String()), &res) == nil && res.Passed {
		killed = false // it was over before the kill came
	}
	return res, fmt.Sprintf("%v: %s", err, errs.String()), killed
}

// model is a simulated model that is not killed.
func model(t *testing.T, ctx context.Context) (upstream string, stop func()) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Error(err)
		return "", func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	m := simulate.NewModel(simulate.Options{Clock: clock.System()})
	go func() { served <- m.Serve(ctx, l) }()
	return "http://" + l.Addr().String() + "/v1", func() {
		cancel()
		if err := <-served; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}
