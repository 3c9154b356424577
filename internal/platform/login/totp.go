package login

import (
	"context"
	"encoding/base32"
	"net/url"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// One-time passwords by time (RFC 6238) with the parameters that every authenticator app takes: SHA-1, six
// digits, 30 seconds. A clock may be wrong by one step.
const (
	stepMs = 30_000
	drift  = 1
	issuer = "Fengsui"
)

var totpOptions = hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}

// Secret is what an authenticator app is given: the secret in base32 and the address that a QR code holds.
type Secret struct {
	Secret string `json:"secret"`
	URI    string `json:"uri"`
}

// secretName is where the vault keeps a person's secret; it is asked for only once TOTPMs is set.
func secretName(personID string) string { return "totp." + personID }

func newSecret() string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret.Random(20)) // RFC 4226, section 4: 160 bits
}

func secretFor(account, secret string) Secret {
	q := url.Values{"secret": {secret}, "issuer": {issuer}}
	return Secret{Secret: secret, URI: (&url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + issuer + ":" + account, RawQuery: q.Encode()}).String()}
}

// codeStep is the time step, later than after, whose code this is; 0 if there is none.
func codeStep(secret, code string, nowMs, after int64) int64 {
	for step := nowMs/stepMs - drift; step <= nowMs/stepMs+drift; step++ {
		if step <= after {
			continue
		}
		if ok, err := hotp.ValidateCustom(code, uint64(step), secret, totpOptions); err == nil && ok {
			return step
		}
	}
	return 0
}

// takeCode checks a code and uses it up, so that whoever saw it typed cannot type it again.
func (d *Desk) takeCode(ctx context.Context, tx *store.Tx, acc *Account, code string) (bool, error) {
	s, err := d.vault.Get(ctx, tx, secretName(acc.PersonID))
	if err != nil {
		return false, err
	}
	step := codeStep(string(s), code, tx.NowMs, acc.TOTPStep)
	if step == 0 {
		return false, nil
	}
	_, err = tx.ExecContext(ctx, "UPDATE account SET totp_step = ? WHERE person_id = ?", step, acc.PersonID)
	return true, err
}

// BeginTOTP makes a secret for the actor's account; codes are asked for once one was confirmed. Errors:
// not_found login.no_account; conflict login.totp_on.
func (d *Desk) BeginTOTP(ctx context.Context, tx *store.Tx) (Secret, error) {
	acc, err := own(ctx, tx, tx.Actor.ID)
	if err != nil {
		return Secret{}, err
	}
	if acc.TOTPMs != 0 {
		return Secret{}, fault.Conflict("totp", "login.totp_on")
	}
	s := newSecret()
	return secretFor(acc.Name, s), d.vault.Put(ctx, tx, secretName(acc.PersonID), []byte(s))
}

// ConfirmTOTP turns codes on when the app shows the right one. Errors: invalid code login.bad_code;
// conflict login.totp_on; not_found login.totp_not_begun.
func (d *Desk) ConfirmTOTP(ctx context.Context, tx *store.Tx, code string) error {
	acc, err := own(ctx, tx, tx.Actor.ID)
	if err != nil {
		return err
	}
	if acc.TOTPMs != 0 {
		return fault.Conflict("totp", "login.totp_on")
	}
	ok, err := d.takeCode(ctx, tx, acc, code)
	if fault.Is(err, "secret.none") {
		return fault.NotFound("totp", "login.totp_not_begun")
	}
	if err != nil {
		return err
	}
	if !ok {
		return fault.Invalid("code", "login.bad_code")
	}
	return turnOn(ctx, tx, acc.PersonID)
}

func turnOn(ctx context.Context, tx *store.Tx, personID string) error {
	if _, err := tx.ExecContext(ctx, "UPDATE account SET totp_ms = ? WHERE person_id = ?", tx.NowMs, personID); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "login.totp_on", ObjectKind: "person", ObjectID: personID})
	return nil
}

// RemoveTOTP turns codes off. It takes a code, and guesses at it count like those of a log-in. An
// administrator needs another second factor first. Errors: invalid code login.bad_code; too_many;
// conflict login.totp_off; forbidden login.last_factor.
func (d *Desk) RemoveTOTP(ctx context.Context, actor store.Actor, from From, code string) error {
	acc, err := own(ctx, d.st.Read(), actor.ID)
	if err != nil {
		return err
	}
	t := tryOf(acc.Name, from.Address)
	if err := d.charge(ctx, t); err != nil {
		return err
	}
	wrong := false
	err = d.st.Write(ctx, actor, func(tx *store.Tx) error {
		wrong = false
		acc, err := own(ctx, tx, tx.Actor.ID)
		if err != nil {
			return err
		}
		if acc.TOTPMs == 0 {
			return fault.Conflict("totp", "login.totp_off")
		}
		keys, err := countPasskeys(ctx, tx, actor.ID)
		if err != nil {
			return err
		}
		if identity.Administrator(actor.Roles) && keys == 0 {
			return fault.Forbidden("login.last_factor")
		}
		ok, err := d.takeCode(ctx, tx, acc, code)
		if err != nil || !ok {
			wrong = true
			return err
		}
		if err := forgive(ctx, tx, t, false); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE account SET totp_ms = 0 WHERE person_id = ?", actor.ID); err != nil {
			return err
		}
		if err := d.vault.Delete(ctx, tx, secretName(actor.ID)); err != nil {
			return err
		}
		tx.Record(store.Entry{Action: "login.totp_off", ObjectKind: "person", ObjectID: actor.ID})
		return nil
	})
	if err == nil && wrong {
		if err := d.refuse(ctx, t, actor.ID); !fault.Is(err, "login.refused") {
			return err
		}
		return fault.Invalid("code", "login.bad_code")
	}
	return err
}

// own is the account of the person who acts.
func own(ctx context.Context, db bun.IDB, personID string) (*Account, error) {
	acc, err := AccountOf(ctx, db, personID)
	if err == nil && acc == nil {
		err = fault.NotFound("account", "login.no_account")
	}
	return acc, err
}
