// Package drill runs the guide's cases A.1 and A.2 as a user does, by the command line, through the whole
// of Fengsui; and breaks one thing at a time to see that they do not pass then.
package drill

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fengsui/fengsui/internal/cli"
	"github.com/fengsui/fengsui/internal/prepare/drill"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit is how long one drill may take.
const limit = 60 * time.Second

func run(t *testing.T, args ...string) (drill.Result, string, int) {
	t.Helper()
	var out, errs bytes.Buffer
	began := time.Now()
	code := cli.Main(append([]string{"drill", "run", "--json"}, args...), &out, &errs)
	if took := time.Since(began); took > limit {
		t.Errorf("the drill took %s", took)
	}
	var res drill.Result
	dec := json.NewDecoder(&out)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&res); err != nil {
		t.Fatalf("the output is not the JSON it should be: %v\n%s", err, errs.String())
	}
	if dec.More() {
		t.Error("more than one JSON document was printed")
	}
	return res, errs.String(), code
}

func scenario(t *testing.T, id string) drill.Scenario {
	t.Helper()
	book, err := drill.Scenarios()
	if err != nil {
		t.Fatal(err)
	}
	return book[id]
}

func names(stages []drill.Stage) []string {
	out := []string{}
	for _, s := range stages {
		out = append(out, s.Name)
	}
	return out
}

func planned(sc drill.Scenario) []string {
	out := []string{}
	for _, s := range sc.Stages {
		out = append(out, s.ID)
	}
	return out
}

func TestACaseOfTheGuidePassesFromFirstSignalToRetrospective(t *testing.T) {
	for _, c := range []struct {
		id, category string
		level        int
	}{
		{"A.1", "content.discrimination", 4},
		{"A.2", "content.false", 2},
	} {
		t.Run(c.id, func(t *testing.T) {
			res, errs, code := run(t, c.id)
			if !res.Passed || code != 0 || res.FailedStage != "" || res.Error != "" {
				t.Fatalf("%+v\nexit code %d\n%s", res, code, errs)
			}
			if res.Drill != c.id || res.Level != c.level || res.Category != c.category || res.Incident == "" || !strings.HasPrefix(res.IncidentNumber, "D-IN-") || !strings.HasPrefix(res.Number, "D-DR-") {
				t.Errorf("%+v", res)
			}
			if got, want := names(res.Stages), planned(scenario(t, c.id)); !slices.Equal(got, want) {
				t.Errorf("stages %v instead of %v", got, want)
			}
			last := time.Time{}
			for _, s := range res.Stages {
				at, err := time.Parse(time.RFC3339, s.At)
				if err != nil || at.Before(last) || s.Ms < 0 {
					t.Errorf("stage %+v after %s: %v", s, last, err)
				}
				last = at
			}
		})
	}
}

// Negative controls: with one thing broken, each drill fails, at the stage that is there to notice it.
func TestABrokenThingFailsTheDrillAtTheStageThatShouldNotice(t *testing.T) {
	for _, c := range []struct{ id, sabotage, stage, why string }{
		{"A.1", "fault-off", "detect", "no anomaly was opened"},
		{"A.2", "fault-off", "detect", "no anomaly was opened"},
		{"A.1", "containment-off", "contain", "the harm still reaches clients"},
		{"A.2", "containment-off", "offline", "goes on after the order"},
		{"A.1", "same-approver", "confirm", "403 identity.same_person"},
		{"A.2", "same-approver", "online", "403 identity.same_person"},
	} {
		t.Run(c.id+" "+c.sabotage, func(t *testing.T) {
			if testing.Short() && (c.id != "A.2" || c.sabotage == "containment-off") {
				t.Skip("waits for what will not be seen; the whole suite does")
			}
			args := []string{c.id, "--sabotage", c.sabotage}
			if c.sabotage != "same-approver" { // what will not be seen need not be waited for long
				args = append(args, "--settle", "5s")
			}
			res, errs, code := run(t, args...)
			if res.Passed || code == 0 || res.FailedStage != c.stage || !strings.Contains(res.Error, c.why) {
				t.Fatalf("%+v\nexit code %d\n%s", res, code, errs)
			}
			want := planned(scenario(t, c.id))
			if got := names(res.Stages); !slices.Equal(got, want[:slices.Index(want, c.stage)]) {
				t.Errorf("stages passed before: %v", got)
			}
			if !strings.Contains(errs, c.stage) {
				t.Errorf("the message does not name the stage: %s", errs)
			}
		})
	}
}

func TestArgumentsThatCannotGoTogetherAreRefused(t *testing.T) {
	for name, args := range map[string][]string{
		"a server without a token":                {"A.1", "--server", "http://127.0.0.1:9", "--token", ""},
		"resuming in a temporary instance":        {"A.1", "--resume", "01KAMHKZ0000000000000000AA"},
		"disabling containment of a real server":  {"A.1", "--server", "http://127.0.0.1:9", "--token", "x", "--sabotage", "containment-off"},
		"a case that the guide does not describe": {"A.3"},
		"no case":             {},
		"an unknown sabotage": {"A.1", "--sabotage", "all"},
	} {
		var out, errs bytes.Buffer
		if code := cli.Main(append([]string{"drill", "run"}, args...), &out, &errs); code == 0 || errs.Len() == 0 {
			t.Errorf("%s: exit code %d, %q", name, code, errs.String())
		}
	}
}

func TestThePlainOutputNamesEveryStageInTheChosenLanguage(t *testing.T) {
	for lang, title := range map[string]string{"zh": "监测发现", "en": "Detection"} {
		var out, errs bytes.Buffer
		if code := cli.Main([]string{"drill", "run", "A.1", "--lang", lang}, &out, &errs); code != 0 {
			t.Fatal(errs.String())
		}
		if !strings.Contains(out.String(), title) || !strings.Contains(out.String(), "passed") {
			t.Errorf("%s:\n%s", lang, out.String())
		}
	}
}
