// Package anomaly joins signals (信号) into anomalies (服务异常) by rules that are data, alerts people when
// one opens, and keeps what people decide about it: dismissed with a reason, merged, or promoted to an
// incident. Signals of a drill never meet a real anomaly.
package anomaly

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Topic is woken when an anomaly opens, grows or is decided.
const Topic = "anomaly"

// Anomaly 服务异常: signals joined by a rule, under assessment. Times are UTC milliseconds.
type Anomaly struct {
	bun.BaseModel `bun:"table:anomaly" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	Number        string `json:"number"` // AN-2026-0001, D-AN-… of a drill
	Kind          string `json:"kind"`   // real, drill, test, backfill
	DrillID       string `json:"drill_id,omitempty"`
	ServiceID     string `json:"service_id"`
	RuleID        string `json:"rule_id"`
	Fingerprint   string `json:"fingerprint"`
	Category      string `json:"category"` // proposed guide type
	Risk          string `json:"risk"`
	Severity      string `json:"severity"` // normal, high, critical
	Modality      string `json:"modality"`
	Language      string `json:"language"`
	State         State  `json:"state"`
	Signals       int64  `json:"signals"`
	Subjects      int64  `json:"subjects"` // distinct; unknown ones are not counted
	FirstMs       int64  `json:"first_ms"`
	LastMs        int64  `json:"last_ms"`
	OpenedMs      int64  `json:"opened_ms"` // when the signal that reached the threshold was stored
	AssessedBy    string `json:"assessed_by,omitempty"`
	AssessedMs    int64  `json:"assessed_ms,omitempty"` // when the alarm was seen
	DecidedBy     string `json:"decided_by,omitempty"`
	DecidedMs     int64  `json:"decided_ms,omitempty"`
	Reason        string `json:"reason,omitempty"`
	MergedInto    string `json:"merged_into,omitempty"`
	IncidentID    string `json:"incident_id,omitempty"`
}

// Signal 信号: one observation that joined an anomaly. The main database keeps the first ones of an
// anomaly; all of them are in telemetry.
type Signal struct {
	bun.BaseModel `bun:"table:signal" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	AnomalyID     string `json:"anomaly_id"`
	Source        string `json:"source"` // gateway, complaint, person
	ServiceID     string `json:"service_id"`
	AtMs          int64  `json:"at_ms"`
	ContentNo     string `json:"content_no"`
	ComplaintID   string `json:"complaint_id"`
	Subject       string `json:"subject"` // HMAC
	Tenant        string `json:"tenant"`
	Rule          string `json:"rule"` // lexicon entry or check that fired
	Risk          string `json:"risk"`
	Action        string `json:"action"`
	Side          string `json:"side"`
	Modality      string `json:"modality"`
	Language      string `json:"language"`
}

// Observation is a signal before it is known what it joins.
type Observation struct {
	Signal
	Kind       string
	Group      string
	Deployment string
	Count      int      // 1; more for signals that were folded in a flood
	Subjects   []string // of folded signals, instead of Subject
}

func (o Observation) subjects() []string {
	if o.Subject != "" {
		return []string{o.Subject}
	}
	return o.Subjects
}

// State is where an anomaly stands.
type State string

// The states.
const (
	Open      State = "open"
	Assessing State = "assessing"
	Dismissed State = "dismissed"
	Promoted  State = "promoted"
	Merged    State = "merged"
)

// Transition is one arrow of the state machine.
type Transition struct {
	From  State
	Event string
	To    State
}

// Machine is the whole state machine of an anomaly.
func Machine() []Transition {
	return []Transition{
		{Open, "assess", Assessing},
		{Assessing, "dismiss", Dismissed},
		{Assessing, "promote", Promoted},
		{Assessing, "merge", Merged},
		{Open, "drill_over", Dismissed}, // only EndDrill
		{Assessing, "drill_over", Dismissed},
	}
}

// Next is the state after event. Errors: fault conflict error.transition.
func (s State) Next(event string) (State, error) {
	var allowed []string
	for _, t := range Machine() {
		if t.From != s {
			continue
		}
		if t.Event == event {
			return t.To, nil
		}
		allowed = append(allowed, t.Event)
	}
	if allowed == nil {
		allowed = []string{"—"}
	}
	return s, fault.Conflict("state", "error.transition", "state", string(s), "event", event, "allowed", strings.Join(allowed, ", "))
}

