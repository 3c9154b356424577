package api_test

import (
	"slices"
	"strings"
	"testing"

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
	if got := read(); len(got) != 2 || got["telemetry.capture"].Value != "flagged" || got["telemetry.capture"].ChangedMs != 0 || got["telemetry.retention_days"].Min < 180 {
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
