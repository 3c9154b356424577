package flow

import (
	"context"
	"fmt"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/notify"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

// Tell queues the notice about an incident to somebody outside the team: an authority is told the
// facts of the report, a platform is asked to take content down. Free text cannot go this way. Who
// tells an authority must be allowed to submit reports. An ungraded incident cannot be told.
func (h *House) Tell(ctx context.Context, tx *store.Tx, incidentID, channel, recipient string) error {
	end, ok := h.Channels.Endpoint(channel)
	if !ok {
		return fault.NotFound("channel", "notify.channel_unknown", "channel", channel)
	}
	action := "incident.handle"
	if end.Class == notify.Authority {
		action = "obligation.submit"
	}
	i, err := incident.ForChange(ctx, tx, incidentID, action)
	if err != nil {
		return err
	}
	level, err := incident.LevelOf(ctx, tx, i.ID)
	if err != nil {
		return err
	}
	if level.Working == 0 {
		return fault.Conflict("incident_id", "incident.ungraded")
	}
	category, err := incident.Primary(ctx, tx, i.ID)
	if err != nil {
		return err
	}
	if category == "" {
		return fault.Conflict("incident_id", "incident.unclassified")
	}
	m, err := h.Channels.Address(notify.Message{IdemKey: key("incident", i.ID, "tell", channel, recipient, level.Working), Channel: channel, Recipient: recipient, Lang: locale.ZH, IncidentKind: i.Kind,
		ObjectKind: "incident", ObjectID: i.ID, Template: "notice." + string(end.Class),
		Args: []notify.Arg{notify.ID("number", i.Number), notify.Term("level", fmt.Sprintf("level.%d", level.Working)), notify.ID("category", category)}})
	if err != nil {
		return err
	}
	tx.Record(store.Entry{Action: "incident.tell", ObjectKind: "incident", ObjectID: i.ID, Scope: incident.Scope(i.ID), Content: map[string]any{"channel": channel, "recipient": recipient, "level": level.Working}})
	return notify.Queue(ctx, tx, m)
}
