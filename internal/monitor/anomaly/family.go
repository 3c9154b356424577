package anomaly

import (
	"context"

	"github.com/uptrace/bun"
)

// The queries below name what is merged into nothing, so that the index on merged_into, which leaves it out, may answer them.

// Family gives an anomaly and all that were merged into it, directly or through others: its own id first.
func Family(ctx context.Context, db bun.IDB, id string) ([]string, error) {
	var out []string
	err := db.NewRaw(`WITH RECURSIVE family(id, depth) AS (SELECT id, 0 FROM anomaly WHERE id = ?
		UNION SELECT m.id, f.depth + 1 FROM anomaly m JOIN family f ON m.merged_into = f.id WHERE m.merged_into <> '') SELECT id FROM family ORDER BY depth, id`, id).Scan(ctx, &out)
	return out, err
}

// IncidentOf gives the incident that an anomaly became, itself or with that into which it was merged;
// "" if there is none.
func IncidentOf(ctx context.Context, db bun.IDB, id string) (string, error) {
	var out string
	err := db.NewRaw(`WITH RECURSIVE up(id, merged_into, incident_id) AS (SELECT id, merged_into, incident_id FROM anomaly WHERE id = ?
		UNION SELECT a.id, a.merged_into, a.incident_id FROM anomaly a JOIN up ON up.merged_into = a.id) SELECT COALESCE(MAX(incident_id), '') FROM up`, id).Scan(ctx, &out)
	return out, err
}

// OfIncident lists the anomalies that an incident was declared from, and those merged into them, oldest
// first. Who may see the incident, and has anomaly.read, may see them; the caller checks that.
func OfIncident(ctx context.Context, db bun.IDB, incidentID string) ([]Anomaly, error) {
	out := []Anomaly{}
	return out, db.NewSelect().Model(&out).Where(`id IN (WITH RECURSIVE family(id) AS (SELECT id FROM anomaly WHERE incident_id = ? AND incident_id <> ''
		UNION SELECT m.id FROM anomaly m JOIN family f ON m.merged_into = f.id WHERE m.merged_into <> '') SELECT id FROM family)`, incidentID).Order("opened_ms", "id").Scan(ctx)
}
