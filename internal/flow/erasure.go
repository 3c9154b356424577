package flow

import (
	"context"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Erased stands where a text was that an erasure took away.
const Erased = "[erased]"

// texts are the columns of a table in which people write freely about an incident, and the rows that are
// the incident's: which holds one placeholder, its id.
type texts struct {
	table, which string
	columns      []string
	becomes      string // default Erased
}

const ofIncident = "incident_id = ?"

// incidentTexts is everything in the working tables that a person wrote about an incident. What is only
// chosen, counted or timed stays: the history must still add up. Contents of the record, claims, letters
// and captures are sealed, and go with the keys of their scopes.
var incidentTexts = []texts{
	{table: "incident", which: "id = ?", columns: []string{"title"}},
	{table: "incident", which: "id = ?", columns: []string{"links"}, becomes: "[]"},
	{table: "awareness", which: ofIncident, columns: []string{"ref", "withdrawn_reason"}},
	{table: "assessment", which: ofIncident, columns: []string{"reason"}},
	{table: "assessment", which: ofIncident, columns: []string{"facts"}, becomes: "{}"},
	{table: "obligation", which: ofIncident, columns: []string{"reason", "receipt"}},
	{table: "directive", which: ofIncident, columns: []string{"answer"}},
	{table: "disposal_order", which: ofIncident, columns: []string{"ended_reason"}},
	{table: "gate_review", which: ofIncident, columns: []string{"ground", "decision_reason"}},
	{table: "second_signature", which: ofIncident, columns: []string{"reason"}},
	{table: "second_signature", which: ofIncident, columns: []string{"request"}, becomes: "{}"},
	{table: "unmasking", which: "evidence_id IN (SELECT id FROM evidence WHERE incident_id = ?)", columns: []string{"reason"}},
	{table: "outside_spread", which: ofIncident, columns: []string{"platform", "location"}},
	{table: "fact_check", which: ofIncident, columns: []string{"claim", "source"}},
	{table: "task", which: ofIncident, columns: []string{"output"}},
	{table: "task", which: "plan_run_id = '' AND " + ofIncident, columns: []string{"title"}, becomes: `{"zh":"` + Erased + `","en":"` + Erased + `"}`},
	{table: "statement", which: ofIncident, columns: []string{"text"}},
	{table: "impact_assessment", which: ofIncident, columns: []string{"party", "economic", "reputation"}},
	{table: "fix", which: ofIncident, columns: []string{"cause", "measure"}},
	{table: "closing", which: ofIncident, columns: []string{"summary", "verification"}},
	{table: "nonconformity", which: ofIncident, columns: []string{"reason"}},
	{table: "retrospective", which: ofIncident, columns: []string{"root_cause", "went_well", "went_badly", "report"}},
	{table: "improvement_action", which: ofIncident, columns: []string{"title", "owner", "proof"}},
	{table: "anomaly", which: ofIncident, columns: []string{"reason"}},
}

// otherTexts are those of the scopes that are no incident.
var otherTexts = map[string][]texts{
	"anomaly":   {{table: "anomaly", which: "id = ?", columns: []string{"reason"}}},
	"directive": {{table: "directive", which: "id = ?", columns: []string{"answer"}}},
}

// Erase carries out a lawful erasure that two persons agreed on: the record forgets the scope, and the
// texts that people wrote under it are overwritten, in one transaction. Errors: those of record.Log.Erase,
// and fault conflict record.held if what is to be erased belongs to an incident under legal hold, and
// incident.open_seconds while something about the incident waits for a second person.
func (h *House) Erase(ctx context.Context, tx *store.Tx, e record.Erasure) error {
	held, err := heldBy(ctx, tx, e.Scope)
	if err != nil {
		return err
	}
	if len(held) > 0 {
		return fault.Conflict("scope", "record.held", "scope", e.Scope)
	}
	kind, id, _ := strings.Cut(e.Scope, ":")
	if kind == "incident" {
		// Its request would be gone when it is decided.
		open, err := identity.Waiting(ctx, tx, id)
		if err != nil {
			return err
		}
		if open > 0 {
			return fault.Conflict("scope", "incident.open_seconds", "count", open)
		}
	}
	if err := h.Record.Erase(ctx, tx, e); err != nil {
		return err
	}
	return eraseTexts(ctx, tx, e.Scope)
}

// EraseAgain overwrites the texts under scopes that the record says are erased and that hold text all the
// same: a backup from before the erasure was restored.
func (h *House) EraseAgain(ctx context.Context) error {
	return h.Store.Write(ctx, store.System("flow"), func(tx *store.Tx) error {
		var scopes []string
		if err := tx.NewRaw(`SELECT DISTINCT e.object_id FROM record_entries AS e JOIN incident AS i ON e.object_id = 'incident:' || i.id
			WHERE e.action = 'record.erase' AND i.title <> ?
			UNION SELECT e.object_id FROM record_entries AS e JOIN anomaly AS a ON e.object_id = 'anomaly:' || a.id
			WHERE e.action = 'record.erase' AND a.reason NOT IN ('', ?)
			UNION SELECT e.object_id FROM record_entries AS e JOIN directive AS d ON e.object_id = 'directive:' || d.id
			WHERE e.action = 'record.erase' AND d.answer NOT IN ('', ?)`, Erased, Erased, Erased).Scan(ctx, &scopes); err != nil {
			return err
		}
		for _, s := range scopes {
			if err := eraseTexts(ctx, tx, s); err != nil {
				return err
			}
		}
		return nil
	})
}

func eraseTexts(ctx context.Context, tx *store.Tx, scope string) error {
	kind, id, _ := strings.Cut(scope, ":")
	list := otherTexts[kind]
	if kind == "incident" {
		list = incidentTexts
	}
	for _, t := range list {
		becomes := t.becomes
		if becomes == "" {
			becomes = Erased
		}
		for _, column := range t.columns {
			if _, err := tx.NewRaw("UPDATE ? SET ? = ? WHERE ? <> '' AND "+t.which, bun.Ident(t.table), bun.Ident(column), becomes, bun.Ident(column), id).Exec(ctx); err != nil {
				return err
			}
		}
	}
	if len(list) > 0 {
		tx.Touch("incident")
	}
	return nil
}

// heldBy lists the incidents under legal hold that what lies under a scope belongs to.
func heldBy(ctx context.Context, db bun.IDB, scope string) ([]string, error) {
	kind, id, _ := strings.Cut(scope, ":")
	// An anomaly belongs to the incident that it, or what it was merged into, was promoted to.
	const family = `WITH RECURSIVE family (id) AS (
		SELECT a.id FROM anomaly AS a WHERE a.id IN (?) UNION SELECT a.merged_into FROM anomaly AS a JOIN family AS f ON a.id = f.id WHERE a.merged_into <> ''),
		of_incident (id) AS (SELECT a.incident_id FROM anomaly AS a JOIN family AS f ON a.id = f.id
			UNION SELECT e.incident_id FROM evidence AS e JOIN family AS f ON e.anomaly_id = f.id) `
	const held = `SELECT i.id FROM incident AS i WHERE i.legal_hold AND `
	var out []string
	var q *bun.RawQuery
	switch kind {
	case "incident":
		q = db.NewRaw(held+"i.id = ?", id)
	case "directive":
		q = db.NewRaw(held+"i.id IN (SELECT d.incident_id FROM directive AS d WHERE d.id = ?)", id)
	case "anomaly":
		q = db.NewRaw(family+held+"i.id IN (SELECT o.id FROM of_incident AS o)", bun.List([]string{id}))
	case "subject": // a complaint's id, or the HMAC of a user
		subjects := []string{id}
		if id == "unknown" {
			subjects = append(subjects, "") // telemetry keeps users without a name under one key
		}
		signals := db.NewRaw(`SELECT c.anomaly_id FROM complaint AS c WHERE c.id = ? UNION SELECT s.anomaly_id FROM signal AS s WHERE s.subject IN (?) OR s.complaint_id = ?`, id, bun.List(subjects), id)
		q = db.NewRaw(family+held+"(i.id IN (SELECT o.id FROM of_incident AS o) OR i.id IN (SELECT r.incident_id FROM reach AS r WHERE r.subject IN (?)))", signals, bun.List(subjects))
	default:
		return nil, nil
	}
	err := q.Scan(ctx, &out)
	return out, err
}
