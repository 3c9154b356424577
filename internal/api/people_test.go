package api_test

import (
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/platform/identity"
)

// confirm lets a role confirm the only credential that waits for a second person.
func (b *bench) confirm(t *testing.T, role string) {
	t.Helper()
	var list []struct{ ID string }
	b.must(t, b.call(t, role, "GET", "/credentials/waiting", ""), &list)
	if len(list) != 1 {
		t.Fatalf("%d wait", len(list))
	}
	b.must(t, b.call(t, role, "POST", "/credentials/"+list[0].ID+"/decide", `{"approve":true}`), nil)
}

func TestARevokedTokenAndAPersonWhoLeftAreNobody(t *testing.T) {
	b := newBench(t)
	me := func(want int) {
		t.Helper()
		if a := b.call(t, "auditor", "GET", "/me", ""); a.status != want {
			t.Errorf("%d %s instead of %d", a.status, a.body, want)
		}
	}
	me(200)
	person := "/persons/" + b.person["auditor"]
	var list []identity.Token
	a := b.call(t, "security_admin", "GET", person+"/tokens", "")
	b.must(t, a, &list)
	if len(list) != 1 || list[0].RevokedMs != 0 || strings.Contains(a.body, "hash") || strings.Contains(a.body, b.tokens["auditor"]) {
		t.Fatalf("%s", a.body)
	}
	revoke := "/tokens/" + list[0].ID + "/revoke"
	if a := b.call(t, "duty_officer", "POST", revoke, ""); a.status != 403 {
		t.Errorf("%d %s", a.status, a.body)
	}
	me(200)
	b.must(t, b.call(t, "security_admin", "POST", revoke, ""), nil)
	me(401)
	if a := b.call(t, "security_admin", "POST", revoke, ""); a.Key != "identity.token_revoked" {
		t.Errorf("%d %s", a.status, a.body)
	}
	var fresh struct{ Token string }
	b.must(t, b.call(t, "security_admin", "POST", person+"/tokens", `{}`), &fresh)
	b.tokens["auditor"] = fresh.Token
	me(401)
	b.confirm(t, "audit_admin")
	me(200)
	if a := b.call(t, "duty_officer", "POST", person+"/deactivate", ""); a.status != 403 {
		t.Errorf("%d %s", a.status, a.body)
	}
	b.must(t, b.call(t, "security_admin", "POST", person+"/deactivate", ""), nil)
	me(401)
	if a := b.call(t, "security_admin", "POST", "/persons/"+b.person["security_admin"]+"/deactivate", ""); a.status != 403 || a.Key != "identity.not_yourself" {
		t.Errorf("oneself: %d %s", a.status, a.body)
	}
}

func TestWhoMetAnIDLearnsTheNameAndNobodyIsListed(t *testing.T) {
	b := newBench(t)
	ask := func(role, ids string) string {
		a := b.call(t, role, "GET", "/persons/names"+ids, "")
		if a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return strings.TrimSpace(a.body)
	}
	if got := ask("engineer", "?ids="+b.person["commander"]+",nobody"); got != `[{"id":"`+b.person["commander"]+`","name":"commander"}]` {
		t.Error(got)
	}
	for _, c := range []struct{ role, ids string }{{"engineer", ""}, {"engineer", "?ids=%25"}, {"seat", "?ids=" + b.person["commander"]}} {
		if got := ask(c.role, c.ids); got != "[]" {
			t.Errorf("%s %s: %s", c.role, c.ids, got)
		}
	}
	if got := ask("seat", "?ids="+b.person["seat"]); !strings.Contains(got, `"seat"`) {
		t.Error(got)
	}
}
