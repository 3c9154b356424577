package api

import (
	"context"

	"github.com/fengsui/fengsui/internal/govern/compliance"
	"github.com/fengsui/fengsui/internal/platform/store"
)

func (a *API) govern() {
	get(a, operation{path: "/compliance", id: "compliance-board", room: "govern", summary: "Every clause of the guide: what satisfies it here, the proof, the gap"}, func(ctx context.Context, actor store.Actor, _ *none) (compliance.Board, error) {
		return compliance.Read(ctx, a.Store.Read(), actor, a.Book, a.NowMs())
	})
}
