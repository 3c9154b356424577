package notify

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/trace"
)

// Options tune a deliverer. Zero values mean the default.
type Options struct {
	Owner       string        // names this process in the rows; default "deliverer"
	Parallel    int           // messages under way at once on each channel; default 4
	Timeout     time.Duration // for one sending; default 15 s
	Lease       time.Duration // a message whose fate is not known after this long is sent again; at least Timeout + 5 s, the default
	Poll        time.Duration // looks at least this often; default 1 s
	RetryBase   time.Duration // wait after the first failure, doubling; default 2 s
	RetryMax    time.Duration // longest such wait; default 5 min
	MaxAttempts int           // then the message is failed, stays visible and is paged about; default 12
	Log         *slog.Logger  // default: discards
	Tracer      *trace.Tracer // default: no traces

	AckLink func(messageID string) string // how staff acknowledge a message; default: no link
	May     func() bool                   // whether this process sends now, or leaves it to newer ones; default: it does
}

func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&o.Timeout, 15*time.Second)
	def(&o.Poll, time.Second)
	def(&o.RetryBase, 2*time.Second)
	def(&o.RetryMax, 5*time.Minute)
	o.Lease = max(o.Lease, o.Timeout+5*time.Second)
	if o.Owner == "" {
		o.Owner = "deliverer"
	}
	if o.Parallel <= 0 {
		o.Parallel = 4
	}
	if o.MaxAttempts <= 0 {
		o.MaxAttempts = 12
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.May == nil {
		o.May = func() bool { return true }
	}
	return o
}

// Deliverer takes messages from the outbox to their channels. Each channel has a loop of its own, so
// that one that hangs holds back nobody else.
type Deliverer struct {
	dir   *Directory
	make  func(Endpoint) *loop
	loops []*loop    // of the endpoints that are always there
	more  *due.Cycle // of all configured ones together, which come and go
}

// NewDeliverer makes a deliverer for the endpoints of dir. A message for a channel that dir does not
// know stays pending and is paged about.
func NewDeliverer(st *store.Store, dir *Directory, c *locale.Catalog, o Options) *Deliverer {
	o = o.withDefaults()
	d := &Deliverer{dir: dir, more: due.NewCycle("outbox:configured", clock.Ms(st.Clock()))}
	d.make = func(e Endpoint) *loop {
		return &loop{st: st, e: e, catalog: c, o: o, clock: st.Clock(), cycle: due.NewCycle("outbox:"+e.ID, clock.Ms(st.Clock()))}
	}
	for _, e := range dir.fixed() {
		d.loops = append(d.loops, d.make(e))
	}
	return d
}

// Cycles are the heartbeats of the loops, one for each channel that is always there ("outbox:<channel>") and
// one for all configured ones, which is as old as that of the slowest among them.
func (d *Deliverer) Cycles() []*due.Cycle {
	var out []*due.Cycle
	for _, l := range d.loops {
		out = append(out, l.cycle)
	}
	return append(out, d.more)
}

// Run delivers until ctx ends; sendings under way are cut short then and made again by the next run.
func (d *Deliverer) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, l := range d.loops {
		wg.Go(func() { l.run(ctx) })
	}
	d.follow(ctx)
	wg.Wait()
	return nil
}

// follow runs a loop for each configured endpoint, as they come and go.
func (d *Deliverer) follow(ctx context.Context) {
	type running struct {
		loop *loop
		stop func()
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	now := map[string]running{} // by revision
	probe := d.make(Endpoint{})
	for ctx.Err() == nil {
		ends, changed := d.dir.configured()
		wanted := map[string]bool{}
		for _, e := range ends {
			wanted[e.Rev] = true
			if _, runs := now[e.Rev]; runs {
				continue
			}
			own, stop := context.WithCancel(ctx)
			l := d.make(e)
			now[e.Rev] = running{l, stop}
			wg.Go(func() { l.run(own) })
		}
		beat := clock.Ms(probe.clock)
		for rev, r := range now {
			if !wanted[rev] {
				r.stop()
				delete(now, rev)
				continue
			}
			beat = min(beat, r.loop.cycle.LastMs())
		}
		d.more.Beat(beat)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-probe.clock.After(probe.o.Poll):
		}
	}
	for _, r := range now {
		r.stop()
	}
}

