// Package listing is how every long list is searched, filtered, counted and paged: what a list is made of
// is declared as data, need to know is part of the query, and counts are counts of what the asker may see.
package listing

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Table is the SQL of a list. All of it is text of the program; what people ask for goes in as parameters.
type Table struct {
	From   string   // "incident AS i"
	ID     string   // "i.id": text, unique
	Time   string   // "i.declared_ms": what from_ms and until_ms narrow
	Key    string   // an integer that orders, newest greatest, before ID; "" is Time
	Search []string // conditions on a row with one ? for a pattern, see Has; a word must satisfy one of them
	Fields []Field
}

// Field is what a list can be narrowed by.
type Field struct {
	Name   string
	Expr   string   // "i.state": text
	Values []string // the only ones there are; nil: any
	Facet  bool     // counted in each answer
}

// Has is the condition that an expression contains a searched word, whatever its case.
func Has(expr string) string { return "LOWER(" + expr + ") LIKE LOWER(?) ESCAPE '!'" }

// ServiceNamed is the condition that the service of a row is called like a searched word.
func ServiceNamed(expr string) string {
	return expr + " IN (SELECT id FROM service WHERE " + Has("name") + ")"
}

// Where narrows a query to the rows that an actor may see.
type Where = func(*bun.SelectQuery) *bun.SelectQuery

// List is a list of T.
type List[T any] struct {
	Table
	Mine func(a store.Actor) (Where, error)                                              // permission and need to know
	Load func(ctx context.Context, db bun.IDB, a store.Actor, ids []string) ([]T, error) // in any order
	IDOf func(T) string

	Kept  *Counts      // nil: each answer counts anew
	NowMs func() int64 // for Kept
}

// Count is how many rows have a value.
type Count struct {
	Value string `json:"value"`
	Count int    `json:"count"`
}

// Page is one answer. Total and facets are of all rows that fit the question, not of the page; a facet
// ignores the filter on itself, so that it shows what else could be chosen. Those of a list that keeps its
// counts may be ten seconds old where there is much to count.
type Page[T any] struct {
	Items  []T                `json:"items"`
	Total  int                `json:"total"`
	Next   string             `json:"next" doc:"cursor of the next page; empty on the last one"`
	Facets map[string][]Count `json:"facets"`
}

// Page answers a question from one snapshot.
func (l List[T]) Page(ctx context.Context, db bun.IDB, a store.Actor, q Query) (Page[T], error) {
	p := Page[T]{Items: []T{}, Facets: map[string][]Count{}}
	mine, err := l.Mine(a)
	if err != nil {
		return p, err
	}
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return p, err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	if p.Total, p.Facets, err = l.count(ctx, tx, q, mine); err != nil {
		return p, err
	}
	p.Items, p.Next, err = l.rows(ctx, tx, a, q, mine)
	return p, err
}

