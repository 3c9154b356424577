package containment

import (
	"context"
	"strings"

	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/service"
)

// RequestLift asks for an order to be lifted. It stays in force until another person confirms with
// DecideLift. An offline order cannot be lifted so: it comes back through gate review.
// Errors: not found; forbidden without order.lift; invalid without a reason; conflict if it does not bind any more.
func (c *Control) RequestLift(ctx context.Context, tx *store.Tx, orderID, reason string) (identity.SecondSignature, error) {
	o, err := c.loosening(ctx, tx, orderID, "lift")
	if err != nil {
		return identity.SecondSignature{}, err
	}
	return identity.AskSecond(ctx, tx, identity.SecondSignature{Action: "order.lift", ObjectKind: "order", ObjectID: o.ID, IncidentID: o.IncidentID, DrillID: o.DrillID, Reason: reason}, map[string]string{"lift": o.ID})
}

// DecideLift confirms or rejects a request to lift; a confirmed one takes effect in this transaction.
func (c *Control) DecideLift(ctx context.Context, tx *store.Tx, secondID string, confirm bool) (Order, error) {
	var of string // the order may have been adopted after it was asked for
	if err := tx.NewRaw(`SELECT o.incident_id FROM second_signature s JOIN disposal_order o ON o.id = s.object_id
		WHERE s.id = ? AND s.object_kind = 'order'`, secondID).Scan(ctx, &of); err != nil {
		return Order{}, store.Missing(err, "id")
	}
	if err := incident.Visible(ctx, tx, tx.Actor, "id", of); err != nil {
		return Order{}, err
	}
	s, err := identity.DecideSecond(ctx, tx, secondID, confirm)
	if err != nil {
		return Order{}, err
	}
	if !confirm {
		return load(ctx, tx, tx.Actor, s.ObjectID)
	}
	o, err := c.loosening(ctx, tx, s.ObjectID, "lift")
	if err != nil {
		return o, err
	}
	return o, c.end(ctx, tx, &o, "lift", s.RequestedBy, tx.Actor.ID, s.Reason)
}

// loosening loads an order that two persons are about to lift.
func (c *Control) loosening(ctx context.Context, tx *store.Tx, orderID, event string) (Order, error) {
	if err := identity.Require(tx.Actor, "order.lift"); err != nil {
		return Order{}, err
	}
	if tx.Actor.IsSystem() {
		return Order{}, fault.Forbidden("containment.needs_person", "rung", "")
	}
	o, err := load(ctx, tx, tx.Actor, orderID)
	if err != nil {
		return o, err
	}
	if _, err := next(o.State, event); err != nil {
		return o, err
	}
	if o.ReleaseMode == OnlineReview {
		return o, fault.Conflict("order_id", "containment.offline_needs_review")
	}
	return o, nil
}

// UndoOffline takes back an offline order as a slip: by the same person, within 60 s, and only while
// nobody has decided on it. Errors: forbidden containment.not_your_slip; conflict containment.too_late.
func (c *Control) UndoOffline(ctx context.Context, tx *store.Tx, orderID, reason string) (Order, error) {
	if err := identity.Require(tx.Actor, "order.issue"); err != nil {
		return Order{}, err
	}
	o, err := load(ctx, tx, tx.Actor, orderID)
	if err != nil {
		return o, err
	}
	if _, err := next(o.State, "undo_slip"); err != nil {
		return o, err
	}
	switch {
	case o.Rung != posture.ServiceOffline:
		return o, fault.Conflict("order_id", "containment.undo_only_offline")
	case o.IssuedBy != tx.Actor.ID:
		return o, fault.Forbidden("containment.not_your_slip")
	case tx.NowMs-o.IssuedMs > UndoWithinMs:
		return o, fault.Conflict("order_id", "containment.too_late", "seconds", UndoWithinMs/1000)
	}
	if err := c.o.Review.WithdrawOffline(ctx, tx, o); err != nil {
		return o, err
	}
	return o, c.end(ctx, tx, &o, "undo_slip", tx.Actor.ID, "", reason)
}

