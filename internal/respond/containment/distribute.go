package containment

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/node"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/trace"
	"github.com/fengsui/fengsui/internal/posture"
)

// Ack is a gateway's answer to a bundle: which revision it obeys, and which orders are in effect.
type Ack struct {
	Epoch      int64
	Revision   int64
	Digest     string // of the bundle; "" from a gateway that does not say it yet
	OrderIDs   []string
	StreamsCut int
	AtMs       int64 // by the gateway's clock; when the last stream was cut

	GuardsSilent int64 // of a gateway that lives in a control node; others report it when they ask, see Report
}

// Gateway is one that control hands bundles to. Apply returns when the bundle is obeyed, open streams
// included; applying what is obeyed already is fine and counts as contact.
type Gateway interface {
	ID() string
	Apply(ctx context.Context, s posture.Signed) (Ack, error)
}

// DistributorOptions tune a distributor. Zero values mean the default.
type DistributorOptions struct {
	ApplyTimeout time.Duration // for one gateway; default 5 s
	Heartbeat    time.Duration // how often an up-to-date gateway is contacted; default 10 s
	RetryBase    time.Duration // wait after a failure, doubling; default 200 ms
	RetryMax     time.Duration // longest such wait; default 10 s
	Log          *slog.Logger  // default: discards
	Tracer       *trace.Tracer // default: no traces
}

// Distributor hands every change of orders, postures and keys to all registered gateways and writes
// down what they acknowledge. Gateways do not wait for each other.
type Distributor struct {
	runner
	st      *store.Store
	control *Control
	o       DistributorOptions

	gates []*outlet
	feed  *outlet       // what gateways elsewhere fetch
	stale chan struct{} // holds one wish for compile to look again
	clash chan int64    // holds one revision that a gateway knows as another bundle
}

// outlet is one gateway with what it should obey.
type outlet struct {
	gw     Gateway
	mu     sync.Mutex
	want   *Made
	change chan struct{} // closed and renewed when want changes
}

func (t *outlet) set(m *Made) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.want = m
	close(t.change)
	t.change = make(chan struct{})
}

func (t *outlet) get() (*Made, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.want, t.change
}

// NewDistributor makes a distributor for a fixed set of gateways. The store needs a hub.
func NewDistributor(st *store.Store, c *Control, o DistributorOptions, gateways ...Gateway) *Distributor {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&o.ApplyTimeout, 5*time.Second)
	def(&o.Heartbeat, 10*time.Second)
	def(&o.RetryBase, 200*time.Millisecond)
	def(&o.RetryMax, 10*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d := &Distributor{st: st, control: c, o: o, feed: &outlet{change: make(chan struct{})}, stale: make(chan struct{}, 1), clash: make(chan int64, 1)}
	for _, g := range gateways {
		d.gates = append(d.gates, &outlet{gw: g, change: make(chan struct{})})
	}
	return d
}

// Run distributes until ctx ends or Stop is called, and returns when all its goroutines are gone.
func (d *Distributor) Run(ctx context.Context) error {
	ctx, end, ok := d.begin(ctx)
	if !ok {
		return nil
	}
	defer end()
	var wg sync.WaitGroup
	for _, t := range d.gates {
		wg.Go(func() { d.serve(ctx, t) })
	}
	wg.Go(func() { d.compile(ctx) })
	d.follow(ctx)
	wg.Wait()
	return nil
}

// compile keeps postures and keys current. It runs beside follow, so that tightening never waits for
// rules to be compiled; what it changes wakes follow.
func (d *Distributor) compile(ctx context.Context) {
	hub := d.st.Hub()
	wait := d.o.RetryBase
	for {
		_, postures := hub.Watch(TopicPosture)
		_, services := hub.Watch(topicService)
		_, nodes := hub.Watch(node.Topic) // which model judges hangs on who serves
		failed, err := d.control.Refresh(ctx, d.st, "change")
		for id, e := range failed {
			if ctx.Err() != nil {
				return // stopping; the next start compiles
			}
			d.o.Log.Error("a posture could not be compiled; its service keeps the last one", "service", id, "error", e)
		}
		var retry <-chan time.Time
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			d.o.Log.Error("postures and keys could not be refreshed", "error", err)
			retry = d.st.Clock().After(wait)
			wait = min(2*wait, d.o.RetryMax)
		} else {
			wait = d.o.RetryBase
		}
		select {
		case <-ctx.Done():
			return
		case <-postures:
		case <-services:
		case <-nodes:
		case <-d.stale:
		case revision := <-d.clash:
			if err := d.control.renumber(ctx, d.st, revision); err != nil && ctx.Err() == nil {
				d.o.Log.Error("a revision that gateways know as another bundle could not be given a new number", "revision", revision, "error", err)
			}
		case <-retry:
		}
	}
}

