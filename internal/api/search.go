package api

import (
	"context"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/store"
)

func (a *API) search() {
	get(a, operation{path: "/search", id: "search", room: "status", summary: "Jump to an incident, anomaly, order or complaint"}, func(ctx context.Context, actor store.Actor, in *struct {
		Q string `query:"q" required:"true" minLength:"1" maxLength:"200"`
	}) ([]flow.Found, error) {
		return a.Search(ctx, actor, in.Q)
	})
}
