package incident

import (
	"context"
	"slices"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Closing is one attempt at closing: application, verification by another person, notice
// (guide 6.3.1 g).
type Closing struct {
	bun.BaseModel `bun:"table:closing" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	IncidentID    string `json:"incident_id"`
	State         string `json:"state"` // applied, verified, rejected
	Summary       string `json:"summary"`
	AppliedBy     string `json:"applied_by"`
	AppliedMs     int64  `json:"applied_ms"`
	VerifiedBy    string `json:"verified_by,omitempty"`
	VerifiedMs    int64  `json:"verified_ms,omitempty"`
	Verification  string `json:"verification,omitempty"`
	NotifiedMs    int64  `json:"notified_ms,omitempty"`
}

// ApplyClosing asks to close. Refused while anything owed is open: an order in force, a task, an
// obligation that stands, or a level that nobody has confirmed.
func ApplyClosing(ctx context.Context, tx *store.Tx, incidentID, summary string) (Closing, error) {
	if err := need("summary", summary); err != nil {
		return Closing{}, err
	}
	// Who may not see the incident must not learn here what is open on it, so Advance comes first.
	if _, err := Advance(ctx, tx, incidentID, OnApplyClosing, "closing.apply", ""); err != nil {
		return Closing{}, err
	}
	if err := settled(ctx, tx, incidentID); err != nil {
		return Closing{}, err
	}
	c := Closing{ID: tx.NewID(), IncidentID: incidentID, State: "applied", Summary: summary, AppliedBy: tx.Actor.ID, AppliedMs: tx.NowMs}
	if _, err := tx.NewInsert().Model(&c).Exec(ctx); err != nil {
		return c, err
	}
	tx.Record(store.Entry{Action: "closing.apply", ObjectKind: "closing", ObjectID: c.ID, Scope: Scope(incidentID), Content: c})
	return c, nil
}

// settled names the first thing that keeps an incident from being closed.
func settled(ctx context.Context, tx *store.Tx, id string) error {
	for _, open := range []struct{ key, query string }{
		{"incident.open_orders", "SELECT COUNT(*) FROM disposal_order WHERE incident_id = ? AND state = 'in_force'"},
		{"incident.open_tasks", "SELECT COUNT(*) FROM task WHERE incident_id = ? AND state = 'open'"},
		// What is filed periodically or reported after the end runs on beyond closing.
		{"incident.open_obligations", "SELECT COUNT(*) FROM obligation o WHERE o.incident_id = ? AND o.state IN ('pending','owed','decision') AND o.clock_start_ms < (SELECT COALESCE(MAX(last_ms), o.clock_start_ms) FROM milestone m WHERE m.incident_id = o.incident_id AND m.name = 'handling_ended')"},
		{"incident.open_seconds", "SELECT COUNT(*) FROM second_signature WHERE incident_id = ? AND state = 'requested'"},
	} {
		var n int
		if err := tx.NewRaw(open.query, id).Scan(ctx, &n); err != nil {
			return err
		}
		if n > 0 {
			return fault.Conflict("incident_id", open.key, "count", n)
		}
	}
	rows, objects, err := graded(ctx, tx, id)
	if err != nil {
		return err
	}
	// One object that is only guessed at could still turn out to be the gravest.
	standing := standingRows(rows)
	if len(standing) == 0 || len(standing) < objects || slices.ContainsFunc(standing, func(r Assessment) bool { return r.Stage == "preliminary" }) {
		return fault.Conflict("incident_id", "incident.unconfirmed_level")
	}
	if levelOf(rows, objects).Final == nil {
		return fault.Conflict("incident_id", "incident.no_final_level")
	}
	return nil
}

// VerifyClosing confirms or rejects the application; by another person than the applicant.
func VerifyClosing(ctx context.Context, tx *store.Tx, incidentID string, confirm bool, finding string) (Closing, error) {
	var c Closing
	if _, err := forChange(ctx, tx, incidentID, "closing.verify"); err != nil {
		return c, err
	}
	if err := tx.NewSelect().Model(&c).Where("incident_id = ? AND state = 'applied'", incidentID).Scan(ctx); err != nil {
		return c, store.Missing(err, "closing")
	}
	if err := need("finding", finding); err != nil {
		return c, err
	}
	if err := identity.TwoPersons(c.AppliedBy, tx.Actor.ID); err != nil {
		return c, err
	}
	event := OnVerifyClosing
	c.State = "verified"
	if !confirm {
		event, c.State = OnRejectClosing, "rejected"
	} else if err := settled(ctx, tx, incidentID); err != nil {
		return c, err
	}
	if _, err := Advance(ctx, tx, incidentID, event, "closing.verify", finding); err != nil {
		return c, err
	}
	c.VerifiedBy, c.VerifiedMs, c.Verification, c.NotifiedMs = tx.Actor.ID, tx.NowMs, finding, tx.NowMs
	if _, err := tx.NewUpdate().Model(&c).WherePK().Exec(ctx); err != nil {
		return c, err
	}
	tx.Record(store.Entry{Action: "closing." + c.State, ObjectKind: "closing", ObjectID: c.ID, Scope: Scope(incidentID), Content: c})
	return c, nil
}

// EndDrill closes what a drill that has ended left open, and gives the ids: its stand-ins are gone, so that nobody could, and
// it would stand in lists and on clocks for ever. Only parts of the system may.
func EndDrill(ctx context.Context, tx *store.Tx, drillID string) ([]string, error) {
	if !tx.Actor.IsSystem() {
		return nil, fault.Forbidden("identity.not_allowed", "action", "drill.end")
	}
	ids := []string{}
	if err := tx.NewRaw("SELECT id FROM incident WHERE kind = 'drill' AND drill_id = ? AND drill_id <> '' AND state <> ? ORDER BY id", drillID, Closed).Scan(ctx, &ids); err != nil {
		return nil, err
	}
	for _, id := range ids {
		if _, err := Advance(ctx, tx, id, OnDrillOver, "incident.handle", ""); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// Closings lists the attempts at closing an incident.
func Closings(ctx context.Context, db bun.IDB, incidentID string) ([]Closing, error) {
	out := []Closing{}
	return out, db.NewSelect().Model(&out).Where("incident_id = ?", incidentID).Order("applied_ms", "id").Scan(ctx)
}
