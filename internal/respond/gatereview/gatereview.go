// Package gatereview is the 上下线管理审查: going offline in an emergency is ratified afterwards by
// another person; coming back online is always reviewed before, on a service test that passed, by
// somebody who neither asked for it nor made the fix.
package gatereview

import (
	"context"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/service"
)

// Topic is woken when a review is requested or decided.
const Topic = "gate_review"

// Direction is which way a service goes.
type Direction string

// The directions.
const (
	Offline Direction = "offline"
	Online  Direction = "online"
)

// State is where a review stands.
type State string

// The states.
const (
	Requested State = "requested"
	Approved  State = "approved"
	Rejected  State = "rejected"
)

// Transition is one arrow of the machine.
type Transition struct {
	Event     string
	Direction Direction
	From, To  State
}

// Machine is the review's state machine; docs/state-machines.md is drawn from it.
func Machine() []Transition {
	return []Transition{
		{"ratify", Offline, Requested, Approved},
		{"refuse", Offline, Requested, Rejected},   // the order stays: only an online review loosens
		{"withdraw", Offline, Requested, Rejected}, // the order was undone as a slip
		{"approve", Online, Requested, Approved},   // lifts the order in the same transaction
		{"reject", Online, Requested, Rejected},
	}
}

func next(r Review, event string) (State, error) {
	allowed := []string{}
	for _, t := range Machine() {
		if t.From != r.State || t.Direction != r.Direction {
			continue
		}
		if t.Event == event {
			return t.To, nil
		}
		allowed = append(allowed, t.Event)
	}
	return r.State, fault.Conflict("review_id", "error.transition", "state", r.State, "event", event, "allowed", strings.Join(allowed, ", "))
}

// Review is one procedure about one offline order.
type Review struct {
	bun.BaseModel  `bun:"table:gate_review" json:"-"`
	ID             string    `bun:"id,pk" json:"id"`
	Direction      Direction `json:"direction"`
	OrderID        string    `json:"order_id"`
	IncidentID     string    `json:"incident_id"`
	Kind           string    `json:"kind"` // real or drill
	Emergency      bool      `json:"emergency"`
	State          State     `json:"state"`
	RequestedBy    string    `json:"requested_by"`
	RequestedMs    int64     `json:"requested_ms"`
	Ground         string    `json:"ground"`
	ServiceTestID  string    `json:"service_test_id"`
	DecidedBy      string    `json:"decided_by"`
	DecidedMs      int64     `json:"decided_ms"`
	DecisionReason string    `json:"decision_reason"`
}

// DueRatify is the kind of the due rows that page about an offline nobody ratified.
const DueRatify = "gatereview.ratify"

// RatifyWithinMs is how long ratification may take before somebody is paged: 24 h.
const RatifyWithinMs int64 = 24 * 60 * 60 * 1000

// Orders is what gate review needs of containment.
type Orders interface {
	GoOnline(ctx context.Context, tx *store.Tx, orderID string) (containment.Order, error)
}

// Desk runs reviews. Bind gives it the orders after both were made, because each needs the other.
type Desk struct {
	orders Orders
	pager  containment.Pager
}

// New makes a desk.
func New(pager containment.Pager) *Desk { return &Desk{pager: pager} }

// Bind gives the desk what lifts an order; call it once, before use.
func (d *Desk) Bind(o Orders) { d.orders = o }

// DueHandlers are what a due worker needs for the rows of this package.
func (d *Desk) DueHandlers() map[string]due.Handler {
	return map[string]due.Handler{DueRatify: d.remind}
}

func (d *Desk) remind(ctx context.Context, tx *store.Tx, row due.Row) error {
	r, err := service.Get[Review](ctx, tx, "review_id", row.ObjectID)
	if err != nil || r.State != Requested {
		return err
	}
	if err := d.pager.Page(ctx, tx, containment.Page{Key: "gatereview.page_ratify", Again: tx.NowMs, ObjectKind: "gate_review", ObjectID: r.ID, IncidentID: r.IncidentID, IncidentKind: r.Kind}); err != nil {
		return err
	}
	row.DueMs = tx.NowMs + RatifyWithinMs
	return due.Set(ctx, tx, row)
}

