package record

import (
	"context"
	"encoding/hex"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

const actSegment = "record.segment"

// Segment is a closed run of telemetry rows that enters the record as one digest: signals, verdicts and
// audited reads are too many to enter one by one.
type Segment struct {
	Kind   string `json:"kind"` // "signal", "verdict", "read"
	ID     string `json:"id"`   // names the rows, for instance "2026-11-22/3"
	FromMs int64  `json:"from_ms"`
	ToMs   int64  `json:"to_ms"`
	Rows   int64  `json:"rows"`
	SHA256 string `json:"sha256"` // of the rows in the telemetry's own canonical form, hex
}

// AppendSegment records a segment's digest when tx commits. The digest stands in the leaf, so that it can
// be checked against an export without contents. Error: fault conflict record.segment_twice.
func (l *Log) AppendSegment(ctx context.Context, tx *store.Tx, s Segment) error {
	if b, err := hex.DecodeString(s.SHA256); err != nil || len(b) != 32 || s.Kind == "" || s.ID == "" {
		return fault.Invalid("segment", "record.bad_segment")
	}
	if _, err := FindSegment(ctx, tx, s.Kind, s.ID); !fault.Is(err, "record.no_segment") {
		if err == nil {
			err = fault.Conflict("segment", "record.segment_twice", "segment", s.ID)
		}
		return err
	}
	tx.Record(store.Entry{Action: actSegment, ObjectKind: s.Kind, ObjectID: s.ID, Content: own{body: s, digest: s.SHA256}})
	return nil
}

// FindSegment gives the recorded digest of a segment in hex; fault not_found record.no_segment.
func FindSegment(ctx context.Context, db bun.IDB, kind, id string) (digest string, err error) {
	var raw string
	err = db.QueryRowContext(ctx, `SELECT leaf FROM record_entries WHERE action = ? AND object_id = ? AND object_kind = ?`, actSegment, id, kind).Scan(&raw)
	if isNoRows(err) {
		return "", fault.NotFound("segment", "record.no_segment", "segment", id)
	}
	if err != nil {
		return "", err
	}
	f, err := parseLeaf([]byte(raw))
	return f.Digest, err
}
