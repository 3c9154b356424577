// Package setting keeps the few figures that an operator may change at run time, as rows: retention,
// what is captured. Each has a rule that its value must keep.
package setting

import (
	"context"
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

// Rule says whether a value will do.
type Rule func(value string) bool

// AtLeast accepts whole numbers that are not below n.
func AtLeast(n int) Rule {
	return func(v string) bool { k, err := strconv.Atoi(v); return err == nil && k >= n }
}

// OneOf accepts the values named.
func OneOf(values ...string) Rule { return func(v string) bool { return slices.Contains(values, v) } }

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
	if !rule(value) {
		return s, fault.Invalid("value", "setting.bad_value", "name", name)
	}
	_, err := tx.NewInsert().Model(&s).On("CONFLICT (name) DO UPDATE").Set("value = EXCLUDED.value, changed_by = EXCLUDED.changed_by, changed_ms = EXCLUDED.changed_ms").Exec(ctx)
	tx.Record(store.Entry{Action: "setting.set", ObjectKind: "setting", ObjectID: name, Content: map[string]string{"value": value}})
	tx.Touch("setting")
	return s, err
}

// List gives the settings that rules knows and that were changed.
func List(ctx context.Context, db bun.IDB, a store.Actor, rules map[string]Rule) ([]Setting, error) {
	if err := identity.Require(a, "status.read"); err != nil {
		return nil, err
	}
	all, out := []Setting{}, []Setting{}
	if err := db.NewSelect().Model(&all).Order("name").Scan(ctx); err != nil {
		return nil, err
	}
	for _, s := range all {
		if _, ok := rules[s.Name]; ok {
			out = append(out, s)
		}
	}
	return out, nil
}
