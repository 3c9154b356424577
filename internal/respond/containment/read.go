package containment

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/service"
)

// AckRow is a gateway's word that it obeys an order.
type AckRow struct {
	bun.BaseModel `bun:"table:order_ack" json:"-"`
	OrderID       string `bun:"order_id,pk" json:"order_id"`
	GatewayID     string `bun:"gateway_id,pk" json:"gateway_id"`
	Revision      int64  `json:"revision"`
	AtMs          int64  `json:"at_ms"`
	StreamsCut    int    `json:"streams_cut"` // by the bundle that brought the order
}

// Probe is proof from outside that an order holds, or that it does not. Detail is a fixed word.
type Probe struct {
	bun.BaseModel `bun:"table:order_probe" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	OrderID       string `json:"order_id"`
	GatewayID     string `json:"gateway_id"`
	AtMs          int64  `json:"at_ms"`
	Effective     bool   `json:"effective"`
	Detail        string `json:"detail"`
}

// GatewayRow is what control knows of a gateway. Effective: it obeys the revision and is in contact.
type GatewayRow struct {
	bun.BaseModel `bun:"table:gateway" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	Revision      int64  `json:"revision"`
	LastSeenMs    int64  `json:"last_seen_ms"`
	Effective     bool   `json:"effective"`
	GuardsSilent  int64  `json:"guards_silent" doc:"guard models that give no opinions there: doubtful texts have no second reader"`
}

// Status is an order with its proof. Acknowledged: by every known gateway, all in contact.
// Proven: the newest probe through each of them showed that it holds.
type Status struct {
	Order        Order    `json:"order"`
	Acks         []AckRow `json:"acks"`
	Probes       []Probe  `json:"probes"`
	Missing      []string `json:"missing"` // gateways that have not acknowledged or are out of contact
	Acknowledged bool     `json:"acknowledged"`
	Proven       bool     `json:"proven"`
}

// How a gateway stands.
const (
	Fresh  = "fresh"  // in contact, obeys the newest revision
	Behind = "behind" // in contact, obeys an older one
	Lost   = "lost"   // not heard of for three heartbeats
	Idle   = "idle"   // in contact, and not effective
)

// Standing is how the gateway stands at nowMs, when revision is the newest.
func (g GatewayRow) Standing(nowMs, revision int64) string {
	switch {
	case nowMs-g.LastSeenMs > 30_000:
		return Lost
	case g.Revision < revision:
		return Behind
	case !g.Effective:
		return Idle
	}
	return Fresh
}

// Gateways lists the known gateways.
func Gateways(ctx context.Context, db bun.IDB) ([]GatewayRow, error) {
	out := []GatewayRow{}
	return out, db.NewSelect().Model(&out).Order("id").Scan(ctx)
}

// load reads an order that the actor may know of: of its drill, and not of an incident that is hidden
// from it. What is hidden is answered like what never was.
func load(ctx context.Context, db bun.IDB, a store.Actor, id string) (Order, error) {
	o, err := service.Get[Order](ctx, db, "order_id", id)
	if err != nil {
		return o, err
	}
	if err := incident.Visible(ctx, db, a, "order_id", o.IncidentID); err != nil {
		return Order{}, err
	}
	return o, identity.RequireDrill(a, o.DrillID)
}

// Get reads an order with its proof. Forbidden without order.read or for another drill's stand-in.
func Get(ctx context.Context, db bun.IDB, a store.Actor, id string) (Status, error) {
	s := Status{Acks: []AckRow{}, Probes: []Probe{}, Missing: []string{}}
	if err := identity.Require(a, "order.read"); err != nil {
		return s, err
	}
	var err error
	if s.Order, err = load(ctx, db, a, id); err != nil {
		return s, err
	}
	if err := db.NewSelect().Model(&s.Acks).Where("order_id = ?", id).Order("at_ms", "gateway_id").Scan(ctx); err != nil {
		return s, err
	}
	if err := db.NewSelect().Model(&s.Probes).Where("order_id = ?", id).Order("at_ms", "id").Scan(ctx); err != nil {
		return s, err
	}
	gateways, err := Gateways(ctx, db)
	if err != nil {
		return s, err
	}
	s.judge(gateways)
	return s, nil
}

func (s *Status) judge(gateways []GatewayRow) {
	acked, proven := map[string]bool{}, map[string]bool{}
	for _, a := range s.Acks {
		acked[a.GatewayID] = true
	}
	for _, p := range s.Probes { // oldest first: the newest wins
		proven[p.GatewayID] = p.Effective
	}
	s.Proven = len(gateways) > 0
	for _, g := range gateways {
		if !acked[g.ID] || !g.Effective {
			s.Missing = append(s.Missing, g.ID)
		}
		s.Proven = s.Proven && proven[g.ID]
	}
	s.Acknowledged = len(gateways) > 0 && len(s.Missing) == 0
}

