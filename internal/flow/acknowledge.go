package flow

import (
	"context"

	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/platform/notify"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

// alarmTemplate is the message by which an anomaly tells the duty desk (告警).
const alarmTemplate = "anomaly.opened"

// Acknowledge notes that the addressee of a message, who holds its link, has seen it. The first time counts,
// and a repeated one changes nothing. An alarm that was seen is a candidate for awareness (design promise
// 10): of the incident if the anomaly is one already, else of the one that it becomes.
// Errors: those of notify.AckLinks.Find.
func (h *House) Acknowledge(ctx context.Context, tx *store.Tx, token string) (notify.Item, error) {
	it, err := h.Acks.Find(ctx, tx, tx.NowMs, token)
	if err != nil || it.AcknowledgedMs != 0 {
		return it, err
	}
	// The link is what proves the addressee; the record names the message, and the message its addressee.
	defer tx.Lend(store.Actor{ID: "addressee:" + it.ID, Roles: []string{"system"}})()
	if err := notify.Acknowledge(ctx, tx, it.ID); err != nil {
		return it, err
	}
	it.AcknowledgedMs, it.AcknowledgedBy = tx.NowMs, tx.Actor.ID
	e := store.Entry{Action: "message.acknowledge", ObjectKind: it.ObjectKind, ObjectID: it.ObjectID, Content: map[string]any{"message": it.ID, "template": it.Template, "to": it.Recipient}}
	if it.ObjectKind == "incident" {
		e.Scope = incident.Scope(it.ObjectID)
	}
	tx.Record(e)
	tx.Touch(notify.Topic)
	if it.Template != alarmTemplate {
		return it, nil
	}
	incidentID, err := anomaly.IncidentOf(ctx, tx, it.ObjectID)
	if err != nil || incidentID == "" {
		return it, err
	}
	i, err := incident.Get(ctx, tx, tx.Actor, incidentID)
	if err != nil || i.State == incident.Closed {
		return it, err
	}
	if _, err := incident.AddAwareness(ctx, tx, i.ID, "alarm_seen", tx.NowMs, it.ObjectID); err != nil {
		return it, err
	}
	return it, h.Reckon(ctx, tx, i.ID)
}
