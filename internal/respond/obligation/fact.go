package obligation

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/standard"
)

// Fact is one stated fact of an incident: personal_information, endangering_flaw, crime_suspected,
// harm_avoided (0 or 1), occurrences, users (numbers).
type Fact struct {
	Name  string `json:"name"`
	Value int64  `json:"value"`
}

var factNames = []string{"personal_information", "endangering_flaw", "crime_suspected", "harm_avoided", "occurrences", "users"}

// FactNames lists the facts that can be stated.
func FactNames() []string { return slices.Clone(factNames) }

// Object kinds of the requests for a second person that Decide settles.
const (
	FactKind = "incident_fact"
	CACKind  = "cac_assessment"
)

// State enters a fact; the caller reckons in the same transaction. A fact with which something owed
// would not be owed any more, or later, takes a reason and a second person: the request for one is
// returned, and nothing is entered yet. Errors: forbidden; invalid name, value or reason.
func State(ctx context.Context, tx *store.Tx, book *standard.Book, incidentID string, f Fact, reason string) (*identity.SecondSignature, error) {
	i, err := incident.ForChange(ctx, tx, incidentID, "incident.grade")
	if err != nil {
		return nil, err
	}
	n := slices.Index(factNames, f.Name)
	if n < 0 {
		return nil, fault.Invalid("name", "error.unknown_value", "value", f.Name, "valid", strings.Join(factNames, ", "))
	}
	if f.Value < 0 || (n < 4 && f.Value > 1) {
		return nil, fault.Invalid("value", "obligation.fact_value")
	}
	loosens, err := loosens(ctx, tx, book, i, func(k *standard.Facts) { know(k, f) })
	if err != nil {
		return nil, err
	}
	if loosens {
		return askLoosening(ctx, tx, i, FactKind, f, reason)
	}
	return nil, enterFact(ctx, tx, i, f, tx.Actor.ID, "")
}

