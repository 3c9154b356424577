// Package retrospective is what is learnt after an incident (guide 6.4.1): the written review 复盘 and
// the actions that follow from it, each with an owner and a due time.
package retrospective

import (
	"context"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

// DueKind names the due row of an action; its handler is Overdue.
const DueKind = "action.due"

// Retrospective is the review of one incident.
type Retrospective struct {
	bun.BaseModel `bun:"table:retrospective" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	IncidentID    string `json:"incident_id"`
	RootCause     string `json:"root_cause"`
	WentWell      string `json:"went_well"`
	WentBadly     string `json:"went_badly"`
	Report        string `json:"report"`
	HeldBy        string `json:"held_by"`
	HeldMs        int64  `json:"held_ms"`
}

// Action is one improvement that a retrospective asks for.
type Action struct {
	bun.BaseModel   `bun:"table:improvement_action" json:"-"`
	ID              string `bun:"id,pk" json:"id"`
	RetrospectiveID string `json:"retrospective_id"`
	IncidentID      string `json:"incident_id"`
	Title           string `json:"title"`
	Owner           string `json:"owner"`
	DueMs           int64  `json:"due_ms"`
	OverdueMs       int64  `json:"overdue_ms,omitempty"`
	State           string `json:"state"` // open, done, dropped
	Proof           string `json:"proof,omitempty"`
	DoneBy          string `json:"done_by,omitempty"`
	DoneMs          int64  `json:"done_ms,omitempty"`
}

// Hold files the review of a closed incident with its actions. At least one action is required: a
// review from which nothing follows has not been one.
func Hold(ctx context.Context, tx *store.Tx, r Retrospective, actions []Action) (Retrospective, []Action, error) {
	i, err := incident.ForChange(ctx, tx, r.IncidentID, "retrospective.write")
	if err != nil {
		return r, nil, err
	}
	if i.State != incident.Closed {
		return r, nil, fault.Conflict("incident_id", "retrospective.not_closed")
	}
	if strings.TrimSpace(r.RootCause) == "" {
		return r, nil, fault.Invalid("root_cause", "error.required", "field", "root_cause")
	}
	if len(actions) == 0 {
		return r, nil, fault.Invalid("actions", "retrospective.no_actions")
	}
	r.ID, r.HeldBy, r.HeldMs = tx.NewID(), tx.Actor.ID, tx.NowMs
	if _, err := tx.NewInsert().Model(&r).Exec(ctx); err != nil {
		return r, nil, err
	}
	for k := range actions {
		a := &actions[k]
		if strings.TrimSpace(a.Title) == "" || strings.TrimSpace(a.Owner) == "" {
			return r, nil, fault.Invalid("actions", "retrospective.action_incomplete")
		}
		if a.DueMs <= tx.NowMs {
			return r, nil, fault.Invalid("actions", "retrospective.action_past")
		}
		*a = Action{ID: tx.NewID(), RetrospectiveID: r.ID, IncidentID: i.ID, Title: a.Title, Owner: a.Owner, DueMs: a.DueMs, State: "open"}
		if _, err := tx.NewInsert().Model(a).Exec(ctx); err != nil {
			return r, nil, err
		}
		if err := due.Set(ctx, tx, due.Row{Kind: DueKind, ObjectKind: "action", ObjectID: a.ID, IncidentKind: i.Kind, DueMs: a.DueMs, Payload: "{}"}); err != nil {
			return r, nil, err
		}
	}
	tx.Record(store.Entry{Action: "retrospective.hold", ObjectKind: "incident", ObjectID: i.ID, Scope: incident.Scope(i.ID), Content: map[string]any{"retrospective": r, "actions": actions}})
	return r, actions, nil
}

// Done closes an action with its proof.
func Done(ctx context.Context, tx *store.Tx, id, proof string) (Action, error) {
	a, _, err := open(ctx, tx, id)
	if err != nil {
		return a, err
	}
	if strings.TrimSpace(proof) == "" {
		return a, fault.Invalid("proof", "error.required", "field", "proof")
	}
	a.State, a.Proof, a.DoneBy, a.DoneMs = "done", proof, tx.Actor.ID, tx.NowMs
	if _, err := tx.NewUpdate().Model(&a).WherePK().Exec(ctx); err != nil {
		return a, err
	}
	tx.Record(store.Entry{Action: "action.done", ObjectKind: "action", ObjectID: a.ID, Scope: incident.Scope(a.IncidentID), Content: a})
	return a, due.Cancel(ctx, tx, DueKind, id)
}

func open(ctx context.Context, tx *store.Tx, id string) (Action, incident.Incident, error) {
	var a Action
	if err := tx.NewSelect().Model(&a).Where("id = ?", id).Scan(ctx); err != nil {
		return a, incident.Incident{}, store.Missing(err, "action_id")
	}
	i, err := incident.ForChange(ctx, tx, a.IncidentID, "retrospective.write")
	if err == nil && a.State != "open" {
		err = fault.Conflict("action_id", "error.transition", "state", a.State, "event", "done", "allowed", "-")
	}
	return a, i, err
}

// Overdue marks an action that is past its due time and tells people in the same transaction; the
// handler of DueKind. It does so once, and only while the action is open.
func Overdue(ctx context.Context, tx *store.Tx, id string, tell func(context.Context, *store.Tx, Action, incident.Incident) error) error {
	var a Action
	if err := tx.NewSelect().Model(&a).Where("id = ?", id).Scan(ctx); err != nil {
		return store.Missing(err, "action_id")
	}
	if a.State != "open" || a.OverdueMs != 0 {
		return nil
	}
	i, err := incident.Get(ctx, tx, tx.Actor, a.IncidentID)
	if err != nil {
		return err
	}
	a.OverdueMs = tx.NowMs
	if _, err := tx.NewUpdate().Model(&a).WherePK().Column("overdue_ms").Exec(ctx); err != nil {
		return err
	}
	return tell(ctx, tx, a, i)
}

// Of lists the retrospectives of an incident the actor may see, with all actions.
func Of(ctx context.Context, db bun.IDB, a store.Actor, incidentID string) ([]Retrospective, []Action, error) {
	if _, err := incident.Get(ctx, db, a, incidentID); err != nil {
		return nil, nil, err
	}
	rs, as := []Retrospective{}, []Action{}
	if err := db.NewSelect().Model(&rs).Where("incident_id = ?", incidentID).Order("held_ms", "id").Scan(ctx); err != nil {
		return nil, nil, err
	}
	return rs, as, db.NewSelect().Model(&as).Where("incident_id = ?", incidentID).Order("due_ms", "id").Scan(ctx)
}
