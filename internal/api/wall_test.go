package api_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Everything that hangs on a restricted incident is behind the same wall as the incident: for who is not
// on its list it is not found, in the words of what never was, and in no list and no count.
func TestWhatHangsOnARestrictedIncidentIsBehindItsWall(t *testing.T) {
	b := newBench(t)
	b.world(t)
	b.write(t, func(tx *store.Tx) error {
		roles := slices.DeleteFunc(identity.Roles(), func(role string) bool { return strings.HasSuffix(role, "_admin") }) // kept apart
		p, err := identity.AddPerson(t.Context(), tx, "outsider", roles, "")
		if err != nil {
			return err
		}
		b.person["outsider"] = p.ID
		b.tokens["outsider"], _, err = identity.IssueToken(t.Context(), tx, p.ID, "", 0)
		return err
	})
	const insider = "commander" // the only one on the list
	var complaint struct {
		ID        string `json:"id"`
		AnomalyID string `json:"anomaly_id"`
	}
	b.must(t, b.call(t, "", "POST", "/complaints", `{"service_id":"`+b.svc+`","text":"测试投诉","contact":"x"}`), &complaint)
	var directive struct {
		ID string `json:"id"`
	}
	var operator string
	if err := b.app.House.Store.Read().NewRaw("SELECT operator_id FROM service WHERE id = ?", b.svc).Scan(t.Context(), &operator); err != nil {
		t.Fatal(err)
	}
	b.must(t, b.call(t, "compliance", "POST", "/directives", `{"operator_id":"`+operator+`","incident_id":"RWinc","authority":"a","text":"x"}`), &directive)
	b.must(t, b.call(t, "duty_officer", "POST", "/lexicon", `{"incident_id":"RWinc","entries":[{"term":"测试违禁词丙","action":"observe","risk":"A.2.e"}]}`), nil)
	b.exec(t,
		`UPDATE anomaly SET state = 'promoted', incident_id = 'RWinc' WHERE id = 'RWanomaly'`,
		// merged twice over: the complaint's anomaly went into one that went into the promoted one
		`INSERT INTO anomaly (id, number, kind, service_id, rule_id, fingerprint, state, first_ms, last_ms, opened_ms, merged_into) VALUES ('RWmerged', 'AN-Y', 'real', '`+b.svc+`', 'r', 'f2', 'merged', 1, 1, 1, 'RWanomaly')`,
		`UPDATE anomaly SET state = 'merged', merged_into = 'RWmerged' WHERE id = '`+complaint.AnomalyID+`'`,
		`INSERT INTO disposal_order (id, seq, kind, service_id, cause, cause_id, incident_id, rung, measure, scope, params, release_mode, state, issued_by, issued_ms) VALUES ('RWfilter', 901, 'real', '`+b.svc+`', 'anomaly', 'RWanomaly', 'RWinc', 'strict_filter', 'adjust', '{"service_id":"`+b.svc+`"}', '{}', 'review', 'in_force', 'x', 1)`,
		`INSERT INTO second_signature (id, action, object_kind, object_id, incident_id, request, reason, state, requested_by, requested_ms) VALUES ('RWhold', 'record.hold', 'legal_hold', 'RWinc', 'RWinc', '{}', 'r', 'requested', 'x', 1)`,
		// opened and asked for before the order was adopted
		`INSERT INTO gate_review (id, direction, order_id, incident_id, kind, state, requested_by, requested_ms, ground) VALUES ('RWearly', 'offline', 'RWorder', '', 'real', 'requested', 'x', 1, 'g')`,
		`INSERT INTO second_signature (id, action, object_kind, object_id, incident_id, request, reason, state, requested_by, requested_ms) VALUES ('RWlift', 'order.lift', 'order', 'RWfilter', '', '{}', 'r', 'requested', 'x', 1)`,
		`INSERT INTO disposal_order (id, seq, kind, service_id, cause, cause_id, incident_id, rung, measure, scope, params, release_mode, state, issued_by, issued_ms) VALUES ('RWopen', 902, 'real', '`+b.svc+`', 'anomaly', 'RWfree', '', 'strict_filter', 'adjust', '{"service_id":"`+b.svc+`","route":"/r"}', '{}', 'review', 'in_force', 'x', 1)`,
		`INSERT INTO anomaly (id, number, kind, service_id, rule_id, fingerprint, state, first_ms, last_ms, opened_ms) VALUES ('RWfree', 'AN-Z', 'real', '`+b.svc+`', 'r', 'f3', 'assessing', 1, 1, 1)`,
		`INSERT INTO outbox (id, idem_key, channel, class, recipient, lang, incident_kind, object_kind, object_id, template, args, state, queued_ms, next_ms) VALUES ('M1', 'k1', 'desk', 'staff', 'duty', 'zh', 'real', 'incident', 'RWinc', 'incident.declared', '[]', 'sent', 9000000000000, 1), ('M2', 'k2', 'desk', 'staff', 'duty', 'zh', 'real', 'task', 'RWtask', 'dispatch.page_overdue', '[]', 'sent', 9000000000001, 1)`,
		`INSERT INTO incident_access (incident_id, person_id, granted_by, granted_ms) VALUES ('RWinc', '`+b.person[insider]+`', 'x', 1)`)

	type door struct{ method, path, body string }
	const yes = `{"approve":true,"reason":"r"}`
	order := func(cause, id string) string {
		return `{"cause":"` + cause + `","cause_id":"` + id + `","rung":"strict_filter","service_id":"` + b.svc + `","group":"g","reason":"r"}`
	}
	doors := map[string]door{
		"order":                {"GET", "/orders/RWorder", ""},
		"lift":                 {"POST", "/orders/RWfilter/lift", `{"reason":"r"}`},
		"confirm lift":         {"POST", "/second-signatures/RWlift/decide", `{"approve":true}`},
		"reject lift":          {"POST", "/second-signatures/RWlift/decide", `{"approve":false}`},
		"decide awareness":     {"POST", "/second-signatures/RWsecond/decide", `{"approve":false}`},
		"reject end of hold":   {"POST", "/second-signatures/RWhold/decide", `{"approve":false}`},
		"undo":                 {"POST", "/orders/RWorder/undo", `{"reason":"r"}`},
		"ask online":           {"POST", "/orders/RWorder/online-review", `{"service_test_id":"RWtest","ground":"g"}`},
		"ratify":               {"POST", "/gate-reviews/RWearly/ratify", yes},
		"decide online":        {"POST", "/gate-reviews/RWgate/decide", yes},
		"adopt into it":        {"POST", "/orders/RWopen/adopt", `{"incident_id":"RWinc"}`},
		"adopt from it":        {"POST", "/orders/RWfilter/adopt", `{"incident_id":"RWinc"}`},
		"issue":                {"POST", "/orders", order("incident", "RWinc")},
		"issue for anomaly":    {"POST", "/orders", order("anomaly", complaint.AnomalyID)},
		"preview":              {"POST", "/orders/preview", order("incident", "RWinc")},
		"preview for anomaly":  {"POST", "/orders/preview", order("anomaly", "RWanomaly")},
		"explain":              {"POST", "/nonconformities/RWnon/explain", `{"reason":"r"}`},
		"anomaly":              {"GET", "/anomalies/RWanomaly", ""},
		"merged anomaly":       {"GET", "/anomalies/" + complaint.AnomalyID, ""},
		"assess anomaly":       {"POST", "/anomalies/RWanomaly/assess", ""},
		"dismiss anomaly":      {"POST", "/anomalies/RWanomaly/dismiss", `{"reason":"r"}`},
		"merge anomaly":        {"POST", "/anomalies/RWmerged/merge", `{"into":"RWfree"}`},
		"merge into anomaly":   {"POST", "/anomalies/RWfree/merge", `{"into":"RWanomaly"}`},
		"promote anomaly":      {"POST", "/anomalies/RWanomaly/promote", `{"title":"t"}`},
		"read complaint":       {"POST", "/complaints/" + complaint.ID + "/read", ""},
		"answer complaint":     {"POST", "/complaints/" + complaint.ID + "/answer", `{"text":"答复"}`},
		"directive":            {"GET", "/directives/" + directive.ID, ""},
		"answer directive":     {"POST", "/directives/" + directive.ID + "/answer", `{"answer":"a"}`},
		"publish lexicon":      {"POST", "/lexicon", `{"incident_id":"RWinc","entries":[{"term":"测试违禁词丁","action":"observe","risk":"A.2.e"}]}`},
		"evidence":             {"GET", "/incidents/RWinc/evidence", ""},
		"unmask":               {"POST", "/evidence/RWevidence/unmask", `{"reason":"r"}`},
		"finish task":          {"POST", "/tasks/RWtask/done", `{"output":"o"}`},
		"approve statement":    {"POST", "/statements/RWstatement/approve", ""},
		"service test":         {"GET", "/service-tests/RWtest", ""},
		"submit report":        {"POST", "/obligations/RWobligation/submit", `{"receipt":"r"}`},
		"strike off":           {"POST", "/obligations/RWobligation/strike-off", `{"reason":"r"}`},
		"withdraw awareness":   {"POST", "/awareness/RWaware2/withdraw", `{"reason":"r"}`},
		"spread asked":         {"POST", "/spread/RWspread/asked", ""},
		"incident":             {"GET", "/incidents/RWinc", ""},
		"list of obligations":  {"GET", "/incidents/RWinc/obligations", ""},
		"legal hold":           {"POST", "/incidents/RWinc/hold", `{"reason":"r"}`},
		"release of the hold":  {"POST", "/incidents/RWinc/release-hold", `{"reason":"r"}`},
		"restrict from inside": {"POST", "/incidents/RWinc/restrict", `{"people":[]}`},
	}
	lists := map[string]string{ // with what the insider finds there
		"/orders": "RWorder", "/orders?incident_id=RWinc": "RWorder", "/orders?cause_id=RWanomaly": "RWfilter", "/orders?limit=200": "RWfilter", "/messages": "RWinc", "/messages?object_id=RWtask": "RWtask",
		"/gate-reviews": "RWgate", "/gate-reviews?order_id=RWorder": "RWearly", "/gate-reviews?incident_id=RWinc": "RWearly",
		"/anomalies": "RWanomaly", "/complaints": complaint.ID, "/directives": directive.ID, "/incidents": "RWinc", "/lexicon": "incident:RWinc",
		"/record?limit=200": "incident:RWinc", "/record?scope=subject:" + complaint.ID: complaint.ID, "/record?object_id=" + complaint.AnomalyID: complaint.AnomalyID,
		"/record?object_kind=directive": directive.ID,
	}
	secrets := []string{"RWinc", "RWtask", "RWorder", "RWfilter", "RWgate", "RWearly", "RWanomaly", "RWmerged", complaint.ID, complaint.AnomalyID, directive.ID}
	mentions := func(body string) (out []string) {
		for _, s := range secrets {
			if strings.Contains(body, s) {
				out = append(out, s)
			}
		}
		return out
	}
	for path, what := range lists { // while it is open everybody who may read it does
		if a := b.call(t, "outsider", "GET", path, ""); a.status != 200 || !strings.Contains(a.body, what) {
			t.Errorf("%s, open: %d %s", path, a.status, a.body)
		}
	}
	b.exec(t, "UPDATE incident SET restricted = TRUE")

	outsiders := slices.DeleteFunc(append(identity.Roles(), "outsider"), func(role string) bool { return role == insider })
	changes := func() int {
		return b.count(t, "SELECT COUNT(*) FROM record_entries WHERE actor IN (SELECT id FROM person)") + b.count(t, "SELECT COUNT(*) FROM second_signature")
	}
	for _, name := range slices.Sorted(maps.Keys(doors)) {
		d := doors[name]
		for _, role := range outsiders {
			before := changes()
			a := b.call(t, role, d.method, d.path, d.body)
			if a.status != 404 && (a.status != 403 || a.Key != "identity.not_allowed") {
				t.Errorf("%s as %s: %d %s", name, role, a.status, a.body)
			}
			if got := mentions(a.body); len(got) > 0 {
				t.Errorf("%s tells %s of %v: %s", name, role, got, a.body)
			}
			if changes() != before {
				t.Errorf("%s as %s left something behind", name, role)
			}
		}
		// The rooms that hang rows on an incident by its id answer with that id's field: only who holds a row's id sees it.
		if !slices.ContainsFunc([]string{"/orders", "/gate-reviews/", "/anomalies/", "/complaints/", "/directives/", "/nonconformities/", "/lexicon", "/incidents/", "/second-signatures/"}, func(p string) bool { return strings.HasPrefix(d.path, p) }) {
			continue
		}
		never := strings.NewReplacer("RWopen", "RWopen", "RWfree", "RWfree", "RW", "XX", complaint.ID, "nothing", complaint.AnomalyID, "nothing", directive.ID, "nothing")
		hidden, gone := b.call(t, "outsider", d.method, d.path, d.body), b.call(t, "outsider", d.method, never.Replace(d.path), never.Replace(d.body))
		if hidden.status != 404 || hidden.body != gone.body {
			t.Errorf("%s: a hidden one answers %d %s, one that never was %d %s", name, hidden.status, hidden.body, gone.status, gone.body)
		}
	}
	for path := range lists {
		for _, role := range outsiders {
			a := b.call(t, role, "GET", path, "")
			if got := mentions(a.body); a.status != 200 && a.status != 403 || len(got) > 0 {
				t.Errorf("%s shows %s %v: %d", path, role, got, a.status)
			}
		}
	}
	if a := b.call(t, "outsider", "GET", "/orders?limit=1", ""); !strings.Contains(a.body, "RWopen") {
		t.Errorf("an order of no incident is hidden too, or a page is short: %s", a.body)
	}
	var status struct {
		Orders []struct {
			State string `json:"state"`
			N     int    `json:"n"`
		} `json:"orders"`
	}
	b.must(t, b.call(t, "outsider", "GET", "/status", ""), &status)
	if len(status.Orders) != 1 || status.Orders[0].N != 1 || status.Orders[0].State != "strict_filter" {
		t.Errorf("the overview counts %+v", status.Orders)
	}
	// The control: who is on the list meets no wall anywhere.
	for path, what := range lists {
		if a := b.call(t, insider, "GET", path, ""); a.status != 200 || !strings.Contains(a.body, what) {
			t.Errorf("%s does not show the insider %s: %d", path, what, a.status)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(doors)) {
		d := doors[name]
		a := b.call(t, insider, d.method, d.path, d.body)
		if d.method == http.MethodGet && a.status != 200 || a.status == 404 {
			t.Errorf("%s as the insider: %d %s", name, a.status, a.body)
		}
	}
}
