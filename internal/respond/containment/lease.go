package containment

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Leases keeps the leases of gateways that are processes of their own: whoever of the control nodes was
// asked last renews it, any of them sees that it ended. Contacts are gathered and written a second at a
// time, so that many gateways cost the store little.
type Leases struct {
	runner
	st      *store.Store
	control *Control
	log     *slog.Logger

	mu   sync.Mutex
	seen map[string]contact
}

type contact struct {
	revision int64 // that the gateway obeys
	atMs     int64 // by this machine's view of the store's clock
	version  string
	makes    int64
	report   Report
}

// NewLeases makes the keeper of leases.
func NewLeases(st *store.Store, c *Control, log *slog.Logger) *Leases {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Leases{st: st, control: c, log: log, seen: map[string]contact{}}
}

// Seen notes that a gateway was heard of, obeys a revision, which makes of postures it understands (0: it does not say), and how it fares.
func (l *Leases) Seen(id string, revision int64, version string, makes int64, r Report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[id] = contact{revision, clock.Ms(l.st.Clock()), version, max(makes, 1), r}
}

// Run writes contacts down and ends leases until ctx ends or Stop is called.
func (l *Leases) Run(ctx context.Context) error {
	ctx, end, ok := l.begin(ctx)
	if !ok {
		return nil
	}
	defer end()
	// While control was down, the store away or the clock stepped nobody could renew a lease; whoever lives has one lease's time
	// to say so.
	was := clock.Ms(l.st.Clock())
	judge := was + LeaseMs
	for {
		now := clock.Ms(l.st.Clock())
		if now-was > 2*LeaseMs {
			judge = now + LeaseMs
		}
		was = now
		if err := l.renew(ctx); err != nil && ctx.Err() == nil {
			l.log.Error("the leases of gateways could not be renewed", "error", err)
			judge = now + LeaseMs
		}
		if now >= judge {
			if err := l.expire(ctx); err != nil && ctx.Err() == nil {
				l.log.Error("ended leases of gateways could not be written down", "error", err)
				judge = now + LeaseMs
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-l.st.Clock().After(time.Second):
		}
	}
}

// renew writes down who was heard of. A lease counts from the contact, not from its writing, so that a slow store
// makes nobody look fresher than it is.
func (l *Leases) renew(ctx context.Context) error {
	l.mu.Lock()
	seen := l.seen
	l.seen = map[string]contact{}
	l.mu.Unlock()
	if len(seen) == 0 {
		return nil
	}
	var came []string
	err := l.st.Write(ctx, store.System("containment"), func(tx *store.Tx) error {
		came = nil
		for id, c := range seen {
			at := min(c.atMs, tx.NowMs) // this machine's view may have been ahead
			// Only what was acknowledged is effective, so a revision that no acknowledgement named changes nothing here.
			res, err := tx.ExecContext(ctx, "UPDATE gateway SET last_seen_ms = ?, effective = ? WHERE id = ? AND revision = ? AND NOT effective", at, true, id, c.revision)
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil {
				return err
			} else if n > 0 {
				came = append(came, id)
			}
			if _, err := tx.ExecContext(ctx, "UPDATE gateway SET last_seen_ms = ? WHERE id = ? AND (last_seen_ms < ? OR last_seen_ms > ?)", at, id, at, tx.NowMs); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "UPDATE gateway SET guards_silent = ? WHERE id = ? AND guards_silent <> ?", c.report.GuardsSilent, id, c.report.GuardsSilent); err != nil {
				return err
			}
			if res, err = tx.ExecContext(ctx, "UPDATE gateway_member SET unkept = ? WHERE id = ? AND revoked_ms = 0 AND unkept <> ?", c.report.Unkept, id, c.report.Unkept); err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil {
				return err
			} else if n > 0 && c.report.Unkept {
				if err := l.control.o.Pager.Page(ctx, tx, Page{Key: "containment.page_gateway_unkept", Again: tx.NowMs, ObjectKind: "gateway", ObjectID: id, IncidentKind: "real"}); err != nil {
					return err
				}
			}
			if res, err = tx.ExecContext(ctx, "UPDATE gateway_member SET version = ? WHERE id = ? AND revoked_ms = 0 AND version <> ?", c.version, id, c.version); err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil {
				return err
			} else if n > 0 {
				tx.Touch(TopicPosture) // which model judges hangs on who serves
			}
			if _, err := tx.ExecContext(ctx, `UPDATE gateway_member SET lease_until_ms = ?, understands = ?, spool_bytes = ?, folded = ?, lost = ?, streams = ?, unjudged = ?
				WHERE id = ? AND revoked_ms = 0 AND lease_until_ms < ?`, at+LeaseMs, c.makes, c.report.SpoolBytes, c.report.Folded, c.report.Lost, c.report.Streams, c.report.Unjudged, id, at+LeaseMs); err != nil {
				return err
			}
		}
		if len(came) > 0 {
			tx.Touch(TopicAck)
		}
		return nil
	})
	if err != nil {
		l.mu.Lock()
		for id, c := range seen {
			if _, newer := l.seen[id]; !newer {
				l.seen[id] = c
			}
		}
		l.mu.Unlock()
	}
	return err
}

// ended takes the instant at which a lease ended, and the instant at which a gateway that lives in a control node, which has no
// lease but is noted at every heartbeat, was last noted.
const ended = `effective AND (id IN (SELECT id FROM gateway_member WHERE revoked_ms = 0 AND lease_until_ms <= ?) OR last_seen_ms <= ? AND id NOT IN (SELECT id FROM gateway_member))`

// ownSilenceMs is how long a gateway that lives in a control node may go unnoted: three heartbeats, as its note is a write that may wait.
const ownSilenceMs = 30_000

// expire shows gateways that nobody hears of any more as not effective, and pages.
func (l *Leases) expire(ctx context.Context) error {
	var n int
	now := clock.Ms(l.st.Clock())
	if err := l.st.Read().NewRaw("SELECT (SELECT COUNT(*) FROM gateway WHERE "+ended+") + (SELECT COUNT(*) FROM gateway_member WHERE lease_until_ms > ?)", now, now-ownSilenceMs, now+LeaseMs).Scan(ctx, &n); err != nil || n == 0 {
		return err
	}
	return l.st.Write(ctx, store.System("containment"), func(tx *store.Tx) error {
		// A lease longer than any that is given is left of a clock that was ahead: whoever died then would never be missed.
		if _, err := tx.ExecContext(ctx, "UPDATE gateway_member SET lease_until_ms = ? WHERE lease_until_ms > ?", tx.NowMs+LeaseMs, tx.NowMs+LeaseMs); err != nil {
			return err
		}
		var ids []string
		if err := tx.NewRaw("SELECT id FROM gateway WHERE "+ended+" ORDER BY id", tx.NowMs, tx.NowMs-ownSilenceMs).Scan(ctx, &ids); err != nil {
			return err
		}
		for _, id := range ids {
			if _, err := tx.ExecContext(ctx, "UPDATE gateway SET effective = ? WHERE id = ?", false, id); err != nil {
				return err
			}
			tx.Record(store.Entry{Action: "gateway.lose", ObjectKind: "gateway", ObjectID: id})
			if err := l.control.o.Pager.Page(ctx, tx, Page{Key: "containment.page_gateway_lost", Again: tx.NowMs, ObjectKind: "gateway", ObjectID: id, IncidentKind: "real"}); err != nil {
				return err
			}
		}
		tx.Touch(TopicAck)
		tx.Touch(TopicPosture) // which model judges hangs on who serves
		return nil
	})
}
