package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fengsui/fengsui/internal/monitor/behaviour"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/respond/evidence"
	"github.com/fengsui/fengsui/internal/respond/reach"
)

// Unmasked is the content of a capsule, shown after the unmasking was put on record.
type Unmasked struct {
	Prompt string `json:"prompt"`
	Answer string `json:"answer"`
}

type spreadBody struct {
	ByID
	Body struct {
		Platform string `json:"platform" maxLength:"100"`
		Location string `json:"location" maxLength:"500"`
	}
}

func (a *API) evidence() {
	const room = "incident"
	get(a, operation{path: "/incidents/{id}/evidence", id: "list-evidence", room: room, summary: "Evidence capsules, masked"}, func(ctx context.Context, actor store.Actor, in *ByID) ([]evidence.Evidence, error) {
		return evidence.List(ctx, a.Store.Read(), actor, in.ID)
	})
	post(a, operation{path: "/incidents/{id}/evidence", id: "pin-evidence", room: room, summary: "Look again for evidence of the incident's anomalies and pin it"}, func(ctx context.Context, tx *store.Tx, in *ByID) (done, error) {
		return done{true}, a.RePin(ctx, tx, in.ID)
	})
	get(a, operation{path: "/evidence/{id}/verdict", id: "get-evidence-verdict", room: room, summary: "What the gateway decided about the request of a capsule, and why; quotes nothing"}, func(ctx context.Context, actor store.Actor, in *ByID) (behaviour.Decision, error) {
		return a.Evidence.Verdict(ctx, actor, in.ID)
	})
	// Unmasking writes first and opens afterwards, so it is not one transaction.
	huma.Register(a.huma, func() huma.Operation {
		o := operation{method: "POST", path: "/evidence/{id}/unmask", id: "unmask-evidence", room: room, summary: "Unmask a capsule; the reason goes on record before a byte leaves", again: true}
		return o.huma()
	}(), func(ctx context.Context, in *reasonBody) (*output[Unmasked], error) {
		var c telemetry.Content
		c, err := a.Evidence.Unmask(ctx, actorOf(ctx), in.ID, in.Body.Reason)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &output[Unmasked]{Unmasked{Prompt: c.Prompt, Answer: c.Answer}}, nil
	})
	post(a, operation{path: "/incidents/{id}/reach", id: "compute-reach", room: room, summary: "Find whom the harm reached"}, func(ctx context.Context, tx *store.Tx, in *ByID) (reach.Reach, error) {
		return a.ComputeReach(ctx, tx, in.ID)
	})
	post(a, operation{path: "/incidents/{id}/spread", id: "add-spread", room: room, summary: "List a place outside where it spread"}, func(ctx context.Context, tx *store.Tx, in *spreadBody) (reach.Spread, error) {
		return reach.AddSpread(ctx, tx, in.ID, in.Body.Platform, in.Body.Location)
	})
	post(a, operation{path: "/spread/{id}/asked", id: "spread-asked", room: room, summary: "The platform was asked to take it down"}, func(ctx context.Context, tx *store.Tx, in *ByID) (reach.Spread, error) {
		return reach.SpreadAsked(ctx, tx, in.ID)
	})
	post(a, operation{path: "/spread/{id}/removed", id: "spread-removed", room: room, summary: "It was taken down"}, func(ctx context.Context, tx *store.Tx, in *ByID) (reach.Spread, error) {
		return reach.SpreadRemoved(ctx, tx, in.ID)
	})
}
