// Package setting keeps the few figures that an operator may change at run time, as rows: retention,
// what is captured. Each has a rule that its value must keep.
package setting

import (
	"context"
	"encoding/json"
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
	ConfirmedBy   string `json:"confirmed_by,omitempty" doc:"the second person, where one is needed"`
}

// Rule says what a setting is before anybody changed it, and which values will do.
type Rule struct {
	Type    string   `json:"type" doc:"number or choice"`
	Default string   `json:"default"`
	Min     int      `json:"min" doc:"least value of a number"`
	Options []string `json:"options" doc:"values of a choice"`
	Two     bool     `json:"two" doc:"a change takes a second person"`
	Eased   bool     `json:"eased" doc:"values stand from the mildest to the strictest, and only a step to a milder one takes a second person"`
	Law     string   `json:"law,omitempty" enum:"network_logs" doc:"the law that sets the least value"`
	Touches string   `json:"-"` // topic of those who have to know of a change
}

// NetworkLogs is the Cybersecurity Law's demand on network logs: six months.
const NetworkLogs = "network_logs"

// AtLeast accepts whole numbers that are not below n, which is the default.
func AtLeast(n int) Rule {
	return Rule{Type: "number", Default: strconv.Itoa(n), Min: n, Options: []string{}}
}

// OneOf accepts the values named; the first is the default.
func OneOf(values ...string) Rule { return Rule{Type: "choice", Default: values[0], Options: values} }

// ByTwo is the rule with a second person for each change, and the law that sets the least value.
func (r Rule) ByTwo(law string) Rule {
	r.Two, r.Law = true, law
	return r
}

// Rising accepts the values named, from the mildest to the strictest. One person may make it stricter, a step back
// takes two.
func Rising(normal string, values ...string) Rule {
	return Rule{Type: "choice", Default: normal, Options: values, Two: true, Eased: true}
}

// Telling is the rule with a topic that a change touches.
func (r Rule) Telling(topic string) Rule {
	r.Touches = topic
	return r
}

// stricter tells whether one person may go from one value to the other.
func (r Rule) stricter(from, to string) bool {
	return r.Eased && slices.Index(r.Options, to) >= slices.Index(r.Options, from)
}

func (r Rule) check(name, value string) error {
	if r.Type == "choice" {
		if !slices.Contains(r.Options, value) {
			return fault.Invalid("value", "setting.bad_value", "name", name)
		}
		return nil
	}
	k, err := strconv.Atoi(value)
	if err == nil && k < r.Min && r.Law == NetworkLogs {
		return fault.Invalid("value", "setting.law.network_logs", "min", r.Min)
	}
	if err != nil || k < r.Min {
		return fault.Invalid("value", "setting.bad_value", "name", name)
	}
	return nil
}

// Ruled is a setting as it is now, with its rule. ChangedMs is 0 while it is as it was delivered. Asked is the
// change that waits for a second person.
type Ruled struct {
	Setting
	Rule
	Asked *Asked `json:"asked,omitempty"`
}

// Asked is a change of a setting that one person asked for.
type Asked struct {
	ID    string `json:"id"` // of the second signature
	Value string `json:"value"`
	By    string `json:"by"`
	AtMs  int64  `json:"at_ms"`
}

const objectKind = "setting"

// Change changes a setting that rules knows, or asks for it where a second person is needed. Errors: forbidden
// without setting.manage; invalid, by the key of the law where it is the law that is in the way; conflict
// setting.waits.
func Change(ctx context.Context, tx *store.Tx, rules map[string]Rule, name, value, reason string) (Ruled, error) {
	if err := identity.Require(tx.Actor, "setting.manage"); err != nil {
		return Ruled{}, err
	}
	rule, ok := rules[name]
	if !ok {
		return Ruled{}, fault.Invalid("name", "error.unknown_value", "value", name, "valid", strings.Join(slices.Sorted(maps.Keys(rules)), ", "))
	}
	if err := rule.check(name, value); err != nil {
		return Ruled{}, err
	}
	now, waits, err := read(ctx, tx)
	if err != nil {
		return Ruled{}, err
	}
	if !rule.Two || rule.stricter(ruled(now, name, rule, nil).Value, value) {
		s := Setting{Name: name, Value: value, ChangedBy: tx.Actor.ID, ChangedMs: tx.NowMs}
		out := Ruled{Setting: s, Rule: rule}
		if w, ok := waits[name]; ok {
			out.Asked = &w
		}
		return out, set(ctx, tx, rule, s)
	}
	if _, ok := waits[name]; ok {
		return Ruled{}, fault.Conflict("name", "setting.waits", "name", name)
	}
	second, err := identity.AskSecond(ctx, tx, identity.SecondSignature{Action: "setting.vouch", ObjectKind: objectKind, ObjectID: name, Reason: reason}, value)
	if err != nil {
		return Ruled{}, err
	}
	return ruled(now, name, rule, &Asked{second.ID, value, tx.Actor.ID, tx.NowMs}), nil
}