// OpenOffline files the review of an emergency offline; containment calls it when it issues one.
func (d *Desk) OpenOffline(ctx context.Context, tx *store.Tx, o containment.Order, ground string) error {
	if strings.TrimSpace(ground) == "" {
		ground = "emergency"
	}
	r := Review{ID: tx.NewID(), Direction: Offline, OrderID: o.ID, IncidentID: o.IncidentID, Kind: o.Kind, Emergency: o.Emergency, State: Requested, RequestedBy: o.IssuedBy, RequestedMs: tx.NowMs, Ground: ground}
	if err := insert(ctx, tx, r); err != nil {
		return err
	}
	return due.Set(ctx, tx, due.Row{Kind: DueRatify, ObjectKind: "gate_review", ObjectID: r.ID, IncidentKind: r.Kind, DueMs: tx.NowMs + RatifyWithinMs})
}

func insert(ctx context.Context, tx *store.Tx, r Review) error {
	if _, err := tx.NewInsert().Model(&r).Exec(ctx); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "gatereview.request", ObjectKind: "gate_review", ObjectID: r.ID, Scope: scope(r), Content: r})
	tx.Touch(Topic)
	return nil
}

func scope(r Review) string {
	if r.IncidentID == "" {
		return ""
	}
	return "incident:" + r.IncidentID
}

// WithdrawOffline closes the review of an order that was undone as a slip. Once somebody has decided,
// there is no slip any more: conflict error.transition.
func (d *Desk) WithdrawOffline(ctx context.Context, tx *store.Tx, o containment.Order) error {
	var r Review
	if err := tx.NewSelect().Model(&r).Where("order_id = ? AND direction = ?", o.ID, Offline).Order("requested_ms DESC", "id DESC").Limit(1).Scan(ctx); err != nil {
		return store.Missing(err, "order_id")
	}
	return d.settle(ctx, tx, &r, "withdraw", "system:gatereview", "undone as a slip")
}

// AdoptOffline gives the review of an order the incident that the order has become part of: from then on it is for those to
// see, and in the dossier of, that incident.
func (d *Desk) AdoptOffline(ctx context.Context, tx *store.Tx, o containment.Order) error {
	var list []Review
	if err := tx.NewSelect().Model(&list).Where("order_id = ? AND incident_id = ''", o.ID).Order("id").Scan(ctx); err != nil {
		return err
	}
	for _, r := range list {
		r.IncidentID = o.IncidentID
		if _, err := tx.NewUpdate().Model(&r).Column("incident_id").WherePK().Exec(ctx); err != nil {
			return err
		}
		tx.Record(store.Entry{Action: "gatereview.adopt", ObjectKind: "gate_review", ObjectID: r.ID, Scope: scope(r), Content: map[string]string{"incident": r.IncidentID}})
		tx.Touch(Topic)
	}
	return nil
}

// Ratify decides afterwards on an emergency offline, by another person than who ordered it. A refusal
// is recorded and changes nothing for users: the way back is an online review all the same.
func (d *Desk) Ratify(ctx context.Context, tx *store.Tx, reviewID string, approve bool, reason string) (Review, error) {
	r, err := d.deciding(ctx, tx, reviewID, reason)
	if err != nil {
		return r, err
	}
	event := "ratify"
	if !approve {
		event = "refuse"
	}
	if _, err := next(r, event); err != nil {
		return r, err
	}
	o, err := service.Get[containment.Order](ctx, tx, "order_id", r.OrderID)
	if err != nil {
		return r, err
	}
	for _, first := range []string{r.RequestedBy, o.IssuedBy} {
		if err := identity.TwoPersons(first, tx.Actor.ID); err != nil {
			return r, err
		}
	}
	return r, d.settle(ctx, tx, &r, event, tx.Actor.ID, reason)
}

// OnlineRequest asks for a service to come back. Both ids are required.
type OnlineRequest struct {
	OrderID       string `json:"order_id"`
	ServiceTestID string `json:"service_test_id"`
	Ground        string `json:"ground"`
}

