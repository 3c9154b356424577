package containment

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"regexp"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/service"
)

// Periods of gateways that are processes of their own, in milliseconds.
const (
	JoinWithinMs int64 = 14 * 24 * 60 * 60 * 1000 // the longest life of a join token
	LeaseMs      int64 = 15 * 1000                // a gateway not heard of for so long is shown as not effective
)

// JoinPrefix begins every join token, so that secret scanners can find one that leaked.
const JoinPrefix = "fsj-"

// Join is a join token without what it is. Times are UTC milliseconds, 0 for never.
type Join struct {
	bun.BaseModel `bun:"table:gateway_join" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	Name          string `json:"name"`
	Hash          string `json:"-"`
	IssuedBy      string `json:"issued_by"`
	IssuedMs      int64  `json:"issued_ms"`
	ExpiresMs     int64  `json:"expires_ms"`
	UsedMs        int64  `json:"used_ms"`
}

// Member is a gateway that is a process of its own. Times are UTC milliseconds, 0 for never.
type Member struct {
	bun.BaseModel  `bun:"table:gateway_member" json:"-"`
	ID             string `bun:"id,pk" json:"id"`
	URL            string `bun:"url" json:"url"`
	CredentialHash string `json:"-"`
	PublicKey      string `json:"-"`
	Version        string `json:"version"`
	JoinID         string `json:"-"`
	JoinedMs       int64  `json:"joined_ms"`
	RevokedMs      int64  `json:"revoked_ms"`
	LeaseUntilMs   int64  `json:"lease_until_ms"`
	Understands    int64  `json:"understands" doc:"the newest make of postures that it understands"`
	Report         `bun:"embed:"`
}

// Report is how a gateway fares, as it says at each contact.
type Report struct {
	SpoolBytes int64 `json:"spool_bytes" doc:"waiting on its disk to be handed in"`
	Folded     int64 `json:"folded" doc:"rows folded for want of room, since its start"`
	Lost       int64 `json:"lost" doc:"rows lost, since its start"`
	Streams    int64 `json:"streams" doc:"open at its last contact"`
	Unkept     bool  `json:"unkept" doc:"the bundle that it obeys is not on its disk: a restart would go back to an older one"`
	Unjudged   int64 `json:"unjudged" doc:"classifiers that judge nothing there, because its version does not have their model"`

	GuardsSilent int64 `bun:"-" json:"-"` // guard models that give no opinions there; kept in GatewayRow, as gateways of control nodes have them too
}

var gatewayName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,39}$`)

func hashed(clear string) string {
	sum := sha256.Sum256([]byte(clear))
	return hex.EncodeToString(sum[:])
}

