package due

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// AuditTopic is woken when a row or a message was given up, so that the page does not wait for the minute.
const AuditTopic = "audit"

// Why something is paged about.
const (
	ReasonNoAttempt  = "no_attempt" // past due, and nobody has tried
	ReasonFailing    = "failing"    // past due, tried, not done
	ReasonGivenUp    = "given_up"   // waits for a person
	ReasonStale      = "stale"      // a loop does not come round
	ReasonUnreadable = "unreadable" // the auditor cannot see
)

// Overdue is one thing that should have happened and has not.
type Overdue struct {
	Source       string // due, outbox, cycle
	ID           string
	Reason       string
	IncidentKind string
	What         string // kind of the row, template of the message
	ObjectKind   string
	ObjectID     string
	DueMs        int64
	Attempts     int
}

// Page is one call for help about overdue things of one source, reason and incident kind.
type Page struct {
	Source       string
	Reason       string
	IncidentKind string
	Count        int
	OldestMs     int64     // due time of the oldest
	Times        int       // how often the oldest-paged of them has been paged about, this page included
	Items        []Overdue // the oldest ones, at most ten
	AtMs         int64
}

// Source finds what is overdue by more than grace. Rows and the outbox are sources.
type Source interface {
	Overdue(ctx context.Context, nowMs int64, grace time.Duration) ([]Overdue, error)
}

// Pager calls people by a channel that does not depend on the worker, the outbox or the write path.
type Pager interface {
	Page(ctx context.Context, p Page) (receipt string, err error)
}

// AuditOptions tune an auditor. Zero values mean the default.
type AuditOptions struct {
	Every      time.Duration // default 1 min
	Grace      time.Duration // how late is overdue; default 30 s
	Escalation time.Duration // the same row is paged about again after this long; default 15 min
	Stale      time.Duration // a watched cycle is stale after this long; default 1 min
	Timeout    time.Duration // for each query, page and write; default 5 s
	Watch      []*Cycle      // loops whose heartbeat is audited
	Node       string        // tells the loops of this process from those of others; default: none
	Log        *slog.Logger  // default: discards
}

// Auditor looks each minute for what nobody did. It shares nothing with the worker but the database
// file: own loop, read connections, own channel.
type Auditor struct {
	st      *store.Store
	pager   Pager
	sources []Source
	o       AuditOptions
	clock   clock.Clock
	cycle   *Cycle
	pages   map[pageKey]paged
	beats   map[string]int64 // heartbeats seen in the round before
}

type pageKey struct{ source, id, reason string }

type groupKey struct{ source, reason, incidentKind string }

type paged struct {
	times  int
	lastMs int64
}

// NewAuditor makes an auditor of the due rows and of the further sources.
func NewAuditor(st *store.Store, pager Pager, o AuditOptions, sources ...Source) *Auditor {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&o.Every, time.Minute)
	def(&o.Grace, 30*time.Second)
	def(&o.Escalation, 15*time.Minute)
	def(&o.Stale, time.Minute)
	def(&o.Timeout, 5*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Auditor{
		st: st, pager: pager, o: o, clock: st.Clock(), pages: map[pageKey]paged{}, beats: map[string]int64{},
		sources: append([]Source{Rows{st.Read()}}, sources...),
		cycle:   NewCycle("audit", clock.Ms(st.Clock())),
	}
}

// Cycle is the auditor's heartbeat. It does not beat when a source cannot be read or a page cannot be sent.
func (a *Auditor) Cycle() *Cycle { return a.cycle }

// Run audits after the grace, which a worker that has just started needs to catch up, then each
// minute and when something is given up, until ctx ends.
func (a *Auditor) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-a.clock.After(a.o.Grace):
	}
	for ctx.Err() == nil {
		var changed <-chan struct{}
		if hub := a.st.Hub(); hub != nil {
			_, changed = hub.Watch(AuditTopic)
		}
		begun := clock.Ms(a.clock)
		if err := a.Audit(ctx); err != nil && ctx.Err() == nil {
			a.o.Log.Error("audit of overdue rows failed", "error", err)
		}
		timer := a.clock.After(a.o.Every)
		if clock.Ms(a.clock)-begun >= a.o.Every.Milliseconds() {
			continue // the clock moved on between the audit and the timer
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer:
		}
	}
	return nil
}

