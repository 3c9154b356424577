package api_test

import (
	"fmt"
	"testing"

	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/dispatch"
)

// Whoever plays a drill leaves it at any stage: nothing of it binds, opens or speaks afterwards.
func TestAnEndedDrillLeavesNoOrderNoKeyAndNoSeat(t *testing.T) {
	b := newBench(t)
	const id = "01KAMHKZ0000000000000000AA"
	var d struct {
		Grounds []struct {
			ServiceID string `json:"service_id"`
		}
		Seats []struct{ Role, Token string }
	}
	b.must(t, b.call(t, "duty_officer", "POST", "/drills", `{"id":"`+id+`","scenario":"A.2","upstream_model":"m","upstream_url":"http://127.0.0.1:9/v1"}`), &d)
	for _, s := range d.Seats {
		b.tokens["seat "+s.Role] = s.Token
	}
	b.must(t, b.call(t, "seat duty_officer", "POST", "/orders", `{"cause":"drill","cause_id":"`+id+`","rung":"service_offline","service_id":"`+d.Grounds[0].ServiceID+`","reason":"r"}`), nil)
	left := func() [3]int {
		return [3]int{
			b.count(t, "SELECT COUNT(*) FROM disposal_order WHERE drill_id = ? AND state = 'in_force'", id),
			b.count(t, "SELECT COUNT(*) FROM gateway_key WHERE revoked_ms = 0 AND service_id IN (SELECT id FROM service WHERE drill_id = ?)", id),
			b.count(t, "SELECT COUNT(*) FROM token t JOIN person p ON p.id = t.person_id WHERE p.drill_id = ? AND p.active AND t.revoked_ms = 0", id),
		}
	}
	if n := left(); n[0] != 1 || n[1] < 1 || n[2] < 2 {
		t.Fatalf("orders, keys and tokens before: %v", n)
	}
	b.must(t, b.call(t, "duty_officer", "POST", "/drills/"+id+"/finish", `{"state":"aborted","stages":[]}`), nil)
	if n := left(); n != [3]int{} {
		t.Errorf("orders, keys and tokens left: %v", n)
	}
	if a := b.call(t, "seat duty_officer", "GET", "/me", ""); a.status != 401 {
		t.Errorf("a seat: %d %s", a.status, a.body)
	}
}

// A drill that is aborted or fails in the middle leaves an incident that nobody is left to close.
func TestAnEndedDrillLeavesNoIncidentOpenAndNoClockRunning(t *testing.T) {
	for _, state := range []string{"aborted", "failed"} {
		t.Run(state, func(t *testing.T) {
			b := newBench(t)
			const id, other = "01KAMHKZ0000000000000000AA", "01DRILLX"
			var d struct {
				Grounds []struct {
					ServiceID string `json:"service_id"`
				}
			}
			b.must(t, b.call(t, "duty_officer", "POST", "/drills", `{"id":"`+id+`","scenario":"A.2","upstream_model":"m","upstream_url":"http://127.0.0.1:9/v1"}`), &d)
			incident := "INSERT INTO incident (id, number, kind, drill_id, operator_id, service_id, title, state, editions, declared_by, declared_ms) SELECT '%s', '%s', 'drill', '%s', operator_id, id, 't', '%s', '[]', 'x', 1 FROM service WHERE id = '" + d.Grounds[0].ServiceID + "'"
			b.exec(t, fmt.Sprintf(incident, "i-declared", "D-1", id, "declared"), fmt.Sprintf(incident, "i-verifying", "D-2", id, "verifying"), fmt.Sprintf(incident, "i-other", "D-3", other, "responding"),
				"INSERT INTO task (id, incident_id, title, role, state) VALUES ('t1', 'i-declared', '{}', 'commander', 'open')")
			b.write(t, func(tx *store.Tx) error {
				return due.Set(t.Context(), tx, due.Row{Kind: dispatch.DueTask, ObjectKind: "task", ObjectID: "t1", IncidentKind: "drill", DueMs: tx.NowMs + 3_600_000})
			})
			b.must(t, b.call(t, "duty_officer", "POST", "/drills/"+id+"/finish", `{"state":"`+state+`","stages":[],"incident_id":"i-declared"}`), nil)
			if n := b.count(t, "SELECT COUNT(*) FROM incident WHERE drill_id = ? AND state <> 'closed'", id); n != 0 {
				t.Errorf("%d incidents of the drill are open", n)
			}
			if n := b.count(t, "SELECT COUNT(*) FROM due WHERE object_id = 't1' AND state = 'pending'"); n != 0 {
				t.Error("a clock of the drill still runs")
			}
			if n := b.count(t, "SELECT COUNT(*) FROM incident WHERE id = 'i-other' AND state = 'responding'"); n != 1 {
				t.Error("another drill's incident was closed")
			}
		})
	}
}
