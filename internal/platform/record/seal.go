package record

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
)

const sealLabel = "record.sealed:"

// Seal encrypts text that stands in a table of its own under the payload key of its scope, so that
// erasing the scope makes it unreadable too. The result is base64.
func (l *Log) Seal(ctx context.Context, tx *store.Tx, scope string, plain []byte) (string, error) {
	box, err := l.box(ctx, tx, map[string]secret.Box{}, scope)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(box.Seal(sealLabel+scope, plain)), nil
}

// Open decrypts what Seal made. It does not ask who may read it: the caller has.
// Errors: fault conflict record.erased when the scope's key is gone.
func (l *Log) Open(ctx context.Context, db bun.IDB, scope, sealed string) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		return nil, err
	}
	var wrapped []byte
	err = db.QueryRowContext(ctx, `SELECT wrapped FROM record_keys WHERE scope = ?`, scope).Scan(&wrapped)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.Conflict("scope", "record.erased", "idx", scope)
	}
	if err != nil {
		return nil, err
	}
	key, err := l.o.Keys.Unseal(keyLabel(scope), wrapped)
	if err != nil {
		return nil, err
	}
	box, err := secret.NewBox(key)
	if err != nil {
		return nil, err
	}
	return box.Unseal(sealLabel+scope, raw)
}