// active are the states in which further signals join.
var active = []State{Open, Assessing}

// maxReason is the longest reason, in characters.
const maxReason = 2000

// Assess takes an open anomaly under assessment (研判).
func Assess(ctx context.Context, tx *store.Tx, id string) (Anomaly, error) {
	return decide(ctx, tx, id, "assess", func(a *Anomaly) error {
		a.AssessedBy, a.AssessedMs = tx.Actor.ID, tx.NowMs
		return nil
	})
}

// Dismiss ends an anomaly that is no incident. Errors besides the transition: invalid without a reason.
func Dismiss(ctx context.Context, tx *store.Tx, id, reason string) (Anomaly, error) {
	reason = strings.TrimSpace(reason)
	return decide(ctx, tx, id, "dismiss", func(a *Anomaly) error {
		if reason == "" {
			return fault.Invalid("reason", "error.required", "field", "reason")
		}
		if utf8.RuneCountInString(reason) > maxReason {
			return fault.Invalid("reason", "anomaly.too_long", "field", "reason", "max", maxReason)
		}
		a.Reason = reason
		return nil
	})
}

// Merge ends an anomaly that is the same thing as another one of the same kind and drill.
func Merge(ctx context.Context, tx *store.Tx, id, into string) (Anomaly, error) {
	return decide(ctx, tx, id, "merge", func(a *Anomaly) error {
		if into == id {
			return fault.Invalid("into", "anomaly.merge_itself")
		}
		target, err := load(ctx, tx, tx.Actor, into, "into")
		if err != nil {
			return err
		}
		if target.Kind != a.Kind || target.DrillID != a.DrillID {
			return fault.Invalid("into", "anomaly.merge_kind")
		}
		if target.State == Dismissed || target.State == Merged {
			return fault.Conflict("into", "anomaly.merge_ended", "state", string(target.State))
		}
		a.MergedInto = into
		return nil
	})
}

// MarkPromoted notes that an anomaly was decided to be an incident, in the transaction that declares it.
func MarkPromoted(ctx context.Context, tx *store.Tx, id, incidentID string) (Anomaly, error) {
	return decide(ctx, tx, id, "promote", func(a *Anomaly) error {
		if incidentID == "" {
			return fault.Invalid("incident_id", "error.required", "field", "incident_id")
		}
		a.IncidentID = incidentID
		return nil
	})
}