// GoOnline lifts an offline order for which this same transaction, or an earlier one, approved the
// online gate review. It checks the review itself, so that no caller can loosen without one.
func (c *Control) GoOnline(ctx context.Context, tx *store.Tx, orderID string) (Order, error) {
	o, err := service.Get[Order](ctx, tx, "order_id", orderID)
	if err != nil {
		return o, err
	}
	var requested, decided, reason string
	err = tx.NewRaw(`SELECT requested_by, decided_by, decision_reason FROM gate_review
		WHERE order_id = ? AND direction = 'online' AND state = 'approved' AND decided_by <> '' AND decided_by <> requested_by
		ORDER BY decided_ms DESC, id DESC LIMIT 1`, orderID).Scan(ctx, &requested, &decided, &reason)
	if err != nil {
		if fault.KindOf(store.Missing(err, "order_id")) == fault.KindNotFound {
			return o, fault.Conflict("order_id", "containment.offline_needs_review")
		}
		return o, err
	}
	if o.Rung != posture.ServiceOffline {
		return o, fault.Conflict("order_id", "containment.undo_only_offline")
	}
	return o, c.end(ctx, tx, &o, "go_online", requested, decided, reason)
}

// EndDrill takes the orders of a drill out of force when the drill has ended: they bind nothing but
// its own traffic, and nobody is left to lift them. It loosens nothing real, so it takes no second person.
func (c *Control) EndDrill(ctx context.Context, tx *store.Tx, drillID string) error {
	if !tx.Actor.IsSystem() {
		return fault.Forbidden("identity.not_allowed", "action", "drill.end")
	}
	var orders []Order
	if err := tx.NewSelect().Model(&orders).Where("kind = 'drill' AND drill_id = ? AND drill_id <> '' AND state = ?", drillID, InForce).Order("seq").Scan(ctx); err != nil {
		return err
	}
	for i := range orders {
		if err := c.end(ctx, tx, &orders[i], "drill_over", tx.Actor.ID, "", ""); err != nil {
			return err
		}
	}
	return nil
}

// end takes an order out of force.
func (c *Control) end(ctx context.Context, tx *store.Tx, o *Order, event, by, second, reason string) error {
	to, err := next(o.State, event)
	if err != nil {
		return err
	}
	o.State, o.EndedBy, o.EndedSecond, o.EndedMs, o.EndedReason = to, by, second, tx.NowMs, strings.TrimSpace(reason)
	if _, err := tx.NewUpdate().Model(o).Column("state", "ended_by", "ended_second", "ended_ms", "ended_reason").WherePK().Exec(ctx); err != nil {
		return err
	}
	for _, kind := range []string{DueExpire, DueAdopt, DueRenew} {
		if err := due.Cancel(ctx, tx, kind, o.ID); err != nil {
			return err
		}
	}
	// Whoever asked for this order to be lifted is not left waiting for a second person.
	if err := identity.Lapse(ctx, tx, "order", o.ID, "order."+event); err != nil {
		return err
	}
	tx.Record(o.entry("order."+event, map[string]any{"by": by, "second": second, "reason": o.EndedReason}))
	tx.Touch(TopicOrder)
	return bump(ctx, tx)
}

// Adopt makes an order part of an incident. Errors: forbidden without incident.handle; conflict if it
// is part of one already, or if one of the two is a drill and the other is not of the same.
func (c *Control) Adopt(ctx context.Context, tx *store.Tx, orderID, incidentID string) (Order, error) {
	if err := identity.Require(tx.Actor, "incident.handle"); err != nil {
		return Order{}, err
	}
	o, err := load(ctx, tx, tx.Actor, orderID)
	if err != nil {
		return o, err
	}
	if _, err := next(o.State, "adopt"); err != nil {
		return o, err
	}
	if o.IncidentID != "" {
		return o, fault.Conflict("order_id", "containment.adopted", "incident", o.IncidentID)
	}
	into, err := loadOrigin(ctx, tx, tx.Actor, FromIncident, incidentID)
	if err != nil {
		return o, err
	}
	if into.kind != o.Kind || into.drillID != o.DrillID {
		return o, fault.Conflict("incident_id", "containment.other_kind", "kind", o.Kind)
	}
	o.IncidentID, o.AdoptedMs = incidentID, tx.NowMs
	if _, err := tx.NewUpdate().Model(&o).Column("incident_id", "adopted_ms").WherePK().Exec(ctx); err != nil {
		return o, err
	}
	if err := due.Cancel(ctx, tx, DueAdopt, o.ID); err != nil {
		return o, err
	}
	if o.Rung == posture.ServiceOffline {
		if err := c.o.Review.AdoptOffline(ctx, tx, o); err != nil {
			return o, err
		}
	}
	tx.Record(o.entry("order.adopt", map[string]any{"incident": incidentID}))
	tx.Touch(TopicOrder)
	level, err := c.o.Level(ctx, tx, incidentID)
	if err != nil {
		return o, err
	}
	if level == 1 && o.ExpiresMs != 0 {
		return o, c.hold(ctx, tx, &o)
	}
	return o, nil
}

