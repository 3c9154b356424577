package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/inspect/classify"
)

// samplesFile writes invented samples: recipes are it, weather is not.
func samplesFile(t *testing.T, name string, n int, more ...string) string {
	t.Helper()
	var b strings.Builder
	yes, no := []string{"加入少许盐", "小火慢炖", "切成薄片"}, []string{"明天有小雨", "气温回升", "北风三级"}
	for i := range n {
		fmt.Fprintf(&b, `{"text":"%s，%s，第%d回%s","label":1}`+"\n", yes[i%3], yes[i/3%3], i, name)
		fmt.Fprintf(&b, `{"text":"%s，%s，第%d回%s","label":0}`+"\n", no[i%3], no[i/3%3], i, name)
	}
	for _, line := range more {
		b.WriteString(line + "\n")
	}
	path := filepath.Join(t.TempDir(), name+".jsonl")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func runTrain(args ...string) (out, wrong string, code int) {
	var o, w bytes.Buffer
	code = Main(append([]string{"train"}, args...), &o, &w)
	return o.String(), w.String(), code
}

func TestTrainMakesAModelOfOnesOwnSamplesAndSaysHowRightItIs(t *testing.T) {
	a, b := samplesFile(t, "a", 150), samplesFile(t, "b", 150)
	model := filepath.Join(t.TempDir(), "own.model")
	out, wrong, code := runTrain("--report", "--out", model, "--head", "recipe", a, b)
	if code != 0 {
		t.Fatal(wrong)
	}
	for _, want := range []string{"a.jsonl", "b.jsonl", "two tenths", "recipe", "of 150", "wrote "} {
		if !strings.Contains(out, want) {
			t.Errorf("the report says nothing of %q:\n%s", want, out)
		}
	}
	file, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	m, err := classify.Read(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if p := m.Scores(nil, "先切成薄片，再小火慢炖"); m.Heads()[0].ID != "recipe" || p[0] < m.Heads()[0].Threshold {
		t.Errorf("%+v: %v", m.Heads(), p)
	}
	if p := m.Scores(nil, "北风三级，气温回升，第7回"); p[0] >= m.Heads()[0].Threshold {
		t.Errorf("weather: %v", p)
	}
	again := model + "2"
	if _, wrong, code := runTrain("--out", again, "--head", "recipe", a, b); code != 0 {
		t.Fatal(wrong)
	}
	if file2, err := os.ReadFile(again); err != nil || !bytes.Equal(file, file2) {
		t.Errorf("the same samples gave another model (%v)", err)
	}
}

func TestTrainNamesWhatIsWrong(t *testing.T) {
	right := samplesFile(t, "right", 200)
	few := samplesFile(t, "few", 3)
	line := samplesFile(t, "line", 100, `{"text":"x","label":"maybe"}`)
	out := filepath.Join(t.TempDir(), "m")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nowhere to write":   {[]string{right}, "--out"},
		"no such file":       {[]string{"--out", out, right + "x"}, "no such file"},
		"a wrong label":      {[]string{"--out", out, line}, "line.jsonl: line 201: label"},
		"too few samples":    {[]string{"--out", out, few}, `head "own"`},
		"a share too large":  {[]string{"--out", out, "--false-alarms", "0.9", right}, "--false-alarms"},
		"a head of no name":  {[]string{"--out", out, "--head", "", right}, "--head"},
		"nowhere that holds": {[]string{"--out", filepath.Join(out, "no", "folder"), right}, "no such file"},
	} {
		if _, wrong, code := runTrain(c.args...); code == 0 || !strings.Contains(wrong, c.want) {
			t.Errorf("%s: code %d, %q", name, code, wrong)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: a model was written", name)
		}
	}
}
