package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/node"
	"github.com/fengsui/fengsui/internal/respond/containment"
)

// figures show at /metrics what somebody must be woken for: how many, never which. What cannot be read has no figure then.
type figures struct{ house *flow.House }

var (
	incidentsOpen  = figure("incidents_open", "Incidents that are not closed, restricted ones left out.", "kind", "state")
	ordersInForce  = figure("orders_in_force", "Orders in force.", "kind", "rung")
	anomaliesOpen  = figure("anomalies_open", "Anomalies that are not decided.", "kind", "state")
	reportsOverdue = figure("reports_overdue", "Reports owed for real incidents that are past their time.")
	reportsAtOnce  = figure("reports_at_once", "Reports owed for real incidents at once.")
	gatewaysNow    = figure("gateways", "Gateways by how they stand: fresh, behind, lost or idle.", "state")
	nodesNow       = figure("nodes", "Nodes that serve, have left, or are gone without having said so.", "state")
)

func figure(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("fengsui_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (f figures) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{incidentsOpen, ordersInForce, anomaliesOpen, reportsOverdue, reportsAtOnce, gatewaysNow, nodesNow} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (f figures) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	put := func(d *prometheus.Desc, n int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	s, err := f.house.Status(ctx)
	if err != nil {
		return
	}
	for d, counts := range map[*prometheus.Desc][]flow.Count{incidentsOpen: s.Incidents, ordersInForce: s.Orders, anomaliesOpen: s.Anomalies} {
		for _, c := range counts {
			put(d, c.N, c.Kind, c.State)
		}
	}
	put(reportsOverdue, s.Overdue)
	put(reportsAtOnce, s.AtOnce)
	standing := map[string]int{containment.Fresh: 0, containment.Behind: 0, containment.Lost: 0, containment.Idle: 0}
	var revision int64
	if f.house.Store.Read().NewRaw("SELECT revision FROM bundle_state WHERE id = 1").Scan(ctx, &revision) == nil {
		for _, g := range s.Gateways {
			standing[g.Standing(s.NowMs, revision)]++
		}
		for state, n := range standing {
			put(gatewaysNow, n, state)
		}
	}
	nodes, err := node.List(ctx, f.house.Store.Read(), s.NowMs)
	if err != nil {
		return
	}
	states := map[string]int{node.Serving: 0, node.Left: 0, node.Gone: 0}
	for _, n := range nodes {
		states[n.State]++
	}
	for state, n := range states {
		put(nodesNow, n, state)
	}
}