// Clash says that a gateway knows this revision as another bundle: the program before this one put it otherwise, or the database was
// set back. Gateways refuse it, so it gets a new number.
func (d *Distributor) Clash(revision int64) {
	select {
	case d.clash <- revision:
	default: // one is under way
	}
}

// follow makes a bundle after every change and hands it on.
func (d *Distributor) follow(ctx context.Context) {
	hub := d.st.Hub()
	wait := d.o.RetryBase
	for {
		_, orders := hub.Watch(TopicOrder)
		_, postures := hub.Watch(TopicPosture)
		m, err := d.control.Bundle(ctx, d.st.Read())
		var retry <-chan time.Time
		switch {
		case err == nil:
			d.hand(&m)
			wait = d.o.RetryBase
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrStale):
			select {
			case d.stale <- struct{}{}:
			default:
			}
			retry = d.st.Clock().After(d.o.RetryMax)
		default:
			d.o.Log.Error("no bundle could be made; gateways keep the last one", "error", err)
			retry = d.st.Clock().After(wait)
			wait = min(2*wait, d.o.RetryMax)
		}
		select {
		case <-ctx.Done():
			return
		case <-orders:
		case <-postures:
		case <-retry:
		}
	}
}

func (d *Distributor) hand(m *Made) {
	for _, t := range append([]*outlet{d.feed}, d.gates...) {
		if have, _ := t.get(); !have.same(m) {
			t.set(m)
		}
	}
}

// Latest is what every gateway should obey, nil before the first bundle was made, and a channel that is closed
// when it changes.
func (d *Distributor) Latest() (*Made, <-chan struct{}) { return d.feed.get() }

// ErrBehind answers a gateway that knows of more than this node does: another node may have heard of it, or this one soon will.
var ErrBehind = fault.Unavailable("gatelink.behind")

// Obeyed writes down what a gateway elsewhere acknowledged; it renews its lease. Of a bundle of an earlier epoch, or of another that
// bore this revision, it takes only that the gateway came to obey these orders and how many streams that cut: it says nothing of
// today. Errors: ErrBehind if this node does not know the revision yet, so that the acknowledgement stays owed; unauthenticated.
func (d *Distributor) Obeyed(ctx context.Context, id string, ack Ack) error {
	m, _ := d.Latest()
	if m == nil || ack.Epoch > m.Epoch || ack.Epoch == m.Epoch && ack.Revision > m.Revision {
		return ErrBehind
	}
	past := ack.Epoch < m.Epoch || ack.Revision == m.Revision && ack.Digest != "" && ack.Digest != m.Digest
	return d.note(ctx, id, ack, noting{leased: true, past: past})
}

// Disobeyed shows a gateway elsewhere as not effective because it cannot obey what it was given.
func (d *Distributor) Disobeyed(ctx context.Context, id string) { d.lost(ctx, id) }

