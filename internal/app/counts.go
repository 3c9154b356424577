package app

import (
	"context"
	"slices"

	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/respond/containment"
)

// counts answers containment's questions about traffic from telemetry.
type counts struct{ a *App }

// Count counts the newest thousand requests of a scope since a.SinceMs.
func (c counts) Count(ctx context.Context, a containment.Audience) (containment.Counts, error) {
	rows, err := c.a.House.Telemetry.Recent(ctx, telemetry.Filter{ServiceID: a.Scope.ServiceID, FromMs: a.SinceMs})
	out := containment.Counts{ByGroup: map[string]int64{}}
	if err != nil {
		return out, err
	}
	subjects := map[string]bool{}
	fits := func(want, have string) bool { return want == "" || want == have }
	for _, r := range rows {
		if !fits(a.Scope.DeploymentID, r.DeploymentID) || !fits(a.Scope.Route, r.Route) || !fits(a.Scope.TenantID, r.Tenant) || !fits(a.Scope.Group, r.Group) ||
			slices.Contains(a.ExceptGroups, r.Group) || (a.DrillOnly && r.Kind != "drill") {
			continue
		}
		out.Requests++
		out.ByGroup[r.Group]++
		if r.Subject == "" {
			out.Unknown++
		} else {
			subjects[r.Subject] = true
		}
	}
	out.Subjects = int64(len(subjects))
	return out, nil
}

// DeploymentOf tells which deployment gave an answer; "" while telemetry does not know it yet.
func (c counts) DeploymentOf(ctx context.Context, contentNumber string) (string, error) {
	t, _, err := c.a.House.Telemetry.ByContent(ctx, contentNumber, c.a.House.NowMs())
	return t.DeploymentID, err
}
