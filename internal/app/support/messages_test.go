package support

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What the archive keeps of a line of the log stands on this: a message is a constant, never put together from what people wrote.
func TestEveryMessageOfTheLogIsAConstantThatTheArchiveKeeps(t *testing.T) {
	seen := 0
	err := filepath.WalkDir("../../../internal", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			at, ok := said(call)
			if !ok {
				return true
			}
			seen++
			lit, ok := call.Args[at].(*ast.BasicLit)
			if !ok {
				t.Errorf("%s: the message is no constant", set.Position(call.Pos()))
				return true
			}
			if text, err := strconv.Unquote(lit.Value); err != nil || !message.MatchString(text) {
				t.Errorf("%s: the archive would leave out %q", set.Position(call.Pos()), text)
			}
			return true
		})
		return nil
	})
	if err != nil || seen < 40 {
		t.Errorf("%v, %d messages", err, seen)
	}
}

// said gives which argument of a call to a logger is its message.
func said(call *ast.CallExpr) (int, bool) {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return 0, false
	}
	name, ctx := strings.CutSuffix(sel.Sel.Name, "Context")
	if !slices.Contains([]string{"Error", "Warn", "Info", "Debug"}, name) {
		return 0, false
	}
	of := ""
	switch x := sel.X.(type) {
	case *ast.Ident:
		of = x.Name
	case *ast.SelectorExpr:
		of = x.Sel.Name
	}
	if !slices.Contains([]string{"log", "Log", "logger", "Logger", "slog"}, of) {
		return 0, false
	}
	at := 0
	if ctx {
		at = 1
	}
	return at, len(call.Args) > at
}
