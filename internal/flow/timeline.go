package flow

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

// Moment is one entry of the record as the story of an incident tells it. Detail holds plain values by
// dotted name; after an erasure only erased: true.
type Moment struct {
	Seq        int64          `json:"seq"`
	AtMs       int64          `json:"at_ms"`
	Action     string         `json:"action"`
	ActorID    string         `json:"actor_id"`
	ActorName  string         `json:"actor_name"` // the id of a part of the system, or of nobody who is known
	ObjectKind string         `json:"object_kind"`
	ObjectID   string         `json:"object_id"`
	Detail     map[string]any `json:"detail"`
}

// ofAnIncident selects the indexes of what the record says about an incident and what hangs on it. What was
// said before it belonged to the incident, such as of its orders and anomalies, has another scope.
func ofAnIncident(id string) schema.QueryWithArgs {
	return bun.SafeQuery(`WITH RECURSIVE family (id) AS (SELECT id FROM anomaly WHERE incident_id = ? AND incident_id <> '' UNION SELECT m.id FROM anomaly AS m JOIN family ON m.merged_into = family.id WHERE m.merged_into <> '')
		SELECT idx FROM record_entries WHERE scope = ?
		UNION SELECT idx FROM record_entries WHERE object_kind = 'order' AND object_id IN (SELECT id FROM disposal_order WHERE incident_id = ?)
		UNION SELECT idx FROM record_entries WHERE object_kind = 'gate_review' AND object_id IN (SELECT g.id FROM gate_review AS g JOIN disposal_order AS o ON o.id = g.order_id WHERE o.incident_id = ?)
		UNION SELECT idx FROM record_entries WHERE object_kind = 'evidence' AND object_id IN (SELECT id FROM evidence WHERE incident_id = ?)
		UNION SELECT idx FROM record_entries WHERE object_kind = 'directive' AND object_id IN (SELECT id FROM directive WHERE incident_id = ?)
		UNION SELECT idx FROM record_entries WHERE object_kind = 'anomaly' AND object_id IN (SELECT id FROM family)
		UNION SELECT idx FROM record_entries WHERE object_kind = 'complaint' AND object_id IN (SELECT id FROM complaint WHERE anomaly_id IN (SELECT id FROM family))`,
		id, incident.Scope(id), id, id, id, id)
}

// Timeline tells an incident from seq after on, oldest first, and how many moments there are in all; only
// what the actor may read counts. Next is 0 at the end. Errors: not found, also for who may not know of it.
func (h *House) Timeline(ctx context.Context, a store.Actor, id string, after int64, limit int) (list []Moment, total int, next int64, err error) {
	db := h.Store.Read()
	list = []Moment{}
	if _, err := incident.Get(ctx, db, a, id); err != nil {
		return list, 0, 0, err
	}
	var kinds []struct {
		Kind string
		N    int
	}
	if err := db.NewRaw(`SELECT object_kind AS kind, COUNT(*) AS n FROM record_entries WHERE idx IN (?) GROUP BY object_kind`, ofAnIncident(id)).Scan(ctx, &kinds); err != nil {
		return list, 0, 0, err
	}
	heard := []string{""}
	for _, k := range kinds {
		if Hears(a, k.Kind) {
			heard, total = append(heard, k.Kind), total+k.N
		}
	}
	var at []int64
	if err := db.NewRaw(`SELECT idx FROM record_entries WHERE idx >= ? AND object_kind IN (?) AND idx IN (?) ORDER BY idx LIMIT ?`,
		after, bun.List(heard), ofAnIncident(id), limit+1).Scan(ctx, &at); err != nil || len(at) == 0 {
		return list, total, 0, err
	}
	if len(at) > limit {
		at = at[:limit]
		next = at[limit-1] + 1
	}
	entries, err := record.Entries(ctx, db, record.Filter{At: at, Limit: limit})
	if err != nil {
		return list, total, 0, err
	}
	contents, err := h.Record.Contents(ctx, db, entries)
	if err != nil {
		return list, total, 0, err
	}
	names, err := namesOf(ctx, db, entries)
	if err != nil {
		return list, total, 0, err
	}
	for _, e := range entries {
		m := Moment{Seq: e.Idx + 1, AtMs: e.AtMs, Action: e.Action, ActorID: e.Actor, ActorName: names[e.Actor], ObjectKind: e.ObjectKind, ObjectID: e.ObjectID}
		if m.ActorName == "" {
			m.ActorName = e.Actor
		}
		if content, ok := contents[e.Idx]; ok {
			m.Detail = shown(content)
		} else {
			m.Detail = map[string]any{"erased": true}
		}
		list = append(list, m)
	}
	return list, total, next, nil
}

func namesOf(ctx context.Context, db bun.IDB, entries []record.Entry) (map[string]string, error) {
	ids := []string{""}
	for _, e := range entries {
		if !slices.Contains(ids, e.Actor) {
			ids = append(ids, e.Actor)
		}
	}
	return names(ctx, db, "SELECT id, name FROM person WHERE id IN (?)", bun.List(ids))
}

// Masked stands where a value may quote harmful text or somebody's words: they are read where reading is
// audited.
const Masked = "***"

// quotes are the names of values that may do so.
var quotes = []string{"answer", "text", "claim", "prompt", "results", "request", "location", "contact", "body", "term", "facts", "decided_facts", "grading"}

const (
	maxValue  = 300 // characters of a value
	maxValues = 40  // values of a moment
)

// shown flattens a content to values fit for showing.
func shown(content json.RawMessage) map[string]any {
	out := map[string]any{}
	var v any
	if json.Unmarshal(content, &v) == nil {
		flatten(out, "", v)
	}
	return out
}

func flatten(out map[string]any, name string, v any) {
	last := name[strings.LastIndex(name, ".")+1:]
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			full := k
			if name != "" {
				full = name + "." + k
			}
			if slices.Contains(quotes, k) {
				if s, isText := v[k].(string); !isText || s != "" {
					flatten(out, full, Masked)
				}
				continue
			}
			flatten(out, full, v[k])
		}
	case []any:
		flatten(out, name+".count", float64(len(v)))
	case string:
		if v == "" || len(out) >= maxValues {
			return
		}
		if utf8.RuneCountInString(v) > maxValue {
			v = string([]rune(v)[:maxValue]) + "…"
		}
		out[name] = v
	case nil:
	default:
		if len(out) < maxValues && last != "" {
			out[name] = v
		}
	}
}
