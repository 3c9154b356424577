// Package notify sends messages to the world: they are queued in the transaction that decides them,
// rendered from translation keys when they leave, and delivered at least once with an idempotency
// key. Free text cannot be queued, so harmful text cannot leave through a channel; a message of a
// drill begins 【演练】 whatever its template says, and tells no authority (design.md, promises 3, 11, 12).
package notify

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Topic is woken when messages are queued or retried.
const Topic = "outbox"

// Class is who stands at the other end of a channel.
type Class string

// The classes of a channel.
const (
	Staff     Class = "staff"     // people of the operator
	Authority Class = "authority" // 监管部门
	Platform  Class = "platform"  // other platforms that carry the content
	Public    Class = "public"    // users, complainants, rights holders
)

// State is where a message stands.
type State string

// The states of a message. A failed or refused one stays visible, and is paged about, until it is
// retried or dismissed.
const (
	Pending   State = "pending"
	Sent      State = "sent"
	Refused   State = "refused"
	Failed    State = "failed"
	Dismissed State = "dismissed"
)

// Message is what to say to whom. IdemKey is unique for ever: name the decision in it
// ("incident:01J…:declared:officer-1"). Template is a translation key with the texts
// <Template>.subject and <Template>.body.
type Message struct {
	IdemKey      string
	Channel      string // id of the endpoint
	Class        Class  // what the caller takes the channel for; checked against the endpoint
	Simulated    bool   // the caller takes the channel for a simulated one; checked likewise
	Recipient    string // mail address, person id, name of the other side; personal data, never logged
	Lang         locale.Lang
	IncidentKind string // real, drill, test, backfill
	ObjectKind   string
	ObjectID     string
	Template     string
	Args         []Arg
}

// Item is a queued message with its fate. Times are UTC milliseconds, 0 for never.
type Item struct {
	bun.BaseModel `bun:"table:outbox"`

	ID             string      `bun:"id,pk"`
	IdemKey        string      `bun:"idem_key"`
	Channel        string      `bun:"channel"`
	Class          Class       `bun:"class"`
	Simulated      bool        `bun:"simulated"`
	Recipient      string      `bun:"recipient"`
	Lang           locale.Lang `bun:"lang"`
	IncidentKind   string      `bun:"incident_kind"`
	ObjectKind     string      `bun:"object_kind"`
	ObjectID       string      `bun:"object_id"`
	Template       string      `bun:"template"`
	Args           string      `bun:"args"` // JSON array of Arg
	State          State       `bun:"state"`
	Attempts       int         `bun:"attempts"`
	FirstAttemptMs int64       `bun:"first_attempt_ms"`
	QueuedMs       int64       `bun:"queued_ms"`
	NextMs         int64       `bun:"next_ms"`
	Owner          string      `bun:"owner"`
	LeaseUntilMs   int64       `bun:"lease_until_ms"`
	SentMs         int64       `bun:"sent_ms"`
	Receipt        string      `bun:"receipt"`
	LastError      string      `bun:"last_error"`
	AcknowledgedMs int64       `bun:"acknowledged_ms"`
	AcknowledgedBy string      `bun:"acknowledged_by"`
}

func (m Message) check() error {
	for _, f := range []struct{ name, value string }{
		{"idem_key", m.IdemKey}, {"channel", m.Channel}, {"recipient", m.Recipient}, {"object_kind", m.ObjectKind}, {"object_id", m.ObjectID}, {"template", m.Template},
	} {
		if f.value == "" {
			return fault.Invalid(f.name, "notify.field_missing", "field", f.name)
		}
	}
	switch m.Class {
	case Staff, Authority, Platform, Public:
	default:
		return fault.Invalid("class", "notify.class_unknown", "class", string(m.Class))
	}
	if !due.IsIncidentKind(m.IncidentKind) {
		return fault.Invalid("incident_kind", "notify.incident_kind_unknown", "kind", m.IncidentKind)
	}
	if m.Lang != locale.ZH && m.Lang != locale.EN {
		return fault.Invalid("lang", "notify.lang_unknown", "lang", string(m.Lang))
	}
	for _, a := range m.Args {
		if err := a.check(); err != nil {
			return err
		}
	}
	return mayTell(m.IncidentKind, m.Class, m.Simulated)
}

// mayTell is promise 11: nobody at an authority learns of a drill or a test through a channel that
// is not a simulated one.
func mayTell(incidentKind string, c Class, simulated bool) error {
	if c == Authority && !simulated && (incidentKind == due.KindDrill || incidentKind == due.KindTest) {
		return fault.Forbidden("notify.authority_in_drill")
	}
	return nil
}

