//lint:file-ignore SA1019 names are followed here, not types: types would need a build of the whole tree

package house

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

// sink is a place in which a string gets a meaning: an argument of a function, or a field of a struct.
// Pkg is relative to the root. Where a function only passes on its own parameter, that parameter becomes a
// sink too, so that helpers do not hide what reaches them.
type sink struct {
	pkg, name string
	arg       int    // for a function
	field     string // for a struct type; empty for a function
	closure   bool   // the function is handed around as a parameter of this name
}

// use is a literal that reaches a sink, or the beginning of one when the rest is put together at run time.
type use struct {
	value string
	begin bool
	at    string
}

type funcKey struct{ pkg, name string }

// tracer follows literals to sinks, by syntax alone: constants of the same package and of imported ones are
// resolved, and parameters are followed to the callers.
type tracer struct {
	files   []goFile
	consts  map[funcKey]string   // by package and name
	calls   map[funcKey][]int    // function sinks
	methods map[string][]funcKey // method sinks by name, for calls on values of other packages
	fields  map[funcKey][]string // by package and type
	names   map[string]bool      // field names of struct sinks
	// closure sinks by package and name, and the packages that have one: there the parameter of a closure
	// is no riddle
	closures map[funcKey][]int
	handed   map[string]bool
	local    map[*ast.Object][]int // closures in a variable, by that variable
}

// trace gives all uses, and the places where what reaches a sink could not be told.
func trace(files []goFile, sinks []sink) (uses []use, untold []string) {
	t := &tracer{files: files, consts: constants(files), calls: map[funcKey][]int{}, methods: map[string][]funcKey{}, fields: map[funcKey][]string{}, names: map[string]bool{}, closures: map[funcKey][]int{}, handed: map[string]bool{}, local: map[*ast.Object][]int{}}
	for _, s := range sinks {
		k := funcKey{s.pkg, s.name}
		if s.field != "" {
			t.fields[k] = append(t.fields[k], s.field)
			t.names[s.field] = true
			continue
		}
		if s.closure {
			t.closures[k] = append(t.closures[k], s.arg)
			t.handed[s.pkg] = true
			continue
		}
		t.addCall(k, s.arg)
	}
	for {
		grew := false
		uses, untold = nil, nil
		for _, f := range t.files {
			if f.test {
				continue
			}
			u, no, more := t.file(f)
			uses, untold = append(uses, u...), append(untold, no...)
			grew = grew || more
		}
		if !grew {
			return uses, untold
		}
	}
}

func (t *tracer) addCall(k funcKey, arg int) bool {
	if slices.Contains(t.calls[k], arg) {
		return false
	}
	t.calls[k] = append(t.calls[k], arg)
	t.methods[k.name] = append(t.methods[k.name], k)
	return true
}

func constants(files []goFile) map[funcKey]string {
	out := map[funcKey]string{}
	for _, f := range files {
		for _, d := range f.ast.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				v, ok := s.(*ast.ValueSpec)
				if !ok {
					continue
				}
				for i, n := range v.Names {
					if i < len(v.Values) {
						if lit, ok := v.Values[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
							out[funcKey{f.dir, n.Name}], _ = strconv.Unquote(lit.Value)
						}
					}
				}
			}
		}
	}
	return out
}

// file looks at every function and every initial value of f.
func (t *tracer) file(f goFile) (uses []use, untold []string, grew bool) {
	for _, d := range f.ast.Decls {
		fn, _ := d.(*ast.FuncDecl)
		name := ""
		if fn != nil {
			name = fn.Name.Name
		}
		local := localClosures(d)
		reach := func(e ast.Expr) {
			if c, ok := closureParameter(e, local); ok {
				grew = t.addLocal(c) || grew
				return
			}
			if i, ok := parameter(e, fn); ok {
				grew = t.addCall(funcKey{f.dir, name}, i) || grew
				return
			}
			u, ok := t.value(f, d, e)
			if !ok {
				untold = append(untold, f.at(e)+": what is said here cannot be told from the code")
				return
			}
			uses = append(uses, u...)
		}
		ast.Inspect(d, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				for _, i := range t.sinkArgs(f, n) {
					if i < len(n.Args) {
						reach(n.Args[i])
					}
				}
			case *ast.AssignStmt:
				for i, lhs := range n.Lhs {
					if sel, ok := lhs.(*ast.SelectorExpr); ok && t.ownField(f.dir, sel.Sel.Name) && len(n.Rhs) == len(n.Lhs) {
						reach(n.Rhs[i])
					}
				}
			case *ast.CompositeLit:
				for _, field := range t.sinkFields(f, n.Type) {
					for _, e := range n.Elts {
						if kv, ok := e.(*ast.KeyValueExpr); ok {
							if id, ok := kv.Key.(*ast.Ident); ok && id.Name == field {
								reach(kv.Value)
							}
						}
					}
				}
			}
			return true
		})
	}
	return uses, untold, grew
}

