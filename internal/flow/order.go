package flow

import (
	"context"

	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/gatereview"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

// IssueOrder puts an order in force and starts keeping evidence of what caused it in the same
// transaction (止损优先: neither waits for the other).
func (h *House) IssueOrder(ctx context.Context, tx *store.Tx, r containment.Request) (containment.Order, error) {
	o, err := h.Control.Issue(ctx, tx, r)
	if err != nil {
		return o, err
	}
	if r.Cause == containment.FromAnomaly {
		if err := h.pinAnomaly(ctx, tx, r.CauseID); err != nil {
			return o, err
		}
	}
	return o, h.contained(ctx, tx, o.IncidentID)
}

// AdoptOrder makes an order part of an incident.
func (h *House) AdoptOrder(ctx context.Context, tx *store.Tx, orderID, incidentID string) (containment.Order, error) {
	o, err := h.Control.Adopt(ctx, tx, orderID, incidentID)
	if err != nil {
		return o, err
	}
	return o, h.contained(ctx, tx, incidentID)
}

// contained notes that an incident is contained and looks whether its level demands more.
func (h *House) contained(ctx context.Context, tx *store.Tx, incidentID string) error {
	if incidentID == "" {
		return nil
	}
	if err := incident.Reached(ctx, tx, incidentID, "contained"); err != nil {
		return err
	}
	return h.checkMeasure(ctx, tx, incidentID)
}

// checkMeasure asks for the demanded measure as long as the incident is being responded to; what is
// recovering has come back through review.
func (h *House) checkMeasure(ctx context.Context, tx *store.Tx, incidentID string) error {
	i, err := incident.Get(ctx, tx, store.System("flow"), incidentID)
	if err != nil {
		return err
	}
	if i.State != incident.Declared && i.State != incident.Responding {
		return nil
	}
	level, err := incident.LevelOf(ctx, tx, incidentID)
	if err != nil {
		return err
	}
	_, err = h.Control.CheckMeasure(ctx, tx, incidentID, level.Working)
	return err
}

// DecideOnline settles an online gate review; an approved one lifts the order and the incident is
// recovering from then on.
func (h *House) DecideOnline(ctx context.Context, tx *store.Tx, reviewID string, approve bool, reason string) (gatereview.Review, error) {
	r, err := h.Review.Decide(ctx, tx, reviewID, approve, reason)
	if err != nil || !approve {
		return r, err
	}
	o, err := containment.Get(ctx, tx, store.System("flow"), r.OrderID)
	if err != nil || o.Order.IncidentID == "" {
		return r, err
	}
	i, err := incident.Get(ctx, tx, store.System("flow"), o.Order.IncidentID)
	if err != nil || i.State != incident.Responding {
		return r, err
	}
	defer tx.Lend(store.System("gatereview"))() // the reviewer decided on the gate; the rest follows
	_, err = incident.Advance(ctx, tx, i.ID, incident.OnRecover, "incident.handle", reason)
	return r, err
}
