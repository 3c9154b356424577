package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func wordsFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "words.tsv")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func runInspect(t *testing.T, args ...string) (inspectReport, string) {
	t.Helper()
	var out, wrong bytes.Buffer
	if code := Main(append([]string{"inspect", "--json"}, args...), &out, &wrong); code != 0 {
		return inspectReport{}, wrong.String()
	}
	var r inspectReport
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	return r, ""
}

func TestInspectTellsWhatTheGatewayWouldRelease(t *testing.T) {
	words := wordsFile(t, "# a list\n测试违禁\tremark\ncat\n")
	for _, c := range []struct {
		name, text, released string
		args                 []string
		matches              int
	}{
		{"as it is", "前测試违禁后", "前****后", nil, 1},
		{"disguised, but nobody asked", "测-试-违-禁", "测-试-违-禁", nil, 0},
		{"disguised", "测-试-违-禁 侧试违禁", "*******　****", []string{"--disguise"}, 2},
		{"a part of a word", "concat", "concat", []string{"--disguise"}, 0},
		{"numbers", "4111 1111 1111 1111", strings.Repeat("*", 19), nil, 1},
		{"no numbers", "4111 1111 1111 1111", "4111 1111 1111 1111", []string{"--numbers", "none"}, 0},
		{"a mobile number", "电话138 0013 8000。", "电话*************。", []string{"--numbers", "cn_mobile"}, 1},
		{"blocked", "前测试违禁后", "前", []string{"--action", "block"}, 1},
		{"in pieces", "前测试违禁后", "前****后", []string{"--stream", "1"}, 1},
	} {
		r, wrong := runInspect(t, append([]string{"--lexicon", words, c.text}, c.args...)...)
		if got := strings.ReplaceAll(r.Released, " ", "　"); wrong != "" || got != strings.ReplaceAll(c.released, " ", "　") || len(r.Matches) != c.matches {
			t.Errorf("%s: released %q, %d matches, %s", c.name, r.Released, len(r.Matches), wrong)
		}
	}
}

func TestInspectExplainsWhyACandidateDidNotFire(t *testing.T) {
	words := wordsFile(t, "id\tterm\tcontexts\tdisguise\nnear\t甲乙\t配方\t\ngap\t丙丁\t\tgap=1\nword\tcat\t\tword\n")
	r, wrong := runInspect(t, "--lexicon", words, "--explain", "甲乙。丙--丁，丙-丁。cats Ｃat")
	if wrong != "" {
		t.Fatal(wrong)
	}
	var got []string
	for _, c := range r.Candidates {
		got = append(got, c.ID+":"+c.Why)
	}
	if want := "near:context gap:gap gap:fired word:word word:fired"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", strings.Join(got, " "), want)
	}
	if r.Strict != "甲乙。丙--丁,丙-丁。cats cat" || r.Loose != "甲乙丙丁丙丁catscat" {
		t.Errorf("folded %q and %q", r.Strict, r.Loose)
	}
}

func TestInspectNamesTheLineThatIsWrong(t *testing.T) {
	for content, want := range map[string]string{
		"term\taction\n甲乙\tshout\n":            "line 2: action",
		"# x\nterm\tdisguise\n甲乙\tinvisible\n": "line 3: disguise",
		"甲乙\n\u200b\n":                         "\"2\": text",
		"term\tdisguise\n甲乙\tsound\n":          "\"2\": sound",
	} {
		_, wrong := runInspect(t, "--lexicon", wordsFile(t, content), "x")
		if !strings.Contains(wrong, want) || strings.Contains(wrong, "甲乙") {
			t.Errorf("%q: %q does not name %s", content, wrong, want)
		}
	}
}
