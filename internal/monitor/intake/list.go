package intake

import (
	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/listing"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Listing is the list of complaints. What people wrote is sealed and not searched.
func Listing() listing.Table {
	return listing.Table{
		From: "complaint AS c", ID: "c.id", Time: "c.received_ms",
		Search: []string{listing.Has("c.number"), listing.Has("c.id"), listing.Has("c.content_no"), listing.ServiceNamed("c.service_id")},
		Fields: []listing.Field{
			{Name: "state", Expr: "c.state", Values: []string{StateReceived, StateRead, StateAnswered}, Facet: true},
			{Name: "kind", Expr: "c.kind", Values: []string{KindComplaint, KindReport, KindRights}, Facet: true},
			{Name: "service_id", Expr: "c.service_id", Facet: true},
			{Name: "traffic_kind", Expr: "c.traffic_kind", Values: identity.Kinds(), Facet: true},
			{Name: "anomaly_id", Expr: "c.anomaly_id"},
		},
	}
}

// Mine narrows a query on complaint AS c to what the actor may know of. Forbidden without complaint.read.
func Mine(a store.Actor) (listing.Where, error) {
	if err := identity.Require(a, "complaint.read"); err != nil {
		return nil, err
	}
	return func(q *bun.SelectQuery) *bun.SelectQuery {
		if a.Drill != "" {
			q = q.Where("c.service_id IN (SELECT id FROM service WHERE drill_id = ?)", a.Drill)
		}
		return q.Where("c.anomaly_id NOT IN (?)", anomaly.Hidden(a))
	}, nil
}
