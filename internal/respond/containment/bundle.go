package containment

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/service"
)

// ErrStale says that gateway keys changed since the last revision; Refresh makes a new one.
var ErrStale = errors.New("containment: gateway keys changed since the last revision")

type bundleState struct {
	Revision   int64
	OrderSeq   int64
	KeysDigest string
	ChangedMs  int64
}

// Made is a signed bundle with what it says in the clear.
type Made struct {
	Signed   posture.Signed
	Epoch    int64
	Revision int64
	Digest   string
	OrderIDs []string // in force, by seq
}

// same says that both are one bundle. A database that was set back gives a revision that it gave before to other orders.
func (m *Made) same(as *Made) bool {
	return m != nil && m.Epoch == as.Epoch && m.Revision == as.Revision && m.Digest == as.Digest
}

// Bundle makes what gateways are to obey, from the database alone: after a restart the same revision
// gives the same bytes. Error: ErrStale.
func (c *Control) Bundle(ctx context.Context, db bun.IDB) (Made, error) {
	// One read transaction, so that revision, postures, keys and orders belong together.
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return Made{}, err
	}
	defer tx.Rollback() //nolint:errcheck // it only read
	return c.bundle(ctx, tx)
}

func (c *Control) bundle(ctx context.Context, db bun.IDB) (Made, error) {
	var st bundleState
	if err := db.NewRaw("SELECT revision, order_seq, keys_digest, changed_ms FROM bundle_state WHERE id = 1").Scan(ctx, &st.Revision, &st.OrderSeq, &st.KeysDigest, &st.ChangedMs); err != nil {
		return Made{}, err
	}
	keys, digest, err := gatewayKeys(ctx, db)
	if err != nil {
		return Made{}, err
	}
	if digest != st.KeysDigest && c.o.May() || st.Revision == 0 { // what a newer program wrote this one may put otherwise
		return Made{}, ErrStale
	}
	postures, err := c.currentPostures(ctx, db)
	if err != nil {
		return Made{}, err
	}
	orders, err := inForce(ctx, db, "")
	if err != nil {
		return Made{}, err
	}
	m := Made{Revision: st.Revision, OrderIDs: []string{}}
	if m.Epoch, err = c.o.Epoch(ctx, db); err != nil {
		return Made{}, err
	}
	wire := make([]posture.Order, 0, len(orders))
	for _, o := range orders {
		svc, err := service.Get[service.Service](ctx, db, "service_id", o.ServiceID)
		if err != nil {
			return Made{}, err
		}
		wire, keys, m.OrderIDs = append(wire, o.Wire()), append(keys, c.probeKey(o, svc)), append(m.OrderIDs, o.ID)
	}
	stops, err := spentStops(ctx, db)
	if err != nil {
		return Made{}, err
	}
	m.Signed, err = posture.NewBundle(c.o.Key, posture.Bundle{Epoch: m.Epoch, Revision: st.Revision, OrderSeq: st.OrderSeq, IssuedMs: st.ChangedMs, Keys: keys, Stops: stops}, postures, wire)
	m.Digest = m.Signed.Digest()
	return m, err
}

// gatewayKeys are the keys of clients that were not revoked, with a digest that changes when they do.
func gatewayKeys(ctx context.Context, db bun.IDB) ([]posture.GatewayKey, string, error) {
	var rows []service.GatewayKey
	if err := db.NewSelect().Model(&rows).Where("revoked_ms = 0").Order("id").Scan(ctx); err != nil {
		return nil, "", err
	}
	keys := []posture.GatewayKey{}
	for _, k := range rows {
		keys = append(keys, posture.GatewayKey{ID: k.ID, Hash: k.Hash, OperatorID: k.OperatorID, TenantID: k.Tenant, ServiceID: k.ServiceID, Group: k.UserGroup,
			Kind: posture.Kind(k.TrafficKind), Simulated: k.Simulated, Enabled: true})
	}
	js, err := json.Marshal(keys)
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(js)
	return keys, hex.EncodeToString(sum[:]), nil
}

