// Package gateway stands in front of an OpenAI-compatible model and lets nothing through that was not
// inspected. It obeys signed bundles of posture and orders, keeps them on its own disk, and goes on
// without control; without a bundle it answers 503 and never passes.
//
// It serves POST /v1/chat/completions, streamed and not, and GET /v1/models. Everything else is refused by name.
//
// # What a client sees
//
// Where nothing was sent yet, a refusal is a status with the error object of the OpenAI API: {"error":{"message",
// "type","param","code"}}. Code is stable; X-Should-Retry: false keeps the official SDKs from trying again what cannot
// succeed.
//
// A request that inspection blocks is answered 200 in the form of a normal answer: the posture's text as content and
// finish_reason "content_filter". Every SDK parses that, and people can read it. An answer that is blocked is, not streamed, replaced whole in the
// same form; in a stream nothing from the hit on is sent, and a chunk with finish_reason "content_filter" and [DONE]
// follow. An order that takes a stream away ends it the same way, and the connection of a client that does not take even that is reset. In all of these a
// top-level "fengsui" object tells the code, the text for people and the content number; SDKs ignore it. It is not put
// into the content of a stream, because half an answer may be JSON that somebody parses.
//
// An upstream that fails inside a stream ends it with an error event, upon which SDKs raise their API error, and
// without [DONE], because the answer is not complete. What was held back is not sent then: it was never cleared.
//
// Token probabilities are refused, because they show the tokens that masking hides. The client's user and
// safety_identifier reach the upstream as one HMAC.
//
// # Limits of what is promised
//
// Strict isolation binds requests that begin after contact was lost, not streams that were open. Rules that
// straddle two messages of a request are not seen; those that straddle parts of one message are. When an order
// tightens the rules of an open stream, what was said before it is judged too (the last 128 KiB of each text at least).
// Where a posture lets doubtful texts wait for a guard model, a stream waits where a rule notices something (the same rule
// again only after 6,000 characters), where the text has doubled since, and at the end; what left before is not taken back. Orders that come meanwhile are obeyed at once. Beside the
// traffic the guard only reports.
package gateway

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fengsui/fengsui/internal/monitor/guard"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/outgoing"
	"github.com/fengsui/fengsui/internal/posture"
)

// Gateway is the http.Handler. Serve it with a http.Server whose ConnContext is ConnContext, so that
// a client which does not read can be reset when an order takes its stream away.
type Gateway struct {
	o     Options
	state stateFile

	applying sync.Mutex             // one bundle at a time
	regime   atomic.Pointer[regime] // what is obeyed; nil: nothing, so nothing passes
	contact  atomic.Int64           // ms: control was last heard of
	stops    []stop                 // sealed tokens that bind here; guarded by applying
	unkept   atomic.Pointer[unkept] // what is obeyed and not on the disk; nil: all is

	mu      sync.Mutex
	calls   map[*call]struct{}
	stopped bool
	idle    chan struct{} // closed and renewed when calls falls to zero

	later     sync.WaitGroup // questions to guards that nobody waits for; none is added once all calls are over
	laterCtx  context.Context
	hushLater context.CancelFunc

	count counters
	// fail, set by tests only, runs before each check of a text, the first being 0, to show what a failing one does.
	fail func(check int)
}

type counters struct {
	requests, refused, unknown, inputBlocks, outputBlocks, uninspected, events, eventsSlow, streamsCut, clientsSlow, streams atomic.Int64
}

// New reads the last bundle from disk, if there is a good one. A missing or damaged bundle is no error:
// the gateway answers 503 until control hands one over.
func New(o Options) (*Gateway, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Transport == nil {
		o.Transport = outgoing.Guard{}.Transport()
	}
	g := &Gateway{o: o, state: stateFile{dir: o.StateDir}, calls: map[*call]struct{}{}, idle: make(chan struct{})}
	g.laterCtx, g.hushLater = context.WithCancel(context.Background())
	g.contact.Store(o.Clock.Now().UnixMilli())
	if !o.LastContact.IsZero() {
		g.contact.Store(min(g.contact.Load(), o.LastContact.UnixMilli())) // a restart is no contact
	}
	if err := g.state.make(); err != nil {
		return nil, fault.Unavailable("gateway.no_state_dir", "dir", o.StateDir).Because(err)
	}
	if o.DANGEROUSIgnoreOrders {
		o.Logger.Warn("this gateway IGNORES ALL ORDERS; it must never carry real traffic", "gateway", o.ID)
	}
	if err := g.remember(); err != nil {
		o.Logger.Error("the bundle on disk cannot be used; answering 503 until control sends one", "gateway", o.ID, "error", err)
	}
	// What cannot be read now is looked for again: a gateway that does not come up stops every service.
	if err := errors.Join(os.MkdirAll(filepath.Join(o.StateDir, stopsName), 0o700), g.HeedStops(context.Background())); err != nil {
		o.Logger.Error("sealed tokens could not be looked at", "error", err)
	}
	return g, nil
}

