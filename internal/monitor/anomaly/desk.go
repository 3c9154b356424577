package anomaly

import (
	"context"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Notifier alerts people that an anomaly opened (告警), in the transaction that opens it.
type Notifier interface {
	AnomalyOpened(ctx context.Context, tx *store.Tx, a Anomaly) error
}

// Desk opens anomalies and lets signals join them.
type Desk struct {
	rules    Rules
	notifier Notifier
}

// NewDesk makes a desk; notifier may be nil, then nobody is alerted.
func NewDesk(rules Rules, notifier Notifier) *Desk { return &Desk{rules: rules, notifier: notifier} }

// Rules are the rules of the desk.
func (d *Desk) Rules() Rules { return d.rules }

// Raise takes one signal that does not come from a gateway: a complaint, a person's report. It joins the
// active anomaly that holds the same content, else the one with its fingerprint, else it opens one.
// A signal that was raised before changes nothing. Errors: fault invalid if no rule takes the signal.
func (d *Desk) Raise(ctx context.Context, tx *store.Tx, o Observation) (Anomaly, error) {
	if err := identity.Require(tx.Actor, "anomaly.assess"); err != nil {
		return Anomaly{}, err
	}
	o.Count = 1
	if o.ID == "" {
		o.ID = tx.NewID()
	}
	if o.AtMs == 0 {
		o.AtMs = tx.NowMs
	}
	if o.Modality == "" {
		o.Modality = "text"
	}
	rule := d.rules.For(o)
	if rule == nil || o.Source == "gateway" {
		return Anomaly{}, fault.Invalid("source", "anomaly.no_rule", "source", o.Source)
	}
	drill, err := drillOf(ctx, tx, o.ServiceID)
	if err != nil {
		return Anomaly{}, err
	}
	if err := identity.RequireDrill(tx.Actor, drill); err != nil {
		return Anomaly{}, err
	}
	var a Anomaly
	found, err := first(ctx, tx, &a, "id IN (SELECT anomaly_id FROM signal WHERE id = ?)", o.ID)
	if err != nil || found {
		return a, err
	}
	if o.ContentNo != "" {
		found, err = first(ctx, tx, &a, `state IN (?) AND service_id = ? AND kind = ? AND drill_id = ? AND id IN (SELECT anomaly_id FROM signal WHERE content_no = ?)`,
			bun.List(active), o.ServiceID, o.Kind, drill, o.ContentNo)
	}
	if err == nil && !found {
		found, err = first(ctx, tx, &a, "state IN (?) AND fingerprint = ? AND drill_id = ?", bun.List(active), rule.fingerprint(o), drill)
	}
	if err != nil {
		return a, err
	}
	if !found {
		a = newAnomaly(rule, o, tx.NewID(), tx.NowMs)
		a.DrillID, a.Signals, a.Subjects = drill, 1, int64(len(o.subjects()))
		return a, d.open(ctx, tx, &a, []Signal{o.Signal})
	}
	a.Signals++
	a.FirstMs, a.LastMs = min(a.FirstMs, o.AtMs), max(a.LastMs, o.AtMs)
	if o.Subject != "" {
		n, err := tx.NewSelect().Model((*Signal)(nil)).Where("anomaly_id = ? AND subject = ?", a.ID, o.Subject).Count(ctx)
		if err != nil {
			return a, err
		}
		if n == 0 {
			a.Subjects++
		}
	}
	if _, err := tx.NewUpdate().Model(&a).Column("signals", "subjects", "first_ms", "last_ms").WherePK().Exec(ctx); err != nil {
		return a, err
	}
	if err := keep(ctx, tx, a.ID, []Signal{o.Signal}); err != nil {
		return a, err
	}
	tx.Record(store.Entry{Action: "anomaly.join", ObjectKind: "anomaly", ObjectID: a.ID, Scope: Scope(a.ID), Content: map[string]any{
		"signal": o.ID, "source": o.Source, "complaint": o.ComplaintID}})
	tx.Touch(Topic)
	return a, nil
}

func first(ctx context.Context, db bun.IDB, a *Anomaly, where string, args ...any) (bool, error) {
	var rows []Anomaly
	if err := db.NewSelect().Model(&rows).Where(where, args...).Order("opened_ms", "id").Limit(1).Scan(ctx); err != nil || len(rows) == 0 {
		return false, err
	}
	*a = rows[0]
	return true, nil
}

// newAnomaly is the anomaly that o opens under rule at ms.
func newAnomaly(rule *Rule, o Observation, id string, ms int64) Anomaly {
	return Anomaly{ID: id, Kind: o.Kind, ServiceID: o.ServiceID, RuleID: rule.ID, Fingerprint: rule.fingerprint(o), Category: rule.Category,
		Risk: o.Risk, Severity: rule.Severity, Modality: o.Modality, Language: o.Language, State: Open, FirstMs: o.AtMs, LastMs: o.AtMs, OpenedMs: ms}
}

// open stores a new anomaly with its first signals, records it and alerts people.
func (d *Desk) open(ctx context.Context, tx *store.Tx, a *Anomaly, signals []Signal) error {
	number, err := identity.NextNumber(ctx, tx, "AN", a.Kind)
	if err != nil {
		return err
	}
	a.Number = number
	if _, err := tx.NewInsert().Model(a).Exec(ctx); err != nil {
		return err
	}
	if err := keep(ctx, tx, a.ID, signals); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "anomaly.open", ObjectKind: "anomaly", ObjectID: a.ID, Scope: Scope(a.ID), Content: map[string]any{
		"number": a.Number, "kind": a.Kind, "service": a.ServiceID, "rule": a.RuleID, "rules_edition": d.rules.Edition, "fingerprint": a.Fingerprint,
		"category": a.Category, "risk": a.Risk, "severity": a.Severity, "signals": a.Signals, "subjects": a.Subjects}})
	tx.Touch(Topic)
	if d.notifier == nil {
		return nil
	}
	if err := d.notifier.AnomalyOpened(ctx, tx, *a); err != nil {
		return fmt.Errorf("alert about an anomaly: %w", err)
	}
	return nil
}

// keep stores signals of an anomaly; one that is stored already stays as it is.
func keep(ctx context.Context, tx *store.Tx, anomalyID string, signals []Signal) error {
	if len(signals) == 0 {
		return nil
	}
	rows := slices.Clone(signals)
	for i := range rows {
		rows[i].AnomalyID = anomalyID
	}
	_, err := tx.NewInsert().Model(&rows).On("CONFLICT (id) DO NOTHING").Exec(ctx)
	return err
}

// drillOf is the drill that a service exists for, "" for a real one.
// Errors: fault not found for a service that does not exist.
func drillOf(ctx context.Context, db bun.IDB, serviceID string) (string, error) {
	var drill string
	err := db.NewRaw("SELECT drill_id FROM service WHERE id = ?", serviceID).Scan(ctx, &drill)
	return drill, store.Missing(err, "service_id")
}
