package containment

import (
	"context"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/service"
)

// RuleRestriction: an incident of 三级 and above needs a 功能限制 or 下线 in force (guide 6.3.2 a).
const RuleRestriction = "measure.restriction"

// Nonconformity 不符合项: what policy asked for and was not done. It is open until it is settled: by
// the measure, or by a reason that a person gave.
type Nonconformity struct {
	bun.BaseModel `bun:"table:nonconformity" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	IncidentID    string `json:"incident_id"`
	Rule          string `json:"rule"`
	Reason        string `json:"reason"`
	RaisedMs      int64  `json:"raised_ms"`
	SettledMs     int64  `json:"settled_ms"`
}

// RestrictionMissing says whether an incident of this working level (1 … 4, 0 = not graded) lacks the
// measure that its level demands, given the measures of its orders in force.
func RestrictionMissing(workingLevel int, inForce []posture.Tag) bool {
	return workingLevel >= 1 && workingLevel <= 3 && !slices.Contains(inForce, posture.Restrict) && !slices.Contains(inForce, posture.Offline)
}

// CheckMeasure raises or settles the nonconformity of an incident; call it when its level or its
// orders change. It returns the row if there is one, nil if all is well and ever was.
func (c *Control) CheckMeasure(ctx context.Context, tx *store.Tx, incidentID string, workingLevel int) (*Nonconformity, error) {
	var tags []posture.Tag
	if err := tx.NewRaw("SELECT measure FROM disposal_order WHERE incident_id = ? AND state = ?", incidentID, InForce).Scan(ctx, &tags); err != nil {
		return nil, err
	}
	missing := RestrictionMissing(workingLevel, tags)
	var rows []Nonconformity
	if err := tx.NewSelect().Model(&rows).Where("incident_id = ? AND rule = ?", incidentID, RuleRestriction).Scan(ctx); err != nil {
		return nil, err
	}
	say := func(action string, id string) {
		tx.Record(store.Entry{Action: action, ObjectKind: "nonconformity", ObjectID: id, Scope: "incident:" + incidentID, Content: map[string]any{"rule": RuleRestriction, "level": workingLevel}})
		tx.Touch("incident")
	}
	if len(rows) == 0 {
		if !missing {
			return nil, nil
		}
		n := Nonconformity{ID: tx.NewID(), IncidentID: incidentID, Rule: RuleRestriction, RaisedMs: tx.NowMs}
		say("nonconformity.raise", n.ID)
		_, err := tx.NewInsert().Model(&n).Exec(ctx)
		return &n, err
	}
	n := rows[0]
	switch {
	case !missing && n.SettledMs == 0:
		n.SettledMs = tx.NowMs
		say("nonconformity.settle", n.ID)
	case missing && n.SettledMs != 0 && n.Reason == "":
		// The measure was there and is gone while the level still asks for it.
		n.RaisedMs, n.SettledMs = tx.NowMs, 0
		say("nonconformity.raise", n.ID)
	default:
		return &n, nil
	}
	_, err := tx.NewUpdate().Model(&n).Column("raised_ms", "settled_ms").WherePK().Exec(ctx)
	return &n, err
}

// ExplainNonconformity settles an open nonconformity with a reason. Errors: forbidden without
// incident.handle; conflict if it is settled; invalid without a reason.
func (c *Control) ExplainNonconformity(ctx context.Context, tx *store.Tx, id, reason string) (Nonconformity, error) {
	if err := identity.Require(tx.Actor, "incident.handle"); err != nil {
		return Nonconformity{}, err
	}
	n, err := service.Get[Nonconformity](ctx, tx, "id", id)
	if err != nil {
		return n, err
	}
	if err := incident.Visible(ctx, tx, tx.Actor, "id", n.IncidentID); err != nil {
		return Nonconformity{}, err
	}
	var drill string
	if err := tx.NewRaw("SELECT drill_id FROM incident WHERE id = ?", n.IncidentID).Scan(ctx, &drill); err != nil {
		return n, store.Missing(err, "incident_id")
	}
	if err := identity.RequireDrill(tx.Actor, drill); err != nil {
		return n, err
	}
	if strings.TrimSpace(reason) == "" {
		return n, fault.Invalid("reason", "error.required", "field", "reason")
	}
	if n.SettledMs != 0 {
		return n, fault.Conflict("id", "containment.settled")
	}
	n.Reason, n.SettledMs = strings.TrimSpace(reason), tx.NowMs
	tx.Record(store.Entry{Action: "nonconformity.explain", ObjectKind: "nonconformity", ObjectID: n.ID, Scope: "incident:" + n.IncidentID, Content: n})
	tx.Touch("incident")
	_, err = tx.NewUpdate().Model(&n).Column("reason", "settled_ms").WherePK().Exec(ctx)
	return n, err
}

// Nonconformities lists those of an incident, oldest first.
func Nonconformities(ctx context.Context, db bun.IDB, incidentID string) ([]Nonconformity, error) {
	out := []Nonconformity{}
	return out, db.NewSelect().Model(&out).Where("incident_id = ?", incidentID).Order("raised_ms", "id").Scan(ctx)
}
