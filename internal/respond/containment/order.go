// Package containment is the control side of 先期处置 and 止损优先: it compiles the posture of each
// service, issues, lifts and renews orders, hands them to the gateways, takes their acknowledgements
// and has a probe prove from outside that an order holds.
//
// Tightening takes one person at any hour and waits for no evidence, level or second signature.
// Loosening takes two persons; coming back online goes through gate review.
package containment

import (
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
)

// Topics that are woken after a commit.
const (
	TopicOrder   = "order"     // an order was issued, adopted, lifted or lapsed
	TopicPosture = "posture"   // a posture was compiled, or what it is made of changed
	TopicAck     = "order_ack" // a gateway acknowledged, or was lost
	topicService = "service"   // set by internal/service: services, deployments, keys
)

// Cause is what an order springs from.
type Cause string

// The causes.
const (
	FromAnomaly   Cause = "anomaly"
	FromIncident  Cause = "incident"
	FromDirective Cause = "directive"
	FromDrill     Cause = "drill"
)

// Mode is how an order is released.
type Mode string

// The release modes. An offline order is always OnlineReview; an order with an expiry is Auto.
const (
	Auto         Mode = "auto"          // lapses at its expiry
	Review       Mode = "review"        // two persons lift it
	OnlineReview Mode = "online_review" // an approved online gate review lifts it
)

// State is where an order stands.
type State string

// The states.
const (
	InForce State = "in_force"
	Lifted  State = "lifted"
	Lapsed  State = "lapsed"
)

// Transition is one arrow of the order's state machine.
type Transition struct {
	Event    string
	From, To State
}

// Machine is the order's state machine; docs/state-machines.md is drawn from it.
func Machine() []Transition {
	return []Transition{
		{"renew", InForce, InForce},     // due row: offline and 一级 orders
		{"adopt", InForce, InForce},     // an incident takes it over
		{"lift", InForce, Lifted},       // two persons
		{"go_online", InForce, Lifted},  // an approved online gate review
		{"undo_slip", InForce, Lifted},  // offline within 60 s, by the one who ordered it
		{"lapse", InForce, Lapsed},      // due row: expiry of an auto order
		{"drill_over", InForce, Lifted}, // the drill that it belongs to has ended
	}
}

func next(s State, event string) (State, error) {
	allowed := []string{}
	for _, t := range Machine() {
		if t.From != s {
			continue
		}
		if t.Event == event {
			return t.To, nil
		}
		allowed = append(allowed, t.Event)
	}
	return s, fault.Conflict("order_id", "error.transition", "state", s, "event", event, "allowed", strings.Join(allowed, ", "))
}

// Order 处置指令: a small, signed, reversible instruction to gateways. Times are UTC milliseconds,
// 0 for never.
type Order struct {
	bun.BaseModel `bun:"table:disposal_order" json:"-"`
	ID            string         `bun:"id,pk" json:"id"`
	Seq           int64          `json:"seq"`
	Kind          string         `json:"kind"` // real or drill
	DrillID       string         `json:"drill_id,omitempty"`
	ServiceID     string         `json:"service_id"`
	Cause         Cause          `json:"cause"`
	CauseID       string         `json:"cause_id"`
	IncidentID    string         `json:"incident_id"` // "" until adopted
	Rung          posture.Rung   `json:"rung"`
	Measure       posture.Tag    `json:"measure"` // adjust 局部调整, restrict 功能限制, offline 下线
	Scope         posture.Scope  `bun:"scope" json:"scope"`
	Params        posture.Params `bun:"params" json:"params"`
	ReleaseMode   Mode           `json:"release_mode"`
	State         State          `json:"state"`
	Emergency     bool           `json:"emergency"` // 临时下线: ratified later
	IssuedBy      string         `json:"issued_by"`
	IssuedMs      int64          `json:"issued_ms"`
	ExpiresMs     int64          `json:"expires_ms"`
	AdoptedMs     int64          `json:"adopted_ms"`
	EndedBy       string         `json:"ended_by,omitempty"`
	EndedSecond   string         `json:"ended_second,omitempty"`
	EndedMs       int64          `json:"ended_ms,omitempty"`
	EndedReason   string         `json:"ended_reason,omitempty"`
}

// Wire is the order as gateways are told it.
func (o Order) Wire() posture.Order {
	return posture.Order{ID: o.ID, Seq: o.Seq, Kind: posture.Kind(o.Kind), Rung: o.Rung, Scope: o.Scope, Params: o.Params, IssuedMs: o.IssuedMs, ExpiresMs: o.ExpiresMs, State: posture.InForce}
}

// scope is the record scope of what is said about an order.
func (o Order) scope() string {
	if o.IncidentID == "" {
		return ""
	}
	return "incident:" + o.IncidentID
}

func (o Order) entry(action string, content any) store.Entry {
	return store.Entry{Action: action, ObjectKind: "order", ObjectID: o.ID, Scope: o.scope(), Content: content}
}

