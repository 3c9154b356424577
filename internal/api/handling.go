package api

import (
	"context"

	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/evaluation"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

type factCheckBody struct {
	ByID
	Body struct {
		Claim   string `json:"claim" maxLength:"4000"`
		Source  string `json:"source" maxLength:"1000"`
		Verdict string `json:"verdict" enum:"true,false,misleading,unproven"`
	}
}

type impactBody struct {
	ByID
	Body struct {
		Party         string `json:"party" maxLength:"200"`
		Economic      string `json:"economic" maxLength:"2000"`
		Reputation    string `json:"reputation" maxLength:"2000"`
		UsersAffected int64  `json:"users_affected,omitempty" minimum:"0"`
	}
}

type statementBody struct {
	ByID
	Body struct {
		Audience string `json:"audience" enum:"public,complainant,authority,platform,partner,staff"`
		Text     string `json:"text" maxLength:"8000"`
	}
}

type fixBody struct {
	ByID
	Body struct {
		Cause        string `json:"cause" maxLength:"2000"`
		Measure      string `json:"measure" maxLength:"2000"`
		DeploymentID string `json:"deployment_id,omitempty"`
	}
}

type serviceTestBody struct {
	ByID
	Body struct {
		DeploymentID string `json:"deployment_id"`
	}
}

type closeBody struct {
	ByID
	Body struct {
		Summary string `json:"summary" maxLength:"4000"`
	}
}

type verifyBody struct {
	ByID
	Body struct {
		Confirm bool   `json:"confirm"`
		Finding string `json:"finding" maxLength:"4000"`
	}
}

func (a *API) handling() {
	const room = "incident"
	post(a, operation{path: "/incidents/{id}/fact-checks", id: "check-fact", room: room, summary: "Add a line to the fact check sheet"}, func(ctx context.Context, tx *store.Tx, in *factCheckBody) (incident.FactCheck, error) {
		b := in.Body
		return incident.CheckFact(ctx, tx, a.Record, in.ID, incident.FactCheck{Claim: b.Claim, Source: b.Source, Verdict: b.Verdict})
	})
	post(a, operation{path: "/incidents/{id}/impacts", id: "assess-impact", room: room, summary: "Assess the impact on one party"}, func(ctx context.Context, tx *store.Tx, in *impactBody) (incident.Impact, error) {
		b := in.Body
		return incident.AssessImpact(ctx, tx, in.ID, incident.Impact{Party: b.Party, Economic: b.Economic, Reputation: b.Reputation, UsersAffected: b.UsersAffected})
	})
	post(a, operation{path: "/incidents/{id}/statements", id: "draft-statement", room: room, summary: "Draft a statement"}, func(ctx context.Context, tx *store.Tx, in *statementBody) (incident.Statement, error) {
		return incident.DraftStatement(ctx, tx, in.ID, incident.Statement{Audience: in.Body.Audience, Text: in.Body.Text})
	})
	post(a, operation{path: "/statements/{id}/approve", id: "approve-statement", room: room, summary: "Approve a statement; not its author"}, func(ctx context.Context, tx *store.Tx, in *ByID) (incident.Statement, error) {
		return incident.ApproveStatement(ctx, tx, in.ID)
	})
	post(a, operation{path: "/incidents/{id}/fixes", id: "add-fix", room: room, summary: "File a fix"}, func(ctx context.Context, tx *store.Tx, in *fixBody) (incident.Fix, error) {
		b := in.Body
		return incident.AddFix(ctx, tx, in.ID, incident.Fix{Cause: b.Cause, Measure: b.Measure, DeploymentID: b.DeploymentID})
	})
	post(a, operation{path: "/incidents/{id}/service-tests", id: "start-service-test", room: room, summary: "Replay the incident's prompts; not by the fixer"}, func(ctx context.Context, tx *store.Tx, in *serviceTestBody) (evaluation.ServiceTest, error) {
		return evaluation.Start(ctx, tx, in.ID, in.Body.DeploymentID)
	})
	get(a, operation{path: "/service-tests/{id}", id: "get-service-test", room: room, summary: "One service test"}, func(ctx context.Context, actor store.Actor, in *ByID) (evaluation.ServiceTest, error) {
		return evaluation.Get(ctx, a.Store.Read(), actor, in.ID)
	})
	for _, e := range []struct {
		id, summary string
		event       incident.Event
	}{
		{"recover", "Service is recovering", incident.OnRecover},
		{"re-spread", "It spreads again: back to responding", incident.OnReSpread},
		{"end-handling", "End of handling 处置结束", incident.OnEndHandling},
		{"reopen", "Reopen a closed incident", incident.OnReopen},
	} {
		post(a, operation{path: "/incidents/{id}/" + e.id, id: e.id, room: room, summary: e.summary}, func(ctx context.Context, tx *store.Tx, in *reasonBody) (incident.Incident, error) {
			i, err := incident.Advance(ctx, tx, in.ID, e.event, "incident.handle", in.Body.Reason)
			if err != nil {
				return i, err
			}
			return i, a.Reckon(ctx, tx, in.ID)
		})
	}
	post(a, operation{path: "/incidents/{id}/closing", id: "apply-closing", room: room, summary: "Apply to close an incident"}, func(ctx context.Context, tx *store.Tx, in *closeBody) (incident.Closing, error) {
		return incident.ApplyClosing(ctx, tx, in.ID, in.Body.Summary)
	})
	post(a, operation{path: "/incidents/{id}/closing/verify", id: "verify-closing", room: room, summary: "Verify the application to close; not the applicant"}, func(ctx context.Context, tx *store.Tx, in *verifyBody) (incident.Closing, error) {
		return a.VerifyClosing(ctx, tx, in.ID, in.Body.Confirm, in.Body.Finding)
	})
}
