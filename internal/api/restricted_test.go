package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/api"
	"github.com/fengsui/fengsui/internal/platform/identity"
)

// Promise 12 over the whole API: once an incident is restricted, no call by anybody who is not on its
// list shows it, counts it or acts on what hangs on it.
func TestARestrictedIncidentShowsNowhere(t *testing.T) {
	b := newBench(t)
	b.world(t)
	ops, err := api.Operations()
	if err != nil {
		t.Fatal(err)
	}
	shown := func() map[string]string {
		out := map[string]string{}
		for _, o := range ops {
			if o.Method != http.MethodGet || o.ID == "list-record" || o.ID == "complaint-status" {
				continue // an auditor of the record sees ids and actions of everything, content of nothing
			}
			for _, role := range identity.Roles() {
				if a := b.call(t, role, o.Method, b.path(o), ""); a.status < 300 && strings.Contains(a.body, "RWinc") {
					out[o.ID+" as "+role] = a.body
				}
			}
		}
		return out
	}
	if n := len(shown()); n < 30 {
		t.Errorf("an open incident shows in %d answers only", n)
	}
	b.exec(t, "UPDATE incident SET restricted = TRUE")
	for where, body := range shown() {
		t.Errorf("%s: %s", where, body)
	}
	for _, o := range ops {
		for _, prefix := range []string{"/api/v1/incidents/{id}", "/api/v1/tasks/", "/api/v1/statements/", "/api/v1/awareness/", "/api/v1/obligations/", "/api/v1/spread/", "/api/v1/actions/", "/api/v1/service-tests/", "/api/v1/evidence/", "/api/v1/nonconformities/"} {
			if !strings.HasPrefix(o.Path, prefix) {
				continue
			}
			var doc document
			b.must(t, b.call(t, "", "GET", "/openapi.json", ""), &doc)
			for _, role := range identity.Roles() {
				if a := b.call(t, role, o.Method, b.path(o), b.body(t, o, doc)); a.status != 404 && a.status != 403 || a.status == 403 && a.Key != "identity.not_allowed" {
					t.Errorf("%s as %s: %d %s", o.ID, role, a.status, a.body)
				}
			}
		}
	}
}

// A clock that two people moved on an incident without a level tells of no level.
func TestWithdrawingAnAwarenessBeforeThereIsALevelSaysNothingOfALevel(t *testing.T) {
	b := newBench(t)
	b.world(t)
	b.must(t, b.call(t, "commander", "POST", "/second-signatures/RWsecond/decide", `{"approve":true}`), nil)
	if n := b.count(t, "SELECT COUNT(*) FROM awareness WHERE withdrawn_by <> ''"); n != 1 {
		t.Errorf("%d withdrawn", n)
	}
	if n := b.count(t, "SELECT COUNT(*) FROM outbox WHERE template = 'incident.graded'"); n != 0 {
		t.Errorf("%d messages tell of a level", n)
	}
	if n := b.count(t, "SELECT COUNT(*) FROM obligation WHERE clock_start_ms = 2"); n == 0 {
		t.Error("no clock followed")
	}
}

// A wall comes down by two persons of its own list; the list goes with it.
func TestAWallComesDownByTwoPersonsBehindIt(t *testing.T) {
	b := newBench(t)
	b.world(t)
	for _, name := range []string{"second", "third"} {
		var err error
		if b.person[name], b.tokens[name], err = b.app.AddPerson(t.Context(), name, "commander"); err != nil {
			t.Fatal(err)
		}
	}
	const at = "/incidents/RWinc"
	if a := b.call(t, "commander", "POST", at+"/unrestrict", `{"reason":"r"}`); a.Key != "incident.not_restricted" {
		t.Errorf("an open one: %d %s", a.status, a.body)
	}
	var people []identity.Named
	b.must(t, b.call(t, "commander", "GET", "/persons/directory", ""), &people)
	pick := ""
	for _, p := range people {
		if p.Name == "second" {
			pick = p.ID
		}
		if p.ID == b.person["seat"] {
			t.Error("a drill's stand-in can be picked")
		}
	}
	b.must(t, b.call(t, "commander", "POST", at+"/restrict", `{"people":["`+pick+`"]}`), nil)
	if a := b.call(t, "third", "GET", at, ""); a.status != 404 {
		t.Errorf("who was not picked: %d", a.status)
	}
	var s struct {
		ID string `json:"id"`
	}
	if a := b.call(t, "commander", "POST", at+"/unrestrict", `{"reason":""}`); a.Field != "reason" {
		t.Errorf("without a reason: %d %s", a.status, a.body)
	}
	b.must(t, b.call(t, "commander", "POST", at+"/unrestrict", `{"reason":"r"}`), &s)
	for who, status := range map[string]int{"commander": 403, "third": 404, "compliance": 404, "security_admin": 404} {
		if a := b.call(t, who, "POST", "/second-signatures/"+s.ID+"/decide", `{"approve":true}`); a.status != status {
			t.Errorf("%s decides: %d %s", who, a.status, a.body)
		}
	}
	if n := b.count(t, "SELECT COUNT(*) FROM incident WHERE restricted"); n != 1 {
		t.Fatal("the wall is down")
	}
	b.must(t, b.call(t, "second", "POST", "/second-signatures/"+s.ID+"/decide", `{"approve":true}`), nil)
	b.must(t, b.call(t, "third", "GET", at, ""), nil)
	if n := b.count(t, "SELECT COUNT(*) FROM incident_access WHERE incident_id = 'RWinc'"); n != 0 {
		t.Errorf("%d names stay on the list", n)
	}
	if n := b.count(t, "SELECT COUNT(*) FROM record_entries WHERE action = 'incident.unrestrict'"); n != 1 {
		t.Errorf("%d entries", n)
	}
}
