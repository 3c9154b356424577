package api

import (
	"context"

	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/gatereview"
)

// OrderParams is what a rung needs to know.
type OrderParams struct {
	TopicIDs      []string `json:"topic_ids,omitempty"`
	AllowedGroups []string `json:"allowed_groups,omitempty"`
	BackupID      string   `json:"backup_id,omitempty"`
	NoticeZH      string   `json:"notice_zh,omitempty" maxLength:"500"`
	NoticeEN      string   `json:"notice_en,omitempty" maxLength:"500"`
}

type orderBody struct {
	Body struct {
		Cause        string      `json:"cause" enum:"anomaly,incident,directive,drill"`
		CauseID      string      `json:"cause_id"`
		Rung         string      `json:"rung" enum:"strict_filter,topic_block,audience_limit,backup_model,service_offline"`
		ServiceID    string      `json:"service_id"`
		DeploymentID string      `json:"deployment_id,omitempty"`
		Route        string      `json:"route,omitempty"`
		Tenant       string      `json:"tenant,omitempty"`
		Group        string      `json:"group,omitempty"`
		Params       OrderParams `json:"params,omitempty"`
		ReleaseMode  string      `json:"release_mode,omitempty" enum:"auto,review,online_review"`
		ExpiresMs    int64       `json:"expires_ms,omitempty" minimum:"0"`
		Reason       string      `json:"reason" maxLength:"2000"`
	}
}

func (b *orderBody) request() containment.Request {
	o := b.Body
	return containment.Request{Cause: containment.Cause(o.Cause), CauseID: o.CauseID, Rung: posture.Rung(o.Rung),
		Scope:  posture.Scope{ServiceID: o.ServiceID, DeploymentID: o.DeploymentID, Route: o.Route, TenantID: o.Tenant, Group: o.Group},
		Params: posture.Params{TopicIDs: o.Params.TopicIDs, AllowedGroups: o.Params.AllowedGroups, BackupID: o.Params.BackupID, Notice: posture.Text{ZH: o.Params.NoticeZH, EN: o.Params.NoticeEN}},
		Mode:   containment.Mode(o.ReleaseMode), ExpiresMs: o.ExpiresMs, Reason: o.Reason}
}

func (a *API) orders() {
	const room = "containment"
	lists(a, operation{path: "/orders", id: "list-orders", room: room, summary: "List orders"}, a.OrderList())
	get(a, operation{path: "/orders/{id}", id: "get-order", room: room, summary: "An order with acknowledgements and probes"}, func(ctx context.Context, actor store.Actor, in *ByID) (containment.Status, error) {
		return containment.Get(ctx, a.Store.Read(), actor, in.ID)
	})
	get(a, operation{path: "/gateways", id: "list-gateways", room: room, summary: "Gateways and how fresh they are"}, func(ctx context.Context, actor store.Actor, _ *none) ([]containment.GatewayRow, error) {
		if err := identity.Require(actor, "order.read"); err != nil {
			return nil, err
		}
		return containment.Gateways(ctx, a.Store.Read())
	})
	// A preview changes nothing, but has a body.
	post(a, operation{path: "/orders/preview", id: "preview-order", room: room, summary: "Whom an order would hit"}, func(ctx context.Context, tx *store.Tx, in *orderBody) (containment.Hit, error) {
		return a.Control.Preview(ctx, tx, tx.Actor, a.Store.Clock(), in.request())
	})
	post(a, operation{path: "/orders", id: "issue-order", room: room, summary: "Put an order in force; one person, at any hour"}, func(ctx context.Context, tx *store.Tx, in *orderBody) (containment.Order, error) {
		return a.IssueOrder(ctx, tx, in.request())
	})
	post(a, operation{path: "/orders/{id}/adopt", id: "adopt-order", room: room, summary: "Make an order part of an incident"}, func(ctx context.Context, tx *store.Tx, in *struct {
		ByID
		Body struct {
			IncidentID string `json:"incident_id"`
		}
	}) (containment.Order, error) {
		return a.AdoptOrder(ctx, tx, in.ID, in.Body.IncidentID)
	})
	post(a, operation{path: "/orders/{id}/lift", id: "lift-order", room: room, summary: "Ask to lift an order; needs a second person"}, func(ctx context.Context, tx *store.Tx, in *reasonBody) (identity.SecondSignature, error) {
		return a.Control.RequestLift(ctx, tx, in.ID, in.Body.Reason)
	})
	post(a, operation{path: "/orders/{id}/undo", id: "undo-offline", room: room, summary: "Take back going offline as a slip, within 60 s"}, func(ctx context.Context, tx *store.Tx, in *reasonBody) (containment.Order, error) {
		return a.Control.UndoOffline(ctx, tx, in.ID, in.Body.Reason)
	})
	get(a, operation{path: "/gate-reviews", id: "list-gate-reviews", room: room, summary: "List gate reviews"}, func(ctx context.Context, actor store.Actor, in *struct {
		OrderID    string `query:"order_id"`
		IncidentID string `query:"incident_id"`
		Direction  string `query:"direction"`
		State      string `query:"state"`
	}) ([]gatereview.Review, error) {
		return gatereview.List(ctx, a.Store.Read(), actor, gatereview.Filter{OrderID: in.OrderID, IncidentID: in.IncidentID, Direction: gatereview.Direction(in.Direction), State: gatereview.State(in.State)})
	})
	post(a, operation{path: "/gate-reviews/{id}/ratify", id: "ratify-offline", room: room, summary: "Ratify an emergency offline; not by who ordered it"}, func(ctx context.Context, tx *store.Tx, in *decisionBody) (gatereview.Review, error) {
		return a.Review.Ratify(ctx, tx, in.ID, in.Body.Approve, in.Body.Reason)
	})
	post(a, operation{path: "/orders/{id}/online-review", id: "request-online", room: room, summary: "Ask for a service to come back online"}, func(ctx context.Context, tx *store.Tx, in *struct {
		ByID
		Body struct {
			ServiceTestID string `json:"service_test_id"`
			Ground        string `json:"ground" maxLength:"2000"`
		}
	}) (gatereview.Review, error) {
		return a.Review.RequestOnline(ctx, tx, gatereview.OnlineRequest{OrderID: in.ID, ServiceTestID: in.Body.ServiceTestID, Ground: in.Body.Ground})
	})
	post(a, operation{path: "/gate-reviews/{id}/decide", id: "decide-online", room: room, summary: "Approve or reject coming back online; not by requester or fixer"}, func(ctx context.Context, tx *store.Tx, in *decisionBody) (gatereview.Review, error) {
		return a.DecideOnline(ctx, tx, in.ID, in.Body.Approve, in.Body.Reason)
	})
	post(a, operation{path: "/nonconformities/{id}/explain", id: "explain-nonconformity", room: room, summary: "Give the reason why a demanded measure was not taken"}, func(ctx context.Context, tx *store.Tx, in *reasonBody) (containment.Nonconformity, error) {
		return a.Control.ExplainNonconformity(ctx, tx, in.ID, in.Body.Reason)
	})
}