// Audit is one round: find what is overdue, page about what was not paged about within the
// escalation interval. It is exported for a drill of the auditor itself; Run calls it.
func (a *Auditor) Audit(ctx context.Context) error {
	now := clock.Ms(a.clock)
	found, failed := a.find(ctx, now)
	groups := map[groupKey][]Overdue{}
	open := map[pageKey]bool{}
	for _, o := range found {
		open[pageKey{o.Source, o.ID, o.Reason}] = true
	}
	a.load(ctx, open)
	for _, o := range found {
		k := pageKey{o.Source, o.ID, o.Reason}
		p, known := a.pages[k]
		// A last page in the future is the trace of a clock that was ahead; it must not silence the row.
		if known && p.lastMs <= now && now-p.lastMs < a.o.Escalation.Milliseconds() {
			continue
		}
		g := groupKey{o.Source, o.Reason, o.IncidentKind}
		groups[g] = append(groups[g], o)
	}
	var over []pageKey
	for k := range a.pages {
		if !open[k] && failed == nil {
			delete(a.pages, k) // it happened after all; the next time is a new matter
			over = append(over, k)
		}
	}
	a.forget(ctx, over)
	for g, items := range groups {
		if err := a.page(ctx, g, items, now); err != nil {
			failed = err
		}
	}
	if failed != nil {
		a.cycle.Fail()
		return failed
	}
	a.cycle.Beat(now)
	return nil
}

func (a *Auditor) find(ctx context.Context, now int64) (found []Overdue, failed error) {
	for i, s := range a.sources {
		qctx, cancel := context.WithTimeout(ctx, a.o.Timeout)
		some, err := s.Overdue(qctx, now, a.o.Grace)
		cancel()
		if err != nil {
			failed = fmt.Errorf("audit source %d: %w", i, err)
			some = []Overdue{{Source: "audit", ID: fmt.Sprintf("source-%d", i), Reason: ReasonUnreadable, IncidentKind: KindReal, DueMs: now}}
		}
		found = append(found, some...)
	}
	for _, c := range a.o.Watch {
		// Twice the same heartbeat, so that a machine that wakes from suspension is not taken for a stuck loop.
		last, before := c.LastMs(), a.beats[c.Name()]
		a.beats[c.Name()] = last
		if c.Age(now) > a.o.Stale && last == before {
			found = append(found, Overdue{Source: "cycle", ID: strings.TrimPrefix(a.o.Node+"/"+c.Name(), "/"), Reason: ReasonStale, IncidentKind: KindReal, What: c.Name(), DueMs: c.LastMs()})
		}
	}
	return found, failed
}

func (a *Auditor) page(ctx context.Context, group groupKey, items []Overdue, now int64) error {
	slices.SortFunc(items, func(x, y Overdue) int { return cmp.Or(cmp.Compare(x.DueMs, y.DueMs), cmp.Compare(x.ID, y.ID)) })
	g := Page{
		Source: group.source, Reason: group.reason, IncidentKind: group.incidentKind,
		Count: len(items), OldestMs: items[0].DueMs, Items: items[:min(len(items), 10)], AtMs: now,
	}
	for _, o := range items {
		g.Times = max(g.Times, a.pages[pageKey{o.Source, o.ID, o.Reason}].times+1)
	}
	pctx, cancel := context.WithTimeout(ctx, a.o.Timeout)
	receipt, err := a.pager.Page(pctx, g)
	cancel()
	if err != nil {
		// Not noted as paged, so the next round tries again.
		return fmt.Errorf("page about %d overdue rows of %s: %w", len(items), g.Source, err)
	}
	a.o.Log.Warn("paged about overdue rows", "source", g.Source, "reason", g.Reason, "count", g.Count, "times", g.Times)
	for _, o := range items {
		k := pageKey{o.Source, o.ID, o.Reason}
		a.pages[k] = paged{a.pages[k].times + 1, now}
	}
	a.keep(ctx, items, receipt)
	return nil
}

