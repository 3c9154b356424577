package containment

import (
	"context"
	"reflect"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/prepare/lexicon"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/service"
)

// origin is what an order springs from.
type origin struct {
	kind, drillID, incidentID string
	serviceID, operatorID     string // "" where the cause names none
}

// loadOrigin reads what an order springs from; what is hidden from the actor is not found.
func loadOrigin(ctx context.Context, db bun.IDB, a store.Actor, cause Cause, id string) (o origin, err error) {
	var state string
	switch cause {
	case FromAnomaly:
		err = db.NewRaw("SELECT kind, drill_id, incident_id, service_id FROM anomaly WHERE id = ?", id).Scan(ctx, &o.kind, &o.drillID, &o.incidentID, &o.serviceID)
	case FromIncident:
		o.incidentID = id
		err = db.NewRaw("SELECT kind, drill_id, service_id, operator_id FROM incident WHERE id = ?", id).Scan(ctx, &o.kind, &o.drillID, &o.serviceID, &o.operatorID)
	case FromDirective:
		o.kind = "real"
		err = db.NewRaw("SELECT operator_id, incident_id FROM directive WHERE id = ?", id).Scan(ctx, &o.operatorID, &o.incidentID)
	case FromDrill:
		o.kind, o.drillID = "drill", id
		err = db.NewRaw("SELECT incident_id, state FROM drill WHERE id = ?", id).Scan(ctx, &o.incidentID, &state)
		if err == nil && state != "running" {
			return o, fault.Conflict("cause_id", "containment.drill_not_running", "state", state)
		}
	}
	if err != nil {
		return o, store.Missing(err, "cause_id")
	}
	if cause == FromAnomaly { // it may have been merged into one that became a hidden incident
		err = anomaly.Visible(ctx, db, a, "cause_id", id)
	} else {
		err = incident.Visible(ctx, db, a, "cause_id", o.incidentID)
	}
	if err != nil {
		return origin{}, err
	}
	if o.kind != "real" && o.kind != "drill" {
		return o, fault.Invalid("cause_id", "containment.kind_without_orders", "kind", o.kind)
	}
	if o.incidentID != "" && o.operatorID == "" {
		err = db.NewRaw("SELECT operator_id FROM incident WHERE id = ?", o.incidentID).Scan(ctx, &o.operatorID)
	} else if o.operatorID == "" && o.serviceID != "" {
		err = db.NewRaw("SELECT operator_id FROM service WHERE id = ?", o.serviceID).Scan(ctx, &o.operatorID)
	}
	return o, store.Missing(err, "cause_id")
}

// Issue puts an order in force. One person may do so at any hour; a part of the system only as far
// as MayAutomate goes. Going offline is always a 临时下线: its gate review is opened here, to be
// ratified by another person. Errors: forbidden without order.issue, or for a drill's stand-in
// beyond its drill; invalid with the field; conflict containment.same_in_force.
func (c *Control) Issue(ctx context.Context, tx *store.Tx, r Request) (Order, error) {
	if err := identity.Require(tx.Actor, "order.issue"); err != nil {
		return Order{}, err
	}
	if tx.Actor.IsSystem() && !MayAutomate(r.Rung, r.Evidence) {
		return Order{}, fault.Forbidden("containment.needs_person", "rung", r.Rung)
	}
	from, level, err := c.check(ctx, tx, tx.Actor, &r, tx.NowMs)
	if err != nil {
		return Order{}, err
	}
	if err := identity.RequireDrill(tx.Actor, from.drillID); err != nil {
		return Order{}, err
	}
	if err := r.Cause.standing(ctx, tx, r.CauseID); err != nil {
		return Order{}, err
	}
	if !tx.Actor.IsSystem() && strings.TrimSpace(r.Reason) == "" {
		return Order{}, fault.Invalid("reason", "error.required", "field", "reason")
	}
	standing, err := inForce(ctx, tx, r.Scope.ServiceID)
	if err != nil {
		return Order{}, err
	}
	if i := slices.IndexFunc(standing, func(o Order) bool { return o.sameAs(r, from.kind) }); i >= 0 {
		name := standing[i].ID
		if err := incident.Visible(ctx, tx, tx.Actor, "order_id", standing[i].IncidentID); err != nil {
			name = "—"
		}
		return Order{}, fault.Conflict("rung", "containment.same_in_force", "order", name)
	}
	o := Order{ID: tx.NewID(), Kind: from.kind, DrillID: from.drillID, ServiceID: r.Scope.ServiceID, Cause: r.Cause, CauseID: r.CauseID, IncidentID: from.incidentID,
		Rung: r.Rung, Measure: r.Rung.Tag(), Scope: r.Scope, Params: r.Params, ReleaseMode: r.Mode, State: InForce, Emergency: r.Rung == posture.ServiceOffline,
		IssuedBy: tx.Actor.ID, IssuedMs: tx.NowMs, ExpiresMs: r.ExpiresMs}
	if o.IncidentID != "" {
		o.AdoptedMs = tx.NowMs
	}
	if o.Seq, err = nextSeq(ctx, tx); err != nil {
		return Order{}, err
	}
	if err := o.Wire().Check(); err != nil {
		return Order{}, err
	}
	if _, err := tx.NewInsert().Model(&o).Exec(ctx); err != nil {
		return Order{}, err
	}
	tx.Record(o.entry("order.issue", map[string]any{"order": o, "reason": r.Reason, "level": level, "evidence": r.Evidence}))
	if err := c.setClocks(ctx, tx, o); err != nil {
		return Order{}, err
	}
	if o.Emergency {
		if err := c.o.Review.OpenOffline(ctx, tx, o, r.Reason); err != nil {
			return Order{}, err
		}
	}
	tx.Touch(TopicOrder)
	return o, bump(ctx, tx)
}

