package anomaly

import (
	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/listing"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// States are all states, in the order of the machine.
func States() []string {
	return []string{string(Open), string(Assessing), string(Dismissed), string(Promoted), string(Merged)}
}

// Listing is the queue of anomalies.
func Listing() listing.Table {
	return listing.Table{
		From: "anomaly AS a", ID: "a.id", Time: "a.opened_ms",
		Search: []string{listing.Has("a.number"), listing.Has("a.rule_id"), listing.Has("a.category"), listing.Has("a.risk"), listing.Has("a.reason"), listing.Has("a.id"), listing.ServiceNamed("a.service_id")},
		Fields: []listing.Field{
			{Name: "state", Expr: "a.state", Values: States(), Facet: true},
			{Name: "kind", Expr: "a.kind", Values: identity.Kinds(), Facet: true},
			{Name: "service_id", Expr: "a.service_id", Facet: true},
			{Name: "rule_id", Expr: "a.rule_id", Facet: true},
			{Name: "risk", Expr: "a.risk", Facet: true},
			{Name: "severity", Expr: "a.severity", Values: severities, Facet: true},
			{Name: "category", Expr: "a.category"},
			{Name: "modality", Expr: "a.modality"},
			{Name: "incident_id", Expr: "a.incident_id"},
		},
	}
}

// Mine narrows a query on anomaly AS a to what the actor may know of. Forbidden without anomaly.read.
func Mine(actor store.Actor) (listing.Where, error) {
	if err := identity.Require(actor, "anomaly.read"); err != nil {
		return nil, err
	}
	return func(q *bun.SelectQuery) *bun.SelectQuery {
		if actor.Drill != "" {
			q = q.Where("a.drill_id = ?", actor.Drill)
		}
		return q.Where("a.id NOT IN (?)", Hidden(actor))
	}, nil
}
