package flow

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/improve/retrospective"
	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/dispatch"
	"github.com/fengsui/fengsui/internal/respond/evaluation"
	"github.com/fengsui/fengsui/internal/respond/evidence"
	"github.com/fengsui/fengsui/internal/respond/gatereview"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/respond/obligation"
	"github.com/fengsui/fengsui/internal/respond/reach"
	"github.com/fengsui/fengsui/internal/service"
)

// Dossier is one incident whole. MissingEvidence names contents of which nothing was kept: a red line.
// Unseen names the parts that the asker may not see, of anomalies, obligations and orders (gate reviews go with the
// orders): such a part is empty here and says nothing about what there is.
type Dossier struct {
	Incident        incident.Incident             `json:"incident"`
	Unseen          []string                      `json:"unseen"`
	ServiceName     string                        `json:"service_name"`
	Anomalies       []anomaly.Anomaly             `json:"anomalies"`
	Access          []string                      `json:"access"` // person ids on the list of a restricted incident
	Level           incident.Level                `json:"level"`
	Objects         []service.AffectedObject      `json:"objects"`
	Milestones      []incident.Milestone          `json:"milestones"`
	Awareness       []incident.Awareness          `json:"awareness"`
	Categories      []incident.Category           `json:"categories"`
	Assessments     []incident.Assessment         `json:"assessments"`
	CACGrades       []obligation.CACAssessment    `json:"cac_grades"`
	Facts           []obligation.Stated           `json:"facts"`
	Obligations     []obligation.Obligation       `json:"obligations"`
	Orders          []containment.Order           `json:"orders"`
	GateReviews     []gatereview.Review           `json:"gate_reviews"`
	Nonconformities []containment.Nonconformity   `json:"nonconformities"`
	Evidence        []evidence.Evidence           `json:"evidence"`
	MissingEvidence []string                      `json:"missing_evidence"`
	Reach           reach.Reach                   `json:"reach"`
	Spread          []reach.Spread                `json:"spread"`
	FactChecks      []incident.FactCheck          `json:"fact_checks"`
	Statements      []incident.Statement          `json:"statements"`
	Impacts         []incident.Impact             `json:"impacts"`
	Fixes           []incident.Fix                `json:"fixes"`
	ServiceTests    []evaluation.ServiceTest      `json:"service_tests"`
	PlanRuns        []dispatch.Run                `json:"plan_runs"` // without their tasks
	Tasks           []dispatch.Task               `json:"tasks"`
	Seconds         []identity.SecondSignature    `json:"second_signatures"`
	Closings        []incident.Closing            `json:"closings"`
	Retrospectives  []retrospective.Retrospective `json:"retrospectives"`
	Actions         []retrospective.Action        `json:"actions"`
	Ways            []Way                         `json:"ways"`
	Names           map[string]string             `json:"names"` // by id, of the persons named above
}

// Dossier reads an incident the actor may see. Parts that another permission guards are left empty
// for who lacks it, and named in Unseen.
func (h *House) Dossier(ctx context.Context, a store.Actor, id string) (d Dossier, err error) {
	db := h.Store.Read()
	d.Anomalies, d.Obligations, d.Orders, d.GateReviews = []anomaly.Anomaly{}, []obligation.Obligation{}, []containment.Order{}, []gatereview.Review{}
	d.Unseen, d.Ways = []string{}, h.ways()
	if d.Incident, err = incident.Get(ctx, db, a, id); err != nil {
		return d, err
	}
	steps := []func() error{
		func() error {
			return db.NewRaw("SELECT name FROM service WHERE id = ?", d.Incident.ServiceID).Scan(ctx, &d.ServiceName)
		},
		func() error { d.Access, err = incident.Access(ctx, db, id); return err },
		func() error { d.CACGrades, err = obligation.CACGradesOf(ctx, db, id); return err },
		func() error { d.Facts, err = obligation.StatedOf(ctx, db, id); return err },
		func() error { d.PlanRuns, err = dispatch.Runs(ctx, db, id); return err },
		func() error { d.Level, err = incident.LevelOf(ctx, db, id); return err },
		func() error { d.Objects, err = incident.Objects(ctx, db, id); return err },
		func() error { d.Milestones, err = incident.Milestones(ctx, db, id); return err },
		func() error { d.Awareness, err = incident.AwarenessOf(ctx, db, id); return err },
		func() error { d.Categories, err = incident.Categories(ctx, db, id); return err },
		func() error { d.Assessments, err = incident.Assessments(ctx, db, id); return err },
		func() error { d.FactChecks, err = incident.FactChecks(ctx, db, id); return err },
		func() error { d.Statements, err = incident.Statements(ctx, db, id); return err },
		func() error { d.Impacts, err = incident.Impacts(ctx, db, id); return err },
		func() error { d.Fixes, err = incident.Fixes(ctx, db, id); return err },
		func() error { d.Closings, err = incident.Closings(ctx, db, id); return err },
		func() error { d.ServiceTests, err = evaluation.List(ctx, db, a, id); return err },
		func() error { d.Retrospectives, d.Actions, err = retrospective.Of(ctx, db, a, id); return err },
		func() error { return rows(ctx, db, id, &d.Nonconformities, &d.Seconds) },
		func() error { d.Tasks, err = dispatch.List(ctx, db, a, id); return err },
		func() error { return h.evidenceOf(ctx, db, a, &d) },
	}
	guarded := func(action, part string, read ...func() error) {
		if identity.May(a, action) {
			steps = append(steps, read...)
		} else {
			d.Unseen = append(d.Unseen, part)
		}
	}
	guarded("anomaly.read", "anomalies", func() error { d.Anomalies, err = anomaly.OfIncident(ctx, db, id); return err })
	guarded("obligation.read", "obligations", func() error { d.Obligations, err = obligation.List(ctx, db, h.Book, a, id); return err })
	guarded("order.read", "orders",
		func() error {
			d.Orders, err = containment.List(ctx, db, a, containment.Filter{IncidentID: id})
			return err
		},
		func() error {
			d.GateReviews, err = gatereview.List(ctx, db, a, gatereview.Filter{IncidentID: id})
			return err
		})
	for _, step := range steps {
		if err := step(); err != nil {
			return d, err
		}
	}
	return d, d.named(ctx, db)
}

func rows(ctx context.Context, db bun.IDB, id string, n *[]containment.Nonconformity, s *[]identity.SecondSignature) error {
	*n, *s = []containment.Nonconformity{}, []identity.SecondSignature{}
	if err := db.NewSelect().Model(n).Where("incident_id = ?", id).Order("raised_ms", "id").Scan(ctx); err != nil {
		return err
	}
	return db.NewSelect().Model(s).Where("incident_id = ?", id).Order("requested_ms", "id").Scan(ctx)
}