// remember obeys the newest bundle on the disk, if there is one.
func (g *Gateway) remember() error {
	all, err := g.state.load()
	if err != nil {
		return err
	}
	var newest *posture.Opened
	for _, k := range all {
		b, err := g.open(k.Signed, nil)
		switch {
		case err != nil && k.spare < 0:
			return err
		case err == nil && b.Succeeds(newest) == nil:
			newest, g.state.spare = b, 1-max(0, k.spare)
		}
	}
	if newest == nil {
		return nil
	}
	r, err := newRegime(newest, nil)
	if err == nil {
		g.equip(r, nil)
		g.warnUnjudged(r, nil)
		g.regime.Store(r)
	}
	return err
}

// Apply verifies a bundle and obeys it: new requests at once, open streams before it returns (or before
// ctx ends). An older bundle is refused with a conflict, and what was in force stays in force. The bundle
// is obeyed even if it cannot be written to disk; then Ack.Persisted is false and the error is logged.
// If its rules cannot be compiled the error says so; its orders then bind on top of what was in force,
// because tightening does not wait for anything.
func (g *Gateway) Apply(ctx context.Context, s posture.Signed) (Ack, error) {
	g.applying.Lock()
	defer g.applying.Unlock()
	have := g.regime.Load()
	b, err := g.open(s, have)
	if err != nil {
		return Ack{}, err
	}
	if have != nil {
		if err := b.Succeeds(have.bundle); err != nil {
			return Ack{}, err
		}
	}
	g.Contact()
	ack := Ack{GatewayID: g.o.ID, Epoch: b.Epoch, Revision: b.Revision, OrderIDs: orderIDs(b.Orders)}
	cut := &cutting{}
	if have == nil || have.bundle.Digest != b.Digest {
		// First obey the orders, then compile what is new, then write: containment waits for neither rules nor disk.
		if have != nil {
			g.regime.Store(have.under(b.Orders).under(g.stopOrders(b.Stops)))
			g.tell(cut)
		}
		r, err := newRegime(b, have)
		if err != nil {
			g.see(ctx, cut)
			return Ack{}, err
		}
		g.equip(r, have)
		g.warnUnjudged(r, have)
		g.regime.Store(r.under(g.stopOrders(b.Stops)))
		g.tell(cut)
	}
	ack.StreamsHit, ack.StreamsCut = len(cut.hit), len(cut.ended)
	if err := g.keep(unkept{s, b.Stops}); err != nil {
		g.o.Logger.Error("the bundle is obeyed but not on disk", "gateway", g.o.ID, "revision", ack.Revision, "error", err)
	} else {
		ack.Persisted = true
	}
	g.see(ctx, cut)
	ack.AtMs = g.o.Clock.Now().UnixMilli()
	return ack, nil
}

// unkept is a bundle that is obeyed, with the sealed tokens that it took over.
type unkept struct {
	signed posture.Signed
	stops  []string
}

func (g *Gateway) keep(u unkept) error {
	if err := g.state.save(u.signed); err != nil {
		g.unkept.Store(&u)
		return err
	}
	g.unkept.Store(nil)
	g.settleStops(u.stops) // not before: a restart must find the token or the bundle that took it over
	return nil
}

// KeepAgain tries once more to write the bundle that is obeyed to a disk that did not take it; nil if it is there. Until then a
// restart would go back to an older bundle.
func (g *Gateway) KeepAgain() error {
	if g.unkept.Load() == nil {
		return nil
	}
	g.applying.Lock()
	defer g.applying.Unlock()
	if u := g.unkept.Load(); u != nil {
		return g.keep(*u)
	}
	return nil
}

// cutting is what one bundle did to open calls.
type cutting struct {
	hit   map[*call]bool
	ended []*call
	timer *time.Timer // started with the first call that ended: from then on the grace runs
}

// tell hands the orders in force to every open call. A call registers before it reads the regime, so that
// each one has either been told or has read the new regime itself.
func (g *Gateway) tell(cut *cutting) {
	r := g.regime.Load()
	for _, c := range g.openCalls() {
		changed, ended := c.obey(g, r)
		if changed {
			if cut.hit == nil {
				cut.hit = map[*call]bool{}
			}
			cut.hit[c] = true
		}
		if ended {
			cut.ended = append(cut.ended, c)
			g.count.streamsCut.Add(1)
			if cut.timer == nil {
				cut.timer = time.NewTimer(g.o.CutGrace)
			}
		}
	}
}

func (g *Gateway) openCalls() []*call {
	g.mu.Lock()
	defer g.mu.Unlock()
	open := make([]*call, 0, len(g.calls))
	for c := range g.calls {
		open = append(open, c)
	}
	return open
}

