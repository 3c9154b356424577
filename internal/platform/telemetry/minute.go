package telemetry

import (
	"context"
	"slices"
	"sync"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
)

// MinuteMs is the step of Minutes.
const MinuteMs int64 = 60_000

// MinuteCount is how many requests were stored in one minute with one pair of verdicts, rows that were
// folded included. AtMs is when the minute begins, UTC milliseconds.
type MinuteCount struct {
	AtMs          int64
	Kind          string
	Simulated     bool
	InputVerdict  string
	OutputVerdict string
	Count         int64 `bun:"n"`
}

// pastMinutes keeps what was counted of minutes into which nothing is stored any more, so that whoever
// watches an overview does not have the same hour counted again and again.
type pastMinutes struct {
	mu       sync.Mutex
	from, to int64 // the whole minutes that are kept: from <= t < to
	rows     []MinuteCount
}

// Minutes counts requests by minute and verdicts among those stored in fromMs <= t < toMs, oldest first.
// Both ends are taken down to the whole minute. A minute without a request has no row.
func (l *Log) Minutes(ctx context.Context, fromMs, toMs int64) ([]MinuteCount, error) {
	fromMs, toMs = fromMs-fromMs%MinuteMs, toMs-toMs%MinuteMs
	p := &l.past
	p.mu.Lock()
	defer p.mu.Unlock()
	if fromMs < p.from || fromMs > p.to {
		p.from, p.to, p.rows = fromMs, fromMs, nil
	}
	// A batch takes its positions before it commits: the minute before this one may still grow.
	closed := min(toMs, clock.Ms(l.clock)/MinuteMs*MinuteMs-MinuteMs)
	if closed > p.to {
		rows, err := l.countMinutes(ctx, p.to, closed)
		if err != nil {
			return nil, err
		}
		p.to, p.rows = closed, append(p.rows, rows...)
	}
	p.rows = slices.DeleteFunc(p.rows, func(c MinuteCount) bool { return c.AtMs < fromMs })
	p.from = fromMs
	out := []MinuteCount{}
	for _, c := range p.rows {
		if c.AtMs < toMs {
			out = append(out, c)
		}
	}
	if p.to >= toMs {
		return out, nil
	}
	fresh, err := l.countMinutes(ctx, max(p.to, fromMs), toMs)
	return append(out, fresh...), err
}

func (l *Log) countMinutes(ctx context.Context, fromMs, toMs int64) ([]MinuteCount, error) {
	var out []MinuteCount
	err := l.eachDay(ctx, Day(fromMs), Day(toMs), false, func(_ string, db bun.IDB) (bool, error) {
		var rows []MinuteCount
		err := db.NewRaw(`SELECT minute * ? AS at_ms, kind, simulated, input_verdict, output_verdict, CAST(SUM(n) AS BIGINT) AS n FROM (
			SELECT (seq >> ?) / ? AS minute, kind, simulated, input_verdict, output_verdict, 1 AS n FROM traffic WHERE seq >= ? AND seq < ?
			UNION ALL SELECT (seq >> ?) / ?, kind, simulated, input_verdict, output_verdict, n FROM aggregate WHERE seq >= ? AND seq < ?) AS counted
			GROUP BY minute, kind, simulated, input_verdict, output_verdict ORDER BY minute, kind, simulated, input_verdict, output_verdict`,
			MinuteMs, seqBits, MinuteMs, SeqAt(fromMs), SeqAt(toMs), seqBits, MinuteMs, SeqAt(fromMs), SeqAt(toMs)).Scan(ctx, &rows)
		out = append(out, rows...)
		return false, err
	})
	return out, err
}
