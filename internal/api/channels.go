package api

import (
	"context"

	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/notify"
	"github.com/fengsui/fengsui/internal/platform/store"
)

type channelBody struct {
	Body struct {
		Channel notify.Draft `json:"channel"`
		Reason  string       `json:"reason" maxLength:"500"`
	}
}

// channels are the ways to the world. What changes where an alarm goes takes two persons.
func (a *API) channels() {
	const room = "status"
	get(a, operation{path: "/channels", id: "list-channels", room: room, summary: "List the channels by which messages leave, and what became of their newest test"}, func(ctx context.Context, actor store.Actor, _ *none) ([]notify.Standing, error) {
		return a.Registry.Standings(ctx, a.Store.Read(), actor, a.Channels)
	})
	post(a, operation{path: "/channels", id: "set-channel", room: room, summary: "Ask for a new channel, or for another shape of one; a second person confirms it", secret: true}, func(ctx context.Context, tx *store.Tx, in *channelBody) (notify.Configured, error) {
		return a.Registry.Ask(ctx, tx, in.Body.Channel, in.Body.Reason)
	})
	post(a, operation{path: "/channels/{id}/remove", id: "remove-channel", room: room, summary: "Ask to remove a channel; a second person confirms it"}, func(ctx context.Context, tx *store.Tx, in *reasonBody) (identity.SecondSignature, error) {
		return a.Registry.AskRemoval(ctx, tx, in.ID, in.Body.Reason)
	})
	post(a, operation{path: "/channels/{id}/test", id: "test-channel", room: room, summary: "Send a test message by a channel"}, func(ctx context.Context, tx *store.Tx, in *ByID) (done, error) {
		ok, err := a.Registry.Test(ctx, tx, in.ID)
		return done{ok}, err
	})
}
