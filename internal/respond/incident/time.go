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

// Milestone is a moment of the course that can come again: its first and last time, and how often.
type Milestone struct {
	bun.BaseModel `bun:"table:milestone" json:"-"`
	IncidentID    string `bun:"incident_id,pk" json:"-"`
	Name          string `bun:"name,pk" json:"name"`
	FirstMs       int64  `json:"first_ms"`
	LastMs        int64  `json:"last_ms"`
	Times         int    `json:"times"`
}

// Reached notes that a milestone was reached now: aware, declared, contained, re_spread, recovered,
// handling_ended, closed, reopened.
func Reached(ctx context.Context, tx *store.Tx, id, name string) error {
	return reachedAt(ctx, tx, id, name, tx.NowMs)
}

func reachedAt(ctx context.Context, tx *store.Tx, id, name string, atMs int64) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO milestone (incident_id, name, first_ms, last_ms, times) VALUES (?, ?, ?, ?, 1)
		ON CONFLICT (incident_id, name) DO UPDATE SET last_ms = excluded.last_ms, times = milestone.times + 1`, id, name, atMs, atMs)
	return err
}

// Milestones lists what an incident has reached, in order of first time.
func Milestones(ctx context.Context, db bun.IDB, id string) ([]Milestone, error) {
	out := []Milestone{}
	return out, db.NewSelect().Model(&out).Where("incident_id = ?", id).Order("first_ms", "name").Scan(ctx)
}

// Awareness is one candidate for the moment from which the legal clocks run. The earliest that
// stands counts (design promise 10).
type Awareness struct {
	bun.BaseModel   `bun:"table:awareness" json:"-"`
	ID              string `bun:"id,pk" json:"id"`
	IncidentID      string `json:"incident_id"`
	Source          string `json:"source"` // complaint_read, alarm_seen, supplier_told, authority_called, declared
	AtMs            int64  `json:"at_ms"`
	Zone            string `json:"zone"`
	TimeSource      string `json:"time_source"`
	Ref             string `json:"ref"`
	EnteredBy       string `json:"entered_by"`
	EnteredMs       int64  `json:"entered_ms"`
	WithdrawnBy     string `json:"withdrawn_by,omitempty"`
	WithdrawnSecond string `json:"withdrawn_second,omitempty"`
	WithdrawnReason string `json:"withdrawn_reason,omitempty"`
}

// awareWithinMs is how far back an awareness may lie: 366 days. What lies further back is a slip of the
// keyboard, and would put every clock out for good. An incident that is filed afterwards may be older.
const awareWithinMs int64 = 366 * 24 * 60 * 60 * 1000

var awarenessSources = []string{"complaint_read", "alarm_seen", "supplier_told", "authority_called", "declared"}

// AwarenessSources lists where a candidate may come from.
func AwarenessSources() []string { return slices.Clone(awarenessSources) }

// AddAwareness enters a candidate. An earlier one moves the clocks at once; the caller re-reckons
// the obligations in the same transaction.
func AddAwareness(ctx context.Context, tx *store.Tx, id, source string, atMs int64, ref string) (Awareness, error) {
	i, err := forChange(ctx, tx, id, "incident.handle")
	if err != nil {
		return Awareness{}, err
	}
	return addAwareness(ctx, tx, i, source, atMs, ref)
}

func addAwareness(ctx context.Context, tx *store.Tx, i Incident, source string, atMs int64, ref string) (Awareness, error) {
	ok := false
	for _, s := range awarenessSources {
		ok = ok || s == source
	}
	if !ok {
		return Awareness{}, fault.Invalid("source", "error.unknown_value", "value", source, "valid", strings.Join(awarenessSources, ", "))
	}
	if atMs <= 0 || atMs > tx.NowMs {
		return Awareness{}, fault.Invalid("at_ms", "incident.aware_future")
	}
	if i.Kind != "backfill" && tx.NowMs-atMs > awareWithinMs {
		return Awareness{}, fault.Invalid("at_ms", "incident.aware_long_ago", "days", awareWithinMs/(24*60*60*1000))
	}
	w := Awareness{ID: tx.NewID(), IncidentID: i.ID, Source: source, AtMs: atMs, Zone: "Asia/Shanghai", TimeSource: "system", Ref: ref, EnteredBy: tx.Actor.ID, EnteredMs: tx.NowMs}
	if _, err := tx.NewInsert().Model(&w).Exec(ctx); err != nil {
		return w, err
	}
	if err := reachedAt(ctx, tx, i.ID, "aware", atMs); err != nil {
		return w, err
	}
	if err := alignAware(ctx, tx, i.ID); err != nil {
		return w, err
	}
	tx.Record(store.Entry{Action: "awareness.add", ObjectKind: "incident", ObjectID: i.ID, Scope: Scope(i.ID), Content: w})
	return w, nil
}

// alignAware makes the milestone "aware" say what the standing candidates say.
func alignAware(ctx context.Context, tx *store.Tx, id string) error {
	_, err := tx.ExecContext(ctx, `UPDATE milestone SET (first_ms, last_ms, times) =
		(SELECT MIN(at_ms), MAX(at_ms), COUNT(*) FROM awareness a WHERE a.incident_id = milestone.incident_id AND a.withdrawn_by = '')
		WHERE incident_id = ? AND name = 'aware'`, id)
	return err
}

// AwareMs is the earliest candidate that stands: the start of the legal clocks.
func AwareMs(ctx context.Context, db bun.IDB, id string) (int64, error) {
	var ms int64
	err := db.NewRaw("SELECT COALESCE(MIN(at_ms), 0) FROM awareness WHERE incident_id = ? AND withdrawn_by = ''", id).Scan(ctx, &ms)
	return ms, err
}

// AwarenessOf lists every candidate, withdrawn ones too.
func AwarenessOf(ctx context.Context, db bun.IDB, id string) ([]Awareness, error) {
	out := []Awareness{}
	return out, db.NewSelect().Model(&out).Where("incident_id = ?", id).Order("at_ms", "id").Scan(ctx)
}

// AskWithdrawAwareness asks to strike a candidate, which moves the clocks later: it takes a second
// person and a reason. The last standing candidate cannot be struck.
func AskWithdrawAwareness(ctx context.Context, tx *store.Tx, awarenessID, reason string) (identity.SecondSignature, error) {
	w, i, err := standing(ctx, tx, awarenessID)
	if err != nil {
		return identity.SecondSignature{}, err
	}
	return identity.AskSecond(ctx, tx, identity.SecondSignature{Action: "incident.handle", ObjectKind: "awareness", ObjectID: w.ID, IncidentID: i.ID, DrillID: i.DrillID, Reason: reason}, w.ID)
}

func standing(ctx context.Context, tx *store.Tx, awarenessID string) (Awareness, Incident, error) {
	var w Awareness
	if err := tx.NewSelect().Model(&w).Where("id = ? AND withdrawn_by = ''", awarenessID).Scan(ctx); err != nil {
		return w, Incident{}, store.Missing(err, "awareness_id")
	}
	i, err := forChange(ctx, tx, w.IncidentID, "incident.handle")
	if err != nil {
		return w, i, err
	}
	n, err := tx.NewSelect().Model((*Awareness)(nil)).Where("incident_id = ? AND withdrawn_by = '' AND id <> ?", i.ID, w.ID).Count(ctx)
	if err == nil && n == 0 {
		err = fault.Conflict("awareness_id", "incident.last_awareness")
	}
	return w, i, err
}

// withdrawAwareness applies a confirmed request.
func withdrawAwareness(ctx context.Context, tx *store.Tx, s identity.SecondSignature) error {
	w, i, err := standing(ctx, tx, s.ObjectID)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE awareness SET withdrawn_by = ?, withdrawn_second = ?, withdrawn_reason = ? WHERE id = ?",
		s.RequestedBy, tx.Actor.ID, s.Reason, w.ID); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "awareness.withdraw", ObjectKind: "incident", ObjectID: i.ID, Scope: Scope(i.ID), Content: s})
	return alignAware(ctx, tx, i.ID)
}
