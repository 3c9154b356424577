package api_test

import "testing"

func TestASeatTouchesAndSeesNothingReal(t *testing.T) {
	b := newBench(t)
	b.sit(t, "complier", "compliance")
	b.exec(t, `INSERT INTO directive (id, operator_id, authority, received_ms, body, state) SELECT 'DIR', operator_id, 'x', 1, '', 'open' FROM service`)
	order := `{"cause":"drill","cause_id":"01DRILLX","rung":"strict_filter","service_id":"` + b.svc + `","reason":"r"}`
	for what, a := range map[string]answer{
		"answers a directive": b.call(t, "complier", "POST", "/directives/DIR/answer", `{"answer":"x"}`),
		"reads the record":    b.call(t, "complier", "GET", "/record", ""),
		"orders":              b.call(t, "seat", "POST", "/orders", order),
		"orders by a person":  b.call(t, "duty_officer", "POST", "/orders", order),
	} {
		if a.status < 400 || a.status >= 500 || a.Key != "identity.other_drill" {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	b.exec(t, `UPDATE drill SET state = 'paused'`)
	if a := b.call(t, "seat", "GET", "/me", ""); a.status != 401 || a.Key != "identity.drill_over" {
		t.Errorf("a seat of a paused drill: %d %s", a.status, a.body)
	}
	b.exec(t, `UPDATE drill SET state = 'running'`)
	b.must(t, b.call(t, "seat", "GET", "/me", ""), nil)
}
