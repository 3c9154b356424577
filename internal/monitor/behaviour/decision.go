package behaviour

import (
	"context"
	"encoding/json"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
)

// How much a gateway told about a request.
const (
	ToldVerdict = "verdict" // all
	ToldHits    = "hits"    // what hit: an older gateway
	ToldNothing = "nothing" // there is no row: it runs still, was folded in a flood, or its day was deleted
)

// Decision is what a gateway decided about one request, and why. It quotes nothing of it. Times are UTC milliseconds.
type Decision struct {
	Told          string          `json:"told" enum:"verdict,hits,nothing"`
	RequestID     string          `json:"request_id"`
	ContentNo     string          `json:"content_no"`
	GatewayID     string          `json:"gateway_id"`
	Input         string          `json:"input"`  // verdict of the side
	Output        string          `json:"output"` // as well
	ErrorCode     string          `json:"error_code"`
	OrderIDs      []string        `json:"order_ids"` // that bound it at its end
	CutByOrder    bool            `json:"cut_by_order"`
	Uninspected   int             `json:"uninspected"` // texts that passed without a check
	ReleasedRunes int             `json:"released_runes"`
	PostureNo     int64           `json:"posture_no"` // of the service's postures, counted from 1; 0: not known here
	StartedMs     int64           `json:"started_ms"`
	EndedMs       int64           `json:"ended_ms"`
	Verdict       inspect.Verdict `json:"verdict"`
}

// slack is how far the clock of a gateway may be ahead of control's.
const slack = 24 * time.Hour

// Decided finds what was decided about a request, by its content number or its id, looking from a day on (YYYYMMDD). Whoever
// calls it has checked that the reader may know of the request.
func Decided(ctx context.Context, db bun.IDB, log *telemetry.Log, ref, fromDay string) (Decision, error) {
	out := Decision{Told: ToldNothing, OrderIDs: []string{}}
	row, found, err := log.Request(ctx, ref, fromDay)
	if err != nil || !found {
		return out, err
	}
	v, whole, err := ReadVerdict(row)
	if err != nil {
		return out, err
	}
	out = Decision{Told: ToldHits, RequestID: row.RequestID, ContentNo: row.ContentNo, GatewayID: row.GatewayID, Input: row.InputVerdict, Output: row.OutputVerdict,
		ErrorCode: row.ErrorCode, OrderIDs: []string{}, CutByOrder: row.CutByOrder, Uninspected: row.Uninspected, ReleasedRunes: row.ReleasedRunes,
		StartedMs: row.StartedMs, EndedMs: row.EndedMs, Verdict: v}
	if whole {
		out.Told = ToldVerdict
	}
	if err := json.Unmarshal([]byte(row.OrderIDs), &out.OrderIDs); err != nil {
		return out, err
	}
	return out, db.NewRaw("SELECT COALESCE(MAX(seq), 0) FROM posture WHERE digest = ?", row.PostureDigest).Scan(ctx, &out.PostureNo)
}

// OfAnomaly is Decided for a request of which a signal joined the anomaly. Error: fault not found content_no.
func OfAnomaly(ctx context.Context, db bun.IDB, log *telemetry.Log, actor store.Actor, anomalyID, contentNo string) (Decision, error) {
	signals, err := anomaly.Signals(ctx, db, actor, anomalyID)
	if err != nil {
		return Decision{}, err
	}
	for _, s := range signals { // the oldest first
		if s.ContentNo == contentNo && contentNo != "" {
			return Decided(ctx, db, log, contentNo, telemetry.Day(s.AtMs-slack.Milliseconds()))
		}
	}
	return Decision{}, fault.NotFound("content_no", "error.not_found", "field", "content_no")
}