// AdoptAll makes every order in force that sprang from a cause part of an incident.
func (c *Control) AdoptAll(ctx context.Context, tx *store.Tx, cause Cause, causeID, incidentID string) ([]Order, error) {
	var ids []string
	if err := tx.NewSelect().Model((*Order)(nil)).Column("id").Where("cause = ? AND cause_id = ? AND incident_id = '' AND state = ?", cause, causeID, InForce).Order("seq").Scan(ctx, &ids); err != nil {
		return nil, err
	}
	out := []Order{}
	for _, id := range ids {
		o, err := c.Adopt(ctx, tx, id, incidentID)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// hold turns an order that would lapse into one that two persons must lift: 一级 orders never lapse.
func (c *Control) hold(ctx context.Context, tx *store.Tx, o *Order) error {
	o.ExpiresMs, o.ReleaseMode = 0, Review
	if _, err := tx.NewUpdate().Model(o).Column("expires_ms", "release_mode").WherePK().Exec(ctx); err != nil {
		return err
	}
	if err := due.Cancel(ctx, tx, DueExpire, o.ID); err != nil {
		return err
	}
	if err := due.Set(ctx, tx, o.due(DueRenew, tx.NowMs+RenewEveryMs)); err != nil {
		return err
	}
	tx.Record(o.entry("order.renew", map[string]any{"never_lapses": true}))
	tx.Touch(TopicOrder)
	if err := c.page(ctx, tx, *o, "containment.page_never_lapses"); err != nil {
		return err
	}
	return bump(ctx, tx)
}

func (c *Control) page(ctx context.Context, tx *store.Tx, o Order, key string) error {
	return c.o.Pager.Page(ctx, tx, Page{Key: key, Again: tx.NowMs, ObjectKind: "order", ObjectID: o.ID, IncidentID: o.IncidentID, IncidentKind: o.Kind, DrillID: o.DrillID})
}

// bound loads the order of a due row; ok is false if it does not bind any more and nothing is to do.
func bound(ctx context.Context, tx *store.Tx, r due.Row) (o Order, ok bool, err error) {
	o, err = service.Get[Order](ctx, tx, "order_id", r.ObjectID)
	return o, err == nil && o.State == InForce, err
}

// expire lapses an auto order; the working level is looked at now, not when the order was given.
func (c *Control) expire(ctx context.Context, tx *store.Tx, r due.Row) error {
	o, ok, err := bound(ctx, tx, r)
	if err != nil || !ok || o.ExpiresMs == 0 || o.ExpiresMs > tx.NowMs {
		return err
	}
	if o.IncidentID != "" {
		level, err := c.o.Level(ctx, tx, o.IncidentID)
		if err != nil {
			return err
		}
		if level == 1 {
			return c.hold(ctx, tx, &o)
		}
	}
	return c.end(ctx, tx, &o, "lapse", tx.Actor.ID, "", "")
}

// remindAdopt pages about an order without an incident, again and again until somebody takes it over.
func (c *Control) remindAdopt(ctx context.Context, tx *store.Tx, r due.Row) error {
	o, ok, err := bound(ctx, tx, r)
	if err != nil || !ok || o.IncidentID != "" {
		return err
	}
	if err := c.page(ctx, tx, o, "containment.page_adopt"); err != nil {
		return err
	}
	return due.Set(ctx, tx, o.due(DueAdopt, tx.NowMs+AdoptWithinMs))
}

// renew keeps an order without expiry in force and says so.
func (c *Control) renew(ctx context.Context, tx *store.Tx, r due.Row) error {
	o, ok, err := bound(ctx, tx, r)
	if err != nil || !ok || o.ExpiresMs != 0 {
		return err
	}
	if err := c.page(ctx, tx, o, "containment.page_renew"); err != nil {
		return err
	}
	tx.Record(o.entry("order.renew", nil))
	return due.Set(ctx, tx, o.due(DueRenew, tx.NowMs+RenewEveryMs))
}
