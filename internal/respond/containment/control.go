package containment

import (
	"context"
	"crypto/ed25519"
	"errors"
	"sync"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
)

// Page is a call for a person: a translation key and what it is about.
type Page struct {
	Key          string // template, such as containment.adopt
	Again        int64  // tells repeated pages about one thing apart
	ObjectKind   string
	ObjectID     string
	IncidentID   string
	IncidentKind string // real or drill
	DrillID      string
	Role         string // whom to page; "" = whoever is on duty
}

// Pager queues a page in the transaction that found it necessary.
type Pager interface {
	Page(ctx context.Context, tx *store.Tx, p Page) error
}

// GateReview opens, withdraws and gives an incident to the offline review of an order; internal/respond/gatereview is one.
type GateReview interface {
	OpenOffline(ctx context.Context, tx *store.Tx, o Order, ground string) error
	WithdrawOffline(ctx context.Context, tx *store.Tx, o Order) error
	AdoptOffline(ctx context.Context, tx *store.Tx, o Order) error // the order is part of an incident now
}

// Notices are the texts that a posture carries to users.
type Notices interface {
	Notice(name string) posture.Text // replaced, blocked, limited, offline
}

// Options are what a Control needs. All are required but the last four.
type Options struct {
	Key         ed25519.PrivateKey // control's signing key
	ProbeSecret []byte             // at least 32 bytes; probe keys are derived from it
	Level       func(ctx context.Context, db bun.IDB, incidentID string) (int, error)
	Pager       Pager
	Review      GateReview
	Notices     Notices
	Epoch       func(ctx context.Context, db bun.IDB) (int64, error) // of the record; nil = always 1
	Traffic     Traffic                                              // nil: previews are refused
	Version     string                                               // of this program, as it says it to others
	May         func() bool                                          // whether this process compiles, or leaves it to newer ones; nil: it does
}

// Control issues and ends orders and compiles postures. Safe for concurrent use.
type Control struct {
	o Options

	mu       sync.Mutex
	compiled map[string]*posture.Posture // by digest, so that an order does not parse all rules again
}

// New makes a Control.
func New(o Options) (*Control, error) {
	switch {
	case len(o.Key) != ed25519.PrivateKeySize:
		return nil, errors.New("containment: the signing key is missing")
	case len(o.ProbeSecret) < 32:
		return nil, errors.New("containment: the probe secret has fewer than 32 bytes")
	case o.Level == nil || o.Pager == nil || o.Review == nil || o.Notices == nil:
		return nil, errors.New("containment: level, pager, review and notices are required")
	}
	if o.Epoch == nil {
		o.Epoch = func(context.Context, bun.IDB) (int64, error) { return 1, nil }
	}
	if o.May == nil {
		o.May = func() bool { return true }
	}
	return &Control{o: o, compiled: map[string]*posture.Posture{}}, nil
}

// Kinds of the due rows of this package.
const (
	DueExpire = "order.expire" // an auto order lapses
	DueAdopt  = "order.adopt"  // an order without an incident pages
	DueRenew  = "order.renew"  // an order without expiry renews and pages
)

// PublicKey is what gateways verify bundles with.
func (c *Control) PublicKey() ed25519.PublicKey { return c.o.Key.Public().(ed25519.PublicKey) }

// Periods, in milliseconds.
const (
	AdoptWithinMs int64 = 2 * 60 * 60 * 1000
	RenewEveryMs  int64 = 24 * 60 * 60 * 1000
	UndoWithinMs  int64 = 60 * 1000
)

// DueHandlers are what a due worker needs for the rows of this package.
func (c *Control) DueHandlers() map[string]due.Handler {
	return map[string]due.Handler{DueExpire: c.expire, DueAdopt: c.remindAdopt, DueRenew: c.renew}
}

// bump starts a new revision of the bundle, in the transaction of what changed it.
func bump(ctx context.Context, tx *store.Tx) error {
	_, err := tx.ExecContext(ctx, "UPDATE bundle_state SET revision = revision + 1, changed_ms = ? WHERE id = 1", tx.NowMs)
	return err
}

// renumber gives the newest bundle another revision, if it has this one still. An older node leaves it to newer ones.
func (c *Control) renumber(ctx context.Context, st *store.Store, revision int64) error {
	if !c.o.May() {
		return nil
	}
	return st.Write(ctx, store.System("containment"), func(tx *store.Tx) error {
		var now int64
		if err := tx.NewRaw("SELECT revision FROM bundle_state WHERE id = 1").Scan(ctx, &now); err != nil || now != revision {
			return err
		}
		tx.Touch(TopicOrder)
		return bump(ctx, tx)
	})
}

func nextSeq(ctx context.Context, tx *store.Tx) (seq int64, err error) {
	err = tx.NewRaw("UPDATE bundle_state SET order_seq = order_seq + 1 WHERE id = 1 RETURNING order_seq").Scan(ctx, &seq)
	return seq, err
}
