// Package setting keeps the few figures that an operator may change at run time, as rows: retention,
// what is captured. Each has a rule that its value must keep.
package setting

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Setting is one row.
type Setting struct {
	bun.BaseModel `bun:"table:setting" json:"-"`
	Name          string `bun:"name,pk" json:"name"`
	Value         string `json:"value"`
	ChangedBy     string `json:"changed_by"`
	ChangedMs     int64  `json:"changed_ms"`
}

// Rule says what a setting is before anybody changed it, and which values will do.
type Rule struct {
	Type    string   `json:"type" doc:"number or choice"`
	Default string   `json:"default"`
	Min     int      `json:"min" doc:"least value of a number"`
	Options []string `json:"options" doc:"values of a choice"`
}

// AtLeast accepts whole numbers that are not below n, which is the default.
func AtLeast(n int) Rule {
	return Rule{Type: "number", Default: strconv.Itoa(n), Min: n, Options: []string{}}
}

// OneOf accepts the values named; the first is the default.
func OneOf(values ...string) Rule { return Rule{Type: "choice", Default: values[0], Options: values} }

func (r Rule) takes(value string) bool {
	if r.Type == "choice" {
		return slices.Contains(r.Options, value)
	}
	k, err := strconv.Atoi(value)
	return err == nil && k >= r.Min
}

// Ruled is a setting as it is now, with its rule. ChangedMs is 0 while it is as it was delivered.
type Ruled struct {
	Setting
	Rule
}

// Set changes a setting that rules knows. Errors: forbidden without setting.manage; invalid.
func Set(ctx context.Context, tx *store.Tx, rules map[string]Rule, name, value string) (Setting, error) {
	s := Setting{Name: name, Value: value, ChangedBy: tx.Actor.ID, ChangedMs: tx.NowMs}
	if err := identity.Require(tx.Actor, "setting.manage"); err != nil {
		return s, err
	}
	rule, ok := rules[name]
	if !ok {
		names := []string{}
		for n := range rules {
			names = append(names, n)
		}
		slices.Sort(names)
		return s, fault.Invalid("name", "error.unknown_value", "value", name, "valid", strings.Join(names, ", "))
	}
	if !rule.takes(value) {
		return s, fault.Invalid("value", "setting.bad_value", "name", name)
	}
	_, err := tx.NewInsert().Model(&s).On("CONFLICT (name) DO UPDATE").Set("value = EXCLUDED.value, changed_by = EXCLUDED.changed_by, changed_ms = EXCLUDED.changed_ms").Exec(ctx)
	tx.Record(store.Entry{Action: "setting.set", ObjectKind: "setting", ObjectID: name, Content: map[string]string{"value": value}})
	tx.Touch("setting")
	return s, err
}

// List gives every setting that rules knows, by name: as it was changed, or its default.
func List(ctx context.Context, db bun.IDB, a store.Actor, rules map[string]Rule) ([]Ruled, error) {
	if err := identity.Require(a, "status.read"); err != nil {
		return nil, err
	}
	var rows []Setting
	if err := db.NewSelect().Model(&rows).Scan(ctx); err != nil {
		return nil, err
	}
	changed := map[string]Setting{}
	for _, s := range rows {
		changed[s.Name] = s
	}
	out := make([]Ruled, 0, len(rules))
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		s, ok := changed[name]
		if !ok {
			s = Setting{Name: name, Value: rules[name].Default}
		}
		out = append(out, Ruled{s, rules[name]})
	}
	return out, nil
}
