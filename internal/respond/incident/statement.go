package incident

import (
	"context"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Statement 口径: what is said to an audience, drafted by one person and approved by another.
type Statement struct {
	bun.BaseModel `bun:"table:statement" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	IncidentID    string `json:"incident_id"`
	Audience      string `json:"audience"` // public, complainant, authority, platform, partner, staff
	Text          string `json:"text"`
	DraftedBy     string `json:"drafted_by"`
	DraftedMs     int64  `json:"drafted_ms"`
	ApprovedBy    string `json:"approved_by,omitempty"`
	ApprovedMs    int64  `json:"approved_ms,omitempty"`
}

var audiences = []string{"public", "complainant", "authority", "platform", "partner", "staff"}

// DraftStatement files a draft.
func DraftStatement(ctx context.Context, tx *store.Tx, incidentID string, s Statement) (Statement, error) {
	i, err := forChange(ctx, tx, incidentID, "statement.draft")
	if err != nil {
		return s, err
	}
	if err := need("audience", s.Audience, "text", s.Text); err != nil {
		return s, err
	}
	if !slices.Contains(audiences, s.Audience) {
		return s, fault.Invalid("audience", "error.unknown_value", "value", s.Audience, "valid", strings.Join(audiences, ", "))
	}
	s = Statement{ID: tx.NewID(), IncidentID: i.ID, Audience: s.Audience, Text: s.Text, DraftedBy: tx.Actor.ID, DraftedMs: tx.NowMs}
	if _, err := tx.NewInsert().Model(&s).Exec(ctx); err != nil {
		return s, err
	}
	tx.Record(store.Entry{Action: "statement.draft", ObjectKind: "statement", ObjectID: s.ID, Scope: Scope(i.ID), Content: s})
	return s, nil
}

// ApproveStatement lets a draft go out; by another person than its author.
func ApproveStatement(ctx context.Context, tx *store.Tx, id string) (Statement, error) {
	var s Statement
	if err := tx.NewSelect().Model(&s).Where("id = ?", id).Scan(ctx); err != nil {
		return s, store.Missing(err, "statement_id")
	}
	if _, err := forChange(ctx, tx, s.IncidentID, "statement.approve"); err != nil {
		return s, err
	}
	if s.ApprovedMs != 0 {
		return s, fault.Conflict("statement_id", "incident.already_approved")
	}
	if err := identity.TwoPersons(s.DraftedBy, tx.Actor.ID); err != nil {
		return s, err
	}
	s.ApprovedBy, s.ApprovedMs = tx.Actor.ID, tx.NowMs
	if _, err := tx.NewUpdate().Model(&s).WherePK().Exec(ctx); err != nil {
		return s, err
	}
	tx.Record(store.Entry{Action: "statement.approve", ObjectKind: "statement", ObjectID: s.ID, Scope: Scope(s.IncidentID), Content: s})
	return s, nil
}

// Statements lists all of an incident.
func Statements(ctx context.Context, db bun.IDB, incidentID string) ([]Statement, error) {
	out := []Statement{}
	return out, db.NewSelect().Model(&out).Where("incident_id = ?", incidentID).Order("drafted_ms", "id").Scan(ctx)
}
