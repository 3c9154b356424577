package flow

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/uptrace/bun"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// EntryProof shows that one entry is under the newest signed checkpoint: from the leaf's hash along Path one comes
// to Root, which Checkpoint signs. Hashes are base64 (RFC 6962). Verified is false where one does not.
type EntryProof struct {
	Seq        int64    `json:"seq"`
	Leaf       string   `json:"leaf"`
	LeafHash   string   `json:"leaf_hash"`
	TreeSize   int64    `json:"tree_size"`
	Root       string   `json:"root"`
	Path       []string `json:"path"`
	Checkpoint string   `json:"checkpoint"`
	Signer     string   `json:"signer"` // fingerprint of this instance's own key: compare it with one kept elsewhere
	Verified   bool     `json:"verified"`
	Problem    string   `json:"problem,omitempty"` // what does not hold, for the technician
}

// Prove proves the entry with a seq, the record's index + 1. Errors: forbidden without record.read; not found,
// also for what is hidden from the actor; conflict record.not_signed_yet until the next checkpoint.
func (h *House) Prove(ctx context.Context, a store.Actor, seq int64) (EntryProof, error) {
	db := h.Store.Read()
	out := EntryProof{Seq: seq, Path: []string{}}
	if err := recordReader(a); err != nil {
		return out, err
	}
	entries, err := record.Entries(ctx, db, record.Filter{At: []int64{seq - 1}, Limit: 1})
	if err != nil {
		return out, err
	}
	hidden := map[string]bool{}
	if len(entries) == 1 {
		if hidden, err = hiddenAmong(ctx, db, a, entries); err != nil {
			return out, err
		}
	}
	if len(entries) == 0 || hidden[entries[0].ObjectID] || hidden[entries[0].Scope] {
		return out, fault.NotFound("seq", "error.not_found", "field", "seq")
	}
	p, err := h.Record.Proof(ctx, db, seq-1, false)
	if fault.Is(err, "record.not_signed_yet") { // the number that people know, not the index
		return out, fault.Conflict("seq", "record.not_signed_yet", "seq", seq)
	}
	if err != nil {
		return out, err
	}
	out.Leaf, out.LeafHash, out.Checkpoint = p.Leaf, tlog.RecordHash([]byte(p.Leaf)).String(), p.Checkpoint
	for _, hash := range p.Hashes {
		out.Path = append(out.Path, hash.String())
	}
	if c, err := record.ParseCheckpoint(p.Checkpoint); err == nil {
		out.TreeSize, out.Root = c.Size, c.Root.String()
	}
	if out.Signer, err = h.Record.Signer(ctx, db); err != nil {
		return out, err
	}
	if _, err := p.Check(out.Signer); err != nil {
		out.Problem = err.Error()
	} else {
		out.Verified = true
	}
	return out, nil
}

// recordReader lets in who may read the record; no stand-in, who sees one drill only.
func recordReader(a store.Actor) error {
	if err := identity.Require(a, "record.read"); err != nil {
		return err
	}
	return identity.RequireDrill(a, "")
}

// Checkpoints lists the newest signed checkpoints, newest first.
func (h *House) Checkpoints(ctx context.Context, a store.Actor) ([]record.Checkpoint, error) {
	if err := recordReader(a); err != nil {
		return nil, err
	}
	return record.Checkpoints(ctx, h.Store.Read(), 200)
}

// VerifyRecord walks the whole record as it is now. It compares no content with its commitment: that takes the
// command on the server's machine. Two at once are one too many. Errors: forbidden without
// record.read; conflict record.verifying; unavailable record.verify_long when ctx ends first.
func (h *House) VerifyRecord(ctx context.Context, a store.Actor) (*record.Report, error) {
	if err := recordReader(a); err != nil {
		return nil, err
	}
	if !h.verifying.TryLock() {
		return nil, fault.Conflict("", "record.verifying")
	}
	defer h.verifying.Unlock()
	signer, err := h.Record.Signer(ctx, h.Store.Read())
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	r, err := record.Verify(ctx, h.Store.Read(), record.VerifyOptions{Signer: signer})
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, fault.Unavailable("record.verify_long").Because(err)
	}
	return r, err
}

// ErasureAsked is one request for a lawful erasure and what became of it. State is requested, confirmed or
// rejected; Seq is the entry that erased, 0 until then.
type ErasureAsked struct {
	ID              string `json:"id"`
	Scope           string `json:"scope"`
	Ground          string `json:"ground"`
	State           string `json:"state"`
	RequestedBy     string `json:"requested_by"`
	RequestedByName string `json:"requested_by_name"`
	RequestedMs     int64  `json:"requested_ms"`
	DecidedBy       string `json:"decided_by"`
	DecidedByName   string `json:"decided_by_name"`
	DecidedMs       int64  `json:"decided_ms"`
	Seq             int64  `json:"seq"`
}

// Erasures lists what was asked to be erased, newest first, without scopes that are hidden from the actor.
func (h *House) Erasures(ctx context.Context, a store.Actor) ([]ErasureAsked, error) {
	if err := recordReader(a); err != nil {
		return nil, err
	}
	var rows []struct {
		ErasureAsked
		Request string
	}
	err := h.Store.Read().NewRaw(`SELECT s.id, s.object_id AS scope, s.request, s.state, s.requested_by, s.requested_ms, s.decided_by, s.decided_ms,
		COALESCE(p.name, '') AS requested_by_name, COALESCE(q.name, '') AS decided_by_name,
		COALESCE((SELECT MIN(e.idx) + 1 FROM record_entries AS e WHERE s.state = 'confirmed' AND e.action = 'record.erase' AND e.object_id = s.object_id AND e.at_ms >= s.decided_ms), 0) AS seq
		FROM second_signature AS s LEFT JOIN person AS p ON p.id = s.requested_by LEFT JOIN person AS q ON q.id = s.decided_by
		WHERE s.object_kind = 'erasure' AND s.object_id NOT IN (?) ORDER BY s.requested_ms DESC, s.id DESC LIMIT 500`, bun.SafeQuery("?", hiddenNames(a))).Scan(ctx, &rows)
	out := make([]ErasureAsked, 0, len(rows))
	for _, r := range rows {
		var asked struct{ Ground string }
		_ = json.Unmarshal([]byte(r.Request), &asked) // what AskSecond wrote
		r.Ground = asked.Ground
		out = append(out, r.ErasureAsked)
	}
	return out, err
}
