package plan

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Topic is woken when a plan is drafted or approved.
const Topic = "plan"

// State is where a version stands.
type State string

// The states of a version. Its body never changes.
const (
	Draft    State = "draft"
	Approved State = "approved"
	Retired  State = "retired" // a newer version was approved
)

// StarterSource marks what ships with Fengsui and no person has approved here.
const StarterSource = "starter"

// Version is one version of a plan as it is kept.
type Version struct {
	bun.BaseModel `bun:"table:plan" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	Version       int    `bun:"version,pk" json:"version"`
	Scenario      string `json:"scenario"`
	Category      string `json:"category"`
	Level         int    `json:"level"`
	Edition       string `json:"edition"`
	Body          string `json:"-"`
	Digest        string `json:"digest"`
	State         State  `json:"state"`
	CreatedBy     string `json:"created_by"`
	ApprovedBy    string `json:"approved_by"`
	CreatedMs     int64  `json:"created_ms"`
	ApprovedMs    int64  `json:"approved_ms"`
	Plan          *Plan  `bun:"-" json:"plan"`
}

// AfterScanRow reads the body.
func (v *Version) AfterScanRow(context.Context) error {
	v.Plan = new(Plan)
	return json.Unmarshal([]byte(v.Body), v.Plan)
}

var _ bun.AfterScanRowHook = (*Version)(nil)

// Import files plans as drafts of their next version. A plan whose newest version has the same
// content is left as it is and returned. Forbidden without plan.draft; not for a drill's stand-in.
func (r Rules) Import(ctx context.Context, tx *store.Tx, plans []Plan) ([]Version, error) {
	if err := identity.Require(tx.Actor, "plan.draft"); err != nil {
		return nil, err
	}
	if err := identity.RequireDrill(tx.Actor, ""); err != nil {
		return nil, err
	}
	out := []Version{}
	for _, p := range plans {
		if err := r.check(p.ID, p); err != nil {
			return nil, err
		}
		v, err := file(ctx, tx, p)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func file(ctx context.Context, tx *store.Tx, p Plan) (Version, error) {
	body, digest, err := p.canonical()
	if err != nil {
		return Version{}, err
	}
	var rows []Version
	if err := tx.NewSelect().Model(&rows).Where("id = ?", p.ID).Order("version DESC").Limit(1).Scan(ctx); err != nil {
		return Version{}, err
	}
	version := 1
	if len(rows) > 0 {
		if rows[0].Digest == digest {
			return rows[0], nil
		}
		version = rows[0].Version + 1
	}
	v := Version{ID: p.ID, Version: version, Scenario: p.Scenario, Category: p.Category, Level: p.Level, Edition: p.Edition, Body: body, Digest: digest, State: Draft,
		CreatedBy: tx.Actor.ID, CreatedMs: tx.NowMs, Plan: &p}
	if _, err := tx.NewInsert().Model(&v).Exec(ctx); err != nil {
		return v, err
	}
	tx.Record(store.Entry{Action: "plan.draft", ObjectKind: "plan", ObjectID: v.ID, Content: map[string]any{"version": v.Version, "digest": v.Digest}})
	tx.Touch(Topic)
	return v, nil
}

// Approve puts a draft in force and retires the version before it. The approver is of top management
// (plan.approve) and not the drafter. Errors: not found; forbidden; conflict unless it is a draft.
func Approve(ctx context.Context, tx *store.Tx, id string, version int) (Version, error) {
	if err := identity.Require(tx.Actor, "plan.approve"); err != nil {
		return Version{}, err
	}
	if err := identity.RequireDrill(tx.Actor, ""); err != nil {
		return Version{}, err
	}
	v, err := Get(ctx, tx, id, version)
	if err != nil {
		return v, err
	}
	if v.State != Draft {
		return v, fault.Conflict("version", "error.transition", "state", v.State, "event", "approve", "allowed", "")
	}
	if err := identity.TwoPersons(v.CreatedBy, tx.Actor.ID); err != nil {
		return v, err
	}
	return v, v.approve(ctx, tx, tx.Actor.ID)
}

func (v *Version) approve(ctx context.Context, tx *store.Tx, by string) error {
	if _, err := tx.ExecContext(ctx, "UPDATE plan SET state = ? WHERE id = ? AND state = ?", Retired, v.ID, Approved); err != nil {
		return err
	}
	v.State, v.ApprovedBy, v.ApprovedMs = Approved, by, tx.NowMs
	if _, err := tx.NewUpdate().Model(v).Column("state", "approved_by", "approved_ms").WherePK().Exec(ctx); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "plan.approve", ObjectKind: "plan", ObjectID: v.ID, Content: map[string]any{"version": v.Version, "digest": v.Digest, "by": by}})
	tx.Touch(Topic)
	return nil
}

// InstallStarter files the plans that ship. One that is new here is in force at once, approved by
// "starter", so that the first night has a plan; a changed one becomes a draft for management. Only a
// part of the system does this. It returns how many versions were new.
func (r Rules) InstallStarter(ctx context.Context, tx *store.Tx) (int, error) {
	if !tx.Actor.IsSystem() {
		return 0, fault.Forbidden("identity.not_allowed", "action", "plan.install")
	}
	plans, err := r.Starter()
	if err != nil {
		return 0, err
	}
	n := 0
	for _, p := range plans {
		before, err := tx.NewSelect().Model((*Version)(nil)).Where("id = ?", p.ID).Count(ctx)
		if err != nil {
			return n, err
		}
		v, err := file(ctx, tx, p)
		if err != nil {
			return n, err
		}
		if v.CreatedMs == tx.NowMs && v.State == Draft && v.CreatedBy == tx.Actor.ID {
			n++
		}
		if before == 0 {
			if err := v.approve(ctx, tx, StarterSource); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// Get reads one version; version 0 is the newest. Who may read plans is asked by List and Show.
func Get(ctx context.Context, db bun.IDB, id string, version int) (Version, error) {
	var v Version
	q := db.NewSelect().Model(&v).Where("id = ?", id).Order("version DESC").Limit(1)
	if version != 0 {
		q = q.Where("version = ?", version)
	}
	err := q.Scan(ctx)
	return v, store.Missing(err, "id")
}

// Show is Get for a person: forbidden without plan.read.
func Show(ctx context.Context, db bun.IDB, a store.Actor, id string, version int) (Version, error) {
	if err := identity.Require(a, "plan.read"); err != nil {
		return Version{}, err
	}
	return Get(ctx, db, id, version)
}

// List shows all versions in a state, or all for "", by id and newest version first.
func List(ctx context.Context, db bun.IDB, a store.Actor, state State) ([]Version, error) {
	if err := identity.Require(a, "plan.read"); err != nil {
		return nil, err
	}
	out := []Version{}
	q := db.NewSelect().Model(&out).Order("id", "version DESC")
	if state != "" {
		q = q.Where("state = ?", state)
	}
	return out, q.Scan(ctx)
}

// Select finds the plan in force for an incident: of its level, for its subtype, else for its type
// (content of content.false), else for any; of several the one approved last. Not found: plan.none.
func Select(ctx context.Context, db bun.IDB, category string, level int) (Version, error) {
	var rows []Version
	if err := db.NewSelect().Model(&rows).Where("state = ? AND level = ?", Approved, level).Order("approved_ms DESC", "id").Scan(ctx); err != nil {
		return Version{}, err
	}
	parent, _, _ := strings.Cut(category, ".")
	for _, want := range []string{category, parent, AnyCategory} {
		for _, v := range rows {
			if v.Category == want {
				return v, nil
			}
		}
	}
	return Version{}, fault.NotFound("plan", "plan.none", "category", category, "level", level)
}
