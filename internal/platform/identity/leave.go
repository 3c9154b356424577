package identity

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Token is an API token as it is listed; neither its clear text nor its hash is shown. Times are UTC
// milliseconds: ExpiresMs 0 means that it does not expire, RevokedMs 0 that it was not revoked.
type Token struct {
	bun.BaseModel `bun:"table:token" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	PersonID      string `json:"person_id"`
	Label         string `json:"label"`
	CreatedMs     int64  `json:"created_ms"`
	ExpiresMs     int64  `json:"expires_ms"`
	RevokedMs     int64  `json:"revoked_ms"`
	Waiting       bool   `json:"waiting"` // for a second person
}

// ListTokens lists a person's tokens, oldest first.
func ListTokens(ctx context.Context, db bun.IDB, a store.Actor, personID string) ([]Token, error) {
	if _, err := managed(ctx, db, a, personID, "person_id"); err != nil {
		return nil, err
	}
	out := []Token{}
	err := db.NewSelect().Model(&out).Where("person_id = ?", personID).Order("created_ms", "id").Scan(ctx)
	return out, err
}

// RevokeLabelled ends every token with a label that only a part of the system gives; for that part alone.
func RevokeLabelled(ctx context.Context, tx *store.Tx, label string) error {
	if !tx.Actor.IsSystem() {
		return fault.Forbidden("identity.not_allowed", "action", "person.manage")
	}
	var ids []string
	if err := tx.NewRaw("SELECT id FROM token WHERE label = ? AND revoked_ms = 0 ORDER BY id", label).Scan(ctx, &ids); err != nil {
		return err
	}
	for _, id := range ids {
		if err := RevokeToken(ctx, tx, id); err != nil {
			return err
		}
	}
	return nil
}

// RevokeToken ends a token at once; also one of one's own. Errors: forbidden without person.manage;
// not found; conflict identity.token_revoked.
func RevokeToken(ctx context.Context, tx *store.Tx, id string) error {
	if err := Require(tx.Actor, "person.manage"); err != nil {
		return err
	}
	var t Token
	if err := tx.NewSelect().Model(&t).Where("id = ?", id).Scan(ctx); err != nil {
		return store.Missing(err, "token_id")
	}
	if _, err := managed(ctx, tx, tx.Actor, t.PersonID, "token_id"); err != nil {
		return err
	}
	if t.RevokedMs != 0 {
		return fault.Conflict("token_id", "identity.token_revoked")
	}
	if _, err := tx.ExecContext(ctx, "UPDATE token SET revoked_ms = ? WHERE id = ?", tx.NowMs, id); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "token.revoke", ObjectKind: "token", ObjectID: id, Content: map[string]any{"person": t.PersonID}})
	return nil
}

// Deactivate takes every right from a person who has left: no token of theirs is good any longer. Not
// for oneself, so that somebody who hands out rights always remains. Errors: forbidden without
// person.manage or for oneself; not found; conflict identity.inactive.
func Deactivate(ctx context.Context, tx *store.Tx, personID string) error {
	p, err := managed(ctx, tx, tx.Actor, personID, "person_id")
	if err != nil {
		return err
	}
	if p.ID == tx.Actor.ID {
		return fault.Forbidden("identity.not_yourself")
	}
	if !p.Active {
		return fault.Conflict("person_id", "identity.inactive")
	}
	if _, err := tx.ExecContext(ctx, "UPDATE person SET active = FALSE WHERE id = ?", personID); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "person.deactivate", ObjectKind: "person", ObjectID: personID})
	return nil
}

// managed is the person if the actor may manage them.
func managed(ctx context.Context, db bun.IDB, a store.Actor, id, field string) (Person, error) {
	var p Person
	if err := Require(a, "person.manage"); err != nil {
		return p, err
	}
	if err := db.NewSelect().Model(&p).Where("id = ?", id).Scan(ctx); err != nil {
		return p, store.Missing(err, field)
	}
	return p, RequireDrill(a, p.DrillID)
}
