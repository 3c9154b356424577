package store

import (
	"crypto/rand"
	"database/sql"
	"errors"
	"slices"

	"github.com/oklog/ulid/v2"
	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Actor is who changes something: a person through a token, or a part of the system.
type Actor struct {
	ID    string   // person id, or "system:<part>", "gateway:<id>"
	Roles []string // role ids of internal/platform/identity
	Drill string   // set for a stand-in of a drill: may touch only that drill's objects
}

// System is the actor of an automatic step; part names it (due, anomaly, containment …).
func System(part string) Actor { return Actor{ID: "system:" + part, Roles: []string{"system"}} }

// IsSystem reports whether the actor is a part of Fengsui and not a person.
func (a Actor) IsSystem() bool { return slices.Contains(a.Roles, "system") }

// Entry is one decision for the record. Action is a dotted verb ("incident.declare"). Content is
// marshalled as JSON and kept outside the leaf, encrypted under the key of Scope; the leaf holds only
// ids, action, time and a salted commitment to Content (design promise 2).
type Entry struct {
	Action     string
	ObjectKind string
	ObjectID   string
	Scope      string // "incident:<id>", "subject:<id>", or "" for what no erasure concerns
	Content    any
	Actor      Actor // set by Tx.Record: who acted at that moment
}

// Tx is a write transaction: SQL through the embedded bun.Tx, and what commits with it.
type Tx struct {
	bun.Tx
	Actor   Actor
	NowMs   int64 // the transaction's instant by the store's clock
	entries []Entry
	topics  []string
}

// Record appends an entry to the record when the transaction commits.
func (tx *Tx) Record(e Entry) {
	e.Actor = tx.Actor // a flow may lend the transaction to a part of the system for a while
	tx.entries = append(tx.entries, e)
}

// Lend lets another actor, usually a part of the system, act until the function that it returns is called:
// defer tx.Lend(store.System("flow"))().
func (tx *Tx) Lend(to Actor) (back func()) {
	before := tx.Actor
	tx.Actor = to
	return func() { tx.Actor = before }
}

// Touch wakes the watchers of topic after the commit.
func (tx *Tx) Touch(topic string) {
	if !slices.Contains(tx.topics, topic) {
		tx.topics = append(tx.topics, topic)
	}
}

// NewID makes a ULID from the transaction's instant; ids of one kind sort by time.
func (tx *Tx) NewID() string { return NewID(tx.NowMs) }

// NewID makes a ULID for an instant in milliseconds.
func NewID(ms int64) string { return ulid.MustNew(uint64(ms), rand.Reader).String() }

// Missing turns sql.ErrNoRows into a fault not-found for field; other errors pass unchanged.
func Missing(err error, field string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fault.NotFound(field, "error.not_found", "field", field)
	}
	return err
}