// currentPostures are those of the services that somebody can ask, or that an order is about. The others, each drill leaves one, would
// make every order slower for ever.
func (c *Control) currentPostures(ctx context.Context, db bun.IDB) ([]*posture.Posture, error) {
	var rows []PostureRow
	if err := db.NewSelect().Model(&rows).Where("seq = (SELECT MAX(p.seq) FROM posture AS p WHERE p.service_id = posture_row.service_id)").
		Where("service_id IN (SELECT service_id FROM gateway_key WHERE revoked_ms = 0) OR service_id IN (SELECT service_id FROM disposal_order WHERE state = ?)", InForce).
		Order("service_id").Scan(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	keep := make(map[string]*posture.Posture, len(rows))
	out := make([]*posture.Posture, 0, len(rows))
	for _, r := range rows {
		p := c.compiled[r.Digest]
		if p == nil {
			var err error
			// What this program does not understand, because a newer one compiled it, goes on to gateways that do, with every order.
			if p, err = posture.Carry([]byte(r.Body)); err != nil {
				return nil, err
			}
		}
		keep[r.Digest] = p
		out = append(out, p)
	}
	c.compiled = keep
	return out, nil
}

// KeyProbe begins the ids of the keys of our own probes; their traffic is nobody's.
const KeyProbe = posture.ProbeKey

// probeGroup is a group that no audience limit allows.
const probeGroup = "fengsui-probe"

// probeSecret is the clear key with which a probe shows that an order binds. It is derived, so that
// it is stored nowhere, and it is good only while the order is in force.
func (c *Control) probeSecret(orderID string) string {
	mac := hmac.New(sha256.New, c.o.ProbeSecret)
	mac.Write([]byte("fengsui/probe-key/v1\x00" + orderID))
	return posture.KeyPrefix + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// probeKey stands inside the order's scope. A real order is probed with test traffic, which no
// count of users holds; a drill order with drill traffic, because it binds no other.
func (c *Control) probeKey(o Order, svc service.Service) posture.GatewayKey {
	k := posture.GatewayKey{ID: KeyProbe + o.ID, Hash: posture.HashKey(c.probeSecret(o.ID)), OperatorID: svc.OperatorID, ServiceID: o.ServiceID,
		TenantID: o.Scope.TenantID, Group: o.Scope.Group, Kind: posture.Test, Simulated: true, Enabled: true}
	if o.Kind == string(posture.Drill) {
		k.Kind = posture.Drill
	}
	if k.TenantID == "" {
		k.TenantID = probeGroup
	}
	if k.Group == "" {
		k.Group = probeGroup
	}
	return k
}

// Refresh compiles the posture of every service that has a primary deployment and takes changed keys
// into a new revision. Call it when a lexicon, a service, a deployment or a key changed. A service
// whose posture cannot be compiled keeps its last one; its error is in failed, by service id.
func (c *Control) Refresh(ctx context.Context, st *store.Store, reason string) (failed map[string]error, err error) {
	if !c.o.May() {
		return nil, nil // nodes of two ages that put the same rules otherwise would each undo the other's for ever
	}
	services, err := service.List[service.Service](ctx, st.Read(), "")
	if err != nil {
		return nil, err
	}
	failed = map[string]error{}
	for _, s := range services {
		n, err := st.Read().NewSelect().Model((*service.Deployment)(nil)).Where("service_id = ? AND role = 'primary'", s.ID).Count(ctx)
		if err != nil {
			return failed, err
		}
		if n == 0 {
			continue // not served yet
		}
		// One transaction a service: a bad one must not hold up the others.
		if err := st.Write(ctx, store.System("containment"), func(tx *store.Tx) error {
			_, err := c.CompilePosture(ctx, tx, s.ID, reason)
			return err
		}); err != nil {
			failed[s.ID] = err
		}
	}
	return failed, st.Write(ctx, store.System("containment"), func(tx *store.Tx) error {
		_, digest, err := gatewayKeys(ctx, tx)
		if err != nil {
			return err
		}
		var have string
		if err := tx.NewRaw("SELECT keys_digest FROM bundle_state WHERE id = 1").Scan(ctx, &have); err != nil || have == digest {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE bundle_state SET keys_digest = ? WHERE id = 1", digest); err != nil {
			return err
		}
		tx.Touch(TopicOrder)
		return bump(ctx, tx)
	})
}