// closure is a parameter of a function that stands in a local variable.
type closure struct {
	variable *ast.Object
	arg      int
}

// localClosures maps the parameters of all closures in d that are put into a variable.
func localClosures(d ast.Decl) map[*ast.Object]closure {
	out := map[*ast.Object]closure{}
	ast.Inspect(d, func(n ast.Node) bool {
		set, ok := n.(*ast.AssignStmt)
		if !ok || len(set.Lhs) != len(set.Rhs) {
			return true
		}
		for i, rhs := range set.Rhs {
			lit, isFunc := rhs.(*ast.FuncLit)
			name, isName := set.Lhs[i].(*ast.Ident)
			if !isFunc || !isName || name.Obj == nil {
				continue
			}
			arg := 0
			for _, p := range lit.Type.Params.List {
				for _, n := range p.Names {
					out[n.Obj] = closure{name.Obj, arg}
					arg++
				}
			}
		}
		return true
	})
	return out
}

func closureParameter(e ast.Expr, local map[*ast.Object]closure) (closure, bool) {
	id, ok := e.(*ast.Ident)
	if !ok || id.Obj == nil {
		return closure{}, false
	}
	c, ok := local[id.Obj]
	return c, ok
}

func (t *tracer) addLocal(c closure) bool {
	if slices.Contains(t.local[c.variable], c.arg) {
		return false
	}
	t.local[c.variable] = append(t.local[c.variable], c.arg)
	return true
}

// ownField tells whether a struct of pkg has a sink of this name.
func (t *tracer) ownField(pkg, field string) bool {
	for k, fields := range t.fields {
		if k.pkg == pkg && slices.Contains(fields, field) {
			return true
		}
	}
	return false
}

// parameter is the place of e among the parameters of fn, if e is one.
func parameter(e ast.Expr, fn *ast.FuncDecl) (int, bool) {
	id, ok := e.(*ast.Ident)
	if !ok || id.Obj == nil || fn == nil {
		return 0, false
	}
	i := 0
	for _, p := range fn.Type.Params.List {
		for _, n := range p.Names {
			if n.Obj == id.Obj {
				return i, true
			}
			i++
		}
		if len(p.Names) == 0 {
			i++
		}
	}
	return 0, false
}

// value is all that e, somewhere in d, can say: literals, or their beginnings. A field that is itself a
// sink was checked where it was filled.
func (t *tracer) value(f goFile, d ast.Decl, e ast.Expr) ([]use, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return []use{{value: s, at: f.at(e)}}, err == nil
	case *ast.ParenExpr:
		return t.value(f, d, e.X)
	case *ast.Ident:
		if s, ok := t.consts[funcKey{f.dir, e.Name}]; ok {
			return []use{{value: s, at: f.at(e)}}, true
		}
		return t.variable(f, d, e)
	case *ast.SelectorExpr:
		if pkg := t.imported(f, e.X); pkg != "" {
			s, ok := t.consts[funcKey{pkg, e.Sel.Name}]
			return []use{{value: s, at: f.at(e)}}, ok
		}
		if t.names[e.Sel.Name] {
			return nil, true
		}
		return t.column(f, d, e)
	case *ast.BinaryExpr:
		left, ok := t.value(f, d, e.X)
		if !ok || e.Op != token.ADD || len(left) != 1 {
			return nil, false
		}
		if right, ok := t.value(f, d, e.Y); ok && len(right) == 1 && !left[0].begin {
			return []use{{value: left[0].value + right[0].value, begin: right[0].begin, at: f.at(e)}}, true
		}
		left[0].begin = true
		return left, left[0].value != ""
	case *ast.CallExpr: // fmt.Sprintf("level.%d", n)
		sel, ok := e.Fun.(*ast.SelectorExpr)
		if !ok || sel.Sel.Name != "Sprintf" || len(e.Args) == 0 {
			return nil, false
		}
		out, ok := t.value(f, d, e.Args[0])
		if !ok || len(out) != 1 {
			return nil, false
		}
		out[0].value, _, out[0].begin = strings.Cut(out[0].value, "%")
		return out, out[0].value != ""
	}
	return nil, false
}

