package flow

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/monitor/gateway"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/node"
	"github.com/fengsui/fengsui/internal/platform/notify"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/respond/obligation"
)

// Overview is what the desk shows first: is it calm or not. Times are UTC milliseconds. It holds only what
// the asker may see: Unseen names the parts that they may not, and Calm speaks of the others alone. What
// is not real (drill, test, backfill) is listed with its kind and never a reason.
type Overview struct {
	NowMs     int64          `json:"now_ms"`
	Calm      bool           `json:"calm"`
	Reasons   []Reason       `json:"reasons"` // why it is not calm
	Unseen    []string       `json:"unseen"`  // of incidents, anomalies, orders
	Traffic   TrafficSeries  `json:"traffic"`
	Anomalies []AnomalyCount `json:"anomalies"` // not decided
	Warnings  []Warning      `json:"warnings"`
	Incidents OpenIncidents  `json:"incidents"`
	Orders    OrdersInForce  `json:"orders"`
	Gateways  []GatewayFresh `json:"gateways"`
	Nodes     []node.Node    `json:"nodes"`
	Cycles    []CycleHealth  `json:"cycles"`   // of this node
	Due       Backlog        `json:"due"`      // clocks that run
	Messages  Backlog        `json:"messages"` // that wait to leave, refused and failed ones included
	Telemetry string         `json:"telemetry_failing"`
}

// Reason is one thing that keeps the desk from being calm. ID has its words at calm.<id>; N things are
// so, one of which is the object.
type Reason struct {
	ID         string `json:"id"`
	N          int    `json:"n"`
	ObjectKind string `json:"object_kind"`
	ObjectID   string `json:"object_id"`
}

// The reasons there are.
const (
	reportAtOnce     = "report_at_once"    // a report is owed "promptly" and was not made
	clockOverdue     = "clock_overdue"     // an obligation's time is past
	clockNear        = "clock_near"        // it will be within the hour
	incidentGrave    = "incident_grave"    // open at 二级 or above
	incidentUngraded = "incident_ungraded" // open without a level: nobody knows how grave
	evidenceMissing  = "evidence_missing"
	taskOverdue      = "task_overdue"
	anomalyWaiting   = "anomaly_waiting" // high or critical and seen by nobody
	orderUnadopted   = "order_unadopted"
	orderNotHolding  = "order_not_holding" // the newest probe came through
	gatewayNone      = "gateway_none"
	gatewayStale     = "gateway_stale"
	guardSilent      = "guard_silent" // a guard model gives no opinions on a gateway in contact
	nodeGone         = "node_gone"    // without having said so
	cycleLate        = "cycle_late"
	dueBacklog       = "due_backlog"
	messageBacklog   = "message_backlog"
	telemetryFailing = "telemetry_failing"
)

// CalmReasons lists the ids of Reason.
func CalmReasons() []string {
	return []string{reportAtOnce, clockOverdue, clockNear, incidentGrave, incidentUngraded, evidenceMissing, taskOverdue, anomalyWaiting, orderUnadopted, orderNotHolding,
		gatewayNone, gatewayStale, guardSilent, nodeGone, cycleLate, dueBacklog, messageBacklog, telemetryFailing}
}

// TrafficSeries is the last hour of traffic in whole minutes, the present one included. A line is one kind
// of traffic with one verdict, the worse of its two sides; its counts are as many as there are minutes.
type TrafficSeries struct {
	FromMs int64         `json:"from_ms"`
	StepMs int64         `json:"step_ms"`
	Lines  []TrafficLine `json:"lines"`
}

// TrafficLine is a line of TrafficSeries; Total is the sum of Counts.
type TrafficLine struct {
	Kind      string  `json:"kind"`
	Simulated bool    `json:"simulated"`
	Verdict   string  `json:"verdict"`
	Counts    []int64 `json:"counts"`
	Total     int64   `json:"total"`
}

// AnomalyCount is how many anomalies that nobody has decided stand alike.
type AnomalyCount struct {
	Kind     string `json:"kind"`
	State    string `json:"state"`
	Severity string `json:"severity"`
	N        int    `json:"n"`
}

// Warning 预警 is not built yet: the list is always empty.
type Warning struct {
	ID     string `json:"id"`
	Colour string `json:"colour"`
}

