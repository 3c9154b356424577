package api_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/platform/identity"
)

func TestSettingsAreListedWithTheirDefaultsUntilOneIsChanged(t *testing.T) {
	b := newBench(t)
	type row struct {
		Name, Value, Default, Type string
		Min                        int
		Options                    []string
		ChangedMs                  int64 `json:"changed_ms"`
	}
	read := func() map[string]row {
		var rows []row
		b.must(t, b.call(t, "duty_officer", "GET", "/settings", ""), &rows)
		out := map[string]row{}
		for _, r := range rows {
			out[r.Name] = r
		}
		return out
	}
	if got := read(); len(got) != 2+len(inspect.Kinds()) || got["telemetry.capture"].Value != "flagged" || got["telemetry.capture"].ChangedMs != 0 || got["telemetry.retention_days"].Min < 180 {
		t.Errorf("as delivered: %+v", got)
	}
	b.must(t, b.call(t, "system_admin", "POST", "/settings", `{"name":"telemetry.capture","value":"all"}`), nil)
	if got := read()["telemetry.capture"]; got.Value != "all" || got.Default != "flagged" || got.ChangedMs == 0 {
		t.Errorf("changed: %+v", got)
	}
	for _, bad := range []string{`{"name":"telemetry.capture","value":"none"}`, `{"name":"telemetry.retention_days","value":"179"}`, `{"name":"telemetry.retention_days","value":"x"}`} {
		if a := b.call(t, "system_admin", "POST", "/settings", bad); a.status != 422 && a.status != 400 {
			t.Errorf("%s: %d", bad, a.status)
		}
	}
}

func TestRetentionIsChangedByTwoPersonsAndNeverBelowTheLaw(t *testing.T) {
	b := newBench(t)
	type row struct {
		Name, Value string
		ChangedBy   string `json:"changed_by"`
		ConfirmedBy string `json:"confirmed_by"`
		Two         bool
		Asked       *struct{ ID, Value, By string }
	}
	const name = "telemetry.retention_days"
	read := func() (out row) {
		var rows []row
		b.must(t, b.call(t, "auditor", "GET", "/settings", ""), &rows)
		for _, r := range rows {
			if r.Name == name {
				out = r
			}
		}
		return out
	}
	if a := b.call(t, "system_admin", "POST", "/settings", `{"name":"telemetry.retention_days","value":"179","reason":"r"}`); a.Key != "setting.law.network_logs" || a.Field != "value" || !strings.Contains(a.Detail, "网络安全法") || !strings.Contains(a.Detail, "180") {
		t.Errorf("below the law: %d %s", a.status, a.body)
	}
	if a := b.call(t, "system_admin", "POST", "/settings", `{"name":"telemetry.retention_days","value":"400"}`); a.Field != "reason" {
		t.Errorf("without a reason: %d %s", a.status, a.body)
	}
	const longer = `{"name":"telemetry.retention_days","value":"400","reason":"监管要求"}`
	b.must(t, b.call(t, "system_admin", "POST", "/settings", longer), nil)
	got := read()
	if got.Value != "180" || !got.Two || got.Asked == nil || got.Asked.Value != "400" || got.Asked.By != b.person["system_admin"] {
		t.Fatalf("asked for: %+v", got)
	}
	if a := b.call(t, "system_admin", "POST", "/settings", longer); a.Key != "setting.waits" {
		t.Errorf("a second change beside it: %d %s", a.status, a.Key)
	}
	if a := b.decide(t, "system_admin", got.Asked.ID, true); a.Key != "identity.same_person" {
		t.Errorf("the same person twice: %d %s", a.status, a.Key)
	}
	if a := b.decide(t, "duty_officer", got.Asked.ID, true); a.Key != "identity.not_allowed" {
		t.Errorf("a duty officer: %d %s", a.status, a.Key)
	}
	b.must(t, b.decide(t, "management", got.Asked.ID, true), nil)
	if got := read(); got.Value != "400" || got.Asked != nil || got.ChangedBy != b.person["system_admin"] || got.ConfirmedBy != b.person["management"] {
		t.Errorf("confirmed: %+v", got)
	}
}

func TestTheRulesInForceAreShownWithClauseAndHowSureWeAre(t *testing.T) {
	b := newBench(t)
	var got struct {
		Editions []struct{ ID string }
		Rules    []struct {
			List, ID   string
			Name, Says struct{ ZH, EN string }
			Cite       struct {
				Edition, Clause string
				Verified        bool
			}
		}
	}
	b.must(t, b.call(t, "engineer", "GET", "/rules", ""), &got)
	seen, sure, unsure, ids := map[string]int{}, 0, 0, map[string]bool{}
	editions := []string{""}
	for _, e := range got.Editions {
		editions = append(editions, e.ID)
	}
	for _, r := range got.Rules {
		seen[r.List]++
		if ids[r.List+r.ID] {
			t.Errorf("%s %s twice", r.List, r.ID)
		}
		ids[r.List+r.ID] = true
		if r.Name.ZH == "" || r.Name.EN == "" || r.Cite.Clause == "" || !slices.Contains(editions, r.Cite.Edition) {
			t.Errorf("%+v", r)
		}
		if r.Cite.Verified {
			sure++
		} else {
			unsure++
		}
	}
	if seen["type"] == 0 || seen["risk"] != 31 || seen["grading"] != 24 || seen["level"] != 4 || seen["obligation"] == 0 || seen["detection"] == 0 || sure == 0 || unsure == 0 {
		t.Errorf("%v, %d sure, %d not", seen, sure, unsure)
	}
}

