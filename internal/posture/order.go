package posture

import (
	"slices"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Kind marks traffic, orders and keys.
type Kind string

// The kinds. A drill order binds drill-marked traffic only.
const (
	Real     Kind = "real"
	Drill    Kind = "drill"
	Test     Kind = "test"
	Backfill Kind = "backfill"
)

// Rung is a step of the containment ladder.
type Rung string

// The rungs, loosest first.
const (
	StrictFilter   Rung = "strict_filter"
	TopicBlock     Rung = "topic_block"
	AudienceLimit  Rung = "audience_limit"
	BackupModel    Rung = "backup_model"
	ServiceOffline Rung = "service_offline"
)

// Rungs are all rungs, loosest first.
func Rungs() []Rung {
	return []Rung{StrictFilter, TopicBlock, AudienceLimit, BackupModel, ServiceOffline}
}

// Tag is what the guide calls a measure (6.3.2 a): 局部调整, 功能限制 or 下线.
type Tag string

// The tags.
const (
	Adjust   Tag = "adjust"   // 局部调整
	Restrict Tag = "restrict" // 功能限制
	Offline  Tag = "offline"  // 下线
)

// Tag sorts a rung into the guide's three measures, "" for an unknown one. A filter or another model
// leaves what the service can do as it was; blocking topics or people takes something away.
func (r Rung) Tag() Tag {
	switch r {
	case StrictFilter, BackupModel:
		return Adjust
	case TopicBlock, AudienceLimit:
		return Restrict
	case ServiceOffline:
		return Offline
	}
	return ""
}

// State is whether an order binds.
type State string

// The states of an order.
const (
	InForce State = "in_force"
	Lifted  State = "lifted"
)

// Scope says whom an order binds. Service is required; each other field, if set, narrows it.
type Scope struct {
	ServiceID    string `json:"service_id"`
	DeploymentID string `json:"deployment_id,omitzero"`
	Route        string `json:"route,omitzero"` // model name that the client asked for
	TenantID     string `json:"tenant_id,omitzero"`
	Group        string `json:"group,omitzero"`
	Subject      string `json:"subject,omitzero"` // HMAC; a request of unknown subject is never in it
}

// Params is what a rung needs to know.
type Params struct {
	TopicIDs      []string `json:"topic_ids,omitempty"`      // topic_block
	AllowedGroups []string `json:"allowed_groups,omitempty"` // audience_limit; none = nobody
	BackupID      string   `json:"backup_id,omitzero"`       // backup_model: deployment
	Notice        Text     `json:"notice,omitzero"`          // overrides the posture's text
}

// Order is a small, signed, reversible instruction to gateways.
type Order struct {
	ID        string `json:"id"`
	Seq       int64  `json:"seq"` // monotonic over all orders of one control
	Kind      Kind   `json:"kind"`
	Rung      Rung   `json:"rung"`
	Scope     Scope  `json:"scope"`
	Params    Params `json:"params,omitzero"`
	IssuedMs  int64  `json:"issued_ms"`
	ExpiresMs int64  `json:"expires_ms"` // 0: never lapses by itself
	State     State  `json:"state"`
}

// Check says what is wrong with an order, with the field at fault.
func (o Order) Check() error {
	switch {
	case o.ID == "":
		return fault.Invalid("order.id", "posture.missing")
	case o.Seq <= 0:
		return fault.Invalid("order.seq", "posture.missing")
	case o.Kind != Real && o.Kind != Drill:
		return fault.Invalid("order.kind", "posture.unknown_value", "value", string(o.Kind))
	case o.Rung.Tag() == "":
		return fault.Invalid("order.rung", "posture.unknown_value", "value", string(o.Rung))
	case o.State != InForce && o.State != Lifted:
		return fault.Invalid("order.state", "posture.unknown_value", "value", string(o.State))
	case o.Scope.ServiceID == "":
		return fault.Invalid("order.scope.service_id", "posture.missing")
	case o.IssuedMs <= 0:
		return fault.Invalid("order.issued_ms", "posture.missing")
	case o.ExpiresMs < 0 || o.ExpiresMs > 0 && o.ExpiresMs <= o.IssuedMs:
		return fault.Invalid("order.expires_ms", "posture.expiry")
	case o.Rung == TopicBlock && (len(o.Params.TopicIDs) == 0 || slices.Contains(o.Params.TopicIDs, "")):
		return fault.Invalid("order.params.topic_ids", "posture.missing")
	case o.Rung == BackupModel && o.Params.BackupID == "":
		return fault.Invalid("order.params.backup_id", "posture.missing")
	case o.Rung == BackupModel && o.Params.BackupID == o.Scope.DeploymentID:
		return fault.Invalid("order.params.backup_id", "posture.backup_is_scope")
	case o.Rung == ServiceOffline && o.ExpiresMs != 0:
		// Design promise 4: an offline order never lapses by itself.
		return fault.Invalid("order.expires_ms", "posture.offline_expiry")
	}
	return nil
}

// Lapsed reports whether control should lift the order at nowMs. Gateways do not ask: expiry that
// loosens needs the control plane, so an order binds until control says that it is lifted.
func (o Order) Lapsed(nowMs int64) bool {
	return o.State == InForce && o.ExpiresMs != 0 && nowMs >= o.ExpiresMs
}
