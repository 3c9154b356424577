package login

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// How long a session lasts: without a sign of its owner, and at most.
const (
	Idle     = 8 * time.Hour
	Absolute = 24 * time.Hour
)

const (
	seenEvery = time.Minute         // the owner's last sign is written at most this often
	kept      = 30 * 24 * time.Hour // an ended session is forgotten after this
)

// Session is a log-in that lasts. Times are UTC milliseconds.
type Session struct {
	bun.BaseModel `bun:"table:session" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	PersonID      string `json:"-"`
	Hash          string `json:"-"`
	Roles         string `json:"-"`
	Way           string `json:"way"` // password, totp, passkey, oidc
	Address       string `json:"address"`
	Agent         string `json:"agent"`
	CreatedMs     int64  `json:"created_ms"`
	SeenMs        int64  `json:"seen_ms"`
	ExpiresMs     int64  `json:"expires_ms"`
	EndedMs       int64  `json:"-"`
	Current       bool   `bun:"-" json:"current"`
}

// From is where a log-in comes from.
type From struct {
	Address string // host or host:port
	Agent   string // what the browser calls itself
}

func secretToken() string {
	return base64.RawURLEncoding.EncodeToString(secret.Random(32))
}

func digest(clear string) string {
	h := sha256.Sum256([]byte(clear))
	return hex.EncodeToString(h[:])
}

// cut shortens what a stranger says of himself.
func cut(s string, n int) string {
	r := []rune(s)
	return string(r[:min(len(r), n)])
}

// Begin opens a session for a person who has shown who they are; way says how. The clear token is for
// the cookie and is stored nowhere. Errors: fault unauthenticated login.refused for a person who is not
// active, or who is a drill's stand-in.
func (d *Desk) Begin(ctx context.Context, tx *store.Tx, personID, way string, from From) (token string, s Session, err error) {
	var p identity.Person
	err = tx.NewSelect().Model(&p).Where("id = ? AND active AND drill_id = ''", personID).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return "", s, fault.Unauthenticated("login.refused")
	}
	if err != nil {
		return "", s, err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM session WHERE expires_ms < ?", tx.NowMs-kept.Milliseconds()); err != nil {
		return "", s, err
	}
	token = secretToken()
	s = Session{ID: tx.NewID(), PersonID: p.ID, Hash: digest(token), Roles: p.RolesJSON, Way: way, Address: host(from.Address), Agent: cut(from.Agent, 200),
		CreatedMs: tx.NowMs, SeenMs: tx.NowMs, ExpiresMs: tx.NowMs + Absolute.Milliseconds()}
	if _, err := tx.NewInsert().Model(&s).Exec(ctx); err != nil {
		return "", s, err
	}
	as(tx, p, func() {
		tx.Record(store.Entry{Action: "login.in", ObjectKind: "session", ObjectID: s.ID, Content: map[string]any{"way": way}})
	})
	return token, s, nil
}

// as lends the transaction to the person who has just shown who they are.
func as(tx *store.Tx, p identity.Person, fn func()) {
	was := tx.Actor
	tx.Actor = store.Actor{ID: p.ID, Roles: p.Roles()}
	fn()
	tx.Actor = was
}

// good are the sessions that are worth something now: not ended, not too old, not forgotten in a browser,
// and of an active person whose roles are those that the session began with.
const good = `s.ended_ms = 0 AND s.expires_ms > ? AND s.seen_ms > ? AND EXISTS
	(SELECT 1 FROM person AS p WHERE p.id = s.person_id AND p.active AND p.roles = s.roles)`

// Authenticate turns a session's token into the actor it stands for, and notes the sign of life.
// Errors: fault unauthenticated login.no_session, whatever is wrong with it.
func (d *Desk) Authenticate(ctx context.Context, token string) (store.Actor, Session, error) {
	a, s, err := d.Look(ctx, token)
	if now := clock.Ms(d.st.Clock()); err == nil && now-s.SeenMs >= seenEvery.Milliseconds() {
		err = d.st.Write(ctx, store.System("login"), func(tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, "UPDATE session SET seen_ms = ? WHERE id = ? AND seen_ms < ?", now, s.ID, now)
			return err
		})
	}
	if err != nil {
		return store.Actor{}, s, err
	}
	return a, s, nil
}

// Look is Authenticate for what happens without a person, such as a stream that asks again whether it may go
// on: it is no sign of life.
func (d *Desk) Look(ctx context.Context, token string) (store.Actor, Session, error) {
	now := clock.Ms(d.st.Clock())
	var s Session
	err := d.st.Read().NewSelect().Model(&s).ModelTableExpr("session AS s").ColumnExpr("s.*").Where("s.hash = ? AND "+good, digest(token), now, now-Idle.Milliseconds()).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return store.Actor{}, s, fault.Unauthenticated("login.no_session")
	}
	if err != nil {
		return store.Actor{}, s, fmt.Errorf("look up a session: %w", err)
	}
	a := store.Actor{ID: s.PersonID}
	if err := json.Unmarshal([]byte(s.Roles), &a.Roles); err != nil {
		return store.Actor{}, s, err
	}
	return a, s, nil
}

// Sessions lists the sessions of a person that are good now, newest first; current is the asker's own.
func (d *Desk) Sessions(ctx context.Context, personID, current string) ([]Session, error) {
	now := clock.Ms(d.st.Clock())
	out := []Session{}
	err := d.st.Read().NewSelect().Model(&out).ModelTableExpr("session AS s").ColumnExpr("s.*").Where("s.person_id = ? AND "+good, personID, now, now-Idle.Milliseconds()).OrderExpr("s.created_ms DESC, s.id DESC").Scan(ctx)
	for i := range out {
		out[i].Current = out[i].ID == current
	}
	return out, err
}

// EndSession ends one of the actor's own sessions. Errors: not found.
func EndSession(ctx context.Context, tx *store.Tx, id string) error {
	n, err := end(ctx, tx, "id = ? AND person_id = ?", id, tx.Actor.ID)
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.NotFound("session_id", "error.not_found", "field", "session_id")
	}
	tx.Record(store.Entry{Action: "login.out", ObjectKind: "session", ObjectID: id})
	return nil
}

// EndSessions ends all sessions of a person but one; except "" spares none. It says how many it ended.
func EndSessions(ctx context.Context, tx *store.Tx, personID, except string) (int64, error) {
	n, err := end(ctx, tx, "person_id = ? AND id <> ?", personID, except)
	if err == nil && n > 0 {
		tx.Record(store.Entry{Action: "login.out_everywhere", ObjectKind: "person", ObjectID: personID, Content: map[string]any{"sessions": n}})
	}
	return n, err
}

func end(ctx context.Context, tx *store.Tx, which string, args ...any) (int64, error) {
	res, err := tx.ExecContext(ctx, "UPDATE session SET ended_ms = ? WHERE ended_ms = 0 AND "+which, append([]any{tx.NowMs}, args...)...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}
