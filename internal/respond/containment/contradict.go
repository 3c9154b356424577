package containment

import (
	"slices"

	"github.com/fengsui/fengsui/internal/posture"
)

// conflicts names orders in force that a new one contradicts or makes pointless. Orders only add up
// (posture.Effective), so a contradiction tightens; a person should know it beforehand all the same.
func conflicts(standing []Order, r Request, kind string) []Conflict {
	out := []Conflict{}
	for _, o := range standing {
		if !overlap(o.Scope, r.Scope) || o.Kind != kind && o.Kind != string(posture.Real) && kind != string(posture.Real) {
			continue
		}
		switch {
		case o.sameAs(r, kind):
			out = append(out, Conflict{o.ID, "containment.conflict_same"})
		case o.Rung == posture.ServiceOffline:
			out = append(out, Conflict{o.ID, "containment.conflict_offline"})
		case o.Rung == posture.BackupModel && r.Rung == posture.BackupModel && o.Params.BackupID != r.Params.BackupID:
			out = append(out, Conflict{o.ID, "containment.conflict_backup"})
		case o.Rung == posture.AudienceLimit && r.Rung == posture.AudienceLimit &&
			!slices.ContainsFunc(o.Params.AllowedGroups, func(g string) bool { return slices.Contains(r.Params.AllowedGroups, g) }):
			out = append(out, Conflict{o.ID, "containment.conflict_audience"})
		}
	}
	return out
}

// overlap reports whether some request can be in both scopes.
func overlap(a, b posture.Scope) bool {
	meet := func(x, y string) bool { return x == "" || y == "" || x == y }
	return a.ServiceID == b.ServiceID && meet(a.DeploymentID, b.DeploymentID) && meet(a.Route, b.Route) && meet(a.TenantID, b.TenantID) && meet(a.Group, b.Group)
}
