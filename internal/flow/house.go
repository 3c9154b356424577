// Package flow holds the few ways that cross rooms, one file each. Each runs inside one transaction
// that the caller opened with store.Write, so that what changes two rooms changes both or neither.
package flow

import (
	"context"
	"net/http"
	"sync"

	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/monitor/intake"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/listing"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/login"
	"github.com/fengsui/fengsui/internal/platform/notify"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/prepare/drill"
	"github.com/fengsui/fengsui/internal/prepare/lexicon"
	"github.com/fengsui/fengsui/internal/prepare/plan"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/dispatch"
	"github.com/fengsui/fengsui/internal/respond/evidence"
	"github.com/fengsui/fengsui/internal/respond/gatereview"
	"github.com/fengsui/fengsui/internal/standard"
)

// House is what the flows and the API work with. internal/app fills it.
type House struct {
	Store     *store.Store
	Book      *standard.Book
	Record    *record.Log
	Secrets   *secret.Vault
	Login     *login.Desk
	Lexicon   *lexicon.Library
	Control   *containment.Control
	Review    *gatereview.Desk
	Anomalies *anomaly.Desk
	Intake    *intake.Desk
	Evidence  *evidence.Keeper
	PlanRules plan.Rules
	Dispatch  *dispatch.Desk
	Telemetry *telemetry.Log
	Channels  *notify.Directory
	Registry  *notify.Registry // the channels that two persons set up
	Acks      notify.AckLinks
	StaffWay  string // id of the channel on which the duty desk is told

	Node   string       // the name under which this process serves
	Cycles []*due.Cycle // the heartbeats of the loops that keep clocks and messages

	counts listing.Counts // of long lists

	PlayDrill    func(ctx context.Context, a store.Actor, scenario string) (drill.Drill, error) // has a drill played by this server
	PlayingDrill func() string                                                                  // the drill that it plays now; "" for none

	Upstream   *http.Client // past the gateway, for service tests; guarded like the gateway's own calls
	judging    judging
	verifying  sync.Mutex // held while the whole record is verified
	GatewayURL string     // where clients reach the gateway, for the status page and drills
}

// NowMs is the house's present, UTC milliseconds.
func (h *House) NowMs() int64 { return clock.Ms(h.Store.Clock()) }

// PageURL is the address of one of our pages; path begins with a slash.
func (h *House) PageURL(path string) string { return h.Login.PublicURL() + path }

// tellStaff queues a message to the duty desk. Key begins with what it is about and says why, and is
// unique: the same news is told once.
func (h *House) tellStaff(ctx context.Context, tx *store.Tx, key, template, incidentKind, objectKind, objectID string, args ...notify.Arg) error {
	return h.tell(ctx, tx, onDuty, key, template, incidentKind, objectKind, objectID, args...)
}

// onDuty is whoever has the watch.
const onDuty = notify.OnDuty

func (h *House) tell(ctx context.Context, tx *store.Tx, to, key, template, incidentKind, objectKind, objectID string, args ...notify.Arg) error {
	m, err := h.Channels.Address(notify.Message{IdemKey: key, Channel: h.StaffWay, Recipient: to, Lang: locale.ZH, IncidentKind: incidentKind,
		ObjectKind: objectKind, ObjectID: objectID, Template: template, Args: args})
	if err != nil {
		return err
	}
	more, err := notify.Copy(ctx, tx, m)
	if err != nil {
		return err
	}
	for _, m := range append(more, m) {
		if err := notify.Queue(ctx, tx, m); err != nil {
			return err
		}
	}
	return nil
}

// Page makes the House the pager of internal/respond/containment.
func (h *House) Page(ctx context.Context, tx *store.Tx, p containment.Page) error {
	to := p.Role
	if to == "" {
		to = onDuty
	}
	return h.tell(ctx, tx, to, key(p.Key, p.ObjectID, p.Again), p.Key, p.IncidentKind, p.ObjectKind, p.ObjectID, notify.ID("id", p.ObjectID))
}
