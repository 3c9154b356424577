package flow

import (
	"context"
	"maps"

	"github.com/fengsui/fengsui/internal/improve/retrospective"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/notify"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/prepare/lexicon"
	"github.com/fengsui/fengsui/internal/respond/directive"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/respond/obligation"
)

// DueHandlers are what happens when a due row fires, by its kind.
func (h *House) DueHandlers() map[string]due.Handler {
	out := map[string]due.Handler{
		obligation.DueKind: func(ctx context.Context, tx *store.Tx, r due.Row) error {
			return h.OverdueObligation(ctx, tx, r.ObjectID)
		},
		retrospective.DueKind: func(ctx context.Context, tx *store.Tx, r due.Row) error {
			return retrospective.Overdue(ctx, tx, r.ObjectID, func(ctx context.Context, tx *store.Tx, a retrospective.Action, i incident.Incident) error {
				return h.tellStaff(ctx, tx, key("action", a.ID, "overdue", a.DueMs), "action.overdue", i.Kind, "action", a.ID,
					notify.ID("number", i.Number), notify.ID("id", a.ID), notify.Time("due", a.DueMs))
			})
		},
		lexicon.DueExpire: h.Lexicon.Expire,
		pinKind:           h.pin,
		directive.DueKind: func(ctx context.Context, tx *store.Tx, r due.Row) error {
			return h.tellStaff(ctx, tx, key("directive", r.ObjectID, "overdue", r.DueMs), "directive.overdue", r.IncidentKind, "directive", r.ObjectID,
				notify.ID("id", r.ObjectID), notify.Time("due", r.DueMs))
		},
		reachKind: func(ctx context.Context, tx *store.Tx, r due.Row) error {
			_, err := h.ComputeReach(ctx, tx, r.ObjectID)
			return err
		},
	}
	maps.Copy(out, h.Control.DueHandlers())
	maps.Copy(out, h.Review.DueHandlers())
	maps.Copy(out, h.Dispatch.DueHandlers())
	return out
}

// later sets a due row for now: what it does happens right after the commit, exactly once.
func (h *House) later(ctx context.Context, tx *store.Tx, kind, objectKind, objectID, incidentKind string) error {
	return due.Set(ctx, tx, due.Row{Kind: kind, ObjectKind: objectKind, ObjectID: objectID, IncidentKind: incidentKind, DueMs: tx.NowMs, Payload: "{}"})
}
