package doctor

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/notify"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/standard"
)

// late is how long what is due may wait.
const late = time.Minute

// gateways looks at who passes the traffic, as long as somebody is there to hear of them.
func (p *patient) gateways(ctx context.Context) error {
	if !p.serving {
		return nil
	}
	rows, err := containment.Gateways(ctx, p.db)
	if err != nil {
		return err
	}
	var revision int64
	if err := p.db.NewRaw("SELECT revision FROM bundle_state WHERE id = 1").Scan(ctx, &revision); err != nil {
		return err
	}
	by := map[string][]string{}
	for _, g := range rows {
		s := g.Standing(p.nowMs(), revision)
		by[s] = append(by[s], g.ID)
	}
	lost, behind, idle := by[containment.Lost], by[containment.Behind], by[containment.Idle]
	if len(lost) > 0 {
		p.bad("gateways", "doctor.gateways_lost", "gateways", strings.Join(lost, ", "))
	}
	if len(behind) > 0 {
		p.bad("gateways", "doctor.gateways_behind", "gateways", strings.Join(behind, ", "), "revision", revision)
	}
	if len(idle) > 0 {
		p.bad("gateways", "doctor.gateways_idle", "gateways", strings.Join(idle, ", "))
	}
	var services int
	if err := p.db.NewRaw("SELECT COUNT(*) FROM service").Scan(ctx, &services); err != nil {
		return err
	}
	switch {
	case len(rows) == 0 && services > 0:
		p.bad("gateways", "doctor.gateways_none", "services", services)
	case len(lost)+len(behind)+len(idle) == 0:
		p.ok("gateways", "doctor.gateways", "count", len(rows))
	}
	return nil
}

// duties looks at what is due.
func (p *patient) duties(ctx context.Context) error {
	return p.backlog(ctx, "due", due.CountBacklog, "SELECT COUNT(*) FROM due WHERE state = 'failed'", "doctor.due_given_up", "doctor.due_late", "doctor.due")
}

// messages looks at what has not left.
func (p *patient) messages(ctx context.Context) error {
	return p.backlog(ctx, "outbox", notify.CountBacklog, "SELECT COUNT(*) FROM outbox WHERE state IN ('failed', 'refused')", "doctor.outbox_stuck", "doctor.outbox_late", "doctor.outbox")
}

// backlog looks at a queue: what was given up, by a query that counts it, and what else waits too long. The keys are of what it says of them, and of a
// queue that is well.
func (p *patient) backlog(ctx context.Context, check string, count func(context.Context, bun.IDB, int64) (due.Backlog, error), givenUp, stuckKey, lateKey, fineKey string) error {
	b, err := count(ctx, p.db, p.nowMs())
	if err != nil {
		return err
	}
	var stuck int64
	if err := p.db.NewRaw(givenUp).Scan(ctx, &stuck); err != nil {
		return err
	}
	wait := time.Duration(0)
	if b.OldestDueMs > 0 {
		wait = time.Duration(p.nowMs()-b.OldestDueMs) * time.Millisecond
	}
	if stuck > 0 {
		p.bad(check, stuckKey, "count", stuck)
	}
	if b.Overdue > stuck && wait > late {
		p.bad(check, lateKey, "count", b.Overdue-stuck, "wait", wait.Round(time.Second))
	} else if stuck == 0 {
		p.ok(check, fineKey, "count", b.Pending)
	}
	return nil
}

// channels looks at whether staff would be reached away from the desk.
func (p *patient) channels(ctx context.Context) error {
	var rows []struct{ ID, Name, Class, Tested string }
	if err := p.db.NewRaw(`SELECT c.id, c.name, c.class, COALESCE((SELECT o.state FROM outbox o WHERE o.object_kind = 'channel' AND o.object_id = c.id ORDER BY o.queued_ms DESC, o.id DESC LIMIT 1), '') AS tested
		FROM channel c WHERE c.state = 'active' AND NOT c.simulated ORDER BY c.name`).Scan(ctx, &rows); err != nil {
		return err
	}
	var never, failed []string
	staff := p.App.Webhook != ""
	for _, c := range rows {
		staff = staff || c.Class == string(notify.Staff)
		if c.Class == string(notify.Authority) {
			continue // nobody tests by writing to an authority
		}
		switch c.Tested {
		case "":
			never = append(never, c.Name)
		case "failed", "refused":
			failed = append(failed, c.Name)
		}
	}
	if !staff {
		p.warn("channels", "doctor.channels_none")
	}
	if len(never) > 0 {
		p.warn("channels", "doctor.channels_untested", "channels", strings.Join(never, ", "))
	}
	if len(failed) > 0 {
		p.bad("channels", "doctor.channels_failed", "channels", strings.Join(failed, ", "))
	}
	if staff && len(never)+len(failed) == 0 {
		p.ok("channels", "doctor.channels", "count", len(rows))
	}
	return nil
}

// rules sees whether this program knows the rules, and the editions that open incidents were pinned to.
func (p *patient) rules(ctx context.Context) {
	book, err := standard.Load()
	if err != nil {
		p.bad("rules", "doctor.rules_broken", "why", err)
		return
	}
	known := []string{}
	for _, e := range book.Editions() {
		known = append(known, e.ID)
	}
	var pinned []string
	if p.db != nil {
		if err := p.db.NewRaw("SELECT DISTINCT editions FROM incident WHERE state <> 'closed'").Scan(ctx, &pinned); err != nil {
			return // the checks of the database say why
		}
	}
	var missing []string
	for _, text := range pinned {
		var ids []string
		if json.Unmarshal([]byte(text), &ids) != nil {
			continue
		}
		for _, id := range ids {
			if !slices.Contains(known, id) && !slices.Contains(missing, id) {
				missing = append(missing, id)
			}
		}
	}
	if len(missing) > 0 {
		p.bad("rules", "doctor.rules_edition", "editions", strings.Join(missing, ", "))
		return
	}
	p.ok("rules", "doctor.rules", "editions", strings.Join(known, ", "))
}
