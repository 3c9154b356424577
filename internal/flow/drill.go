package flow

import (
	"context"

	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/prepare/drill"
)

// StartDrill makes the ground of a drill and puts its services in front of the gateway.
func (h *House) StartDrill(ctx context.Context, tx *store.Tx, o drill.StartOptions) (drill.Started, error) {
	s, err := drill.Start(ctx, tx, o)
	if err != nil {
		return s, err
	}
	for _, g := range s.Grounds {
		if _, err := h.Control.CompilePosture(ctx, tx, g.ServiceID, "drill"); err != nil {
			return s, err
		}
	}
	return s, nil
}
