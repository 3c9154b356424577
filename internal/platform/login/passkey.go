package login

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
)

const (
	ceremonyLasts = 5 * time.Minute
	openAtMost    = 10_000 // ceremonies that nobody finished
	keysAtMost    = 20     // of one person
)

// site is where browsers find us. Passkeys are bound to its host, which must be a name.
type site struct {
	url *url.URL
	web *webauthn.WebAuthn // nil where the host is no name
}

// Serve tells the desk under which address browsers find it. Passkeys work there and nowhere else, and
// not on an address that is only a number.
func (d *Desk) Serve(public string) error {
	u, err := url.Parse(public)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil {
		return fault.Invalid("public-url", "login.public_url")
	}
	s := &site{url: &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}}
	if _, err := netip.ParseAddr(u.Hostname()); err != nil {
		s.web, err = webauthn.New(&webauthn.Config{RPID: s.url.Hostname(), RPDisplayName: "烽燧 Fengsui", RPOrigins: []string{s.url.String()}})
		if err != nil {
			return fault.Invalid("public-url", "login.public_url").Because(err)
		}
	}
	d.site.Store(s)
	return nil
}

// PublicURL is the address that Serve was given, without a slash at its end; "" before.
func (d *Desk) PublicURL() string {
	if s := d.site.Load(); s != nil {
		return s.url.String()
	}
	return ""
}

