package api

import (
	"context"
	"encoding/json"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/prepare/drill"
)

type drillBody struct {
	Body struct {
		ID            string `json:"id" maxLength:"26" doc:"a ULID of your own; the same id again gives the same drill"`
		Scenario      string `json:"scenario" enum:"A.1,A.2"`
		UpstreamURL   string `json:"upstream_url" maxLength:"500"`
		UpstreamModel string `json:"upstream_model" maxLength:"100"`
		SecretRef     string `json:"upstream_secret_ref,omitempty" maxLength:"100"`
	}
}

type drillEndBody struct {
	ByID
	Body struct {
		State      string          `json:"state" enum:"passed,failed,aborted"`
		Stages     json.RawMessage `json:"stages"`
		IncidentID string          `json:"incident_id,omitempty"`
	}
}

func (a *API) drills() {
	const room = "drill"
	get(a, operation{path: "/drills", id: "list-drills", room: room, summary: "List drills"}, func(ctx context.Context, actor store.Actor, in *struct {
		Limit int `query:"limit" minimum:"0" maximum:"500"`
	}) ([]flow.DrillBrief, error) {
		return a.Drills(ctx, actor, in.Limit)
	})
	get(a, operation{path: "/drills/{id}", id: "get-drill", room: room, summary: "One drill with its stages and the plan's times"}, func(ctx context.Context, actor store.Actor, in *ByID) (flow.DrillView, error) {
		return a.Drill(ctx, actor, in.ID)
	})
	// The server plays it as a client of its own, so it begins when this transaction is over.
	huma.Register(a.huma, func() huma.Operation {
		o := operation{method: "POST", path: "/drills/run", id: "run-drill", room: room, summary: "Have the server play a drill against a simulated model", again: true}
		return o.huma()
	}(), func(ctx context.Context, in *struct {
		Body struct {
			Scenario string `json:"scenario" enum:"A.1,A.2"`
		}
	}) (*output[drill.Drill], error) {
		d, err := a.PlayDrill(ctx, actorOf(ctx), in.Body.Scenario)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &output[drill.Drill]{d}, nil
	})
	post(a, operation{path: "/drills/{id}/abort", id: "abort-drill", room: room, summary: "Abort a drill: its orders, keys and stand-ins end at once"}, func(ctx context.Context, tx *store.Tx, in *ByID) (drill.Drill, error) {
		return a.AbortDrill(ctx, tx, in.ID)
	})
	post(a, operation{path: "/drills/{id}/stages", id: "report-stages", room: room, summary: "Tell which stages of a drill are passed", again: true}, func(ctx context.Context, tx *store.Tx, in *struct {
		ByID
		Body struct {
			Stages json.RawMessage `json:"stages"`
		}
	}) (drill.Drill, error) {
		return drill.Progress(ctx, tx, in.ID, string(in.Body.Stages))
	})
	post(a, operation{path: "/drills", id: "start-drill", room: room, summary: "Make the ground of a drill; seats and keys are shown once", again: true}, func(ctx context.Context, tx *store.Tx, in *drillBody) (drill.Started, error) {
		b := in.Body
		return a.StartDrill(ctx, tx, drill.StartOptions{ID: b.ID, Scenario: b.Scenario, UpstreamURL: b.UpstreamURL, UpstreamModel: b.UpstreamModel, UpstreamSecretRef: b.SecretRef})
	})
	post(a, operation{path: "/drills/{id}/finish", id: "finish-drill", room: room, summary: "End a drill with its stages"}, func(ctx context.Context, tx *store.Tx, in *drillEndBody) (drill.Drill, error) {
		return a.FinishDrill(ctx, tx, in.ID, string(in.Body.Stages), drill.State(in.Body.State), in.Body.IncidentID)
	})
	post(a, operation{path: "/drills/{id}/continue", id: "continue-drill", room: room, summary: "Let a paused drill go on"}, func(ctx context.Context, tx *store.Tx, in *ByID) (drill.Drill, error) {
		return drill.Continue(ctx, tx, in.ID)
	})
}
