//go:build torture

package nodes

import (
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fengsui/fengsui/e2e/process"
	"github.com/fengsui/fengsui/internal/app"
)

type overview struct {
	Nodes []struct {
		ID, State string
		Here      bool
		Leases    []string
	}
	Reasons []struct{ ID string }
}

// of is what the overview says of a node, at another.
func (n *node) of(t *testing.T, c *cluster, id string) (state string, leases []string) {
	t.Helper()
	var o overview
	if status, _ := n.ask(t, c, "GET", "/overview", nil, &o); status != 200 {
		return "", nil
	}
	for _, x := range o.Nodes {
		if x.Here != (x.ID == n.name) {
			t.Errorf("%s says that it is %s", n.name, x.ID)
		}
		if x.ID == id {
			return x.State, x.Leases
		}
	}
	return "unknown", nil
}

// incident declares one at a node.
func (n *node) incident(t *testing.T, c *cluster) (id string) {
	t.Helper()
	var i struct{ ID string }
	n.must(t, c, "POST", "/incidents", map[string]any{"kind": "real", "service_id": c.service, "title": "t"}, &i)
	return i.ID
}

func TestWhatIsDecidedAtOneNodeIsToldAndObeyedAtTheOther(t *testing.T) {
	t.Parallel()
	c := begin(t)
	a, b := c.serve(t, "a"), c.serve(t, "b")
	if state, _ := b.of(t, c, "a"); state != "serving" {
		t.Errorf("b sees a as %s", state)
	}

	stream := b.listen(t, c)
	began := time.Now()
	incident := a.incident(t, c)
	heard(t, stream, "incident.declare", incident, 5*time.Second)
	t.Logf("told at the other node after %v", time.Since(began).Round(time.Millisecond))

	process.Until(t, "both gateways answer", 20*time.Second, func() bool {
		x, _ := a.chat(t, c)
		y, _ := b.chat(t, c)
		return x == 200 && y == 200
	})
	began = time.Now()
	var order struct{ ID string }
	a.must(t, c, "POST", "/orders", map[string]any{"cause": "incident", "cause_id": incident, "rung": "service_offline", "service_id": c.service, "reason": "r"}, &order)
	process.Until(t, "the order is obeyed at both gateways", 5*time.Second, func() bool {
		x, _ := a.chat(t, c)
		y, _ := b.chat(t, c)
		return x == 503 && y == 503
	})
	t.Logf("obeyed at both gateways after %v", time.Since(began).Round(time.Millisecond))
	var status struct {
		Acks []struct {
			GatewayID string `json:"gateway_id"`
		}
	}
	process.Until(t, "both gateways have acknowledged", 10*time.Second, func() bool {
		a.must(t, c, "GET", "/orders/"+order.ID, nil, &status)
		return len(status.Acks) == 2
	})
	for _, id := range []string{"a", "b"} {
		if n := len(status.Acks); !slices.ContainsFunc(status.Acks, func(x struct {
			GatewayID string `json:"gateway_id"`
		}) bool {
			return x.GatewayID == id
		}) {
			t.Errorf("%d acknowledgements, none of %s", n, id)
		}
	}

	again := c.start(t, "c", "a")
	select {
	case <-again.Done:
		if says := again.Said(); !strings.Contains(says, "as the node a") || !strings.Contains(says, "--node") {
			t.Errorf("a second process of the same name says %s", says)
		}
	case <-time.After(20 * time.Second):
		t.Error("a second process serves under a name that is in use")
	}
}

