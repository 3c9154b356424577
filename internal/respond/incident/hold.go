package incident

import (
	"context"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// SetHold notes that an incident is, or is no longer, under legal hold; the hold itself is the
// record's. Errors: forbidden without record.hold; conflict if it is so already.
func SetHold(ctx context.Context, tx *store.Tx, id string, held bool) error {
	i, err := forChange(ctx, tx, id, "record.hold")
	if err != nil {
		return err
	}
	if i.LegalHold == held {
		key := "incident.held"
		if !held {
			key = "incident.not_held"
		}
		return fault.Conflict("incident_id", key)
	}
	_, err = tx.ExecContext(ctx, "UPDATE incident SET legal_hold = ?, version = version + 1 WHERE id = ?", held, id)
	tx.Touch("incident")
	return err
}
