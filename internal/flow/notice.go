package flow

import (
	"context"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/service"
)

// Notice is what the end users of a service are told: whether it is offline by order, for all or for some of
// them, since when (UTC milliseconds), and the newest statement that was approved for the public. It says
// nothing of the incident.
type Notice struct {
	ServiceID  string
	Service    string
	Offline    bool
	Partly     bool
	SinceMs    int64
	Statement  string
	ApprovedMs int64
}

// Notice reads it. Errors: not found for a service that is unknown or not real.
func (h *House) Notice(ctx context.Context, serviceID string) (Notice, error) {
	db := h.Store.Read()
	svc, err := service.Get[service.Service](ctx, db, "service_id", serviceID)
	if err != nil {
		return Notice{}, err
	}
	if svc.Kind != "real" {
		return Notice{}, fault.NotFound("service_id", "error.not_found", "field", "service_id")
	}
	n := Notice{ServiceID: svc.ID, Service: svc.Name}
	var orders []containment.Order
	if err := db.NewSelect().Model(&orders).Where("service_id = ? AND kind = 'real' AND rung = ? AND state = ?", svc.ID, posture.ServiceOffline, containment.InForce).Order("issued_ms", "seq").Scan(ctx); err != nil {
		return n, err
	}
	for _, o := range orders {
		whole := o.Scope == posture.Scope{ServiceID: svc.ID}
		if !n.Offline || whole && n.Partly {
			n.Offline, n.Partly, n.SinceMs = true, !whole, o.IssuedMs
		}
	}
	if !n.Offline {
		return n, nil
	}
	var said []struct {
		Text       string
		ApprovedMs int64
	}
	err = db.NewRaw(`SELECT s.text, s.approved_ms FROM statement AS s JOIN disposal_order AS o ON o.incident_id = s.incident_id
		WHERE o.service_id = ? AND o.kind = 'real' AND o.rung = ? AND o.state = ? AND s.audience = 'public' AND s.approved_ms > 0 AND s.text <> ?
		ORDER BY s.approved_ms DESC, s.id DESC LIMIT 1`, svc.ID, posture.ServiceOffline, containment.InForce, Erased).Scan(ctx, &said)
	if len(said) == 1 {
		n.Statement, n.ApprovedMs = said[0].Text, said[0].ApprovedMs
	}
	return n, err
}
