package record

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/uptrace/bun"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Proof shows that one entry is in the record that a signed checkpoint covers, and nothing of the other
// entries (RFC 6962, 2.1.1). With Salt and Content set it also discloses what the entry said.
type Proof struct {
	Leaf       string          `json:"leaf"`
	Idx        int64           `json:"idx"`
	Checkpoint string          `json:"checkpoint"` // signed note
	Signers    []*Statement    `json:"signers"`    // the chain of public keys, oldest first
	Hashes     []tlog.Hash     `json:"hashes"`
	Salt       []byte          `json:"salt,omitempty"`
	Content    json.RawMessage `json:"content,omitempty"`
}

// Proof proves the entry at idx against the newest checkpoint. With disclose set it adds the content;
// the caller has asked for permission. Errors: fault not_found record.no_entry; conflict
// record.not_signed_yet if no checkpoint covers the entry.
func (l *Log) Proof(ctx context.Context, db bun.IDB, idx int64, disclose bool) (*Proof, error) {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	p := &Proof{Idx: idx}
	err = tx.QueryRowContext(ctx, `SELECT leaf FROM record_entries WHERE idx = ?`, idx).Scan(&p.Leaf)
	if isNoRows(err) {
		return nil, fault.NotFound("idx", "record.no_entry", "idx", idx)
	}
	if err != nil {
		return nil, err
	}
	c, err := LastCheckpoint(ctx, tx)
	if err != nil {
		return nil, err
	}
	if c == nil || c.Size <= idx {
		return nil, fault.Conflict("idx", "record.not_signed_yet", "seq", idx+1)
	}
	p.Checkpoint = c.Note
	if p.Signers, err = chainOf(ctx, tx); err != nil {
		return nil, err
	}
	if p.Hashes, err = tlog.ProveRecord(c.Size, idx, storedHashes(ctx, tx)); err != nil {
		return nil, err
	}
	if disclose {
		p.Salt, p.Content, err = l.openPayload(ctx, tx, idx)
	}
	return p, err
}

func storedHashes(ctx context.Context, db bun.IDB) tlog.HashReader {
	return tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(at))
		for i, pos := range at {
			var h []byte
			if err := db.QueryRowContext(ctx, `SELECT hash FROM record_hashes WHERE pos = ?`, pos).Scan(&h); err != nil {
				return nil, err
			}
			if len(h) != tlog.HashSize {
				return nil, fmt.Errorf("record: stored hash %d has %d bytes", pos, len(h))
			}
			out[i] = tlog.Hash(h)
		}
		return out, nil
	})
}

// Check verifies a proof without any database. pinned is the signer fingerprint that the reader trusts.
func (p *Proof) Check(pinned string) (*Checkpoint, error) {
	pin, err := NormalFingerprint(pinned)
	if err != nil {
		return nil, err
	}
	if len(p.Signers) == 0 || p.Signers[0] == nil {
		return nil, errors.New("record: a proof without signers")
	}
	first, err := parseStatement(p.Signers[0].encode())
	if err != nil || !first.follows(nil) {
		return nil, errors.Join(errors.New("record: the first signer does not vouch for itself"), err)
	}
	chain := extend([]*Statement{first}, p.Signers[1:])
	trusted := false
	for _, s := range chain {
		trusted = trusted || s.Fingerprint == pin
	}
	if !trusted {
		return nil, errors.New("record: the pinned signer is not in the chain")
	}
	c, err := ParseCheckpoint(p.Checkpoint)
	if err != nil {
		return nil, err
	}
	if c.Origin != originOf(chain) {
		return nil, errors.New("record: the checkpoint is of another record")
	}
	// An older key may have leaked since it was replaced: only the last of the chain counts.
	if _, _, err := openNote(p.Checkpoint, c.Origin, chain[len(chain)-1:]); err != nil {
		return nil, err
	}
	f, err := parseLeaf([]byte(p.Leaf))
	if err != nil {
		return nil, err
	}
	if f.Idx != p.Idx {
		return nil, errors.New("record: the leaf has another index")
	}
	if err := tlog.CheckRecord(p.Hashes, c.Size, c.Root, p.Idx, tlog.RecordHash([]byte(p.Leaf))); err != nil {
		return nil, err
	}
	if p.Content != nil && (len(p.Salt) != saltSize || commitment(p.Salt, p.Content) != f.Commit) {
		return nil, errors.New("record: the disclosed content is not what was committed to")
	}
	return c, nil
}