// variable is all that is ever put into a local variable. The parameter of a closure is told where the
// closure is called, in packages with a closure among their sinks.
func (t *tracer) variable(f goFile, d ast.Decl, id *ast.Ident) ([]use, bool) {
	if id.Obj == nil {
		return nil, false
	}
	if _, isParam := id.Obj.Decl.(*ast.Field); isParam {
		return nil, t.handed[f.dir]
	}
	var out []use
	found, ok := false, true
	put := func(names []ast.Expr, values []ast.Expr) {
		for i, n := range names {
			if name, is := n.(*ast.Ident); is && name.Obj == id.Obj {
				found = true
				if len(values) != len(names) {
					ok = false
					continue
				}
				u, told := t.value(f, d, values[i])
				out, ok = append(out, u...), ok && told
			}
		}
	}
	ast.Inspect(d, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok == token.ASSIGN || n.Tok == token.DEFINE {
				put(n.Lhs, n.Rhs)
			} else if name, is := n.Lhs[0].(*ast.Ident); is && name.Obj == id.Obj {
				ok = false
			}
		case *ast.ValueSpec:
			names := make([]ast.Expr, len(n.Names))
			for i, name := range n.Names {
				names[i] = name
			}
			if len(n.Values) > 0 {
				put(names, n.Values)
			}
		}
		return true
	})
	return out, found && ok
}

// column is a field of the variable of a loop over a table that is written out in the loop's head.
func (t *tracer) column(f goFile, d ast.Decl, e *ast.SelectorExpr) ([]use, bool) {
	row, ok := e.X.(*ast.Ident)
	if !ok || row.Obj == nil {
		return nil, false
	}
	var out []use
	found, told := false, true
	ast.Inspect(d, func(n ast.Node) bool {
		loop, ok := n.(*ast.RangeStmt)
		if !ok {
			return true
		}
		v, ok := loop.Value.(*ast.Ident)
		table, isTable := loop.X.(*ast.CompositeLit)
		if !ok || v.Obj != row.Obj || !isTable {
			return true
		}
		array, ok := table.Type.(*ast.ArrayType)
		if !ok {
			return true
		}
		shape, ok := array.Elt.(*ast.StructType)
		if !ok {
			return true
		}
		place, i := -1, 0
		for _, field := range shape.Fields.List {
			for _, name := range field.Names {
				if name.Name == e.Sel.Name {
					place = i
				}
				i++
			}
		}
		for _, elt := range table.Elts {
			cells, ok := elt.(*ast.CompositeLit)
			if !ok {
				told = false
				continue
			}
			for i, cell := range cells.Elts {
				here := i == place
				if kv, keyed := cell.(*ast.KeyValueExpr); keyed {
					key, isName := kv.Key.(*ast.Ident)
					here, cell = isName && key.Name == e.Sel.Name, kv.Value
				}
				if here {
					u, ok := t.value(f, d, cell)
					out, told = append(out, u...), told && ok
					found = true
				}
			}
		}
		return true
	})
	return out, found && told
}

// imported is the package of ours that x names in f; empty if x names none.
func (t *tracer) imported(f goFile, x ast.Expr) string {
	id, ok := x.(*ast.Ident)
	if !ok {
		return ""
	}
	for _, im := range f.ast.Imports {
		full, _ := strconv.Unquote(im.Path.Value)
		if !within(full, module) {
			continue
		}
		name := path.Base(full)
		if im.Name != nil {
			name = im.Name.Name
		}
		if name == id.Name {
			return strings.TrimPrefix(strings.TrimPrefix(full, module), "/")
		}
	}
	return ""
}

func (t *tracer) sinkArgs(f goFile, call *ast.CallExpr) []int {
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		k := funcKey{f.dir, fun.Name}
		if fun.Obj != nil {
			if _, isParam := fun.Obj.Decl.(*ast.Field); isParam {
				return t.closures[k]
			}
			if _, isVariable := fun.Obj.Decl.(*ast.AssignStmt); isVariable {
				return t.local[fun.Obj]
			}
		}
		return t.calls[k]
	case *ast.SelectorExpr:
		if pkg := t.imported(f, fun.X); pkg != "" {
			return t.calls[funcKey{pkg, fun.Sel.Name}]
		}
		if id, ok := fun.X.(*ast.Ident); ok && id.Obj == nil && importsAs(f, id.Name) {
			return nil // a foreign package
		}
		// A method: of this package, or an exported one of a package that f can see.
		var out []int
		for _, k := range t.methods[fun.Sel.Name] {
			if k.pkg == f.dir || (ast.IsExported(k.name) && f.local(module+"/"+k.pkg) != "") {
				out = append(out, t.calls[k]...)
			}
		}
		return out
	}
	return nil
}

func importsAs(f goFile, name string) bool {
	for _, im := range f.ast.Imports {
		full, _ := strconv.Unquote(im.Path.Value)
		if (im.Name != nil && im.Name.Name == name) || (im.Name == nil && path.Base(full) == name) {
			return true
		}
	}
	return false
}

func (t *tracer) sinkFields(f goFile, typ ast.Expr) []string {
	switch typ := typ.(type) {
	case *ast.Ident:
		return t.fields[funcKey{f.dir, typ.Name}]
	case *ast.SelectorExpr:
		if pkg := t.imported(f, typ.X); pkg != "" {
			return t.fields[funcKey{pkg, typ.Sel.Name}]
		}
	}
	return nil
}
