// Package directive keeps what an authority demanded (监管指令), with its own deadline, until it is
// answered (反馈件). Orders may spring from one; its text is sealed, because it may name secret words.
package directive

import (
	"context"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/service"
)

// DueKind names the due row of a directive with a deadline.
const DueKind = "directive.due"

// Vault seals text under the key of a scope.
type Vault interface {
	Seal(ctx context.Context, tx *store.Tx, scope string, plain []byte) (string, error)
	Open(ctx context.Context, db bun.IDB, scope, sealed string) ([]byte, error)
}

// Directive 监管指令. Body is sealed. DueMs 0 means that the authority set no deadline.
type Directive struct {
	bun.BaseModel `bun:"table:directive" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	OperatorID    string `json:"operator_id"`
	IncidentID    string `json:"incident_id,omitempty"`
	Authority     string `json:"authority"`
	ReceivedMs    int64  `json:"received_ms"`
	DueMs         int64  `json:"due_ms"`
	Body          string `json:"-"`
	State         string `json:"state"` // open, answered
	Answer        string `json:"answer,omitempty"`
	AnsweredBy    string `json:"answered_by,omitempty"`
	AnsweredMs    int64  `json:"answered_ms,omitempty"`
}

// Scope is the record scope of a directive.
func Scope(id string) string { return "directive:" + id }

// Receive files a directive. Errors: forbidden without directive.write; invalid authority, text or times.
func Receive(ctx context.Context, tx *store.Tx, v Vault, d Directive, text string) (Directive, error) {
	if err := identity.Require(tx.Actor, "directive.write"); err != nil {
		return d, err
	}
	if tx.Actor.Drill != "" {
		return d, fault.Forbidden("identity.other_drill")
	}
	for field, value := range map[string]string{"authority": d.Authority, "text": text} {
		if strings.TrimSpace(value) == "" {
			return d, fault.Invalid(field, "error.required", "field", field)
		}
	}
	if d.ReceivedMs == 0 {
		d.ReceivedMs = tx.NowMs
	}
	if d.ReceivedMs > tx.NowMs || (d.DueMs != 0 && d.DueMs < d.ReceivedMs) {
		return d, fault.Invalid("received_ms", "directive.times")
	}
	if _, err := service.Get[service.Operator](ctx, tx, "operator_id", d.OperatorID); err != nil {
		return d, err
	}
	if err := incident.Visible(ctx, tx, tx.Actor, "incident_id", d.IncidentID); err != nil {
		return d, err
	}
	if d.IncidentID != "" {
		var of string
		if err := tx.NewRaw("SELECT operator_id FROM incident WHERE id = ?", d.IncidentID).Scan(ctx, &of); err != nil {
			return d, store.Missing(err, "incident_id")
		}
		if of != d.OperatorID {
			return d, fault.Invalid("incident_id", "directive.other_operator")
		}
	}
	d.ID, d.State = tx.NewID(), "open"
	var err error
	if d.Body, err = v.Seal(ctx, tx, Scope(d.ID), []byte(text)); err != nil {
		return d, err
	}
	if _, err := tx.NewInsert().Model(&d).Exec(ctx); err != nil {
		return d, err
	}
	tx.Record(store.Entry{Action: "directive.receive", ObjectKind: "directive", ObjectID: d.ID, Scope: Scope(d.ID), Content: d})
	if d.DueMs == 0 {
		return d, nil
	}
	return d, due.Set(ctx, tx, due.Row{Kind: DueKind, ObjectKind: "directive", ObjectID: d.ID, IncidentKind: due.KindReal, DueMs: d.DueMs, Payload: "{}"})
}

// load reads a directive that the actor may know of: one about a hidden incident is hidden with it.
func load(ctx context.Context, db bun.IDB, a store.Actor, id string) (Directive, error) {
	d, err := service.Get[Directive](ctx, db, "directive_id", id)
	if err != nil {
		return d, err
	}
	if err := incident.Visible(ctx, db, a, "directive_id", d.IncidentID); err != nil {
		return Directive{}, err
	}
	return d, nil
}

// Read gives a directive with its text.
func Read(ctx context.Context, db bun.IDB, v Vault, a store.Actor, id string) (Directive, string, error) {
	if err := identity.Require(a, "directive.read"); err != nil {
		return Directive{}, "", err
	}
	d, err := load(ctx, db, a, id)
	if err != nil {
		return d, "", err
	}
	if a.Drill != "" {
		return Directive{}, "", fault.NotFound("directive_id", "error.not_found", "field", "directive_id")
	}
	text, err := v.Open(ctx, db, Scope(d.ID), d.Body)
	return d, string(text), err
}

// Answer closes a directive with the answer that was handed in; its clock stops.
func Answer(ctx context.Context, tx *store.Tx, id, answer string) (Directive, error) {
	if err := identity.Require(tx.Actor, "directive.write"); err != nil {
		return Directive{}, err
	}
	if err := identity.RequireDrill(tx.Actor, ""); err != nil {
		return Directive{}, err
	}
	d, err := load(ctx, tx, tx.Actor, id)
	if err != nil {
		return d, err
	}
	if d.State != "open" {
		return d, fault.Conflict("directive_id", "error.transition", "state", d.State, "event", "answer", "allowed", "—")
	}
	if strings.TrimSpace(answer) == "" {
		return d, fault.Invalid("answer", "error.required", "field", "answer")
	}
	d.State, d.Answer, d.AnsweredBy, d.AnsweredMs = "answered", answer, tx.Actor.ID, tx.NowMs
	if _, err := tx.NewUpdate().Model(&d).WherePK().Exec(ctx); err != nil {
		return d, err
	}
	tx.Record(store.Entry{Action: "directive.answer", ObjectKind: "directive", ObjectID: d.ID, Scope: Scope(d.ID), Content: d})
	return d, due.Cancel(ctx, tx, DueKind, id)
}

// List gives all directives, but those about hidden incidents, without their text, the nearest deadline first.
func List(ctx context.Context, db bun.IDB, a store.Actor) ([]Directive, error) {
	if err := identity.Require(a, "directive.read"); err != nil {
		return nil, err
	}
	out := []Directive{}
	if a.Drill != "" {
		return out, nil
	}
	return out, db.NewSelect().Model(&out).Where("incident_id NOT IN (?)", incident.Hidden(a)).OrderExpr("CASE WHEN due_ms = 0 THEN 1 ELSE 0 END, due_ms, id").Scan(ctx)
}
