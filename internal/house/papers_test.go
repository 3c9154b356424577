package house

import (
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
)

var (
	mdLink   = regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)
	mdMake   = regexp.MustCompile("(?m)(?:`|^)make ([a-z]+)")
	mkTarget = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)
)

// checkPaper finds links that lead nowhere and make targets that do not exist.
func checkPaper(name, text string, exists func(path string) bool, targets map[string]bool) []string {
	var out []string
	for _, m := range mdLink.FindAllStringSubmatch(text, -1) {
		if link := m[1]; !strings.Contains(link, "://") && !exists(filepath.ToSlash(filepath.Join(filepath.Dir(name), link))) {
			out = append(out, name+": the link to "+link+" leads nowhere")
		}
	}
	for _, m := range mdMake.FindAllStringSubmatch(text, -1) {
		if !targets[m[1]] {
			out = append(out, name+": there is no target make "+m[1])
		}
	}
	return out
}

func TestThePapersPointToWhatIsThere(t *testing.T) {
	base := root(t)
	mk, err := os.ReadFile(filepath.Join(base, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, m := range mkTarget.FindAllStringSubmatch(string(mk), -1) {
		targets[m[1]] = true
	}
	for _, promised := range []string{"run", "test", "check", "bench", "lint", "torture", "build", "clean", "help"} {
		if !targets[promised] {
			t.Errorf("the Makefile has no target %s", promised)
		}
	}
	exists := func(p string) bool { _, err := os.Stat(filepath.Join(base, filepath.FromSlash(p))); return err == nil }
	var out []string
	ours(t, func(name string, content []byte) {
		if strings.HasSuffix(name, ".md") {
			out = append(out, checkPaper(name, string(content), exists, targets)...)
		}
	})
	sort.Strings(out)
	report(t, "papers", out)
	for _, opens := range []string{"README.md", "README.zh-CN.md"} {
		raw, err := os.ReadFile(filepath.Join(base, opens))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitN(string(raw), "\n", 16)
		if head := strings.Join(lines[:15], "\n"); !strings.Contains(head, "\nmake run") || !strings.Contains(head, "\nmake test") {
			t.Errorf("%s does not open with make run and make test", opens)
		}
	}
}

func TestAPaperThatPointsNowhereIsFound(t *testing.T) {
	nowhere := func(string) bool { return false }
	for text, n := range map[string]int{
		"see [a](docs/gone.md)": 1, "see [a](https://example.com)": 0, "run `make gone`": 1, "run `make run`": 0, "```\nmake gone\n```": 1,
		"we make good things": 0,
	} {
		if got := checkPaper("README.md", text, nowhere, map[string]bool{"run": true}); len(got) != n {
			t.Errorf("%q: %q", text, got)
		}
	}
}
