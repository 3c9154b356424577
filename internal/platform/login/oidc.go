package login

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/uptrace/bun"
	"golang.org/x/oauth2"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// FlowLasts is how long a browser may stay at the provider.
const FlowLasts = 10 * time.Minute

// Binding says that a provider means a person by a subject. Nothing else leads from one to the other: no
// mail address, no name. Times are UTC milliseconds, UsedMs 0 for never.
type Binding struct {
	bun.BaseModel `bun:"table:oidc_binding" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	PersonID      string `json:"-"`
	ProviderID    string `json:"provider_id"`
	Issuer        string `json:"issuer"`
	Subject       string `json:"subject"`
	Waiting       bool   `json:"waiting" doc:"for a second person; it is good for nothing until then"`
	CreatedMs     int64  `json:"created_ms"`
	UsedMs        int64  `json:"used_ms"`
}

type flow struct {
	bun.BaseModel                                                    `bun:"table:oidc_flow"`
	State, Browser, ProviderID, PersonID, SessionID, Nonce, Verifier string
	ExpiresMs                                                        int64
}

// Bindings lists the bindings of a person. Errors: forbidden without person.manage, except for oneself.
func Bindings(ctx context.Context, db bun.IDB, a store.Actor, personID string) ([]Binding, error) {
	out := []Binding{}
	if personID != a.ID {
		if err := mayManage(a); err != nil {
			return out, err
		}
	}
	err := db.NewSelect().Model(&out).Where("person_id = ?", personID).Order("created_ms", "id").Scan(ctx)
	return out, err
}

// Leave is where a browser is sent, and the cookie by which it is known when it comes back.
type Leave struct{ URL, Cookie string }

// BeginOIDC begins a log-in by a provider; with a person and the session that they are in, it begins to bind
// them instead. Errors: not found; those of discover; unavailable login.busy.
func (d *Desk) BeginOIDC(ctx context.Context, providerID, personID, sessionID string) (l Leave, err error) {
	p, err := provider(ctx, d.st.Read(), providerID)
	if err != nil {
		return l, err
	}
	f, err := d.discover(ctx, d.st.Read(), p)
	if err != nil {
		return l, err
	}
	state, browser := secretToken(), secretToken()
	row := flow{State: digest(state), Browser: digest(browser), ProviderID: p.ID, PersonID: personID, SessionID: sessionID, Nonce: secretToken(), Verifier: oauth2.GenerateVerifier()}
	err = d.st.Write(ctx, store.System("login"), func(tx *store.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM oidc_flow WHERE expires_ms < ?", tx.NowMs); err != nil {
			return err
		}
		n, err := tx.NewSelect().Model((*flow)(nil)).Count(ctx)
		if err != nil {
			return err
		}
		if n >= openAtMost {
			return fault.Unavailable("login.busy")
		}
		row.ExpiresMs = tx.NowMs + FlowLasts.Milliseconds()
		_, err = tx.NewInsert().Model(&row).Exec(ctx)
		return err
	})
	return Leave{URL: f.oauth2.AuthCodeURL(state, oidc.Nonce(row.Nonce), oauth2.S256ChallengeOption(row.Verifier)), Cookie: browser}, err
}

// Return is what a browser brings back from a provider.
type Return struct {
	ProviderID, Cookie       string
	State, Code, Issuer, Err string // as in the query
	From
}

// FinishOIDC ends what BeginOIDC began, once. An answer without a token has bound the person. Errors:
// invalid state login.oidc_over; unauthenticated login.refused or login.oidc_unknown; forbidden
// login.oidc_denied and login.oidc_bad; those of discover and of Bind; too_many.
func (d *Desk) FinishOIDC(ctx context.Context, r Return) (in In, err error) {
	if r.Cookie == "" { // another site sent this browser here, or it comes back too late
		return in, fault.Invalid("state", "login.oidc_over")
	}
	t := tryOf("", r.Address)
	if err := d.charge(ctx, t); err != nil {
		return in, err
	}
	var row flow
	err = d.st.Write(ctx, store.System("login"), func(tx *store.Tx) error {
		row = flow{}
		err := tx.NewRaw("DELETE FROM oidc_flow WHERE state = ? AND browser = ? AND provider_id = ? AND expires_ms > ? RETURNING *",
			digest(r.State), digest(r.Cookie), r.ProviderID, tx.NowMs).Scan(ctx, &row)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return in, err
	}
	if row.State == "" {
		return in, d.refuseAs(ctx, t, fault.Invalid("state", "login.oidc_over"))
	}
	p, err := provider(ctx, d.st.Read(), r.ProviderID)
	if err != nil {
		return in, err
	}
	subject, err := d.vouched(ctx, p, row, r)
	if err != nil {
		if fault.KindOf(err) == fault.KindUnavailable { // nobody's guess
			return in, errors.Join(err, d.st.Write(ctx, store.System("login"), func(tx *store.Tx) error { return forgive(ctx, tx, t, false) }))
		}
		return in, d.refuseAs(ctx, t, err)
	}
	unknown := false
	err = d.st.Write(ctx, store.System("login"), func(tx *store.Tx) error {
		in, unknown = In{}, false
		if row.PersonID != "" {
			return d.bindOwn(ctx, tx, row, p, subject)
		}
		var b Binding
		err := tx.NewSelect().Model(&b).Where("issuer = ? AND subject = ? AND NOT waiting", p.Issuer, subject).Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			unknown = true
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE oidc_binding SET used_ms = ? WHERE id = ?", tx.NowMs, b.ID); err != nil {
			return err
		}
		if err := forgive(ctx, tx, t, false); err != nil {
			return err
		}
		in.Token, in.Session, err = d.Begin(ctx, tx, b.PersonID, "oidc", r.From)
		return err
	})
	if unknown {
		err = fault.Unauthenticated("login.oidc_unknown", "name", p.Name)
	}
	if fault.KindOf(err) == fault.KindUnauthenticated {
		return In{}, d.refuseAs(ctx, t, err)
	}
	return in, err
}

// refuseAs counts and records a refusal, and says it in words that fit.
func (d *Desk) refuseAs(ctx context.Context, t try, says error) error {
	if err := d.refuse(ctx, t, ""); !fault.Is(err, "login.refused") {
		return err
	}
	return says
}

// vouched gives the subject that the provider vouches for, after everything about it was verified.
func (d *Desk) vouched(ctx context.Context, p Provider, row flow, r Return) (string, error) {
	bad := fault.Forbidden("login.oidc_bad", "name", p.Name)
	f, err := d.discover(ctx, d.st.Read(), p)
	if err != nil {
		return "", err
	}
	if r.Issuer != "" && r.Issuer != p.Issuer || r.Issuer == "" && f.saysIss {
		return "", bad.Because(errors.New("the callback names another issuer"))
	}
	if r.Err != "" || r.Code == "" {
		return "", fault.Forbidden("login.oidc_denied", "name", p.Name)
	}
	ctx = oidc.ClientContext(ctx, d.reach)
	token, err := f.oauth2.Exchange(ctx, r.Code, oauth2.VerifierOption(row.Verifier))
	if err != nil {
		var said *oauth2.RetrieveError
		if errors.As(err, &said) && said.Response.StatusCode < 500 {
			return "", bad.Because(err)
		}
		return "", fault.Unavailable("login.oidc_down", "name", p.Name).Because(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := f.VerifierContext(ctx, &oidc.Config{ClientID: p.ClientID, Now: d.st.Clock().Now}).Verify(ctx, raw)
	if err != nil {
		return "", bad.Because(err)
	}
	var says struct {
		For string `json:"azp"`
	}
	if err := id.Claims(&says); err != nil {
		return "", bad.Because(err)
	}
	switch {
	case id.Issuer != p.Issuer: // the library makes an exception for one company
		return "", bad.Because(errors.New("the token is of another issuer"))
	case says.For != "" && says.For != p.ClientID, says.For == "" && len(id.Audience) != 1:
		return "", bad.Because(errors.New("the token is for another client"))
	case subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(row.Nonce)) != 1:
		return "", bad.Because(errors.New("the token answers another request"))
	case id.Subject == "" || len(id.Subject) > longestSubject:
		return "", bad.Because(errors.New("the token names no subject"))
	}
	return id.Subject, nil
}

// longestSubject is that of OpenID Connect Core section 2, in bytes.
const longestSubject = 255

// bindOwn binds the person who began the flow, if they are still in the session that they began it in.
func (d *Desk) bindOwn(ctx context.Context, tx *store.Tx, row flow, p Provider, subject string) error {
	now := clock.Ms(d.st.Clock())
	n, err := tx.NewSelect().TableExpr("session AS s").Where("s.id = ? AND s.person_id = ? AND "+good, row.SessionID, row.PersonID, now, now-Idle.Milliseconds()).Count(ctx)
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.Unauthenticated("login.no_session")
	}
	var who identity.Person
	if err := tx.NewSelect().Model(&who).Where("id = ?", row.PersonID).Scan(ctx); err != nil {
		return err
	}
	// Who shows to be the subject is more than who was only said to be.
	var said []Binding
	if err := tx.NewSelect().Model(&said).Where("issuer = ? AND waiting AND (subject = ? OR person_id = ?)", p.Issuer, subject, who.ID).Scan(ctx); err != nil {
		return err
	}
	as(tx, who, func() {
		for _, b := range said {
			err = errors.Join(err, d.unbind(ctx, tx, b))
		}
		if err == nil {
			_, err = d.bind(ctx, tx, who.ID, p, subject, false)
		}
	})
	return err
}

// Bind binds a person to a subject by word of an administrator. Errors: forbidden without person.manage;
// invalid subject; not found; conflict login.oidc_bound, login.oidc_has_one.
func (d *Desk) Bind(ctx context.Context, tx *store.Tx, personID, providerID, subject string, waiting bool) (b Binding, err error) {
	if err := mayManage(tx.Actor); err != nil {
		return b, err
	}
	if subject = strings.TrimSpace(subject); subject == "" || len(subject) > longestSubject {
		return b, fault.Invalid("subject", "login.oidc_bad_subject")
	}
	if n, err := tx.NewSelect().Model((*identity.Person)(nil)).Where("id = ? AND active AND drill_id = ''", personID).Count(ctx); err != nil || n == 0 {
		return b, errors.Join(err, fault.NotFound("person_id", "error.not_found", "field", "person_id"))
	}
	var p Provider
	if err := tx.NewSelect().Model(&p).Where("id = ?", providerID).Scan(ctx); err != nil {
		return b, store.Missing(err, "provider_id")
	}
	return d.bind(ctx, tx, personID, p, subject, waiting)
}

func (d *Desk) bind(ctx context.Context, tx *store.Tx, personID string, p Provider, subject string, waiting bool) (Binding, error) {
	b := Binding{ID: tx.NewID(), PersonID: personID, ProviderID: p.ID, Issuer: p.Issuer, Subject: subject, Waiting: waiting, CreatedMs: tx.NowMs}
	var others []Binding
	if err := tx.NewSelect().Model(&others).Where("issuer = ? AND (subject = ? OR person_id = ?)", p.Issuer, subject, personID).Scan(ctx); err != nil {
		return b, err
	}
	if i := slices.IndexFunc(others, func(o Binding) bool { return o.Subject == subject }); i >= 0 {
		if o := others[i]; o.PersonID == personID && !o.Waiting && !waiting {
			return o, nil
		}
		return b, fault.Conflict("subject", "login.oidc_bound", "name", p.Name)
	}
	if len(others) > 0 {
		return b, fault.Conflict("person_id", "login.oidc_has_one", "name", p.Name)
	}
	if _, err := tx.NewInsert().Model(&b).Exec(ctx); err != nil {
		return b, err
	}
	if !waiting {
		tx.Record(store.Entry{Action: "oidc.bind", ObjectKind: "oidc_binding", ObjectID: b.ID, Content: map[string]any{"person": personID, "provider": p.ID}})
	}
	return b, nil
}

// SettleBinding is a second person's decision on a waiting binding: it becomes good, or is gone.
func (d *Desk) SettleBinding(ctx context.Context, tx *store.Tx, id string, approve bool) error {
	var b Binding
	if err := tx.NewSelect().Model(&b).Where("id = ? AND waiting", id).Scan(ctx); err != nil {
		return store.Missing(err, "id")
	}
	if !approve {
		_, err := tx.ExecContext(ctx, "DELETE FROM oidc_binding WHERE id = ?", id)
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE oidc_binding SET waiting = FALSE WHERE id = ?", id); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "oidc.bind", ObjectKind: "oidc_binding", ObjectID: b.ID, Content: map[string]any{"person": b.PersonID, "provider": b.ProviderID}})
	return nil
}

// Unbind takes a binding away and ends the sessions of its person. Errors: forbidden without person.manage;
// not found.
func (d *Desk) Unbind(ctx context.Context, tx *store.Tx, id string) error {
	if err := mayManage(tx.Actor); err != nil {
		return err
	}
	var b Binding
	if err := tx.NewSelect().Model(&b).Where("id = ?", id).Scan(ctx); err != nil {
		return store.Missing(err, "id")
	}
	if _, err := EndSessions(ctx, tx, b.PersonID, ""); err != nil {
		return err
	}
	return d.unbind(ctx, tx, b)
}

// UnbindOwn takes one of the actor's own bindings away. Errors: not found.
func (d *Desk) UnbindOwn(ctx context.Context, tx *store.Tx, id string) error {
	var b Binding
	if err := tx.NewSelect().Model(&b).Where("id = ? AND person_id = ?", id, tx.Actor.ID).Scan(ctx); err != nil {
		return store.Missing(err, "id")
	}
	return d.unbind(ctx, tx, b)
}

func (d *Desk) unbind(ctx context.Context, tx *store.Tx, b Binding) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM oidc_binding WHERE id = ?", b.ID); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "oidc.unbind", ObjectKind: "oidc_binding", ObjectID: b.ID, Content: map[string]any{"person": b.PersonID, "provider": b.ProviderID}})
	if !b.Waiting {
		return nil
	}
	return identity.Lapse(ctx, tx, "oidc_binding", b.ID, "oidc.unbind")
}

func (d *Desk) unbindAll(ctx context.Context, tx *store.Tx, column, id string) error {
	var bound []Binding
	if err := tx.NewSelect().Model(&bound).Where("? = ?", bun.Ident(column), id).Order("id").Scan(ctx); err != nil {
		return err
	}
	for _, b := range bound {
		if err := d.unbind(ctx, tx, b); err != nil {
			return err
		}
	}
	return nil
}
