package record

import (
	"context"
	"encoding/base64"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
)

func sealedLabel(scope string) string { return "record.sealed:" + scope }

// Seal encrypts a small value of another table or file under the key of a scope, such as the key of a
// captured text, so that erasing the scope makes it unreadable wherever copies of it lie.
func (l *Log) Seal(ctx context.Context, tx *store.Tx, scope string, plain []byte) (string, error) {
	if !idForm.MatchString(scope) {
		return "", ErrFreeText
	}
	h, err := readHead(ctx, tx)
	if err != nil {
		return "", err
	}
	box, err := l.box(ctx, tx, nil, scope, h.size)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(box.Seal(sealedLabel(scope), plain)), nil
}

// Open decrypts what Seal made. Errors: fault conflict record.scope_erased if the key is gone;
// secret.ErrUnseal if it is another one, or the value was altered.
func (l *Log) Open(ctx context.Context, db bun.IDB, scope, sealed string) ([]byte, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return nil, secret.ErrUnseal
	}
	key, err := l.key(ctx, db, scope)
	if isNoRows(err) {
		return nil, fault.Conflict("scope", "record.scope_erased", "scope", scope)
	}
	if err != nil {
		return nil, err
	}
	box, err := secret.NewBox(key)
	if err != nil {
		return nil, err
	}
	return box.Unseal(sealedLabel(scope), raw)
}
