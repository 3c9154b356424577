package identity

import (
	"context"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Waiting counts what was asked for about an incident and that no second person has decided yet.
func Waiting(ctx context.Context, db bun.IDB, incidentID string) (n int, err error) {
	err = db.NewRaw("SELECT COUNT(*) FROM second_signature WHERE incident_id = ? AND state = 'requested'", incidentID).Scan(ctx, &n)
	return n, err
}

// Withdraw takes back a request that no second person has decided yet. Errors: fault not found; fault
// forbidden identity.not_yours for somebody else's; fault conflict identity.second_decided.
func Withdraw(ctx context.Context, tx *store.Tx, id string) (SecondSignature, error) {
	var s SecondSignature
	if err := tx.NewSelect().Model(&s).Where("id = ?", id).Scan(ctx); err != nil {
		return s, store.Missing(err, "id")
	}
	if err := RequireDrill(tx.Actor, s.DrillID); err != nil {
		return SecondSignature{}, err
	}
	if s.RequestedBy != tx.Actor.ID {
		return SecondSignature{}, fault.Forbidden("identity.not_yours")
	}
	if s.State != "requested" {
		return s, fault.Conflict("id", "identity.second_decided", "state", s.State)
	}
	return s, s.over(ctx, tx, "withdrawn", "")
}

// Lapse ends the requests about an object that wait for a second person, because what they ask for cannot
// be had any more. By is the event that ended it, such as order.lapse.
func Lapse(ctx context.Context, tx *store.Tx, objectKind, objectID, by string) error {
	var open []SecondSignature
	if err := tx.NewSelect().Model(&open).Where("object_kind = ? AND object_id = ? AND state = 'requested'", objectKind, objectID).Order("id").Scan(ctx); err != nil {
		return err
	}
	for _, s := range open {
		if err := s.over(ctx, tx, "lapsed", by); err != nil {
			return err
		}
	}
	return nil
}

func (s *SecondSignature) over(ctx context.Context, tx *store.Tx, state, by string) error {
	s.State, s.LapsedBy, s.DecidedBy, s.DecidedMs = state, by, tx.Actor.ID, tx.NowMs
	if _, err := tx.NewUpdate().Model(s).WherePK().Exec(ctx); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "second." + state, ObjectKind: s.ObjectKind, ObjectID: s.ObjectID, Scope: scopeOf(s.IncidentID), Content: s})
	return nil
}

// Seconds are the requests that wait: ForMe those that this person may decide, ByMe those that they asked for.
type Seconds struct {
	ForMe []SecondSignature `json:"for_me"`
	ByMe  []SecondSignature `json:"by_me"`
}

// WaitingFor lists the requests that no second person has decided yet and that concern an actor, oldest
// first. Without selects the ids of incidents and of orders that they may not know of.
func WaitingFor(ctx context.Context, db bun.IDB, a store.Actor, without schema.QueryAppender) (Seconds, error) {
	out, all := Seconds{ForMe: []SecondSignature{}, ByMe: []SecondSignature{}}, []SecondSignature{}
	q := db.NewSelect().Model(&all).Where("state = 'requested'").Where("incident_id NOT IN (?)", without).Where("object_id NOT IN (?)", without).Order("requested_ms", "id")
	if a.Drill != "" {
		q = q.Where("drill_id = ?", a.Drill)
	}
	if err := q.Scan(ctx); err != nil {
		return out, err
	}
	for _, s := range all {
		switch {
		case s.RequestedBy == a.ID:
			out.ByMe = append(out.ByMe, s)
		case May(a, s.Action):
			out.ForMe = append(out.ForMe, s)
		}
	}
	return out, nil
}
