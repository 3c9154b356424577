// Package drill rehearses (演练) the guide's cases on the real pipeline. The server side makes ground
// that is marked as a drill: services, keys and stand-ins who can touch nothing else. The runner plays
// the case against it, as a client of the HTTP API and the gateway and of nothing else.
package drill

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/oklog/ulid/v2"
	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Topic is woken when a drill starts, pauses, goes on or ends.
const Topic = "drill"

// Drill 演练: one run of a scenario. Times are UTC milliseconds, 0 for never.
type Drill struct {
	bun.BaseModel `bun:"table:drill" json:"-"`
	ID            string `bun:"id,pk" json:"id"` // a ULID that the client chose
	Number        string `json:"number"`
	Scenario      string `json:"scenario"`
	State         State  `json:"state"`
	ServiceID     string `json:"service_id"` // the one the scenario happens to
	IncidentID    string `json:"incident_id"`
	StartedBy     string `json:"started_by"`
	StartedMs     int64  `json:"started_ms"`
	EndedMs       int64  `json:"ended_ms"`
	Stages        string `json:"stages"`    // JSON array of Stage, as the runner reported them
	ByServer      bool   `json:"by_server"` // played by the server itself
	PlayedBy      string `json:"-"`         // the node that does
}

// State is where a drill stands.
type State string

// The states.
const (
	Running State = "running"
	Paused  State = "paused" // a real incident took precedence
	Passed  State = "passed"
	Failed  State = "failed"
	Aborted State = "aborted"
)

// Transition is one arrow of the state machine.
type Transition struct {
	Event    string
	From, To State
}

// Machine is the drill's state machine; docs/state-machines.md is drawn from it.
func Machine() []Transition {
	return []Transition{
		{"pause", Running, Paused}, // a real incident of 三级 or above
		{"continue", Paused, Running},
		{"pass", Running, Passed},
		{"fail", Running, Failed},
		{"fail", Paused, Failed},
		{"abort", Running, Aborted},
		{"abort", Paused, Aborted},
	}
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
	if len(allowed) == 0 {
		allowed = []string{"—"}
	}
	return s, fault.Conflict("drill_id", "error.transition", "state", s, "event", event, "allowed", strings.Join(allowed, ", "))
}

// endings are the events by the state that Finish is asked for.
var endings = map[State]string{Passed: "pass", Failed: "fail", Aborted: "abort"}

// Finish ends a drill; it gives out no more seats. stages is the JSON array that the runner reports.
// Asking again for the state it already has changes nothing. Errors: forbidden without
// drill.run; invalid state or stages; conflict error.transition, also for a paused drill that would pass.
func Finish(ctx context.Context, tx *store.Tx, id, stages string, state State, incidentID string) (Drill, error) {
	if err := identity.Require(tx.Actor, "drill.run"); err != nil {
		return Drill{}, err
	}
	d, err := load(ctx, tx, tx.Actor, id)
	if err != nil {
		return d, err
	}
	event, ok := endings[state]
	if !ok {
		return d, fault.Invalid("state", "error.unknown_value", "value", state, "valid", "passed, failed, aborted")
	}
	if d.State == state {
		return d, nil
	}
	if stages == "" {
		stages = "[]"
	}
	var list []Stage
	if err := json.Unmarshal([]byte(stages), &list); err != nil {
		return d, fault.Invalid("stages", "error.not_json", "field", "stages").Because(err)
	}
	if d.State, err = next(d.State, event); err != nil {
		return d, err
	}
	d.Stages, d.IncidentID, d.EndedMs = stages, incidentID, tx.NowMs
	if _, err := tx.NewUpdate().Model(&d).Column("state", "stages", "incident_id", "ended_ms").WherePK().Exec(ctx); err != nil {
		return d, err
	}
	tx.Record(store.Entry{Action: "drill." + event, ObjectKind: "drill", ObjectID: d.ID, Content: map[string]any{"number": d.Number, "incident": incidentID, "stages": json.RawMessage(stages)}})
	tx.Touch(Topic)
	return d, nil
}

