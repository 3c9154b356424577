package telemetry

import (
	"context"
	"errors"
	"io/fs"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Filter narrows a reading; empty fields do not. Times are those of storing, FromMs <= t < ToMs.
type Filter struct {
	ServiceID string
	Kind      string
	Subject   string
	Verdict   string // of either side
	Rule      string // signals only
	Risk      string // signals only
	Side      string // signals only
	FromMs    int64
	ToMs      int64
	Limit     int // default and at most 1000
}

func (f Filter) days() (from, to string) {
	if f.FromMs > 0 {
		from = Day(f.FromMs)
	}
	if f.ToMs > 0 {
		to = Day(f.ToMs)
	}
	return from, to
}

func (f Filter) limit() int {
	if f.Limit <= 0 || f.Limit > 1000 {
		return 1000
	}
	return f.Limit
}

func (f Filter) apply(q *bun.SelectQuery) *bun.SelectQuery {
	for _, c := range []struct{ column, value string }{{"service_id", f.ServiceID}, {"kind", f.Kind}, {"subject", f.Subject}} {
		if c.value != "" {
			q = q.Where("? = ?", bun.Ident(c.column), c.value)
		}
	}
	if f.FromMs > 0 {
		q = q.Where("seq >= ?", SeqAt(f.FromMs))
	}
	if f.ToMs > 0 {
		q = q.Where("seq < ?", SeqAt(f.ToMs))
	}
	return q
}

// Recent lists traffic, newest first.
func (l *Log) Recent(ctx context.Context, f Filter) ([]Traffic, error) {
	out := []Traffic{}
	from, to := f.days()
	err := l.eachDay(ctx, from, to, true, func(_ string, db bun.IDB) (bool, error) {
		var rows []Traffic
		q := f.apply(db.NewSelect().Model(&rows)).Order("seq DESC").Limit(int64(f.limit() - len(out)))
		if f.Verdict != "" {
			q = q.Where("(input_verdict = ? OR output_verdict = ?)", f.Verdict, f.Verdict)
		}
		err := q.Scan(ctx)
		out = append(out, rows...)
		return len(out) >= f.limit(), err
	})
	return out, err
}

// Signals lists up to limit signals after position after, in the order of storing: the way to follow the
// log and to read it again after a restart.
func (l *Log) Signals(ctx context.Context, after int64, limit int) ([]Signal, error) {
	out := []Signal{}
	err := l.eachDay(ctx, Day(StoredMs(after)), "", false, func(_ string, db bun.IDB) (bool, error) {
		var rows []Signal
		err := db.NewSelect().Model(&rows).Where("seq > ?", after).Order("seq").Limit(int64(limit - len(out))).Scan(ctx)
		out = append(out, rows...)
		return len(out) >= limit, err
	})
	return out, err
}

// FindSignals lists signals that match f, newest first, at most 1000.
func (l *Log) FindSignals(ctx context.Context, f Filter) ([]Signal, error) {
	out := []Signal{}
	from, to := f.days()
	err := l.eachDay(ctx, from, to, true, func(_ string, db bun.IDB) (bool, error) {
		var rows []Signal
		q := f.apply(db.NewSelect().Model(&rows)).Order("seq DESC").Limit(int64(f.limit() - len(out)))
		for _, c := range []struct{ column, value string }{{"rule", f.Rule}, {"risk", f.Risk}, {"side", f.Side}} {
			if c.value != "" {
				q = q.Where("? = ?", bun.Ident(c.column), c.value)
			}
		}
		err := q.Scan(ctx)
		out = append(out, rows...)
		return len(out) >= f.limit(), err
	})
	return out, err
}

// ByContent finds the request that a content number belongs to, with its signals. hintMs, if not 0, is
// an instant near it (UTC ms): its day and the next are searched first.
// Errors: fault not found telemetry.no_content.
func (l *Log) ByContent(ctx context.Context, contentNo string, hintMs int64) (Traffic, []Signal, error) {
	var found Traffic
	signals := []Signal{}
	search := func(_ string, db bun.IDB) (bool, error) {
		var rows []Traffic
		var some []Signal
		if err := db.NewSelect().Model(&rows).Where("content_no = ?", contentNo).Limit(1).Scan(ctx); err != nil {
			return true, err
		}
		if err := db.NewSelect().Model(&some).Where("content_no = ?", contentNo).Order("seq").Limit(1000).Scan(ctx); err != nil {
			return true, err
		}
		signals = append(some, signals...)
		if len(rows) == 1 {
			found = rows[0]
		}
		return len(rows) == 1, nil
	}
	if contentNo == "" {
		return found, signals, fault.NotFound("content_no", "telemetry.no_content")
	}
	if hintMs > 0 {
		if err := l.eachDay(ctx, Day(hintMs), Day(hintMs+24*3600*1000), false, search); err != nil || found.Seq != 0 {
			return found, signals, err
		}
		signals = signals[:0]
	}
	err := l.eachDay(ctx, "", "", true, search)
	if err == nil && found.Seq == 0 && len(signals) == 0 {
		err = fault.NotFound("content_no", "telemetry.no_content")
	}
	return found, signals, err
}

// Request finds the row of one request by its content number or by its id; found is false while it runs, if it was folded in a
// flood, and after its day was deleted. It is looked for from a day on (YYYYMMDD), "" for the first.
func (l *Log) Request(ctx context.Context, ref, fromDay string) (t Traffic, found bool, err error) {
	if ref == "" {
		return t, false, nil
	}
	err = l.eachDay(ctx, fromDay, "", false, func(_ string, db bun.IDB) (bool, error) {
		var rows []Traffic
		err := db.NewSelect().Model(&rows).Where("(content_no <> '' AND content_no = ?) OR request_id = ?", ref, ref).Limit(1).Scan(ctx)
		if len(rows) == 1 {
			t, found = rows[0], true
		}
		return found, err
	})
	return t, found, err
}

// VerdictCount is how often a service gave a pair of verdicts, rows that were folded included.
type VerdictCount struct {
	ServiceID     string `json:"service_id"`
	Kind          string `json:"kind"`
	Simulated     bool   `json:"simulated"`
	InputVerdict  string `json:"input_verdict"`
	OutputVerdict string `json:"output_verdict"`
	Count         int64  `bun:"n" json:"count"`
	ReleasedRunes int64  `json:"released_runes"`
}

// Verdicts counts requests by verdict among those stored in fromMs <= t < toMs.
func (l *Log) Verdicts(ctx context.Context, fromMs, toMs int64) ([]VerdictCount, error) {
	out := []VerdictCount{}
	at := map[VerdictCount]int{}
	err := l.eachDay(ctx, Day(fromMs), Day(toMs), false, func(_ string, db bun.IDB) (bool, error) {
		var rows []VerdictCount
		err := db.NewRaw(`SELECT service_id, kind, simulated, input_verdict, output_verdict, CAST(SUM(n) AS BIGINT) AS n, CAST(SUM(released_runes) AS BIGINT) AS released_runes FROM (
			SELECT service_id, kind, simulated, input_verdict, output_verdict, 1 AS n, released_runes FROM traffic WHERE seq >= ? AND seq < ?
			UNION ALL SELECT service_id, kind, simulated, input_verdict, output_verdict, n, released_runes FROM aggregate WHERE seq >= ? AND seq < ?) AS counted
			GROUP BY service_id, kind, simulated, input_verdict, output_verdict ORDER BY 1, 2, 3, 4, 5`,
			SeqAt(fromMs), SeqAt(toMs), SeqAt(fromMs), SeqAt(toMs)).Scan(ctx, &rows)
		for _, r := range rows {
			key := r
			key.Count, key.ReleasedRunes = 0, 0
			i, ok := at[key]
			if !ok {
				i = len(out)
				at[key] = i
				out = append(out, key)
			}
			out[i].Count += r.Count
			out[i].ReleasedRunes += r.ReleasedRunes
		}
		return false, err
	})
	return out, err
}

// Captures finds the captures of content numbers or requests, the one at the end of a request before
// the one at its first signal. hintMs, if not 0, is an instant not after the earliest of them.
func (l *Log) Captures(ctx context.Context, refs []string, hintMs int64) ([]Capture, error) {
	out := []Capture{}
	if len(refs) == 0 {
		return out, nil
	}
	from := ""
	if hintMs > 0 {
		from = Day(hintMs - 24*3600*1000)
	}
	err := l.eachDay(ctx, from, "", false, func(day string, db bun.IDB) (bool, error) {
		for rest := refs; len(rest) > 0; {
			part := rest[:min(500, len(rest))]
			rest = rest[len(part):]
			var rows []Capture
			if err := db.NewSelect().Model(&rows).Where("(content_no <> '' AND content_no IN (?)) OR request_id IN (?)", bun.List(part), bun.List(part)).
				Order("stage", "seq").Scan(ctx); err != nil { // "ended" sorts before "found"
				return true, err
			}
			for i := range rows {
				rows[i].Day = day
			}
			out = append(out, rows...)
		}
		return false, nil
	})
	return out, err
}

// CaptureBySum finds a capture in a day by the hash of its ciphertext, as it was when it was stored.
// Errors: fault not found telemetry.no_content.
func (l *Log) CaptureBySum(ctx context.Context, day, sum string) (Capture, error) {
	var rows []Capture
	err := l.shelf.read(ctx, day, func(db bun.IDB) error {
		return db.NewSelect().Model(&rows).Where("sha256 = ?", sum).Limit(1).Scan(ctx)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Capture{}, err
	}
	if len(rows) == 0 {
		return Capture{}, fault.NotFound("content", "telemetry.no_content")
	}
	rows[0].Day = day
	return rows[0], nil
}

func notFound(err error, field string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.NotFound(field, "error.not_found", "field", field)
	}
	return err
}

// SubjectSpan says that signals of one sort came from a subject, the last of them at position Last.
type SubjectSpan struct {
	ServiceID    string
	Kind         string
	Rule         string
	Risk         string
	Action       string
	Side         string
	Tenant       string
	UserGroup    string
	DeploymentID string
	Subject      string
	Subjects     string // JSON array, of folded rows
	Last         int64
}

// SubjectSpans lists who the signals at after < position <= upto came from.
func (l *Log) SubjectSpans(ctx context.Context, after, upto int64) ([]SubjectSpan, error) {
	out := []SubjectSpan{}
	err := l.eachDay(ctx, Day(StoredMs(after)), Day(StoredMs(upto)), false, func(_ string, db bun.IDB) (bool, error) {
		var rows []SubjectSpan
		err := db.NewRaw(`SELECT service_id, kind, rule, risk, action, side, tenant, user_group, deployment_id, subject, subjects, MAX(seq) AS last
			FROM signal WHERE seq > ? AND seq <= ? GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11`, after, upto).Scan(ctx, &rows)
		out = append(out, rows...)
		return false, err
	})
	return out, err
}

// ContentNumbers lists the distinct content numbers of signals that match f (Limit is not applied).
func (l *Log) ContentNumbers(ctx context.Context, f Filter) ([]string, error) {
	out := []string{}
	seen := map[string]bool{}
	from, to := f.days()
	err := l.eachDay(ctx, from, to, false, func(_ string, db bun.IDB) (bool, error) {
		var some []string
		q := f.apply(db.NewSelect().TableExpr("signal")).ColumnExpr("DISTINCT content_no").Where("content_no <> ''")
		for _, c := range []struct{ column, value string }{{"rule", f.Rule}, {"risk", f.Risk}, {"side", f.Side}} {
			if c.value != "" {
				q = q.Where("? = ?", bun.Ident(c.column), c.value)
			}
		}
		err := q.Scan(ctx, &some)
		for _, n := range some {
			if !seen[n] {
				seen[n] = true
				out = append(out, n)
			}
		}
		return false, err
	})
	return out, err
}

// TrafficOf finds the requests of content numbers. hintMs, if not 0, is an instant not after the earliest.
func (l *Log) TrafficOf(ctx context.Context, contentNumbers []string, hintMs int64) ([]Traffic, error) {
	out := []Traffic{}
	from := ""
	if hintMs > 0 {
		from = Day(hintMs - 24*3600*1000)
	}
	err := l.eachDay(ctx, from, "", false, func(_ string, db bun.IDB) (bool, error) {
		for rest := contentNumbers; len(rest) > 0; {
			part := rest[:min(500, len(rest))]
			rest = rest[len(part):]
			var rows []Traffic
			if err := db.NewSelect().Model(&rows).Where("content_no <> '' AND content_no IN (?)", bun.List(part)).Order("seq").Scan(ctx); err != nil {
				return true, err
			}
			out = append(out, rows...)
		}
		return false, nil
	})
	return out, err
}
