package notify

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	netmail "net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/wneessen/go-mail"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// TopicChannels is woken when the configured channels change.
const TopicChannels = "channels"

// The kinds of a configured channel.
const (
	KindWebhook = "webhook"
	KindMail    = "mail"
)

// The states of a configured channel. One that waits carries nothing.
const (
	ChannelWaiting = "waiting"
	ChannelActive  = "active"
	ChannelRemoved = "removed"
)

// Configured is a channel that two persons set up while the server runs. What only the two sides know
// (the address of a webhook with its path, keys, passwords) is in the vault and is never given out.
type Configured struct {
	bun.BaseModel `bun:"table:channel" json:"-"`
	ID            string   `bun:"id,pk" json:"id"`
	Name          string   `json:"name"`
	Kind          string   `json:"kind" enum:"webhook,mail"`
	Class         Class    `json:"class" enum:"staff,authority,platform,public"`
	Simulated     bool     `json:"simulated"`
	Shown         string   `json:"shown" doc:"where it leads: the origin of a webhook, the addresses of mail"`
	CarriesJSON   string   `bun:"carries" json:"-"`
	Carries       []string `bun:"-" json:"carries" doc:"whose messages it carries beside the inbox: duty, or roles; of a channel for staff"`
	State         string   `json:"state" enum:"waiting,active,removed"`
	Replaces      string   `json:"replaces,omitempty" doc:"id of the one that it takes the place of"`
	AskedBy       string   `json:"asked_by"`
	ConfirmedBy   string   `json:"confirmed_by,omitempty"`
	SinceMs       int64    `json:"since_ms"`
}

// Draft is a channel as somebody asks for it.
type Draft struct {
	Name      string   `json:"name" maxLength:"32" doc:"small letters, digits and hyphens; messages name the channel by it"`
	Kind      string   `json:"kind" enum:"webhook,mail"`
	Class     Class    `json:"class" enum:"staff,authority,platform,public"`
	Simulated bool     `json:"simulated,omitempty" doc:"a stand-in for an authority or platform, for drills"`
	Carries   []string `json:"carries,omitempty" maxItems:"20" doc:"duty, or roles; of a channel for staff"`

	URL    string `json:"url,omitempty" maxLength:"1000" doc:"of a webhook"`
	Secret string `json:"secret,omitempty" maxLength:"500" doc:"of a webhook, 16 characters at least: signs what is sent"`

	Host     string   `json:"host,omitempty" maxLength:"253" doc:"of the mail server"`
	Port     int      `json:"port,omitempty" minimum:"0" maximum:"65535"`
	TLS      string   `json:"tls,omitempty" enum:"starttls,tls,none"`
	From     string   `json:"from,omitempty" maxLength:"320"`
	To       []string `json:"to,omitempty" maxItems:"20" doc:"mail addresses"`
	Username string   `json:"username,omitempty" maxLength:"320"`
	Password string   `json:"password,omitempty" maxLength:"500"`
}

// OnDuty is the recipient that means whoever has the watch.
const OnDuty = "duty"

// Registry makes channels of the rows that two persons agreed on.
type Registry struct {
	Vault *secret.Vault
	Web   *http.Client         // for webhooks; brings the guard against forbidden addresses
	Dial  mail.DialContextFunc // for mail; likewise
	Clock clock.Clock
	Taken []string // names of the channels that are always there
}

var channelName = regexp.MustCompile(`^[a-z][a-z0-9-]{1,31}$`)

func sealedAs(id string) string { return "fengsui.channel." + id } // own: nobody sets or names it otherwise

// open makes the channel that a draft describes. Errors: fault invalid.
func (r *Registry) open(d Draft) (Channel, error) {
	switch d.Kind {
	case KindWebhook:
		return NewWebhook(r.Web, d.URL, []byte(d.Secret), r.Clock)
	case KindMail:
		return NewMail(MailOptions{Host: d.Host, Port: d.Port, TLS: d.TLS, From: d.From, To: d.To, Username: d.Username, Password: d.Password, Dial: r.Dial})
	}
	return nil, fault.Invalid("kind", "error.unknown_value", "value", d.Kind, "valid", KindWebhook+", "+KindMail) // a newer node's
}