type loop struct {
	st      *store.Store
	e       Endpoint
	catalog *locale.Catalog
	o       Options
	clock   clock.Clock
	cycle   *due.Cycle
	seenMs  int64
}

func (l *loop) run(ctx context.Context) {
	for ctx.Err() == nil {
		var changed <-chan struct{}
		if hub := l.st.Hub(); hub != nil {
			_, changed = hub.Watch(Topic)
		}
		wait, err := l.round(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			l.cycle.Fail()
			l.o.Log.Error("outbox cycle failed", "channel", l.e.ID, "error", err)
			wait, changed = l.o.Poll, nil
		} else {
			l.cycle.Beat(clock.Ms(l.clock))
		}
		timer := l.clock.After(wait)
		if err == nil && clock.Ms(l.clock)-l.seenMs >= wait.Milliseconds() {
			continue // the clock moved on between the round and the timer
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer:
		}
	}
}

// round sends all that may leave now and says how long to wait for the next.
func (l *loop) round(ctx context.Context) (time.Duration, error) {
	for ctx.Err() == nil {
		now := clock.Ms(l.clock)
		if now < l.seenMs || l.seenMs == 0 {
			if err := l.repair(ctx, now); err != nil {
				return 0, err
			}
		}
		l.seenMs = now
		if !l.o.May() {
			return l.o.Poll, nil
		}
		var next int64
		if err := l.st.Read().NewRaw(`SELECT COALESCE((SELECT next_ms FROM outbox WHERE state = 'pending' AND channel = ? ORDER BY next_ms LIMIT 1), 0)`,
			l.e.ID).Scan(ctx, &next); err != nil {
			return 0, err
		}
		switch {
		case next == 0:
			return l.o.Poll, nil
		case next > now:
			return min(l.o.Poll, time.Duration(next-now)*time.Millisecond), nil
		}
		items, err := l.claim(ctx)
		if err != nil {
			return 0, err
		}
		if len(items) == 0 {
			return l.o.Poll, nil
		}
		if err := l.settle(ctx, items, l.sendAll(ctx, items)); err != nil {
			return 0, err
		}
		l.cycle.Beat(clock.Ms(l.clock))
	}
	return 0, ctx.Err()
}

// claim leases messages and counts the attempt before it is made. A lease that outlives its holder
// ends, and the message is sent again: at least once, with the same key.
func (l *loop) claim(ctx context.Context) (items []Item, err error) {
	err = l.write(ctx, func(ctx context.Context, tx *store.Tx) error {
		items = nil
		until := tx.NowMs + l.o.Lease.Milliseconds()
		return tx.NewRaw(`UPDATE outbox SET owner = ?, lease_until_ms = ?, next_ms = ?, attempts = attempts + 1,
				first_attempt_ms = CASE WHEN first_attempt_ms = 0 THEN ? ELSE first_attempt_ms END
			WHERE id IN (SELECT id FROM outbox WHERE state = 'pending' AND channel = ? AND next_ms <= ? AND lease_until_ms <= ? ORDER BY next_ms LIMIT ?)
			RETURNING *`, l.o.Owner, until, until, tx.NowMs, l.e.ID, tx.NowMs, tx.NowMs, l.o.Parallel).Scan(ctx, &items)
	})
	return items, err
}

// fate is what became of one sending.
type fate struct {
	state   State
	receipt string
	err     error
}

func (l *loop) sendAll(ctx context.Context, items []Item) []fate {
	fates := make([]fate, len(items))
	var wg sync.WaitGroup
	for i, it := range items {
		wg.Go(func() { fates[i] = l.send(ctx, it) })
	}
	wg.Wait()
	return fates
}

