package notify

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/locale"
)

// Pager is the auditor's voice: it renders a page and hands it to the second channel at once, past
// outbox and database.
type Pager struct {
	e         Endpoint
	catalog   *locale.Catalog
	lang      locale.Lang
	recipient string
}

// NewPager makes a pager on the endpoint second of dir, for messages whose usual way is the endpoint
// first. Errors: fault invalid if second is unknown, not for staff, or the same way as first.
func NewPager(dir *Directory, first, second, recipient string, lang locale.Lang, c *locale.Catalog) (*Pager, error) {
	e, ok := dir.Endpoint(second)
	if !ok {
		return nil, fault.Invalid("second_channel", "notify.channel_unknown", "channel", second)
	}
	if e.Class != Staff {
		return nil, fault.Invalid("second_channel", "notify.second_channel_not_staff", "channel", second)
	}
	if f, ok := dir.Endpoint(first); second == first || ok && sameWay(f.Channel, e.Channel) {
		return nil, fault.Invalid("second_channel", "notify.second_channel_same", "channel", second)
	}
	return &Pager{e: e, catalog: c, lang: lang, recipient: recipient}, nil
}

// sameWay reports whether two channels are one and the same under two names.
func sameWay(a, b Channel) bool {
	return reflect.TypeOf(a).Comparable() && reflect.TypeOf(b).Comparable() && a == b
}

// Page sends p; a page about a drill is marked as one.
func (p *Pager) Page(ctx context.Context, page due.Page) (string, error) {
	var ids []string
	for _, o := range page.Items {
		ids = append(ids, strings.TrimSpace(o.What+" "+o.ObjectKind+" "+o.ObjectID+" ("+o.ID+")"))
	}
	if rest := page.Count - len(ids); rest > 0 {
		ids = append(ids, fmt.Sprintf("+%d", rest))
	}
	r, err := compose(p.catalog, Rendered{
		to: p.recipient, lang: p.lang, incidentKind: page.IncidentKind, objectKind: page.Source, objectID: page.Reason, template: "notify.page", atMs: page.AtMs,
		idemKey: fmt.Sprintf("page:%s:%s:%s:%d", page.Source, page.Reason, page.IncidentKind, page.AtMs),
	}, []Arg{
		Term("source", "notify.page.source."+page.Source), Term("reason", "notify.page.reason."+page.Reason),
		Count("count", int64(page.Count)), Time("oldest", page.OldestMs), Count("times", int64(page.Times)),
		{Name: "ids", Kind: kindID, Value: strings.Join(ids, "; ")},
	}, "")
	if err != nil {
		return "", err
	}
	return p.e.Channel.Send(ctx, r)
}

// Stuck is the auditor's source of messages that should have left.
type Stuck struct {
	Read    bun.IDB
	Failing time.Duration // how long a message may fail before it is paged about; default 5 min
}

const stuckMessages = `SELECT id, channel, incident_kind, object_kind, object_id, template, state, attempts, queued_ms
	FROM outbox WHERE state IN ('pending', 'refused', 'failed') AND queued_ms < ? ORDER BY queued_ms LIMIT 20000`

// Overdue lists messages given up or refused, messages that nobody tried to send within grace, and
// messages that have been failing for longer than Failing.
func (s Stuck) Overdue(ctx context.Context, nowMs int64, grace time.Duration) ([]due.Overdue, error) {
	failing := s.Failing
	if failing <= 0 {
		failing = 5 * time.Minute
	}
	var items []Item
	if err := s.Read.NewRaw(stuckMessages, nowMs).Scan(ctx, &items); err != nil {
		return nil, err
	}
	out := []due.Overdue{}
	for _, it := range items {
		age, reason := time.Duration(nowMs-it.QueuedMs)*time.Millisecond, ""
		switch {
		case it.State != Pending:
			reason = due.ReasonGivenUp
		case it.Attempts == 0 && age > grace:
			reason = due.ReasonNoAttempt
		case it.Attempts > 0 && age > failing:
			reason = due.ReasonFailing
		default:
			continue
		}
		out = append(out, due.Overdue{Source: "outbox", ID: it.ID, Reason: reason, IncidentKind: it.IncidentKind, What: it.Template,
			ObjectKind: it.ObjectKind, ObjectID: it.ObjectID, DueMs: it.QueuedMs, Attempts: it.Attempts})
	}
	return out, nil
}