func sameHash(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// IssueJoin issues a token with which one gateway of this name enrols, once. lifetimeMs 0 is the longest. The
// token is returned once and kept nowhere; it names control's key, so that the gateway trusts no other.
// Errors: forbidden without service.manage; invalid name or lifetime; conflict for a name that is taken.
func (c *Control) IssueJoin(ctx context.Context, tx *store.Tx, name string, lifetimeMs int64) (Join, string, error) {
	if err := identity.Require(tx.Actor, "service.manage"); err != nil {
		return Join{}, "", err
	}
	if err := identity.RequireDrill(tx.Actor, ""); err != nil {
		return Join{}, "", err
	}
	if lifetimeMs == 0 {
		lifetimeMs = JoinWithinMs
	}
	switch {
	case !gatewayName.MatchString(name):
		return Join{}, "", fault.Invalid("name", "containment.gateway_name")
	case lifetimeMs < 0 || lifetimeMs > JoinWithinMs:
		return Join{}, "", fault.Invalid("lifetime_ms", "containment.join_lifetime")
	}
	var taken int
	if err := tx.NewRaw("SELECT (SELECT COUNT(*) FROM gateway WHERE id = ?) + (SELECT COUNT(*) FROM gateway_member WHERE id = ?)", name, name).Scan(ctx, &taken); err != nil {
		return Join{}, "", err
	}
	if taken > 0 {
		return Join{}, "", fault.Conflict("name", "containment.gateway_exists", "name", name)
	}
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails; the runtime aborts instead
	token := JoinPrefix + base64.RawURLEncoding.EncodeToString(raw) + "." + c.Fingerprint()
	j := Join{ID: tx.NewID(), Name: name, Hash: hashed(token), IssuedBy: tx.Actor.ID, IssuedMs: tx.NowMs, ExpiresMs: tx.NowMs + lifetimeMs}
	if _, err := tx.NewInsert().Model(&j).Exec(ctx); err != nil {
		return Join{}, "", err
	}
	tx.Record(store.Entry{Action: "gateway.invite", ObjectKind: "gateway", ObjectID: name, Content: j})
	tx.Touch(TopicAck)
	return j, token, nil
}

// Fingerprint is the SHA-256 of control's public key, hex.
func (c *Control) Fingerprint() string { return hashed(string(c.PublicKey())) }

// Enrolment is what a gateway states about itself when it joins.
type Enrolment struct {
	Credential string // made by the gateway; only its hash is kept
	PublicKey  string // X25519, base64
	URL        string // where control reaches it; "" = nowhere, so that orders cannot be probed there
	Version    string
	Makes      int64 // the newest make of postures that it understands; 0 from an older gateway, which does not say
}

// Enrol lets a gateway in by its join token. Asked again with the same token and the same credential, by a
// gateway that did not hear the answer, it says the same. Errors: unauthenticated containment.join_refused;
// conflict containment.gateway_old for one that would not understand what is in force;
// invalid fields.
func (c *Control) Enrol(ctx context.Context, tx *store.Tx, token string, e Enrolment) (Member, error) {
	refused := fault.Unauthenticated("containment.join_refused")
	var j Join
	if err := tx.NewSelect().Model(&j).Where("hash = ?", hashed(token)).Scan(ctx); err != nil {
		if fault.KindOf(store.Missing(err, "token")) == fault.KindNotFound {
			return Member{}, refused
		}
		return Member{}, err
	}
	if key, err := base64.StdEncoding.DecodeString(e.PublicKey); err != nil || len(key) != 32 {
		return Member{}, fault.Invalid("public_key", "posture.malformed", "field", "public_key")
	}
	if len(e.Credential) < 40 {
		return Member{}, fault.Invalid("credential", "posture.malformed", "field", "credential")
	}
	if err := checkGatewayURL(e.URL); err != nil {
		return Member{}, err
	}
	if j.UsedMs != 0 {
		m, err := service.Get[Member](ctx, tx, "id", j.Name)
		if err != nil || m.RevokedMs != 0 || !sameHash(m.CredentialHash, hashed(e.Credential)) {
			return Member{}, refused
		}
		return m, nil
	}
	if j.ExpiresMs <= tx.NowMs {
		return Member{}, refused
	}
	if n, err := needed(ctx, tx); err != nil {
		return Member{}, err
	} else if max(e.Makes, 1) < n {
		return Member{}, fault.Conflict("version", "containment.gateway_old", "version", e.Version)
	}
	m := Member{ID: j.Name, URL: strings.TrimRight(e.URL, "/"), CredentialHash: hashed(e.Credential), PublicKey: e.PublicKey, Version: e.Version, JoinID: j.ID, JoinedMs: tx.NowMs, Understands: max(e.Makes, 1)}
	if _, err := tx.ExecContext(ctx, "UPDATE gateway_join SET used_ms = ? WHERE id = ?", tx.NowMs, j.ID); err != nil {
		return Member{}, err
	}
	if n, err := tx.NewSelect().Model((*Member)(nil)).Where("id = ?", m.ID).Count(ctx); err != nil || n > 0 {
		if err == nil {
			err = refused // two tokens of one name: the first that was used has it
		}
		return Member{}, err
	}
	if _, err := tx.NewInsert().Model(&m).Exec(ctx); err != nil {
		return Member{}, err
	}
	// From here on orders wait for it: it is known, and not effective until it acknowledges.
	if _, err := tx.ExecContext(ctx, "INSERT INTO gateway (id, revision, last_seen_ms, effective) VALUES (?, 0, ?, ?)", m.ID, tx.NowMs, false); err != nil {
		return Member{}, err
	}
	tx.Record(store.Entry{Action: "gateway.join", ObjectKind: "gateway", ObjectID: m.ID, Content: m})
	tx.Touch(TopicAck)
	return m, nil
}

func checkGatewayURL(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fault.Invalid("url", "containment.gateway_url")
	}
	return nil
}

// Authenticate finds the gateway of a credential. Errors: unauthenticated containment.gateway_unknown, or
// containment.gateway_revoked, upon which a gateway closes.
func Authenticate(ctx context.Context, db bun.IDB, credential string) (Member, error) {
	var m Member
	if err := db.NewSelect().Model(&m).Where("credential_hash = ?", hashed(credential)).Scan(ctx); err != nil {
		if fault.KindOf(store.Missing(err, "credential")) == fault.KindNotFound {
			return m, fault.Unauthenticated("containment.gateway_unknown")
		}
		return m, err
	}
	if m.RevokedMs != 0 {
		return m, fault.Unauthenticated("containment.gateway_revoked")
	}
	return m, nil
}

