package api_test

import (
	"context"
	"testing"

	"github.com/fengsui/fengsui/internal/improve/retrospective"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/store"
)

func TestALateImprovementActionIsToldToTheDutyDesk(t *testing.T) {
	b := newBench(t)
	b.world(t)
	handler := b.app.House.DueHandlers()[retrospective.DueKind]
	for range 2 { // the second finds it marked
		b.write(t, func(tx *store.Tx) error {
			return handler(context.Background(), tx, due.Row{Kind: retrospective.DueKind, ObjectKind: "action", ObjectID: "RWaction", DueMs: 1})
		})
	}
	if n := b.count(t, "SELECT COUNT(*) FROM outbox WHERE object_id = 'RWaction'"); n != 1 {
		t.Errorf("%d messages", n)
	}
}
