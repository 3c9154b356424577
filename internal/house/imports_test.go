package house

import (
	"go/ast"
	"path"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// law says what the packages at and below a path may import of ours, besides themselves. A path in may
// stands for everything below it. The longest matching path of the table rules.
type law struct {
	at    string
	may   []string
	tests []string // what test files may import in addition
}

// leaves are what every room may stand on.
var leaves = []string{"internal/standard", "internal/inspect", "internal/service", "internal/posture"}

// The rooms in the order of the loop: each may read the earlier ones, never a later one. What changes two
// rooms is a file in internal/flow.
var rooms = []string{"internal/prepare", "internal/monitor", "internal/respond", "internal/improve"}

func join(lists ...[]string) []string {
	var out []string
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

func laws() []law {
	platform := []string{"internal/platform"}
	simulated := []string{"internal/simulate"}
	out := []law{
		// Libraries for strangers: nothing of ours, so that they can be taken out and used elsewhere.
		{at: "internal/standard"},
		{at: "internal/inspect"},
		// A gateway obeys a posture far from any store: of the platform only how errors and time are said.
		{at: "internal/posture", may: []string{"internal/standard", "internal/inspect", "internal/platform/fault", "internal/platform/clock"}},
		{at: "internal/service", may: join(platform, []string{"internal/standard"})},
		{at: "internal/simulate", may: []string{"internal/platform/clock"}},
		{at: "internal/platform"},
	}
	for i, room := range rooms {
		out = append(out, law{at: room, may: join(leaves, platform, rooms[:i]), tests: simulated})
	}
	// What governs looks at every room and changes none.
	out = append(out, law{at: "internal/govern", may: join(leaves, platform, rooms)})
	inner := join(leaves, platform, rooms, []string{"internal/govern"})
	out = append(out,
		law{at: "internal/flow", may: inner, tests: simulated},
		law{at: "internal/api", may: join(inner, []string{"internal/flow"}), tests: join(simulated, []string{"internal/app"})},
		law{at: "internal/app", may: join(inner, []string{"internal/flow", "internal/api"}, simulated, []string{"web"})},
		law{at: "web"},
		// A command speaks to a server through the API's own list of operations, starts one, or works on files
		// without one (verify, backup, restore). It does not reach into rooms or past the flows; of the drill it
		// has the runner, which is a client of the API, see checkHalves.
		law{at: "internal/cli", may: join([]string{"internal/app", "internal/api", "internal/prepare/drill"}, leaves, platform, simulated)},
		law{at: "cmd", may: []string{"internal/cli"}},
		law{at: "internal/house", tests: platform},
		law{at: "e2e", may: []string{"internal"}},
		law{at: "bench", may: []string{"internal", "e2e"}},
	)
	return out
}

func within(pkg, at string) bool { return pkg == at || strings.HasPrefix(pkg, at+"/") }

func ruleFor(pkg string, table []law) (law, bool) {
	best, found := law{}, false
	for _, l := range table {
		if within(pkg, l.at) && (!found || len(l.at) > len(best.at)) {
			best, found = l, true
		}
	}
	return best, found
}

func checkImports(files []goFile, table []law) []string {
	var out []string
	homeless := map[string]bool{}
	for _, f := range files {
		l, ok := ruleFor(f.dir, table)
		if !ok {
			homeless[f.dir] = true
			continue
		}
		may := join([]string{l.at}, l.may)
		if f.test {
			may = join(may, l.tests)
		}
		for _, im := range f.ast.Imports {
			full, err := strconv.Unquote(im.Path.Value)
			if err != nil || !within(full, module) {
				continue
			}
			pkg := strings.TrimPrefix(strings.TrimPrefix(full, module), "/")
			allowed := false
			for _, m := range may {
				allowed = allowed || within(pkg, m)
			}
			if !allowed {
				out = append(out, f.at(im)+": "+f.dir+" must not import "+pkg)
			}
		}
	}
	for dir := range homeless {
		out = append(out, dir+": this package has no place in the table of laws; give it one")
	}
	sort.Strings(out)
	return out
}

func TestEveryPackageImportsOnlyWhatItsPlaceInTheHouseAllows(t *testing.T) {
	report(t, "import law, design section 3", checkImports(goFiles(t), laws()))
}

func TestTheImportLawFindsEachWayOfBreakingIt(t *testing.T) {
	imports := func(pkgs ...string) string {
		src := "package p\n"
		for _, p := range pkgs {
			src += "import _ \"" + module + "/" + p + "\"\n"
		}
		return src
	}
	for _, c := range []struct {
		name, file, of string
		breach         bool
	}{
		{"a library imports the platform", "internal/standard/a.go", "internal/platform/fault", true},
		{"a library's test imports the platform", "internal/inspect/a_test.go", "internal/platform/clock", true},
		{"the platform imports a room", "internal/platform/store/a.go", "internal/respond/incident", true},
		{"the platform imports a leaf", "internal/platform/record/a.go", "internal/service", true},
		{"an earlier room imports a later one", "internal/monitor/anomaly/a.go", "internal/respond/incident", true},
		{"an earlier room's test imports a later one", "internal/monitor/anomaly/a_test.go", "internal/respond/incident", true},
		{"a room imports flow", "internal/respond/incident/a.go", "internal/flow", true},
		{"a room imports the API", "internal/respond/incident/a.go", "internal/api", true},
		{"a posture reads the store", "internal/posture/a.go", "internal/platform/store", true},
		{"the API imports the wiring", "internal/api/a.go", "internal/app", true},
		{"a command reaches into a room", "internal/cli/a.go", "internal/respond/incident", true},
		{"a command goes round the API", "internal/cli/a.go", "internal/flow", true},
		{"main reaches past the commands", "cmd/fengsui/a.go", "internal/app", true},
		{"product code starts the simulated model in a room", "internal/monitor/gateway/a.go", "internal/simulate", true},
		{"a folder that nobody named", "internal/misc/a.go", "internal/standard", true},
		{"a name that only begins alike", "internal/platformer/a.go", "internal/standard", true},

		{"a later room reads an earlier one", "internal/improve/retrospective/a.go", "internal/respond/incident", false},
		{"rooms of one phase", "internal/respond/evaluation/a.go", "internal/respond/incident", false},
		{"flow crosses rooms", "internal/flow/a.go", "internal/improve/retrospective", false},
		{"a room's test uses the simulated model", "internal/monitor/gateway/a_test.go", "internal/simulate", false},
		{"the API's test wires a server", "internal/api/a_test.go", "internal/app", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := checkImports(tree(t, map[string]string{c.file: imports(c.of)}), laws())
			if (len(got) > 0) != c.breach {
				t.Errorf("%s imports %s: breaches %q", c.file, c.of, got)
			}
		})
	}
}

// checkHalves holds internal/cli to the client half of internal/prepare/drill: names that are declared in
// files which know neither store nor identity.
func checkHalves(files []goFile) []string {
	const pkg, user = "internal/prepare/drill", "internal/cli"
	server := map[string]bool{}
	for _, f := range files {
		if f.dir != pkg || f.test || (f.local(module+"/internal/platform/store") == "" && f.local(module+"/internal/platform/identity") == "") {
			continue
		}
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				server[d.Name.Name] = true
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						server[s.Name.Name] = true
					case *ast.ValueSpec:
						for _, n := range s.Names {
							server[n.Name] = true
						}
					}
				}
			}
		}
	}
	var out []string
	for _, f := range files {
		name := f.local(module + "/" + pkg)
		if f.dir != user || f.test || name == "" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == name && server[sel.Sel.Name] {
					out = append(out, f.at(sel)+": drill."+sel.Sel.Name+" belongs to the server; a command is a client")
				}
			}
			return true
		})
	}
	sort.Strings(out)
	return out
}

func TestACommandRunsADrillAsAClient(t *testing.T) {
	report(t, "import law, design section 3", checkHalves(goFiles(t)))

	store := "import \"" + module + "/internal/platform/store\"\n"
	made := func(use string) []goFile {
		return tree(t, map[string]string{
			"internal/prepare/drill/runner.go": "package drill\nfunc Run() {}\n",
			"internal/prepare/drill/start.go":  "package drill\n" + store + "func Start() { store.Open() }\n",
			"internal/cli/drill.go":            "package cli\nimport \"" + module + "/internal/prepare/drill\"\nvar a = drill." + use + "\n",
		})
	}
	if got := checkHalves(made("Run")); len(got) != 0 {
		t.Errorf("the runner was refused: %q", got)
	}
	if got := checkHalves(made("Start")); len(got) != 1 {
		t.Errorf("the server half was let pass: %q", got)
	}
}

// Rooms that no law names would be free; the table and the tree must stay in step.
func TestTheTableNamesNoPlaceTwice(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range laws() {
		if seen[l.at] || path.Clean(l.at) != l.at {
			t.Errorf("%s stands in the table twice, or is not a clean path", l.at)
		}
		seen[l.at] = true
	}
}