// OpenIncidents are those that are not closed: counted by kind and level, and the first twenty by their
// nearest clock.
type OpenIncidents struct {
	Total  int             `json:"total"`
	Counts []IncidentCount `json:"counts"`
	Items  []IncidentBrief `json:"items"`
}

// IncidentCount counts by kind and working level; 0 is not graded.
type IncidentCount struct {
	Kind  string `json:"kind"`
	Level int    `json:"level"`
	N     int    `json:"n"`
}

// IncidentBrief is an open incident with the clock that presses most, if one with a time runs or a report is owed at once,
// and the asker may read obligations.
type IncidentBrief struct {
	ID              string         `json:"id"`
	Number          string         `json:"number"`
	Kind            string         `json:"kind"`
	Title           string         `json:"title"`
	State           incident.State `json:"state"`
	ServiceID       string         `json:"service_id"`
	Restricted      bool           `json:"restricted"`
	DeclaredMs      int64          `json:"declared_ms"`
	Level           incident.Level `json:"level"`
	Clock           *NearestClock  `json:"clock"`
	TasksOpen       int            `json:"tasks_open"`
	TasksOverdue    int            `json:"tasks_overdue"`
	MissingEvidence int            `json:"missing_evidence"`
}

// NearestClock is the obligation to look at first; see obligation.Nearest. AtOnce is owed since SinceMs without a due time.
type NearestClock struct {
	ObligationID string `json:"obligation_id"`
	RuleID       string `json:"rule_id"`
	Authority    string `json:"authority"`
	State        string `json:"state"`
	DueMs        int64  `json:"due_ms"`
	Overdue      bool   `json:"overdue"`
	AtOnce       bool   `json:"at_once"`
	SinceMs      int64  `json:"since_ms"`
}

// OrdersInForce counts all and lists the newest fifty.
type OrdersInForce struct {
	Total int          `json:"total"`
	Items []OrderBrief `json:"items"`
}

// OrderBrief is an order in force. Probe is what the newest look from outside found: holds, fails, or none.
type OrderBrief struct {
	ID         string `json:"id"`
	Kind       string `json:"kind"`
	Rung       string `json:"rung"`
	Measure    string `json:"measure"`
	ServiceID  string `json:"service_id"`
	IncidentID string `json:"incident_id"`
	IssuedMs   int64  `json:"issued_ms"`
	ExpiresMs  int64  `json:"expires_ms"`
	Probe      string `json:"probe"`
}

// GatewayFresh is a gateway and how far it is behind. Fresh: in contact and obeying the newest bundle.
type GatewayFresh struct {
	containment.GatewayRow
	CurrentRevision int64 `json:"current_revision"`
	AgeMs           int64 `json:"age_ms"`
	Fresh           bool  `json:"fresh"`
}

// CycleHealth is the heartbeat of one of the loops that keep clocks and messages.
type CycleHealth struct {
	Name     string `json:"name"`
	LastMs   int64  `json:"last_ms"`
	AgeMs    int64  `json:"age_ms"`
	Failures int64  `json:"failures"`
	Late     bool   `json:"late"`
}

// Backlog is what waits. Overdue should have been done by now, the oldest of it since LateMs.
type Backlog struct {
	Pending int64 `json:"pending"`
	Overdue int64 `json:"overdue"`
	LateMs  int64 `json:"late_ms"`
}

const (
	overviewMinutes   = 60
	overviewIncidents = 20
	overviewOrders    = 50
	nearMs            = 60 * 60 * 1000
	// CycleLateAfter is when a loop that has not come round counts as late.
	CycleLateAfter = 3 * time.Minute
	// gatewayLostMs is three heartbeats of the distributor.
	gatewayLostMs = 30_000
	// backlogGraceMs is how long what is due may wait before the desk is told.
	backlogGraceMs = 60_000
)