// RequestOnline files an online review. The service test must have passed, belong to the order's
// incident and service, have been run after the last fix, and not by who made it. Errors: forbidden
// without gatereview.request; conflict error.exists while another request waits.
func (d *Desk) RequestOnline(ctx context.Context, tx *store.Tx, in OnlineRequest) (Review, error) {
	if err := identity.Require(tx.Actor, "gatereview.request"); err != nil {
		return Review{}, err
	}
	if strings.TrimSpace(in.Ground) == "" {
		return Review{}, fault.Invalid("ground", "error.required", "field", "ground")
	}
	o, err := service.Get[containment.Order](ctx, tx, "order_id", in.OrderID)
	if err != nil {
		return Review{}, err
	}
	if err := incident.Visible(ctx, tx, tx.Actor, "order_id", o.IncidentID); err != nil {
		return Review{}, err
	}
	if err := identity.RequireDrill(tx.Actor, o.DrillID); err != nil {
		return Review{}, err
	}
	if o.Rung != posture.ServiceOffline || o.State != containment.InForce {
		return Review{}, fault.Conflict("order_id", "gatereview.not_offline", "state", o.State)
	}
	if o.IncidentID == "" {
		return Review{}, fault.Conflict("order_id", "gatereview.not_adopted")
	}
	if err := testStands(ctx, tx, o, in.ServiceTestID); err != nil {
		return Review{}, err
	}
	n, err := tx.NewSelect().Model((*Review)(nil)).Where("order_id = ? AND direction = ? AND state = ?", o.ID, Online, Requested).Count(ctx)
	if err != nil {
		return Review{}, err
	}
	if n > 0 {
		return Review{}, fault.Conflict("order_id", "error.exists", "field", "order_id")
	}
	r := Review{ID: tx.NewID(), Direction: Online, OrderID: o.ID, IncidentID: o.IncidentID, Kind: o.Kind, State: Requested, RequestedBy: tx.Actor.ID, RequestedMs: tx.NowMs,
		Ground: strings.TrimSpace(in.Ground), ServiceTestID: in.ServiceTestID}
	return r, insert(ctx, tx, r)
}

// testStands: the test is what the approval rests on, so it is looked at when asking and again when
// deciding; a fix in between makes it void.
func testStands(ctx context.Context, db bun.IDB, o containment.Order, testID string) error {
	if testID == "" {
		return fault.Invalid("service_test_id", "error.required", "field", "service_test_id")
	}
	var t struct {
		IncidentID, ServiceID, State, RunBy string
		StartedMs                           int64
	}
	err := db.NewRaw(`SELECT t.incident_id, d.service_id, t.state, t.run_by, t.started_ms FROM service_test t
		JOIN deployment d ON d.id = t.deployment_id WHERE t.id = ?`, testID).Scan(ctx, &t.IncidentID, &t.ServiceID, &t.State, &t.RunBy, &t.StartedMs)
	if err != nil {
		return store.Missing(err, "service_test_id")
	}
	fixers, lastMs, err := fixes(ctx, db, o.IncidentID)
	if err != nil {
		return err
	}
	switch {
	case t.IncidentID != o.IncidentID || t.ServiceID != o.ServiceID:
		return fault.Conflict("service_test_id", "gatereview.other_test")
	case t.State != "passed":
		return fault.Conflict("service_test_id", "gatereview.test_not_passed", "state", t.State)
	case t.StartedMs < lastMs || t.StartedMs < o.IssuedMs:
		return fault.Conflict("service_test_id", "gatereview.test_stale")
	case fixers[t.RunBy]:
		return fault.Conflict("service_test_id", "gatereview.tested_by_fixer")
	}
	return nil
}

func fixes(ctx context.Context, db bun.IDB, incidentID string) (by map[string]bool, lastMs int64, err error) {
	var rows []struct {
		FixedBy string
		FixedMs int64
	}
	if err := db.NewRaw("SELECT fixed_by, fixed_ms FROM fix WHERE incident_id = ?", incidentID).Scan(ctx, &rows); err != nil {
		return nil, 0, err
	}
	by = map[string]bool{}
	for _, r := range rows {
		by[r.FixedBy], lastMs = true, max(lastMs, r.FixedMs)
	}
	return by, lastMs, nil
}

// Decide approves or rejects an online review, by somebody with gatereview.decide who neither asked
// for it nor fixed anything in the incident. Approval lifts the order in this transaction.
func (d *Desk) Decide(ctx context.Context, tx *store.Tx, reviewID string, approve bool, reason string) (Review, error) {
	r, err := d.deciding(ctx, tx, reviewID, reason)
	if err != nil {
		return r, err
	}
	event := "approve"
	if !approve {
		event = "reject"
	}
	if _, err := next(r, event); err != nil {
		return r, err
	}
	if err := identity.TwoPersons(r.RequestedBy, tx.Actor.ID); err != nil {
		return r, err
	}
	fixers, _, err := fixes(ctx, tx, r.IncidentID)
	if err != nil {
		return r, err
	}
	if fixers[tx.Actor.ID] {
		return r, fault.Forbidden("gatereview.fixer")
	}
	if !approve {
		return r, d.settle(ctx, tx, &r, event, tx.Actor.ID, reason)
	}
	o, err := service.Get[containment.Order](ctx, tx, "order_id", r.OrderID)
	if err != nil {
		return r, err
	}
	if err := testStands(ctx, tx, o, r.ServiceTestID); err != nil {
		return r, err
	}
	if err := d.settle(ctx, tx, &r, event, tx.Actor.ID, reason); err != nil {
		return r, err
	}
	_, err = d.orders.GoOnline(ctx, tx, r.OrderID)
	return r, err
}

