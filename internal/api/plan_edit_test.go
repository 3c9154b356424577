package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/api"
	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/prepare/plan"
)

// What is shown for editing is what import takes: the text of a version validates, and filed again it is the
// same plan.
func TestAPlanCanBeTakenOutLookedOverAndFiledAgain(t *testing.T) {
	b := newBench(t)
	var versions []plan.Version
	b.must(t, b.call(t, "commander", "GET", "/plans/false-information-2/versions", ""), &versions)
	var v api.PlanDocument
	b.must(t, b.call(t, "commander", "GET", "/plans/false-information-2/versions/1", ""), &v)
	if len(versions) != 1 || v.Plan == nil || v.Digest != versions[0].Digest {
		t.Fatalf("%d versions, %+v", len(versions), v.Version)
	}
	look := func(text string, headers ...string) (out []api.PlanFlaw) {
		t.Helper()
		body, _ := json.Marshal(map[string]string{"yaml": text})
		b.must(t, b.call(t, "commander", "POST", "/plans/validate", string(body), headers...), &out)
		return out
	}
	if flaws := look(v.YAML); len(flaws) != 0 {
		t.Fatalf("its own text has flaws: %+v", flaws)
	}
	body, _ := json.Marshal(map[string]string{"yaml": v.YAML})
	var again []plan.Version
	b.must(t, b.call(t, "commander", "POST", "/plans", string(body)), &again)
	if again[0].Version != 1 || again[0].Digest != v.Digest {
		t.Errorf("the same text is another plan: %+v", again[0])
	}
	line := func(needle string) int {
		return 1 + strings.Count(v.YAML[:strings.Index(v.YAML, needle)], "\n")
	}
	for name, c := range map[string]struct {
		text, path string
		line       int
	}{
		"a role nobody has":    {strings.Replace(v.YAML, "role: duty_officer", "role: nobody", 1), ".role", line("role: duty_officer")},
		"a level that is none": {strings.Replace(v.YAML, "level: 2", "level: 9", 1), "level", line("level: 2")},
		"an unknown key":       {strings.Replace(v.YAML, "level: 2", "level: 2\ncolour: red", 1), "", line("level: 2") + 1},
	} {
		flaws := look(c.text)
		if len(flaws) != 1 || !strings.HasSuffix(flaws[0].Path, c.path) || flaws[0].Line != c.line || flaws[0].Column < 1 || flaws[0].Message == "" {
			t.Errorf("%s: %+v, want line %d", name, flaws, c.line)
		}
	}
	bad := strings.Replace(v.YAML, "level: 2", "level: 9", 1)
	if zh, en := look(bad), look(bad, "Accept-Language", "en"); zh[0].Message == en[0].Message {
		t.Errorf("the asker's language is not used: %q", en[0].Message)
	}
	if n := b.count(t, "SELECT COUNT(*) FROM plan WHERE state = 'draft'"); n != 0 {
		t.Errorf("looking over left %d drafts", n)
	}
}

func TestTheCoverageShowsThePlanThatWouldBeStartedAndTheLastDrill(t *testing.T) {
	b := newBench(t)
	b.exec(t, `INSERT INTO drill (id, number, scenario, state, started_by, started_ms, ended_ms) VALUES ('D1', 'x', 'A.2', 'passed', 'x', 1, 5), ('D2', 'y', 'A.2', 'failed', 'x', 1, 9), ('D3', 'z', 'A.1', 'passed', 'x', 1, 7)`,
		"UPDATE plan SET state = 'retired' WHERE id = 'general-3'")
	var cells []flow.CoverageCell
	b.must(t, b.call(t, "auditor", "GET", "/plans/coverage", ""), &cells)
	seen := map[string]flow.CoverageCell{}
	for _, c := range cells {
		seen[c.Subtype+string(rune('0'+c.Level))] = c
	}
	if len(seen) != 4*(5+3+4+1) {
		t.Errorf("%d cells", len(seen))
	}
	if c := seen["content.false2"]; c.PlanID != "false-information-2" || !c.Starter || c.DrillID != "D2" || c.DrillPass {
		t.Errorf("the cell of A.2: %+v", c)
	}
	if c := seen["content.discrimination4"]; c.DrillID != "D3" || !c.DrillPass {
		t.Errorf("the cell of A.1: %+v", c)
	}
	if c := seen["data.leak1"]; c.PlanID != "general-1" || c.Category != "*" || c.DrillID != "" {
		t.Errorf("a cell of the general plan: %+v", c)
	}
	if c := seen["data.leak3"]; c.State != "" || c.PlanID != "" {
		t.Errorf("a cell without a plan: %+v", c)
	}
}
