package api_test

import (
	"testing"

	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
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
		b.tokens[name], _, err = identity.IssueToken(t.Context(), tx, p.ID, "", 0)
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

func TestTheInstancesOwnKeysAreNotSetThroughTheAPI(t *testing.T) {
	b := newBench(t)
	b.sit(t, "tester", "safety_engineer")
	kept := func() (out string) {
		if err := b.app.House.Store.Read().NewRaw("SELECT STRING_AGG(CAST(sealed AS TEXT), ',') FROM secrets WHERE name LIKE 'fengsui.%'").Scan(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	before := kept()
	for _, name := range []string{"fengsui.control", "fengsui.subject", "fengsui.probe", "fengsui.another"} {
		if a := b.call(t, "safety_engineer", "POST", "/secrets", `{"name":"`+name+`","origin":"https://up.example.com","value":"v"}`); a.status != 403 || a.Key != "secret.own" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	const mine = `{"name":"up","origin":"https://up.example.com","value":"v"}`
	if a := b.call(t, "tester", "POST", "/secrets", mine); a.status != 403 || a.Key != "identity.other_drill" {
		t.Errorf("a seat: %d %s", a.status, a.body)
	}
	if kept() != before {
		t.Error("a key of the instance has changed")
	}
	if a := b.call(t, "safety_engineer", "POST", "/secrets", mine); a.status >= 300 {
		t.Errorf("the control failed: %d %s", a.status, a.body)
	}
}

func TestAnUpstreamsKeyIsNotSentToAListenerOfOnesOwn(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{"up", "drill.up"} {
		b.must(t, b.call(t, "safety_engineer", "POST", "/secrets", `{"name":"`+name+`","origin":"https://up.example.com","value":"v"}`), nil)
	}
	start := func(id, ref, url string) answer {
		return b.call(t, "duty_officer", "POST", "/drills", `{"id":"`+id+`","scenario":"A.1","upstream_model":"m","upstream_secret_ref":"`+ref+`","upstream_url":"`+url+`"}`)
	}
	deploy := func(ref, url string) answer {
		return b.call(t, "safety_engineer", "POST", "/services/"+b.svc+"/deployments", `{"name":"d","model_version":"v","upstream_model":"m","role":"backup","secret_ref":"`+ref+`","upstream_url":"`+url+`"}`)
	}
	const id, ours, theirs = "01KAMHKZ0000000000000000AA", "http://127.0.0.1:9/v1", "https://up.example.com/v1"
	for what, c := range map[string]struct {
		a   answer
		key string
	}{
		"a drill with a real key":                     {start(id, "up", theirs), "service.drill_secret"},
		"a drill with the instance's own":             {start(id, "fengsui.control", ours), "service.drill_secret"},
		"a drill with a drill's key, elsewhere":       {start(id, "drill.up", ours), "secret.not_for_upstream"},
		"a deployment elsewhere":                      {deploy("up", ours), "secret.not_for_upstream"},
		"a deployment with the instance's own":        {deploy("fengsui.control", theirs), "secret.not_for_upstream"},
		"a deployment with a key that is not there":   {deploy("none", theirs), "secret.not_for_upstream"},
		"a deployment over http instead of over tls ": {deploy("up", "http://up.example.com/v1"), "secret.not_for_upstream"},
	} {
		if c.a.status != 422 && c.a.status != 400 || c.a.Key != c.key {
			t.Errorf("%s: %d %s", what, c.a.status, c.a.body)
		}
	}
	if a := deploy("up", theirs); a.status >= 300 {
		t.Errorf("the control failed: %d %s", a.status, a.body)
	}
	if a := start(id, "drill.up", theirs); a.status >= 300 {
		t.Errorf("the control failed: %d %s", a.status, a.body)
	}
}

func TestNoDrillStartsWhileSomethingRealNeedsThePeople(t *testing.T) {
	b := newBench(t)
	const start = `{"id":"01KAMHKZ0000000000000000AA","scenario":"A.1","upstream_model":"m","upstream_url":"http://127.0.0.1:9/v1"}`
	var id string
	b.write(t, func(tx *store.Tx) error {
		i, err := b.app.House.Declare(t.Context(), tx, incident.Declaration{Kind: "real", ServiceID: b.svc, Title: "t", AwareSource: "declared"})
		if err != nil {
			return err
		}
		id = i.ID
		_, err = b.app.House.Assess(t.Context(), tx, id, incident.Assessing{Stage: "preliminary", Source: "self", SocialHarm: "较大"})
		return err
	})
	if a := b.call(t, "duty_officer", "POST", "/drills", start); a.status != 409 || a.Key != "drill.real_first" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if n := b.count(t, "SELECT COUNT(*) FROM service WHERE kind = 'drill'"); n != 0 {
		t.Errorf("%d services are left behind", n)
	}
	b.exec(t, `UPDATE incident SET state = 'closed' WHERE id = '`+id+`'`)
	b.must(t, b.call(t, "duty_officer", "POST", "/drills", start), nil)
}
