// Package incident is one incident from declaration to closure: who may see it, its state, when
// people became aware, what kind it is, how severe, and what was settled when.
package incident

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/service"
)

// Incident 事件. Kind (real, drill, test, backfill) is fixed at declaration.
type Incident struct {
	bun.BaseModel `bun:"table:incident" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	Number        string `json:"number"`
	Kind          string `json:"kind"`
	DrillID       string `json:"drill_id,omitempty"`
	OperatorID    string `json:"operator_id"`
	ServiceID     string `json:"service_id"`
	Title         string `json:"title"`
	State         State  `json:"state"`
	Restricted    bool   `json:"restricted"`
	LegalHold     bool   `json:"legal_hold"`
	Editions      string `json:"editions"` // JSON array of edition ids, pinned at awareness
	DeclaredBy    string `json:"declared_by"`
	DeclaredMs    int64  `json:"declared_ms"`
	Version       int64  `json:"version"`
	Links         string `json:"links"` // JSON array
}

// Scope is the record scope under which the incident's content is kept and can be erased.
func Scope(id string) string { return "incident:" + id }

// Declaration is what is needed to declare an incident. AwareMs is when somebody first knew.
type Declaration struct {
	Kind          string
	DrillID       string
	ServiceID     string
	Title         string
	ObjectIDs     []string // affected objects; empty = the service's own object
	Editions      []string // editions in force at awareness
	AwareMs       int64
	AwareSource   string
	AwareRef      string
	RestrictedFor []string // person ids; non-empty makes the incident restricted
}

// Declare opens an incident. Errors: forbidden; invalid kind, title, objects or times; not found.
func Declare(ctx context.Context, tx *store.Tx, d Declaration) (Incident, error) {
	if err := identity.Require(tx.Actor, "incident.declare"); err != nil {
		return Incident{}, err
	}
	if err := identity.RequireDrill(tx.Actor, d.DrillID); err != nil {
		return Incident{}, err
	}
	d.Title = strings.TrimSpace(d.Title)
	if d.Title == "" {
		return Incident{}, fault.Invalid("title", "error.required", "field", "title")
	}
	svc, err := service.Get[service.Service](ctx, tx, "service_id", d.ServiceID)
	if err != nil {
		return Incident{}, err
	}
	if err := identity.RequireDrill(tx.Actor, svc.DrillID); err != nil {
		return Incident{}, err
	}
	if (d.Kind == "drill") != (d.DrillID != "") {
		return Incident{}, fault.Invalid("kind", "incident.drill_kind")
	}
	if d.AwareMs <= 0 || d.AwareMs > tx.NowMs {
		return Incident{}, fault.Invalid("aware_ms", "incident.aware_future")
	}
	number, err := identity.NextNumber(ctx, tx, "IN", d.Kind)
	if err != nil {
		return Incident{}, err
	}
	objects := d.ObjectIDs
	if len(objects) == 0 {
		var own service.AffectedObject
		if err := tx.NewSelect().Model(&own).Where("service_id = ? AND kind = 'service'", svc.ID).Order("created_ms").Limit(1).Scan(ctx); err != nil {
			return Incident{}, store.Missing(err, "object_ids")
		}
		objects = []string{own.ID}
	}
	editions, err := json.Marshal(d.Editions)
	if err != nil {
		return Incident{}, err
	}
	i := Incident{ID: tx.NewID(), Number: number, Kind: d.Kind, DrillID: d.DrillID, OperatorID: svc.OperatorID, ServiceID: svc.ID, Title: d.Title,
		State: Declared, Restricted: len(d.RestrictedFor) > 0, Editions: string(editions), DeclaredBy: tx.Actor.ID, DeclaredMs: tx.NowMs, Version: 1, Links: "[]"}
	if _, err := tx.NewInsert().Model(&i).Exec(ctx); err != nil {
		return i, err
	}
	for _, o := range objects {
		if err := addObject(ctx, tx, i, o); err != nil {
			return i, err
		}
	}
	if i.Restricted {
		for _, p := range append([]string{tx.Actor.ID}, d.RestrictedFor...) {
			if err := grant(ctx, tx, i.ID, p); err != nil {
				return i, err
			}
		}
	}
	if _, err := addAwareness(ctx, tx, i, d.AwareSource, d.AwareMs, d.AwareRef); err != nil {
		return i, err
	}
	if err := Reached(ctx, tx, i.ID, "declared"); err != nil {
		return i, err
	}
	tx.Record(store.Entry{Action: "incident.declare", ObjectKind: "incident", ObjectID: i.ID, Scope: Scope(i.ID), Content: i})
	tx.Touch("incident")
	return i, nil
}

// addObject puts an affected object under the incident; naming it twice is naming it once. It may belong
// to another service, but to the same operator, who owes the reports, and never to a drill from outside.
func addObject(ctx context.Context, tx *store.Tx, i Incident, id string) error {
	o, err := service.Get[service.AffectedObject](ctx, tx, "object_ids", id)
	if err != nil {
		return err
	}
	svc, err := service.Get[service.Service](ctx, tx, "object_ids", o.ServiceID)
	if err != nil {
		return err
	}
	if err := identity.RequireDrill(tx.Actor, svc.DrillID); err != nil {
		return err
	}
	if svc.OperatorID != i.OperatorID {
		return fault.Invalid("object_ids", "incident.other_operator")
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO incident_object (incident_id, object_id, added_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", i.ID, o.ID, tx.NowMs)
	return err
}

// MayAct checks that the actor may do action on this incident: permission, drill, and need to know.
// An actor who may not even see it gets not found.
func MayAct(ctx context.Context, db bun.IDB, a store.Actor, i Incident, action string) error {
	if err := visible(ctx, db, a, i); err != nil {
		return err
	}
	return identity.Require(a, action)
}

func visible(ctx context.Context, db bun.IDB, a store.Actor, i Incident) error {
	thing, err := Thing(ctx, db, i)
	if err != nil {
		return err
	}
	err = identity.RequireOn(a, "incident.read", thing)
	if fault.Is(err, "identity.other_drill") {
		return fault.NotFound("incident_id", "error.not_found", "field", "incident_id") // not even that it is there
	}
	return err
}

// Thing is an incident as the policies see it.
func Thing(ctx context.Context, db bun.IDB, i Incident) (identity.Thing, error) {
	thing := identity.Thing{Kind: "incident", ID: i.ID, Restricted: i.Restricted, InDrill: true, Drill: i.DrillID}
	if !i.Restricted {
		return thing, nil
	}
	return thing, db.NewRaw("SELECT person_id FROM incident_access WHERE incident_id = ?", i.ID).Scan(ctx, &thing.Allowed)
}

// Get reads an incident the actor may see.
func Get(ctx context.Context, db bun.IDB, a store.Actor, id string) (Incident, error) {
	var i Incident
	if err := db.NewSelect().Model(&i).Where("id = ?", id).Scan(ctx); err != nil {
		return i, store.Missing(err, "incident_id")
	}
	if err := visible(ctx, db, a, i); err != nil {
		return Incident{}, err // not even what it is called leaves with the refusal
	}
	return i, nil
}

// Hidden selects the ids of the incidents that the actor may not know of, for use as a subquery; the
// parts of the system know of all of them.
func Hidden(a store.Actor) schema.QueryWithArgs {
	return bun.SafeQuery(`SELECT h.id FROM incident h WHERE h.restricted AND NOT ? AND NOT EXISTS
		(SELECT 1 FROM incident_access x WHERE x.incident_id = h.id AND x.person_id = ?)`, a.IsSystem(), a.ID)
}

// Visible checks need to know for what hangs on an incident; "" hangs on none. An actor who may not know
// of the incident gets not found about field, which names what was asked for: a row that hangs on a
// hidden incident is answered like one that never was. Permission and drill are the caller's to check.
func Visible(ctx context.Context, db bun.IDB, a store.Actor, field, id string) error {
	if id == "" || a.IsSystem() {
		return nil
	}
	var n int
	if err := db.NewRaw("SELECT COUNT(*) FROM incident WHERE id = ? AND id IN (?)", id, Hidden(a)).Scan(ctx, &n); err != nil {
		return err
	}
	if n > 0 {
		return fault.NotFound(field, "error.not_found", "field", field)
	}
	return nil
}

// forChange loads an incident for a change by the transaction's actor.
func forChange(ctx context.Context, tx *store.Tx, id, action string) (Incident, error) {
	i, err := Get(ctx, tx, tx.Actor, id)
	if err != nil {
		return i, err
	}
	return i, identity.Require(tx.Actor, action)
}

// ForChange is Get followed by the check of action; for rooms that hang rows on an incident.
func ForChange(ctx context.Context, tx *store.Tx, id, action string) (Incident, error) {
	return forChange(ctx, tx, id, action)
}

// Filter narrows List. Empty fields do not narrow.
type Filter struct {
	State, Kind, ServiceID, DrillID string
	Limit                           int // default 100, at most 500
}

// List gives the incidents that the actor may see, newest first. Need to know is part of the query,
// so that counts and pages do not betray what is hidden.
func List(ctx context.Context, db bun.IDB, a store.Actor, f Filter) ([]Incident, error) {
	if err := identity.Require(a, "incident.read"); err != nil {
		return nil, err
	}
	out := []Incident{}
	q := db.NewSelect().Model(&out).Order("declared_ms DESC", "id DESC")
	if !a.IsSystem() {
		q = q.Where("(NOT restricted OR EXISTS (SELECT 1 FROM incident_access x WHERE x.incident_id = incident.id AND x.person_id = ?))", a.ID)
	}
	if a.Drill != "" {
		q = q.Where("drill_id = ?", a.Drill)
	}
	for col, v := range map[string]string{"state": f.State, "kind": f.Kind, "service_id": f.ServiceID, "drill_id": f.DrillID} {
		if v != "" {
			q = q.Where("? = ?", bun.Ident(col), v)
		}
	}
	if f.Limit <= 0 {
		f.Limit = 100
	}
	return out, q.Limit(int64(min(f.Limit, 500))).Scan(ctx)
}

// Restrict puts an incident behind its own allow-list; the actor and people get access.
func Restrict(ctx context.Context, tx *store.Tx, id string, people []string) error {
	i, err := forChange(ctx, tx, id, "incident.restrict")
	if err != nil {
		return err
	}
	for _, p := range append([]string{tx.Actor.ID}, people...) {
		if err := grant(ctx, tx, i.ID, p); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "UPDATE incident SET restricted = TRUE, version = version + 1 WHERE id = ?", id); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "incident.restrict", ObjectKind: "incident", ObjectID: id, Scope: Scope(id), Content: map[string]any{"people": people}})
	tx.Touch("incident")
	return nil
}

// restriction is what the second signature is about when a wall is to go.
const restriction = "restriction"

// AskUnrestrict asks to open a restricted incident to everybody whose office may read incidents; it takes
// effect when another person on the allow-list with incident.restrict confirms. Errors: forbidden; invalid
// reason; not found; conflict incident.not_restricted.
func AskUnrestrict(ctx context.Context, tx *store.Tx, id, reason string) (identity.SecondSignature, error) {
	i, err := forChange(ctx, tx, id, "incident.restrict")
	if err != nil {
		return identity.SecondSignature{}, err
	}
	if !i.Restricted {
		return identity.SecondSignature{}, fault.Conflict("id", "incident.not_restricted")
	}
	return identity.AskSecond(ctx, tx, identity.SecondSignature{Action: "incident.restrict", ObjectKind: restriction, ObjectID: i.ID, IncidentID: i.ID, DrillID: i.DrillID, Reason: reason}, i.ID)
}

// unrestrict takes the wall away, and the allow-list with it: a later wall has a list of its own.
func unrestrict(ctx context.Context, tx *store.Tx, id string) error {
	res, err := tx.ExecContext(ctx, "UPDATE incident SET restricted = FALSE, version = version + 1 WHERE id = ? AND restricted", id)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.Conflict("id", "incident.not_restricted")
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM incident_access WHERE incident_id = ?", id); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "incident.unrestrict", ObjectKind: "incident", ObjectID: id, Scope: Scope(id)})
	tx.Touch("incident")
	return nil
}

// grant puts a person on the allow-list. A name that is nobody's would lock out whom it was meant for.
func grant(ctx context.Context, tx *store.Tx, id, person string) error {
	if person != tx.Actor.ID {
		n, err := tx.NewSelect().TableExpr("person").Where("id = ? AND active", person).Count(ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.NotFound("people", "incident.unknown_person", "person", person)
		}
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO incident_access (incident_id, person_id, granted_by, granted_ms) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
		id, person, tx.Actor.ID, tx.NowMs)
	return err
}

// Objects lists the affected objects of an incident.
func Objects(ctx context.Context, db bun.IDB, id string) ([]service.AffectedObject, error) {
	out := []service.AffectedObject{}
	err := db.NewSelect().Model(&out).Where("id IN (SELECT object_id FROM incident_object WHERE incident_id = ?)", id).Order("created_ms", "id").Scan(ctx)
	return out, err
}
