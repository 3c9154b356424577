package containment_test

import (
	"testing"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/containment"
)

func TestAnOrderSpringsFromNothingThatHasEnded(t *testing.T) {
	for name, c := range map[string]struct {
		cause     containment.Cause
		id, ended string
	}{
		"a dismissed anomaly":   {containment.FromAnomaly, "a1", "UPDATE anomaly SET state = 'dismissed'"},
		"a merged anomaly":      {containment.FromAnomaly, "a1", "UPDATE anomaly SET state = 'merged'"},
		"a closed incident":     {containment.FromIncident, "i1", "UPDATE incident SET state = 'closed'"},
		"an answered directive": {containment.FromDirective, "r1", "UPDATE directive SET state = 'answered'"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			try := func(reason string) error {
				r := offline(c.cause, c.id)
				r.Reason = reason
				return b.st.Write(ctx, officer, func(tx *store.Tx) error { _, err := b.control.Issue(ctx, tx, r); return err })
			}
			if err := try(" "); !fault.Is(err, "error.required") {
				t.Errorf("without a reason: %v", err)
			}
			b.do(t, store.System("test"), func(tx *store.Tx) error { _, err := tx.Exec(c.ended); return err })
			if err := try("r"); fault.KindOf(err) != fault.KindConflict || !fault.Is(err, "containment.cause_ended") {
				t.Errorf("%v", err)
			}
		})
	}
	b := newBench(t)
	b.issue(t, officer, offline(containment.FromAnomaly, "a1"))
}
