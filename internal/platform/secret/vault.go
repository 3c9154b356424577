package secret

import (
	"context"
	"database/sql"
	"errors"
	"regexp"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

var secretName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,120}$`)

// Vault holds named secrets in the main database, sealed under the KEK: upstream keys, the pepper of
// tokens, the key of subject HMACs, the control signing key. Each change is an entry in the record that
// names the secret and never holds it.
type Vault struct{ keys *Keys }

// NewVault makes a vault over a key folder.
func NewVault(keys *Keys) *Vault { return &Vault{keys} }

// Put sets a secret inside a write transaction.
func (v *Vault) Put(ctx context.Context, tx *store.Tx, name string, value []byte) error {
	if !secretName.MatchString(name) {
		return fault.Invalid("name", "secret.bad_name")
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO secrets (name, sealed, updated_ms) VALUES (?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, updated_ms = excluded.updated_ms`,
		name, v.keys.Seal(rowLabel(name), value), tx.NowMs)
	if err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "secret.put", ObjectKind: "secret", ObjectID: name})
	return nil
}

// Get reads a secret; fault not_found secret.none if there is none by that name.
func (v *Vault) Get(ctx context.Context, db bun.IDB, name string) (Value, error) {
	var sealed []byte
	err := db.QueryRowContext(ctx, `SELECT sealed FROM secrets WHERE name = ?`, name).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.NotFound("name", "secret.none", "name", name)
	}
	if err != nil {
		return nil, err
	}
	return v.keys.Unseal(rowLabel(name), sealed)
}

// Ensure reads a secret and, if there is none, makes one of n random bytes first.
func (v *Vault) Ensure(ctx context.Context, tx *store.Tx, name string, n int) (Value, error) {
	got, err := v.Get(ctx, tx, name)
	if !fault.Is(err, "secret.none") {
		return got, err
	}
	val := Value(Random(n))
	return val, v.Put(ctx, tx, name, val)
}

// Delete removes a secret; fault not_found secret.none if there is none by that name.
func (v *Vault) Delete(ctx context.Context, tx *store.Tx, name string) error {
	res, err := tx.ExecContext(ctx, `DELETE FROM secrets WHERE name = ?`, name)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, fault.NotFound("name", "secret.none", "name", name))
	}
	tx.Record(store.Entry{Action: "secret.delete", ObjectKind: "secret", ObjectID: name})
	return nil
}

// Names lists the names of all secrets, sorted; never their values.
func (v *Vault) Names(ctx context.Context, db bun.IDB) ([]string, error) {
	var out []string
	err := db.NewRaw(`SELECT name FROM secrets ORDER BY name`).Scan(ctx, &out)
	return out, err
}

// Rewrapper is a keeper of sealed bytes outside this package, such as the record's payload keys.
type Rewrapper interface {
	// Rewrap replaces every sealed value in the transaction by what fn makes of it.
	Rewrap(ctx context.Context, tx *store.Tx, fn func(label string, sealed []byte) ([]byte, error)) error
}

// RotateKEK makes a new key-encryption key and re-wraps everything under it in one transaction. The old
// key file stays in the key folder, because older backups need it; delete it by hand once none is left.
func (v *Vault) RotateKEK(ctx context.Context, st *store.Store, actor store.Actor, others ...Rewrapper) error {
	if err := v.keys.renew(); err != nil {
		return err
	}
	fresh := func(label string, sealed []byte) ([]byte, error) {
		plain, err := v.keys.Unseal(label, sealed)
		if err != nil {
			return nil, err
		}
		return v.keys.Seal(label, plain), nil
	}
	return st.Write(ctx, actor, func(tx *store.Tx) error {
		for _, r := range append([]Rewrapper{v}, others...) {
			if err := r.Rewrap(ctx, tx, fresh); err != nil {
				return err
			}
		}
		tx.Record(store.Entry{Action: "secret.rotate_kek", ObjectKind: "kek", ObjectID: v.keys.Current()})
		return nil
	})
}

// Rewrap re-seals the vault's own rows.
func (v *Vault) Rewrap(ctx context.Context, tx *store.Tx, fn func(label string, sealed []byte) ([]byte, error)) error {
	names, err := v.Names(ctx, tx)
	if err != nil {
		return err
	}
	for _, n := range names {
		var sealed []byte
		if err := tx.QueryRowContext(ctx, `SELECT sealed FROM secrets WHERE name = ?`, n).Scan(&sealed); err != nil {
			return err
		}
		if sealed, err = fn(rowLabel(n), sealed); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE secrets SET sealed = ? WHERE name = ?`, sealed, n); err != nil {
			return err
		}
	}
	return nil
}

func rowLabel(name string) string { return "secret:" + name }
