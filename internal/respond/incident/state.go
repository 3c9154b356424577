package incident

import (
	"context"
	"strings"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// State is where the handling of an incident stands.
type State string

// The states, in the order of an ordinary course.
const (
	Declared   State = "declared"   // 已认定
	Responding State = "responding" // 处置中
	Recovering State = "recovering" // 恢复中
	Ended      State = "ended"      // 处置结束
	Verifying  State = "verifying"  // 关闭核实中
	Closed     State = "closed"     // 已关闭
)

// Event moves an incident from one state to another.
type Event string

// The events.
const (
	OnRespond       Event = "respond"
	OnRecover       Event = "recover"
	OnReSpread      Event = "re_spread"
	OnEndHandling   Event = "end_handling"
	OnApplyClosing  Event = "apply_closing"
	OnRejectClosing Event = "reject_closing"
	OnVerifyClosing Event = "verify_closing"
	OnReopen        Event = "reopen"
	OnDrillOver     Event = "drill_over" // only EndDrill
)

// Transition is one arrow of the machine; Milestone, if any, is reached by it.
type Transition struct {
	Event     Event
	From, To  State
	Milestone string
}

// Machine is the incident's state machine; docs/state-machines.md is drawn from it.
func Machine() []Transition {
	return []Transition{
		{OnRespond, Declared, Responding, ""},
		{OnRecover, Responding, Recovering, "recovered"},
		{OnReSpread, Recovering, Responding, "re_spread"},
		{OnReSpread, Ended, Responding, "re_spread"},
		{OnEndHandling, Responding, Ended, "handling_ended"},
		{OnEndHandling, Recovering, Ended, "handling_ended"},
		{OnApplyClosing, Ended, Verifying, ""},
		{OnRejectClosing, Verifying, Ended, ""},
		{OnVerifyClosing, Verifying, Closed, "closed"},
		{OnReopen, Closed, Responding, "reopened"},
		// The drill that it belongs to has ended, wherever it stood.
		{OnDrillOver, Declared, Closed, "closed"},
		{OnDrillOver, Responding, Closed, "closed"},
		{OnDrillOver, Recovering, Closed, "closed"},
		{OnDrillOver, Ended, Closed, "closed"},
		{OnDrillOver, Verifying, Closed, "closed"},
	}
}

// next finds the state that event leads to from state s.
func next(s State, e Event) (Transition, error) {
	var allowed []string
	for _, t := range Machine() {
		if t.From != s {
			continue
		}
		if t.Event == e {
			return t, nil
		}
		allowed = append(allowed, string(t.Event))
	}
	return Transition{}, fault.Conflict("event", "error.transition", "state", s, "event", e, "allowed", strings.Join(allowed, ", "))
}

// Advance applies event to an incident the actor may change under action. An event that the machine
// does not know in this state is fault conflict error.transition and changes nothing.
func Advance(ctx context.Context, tx *store.Tx, id string, e Event, action, reason string) (Incident, error) {
	i, err := forChange(ctx, tx, id, action)
	if err != nil {
		return i, err
	}
	t, err := next(i.State, e)
	if err != nil {
		return i, err
	}
	i.State, i.Version = t.To, i.Version+1
	if _, err := tx.ExecContext(ctx, "UPDATE incident SET state = ?, version = version + 1 WHERE id = ?", string(t.To), id); err != nil {
		return i, err
	}
	if t.Milestone != "" {
		if err := Reached(ctx, tx, id, t.Milestone); err != nil {
			return i, err
		}
	}
	tx.Record(store.Entry{Action: "incident." + string(e), ObjectKind: "incident", ObjectID: id, Scope: Scope(id), Content: map[string]any{"from": t.From, "to": t.To, "reason": reason}})
	tx.Touch("incident")
	return i, nil
}
