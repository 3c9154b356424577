package telemetry

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
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
	err = db.NewRaw(`SELECT COALESCE(MAX(n), 0), (SELECT COALESCE(MAX(to_seq), 0) FROM segment) FROM (SELECT MAX(seq) AS n FROM aggregate
		UNION ALL SELECT MAX(seq) FROM capture UNION ALL SELECT MAX(seq) FROM signal UNION ALL SELECT MAX(seq) FROM traffic) AS newest`).Scan(ctx, &newest, &covered)
	return newest, covered, err
}

// oldestOpen is the position of the first row that no segment covers; 0 if there is none.
func oldestOpen(ctx context.Context, db bun.IDB, covered int64) (oldest int64, err error) {
	err = db.NewRaw(`SELECT COALESCE(MIN(n), 0) FROM (SELECT MIN(seq) AS n FROM aggregate WHERE seq > ?0
		UNION ALL SELECT MIN(seq) FROM capture WHERE seq > ?0 UNION ALL SELECT MIN(seq) FROM signal WHERE seq > ?0 UNION ALL SELECT MIN(seq) FROM traffic WHERE seq > ?0) AS oldest`,
		covered).Scan(ctx, &oldest)
	return oldest, err
}

// closeDue fixes the bounds of a segment in each of the last two days, the only ones that can hold rows which none covers, if the
// open rows are old enough, or at once; the digest follows. A day that is over is closed by whoever comes first: the node that
// stored its last rows may be gone.
func (l *Log) closeDue(ctx context.Context, atOnce bool) error {
	days, err := l.shelf.days(ctx)
	if err != nil {
		return err
	}
	for _, day := range days[max(0, len(days)-2):] {
		due := false
		err := l.shelf.read(ctx, day, func(db bun.IDB) error {
			newest, covered, err := bounds(ctx, db)
			if err != nil || newest <= covered {
				return err
			}
			oldest, err := oldestOpen(ctx, db, covered)
			due = atOnce || day != days[len(days)-1] || clock.Ms(l.clock)-StoredMs(oldest) >= l.o.SegmentEvery.Milliseconds()
			return err
		})
		if err == nil && due {
			err = l.shelf.amend(ctx, day, func(tx bun.IDB) error { return closeSegment(ctx, tx, day, clock.Ms(l.clock)) })
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("telemetry of %s: %w", day, err)
		}
	}
	return nil
}

func closeSegment(ctx context.Context, tx bun.IDB, day string, nowMs int64) error {
	newest, covered, err := bounds(ctx, tx)
	if err != nil || newest <= covered {
		return err
	}
	s := Segment{ID: fmt.Sprintf("%s-%d", day, newest), Day: day, FromSeq: covered, ToSeq: newest, ClosedMs: nowMs}
	_, err = tx.NewInsert().Model(&s).On("CONFLICT DO NOTHING").Exec(ctx)
	return err
}

// settle digests closed segments and hands the digests to the record, at least once each: the id of a
// segment is its bounds, so an entry that comes twice says the same.
func (l *Log) settle(ctx context.Context) error {
	days, err := l.shelf.days(ctx)
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
	var open []Segment
	err = ignoreMissing(l.shelf.read(ctx, day, func(db bun.IDB) error {
		if err := db.NewSelect().Model(&open).Where("handed_ms = 0").Order("to_seq").Scan(ctx); err != nil {
			return err
		}
		for i, s := range open {
			if open[i].SHA256, open[i].Rows, err = digest(ctx, db, s.FromSeq, s.ToSeq); err != nil {
				return err
			}
		}
		return nil
	}))
	for _, s := range open {
		if err != nil {
			break
		}
		if err = l.shelf.settled(ctx, s, func(tx *store.Tx) {
			tx.Record(store.Entry{Action: "telemetry.segment", ObjectKind: "telemetry_segment", ObjectID: s.ID, Content: s})
		}); err == nil {
			l.counters.segments.Add(1)
			n++
		}
	}
	return n, err
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
			case bool: // as SQLite gives it
				n := []byte("0")
				if v {
					n = []byte("1")
				}
				field(h, 'n', n)
			default: // integers
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
	err := l.shelf.read(ctx, day, func(db bun.IDB) error { return db.NewSelect().Model(&out).Order("to_seq").Scan(ctx) })
	return out, notFound(err, "day")
}

// Verify hashes the rows of a segment again and compares with its digest, which the caller has from the
// record. Errors: fault conflict telemetry.altered.
func (l *Log) Verify(ctx context.Context, s Segment) error {
	return notFound(l.shelf.read(ctx, s.Day, func(db bun.IDB) error {
		sum, _, err := digest(ctx, db, s.FromSeq, s.ToSeq)
		if err == nil && sum != s.SHA256 {
			err = fault.Conflict("segment", "telemetry.altered")
		}
		return err
	}), "day")
}

// keep closes and settles segments, keeps retention and reads the settings until ctx ends.
func (l *Log) keep(ctx context.Context) {
	for ctx.Err() == nil {
		for _, step := range []func(context.Context) error{
			l.readSettings, func(ctx context.Context) error { return l.closeDue(ctx, l.full.Swap(false)) }, l.settle, l.Retain} {
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
