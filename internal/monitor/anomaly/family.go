package anomaly

import (
	"context"

	"github.com/uptrace/bun"
)

// Family gives an anomaly and all that were merged into it, directly or through others: its own id first.
func Family(ctx context.Context, db bun.IDB, id string) ([]string, error) {
	var out []string
	err := db.NewRaw(`WITH RECURSIVE family(id, depth) AS (SELECT id, 0 FROM anomaly WHERE id = ?
		UNION SELECT m.id, f.depth + 1 FROM anomaly m JOIN family f ON m.merged_into = f.id) SELECT id FROM family ORDER BY depth, id`, id).Scan(ctx, &out)
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
