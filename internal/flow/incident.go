package flow

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/notify"
	"github.com/fengsui/fengsui/internal/platform/setting"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/prepare/drill"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/respond/obligation"
)

func key(parts ...any) string {
	s := ""
	for i, p := range parts {
		if i > 0 {
			s += ":"
		}
		s += fmt.Sprint(p)
	}
	return s
}

// Reckon brings the obligations of an incident in line with what is known now.
func (h *House) Reckon(ctx context.Context, tx *store.Tx, incidentID string) error {
	return obligation.Reckon(ctx, tx, h.Book, incidentID)
}

// Declare opens an incident with the editions in force, starts its clocks before there is a level,
// and tells the duty desk.
func (h *House) Declare(ctx context.Context, tx *store.Tx, d incident.Declaration) (incident.Incident, error) {
	for _, e := range h.Book.Editions() {
		d.Editions = append(d.Editions, e.ID)
	}
	d.Editions = append(d.Editions, "rules:"+h.Book.Digest())
	if d.AwareMs == 0 {
		d.AwareMs = tx.NowMs
	}
	i, err := incident.Declare(ctx, tx, d)
	if err != nil {
		return i, err
	}
	if err := h.Reckon(ctx, tx, i.ID); err != nil {
		return i, err
	}
	return i, h.tellStaff(ctx, tx, key("incident", i.ID, "declared"), "incident.declared", i.Kind, "incident", i.ID, notify.ID("number", i.Number))
}

// Assess grades an affected object and lets obligations and demanded measures follow.
func (h *House) Assess(ctx context.Context, tx *store.Tx, incidentID string, in incident.Assessing) (incident.Outcome, error) {
	out, err := incident.Assess(ctx, tx, h.Book, incidentID, in)
	if err != nil || out.Assessment == nil {
		return out, err
	}
	return out, h.levelChanged(ctx, tx, incidentID)
}

func (h *House) levelChanged(ctx context.Context, tx *store.Tx, incidentID string) error {
	level, err := incident.LevelOf(ctx, tx, incidentID)
	if err != nil {
		return err
	}
	if err := h.checkMeasure(ctx, tx, incidentID); err != nil {
		return err
	}
	if err := h.Reckon(ctx, tx, incidentID); err != nil {
		return err
	}
	i, err := incident.Get(ctx, tx, store.System("flow"), incidentID)
	if err != nil {
		return err
	}
	if i.Kind == "real" && pausesDrills(level.Working) {
		// A real incident of 三级 or above needs the people: drills pause (design promise 11).
		if err := drill.PauseAll(ctx, tx, i.Number); err != nil {
			return err
		}
	}
	if level.Working == 0 {
		return nil // it was the awareness or an order that changed, and there is no level to tell of
	}
	return h.tellStaff(ctx, tx, key("incident", i.ID, "level", level.Working, level.Stage, tx.NowMs), "incident.graded", i.Kind, "incident", i.ID,
		notify.ID("number", i.Number), notify.Term("level", fmt.Sprintf("level.%d", level.Working)))
}

// DecideSecond confirms or rejects what waits for a second person, whatever it is.
func (h *House) DecideSecond(ctx context.Context, tx *store.Tx, id string, confirm bool) (identity.SecondSignature, error) {
	var s identity.SecondSignature
	if err := tx.NewSelect().Model(&s).Where("id = ?", id).Scan(ctx); err != nil {
		return s, store.Missing(err, "id")
	}
	err := incident.Visible(ctx, tx, tx.Actor, "id", s.IncidentID)
	if err != nil {
		return identity.SecondSignature{}, err
	}
	switch s.ObjectKind {
	case "order":
		_, err = h.Control.DecideLift(ctx, tx, id, confirm)
	case "legal_hold":
		if s, err = identity.DecideSecond(ctx, tx, id, confirm); err == nil && confirm {
			err = h.releaseHold(ctx, tx, s)
		}
		return s, err
	case "channel":
		if s, err = identity.DecideSecond(ctx, tx, id, confirm); err == nil {
			err = h.Registry.Settle(ctx, tx, s, confirm)
		}
		return s, err
	case "setting":
		return setting.Decide(ctx, tx, func(name string) (map[string]setting.Rule, error) { return SettingRulesFor(ctx, tx, name) }, id, confirm)
	case obligation.FactKind, obligation.CACKind:
		if s, err = obligation.Decide(ctx, tx, h.Book, id, confirm); err == nil && confirm {
			err = h.Reckon(ctx, tx, s.IncidentID)
		}
		return s, err
	case "lexicon_entry":
		_, err = h.Lexicon.DecideRetire(ctx, tx, id, confirm)
	default:
		if s, err = incident.Decide(ctx, tx, id, confirm); err == nil && confirm && s.Action != "incident.restrict" { // a wall moves no level
			err = h.levelChanged(ctx, tx, s.IncidentID)
		}
		return s, err
	}
	if err != nil {
		return s, err
	}
	if s.IncidentID != "" {
		if err := h.levelChanged(ctx, tx, s.IncidentID); err != nil {
			return s, err
		}
	}
	err = tx.NewSelect().Model(&s).Where("id = ?", id).Scan(ctx)
	return s, err
}

