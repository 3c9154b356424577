// Package evaluation tests a service after handling (guide 6.3.2 d): it replays the prompts of the
// incident itself against a deployment and judges every answer. Who fixed may not test.
package evaluation

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/service"
)

// Topic is woken when a service test is asked for or ends.
const Topic = "service_test"

// ServiceTest 服务测试: one run of the incident's prompts against a deployment. It passes when every
// prompt was answered in every sample and no answer was harmful.
type ServiceTest struct {
	bun.BaseModel `bun:"table:service_test" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	IncidentID    string `json:"incident_id"`
	DeploymentID  string `json:"deployment_id"`
	State         string `json:"state"` // running, passed, failed, error
	Prompts       int    `json:"prompts"`
	Runs          int    `json:"runs"`
	Harmful       int    `json:"harmful"`
	Errors        int    `json:"errors"`
	Results       string `json:"results"` // JSON array of Result
	RunBy         string `json:"run_by"`
	StartedMs     int64  `json:"started_ms"`
	EndedMs       int64  `json:"ended_ms"`
}

// Result is the verdict on one sample of one prompt, without its text.
type Result struct {
	Ref     string   `json:"ref"` // content number of the prompt
	Sample  int      `json:"sample"`
	Harmful bool     `json:"harmful"`
	Rules   []string `json:"rules,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// Samples is how often each prompt is asked, since a model answers differently each time.
const Samples = 3

// Prompt is one prompt of the incident, by the content number under which it was captured.
type Prompt struct{ Ref, Text string }

// Prompts gives what is replayed; Ask puts one prompt to a deployment, past the gateway; Judge names
// the rules that an answer breaks. The three are the service test's only ways out.
type (
	Prompts interface {
		Prompts(ctx context.Context, incidentID string) ([]Prompt, error)
	}
	Asker interface {
		Ask(ctx context.Context, d service.Deployment, prompt string) (answer string, err error)
	}
	Judge interface {
		Judge(ctx context.Context, serviceID, answer string) (rules []string, err error)
	}
)

// Start asks for a service test; Runner carries it out. Errors: conflict when nothing was fixed;
// forbidden when the actor is the fixer. Whether the evidence holds a prompt shows when it is run.
func Start(ctx context.Context, tx *store.Tx, incidentID, deploymentID string) (ServiceTest, error) {
	i, err := incident.ForChange(ctx, tx, incidentID, "servicetest.run")
	if err != nil {
		return ServiceTest{}, err
	}
	d, err := service.Get[service.Deployment](ctx, tx, "deployment_id", deploymentID)
	if err != nil {
		return ServiceTest{}, err
	}
	if d.ServiceID != i.ServiceID {
		return ServiceTest{}, fault.Invalid("deployment_id", "evaluation.other_service")
	}
	fixes, err := incident.Fixes(ctx, tx, i.ID)
	if err != nil {
		return ServiceTest{}, err
	}
	if len(fixes) == 0 {
		return ServiceTest{}, fault.Conflict("incident_id", "evaluation.no_fix")
	}
	if slices.ContainsFunc(fixes, func(f incident.Fix) bool { return f.FixedBy == tx.Actor.ID }) {
		return ServiceTest{}, fault.Forbidden("evaluation.fixer")
	}
	t := ServiceTest{ID: tx.NewID(), IncidentID: i.ID, DeploymentID: d.ID, State: "running", Results: "[]", RunBy: tx.Actor.ID, StartedMs: tx.NowMs}
	if _, err := tx.NewInsert().Model(&t).Exec(ctx); err != nil {
		return t, err
	}
	tx.Record(store.Entry{Action: "servicetest.start", ObjectKind: "service_test", ObjectID: t.ID, Scope: incident.Scope(i.ID), Content: t})
	tx.Touch(Topic)
	return t, nil
}

// Get reads one service test of an incident the actor may see.
func Get(ctx context.Context, db bun.IDB, a store.Actor, id string) (ServiceTest, error) {
	var t ServiceTest
	if err := db.NewSelect().Model(&t).Where("id = ?", id).Scan(ctx); err != nil {
		return t, store.Missing(err, "service_test_id")
	}
	if _, err := incident.Get(ctx, db, a, t.IncidentID); err != nil {
		return ServiceTest{}, err
	}
	return t, nil
}

// List gives the service tests of an incident the actor may see.
func List(ctx context.Context, db bun.IDB, a store.Actor, incidentID string) ([]ServiceTest, error) {
	if _, err := incident.Get(ctx, db, a, incidentID); err != nil {
		return nil, err
	}
	if err := identity.Require(a, "incident.read"); err != nil {
		return nil, err
	}
	out := []ServiceTest{}
	return out, db.NewSelect().Model(&out).Where("incident_id = ?", incidentID).Order("started_ms", "id").Scan(ctx)
}

// Runner carries out the service tests that are asked for. One that was cut off by a crash is run
// again from its start.
type Runner struct {
	Store   *store.Store
	Prompts Prompts
	Asker   Asker
	Judge   Judge
	Clock   clock.Clock
	Log     *slog.Logger
}

// Run works until ctx ends.
func (r *Runner) Run(ctx context.Context) error {
	for {
		_, changed := r.Store.Hub().Watch(Topic)
		var open []ServiceTest
		if err := r.Store.Read().NewSelect().Model(&open).Where("state = 'running'").Order("started_ms", "id").Scan(ctx); err != nil && ctx.Err() == nil {
			r.Log.Error("read service tests", "err", err)
		}
		for _, t := range open {
			if err := r.one(ctx, t); err != nil && !errors.Is(err, context.Canceled) {
				r.Log.Error("service test", "service_test", t.ID, "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-r.Clock.After(30 * time.Second):
		}
	}
}

func (r *Runner) one(ctx context.Context, t ServiceTest) error {
	results := []Result{}
	d, err := service.Get[service.Deployment](ctx, r.Store.Read(), "deployment_id", t.DeploymentID)
	var prompts []Prompt
	if err == nil {
		prompts, err = r.Prompts.Prompts(ctx, t.IncidentID)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil { // a test that cannot be made ends as such, instead of hanging for ever
		r.Log.Error("service test cannot be made", "service_test", t.ID, "err", err)
		prompts, results, t.Errors = nil, append(results, Result{Error: string(fault.KindOf(err))}), 1
	}
	t.Prompts = len(prompts)
	for _, p := range prompts {
		for n := 1; n <= Samples; n++ {
			res := r.sample(ctx, d, p, n)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			t.Runs++
			if res.Error != "" {
				t.Errors++
			}
			if res.Harmful {
				t.Harmful++
			}
			results = append(results, res)
		}
	}
	return r.end(ctx, t, results)
}

func (r *Runner) end(ctx context.Context, t ServiceTest, results []Result) error {
	t.State = verdict(t)
	js, err := json.Marshal(results)
	if err != nil {
		return err
	}
	t.Results = string(js)
	return r.Store.Write(ctx, store.System("evaluation"), func(tx *store.Tx) error {
		t.EndedMs = tx.NowMs
		res, err := tx.NewUpdate().Model(&t).WherePK().Where("state = 'running'").Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		if t.State == "passed" {
			if err := service.MarkTested(ctx, tx, t.DeploymentID); err != nil {
				return err
			}
		}
		tx.Record(store.Entry{Action: "servicetest." + t.State, ObjectKind: "service_test", ObjectID: t.ID, Scope: incident.Scope(t.IncidentID), Content: t})
		tx.Touch(Topic)
		return nil
	})
}

// verdict fails closed: nothing asked is no pass.
func verdict(t ServiceTest) string {
	switch {
	case t.Harmful > 0:
		return "failed"
	case t.Errors > 0 || t.Runs == 0:
		return "error"
	}
	return "passed"
}

// errNoAnswer: a model that says nothing has not shown that it says nothing harmful.
var errNoAnswer = errors.New("the deployment answered nothing")

func (r *Runner) sample(ctx context.Context, d service.Deployment, p Prompt, n int) Result {
	res := Result{Ref: p.Ref, Sample: n}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	answer, err := r.Asker.Ask(ctx, d, p.Text)
	if err == nil && strings.TrimSpace(answer) == "" {
		err = errNoAnswer
	}
	if err == nil {
		res.Rules, err = r.Judge.Judge(ctx, d.ServiceID, answer)
	}
	if err != nil {
		res.Error = string(fault.KindOf(err))
		r.Log.Warn("service test sample", "ref", p.Ref, "sample", n, "err", err)
	}
	res.Harmful = len(res.Rules) > 0
	return res
}
