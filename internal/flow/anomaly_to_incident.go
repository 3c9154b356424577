package flow

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/notify"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

// Promotion is the decision that an anomaly is an incident.
type Promotion struct {
	Title         string
	RestrictedFor []string
}

// AnomalyOpened alerts the duty desk (告警), in the transaction that opens the anomaly.
func (h *House) AnomalyOpened(ctx context.Context, tx *store.Tx, a anomaly.Anomaly) error {
	if err := h.later(ctx, tx, pinKind, "anomaly", a.ID, a.Kind); err != nil {
		return err
	}
	return h.tellStaff(ctx, tx, key("anomaly", a.ID, "opened"), "anomaly.opened", a.Kind, "anomaly", a.ID, notify.ID("number", a.Number), notify.Count("signals", a.Signals))
}

// Promote turns an anomaly under assessment into an incident: its orders are adopted, its evidence is
// pinned, and the clocks run from when somebody first knew, which is when the alarm was seen or the
// complaint was read, not from now.
func (h *House) Promote(ctx context.Context, tx *store.Tx, anomalyID string, p Promotion) (incident.Incident, error) {
	if err := identity.Require(tx.Actor, "incident.declare"); err != nil {
		return incident.Incident{}, err
	}
	a, err := anomaly.Get(ctx, tx, tx.Actor, anomalyID)
	if err != nil {
		return incident.Incident{}, err
	}
	if a.State == anomaly.Promoted { // two pressed at once, or one twice
		i, err := incident.Get(ctx, tx, tx.Actor, a.IncidentID)
		if err != nil {
			return i, err
		}
		return incident.Incident{}, fault.Conflict("id", "anomaly.promoted_already", "number", i.Number)
	}
	if a.State == anomaly.Open {
		return incident.Incident{}, fault.Conflict("id", "anomaly.assess_first")
	}
	if a.State != anomaly.Assessing {
		return incident.Incident{}, fault.Conflict("id", "anomaly.ended_already")
	}
	family, err := anomaly.Family(ctx, tx, a.ID)
	if err != nil {
		return incident.Incident{}, err
	}
	knew, err := h.awareOf(ctx, tx, family)
	if err != nil {
		return incident.Incident{}, err
	}
	if len(knew) == 0 {
		knew = []knowledge{{"declared", tx.NowMs, a.ID}}
	}
	i, err := h.Declare(ctx, tx, incident.Declaration{Kind: a.Kind, DrillID: a.DrillID, ServiceID: a.ServiceID, Title: p.Title,
		AwareMs: knew[0].atMs, AwareSource: knew[0].source, AwareRef: knew[0].ref, RestrictedFor: p.RestrictedFor})
	if err != nil {
		return i, err
	}
	for _, k := range knew[1:] {
		if _, err := incident.AddAwareness(ctx, tx, i.ID, k.source, k.atMs, k.ref); err != nil {
			return i, err
		}
	}
	if _, err := anomaly.MarkPromoted(ctx, tx, a.ID, i.ID); err != nil {
		return i, err
	}
	if err := h.adoptFamily(ctx, tx, family, i.ID); err != nil {
		return i, err
	}
	return i, h.Reckon(ctx, tx, i.ID)
}

// MergeAnomaly ends an anomaly as the same thing as another. If that became an incident, what belongs to
// the merged one becomes the incident's: when somebody first knew, its orders and its evidence.
func (h *House) MergeAnomaly(ctx context.Context, tx *store.Tx, anomalyID, into string) (anomaly.Anomaly, error) {
	a, err := anomaly.Merge(ctx, tx, anomalyID, into)
	if err != nil {
		return a, err
	}
	incidentID, err := anomaly.IncidentOf(ctx, tx, into)
	if err != nil || incidentID == "" {
		return a, err
	}
	defer tx.Lend(store.System("flow"))() // whoever may merge need not handle the incident; the rest follows
	i, err := incident.Get(ctx, tx, tx.Actor, incidentID)
	if err != nil {
		return a, err
	}
	if i.State == incident.Closed {
		return a, fault.Conflict("into", "anomaly.merge_closed", "number", i.Number)
	}
	family, err := anomaly.Family(ctx, tx, a.ID)
	if err != nil {
		return a, err
	}
	knew, err := h.awareOf(ctx, tx, family)
	if err != nil {
		return a, err
	}
	for _, k := range knew {
		if _, err := incident.AddAwareness(ctx, tx, i.ID, k.source, k.atMs, k.ref); err != nil {
			return a, err
		}
	}
	if err := h.adoptFamily(ctx, tx, family, i.ID); err != nil {
		return a, err
	}
	return a, h.Reckon(ctx, tx, i.ID)
}

// adoptFamily makes the orders and the evidence of anomalies the incident's, and asks for what is not
// pinned yet.
func (h *House) adoptFamily(ctx context.Context, tx *store.Tx, family []string, incidentID string) error {
	adopted := 0
	for _, id := range family {
		if err := h.adoptEvidence(ctx, tx, id, incidentID); err != nil {
			return err
		}
		orders, err := h.Control.AdoptAll(ctx, tx, containment.FromAnomaly, id, incidentID)
		if err != nil {
			return err
		}
		adopted += len(orders)
	}
	if err := h.pinAnomaly(ctx, tx, family[0]); err != nil || adopted == 0 {
		return err
	}
	return h.contained(ctx, tx, incidentID)
}

type knowledge struct {
	source string
	atMs   int64
	ref    string
}

// awareOf collects the awareness candidates of an anomaly and of those merged into it: the alarm as
// seen when somebody began to assess it (the record knows when) or acknowledged its message, and every complaint as read. The
// earliest of all counts.
func (h *House) awareOf(ctx context.Context, tx *store.Tx, family []string) ([]knowledge, error) {
	var seen []struct {
		ID         string
		AssessedMs int64
	}
	if err := tx.NewRaw(`SELECT id, assessed_ms FROM anomaly WHERE id IN (?) AND assessed_ms > 0
		UNION ALL SELECT object_id, acknowledged_ms FROM outbox WHERE template = ? AND object_id IN (?) AND acknowledged_ms > 0 ORDER BY 2`, bun.List(family), alarmTemplate, bun.List(family)).Scan(ctx, &seen); err != nil {
		return nil, err
	}
	var out []knowledge
	for _, s := range seen {
		out = append(out, knowledge{"alarm_seen", s.AssessedMs, s.ID})
	}
	var read []struct {
		ID     string
		ReadMs int64
	}
	if err := tx.NewRaw(`SELECT id, read_ms FROM complaint WHERE read_ms > 0 AND anomaly_id IN (?) ORDER BY read_ms`, bun.List(family)).Scan(ctx, &read); err != nil {
		return nil, err
	}
	for _, r := range read {
		out = append(out, knowledge{"complaint_read", r.ReadMs, r.ID})
	}
	return out, nil
}
