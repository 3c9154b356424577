// Package house holds the laws of the house: who may import whom, where time comes from, that every
// sentence exists in both languages, and what must never be written into a file of ours. It is tests only.
//
// Each law is a function over a tree, so that its negative control can hand it a tree that breaks it.
package house

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/fengsui/fengsui"

// goFile is one parsed Go file. Path and dir are relative to the root of the repository, with slashes.
type goFile struct {
	path, dir string
	test      bool
	lines     int
	fset      *token.FileSet
	ast       *ast.File
}

// at is "path:line" of a node.
func (f goFile) at(n ast.Node) string {
	p := f.fset.Position(n.Pos())
	return f.path + ":" + strconv.Itoa(p.Line)
}

// local gives the name by which f calls the package at importPath; empty when it does not import it.
func (f goFile) local(importPath string) string {
	for _, im := range f.ast.Imports {
		if strings.Trim(im.Path.Value, `"`) != importPath {
			continue
		}
		if im.Name != nil {
			return im.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

func parse(fset *token.FileSet, name string, src []byte) (goFile, error) {
	f, err := parser.ParseFile(fset, name, src, parser.ParseComments)
	if err != nil {
		return goFile{}, err
	}
	return goFile{path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), lines: bytes.Count(src, []byte("\n")), fset: fset, ast: f}, nil
}

// tree parses made-up files, for negative controls.
func tree(t *testing.T, files map[string]string) []goFile {
	t.Helper()
	fset := token.NewFileSet()
	var out []goFile
	for name, src := range files {
		f, err := parse(fset, name, []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatalf("the root of the repository is not where this test looks for it: %v", err)
	}
	return dir
}

// ours calls visit for every file that belongs to the repository: what .gitignore leaves out and other
// modules' code is not ours. Files under tools/ are another module and come only with everything.
func ours(t *testing.T, visit func(name string, content []byte)) {
	t.Helper()
	base := root(t)
	notOurs := map[string]bool{".git": true, ".cache": true, "bin": true, "data": true, "dist": true}
	err := filepath.WalkDir(base, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(base, p)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if d.IsDir() {
			if notOurs[name] || strings.HasPrefix(name, "data-") || d.Name() == "node_modules" {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || name == ".git" || ignored(name) { // a linked worktree has a file of that name
			return nil
		}
		content, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		visit(name, content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func ignored(name string) bool {
	for _, suffix := range []string{".db", ".db-wal", ".db-shm", ".test", ".out", ".prof"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// goFiles parses every Go file of the main module, whatever its build tags say.
func goFiles(t *testing.T) []goFile {
	t.Helper()
	fset := token.NewFileSet()
	var out []goFile
	ours(t, func(name string, content []byte) {
		if !strings.HasSuffix(name, ".go") || strings.HasPrefix(name, "tools/") || strings.Contains(name, "/testdata/") {
			return
		}
		f, err := parse(fset, name, content)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		out = append(out, f)
	})
	if len(out) < 100 {
		t.Fatalf("only %d Go files were found: the walk misses the tree", len(out))
	}
	return out
}

// report fails the test with every breach, sorted by the caller.
func report(t *testing.T, law string, breaches []string) {
	t.Helper()
	for _, b := range breaches {
		t.Errorf("%s (%s)", b, law)
	}
}
