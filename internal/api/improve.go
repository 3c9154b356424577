package api

import (
	"context"

	"github.com/fengsui/fengsui/internal/improve/retrospective"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// ActionDraft is an improvement action as a retrospective asks for it.
type ActionDraft struct {
	Title string `json:"title" maxLength:"500"`
	Owner string `json:"owner" maxLength:"100"`
	DueMs int64  `json:"due_ms"`
}

type retrospectiveBody struct {
	ByID
	Body struct {
		RootCause string        `json:"root_cause" maxLength:"4000"`
		WentWell  string        `json:"went_well,omitempty" maxLength:"4000"`
		WentBadly string        `json:"went_badly,omitempty" maxLength:"4000"`
		Report    string        `json:"report,omitempty" maxLength:"20000"`
		Actions   []ActionDraft `json:"actions" minItems:"1"`
	}
}

// Review is a retrospective with its actions.
type Review struct {
	Retrospective retrospective.Retrospective `json:"retrospective"`
	Actions       []retrospective.Action      `json:"actions"`
}

func (a *API) improve() {
	const room = "improve"
	post(a, operation{path: "/incidents/{id}/retrospective", id: "hold-retrospective", room: room, summary: "File the retrospective of a closed incident"}, func(ctx context.Context, tx *store.Tx, in *retrospectiveBody) (Review, error) {
		b := in.Body
		var actions []retrospective.Action
		for _, x := range b.Actions {
			actions = append(actions, retrospective.Action{Title: x.Title, Owner: x.Owner, DueMs: x.DueMs})
		}
		r, as, err := retrospective.Hold(ctx, tx, retrospective.Retrospective{IncidentID: in.ID, RootCause: b.RootCause, WentWell: b.WentWell, WentBadly: b.WentBadly, Report: b.Report}, actions)
		return Review{r, as}, err
	})
	post(a, operation{path: "/actions/{id}/done", id: "finish-action", room: room, summary: "Close an improvement action with its proof"}, func(ctx context.Context, tx *store.Tx, in *struct {
		ByID
		Body struct {
			Proof string `json:"proof" maxLength:"2000"`
		}
	}) (retrospective.Action, error) {
		return retrospective.Done(ctx, tx, in.ID, in.Body.Proof)
	})
}
