package house

import (
	"go/ast"
	"go/token"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// writers are the functions and methods that change something, by package: they insert, update, delete or
// append to the record, or call one of their own package that does.
func writers(files []goFile) map[funcKey]bool {
	out := map[funcKey]bool{}
	for {
		grew := false
		for _, f := range files {
			if f.test {
				continue
			}
			for _, d := range f.ast.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || fn.Body == nil || out[funcKey{f.dir, fn.Name.Name}] {
					continue
				}
				ast.Inspect(fn.Body, func(n ast.Node) bool {
					if lit, is := n.(*ast.BasicLit); is && len(statement(lit)) > 0 {
						out[funcKey{f.dir, fn.Name.Name}] = true
						grew = true
					}
					call, ok := n.(*ast.CallExpr)
					if ok && changes(f, call, out) {
						out[funcKey{f.dir, fn.Name.Name}] = true
						grew = true
					}
					return true
				})
			}
		}
		if !grew {
			return out
		}
	}
}

func changes(f goFile, call *ast.CallExpr, known map[funcKey]bool) bool {
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		return known[funcKey{f.dir, fun.Name}]
	case *ast.SelectorExpr:
		switch fun.Sel.Name {
		case "NewInsert", "NewUpdate", "NewDelete":
			return true
		case "Record":
			x, ok := fun.X.(*ast.Ident)
			return ok && x.Name == "tx"
		}
	}
	return false
}

func roomOf(dir string) string {
	for _, r := range rooms {
		if within(dir, r) {
			return r
		}
	}
	return ""
}

// checkWrites finds rooms that change another room through one of its functions. Rooms of one phase may call
// each other; across phases only internal/flow may.
func checkWrites(files []goFile) []string {
	w := writers(files)
	t := &tracer{}
	var out []string
	for _, f := range files {
		here := roomOf(f.dir)
		if here == "" || f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg := t.imported(f, sel.X); pkg != "" && roomOf(pkg) != "" && roomOf(pkg) != here && w[funcKey{pkg, sel.Sel.Name}] {
				out = append(out, f.at(call)+": "+f.dir+" changes "+pkg+" by "+sel.Sel.Name+"; what changes two rooms is a file in internal/flow")
			}
			return true
		})
	}
	sort.Strings(out)
	return out
}

var sqlWrite = regexp.MustCompile(`(?i)\b(?:UPDATE|INSERT\s+(?:OR\s+\w+\s+)?INTO|DELETE\s+FROM)\s+([a-z_]+)`)

// statement gives the tables that a string literal writes as SQL.
func statement(lit *ast.BasicLit) []string {
	if lit.Kind != token.STRING {
		return nil
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		return nil
	}
	first, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	switch strings.ToUpper(strings.TrimSpace(first)) {
	case "UPDATE", "INSERT", "DELETE", "WITH":
	default:
		return nil
	}
	var out []string
	for _, m := range sqlWrite.FindAllStringSubmatch(s, -1) {
		if !strings.EqualFold(m[1], "set") { // ON CONFLICT … DO UPDATE SET
			out = append(out, m[1])
		}
	}
	return out
}

var tableTag = regexp.MustCompile("bun:\"table:([a-z_]+)")

// checkTables finds tables that packages of two places write: those of two phases, or of a room and of
// anything else but the room itself.
func checkTables(files []goFile) []string {
	homes := map[string]map[string]string{} // table, place, where
	for _, f := range files {
		if f.test || !within(f.dir, "internal") || within(f.dir, "internal/house") {
			continue
		}
		if within(f.dir, "internal/platform/telemetry") {
			continue // a database of its own, in which a name may come again
		}
		place := roomOf(f.dir)
		if place == "" {
			place = f.dir
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok {
				return true
			}
			tables := statement(lit)
			if m := tableTag.FindStringSubmatch(lit.Value); m != nil {
				tables = append(tables, m[1])
			}
			for _, table := range tables {
				if homes[table] == nil {
					homes[table] = map[string]string{}
				}
				homes[table][place] = f.at(lit)
			}
			return true
		})
	}
	var out []string
	for table, places := range homes {
		if len(places) > 1 {
			var at []string
			for _, where := range places {
				at = append(at, where)
			}
			sort.Strings(at)
			out = append(out, "table "+table+" is written from "+strings.Join(at, " and "))
		}
	}
	sort.Strings(out)
	return out
}

