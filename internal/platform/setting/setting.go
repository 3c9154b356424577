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
	Agreed        string `json:"-"` // what stood when ChangedBy alone made it stricter; "" if that is not how it came about
}

// Rule says what a setting is before anybody changed it, and which values will do.
type Rule struct {
	Type    string   `json:"type" doc:"number, choice or text"`
	Default string   `json:"default"`
	Min     int      `json:"min" doc:"least value of a number"`
	Max     int      `json:"max,omitempty" doc:"largest value of a number; absent: none"`
	Options []string `json:"options" doc:"values of a choice"`
	Two     bool     `json:"two" doc:"a change takes a second person"`
	Eased   bool     `json:"eased" doc:"values stand from the mildest to the strictest, of a number from the least, and only a step to a milder one takes a second person"`
	Law     string   `json:"law,omitempty" enum:"network_logs" doc:"the law that sets the least value"`
	Touches string   `json:"-"` // topic of those who have to know of a change

	ready func(ctx context.Context, tx *store.Tx, value string) error // nil: always
	will  func(string) bool                                           // which texts will do
	aside [2]string                                                   // of these neither is stricter
}

// NetworkLogs is the Cybersecurity Law's demand on network logs: six months.
const NetworkLogs = "network_logs"

// AtLeast accepts whole numbers that are not below n, which is the default.
func AtLeast(n int) Rule {
	return Rule{Type: "number", Default: strconv.Itoa(n), Min: n, Options: []string{}}
}

// OneOf accepts the values named; the first is the default.
func OneOf(values ...string) Rule { return Rule{Type: "choice", Default: values[0], Options: values} }

// Written accepts texts that will do. Empty is the default, and always will.
func Written(will func(string) bool) Rule { return Rule{Type: "text", Options: []string{}, will: will} }

// ByTwo is the rule with a second person for each change, and the law that sets the least value.
func (r Rule) ByTwo(law string) Rule {
	r.Two, r.Law = true, law
	return r
}

// Rising accepts the values named, from the mildest to the strictest. One person may make it stricter, a step back
// takes two, unless it is a step of one's own that was taken just now.
func Rising(normal string, values ...string) Rule {
	return Rule{Type: "choice", Default: normal, Options: values, Two: true, Eased: true}
}

// Beside is the rule with two values of which neither is stricter: from one to the other takes two persons either way.
func (r Rule) Beside(a, b string) Rule {
	r.aside = [2]string{a, b}
	return r
}

// Lowered accepts whole numbers that are not below least. One person may raise it, as with Rising.
func Lowered(normal, least int) Rule {
	return Rule{Type: "number", Default: strconv.Itoa(normal), Min: least, Options: []string{}, Two: true, Eased: true}
}

// UpTo is the rule of a number with a largest value.
func (r Rule) UpTo(most int) Rule {
	r.Max = most
	return r
}

// Telling is the rule with a topic that a change touches.
func (r Rule) Telling(topic string) Rule {
	r.Touches = topic
	return r
}

// If is the rule with a question that is asked before a value is taken: its error is the refusal.
func (r Rule) If(ready func(ctx context.Context, tx *store.Tx, value string) error) Rule {
	r.ready = ready
	return r
}

// takes says whether a value will do now.
func (r Rule) takes(ctx context.Context, tx *store.Tx, name, value string) error {
	if err := r.check(name, value); err != nil || r.ready == nil {
		return err
	}
	return r.ready(ctx, tx, value)
}

// stricter tells whether a value is as strict as another, or stricter.
func (r Rule) stricter(than, value string) bool {
	if r.Eased && r.Type == "number" {
		before, _ := strconv.Atoi(than) // the rule keeps them numbers
		after, _ := strconv.Atoi(value)
		return after >= before
	}
	if than != value && slices.Contains(r.aside[:], than) && slices.Contains(r.aside[:], value) {
		return false
	}
	return r.Eased && slices.Index(r.Options, value) >= slices.Index(r.Options, than)
}

func (r Rule) check(name, value string) error {
	if r.Type == "choice" {
		if !slices.Contains(r.Options, value) {
			return fault.Invalid("value", "setting.bad_value", "name", name)
		}
		return nil
	}
	if r.Type == "text" {
		if value != "" && !r.will(value) {
			return fault.Invalid("value", "setting.bad_value", "name", name)
		}
		return nil
	}
	k, err := strconv.Atoi(value)
	if err == nil && k < r.Min && r.Law == NetworkLogs {
		return fault.Invalid("value", "setting.law.network_logs", "min", r.Min)
	}
	switch {
	case err == nil && k >= r.Min && (r.Max == 0 || k <= r.Max):
		return nil
	case r.Max > 0:
		return fault.Invalid("value", "setting.not_between", "name", name, "min", r.Min, "max", r.Max)
	}
	return fault.Invalid("value", "setting.not_from", "name", name, "min", r.Min)
}

// Ruled is a setting as it is now, with its rule. ChangedMs is 0 while it is as it was delivered. Asked is the
// change that waits for a second person.
type Ruled struct {
	Setting
	Rule
	Asked *Asked `json:"asked,omitempty"`
	Undo  string `json:"undo,omitempty" doc:"the mildest value that who asks may go back to alone, because they alone made it stricter less than 15 minutes ago"`
}

// Asked is a change of a setting that one person asked for.
type Asked struct {
	ID    string `json:"id"` // of the second signature
	Value string `json:"value"`
	By    string `json:"by"`
	AtMs  int64  `json:"at_ms"`
}

