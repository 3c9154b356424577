package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/fengsui/fengsui/internal/standard"
)

// grade runs the command line as main would.
func grade(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var root struct {
		Grade GradeCmd `cmd:""`
	}
	var out bytes.Buffer
	parser, err := kong.New(&root, kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) { t.Fatal("kong exited") }), kong.BindTo(&out, (*io.Writer)(nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := parser.Parse(append([]string{"grade"}, args...))
	if err != nil {
		return "", err
	}
	err = ctx.Run()
	return out.String(), err
}

func gradeJSON(t *testing.T, args ...string) map[string]any {
	t.Helper()
	out, err := grade(t, append(args, "--json")...)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return got
}

func TestGradePrintsTheGuidesCasesInBothLanguages(t *testing.T) {
	for _, tt := range []struct {
		args           []string
		level, working any
	}{
		{[]string{"--importance", "一般", "--harm", "一般"}, 4.0, 4.0},
		{[]string{"--importance", "重要", "--harm", "重大"}, 2.0, 2.0},
		{[]string{"--importance", "important", "--harm", "major"}, 2.0, 2.0},
		{[]string{"--importance=重要", "--loss=严重", "--harm=较大"}, 3.0, 3.0},
		{[]string{"--importance", "general", "--harm", "especially-major"}, nil, 1.0},
		{[]string{"--importance", "特别重要", "--loss", "特别严重", "--harm", "一般"}, nil, 1.0},
	} {
		got := gradeJSON(t, tt.args...)
		if level, there := got["level"]; !there || level != tt.level || got["working_level"] != tt.working {
			t.Errorf("%v: level %v working %v", tt.args, got["level"], got["working_level"])
		}
		for _, key := range []string{"from_loss", "from_harm", "clause", "cell", "reason", "neighbours", "edition"} {
			if _, there := got[key]; !there {
				t.Errorf("%v: no %q", tt.args, key)
			}
		}
	}
}

func TestGradeWritesAnEmptyCellAsNull(t *testing.T) {
	got := gradeJSON(t, "--importance", "重要", "--loss", "较小", "--harm", "特别重大")
	harm, loss := got["from_harm"].(map[string]any), got["from_loss"].(map[string]any)
	level, there := harm["level"]
	if got["level"] != nil || !there || level != nil || harm["working_level"] != 1.0 || loss["level"] != 4.0 {
		t.Errorf("%v", got)
	}
	if got["cell"] != "2/important/especially_major" || got["clause"] != "5 Table 2" {
		t.Errorf("cell %v, clause %v", got["cell"], got["clause"])
	}
}

func TestGradeTextHoldsEveryPart(t *testing.T) {
	zh, err := grade(t, "--importance", "重要", "--harm", "特别重大", "--loss", "严重")
	if err != nil {
		t.Fatal(err)
	}
	en, err := grade(t, "--importance", "重要", "--harm", "特别重大", "--loss", "严重", "--lang", "en")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"最终级别: 无（空格）", "工作级别: 一级", "由业务损失: 三级", "由社会危害: 无（空格），工作级别 一级", "5 Table 2", "2/important/especially_major", "理由: ", "社会危害 → 重大: 二级"} {
		if !strings.Contains(zh, want) {
			t.Errorf("no %q in\n%s", want, zh)
		}
	}
	for _, want := range []string{"Final level: none (empty cell)", "Working level: Level 1", "From business loss: Level 3", "Reason: Table 2 is empty", "social harm → major: Level 2"} {
		if !strings.Contains(en, want) {
			t.Errorf("no %q in\n%s", want, en)
		}
	}
}

func TestGradeRefusesWrongFactorsByNameAndPrintsNothing(t *testing.T) {
	for _, tt := range []struct {
		args  []string
		field string
	}{
		{[]string{"--importance", "vital", "--harm", "重大"}, "importance"},
		{[]string{"--importance", "重要", "--harm", "严重"}, "social_harm"},
		{[]string{"--importance", "重要", "--loss", "重大"}, "business_loss"},
		{[]string{"--importance", "重要"}, "social_harm"},
	} {
		out, err := grade(t, tt.args...)
		var in *standard.InputError
		if !errors.As(err, &in) || in.Field != tt.field || len(in.Valid) == 0 || out != "" {
			t.Errorf("%v: %q %v", tt.args, out, err)
		}
	}
	if _, err := grade(t, "--importance", "vital", "--harm", "dire"); err == nil || !strings.Contains(err.Error(), "vital") || !strings.Contains(err.Error(), "dire") {
		t.Errorf("both faults are not told: %v", err)
	}
	if _, err := grade(t, "--harm", "重大"); err == nil || !strings.Contains(err.Error(), "importance") {
		t.Errorf("no importance: %v", err)
	}
	if _, err := grade(t, "--importance", "重要", "--harm", "重大", "--lang", "fr"); err == nil {
		t.Error("an unknown language passed")
	}
}

func TestGradeReadsAnotherEditionFromAFolder(t *testing.T) {
	dir := t.TempDir()
	from := filepath.Join("..", "standard", "data")
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(raw), "{column: general, level: 4,", "{column: general, level: 3,")
		if err := os.WriteFile(filepath.Join(dir, e.Name()), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := gradeJSON(t, "--importance", "一般", "--harm", "一般", "--rules", dir); got["level"] != 3.0 {
		t.Errorf("%v", got["level"])
	}
	if err := os.Remove(filepath.Join(dir, "risks.yaml")); err != nil {
		t.Fatal(err)
	}
	out, err := grade(t, "--importance", "一般", "--harm", "一般", "--rules", dir)
	var fault *standard.DataError
	if !errors.As(err, &fault) || fault.File != "risks.yaml" || out != "" {
		t.Errorf("%q %v", out, err)
	}
}