func enterFact(ctx context.Context, tx *store.Tx, i incident.Incident, f Fact, by, second string) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO incident_fact (incident_id, name, value, stated_by, stated_ms) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (incident_id, name) DO UPDATE SET value = excluded.value, stated_by = excluded.stated_by, stated_ms = excluded.stated_ms`,
		i.ID, f.Name, f.Value, by, tx.NowMs); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "incident.state_fact", ObjectKind: "incident", ObjectID: i.ID, Scope: incident.Scope(i.ID),
		Content: map[string]any{"name": f.Name, "value": f.Value, "by": by, "second": second}})
	return nil
}

// know puts a stated fact among what is known.
func know(k *standard.Facts, f Fact) {
	yes, n := f.Value == 1, f.Value
	switch f.Name {
	case "personal_information":
		k.PersonalInformation = &yes
	case "endangering_flaw":
		k.EndangeringFlaw = &yes
	case "crime_suspected":
		k.CrimeSuspected = &yes
	case "harm_avoided":
		k.HarmAvoided = yes
	case "occurrences":
		k.Occurrences = &n
	case "users":
		k.Users = &n
	}
}

// CACOutcome is a grading on the second scale, or what it would be once a second person confirms it.
type CACOutcome struct {
	standard.CACGrading
	Second *identity.SecondSignature `json:"second,omitempty"`
}

// GradeCAC adds an assessment on the second scale, from quantities; kept apart from the level. As with a
// fact, one that loosens what is owed takes a reason and a second person.
func GradeCAC(ctx context.Context, tx *store.Tx, book *standard.Book, incidentID string, q []standard.Quantity, reason string) (CACOutcome, error) {
	i, err := incident.ForChange(ctx, tx, incidentID, "incident.grade")
	if err != nil {
		return CACOutcome{}, err
	}
	g, err := book.CACGrade(q)
	if err != nil {
		return CACOutcome{}, fault.Invalid("quantities", "obligation.bad_quantity", "problem", err.Error())
	}
	out := CACOutcome{CACGrading: g}
	loosens, err := loosens(ctx, tx, book, i, func(k *standard.Facts) { k.CACGrade = g.Grade })
	if err != nil {
		return out, err
	}
	if loosens {
		out.Second, err = askLoosening(ctx, tx, i, CACKind, q, reason)
		return out, err
	}
	return out, enterCAC(ctx, tx, i, q, g, tx.Actor.ID, "")
}

func enterCAC(ctx context.Context, tx *store.Tx, i incident.Incident, q []standard.Quantity, g standard.CACGrading, by, second string) error {
	quantities, err := json.Marshal(q)
	if err != nil {
		return err
	}
	decided, err := json.Marshal(g)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO cac_assessment (id, incident_id, quantities, grade, decided_by_indicator, verified, edition, assessed_by, at_ms)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, tx.NewID(), i.ID, string(quantities), string(g.Grade), string(decided), g.Verified, g.Cite.Edition, by, tx.NowMs); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "incident.grade_cac", ObjectKind: "incident", ObjectID: i.ID, Scope: incident.Scope(i.ID),
		Content: map[string]any{"grading": g, "by": by, "second": second}})
	return nil
}

// loosens reports whether with another fact something owed now would not be owed, or be due later.
func loosens(ctx context.Context, tx *store.Tx, book *standard.Book, i incident.Incident, change func(*standard.Facts)) (bool, error) {
	f, err := facts(ctx, tx, book, i)
	if err != nil {
		return false, err
	}
	now, err := book.Obligations(f)
	if err != nil {
		return false, err
	}
	change(&f)
	then, err := book.Obligations(f)
	if err != nil {
		return false, err
	}
	have, err := rows(ctx, tx, i.ID)
	if err != nil {
		return false, err
	}
	for k, w := range then { // both are in the rules' order
		if o := have[w.Rule.ID]; o != nil && o.State == "owed" && (w.State != standard.StateOwed || later(w.Due, now[k].Due)) {
			return true, nil
		}
	}
	return false, nil
}

// later reports whether a duty within a time is put off: its time grows, or is none any more.
func later(then, now standard.Due) bool {
	return now.Kind == standard.DueWithin && (then.Kind != standard.DueWithin || then.Ms > now.Ms)
}

func askLoosening(ctx context.Context, tx *store.Tx, i incident.Incident, kind string, request any, reason string) (*identity.SecondSignature, error) {
	if strings.TrimSpace(reason) == "" {
		return nil, fault.Invalid("reason", "obligation.loosening_reason")
	}
	s, err := identity.AskSecond(ctx, tx, identity.SecondSignature{Action: "incident.grade", ObjectKind: kind, ObjectID: i.ID, IncidentID: i.ID, DrillID: i.DrillID, Reason: reason}, request)
	return &s, err
}

// Decide confirms or rejects a fact or a grading that loosens what is owed; a confirmed one is entered,
// and the caller reckons in the same transaction. Errors besides those of two persons: conflict if the
// same was stated again since it was asked for.
func Decide(ctx context.Context, tx *store.Tx, book *standard.Book, secondID string, confirm bool) (identity.SecondSignature, error) {
	var s identity.SecondSignature
	if err := tx.NewSelect().Model(&s).Where("id = ?", secondID).Scan(ctx); err != nil {
		return s, store.Missing(err, "id")
	}
	if s.ObjectKind != FactKind && s.ObjectKind != CACKind {
		return identity.SecondSignature{}, fault.NotFound("id", "error.not_found", "field", "id")
	}
	i, err := incident.ForChange(ctx, tx, s.IncidentID, "incident.grade")
	if err != nil {
		return identity.SecondSignature{}, err
	}
	if s, err = identity.DecideSecond(ctx, tx, secondID, confirm); err != nil || !confirm {
		return s, err
	}
	var since int64
	if s.ObjectKind == FactKind {
		var f Fact
		if err := json.Unmarshal([]byte(s.Request), &f); err != nil {
			return s, err
		}
		if err := tx.NewRaw("SELECT COALESCE(MAX(stated_ms), 0) FROM incident_fact WHERE incident_id = ? AND name = ?", i.ID, f.Name).Scan(ctx, &since); err != nil {
			return s, err
		}
		if since > s.RequestedMs {
			return s, fault.Conflict("id", "obligation.stated_since")
		}
		return s, enterFact(ctx, tx, i, f, s.RequestedBy, tx.Actor.ID)
	}
	var q []standard.Quantity
	if err := json.Unmarshal([]byte(s.Request), &q); err != nil {
		return s, err
	}
	if err := tx.NewRaw("SELECT COALESCE(MAX(at_ms), 0) FROM cac_assessment WHERE incident_id = ?", i.ID).Scan(ctx, &since); err != nil {
		return s, err
	}
	if since > s.RequestedMs {
		return s, fault.Conflict("id", "obligation.stated_since")
	}
	g, err := book.CACGrade(q)
	if err != nil {
		return s, err
	}
	return s, enterCAC(ctx, tx, i, q, g, s.RequestedBy, tx.Actor.ID)
}