// keep stores what was paged about, for the next start. The write path may be the very thing that is
// stuck, so it is given up after the timeout; then a restart pages once more, which does no harm.
func (a *Auditor) keep(ctx context.Context, items []Overdue, receipt string) {
	ctx, cancel := context.WithTimeout(ctx, a.o.Timeout)
	defer cancel()
	err := a.st.Write(ctx, store.System("audit"), func(tx *store.Tx) error {
		for _, o := range items {
			p := a.pages[pageKey{o.Source, o.ID, o.Reason}]
			if _, err := tx.NewRaw(`INSERT INTO overdue_page (source, row_id, reason, times, last_ms, receipt) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT (source, row_id, reason) DO UPDATE SET times = excluded.times, last_ms = excluded.last_ms, receipt = excluded.receipt`,
				o.Source, o.ID, o.Reason, p.times, p.lastMs, receipt).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		a.o.Log.Warn("pages were sent but could not be noted", "error", err)
	}
}

// forget takes back what was kept about matters that are over. Where that fails, one that comes up again within the
// escalation interval is paged about at its end.
func (a *Auditor) forget(ctx context.Context, over []pageKey) {
	if len(over) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, a.o.Timeout)
	defer cancel()
	err := a.st.Write(ctx, store.System("audit"), func(tx *store.Tx) error {
		for _, k := range over {
			if _, err := tx.NewRaw("DELETE FROM overdue_page WHERE source = ? AND row_id = ? AND reason = ?", k.source, k.id, k.reason).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		a.o.Log.Warn("pages about matters that are over could not be forgotten", "error", err)
	}
}

// load reads what an earlier process, or another node, has paged about what is open.
func (a *Auditor) load(ctx context.Context, open map[pageKey]bool) {
	if len(open) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, a.o.Timeout)
	defer cancel()
	var rows []struct {
		Source, RowID, Reason string
		Times                 int
		LastMs                int64
	}
	since := clock.Ms(a.clock) - a.o.Escalation.Milliseconds()
	if err := a.st.Read().NewRaw("SELECT source, row_id, reason, times, last_ms FROM overdue_page WHERE last_ms > ?", since).Scan(ctx, &rows); err != nil {
		a.o.Log.Warn("earlier pages could not be read", "error", err)
		return
	}
	for _, r := range rows {
		if k := (pageKey{r.Source, r.RowID, r.Reason}); open[k] && a.pages[k].lastMs < r.LastMs {
			a.pages[k] = paged{r.Times, r.LastMs}
		}
	}
}

// Rows is the source of overdue due rows. It reads through Read and an index over open rows only.
type Rows struct{ Read bun.IDB }

const overdueRows = `SELECT id, kind, incident_kind, object_kind, object_id, due_ms, state, attempts
	FROM due WHERE state IN ('pending', 'failed') AND due_ms < ? ORDER BY due_ms LIMIT 20000`

// Overdue lists the rows past due by more than grace: never attempted, failing, or given up.
func (s Rows) Overdue(ctx context.Context, nowMs int64, grace time.Duration) ([]Overdue, error) {
	var rows []Row
	if err := s.Read.NewRaw(overdueRows, nowMs-grace.Milliseconds()).Scan(ctx, &rows); err != nil {
		return nil, err
	}
	out := make([]Overdue, 0, len(rows))
	for _, r := range rows {
		reason := ReasonNoAttempt
		switch {
		case r.State == Failed:
			reason = ReasonGivenUp
		case r.Attempts > 0:
			reason = ReasonFailing
		}
		out = append(out, Overdue{Source: "due", ID: r.ID, Reason: reason, IncidentKind: r.IncidentKind, What: r.Kind,
			ObjectKind: r.ObjectKind, ObjectID: r.ObjectID, DueMs: r.DueMs, Attempts: r.Attempts})
	}
	return out, nil
}