// Overview reads it as a may see it. Forbidden without status.read.
func (h *House) Overview(ctx context.Context, a store.Actor) (Overview, error) {
	o := Overview{NowMs: h.NowMs(), Reasons: []Reason{}, Unseen: []string{}, Anomalies: []AnomalyCount{}, Warnings: []Warning{},
		Incidents: OpenIncidents{Counts: []IncidentCount{}, Items: []IncidentBrief{}}, Orders: OrdersInForce{Items: []OrderBrief{}}, Gateways: []GatewayFresh{}, Nodes: []node.Node{}, Cycles: []CycleHealth{}}
	if err := identity.Require(a, "status.read"); err != nil {
		return o, err
	}
	v := overviewer{House: h, a: a, o: &o}
	for _, step := range []func(context.Context) error{v.traffic, v.incidents, v.anomalies, v.orders, v.gateways, v.nodes, v.backlogs} {
		if err := step(ctx); err != nil {
			return o, err
		}
	}
	o.Calm = len(o.Reasons) == 0
	return o, nil
}

// overviewer fills an Overview part by part.
type overviewer struct {
	*House
	a store.Actor
	o *Overview
}

// unrest notes a reason, if there are any such things.
func (v overviewer) unrest(id string, n int, kind, object string) {
	if n > 0 {
		v.o.Reasons = append(v.o.Reasons, Reason{id, n, kind, object})
	}
}

func (v overviewer) unrestAbout(id, kind string, ids []string) {
	if len(ids) > 0 {
		v.unrest(id, len(ids), kind, ids[0])
	}
}

func (v overviewer) may(action, part string) bool {
	if identity.May(v.a, action) {
		return true
	}
	v.o.Unseen = append(v.o.Unseen, part)
	return false
}

// ofDrill keeps a drill's stand-in to its drill.
func (v overviewer) ofDrill(q *bun.SelectQuery) *bun.SelectQuery {
	if v.a.Drill != "" {
		q = q.Where("drill_id = ?", v.a.Drill)
	}
	return q
}

func (v overviewer) traffic(ctx context.Context) error {
	const step = telemetry.MinuteMs
	from := v.o.NowMs/step*step - (overviewMinutes-1)*step
	rows, err := v.Telemetry.Minutes(ctx, from, from+overviewMinutes*step)
	lines := []TrafficLine{}
	for _, r := range rows {
		verdict := gateway.Worse(r.InputVerdict, r.OutputVerdict)
		i := slices.IndexFunc(lines, func(l TrafficLine) bool {
			return l.Kind == r.Kind && l.Simulated == r.Simulated && l.Verdict == verdict
		})
		if i < 0 {
			i = len(lines)
			lines = append(lines, TrafficLine{Kind: r.Kind, Simulated: r.Simulated, Verdict: verdict, Counts: make([]int64, overviewMinutes)})
		}
		lines[i].Counts[(r.AtMs-from)/step] += r.Count
		lines[i].Total += r.Count
	}
	v.o.Traffic = TrafficSeries{FromMs: from, StepMs: step, Lines: lines}
	if failing := v.Telemetry.Status().Failing; failing != "" {
		v.o.Telemetry = failing
		v.unrest(telemetryFailing, 1, "", "")
	}
	return err
}