// Each reads all rows that fit the question, newest first, a page at a time, and gives each to fn. Rows that
// come in meanwhile are not among them.
func (l List[T]) Each(ctx context.Context, db bun.IDB, a store.Actor, q Query, fn func(T) error) error {
	mine, err := l.Mine(a)
	if err != nil {
		return err
	}
	for q.Limit, q.cursor = MaxLimit, (cursor{}); ; {
		items, next, err := l.rows(ctx, db, a, q, mine)
		if err != nil {
			return err
		}
		for _, it := range items {
			if err := fn(it); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		if q.cursor, err = parseCursor(next); err != nil {
			return err
		}
	}
}

// First reads the newest rows that fit the question, without counting.
func (l List[T]) First(ctx context.Context, db bun.IDB, a store.Actor, q Query) ([]T, error) {
	mine, err := l.Mine(a)
	if err != nil {
		return nil, err
	}
	items, _, err := l.rows(ctx, db, a, q, mine)
	return items, err
}

// Total counts the rows that fit the question.
func (l List[T]) Total(ctx context.Context, db bun.IDB, a store.Actor, q Query) (int, error) {
	mine, err := l.Mine(a)
	if err != nil {
		return 0, err
	}
	n, _, err := l.count(ctx, db, q, mine)
	return n, err
}

func (t Table) key() string {
	if t.Key != "" {
		return t.Key
	}
	return t.Time
}

// asked narrows by the question, but for its cursor and, with skipFacets, for the filters on facets.
func (t Table) asked(s *bun.SelectQuery, q Query, mine Where, skipFacets bool) *bun.SelectQuery {
	s = s.TableExpr(t.From).Apply(mine)
	for _, word := range strings.Fields(q.Q) {
		pattern := "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(word) + "%"
		s = s.WhereGroup(" AND ", func(s *bun.SelectQuery) *bun.SelectQuery {
			for _, c := range t.Search {
				s = s.WhereOr(c, pattern)
			}
			return s
		})
	}
	for _, f := range t.Fields {
		if v := q.filters[f.Name]; len(v) > 0 && !(skipFacets && f.Facet) {
			s = s.Where(f.Expr+" IN (?)", bun.List(v))
		}
	}
	if q.FromMs > 0 {
		s = s.Where(t.Time+" >= ?", q.FromMs)
	}
	if q.UntilMs > 0 {
		s = s.Where(t.Time+" < ?", q.UntilMs)
	}
	return s
}

// count groups what fits, but for the filters on facets, by all facets at once: one pass over the rows
// gives the total and every facet without its own filter.
func (l List[T]) count(ctx context.Context, db bun.IDB, q Query, mine Where) (total int, facets map[string][]Count, err error) {
	facets = map[string][]Count{}
	var counted []Field
	s := l.asked(db.NewSelect(), q, mine, true)
	for _, f := range l.Fields {
		if f.Facet {
			counted = append(counted, f)
			facets[f.Name] = []Count{}
			s = s.ColumnExpr(f.Expr + " AS " + f.Name)
		}
	}
	s = s.ColumnExpr("COUNT(*)")
	for _, f := range counted {
		s = s.GroupExpr(f.Expr)
	}
	groups, err := l.groups(ctx, s, len(counted))
	if err != nil {
		return 0, nil, err
	}
	sums := make([]map[string]int, len(counted))
	for i := range counted {
		sums[i] = map[string]int{}
	}
	for _, g := range groups {
		misses, missed := 0, 0
		for i, f := range counted {
			if v := q.filters[f.Name]; len(v) > 0 && !slices.Contains(v, g.values[i]) {
				misses, missed = misses+1, i
			}
		}
		switch misses {
		case 0:
			total += g.n
			for i := range counted {
				sums[i][g.values[i]] += g.n
			}
		case 1:
			sums[missed][g.values[missed]] += g.n
		}
	}
	for i, f := range counted {
		for v, n := range sums[i] {
			facets[f.Name] = append(facets[f.Name], Count{v, n})
		}
		slices.SortFunc(facets[f.Name], func(a, b Count) int {
			if a.Count != b.Count {
				return b.Count - a.Count
			}
			return strings.Compare(a.Value, b.Value)
		})
	}
	return total, facets, nil
}

// groups reads how many rows there are of each combination of facets, or what was kept of it.
func (l List[T]) groups(ctx context.Context, s *bun.SelectQuery, facets int) ([]group, error) {
	question := ""
	if l.Kept != nil {
		question = s.String() // who asks and all that was asked for is in it, but for the filters on facets
		if kept, ok := l.Kept.find(question, l.NowMs()); ok {
			return kept, nil
		}
	}
	rows, err := s.Rows(ctx)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []group
	for rows.Next() {
		g := group{values: make([]string, facets)}
		into := make([]any, 0, facets+1)
		for i := range g.values {
			into = append(into, &g.values[i])
		}
		if err := rows.Scan(append(into, &g.n)...); err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if l.Kept != nil {
		l.Kept.keep(question, l.NowMs(), out)
	}
	return out, nil
}

// rows reads one page: first which rows, then what is shown of them.
func (l List[T]) rows(ctx context.Context, db bun.IDB, a store.Actor, q Query, mine Where) ([]T, string, error) {
	s := l.asked(db.NewSelect(), q, mine, false).ColumnExpr(l.key() + " AS at").ColumnExpr(l.ID + " AS id").
		OrderExpr(l.key() + " DESC").OrderExpr(l.ID + " DESC").Limit(int64(q.Limit) + 1)
	if q.cursor != (cursor{}) {
		s = s.Where("("+l.key()+", "+l.ID+") < (?, ?)", q.cursor.at, q.cursor.id)
	}
	var at []struct {
		At int64
		ID string
	}
	if err := s.Scan(ctx, &at); err != nil {
		return nil, "", err
	}
	next := ""
	if len(at) > q.Limit {
		at = at[:q.Limit]
		next = cursor{at[q.Limit-1].At, at[q.Limit-1].ID}.String()
	}
	items := make([]T, 0, len(at))
	if len(at) == 0 {
		return items, next, nil
	}
	ids := make([]string, len(at))
	for i := range at {
		ids[i] = at[i].ID
	}
	loaded, err := l.Load(ctx, db, a, ids)
	if err != nil {
		return nil, "", err
	}
	of := make(map[string]T, len(loaded))
	for _, it := range loaded {
		of[l.IDOf(it)] = it
	}
	for _, id := range ids {
		if it, ok := of[id]; ok {
			items = append(items, it)
		}
	}
	return items, next, nil
}

func unknown(field, value string, valid []string) error {
	return fault.Invalid(field, "list.unknown_value", "field", field, "value", value, "values", strings.Join(valid, ", "))
}
