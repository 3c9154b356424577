package incident

import (
	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/listing"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// States are all states, in the order in which they are passed through.
func States() []string {
	return []string{string(Declared), string(Responding), string(Recovering), string(Ended), string(Verifying), string(Closed)}
}

// workingLevel is levelOf(...).Working in SQL, as text, "0" before the first assessment: of what stands for
// each object, the gravest. It must say what standingRows says; a test compares them.
const workingLevel = `COALESCE((SELECT CAST(MIN(s.working_level) AS TEXT) FROM assessment s WHERE s.incident_id = i.id AND NOT EXISTS (
	SELECT 1 FROM assessment n WHERE n.incident_id = s.incident_id AND n.object_id = s.object_id AND
		(CASE WHEN n.source = 'authority' THEN 1 ELSE 0 END, n.at_ms, n.id) > (CASE WHEN s.source = 'authority' THEN 1 ELSE 0 END, s.at_ms, s.id))), '0')`

// Listing is the list of incidents.
func Listing() listing.Table {
	return listing.Table{
		From: "incident AS i", ID: "i.id", Time: "i.declared_ms",
		Search: []string{listing.Has("i.number"), listing.Has("i.title"), listing.Has("i.id"), listing.ServiceNamed("i.service_id"),
			"i.id IN (SELECT incident_id FROM incident_category WHERE retired_ms = 0 AND " + listing.Has("guide_type || ' ' || gb_category || ' ' || risk") + ")"},
		Fields: []listing.Field{
			{Name: "state", Expr: "i.state", Values: States(), Facet: true},
			{Name: "kind", Expr: "i.kind", Values: identity.Kinds(), Facet: true},
			{Name: "service_id", Expr: "i.service_id", Facet: true},
			{Name: "level", Expr: workingLevel, Values: []string{"0", "1", "2", "3", "4"}, Facet: true},
			{Name: "restricted", Expr: "CASE WHEN i.restricted THEN 'true' ELSE 'false' END", Values: []string{"true", "false"}, Facet: true},
			{Name: "operator_id", Expr: "i.operator_id"},
			{Name: "drill_id", Expr: "i.drill_id"},
		},
	}
}

// Mine narrows a query on incident AS i to what the actor may know of. Forbidden without incident.read.
func Mine(a store.Actor) (listing.Where, error) {
	if err := identity.Require(a, "incident.read"); err != nil {
		return nil, err
	}
	return func(q *bun.SelectQuery) *bun.SelectQuery {
		if a.Drill != "" {
			q = q.Where("i.drill_id = ?", a.Drill)
		}
		return q.Where("i.id NOT IN (?)", Hidden(a))
	}, nil
}
