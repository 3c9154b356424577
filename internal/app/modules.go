package app

import (
	"context"

	"github.com/fengsui/fengsui/internal/platform/node"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/containment"
)

// modules are the parts whose rows an older program may misread. Whoever changes what such a row means raises the
// version, and Beside too if the older part would do harm with it: then nodes of before leave that work to the newer ones.
func modules() []node.Module {
	return []node.Module{
		{Name: "due", Version: 1, Beside: 1},
		{Name: "outbox", Version: 1, Beside: 1},
		{Name: "anomaly", Version: 1, Beside: 1},
		{Name: containment.Module, Version: posture.Understands, Beside: 1}, // what it needs follows what is compiled
		{Name: "evaluation", Version: 1, Beside: 1},
	}
}

// alone makes a loop of what one node at a time does, under the lease and the module of that name.
func (a *App) alone(name string, work func(ctx context.Context, st *store.Store) error) {
	if a.node != nil {
		a.work(name, a.node.Alone(name, name, work))
	}
}
