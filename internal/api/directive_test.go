package api_test

import (
	"fmt"
	"testing"
)

func TestADirectiveNamesAnIncidentOfItsOwnOperatorOrNone(t *testing.T) {
	b := newBench(t)
	b.world(t)
	var own string
	if err := b.app.House.Store.Read().NewRaw("SELECT operator_id FROM service").Scan(t.Context(), &own); err != nil {
		t.Fatal(err)
	}
	var other struct{ ID string }
	b.must(t, b.call(t, "safety_engineer", "POST", "/operators", `{"name":"另一经营者","kind":"other","province":"北京"}`), &other)
	file := func(operator, incident string) answer {
		return b.call(t, "compliance", "POST", "/directives", fmt.Sprintf(`{"operator_id":%q,"incident_id":%q,"authority":"a","text":"t"}`, operator, incident))
	}
	if a := file(own, "nothing"); a.status != 404 {
		t.Errorf("no such incident: %d %s", a.status, a.body)
	}
	if a := file(other.ID, "RWinc"); a.status != 422 && a.status != 400 || a.Key != "directive.other_operator" {
		t.Errorf("another operator's: %d %s", a.status, a.body)
	}
	b.must(t, file(own, "RWinc"), nil)
	b.must(t, file(own, ""), nil)
}
