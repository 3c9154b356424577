// Package dispatch is 应急调度: it starts a plan for an incident, keeps its tasks with their clocks,
// and pages when they are late.
package dispatch

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/prepare/plan"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/service"
)

// Topic is woken when tasks change.
const Topic = "task"

// State is where a task stands.
type State string

// The states.
const (
	Open    State = "open"
	Done    State = "done"
	Skipped State = "skipped"
)

// Transition is one arrow of the machine.
type Transition struct {
	Event    string
	From, To State
}

// Machine is the task's state machine; docs/state-machines.md is drawn from it.
func Machine() []Transition {
	return []Transition{{"done", Open, Done}, {"skip", Open, Skipped}}
}

func next(s State, event string) (State, error) {
	allowed := []string{}
	for _, t := range Machine() {
		if t.From != s {
			continue
		}
		if t.Event == event {
			return t.To, nil
		}
		allowed = append(allowed, t.Event)
	}
	return s, fault.Conflict("task_id", "error.transition", "state", s, "event", event, "allowed", strings.Join(allowed, ", "))
}

// Task is one thing to do in an incident. Automatic, if any, is what the system does of it.
type Task struct {
	bun.BaseModel `bun:"table:task" json:"-"`
	ID            string          `bun:"id,pk" json:"id"`
	IncidentID    string          `json:"incident_id"`
	PlanRunID     string          `json:"plan_run_id"`
	StepID        string          `json:"step_id"`
	Title         plan.Text       `bun:"title" json:"title"`
	Role          string          `json:"role"`
	AutomaticJSON string          `bun:"automatic" json:"-"`
	State         State           `json:"state"`
	DueMs         int64           `json:"due_ms"`
	OverdueMs     int64           `json:"overdue_ms"` // when it was found late, 0 if it was not
	Output        string          `json:"output"`
	DoneBy        string          `json:"done_by"`
	DoneMs        int64           `json:"done_ms"`
	Automatic     *plan.Automatic `bun:"-" json:"automatic,omitempty"`
}

// AfterScanRow reads the automatic part.
func (t *Task) AfterScanRow(context.Context) error {
	if t.AutomaticJSON == "" {
		return nil
	}
	t.Automatic = new(plan.Automatic)
	return json.Unmarshal([]byte(t.AutomaticJSON), t.Automatic)
}

var _ bun.AfterScanRowHook = (*Task)(nil)

// Run is a plan that was started for an incident.
type Run struct {
	bun.BaseModel `bun:"table:plan_run" json:"-"`
	ID            string    `bun:"id,pk" json:"id"`
	IncidentID    string    `json:"incident_id"`
	PlanID        string    `json:"plan_id"`
	PlanVersion   int       `json:"plan_version"`
	PlanTitle     plan.Text `bun:"-" json:"plan_title"` // of that version
	StartedBy     string    `json:"started_by"`
	StartedMs     int64     `json:"started_ms"`
	Tasks         []Task    `bun:"-" json:"tasks"`
}

// Incident is what dispatch has to know of one.
type Incident struct {
	ID      string
	Kind    string // real, drill, test, backfill
	DrillID string
}

func load(ctx context.Context, db bun.IDB, id string) (i Incident, err error) {
	err = db.NewRaw("SELECT id, kind, drill_id FROM incident WHERE id = ?", id).Scan(ctx, &i.ID, &i.Kind, &i.DrillID)
	return i, store.Missing(err, "incident_id")
}

// Kinds of the due rows of this package.
const (
	DueTask     = "task.overdue"
	DueEscalate = "plan.escalate"
)

// Desk runs tasks.
type Desk struct{ pager containment.Pager }

// New makes a desk.
func New(pager containment.Pager) *Desk { return &Desk{pager} }

// DueHandlers are what a due worker needs for the rows of this package.
func (d *Desk) DueHandlers() map[string]due.Handler {
	return map[string]due.Handler{DueTask: d.overdue, DueEscalate: d.escalate}
}

