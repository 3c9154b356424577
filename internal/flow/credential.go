package flow

import (
	"context"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/login"
	"github.com/fengsui/fengsui/internal/platform/notify"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Invited is a one-time link for a person. Waiting says that it is good only after a second person has
// confirmed it.
type Invited struct {
	URL       string `json:"url"`
	ExpiresMs int64  `json:"expires_ms"`
	Waiting   bool   `json:"waiting"`
}

// Nobody brings a credential for somebody else into being alone: whoever could would act as two
// persons, with ghosts that they made or with the names of real ones, and every second signature would be
// worth nothing. What one administrator issues is good when another confirms it. First starts and the
// command line are the exception: who holds the data folder stands above this anyway.

// Invite issues a one-time link for a person; those issued before are void.
func (h *House) Invite(ctx context.Context, tx *store.Tx, personID string) (Invited, error) {
	alone := !tx.Actor.IsSystem()
	token, i, err := h.Login.Invite(ctx, tx, personID, alone)
	if err != nil {
		return Invited{}, err
	}
	if err := h.credential(ctx, tx, "invitation", i.ID, personID, alone); err != nil {
		return Invited{}, err
	}
	return Invited{URL: login.Link(h.Login.PublicURL(), token), ExpiresMs: i.ExpiresMs, Waiting: alone}, nil
}

// IssueToken issues an API token for a person; see identity.IssueToken.
func (h *House) IssueToken(ctx context.Context, tx *store.Tx, personID, label string, lifetimeMs int64) (token string, waiting bool, err error) {
	token, id, err := identity.IssueToken(ctx, tx, personID, label, lifetimeMs)
	if err != nil {
		return "", false, err
	}
	waiting = !tx.Actor.IsSystem()
	return token, waiting, h.credential(ctx, tx, "token", id, personID, waiting)
}

// BindOIDC binds a person to what an identity provider calls them; see login.Desk.Bind.
func (h *House) BindOIDC(ctx context.Context, tx *store.Tx, personID, providerID, subject string) (login.Binding, error) {
	alone := !tx.Actor.IsSystem()
	b, err := h.Login.Bind(ctx, tx, personID, providerID, subject, alone)
	if err != nil {
		return b, err
	}
	return b, h.credential(ctx, tx, "oidc_binding", b.ID, personID, alone)
}

// credential asks for the second signature, and tells a person who can read it that a credential in
// their name was issued.
func (h *House) credential(ctx context.Context, tx *store.Tx, kind, id, personID string, alone bool) error {
	if alone {
		if _, err := identity.AskSecond(ctx, tx, identity.SecondSignature{Action: "person.vouch", ObjectKind: kind, ObjectID: id, Reason: kind}, personID); err != nil {
			return err
		}
	}
	has, err := login.HasCredentials(ctx, tx, personID)
	if err != nil || !has {
		return err
	}
	return h.tell(ctx, tx, personID, key("credential", id), "login.credential", "real", kind, id, notify.ID("id", id), notify.ID("by", tx.Actor.ID))
}

// WaitingCredentials lists what waits for a second person, oldest first.
func (h *House) WaitingCredentials(ctx context.Context, a store.Actor) ([]identity.SecondSignature, error) {
	if err := identity.Require(a, "person.vouch"); err != nil {
		return nil, err
	}
	if err := identity.RequireDrill(a, ""); err != nil {
		return nil, err
	}
	out := []identity.SecondSignature{}
	err := h.Store.Read().NewSelect().Model(&out).Where("action = 'person.vouch' AND state = 'requested'").Order("requested_ms", "id").Scan(ctx)
	return out, err
}

// DecideCredential makes an invitation, token or binding good, or void. Not for who issued it.
func (h *House) DecideCredential(ctx context.Context, tx *store.Tx, id string, approve bool) (identity.SecondSignature, error) {
	if err := identity.Require(tx.Actor, "person.vouch"); err != nil {
		return identity.SecondSignature{}, err
	}
	s, err := identity.DecideSecond(ctx, tx, id, approve)
	if err != nil {
		return s, err
	}
	if s.Action != "person.vouch" {
		return s, fault.NotFound("id", "error.not_found", "field", "id")
	}
	switch s.ObjectKind {
	case "invitation":
		return s, h.Login.Settle(ctx, tx, s.ObjectID, approve)
	case "oidc_binding":
		return s, h.Login.SettleBinding(ctx, tx, s.ObjectID, approve)
	}
	return s, identity.SettleToken(ctx, tx, s.ObjectID, approve)
}