// StillMember says whether a gateway that was let in a while ago still is. Error: unauthenticated
// containment.gateway_revoked.
func StillMember(ctx context.Context, db bun.IDB, id string) error {
	m, err := service.Get[Member](ctx, db, "id", id)
	if err == nil && m.RevokedMs != 0 {
		return fault.Unauthenticated("containment.gateway_revoked")
	}
	return err
}

// forgetAfterMs is how long a gateway inside a control node must not have been heard of before it may be forgotten.
const forgetAfterMs = store.NodeGone

// RevokeGateway takes a gateway's credential away: it closes as soon as it hears so, and orders no longer wait for it. One that had
// no credential, because it was part of a control node that is gone, is forgotten.
// Errors: forbidden without service.manage; not found; conflict if it was revoked before, or is part of a node that serves.
func (c *Control) RevokeGateway(ctx context.Context, tx *store.Tx, id string) error {
	if err := identity.Require(tx.Actor, "service.manage"); err != nil {
		return err
	}
	if err := identity.RequireDrill(tx.Actor, ""); err != nil {
		return err
	}
	m, err := service.Get[Member](ctx, tx, "id", id)
	if fault.KindOf(err) == fault.KindNotFound {
		var g GatewayRow
		if g, err = service.Get[GatewayRow](ctx, tx, "id", id); err == nil && g.LastSeenMs > tx.NowMs-forgetAfterMs {
			return fault.Conflict("id", "containment.gateway_serves", "name", id)
		}
	}
	if err != nil {
		return err
	}
	if m.RevokedMs != 0 {
		return fault.Conflict("id", "containment.gateway_revoked")
	}
	if _, err := tx.ExecContext(ctx, "UPDATE gateway_member SET revoked_ms = ?, lease_until_ms = 0 WHERE id = ?", tx.NowMs, id); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM gateway WHERE id = ?", id); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "gateway.revoke", ObjectKind: "gateway", ObjectID: id})
	tx.Touch(TopicAck)
	tx.Touch(TopicPosture) // which model judges hangs on who serves
	return nil
}

// NotMember refuses a name that a gateway which is a process of its own has or had: acknowledgements go by names.
// Error: conflict containment.gateway_exists.
func NotMember(ctx context.Context, db bun.IDB, name string) error {
	n, err := db.NewSelect().Model((*Member)(nil)).Where("id = ?", name).Count(ctx)
	if err == nil && n > 0 {
		return fault.Conflict("node", "containment.gateway_exists", "name", name)
	}
	return err
}

// Members lists the gateways that enrolled, with the revoked ones; it needs order.read.
func Members(ctx context.Context, db bun.IDB, a store.Actor) ([]Member, error) {
	if err := identity.Require(a, "order.read"); err != nil {
		return nil, err
	}
	out := []Member{}
	return out, db.NewSelect().Model(&out).Order("id").Scan(ctx)
}

// Stops lists the sealed tokens, the newest first, never their seals. Forbidden without order.read; a drill's stand-in
// sees none.
func Stops(ctx context.Context, db bun.IDB, a store.Actor) ([]Stop, error) {
	if err := identity.Require(a, "order.read"); err != nil {
		return nil, err
	}
	out := []Stop{}
	if identity.RequireDrill(a, "") != nil {
		return out, nil
	}
	return out, db.NewSelect().Model(&out).Order("issued_ms DESC", "id DESC").Limit(200).Scan(ctx)
}

// addresses are where gateways are reached for probes: those of the process itself, and, if it is to, those that members stated.
func (p *Prober) addresses(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	for id, at := range p.o.Addresses {
		out[id] = at
	}
	if !p.o.Members {
		return out, nil
	}
	var members []Member
	err := p.st.Read().NewSelect().Model(&members).Where("revoked_ms = 0 AND url <> ''").Scan(ctx)
	for _, m := range members {
		out[m.ID] = m.URL
	}
	return out, err
}

// Retire forgets the gateway that a process had in itself and has no more, so that no order waits for it.
func Retire(ctx context.Context, st *store.Store, id string) error {
	return st.Write(ctx, store.System("containment"), func(tx *store.Tx) error {
		res, err := tx.ExecContext(ctx, "DELETE FROM gateway WHERE id = ? AND id NOT IN (SELECT id FROM gateway_member)", id)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		tx.Record(store.Entry{Action: "gateway.revoke", ObjectKind: "gateway", ObjectID: id})
		tx.Touch(TopicAck)
		return nil
	})
}
