package incident

import (
	"context"

	"github.com/uptrace/bun"
)

// Access lists the persons on the list of a restricted incident, in the order in which they were put there.
func Access(ctx context.Context, db bun.IDB, id string) ([]string, error) {
	out := []string{}
	return out, db.NewRaw("SELECT person_id FROM incident_access WHERE incident_id = ? ORDER BY granted_ms, person_id", id).Scan(ctx, &out)
}
