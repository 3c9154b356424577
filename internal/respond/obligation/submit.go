package obligation

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/standard"
)

func load(ctx context.Context, tx *store.Tx, id, action string) (Obligation, incident.Incident, error) {
	var o Obligation
	if err := tx.NewSelect().Model(&o).Where("id = ?", id).Scan(ctx); err != nil {
		return o, incident.Incident{}, store.Missing(err, "obligation_id")
	}
	i, err := incident.ForChange(ctx, tx, o.IncidentID, action)
	if err != nil {
		return o, i, err
	}
	if !o.Standing() {
		return o, i, fault.Conflict("obligation_id", "obligation.settled", "state", o.State)
	}
	return o, i, nil
}

// Submit attests that the report was handed in; only this stops the clock. Receipt is the
// authority's number, or how and to whom it was told by telephone.
func Submit(ctx context.Context, tx *store.Tx, id, receipt string) (Obligation, error) {
	o, i, err := load(ctx, tx, id, "obligation.submit")
	if err != nil {
		return o, err
	}
	if strings.TrimSpace(receipt) == "" {
		return o, fault.Invalid("receipt", "error.required", "field", "receipt")
	}
	o.State, o.SubmittedMs, o.SubmittedBy, o.Receipt = "met", tx.NowMs, tx.Actor.ID, receipt
	if _, err := tx.NewUpdate().Model(&o).WherePK().Exec(ctx); err != nil {
		return o, err
	}
	tx.Record(store.Entry{Action: "obligation.submit", ObjectKind: "obligation", ObjectID: id, Scope: incident.Scope(i.ID), Content: o})
	tx.Touch("obligation")
	return o, due.Cancel(ctx, tx, DueKind, id)
}

// StrikeOff decides not to report, with a reason. What is owed cannot be struck off by decision, only
// what is pending or asks for a decision. It reopens when level or numbers rise.
func StrikeOff(ctx context.Context, tx *store.Tx, book *standard.Book, id, reason string) (Obligation, error) {
	o, i, err := load(ctx, tx, id, "obligation.decide")
	if err != nil {
		return o, err
	}
	if o.State == "owed" {
		return o, fault.Conflict("obligation_id", "obligation.owed")
	}
	if strings.TrimSpace(reason) == "" {
		return o, fault.Invalid("reason", "error.required", "field", "reason")
	}
	f, err := facts(ctx, tx, book, i)
	if err != nil {
		return o, err
	}
	known, err := json.Marshal(f)
	if err != nil {
		return o, err
	}
	o.State, o.Reason, o.DecidedBy, o.DecidedFacts = "struck_off", reason, tx.Actor.ID, string(known)
	if _, err := tx.NewUpdate().Model(&o).WherePK().Exec(ctx); err != nil {
		return o, err
	}
	tx.Record(store.Entry{Action: "obligation.strike_off", ObjectKind: "obligation", ObjectID: id, Scope: incident.Scope(i.ID), Content: o})
	tx.Touch("obligation")
	return o, due.Cancel(ctx, tx, DueKind, id)
}

// Overdue marks an obligation whose due time has come without an attested submission, or reminds of
// one that is to be met promptly and sets the next reminder. It is the handler of DueKind; page tells
// people in the same transaction.
func Overdue(ctx context.Context, tx *store.Tx, id string, page func(context.Context, *store.Tx, Obligation, incident.Incident) error) error {
	var o Obligation
	if err := tx.NewSelect().Model(&o).Where("id = ?", id).Scan(ctx); err != nil {
		return store.Missing(err, "obligation_id")
	}
	if !o.Standing() || o.OverdueMs != 0 {
		return nil
	}
	i, err := incident.Get(ctx, tx, tx.Actor, o.IncidentID)
	if err != nil {
		return err
	}
	if o.DueMs == 0 {
		if err := due.Set(ctx, tx, o.row(i, tx.NowMs+o.remindIn(tx.NowMs))); err != nil {
			return err
		}
		return page(ctx, tx, o, i)
	}
	o.OverdueMs = tx.NowMs
	if _, err := tx.NewUpdate().Model(&o).WherePK().Column("overdue_ms").Exec(ctx); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "obligation.overdue", ObjectKind: "obligation", ObjectID: id, Scope: incident.Scope(i.ID), Content: o})
	tx.Touch("obligation")
	return page(ctx, tx, o, i)
}

// List gives the obligations of an incident the actor may see, in Order.
func List(ctx context.Context, db bun.IDB, book *standard.Book, a store.Actor, incidentID string) ([]Obligation, error) {
	if err := identity.Require(a, "obligation.read"); err != nil {
		return nil, err
	}
	if _, err := incident.Get(ctx, db, a, incidentID); err != nil {
		return nil, err
	}
	out := []Obligation{}
	err := db.NewSelect().Model(&out).Where("incident_id = ?", incidentID).Order("id").Scan(ctx)
	Order(book, out)
	return out, err
}
