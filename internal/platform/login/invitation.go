package login

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// invitationLasts is how long a one-time link is good.
const invitationLasts = 24 * time.Hour

// Invitation is a one-time link with which a person sets up an account, or sets it up anew. A newer one
// voids it. Account and Password are what was chosen so far; they take effect when it is accepted.
type Invitation struct {
	bun.BaseModel `bun:"table:invitation"`
	ID            string `bun:"id,pk"`
	PersonID      string
	Hash          string
	Waiting       bool // for a second person
	Account       string
	Password      string
	IssuedBy      string
	CreatedMs     int64
	ExpiresMs     int64
	UsedMs        int64
	VoidMs        int64
}

// Invite makes a one-time link for a person and voids those before it. The clear token ends the link and
// is stored nowhere. Waiting links are good only after Settle. Errors: forbidden without person.manage;
// not found for a person who is not active or is a drill's stand-in.
func (d *Desk) Invite(ctx context.Context, tx *store.Tx, personID string, waiting bool) (token string, i Invitation, err error) {
	if err := identity.Require(tx.Actor, "person.manage"); err != nil {
		return "", i, err
	}
	var p identity.Person
	if err := tx.NewSelect().Model(&p).Where("id = ? AND active AND drill_id = ''", personID).Scan(ctx); err != nil {
		return "", i, store.Missing(err, "person_id")
	}
	if err := identity.RequireDrill(tx.Actor, ""); err != nil {
		return "", i, err
	}
	var older []Invitation
	if err := tx.NewSelect().Model(&older).Where("person_id = ? AND used_ms = 0 AND void_ms = 0", personID).Scan(ctx); err != nil {
		return "", i, err
	}
	for _, o := range older {
		if err := d.void(ctx, tx, o.ID); err != nil {
			return "", i, err
		}
	}
	token = secretToken()
	i = Invitation{ID: tx.NewID(), PersonID: personID, Hash: digest(token), Waiting: waiting, IssuedBy: tx.Actor.ID, CreatedMs: tx.NowMs, ExpiresMs: tx.NowMs + invitationLasts.Milliseconds()}
	if _, err := tx.NewInsert().Model(&i).Exec(ctx); err != nil {
		return "", i, err
	}
	tx.Record(store.Entry{Action: "invitation.issue", ObjectKind: "invitation", ObjectID: i.ID, Content: map[string]any{"person": personID}})
	return token, i, nil
}

func (d *Desk) void(ctx context.Context, tx *store.Tx, id string) error {
	if _, err := tx.ExecContext(ctx, "UPDATE invitation SET void_ms = ?, password = '' WHERE id = ?", tx.NowMs, id); err != nil {
		return err
	}
	return d.forget(ctx, tx, pendingName(id))
}

// forget deletes a secret that may not be there.
func (d *Desk) forget(ctx context.Context, tx *store.Tx, name string) error {
	err := d.vault.Delete(ctx, tx, name)
	if fault.Is(err, "secret.none") {
		return nil
	}
	return err
}

// Settle is a second person's decision on a waiting invitation: it becomes good, or void.
func (d *Desk) Settle(ctx context.Context, tx *store.Tx, id string, approve bool) error {
	if !approve {
		return d.void(ctx, tx, id)
	}
	res, err := tx.ExecContext(ctx, "UPDATE invitation SET waiting = FALSE WHERE id = ? AND void_ms = 0 AND used_ms = 0 AND expires_ms > ?", id, tx.NowMs)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, fault.Conflict("id", "login.link_over"))
	}
	return nil
}

// Link is the address of a one-time link. base is where browsers find us.
func Link(base, token string) string { return strings.TrimRight(base, "/") + "/welcome/" + token }

// Welcome is what the page behind a link shows. Secret is nil until account and password were chosen.
type Welcome struct {
	Name      string // the person's
	Account   string // chosen so far, or the one the person has
	MustCode  bool   // an administrator, who must set up codes
	Secret    *Secret
	personID  string
	invite    Invitation
	actor     store.Actor
	hasSecret string
}

func pendingName(id string) string { return "invitation." + id }

// Open looks up a link. Errors: not_found login.link_over for one that is unknown, used, void or too old;
// conflict login.link_waiting for one that waits for a second person.
func (d *Desk) Open(ctx context.Context, token string) (w Welcome, err error) {
	return d.open(ctx, d.st.Read(), clock.Ms(d.st.Clock()), token)
}

