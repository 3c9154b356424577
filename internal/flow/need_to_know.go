package flow

import (
	"context"
	"errors"
	"slices"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/prepare/lexicon"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

// hiddenNames selects the record's scopes and object ids of what is hidden from an actor.
func hiddenNames(a store.Actor) schema.QueryAppender {
	incidents, anomalies := incident.Hidden(a), anomaly.Hidden(a)
	return bun.SafeQuery(`WITH gone_incident AS (?), gone_anomaly AS (?),
		gone_order AS (SELECT id FROM disposal_order WHERE incident_id IN (SELECT id FROM gone_incident)),
		gone_complaint AS (SELECT id FROM complaint WHERE anomaly_id IN (SELECT id FROM gone_anomaly)),
		gone_directive AS (SELECT id FROM directive WHERE incident_id IN (SELECT id FROM gone_incident))
		SELECT id FROM gone_incident UNION SELECT 'incident:' || id FROM gone_incident
		UNION SELECT id FROM gone_anomaly UNION SELECT 'anomaly:' || id FROM gone_anomaly
		UNION SELECT id FROM gone_complaint UNION SELECT 'subject:' || id FROM gone_complaint
		UNION SELECT id FROM gone_directive UNION SELECT 'directive:' || id FROM gone_directive
		UNION SELECT id FROM gone_order UNION SELECT id FROM gate_review WHERE order_id IN (SELECT id FROM gone_order)
		UNION SELECT id FROM obligation WHERE incident_id IN (SELECT id FROM gone_incident) UNION SELECT id FROM task WHERE incident_id IN (SELECT id FROM gone_incident)
		UNION SELECT id FROM plan_run WHERE incident_id IN (SELECT id FROM gone_incident) UNION SELECT id FROM improvement_action WHERE incident_id IN (SELECT id FROM gone_incident)
		UNION SELECT id FROM evidence WHERE incident_id IN (SELECT id FROM gone_incident) UNION SELECT id FROM evidence WHERE anomaly_id IN (SELECT id FROM gone_anomaly)`, incidents, anomalies)
}

// LexiconEntries lists entries; the name of an incident that the actor may not know of, or that is not of a
// seat's own drill, is not told as the source of one.
func (h *House) LexiconEntries(ctx context.Context, a store.Actor, f lexicon.Filter) ([]lexicon.Entry, error) {
	list, err := lexicon.List(ctx, h.Store.Read(), a, f)
	if err != nil || a.IsSystem() {
		return list, err
	}
	var hidden []string
	if err := h.Store.Read().NewRaw("SELECT 'incident:' || id FROM incident WHERE id IN (?) OR ? <> '' AND drill_id <> ?", incident.Hidden(a), a.Drill, a.Drill).Scan(ctx, &hidden); err != nil {
		return nil, err
	}
	for k := range list {
		for _, source := range hidden {
			if list[k].Source == source {
				list[k].Source = "emergency"
			}
		}
	}
	return list, nil
}

// PublishLexicon puts entries in force, for an incident that the actor may know of or for none.
func (h *House) PublishLexicon(ctx context.Context, tx *store.Tx, incidentID string, drafts []lexicon.Draft) ([]lexicon.Entry, error) {
	if err := identity.Require(tx.Actor, "lexicon.publish"); err != nil {
		return nil, err
	}
	if err := incident.Visible(ctx, tx, tx.Actor, "incident_id", incidentID); err != nil {
		return nil, err
	}
	if err := matchable(ctx, tx, drafts); err != nil {
		return nil, err
	}
	return h.Lexicon.Publish(ctx, tx, incidentID, drafts)
}

// ImportLexicon puts the entries of a file in force.
func (h *House) ImportLexicon(ctx context.Context, tx *store.Tx, drafts []lexicon.Draft) (source string, added []lexicon.Entry, err error) {
	if err := matchable(ctx, tx, drafts); err != nil {
		return "", nil, err
	}
	return h.Lexicon.Import(ctx, tx, drafts)
}

// ChangeLexiconMatching has an entry matched in another way, see [lexicon.Library.ChangeMatching].
func (h *House) ChangeLexiconMatching(ctx context.Context, tx *store.Tx, id string, m inspect.Matching, reason string) (lexicon.Changed, error) {
	if err := identity.Require(tx.Actor, "lexicon.publish"); err != nil {
		return lexicon.Changed{}, err
	}
	if err := matchable(ctx, tx, []lexicon.Draft{{Matching: m}}); err != nil {
		return lexicon.Changed{}, err
	}
	return h.Lexicon.ChangeMatching(ctx, tx, id, m, reason)
}

// matchable refuses entries that ask for what an older gateway or node that serves does not know.
func matchable(ctx context.Context, tx *store.Tx, drafts []lexicon.Draft) error {
	i := slices.IndexFunc(drafts, func(d lexicon.Draft) bool { return !d.Matching.IsZero() })
	if i < 0 {
		return nil
	}
	terms := []posture.Term{{Matching: drafts[i].Matching}}
	err := containment.Understood(ctx, tx, posture.Draft{Rules: posture.Rules{Terms: terms}}.Needs(), tx.NowMs)
	var f *fault.Error
	if errors.As(err, &f) {
		c := *f
		c.Field = "matching"
		return &c
	}
	return err
}

// hangsOn selects the ids of what hangs on incidents and is told about in messages of its own.
func hangsOn(incidents schema.QueryAppender) schema.QueryAppender {
	return bun.SafeQuery(`SELECT id FROM task WHERE incident_id IN (?) UNION SELECT id FROM plan_run WHERE incident_id IN (?)
		UNION SELECT id FROM obligation WHERE incident_id IN (?) UNION SELECT id FROM improvement_action WHERE incident_id IN (?)
		UNION SELECT id FROM gate_review WHERE incident_id IN (?)`, incidents, incidents, incidents, incidents, incidents)
}
