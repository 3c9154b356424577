// Package login is how a person shows who they are: local accounts with a password, one-time codes and
// passkeys, identity providers, the sessions that a log-in opens, the limits on guessing, and the one-time links that set an
// account up. Who somebody is and what they may do is internal/platform/identity's.
package login

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Desk is where persons log in.
type Desk struct {
	st      *store.Store
	vault   *secret.Vault
	hashing chan struct{}
	site    atomic.Pointer[site]
	demo    atomic.Pointer[string]
	reach   *http.Client // to identity providers; nil where there is no way
	plain   bool         // they may be reached by http
}

// New makes a desk. It knows no passkeys before Serve.
func New(st *store.Store, vault *secret.Vault) *Desk {
	return &Desk{st: st, vault: vault, hashing: make(chan struct{}, atOnce)}
}

// SetDemo sets the hint that the log-in page of a demonstration shows.
func (d *Desk) SetDemo(hint string) { d.demo.Store(&hint) }

// Demo is that hint; "" outside a demonstration.
func (d *Desk) Demo() string {
	if h := d.demo.Load(); h != nil {
		return *h
	}
	return ""
}

// Account is how a person logs in with a password. TOTPMs is since when a code is asked for, 0 for never.
type Account struct {
	bun.BaseModel `bun:"table:account" json:"-"`
	PersonID      string `bun:"person_id,pk"`
	Name          string
	Folded        string
	Password      string
	PasswordMs    int64
	TOTPMs        int64 `bun:"totp_ms"`
	TOTPStep      int64 `bun:"totp_step"`
	CreatedMs     int64
}

// AccountOf is the account of a person; nil if there is none.
func AccountOf(ctx context.Context, db bun.IDB, personID string) (*Account, error) {
	return oneAccount(ctx, db, "person_id = ?", personID)
}

func oneAccount(ctx context.Context, db bun.IDB, which, value string) (*Account, error) {
	var a Account
	err := db.NewSelect().Model(&a).Where(which, value).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &a, err
}

