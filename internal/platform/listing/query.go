package listing

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Limits of a question.
const (
	DefaultLimit = 50
	MaxLimit     = 200
	MaxQ         = 200 // characters
	maxValues    = 100 // of one filter
)

// Query is what is asked of a list. The zero value asks for nothing; Parse and All make one.
type Query struct {
	Q       string
	Limit   int
	FromMs  int64 // 0: no bound
	UntilMs int64 // 0: no bound; not included
	cursor  cursor
	filters map[string][]string
}

// All asks for everything, newest first.
func All() Query { return Query{Limit: DefaultLimit} }

// Only is q narrowed to rows whose field has one of values. The field is the program's, not checked.
func (q Query) Only(field string, values ...string) Query {
	filters := map[string][]string{field: values}
	for k, v := range q.filters {
		if k != field {
			filters[k] = v
		}
	}
	q.filters = filters
	return q
}

// Filters are the filters by field, for what is put on record about an export.
func (q Query) Filters() map[string][]string { return q.filters }

// Param is one parameter of a list, for its description.
type Param struct{ Name, Says, Type string }

// Params are the parameters that Parse understands.
func (t Table) Params() []Param {
	out := []Param{
		{"q", "words that must all occur, in any of the columns that are searched", "string"},
		{"limit", fmt.Sprintf("items of a page, at most %d, %d by default", MaxLimit, DefaultLimit), "integer"},
		{"cursor", "next of the page before", "string"},
		{"from_ms", "only what is as new as this, UTC milliseconds", "integer"},
		{"until_ms", "only what is older than this, UTC milliseconds", "integer"},
	}
	for _, f := range t.Fields {
		says := "several values comma-separated"
		if f.Values != nil {
			says += ": " + strings.Join(f.Values, ", ")
		}
		out = append(out, Param{f.Name, says, "string"})
	}
	return out
}

// Parse reads a question from query parameters. Errors: fault invalid that names the parameter, and
// the values that would be right.
func (t Table) Parse(in url.Values) (Query, error) {
	q := All()
	q.filters = map[string][]string{}
	for name, values := range in {
		known := slices.ContainsFunc(t.Params(), func(p Param) bool { return p.Name == name })
		if !known {
			names := []string{}
			for _, p := range t.Params() {
				names = append(names, p.Name)
			}
			return q, fault.Invalid(name, "list.unknown_field", "field", name, "fields", strings.Join(names, ", "))
		}
		if len(values) != 1 {
			return q, fault.Invalid(name, "list.twice", "field", name)
		}
		if !text(values[0]) {
			return q, fault.Invalid(name, "list.text", "field", name)
		}
		if err := t.read(&q, name, values[0]); err != nil {
			return q, err
		}
	}
	return q, nil
}

// text is what may stand in a statement: a NUL would end it early.
func text(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

func (t Table) read(q *Query, name, value string) (err error) {
	switch name {
	case "q":
		if utf8.RuneCountInString(value) > MaxQ {
			return fault.Invalid(name, "list.long", "field", name, "max", MaxQ)
		}
		q.Q = value
	case "limit":
		if q.Limit, err = strconv.Atoi(value); err != nil || q.Limit < 0 || q.Limit > MaxLimit {
			return fault.Invalid(name, "list.range", "field", name, "min", 0, "max", MaxLimit)
		}
		if q.Limit == 0 {
			q.Limit = DefaultLimit
		}
	case "from_ms", "until_ms":
		ms, err := strconv.ParseInt(value, 10, 64)
		if err != nil || ms < 0 {
			return fault.Invalid(name, "list.time", "field", name)
		}
		if name == "from_ms" {
			q.FromMs = ms
		} else {
			q.UntilMs = ms
		}
	case "cursor":
		if value == "" {
			return nil
		}
		q.cursor, err = parseCursor(value)
		return err
	default:
		return t.narrow(q, name, value)
	}
	return nil
}

func (t Table) narrow(q *Query, name, value string) error {
	f := t.Fields[slices.IndexFunc(t.Fields, func(f Field) bool { return f.Name == name })]
	values := strings.FieldsFunc(value, func(r rune) bool { return r == ',' })
	if len(values) > maxValues || len(value) > 100*maxValues {
		return fault.Invalid(name, "list.many", "field", name, "max", maxValues)
	}
	for _, v := range values {
		if f.Values != nil && !slices.Contains(f.Values, v) {
			return unknown(name, v, f.Values)
		}
	}
	q.filters[name] = values
	return nil
}

// cursor is the last row of a page. Rows are ordered by what never changes of them, so the next page
// begins behind it whatever came in or was decided meanwhile.
type cursor struct {
	at int64
	id string
}

func (c cursor) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(c.at, 10) + "." + c.id))
}

func parseCursor(s string) (cursor, error) {
	bad := fault.Invalid("cursor", "list.bad_cursor")
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(raw) > 100 || !text(string(raw)) {
		return cursor{}, bad
	}
	at, id, ok := strings.Cut(string(raw), ".")
	ms, err := strconv.ParseInt(at, 10, 64)
	if !ok || err != nil || id == "" {
		return cursor{}, bad
	}
	return cursor{ms, id}, nil
}
