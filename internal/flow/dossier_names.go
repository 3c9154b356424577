package flow

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/notify"
)

// Way is a channel by which somebody outside the team can be told about an incident.
type Way struct {
	ID        string       `json:"id"`
	Class     notify.Class `json:"class"`
	Simulated bool         `json:"simulated"`
}

// ways lists the channels that lead outside the team.
func (h *House) ways() []Way {
	out := []Way{}
	for _, id := range h.Channels.IDs() {
		if e, ok := h.Channels.Endpoint(id); ok && e.Class != notify.Staff {
			out = append(out, Way{id, e.Class, e.Simulated})
		}
	}
	return out
}

// named gives the names of the persons whom the dossier names by id, and of nobody else. A part of the
// system has no name.
func (d *Dossier) named(ctx context.Context, db bun.IDB) error {
	ids := append([]string{d.Incident.DeclaredBy}, d.Access...)
	for _, x := range d.Anomalies {
		ids = append(ids, x.AssessedBy, x.DecidedBy)
	}
	for _, x := range d.Awareness {
		ids = append(ids, x.EnteredBy, x.WithdrawnBy, x.WithdrawnSecond)
	}
	for _, x := range d.Categories {
		ids = append(ids, x.SetBy)
	}
	for _, x := range d.Assessments {
		ids = append(ids, x.AssessedBy, x.SecondBy)
	}
	for _, x := range d.CACGrades {
		ids = append(ids, x.AssessedBy)
	}
	for _, x := range d.Facts {
		ids = append(ids, x.StatedBy)
	}
	for _, x := range d.Obligations {
		ids = append(ids, x.SubmittedBy, x.DecidedBy)
	}
	for _, x := range d.Orders {
		ids = append(ids, x.IssuedBy, x.EndedBy, x.EndedSecond)
	}
	for _, x := range d.GateReviews {
		ids = append(ids, x.RequestedBy, x.DecidedBy)
	}
	for _, x := range d.Evidence {
		ids = append(ids, x.PinnedBy)
	}
	for _, x := range d.Spread {
		ids = append(ids, x.FoundBy)
	}
	for _, x := range d.FactChecks {
		ids = append(ids, x.Checker)
	}
	for _, x := range d.Statements {
		ids = append(ids, x.DraftedBy, x.ApprovedBy)
	}
	for _, x := range d.Impacts {
		ids = append(ids, x.AssessedBy)
	}
	for _, x := range d.Fixes {
		ids = append(ids, x.FixedBy)
	}
	for _, x := range d.ServiceTests {
		ids = append(ids, x.RunBy)
	}
	for _, x := range d.PlanRuns {
		ids = append(ids, x.StartedBy)
	}
	for _, x := range d.Tasks {
		ids = append(ids, x.DoneBy)
	}
	for _, x := range d.Seconds {
		ids = append(ids, x.RequestedBy, x.DecidedBy)
	}
	for _, x := range d.Closings {
		ids = append(ids, x.AppliedBy, x.VerifiedBy)
	}
	for _, x := range d.Retrospectives {
		ids = append(ids, x.HeldBy)
	}
	for _, x := range d.Actions {
		ids = append(ids, x.DoneBy)
	}
	var err error
	d.Names, err = names(ctx, db, "SELECT id, name FROM person WHERE id IN (?)", bun.List(ids))
	return err
}