// Set gives a person an account with a password whose hash is at hand, or replaces it. The name must be
// free. Errors: invalid account; conflict login.account_taken.
func set(ctx context.Context, tx *store.Tx, personID, account, hash string) error {
	if err := CheckAccount(account); err != nil {
		return err
	}
	other, err := oneAccount(ctx, tx, "folded = ?", fold(account))
	if err != nil {
		return err
	}
	if other != nil && other.PersonID != personID {
		return fault.Conflict("account", "login.account_taken")
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO account (person_id, name, folded, password, password_ms, created_ms) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (person_id) DO UPDATE SET name = excluded.name, folded = excluded.folded, password = excluded.password, password_ms = excluded.password_ms`,
		personID, account, fold(account), hash, tx.NowMs, tx.NowMs)
	if err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "login.account", ObjectKind: "person", ObjectID: personID})
	return nil
}

// Attempt is what somebody typed. Code is that of the one-time password, "" if none was given.
type Attempt struct {
	Account, Password, Code string
	From
}

// In is a log-in that succeeded. The token is for the cookie; it is "" when a code is still missing.
type In struct {
	Token   string
	Session Session
}

// Password logs in by account and password, and by a code where the account asks for one. An answer
// without a token asks for that code. Errors: fault unauthenticated login.refused, the same whatever
// was wrong; too_many login.too_many; forbidden login.second_factor for an administrator who has shown
// no second factor; unavailable login.busy.
func (d *Desk) Password(ctx context.Context, a Attempt) (In, error) {
	t := tryOf(a.Account, a.Address)
	if err := d.charge(ctx, t); err != nil {
		return In{}, err
	}
	if len(a.Password) > longest {
		return In{}, d.refuse(ctx, t, "")
	}
	acc, err := oneAccount(ctx, d.st.Read(), "folded = ?", fold(a.Account))
	if err != nil {
		return In{}, err
	}
	stored, personID := nobody, ""
	if acc != nil {
		stored, personID = acc.Password, acc.PersonID
	}
	ok, err := d.matches(ctx, stored, a.Password)
	if err != nil {
		return In{}, err
	}
	if !ok || acc == nil {
		return In{}, d.refuse(ctx, t, personID)
	}
	var in In
	refused, missing := false, false
	err = d.st.Write(ctx, store.System("login"), func(tx *store.Tx) error {
		in, refused, missing = In{}, false, false
		now, err := AccountOf(ctx, tx, acc.PersonID)
		if err != nil {
			return err
		}
		var p identity.Person
		if err := tx.NewSelect().Model(&p).Where("id = ?", acc.PersonID).Scan(ctx); err != nil {
			return err
		}
		if now == nil || now.Password != acc.Password || !p.Active {
			refused = true
			return nil
		}
		way := "password"
		switch {
		case now.TOTPMs != 0 && a.Code == "":
			missing = true
			return forgive(ctx, tx, t, false)
		case now.TOTPMs != 0:
			way = "totp"
			good, err := d.takeCode(ctx, tx, now, a.Code)
			if err != nil || !good {
				refused = true
				return err
			}
		case identity.Administrator(p.Roles()):
			return fault.Forbidden("login.second_factor")
		}
		if err := forgive(ctx, tx, t, true); err != nil {
			return err
		}
		in.Token, in.Session, err = d.Begin(ctx, tx, acc.PersonID, way, a.From)
		return err
	})
	switch {
	case err != nil:
		return In{}, err
	case refused:
		return In{}, d.refuse(ctx, t, personID)
	case missing:
		return In{}, nil
	}
	return in, nil
}

// ChangePassword replaces the actor's password and ends every other session of theirs. Errors: invalid
// new; unauthenticated login.refused for a wrong old one; too_many; not_found login.no_account.
func (d *Desk) ChangePassword(ctx context.Context, actor store.Actor, current Session, from From, old, fresh string) error {
	acc, err := AccountOf(ctx, d.st.Read(), actor.ID)
	if err != nil {
		return err
	}
	if acc == nil {
		return fault.NotFound("account", "login.no_account")
	}
	if err := CheckPassword("new", acc.Name, fresh); err != nil {
		return err
	}
	t := tryOf(acc.Name, from.Address)
	if err := d.charge(ctx, t); err != nil {
		return err
	}
	ok, err := d.matches(ctx, acc.Password, old)
	if err != nil {
		return err
	}
	if !ok {
		return d.refuse(ctx, t, acc.PersonID)
	}
	hash, err := d.hash(ctx, fresh)
	if err != nil {
		return err
	}
	return d.st.Write(ctx, actor, func(tx *store.Tx) error {
		now, err := AccountOf(ctx, tx, actor.ID)
		if err != nil {
			return err
		}
		if now == nil || now.Password != acc.Password {
			return fault.Conflict("old", "login.changed_meanwhile")
		}
		if err := forgive(ctx, tx, t, false); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE account SET password = ?, password_ms = ? WHERE person_id = ?", hash, tx.NowMs, actor.ID); err != nil {
			return err
		}
		tx.Record(store.Entry{Action: "login.password", ObjectKind: "person", ObjectID: actor.ID})
		_, err = EndSessions(ctx, tx, actor.ID, current.ID)
		return err
	})
}

// SetAccount gives a person an account; for first starts and demonstrations, which stand above the API.
func (d *Desk) SetAccount(ctx context.Context, actor store.Actor, personID, account, password string) error {
	if err := CheckPassword("password", account, password); err != nil {
		return err
	}
	hash, err := d.hash(ctx, password)
	if err != nil {
		return err
	}
	return d.st.Write(ctx, actor, func(tx *store.Tx) error {
		if err := identity.Require(tx.Actor, "person.manage"); err != nil {
			return err
		}
		if err := set(ctx, tx, personID, account, hash); err != nil {
			return err
		}
		_, err := EndSessions(ctx, tx, personID, "")
		return err
	})
}
