package containment

import (
	"context"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/node"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
)

// Module is the module of compiling postures; its version is the make that a node understands.
const Module = "posture"

// needed is the make that all postures in force need; 1 if there is none.
func needed(ctx context.Context, db bun.IDB) (n int64, err error) {
	err = db.NewRaw(`SELECT COALESCE(MAX(needs), 1) FROM posture AS p WHERE seq = (SELECT MAX(seq) FROM posture WHERE service_id = p.service_id)
		AND service_id IN (SELECT service_id FROM deployment WHERE role = 'primary')`).Scan(ctx, &n)
	return n, err
}

// need says what the postures in force need of control nodes: one that understands less leaves compiling to others, and compiles
// again when what it does not know was switched off.
func need(ctx context.Context, tx *store.Tx) error {
	n, err := needed(ctx, tx)
	if err != nil {
		return err
	}
	return node.Need(ctx, tx, Module, n)
}

// Understood refuses what a gateway or a control node that serves would not understand: such a gateway refuses the bundle, orders
// with it. Error: conflict containment.not_understood, which names them.
func Understood(ctx context.Context, db bun.IDB, oldest, nowMs int64) error {
	if oldest <= 1 {
		return nil
	}
	older, err := node.Older(ctx, db, Module, oldest, nowMs)
	if err != nil {
		return err
	}
	var members []Member
	if err := db.NewSelect().Model(&members).Where("revoked_ms = 0 AND understands < ?", oldest).Order("id").Scan(ctx); err != nil {
		return err
	}
	for _, m := range members {
		older = append(older, strings.TrimSpace(m.ID+" "+m.Version))
	}
	if len(older) > 0 {
		return fault.Conflict("value", "containment.not_understood", "names", strings.Join(older, ", "))
	}
	return nil
}

// understood is the same for rules that a setting would add.
func understood(ctx context.Context, tx *store.Tx, rules posture.Rules) error {
	return Understood(ctx, tx, posture.Draft{Rules: rules}.Needs(), tx.NowMs)
}

// TooOld lists the gateways that do not understand what is in force, by id.
func TooOld(ctx context.Context, st *store.Store) ([]Member, error) {
	n, err := needed(ctx, st.Read())
	if err != nil {
		return nil, err
	}
	out := []Member{}
	return out, st.Read().NewSelect().Model(&out).Where("revoked_ms = 0 AND understands < ? AND lease_until_ms > ?", n, clock.Ms(st.Clock())).Order("id").Scan(ctx)
}

// Unjudged lists the gateways on which classifiers of what is in force judge nothing, because their version has another model, by id.
func Unjudged(ctx context.Context, st *store.Store) ([]Member, error) {
	out := []Member{}
	return out, st.Read().NewSelect().Model(&out).Where("revoked_ms = 0 AND unjudged > 0 AND lease_until_ms > ?", clock.Ms(st.Clock())).Order("id").Scan(ctx)
}

// WithSilentGuards lists the gateways in contact on which a guard model gives no opinions, by id.
func WithSilentGuards(ctx context.Context, db bun.IDB) ([]string, error) {
	var ids []string
	return ids, db.NewSelect().Model((*GatewayRow)(nil)).Column("id").Where("effective AND guards_silent > 0").Order("id").Scan(ctx, &ids)
}

// mixed says whether a node or a gateway of another version than this serves. A version has one model.
func (c *Control) mixed(ctx context.Context, db bun.IDB, nowMs int64) (bool, error) {
	nodes, err := node.List(ctx, db, nowMs)
	if err != nil || slices.ContainsFunc(nodes, func(n node.Node) bool { return n.State == node.Serving && n.Version != c.o.Version }) {
		return err == nil, err
	}
	n, err := db.NewSelect().Model((*Member)(nil)).Where("revoked_ms = 0 AND lease_until_ms > ? AND version <> ?", nowMs, c.o.Version).Count(ctx)
	return n > 0, err
}