func (d *Desk) open(ctx context.Context, db bun.IDB, nowMs int64, token string) (w Welcome, err error) {
	err = db.NewSelect().Model(&w.invite).Where("hash = ? AND used_ms = 0 AND void_ms = 0 AND expires_ms > ?", digest(token), nowMs).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return w, fault.NotFound("link", "login.link_over")
	}
	if err != nil {
		return w, err
	}
	var p identity.Person
	err = db.NewSelect().Model(&p).Where("id = ? AND active", w.invite.PersonID).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return w, fault.NotFound("link", "login.link_over")
	}
	if err != nil {
		return w, err
	}
	if w.invite.Waiting {
		return w, fault.Conflict("link", "login.link_waiting")
	}
	w.Name, w.personID, w.actor = p.Name, p.ID, store.Actor{ID: p.ID, Roles: p.Roles()}
	w.MustCode, w.Account = identity.Administrator(p.Roles()), w.invite.Account
	if w.Account == "" {
		acc, err := AccountOf(ctx, db, p.ID)
		if err != nil {
			return w, err
		}
		if acc != nil {
			w.Account = acc.Name
		}
		return w, nil
	}
	s, err := d.vault.Get(ctx, db, pendingName(w.invite.ID))
	if err != nil {
		return w, err
	}
	w.hasSecret = string(s)
	shown := secretFor(w.Account, w.hasSecret)
	w.Secret = &shown
	return w, nil
}

// Choose keeps the account and password that a person chose behind a link, and makes the secret for
// codes. It may be done again until the link is accepted. Errors: those of Open; invalid account or
// password; conflict login.account_taken.
func (d *Desk) Choose(ctx context.Context, token, account, password string) error {
	account = strings.TrimSpace(account)
	w, err := d.Open(ctx, token)
	if err != nil {
		return err
	}
	if err := CheckAccount(account); err != nil {
		return err
	}
	if err := CheckPassword("password", account, password); err != nil {
		return err
	}
	hash, err := d.hash(ctx, password)
	if err != nil {
		return err
	}
	return d.st.Write(ctx, w.actor, func(tx *store.Tx) error {
		w, err := d.open(ctx, tx, tx.NowMs, token)
		if err != nil {
			return err
		}
		other, err := oneAccount(ctx, tx, "folded = ?", fold(account))
		if err != nil {
			return err
		}
		if other != nil && other.PersonID != w.personID {
			return fault.Conflict("account", "login.account_taken")
		}
		if w.Secret == nil {
			if err := d.vault.Put(ctx, tx, pendingName(w.invite.ID), []byte(newSecret())); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, "UPDATE invitation SET account = ?, password = ? WHERE id = ?", account, hash, w.invite.ID)
		return err
	})
}

// Accept uses the link up: the account takes effect with the code's secret, or without one where that is
// allowed. Whatever the person had before, sessions, codes, passkeys, bindings to providers, is ended: a link is also the way
// back for somebody whose telephone was stolen. Errors: those of Open; conflict login.choose_first; invalid
// code login.bad_code; forbidden login.second_factor.
func (d *Desk) Accept(ctx context.Context, token, code string, skip bool) error {
	w, err := d.Open(ctx, token)
	if err != nil {
		return err
	}
	return d.st.Write(ctx, w.actor, func(tx *store.Tx) error {
		w, err := d.open(ctx, tx, tx.NowMs, token)
		if err != nil {
			return err
		}
		if w.Secret == nil {
			return fault.Conflict("account", "login.choose_first")
		}
		step := int64(0)
		switch {
		case skip && w.MustCode:
			return fault.Forbidden("login.second_factor")
		case !skip:
			if step = codeStep(w.hasSecret, strings.ReplaceAll(code, " ", ""), tx.NowMs, 0); step == 0 {
				return fault.Invalid("code", "login.bad_code")
			}
		}
		if err := set(ctx, tx, w.personID, w.invite.Account, w.invite.Password); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE account SET totp_ms = 0, totp_step = ? WHERE person_id = ?", step, w.personID); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM passkey WHERE person_id = ?", w.personID); err != nil {
			return err
		}
		if err := d.unbindAll(ctx, tx, "person_id", w.personID); err != nil {
			return err
		}
		if _, err := EndSessions(ctx, tx, w.personID, ""); err != nil {
			return err
		}
		if err := d.forget(ctx, tx, pendingName(w.invite.ID)); err != nil {
			return err
		}
		if skip {
			if err := d.forget(ctx, tx, secretName(w.personID)); err != nil {
				return err
			}
		} else {
			if err := d.vault.Put(ctx, tx, secretName(w.personID), []byte(w.hasSecret)); err != nil {
				return err
			}
			if err := turnOn(ctx, tx, w.personID); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "UPDATE invitation SET used_ms = ?, password = '' WHERE id = ?", tx.NowMs, w.invite.ID); err != nil {
			return err
		}
		tx.Record(store.Entry{Action: "invitation.accept", ObjectKind: "invitation", ObjectID: w.invite.ID, Content: map[string]any{"code": !skip}})
		return nil
	})
}

// HasCredentials says whether a person can already show who they are: by an account, a passkey, a provider or a token.
func HasCredentials(ctx context.Context, db bun.IDB, personID string) (bool, error) {
	var n int
	err := db.NewRaw(`SELECT (SELECT COUNT(*) FROM account WHERE person_id = ?0) + (SELECT COUNT(*) FROM passkey WHERE person_id = ?0) + (SELECT COUNT(*) FROM oidc_binding WHERE person_id = ?0 AND NOT waiting)
		+ (SELECT COUNT(*) FROM token WHERE person_id = ?0 AND revoked_ms = 0)`, personID).Scan(ctx, &n)
	return n > 0, err
}