// Passkeys says whether a browser that reached us as host can use passkeys.
func (d *Desk) Passkeys(host string) bool {
	s := d.site.Load()
	if s == nil || s.web == nil {
		return false
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.EqualFold(host, s.url.Hostname())
}

func (d *Desk) web() (*webauthn.WebAuthn, error) {
	if s := d.site.Load(); s != nil && s.web != nil {
		return s.web, nil
	}
	return nil, fault.Unavailable("login.no_passkeys")
}

// Passkey is a passkey as it is listed. Times are UTC milliseconds, UsedMs 0 for never.
type Passkey struct {
	bun.BaseModel `bun:"table:passkey" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	PersonID      string `json:"-"`
	Handle        string `json:"-"`
	Credential    string `json:"-"`
	Label         string `json:"label"`
	CreatedMs     int64  `json:"created_ms"`
	UsedMs        int64  `json:"used_ms"`
}

func countPasskeys(ctx context.Context, db bun.IDB, personID string) (int, error) {
	n, err := db.NewSelect().Model((*Passkey)(nil)).Where("person_id = ?", personID).Count(ctx)
	return int(n), err
}

// ListPasskeys lists a person's passkeys, oldest first.
func ListPasskeys(ctx context.Context, db bun.IDB, personID string) ([]Passkey, error) {
	out := []Passkey{}
	err := db.NewSelect().Model(&out).Where("person_id = ?", personID).Order("created_ms", "id").Scan(ctx)
	return out, err
}

// holder is a person as the library wants to see one. The handle of a user is the person's id.
type holder struct {
	id, account, name string
	keys              []webauthn.Credential
}

func (h *holder) WebAuthnID() []byte                         { return []byte(h.id) }
func (h *holder) WebAuthnName() string                       { return h.account }
func (h *holder) WebAuthnDisplayName() string                { return h.name }
func (h *holder) WebAuthnCredentials() []webauthn.Credential { return h.keys }

func holderOf(ctx context.Context, db bun.IDB, personID string) (*holder, error) {
	var p identity.Person
	if err := db.NewSelect().Model(&p).Where("id = ? AND active AND drill_id = ''", personID).Scan(ctx); err != nil {
		return nil, store.Missing(err, "person_id")
	}
	h := &holder{id: p.ID, account: p.Name, name: p.Name}
	acc, err := AccountOf(ctx, db, personID)
	if err != nil {
		return nil, err
	}
	if acc != nil {
		h.account = acc.Name
	}
	list, err := ListPasskeys(ctx, db, personID)
	if err != nil {
		return nil, err
	}
	for _, k := range list {
		var c webauthn.Credential
		if err := json.Unmarshal([]byte(k.Credential), &c); err != nil {
			return nil, err
		}
		h.keys = append(h.keys, c)
	}
	return h, nil
}

// Ceremony is a passkey exchange that has begun: options go to the browser's credentials API, the id comes
// back with what that answers, within five minutes and once.
type Ceremony struct {
	Ceremony string `json:"ceremony"`
	Options  any    `json:"options"`
}

func openCeremony(ctx context.Context, tx *store.Tx, personID string, options any, s *webauthn.SessionData) (Ceremony, error) {
	js, err := json.Marshal(s)
	if err != nil {
		return Ceremony{}, err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM ceremony WHERE expires_ms < ?", tx.NowMs); err != nil {
		return Ceremony{}, err
	}
	var n int
	if err := tx.NewRaw("SELECT COUNT(*) FROM ceremony").Scan(ctx, &n); err != nil {
		return Ceremony{}, err
	}
	if n >= openAtMost {
		return Ceremony{}, fault.Unavailable("login.busy")
	}
	c := Ceremony{Ceremony: secretToken(), Options: options}
	_, err = tx.ExecContext(ctx, "INSERT INTO ceremony (id, person_id, state, expires_ms) VALUES (?, ?, ?, ?)", c.Ceremony, personID, string(js), tx.NowMs+ceremonyLasts.Milliseconds())
	return c, err
}

// take ends a ceremony and gives its state; a ceremony serves once, whatever becomes of it.
func (d *Desk) take(ctx context.Context, id, personID string) (s webauthn.SessionData, err error) {
	var found []string
	err = d.st.Write(ctx, store.System("login"), func(tx *store.Tx) error {
		found = nil
		return tx.NewRaw("DELETE FROM ceremony WHERE id = ? AND person_id = ? AND expires_ms > ? RETURNING state", id, personID, tx.NowMs).Scan(ctx, &found)
	})
	if err != nil {
		return s, err
	}
	if len(found) == 0 {
		return s, fault.Invalid("ceremony", "login.ceremony_over")
	}
	return s, json.Unmarshal([]byte(found[0]), &s)
}

// BeginPasskey begins to register a passkey for the actor.
func (d *Desk) BeginPasskey(ctx context.Context, tx *store.Tx) (Ceremony, error) {
	web, err := d.web()
	if err != nil {
		return Ceremony{}, err
	}
	h, err := holderOf(ctx, tx, tx.Actor.ID)
	if err != nil {
		return Ceremony{}, err
	}
	if len(h.keys) >= keysAtMost {
		return Ceremony{}, fault.Conflict("passkey", "login.passkeys_full", "n", keysAtMost)
	}
	options, s, err := web.BeginRegistration(h, webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
		ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(), UserVerification: protocol.VerificationRequired}),
		webauthn.WithExclusions(webauthn.Credentials(h.keys).CredentialDescriptors()), webauthn.WithConveyancePreference(protocol.PreferNoAttestation))
	if err != nil {
		return Ceremony{}, err
	}
	return openCeremony(ctx, tx, tx.Actor.ID, options, s)
}

// FinishPasskey registers what the browser answered. Errors: invalid ceremony login.ceremony_over; invalid
// credential login.bad_passkey; conflict login.passkey_known.
func (d *Desk) FinishPasskey(ctx context.Context, actor store.Actor, ceremony, label string, credential []byte) (k Passkey, err error) {
	web, err := d.web()
	if err != nil {
		return k, err
	}
	label = strings.TrimSpace(label)
	if label == "" {
		return k, fault.Invalid("label", "error.required", "field", "label")
	}
	s, err := d.take(ctx, ceremony, actor.ID)
	if err != nil {
		return k, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(credential)
	if err != nil {
		return k, fault.Invalid("credential", "login.bad_passkey").Because(err)
	}
	err = d.st.Write(ctx, actor, func(tx *store.Tx) error {
		h, err := holderOf(ctx, tx, actor.ID)
		if err != nil {
			return err
		}
		c, err := web.CreateCredential(h, s, parsed)
		if err != nil {
			return fault.Invalid("credential", "login.bad_passkey").Because(err)
		}
		js, err := json.Marshal(c)
		if err != nil {
			return err
		}
		k = Passkey{ID: tx.NewID(), PersonID: actor.ID, Handle: base64.RawURLEncoding.EncodeToString(c.ID), Credential: string(js), Label: label, CreatedMs: tx.NowMs}
		if n, err := tx.NewSelect().Model((*Passkey)(nil)).Where("handle = ?", k.Handle).Count(ctx); err != nil || n > 0 {
			return errors.Join(err, fault.Conflict("credential", "login.passkey_known"))
		}
		if _, err := tx.NewInsert().Model(&k).Exec(ctx); err != nil {
			return err
		}
		tx.Record(store.Entry{Action: "login.passkey_add", ObjectKind: "passkey", ObjectID: k.ID})
		return nil
	})
	return k, err
}

// RemovePasskey takes one of the actor's passkeys away. Errors: not found; forbidden login.last_factor for
// an administrator who has no other second factor.
func RemovePasskey(ctx context.Context, tx *store.Tx, id string) error {
	var k Passkey
	if err := tx.NewSelect().Model(&k).Where("id = ? AND person_id = ?", id, tx.Actor.ID).Scan(ctx); err != nil {
		return store.Missing(err, "passkey_id")
	}
	acc, err := AccountOf(ctx, tx, tx.Actor.ID)
	if err != nil {
		return err
	}
	n, err := countPasskeys(ctx, tx, tx.Actor.ID)
	if err != nil {
		return err
	}
	if identity.Administrator(tx.Actor.Roles) && n == 1 && (acc == nil || acc.TOTPMs == 0) {
		return fault.Forbidden("login.last_factor")
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM passkey WHERE id = ?", id); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "login.passkey_remove", ObjectKind: "passkey", ObjectID: id})
	return nil
}

// BeginLogin begins a log-in with whatever passkey the browser holds for us.
func (d *Desk) BeginLogin(ctx context.Context) (c Ceremony, err error) {
	web, err := d.web()
	if err != nil {
		return c, err
	}
	options, s, err := web.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return c, err
	}
	err = d.st.Write(ctx, store.System("login"), func(tx *store.Tx) error {
		c, err = openCeremony(ctx, tx, "", options, s)
		return err
	})
	return c, err
}

// FinishLogin logs in whoever the passkey belongs to. Errors: unauthenticated login.refused, whatever was
// wrong with it; invalid ceremony login.ceremony_over; too_many.
func (d *Desk) FinishLogin(ctx context.Context, from From, ceremony string, credential []byte) (in In, err error) {
	web, err := d.web()
	if err != nil {
		return in, err
	}
	t := tryOf("", from.Address)
	if err := d.charge(ctx, t); err != nil {
		return in, err
	}
	s, err := d.take(ctx, ceremony, "")
	if err != nil {
		return in, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(credential)
	if err != nil {
		return in, d.refuse(ctx, t, "")
	}
	personID, refused := "", false
	err = d.st.Write(ctx, store.System("login"), func(tx *store.Tx) error {
		in, personID, refused = In{}, "", true
		user, c, err := web.ValidatePasskeyLogin(func(raw, user []byte) (webauthn.User, error) { return holderOf(ctx, tx, string(user)) }, s, parsed)
		if err != nil {
			return nil //nolint:nilerr // whatever is wrong, the answer is the same
		}
		personID = string(user.WebAuthnID())
		if c.Authenticator.CloneWarning { // the counter did not grow: two devices hold this key
			tx.Record(store.Entry{Action: "login.passkey_cloned", ObjectKind: "person", ObjectID: personID})
			return nil
		}
		refused = false
		if err := used(ctx, tx, c); err != nil {
			return err
		}
		if err := forgive(ctx, tx, t, false); err != nil {
			return err
		}
		in.Token, in.Session, err = d.Begin(ctx, tx, personID, "passkey", from)
		return err
	})
	if err == nil && refused {
		return in, d.refuse(ctx, t, personID)
	}
	return in, err
}

// used keeps what the authenticator said of itself, above all its counter.
func used(ctx context.Context, tx *store.Tx, c *webauthn.Credential) error {
	js, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE passkey SET credential = ?, used_ms = ? WHERE handle = ?", string(bytes.TrimSpace(js)), tx.NowMs, base64.RawURLEncoding.EncodeToString(c.ID))
	return err
}
