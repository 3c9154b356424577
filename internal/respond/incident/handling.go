package incident

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/service"
)

// Impact is what the incident may do to one party, our own business or a third one.
type Impact struct {
	bun.BaseModel `bun:"table:impact_assessment" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	IncidentID    string `json:"incident_id"`
	Party         string `json:"party"`
	Economic      string `json:"economic"`
	Reputation    string `json:"reputation"`
	UsersAffected int64  `json:"users_affected"`
	AssessedBy    string `json:"assessed_by"`
	AtMs          int64  `json:"at_ms"`
}

// AssessImpact adds the impact on one party.
func AssessImpact(ctx context.Context, tx *store.Tx, incidentID string, m Impact) (Impact, error) {
	i, err := forChange(ctx, tx, incidentID, "impact.write")
	if err != nil {
		return m, err
	}
	if err := need("party", m.Party, "economic", m.Economic, "reputation", m.Reputation); err != nil {
		return m, err
	}
	if m.UsersAffected < 0 {
		return m, fault.Invalid("users_affected", "error.negative", "field", "users_affected")
	}
	m.ID, m.IncidentID, m.AssessedBy, m.AtMs = tx.NewID(), i.ID, tx.Actor.ID, tx.NowMs
	if _, err := tx.NewInsert().Model(&m).Exec(ctx); err != nil {
		return m, err
	}
	tx.Record(store.Entry{Action: "impact.assess", ObjectKind: "incident", ObjectID: i.ID, Scope: Scope(i.ID), Content: m})
	return m, nil
}

// Fix is what was found to be the cause and done about it, and by whom; who fixed may neither test nor
// approve the return.
type Fix struct {
	bun.BaseModel `bun:"table:fix" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	IncidentID    string `json:"incident_id"`
	Cause         string `json:"cause"`
	Measure       string `json:"measure"`
	DeploymentID  string `json:"deployment_id,omitempty"`
	FixedBy       string `json:"fixed_by"`
	FixedMs       int64  `json:"fixed_ms"`
}

// AddFix files a fix.
func AddFix(ctx context.Context, tx *store.Tx, incidentID string, f Fix) (Fix, error) {
	i, err := forChange(ctx, tx, incidentID, "fix.write")
	if err != nil {
		return f, err
	}
	if err := need("cause", f.Cause, "measure", f.Measure); err != nil {
		return f, err
	}
	if f.DeploymentID != "" {
		if _, err := service.Get[service.Deployment](ctx, tx, "deployment_id", f.DeploymentID); err != nil {
			return f, err
		}
	}
	f.ID, f.IncidentID, f.FixedBy, f.FixedMs = tx.NewID(), i.ID, tx.Actor.ID, tx.NowMs
	if _, err := tx.NewInsert().Model(&f).Exec(ctx); err != nil {
		return f, err
	}
	tx.Record(store.Entry{Action: "fix.add", ObjectKind: "incident", ObjectID: i.ID, Scope: Scope(i.ID), Content: f})
	return f, nil
}

// Fixes lists the fixes of an incident, oldest first.
func Fixes(ctx context.Context, db bun.IDB, incidentID string) ([]Fix, error) {
	out := []Fix{}
	return out, db.NewSelect().Model(&out).Where("incident_id = ?", incidentID).Order("fixed_ms", "id").Scan(ctx)
}

// Impacts lists the impact assessments of an incident, oldest first.
func Impacts(ctx context.Context, db bun.IDB, incidentID string) ([]Impact, error) {
	out := []Impact{}
	return out, db.NewSelect().Model(&out).Where("incident_id = ?", incidentID).Order("at_ms", "id").Scan(ctx)
}