// Start starts a plan for an incident: one task a step, each with its clock, and the plan's
// escalations. The automatic parts are in the tasks; flow carries them out as the person who starts,
// because a rule alone may not go as far as a plan. Errors: forbidden without incident.handle;
// conflict unless the version is approved, or if the incident has a run of this plan already.
func (d *Desk) Start(ctx context.Context, tx *store.Tx, incidentID string, v plan.Version) (Run, error) {
	i, err := handling(ctx, tx, incidentID, "incident.handle")
	if err != nil {
		return Run{}, err
	}
	if v.State != plan.Approved || v.Plan == nil {
		return Run{}, fault.Conflict("plan", "error.transition", "state", v.State, "event", "start", "allowed", "approve")
	}
	n, err := tx.NewSelect().Model((*Run)(nil)).Where("incident_id = ? AND plan_id = ?", i.ID, v.ID).Count(ctx)
	if err != nil {
		return Run{}, err
	}
	if n > 0 {
		return Run{}, fault.Conflict("plan", "dispatch.started")
	}
	run := Run{ID: tx.NewID(), IncidentID: i.ID, PlanID: v.ID, PlanVersion: v.Version, StartedBy: tx.Actor.ID, StartedMs: tx.NowMs}
	if _, err := tx.NewInsert().Model(&run).Exec(ctx); err != nil {
		return run, err
	}
	for _, s := range v.Plan.Steps {
		t := Task{ID: tx.NewID(), IncidentID: i.ID, PlanRunID: run.ID, StepID: s.ID, Title: s.Title, Role: s.Role, State: Open, DueMs: tx.NowMs + minutes(s.WithinMin), Automatic: s.Automatic}
		if err := insert(ctx, tx, &t, i); err != nil {
			return run, err
		}
		run.Tasks = append(run.Tasks, t)
	}
	for n, e := range v.Plan.Escalation {
		js, err := json.Marshal(e)
		if err != nil {
			return run, err
		}
		if err := due.Set(ctx, tx, due.Row{Kind: DueEscalate, Name: strconv.Itoa(n), ObjectKind: "plan_run", ObjectID: run.ID, IncidentKind: i.Kind, DueMs: tx.NowMs + minutes(e.AfterMin), Payload: string(js)}); err != nil {
			return run, err
		}
	}
	tx.Record(store.Entry{Action: "plan.start", ObjectKind: "incident", ObjectID: i.ID, Scope: "incident:" + i.ID, Content: map[string]any{"plan": v.ID, "version": v.Version, "digest": v.Digest, "run": run.ID}})
	tx.Touch(Topic)
	return run, nil
}

func minutes(n int) int64 { return int64(n) * 60_000 }

func insert(ctx context.Context, tx *store.Tx, t *Task, i Incident) error {
	if t.Automatic != nil {
		js, err := json.Marshal(t.Automatic)
		if err != nil {
			return err
		}
		t.AutomaticJSON = string(js)
	}
	if _, err := tx.NewInsert().Model(t).Exec(ctx); err != nil {
		return err
	}
	if t.DueMs == 0 {
		return nil
	}
	return due.Set(ctx, tx, due.Row{Kind: DueTask, ObjectKind: "task", ObjectID: t.ID, IncidentKind: i.Kind, DueMs: t.DueMs})
}

func handling(ctx context.Context, tx *store.Tx, incidentID, action string) (Incident, error) {
	if err := identity.Require(tx.Actor, action); err != nil {
		return Incident{}, err
	}
	i, err := incident.ForChange(ctx, tx, incidentID, action)
	return Incident{ID: i.ID, Kind: i.Kind, DrillID: i.DrillID}, err
}

// Add puts a task beside those of a plan. withinMin 0 sets no clock.
func (d *Desk) Add(ctx context.Context, tx *store.Tx, incidentID string, title plan.Text, role string, withinMin int) (Task, error) {
	i, err := handling(ctx, tx, incidentID, "incident.handle")
	if err != nil {
		return Task{}, err
	}
	if strings.TrimSpace(title.ZH) == "" {
		return Task{}, fault.Invalid("title", "error.required", "field", "title")
	}
	if withinMin < 0 || withinMin > 60*24*90 {
		return Task{}, fault.Invalid("within_min", "plan.bad_minutes", "value", withinMin)
	}
	if !known(role) {
		return Task{}, fault.Invalid("role", "error.unknown_value", "value", role, "valid", strings.Join(identity.Roles(), ", "))
	}
	t := Task{ID: tx.NewID(), IncidentID: i.ID, Title: title, Role: role, State: Open}
	if withinMin > 0 {
		t.DueMs = tx.NowMs + minutes(withinMin)
	}
	tx.Record(store.Entry{Action: "task.add", ObjectKind: "task", ObjectID: t.ID, Scope: "incident:" + i.ID, Content: t})
	tx.Touch(Topic)
	return t, insert(ctx, tx, &t, i)
}

func known(role string) bool {
	for _, r := range identity.Roles() {
		if r == role {
			return true
		}
	}
	return false
}

// Done closes a task with what it gave. Whoever may do tasks may do this one, whatever its role:
// often one person is alone at night; the record says who it was. Errors: forbidden without task.do;
// invalid without an output; conflict error.transition unless it is open.
func (d *Desk) Done(ctx context.Context, tx *store.Tx, taskID, output string) (Task, error) {
	return d.settle(ctx, tx, taskID, "done", "task.do", "output", output)
}

// Skip closes a task that is not going to be done, with the reason. Forbidden without incident.handle.
func (d *Desk) Skip(ctx context.Context, tx *store.Tx, taskID, reason string) (Task, error) {
	return d.settle(ctx, tx, taskID, "skip", "incident.handle", "reason", reason)
}

