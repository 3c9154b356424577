package api_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/fengsui/fengsui/internal/flow"
)

// The desk shows an incident from one answer: what was graded and stated, from which anomalies it came, and
// who did it by name, but nobody's name who had no part in it.
func TestADossierSaysWhoDidWhatByNameAndNamesNobodyElse(t *testing.T) {
	b := newBench(t)
	b.world(t)
	b.exec(t, `UPDATE anomaly SET state = 'promoted', incident_id = 'RWinc' WHERE id = 'RWanomaly'`,
		`INSERT INTO anomaly (id, number, kind, service_id, rule_id, fingerprint, state, first_ms, last_ms, opened_ms, merged_into) VALUES ('RWjoined', 'AN-Q', 'real', '`+b.svc+`', 'r', 'f9', 'merged', 1, 1, 1, 'RWanomaly')`)
	b.must(t, b.call(t, "commander", "POST", "/incidents/RWinc/facts", `{"name":"crime_suspected","value":1}`), nil)
	b.must(t, b.call(t, "compliance", "POST", "/incidents/RWinc/statements", `{"audience":"public","text":"t"}`), nil)

	whole := func(role string) flow.Dossier {
		t.Helper()
		a := b.call(t, role, "GET", "/incidents/RWinc", "")
		var d flow.Dossier
		b.must(t, a, &d)
		var raw map[string]any
		if err := json.Unmarshal([]byte(a.body), &raw); err != nil {
			t.Fatal(err)
		}
		for field, v := range raw {
			if v == nil {
				t.Errorf("%s: %s is null", role, field)
			}
		}
		return d
	}
	d := whole("commander")
	if len(d.Facts) == 0 || d.ServiceName == "" {
		t.Errorf("facts %v, service %q", d.Facts, d.ServiceName)
	}
	if len(d.Anomalies) != 2 {
		t.Errorf("%d anomalies instead of the one it came from and the one merged into that", len(d.Anomalies))
	}
	for role, named := range map[string]bool{"commander": true, "compliance": true, "expert": false, "management": false} {
		if got := d.Names[b.person[role]]; (got != "") != named {
			t.Errorf("%s is called %q", role, got)
		}
	}
	b.exec(t, "UPDATE disposal_order SET incident_id = 'RWinc' WHERE id = 'RWorder'")
	for role, unseen := range map[string]string{"commander": "[]", "auditor": "[]", "safety_engineer": "[obligations]", "engineer": "[anomalies obligations orders]", "expert": "[anomalies obligations orders]", "management": "[anomalies]"} {
		d := whole(role)
		if got := fmt.Sprint(d.Unseen); got != unseen {
			t.Errorf("%s is told that %s is hidden instead of %s", role, got, unseen)
		}
		for part, n := range map[string]int{"anomalies": len(d.Anomalies), "obligations": len(d.Obligations), "orders": len(d.Orders)} {
			if hidden := slices.Contains(d.Unseen, part); (n == 0) != hidden {
				t.Errorf("%s: %s, hidden %v, has %d", role, part, hidden, n)
			}
		}
	}
}
