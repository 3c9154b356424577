package flow

import (
	"context"
	"strings"

	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/prepare/drill"
	"github.com/fengsui/fengsui/internal/prepare/plan"
)

// CoverageCell is one subtype of the guide at one level: the plan that would be started, else the newest
// draft, else none; and the last drill that ended there. Category is the plan's own: the subtype, its type,
// or "*". Starter: it ships with the program and nobody here has approved it.
type CoverageCell struct {
	Subtype   string     `json:"subtype"`
	Level     int        `json:"level"`
	PlanID    string     `json:"plan_id"`
	Version   int        `json:"version"`
	State     plan.State `json:"state"` // "" without a plan
	Category  string     `json:"category"`
	Starter   bool       `json:"starter"`
	DrillID   string     `json:"drill_id"`
	DrillMs   int64      `json:"drill_ms"` // when it ended
	DrillPass bool       `json:"drill_passed"`
}

// Coverage is the matrix category × level. Forbidden without plan.read.
func (h *House) Coverage(ctx context.Context, a store.Actor) ([]CoverageCell, error) {
	db := h.Store.Read()
	all, err := plan.List(ctx, db, a, "")
	if err != nil {
		return nil, err
	}
	var drills []drill.Drill
	if err := db.NewSelect().Model(&drills).Where("state IN ('passed','failed','aborted')").Order("ended_ms").Scan(ctx); err != nil {
		return nil, err
	}
	if a.Drill != "" {
		drills = nil // those of others are no business of a stand-in's
	}
	book, err := drill.Scenarios()
	if err != nil {
		return nil, err
	}
	out := []CoverageCell{}
	for _, t := range h.Book.Types() {
		for _, s := range t.Subtypes {
			for level := 1; level <= 4; level++ {
				c := CoverageCell{Subtype: s.ID, Level: level}
				if v := planFor(all, s.ID, level); v != nil {
					c.PlanID, c.Version, c.State, c.Category, c.Starter = v.ID, v.Version, v.State, v.Category, v.ApprovedBy == plan.StarterSource
				}
				for _, d := range drills { // the newest comes last
					if sc := book[d.Scenario]; sc.Category == s.ID && sc.Level == level {
						c.DrillID, c.DrillMs, c.DrillPass = d.ID, d.EndedMs, d.State == drill.Passed
					}
				}
				out = append(out, c)
			}
		}
	}
	return out, nil
}

// planFor picks as plan.Select does: approved before draft, then the subtype, its type, any; then the newest.
func planFor(all []plan.Version, subtype string, level int) *plan.Version {
	parent, _, _ := strings.Cut(subtype, ".")
	for _, state := range []plan.State{plan.Approved, plan.Draft} {
		for _, category := range []string{subtype, parent, plan.AnyCategory} {
			var best *plan.Version
			for i, v := range all {
				if v.State == state && v.Level == level && v.Category == category && (best == nil || v.ApprovedMs > best.ApprovedMs) {
					best = &all[i]
				}
			}
			if best != nil {
				return best
			}
		}
	}
	return nil
}
