package anomaly

import (
	"strings"
	"testing"
	"time"
)

func TestTheBuiltInRulesAreValidAndTakeWhatTheyAreFor(t *testing.T) {
	rules, err := LoadRules()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		o    Observation
		want string
	}{
		"illegal content that was stopped":    {Observation{Signal: Signal{Source: "gateway", Side: "output", Risk: "A.1.d", Action: "block"}}, "output-illegal"},
		"illegal content merely observed":     {Observation{Signal: Signal{Source: "gateway", Side: "output", Risk: "A.1.d", Action: "observe"}}, ""},
		"false information":                   {Observation{Signal: Signal{Source: "gateway", Side: "output", Risk: "A.1.g", Action: "observe"}}, "output-false"},
		"discrimination":                      {Observation{Signal: Signal{Source: "gateway", Side: "output", Risk: "A.2.e", Action: "block"}}, "output-discrimination"},
		"an identity number":                  {Observation{Signal: Signal{Source: "gateway", Side: "output", Risk: "A.4.f", Action: "mask"}}, "output-personal-data"},
		"a risk whose code only begins alike": {Observation{Signal: Signal{Source: "gateway", Side: "output", Risk: "A.22.e", Action: "observe"}}, ""},
		"an input that was blocked":           {Observation{Signal: Signal{Source: "gateway", Side: "input", Risk: "A.2.e", Action: "block"}}, "input-probing"},
		"an attempt on the model":             {Observation{Signal: Signal{Source: "gateway", Side: "input", Rule: "injection-override", Action: "observe"}}, "input-injection"},
		"an entry that is merely observed":    {Observation{Signal: Signal{Source: "gateway", Side: "input", Rule: "e1", Action: "observe"}}, ""},
		"a text that passed uninspected":      {Observation{Signal: Signal{Source: "gateway", Side: "output", Rule: "gateway.uninspected", Action: "uninspected"}}, "check-failed"},
		"a guard without an opinion":          {Observation{Signal: Signal{Source: "gateway", Side: "input", Rule: "gateway.guard_silent", Action: "observe"}}, "guard-silent"},
		"what could not be read":              {Observation{Signal: Signal{Source: "gateway", Side: "input", Rule: "gateway.unread", Action: "observe"}}, ""},
		"a complaint":                         {Observation{Signal: Signal{Source: "complaint"}}, "complaint"},
		"an unknown source":                   {Observation{Signal: Signal{Source: "rumour"}}, ""},
	} {
		got := ""
		if r := rules.For(tc.o); r != nil {
			got = r.ID
		}
		if got != tc.want {
			t.Errorf("%s is taken by %q, want %q", name, got, tc.want)
		}
	}
	if d := rules.longest(); d != 10*time.Minute {
		t.Errorf("longest window %s", d)
	}
}

func TestRulesThatContradictThemselvesAreRefused(t *testing.T) {
	good := `{id: a, match: {source: gateway}, window: 1m, threshold: 2, min_subjects: 2, fingerprint: [service], severity: high}`
	if _, err := ParseRules([]byte("edition: e\nrules: [" + good + "]")); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for name, tc := range map[string]struct{ from, to, want string }{
		"unknown key":            {"window:", "windw:", "windw"},
		"unknown key in match":   {"source: gateway", "source: gateway, sauce: x", "sauce"},
		"unknown source":         {"gateway", "satellite", "source"},
		"unknown side":           {"source: gateway", "source: gateway, side: middle", "side"},
		"unknown severity":       {"severity: high", "severity: apocalyptic", "severity"},
		"unknown action":         {"source: gateway", "source: gateway, actions: [blok]", "actions"},
		"unknown verdict":        {"source: gateway", "source: gateway, min_severity: harsh", "min_severity"},
		"no risk code":           {"source: gateway", "source: gateway, risks: [discrimination]", "risks"},
		"no threshold":           {"threshold: 2", "threshold: 0", "threshold"},
		"no window":              {"window: 1m, ", "", "window"},
		"window that is no time": {"1m", "soon", "soon"},
		"window too long":        {"1m", "1000h", "window"},
		"more subjects":          {"min_subjects: 2", "min_subjects: 3", "min_subjects"},
		"any below threshold":    {"min_subjects: 2", "any_subjects: 1", "any_subjects"},
		"no fingerprint":         {"[service]", "[]", "fingerprint"},
		"fingerprint at will":    {"[service]", "[service, content]", "content"},
		"fingerprint twice":      {"[service]", "[service, service]", "twice"},
		"same id":                {good, good + ", " + good, "twice"},
		"complaint that waits":   {"gateway", "complaint", "at once"},
		"bad id":                 {"id: a", "id: A b", "id"},
	} {
		text := "edition: e\nrules: [" + strings.Replace(good, tc.from, tc.to, 1) + "]"
		if _, err := ParseRules([]byte(text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"", "edition: e\nrules: []", "rules: [" + good + "]"} {
		if _, err := ParseRules([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
