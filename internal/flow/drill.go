package flow

import (
	"context"
	"errors"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/prepare/drill"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/service"
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

// FinishDrill ends a drill and leaves nothing of it in force: its orders end, its gateway keys and the
// stand-ins' tokens are good no longer. Error: invalid incident_id if the incident is not the drill's.
func (h *House) FinishDrill(ctx context.Context, tx *store.Tx, id, stages string, state drill.State, incidentID string) (drill.Drill, error) {
	if incidentID != "" {
		i, err := incident.Get(ctx, tx, store.System("drill"), incidentID)
		if err != nil {
			return drill.Drill{}, err
		}
		if i.DrillID != id {
			return drill.Drill{}, fault.Invalid("incident_id", "identity.other_drill")
		}
	}
	d, err := drill.Finish(ctx, tx, id, stages, state, incidentID)
	if err != nil {
		return d, err
	}
	person := tx.Actor
	tx.Actor = store.System("drill")
	defer func() { tx.Actor = person }()
	var keys []string
	if err := tx.NewRaw("SELECT k.id FROM gateway_key k JOIN service s ON s.id = k.service_id WHERE s.drill_id = ? AND k.revoked_ms = 0 ORDER BY k.id", id).Scan(ctx, &keys); err != nil {
		return d, err
	}
	errs := []error{h.Control.EndDrill(ctx, tx, id), identity.EndStandIns(ctx, tx, id)}
	for _, k := range keys {
		errs = append(errs, service.RevokeKey(ctx, tx, k))
	}
	return d, errors.Join(errs...)
}
