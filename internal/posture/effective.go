package posture

import "slices"

// Request is what an order can look at.
type Request struct {
	ServiceID    string
	DeploymentID string // the one that would answer
	Route        string // model name that the client asked for
	TenantID     string
	Group        string
	Subject      string // HMAC, "" if unknown
	Kind         Kind
}

// Decision is what all orders together mean for a request.
type Decision struct {
	Offline      bool
	Limited      bool     // this audience is not served
	Strict       bool     // strict set on
	Topics       []string // blocked topics, sorted
	DeploymentID string   // the deployment to use after backup orders
	Notice       Text     // of the order that decided, zero if it brings none
	DecidedBy    string   // id of the order that made it offline or limited
	OrderIDs     []string // every order that binds this request, sorted
}

// Binds reports whether an order in force applies to a request.
func (o Order) Binds(r Request) bool {
	s := o.Scope
	narrow := func(want, have string) bool { return want == "" || want == have }
	return o.State == InForce && (o.Kind == Real || r.Kind == Drill) && s.ServiceID == r.ServiceID &&
		narrow(s.DeploymentID, r.DeploymentID) && narrow(s.Route, r.Route) && narrow(s.TenantID, r.TenantID) &&
		narrow(s.Group, r.Group) && narrow(s.Subject, r.Subject)
}

// Effective merges all orders for one request. It does not depend on the order of the list.
//
//   - Orders only add up: no order loosens what another one tightens.
//   - Offline beats everything.
//   - Several audience limits: only groups that all of them allow are served.
//   - Several backup orders: the highest seq (the latest word) names the backup. Orders scoped to the backup then bind
//     too; backups that lead in a circle leave nobody to answer, which is offline.
//   - Expiry is not looked at, see Order.Lapsed.
func Effective(orders []Order, r Request) Decision {
	d := Decision{DeploymentID: r.DeploymentID}
	visited := map[string]bool{}
	bound := map[string]bool{}
	topics := map[string]bool{}
	var offline, limited, backup *Order
	latest := func(have **Order, o *Order) {
		if *have == nil || o.Seq > (*have).Seq || o.Seq == (*have).Seq && o.ID > (*have).ID {
			*have = o
		}
	}
	for {
		if visited[r.DeploymentID] {
			d.Offline = true
			if offline == nil {
				offline = backup
			}
			break
		}
		visited[r.DeploymentID] = true
		backup = nil
		for i := range orders {
			o := &orders[i]
			if !o.Binds(r) {
				continue
			}
			switch o.Rung {
			case StrictFilter:
				d.Strict = true
			case TopicBlock:
				for _, id := range o.Params.TopicIDs {
					topics[id] = true
				}
			case AudienceLimit:
				if !slices.Contains(o.Params.AllowedGroups, r.Group) {
					d.Limited = true
					latest(&limited, o)
				}
			case BackupModel:
				latest(&backup, o)
			case ServiceOffline:
				d.Offline = true
				latest(&offline, o)
			default:
				// An order that this build does not understand may mean anything; the only safe reading is the strongest.
				d.Offline = true
				latest(&offline, o)
			}
			bound[o.ID] = true
		}
		if backup == nil || d.Offline || backup.Params.BackupID == r.DeploymentID {
			break
		}
		r.DeploymentID = backup.Params.BackupID
		d.DeploymentID = r.DeploymentID
	}
	switch {
	case offline != nil:
		d.DecidedBy, d.Notice = offline.ID, offline.Params.Notice
	case limited != nil:
		d.DecidedBy, d.Notice = limited.ID, limited.Params.Notice
	}
	d.Topics = sorted(topics)
	d.OrderIDs = sorted(bound)
	return d
}

func sorted(set map[string]bool) []string {
	if len(set) == 0 {
		return nil
	}
	out := make([]string, 0, len(set))
	for k := range set {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