// EndDrill ends the anomalies that a drill left undecided. It is for the transaction that ends the drill.
// Error: forbidden for anybody but the system.
func EndDrill(ctx context.Context, tx *store.Tx, drillID string) error {
	if !tx.Actor.IsSystem() {
		return fault.Forbidden("identity.not_allowed", "action", "drill.end")
	}
	var ids []string
	if err := tx.NewRaw("SELECT id FROM anomaly WHERE drill_id = ? AND drill_id <> '' AND state IN (?) ORDER BY id", drillID, bun.List(active)).Scan(ctx, &ids); err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := decide(ctx, tx, id, "drill_over", func(*Anomaly) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

func decide(ctx context.Context, tx *store.Tx, id, event string, with func(*Anomaly) error) (Anomaly, error) {
	if err := identity.Require(tx.Actor, "anomaly.assess"); err != nil {
		return Anomaly{}, err
	}
	a, err := load(ctx, tx, tx.Actor, id, "id")
	if err != nil {
		return a, err
	}
	before := a.State
	next, err := before.Next(event)
	if err != nil {
		return a, err
	}
	if err := with(&a); err != nil {
		return a, err
	}
	a.State = next
	if !slices.Contains(active, next) {
		a.DecidedBy, a.DecidedMs = tx.Actor.ID, tx.NowMs
	}
	// Counts are left alone: they grow meanwhile.
	res, err := tx.NewUpdate().Model(&a).Column("state", "assessed_by", "assessed_ms", "decided_by", "decided_ms", "reason", "merged_into", "incident_id").
		WherePK().Where("state = ?", before).Exec(ctx)
	if err != nil {
		return a, err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return a, fault.Conflict("state", "error.transition", "state", string(before), "event", event, "allowed", "—").Because(err)
	}
	tx.Record(store.Entry{Action: "anomaly." + event, ObjectKind: "anomaly", ObjectID: a.ID, Scope: Scope(a.ID), Content: map[string]any{
		"number": a.Number, "state": a.State, "reason": a.Reason, "merged_into": a.MergedInto, "incident_id": a.IncidentID}})
	tx.Touch(Topic)
	return a, nil
}

// Scope is the erasure scope of what is recorded about an anomaly.
func Scope(id string) string { return "anomaly:" + id }

// load reads an anomaly that the actor may know of: not of a hidden incident, and for a stand-in of its drill.
func load(ctx context.Context, db bun.IDB, actor store.Actor, id, field string) (Anomaly, error) {
	var a Anomaly
	if err := db.NewSelect().Model(&a).Where("id = ?", id).Scan(ctx); err != nil {
		return a, store.Missing(err, field)
	}
	if err := Visible(ctx, db, actor, field, id); err != nil {
		return Anomaly{}, err
	}
	return a, identity.RequireDrill(actor, a.DrillID)
}

// Hidden selects the ids of the anomalies that became restricted incidents of which the actor may not
// know, and of those merged into them, for use as a subquery. The parts of the system know of all.
func Hidden(actor store.Actor) schema.QueryWithArgs {
	return bun.SafeQuery(`WITH RECURSIVE hid(id) AS (
		SELECT h.id FROM incident i CROSS JOIN anomaly h WHERE h.incident_id = i.id AND h.incident_id <> '' AND i.restricted AND NOT ?
			AND NOT EXISTS (SELECT 1 FROM incident_access x WHERE x.incident_id = i.id AND x.person_id = ?)
		UNION SELECT m.id FROM anomaly m JOIN hid ON m.merged_into = hid.id WHERE m.merged_into <> '') SELECT id FROM hid`, actor.IsSystem(), actor.ID)
}

// Visible refuses an anomaly that is hidden from the actor with not found about field, as if it never was.
func Visible(ctx context.Context, db bun.IDB, actor store.Actor, field, id string) error {
	if id == "" || actor.IsSystem() {
		return nil
	}
	var n int
	if err := db.NewRaw("SELECT COUNT(*) FROM anomaly WHERE id = ? AND id IN (?)", id, Hidden(actor)).Scan(ctx, &n); err != nil {
		return err
	}
	if n > 0 {
		return fault.NotFound(field, "error.not_found", "field", field)
	}
	return nil
}

// Get reads one anomaly.
func Get(ctx context.Context, db bun.IDB, actor store.Actor, id string) (Anomaly, error) {
	if err := identity.Require(actor, "anomaly.read"); err != nil {
		return Anomaly{}, err
	}
	return load(ctx, db, actor, id, "id")
}

// Filter narrows List; empty fields do not.
type Filter struct {
	States    []State
	ServiceID string
	Kind      string
	DrillID   string
	BeforeMs  int64 // opened before
	Limit     int   // default and at most 500
}

// List lists anomalies, newest first, without those of hidden incidents. A stand-in sees those of its drill.
func List(ctx context.Context, db bun.IDB, actor store.Actor, f Filter) ([]Anomaly, error) {
	if err := identity.Require(actor, "anomaly.read"); err != nil {
		return nil, err
	}
	if f.Limit <= 0 || f.Limit > 500 {
		f.Limit = 500
	}
	out := []Anomaly{}
	q := db.NewSelect().Model(&out).Order("opened_ms DESC", "id DESC").Limit(int64(f.Limit))
	if len(f.States) > 0 {
		q = q.Where("state IN (?)", bun.List(f.States))
	}
	for _, c := range []struct{ column, value string }{{"service_id", f.ServiceID}, {"kind", f.Kind}, {"drill_id", f.DrillID}, {"drill_id", actor.Drill}} {
		if c.value != "" {
			q = q.Where("? = ?", bun.Ident(c.column), c.value)
		}
	}
	q = q.Where("id NOT IN (?)", Hidden(actor))
	if f.BeforeMs > 0 {
		q = q.Where("opened_ms < ?", f.BeforeMs)
	}
	return out, q.Scan(ctx)
}

// Signals lists the kept signals of an anomaly, oldest first.
func Signals(ctx context.Context, db bun.IDB, actor store.Actor, id string) ([]Signal, error) {
	if _, err := Get(ctx, db, actor, id); err != nil {
		return nil, err
	}
	out := []Signal{}
	return out, db.NewSelect().Model(&out).Where("anomaly_id = ?", id).Order("at_ms", "id").Scan(ctx)
}
