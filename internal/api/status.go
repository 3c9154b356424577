package api

import (
	"context"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
)

type tellBody struct {
	ByID
	Body struct {
		Channel   string `json:"channel" example:"authority-sim"`
		Recipient string `json:"recipient" maxLength:"200"`
	}
}

func (a *API) status() {
	const room = "status"
	get(a, operation{path: "/status", id: "status", room: room, summary: "Is it calm or not"}, func(ctx context.Context, actor store.Actor, _ *none) (flow.Status, error) {
		if err := identity.Require(actor, "status.read"); err != nil {
			return flow.Status{}, err
		}
		return a.Status(ctx)
	})
	get(a, operation{path: "/overview", id: "overview", room: room, summary: "What the desk shows first: calm or why not, traffic, and what is open"}, func(ctx context.Context, actor store.Actor, _ *none) (flow.Overview, error) {
		return a.Overview(ctx, actor)
	})
	lists(a, operation{path: "/messages", id: "list-messages", room: room, summary: "Messages and their receipts"}, a.MessageList())
	post(a, operation{path: "/incidents/{id}/tell", id: "tell", room: "incident", summary: "Tell an authority, a platform or a partner about an incident"}, func(ctx context.Context, tx *store.Tx, in *tellBody) (done, error) {
		return done{true}, a.Tell(ctx, tx, in.ID, in.Body.Channel, in.Body.Recipient)
	})
}