// see waits until the calls that were cut are over. Those that are not after the grace are reset, all at once.
func (g *Gateway) see(ctx context.Context, cut *cutting) {
	if cut.timer == nil {
		return
	}
	defer cut.timer.Stop()
	for _, c := range cut.ended {
		select {
		case <-c.done:
			continue
		case <-ctx.Done():
			return
		case <-cut.timer.C:
			for _, late := range cut.ended {
				select {
				case <-late.done:
				default:
					late.reset()
				}
			}
		}
		select { // the timer has fired; from here on only ends are waited for
		case <-c.done:
		case <-ctx.Done():
			return
		}
	}
}

// Contact notes that control was heard of, for the isolation policy; call it when asking control found nothing new.
func (g *Gateway) Contact() { g.contact.Store(g.o.Clock.Now().UnixMilli()) }

// isolated gives the policy in effect because control is silent, "" if it is not.
func (g *Gateway) isolated() Isolation {
	if g.o.ContactWithin <= 0 || g.o.Clock.Now().UnixMilli()-g.contact.Load() <= g.o.ContactWithin.Milliseconds() {
		return ""
	}
	return g.o.Isolation
}

// Stop refuses new requests, waits for open ones until ctx ends, then ends them, and returns when all
// goroutines of the gateway are gone. It may be called more than once. The error is ctx's if calls had to be ended.
func (g *Gateway) Stop(ctx context.Context) error {
	g.mu.Lock()
	g.stopped = true
	g.mu.Unlock()
	err := g.drain(ctx)
	if err != nil {
		open := g.openCalls()
		for _, c := range open {
			c.end(errStopping)
		}
		short, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.o.CutGrace)
		defer cancel()
		if g.drain(short) != nil {
			for _, c := range open {
				c.reset()
			}
			_ = g.drain(context.WithoutCancel(ctx))
		}
	}
	g.hushLater()
	g.later.Wait()
	if t, ok := g.o.Transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
	return err
}

func (g *Gateway) drain(ctx context.Context) error {
	for {
		g.mu.Lock()
		n, idle := len(g.calls), g.idle
		g.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// enter registers a call; it fails when the gateway is stopping.
func (g *Gateway) enter(c *call) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return errStopping
	}
	g.calls[c] = struct{}{}
	return nil
}

func (g *Gateway) leave(c *call) {
	close(c.done)
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.calls, c)
	if len(g.calls) == 0 {
		close(g.idle)
		g.idle = make(chan struct{})
	}
}

// Status is the gateway's view of itself. Safe at any time.
func (g *Gateway) Status() Status {
	st := Status{
		GatewayID: g.o.ID, Postures: map[string]string{}, Guards: map[string]guard.Numbers{}, Unjudged: map[string][]string{}, LastContactMs: g.contact.Load(),
		OpenStreams: int(g.count.streams.Load()), Unkept: g.unkept.Load() != nil, Isolation: string(g.isolated()),
		Counters: Counters{
			Requests: g.count.requests.Load(), Refused: g.count.refused.Load(), Unknown: g.count.unknown.Load(),
			InputBlocks: g.count.inputBlocks.Load(), OutputBlocks: g.count.outputBlocks.Load(), Uninspected: g.count.uninspected.Load(),
			Events: g.count.events.Load(), EventsSlow: g.count.eventsSlow.Load(),
			StreamsCut: g.count.streamsCut.Load(), ClientsSlow: g.count.clientsSlow.Load(),
		},
	}
	g.mu.Lock()
	stopped := g.stopped
	g.mu.Unlock()
	r := g.regime.Load()
	if r != nil {
		st.Epoch, st.Revision, st.Digest, st.OrderIDs = r.bundle.Epoch, r.bundle.Revision, r.bundle.Digest, orderIDs(r.bundle.Orders)
		for id, s := range r.services {
			st.Postures[id] = s.digest
			if len(s.unjudged) > 0 {
				st.Unjudged[id] = s.unjudged
			}
			if s.guard != nil {
				st.Guards[id] = s.guard.Numbers()
			}
		}
	}
	switch {
	case stopped:
		st.Reason = "stopped"
	case r == nil:
		st.Reason = "no_bundle"
	case g.o.DANGEROUSIgnoreOrders:
		st.Reason = "orders_ignored"
	case st.Isolation != "":
		st.Reason = "out_of_contact"
	default:
		st.Effective = true
	}
	return st
}

func orderIDs(orders []posture.Order) []string {
	ids := make([]string, 0, len(orders))
	for _, o := range orders {
		ids = append(ids, o.ID)
	}
	slices.Sort(ids)
	return ids
}

// Why an open call ended before its answer did. They travel as causes of its context.
var (
	errStopping   = errors.New("the gateway is stopping")
	errCut        = errors.New("ended by an order")
	errFirstByte  = errors.New("the upstream did not answer in time")
	errTotal      = errors.New("the request took too long")
	errIdle       = errors.New("the upstream fell silent")
	errClientGone = errors.New("the client left")
)

var _ http.Handler = (*Gateway)(nil)
