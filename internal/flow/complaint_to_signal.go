package flow

import (
	"context"

	"github.com/fengsui/fengsui/internal/monitor/intake"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// SubmitComplaint takes a complaint from anybody: the form needs no token, so the intake acts.
func (h *House) SubmitComplaint(ctx context.Context, tx *store.Tx, s intake.Submission) (intake.Receipt, error) {
	defer tx.Lend(store.System("intake"))()
	return h.Intake.Submit(ctx, tx, s)
}
