package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"
	"github.com/goccy/go-yaml"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/prepare/plan"
)

// PlanFlaw is what keeps a text from being filed as a plan, in the asker's language. Line and column begin at 1.
type PlanFlaw struct {
	Path    string `json:"path"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Key     string `json:"key"`
	Message string `json:"message"`
}

// PlanDocument is one version of a plan, parsed and as a document to edit. Comments of the file that was handed
// in are not kept.
type PlanDocument struct {
	plan.Version
	YAML string `json:"yaml"`
}

func (a *API) planEditing() {
	get(a, operation{path: "/plans/coverage", id: "plan-coverage", room: "prepare", summary: "Category × level: the plan in force and the last drill"}, func(ctx context.Context, actor store.Actor, _ *none) ([]flow.CoverageCell, error) {
		return a.Coverage(ctx, actor)
	})
	get(a, operation{path: "/plans/{id}/versions", id: "list-plan-versions", room: "prepare", summary: "Versions of a plan, newest first"}, func(ctx context.Context, actor store.Actor, in *ByID) ([]plan.Version, error) {
		all, err := plan.List(ctx, a.Store.Read(), actor, "")
		out := []plan.Version{}
		for _, v := range all {
			if v.ID == in.ID {
				out = append(out, v)
			}
		}
		return out, err
	})
	get(a, operation{path: "/plans/{id}/versions/{version}", id: "get-plan-version", room: "prepare", summary: "One version of a plan, parsed and as text"}, func(ctx context.Context, actor store.Actor, in *struct {
		ByID
		Version int `path:"version" minimum:"1"`
	}) (PlanDocument, error) {
		v, err := plan.Show(ctx, a.Store.Read(), actor, in.ID, in.Version)
		if err != nil {
			return PlanDocument{}, err
		}
		text, err := yaml.MarshalWithOptions(v.Plan, yaml.UseLiteralStyleIfMultiline(true), yaml.OmitEmpty())
		return PlanDocument{v, string(text)}, err
	})
	huma.Register(a.huma, func() huma.Operation {
		o := operation{method: "POST", path: "/plans/validate", id: "validate-plan", room: "prepare", summary: "Look over a plan document without filing it", again: true}
		return o.huma()
	}(), func(ctx context.Context, in *planBody) (*output[[]PlanFlaw], error) {
		if err := identity.Require(actorOf(ctx), "plan.draft"); err != nil {
			return nil, a.problem(ctx, err)
		}
		if err := identity.RequireDrill(actorOf(ctx), ""); err != nil {
			return nil, a.problem(ctx, err)
		}
		out := []PlanFlaw{}
		f, err := a.PlanRules.Flaw([]byte(in.Body.YAML))
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		if f != nil {
			out = append(out, PlanFlaw{Path: f.Path, Line: f.Line, Column: f.Column, Key: f.Fault.Key, Message: a.catalog.Say(langOf(ctx), f.Fault.Key, f.Fault.Args...)})
		}
		return &output[[]PlanFlaw]{out}, nil
	})
}