// serve keeps one gateway up to date, and in contact when nothing changes.
func (d *Distributor) serve(ctx context.Context, t *outlet) {
	wait := d.o.RetryBase
	var noted *Made // what was last written down as obeyed
	for {
		m, changed := t.get()
		var again <-chan time.Time
		if m != nil {
			if err := d.apply(ctx, t.gw, m, noted); err != nil {
				if ctx.Err() != nil {
					return
				}
				d.o.Log.Error("a gateway does not obey the bundle", "gateway", t.gw.ID(), "revision", m.Revision, "error", err)
				d.lost(ctx, t.gw.ID())
				if fault.Is(err, "posture.same_revision") {
					d.Clash(m.Revision)
				}
				noted = nil
				again = d.st.Clock().After(wait)
				wait = min(2*wait, d.o.RetryMax)
			} else {
				noted, wait = m, d.o.RetryBase
				again = d.st.Clock().After(d.o.Heartbeat)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-again:
		}
	}
}

var errOtherRevision = errors.New("the gateway acknowledged another revision")

func (d *Distributor) apply(ctx context.Context, g Gateway, m, noted *Made) error {
	applying, cancel := context.WithTimeout(ctx, d.o.ApplyTimeout)
	defer cancel()
	ack, err := g.Apply(applying, m.Signed)
	if err != nil {
		return err
	}
	if ack.Revision != m.Revision || ack.Epoch != m.Epoch {
		return errOtherRevision
	}
	return d.note(ctx, g.ID(), ack, noting{heartbeat: noted.same(m)})
}

// noting is what is known of an acknowledgement beside itself.
type noting struct {
	heartbeat bool // the gateway is known to obey this revision
	leased    bool // it is a process of its own
	past      bool // it speaks of a bundle that is not in the line of the newest one
}

// note writes down that a gateway obeys a revision.
func (d *Distributor) note(ctx context.Context, id string, ack Ack, known noting) error {
	var fresh []AckRow
	err := d.st.Write(ctx, store.System("containment"), func(tx *store.Tx) error {
		fresh = nil
		if known.leased {
			res, err := tx.ExecContext(ctx, "UPDATE gateway_member SET lease_until_ms = ? WHERE id = ? AND revoked_ms = 0", tx.NowMs+LeaseMs, id)
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil || n == 0 {
				return errors.Join(err, fault.Unauthenticated("containment.gateway_revoked"))
			}
		}
		if !known.past {
			if _, err := tx.ExecContext(ctx, `INSERT INTO gateway (id, revision, last_seen_ms, effective) VALUES (?, ?, ?, ?)
				ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, last_seen_ms = excluded.last_seen_ms, effective = excluded.effective`, id, ack.Revision, tx.NowMs, true); err != nil {
				return err
			}
		}
		if !known.leased {
			if _, err := tx.ExecContext(ctx, "UPDATE gateway SET guards_silent = ? WHERE id = ? AND guards_silent <> ?", ack.GuardsSilent, id, ack.GuardsSilent); err != nil {
				return err
			}
		}
		if known.heartbeat {
			return nil
		}
		for _, order := range ack.OrderIDs {
			var n int
			if err := tx.NewRaw("SELECT COUNT(*) FROM disposal_order WHERE id = ? AND NOT EXISTS (SELECT 1 FROM order_ack WHERE order_id = disposal_order.id AND gateway_id = ?)", order, id).Scan(ctx, &n); err != nil {
				return err
			}
			if n == 0 {
				continue // acknowledged before, or an order that this database never gave
			}
			row := AckRow{OrderID: order, GatewayID: id, Revision: ack.Revision, AtMs: ack.AtMs, StreamsCut: ack.StreamsCut}
			if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
				return err
			}
			tx.Record(store.Entry{Action: "order.acknowledge", ObjectKind: "order", ObjectID: order, Content: row})
			fresh = append(fresh, row)
		}
		tx.Touch(TopicAck)
		return nil
	})
	if err == nil {
		d.followed(ctx, fresh)
	}
	return err
}

// followed writes down how long each order took from its commit to this acknowledgement, in the order's own trace.
func (d *Distributor) followed(ctx context.Context, acks []AckRow) {
	if d.o.Tracer == nil {
		return
	}
	for _, a := range acks {
		var issued int64
		if d.st.Read().NewRaw("SELECT issued_ms FROM disposal_order WHERE id = ?", a.OrderID).Scan(ctx, &issued) == nil {
			d.o.Tracer.Past(ctx, "order:"+a.OrderID, "order.issue to acknowledgement", issued, a.AtMs, "order", a.OrderID, "gateway", a.GatewayID)
		}
	}
}

// lost shows a gateway as not effective; it may obey an older revision, but nobody knows.
func (d *Distributor) lost(ctx context.Context, id string) {
	err := d.st.Write(ctx, store.System("containment"), func(tx *store.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO gateway (id, revision, last_seen_ms, effective) VALUES (?, 0, 0, ?)
			ON CONFLICT (id) DO UPDATE SET effective = excluded.effective WHERE gateway.effective`, id, false)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		tx.Touch(TopicAck)
		return nil
	})
	if err != nil && ctx.Err() == nil {
		d.o.Log.Error("a lost gateway could not be written down", "gateway", id, "error", err)
	}
}
