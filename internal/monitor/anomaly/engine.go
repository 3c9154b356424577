package anomaly

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
)

const (
	readAtOnce    = 2000
	commitEvery   = time.Second     // joins reach the main database at most this often
	cursorAtLeast = 5 * time.Minute // the cursor moves at least so often while signals arrive
	retryAfter    = time.Second
)

// Engine follows the signals in telemetry and turns them into anomalies.
type Engine struct {
	st    *store.Store
	log   *telemetry.Log
	desk  *Desk
	clock clock.Clock
	out   *slog.Logger

	// Of the goroutine in Run alone.
	t         *tracker
	loaded    bool
	cursor    int64 // read up to here
	committed int64 // in the database up to here
	moves     int64 // how often it was committed, by any engine
	lastMs    int64 // of the last commit

	mu     sync.Mutex
	status EngineStatus
}

// EngineStatus is the view from outside.
type EngineStatus struct {
	Cursor    int64  `json:"cursor"`
	BehindMs  int64  `json:"behind_ms"` // age of the newest signal that is read; 0 before the first
	Active    int    `json:"active"`
	Windows   int    `json:"windows"`
	Opened    int64  `json:"opened"`
	Commits   int64  `json:"commits"`
	Orphans   int64  `json:"orphans"` // openings given up because their service does not exist or its drill is over
	Failures  int64  `json:"failures"`
	Failing   string `json:"failing,omitempty"`
	BeatMs    int64  `json:"beat_ms"` // when the loop last came round well
	RulesFrom string `json:"rules_edition"`
}

// NewEngine makes an engine; logger may be nil.
func NewEngine(st *store.Store, log *telemetry.Log, desk *Desk, logger *slog.Logger) *Engine {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	e := &Engine{st: st, log: log, desk: desk, clock: st.Clock(), out: logger, t: newTracker(desk.rules)}
	e.status.RulesFrom = desk.rules.Edition
	return e
}

// Status is where the engine stands.
func (e *Engine) Status() EngineStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status
}

// Run follows telemetry until ctx ends; then it commits what has joined.
func (e *Engine) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		changed := e.log.Changed()
		again, err := e.round(ctx)
		e.note(err)
		var wait time.Duration
		switch {
		case err != nil && ctx.Err() == nil:
			e.out.Error("signals could not be turned into anomalies; they are kept and tried again", "error", err)
			wait, changed = retryAfter, nil
		case again:
			continue
		case e.dirty():
			wait = commitEvery
		default:
			wait = time.Minute
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-e.clock.After(wait):
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if !e.loaded || !e.dirty() {
		return nil
	}
	if err := e.commit(last); !errors.Is(err, errMoved) {
		return err
	}
	return nil // the other goes on
}

func (e *Engine) note(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := &e.status
	s.Cursor, s.Active, s.Windows, s.Failing = e.cursor, len(e.t.active), len(e.t.windows), ""
	if e.cursor > 0 {
		s.BehindMs = max(0, clock.Ms(e.clock)-telemetry.StoredMs(e.cursor))
	}
	if err != nil {
		s.Failures++
		s.Failing = err.Error()
		return
	}
	s.BeatMs = clock.Ms(e.clock)
}

func (e *Engine) dirty() bool {
	for _, l := range e.t.active {
		if !l.stored || len(l.pending) > 0 {
			return true
		}
	}
	return len(e.t.late) > 0 || telemetry.StoredMs(e.cursor)-telemetry.StoredMs(e.committed) >= cursorAtLeast.Milliseconds()
}

// round reads what is new and commits if it is time; again says that there is more to read.
func (e *Engine) round(ctx context.Context) (again bool, err error) {
	if !e.loaded {
		if err := e.load(ctx); err != nil {
			e.t = newTracker(e.desk.rules) // begin anew
			return false, err
		}
		e.loaded = true
	}
	signals, err := e.log.Signals(ctx, e.cursor, readAtOnce)
	if err != nil {
		return false, err
	}
	opened := false
	for _, s := range signals {
		opened = e.t.feed(observe(s), telemetry.StoredMs(s.Seq)) || opened
		e.cursor = s.Seq
	}
	now := clock.Ms(e.clock)
	for _, l := range e.t.active {
		opened = opened || !l.stored // also one that an earlier failure left
	}
	if opened || (e.dirty() && (now-e.lastMs >= commitEvery.Milliseconds() || now < e.lastMs)) {
		if err := e.commit(ctx); errors.Is(err, errMoved) {
			e.loaded = false
			return true, nil
		} else if err != nil {
			return false, err
		}
	}
	e.t.forget(min(now, telemetry.StoredMs(e.cursor)) - e.desk.rules.longest().Milliseconds() - commitEvery.Milliseconds())
	return len(signals) == readAtOnce, nil
}

