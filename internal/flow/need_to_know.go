package flow

import (
	"context"
	"slices"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/gatereview"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/service"
)

// hidden reports whether an incident, if there is one, is not there for the actor.
func hidden(ctx context.Context, db bun.IDB, a store.Actor, incidentID string) (bool, error) {
	if incidentID == "" {
		return false, nil
	}
	_, err := incident.Get(ctx, db, a, incidentID)
	if kind := fault.KindOf(err); err != nil && (kind == fault.KindNotFound || kind == fault.KindForbidden) {
		return true, nil
	}
	return false, err
}

// veil takes from an order what would betray an incident that the actor may not know of. The order
// itself stays: whoever has the watch must see what is in force.
func veil(ctx context.Context, db bun.IDB, a store.Actor, o *containment.Order) (veiled bool, err error) {
	veiled, err = hidden(ctx, db, a, o.IncidentID)
	if veiled {
		o.IncidentID, o.CauseID, o.EndedReason = "", "", ""
	}
	return veiled, err
}

// Orders lists orders; what hangs on an incident the actor may not know of is shown without it, and is
// not found by it.
func (h *House) Orders(ctx context.Context, a store.Actor, f containment.Filter) ([]containment.Order, error) {
	db := h.Store.Read()
	list, err := containment.List(ctx, db, a, f)
	out := []containment.Order{}
	for _, o := range list {
		veiled, err := veil(ctx, db, a, &o)
		if err != nil {
			return nil, err
		}
		if !veiled || f.IncidentID == "" && f.CauseID == "" {
			out = append(out, o)
		}
	}
	return out, err
}

// Order is one order with its acknowledgements and probes, veiled as in Orders.
func (h *House) Order(ctx context.Context, a store.Actor, id string) (containment.Status, error) {
	s, err := containment.Get(ctx, h.Store.Read(), a, id)
	if err != nil {
		return s, err
	}
	_, err = veil(ctx, h.Store.Read(), a, &s.Order)
	return s, err
}

// GateReviews lists the gate reviews, without those of incidents the actor may not know of.
func (h *House) GateReviews(ctx context.Context, a store.Actor, f gatereview.Filter) ([]gatereview.Review, error) {
	list, err := gatereview.List(ctx, h.Store.Read(), a, f)
	if err != nil {
		return nil, err
	}
	var failed error
	list = slices.DeleteFunc(list, func(r gatereview.Review) bool {
		gone, err := hidden(ctx, h.Store.Read(), a, r.IncidentID)
		if err != nil {
			failed = err
		}
		return gone
	})
	return list, failed
}

// ExplainNonconformity gives the reason for a nonconformity of an incident the actor may handle.
func (h *House) ExplainNonconformity(ctx context.Context, tx *store.Tx, id, reason string) (containment.Nonconformity, error) {
	n, err := service.Get[containment.Nonconformity](ctx, tx, "id", id)
	if err != nil {
		return n, err
	}
	if _, err := incident.ForChange(ctx, tx, n.IncidentID, "incident.handle"); err != nil {
		return containment.Nonconformity{}, err
	}
	return h.Control.ExplainNonconformity(ctx, tx, id, reason)
}
