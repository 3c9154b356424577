package flow

import (
	"context"

	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

// Printout is an incident as it goes on paper: the dossier, its orders with acknowledgements and probes, what
// the record says of it, and who printed it when (UTC milliseconds).
type Printout struct {
	Dossier
	Orders      []containment.Status
	Moments     []Moment // the timeline, oldest first
	Checkpoint  *record.Checkpoint
	Names       map[string]string // of persons, by id
	Deployments map[string]string // names, by id
	By          string
	AtMs        int64
}

// Print reads an incident for paper. That it was read so is on record before anything is given out.
// Errors: not found for who may not know of it.
func (h *House) Print(ctx context.Context, a store.Actor, id string) (p Printout, err error) {
	if err := h.Store.Write(ctx, a, func(tx *store.Tx) error {
		if _, err := incident.Get(ctx, tx, tx.Actor, id); err != nil {
			return err
		}
		p.By, p.AtMs = tx.Actor.ID, tx.NowMs
		tx.Record(store.Entry{Action: "incident.print", ObjectKind: "incident", ObjectID: id, Scope: incident.Scope(id)})
		return nil
	}); err != nil {
		return Printout{}, err
	}
	if p.Dossier, err = h.Dossier(ctx, a, id); err != nil {
		return Printout{}, err
	}
	db := h.Store.Read()
	for _, o := range p.Dossier.Orders {
		s, err := containment.Get(ctx, db, a, o.ID)
		if err != nil {
			return Printout{}, err
		}
		p.Orders = append(p.Orders, s)
	}
	for after, more := int64(0), true; more; more = after != 0 {
		var some []Moment
		if some, _, after, err = h.Timeline(ctx, a, id, after, 1000); err != nil {
			return Printout{}, err
		}
		p.Moments = append(p.Moments, some...)
	}
	if identity.May(a, "record.read") && a.Drill == "" {
		if p.Checkpoint, err = record.LastCheckpoint(ctx, db); err != nil {
			return Printout{}, err
		}
	}
	if p.Names, err = names(ctx, db, "SELECT id, name FROM person"); err != nil {
		return Printout{}, err
	}
	p.Deployments, err = names(ctx, db, "SELECT id, name FROM deployment WHERE service_id = ?", p.Incident.ServiceID)
	return p, err
}
