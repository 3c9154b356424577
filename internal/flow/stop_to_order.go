package flow

import (
	"context"

	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/containment"
)

// TakeOverStop makes an order of a sealed token that was used on a gateway's host: in the name of the person who sealed
// it, since it is their word given beforehand. It springs from an anomaly that is opened for it, so it has to be
// adopted within two hours, and only gate review brings the service back. A token that is known as used changes nothing.
func (h *House) TakeOverStop(ctx context.Context, gatewayID string, signed posture.Signed) error {
	s, err := h.Control.OpenStop(ctx, h.Store.Read(), signed)
	if err != nil || s.UsedMs != 0 || s.VoidMs != 0 {
		return err
	}
	return h.Store.Write(ctx, store.System("flow"), func(tx *store.Tx) error {
		s, err := h.Control.OpenStop(ctx, tx, signed)
		if err != nil || s.UsedMs != 0 || s.VoidMs != 0 {
			return err
		}
		a, err := h.Anomalies.Raise(ctx, tx, anomaly.Observation{Kind: "real", Signal: anomaly.Signal{ID: s.ID, Source: "person", ServiceID: s.ServiceID}})
		if err != nil {
			return err
		}
		orderID := ""
		back := tx.Lend(store.Actor{ID: s.IssuedBy, Roles: []string{"duty_officer"}})
		o, err := h.IssueOrder(ctx, tx, containment.Request{Cause: containment.FromAnomaly, CauseID: a.ID, Rung: posture.ServiceOffline,
			Scope: posture.Scope{ServiceID: s.ServiceID}, Reason: "sealed token " + s.ID})
		back()
		switch {
		case err == nil:
			orderID = o.ID
		case !fault.Is(err, "containment.same_in_force"):
			return err
		}
		return h.Control.SettleStop(ctx, tx, s, gatewayID, orderID)
	})
}