// Progress keeps the stages that a running drill has passed so far. Errors: forbidden without drill.run;
// invalid stages; conflict error.transition for one that does not run.
func Progress(ctx context.Context, tx *store.Tx, id, stages string) (Drill, error) {
	if err := identity.Require(tx.Actor, "drill.run"); err != nil {
		return Drill{}, err
	}
	d, err := load(ctx, tx, tx.Actor, id)
	if err != nil {
		return d, err
	}
	var list []Stage
	if err := json.Unmarshal([]byte(stages), &list); err != nil {
		return d, fault.Invalid("stages", "error.not_json", "field", "stages").Because(err)
	}
	if d.State != Running {
		return d, fault.Conflict("drill_id", "error.transition", "state", d.State, "event", "stage", "allowed", "—")
	}
	d.Stages = stages
	if _, err := tx.NewUpdate().Model(&d).Column("stages").WherePK().Exec(ctx); err != nil {
		return d, err
	}
	tx.Record(store.Entry{Action: "drill.stage", ObjectKind: "drill", ObjectID: d.ID, Content: map[string]any{"stages": json.RawMessage(stages)}})
	tx.Touch(Topic)
	return d, nil
}

// PauseAll pauses every running drill, because something real needs the people. It is part of the
// transaction that found the real thing, so it asks for no permission of its own.
func PauseAll(ctx context.Context, tx *store.Tx, reason string) error {
	var running []Drill
	if err := tx.NewSelect().Model(&running).Where("state = ?", Running).Order("id").Scan(ctx); err != nil {
		return err
	}
	for _, d := range running {
		if err := move(ctx, tx, d, "pause", reason); err != nil {
			return err
		}
	}
	return nil
}

// Continue lets a paused drill go on; a person decides that the real thing allows it. Errors: forbidden
// without drill.run or for a stand-in; conflict error.transition.
func Continue(ctx context.Context, tx *store.Tx, id string) (Drill, error) {
	if err := identity.Require(tx.Actor, "drill.run"); err != nil {
		return Drill{}, err
	}
	if err := identity.RequireDrill(tx.Actor, ""); err != nil {
		return Drill{}, err
	}
	d, err := load(ctx, tx, tx.Actor, id)
	if err != nil {
		return d, err
	}
	if err := move(ctx, tx, d, "continue", ""); err != nil {
		return d, err
	}
	d.State = Running
	return d, nil
}

func move(ctx context.Context, tx *store.Tx, d Drill, event, reason string) error {
	to, err := next(d.State, event)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE drill SET state = ? WHERE id = ?", to, d.ID); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "drill." + event, ObjectKind: "drill", ObjectID: d.ID, Content: map[string]any{"number": d.Number, "reason": reason}})
	tx.Touch(Topic)
	return nil
}

func load(ctx context.Context, db bun.IDB, a store.Actor, id string) (Drill, error) {
	var d Drill
	if err := db.NewSelect().Model(&d).Where("id = ?", id).Scan(ctx); err != nil {
		return d, store.Missing(err, "drill_id")
	}
	return d, identity.RequireDrill(a, d.ID)
}

// Get reads one drill; a stand-in reads its own. Forbidden without drill.read.
func Get(ctx context.Context, db bun.IDB, a store.Actor, id string) (Drill, error) {
	if err := identity.Require(a, "drill.read"); err != nil {
		return Drill{}, err
	}
	return load(ctx, db, a, id)
}

// List shows drills, newest first, at most limit (default 100). Forbidden without drill.read.
func List(ctx context.Context, db bun.IDB, a store.Actor, limit int) ([]Drill, error) {
	if err := identity.Require(a, "drill.read"); err != nil {
		return nil, err
	}
	if limit <= 0 || limit > 500 {
		limit = 100
	}
	out := []Drill{}
	q := db.NewSelect().Model(&out).Order("started_ms DESC", "id DESC").Limit(int64(limit))
	if a.Drill != "" {
		q = q.Where("id = ?", a.Drill)
	}
	return out, q.Scan(ctx)
}

// validID: the id becomes part of names and keys, so it is held to the form of a ULID.
func validID(id string) bool {
	parsed, err := ulid.ParseStrict(id)
	return err == nil && parsed.String() == id
}
