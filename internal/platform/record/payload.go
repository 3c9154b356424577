package record

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
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

func keyLabel(scope string) string { return "record.key:" + scope }

// commitment is SHA-256(salt ‖ content) in hex, the commitment of a leaf.
func commitment(salt, content []byte) string {
	h := sha256.New()
	h.Write(salt)
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil))
}

// box gives the box of a scope's data key, making the key if the scope has none. cache lives no longer
// than the transaction: a key that was rolled back must not be used again.
func (l *Log) box(ctx context.Context, db bun.IDB, cache map[string]secret.Box, scope string) (secret.Box, error) {
	if b, ok := cache[scope]; ok {
		return b, nil
	}
	var wrapped []byte
	err := db.QueryRowContext(ctx, `SELECT wrapped FROM record_keys WHERE scope = ?`, scope).Scan(&wrapped)
	var key []byte
	switch {
	case errors.Is(err, sql.ErrNoRows):
		key = secret.NewKey()
		_, err = db.ExecContext(ctx, `INSERT INTO record_keys (scope, wrapped) VALUES (?, ?)`, scope, l.o.Keys.Seal(keyLabel(scope), key))
	case err == nil:
		key, err = l.o.Keys.Unseal(keyLabel(scope), wrapped)
	}
	if err != nil {
		return secret.Box{}, err
	}
	b, err := secret.NewBox(key)
	if err == nil {
		cache[scope] = b
	}
	return b, err
}

// Content decrypts the content of the entry at idx. It does not ask who may read it: the caller has.
// Errors: fault not_found record.no_entry; fault conflict record.erased if it was erased lawfully.
func (l *Log) Content(ctx context.Context, db bun.IDB, idx int64) (json.RawMessage, error) {
	_, content, err := l.openPayload(ctx, db, idx)
	return content, err
}

// openPayload gives salt and content of the entry at idx.
func (l *Log) openPayload(ctx context.Context, db bun.IDB, idx int64) (salt []byte, content json.RawMessage, err error) {
	var scope string
	var sealed, wrapped []byte
	err = db.QueryRowContext(ctx, `SELECT e.scope, p.sealed, k.wrapped FROM record_entries AS e
		LEFT JOIN record_payloads AS p ON p.idx = e.idx LEFT JOIN record_keys AS k ON k.scope = e.scope
		WHERE e.idx = ?`, idx).Scan(&scope, &sealed, &wrapped)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil, fault.NotFound("idx", "record.no_entry", "idx", idx)
	case err != nil:
		return nil, nil, err
	case sealed == nil || wrapped == nil:
		return nil, nil, fault.Conflict("idx", "record.erased", "idx", idx)
	case l.o.Keys == nil:
		return nil, nil, fault.Unavailable("record.no_keys")
	}
	key, err := l.o.Keys.Unseal(keyLabel(scope), wrapped)
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
	var scopes []string
	if err := tx.NewRaw(`SELECT scope FROM record_keys ORDER BY scope`).Scan(ctx, &scopes); err != nil {
		return err
	}
	for _, s := range scopes {
		var wrapped []byte
		err := tx.QueryRowContext(ctx, `SELECT wrapped FROM record_keys WHERE scope = ?`, s).Scan(&wrapped)
		if err != nil {
			return err
		}
		if wrapped, err = fn(keyLabel(s), wrapped); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE record_keys SET wrapped = ? WHERE scope = ?`, wrapped, s); err != nil {
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
