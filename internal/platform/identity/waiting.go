package identity

import (
	"context"

	"github.com/uptrace/bun"
)

// Waiting counts what was asked for about an incident and that no second person has decided yet.
func Waiting(ctx context.Context, db bun.IDB, incidentID string) (n int, err error) {
	err = db.NewRaw("SELECT COUNT(*) FROM second_signature WHERE incident_id = ? AND state = 'requested'", incidentID).Scan(ctx, &n)
	return n, err
}
