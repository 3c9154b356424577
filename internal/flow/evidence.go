package flow

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/evaluation"
	"github.com/fengsui/fengsui/internal/respond/evidence"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/respond/reach"
)

// pinKind is a due row that pins the evidence of an anomaly. It commits with the order or the decision
// that asks for it, so that containment waits for no reading of telemetry and a crash loses no pin.
const pinKind = "evidence.pin"

// pinAnomaly asks for the evidence of an anomaly, and of those merged into it, to be pinned at once.
func (h *House) pinAnomaly(ctx context.Context, tx *store.Tx, anomalyID string) error {
	family, err := anomaly.Family(ctx, tx, anomalyID)
	if err != nil {
		return err
	}
	a, err := anomaly.Get(ctx, tx, store.System("flow"), anomalyID)
	if err != nil {
		return err
	}
	for _, id := range family { // all of one kind
		if err := h.later(ctx, tx, pinKind, "anomaly", id, a.Kind); err != nil {
			return err
		}
	}
	return nil
}

// pin is the handler of pinKind.
func (h *House) pin(ctx context.Context, tx *store.Tx, r due.Row) error {
	found, err := h.Evidence.Gather(ctx, r.ObjectID)
	if err != nil {
		return err
	}
	if _, err := h.Evidence.Pin(ctx, tx, r.ObjectID, found); err != nil {
		return err
	}
	incidentID, err := anomaly.IncidentOf(ctx, tx, r.ObjectID)
	if err != nil || incidentID == "" {
		return err
	}
	_, err = h.Evidence.Adopt(ctx, tx, r.ObjectID, incidentID)
	return err
}

// adoptEvidence puts pins that are there already under the incident.
func (h *House) adoptEvidence(ctx context.Context, tx *store.Tx, anomalyID, incidentID string) error {
	defer tx.Lend(store.System("flow"))() // whoever may promote need not handle evidence
	_, err := h.Evidence.Adopt(ctx, tx, anomalyID, incidentID)
	return err
}

// RePin looks again for evidence of all anomalies of an incident.
func (h *House) RePin(ctx context.Context, tx *store.Tx, incidentID string) error {
	if _, err := incident.ForChange(ctx, tx, incidentID, "evidence.pin"); err != nil {
		return err
	}
	var ids []string
	if err := tx.NewRaw("SELECT id FROM anomaly WHERE incident_id = ?", incidentID).Scan(ctx, &ids); err != nil {
		return err
	}
	for _, id := range ids {
		if err := h.pinAnomaly(ctx, tx, id); err != nil {
			return err
		}
	}
	return nil
}

// ComputeReach finds in telemetry whom the harm reached, and keeps it.
func (h *House) ComputeReach(ctx context.Context, tx *store.Tx, incidentID string) (reach.Reach, error) {
	r, err := reach.Compute(ctx, tx, h.Telemetry, tx.Actor, incidentID)
	if err != nil {
		return r, err
	}
	return reach.Store(ctx, tx, r)
}

func (h *House) evidenceOf(ctx context.Context, db bun.IDB, a store.Actor, d *Dossier) (err error) {
	if d.Evidence, err = evidence.List(ctx, db, a, d.Incident.ID); err != nil {
		return err
	}
	if d.MissingEvidence, err = evidence.Missing(ctx, db, a, d.Incident.ID); err != nil {
		return err
	}
	if d.Reach, err = reach.Get(ctx, db, a, d.Incident.ID); err != nil {
		return err
	}
	d.Spread, err = reach.Spreads(ctx, db, a, d.Incident.ID)
	return err
}

// Prompts gives a service test the prompts of the incident's evidence; each is an audited unmasking.
func (h *House) Prompts(ctx context.Context, incidentID string) ([]evaluation.Prompt, error) {
	contents, err := h.Evidence.Replay(ctx, "evaluation", incidentID)
	if err != nil {
		return nil, err
	}
	pins, err := evidence.List(ctx, h.Store.Read(), store.System("evaluation"), incidentID)
	if err != nil {
		return nil, err
	}
	out := []evaluation.Prompt{}
	for k, c := range contents {
		text := c.Prompt
		if len(c.Messages) > 0 {
			text = string(c.Messages)
		}
		if text != "" && k < len(pins) {
			out = append(out, evaluation.Prompt{Ref: pins[k].ContentNo, Text: text})
		}
	}
	return out, nil
}
