package notify

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Channel carries a rendered message to the world and returns the receipt of the other side. It may be
// called more than once with the same IdemKey and must obey ctx.
type Channel interface {
	Send(ctx context.Context, r Rendered) (receipt string, err error)
}

// Endpoint is a channel as configured: which class of people is at its other end, and whether that
// other end is a stand-in.
type Endpoint struct {
	ID        string
	Class     Class
	Simulated bool
	Channel   Channel
	Rev       string // differs when the same id leads elsewhere; "" for one that is always there
}

// Directory holds the endpoints: those that are always there, and the configured ones, which may change.
type Directory struct {
	mu      sync.RWMutex
	byID    map[string]Endpoint
	changed chan struct{}
}

// NewDirectory checks the endpoints. Errors: fault invalid for an id that is empty or used twice, an
// unknown class or a missing channel.
func NewDirectory(endpoints ...Endpoint) (*Directory, error) {
	d := &Directory{byID: map[string]Endpoint{}, changed: make(chan struct{})}
	for _, e := range endpoints {
		if _, twice := d.byID[e.ID]; twice || e.ID == "" || e.Channel == nil {
			return nil, fault.Invalid("channels", "notify.endpoint_invalid", "id", e.ID)
		}
		if !slices.Contains([]Class{Staff, Authority, Platform, Public}, e.Class) {
			return nil, fault.Invalid("channels", "notify.class_unknown", "class", string(e.Class))
		}
		d.byID[e.ID] = e
	}
	return d, nil
}

// Endpoint gives the endpoint with this id.
func (d *Directory) Endpoint(id string) (Endpoint, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	e, ok := d.byID[id]
	return e, ok
}

// IDs lists the ids of all endpoints, sorted.
func (d *Directory) IDs() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Sorted(maps.Keys(d.byID))
}

// all gives the endpoints that are always there (fixed), or the configured ones, by id.
func (d *Directory) all(fixed bool) (out []Endpoint) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, id := range slices.Sorted(maps.Keys(d.byID)) {
		if e := d.byID[id]; (e.Rev == "") == fixed {
			out = append(out, e)
		}
	}
	return out
}

func (d *Directory) fixed() []Endpoint { return d.all(true) }

// Set puts these in the place of the configured endpoints. One that has the id of an endpoint that is
// always there is left out.
func (d *Directory) Set(configured ...Endpoint) {
	d.mu.Lock()
	defer d.mu.Unlock()
	next, same := map[string]Endpoint{}, true
	for id, e := range d.byID {
		if e.Rev == "" {
			next[id] = e
		}
	}
	for _, e := range configured {
		if _, taken := next[e.ID]; taken || e.Rev == "" {
			continue
		}
		same = same && d.byID[e.ID].Rev == e.Rev
		next[e.ID] = e
	}
	if same && len(next) == len(d.byID) {
		return
	}
	d.byID = next
	close(d.changed)
	d.changed = make(chan struct{})
}

// configured gives the configured endpoints, and what is closed when they change.
func (d *Directory) configured() ([]Endpoint, <-chan struct{}) {
	d.mu.RLock()
	changed := d.changed
	d.mu.RUnlock()
	return d.all(false), changed
}

// Address fills in the class of m's channel and whether it is simulated.
// Errors: fault not-found for an unknown channel; fault forbidden for a drill or test that would tell
// an authority.
func (d *Directory) Address(m Message) (Message, error) {
	e, ok := d.Endpoint(m.Channel)
	if !ok {
		return m, fault.NotFound("channel", "notify.channel_unknown", "channel", m.Channel)
	}
	m.Class, m.Simulated = e.Class, e.Simulated
	return m, mayTell(m.IncidentKind, m.Class, m.Simulated)
}

// admit is the last look before a message leaves. What the endpoint is now counts, not what it was, or
// was taken for, when the message was queued: a message meant for a stand-in must not reach an
// authority because somebody changed the configuration, nor a real report end at a stand-in.
func (e Endpoint) admit(it Item) error {
	if e.Class != it.Class || e.Simulated != it.Simulated {
		return fault.Conflict("channel", "notify.channel_changed", "channel", e.ID)
	}
	return mayTell(it.IncidentKind, e.Class, e.Simulated)
}

// Inbox is the channel that does no I/O: the message stays in the outbox table, where the console and
// the command line show it to its recipient until it is acknowledged.
type Inbox struct{}

// Send does nothing and says so.
func (Inbox) Send(context.Context, Rendered) (string, error) { return "inbox", nil }