func (d Draft) check(taken []string) error {
	switch {
	case !channelName.MatchString(d.Name):
		return fault.Invalid("name", "notify.channel_name")
	case slices.Contains(taken, d.Name):
		return fault.Conflict("name", "notify.channel_taken", "name", d.Name)
	case d.Kind != KindWebhook && d.Kind != KindMail:
		return fault.Invalid("kind", "error.unknown_value", "value", d.Kind, "valid", KindWebhook+", "+KindMail)
	case !slices.Contains([]Class{Staff, Authority, Platform, Public}, d.Class):
		return fault.Invalid("class", "notify.class_unknown", "class", string(d.Class))
	case d.Class == Staff && len(d.Carries) == 0:
		return fault.Invalid("carries", "error.required", "field", "carries")
	case d.Class != Staff && len(d.Carries) > 0:
		return fault.Invalid("carries", "notify.carries_staff")
	case d.Kind == KindMail && d.Class == Staff && len(d.To) == 0:
		return fault.Invalid("to", "error.required", "field", "to")
	}
	for _, c := range d.Carries {
		if c != OnDuty && !slices.Contains(identity.Roles(), c) {
			return fault.Invalid("carries", "error.unknown_value", "value", c, "valid", strings.Join(append([]string{OnDuty}, identity.Roles()...), ", "))
		}
	}
	for _, to := range d.To {
		if _, err := netmail.ParseAddress(to); err != nil {
			return fault.Invalid("to", "notify.mail_invalid", "problem", "to")
		}
	}
	return nil
}

func (d Draft) shown() string {
	if d.Kind == KindWebhook {
		return secret.Origin(d.URL)
	}
	host := d.Host
	if d.Port > 0 {
		host = net.JoinHostPort(host, strconv.Itoa(d.Port))
	}
	return strings.Join(d.To, ", ") + " (" + host + ")"
}

func mayConfigure(a store.Actor, action string) error {
	if err := identity.Require(a, action); err != nil {
		return err
	}
	return identity.RequireDrill(a, "")
}

// Ask files a channel that carries messages once another person has confirmed it: it tells incidents to a
// new place. With the name of an active one it asks to change that. Errors: forbidden without
// setting.manage; invalid, conflict for a name of the house's own or with another change that waits.
func (r *Registry) Ask(ctx context.Context, tx *store.Tx, d Draft, reason string) (Configured, error) {
	if err := mayConfigure(tx.Actor, "setting.manage"); err != nil {
		return Configured{}, err
	}
	if err := d.check(r.Taken); err != nil {
		return Configured{}, err
	}
	if _, err := r.open(d); err != nil {
		return Configured{}, err
	}
	if err := noneWaits(ctx, tx, d.Name); err != nil {
		return Configured{}, err
	}
	c := Configured{ID: tx.NewID(), Name: d.Name, Kind: d.Kind, Class: d.Class, Simulated: d.Simulated, Shown: d.shown(), Carries: append([]string{}, d.Carries...), State: ChannelWaiting, AskedBy: tx.Actor.ID, SinceMs: tx.NowMs}
	carries, err := json.Marshal(c.Carries)
	if err != nil {
		return c, err
	}
	c.CarriesJSON = string(carries)
	var was []string
	if err := tx.NewRaw("SELECT id FROM channel WHERE name = ? AND state = 'active'", d.Name).Scan(ctx, &was); err != nil {
		return c, err
	}
	if len(was) > 0 {
		c.Replaces = was[0]
	}
	if _, err := tx.NewInsert().Model(&c).Exec(ctx); err != nil {
		return c, err
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return c, err
	}
	if err := r.Vault.Put(ctx, tx, sealedAs(c.ID), raw); err != nil {
		return c, err
	}
	_, err = identity.AskSecond(ctx, tx, identity.SecondSignature{Action: "setting.vouch", ObjectKind: "channel", ObjectID: c.ID, Reason: reason}, "set")
	return c, err
}

// AskRemoval asks to take an active channel away: whom it told is not told any more.
// Errors: forbidden without setting.manage; not found; conflict with another change that waits.
func (r *Registry) AskRemoval(ctx context.Context, tx *store.Tx, id, reason string) (identity.SecondSignature, error) {
	var s identity.SecondSignature
	if err := mayConfigure(tx.Actor, "setting.manage"); err != nil {
		return s, err
	}
	c, err := active(ctx, tx, id)
	if err != nil {
		return s, err
	}
	if err := noneWaits(ctx, tx, c.Name); err != nil {
		return s, err
	}
	return identity.AskSecond(ctx, tx, identity.SecondSignature{Action: "setting.vouch", ObjectKind: "channel", ObjectID: c.ID, Reason: reason}, "remove")
}

func active(ctx context.Context, db bun.IDB, id string) (c Configured, err error) {
	err = db.NewSelect().Model(&c).Where("id = ? AND state = 'active'", id).Scan(ctx)
	return c, store.Missing(err, "id")
}

