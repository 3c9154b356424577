package record

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
)

const saltSize = 32

// sealPayload encrypts salt and content and writes both hashes into the leaf. The salt is inside the
// ciphertext, so that short contents cannot be guessed from the commitment.
func sealPayload(box secret.Box, f *leaf, content []byte) []byte {
	plain := append(secret.Random(saltSize), content...)
	f.Commit = sha256Hex(plain)
	sealed := box.Seal(payloadLabel(f.Idx, f.Scope), plain)
	f.Sealed = sha256Hex(sealed)
	return sealed
}

func payloadLabel(idx int64, scope string) string {
	return fmt.Sprintf("record.payload:%d:%s", idx, scope)
}

func keyLabel(scope string, since int64) string { return fmt.Sprintf("record.key:%d:%s", since, scope) }

// commitment is SHA-256(salt ‖ content) in hex, the commitment of a leaf.
func commitment(salt, content []byte) string {
	h := sha256.New()
	h.Write(salt)
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil))
}

// box gives the box of a scope's data key, making the key if the scope has none. since is the size of the
// record now; a key that is older than its scope's erasure can be told by it. cache lives no longer than
// the transaction: a key that was rolled back must not be used again.
func (l *Log) box(ctx context.Context, tx bun.IDB, cache map[string]secret.Box, scope string, since int64) (secret.Box, error) {
	if b, ok := cache[scope]; ok {
		return b, nil
	}
	key, err := l.key(ctx, tx, scope)
	if isNoRows(err) {
		_, err = tx.ExecContext(ctx, `INSERT INTO record_keys (scope, since, wrapped) VALUES (?, ?, ?) ON CONFLICT (scope) DO NOTHING`,
			scope, since, l.o.Keys.Seal(keyLabel(scope, since), secret.NewKey()))
		if err == nil {
			key, err = l.key(ctx, tx, scope)
		}
	}
	if err != nil {
		return secret.Box{}, err
	}
	b, err := secret.NewBox(key)
	if err == nil && cache != nil {
		cache[scope] = b
	}
	return b, err
}

// key unwraps the data key of a scope; sql.ErrNoRows if it has none.
func (l *Log) key(ctx context.Context, db bun.IDB, scope string) ([]byte, error) {
	if l.o.Keys == nil {
		return nil, fault.Unavailable("record.no_keys")
	}
	var since int64
	var wrapped []byte
	if err := db.QueryRowContext(ctx, `SELECT since, wrapped FROM record_keys WHERE scope = ?`, scope).Scan(&since, &wrapped); err != nil {
		return nil, err
	}
	return l.o.Keys.Unseal(keyLabel(scope, since), wrapped)
}

// Content decrypts the content of the entry at idx. It does not ask who may read it: the caller has.
// Errors: fault not_found record.no_entry; fault conflict record.erased if it was erased lawfully.
func (l *Log) Content(ctx context.Context, db bun.IDB, idx int64) (json.RawMessage, error) {
	_, content, err := l.openPayload(ctx, db, idx)
	return content, err
}

// Contents decrypts the contents of entries at once, by index; those that were erased are not among them. Like
// Content it does not ask who may read them.
func (l *Log) Contents(ctx context.Context, db bun.IDB, entries []Entry) (map[int64]json.RawMessage, error) {
	out, boxes, scopes := map[int64]json.RawMessage{}, map[string]*secret.Box{}, map[int64]string{}
	var at []int64
	for _, e := range entries {
		at, scopes[e.Idx] = append(at, e.Idx), e.Scope
	}
	if len(at) == 0 {
		return out, nil
	}
	var rows []struct {
		Idx    int64
		Sealed []byte
	}
	if err := db.NewRaw(`SELECT idx, sealed FROM record_payloads WHERE idx IN (?)`, bun.List(at)).Scan(ctx, &rows); err != nil {
		return nil, err
	}
	for _, r := range rows {
		scope := scopes[r.Idx]
		box, known := boxes[scope]
		if !known {
			key, err := l.key(ctx, db, scope)
			if err != nil && !isNoRows(err) {
				return nil, err
			}
			if err == nil {
				b, err := secret.NewBox(key)
				if err != nil {
					return nil, err
				}
				box = &b
			}
			boxes[scope] = box
		}
		if box == nil { // the key went between the two readings
			continue
		}
		plain, err := box.Unseal(payloadLabel(r.Idx, scope), r.Sealed)
		if err != nil {
			return nil, err
		}
		if len(plain) < saltSize {
			return nil, secret.ErrUnseal
		}
		out[r.Idx] = plain[saltSize:]
	}
	return out, nil
}

// openPayload gives salt and content of the entry at idx.
func (l *Log) openPayload(ctx context.Context, db bun.IDB, idx int64) (salt []byte, content json.RawMessage, err error) {
	var scope string
	var sealed []byte
	err = db.QueryRowContext(ctx, `SELECT e.scope, p.sealed FROM record_entries AS e LEFT JOIN record_payloads AS p ON p.idx = e.idx
		WHERE e.idx = ?`, idx).Scan(&scope, &sealed)
	switch {
	case isNoRows(err):
		return nil, nil, fault.NotFound("idx", "record.no_entry", "idx", idx)
	case err != nil:
		return nil, nil, err
	case sealed == nil:
		return nil, nil, fault.Conflict("idx", "record.erased", "idx", idx)
	}
	key, err := l.key(ctx, db, scope)
	if isNoRows(err) {
		return nil, nil, fault.Conflict("idx", "record.erased", "idx", idx)
	}
	if err != nil {
		return nil, nil, err
	}
	box, err := secret.NewBox(key)
	if err != nil {
		return nil, nil, err
	}
	plain, err := box.Unseal(payloadLabel(idx, scope), sealed)
	if err != nil {
		return nil, nil, err
	}
	if len(plain) < saltSize {
		return nil, nil, secret.ErrUnseal
	}
	return plain[:saltSize], plain[saltSize:], nil
}

// Rewrap re-seals every payload key; it makes the Log a secret.Rewrapper.
func (l *Log) Rewrap(ctx context.Context, tx *store.Tx, fn func(label string, sealed []byte) ([]byte, error)) error {
	var rows []struct {
		Scope   string
		Since   int64
		Wrapped []byte
	}
	if err := tx.NewRaw(`SELECT scope, since, wrapped FROM record_keys ORDER BY scope`).Scan(ctx, &rows); err != nil {
		return err
	}
	for _, r := range rows {
		wrapped, err := fn(keyLabel(r.Scope, r.Since), r.Wrapped)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE record_keys SET wrapped = ? WHERE scope = ?`, wrapped, r.Scope); err != nil {
			return err
		}
	}
	return nil
}

// destroy removes the payloads of a scope with their salts, and the key that could open copies of them.
func destroy(ctx context.Context, tx bun.Tx, scope string) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM record_payloads WHERE idx IN (SELECT idx FROM record_entries WHERE scope = ?)`, scope)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM record_keys WHERE scope = ?`, scope)
	return err
}