// Decide settles a change that Change asked for. The rule is asked again: it may have become stricter.
func Decide(ctx context.Context, tx *store.Tx, rules map[string]Rule, id string, confirm bool) (identity.SecondSignature, error) {
	s, err := identity.DecideSecond(ctx, tx, id, confirm)
	if err != nil || !confirm {
		return s, err
	}
	var value string
	if err := json.Unmarshal([]byte(s.Request), &value); err != nil {
		return s, err
	}
	if err := rules[s.ObjectID].check(s.ObjectID, value); err != nil {
		return s, err
	}
	return s, set(ctx, tx, rules[s.ObjectID], Setting{Name: s.ObjectID, Value: value, ChangedBy: s.RequestedBy, ChangedMs: tx.NowMs, ConfirmedBy: tx.Actor.ID})
}

func set(ctx context.Context, tx *store.Tx, rule Rule, s Setting) error {
	_, err := tx.NewInsert().Model(&s).On("CONFLICT (name) DO UPDATE").Set("value = EXCLUDED.value, changed_by = EXCLUDED.changed_by, changed_ms = EXCLUDED.changed_ms, confirmed_by = EXCLUDED.confirmed_by").Exec(ctx)
	tx.Record(store.Entry{Action: "setting.set", ObjectKind: objectKind, ObjectID: s.Name, Content: map[string]string{"value": s.Value, "by": s.ChangedBy, "confirmed_by": s.ConfirmedBy}})
	tx.Touch("setting")
	if rule.Touches != "" {
		tx.Touch(rule.Touches)
	}
	return err
}

// read gives what was changed, and what waits, by name.
func read(ctx context.Context, db bun.IDB) (map[string]Setting, map[string]Asked, error) {
	var rows []Setting
	if err := db.NewSelect().Model(&rows).Scan(ctx); err != nil {
		return nil, nil, err
	}
	now := map[string]Setting{}
	for _, s := range rows {
		now[s.Name] = s
	}
	var open []identity.SecondSignature
	if err := db.NewSelect().Model(&open).Where("object_kind = ? AND state = 'requested'", objectKind).Scan(ctx); err != nil {
		return nil, nil, err
	}
	waits := map[string]Asked{}
	for _, o := range open {
		a := Asked{ID: o.ID, By: o.RequestedBy, AtMs: o.RequestedMs}
		if err := json.Unmarshal([]byte(o.Request), &a.Value); err != nil {
			return nil, nil, err
		}
		waits[o.ObjectID] = a
	}
	return now, waits, nil
}

func ruled(now map[string]Setting, name string, rule Rule, asked *Asked) Ruled {
	s, ok := now[name]
	if !ok {
		s = Setting{Name: name, Value: rule.Default}
	}
	return Ruled{s, rule, asked}
}

// List gives every setting that rules knows, by name: as it was changed, or its default, and what waits.
func List(ctx context.Context, db bun.IDB, a store.Actor, rules map[string]Rule) ([]Ruled, error) {
	if err := identity.Require(a, "status.read"); err != nil {
		return nil, err
	}
	now, waits, err := read(ctx, db)
	if err != nil {
		return nil, err
	}
	out := make([]Ruled, 0, len(rules))
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		var asked *Asked
		if w, ok := waits[name]; ok {
			asked = &w
		}
		out = append(out, ruled(now, name, rules[name], asked))
	}
	return out, nil
}

// Values gives what rules say now, by name.
func Values(ctx context.Context, db bun.IDB, rules map[string]Rule) (map[string]string, error) {
	var rows []Setting
	if err := db.NewSelect().Model(&rows).Where("name IN (?)", bun.List(slices.Sorted(maps.Keys(rules)))).Scan(ctx); err != nil {
		return nil, err
	}
	out := make(map[string]string, len(rules))
	for name, rule := range rules {
		out[name] = rule.Default
	}
	for _, s := range rows {
		out[s.Name] = s.Value
	}
	return out, nil
}
