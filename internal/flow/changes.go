package flow

import (
	"context"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Change tells that something changed, so that a client looks again: ids, the action and the time, nothing
// of what was said. Seq is the record's index + 1; it counts for everybody, so numbers may be left out.
type Change struct {
	Seq        int64  `json:"seq"`
	AtMs       int64  `json:"at_ms"`
	Action     string `json:"action"`
	Kind       string `json:"kind"`
	ID         string `json:"id"`
	IncidentID string `json:"incident_id"` // "" if it hangs on none
}

// changesAtOnce is how many entries Changes looks at in one go.
const changesAtOnce = 500

// Hears reports whether an actor may hear of changes of objects of a kind: with the permission with which
// they could read the object. A kind that is not here is told to nobody.
func Hears(a store.Actor, kind string) bool {
	for _, r := range []struct{ kinds, action string }{
		{" incident closing awareness assessment incident_fact cac_assessment statement task outside_spread nonconformity service_test evidence action ", "incident.read"},
		{" obligation ", "obligation.read"},
		{" order gate_review gateway stop ", "order.read"},
		{" anomaly ", "anomaly.read"},
		{" complaint ", "complaint.read"},
		{" directive ", "directive.read"},
		{" drill ", "drill.read"},
		{" operator service deployment affected_object ", "service.read"},
		{" gateway_key ", "service.manage"},
		{" lexicon lexicon_entry ", "lexicon.read"},
		{" plan ", "plan.read"},
		{" person token session passkey invitation oidc_provider oidc_binding ", "person.manage"},
		{" channel ", "setting.vouch"},
		{" setting secret kek ", "setting.manage"},
		{" record list scope scope.reapplied erasure hold legal_hold signer restore failover telemetry_day telemetry_segment ", "record.read"},
	} {
		if kind != "" && strings.Contains(r.kinds, " "+kind+" ") {
			return identity.May(a, r.action)
		}
	}
	return false
}

// Changes gives what changed from seq after on and the actor may know, by what holds now: permissions,
// allow-lists and drills are those of this moment, not of the entry's. Next is where to go on, more whether
// there is more already. It may give nothing and still get on.
func (h *House) Changes(ctx context.Context, a store.Actor, after int64) (list []Change, next int64, more bool, err error) {
	db := h.Store.Read()
	size, err := record.Size(ctx, db)
	if err != nil || after >= size {
		return nil, after, false, err
	}
	entries, err := record.Entries(ctx, db, record.Filter{From: after, Limit: changesAtOnce})
	if err != nil {
		return nil, after, false, err
	}
	next = max(after, entries[len(entries)-1].Idx+1)
	heard := entries[:0]
	for _, e := range entries {
		if Hears(a, e.ObjectKind) {
			heard = append(heard, e)
		}
	}
	if len(heard) == 0 {
		return nil, next, next < size, nil
	}
	hidden, err := hiddenAmong(ctx, db, a, heard)
	if err != nil {
		return nil, after, false, err
	}
	links, err := linksOf(ctx, db, heard)
	if err != nil {
		return nil, after, false, err
	}
	for _, e := range heard {
		l := links[e.ObjectKind+" "+e.ObjectID]
		if id, ok := strings.CutPrefix(e.Scope, "incident:"); ok {
			l = link{IncidentID: id, DrillID: links["incident "+id].DrillID}
		}
		if hidden[e.ObjectID] || hidden[e.Scope] || a.Drill != "" && a.Drill != l.DrillID && a.Drill != e.Drill {
			continue
		}
		list = append(list, Change{e.Idx + 1, e.AtMs, e.Action, e.ObjectKind, e.ObjectID, l.IncidentID})
	}
	return list, next, next < size, nil
}

// hiddenAmong gives the scopes and object ids of entries that are hidden from an actor.
func hiddenAmong(ctx context.Context, db bun.IDB, a store.Actor, entries []record.Entry) (map[string]bool, error) {
	var names, gone []string
	for _, e := range entries {
		names = append(names, e.ObjectID, e.Scope)
	}
	if err := db.NewRaw("SELECT g.id FROM (?) AS g WHERE g.id <> '' AND g.id IN (?)", hiddenNames(a), bun.List(names)).Scan(ctx, &gone); err != nil {
		return nil, err
	}
	out := make(map[string]bool, len(gone))
	for _, id := range gone {
		out[id] = true
	}
	return out, nil
}

// link is what an object hangs on.
type link struct{ IncidentID, DrillID string }

// linksOf finds incident and drill of what entries are about, by "kind id".
func linksOf(ctx context.Context, db bun.IDB, entries []record.Entry) (map[string]link, error) {
	ids := []string{""} // never an empty IN ()
	for _, e := range entries {
		ids = append(ids, e.ObjectID)
		if id, ok := strings.CutPrefix(e.Scope, "incident:"); ok {
			ids = append(ids, id)
		}
	}
	var rows []struct{ Kind, ID, IncidentID, DrillID string }
	in := bun.List(ids)
	err := db.NewRaw(`SELECT 'incident' AS kind, id, id AS incident_id, drill_id FROM incident WHERE id IN (?)
		UNION ALL SELECT 'anomaly', id, incident_id, drill_id FROM anomaly WHERE id IN (?)
		UNION ALL SELECT 'order', id, incident_id, drill_id FROM disposal_order WHERE id IN (?)
		UNION ALL SELECT 'gate_review', g.id, o.incident_id, o.drill_id FROM gate_review AS g JOIN disposal_order AS o ON o.id = g.order_id WHERE g.id IN (?)
		UNION ALL SELECT 'evidence', e.id, e.incident_id, a.drill_id FROM evidence AS e JOIN anomaly AS a ON a.id = e.anomaly_id WHERE e.id IN (?)
		UNION ALL SELECT 'complaint', c.id, COALESCE(a.incident_id, ''), s.drill_id FROM complaint AS c JOIN service AS s ON s.id = c.service_id LEFT JOIN anomaly AS a ON a.id = c.anomaly_id WHERE c.id IN (?)
		UNION ALL SELECT 'directive', id, incident_id, '' FROM directive WHERE id IN (?)
		UNION ALL SELECT 'service', id, '', drill_id FROM service WHERE id IN (?)
		UNION ALL SELECT 'drill', id, incident_id, id FROM drill WHERE id IN (?)`, in, in, in, in, in, in, in, in, in).Scan(ctx, &rows)
	if err != nil {
		return nil, err
	}
	out := make(map[string]link, len(rows))
	for _, r := range rows {
		out[r.Kind+" "+r.ID] = link{r.IncidentID, r.DrillID}
	}
	return out, nil
}