func (c *Control) setClocks(ctx context.Context, tx *store.Tx, o Order) error {
	if o.IncidentID == "" {
		if err := due.Set(ctx, tx, o.due(DueAdopt, o.IssuedMs+AdoptWithinMs)); err != nil {
			return err
		}
	}
	if o.ExpiresMs > 0 {
		return due.Set(ctx, tx, o.due(DueExpire, o.ExpiresMs))
	}
	return due.Set(ctx, tx, o.due(DueRenew, o.IssuedMs+RenewEveryMs))
}

func (o Order) due(kind string, atMs int64) due.Row {
	return due.Row{Kind: kind, ObjectKind: "order", ObjectID: o.ID, IncidentKind: o.Kind, DueMs: atMs}
}

func (o Order) sameAs(r Request, kind string) bool {
	return o.Kind == kind && o.Rung == r.Rung && o.Scope == r.Scope && reflect.DeepEqual(emptied(o.Params), emptied(r.Params))
}

// emptied makes no difference between no list and an empty one.
func emptied(p posture.Params) posture.Params {
	p.TopicIDs, p.AllowedGroups = slices.Clone(p.TopicIDs), slices.Clone(p.AllowedGroups)
	slices.Sort(p.TopicIDs)
	slices.Sort(p.AllowedGroups)
	if len(p.TopicIDs) == 0 {
		p.TopicIDs = nil
	}
	if len(p.AllowedGroups) == 0 {
		p.AllowedGroups = nil
	}
	return p
}

// check normalises a request and checks it against what is there.
func (c *Control) check(ctx context.Context, db bun.IDB, a store.Actor, r *Request, nowMs int64) (from origin, level int, err error) {
	if _, err = r.normalise(nowMs, 0); err != nil {
		return from, 0, err
	}
	if from, err = loadOrigin(ctx, db, a, r.Cause, r.CauseID); err != nil {
		return from, 0, err
	}
	if from.incidentID != "" {
		if level, err = c.o.Level(ctx, db, from.incidentID); err != nil {
			return from, 0, err
		}
	}
	if *r, err = r.normalise(nowMs, level); err != nil {
		return from, 0, err
	}
	svc, err := service.Get[service.Service](ctx, db, "scope.service_id", r.Scope.ServiceID)
	if err != nil {
		return from, 0, err
	}
	if from.operatorID != "" && svc.OperatorID != from.operatorID {
		return from, 0, fault.Invalid("scope.service_id", "containment.other_operator")
	}
	if svc.DrillID != from.drillID { // what springs from a drill never touches a real service, nor the other way round
		return from, 0, fault.Invalid("scope.service_id", "identity.other_drill")
	}
	deployments, err := service.List[service.Deployment](ctx, db, svc.ID)
	if err != nil {
		return from, 0, err
	}
	if id := r.Scope.DeploymentID; id != "" && !slices.ContainsFunc(deployments, func(d service.Deployment) bool { return d.ID == id }) {
		return from, 0, fault.NotFound("scope.deployment_id", "error.not_found", "field", "scope.deployment_id")
	}
	switch r.Rung {
	case posture.BackupModel:
		return from, level, fitBackup(deployments, r.Params.BackupID, r.Scope.DeploymentID)
	case posture.TopicBlock:
		return from, level, knownTopics(ctx, db, svc.ID, r.Params.TopicIDs, nowMs)
	}
	return from, level, nil
}

// fitBackup: only a backup that is filed and tested may take over, otherwise one harm replaces another.
func fitBackup(deployments []service.Deployment, id, scope string) error {
	i := slices.IndexFunc(deployments, func(d service.Deployment) bool { return d.ID == id })
	switch {
	case i < 0:
		return fault.NotFound("params.backup_id", "error.not_found", "field", "params.backup_id")
	case deployments[i].Role != "backup" || id == scope:
		return fault.Conflict("params.backup_id", "containment.not_a_backup")
	case !deployments[i].Filed:
		return fault.Conflict("params.backup_id", "containment.backup_not_filed")
	case deployments[i].TestedMs == 0:
		return fault.Conflict("params.backup_id", "containment.backup_not_tested")
	}
	return nil
}

func knownTopics(ctx context.Context, db bun.IDB, serviceID string, want []string, nowMs int64) error {
	entries, err := lexicon.Live(ctx, db, serviceID, nowMs)
	if err != nil {
		return err
	}
	known := topicsOf(entries)
	for _, t := range want {
		if !slices.Contains(known, t) {
			return fault.Invalid("params.topic_ids", "containment.unknown_topic", "topic", t, "topics", strings.Join(known, ", "))
		}
	}
	return nil
}

func topicsOf(entries []lexicon.Entry) []string {
	var out []string
	for _, e := range entries {
		if e.Topic != "" {
			out = append(out, e.Topic)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// inForce lists the orders that bind a service, or all services for "", by seq.
func inForce(ctx context.Context, db bun.IDB, serviceID string) ([]Order, error) {
	out := []Order{}
	q := db.NewSelect().Model(&out).Where("state = ?", InForce).Order("seq")
	if serviceID != "" {
		q = q.Where("service_id = ?", serviceID)
	}
	return out, q.Scan(ctx)
}
