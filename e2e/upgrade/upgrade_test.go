//go:build torture

package upgrade

import (
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/health"
)

// The order of an upgrade is gateways before control, and of going back control before gateways: a newer gateway
// understands what an older control signs, an older gateway refuses what it does not know.
func TestAnUpgradeFromThePreviousVersionAndBackFailsNoRequest(t *testing.T) {
	before, name := previous(t)
	h := open(t, before)
	old := h.versions(t)["a"]
	if old == health.Version {
		t.Fatalf("the previous version calls itself %s, as this one does", old)
	}

	// An incident is under way: one tenant is stopped, and the report of another incident comes due on the way.
	quarantined := h.issueKey(t, "stopped")
	var incident, order, late struct{ ID string }
	h.must(t, "POST", "/incidents", map[string]any{"kind": "real", "service_id": h.service, "title": "under way"}, &incident)
	h.must(t, "POST", "/orders", map[string]any{"cause": "incident", "cause_id": incident.ID, "rung": "service_offline", "service_id": h.service, "tenant": "stopped", "reason": "r"}, &order)
	until(t, "the order to be obeyed", func() bool { code, _ := h.chat(quarantined); return code == 503 })
	const reportMs = 4 * 60 * 60 * 1000 // an operator like this one has four hours from awareness
	due := time.Now().Add(15 * time.Second)
	h.must(t, "POST", "/incidents", map[string]any{"kind": "test", "service_id": h.service, "title": "due on the way", "aware_ms": due.UnixMilli() - reportMs}, &late)

	load := h.load(t, quarantined)
	for _, p := range h.gates {
		load.during(t, p.name+" up", func() { h.replace(t, p, binary) })
	}
	for _, p := range h.nodes {
		load.during(t, p.name+" up", func() { h.replace(t, p, binary) })
	}
	load.during(t, "all of "+health.Version, func() { h.all(t, health.Version) })
	for _, p := range h.nodes {
		load.during(t, p.name+" back", func() { h.replace(t, p, before) })
	}
	for _, p := range h.gates {
		load.during(t, p.name+" back", func() { h.replace(t, p, before) })
	}
	load.during(t, "all of "+name, func() { h.all(t, old) })
	load.end()

	t.Logf("from %s to %s and back:\n%s", name, health.Version, load.table())
	if n := load.failed(); n > 0 {
		t.Errorf("%d requests failed, the first: %s", n, load.first())
	}
	if load.asked() < 2000 {
		t.Errorf("only %d requests were asked", load.asked())
	}
	until(t, "a row of traffic for each answer", func() bool { return h.rows(t) >= h.answered.Load() })
	if n := h.rows(t); n != h.answered.Load() {
		t.Errorf("%d rows of traffic for %d answers", n, h.answered.Load())
	}
	var overdue int
	h.scan(t, &overdue, "SELECT COUNT(*) FROM record_entries e JOIN obligation o ON o.id = e.object_id WHERE e.action = 'obligation.overdue' AND o.incident_id = ?", late.ID)
	if time.Now().Before(due) || overdue == 0 {
		t.Errorf("%d clocks of the incident ran out while versions changed", overdue)
	}
	var twice int
	h.scan(t, &twice, "SELECT COUNT(*) FROM (SELECT object_id FROM record_entries WHERE action = 'obligation.overdue' GROUP BY object_id HAVING COUNT(*) > 1) d")
	if twice > 0 {
		t.Errorf("%d clocks ran out twice", twice)
	}
	h.verify(t, binary)

	// The counter counts: with both nodes gone and both gateways gone, requests do fail.
	for _, p := range append(h.nodes, h.gates...) {
		p.Kill()
	}
	h.socket.Close()
	load = h.load(t, quarantined)
	time.Sleep(time.Second)
	load.end()
	if load.failed() == 0 {
		t.Error("nobody serves, and no request failed")
	}
}

func TestADatabaseThatAnOlderProgramCannotBearIsRefusedByIt(t *testing.T) {
	before, _ := previous(t)
	h := open(t, before)
	for _, p := range h.nodes {
		p.end(t)
	}
	h.exec(t, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, TRUE)") // as a far newer program leaves it
	h.exec(t, "UPDATE schema_need SET oldest = 99999")
	p := h.nodes[0]
	p.bin = before
	p.begin(t)
	select {
	case <-p.Done:
	case <-time.After(20 * time.Second):
		t.Fatal("it serves a database that it does not understand")
	}
	if said := p.Said(); !strings.Contains(said, "store.newer_schema") {
		t.Errorf("it does not say why: %s", said)
	}
}
