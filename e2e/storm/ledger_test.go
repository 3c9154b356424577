//go:build torture

package storm

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/uptrace/bun"
)

// row is a fault of the table: what happened under it and what came of it.
type row struct {
	name                   string
	times, kills           int
	decided                int // acknowledged under it
	lost, missed           int
	effects, during, heals []time.Duration // of orders, a stream each; how long until all was well
	harmful                int             // words after an acknowledged order
	streams                int             // that orders ended
	record                 string
	after                  func() error // what is looked at when the fault is over
}

// decision is one that the API acknowledged.
type decision struct {
	under *row
	kind  string // clock, order, lapsing or lifted
	id    string
	dueMs int64
}

// ledger holds what was acknowledged, outside of what is tested.
type ledger struct {
	mu   sync.Mutex
	now  *row
	all  []decision
	last time.Time // when the last clock runs out
}

func (l *ledger) add(kind, id string, due time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now.decided++
	l.all = append(l.all, decision{l.now, kind, id, due.UnixMilli()})
	if due.After(l.last) {
		l.last = due
	}
}

func (l *ledger) under(r *row) { l.mu.Lock(); l.now = r; l.mu.Unlock() }

// reportMs is when an operator that is neither CII nor a central organ has to report: 4 h after awareness.
const reportMs = 4 * 60 * 60 * 1000

// clocks sets clocks that run out within seconds: incidents that somebody knew of almost four hours ago, and orders that lapse.
func (s *storm) clocks(ctx context.Context, over <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-over:
			return
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(400+rand.IntN(800)) * time.Millisecond):
		}
		due := time.Now().Add(time.Duration(3000+rand.IntN(6000)) * time.Millisecond)
		var out struct{ ID string }
		key := fmt.Sprint("clock-", n)
		if n%4 == 3 {
			code, err := s.insist(ctx, 0, "POST", "/orders", key, map[string]any{"cause": "incident", "cause_id": s.cause, "rung": "strict_filter", "service_id": s.service,
				"tenant": key, "release_mode": "auto", "expires_ms": due.UnixMilli(), "reason": "storm"}, &out)
			switch {
			case code == 422 && time.Now().After(due), ctx.Err() != nil: // everything was away until it made no sense any more
			case err != nil:
				s.fail("an order that lapses: %v", err)
			default:
				s.ledger.add("lapsing", out.ID, due)
			}
			continue
		}
		_, err := s.insist(ctx, 0, "POST", "/incidents", key, map[string]any{"kind": "test", "service_id": s.service, "title": key, "aware_ms": due.UnixMilli() - reportMs}, &out)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			s.fail("an incident: %v", err)
		default:
			s.ledger.add("clock", out.ID, due)
		}
	}
}

// audit holds what was acknowledged against the database, and writes what is missing into the rows. It can be run again.
func (l *ledger) audit(ctx context.Context, db bun.IDB) (problems []string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	set := func(query string) map[string]int {
		var ids []struct {
			ID string
			N  int
		}
		if err == nil {
			err = db.NewRaw(query).Scan(ctx, &ids)
		}
		out := map[string]int{}
		for _, i := range ids {
			out[i.ID] = i.N
		}
		return out
	}
	on := func(action string) map[string]int {
		return set("SELECT object_id AS id, COUNT(*) AS n FROM record_entries WHERE action = '" + action + "' GROUP BY object_id")
	}
	incidents, orders := set("SELECT id, 1 AS n FROM incident"), set("SELECT id, 1 AS n FROM disposal_order")
	declared, issued, lifted, lapsed := on("incident.declare"), on("order.issue"), on("order.lift"), on("order.lapse")
	ended := set("SELECT id, CASE state WHEN 'lifted' THEN 1 WHEN 'lapsed' THEN 2 ELSE 0 END AS n FROM disposal_order")
	owed := set("SELECT incident_id AS id, COUNT(*) AS n FROM obligation WHERE due_ms > 0 GROUP BY incident_id")
	overdue := set(`SELECT o.incident_id AS id, COUNT(*) AS n FROM obligation o WHERE o.overdue_ms > 0
		AND (SELECT COUNT(*) FROM record_entries e WHERE e.action = 'obligation.overdue' AND e.object_id = o.id) = 1 GROUP BY o.incident_id`)
	past := set(fmt.Sprintf("SELECT incident_id AS id, COUNT(*) AS n FROM obligation WHERE due_ms > 0 AND due_ms <= %d GROUP BY incident_id", time.Now().UnixMilli()-5000))
	early := set("SELECT incident_id AS id, COUNT(*) AS n FROM obligation WHERE overdue_ms > 0 AND overdue_ms < due_ms GROUP BY incident_id")
	if err != nil {
		return nil, err
	}
	for _, d := range l.all {
		d.under.lost, d.under.missed = 0, 0
	}
	for _, d := range l.all {
		var wrong []string
		lose := func(bad bool, what string) {
			if bad {
				d.under.lost++
				wrong = append(wrong, "lost: "+what)
			}
		}
		miss := func(bad bool, what string) {
			if bad {
				d.under.missed++
				wrong = append(wrong, "clock: "+what)
			}
		}
		due := d.dueMs > 0 && time.Now().UnixMilli() > d.dueMs+5000
		switch d.kind {
		case "clock":
			lose(incidents[d.id] != 1 || declared[d.id] != 1, "an incident")
			lose(owed[d.id] == 0, "its obligations")
			miss(due && (past[d.id] == 0 || overdue[d.id] != past[d.id]), fmt.Sprintf("%d of %d obligations past their time are overdue once", overdue[d.id], past[d.id]))
			miss(early[d.id] > 0, "overdue before its time")
		case "order":
			lose(orders[d.id] != 1 || issued[d.id] != 1, "an order")
		case "lifted":
			lose(ended[d.id] != 1 || lifted[d.id] == 0, "that an order was lifted")
		case "lapsing":
			lose(orders[d.id] != 1 || issued[d.id] != 1, "an order that lapses")
			miss(due && (ended[d.id] != 2 || lapsed[d.id] != 1), fmt.Sprintf("an order did not lapse once (%d)", lapsed[d.id]))
		}
		if len(wrong) > 0 {
			problems = append(problems, fmt.Sprintf("under %q: %s %s: %s", d.under.name, d.kind, d.id, strings.Join(wrong, ", ")))
		}
	}
	return problems, nil
}
