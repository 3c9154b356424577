package identity

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// SecondSignature is something one person asked for that takes effect when another confirms it.
type SecondSignature struct {
	bun.BaseModel `bun:"table:second_signature" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	Action        string `json:"action"` // the permission that both persons need
	ObjectKind    string `json:"object_kind"`
	ObjectID      string `json:"object_id"`
	IncidentID    string `json:"incident_id,omitempty"`
	DrillID       string `json:"drill_id,omitempty"`
	Request       string `json:"request"`
	Reason        string `json:"reason"`
	State         string `json:"state"` // requested, confirmed, rejected, withdrawn, lapsed
	RequestedBy   string `json:"requested_by"`
	RequestedMs   int64  `json:"requested_ms"`
	DecidedBy     string `json:"decided_by,omitempty"`
	DecidedMs     int64  `json:"decided_ms,omitempty"`
	LapsedBy      string `json:"lapsed_by,omitempty"` // the event that ended what it was about, such as order.lapse
}

// AskSecond files a request for a second person. Nothing takes effect yet. A reason is required. A
// drill's stand-in asks only for what is its drill's: whoever runs the drill holds its token.
func AskSecond(ctx context.Context, tx *store.Tx, s SecondSignature, request any) (SecondSignature, error) {
	if err := RequireOn(tx.Actor, s.Action, Thing{InDrill: true, Drill: s.DrillID}); err != nil {
		return s, err
	}
	if strings.TrimSpace(s.Reason) == "" {
		return s, fault.Invalid("reason", "error.required", "field", "reason")
	}
	js, err := json.Marshal(request)
	if err != nil {
		return s, err
	}
	s.ID, s.Request, s.State, s.RequestedBy, s.RequestedMs = tx.NewID(), string(js), "requested", tx.Actor.ID, tx.NowMs
	if _, err := tx.NewInsert().Model(&s).Exec(ctx); err != nil {
		return s, err
	}
	tx.Record(store.Entry{Action: "second.request", ObjectKind: s.ObjectKind, ObjectID: s.ObjectID, Scope: scopeOf(s.IncidentID), Content: s})
	return s, nil
}

// DecideSecond confirms or rejects a request. The actor must hold the same permission and be another
// person; the caller applies s.Request in the same transaction when it was confirmed.
func DecideSecond(ctx context.Context, tx *store.Tx, id string, confirm bool) (SecondSignature, error) {
	var s SecondSignature
	if err := tx.NewSelect().Model(&s).Where("id = ?", id).Scan(ctx); err != nil {
		return s, store.Missing(err, "id")
	}
	if err := RequireOn(tx.Actor, s.Action, Thing{Kind: s.ObjectKind, ID: s.ObjectID, InDrill: true, Drill: s.DrillID, RequestedBy: s.RequestedBy}); err != nil {
		return s, err
	}
	if s.State != "requested" {
		return s, fault.Conflict("id", "identity.second_decided", "state", s.State)
	}
	if err := askedWithin(ctx, tx, s); err != nil {
		return s, err
	}
	s.State, s.DecidedBy, s.DecidedMs = "rejected", tx.Actor.ID, tx.NowMs
	if confirm {
		s.State = "confirmed"
	}
	if _, err := tx.NewUpdate().Model(&s).WherePK().Exec(ctx); err != nil {
		return s, err
	}
	tx.Record(store.Entry{Action: "second." + s.State, ObjectKind: s.ObjectKind, ObjectID: s.ObjectID, Scope: scopeOf(s.IncidentID), Content: s})
	return s, nil
}

// askedWithin refuses what a stand-in asked for outside its drill: a stand-in is no first person there.
func askedWithin(ctx context.Context, tx *store.Tx, s SecondSignature) error {
	var drills []string // none for a part of the system, which is no person
	if err := tx.NewRaw("SELECT drill_id FROM person WHERE id = ?", s.RequestedBy).Scan(ctx, &drills); err != nil {
		return err
	}
	for _, d := range drills {
		if err := RequireDrill(store.Actor{Drill: d}, s.DrillID); err != nil {
			return err
		}
	}
	return nil
}

func scopeOf(incidentID string) string {
	if incidentID == "" {
		return ""
	}
	return "incident:" + incidentID
}
