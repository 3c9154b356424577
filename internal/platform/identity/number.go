package identity

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// prefixes keep the series of real, drill, test and backfilled things apart at a glance.
var prefixes = map[string]string{"real": "", "drill": "D-", "test": "T-", "backfill": "B-"}

// Kinds are what anomalies and incidents can be.
func Kinds() []string { return []string{"real", "drill", "test", "backfill"} }

// NextNumber takes the next human-readable number of a series ("IN", "AN", "CP", …) for a kind, in
// the transaction: D-IN-2026-0001. Numbers of drills never use up real ones (design promise 11).
func NextNumber(ctx context.Context, tx *store.Tx, series, kind string) (string, error) {
	prefix, ok := prefixes[kind]
	if !ok {
		return "", fault.Invalid("kind", "error.unknown_value", "value", kind, "valid", strings.Join(Kinds(), ", "))
	}
	year := time.UnixMilli(tx.NowMs).In(clock.Beijing).Year()
	var n int
	err := tx.NewRaw(`INSERT INTO number_series (name, kind, year, next) VALUES (?, ?, ?, 2)
		ON CONFLICT (name, kind, year) DO UPDATE SET next = number_series.next + 1 RETURNING next - 1`, series, kind, year).Scan(ctx, &n)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s%s-%d-%04d", prefix, series, year, n), nil
}