func (v overviewer) incidents(ctx context.Context) error {
	if !v.may("incident.read", "incidents") {
		return nil
	}
	db := v.Store.Read()
	var open []incident.Incident
	if err := v.ofDrill(db.NewSelect().Model(&open).Where("state <> ?", incident.Closed).Where("id NOT IN (?)", incident.Hidden(v.a))).Scan(ctx); err != nil {
		return err
	}
	ids, real := make([]string, 0, len(open)), []string{}
	for _, i := range open {
		ids = append(ids, i.ID)
		if i.Kind == "real" {
			real = append(real, i.ID)
		}
	}
	levels, err := incident.LevelsOf(ctx, db, ids)
	if err != nil {
		return err
	}
	duties, err := v.duties(ctx, ids)
	if err != nil {
		return err
	}
	v.o.Incidents.Total = len(open)
	clocks := map[string]*NearestClock{}
	var grave, ungraded, atOnce, overdue, near []string
	for _, i := range open {
		clocks[i.ID] = v.nearest(duties[i.ID])
		l := levels[i.ID].Working
		at := slices.IndexFunc(v.o.Incidents.Counts, func(c IncidentCount) bool { return c.Kind == i.Kind && c.Level == l })
		if at < 0 {
			at = len(v.o.Incidents.Counts)
			v.o.Incidents.Counts = append(v.o.Incidents.Counts, IncidentCount{Kind: i.Kind, Level: l})
		}
		v.o.Incidents.Counts[at].N++
		if i.Kind != "real" {
			continue
		}
		switch {
		case l == 0:
			ungraded = append(ungraded, i.ID)
		case l <= 2:
			grave = append(grave, i.ID)
		}
		if c := clocks[i.ID]; c != nil && c.AtOnce {
			atOnce = append(atOnce, i.ID)
		}
		switch first := firstDue(duties[i.ID]); {
		case first == 0:
		case first < v.o.NowMs:
			overdue = append(overdue, i.ID)
		case first < v.o.NowMs+nearMs:
			near = append(near, i.ID)
		}
	}
	slices.SortFunc(v.o.Incidents.Counts, func(x, y IncidentCount) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Level, y.Level))
	})
	for _, r := range []struct {
		id  string
		ids []string
	}{{reportAtOnce, atOnce}, {clockOverdue, overdue}, {clockNear, near}, {incidentGrave, grave}, {incidentUngraded, ungraded}} {
		v.unrestAbout(r.id, "incident", r.ids)
	}
	missing, err := v.perIncident(ctx, ids, missingEvidence)
	if err != nil {
		return err
	}
	openTasks, err := v.perIncident(ctx, ids, "SELECT incident_id, COUNT(*) AS n FROM task WHERE incident_id IN (?) AND state = 'open' GROUP BY incident_id")
	if err != nil {
		return err
	}
	lateTasks, err := v.perIncident(ctx, ids, "SELECT incident_id, COUNT(*) AS n FROM task WHERE incident_id IN (?) AND state = 'open' AND due_ms > 0 AND due_ms < ? GROUP BY incident_id", v.o.NowMs)
	if err != nil {
		return err
	}
	with := func(counts map[string]int) (out []string) {
		for _, id := range real {
			if counts[id] > 0 {
				out = append(out, id)
			}
		}
		return out
	}
	v.unrestAbout(evidenceMissing, "incident", with(missing))
	v.unrestAbout(taskOverdue, "incident", with(lateTasks))
	slices.SortFunc(open, func(x, y incident.Incident) int {
		return cmp.Or(clocks[x.ID].compare(clocks[y.ID]), cmp.Compare(levels[x.ID].Working, levels[y.ID].Working), cmp.Compare(y.DeclaredMs, x.DeclaredMs), cmp.Compare(y.ID, x.ID))
	})
	for _, i := range open[:min(len(open), overviewIncidents)] {
		v.o.Incidents.Items = append(v.o.Incidents.Items, IncidentBrief{ID: i.ID, Number: i.Number, Kind: i.Kind, Title: i.Title, State: i.State, ServiceID: i.ServiceID,
			Restricted: i.Restricted, DeclaredMs: i.DeclaredMs, Level: levels[i.ID], Clock: clocks[i.ID], TasksOpen: openTasks[i.ID], TasksOverdue: lateTasks[i.ID], MissingEvidence: missing[i.ID]})
	}
	return nil
}

// missingEvidence counts contents of an incident's anomalies, and of those merged into them, of which
// nothing was kept; see evidence.Missing. The conditions on "" let the indexes answer, which hold no other rows.
const missingEvidence = `WITH RECURSIVE family(id, incident_id) AS (
	SELECT a.id, a.incident_id FROM anomaly a WHERE a.incident_id IN (?) AND a.incident_id <> '' UNION SELECT m.id, f.incident_id FROM anomaly m JOIN family f ON m.merged_into = f.id WHERE m.merged_into <> '')
	SELECT f.incident_id, COUNT(DISTINCT s.content_no) AS n FROM family f JOIN signal s ON s.anomaly_id = f.id
	WHERE s.content_no <> '' AND NOT EXISTS (SELECT 1 FROM evidence e WHERE e.anomaly_id = f.id AND e.content_no = s.content_no) GROUP BY f.incident_id`

func (v overviewer) perIncident(ctx context.Context, ids []string, query string, args ...any) (map[string]int, error) {
	out := map[string]int{}
	if len(ids) == 0 {
		return out, nil
	}
	var rows []struct {
		IncidentID string
		N          int
	}
	if err := v.Store.Read().NewRaw(query, append([]any{bun.List(ids)}, args...)...).Scan(ctx, &rows); err != nil {
		return nil, err
	}
	for _, r := range rows {
		out[r.IncidentID] = r.N
	}
	return out, nil
}

