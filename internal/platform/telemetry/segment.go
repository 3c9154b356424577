package telemetry

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// digested names the tables under a segment's digest with the columns that enter it, in this order. The
// ciphertext of a capture enters by its hash, so that it may be destroyed and the digest still holds.
var digested = []struct{ table, columns string }{
	{"aggregate", "seq, first_ms, last_ms, service_id, kind, simulated, input_verdict, output_verdict, n, released_runes"},
	{"capture", "seq, request_id, stage, content_no, service_id, kind, modality, language, scope, sha256"},
	{"signal", `seq, id, at_ms, n, subjects, request_id, content_no, gateway_id, operator_id, service_id, deployment_id, posture_digest,
		tenant, user_group, subject, kind, simulated, modality, language, rule, rule_kind, risk, topic, action, side, channel, choice,
		start_byte, end_byte, runes, fingerprint, released_runes`},
	{"traffic", `seq, request_id, content_no, gateway_id, operator_id, service_id, deployment_id, posture_digest, tenant, user_group, key_id,
		subject, kind, simulated, modality, language, route, stream, input_verdict, output_verdict, matches, order_ids, released_runes,
		finish, status, error_code, upstream_status, cut_by_order, uninspected, tokens_in, tokens_out, started_ms, first_byte_ms,
		ended_ms, last_byte_us, inspect_us`},
}

// bounds gives the newest position in a day and the end of its last closed segment.
func bounds(ctx context.Context, db bun.IDB) (newest, covered int64, err error) {
	for _, d := range digested {
		var n int64
		if err := db.NewRaw("SELECT COALESCE(MAX(seq), 0) FROM ?", bun.Ident(d.table)).Scan(ctx, &n); err != nil {
			return 0, 0, err
		}
		newest = max(newest, n)
	}
	err = db.NewRaw("SELECT COALESCE(MAX(to_seq), 0) FROM segment").Scan(ctx, &covered)
	return newest, covered, err
}

// closeSegment fixes the bounds of a segment; the digest follows. Nothing is written if it is empty.
func closeSegment(ctx context.Context, db bun.IDB, day string, from, to, nowMs int64) error {
	if to <= from {
		return nil
	}
	s := Segment{ID: fmt.Sprintf("%s-%d", day, to), Day: day, FromSeq: from, ToSeq: to, ClosedMs: nowMs}
	_, err := db.NewInsert().Model(&s).On("CONFLICT DO NOTHING").Exec(ctx)
	return err
}

func (l *Log) closeSegment(ctx context.Context, f *dayFile) error {
	if l.segRows == 0 {
		return nil
	}
	newest, _, err := bounds(ctx, f.w)
	if err != nil {
		return err
	}
	if err := closeSegment(ctx, f.w, f.day, l.segFrom, newest, clock.Ms(l.clock)); err != nil {
		return err
	}
	l.segFrom, l.segRows = newest, 0
	select {
	case l.segments <- struct{}{}:
	default:
	}
	return nil
}

// closeDue closes the open segment when it is old enough or full.
func (l *Log) closeDue(ctx context.Context) error {
	if l.segRows >= l.o.SegmentRows || clock.Ms(l.clock)-l.segOpened >= l.o.SegmentEvery.Milliseconds() {
		return l.closeNow(ctx)
	}
	return nil
}

func (l *Log) closeNow(ctx context.Context) error {
	l.mu.Lock()
	f := l.today
	l.mu.Unlock()
	if f == nil {
		return nil
	}
	return l.closeSegment(ctx, f)
}

// settle digests closed segments and hands the digests to the record, at least once each: the id of a
// segment is its bounds, so an entry that comes twice says the same.
func (l *Log) settle(ctx context.Context) error {
	days, err := l.Days()
	if err != nil {
		return err
	}
	for i := len(days) - 1; i >= 0; i-- {
		n, err := l.settleDay(ctx, days[i])
		if err != nil {
			l.counters.unhanded.Add(1)
			return err
		}
		// Days are settled in order, so an older one with nothing open ends the search.
		if n == 0 && i < len(days)-2 {
			break
		}
	}
	l.counters.unhanded.Store(0)
	return nil
}