// Queue puts m into the outbox; it leaves after tx has committed. An empty Lang is Chinese. Queuing
// the same message under the same IdemKey again changes nothing.
// Errors: fault invalid for a bad field or argument; fault forbidden for a drill or test that would
// tell an authority; fault conflict for an IdemKey that already says something else.
func Queue(ctx context.Context, tx *store.Tx, m Message) error {
	if m.Lang == "" {
		m.Lang = locale.ZH
	}
	if err := m.check(); err != nil {
		return err
	}
	if m.Args == nil {
		m.Args = []Arg{}
	}
	args, err := json.Marshal(m.Args)
	if err != nil {
		return err
	}
	it := Item{
		ID: tx.NewID(), IdemKey: m.IdemKey, Channel: m.Channel, Class: m.Class, Simulated: m.Simulated, Recipient: m.Recipient, Lang: m.Lang,
		IncidentKind: m.IncidentKind, ObjectKind: m.ObjectKind, ObjectID: m.ObjectID, Template: m.Template, Args: string(args),
		State: Pending, QueuedMs: tx.NowMs, NextMs: tx.NowMs,
	}
	res, err := tx.NewInsert().Model(&it).On("CONFLICT (idem_key) DO NOTHING").Exec(ctx)
	if err != nil {
		return fmt.Errorf("queue message for %s %s: %w", m.ObjectKind, m.ObjectID, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 {
		return sameMessage(ctx, tx, it)
	}
	tx.Touch(Topic)
	return nil
}

func sameMessage(ctx context.Context, tx *store.Tx, it Item) error {
	var have Item
	if err := tx.NewSelect().Model(&have).Where("idem_key = ?", it.IdemKey).Scan(ctx); err != nil {
		return err
	}
	if have.Channel != it.Channel || have.Class != it.Class || have.Recipient != it.Recipient || have.Template != it.Template ||
		have.Args != it.Args || have.IncidentKind != it.IncidentKind || have.Lang != it.Lang || have.ObjectID != it.ObjectID {
		return fault.Conflict("idem_key", "notify.idem_key_taken")
	}
	return nil
}

// Retry puts a failed or refused message back to work at once, with its idempotency key.
// Errors: fault not-found if id is no such message.
func Retry(ctx context.Context, tx *store.Tx, id string) error {
	tx.Touch(Topic)
	return one(tx.NewRaw(`UPDATE outbox SET state = 'pending', attempts = 0, next_ms = ?, owner = '', lease_until_ms = 0
		WHERE id = ? AND state IN ('failed', 'refused')`, tx.NowMs, id).Exec(ctx))
}

// Dismiss says that a failed or refused message need not go out any more.
// Errors: fault not-found if id is no such message.
func Dismiss(ctx context.Context, tx *store.Tx, id string) error {
	return one(tx.NewRaw(`UPDATE outbox SET state = 'dismissed', acknowledged_ms = ?, acknowledged_by = ?
		WHERE id = ? AND state IN ('failed', 'refused')`, tx.NowMs, tx.Actor.ID, id).Exec(ctx))
}

// Acknowledge notes that tx.Actor has seen the message. The first acknowledgement stays.
// Errors: fault not-found if there is no such message.
func Acknowledge(ctx context.Context, tx *store.Tx, id string) error {
	return one(tx.NewRaw(`UPDATE outbox SET
			acknowledged_by = CASE WHEN acknowledged_ms = 0 THEN ? ELSE acknowledged_by END,
			acknowledged_ms = CASE WHEN acknowledged_ms = 0 THEN ? ELSE acknowledged_ms END
		WHERE id = ?`, tx.Actor.ID, tx.NowMs, id).Exec(ctx))
}

// Filter picks messages; an empty field does not restrict.
type Filter struct {
	Channel      string
	Recipient    string
	ObjectKind   string
	ObjectID     string
	IncidentKind string
	States       []State
	Unread       bool // not yet acknowledged
	Limit        int  // default 200
	Offset       int
}

// List reads messages, newest first.
func List(ctx context.Context, read bun.IDB, f Filter) ([]Item, error) {
	if f.Limit <= 0 {
		f.Limit = 200
	}
	items := []Item{}
	q := read.NewSelect().Model(&items).Order("queued_ms DESC", "id DESC").Limit(int64(f.Limit)).Offset(int64(f.Offset))
	for _, c := range []struct{ column, value string }{
		{"channel", f.Channel}, {"recipient", f.Recipient}, {"object_kind", f.ObjectKind}, {"object_id", f.ObjectID}, {"incident_kind", f.IncidentKind},
	} {
		if c.value != "" {
			q = q.Where("? = ?", bun.Ident(c.column), c.value)
		}
	}
	if len(f.States) > 0 {
		q = q.Where("state IN (?)", bun.List(f.States))
	}
	if f.Unread {
		q = q.Where("acknowledged_ms = 0")
	}
	return items, q.Scan(ctx)
}

// CountBacklog reads how many messages wait (Pending), and how many of these, with the failed and
// refused ones, should have left before nowMs.
func CountBacklog(ctx context.Context, read bun.IDB, nowMs int64) (due.Backlog, error) {
	var b due.Backlog
	err := read.NewRaw(`SELECT COALESCE(SUM(CASE WHEN state = 'pending' THEN 1 ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN queued_ms <= ? THEN 1 ELSE 0 END), 0), COALESCE(MIN(CASE WHEN queued_ms <= ? THEN queued_ms END), 0)
		FROM outbox WHERE state IN ('pending', 'refused', 'failed')`, nowMs, nowMs).Scan(ctx, &b.Pending, &b.Overdue, &b.OldestDueMs)
	return b, err
}
