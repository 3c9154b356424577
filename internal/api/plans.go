package api

import (
	"context"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/prepare/plan"
	"github.com/fengsui/fengsui/internal/respond/dispatch"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

type planBody struct {
	Body struct {
		YAML string `json:"yaml" maxLength:"200000" doc:"one plan document"`
	}
}

type taskBody struct {
	ByID
	Body struct {
		Output string `json:"output" maxLength:"4000"`
	}
}

func (a *API) plans() {
	a.planEditing()
	get(a, operation{path: "/plans", id: "list-plans", room: "prepare", summary: "List plans, newest version first"}, func(ctx context.Context, actor store.Actor, in *struct {
		State string `query:"state"`
	}) ([]plan.Version, error) {
		return plan.List(ctx, a.Store.Read(), actor, plan.State(in.State))
	})
	post(a, operation{path: "/plans", id: "import-plan", room: "prepare", summary: "File a plan as a draft"}, func(ctx context.Context, tx *store.Tx, in *planBody) ([]plan.Version, error) {
		if err := identity.Require(tx.Actor, "plan.draft"); err != nil {
			return nil, err // before a stranger's file is read
		}
		p, err := a.PlanRules.Parse("plan", []byte(in.Body.YAML))
		if err != nil {
			return nil, err
		}
		return a.PlanRules.Import(ctx, tx, []plan.Plan{p})
	})
	post(a, operation{path: "/plans/{id}/versions/{version}/approve", id: "approve-plan", room: "prepare", summary: "Approve a plan; not by who drafted it"}, func(ctx context.Context, tx *store.Tx, in *struct {
		ByID
		Version int `path:"version" minimum:"1"`
	}) (plan.Version, error) {
		return plan.Approve(ctx, tx, in.ID, in.Version)
	})
	post(a, operation{path: "/incidents/{id}/plan", id: "start-plan", room: "incident", summary: "Start the plan for category and level"}, func(ctx context.Context, tx *store.Tx, in *ByID) (flow.PlanStarted, error) {
		return a.StartPlan(ctx, tx, in.ID)
	})
	get(a, operation{path: "/incidents/{id}/tasks", id: "list-tasks", room: "incident", summary: "Tasks of an incident"}, func(ctx context.Context, actor store.Actor, in *ByID) ([]dispatch.Task, error) {
		if _, err := incident.Get(ctx, a.Store.Read(), actor, in.ID); err != nil {
			return nil, err
		}
		return dispatch.List(ctx, a.Store.Read(), actor, in.ID)
	})
	post(a, operation{path: "/tasks/{id}/done", id: "finish-task", room: "incident", summary: "Finish a task with what it gave"}, func(ctx context.Context, tx *store.Tx, in *taskBody) (dispatch.Task, error) {
		return a.Dispatch.Done(ctx, tx, in.ID, in.Body.Output)
	})
	post(a, operation{path: "/tasks/{id}/skip", id: "skip-task", room: "incident", summary: "Skip a task with a reason"}, func(ctx context.Context, tx *store.Tx, in *reasonBody) (dispatch.Task, error) {
		return a.Dispatch.Skip(ctx, tx, in.ID, in.Body.Reason)
	})
}
