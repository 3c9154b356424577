package identity_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// askedFor collects the string literals of the Go files under root that look like an action. Internal/house
// follows each literal to where it is asked for; here it is the other direction that matters, so any
// literal counts, and what nobody writes at all cannot be asked for.
func askedFor(t testing.TB, root string) map[string]bool {
	t.Helper()
	action := regexp.MustCompile(`^[a-z]+\.[a-z]+$`)
	out := map[string]bool{}
	if err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			for _, a := range call.Args {
				ast.Inspect(a, func(n ast.Node) bool {
					if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
						if s, err := strconv.Unquote(l.Value); err == nil && action.MatchString(s) && !isRecordEntry(call) {
							out[s] = true
						}
					}
					return true
				})
			}
			return true
		})
		// Constants and variables that hold an action, and composite literals that name one.
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for _, v := range n.Values {
					note(out, action, v)
				}
			case *ast.AssignStmt:
				for _, v := range n.Rhs {
					note(out, action, v)
				}
			}
			return true
		})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func note(out map[string]bool, action *regexp.Regexp, v ast.Expr) {
	if l, ok := v.(*ast.BasicLit); ok && l.Kind == token.STRING {
		if s, err := strconv.Unquote(l.Value); err == nil && action.MatchString(s) {
			out[s] = true
		}
	}
}

// isRecordEntry reports whether a call is tx.Record(…), whose action is a deed, not a permission.
func isRecordEntry(c *ast.CallExpr) bool {
	sel, ok := c.Fun.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "Record"
}

// That each action that is asked for is in the table is held by internal/house; this is the way back: a
// permission that nothing asks for is a promise to an administrator that nobody keeps.
func TestNoRoleHoldsAnActionThatNothingAsksFor(t *testing.T) {
	asked := askedFor(t, "../..")
	for _, a := range identity.Actions() {
		if !asked[a] {
			t.Errorf("an office may %s, and nothing in the code asks for it", a)
		}
	}
	if asked["colour.mix"] || !asked["order.lift"] {
		t.Error("the search finds what is not there, or not what is")
	}
}

// Design section 1: the three administrators are apart, and none of them handles or reads incidents.
func TestAdministratorsDoNotReadIncidentsByOffice(t *testing.T) {
	for _, admin := range []string{"system_admin", "security_admin", "audit_admin"} {
		a := store.Actor{ID: "x", Roles: []string{admin}}
		for _, action := range []string{"incident.read", "incident.handle", "evidence.unmask", "anomaly.read", "complaint.read", "order.issue", "order.lift", "plan.approve"} {
			if identity.May(a, action) {
				t.Errorf("%s may %s", admin, action)
			}
		}
	}
	for _, action := range []string{"incident.declare", "incident.handle", "order.issue", "order.lift", "task.do", "fix.write", "statement.approve", "record.erase", "person.manage"} {
		if identity.May(auditor, action) {
			t.Errorf("the auditor, who changes nothing, may %s", action)
		}
	}
}

func TestARightIsThatOfARoleOrOfTheSystem(t *testing.T) {
	for name, c := range map[string]struct {
		actor  store.Actor
		action string
		key    string
	}{
		"a role that has it":        {officer, "order.issue", ""},
		"a role that has it not":    {officer, "plan.approve", "identity.not_allowed"},
		"one of two roles":          {store.Actor{ID: "x", Roles: []string{"auditor", "management"}}, "plan.approve", ""},
		"a role that is none":       {store.Actor{ID: "x", Roles: []string{"root"}}, "order.issue", "identity.not_allowed"},
		"no role":                   {store.Actor{ID: "x"}, "order.issue", "identity.not_allowed"},
		"an action that is none":    {officer, "", "identity.not_allowed"},
		"the name of an action":     {officer, "order", "identity.not_allowed"},
		"an action in another case": {officer, "Order.Issue", "identity.not_allowed"},
		"nobody with a role":        {store.Actor{Roles: []string{"duty_officer"}}, "order.issue", "identity.unknown"},
		"a part of the system":      {store.System("due"), "anything.at.all", ""},
		"who is called like one":    {store.Actor{ID: "system:due", Roles: []string{"auditor"}}, "order.issue", "identity.not_allowed"},
	} {
		if err := identity.Require(c.actor, c.action); (err == nil) != (c.key == "") || err != nil && !fault.Is(err, c.key) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