func TestAnImportedLexiconIsApprovedAsAWholeByAnotherPerson(t *testing.T) {
	b := newBench(t)
	var in struct {
		Source string
		Added  int
	}
	b.must(t, b.call(t, "safety_engineer", "POST", "/lexicon/import", `{"format":"json","text":"[{\"term\":\"测试词一\",\"action\":\"observe\",\"risk\":\"A.2.e\"},{\"term\":\"测试词二\",\"action\":\"observe\",\"risk\":\"A.2.e\"}]"}`), &in)
	body := `{"source":"` + in.Source + `"}`
	if a := b.call(t, "safety_engineer", "POST", "/lexicon/approve-source", body); a.Key != "identity.same_person" {
		t.Errorf("the importer: %d %s", a.status, a.body)
	}
	var out struct{ Added int }
	b.must(t, b.call(t, "commander", "POST", "/lexicon/approve-source", body), &out)
	if in.Added != 2 || out.Added != 2 || b.count(t, "SELECT COUNT(*) FROM lexicon_entry WHERE source = ? AND expires_ms = 0", in.Source) != 2 {
		t.Errorf("%d imported, %d approved", in.Added, out.Added)
	}
	if a := b.call(t, "commander", "POST", "/lexicon/approve-source", body); a.status != 404 {
		t.Errorf("again: %d", a.status)
	}
}

func TestWhoIsSignedInSeesWhatEachRoleMayDo(t *testing.T) {
	b := newBench(t)
	var got map[string][]string
	b.must(t, b.call(t, "expert", "GET", "/roles", ""), &got)
	if len(got) != len(identity.Roles()) || !slices.Contains(got["duty_officer"], "order.issue") || slices.Contains(got["auditor"], "order.issue") {
		t.Errorf("%v", got)
	}
	for role, actions := range got {
		if a := b.call(t, role, "GET", "/anomalies", ""); (a.status == 200) != slices.Contains(actions, "anomaly.read") {
			t.Errorf("%s: the list says %v, the server %d", role, slices.Contains(actions, "anomaly.read"), a.status)
		}
	}
}

func TestPersonsAreListedWithTheirRoles(t *testing.T) {
	b := newBench(t)
	if a := b.call(t, "security_admin", "GET", "/persons", ""); a.status != 200 || !strings.Contains(a.body, `"roles":["duty_officer"]`) {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestACheckIsMadeStricterByOneAndEasedByTwo(t *testing.T) {
	b := newBench(t)
	type row struct {
		Name, Value, Default string
		Options              []string
		Asked                *struct{ ID, Value string }
	}
	read := func(name string) (out row) {
		var rows []row
		b.must(t, b.call(t, "auditor", "GET", "/settings", ""), &rows)
		at := slices.IndexFunc(rows, func(r row) bool { return r.Name == name })
		if at < 0 {
			t.Fatalf("no setting %s", name)
		}
		return rows[at]
	}
	for _, kind := range inspect.Kinds() {
		if r := read("check." + kind); !slices.Contains(r.Options, r.Default) || len(r.Options) < 5 {
			t.Errorf("%+v", r)
		}
	}
	b.must(t, b.call(t, "system_admin", "POST", "/settings", `{"name":"check.cn_mobile","value":"mask"}`), nil)
	if r := read("check.cn_mobile"); r.Value != "mask" || r.Default != "allow" {
		t.Errorf("stricter: %+v", r)
	}
	easier := `{"name":"check.cn_mobile","value":"allow","reason":"r"}`
	if a := b.call(t, "system_admin", "POST", "/settings", `{"name":"check.cn_mobile","value":"allow"}`); a.Field != "reason" {
		t.Errorf("without a reason: %+v", a)
	}
	b.must(t, b.call(t, "system_admin", "POST", "/settings", easier), nil)
	r := read("check.cn_mobile")
	if r.Value != "mask" || r.Asked == nil || r.Asked.Value != "allow" {
		t.Fatalf("eased by one: %+v", r)
	}
	if a := b.decide(t, "system_admin", r.Asked.ID, true); a.Key != "identity.same_person" {
		t.Errorf("the same person confirmed: %d %s", a.status, a.Key)
	}
	b.must(t, b.decide(t, "management", r.Asked.ID, true), nil)
	if r := read("check.cn_mobile"); r.Value != "allow" || r.Asked != nil {
		t.Errorf("eased by two: %+v", r)
	}
}