// noneWaits keeps changes of one channel from crossing each other.
func noneWaits(ctx context.Context, tx *store.Tx, name string) error {
	var n int
	if err := tx.NewRaw(`SELECT COUNT(*) FROM channel AS c JOIN second_signature AS s ON s.object_kind = 'channel' AND s.object_id = c.id
		WHERE c.name = ? AND s.state = 'requested'`, name).Scan(ctx, &n); err != nil {
		return err
	}
	if n > 0 {
		return fault.Conflict("name", "notify.channel_waits", "name", name)
	}
	return nil
}

// Settle applies what became of a request about a channel: confirmed, or not.
func (r *Registry) Settle(ctx context.Context, tx *store.Tx, s identity.SecondSignature, confirmed bool) error {
	var c Configured
	if err := tx.NewSelect().Model(&c).Where("id = ?", s.ObjectID).Scan(ctx); err != nil {
		return store.Missing(err, "id")
	}
	if c.State == ChannelActive {
		if !confirmed {
			return nil
		}
		// What waits for it would wait for ever, and be paged about.
		if _, err := tx.ExecContext(ctx, "UPDATE outbox SET state = 'dismissed', acknowledged_ms = ?, acknowledged_by = ? WHERE channel = ? AND state IN ('pending', 'failed', 'refused')", tx.NowMs, tx.Actor.ID, c.Name); err != nil {
			return err
		}
		tx.Record(store.Entry{Action: "channel.remove", ObjectKind: "channel", ObjectID: c.ID})
		return r.move(ctx, tx, c.ID, ChannelRemoved, tx.Actor.ID)
	}
	if !confirmed {
		return r.move(ctx, tx, c.ID, ChannelRemoved, "")
	}
	if c.Replaces != "" {
		if err := r.move(ctx, tx, c.Replaces, ChannelRemoved, tx.Actor.ID); err != nil {
			return err
		}
	}
	tx.Record(store.Entry{Action: "channel.set", ObjectKind: "channel", ObjectID: c.ID})
	return r.move(ctx, tx, c.ID, ChannelActive, tx.Actor.ID)
}

func (r *Registry) move(ctx context.Context, tx *store.Tx, id, state, by string) error {
	if _, err := tx.ExecContext(ctx, "UPDATE channel SET state = ?, confirmed_by = ?, since_ms = ? WHERE id = ?", state, by, tx.NowMs, id); err != nil {
		return err
	}
	tx.Touch(TopicChannels)
	if state != ChannelRemoved {
		return nil
	}
	if err := r.Vault.Delete(ctx, tx, sealedAs(id)); !fault.Is(err, "secret.none") {
		return err
	}
	return nil
}

// Test queues a test message by a channel, marked as one. Errors: forbidden without setting.manage; not
// found; forbidden notify.authority_in_drill for what leads to a real authority.
func (r *Registry) Test(ctx context.Context, tx *store.Tx, id string) (done bool, err error) {
	if err := mayConfigure(tx.Actor, "setting.manage"); err != nil {
		return false, err
	}
	c, err := active(ctx, tx, id)
	if err != nil {
		return false, err
	}
	return true, Queue(ctx, tx, Message{IdemKey: "channel:" + c.ID + ":test:" + tx.NewID(), Channel: c.Name, Class: c.Class, Simulated: c.Simulated, Recipient: OnDuty, IncidentKind: "test",
		ObjectKind: "channel", ObjectID: c.ID, Template: testTemplate, Args: []Arg{Label("name", c.Name)}})
}

const testTemplate = "channel.test"

// Copy gives m once more for each active channel for staff that carries what m's recipient is told.
func Copy(ctx context.Context, tx *store.Tx, m Message) ([]Message, error) {
	var all []Configured
	if err := tx.NewSelect().Model(&all).Where("state = 'active' AND class = 'staff' AND name <> ?", m.Channel).Order("name").Scan(ctx); err != nil {
		return nil, err
	}
	var out []Message
	for _, c := range all {
		var carries []string
		if err := json.Unmarshal([]byte(c.CarriesJSON), &carries); err != nil {
			return nil, err
		}
		if slices.Contains(carries, m.Recipient) {
			also := m
			also.IdemKey, also.Channel, also.Class, also.Simulated = m.IdemKey+"@"+c.Name, c.Name, c.Class, c.Simulated
			out = append(out, also)
		}
	}
	return out, nil
}