// duties gives what stands of each incident.
func (v overviewer) duties(ctx context.Context, ids []string) (map[string][]obligation.Obligation, error) {
	out := map[string][]obligation.Obligation{}
	if len(ids) == 0 || !identity.May(v.a, "obligation.read") {
		return out, nil
	}
	var rows []obligation.Obligation
	err := v.Store.Read().NewSelect().Model(&rows).Where("incident_id IN (?)", bun.List(ids)).Where("state IN ('pending','owed','decision')").Scan(ctx)
	for _, r := range rows {
		out[r.IncidentID] = append(out[r.IncidentID], r)
	}
	return out, err
}

func (v overviewer) nearest(duties []obligation.Obligation) *NearestClock {
	o := obligation.Nearest(v.Book, duties)
	if o == nil {
		return nil
	}
	return &NearestClock{ObligationID: o.ID, RuleID: o.RuleID, Authority: o.Authority, State: o.State, DueMs: o.DueMs, Overdue: o.DueMs > 0 && o.DueMs < v.o.NowMs, AtOnce: o.AtOnce, SinceMs: o.ClockStartMs}
}

// firstDue is the earliest due time, 0 for none: a duty that is owed at once hides no clock that is over.
func firstDue(duties []obligation.Obligation) (ms int64) {
	for _, o := range duties {
		if o.DueMs > 0 && (ms == 0 || o.DueMs < ms) {
			ms = o.DueMs
		}
	}
	return ms
}

// compare puts what is owed at once before the clock that runs out first, that before others, and none last.
func (c *NearestClock) compare(d *NearestClock) int {
	presses := func(c *NearestClock) (rank int, ms int64) {
		switch {
		case c == nil:
			return 2, 0
		case c.AtOnce:
			return 0, c.SinceMs
		}
		return 1, c.DueMs
	}
	x, xMs := presses(c)
	y, yMs := presses(d)
	return cmp.Or(cmp.Compare(x, y), cmp.Compare(xMs, yMs))
}

func (v overviewer) anomalies(ctx context.Context) error {
	if !v.may("anomaly.read", "anomalies") {
		return nil
	}
	db := v.Store.Read()
	undecided := func() *bun.SelectQuery {
		return v.ofDrill(db.NewSelect().TableExpr("anomaly").Where("state IN ('open','assessing')").Where("id NOT IN (?)", anomaly.Hidden(v.a)))
	}
	if err := undecided().ColumnExpr("kind, state, severity, COUNT(*) AS n").GroupExpr("kind, state, severity").OrderExpr("kind, state, severity").Scan(ctx, &v.o.Anomalies); err != nil {
		return err
	}
	var waiting []string
	err := undecided().Column("id").Where("kind = 'real' AND state = 'open' AND severity IN ('high','critical')").OrderExpr("CASE severity WHEN 'critical' THEN 0 ELSE 1 END, opened_ms").Scan(ctx, &waiting)
	v.unrestAbout(anomalyWaiting, "anomaly", waiting)
	return err
}

func (v overviewer) orders(ctx context.Context) error {
	if !v.may("order.read", "orders") {
		return nil
	}
	db := v.Store.Read()
	var all []OrderBrief
	if err := v.ofDrill(db.NewSelect().TableExpr("disposal_order").Column("id", "kind", "rung", "measure", "service_id", "incident_id", "issued_ms", "expires_ms").
		Where("state = ?", containment.InForce).Where("incident_id NOT IN (?)", incident.Hidden(v.a)).Order("seq DESC")).Scan(ctx, &all); err != nil {
		return err
	}
	var newest []struct {
		OrderID   string
		Effective bool
	}
	if err := db.NewRaw(`SELECT p.order_id, p.effective FROM order_probe p JOIN disposal_order o ON o.id = p.order_id WHERE o.state = 'in_force'
		AND NOT EXISTS (SELECT 1 FROM order_probe q WHERE q.order_id = p.order_id AND q.gateway_id = p.gateway_id AND (q.at_ms, q.id) > (p.at_ms, p.id))`).Scan(ctx, &newest); err != nil {
		return err
	}
	probe := map[string]string{} // by order: one gateway that it fails at is enough
	for _, p := range newest {
		if !p.Effective {
			probe[p.OrderID] = "fails"
		} else if probe[p.OrderID] == "" {
			probe[p.OrderID] = "holds"
		}
	}
	var unadopted, broken []string
	for i := range all {
		o := &all[i]
		o.Probe = cmp.Or(probe[o.ID], "none")
		if o.Kind == "real" && o.IncidentID == "" {
			unadopted = append(unadopted, o.ID)
		}
		if o.Kind == "real" && o.Probe == "fails" {
			broken = append(broken, o.ID)
		}
	}
	v.o.Orders = OrdersInForce{Total: len(all), Items: append([]OrderBrief{}, all[:min(len(all), overviewOrders)]...)}
	v.unrestAbout(orderUnadopted, "order", unadopted)
	v.unrestAbout(orderNotHolding, "order", broken)
	return nil
}