// Filter picks orders; an empty field does not restrict.
type Filter struct {
	ServiceID  string
	IncidentID string
	Cause      Cause
	CauseID    string
	State      State
	Kind       string
	Orphans    bool // without an incident
	Limit      int  // default 200
	Offset     int
}

// List shows orders, newest first; a drill's stand-in sees those of its drill, and nobody those of an
// incident that is hidden from them.
func List(ctx context.Context, db bun.IDB, a store.Actor, f Filter) ([]Order, error) {
	if err := identity.Require(a, "order.read"); err != nil {
		return nil, err
	}
	if f.Limit <= 0 {
		f.Limit = 200
	}
	out := []Order{}
	q := db.NewSelect().Model(&out).Order("seq DESC").Limit(int64(f.Limit)).Offset(int64(f.Offset))
	for _, c := range []struct{ column, value string }{{"service_id", f.ServiceID}, {"incident_id", f.IncidentID}, {"cause", string(f.Cause)},
		{"cause_id", f.CauseID}, {"state", string(f.State)}, {"kind", f.Kind}, {"drill_id", a.Drill}} {
		if c.value != "" {
			q = q.Where("? = ?", bun.Ident(c.column), c.value)
		}
	}
	q = q.Where("incident_id NOT IN (?)", incident.Hidden(a))
	if f.Orphans {
		q = q.Where("incident_id = ''")
	}
	return out, q.Scan(ctx)
}

// Audience says whose traffic is counted. Real orders bind traffic of every kind; DrillOnly restricts
// to drill-marked traffic. Groups in ExceptGroups are not hit.
type Audience struct {
	Scope        posture.Scope
	ExceptGroups []string
	DrillOnly    bool
	SinceMs      int64
}

// Counts of traffic in a window. Subjects are distinct; Unknown counts requests without a subject.
type Counts struct {
	Requests int64            `json:"requests"`
	Subjects int64            `json:"subjects"`
	Unknown  int64            `json:"unknown"`
	ByGroup  map[string]int64 `json:"by_group"` // requests
}

// Traffic counts stored traffic; the telemetry store is one.
type Traffic interface {
	Count(ctx context.Context, a Audience) (Counts, error)
}

// Hit is whom an order would have hit in the last hour.
type Hit struct {
	Counts
	Measure   posture.Tag `json:"measure"`
	Kind      string      `json:"kind"`
	SinceMs   int64       `json:"since_ms"`
	Conflicts []Conflict  `json:"conflicts"` // with orders in force; none of them stops the order
}

// Conflict is an order in force that the new one overlaps or contradicts; Key is a translation key.
type Conflict struct {
	OrderID string `json:"order_id"`
	Key     string `json:"key"`
}

// previewWindowMs is how far back a preview looks.
const previewWindowMs int64 = 60 * 60 * 1000

// Preview says whom an order would hit, by the traffic of the last hour, without issuing it.
// Errors are those of Issue; unavailable without a traffic store.
func (c *Control) Preview(ctx context.Context, db bun.IDB, a store.Actor, clk clock.Clock, r Request) (Hit, error) {
	if err := identity.Require(a, "order.read"); err != nil {
		return Hit{}, err
	}
	if c.o.Traffic == nil {
		return Hit{}, fault.Unavailable("containment.no_traffic")
	}
	nowMs := clock.Ms(clk)
	from, _, err := c.check(ctx, db, a, &r, nowMs)
	if err != nil {
		return Hit{}, err
	}
	if err := identity.RequireDrill(a, from.drillID); err != nil {
		return Hit{}, err
	}
	standing, err := inForce(ctx, db, r.Scope.ServiceID)
	if err != nil {
		return Hit{}, err
	}
	var known []Order // a conflict with what is hidden is not named
	for _, o := range standing {
		switch err := incident.Visible(ctx, db, a, "order_id", o.IncidentID); {
		case err == nil:
			known = append(known, o)
		case fault.KindOf(err) != fault.KindNotFound:
			return Hit{}, err
		}
	}
	h := Hit{Measure: r.Rung.Tag(), Kind: from.kind, SinceMs: nowMs - previewWindowMs, Conflicts: conflicts(known, r, from.kind)}
	aud := Audience{Scope: r.Scope, DrillOnly: from.kind == string(posture.Drill), SinceMs: h.SinceMs}
	if r.Rung == posture.AudienceLimit {
		aud.ExceptGroups = r.Params.AllowedGroups
	}
	h.Counts, err = c.o.Traffic.Count(ctx, aud)
	return h, err
}
