package containment

import (
	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/listing"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

// Listing is the list of orders, by their sequence.
func Listing() listing.Table {
	return listing.Table{
		From: "disposal_order AS o", ID: "o.id", Time: "o.issued_ms", Key: "o.seq",
		Search: []string{listing.Has("o.id"), listing.Has("o.rung"), listing.Has("o.cause_id"), listing.ServiceNamed("o.service_id"),
			"o.incident_id IN (SELECT id FROM incident WHERE " + listing.Has("number || ' ' || title") + ")"},
		Fields: []listing.Field{
			{Name: "state", Expr: "o.state", Values: []string{string(InForce), string(Lifted), string(Lapsed)}, Facet: true},
			{Name: "rung", Expr: "o.rung", Values: rungs(), Facet: true},
			{Name: "measure", Expr: "o.measure", Values: []string{string(posture.Adjust), string(posture.Restrict), string(posture.Offline)}, Facet: true},
			{Name: "kind", Expr: "o.kind", Values: []string{"real", "drill", "test"}, Facet: true},
			{Name: "service_id", Expr: "o.service_id", Facet: true},
			{Name: "incident_id", Expr: "o.incident_id"},
			{Name: "cause", Expr: "o.cause", Values: []string{"anomaly", "incident", "directive", "drill"}},
			{Name: "cause_id", Expr: "o.cause_id"},
			{Name: "orphans", Expr: "CASE WHEN o.incident_id = '' THEN 'true' ELSE 'false' END", Values: []string{"true", "false"}},
		},
	}
}

func rungs() (out []string) {
	for _, r := range posture.Rungs() {
		out = append(out, string(r))
	}
	return out
}

// Mine narrows a query on disposal_order AS o to what the actor may know of. Forbidden without order.read.
func Mine(a store.Actor) (listing.Where, error) {
	if err := identity.Require(a, "order.read"); err != nil {
		return nil, err
	}
	return func(q *bun.SelectQuery) *bun.SelectQuery {
		if a.Drill != "" {
			q = q.Where("o.drill_id = ?", a.Drill)
		}
		return q.Where("o.incident_id NOT IN (?)", incident.Hidden(a))
	}, nil
}
