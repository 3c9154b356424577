package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/store"
)

type eraseBody struct {
	Body struct {
		Scope  string `json:"scope" example:"subject:01J..." maxLength:"200"`
		Ground string `json:"ground" maxLength:"1000"`
	}
}

// verifyWithin is how long verifying may take over the API; the server's answer must leave within 60 s.
const verifyWithin = 40 * time.Second

// verifyRecord only reads, for long: it must not hold the one writer.
func (a *API) verifyRecord(o operation) {
	huma.Register(a.huma, o.huma(), func(ctx context.Context, _ *none) (*output[*record.Report], error) {
		within, done := context.WithTimeout(ctx, verifyWithin)
		defer done()
		r, err := a.VerifyRecord(within, actorOf(ctx))
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &output[*record.Report]{r}, nil
	})
}

func (a *API) records() {
	const room = "record"
	lists(a, operation{path: "/record", id: "list-record", room: room, summary: "Entries of the record, newest first"}, a.RecordList())
	get(a, operation{path: "/record/checkpoint", id: "last-checkpoint", room: room, summary: "The newest signed checkpoint"}, func(ctx context.Context, actor store.Actor, _ *none) (*record.Checkpoint, error) {
		if err := identity.Require(actor, "record.read"); err != nil {
			return nil, err
		}
		return record.LastCheckpoint(ctx, a.Store.Read())
	})
	get(a, operation{path: "/record/checkpoints", id: "list-checkpoints", room: room, summary: "The signed checkpoints, newest first"}, func(ctx context.Context, actor store.Actor, _ *none) ([]record.Checkpoint, error) {
		return a.Checkpoints(ctx, actor)
	})
	get(a, operation{path: "/record/{seq}/proof", id: "prove-entry", room: room, summary: "Prove that an entry is in the signed record"}, func(ctx context.Context, actor store.Actor, in *struct {
		Seq int64 `path:"seq" minimum:"1"`
	}) (flow.EntryProof, error) {
		return a.Prove(ctx, actor, in.Seq)
	})
	get(a, operation{path: "/record/erasures", id: "list-erasures", room: room, summary: "Erasures that were asked for, decided and done"}, func(ctx context.Context, actor store.Actor, _ *none) ([]flow.ErasureAsked, error) {
		return a.Erasures(ctx, actor)
	})
	a.verifyRecord(operation{method: http.MethodPost, again: true, path: "/record/verify", id: "verify-record", room: room, summary: "Verify the whole record"})
	post(a, operation{path: "/record/erasures", id: "ask-erasure", room: room, summary: "Ask for a lawful erasure; needs a second person"}, func(ctx context.Context, tx *store.Tx, in *eraseBody) (identity.SecondSignature, error) {
		return identity.AskSecond(ctx, tx, identity.SecondSignature{Action: "record.erase", ObjectKind: "erasure", ObjectID: in.Body.Scope, Reason: in.Body.Ground}, in.Body)
	})
	post(a, operation{path: "/record/erasures/{id}/decide", id: "decide-erasure", room: room, summary: "Confirm or reject an erasure; not by who asked"}, func(ctx context.Context, tx *store.Tx, in *decisionBody) (identity.SecondSignature, error) {
		s, err := identity.DecideSecond(ctx, tx, in.ID, in.Body.Approve)
		if err != nil || !in.Body.Approve {
			return s, err
		}
		var req struct{ Scope, Ground string }
		if err := json.Unmarshal([]byte(s.Request), &req); err != nil {
			return s, err
		}
		if err := a.Erase(ctx, tx, record.Erasure{Scope: req.Scope, Ground: req.Ground, Requester: s.RequestedBy, Approver: tx.Actor.ID}); err != nil {
			return s, err
		}
		return s, forgetAnswers(ctx, tx)
	})
}
