package house

import (
	"go/ast"
	"sort"
	"testing"
)

// machineTime lists the files that may ask the machine for the time, each with its reason. Everything else
// is handed a clock.Clock, so that tests travel instead of sleeping and no deadline depends on two clocks.
var machineTime = map[string]string{
	"internal/platform/clock/clock.go":   "is the clock",
	"internal/api/events.go":             "the kernel compares socket deadlines with the machine's clock",
	"internal/platform/health/health.go": "measures how long a probe took, which is no time of the domain",
	"internal/monitor/gateway/link.go":   "the kernel compares socket deadlines with the machine's clock",
	"internal/monitor/gateway/pump.go":   "moves socket timers, at most ten times a second",
	"internal/monitor/gateway/serve.go":  "the kernel compares socket deadlines with the machine's clock",
}

// checkClock finds calls and uses of time.Now, time.Since and time.Until in product code.
func checkClock(files []goFile, allowed map[string]string) []string {
	var out []string
	used := map[string]bool{}
	for _, f := range files {
		if f.test || within(f.dir, "e2e") || within(f.dir, "bench") || within(f.dir, "internal/simulate") || within(f.dir, "cmd") {
			continue
		}
		name := f.local("time")
		if name == "" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if !ok || pkg.Name != name {
				return true
			}
			switch sel.Sel.Name {
			case "Now", "Since", "Until":
				used[f.path] = true
				if allowed[f.path] == "" {
					out = append(out, f.at(sel)+": time."+sel.Sel.Name+" instead of the injected clock")
				}
			}
			return true
		})
	}
	for p := range allowed {
		if !used[p] {
			out = append(out, p+": does not ask the machine for the time any more; take it off the list")
		}
	}
	sort.Strings(out)
	return out
}

func TestOnlyTheClockKnowsTheTime(t *testing.T) {
	report(t, "one clock", checkClock(goFiles(t), machineTime))
}

func TestTheClockLawFindsEachWayOfAskingTheMachine(t *testing.T) {
	for name, src := range map[string]string{
		"a call":           "package p\nimport \"time\"\nvar a = time.Now()\n",
		"a function value": "package p\nimport \"time\"\nvar a = time.Now\n",
		"another name":     "package p\nimport t \"time\"\nvar a = t.Now()\n",
		"since":            "package p\nimport \"time\"\nvar a = time.Since(time.Time{})\n",
	} {
		if len(checkClock(tree(t, map[string]string{"internal/respond/incident/a.go": src}), nil)) == 0 {
			t.Errorf("%s was not found", name)
		}
	}
	free := tree(t, map[string]string{"internal/respond/incident/a_test.go": "package p\nimport \"time\"\nvar a = time.Now()\n"})
	if got := checkClock(free, nil); len(got) != 0 {
		t.Errorf("a test may ask the machine: %q", got)
	}
	if got := checkClock(nil, map[string]string{"internal/a.go": "gone"}); len(got) != 1 {
		t.Errorf("a stale exception was not found: %q", got)
	}
}
