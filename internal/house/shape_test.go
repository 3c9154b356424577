package house

import (
	"go/ast"
	"sort"
	"strconv"
	"testing"
)

const (
	longestFile = 800 // lines
	longestMain = 40
)

var emptyNames = map[string]bool{"util": true, "utils": true, "common": true, "helper": true, "helpers": true, "model": true, "models": true, "types": true, "misc": true, "shared": true, "lib": true}

func checkShape(files []goFile) []string {
	var out []string
	for _, f := range files {
		if f.lines > longestFile {
			out = append(out, f.path+": "+strconv.Itoa(f.lines)+" lines, the limit is "+strconv.Itoa(longestFile))
		}
		if within(f.dir, "cmd") && !f.test && f.lines >= longestMain {
			out = append(out, f.path+": main has "+strconv.Itoa(f.lines)+" lines and stays under "+strconv.Itoa(longestMain))
		}
		if emptyNames[f.ast.Name.Name] {
			out = append(out, f.path+": package "+f.ast.Name.Name+" says nothing of what it holds")
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				out = append(out, f.at(fn)+": init runs before anyone asked for it")
			}
		}
	}
	sort.Strings(out)
	return out
}

func TestFilesAndPackagesKeepTheirShape(t *testing.T) {
	report(t, "house rules", checkShape(goFiles(t)))
}

func TestTheLawOfShapeFindsWhatBreaksIt(t *testing.T) {
	lines := func(n int) string {
		s := "package p\n"
		for range n - 1 {
			s += "// a line\n"
		}
		return s
	}
	for name, c := range map[string]struct {
		file, src string
		breaches  int
	}{
		"init":                         {"internal/a/a.go", "package a\nfunc init() {}\n", 1},
		"a method named init":          {"internal/a/a.go", "package a\ntype T int\nfunc (T) init() {}\n", 0},
		"a package named after naught": {"internal/helpers/a.go", "package helpers\n", 1},
		"a long file":                  {"internal/a/a.go", lines(longestFile + 1), 1},
		"a file just short enough":     {"internal/a/a.go", lines(longestFile), 0},
		"a long main":                  {"cmd/fengsui/main.go", lines(longestMain), 1},
		"a short main":                 {"cmd/fengsui/main.go", lines(longestMain - 1), 0},
	} {
		if got := checkShape(tree(t, map[string]string{c.file: c.src})); len(got) != c.breaches {
			t.Errorf("%s: %q", name, got)
		}
	}
}