// deciding loads a review for a person who may decide. Automatic parts never do.
func (d *Desk) deciding(ctx context.Context, tx *store.Tx, id, reason string) (Review, error) {
	if err := identity.Require(tx.Actor, "gatereview.decide"); err != nil {
		return Review{}, err
	}
	if tx.Actor.IsSystem() {
		return Review{}, fault.Forbidden("identity.not_allowed", "action", "gatereview.decide")
	}
	r, err := load(ctx, tx, tx.Actor, id)
	if err != nil {
		return r, err
	}
	if strings.TrimSpace(reason) == "" {
		return r, fault.Invalid("reason", "error.required", "field", "reason")
	}
	return r, nil
}

func (d *Desk) settle(ctx context.Context, tx *store.Tx, r *Review, event, by, reason string) error {
	to, err := next(*r, event)
	if err != nil {
		return err
	}
	r.State, r.DecidedBy, r.DecidedMs, r.DecisionReason = to, by, tx.NowMs, strings.TrimSpace(reason)
	if _, err := tx.NewUpdate().Model(r).Column("state", "decided_by", "decided_ms", "decision_reason").WherePK().Exec(ctx); err != nil {
		return err
	}
	if err := due.Cancel(ctx, tx, DueRatify, r.ID); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "gatereview." + event, ObjectKind: "gate_review", ObjectID: r.ID, Scope: scope(*r), Content: r})
	tx.Touch(Topic)
	return nil
}

// Filter picks reviews; an empty field does not restrict.
type Filter struct {
	OrderID    string
	IncidentID string
	Direction  Direction
	State      State
}

// Get reads one review. Forbidden without order.read.
func Get(ctx context.Context, db bun.IDB, a store.Actor, id string) (Review, error) {
	if err := identity.Require(a, "order.read"); err != nil {
		return Review{}, err
	}
	return load(ctx, db, a, id)
}

// load reads a review that the actor may know of, by its order, which may have been adopted after the
// review was opened. What is hidden is answered like what never was.
func load(ctx context.Context, db bun.IDB, a store.Actor, id string) (Review, error) {
	r, err := service.Get[Review](ctx, db, "review_id", id)
	if err != nil {
		return r, err
	}
	var drill, incidentID string
	if err := db.NewRaw("SELECT drill_id, incident_id FROM disposal_order WHERE id = ?", r.OrderID).Scan(ctx, &drill, &incidentID); err != nil {
		return r, store.Missing(err, "order_id")
	}
	if err := incident.Visible(ctx, db, a, "review_id", incidentID); err != nil {
		return Review{}, err
	}
	return r, identity.RequireDrill(a, drill)
}

// List shows reviews, newest first, without those of hidden incidents. Forbidden without order.read.
func List(ctx context.Context, db bun.IDB, a store.Actor, f Filter) ([]Review, error) {
	if err := identity.Require(a, "order.read"); err != nil {
		return nil, err
	}
	out := []Review{}
	q := db.NewSelect().Model(&out).Order("requested_ms DESC", "id DESC")
	for _, c := range []struct{ column, value string }{{"order_id", f.OrderID}, {"direction", string(f.Direction)}, {"state", string(f.State)}} {
		if c.value != "" {
			q = q.Where("? = ?", bun.Ident(c.column), c.value)
		}
	}
	if f.IncidentID != "" { // the order may have been adopted after its review was opened
		q = q.Where("order_id IN (SELECT id FROM disposal_order WHERE incident_id = ?)", f.IncidentID)
	}
	q = q.Where("order_id NOT IN (SELECT id FROM disposal_order WHERE incident_id IN (?))", incident.Hidden(a))
	if a.Drill != "" {
		q = q.Where("order_id IN (SELECT id FROM disposal_order WHERE drill_id = ?)", a.Drill)
	}
	return out, q.Scan(ctx)
}