func (l *loop) send(ctx context.Context, it Item) (f fate) {
	if err := l.e.admit(it); err != nil {
		return fate{state: Refused, err: err}
	}
	link := ""
	if l.o.AckLink != nil && it.Class == Staff {
		link = l.o.AckLink(it.ID)
	}
	r, err := render(l.catalog, it, link)
	if err != nil {
		return fate{state: Failed, err: err}
	}
	defer func() {
		if p := recover(); p != nil {
			f = fate{state: Pending, err: fmt.Errorf("panic in channel %s", l.e.ID)}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, l.o.Timeout)
	defer cancel()
	ctx, span := l.o.Tracer.Start(ctx, "outbox.send", "message", it.ID, "template", it.Template, "class", string(it.Class), "object_kind", it.ObjectKind, "object", it.ObjectID)
	span.Count("attempt", int64(it.Attempts))
	receipt, err := l.e.Channel.Send(ctx, r)
	span.End(err)
	if err != nil {
		return fate{state: Pending, err: err}
	}
	return fate{state: Sent, receipt: receipt}
}

// settle keeps the fates. It is not cut short by a stop: a message that left should not leave again.
func (l *loop) settle(ctx context.Context, items []Item, fates []fate) error {
	stopping := ctx.Err() != nil
	return l.write(context.WithoutCancel(ctx), func(ctx context.Context, tx *store.Tx) error {
		for i, it := range items {
			f, next, sent, msg := fates[i], int64(0), int64(0), ""
			switch {
			case f.state == Sent:
				sent = tx.NowMs
			case f.state == Pending && stopping:
				next = tx.NowMs // cut short by ourselves
			case f.state == Pending && it.Attempts >= l.o.MaxAttempts:
				f.state = Failed
			case f.state == Pending:
				next = tx.NowMs + l.backoff(it.Attempts).Milliseconds()
			}
			if f.err != nil {
				msg = redact(f.err, it.Recipient)
				if it.ObjectKind == "incident" {
					ctx = trace.About(ctx, it.ObjectID)
				}
				l.o.Log.WarnContext(ctx, "message not sent", "message", it.ID, "channel", it.Channel, "template", it.Template, "attempt", it.Attempts, "state", string(f.state), "error", msg)
			}
			if f.state == Failed || f.state == Refused {
				tx.Touch(due.AuditTopic)
			}
			if _, err := tx.NewRaw(`UPDATE outbox SET state = ?, sent_ms = ?, receipt = ?, next_ms = ?, last_error = ?, owner = '', lease_until_ms = 0
				WHERE id = ? AND state = 'pending' AND owner = ? AND lease_until_ms = ?`,
				f.state, sent, clip(f.receipt, 300), next, msg, it.ID, l.o.Owner, it.LeaseUntilMs).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// redact keeps the recipient out of errors, which are logged.
func redact(err error, recipient string) string {
	s := err.Error()
	if recipient != "" {
		s = strings.ReplaceAll(s, recipient, "<recipient>")
	}
	return clip(s, 300)
}

func clip(s string, n int) string {
	r := []rune(s)
	return string(r[:min(len(r), n)])
}

// repair undoes waits and leases longer than this deliverer ever grants: traces of a clock that was ahead.
func (l *loop) repair(ctx context.Context, now int64) error {
	return l.write(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.NewRaw(`UPDATE outbox SET next_ms = ?, owner = '', lease_until_ms = 0 WHERE state = 'pending' AND channel = ? AND next_ms > ?`,
			now, l.e.ID, now+max(l.o.RetryMax, l.o.Lease).Milliseconds()).Exec(ctx)
		return err
	})
}

func (l *loop) write(ctx context.Context, fn func(ctx context.Context, tx *store.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return l.st.Write(ctx, store.System("notify"), func(tx *store.Tx) error { return fn(ctx, tx) })
}

// backoff is the wait after the attempt with this number, counted from 1.
func (l *loop) backoff(attempt int) time.Duration {
	d := l.o.RetryBase
	for ; attempt > 1 && d < l.o.RetryMax; attempt-- {
		d *= 2
	}
	return min(d, l.o.RetryMax)
}
