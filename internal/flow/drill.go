package flow

import (
	"context"
	"errors"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/prepare/drill"
	"github.com/fengsui/fengsui/internal/respond/dispatch"
	"github.com/fengsui/fengsui/internal/respond/gatereview"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/respond/obligation"
	"github.com/fengsui/fengsui/internal/service"
)

// StartDrill makes the ground of a drill and puts its services in front of the gateway. Errors: those of
// drill.Start; conflict drill.real_first while a real incident needs the people.
func (h *House) StartDrill(ctx context.Context, tx *store.Tx, o drill.StartOptions) (drill.Started, error) {
	known, err := tx.NewSelect().TableExpr("drill").Where("id = ?", o.ID).Count(ctx)
	if err != nil {
		return drill.Started{}, err
	}
	s, err := drill.Start(ctx, tx, o)
	if err != nil {
		return s, err
	}
	if known == 0 { // one that is under way has been paused, and a person may have let it go on
		if err := noneReal(ctx, tx); err != nil {
			return drill.Started{}, err
		}
	}
	for _, g := range s.Grounds {
		if _, err := h.Control.CompilePosture(ctx, tx, g.ServiceID, "drill"); err != nil {
			return s, err
		}
	}
	return s, nil
}

// noneReal refuses while a real incident that would pause drills is not closed (design promise 11).
func noneReal(ctx context.Context, tx *store.Tx) error {
	var open []string
	if err := tx.NewRaw("SELECT id FROM incident WHERE kind = 'real' AND state <> ?", incident.Closed).Scan(ctx, &open); err != nil {
		return err
	}
	for _, id := range open {
		l, err := incident.LevelOf(ctx, tx, id)
		if err != nil {
			return err
		}
		if pausesDrills(l.Working) {
			return fault.Conflict("id", "drill.real_first")
		}
	}
	return nil
}

// pausesDrills: an incident of 三级 or above, and none that has no level yet.
func pausesDrills(level int) bool { return level >= 1 && level <= 3 }

// FinishDrill ends a drill and leaves nothing of it in force: its orders end, its incidents close, its anomalies are decided, its gateway keys and the
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
	defer tx.Lend(store.System("drill"))()
	var keys []string
	if err := tx.NewRaw("SELECT k.id FROM gateway_key k JOIN service s ON s.id = k.service_id WHERE s.drill_id = ? AND k.revoked_ms = 0 ORDER BY k.id", id).Scan(ctx, &keys); err != nil {
		return d, err
	}
	errs := []error{h.Control.EndDrill(ctx, tx, id), h.closeDrill(ctx, tx, id), anomaly.EndDrill(ctx, tx, id), identity.EndStandIns(ctx, tx, id)}
	for _, k := range keys {
		errs = append(errs, service.RevokeKey(ctx, tx, k))
	}
	return d, errors.Join(errs...)
}

// closeDrill closes what a drill left open and stops the clocks of it.
func (h *House) closeDrill(ctx context.Context, tx *store.Tx, drillID string) error {
	closed, err := incident.EndDrill(ctx, tx, drillID)
	if err != nil || len(closed) == 0 {
		return err
	}
	for _, c := range []struct{ kind, query string }{
		{obligation.DueKind, "SELECT id FROM obligation WHERE incident_id IN (?)"},
		{dispatch.DueTask, "SELECT id FROM task WHERE incident_id IN (?)"},
		{dispatch.DueEscalate, "SELECT id FROM plan_run WHERE incident_id IN (?)"},
		{gatereview.DueRatify, "SELECT id FROM gate_review WHERE incident_id IN (?)"},
	} {
		var ids []string
		if err := tx.NewRaw(c.query, bun.List(closed)).Scan(ctx, &ids); err != nil {
			return err
		}
		for _, id := range ids {
			if err := due.Cancel(ctx, tx, c.kind, id); err != nil {
				return err
			}
		}
	}
	return nil
}
