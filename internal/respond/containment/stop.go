package containment

import (
	"context"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/service"
)

// Stop is a sealed token without its seal. Times are UTC milliseconds, 0 for never.
type Stop struct {
	bun.BaseModel `bun:"table:gateway_stop" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	ServiceID     string `json:"service_id"`
	IssuedBy      string `json:"issued_by"`
	IssuedMs      int64  `json:"issued_ms"`
	VoidMs        int64  `json:"void_ms"`
	UsedMs        int64  `json:"used_ms"`
	GatewayID     string `json:"gateway_id"`
	OrderID       string `json:"order_id"`
}

// IssueStop seals a token that takes a service offline on a gateway's host without control: an order that a person gives
// beforehand. A token that was issued before and not used is void. The seal is returned once. Errors: forbidden without
// order.issue or for a drill's stand-in; not found; invalid for a drill's service.
func (c *Control) IssueStop(ctx context.Context, tx *store.Tx, serviceID string) (Stop, posture.Signed, error) {
	if err := identity.Require(tx.Actor, "order.issue"); err != nil {
		return Stop{}, posture.Signed{}, err
	}
	if err := identity.RequireDrill(tx.Actor, ""); err != nil {
		return Stop{}, posture.Signed{}, err
	}
	svc, err := service.Get[service.Service](ctx, tx, "service_id", serviceID)
	if err != nil {
		return Stop{}, posture.Signed{}, err
	}
	if svc.DrillID != "" {
		return Stop{}, posture.Signed{}, fault.Invalid("service_id", "identity.other_drill")
	}
	res, err := tx.ExecContext(ctx, "UPDATE gateway_stop SET void_ms = ? WHERE service_id = ? AND used_ms = 0 AND void_ms = 0", tx.NowMs, serviceID)
	if err != nil {
		return Stop{}, posture.Signed{}, err
	}
	if n, err := res.RowsAffected(); err != nil {
		return Stop{}, posture.Signed{}, err
	} else if n > 0 { // gateways must hear that the older one is void
		tx.Touch(TopicOrder)
		if err := bump(ctx, tx); err != nil {
			return Stop{}, posture.Signed{}, err
		}
	}
	s := Stop{ID: tx.NewID(), ServiceID: serviceID, IssuedBy: tx.Actor.ID, IssuedMs: tx.NowMs}
	if _, err := tx.NewInsert().Model(&s).Exec(ctx); err != nil {
		return Stop{}, posture.Signed{}, err
	}
	tx.Record(store.Entry{Action: "stop.seal", ObjectKind: "stop", ObjectID: s.ID, Content: s})
	signed, err := posture.Stop{ID: s.ID, ServiceID: s.ServiceID, IssuedMs: s.IssuedMs}.Sign(c.o.Key)
	return s, signed, err
}

// OpenStop finds the token that a gateway reports. Errors: those of posture.OpenStop; not found.
func (c *Control) OpenStop(ctx context.Context, db bun.IDB, signed posture.Signed) (Stop, error) {
	in, err := posture.OpenStop(signed, c.PublicKey())
	if err != nil {
		return Stop{}, err
	}
	return service.Get[Stop](ctx, db, "id", in.ID)
}

// SettleStop writes down that a token was used on a gateway and which order took its place, "" if the service was offline
// by another already. From the next bundle on the order binds and not the token.
func (c *Control) SettleStop(ctx context.Context, tx *store.Tx, s Stop, gatewayID, orderID string) error {
	s.UsedMs, s.GatewayID, s.OrderID = tx.NowMs, gatewayID, orderID
	if _, err := tx.ExecContext(ctx, "UPDATE gateway_stop SET used_ms = ?, gateway_id = ?, order_id = ? WHERE id = ?", s.UsedMs, gatewayID, orderID, s.ID); err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "stop.use", ObjectKind: "stop", ObjectID: s.ID, Content: s})
	tx.Touch(TopicOrder)
	return bump(ctx, tx)
}

// spentStops are the tokens that do not bind by themselves any more.
func spentStops(ctx context.Context, db bun.IDB) (ids []string, err error) {
	return ids, db.NewRaw("SELECT id FROM gateway_stop WHERE used_ms > 0 OR void_ms > 0 ORDER BY id").Scan(ctx, &ids)
}