// Request asks for an order. Scope.ServiceID is required. ExpiresMs 0 means until it is lifted.
type Request struct {
	Cause     Cause          `json:"cause"`
	CauseID   string         `json:"cause_id"`
	Rung      posture.Rung   `json:"rung"`
	Scope     posture.Scope  `json:"scope"`
	Params    posture.Params `json:"params"`
	Mode      Mode           `json:"release_mode"` // "" = online_review for offline, auto with an expiry, else review
	ExpiresMs int64          `json:"expires_ms"`
	Reason    string         `json:"reason"`
	Evidence  Evidence       `json:"-"` // of an automatic order
}

// Evidence is what an automatic order leans on, counted on what the model said, not on what was asked.
type Evidence struct {
	OutputSignals    int
	DistinctSubjects int // the unknown subject not counted
}

// minSubjects is how many different people must have seen the output before a rule may act alone.
const minSubjects = 3

// MayAutomate says whether a rule may issue an order without a person: only the low rungs, and only
// on output evidence from several subjects. Otherwise whoever sends prompts could switch the service off.
func MayAutomate(rung posture.Rung, e Evidence) bool {
	return (rung == posture.StrictFilter || rung == posture.TopicBlock) && e.OutputSignals >= minSubjects && e.DistinctSubjects >= minSubjects
}

// Rungs lists the rungs of the ladder, loosest first.
func Rungs() []posture.Rung {
	return []posture.Rung{posture.StrictFilter, posture.TopicBlock, posture.AudienceLimit, posture.BackupModel, posture.ServiceOffline}
}

// normalise fills defaults and checks what can be checked without a database. level is the working
// level of the incident, 0 if there is none.
func (r Request) normalise(nowMs int64, level int) (Request, error) {
	if r.Rung.Tag() == "" {
		return r, fault.Invalid("rung", "error.unknown_value", "value", r.Rung, "valid", joined(Rungs()))
	}
	if !slices.Contains([]Cause{FromAnomaly, FromIncident, FromDirective, FromDrill}, r.Cause) {
		return r, fault.Invalid("cause", "error.unknown_value", "value", r.Cause, "valid", "anomaly, incident, directive, drill")
	}
	if r.Scope.ServiceID == "" {
		return r, fault.Invalid("scope.service_id", "error.required", "field", "scope.service_id")
	}
	if r.Scope.Subject != "" {
		return r, fault.Invalid("scope.subject", "containment.subject_scope")
	}
	offline := r.Rung == posture.ServiceOffline
	if r.Mode == "" {
		switch {
		case offline:
			r.Mode = OnlineReview
		case r.ExpiresMs > 0:
			r.Mode = Auto
		default:
			r.Mode = Review
		}
	}
	switch {
	case !slices.Contains([]Mode{Auto, Review, OnlineReview}, r.Mode):
		return r, fault.Invalid("release_mode", "error.unknown_value", "value", r.Mode, "valid", "auto, review, online_review")
	case offline && r.Mode != OnlineReview:
		return r, fault.Invalid("release_mode", "containment.offline_mode")
	case !offline && r.Mode == OnlineReview:
		return r, fault.Invalid("release_mode", "containment.online_review_only_offline")
	case r.ExpiresMs != 0 && (offline || level == 1):
		return r, fault.Invalid("expires_ms", "containment.never_lapses")
	case (r.ExpiresMs != 0) != (r.Mode == Auto):
		return r, fault.Invalid("expires_ms", "containment.expiry_is_auto")
	case r.ExpiresMs != 0 && r.ExpiresMs <= nowMs:
		return r, fault.Invalid("expires_ms", "containment.expiry_past")
	case r.Rung == posture.AudienceLimit && r.Scope.Group != "" && slices.Contains(r.Params.AllowedGroups, r.Scope.Group):
		return r, fault.Invalid("params.allowed_groups", "containment.limits_nobody", "group", r.Scope.Group)
	}
	// What a rung does not use must not be there: it would be believed to do something.
	p := r.Params
	for _, c := range []struct {
		field string
		set   bool
		rung  posture.Rung
	}{
		{"params.topic_ids", len(p.TopicIDs) > 0, posture.TopicBlock},
		{"params.allowed_groups", len(p.AllowedGroups) > 0, posture.AudienceLimit},
		{"params.backup_id", p.BackupID != "", posture.BackupModel},
	} {
		if c.set && r.Rung != c.rung {
			return r, fault.Invalid(c.field, "containment.param_not_used", "rung", r.Rung)
		}
	}
	if r.Rung == posture.TopicBlock && len(p.TopicIDs) == 0 {
		return r, fault.Invalid("params.topic_ids", "error.required", "field", "params.topic_ids")
	}
	if r.Rung == posture.BackupModel && p.BackupID == "" {
		return r, fault.Invalid("params.backup_id", "error.required", "field", "params.backup_id")
	}
	return r, nil
}

func joined[T ~string](list []T) string {
	s := make([]string, len(list))
	for i, v := range list {
		s[i] = string(v)
	}
	return strings.Join(s, ", ")
}
