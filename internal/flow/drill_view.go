package flow

import (
	"context"
	"encoding/json"

	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/node"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/prepare/drill"
	"github.com/fengsui/fengsui/internal/prepare/plan"
)

// DrillBrief is a drill as a list shows it. TotalMs adds up its stages. Interrupted: it should run, and
// nobody plays it any more; it can be aborted.
type DrillBrief struct {
	drill.Drill
	Passed      bool  `json:"passed"`
	TotalMs     int64 `json:"total_ms"`
	Interrupted bool  `json:"interrupted"`
}

// DrillView is a drill with every stage of its scenario and the steps of the plan that it started.
type DrillView struct {
	DrillBrief
	StageList []DrillStage `json:"stage_list"`
	PlanID    string       `json:"plan_id"` // "" as long as no plan was started
	PlanSteps []DrillStep  `json:"plan_steps"`
}

// DrillStage is one stage; State is done, now or open. At is RFC 3339, "" until it is done.
type DrillStage struct {
	ID    string    `json:"id"`
	Title plan.Text `json:"title"`
	State string    `json:"state"`
	At    string    `json:"at"`
	Ms    int64     `json:"ms"`
}

// DrillStep is a step of the plan: the time that the plan gives it, and what it took; 0 if it is not done.
type DrillStep struct {
	ID       string    `json:"id"`
	Title    plan.Text `json:"title"`
	Role     string    `json:"role"`
	State    string    `json:"state"`
	WithinMs int64     `json:"within_ms"`
	TookMs   int64     `json:"took_ms"`
}

func (h *House) drillBrief(ctx context.Context, d drill.Drill) (DrillBrief, []drill.Stage, error) {
	b := DrillBrief{Drill: d, Passed: d.State == drill.Passed}
	var stages []drill.Stage
	if err := json.Unmarshal([]byte(d.Stages), &stages); err != nil {
		return b, nil, err
	}
	for _, s := range stages {
		b.TotalMs += s.Ms
	}
	if d.State != drill.Running {
		return b, stages, nil
	}
	if d.ByServer {
		if d.PlayedBy == h.Node {
			b.Interrupted = h.PlayingDrill == nil || h.PlayingDrill() != d.ID
			return b, stages, nil
		}
		plays, err := node.Serves(ctx, h.Store.Read(), d.PlayedBy, d.StartedMs, h.NowMs())
		b.Interrupted = !plays
		return b, stages, err
	}
	// A runner elsewhere renews its seats at half their time; without a good one it can do nothing.
	var seats int
	err := h.Store.Read().NewRaw("SELECT COUNT(*) FROM token t JOIN person p ON p.id = t.person_id WHERE p.drill_id = ? AND p.active AND t.revoked_ms = 0 AND (t.expires_ms = 0 OR t.expires_ms > ?)", d.ID, h.NowMs()).Scan(ctx, &seats)
	b.Interrupted = seats == 0
	return b, stages, err
}

// Drills lists drills, newest first. Forbidden without drill.read.
func (h *House) Drills(ctx context.Context, a store.Actor, limit int) ([]DrillBrief, error) {
	list, err := drill.List(ctx, h.Store.Read(), a, limit)
	if err != nil {
		return nil, err
	}
	out := []DrillBrief{}
	for _, d := range list {
		b, _, err := h.drillBrief(ctx, d)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// Drill shows one. Forbidden without drill.read.
func (h *House) Drill(ctx context.Context, a store.Actor, id string) (DrillView, error) {
	v := DrillView{StageList: []DrillStage{}, PlanSteps: []DrillStep{}}
	d, err := drill.Get(ctx, h.Store.Read(), a, id)
	if err != nil {
		return v, err
	}
	var stages []drill.Stage
	if v.DrillBrief, stages, err = h.drillBrief(ctx, d); err != nil {
		return v, err
	}
	book, err := drill.Scenarios()
	if err != nil {
		return v, err
	}
	passed := map[string]drill.Stage{}
	for _, s := range stages {
		passed[s.Name] = s
	}
	now := d.State == drill.Running && !v.Interrupted
	for _, n := range book[d.Scenario].Stages {
		s, ok := passed[n.ID]
		x := DrillStage{ID: n.ID, Title: plan.Text{ZH: n.ZH, EN: n.EN}, State: "open", At: s.At, Ms: s.Ms}
		switch {
		case ok:
			x.State = "done"
		case now:
			x.State, now = "now", false
		}
		v.StageList = append(v.StageList, x)
	}
	return v, h.drillSteps(ctx, d, &v)
}

func (h *House) drillSteps(ctx context.Context, d drill.Drill, v *DrillView) error {
	var rows []struct {
		PlanID, StepID, Title, Role, State string
		StartedMs, DueMs, DoneMs           int64
	}
	if err := h.Store.Read().NewRaw(`SELECT r.plan_id, t.step_id, t.title, t.role, t.state, r.started_ms, t.due_ms, t.done_ms FROM task t JOIN plan_run r ON r.id = t.plan_run_id
		JOIN incident i ON i.id = t.incident_id WHERE i.drill_id = ? ORDER BY t.due_ms, t.id`, d.ID).Scan(ctx, &rows); err != nil {
		return err
	}
	for _, r := range rows {
		v.PlanID = r.PlanID
		s := DrillStep{ID: r.StepID, Role: r.Role, State: r.State, WithinMs: max(0, r.DueMs-r.StartedMs)}
		if r.DoneMs > 0 {
			s.TookMs = r.DoneMs - r.StartedMs
		}
		if err := json.Unmarshal([]byte(r.Title), &s.Title); err != nil {
			return err
		}
		v.PlanSteps = append(v.PlanSteps, s)
	}
	return nil
}

// AbortDrill ends a drill with what it came to: the stand-ins' tokens, its keys and its orders end at once,
// so whoever plays it can do no more. Errors: forbidden without drill.run; conflict error.transition.
func (h *House) AbortDrill(ctx context.Context, tx *store.Tx, id string) (drill.Drill, error) {
	if err := identity.Require(tx.Actor, "drill.run"); err != nil {
		return drill.Drill{}, err
	}
	if err := identity.RequireDrill(tx.Actor, ""); err != nil {
		return drill.Drill{}, err
	}
	d, err := drill.Get(ctx, tx, store.System("drill"), id)
	if err != nil {
		return d, err
	}
	var incidents []string
	if err := tx.NewRaw("SELECT id FROM incident WHERE drill_id = ? ORDER BY declared_ms, id LIMIT 1", id).Scan(ctx, &incidents); err != nil {
		return d, err
	}
	incidents = append(incidents, "")
	return h.FinishDrill(ctx, tx, id, d.Stages, drill.Aborted, incidents[0])
}
