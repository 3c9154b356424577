// Package obligation keeps what an operator owes to whom about an incident, and by when. The rules
// are data of internal/standard; this package applies them to what is known, keeps one row a rule,
// and sets the due rows. Clocks run from awareness, and before there is a level (design promise 10).
package obligation

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/service"
	"github.com/fengsui/fengsui/internal/standard"
)

// Obligation 报送义务: operator × authority × rule × incident. DueMs 0 means that the rule names no
// time. State is pending, owed, decision, struck_off or met. AtOnce is reckoned when it is read, by Order: owed since
// ClockStartMs, and the rule says "promptly".
type Obligation struct {
	bun.BaseModel `bun:"table:obligation" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	IncidentID    string `json:"incident_id"`
	OperatorID    string `json:"operator_id"`
	RuleID        string `json:"rule_id"`
	Authority     string `json:"authority"`
	Edition       string `json:"edition"`
	State         string `json:"state"`
	ClockStartMs  int64  `json:"clock_start_ms"`
	DueMs         int64  `json:"due_ms"`
	Reason        string `json:"reason"`
	SubmittedMs   int64  `json:"submitted_ms,omitempty"`
	SubmittedBy   string `json:"submitted_by,omitempty"`
	Receipt       string `json:"receipt,omitempty"`
	OverdueMs     int64  `json:"overdue_ms,omitempty"`
	DecidedBy     string `json:"decided_by,omitempty"`
	DecidedFacts  string `json:"decided_facts,omitempty"`
	AtOnce        bool   `bun:"-" json:"at_once,omitempty"`
}

// DueKind names the due row of an obligation; its handler is Overdue.
const DueKind = "obligation.due"

// A duty without a number in its rule ("promptly") that stands for RemindFirstMs is reminded of, then each time it has
// stood twice as long, and at least every RemindLastMs: each shift hears of it, and nobody learns to look away. These are the
// house's figures, not the law's: such a duty is never marked overdue, and its DueMs is 0.
const (
	RemindFirstMs int64 = 60 * 60 * 1000
	RemindLastMs  int64 = 12 * 60 * 60 * 1000
)

// remindIn is how long after nowMs to remind again.
func (o Obligation) remindIn(nowMs int64) int64 {
	return min(max(nowMs-o.ClockStartMs, RemindFirstMs), RemindLastMs)
}

// Standing is open for as long as the clock runs.
func (o Obligation) Standing() bool {
	return o.State == "pending" || o.State == "owed" || o.State == "decision"
}

// Reckon applies the rules to what is known now and brings rows and due rows in line. It is called in
// the transaction of whatever changed the facts: declaration, level, category, awareness, numbers,
// end of handling. A rule that no longer holds is struck off with its reason; a met one stays met,
// but a report on the end of handling is owed anew when handling ends again; a decision not to report reopens when the level or the numbers have risen since.
func Reckon(ctx context.Context, tx *store.Tx, book *standard.Book, incidentID string) error {
	i, err := incident.Get(ctx, tx, store.System("obligation"), incidentID)
	if err != nil {
		return err
	}
	f, err := facts(ctx, tx, book, i)
	if err != nil {
		return err
	}
	awareMs, err := incident.AwareMs(ctx, tx, i.ID)
	if err != nil {
		return err
	}
	endedMs := int64(0)
	stones, err := incident.Milestones(ctx, tx, i.ID)
	if err != nil {
		return err
	}
	for _, m := range stones {
		if m.Name == "handling_ended" {
			endedMs = m.LastMs
		}
	}
	want, err := book.Obligations(f)
	if err != nil {
		return err
	}
	have, err := rows(ctx, tx, i.ID)
	if err != nil {
		return err
	}
	known, err := json.Marshal(f)
	if err != nil {
		return err
	}
	k := knowledge{facts: f, json: known, grades: book.CACGrades(), awareMs: awareMs, endedMs: endedMs}
	for _, w := range want {
		if err := settle(ctx, tx, i, w, have[w.Rule.ID], k); err != nil {
			return err
		}
	}
	tx.Touch("obligation")
	return nil
}

var states = map[string]string{standard.StateOwed: "owed", standard.StatePending: "pending", standard.StateDecision: "decision", standard.StateStruck: "struck_off"}

// knowledge is what a reckoning goes by. Grades are those of the second scale, gravest first.
type knowledge struct {
	facts            standard.Facts
	json             json.RawMessage
	grades           []standard.CACGradeDef
	awareMs, endedMs int64
}

func settle(ctx context.Context, tx *store.Tx, i incident.Incident, w standard.Obligation, old *Obligation, k knowledge) error {
	state := states[w.State]
	if old == nil && state == "struck_off" {
		return nil // never opened: nothing to strike off
	}
	if old != nil && old.State == "met" && !(w.Rule.Clock == standard.ClockHandlingEnded && state == "owed" && k.endedMs > old.SubmittedMs) {
		return nil // what sums up is asked again when handling ended once more after it was handed in
	}
	// A duty was never open to decision, so a decision made before it was known to be one falls with it.
	if old != nil && old.DecidedBy != "" && state != "owed" && (state == "struck_off" || !k.worse(old.DecidedFacts)) {
		return nil
	}
	start := k.awareMs
	if w.Rule.Clock == standard.ClockHandlingEnded {
		start = k.endedMs
	}
	if start == 0 && state == "pending" {
		return nil // its clock cannot have begun
	}
	dueMs := int64(0)
	if w.Due.Kind == standard.DueWithin {
		dueMs, _ = w.DueAt(k.awareMs, k.endedMs)
	}
	o := Obligation{ID: tx.NewID(), IncidentID: i.ID, OperatorID: i.OperatorID, RuleID: w.Rule.ID, Authority: w.Rule.Recipient, Edition: w.Rule.Cite.Edition,
		State: state, ClockStartMs: start, DueMs: dueMs, Reason: w.Reason.Key}
	if old != nil {
		o.ID, o.OverdueMs = old.ID, old.OverdueMs
		if o.DueMs > tx.NowMs {
			o.OverdueMs = 0 // moved later, it is not overdue any more, and pages again if it becomes so
		}
		if old.State == o.State && old.DueMs == o.DueMs && old.ClockStartMs == o.ClockStartMs && old.Reason == o.Reason && old.DecidedBy == "" {
			return nil
		}
	}
	if _, err := tx.NewInsert().Model(&o).On("CONFLICT (incident_id, rule_id) DO UPDATE").
		Set("state = EXCLUDED.state, clock_start_ms = EXCLUDED.clock_start_ms, due_ms = EXCLUDED.due_ms, overdue_ms = EXCLUDED.overdue_ms, reason = EXCLUDED.reason, decided_by = '', decided_facts = '', submitted_ms = 0, submitted_by = '', receipt = ''").Exec(ctx); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "obligation." + o.State, ObjectKind: "obligation", ObjectID: o.ID, Scope: incident.Scope(i.ID), Content: map[string]any{"obligation": o, "facts": k.json}})
	switch {
	case o.Standing() && o.DueMs > 0:
		return due.Set(ctx, tx, o.row(i, o.DueMs))
	case o.Standing() && w.Due.Kind == standard.DuePromptly:
		return due.Set(ctx, tx, o.row(i, max(start+RemindFirstMs, tx.NowMs)))
	}
	return due.Cancel(ctx, tx, DueKind, o.ID)
}

func (o Obligation) row(i incident.Incident, dueMs int64) due.Row {
	return due.Row{Kind: DueKind, ObjectKind: "obligation", ObjectID: o.ID, IncidentKind: i.Kind, DueMs: dueMs, Payload: "{}"}
}

// worse reports whether the level, the grade of the second scale, occurrences or users have risen since
// a decision not to report; from not known to known is a rise.
func (k knowledge) worse(decided string) bool {
	var then standard.Facts
	if json.Unmarshal([]byte(decided), &then) != nil {
		return true
	}
	num := func(p *int64) int64 {
		if p == nil {
			return 0
		}
		return *p
	}
	rank := func(g standard.CACGradeID) int {
		if at := slices.IndexFunc(k.grades, func(d standard.CACGradeDef) bool { return d.ID == g }); at >= 0 {
			return at
		}
		return len(k.grades)
	}
	now := k.facts
	graver := now.Level != 0 && (then.Level == 0 || now.Level < then.Level)
	return graver || num(now.Occurrences) > num(then.Occurrences) || num(now.Users) > num(then.Users) || rank(now.CACGrade) < rank(then.CACGrade)
}

func rows(ctx context.Context, db bun.IDB, incidentID string) (map[string]*Obligation, error) {
	var list []Obligation
	if err := db.NewSelect().Model(&list).Where("incident_id = ?", incidentID).Scan(ctx); err != nil {
		return nil, err
	}
	out := make(map[string]*Obligation, len(list))
	for k := range list {
		out[list[k].RuleID] = &list[k]
	}
	return out, nil
}

func facts(ctx context.Context, tx *store.Tx, book *standard.Book, i incident.Incident) (standard.Facts, error) {
	var f standard.Facts
	op, err := service.Get[service.Operator](ctx, tx, "operator_id", i.OperatorID)
	if err != nil {
		return f, err
	}
	f.Reporter = op.Kind
	level, err := incident.LevelOf(ctx, tx, i.ID)
	if err != nil {
		return f, err
	}
	f.Level = level.Working
	cats, err := incident.Categories(ctx, tx, i.ID)
	if err != nil {
		return f, err
	}
	for _, c := range cats {
		f.Categories = append(f.Categories, c.GuideType)
	}
	var grade string
	if err := tx.NewRaw("SELECT COALESCE((SELECT grade FROM cac_assessment WHERE incident_id = ? ORDER BY at_ms DESC, id DESC LIMIT 1), '')", i.ID).Scan(ctx, &grade); err != nil {
		return f, err
	}
	f.CACGrade = standard.CACGradeID(grade)
	f.HandlingEnded = i.State == incident.Ended || i.State == incident.Verifying || i.State == incident.Closed
	var stated []Fact
	if err := tx.NewRaw("SELECT name, value FROM incident_fact WHERE incident_id = ?", i.ID).Scan(ctx, &stated); err != nil {
		return f, err
	}
	for _, s := range stated {
		know(&f, s)
	}
	return f, nil
}
