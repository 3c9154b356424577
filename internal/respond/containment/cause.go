package containment

import (
	"context"
	"slices"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// standing refuses an order that springs from what has ended: an anomaly that was dismissed or merged, a
// closed incident, an answered directive. Whether a drill runs is for loadOrigin.
func (c Cause) standing(ctx context.Context, db bun.IDB, id string) error {
	table, ended := "", []string(nil)
	switch c {
	case FromAnomaly:
		table, ended = "anomaly", []string{"dismissed", "merged"}
	case FromIncident:
		table, ended = "incident", []string{"closed"}
	case FromDirective:
		table, ended = "directive", []string{"answered"}
	default:
		return nil
	}
	var state string
	if err := db.NewRaw("SELECT state FROM ? WHERE id = ?", bun.Ident(table), id).Scan(ctx, &state); err != nil {
		return store.Missing(err, "cause_id")
	}
	if slices.Contains(ended, state) {
		return fault.Conflict("cause_id", "containment.cause_ended", "state", state)
	}
	return nil
}
