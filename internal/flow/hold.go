package flow

import (
	"context"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

// Hold puts an incident under legal hold; from then on no erasure of it succeeds.
func (h *House) Hold(ctx context.Context, tx *store.Tx, incidentID, ground string) error {
	if err := incident.SetHold(ctx, tx, incidentID, true); err != nil {
		return err
	}
	_, err := h.Record.Hold(ctx, tx, incident.Scope(incidentID), ground)
	return err
}

// AskReleaseHold asks to end the legal hold of an incident; another person confirms.
func (h *House) AskReleaseHold(ctx context.Context, tx *store.Tx, incidentID, reason string) (identity.SecondSignature, error) {
	i, err := incident.ForChange(ctx, tx, incidentID, "record.hold")
	if err != nil {
		return identity.SecondSignature{}, err
	}
	if !i.LegalHold {
		return identity.SecondSignature{}, fault.Conflict("incident_id", "incident.not_held")
	}
	return identity.AskSecond(ctx, tx, identity.SecondSignature{Action: "record.hold", ObjectKind: "legal_hold", ObjectID: i.ID, IncidentID: i.ID, DrillID: i.DrillID, Reason: reason}, i.ID)
}

// releaseHold applies a confirmed request.
func (h *House) releaseHold(ctx context.Context, tx *store.Tx, s identity.SecondSignature) error {
	if err := incident.SetHold(ctx, tx, s.ObjectID, false); err != nil {
		return err
	}
	holds, err := record.Holds(ctx, tx, incident.Scope(s.ObjectID))
	if err != nil {
		return err
	}
	for _, id := range holds {
		if err := h.Record.ReleaseHold(ctx, tx, id, s.Reason); err != nil {
			return err
		}
	}
	return nil
}
