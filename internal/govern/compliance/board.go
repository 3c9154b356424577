// Package compliance is the board on which every clause of the guide is a row: what satisfies it here, what
// this instance can show for it, and what is missing. The rows are data (clauses.yaml), in our own words;
// the proof is looked for in the database each time the board is read. What is not built is a gap, whatever
// else is in order.
package compliance

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/standard"
)

//go:embed clauses.yaml
var clausesYAML []byte

// Words is a sentence in both languages.
type Words struct {
	ZH string `yaml:"zh" json:"zh"`
	EN string `yaml:"en" json:"en"`
}

// Clause is one row as data. Evidence is "children" for a heading, "unbuilt" for what nothing here does, or
// a query with its arguments.
type Clause struct {
	Clause   string `yaml:"clause"`
	Name     Words  `yaml:"name"`
	Evidence string `yaml:"evidence"`
	By       Words  `yaml:"by"`
	Limit    Words  `yaml:"limit"`
}

type says struct {
	Gap     Words `yaml:"gap"`
	Lacking Words `yaml:"lacking"`
}

// Status of a row.
type Status string

// The statuses. A heading whose clauses differ is partial.
const (
	Satisfied     Status = "satisfied"
	Partial       Status = "partial"
	Gap           Status = "gap"
	NotApplicable Status = "not_applicable"
)

// Row is one clause as it stands now. Query names how the proof was looked for. AtMs is its date, 0 where it
// has none; ObjectKind and ObjectID lead to it, "" where it is no single thing or one that not every reader
// of the board may open. Gaps says in sentences what is missing.
type Row struct {
	Clause     string  `json:"clause"`
	Depth      int     `json:"depth"` // 0 for a chapter
	Name       Words   `json:"name"`
	By         Words   `json:"by"`
	Query      string  `json:"query"`
	Status     Status  `json:"status"`
	ObjectKind string  `json:"object_kind"`
	ObjectID   string  `json:"object_id"`
	AtMs       int64   `json:"at_ms"`
	Gaps       []Words `json:"gaps"`
}

// Board is every row in the order of the guide. Totals counts the rows that are no headings.
type Board struct {
	NowMs   int64          `json:"now_ms"`
	Edition string         `json:"edition"`
	Totals  map[Status]int `json:"totals"`
	Rows    []Row          `json:"rows"`
}

// Guide is the edition whose clauses the board lists.
const Guide = "TC260-PG-202515A@V1.0-202509"

const (
	children = "children"
	unbuilt  = "unbuilt"
)

// Clauses reads the rows that ship, checked: each has its words, and its query exists.
func Clauses() ([]Clause, error) {
	list, _, err := read()
	return list, err
}

func read() ([]Clause, map[string]says, error) {
	var doc struct {
		Clauses []Clause        `yaml:"clauses"`
		Queries map[string]says `yaml:"queries"`
	}
	if err := yaml.UnmarshalWithOptions(clausesYAML, &doc, yaml.Strict()); err != nil {
		return nil, nil, fmt.Errorf("clauses.yaml: %w", err)
	}
	seen := map[string]bool{}
	for _, c := range doc.Clauses {
		name, _ := c.query()
		_, known := queries[name]
		_, worded := doc.Queries[name]
		switch {
		case seen[c.Clause]:
			return nil, nil, fmt.Errorf("clauses.yaml: %s is there twice", c.Clause)
		case c.Name.ZH == "" || c.Name.EN == "" || (c.By.ZH == "") != (c.By.EN == "") || (c.Limit.ZH == "") != (c.Limit.EN == ""):
			return nil, nil, fmt.Errorf("clauses.yaml: %s lacks words", c.Clause)
		case name == unbuilt && c.Limit.ZH == "":
			return nil, nil, fmt.Errorf("clauses.yaml: %s does not say what is missing", c.Clause)
		case name != unbuilt && name != children && (!known || !worded || c.By.ZH == ""):
			return nil, nil, fmt.Errorf("clauses.yaml: %s: the query %q is not known, or says nothing", c.Clause, name)
		}
		seen[c.Clause] = true
	}
	return doc.Clauses, doc.Queries, nil
}

func (c Clause) query() (name string, args []string) {
	f := strings.Fields(c.Evidence)
	if len(f) == 0 {
		return "", nil
	}
	return f[0], f[1:]
}

// depth of a clause: 6 is 0, 6.1.1 is 2, 6.1.1 a) is 3, 6.1.2 a) 1) is 4.
func depth(clause string) int {
	number, items, _ := strings.Cut(clause, " ")
	return strings.Count(number, ".") + len(strings.Fields(items))
}

// Read looks for the proof of every clause. Forbidden without status.read, and for a drill's stand-in, who
// has no business with the real world.
func Read(ctx context.Context, db bun.IDB, a store.Actor, book *standard.Book, nowMs int64) (Board, error) {
	b := Board{NowMs: nowMs, Edition: Guide, Totals: map[Status]int{Satisfied: 0, Partial: 0, Gap: 0, NotApplicable: 0}, Rows: []Row{}}
	if err := identity.Require(a, "status.read"); err != nil {
		return b, err
	}
	if err := identity.RequireDrill(a, ""); err != nil {
		return b, err
	}
	list, words, err := read()
	if err != nil {
		return b, err
	}
	known := map[string]found{} // many rows ask the same
	for _, c := range list {
		r := Row{Clause: c.Clause, Depth: depth(c.Clause), Name: c.Name, By: c.By, Query: c.Evidence, Gaps: []Words{}}
		name, args := c.query()
		switch name {
		case children:
		case unbuilt:
			r.Status = Gap
		default:
			f, ok := known[c.Evidence]
			if !ok {
				if f, err = queries[name].look(ctx, inquiry{db: db, book: book, nowMs: nowMs, args: args}); err != nil {
					return b, fmt.Errorf("clause %s: %w", c.Clause, err)
				}
				known[c.Evidence] = f
			}
			r.judge(f, words[name])
		}
		if c.Limit.ZH != "" {
			r.Gaps = append(r.Gaps, c.Limit)
			if r.Status == Satisfied {
				r.Status = Partial
			}
		}
		if name != children {
			b.Totals[r.Status]++
		}
		b.Rows = append(b.Rows, r)
	}
	for i := len(b.Rows) - 1; i >= 0; i-- { // a heading's clauses follow it
		if b.Rows[i].Query == children {
			b.Rows[i].Status = together(b.Rows, i)
		}
	}
	return b, nil
}

func (r *Row) judge(f found, w says) {
	r.ObjectKind, r.ObjectID, r.AtMs = f.kind, f.id, f.atMs
	switch {
	case !f.ok:
		r.Status, r.Gaps = Gap, append(r.Gaps, w.Gap)
	case f.lacking > 0:
		n := strconv.Itoa(f.lacking)
		r.Status, r.Gaps = Partial, append(r.Gaps, Words{strings.ReplaceAll(w.Lacking.ZH, "{n}", n), strings.ReplaceAll(w.Lacking.EN, "{n}", n)})
	default:
		r.Status = Satisfied
	}
}

// together is how the rows below a heading stand: alike, or partial.
func together(rows []Row, heading int) Status {
	var all []Status
	for _, r := range rows[heading+1:] {
		if r.Depth <= rows[heading].Depth {
			break
		}
		if r.Status != NotApplicable && !slices.Contains(all, r.Status) {
			all = append(all, r.Status)
		}
	}
	switch len(all) {
	case 0:
		return NotApplicable
	case 1:
		return all[0]
	}
	return Partial
}
