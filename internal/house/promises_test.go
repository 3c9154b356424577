package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest   = regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")
	definedTest = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(`)
)

// missingTests are the tests that text names and defined does not hold.
func missingTests(text string, defined map[string]bool) (missing []string) {
	for _, m := range namedTest.FindAllStringSubmatch(text, -1) {
		if !defined[m[1]] {
			missing = append(missing, m[1])
		}
	}
	return missing
}

func TestEveryTestThatAPromiseNamesIsThere(t *testing.T) {
	root := filepath.Join("..", "..")
	doc, err := os.ReadFile(filepath.Join(root, "docs", "promises.md"))
	if err != nil {
		t.Fatal(err)
	}
	defined := map[string]bool{}
	for _, top := range []string{"internal", "e2e"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			raw, err := os.ReadFile(path)
			for _, m := range definedTest.FindAllSubmatch(raw, -1) {
				defined[string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if missing := missingTests(string(doc), defined); len(missing) > 0 {
		t.Errorf("docs/promises.md names tests that are not there: %s", strings.Join(missing, ", "))
	}
	rows := regexp.MustCompile(`(?m)^\| (\d+) \|.*Test`).FindAllString(string(doc), -1)
	if len(rows) != 13 {
		t.Errorf("%d of 13 promises have tests", len(rows))
	}
	// The check must be able to fail.
	if got := missingTests("`TestThatNobodyWrote`", defined); len(got) != 1 {
		t.Error("a test that is not there was not missed")
	}
}