func TestTheOtherNodeTakesOverFromOneThatStandsStillOrIsKilledAndOneThatLeavesIsNotGone(t *testing.T) {
	t.Parallel()
	c := begin(t)
	a, b := c.serve(t, "a"), c.serve(t, "b")
	nodes := map[string]*node{"a": a, "b": b}
	holder := ""
	process.Until(t, "somebody has the leases", 30*time.Second, func() bool {
		for id := range nodes {
			if _, leases := a.of(t, c, id); len(leases) == 3 {
				holder = id
			}
		}
		return holder != ""
	})
	// It stands still, as a machine that is suspended, and is taken for dead.
	still, other := nodes[holder], a
	if holder == "a" {
		other = b
	}
	still.Cmd.Process.Signal(syscall.SIGSTOP)
	began := time.Now()
	all := []string{"anomaly", "evaluation", "probes"}
	process.Until(t, "the other has the leases", 30*time.Second, func() bool { _, leases := other.of(t, c, other.name); return slices.Equal(leases, all) })
	t.Logf("taken over %v after it stood still", time.Since(began).Round(time.Second))
	process.Until(t, "it is shown as gone", time.Minute, func() bool { state, _ := other.of(t, c, still.name); return state == "gone" })
	if status, body := other.ask(t, c, "GET", "/readyz", nil, nil); status != 200 {
		t.Errorf("the other is not ready: %s", body)
	}
	other.incident(t, c) // and goes on deciding
	still.Cmd.Process.Signal(syscall.SIGCONT)
	process.Until(t, "it comes back", 20*time.Second, func() bool { state, _ := other.of(t, c, still.name); return state == "serving" })
	if _, leases := still.of(t, c, still.name); len(leases) != 0 {
		t.Errorf("back again it has %v", leases)
	}
	still.incident(t, c)

	other.Kill()
	began = time.Now()
	process.Until(t, "the first has the leases again", 30*time.Second, func() bool { _, leases := still.of(t, c, still.name); return slices.Equal(leases, all) })
	t.Logf("taken over %v after kill -9", time.Since(began).Round(time.Second))
	alive, back := still, c.serve(t, other.name)
	if state, leases := alive.of(t, c, back.name); state != "serving" || len(leases) != 0 {
		t.Errorf("started again it is %s with %v", state, leases)
	}
	// One that is stopped says so, and gives back what it holds at once.
	alive.Cmd.Process.Signal(syscall.SIGTERM)
	<-alive.Done
	began = time.Now()
	process.Until(t, "the leases are passed on", 10*time.Second, func() bool { _, leases := back.of(t, c, back.name); return len(leases) == 3 })
	t.Logf("passed on %v after a stop", time.Since(began).Round(time.Millisecond))
	if state, _ := back.of(t, c, alive.name); state != "left" {
		t.Errorf("one that was stopped is shown as %s", state)
	}
}

func TestNodesThatStartAtOnceOnAnEmptyDatabaseAgreeOnOneRecord(t *testing.T) {
	t.Parallel()
	c := empty(t)
	all := []*node{c.start(t, "a", "a"), c.start(t, "b", "b"), c.start(t, "c", "c")}
	for _, n := range all {
		n.ready(t, c)
	}
	a, err := app.Offline(t.Context(), app.Options{DataDir: filepath.Join(c.dir, "a"), Database: c.database, KeysDir: c.keys})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	for query, want := range map[string]int{"SELECT COUNT(*) FROM record_signers": 1, "SELECT COUNT(*) FROM node WHERE left_ms = 0": 3,
		"SELECT COUNT(*) FROM (SELECT term FROM lexicon_entry GROUP BY term, action, risk, topic, contexts HAVING COUNT(*) > 1) AS twice": 0, "SELECT COUNT(*) - (SELECT size FROM record_head) FROM record_entries": 0} {
		var n int
		if err := a.House.Store.Read().NewRaw(query).Scan(t.Context(), &n); err != nil || n != want {
			t.Errorf("%s: %d instead of %d, %v", query, n, want, err)
		}
	}
	other := *c
	other.keys = filepath.Join(c.dir, "other-keys")
	n := other.start(t, "d", "d")
	select {
	case <-n.Done:
		if says := n.Said(); !strings.Contains(says, "key folder") {
			t.Errorf("with another key folder it says %s", says)
		}
	case <-time.After(20 * time.Second):
		t.Error("it serves with a key folder that opens nothing")
	}
}
