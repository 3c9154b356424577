// Package record is the tamper-evident log of every decision (存证日志): a Merkle tree whose leaves
// are appended in the transaction of what they describe, whose signed heads leave the machine, and
// whose contents can be erased lawfully without breaking it. Hashing is that of RFC 6962.
package record

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Options shape a Log.
type Options struct {
	Keys      *secret.Keys  // wraps payload keys and keeps the signing key; nil only to verify
	Exporters []Exporter    // where signed checkpoints go, outside the data folder
	Every     time.Duration // Run signs at least this often if the record grew; default 5 minutes
	Entries   int64         // Run also signs after this many new entries; default 1,000
	Logger    *slog.Logger  // default: discards
}

// Log appends to the record, signs it, exports it and proves it. It implements store.Recorder.
type Log struct {
	o    Options
	st   *store.Store
	grew atomic.Int64  // entries appended since the last checkpoint, an upper bound
	wake chan struct{} // nudges Run; holds one
}

// New makes the recorder that store.Open wants. Call Bind when the store is open.
func New(o Options) *Log {
	if o.Every <= 0 {
		o.Every = 5 * time.Minute
	}
	if o.Entries <= 0 {
		o.Entries = 1000
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Log{o: o, wake: make(chan struct{}, 1)}
}

// Add adds an exporter, for one that needs what is built after the log. Call it before Run.
func (l *Log) Add(e Exporter) { l.o.Exporters = append(l.o.Exporters, e) }

// own marks content of the record's own entries. Its type is what lets an action begin with
// "record.": no other package can forge an erasure or an epoch.
type own struct {
	body   any
	digest string // hex SHA-256 that belongs into the leaf, if any
	epoch  int64  // for record.epoch: the epoch that begins with this entry
}

const ownPrefix = "record."

type head struct {
	epoch, size int64
	edge        edge
}

// Append adds entries to the tree inside tx. It takes the head row, which puts writers in order, as the
// last row of the transaction; an entry's index is the size it finds there, so no gap can arise.
func (l *Log) Append(ctx context.Context, tx bun.Tx, atMs int64, entries []store.Entry) error {
	if l.o.Keys == nil {
		return errors.New("record: no keys: this log can only verify")
	}
	drafts := make([]draft, len(entries))
	for i, e := range entries {
		d, err := newDraft(atMs, e)
		if err != nil {
			return fmt.Errorf("entry %s: %w", e.Action, err)
		}
		if d.own.epoch > 0 && i > 0 {
			return fault.Conflict("", "record.epoch_first")
		}
		drafts[i] = d
	}
	h, err := takeHead(ctx, tx, int64(len(drafts)))
	if err != nil {
		return err
	}
	boxes := map[string]secret.Box{}
	var hashes []storedHash
	var stored []storedEntry
	var sealed []storedPayload
	for i := range drafts {
		d := &drafts[i]
		if d.own.epoch > 0 {
			h.epoch = d.own.epoch
		}
		d.leaf.Idx, d.leaf.Epoch = h.size, h.epoch
		box, err := l.box(ctx, tx, boxes, d.leaf.Scope, h.size)
		if err != nil {
			return err
		}
		sealed = append(sealed, storedPayload{Idx: d.leaf.Idx, Sealed: sealPayload(box, &d.leaf, d.content)})
		raw := d.leaf.encode()
		stored = append(stored, storedEntry{Idx: d.leaf.Idx, Leaf: string(raw), AtMs: d.leaf.AtMs, Action: d.leaf.Action, ObjectKind: d.leaf.ObjectKind, ObjectID: d.leaf.ObjectID, Actor: d.leaf.Actor, Scope: d.leaf.Scope})
		for level, hash := range h.edge.add(h.size, tlog.RecordHash(raw)) {
			hashes = append(hashes, storedHash{Pos: tlog.StoredHashIndex(level, h.size>>level), Hash: hash[:]})
		}
		h.size++
		if d.leaf.Action == actErase {
			if err := insert(ctx, tx, &stored, &sealed); err != nil { // what is destroyed must be there
				return err
			}
			if err := destroy(ctx, tx, d.leaf.ObjectID); err != nil {
				return err
			}
			delete(boxes, d.leaf.ObjectID)
		}
	}
	if err := insert(ctx, tx, &stored, &sealed); err != nil {
		return err
	}
	if _, err := tx.NewInsert().Model(&hashes).Exec(ctx); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE record_head SET epoch = ?, edge = ? WHERE id = 1`, h.epoch, h.edge.bytes()); err != nil {
		return err
	}
	if l.grew.Add(int64(len(drafts))) >= l.o.Entries {
		l.nudge()
	}
	return nil
}

func (l *Log) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

type storedHash struct {
	bun.BaseModel `bun:"table:record_hashes"`
	Pos           int64  `bun:"pos,pk"`
	Hash          []byte `bun:"hash"`
}

// takeHead reserves n indexes; the head it gives is the one before them.
func takeHead(ctx context.Context, tx bun.Tx, n int64) (head, error) {
	var h head
	var raw []byte
	err := tx.QueryRowContext(ctx, `UPDATE record_head SET size = size + ? WHERE id = 1 RETURNING epoch, size, edge`, n).Scan(&h.epoch, &h.size, &raw)
	if err != nil {
		return h, err
	}
	h.size -= n
	h.edge, err = parseEdge(h.size, raw)
	return h, err
}

func readHead(ctx context.Context, db bun.IDB) (head, error) {
	var h head
	var raw []byte
	err := db.QueryRowContext(ctx, `SELECT epoch, size, edge FROM record_head WHERE id = 1`).Scan(&h.epoch, &h.size, &raw)
	if err != nil {
		return h, err
	}
	h.edge, err = parseEdge(h.size, raw)
	return h, err
}

type storedEntry struct {
	bun.BaseModel `bun:"table:record_entries"`
	Idx           int64  `bun:"idx,pk"`
	Leaf          string `bun:"leaf"`
	AtMs          int64  `bun:"at_ms"`
	Action        string `bun:"action"`
	ObjectKind    string `bun:"object_kind"`
	ObjectID      string `bun:"object_id"`
	Actor         string `bun:"actor"`
	Scope         string `bun:"scope"`
}

type storedPayload struct {
	bun.BaseModel `bun:"table:record_payloads"`
	Idx           int64  `bun:"idx,pk"`
	Sealed        []byte `bun:"sealed"`
}

// insert writes what has gathered, two statements however many entries: each would be a round trip.
func insert(ctx context.Context, tx bun.Tx, entries *[]storedEntry, payloads *[]storedPayload) error {
	if len(*entries) == 0 {
		return nil
	}
	if _, err := tx.NewInsert().Model(entries).Exec(ctx); err != nil {
		return err
	}
	_, err := tx.NewInsert().Model(payloads).Exec(ctx)
	*entries, *payloads = nil, nil
	return err
}

// draft is an entry that has no index yet.
type draft struct {
	leaf    leaf
	content []byte
	own     own
}

func newDraft(atMs int64, e store.Entry) (draft, error) {
	d := draft{leaf: leaf{V: 1, AtMs: atMs, Action: e.Action, ObjectKind: e.ObjectKind, ObjectID: e.ObjectID,
		Actor: e.Actor.ID, Roles: e.Actor.Roles, Drill: e.Actor.Drill, Scope: e.Scope}}
	body := e.Content
	o, isOwn := e.Content.(own)
	if isOwn != strings.HasPrefix(e.Action, ownPrefix) {
		return d, errors.New("record: actions that begin with record. belong to the record")
	}
	if isOwn {
		d.own, d.leaf.Digest, body = o, o.digest, o.body
	}
	if err := d.leaf.check(); err != nil {
		return d, err
	}
	var err error
	d.content, err = json.Marshal(body)
	return d, err
}

func sha256Hex(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
