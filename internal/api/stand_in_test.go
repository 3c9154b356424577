package api_test

import (
	"testing"

	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// sit adds a stand-in of the harness's drill who holds roles, under a name that call knows.
func (b *bench) sit(t testing.TB, name string, roles ...string) {
	t.Helper()
	b.write(t, func(tx *store.Tx) error {
		p, err := identity.AddPerson(t.Context(), tx, name, roles, "01DRILLX")
		if err != nil {
			return err
		}
		b.person[name] = p.ID
		b.tokens[name], err = identity.IssueToken(t.Context(), tx, p.ID, "", 0)
		return err
	})
}

func TestASeatIsNoFirstPersonForAnErasure(t *testing.T) {
	b := newBench(t)
	b.sit(t, "manager", "management")
	const ask = `{"scope":"subject:x","ground":"g"}`
	if a := b.call(t, "manager", "POST", "/record/erasures", ask); a.status != 403 || a.Key != "identity.other_drill" {
		t.Errorf("a seat asks for a real erasure: %d %s", a.status, a.body)
	}
	if n := b.count(t, "SELECT COUNT(*) FROM second_signature"); n != 0 {
		t.Errorf("%d requests are filed", n)
	}
	if a := b.call(t, "management", "POST", "/record/erasures", ask); a.status >= 300 {
		t.Errorf("the control failed: %d %s", a.status, a.body)
	}
}
