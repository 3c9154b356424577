package flow

import (
	"context"

	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/obligation"
	"github.com/fengsui/fengsui/internal/service"
)

// Status says at a glance whether it is calm. Counts leave out what is restricted to name nothing:
// they are numbers of open things by kind; reports due are those of real incidents, as only these are owed to anybody: the nearest due time, how many are past
// theirs, and how many are owed at once. Traffic is that of the last ten minutes.
type Status struct {
	NowMs      int64                    `json:"now_ms"`
	GatewayURL string                   `json:"gateway_url"`
	Anomalies  []Count                  `json:"anomalies"` // by state and kind, not decided
	Incidents  []Count                  `json:"incidents"` // by state and kind, not closed
	Orders     []Count                  `json:"orders"`    // in force, by rung and kind
	NearestDue int64                    `json:"nearest_due_ms"`
	Overdue    int                      `json:"overdue"`
	AtOnce     int                      `json:"at_once"`
	Gateways   []containment.GatewayRow `json:"gateways"`
	Verdicts   []telemetry.VerdictCount `json:"verdicts"`
	Telemetry  telemetry.Status         `json:"telemetry"`
	Services   []service.Service        `json:"services"`
}

// Count is how many things stand alike.
type Count struct {
	State string `json:"state"`
	Kind  string `json:"kind"`
	N     int    `json:"n"`
}

// trafficWindowMs is how far back the status looks at traffic.
const trafficWindowMs = 10 * 60 * 1000

// Status reads the overview.
func (h *House) Status(ctx context.Context) (Status, error) {
	db, now := h.Store.Read(), h.NowMs()
	s := Status{NowMs: now, GatewayURL: h.GatewayURL, Anomalies: []Count{}, Incidents: []Count{}, Orders: []Count{}, Telemetry: h.Telemetry.Status()}
	for _, q := range []struct {
		into *[]Count
		sql  string
	}{
		{&s.Anomalies, "SELECT state, kind, COUNT(*) AS n FROM anomaly WHERE state IN ('open','assessing') GROUP BY state, kind ORDER BY state, kind"},
		{&s.Incidents, "SELECT state, kind, COUNT(*) AS n FROM incident WHERE state <> 'closed' AND NOT restricted GROUP BY state, kind ORDER BY state, kind"},
		{&s.Orders, "SELECT rung AS state, kind, COUNT(*) AS n FROM disposal_order WHERE state = 'in_force' AND incident_id NOT IN (SELECT id FROM incident WHERE restricted) GROUP BY rung, kind ORDER BY rung, kind"},
	} {
		if err := db.NewRaw(q.sql).Scan(ctx, q.into); err != nil {
			return s, err
		}
	}
	var standing []obligation.Obligation
	if err := db.NewSelect().Model(&standing).Where("state IN ('pending','owed','decision') AND EXISTS (SELECT 1 FROM incident AS i WHERE i.id = incident_id AND i.kind = 'real' AND NOT i.restricted)").Scan(ctx); err != nil {
		return s, err
	}
	obligation.Order(h.Book, standing)
	s.NearestDue = firstDue(standing)
	for _, o := range standing {
		if o.AtOnce {
			s.AtOnce++
		} else if o.DueMs > 0 && o.DueMs < now {
			s.Overdue++
		}
	}
	var err error
	if s.Gateways, err = containment.Gateways(ctx, db); err != nil {
		return s, err
	}
	if s.Services, err = service.List[service.Service](ctx, db, ""); err != nil {
		return s, err
	}
	s.Verdicts, err = h.Telemetry.Verdicts(ctx, now-trafficWindowMs, now)
	return s, err
}

// Requests is how many requests the status looks back on.
func (s Status) Requests() (n int64) {
	for _, v := range s.Verdicts {
		n += v.Count
	}
	return n
}

// Name is what a service is called; its id if it is not known.
func (s Status) Name(serviceID string) string {
	for _, x := range s.Services {
		if x.ID == serviceID {
			return x.Name
		}
	}
	return serviceID
}

// Sum adds up counts.
func (s Status) Sum(counts []Count) (n int) {
	for _, c := range counts {
		n += c.N
	}
	return n
}