func (d *Desk) settle(ctx context.Context, tx *store.Tx, taskID, event, action, field, text string) (Task, error) {
	if err := identity.Require(tx.Actor, action); err != nil {
		return Task{}, err
	}
	t, err := service.Get[Task](ctx, tx, "task_id", taskID)
	if err != nil {
		return t, err
	}
	if _, err := handling(ctx, tx, t.IncidentID, action); err != nil {
		return t, err
	}
	to, err := next(t.State, event)
	if err != nil {
		return t, err
	}
	if text = strings.TrimSpace(text); text == "" {
		return t, fault.Invalid(field, "error.required", "field", field)
	}
	t.State, t.Output, t.DoneBy, t.DoneMs = to, text, tx.Actor.ID, tx.NowMs
	if _, err := tx.NewUpdate().Model(&t).Column("state", "output", "done_by", "done_ms").WherePK().Exec(ctx); err != nil {
		return t, err
	}
	if err := due.Cancel(ctx, tx, DueTask, t.ID); err != nil {
		return t, err
	}
	tx.Record(store.Entry{Action: "task." + event, ObjectKind: "task", ObjectID: t.ID, Scope: "incident:" + t.IncidentID, Content: map[string]any{"step": t.StepID, field: text}})
	tx.Touch(Topic)
	return t, nil
}

// overdue marks a task that was not closed in time and pages its role.
func (d *Desk) overdue(ctx context.Context, tx *store.Tx, r due.Row) error {
	t, err := service.Get[Task](ctx, tx, "task_id", r.ObjectID)
	if err != nil || t.State != Open || t.OverdueMs != 0 {
		return err
	}
	i, err := load(ctx, tx, t.IncidentID)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE task SET overdue_ms = ? WHERE id = ?", tx.NowMs, t.ID); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "task.overdue", ObjectKind: "task", ObjectID: t.ID, Scope: "incident:" + t.IncidentID, Content: map[string]any{"step": t.StepID, "due_ms": t.DueMs}})
	tx.Touch(Topic)
	return d.pager.Page(ctx, tx, containment.Page{Key: "dispatch.page_overdue", ObjectKind: "task", ObjectID: t.ID, IncidentID: i.ID, IncidentKind: i.Kind, DrillID: i.DrillID, Role: t.Role})
}

// escalate pages the role that the plan names if tasks of the run are late.
func (d *Desk) escalate(ctx context.Context, tx *store.Tx, r due.Row) error {
	run, err := service.Get[Run](ctx, tx, "plan_run_id", r.ObjectID)
	if err != nil {
		return err
	}
	late, err := tx.NewSelect().Model((*Task)(nil)).Where("plan_run_id = ? AND state = ? AND due_ms > 0 AND due_ms <= ?", run.ID, Open, tx.NowMs).Count(ctx)
	if err != nil || late == 0 {
		return err
	}
	var e plan.Escalation
	if err := r.Decode(&e); err != nil {
		return err
	}
	i, err := load(ctx, tx, run.IncidentID)
	if err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "plan.escalate", ObjectKind: "incident", ObjectID: i.ID, Scope: "incident:" + i.ID, Content: map[string]any{"run": run.ID, "to": e.To, "late": late}})
	return d.pager.Page(ctx, tx, containment.Page{Key: "dispatch.page_escalate", Again: r.DueMs, ObjectKind: "plan_run", ObjectID: run.ID, IncidentID: i.ID, IncidentKind: i.Kind, DrillID: i.DrillID, Role: e.To})
}

// List shows the tasks of an incident in the order of their clocks. Whether the actor may see a
// restricted incident is asked of internal/respond/incident first. Forbidden without incident.read.
func List(ctx context.Context, db bun.IDB, a store.Actor, incidentID string) ([]Task, error) {
	if err := identity.Require(a, "incident.read"); err != nil {
		return nil, err
	}
	i, err := load(ctx, db, incidentID)
	if err != nil {
		return nil, err
	}
	if err := identity.RequireDrill(a, i.DrillID); err != nil {
		return nil, err
	}
	out := []Task{}
	return out, db.NewSelect().Model(&out).Where("incident_id = ?", incidentID).OrderExpr("CASE WHEN due_ms = 0 THEN 1 ELSE 0 END, due_ms, id").Scan(ctx)
}

// Runs lists the plans that were started for an incident, oldest first, without their tasks.
func Runs(ctx context.Context, db bun.IDB, incidentID string) ([]Run, error) {
	out := []Run{}
	if err := db.NewSelect().Model(&out).Where("incident_id = ?", incidentID).Order("started_ms", "id").Scan(ctx); err != nil {
		return out, err
	}
	for k := range out {
		v, err := plan.Get(ctx, db, out[k].PlanID, out[k].PlanVersion)
		if err != nil {
			return out, err
		}
		out[k].PlanTitle, out[k].Tasks = v.Plan.Title, []Task{}
	}
	return out, nil
}
