package plan

import (
	"errors"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Flaw is what keeps a document from being a plan, and where: Path as in steps[0].role, "" for the document
// as a whole; Line and Column begin at 1, those of the nearest part that is there.
type Flaw struct {
	Path         string
	Line, Column int
	Fault        *fault.Error
}

// sheet names the document while it is only looked at.
const sheet = "plan"

// Flaw finds the first thing that Parse would refuse, without keeping anything; nil for a sound document.
func (r Rules) Flaw(raw []byte) (*Flaw, error) {
	_, err := r.Parse(sheet, raw)
	if err == nil {
		return nil, nil
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		return nil, err
	}
	out := &Flaw{Line: 1, Column: 1, Fault: f}
	var at yaml.Error
	if syntax := decodeError(raw); errors.As(syntax, &at) && at.GetToken() != nil {
		out.Line, out.Column = at.GetToken().Position.Line, at.GetToken().Position.Column
		return out, nil
	}
	if parts := strings.SplitN(f.Field, ": ", 3); len(parts) == 3 {
		out.Path = parts[2]
	}
	out.Line, out.Column = place(raw, out.Path)
	return out, nil
}

func decodeError(raw []byte) error {
	var p Plan
	return yaml.UnmarshalWithOptions(raw, &p, yaml.Strict())
}

// place finds a path in a document, or the nearest part above it.
func place(raw []byte, path string) (line, column int) {
	doc, err := parser.ParseBytes(raw, 0)
	if err != nil || len(doc.Docs) == 0 || doc.Docs[0].Body == nil {
		return 1, 1
	}
	for path != "" {
		if p, err := yaml.PathString("$." + path); err == nil {
			if n, err := p.FilterFile(doc); err == nil && n != nil {
				return start(n)
			}
		}
		cut := strings.LastIndexAny(path, ".[")
		path = path[:max(cut, 0)]
	}
	return start(doc.Docs[0].Body)
}

func start(n ast.Node) (line, column int) {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		n = m.Values[0].Key // the token of a mapping is its first colon
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line, t.Position.Column
	}
	return 1, 1
}
