package api_test

import "testing"

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