func (v overviewer) gateways(ctx context.Context) error {
	db := v.Store.Read()
	rows, err := containment.Gateways(ctx, db)
	if err != nil {
		return err
	}
	var current int64
	if err := db.NewRaw("SELECT revision FROM bundle_state WHERE id = 1").Scan(ctx, &current); err != nil {
		return err
	}
	var stale, silent []string
	for _, g := range rows {
		f := GatewayFresh{GatewayRow: g, CurrentRevision: current, AgeMs: max(0, v.o.NowMs-g.LastSeenMs)}
		f.Fresh = g.Effective && g.Revision >= current && f.AgeMs <= gatewayLostMs
		if !f.Fresh {
			stale = append(stale, g.ID)
		} else if g.GuardsSilent > 0 {
			silent = append(silent, g.ID)
		}
		v.o.Gateways = append(v.o.Gateways, f)
	}
	if len(rows) == 0 {
		v.unrest(gatewayNone, 1, "", "")
	}
	v.unrestAbout(gatewayStale, "gateway", stale)
	v.unrestAbout(guardSilent, "gateway", silent)
	return nil
}

func (v overviewer) nodes(ctx context.Context) (err error) {
	if v.o.Nodes, err = node.List(ctx, v.Store.Read(), v.o.NowMs); err != nil {
		return err
	}
	var gone []string
	for i := range v.o.Nodes {
		n := &v.o.Nodes[i]
		if n.Here = n.ID == v.Node; n.State == node.Gone {
			gone = append(gone, n.ID)
		}
	}
	v.unrestAbout(nodeGone, "node", gone)
	return nil
}

func (v overviewer) backlogs(ctx context.Context) error {
	late := 0
	for _, c := range v.Cycles {
		age := c.Age(v.o.NowMs)
		x := CycleHealth{Name: c.Name(), LastMs: c.LastMs(), AgeMs: age.Milliseconds(), Failures: c.Failures(), Late: age > CycleLateAfter}
		if x.Late {
			late++
		}
		v.o.Cycles = append(v.o.Cycles, x)
	}
	v.unrest(cycleLate, late, "", "")
	for _, q := range []struct {
		id    string
		table bun.Ident
		into  *Backlog
		count func(context.Context, bun.IDB, int64) (due.Backlog, error)
	}{{dueBacklog, "due", &v.o.Due, due.CountBacklog}, {messageBacklog, "outbox", &v.o.Messages, notify.CountBacklog}} {
		b, err := q.count(ctx, v.Store.Read(), v.o.NowMs)
		if err != nil {
			return err
		}
		// How many clocks run would tell of what is hidden; what is late is a fault of ours, and everybody's to see.
		var hidden int64
		if err := v.Store.Read().NewRaw("SELECT COUNT(*) FROM ? WHERE state = 'pending' AND object_id IN (SELECT * FROM (?) AS h)", q.table, hiddenNames(v.a)).Scan(ctx, &hidden); err != nil {
			return err
		}
		b.Pending -= min(hidden, b.Pending)
		*q.into = Backlog{Pending: b.Pending, Overdue: b.Overdue}
		if b.OldestDueMs > 0 {
			q.into.LateMs = v.o.NowMs - b.OldestDueMs
		}
		if q.into.LateMs > backlogGraceMs {
			v.unrest(q.id, int(b.Overdue), "", "")
		}
	}
	return nil
}