func observe(s telemetry.Signal) Observation {
	o := Observation{Kind: s.Kind, Group: s.Group, Deployment: s.DeploymentID, Count: s.Count, Signal: Signal{ID: s.ID, Source: "gateway", ServiceID: s.ServiceID,
		AtMs: s.AtMs, ContentNo: s.ContentNo, Subject: s.Subject, Tenant: s.Tenant, Rule: s.Rule, Risk: s.Risk, Action: s.Action, Side: s.Side,
		Modality: s.Modality, Language: s.Language}}
	if o.ContentNo == "" && s.Count == 1 {
		o.ContentNo = s.RequestID // refused before an answer was begun; the capture is filed under it
	}
	_ = json.Unmarshal([]byte(s.Subjects), &o.Subjects) // written by telemetry; without it only the subjects are fewer
	return o
}

// outcome is what a commit found out about one live anomaly.
type outcome struct {
	fingerprint string
	gone        bool // no such service, or its drill is over
	decidedMs   int64
	later       []arrival
	kept        int
}

// errMoved says that the engine of another node has committed since this one last did: what this one has in memory is not
// how things stand, and is read anew.
var errMoved = errors.New("anomaly: another engine has moved the cursor")

// commit brings the main database up to the cursor in one write, and again if that opened more.
func (e *Engine) commit(ctx context.Context) error {
	for again := true; again; {
		var outcomes []outcome
		fresh := int64(0)
		known, err := e.lateSubjects(ctx)
		if err != nil {
			return err
		}
		err = e.st.Write(ctx, store.System("anomaly"), func(tx *store.Tx) error {
			outcomes, fresh = outcomes[:0], 0
			var moves int64
			if err := tx.NewRaw("SELECT COALESCE(MAX(moves), 0) FROM anomaly_cursor").Scan(ctx, &moves); err != nil {
				return err
			}
			if moves != e.moves {
				return errMoved
			}
			for _, f := range sortedKeys(e.t.active) {
				l := e.t.active[f]
				if l.stored && len(l.pending) == 0 {
					continue
				}
				out, err := e.reflect(ctx, tx, f, l)
				if err != nil {
					return err
				}
				if !l.stored && !out.gone {
					fresh++
				}
				outcomes = append(outcomes, out)
			}
			for _, f := range sortedKeys(e.t.late) {
				if err := reflectLate(ctx, tx, e.t.late[f], known[f]); err != nil {
					return err
				}
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO anomaly_cursor (id, position, moves) VALUES (1, ?, ?) ON CONFLICT (id) DO UPDATE SET position = excluded.position, moves = excluded.moves`, e.cursor, e.moves+1)
			return err
		})
		if err != nil {
			return err
		}
		e.moves++
		e.committed, e.lastMs = e.cursor, clock.Ms(e.clock)
		e.mu.Lock()
		e.status.Commits++
		e.status.Opened += fresh
		e.mu.Unlock()
		again = false
		clear(e.t.late)
		for _, out := range outcomes {
			l := e.t.active[out.fingerprint]
			for _, p := range l.pending {
				for _, s := range p.o.subjects() {
					l.subjects[s] = struct{}{}
				}
			}
			l.pending, l.sample, l.stored, l.kept = nil, nil, true, out.kept
			switch {
			case out.gone:
				delete(e.t.active, out.fingerprint)
				e.mu.Lock()
				e.status.Orphans++
				e.mu.Unlock()
			case out.decidedMs > 0:
				again = e.t.settle(out.fingerprint, out.decidedMs, out.later) || again
			}
		}
	}
	return nil
}

// reflect writes one live anomaly with what joined it.
func (e *Engine) reflect(ctx context.Context, tx *store.Tx, f string, l *live) (outcome, error) {
	out := outcome{fingerprint: f, kept: l.kept}
	a := l.a
	if !l.stored {
		drill, err := drillOf(ctx, tx, a.ServiceID)
		if fault.KindOf(err) == fault.KindNotFound {
			out.gone = true
			return out, nil
		}
		if err != nil {
			return out, err
		}
		if drill != "" {
			over, err := tx.NewSelect().TableExpr("drill").Where("id = ? AND ended_ms > 0", drill).Count(ctx)
			if out.gone = over > 0; err != nil || out.gone { // nobody is left to decide it
				return out, err
			}
		}
		a.DrillID = drill
		if err := e.desk.open(ctx, tx, &a, individual(l.sample)); err != nil {
			return out, err
		}
		out.kept = len(l.sample)
	} else {
		var now Anomaly
		if err := tx.NewSelect().Model(&now).Column("state", "decided_ms").Where("id = ?", a.ID).Scan(ctx); err != nil {
			return out, err
		}
		if !slices.Contains(active, now.State) {
			out.decidedMs = now.DecidedMs
		}
	}
	var signals, lastMs, firstMs int64 = 0, a.LastMs, a.FirstMs
	fresh := map[string]struct{}{}
	var rows []Signal
	for i, p := range l.pending {
		if out.decidedMs > 0 && p.ms > out.decidedMs {
			out.later = l.pending[i:] // arrivals are in order
			break
		}
		signals += int64(p.o.Count)
		lastMs, firstMs = max(lastMs, p.o.AtMs), min(firstMs, p.o.AtMs)
		for _, s := range p.o.subjects() {
			if _, known := l.subjects[s]; !known {
				fresh[s] = struct{}{}
			}
		}
		if out.kept < maxKept && p.o.Count == 1 {
			rows = append(rows, p.o.Signal)
			out.kept++
		}
	}
	if signals == 0 {
		return out, nil
	}
	_, err := tx.ExecContext(ctx, `UPDATE anomaly SET signals = signals + ?, subjects = subjects + ?,
		first_ms = CASE WHEN first_ms < ? THEN first_ms ELSE ? END, last_ms = CASE WHEN last_ms > ? THEN last_ms ELSE ? END WHERE id = ?`,
		signals, len(fresh), firstMs, firstMs, lastMs, lastMs, a.ID)
	if err != nil {
		return out, err
	}
	tx.Touch(Topic)
	return out, keep(ctx, tx, a.ID, rows)
}

// reflectLate counts signals that were stored before a decision about their anomaly and read after it; subjects is how
// many it had in all, as far as telemetry still knows.
func reflectLate(ctx context.Context, tx *store.Tx, l *live, subjects int) error {
	var signals, lastMs int64
	for _, p := range l.pending {
		signals += int64(p.o.Count)
		lastMs = max(lastMs, p.o.AtMs)
	}
	_, err := tx.ExecContext(ctx, `UPDATE anomaly SET signals = signals + ?, subjects = CASE WHEN subjects > ? THEN subjects ELSE ? END,
		last_ms = CASE WHEN last_ms > ? THEN last_ms ELSE ? END WHERE id = ?`, signals, subjects, subjects, lastMs, lastMs, l.a.ID)
	tx.Touch(Topic)
	return err
}

// lateSubjects counts whom the decided anomalies with late signals concern, by fingerprint.
func (e *Engine) lateSubjects(ctx context.Context) (map[string]int, error) {
	out := map[string]int{}
	for f, l := range e.t.late {
		var openedMs, decidedMs, beforeMs int64
		err := e.st.Read().NewRaw(`SELECT a.opened_ms, a.decided_ms, (SELECT COALESCE(MAX(b.decided_ms), 0) FROM anomaly b
			WHERE b.fingerprint = a.fingerprint AND b.decided_ms < a.opened_ms) AS before_ms FROM anomaly a WHERE a.id = ?`, l.a.ID).Scan(ctx, &openedMs, &decidedMs, &beforeMs)
		if err != nil {
			return nil, err
		}
		window := time.Duration(e.t.rules.For(l.pending[0].o).Window).Milliseconds()
		begin := max(openedMs-max(1, window), beforeMs)
		spans, err := e.log.SubjectSpans(ctx, telemetry.SeqAt(begin+1)-1, min(telemetry.SeqAt(decidedMs+1)-1, e.cursor))
		if err != nil {
			return nil, err
		}
		names := map[string]struct{}{}
		e.concerned(spans, func(of string, _ *Rule, _ int64, subjects []string) {
			for _, name := range subjects {
				if of == f {
					names[name] = struct{}{}
				}
			}
		})
		out[f] = len(names)
	}
	return out, nil
}

// concerned tells for each span whose anomaly it belongs to, by fingerprint and rule, when it was last stored, and whom it concerns.
func (e *Engine) concerned(spans []telemetry.SubjectSpan, tell func(fingerprint string, rule *Rule, lastMs int64, subjects []string)) {
	for _, s := range spans {
		o := Observation{Kind: s.Kind, Group: s.UserGroup, Deployment: s.DeploymentID, Signal: Signal{Source: "gateway", ServiceID: s.ServiceID, Subject: s.Subject,
			Tenant: s.Tenant, Rule: s.Rule, Risk: s.Risk, Action: s.Action, Side: s.Side}}
		_ = json.Unmarshal([]byte(s.Subjects), &o.Subjects) // written by telemetry; without it only the subjects are fewer
		if rule := e.t.rules.For(o); rule != nil {
			tell(rule.fingerprint(o), rule, telemetry.StoredMs(s.Last), o.subjects())
		}
	}
}

// individual leaves out folded signals, which are no single observation.
func individual(in []Signal) []Signal {
	out := make([]Signal, 0, len(in))
	for _, s := range in {
		if s.ContentNo != "" || s.Subject != "" || len(in) == 1 {
			out = append(out, s)
		}
	}
	return out
}

// load builds the memory from the main database and telemetry, as it was when the last commit was made.
func (e *Engine) load(ctx context.Context) error {
	db := e.st.Read()
	// The cursor moves in the transaction that reflects the signals, so that none is counted twice or missed.
	if err := db.NewRaw("SELECT COALESCE(MAX(position), 0), COALESCE(MAX(moves), 0) FROM anomaly_cursor").Scan(ctx, &e.cursor, &e.moves); err != nil {
		return err
	}
	e.committed = e.cursor
	t := newTracker(e.desk.rules)
	e.t = t
	window := e.desk.rules.longest().Milliseconds()
	horizon := max(0, telemetry.StoredMs(e.cursor)-window)

	var rows []Anomaly
	if err := db.NewSelect().Model(&rows).Where("state IN (?)", bun.List(active)).Order("opened_ms", "id").Scan(ctx); err != nil {
		return err
	}
	oldest := e.cursor
	for _, a := range rows {
		n, err := db.NewSelect().Model((*Signal)(nil)).Where("anomaly_id = ?", a.ID).Count(ctx)
		if err != nil {
			return err
		}
		t.active[a.Fingerprint] = &live{a: a, stored: true, subjects: map[string]struct{}{}, kept: int(n)}
		oldest = min(oldest, telemetry.SeqAt(max(0, a.OpenedMs-window))-1)
	}
	var past []struct { // of years, if something has waited for so long
		ID, Fingerprint string
		DecidedMs       int64
	}
	// Also decisions before the horizon matter to the subjects of anomalies that opened after them.
	since := min(horizon, telemetry.StoredMs(oldest))
	if err := db.NewSelect().Table("anomaly").Column("id", "fingerprint", "decided_ms").Where("decided_ms > ?", since).Order("decided_ms").Scan(ctx, &past); err != nil {
		return err
	}
	for _, p := range past {
		t.decided[p.Fingerprint] = ending{p.DecidedMs, p.ID}
	}
	if err := e.loadSubjects(ctx, oldest); err != nil {
		return err
	}
	for at := telemetry.SeqAt(horizon); at < e.cursor; {
		signals, err := e.log.Signals(ctx, at, readAtOnce)
		if err != nil {
			return err
		}
		for _, s := range signals {
			if s.Seq > e.cursor {
				return nil
			}
			t.warm(observe(s), telemetry.StoredMs(s.Seq))
			at = s.Seq
		}
		if len(signals) < readAtOnce {
			return nil
		}
	}
	return nil
}

// loadSubjects finds again who the signals of active anomalies came from.
func (e *Engine) loadSubjects(ctx context.Context, oldest int64) error {
	if len(e.t.active) == 0 {
		return nil
	}
	spans, err := e.log.SubjectSpans(ctx, oldest, e.cursor)
	if err != nil {
		return err
	}
	e.concerned(spans, func(f string, rule *Rule, lastMs int64, subjects []string) {
		l := e.t.active[f]
		// The signal that opened it is in its window, even if that has no length.
		if l == nil || lastMs <= max(l.a.OpenedMs-max(1, time.Duration(rule.Window).Milliseconds()), e.t.decided[f].ms) {
			return
		}
		for _, name := range subjects {
			l.subjects[name] = struct{}{}
		}
	})
	return nil
}

func sortedKeys(m map[string]*live) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