// WithdrawSecond takes back what the actor asked for and nobody has decided yet.
func (h *House) WithdrawSecond(ctx context.Context, tx *store.Tx, id string) (identity.SecondSignature, error) {
	var n int
	if err := tx.NewRaw("SELECT COUNT(*) FROM second_signature WHERE id = ? AND incident_id NOT IN (?) AND object_id NOT IN (?)", id, unknownTo(tx.Actor), unknownTo(tx.Actor)).Scan(ctx, &n); err != nil {
		return identity.SecondSignature{}, err
	}
	if n == 0 {
		return identity.SecondSignature{}, fault.NotFound("id", "error.not_found", "field", "id")
	}
	s, err := identity.Withdraw(ctx, tx, id)
	if err == nil && s.ObjectKind == "channel" {
		err = h.Registry.Settle(ctx, tx, s, false)
	}
	return s, err
}

// Asked is a request for a second person with what it is about: the order's rung, the service, and the incident's number, as far
// as there are any.
type Asked struct {
	identity.SecondSignature
	Rung           string `json:"rung,omitempty"`
	ServiceName    string `json:"service_name,omitempty"`
	IncidentNumber string `json:"incident_number,omitempty"`
}

// Waiting is what waits for a second person: for the actor to decide, and asked by them.
type Waiting struct {
	ForMe []Asked `json:"for_me"`
	ByMe  []Asked `json:"by_me"`
}

// Seconds lists what waits for a second person and concerns the actor.
func (h *House) Seconds(ctx context.Context, a store.Actor) (w Waiting, err error) {
	db := h.Store.Read()
	s, err := identity.WaitingFor(ctx, db, a, unknownTo(a))
	if err != nil {
		return w, err
	}
	ids := []string{""}
	for _, x := range slices.Concat(s.ForMe, s.ByMe) {
		ids = append(ids, x.ObjectID, x.IncidentID)
	}
	var about []struct{ ID, Rung, Service, Number string }
	if err := db.NewRaw(`SELECT o.id, o.rung, s.name AS service, COALESCE(i.number, '') AS number FROM disposal_order AS o JOIN service AS s ON s.id = o.service_id LEFT JOIN incident AS i ON i.id = o.incident_id WHERE o.id IN (?)
		UNION ALL SELECT i.id, '', s.name, i.number FROM incident AS i JOIN service AS s ON s.id = i.service_id WHERE i.id IN (?)`, bun.List(ids), bun.List(ids)).Scan(ctx, &about); err != nil {
		return w, err
	}
	dressed := func(all []identity.SecondSignature) []Asked {
		out := []Asked{}
		for _, x := range all {
			y := Asked{SecondSignature: x}
			for _, z := range about {
				if z.ID == x.IncidentID || z.ID == x.ObjectID {
					y.Rung, y.ServiceName, y.IncidentNumber = cmp.Or(z.Rung, y.Rung), cmp.Or(z.Service, y.ServiceName), cmp.Or(z.Number, y.IncidentNumber)
				}
			}
			out = append(out, y)
		}
		return out
	}
	return Waiting{dressed(s.ForMe), dressed(s.ByMe)}, nil
}

// unknownTo selects the ids of incidents that an actor may not know of, and of their orders: an order may
// have been adopted after it was asked to be lifted.
func unknownTo(a store.Actor) schema.QueryAppender {
	return bun.SafeQuery(`SELECT id FROM incident WHERE id IN (?) UNION SELECT id FROM disposal_order WHERE incident_id IN (?)`, incident.Hidden(a), incident.Hidden(a))
}

// VerifyClosing settles an application to close and gives notice of it.
func (h *House) VerifyClosing(ctx context.Context, tx *store.Tx, incidentID string, confirm bool, finding string) (incident.Closing, error) {
	c, err := incident.VerifyClosing(ctx, tx, incidentID, confirm, finding)
	if err != nil {
		return c, err
	}
	i, err := incident.Get(ctx, tx, store.System("flow"), incidentID)
	if err != nil {
		return c, err
	}
	return c, h.tellStaff(ctx, tx, key("closing", c.ID, c.State), "incident.closing_"+c.State, i.Kind, "incident", i.ID, notify.ID("number", i.Number))
}

// OverdueObligation is the handler of the due rows of obligations.
func (h *House) OverdueObligation(ctx context.Context, tx *store.Tx, id string) error {
	return obligation.Overdue(ctx, tx, id, func(ctx context.Context, tx *store.Tx, o obligation.Obligation, i incident.Incident) error {
		if o.DueMs == 0 {
			return h.tellStaff(ctx, tx, key("obligation", o.ID, "remind", tx.NowMs), "obligation.remind", i.Kind, "obligation", o.ID,
				notify.ID("number", i.Number), notify.ID("rule", o.RuleID))
		}
		return h.tellStaff(ctx, tx, key("obligation", o.ID, "overdue", o.DueMs), "obligation.overdue", i.Kind, "obligation", o.ID,
			notify.ID("number", i.Number), notify.ID("rule", o.RuleID), notify.Time("due", o.DueMs))
	})
}