const objectKind = "setting"

// UndoWithinMs is how long a step that one person took alone may be taken back alone: as long as it takes to see that it was
// a slip. Afterwards others rely on it.
const UndoWithinMs int64 = 15 * 60 * 1000

// Change changes a setting that rules knows, or asks for it where a second person is needed. Who alone made a setting
// stricter may take that step back alone within UndoWithinMs. What one person changes ends the change that waits for
// a second: it was asked for of another value. Errors: forbidden without setting.manage; invalid, by
// the key of the law where it is the law that is in the way; conflict setting.waits.
func Change(ctx context.Context, tx *store.Tx, rules map[string]Rule, name, value, reason string) (Ruled, error) {
	if err := identity.Require(tx.Actor, "setting.manage"); err != nil {
		return Ruled{}, err
	}
	rule, ok := rules[name]
	if !ok {
		return Ruled{}, fault.Invalid("name", "error.unknown_value", "value", name, "valid", strings.Join(slices.Sorted(maps.Keys(rules)), ", "))
	}
	if err := rule.takes(ctx, tx, name, value); err != nil {
		return Ruled{}, err
	}
	now, waits, err := read(ctx, tx)
	if err != nil {
		return Ruled{}, err
	}
	stands := ruled(now, name, rule, nil, tx.Actor, tx.NowMs)
	tightens := rule.stricter(stands.Value, value)
	if !rule.Two || tightens || stands.Undo != "" && rule.stricter(stands.Undo, value) {
		s := Setting{Name: name, Value: value, ChangedBy: tx.Actor.ID, ChangedMs: tx.NowMs}
		if tightens && value != stands.Value { // who sets what stands relies on it: no step that could be taken back
			s.Agreed = stands.Value
		}
		if err := identity.Lapse(ctx, tx, objectKind, name, "setting.set"); err != nil {
			return Ruled{}, err
		}
		return ruled(map[string]Setting{name: s}, name, rule, nil, tx.Actor, tx.NowMs), set(ctx, tx, rule, s)
	}
	if _, ok := waits[name]; ok {
		return Ruled{}, fault.Conflict("name", "setting.waits", "name", name)
	}
	second, err := identity.AskSecond(ctx, tx, identity.SecondSignature{Action: "setting.vouch", ObjectKind: objectKind, ObjectID: name, Reason: reason}, value)
	if err != nil {
		return Ruled{}, err
	}
	return ruled(now, name, rule, &Asked{second.ID, value, tx.Actor.ID, tx.NowMs}, tx.Actor, tx.NowMs), nil
}

// Decide settles a change that Change asked for; rules gives those among which a setting of a name is. The rule is asked
// again: it may have become stricter. Errors: those of
// identity.DecideSecond; conflict setting.moved if the setting was changed since, by a server that did not end the request.
func Decide(ctx context.Context, tx *store.Tx, rules func(name string) (map[string]Rule, error), id string, confirm bool) (identity.SecondSignature, error) {
	s, err := identity.DecideSecond(ctx, tx, id, confirm)
	if err != nil || !confirm {
		return s, err
	}
	var value string
	if err := json.Unmarshal([]byte(s.Request), &value); err != nil {
		return s, err
	}
	known, err := rules(s.ObjectID)
	if err != nil {
		return s, err
	}
	now, _, err := read(ctx, tx)
	if err != nil {
		return s, err
	}
	if now[s.ObjectID].ChangedMs > s.RequestedMs {
		return s, fault.Conflict("id", "setting.moved", "name", s.ObjectID)
	}
	rule, ok := known[s.ObjectID]
	if !ok {
		return s, fault.Invalid("name", "error.unknown_value", "value", s.ObjectID, "valid", strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	if err := rule.takes(ctx, tx, s.ObjectID, value); err != nil {
		return s, err
	}
	return s, set(ctx, tx, rule, Setting{Name: s.ObjectID, Value: value, ChangedBy: s.RequestedBy, ChangedMs: tx.NowMs, ConfirmedBy: tx.Actor.ID})
}

func set(ctx context.Context, tx *store.Tx, rule Rule, s Setting) error {
	_, err := tx.NewInsert().Model(&s).On("CONFLICT (name) DO UPDATE").Set("value = EXCLUDED.value, changed_by = EXCLUDED.changed_by, changed_ms = EXCLUDED.changed_ms, confirmed_by = EXCLUDED.confirmed_by, agreed = EXCLUDED.agreed").Exec(ctx)
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

func ruled(now map[string]Setting, name string, rule Rule, asked *Asked, a store.Actor, nowMs int64) Ruled {
	s, ok := now[name]
	if !ok {
		s = Setting{Name: name, Value: rule.Default}
	}
	r := Ruled{Setting: s, Rule: rule, Asked: asked}
	if rule.Eased && s.ChangedBy == a.ID && s.ConfirmedBy == "" && nowMs-s.ChangedMs <= UndoWithinMs {
		r.Undo = s.Agreed
	}
	return r
}

// List gives every setting that rules knows, by name: as it was changed, or its default, and what waits. nowMs is the time, on
// which depends what the asker may take back alone.
func List(ctx context.Context, db bun.IDB, a store.Actor, nowMs int64, rules map[string]Rule) ([]Ruled, error) {
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
		out = append(out, ruled(now, name, rules[name], asked, a, nowMs))
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