func (l *Log) settleDay(ctx context.Context, day string) (n int, err error) {
	l.files.RLock()
	defer l.files.RUnlock()
	if _, err := os.Stat(l.path(day)); err != nil {
		return 0, ignoreMissing(err)
	}
	db, err := store.OpenSQLite(ctx, l.path(day), store.Relaxed, 1)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var open []Segment
	if err := db.NewSelect().Model(&open).Where("handed_ms = 0").Order("to_seq").Scan(ctx); err != nil {
		return 0, err
	}
	for _, s := range open {
		if err := l.handOver(ctx, db, s); err != nil {
			return n, err
		}
		l.counters.segments.Add(1)
		n++
	}
	return n, nil
}

func (l *Log) handOver(ctx context.Context, db *bun.DB, s Segment) error {
	sum, rows, err := digest(ctx, db, s.FromSeq, s.ToSeq)
	if err != nil {
		return err
	}
	s.SHA256, s.Rows = sum, rows
	if err := l.o.Store.Write(ctx, store.System("telemetry"), func(tx *store.Tx) error {
		tx.Record(store.Entry{Action: "telemetry.segment", ObjectKind: "telemetry_segment", ObjectID: s.ID, Content: s})
		s.HandedMs = tx.NowMs
		return nil
	}); err != nil {
		return err
	}
	// The entry stands; a stop between the two would only make a second one that says the same.
	_, err = db.NewUpdate().Model(&s).WherePK().Exec(context.WithoutCancel(ctx))
	return err
}

// digest hashes the rows of a segment: table by table, row by row, each value with its type and length.
func digest(ctx context.Context, db bun.IDB, from, to int64) (sum string, rows int64, err error) {
	h := sha256.New()
	for _, d := range digested {
		field(h, 'T', []byte(d.table))
		n, err := digestTable(ctx, db, h, "SELECT "+d.columns+" FROM "+d.table+" WHERE seq > ? AND seq <= ? ORDER BY seq", from, to)
		if err != nil {
			return "", 0, err
		}
		rows += n
	}
	return hex.EncodeToString(h.Sum(nil)), rows, nil
}

func digestTable(ctx context.Context, db bun.IDB, h hash.Hash, sql string, from, to int64) (n int64, err error) {
	rows, err := db.QueryContext(ctx, sql, from, to)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return 0, err
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return n, err
		}
		for _, v := range values {
			switch v := v.(type) {
			case string:
				field(h, 's', []byte(v))
			case []byte:
				field(h, 'b', v)
			default: // integers and booleans
				field(h, 'n', fmt.Append(nil, v))
			}
		}
		n++
	}
	return n, rows.Err()
}

func field(h hash.Hash, kind byte, value []byte) {
	var head [9]byte
	head[0] = kind
	binary.BigEndian.PutUint64(head[1:], uint64(len(value)))
	h.Write(head[:])
	h.Write(value)
}

// Segments lists the closed segments of a day, oldest first.
func (l *Log) Segments(ctx context.Context, day string) ([]Segment, error) {
	out := []Segment{}
	err := l.onDay(ctx, day, func(db *bun.DB) error { return db.NewSelect().Model(&out).Order("to_seq").Scan(ctx) })
	return out, notFound(err, "day")
}

// Verify hashes the rows of a segment again and compares with its digest, which the caller has from the
// record. Errors: fault conflict telemetry.altered.
func (l *Log) Verify(ctx context.Context, s Segment) error {
	return notFound(l.onDay(ctx, s.Day, func(db *bun.DB) error {
		sum, _, err := digest(ctx, db, s.FromSeq, s.ToSeq)
		if err == nil && sum != s.SHA256 {
			err = fault.Conflict("segment", "telemetry.altered")
		}
		return err
	}), "day")
}

// keep settles segments, keeps retention and reads the settings until ctx ends.
func (l *Log) keep(ctx context.Context) {
	for ctx.Err() == nil {
		for _, step := range []func(context.Context) error{l.readSettings, l.settle, l.Retain} {
			if err := step(ctx); err != nil && ctx.Err() == nil {
				l.o.Logger.Error("telemetry housekeeping failed; it is tried again", "error", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-l.segments:
		case <-l.clock.After(time.Minute):
		}
	}
}