// Endpoints opens the channels that are active now. One that cannot be opened is left out and named in the
// error; its messages wait and are paged about.
func (r *Registry) Endpoints(ctx context.Context, db bun.IDB) (out []Endpoint, err error) {
	var all []Configured
	if err := db.NewSelect().Model(&all).Where("state = 'active'").Order("name").Scan(ctx); err != nil {
		return nil, err
	}
	for _, c := range all {
		var d Draft
		raw, why := r.Vault.Get(ctx, db, sealedAs(c.ID))
		if why == nil {
			why = json.Unmarshal(raw, &d)
		}
		var ch Channel
		if why == nil {
			ch, why = r.open(d)
		}
		if why != nil {
			err = why
			continue
		}
		out = append(out, Endpoint{ID: c.Name, Class: c.Class, Simulated: c.Simulated, Channel: ch, Rev: c.ID})
	}
	return out, err
}

// Standing is a channel as the settings show it.
type Standing struct {
	Configured
	Fixed   bool   `json:"fixed" doc:"always there, or from the configuration file; not changed here"`
	Waits   string `json:"waits,omitempty" enum:"set,remove" doc:"what waits for a second person"`
	Second  string `json:"second,omitempty" doc:"id of that request"`
	AskerID string `json:"asker_id,omitempty"`
	Open    int    `json:"open" doc:"messages that have not left yet, or failed"`
	Tested  *Tried `json:"tested,omitempty"`
}

// Tried is what became of the newest test message.
type Tried struct {
	State    State  `json:"state" enum:"pending,sent,refused,failed,dismissed"`
	Attempts int    `json:"attempts"`
	AtMs     int64  `json:"at_ms"`
	Says     string `json:"says" doc:"the receipt, or why it did not leave"`
}

// Standings lists the channels: those of dir that are always there, the active ones and those that wait.
// Errors: forbidden without setting.vouch.
func (r *Registry) Standings(ctx context.Context, db bun.IDB, a store.Actor, dir *Directory) ([]Standing, error) {
	if err := mayConfigure(a, "setting.vouch"); err != nil {
		return nil, err
	}
	out := []Standing{}
	for _, e := range dir.fixed() {
		out = append(out, Standing{Configured: Configured{ID: e.ID, Name: e.ID, Class: e.Class, Simulated: e.Simulated, Carries: []string{}, State: ChannelActive}, Fixed: true})
	}
	var rows []Configured
	if err := db.NewSelect().Model(&rows).Where("state <> 'removed'").Order("name", "since_ms").Scan(ctx); err != nil {
		return nil, err
	}
	var waiting []identity.SecondSignature
	if err := db.NewSelect().Model(&waiting).Where("object_kind = 'channel' AND state = 'requested'").Scan(ctx); err != nil {
		return nil, err
	}
	for _, c := range rows {
		if err := json.Unmarshal([]byte(c.CarriesJSON), &c.Carries); err != nil {
			return nil, err
		}
		s := Standing{Configured: c}
		for _, w := range waiting {
			if w.ObjectID == c.ID {
				s.Waits, s.Second, s.AskerID = strings.Trim(w.Request, `"`), w.ID, w.RequestedBy
			}
		}
		out = append(out, s)
	}
	for i := range out {
		if err := db.NewRaw("SELECT COUNT(*) FROM outbox WHERE channel = ? AND state IN ('pending', 'failed', 'refused') AND attempts > 0", out[i].Name).Scan(ctx, &out[i].Open); err != nil {
			return nil, err
		}
		var last []Item
		if err := db.NewSelect().Model(&last).Where("object_kind = 'channel' AND object_id = ?", out[i].ID).Order("queued_ms DESC", "id DESC").Limit(1).Scan(ctx); err != nil {
			return nil, err
		}
		for _, m := range last {
			out[i].Tested = &Tried{State: m.State, Attempts: m.Attempts, AtMs: max(m.QueuedMs, m.SentMs), Says: m.LastError}
			if m.State == Sent {
				out[i].Tested.Says = m.Receipt
			}
		}
	}
	return out, nil
}

// Follow keeps dir in step with the rows until ctx ends: at once for changes made here, within the poll for
// those of another process.
func (r *Registry) Follow(ctx context.Context, st *store.Store, dir *Directory, failed func(error)) error {
	for ctx.Err() == nil {
		_, changed := st.Hub().Watch(TopicChannels)
		ends, err := r.Endpoints(ctx, st.Read())
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
		dir.Set(ends...)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-st.Clock().After(10 * time.Second):
		}
	}
	return nil
}
