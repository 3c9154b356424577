// Package identity knows who somebody is and what they may do: persons, their roles, API tokens, and
// the policies that say who may do what. Rooms ask it where data is read or changed (design promise 12).
package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Person is somebody who can act. DrillID marks a stand-in who exists for one drill.
type Person struct {
	bun.BaseModel `bun:"table:person" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	Name          string `json:"name"`
	RolesJSON     string `bun:"roles" json:"-"`
	DrillID       string `json:"drill_id,omitempty"`
	Active        bool   `json:"active"`
	CreatedMs     int64  `json:"created_ms"`
}

// Roles are the person's role ids.
func (p Person) Roles() []string {
	var r []string
	_ = json.Unmarshal([]byte(p.RolesJSON), &r)
	return r
}

// AddPerson creates a person with roles. Errors: invalid name or roles; forbidden without person.manage.
func AddPerson(ctx context.Context, tx *store.Tx, name string, roles []string, drillID string) (Person, error) {
	if err := Require(tx.Actor, "person.manage"); err != nil {
		return Person{}, err
	}
	if err := RequireDrill(tx.Actor, drillID); err != nil {
		return Person{}, err
	}
	name = strings.TrimSpace(name)
	if name == "" {
		return Person{}, fault.Invalid("name", "error.required", "field", "name")
	}
	if len(roles) == 0 {
		return Person{}, fault.Invalid("roles", "error.required", "field", "roles")
	}
	for _, r := range roles {
		if _, ok := rules.parents[r]; !ok {
			return Person{}, fault.Invalid("roles", "identity.unknown_role", "role", r, "roles", strings.Join(Roles(), ", "))
		}
	}
	if err := adminsApart(roles); err != nil {
		return Person{}, err
	}
	js, _ := json.Marshal(roles)
	p := Person{ID: tx.NewID(), Name: name, RolesJSON: string(js), DrillID: drillID, Active: true, CreatedMs: tx.NowMs}
	if _, err := tx.NewInsert().Model(&p).Exec(ctx); err != nil {
		return Person{}, err
	}
	tx.Record(store.Entry{Action: "person.add", ObjectKind: "person", ObjectID: p.ID, Content: map[string]any{"name": name, "roles": roles}})
	return p, nil
}

// adminsApart keeps the three administrators three: who runs the system, who hands out rights, and who
// watches both are different persons.
func adminsApart(roles []string) error {
	held := map[string]bool{}
	for _, r := range roles {
		if strings.HasSuffix(r, "_admin") {
			held[r] = true
		}
	}
	if len(held) > 1 {
		return fault.Invalid("roles", "identity.admins_apart")
	}
	return nil
}

// ListPersons lists real persons, or with drillID the stand-ins of that drill.
func ListPersons(ctx context.Context, db bun.IDB, a store.Actor, drillID string) ([]Person, error) {
	if err := Require(a, "person.manage"); err != nil {
		return nil, err
	}
	if err := RequireDrill(a, drillID); err != nil {
		return nil, err
	}
	out := []Person{}
	err := db.NewSelect().Model(&out).Where("drill_id = ?", drillID).Order("created_ms", "id").Scan(ctx)
	return out, err
}

// Named is a person as others pick them: who they are and what they do here.
type Named struct {
	ID    string   `json:"id"`
	Name  string   `json:"name"`
	Roles []string `json:"roles"`
}

// Directory lists whom one may name for an allow-list: active real persons, for a drill's stand-in those of
// its drill. Sorted by name.
func Directory(ctx context.Context, db bun.IDB, a store.Actor) ([]Named, error) {
	if err := Require(a, "person.pick"); err != nil {
		return nil, err
	}
	var people []Person
	if err := db.NewSelect().Model(&people).Where("drill_id = ? AND active", a.Drill).Order("name", "id").Scan(ctx); err != nil {
		return nil, err
	}
	out := make([]Named, len(people))
	for k, p := range people {
		out[k] = Named{p.ID, p.Name, p.Roles()}
	}
	return out, nil
}

// NameOf is what to call a person whose id one has met.
type NameOf struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// NamesOf gives the names of persons by id, of those that there are. It lists nobody: who asks has the ids from
// what they may read. A drill's stand-in learns the names of its drill.
func NamesOf(ctx context.Context, db bun.IDB, a store.Actor, ids []string) ([]NameOf, error) {
	out := []NameOf{}
	if len(ids) == 0 {
		return out, nil
	}
	q := db.NewSelect().TableExpr("person").Column("id", "name").Where("id IN (?)", bun.List(ids)).Order("id")
	if a.Drill != "" {
		q = q.Where("drill_id = ?", a.Drill)
	}
	return out, q.Scan(ctx, &out)
}

// EndStandIns deactivates the stand-ins of a drill that has ended; their tokens are good no longer.
func EndStandIns(ctx context.Context, tx *store.Tx, drillID string) error {
	if err := Require(tx.Actor, "person.manage"); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "UPDATE person SET active = FALSE WHERE drill_id = ? AND drill_id <> ''", drillID)
	return err
}

// tokenPrefix lets secret scanners recognise a leaked token.
const tokenPrefix = "fst-"

// IssueToken makes an API token for a person; the clear text is returned once and never stored.
// lifetimeMs 0 means that it does not expire. One that a person issued is good only after SettleToken.
func IssueToken(ctx context.Context, tx *store.Tx, personID, label string, lifetimeMs int64) (clear, id string, err error) {
	if err := Require(tx.Actor, "person.manage"); err != nil {
		return "", "", err
	}
	if lifetimeMs < 0 {
		return "", "", fault.Invalid("lifetime_ms", "error.negative", "field", "lifetime_ms")
	}
	var p Person
	if err := tx.NewSelect().Model(&p).Where("id = ? AND active", personID).Scan(ctx); err != nil {
		return "", "", store.Missing(err, "person_id")
	}
	if err := RequireDrill(tx.Actor, p.DrillID); err != nil {
		return "", "", err
	}
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return "", "", err
	}
	clear = tokenPrefix + base64.RawURLEncoding.EncodeToString(raw)
	id = tx.NewID()
	expires := int64(0)
	if lifetimeMs > 0 {
		expires = tx.NowMs + lifetimeMs
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO token (id, person_id, hash, label, created_ms, expires_ms, waiting) VALUES (?, ?, ?, ?, ?, ?, ?)",
		id, personID, hashToken(clear), label, tx.NowMs, expires, !tx.Actor.IsSystem()); err != nil {
		return "", "", err
	}
	tx.Record(store.Entry{Action: "token.issue", ObjectKind: "token", ObjectID: id, Content: map[string]any{"person": personID, "label": label}})
	return clear, id, nil
}

// SettleToken is a second person's decision on a token that waits for one: it becomes good, or is revoked.
func SettleToken(ctx context.Context, tx *store.Tx, id string, approve bool) error {
	q := "UPDATE token SET waiting = FALSE WHERE id = ? AND revoked_ms = 0"
	args := []any{id}
	if !approve {
		q, args = "UPDATE token SET revoked_ms = ? WHERE id = ? AND revoked_ms = 0", []any{tx.NowMs, id}
	}
	res, err := tx.ExecContext(ctx, q, args...)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 && approve {
		return errors.Join(err, fault.Conflict("id", "identity.token_revoked"))
	}
	return nil
}

func hashToken(clear string) string {
	h := sha256.Sum256([]byte(clear))
	return hex.EncodeToString(h[:])
}

// Authenticate turns a bearer token into the actor it stands for.
// Errors: fault unauthenticated identity.bad_token, whatever is wrong with the token, or
// identity.drill_over for a stand-in whose drill does not run now; a database that
// does not answer is no fault of the token and comes back as it is.
func Authenticate(ctx context.Context, db bun.IDB, nowMs int64, token string) (store.Actor, error) {
	var row struct {
		ID, Roles, DrillID string
		Idle               bool
	}
	err := db.NewRaw(`SELECT p.id AS id, p.roles AS roles, p.drill_id AS drill_id,
		p.drill_id <> '' AND NOT EXISTS (SELECT 1 FROM drill d WHERE d.id = p.drill_id AND d.state = 'running') AS idle FROM token t JOIN person p ON p.id = t.person_id
		WHERE t.hash = ? AND NOT t.waiting AND t.revoked_ms = 0 AND (t.expires_ms = 0 OR t.expires_ms > ?) AND p.active`, hashToken(token), nowMs).Scan(ctx, &row)
	if errors.Is(err, sql.ErrNoRows) {
		return store.Actor{}, fault.Unauthenticated("identity.bad_token")
	}
	if err != nil {
		return store.Actor{}, fmt.Errorf("look up a token: %w", err)
	}
	if row.Idle {
		return store.Actor{}, fault.Unauthenticated("identity.drill_over")
	}
	a := store.Actor{ID: row.ID, Drill: row.DrillID}
	if err := json.Unmarshal([]byte(row.Roles), &a.Roles); err != nil {
		return store.Actor{}, err
	}
	return a, nil
}
