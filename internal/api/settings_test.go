package api_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/respond/containment"
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
	if got := read(); len(got) != 2+len(inspect.Kinds())+len(containment.GuardSettings()) || got["guard.action"].Value != "off" || got["guard.address"].Type != "text" || got["telemetry.capture"].Value != "flagged" || got["telemetry.capture"].ChangedMs != 0 || got["telemetry.retention_days"].Min < 180 {
		t.Errorf("as delivered: %+v", got)
	}
	b.must(t, b.call(t, "system_admin", "POST", "/settings", `{"name":"telemetry.capture","value":"all"}`), nil)
	if got := read()["telemetry.capture"]; got.Value != "all" || got.Default != "flagged" || got.ChangedMs == 0 {
		t.Errorf("changed: %+v", got)
	}
	for _, bad := range []string{`{"name":"telemetry.capture","value":"none"}`, `{"name":"telemetry.retention_days","value":"179"}`, `{"name":"telemetry.retention_days","value":"x"}`,
		`{"name":"guard.address","value":"ftp://guard.example.com","reason":"r"}`} {
		if a := b.call(t, "system_admin", "POST", "/settings", bad); a.status != 422 && a.status != 400 {
			t.Errorf("%s: %d", bad, a.status)
		}
	}
}

func TestWherePromptsAreShownToAGuardModelIsSaidByTwoPersons(t *testing.T) {
	b := newBench(t)
	if a := b.call(t, "system_admin", "POST", "/settings", `{"name":"guard.secret","value":"sk-pasted","reason":"r"}`); a.Key != "secret.not_for_upstream" {
		t.Errorf("a key that is in no store: %d %s", a.status, a.Key)
	}
	if a := b.call(t, "system_admin", "POST", "/settings", `{"name":"guard.at_once","value":"1025"}`); a.Key != "setting.not_between" || a.Field != "value" || !strings.Contains(a.Detail, "guard.at_once") || !strings.Contains(a.Detail, "1024") {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, name := range []string{"guard.address", "guard.model"} {
		value := map[string]string{"guard.address": "https://guard.example.com/v1"}[name]
		if value == "" {
			value = "some-name"
		}
		var asked struct {
			Value string
			Asked *struct{ ID string }
		}
		b.must(t, b.call(t, "system_admin", "POST", "/settings", `{"name":"`+name+`","value":"`+value+`","reason":"r"}`), &asked)
		if asked.Value != "" || asked.Asked == nil {
			t.Fatalf("%s by one person: %+v", name, asked)
		}
		b.must(t, b.decide(t, "management", asked.Asked.ID, true), nil)
		if n := b.count(t, "SELECT COUNT(*) FROM setting WHERE name = ? AND value = ? AND confirmed_by <> ''", name, value); n != 1 {
			t.Errorf("%s by two persons: %d rows", name, n)
		}
	}
	var asked struct{ Asked *struct{ ID string } } // and taken away again
	b.must(t, b.call(t, "system_admin", "POST", "/settings", `{"name":"guard.model","value":"","reason":"r"}`), &asked)
	b.must(t, b.decide(t, "management", asked.Asked.ID, true), nil)
	if n := b.count(t, "SELECT COUNT(*) FROM setting WHERE name = 'guard.model' AND value = ''"); n != 1 {
		t.Errorf("emptied by two persons: %d rows", n)
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
	b.must(t, b.call(t, "system_admin", "POST", "/settings", `{"name":"check.bank_card","value":"block"}`), nil)
	if r := read("check.bank_card"); r.Value != "block" || r.Default != "mask" {
		t.Errorf("stricter: %+v", r)
	}
	easier := `{"name":"check.bank_card","value":"observe","reason":"r"}`
	if a := b.call(t, "system_admin", "POST", "/settings", `{"name":"check.bank_card","value":"observe"}`); a.Field != "reason" {
		t.Errorf("without a reason: %+v", a)
	}
	b.must(t, b.call(t, "system_admin", "POST", "/settings", easier), nil)
	r := read("check.bank_card")
	if r.Value != "block" || r.Asked == nil || r.Asked.Value != "observe" {
		t.Fatalf("eased by one: %+v", r)
	}
	if a := b.decide(t, "system_admin", r.Asked.ID, true); a.Key != "identity.same_person" {
		t.Errorf("the same person confirmed: %d %s", a.status, a.Key)
	}
	b.must(t, b.decide(t, "management", r.Asked.ID, true), nil)
	if r := read("check.bank_card"); r.Value != "observe" || r.Asked != nil {
		t.Errorf("eased by two: %+v", r)
	}
}

func TestWhoAloneMadeACheckStricterMayTakeThatBackAloneForAQuarterOfAnHourAndNobodyElse(t *testing.T) {
	now := clock.NewFake(time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC))
	b := newBenchWith(t, app.Options{Clock: now})
	type row struct {
		Name, Value, Undo string
		Asked             *struct{ ID, Value string }
	}
	read := func(role string) (out row) {
		var rows []row
		b.must(t, b.call(t, role, "GET", "/settings", ""), &rows)
		return rows[slices.IndexFunc(rows, func(r row) bool { return r.Name == "check.email" })]
	}
	set := func(role, value string) answer {
		return b.call(t, role, "POST", "/settings", `{"name":"check.email","value":"`+value+`"}`)
	}
	const other = "another"
	var err error
	if b.person[other], b.tokens[other], err = b.app.AddPerson(t.Context(), other, "system_admin"); err != nil {
		t.Fatal(err)
	}
	b.must(t, set("system_admin", "block"), nil)
	now.Advance(15 * time.Minute)
	if r := read("system_admin"); r.Value != "block" || r.Undo != "allow" {
		t.Errorf("who did it: %+v", r)
	}
	if r := read(other); r.Undo != "" {
		t.Errorf("another: %+v", r)
	}
	if a := set(other, "allow"); a.Field != "reason" { // a second person is needed, and that wants a reason
		t.Errorf("another took it back: %d %s", a.status, a.body)
	}
	b.must(t, set("system_admin", "allow"), nil)
	if r := read("system_admin"); r.Value != "allow" || r.Undo != "" || r.Asked != nil {
		t.Errorf("taken back: %+v", r)
	}
	b.must(t, set("system_admin", "block"), nil)
	now.Advance(15*time.Minute + time.Millisecond)
	if r := read("system_admin"); r.Undo != "" {
		t.Errorf("what others rely on: %+v", r)
	}
	if a := set("system_admin", "allow"); a.Field != "reason" {
		t.Errorf("taken back late: %d %s", a.status, a.body)
	}
	var late row
	b.must(t, b.call(t, "system_admin", "POST", "/settings", `{"name":"check.email","value":"allow","reason":"r"}`), &late)
	if late.Value != "block" || late.Asked == nil {
		t.Fatalf("taken back late, with a reason: %+v", late)
	}
	b.must(t, b.decide(t, "management", late.Asked.ID, true), nil)
	// One step is taken back, the newest: no row of small steps keeps the first one open.
	b.must(t, set("system_admin", "observe"), nil)
	now.Advance(14 * time.Minute)
	b.must(t, set("system_admin", "block"), nil)
	if r := read("system_admin"); r.Undo != "observe" {
		t.Errorf("two steps: %+v", r)
	}
	if a := set("system_admin", "allow"); a.Field != "reason" {
		t.Errorf("behind the newest step: %d %s", a.status, a.body)
	}
	b.must(t, set("system_admin", "block"), nil) // once more: it is meant
	if a := set("system_admin", "observe"); a.Field != "reason" {
		t.Errorf("what was said twice: %d %s", a.status, a.body)
	}
	b.must(t, b.call(t, "system_admin", "POST", "/settings", `{"name":"check.email","value":"allow","reason":"r"}`), &late)
	b.must(t, b.decide(t, "management", late.Asked.ID, true), nil)
	// Nobody goes alone behind what another did meanwhile.
	b.must(t, set("system_admin", "mask"), nil)
	b.must(t, set(other, "block"), nil)
	if a := set("system_admin", "allow"); a.Field != "reason" {
		t.Errorf("behind another's step: %d %s", a.status, a.body)
	}
	if r := read(other); r.Undo != "mask" {
		t.Errorf("another's own step: %+v", r)
	}
	if a := set(other, "observe"); a.Field != "reason" {
		t.Errorf("further than one's own step: %d %s", a.status, a.body)
	}
	b.must(t, set(other, "mask"), nil)
	if a := b.call(t, "system_admin", "POST", "/settings", `{"name":"check.bank_card","value":"observe"}`); a.Field != "reason" {
		t.Errorf("milder than delivered: %d %s", a.status, a.body)
	}
}

func TestFromAPlaceholderToAMaskThatLeavesBothEndsTakesTwoEitherWay(t *testing.T) {
	b := newBench(t)
	set := func(value, reason string) answer {
		return b.call(t, "system_admin", "POST", "/settings", `{"name":"check.cn_mobile","value":"`+value+`","reason":"`+reason+`"}`)
	}
	var now struct {
		Value string
		Asked *struct{ ID string }
	}
	for _, step := range []struct {
		value string
		two   bool
	}{{"placeholder", false}, {"mask_ends", true}, {"placeholder", true}, {"mask", false}, {"mask_ends", true}, {"mask_ends", false}, {"mask", false}, {"block", false}} {
		b.exec(t, "UPDATE setting SET changed_ms = changed_ms - 3600000 WHERE name = 'check.cn_mobile'") // too long ago to be undone
		if a := set(step.value, ""); (a.Field == "reason") != step.two {
			t.Fatalf("%s: %d %s", step.value, a.status, a.body)
		}
		if step.two {
			b.must(t, set(step.value, "r"), &now)
			b.must(t, b.decide(t, "management", now.Asked.ID, true), nil)
		}
	}
	b.must(t, set("block", ""), &now)
	if now.Value != "block" {
		t.Errorf("%+v", now)
	}
}

func TestAnEasingThatWaitsEndsWhenOnePersonChangesTheSettingMeanwhile(t *testing.T) {
	b := newBench(t)
	type row struct {
		Name, Value string
		Asked       *struct{ ID, Value string }
	}
	read := func() (out row) {
		var rows []row
		b.must(t, b.call(t, "auditor", "GET", "/settings", ""), &rows)
		return rows[slices.IndexFunc(rows, func(r row) bool { return r.Name == "check.bank_card" })]
	}
	ask := func() string {
		b.must(t, b.call(t, "system_admin", "POST", "/settings", `{"name":"check.bank_card","value":"allow","reason":"r"}`), nil)
		return read().Asked.ID
	}
	id := ask()
	var tightened row
	b.must(t, b.call(t, "system_admin", "POST", "/settings", `{"name":"check.bank_card","value":"block"}`), &tightened)
	if r := read(); tightened.Asked != nil || r.Value != "block" || r.Asked != nil {
		t.Errorf("%+v, answered %+v", r, tightened)
	}
	if a := b.decide(t, "management", id, true); a.Key != "identity.second_decided" || read().Value != "block" {
		t.Errorf("an easing was confirmed over what came later: %d %s", a.status, a.body)
	}
	if b.count(t, "SELECT COUNT(*) FROM second_signature WHERE id = ? AND state = 'lapsed' AND lapsed_by = 'setting.set'", id) != 1 {
		t.Error("the request did not lapse")
	}
	// A server of an older version ends no request: then the request does not fit any more.
	b.must(t, b.call(t, "system_admin", "POST", "/settings", `{"name":"check.bank_card","value":"mask"}`), nil)
	id = ask()
	b.exec(t, "UPDATE setting SET value = 'block', changed_ms = changed_ms + 60000 WHERE name = 'check.bank_card'")
	if a := b.decide(t, "management", id, true); a.Key != "setting.moved" || read().Value != "block" {
		t.Errorf("%d %s, now %s", a.status, a.body, read().Value)
	}
	b.must(t, b.decide(t, "management", id, false), nil)
}

func TestAServicesOwnSettingsAreItsOwn(t *testing.T) {
	b := newBench(t)
	type row struct {
		Name, Value, Default string
		Options              []string
		Asked                *struct{ ID, Value string }
	}
	name := "injection@" + b.svc
	read := func() (out row) {
		var rows []row
		b.must(t, b.call(t, "auditor", "GET", "/settings?service_id="+b.svc, ""), &rows)
		for _, r := range rows {
			if !strings.HasSuffix(r.Name, "@"+b.svc) || r.Default != "allow" || len(r.Options) != 3 {
				t.Errorf("%+v", r)
			}
			if r.Name == name {
				out = r
			}
		}
		if len(rows) < 11 {
			t.Errorf("%d settings", len(rows))
		}
		return out
	}
	if r := read(); r.Value != "allow" {
		t.Errorf("as delivered: %+v", r)
	}
	b.must(t, b.call(t, "system_admin", "POST", "/settings", `{"name":"`+name+`","value":"block"}`), nil)
	if r := read(); r.Value != "block" || r.Asked != nil {
		t.Errorf("stricter: %+v", r)
	}
	const other = "another"
	var err error
	if b.person[other], b.tokens[other], err = b.app.AddPerson(t.Context(), other, "system_admin"); err != nil {
		t.Fatal(err)
	}
	b.must(t, b.call(t, other, "POST", "/settings", `{"name":"`+name+`","value":"observe","reason":"r"}`), nil)
	r := read()
	if r.Value != "block" || r.Asked == nil {
		t.Fatalf("eased by one: %+v", r)
	}
	b.must(t, b.decide(t, "management", r.Asked.ID, true), nil)
	if r := read(); r.Value != "observe" {
		t.Errorf("eased by two: %+v", r)
	}
	for _, bad := range []string{"injection", "injection@none", "check.email@" + b.svc, "classifier.none@" + b.svc} {
		if a := b.call(t, "system_admin", "POST", "/settings", `{"name":"`+bad+`","value":"observe"}`); a.status < 400 || a.status >= 500 {
			t.Errorf("%s: %d", bad, a.status)
		}
	}
	if a := b.call(t, "auditor", "GET", "/settings?service_id=none", ""); a.status != 404 {
		t.Errorf("a service that is none: %d", a.status)
	}
}
