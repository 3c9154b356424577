package flow

import (
	"context"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/notify"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/prepare/plan"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/dispatch"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

// reachKind is a due row that computes the reach of an incident, so that starting a plan does not wait
// for reading telemetry.
const reachKind = "reach.compute"

// PlanStarted is a plan at work: its run, its tasks, and the orders that its steps gave by themselves.
type PlanStarted struct {
	Run    dispatch.Run        `json:"plan_run"`
	Plan   plan.Version        `json:"plan"`
	Tasks  []dispatch.Task     `json:"tasks"`
	Orders []containment.Order `json:"orders"`
}

// StartPlan chooses the plan in force for category and working level, opens its tasks and carries out
// its automatic actions; the person who starts the plan is the one who orders.
func (h *House) StartPlan(ctx context.Context, tx *store.Tx, incidentID string) (out PlanStarted, err error) {
	i, err := incident.ForChange(ctx, tx, incidentID, "incident.handle")
	if err != nil {
		return out, err
	}
	level, err := incident.LevelOf(ctx, tx, i.ID)
	if err != nil {
		return out, err
	}
	if level.Working == 0 {
		return out, fault.Conflict("incident_id", "incident.ungraded")
	}
	category, err := incident.Primary(ctx, tx, i.ID)
	if err != nil {
		return out, err
	}
	if out.Plan, err = plan.Select(ctx, tx, category, level.Working); err != nil {
		return out, err
	}
	if i.State == incident.Declared {
		if _, err := incident.Advance(ctx, tx, i.ID, incident.OnRespond, "incident.handle", "plan "+out.Plan.ID); err != nil {
			return out, err
		}
	}
	if out.Run, err = h.Dispatch.Start(ctx, tx, i.ID, out.Plan); err != nil {
		return out, err
	}
	out.Orders = []containment.Order{}
	for _, s := range out.Plan.Plan.Steps {
		if s.Automatic == nil {
			continue
		}
		o, err := h.act(ctx, tx, i, s)
		if err != nil {
			return out, err
		}
		if o != nil {
			out.Orders = append(out.Orders, *o)
		}
	}
	out.Tasks, err = dispatch.List(ctx, tx, tx.Actor, i.ID)
	return out, err
}

// act carries out the automatic part of one step. An order like one that is in force already is left
// out: what was contained first stays as it is.
func (h *House) act(ctx context.Context, tx *store.Tx, i incident.Incident, s plan.Step) (*containment.Order, error) {
	a := s.Automatic
	switch a.Action {
	case plan.PinEvidence:
		return nil, h.RePin(ctx, tx, i.ID)
	case plan.ComputeReach:
		return nil, h.later(ctx, tx, reachKind, "incident", i.ID, i.Kind)
	case plan.Notify:
		m, err := h.Channels.Address(notify.Message{IdemKey: key("plan", i.ID, s.ID, tx.NowMs), Channel: a.Channel, Recipient: s.Role, Lang: "zh", IncidentKind: i.Kind,
			ObjectKind: "incident", ObjectID: i.ID, Template: a.Template, Args: []notify.Arg{notify.ID("number", i.Number)}})
		if err != nil {
			return nil, err
		}
		return nil, notify.Queue(ctx, tx, m)
	case plan.IssueOrder:
		r := containment.Request{Cause: containment.FromIncident, CauseID: i.ID, Rung: a.Rung, Scope: posture.Scope{ServiceID: i.ServiceID, TenantID: a.Tenant, Group: a.Group},
			Params: posture.Params{TopicIDs: a.TopicIDs, AllowedGroups: a.AllowedGroups, BackupID: a.BackupID}, Reason: "plan step " + s.ID}
		if a.ExpiresMin > 0 {
			r.ExpiresMs = tx.NowMs + int64(a.ExpiresMin)*60_000
		}
		o, err := h.IssueOrder(ctx, tx, r)
		if fault.Is(err, "containment.same_in_force") {
			return nil, nil
		}
		return &o, err
	}
	return nil, fault.Invalid("action", "error.unknown_value", "value", a.Action, "valid", "issue_order, pin_evidence, notify, compute_reach")
}