func TestEachTableHasOnePlaceThatWritesIt(t *testing.T) {
	report(t, "one writer a table", checkTables(goFiles(t)))
}

// erasures is the one file that writes tables it names as data. A lawful erasure overwrites free text in
// the tables of all rooms at once, and one list can be read as a whole and tested to miss no column; a
// dozen functions in a dozen rooms could not.
const erasures = "internal/flow/erasure.go"

var unnamedWrite = regexp.MustCompile(`(?i)^\s*(?:UPDATE|INSERT\s+INTO|DELETE\s+FROM)\s+\?`)

// checkUnnamed finds statements whose table is a placeholder: checkTables cannot see whose it is.
func checkUnnamed(files []goFile) []string {
	var out []string
	for _, f := range files {
		if f.test || f.path == erasures || !within(f.dir, "internal") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil && unnamedWrite.MatchString(s) {
					out = append(out, f.at(lit)+": writes a table without its name")
				}
			}
			return true
		})
	}
	return out
}

func TestOnlyAnErasureWritesATableThatItDoesNotName(t *testing.T) {
	report(t, "one writer a table", checkUnnamed(goFiles(t)))
	const src = "package b\nvar q = \"UPDATE ? SET ? = ?\"\n"
	if got := checkUnnamed(tree(t, map[string]string{"internal/flow/b.go": src, erasures: src})); len(got) != 1 {
		t.Errorf("found: %q", got)
	}
}

func TestATableWithTwoWritersIsFound(t *testing.T) {
	const model = "package incident\ntype T struct { B int `bun:\"table:incident\"` }\n"
	for name, c := range map[string]struct {
		dir, sql string
		breach   bool
	}{
		"another phase":      {"internal/improve/a", "UPDATE incident SET state = ? WHERE id = ?", true},
		"flow":               {"internal/flow", "INSERT INTO incident (id) VALUES (?)", true},
		"the same phase":     {"internal/respond/a", "DELETE FROM incident WHERE id = ?", false},
		"reading":            {"internal/improve/a", "SELECT state FROM incident WHERE id = ?", false},
		"a table of its own": {"internal/improve/a", "INSERT INTO review (id) VALUES (?) ON CONFLICT (id) DO UPDATE SET id = id", false},
	} {
		got := checkTables(tree(t, map[string]string{"internal/respond/incident/a.go": model, c.dir + "/b.go": "package b\nvar q = `" + c.sql + "`\n"}))
		if (len(got) > 0) != c.breach {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestNoRoomChangesARoomOfAnotherPhase(t *testing.T) {
	files := goFiles(t)
	if n := len(writers(files)); n < 50 {
		t.Fatalf("only %d functions that change something were found: the search misses them", n)
	}
	report(t, "rooms only read earlier rooms, design section 3", checkWrites(files))
}

func TestARoomThatChangesAnotherIsFound(t *testing.T) {
	files := func(callee string) []goFile {
		return tree(t, map[string]string{
			"internal/respond/incident/a.go": `package incident
func Get() { tx.NewSelect() }
func Close() { settle() }
func settle() { tx.NewUpdate() }
`,
			"internal/improve/retrospective/a.go": "package retrospective\nimport \"" + module + "/internal/respond/incident\"\nfunc F() { incident." + callee + "() }\n",
		})
	}
	if got := checkWrites(files("Get")); len(got) != 0 {
		t.Errorf("reading was taken for writing: %q", got)
	}
	if got := checkWrites(files("Close")); len(got) != 1 || !strings.Contains(got[0], "retrospective") {
		t.Errorf("a room that changes another was not found: %q", got)
	}
}
