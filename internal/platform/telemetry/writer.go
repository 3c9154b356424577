package telemetry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
)

// Run stores what is put, closes segments and keeps retention until ctx ends; then it stores what is
// still queued, closes the last segment and returns. Call it once.
func (l *Log) Run(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.keep(ctx)
	}()
	defer close(l.ended)
	var pending *batch
	for ctx.Err() == nil {
		select {
		case h := <-l.hands: // between two batches of our own, so that neither waits for the other's end
			l.handIn(ctx, h)
		default:
		}
		if pending == nil && l.q.empty() {
			if err := l.closeDue(ctx); err != nil {
				l.failed(ctx, err)
			}
			select {
			case <-ctx.Done():
			case <-l.q.wake:
			case h := <-l.hands:
				l.handIn(ctx, h)
			case <-l.clock.After(l.o.SegmentEvery / 4):
			}
			continue
		}
		if pending == nil {
			pending = l.take()
		}
		if err := l.write(ctx, pending); err != nil {
			l.failed(ctx, err)
			pending.answer(err)
			l.rest(ctx, time.Second)
			continue
		}
		pending.answer(nil)
		pending = nil
		if err := l.closeDue(ctx); err != nil {
			l.failed(ctx, err)
		}
		if l.o.Pause > 0 {
			l.rest(ctx, l.o.Pause)
		}
	}
	<-done
	// The path of requests has ended before: what is queued now is all there is.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return errors.Join(l.drain(last, pending), l.settle(last))
}

func (l *Log) drain(ctx context.Context, pending *batch) error {
	for pending != nil || !l.q.empty() {
		if pending == nil {
			pending = l.take()
		}
		err := l.write(ctx, pending)
		pending.answer(err)
		if err != nil {
			l.failed(ctx, err)
			lost := pending.rows()
			for !l.q.empty() {
				rest := l.take()
				rest.answer(err)
				lost += rest.rows()
			}
			l.counters.lost.Add(int64(lost))
			return fmt.Errorf("telemetry: %d rows could not be stored: %w", lost, err)
		}
		pending = nil
	}
	return l.closeNow(ctx)
}

// rest waits for d, not at all if a Flush is waiting or ctx ends.
func (l *Log) rest(ctx context.Context, d time.Duration) {
	wait := l.clock.After(d)
	for !l.q.marked() {
		select {
		case <-ctx.Done():
			return
		case <-l.urgent:
		case <-wait:
			return
		}
	}
}

// Flush returns when everything that was put before it is stored, or with the error that prevents it.
// It needs Run.
func (l *Log) Flush(ctx context.Context) error {
	mark := make(chan error, 1)
	l.q.put(item{mark: mark})
	select {
	case l.urgent <- struct{}{}:
	default:
	}
	select {
	case err := <-mark:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Log) failed(ctx context.Context, err error) {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return
	}
	l.counters.failures.Add(1)
	text := err.Error()
	l.lastError.Store(&text)
	l.o.Logger.Error("telemetry could not be stored; it is kept and tried again", "error", err)
}

// batch is what one transaction stores. Positions are given once, so that trying again changes nothing.
type batch struct {
	gateway    string // of a handed batch, with its number
	number     int64
	madeMs     int64
	nowMs      int64
	traffic    []Traffic
	signals    []Signal
	aggregates []Aggregate
	captures   []Capture
	contents   []*Content // of captures, until they are encrypted
	sealed     bool
	marks      []chan error
}

// answer tells those who wait in Flush how it went.
func (b *batch) answer(err error) {
	for _, m := range b.marks {
		m <- err // has room for the one answer
	}
	b.marks = nil
}

func (b *batch) rows() int { return len(b.traffic) + len(b.signals) + len(b.aggregates) }

// place gives each row its position.
func (l *Log) place(b *batch) {
	b.nowMs = max(clock.Ms(l.clock), StoredMs(l.lastSeq))
	next := func() int64 {
		l.lastSeq = max(l.lastSeq+1, SeqAt(b.nowMs))
		return l.lastSeq
	}
	for i := range b.signals {
		b.signals[i].Seq = next()
	}
	for i := range b.traffic {
		b.traffic[i].Seq = next()
	}
	for i := range b.aggregates {
		b.aggregates[i].Seq = next()
	}
	for i := range b.captures {
		b.captures[i].Seq = next()
	}
}

func (l *Log) take() *batch {
	items, folded, aggregates := l.q.take(l.o.BatchRows)
	b := &batch{aggregates: aggregates}
	for _, it := range items {
		switch {
		case it.mark != nil:
			b.marks = append(b.marks, it.mark)
		case it.signal != nil:
			b.signal(*it.signal, l.found.add)
		case it.traffic != nil:
			b.ended(*it.traffic)
		}
	}
	b.signals = append(b.signals, folded...)
	l.place(b)
	return b
}

// signal adds a row, and what is captured with it if first says that it is the first of its request.
func (b *batch) signal(s Signal, first func(request string) bool) {
	if s.Content != nil && first(s.RequestID) {
		b.capture(Capture{RequestID: s.RequestID, Stage: StageFound, ContentNo: s.ContentNo, ServiceID: s.ServiceID, Kind: s.Kind,
			Modality: s.Modality, Language: s.Language, Scope: subjectScope(s.Subject)}, s.Content)
	}
	s.Content = nil
	b.signals = append(b.signals, s)
}

// ended adds the row of a request that ended.
func (b *batch) ended(t Traffic) {
	if t.Content != nil {
		b.capture(Capture{RequestID: t.RequestID, Stage: StageEnded, ContentNo: t.ContentNo, ServiceID: t.ServiceID, Kind: t.Kind,
			Modality: t.Modality, Language: t.Language, Scope: subjectScope(t.Subject)}, t.Content)
	}
	t.Content = nil
	b.traffic = append(b.traffic, t)
}

func (b *batch) capture(c Capture, content *Content) {
	if content.size() == 0 {
		return
	}
	b.captures, b.contents = append(b.captures, c), append(b.contents, content)
}

// subjectScope is under whose key captured content lies. All unknown subjects share one.
func subjectScope(subject string) string {
	if subject == "" {
		subject = "unknown"
	}
	return "subject:" + subject
}

func (l *Log) write(ctx context.Context, b *batch) error {
	if b.rows() == 0 && b.gateway == "" {
		return nil
	}
	day := Day(b.nowMs)
	f, err := l.roll(ctx, day)
	if err != nil {
		return err
	}
	if !b.sealed {
		if err := l.encrypt(ctx, b); err != nil {
			return err
		}
	}
	if err := l.dropRepeated(ctx, b, day); err != nil {
		return err
	}
	if b.gateway != "" { // the gateway forgets what we have: it must survive the power switch
		if _, err := f.w.ExecContext(ctx, "PRAGMA synchronous = FULL"); err != nil {
			return err
		}
		defer f.w.ExecContext(context.WithoutCancel(ctx), "PRAGMA synchronous = NORMAL") //nolint:errcheck // then the next ones are only slower
	}
	var stored int64
	err = f.w.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		stored = 0
		if b.gateway != "" {
			n, err := insert(ctx, tx, []handed{{GatewayID: b.gateway, Number: b.number}})
			if err != nil {
				return err
			}
			if n == 0 {
				return errHanded
			}
		}
		n, err := insert(ctx, tx, b.signals)
		stored += n
		if err != nil {
			return err
		}
		n, err = insert(ctx, tx, b.traffic)
		stored += n
		if err != nil {
			return err
		}
		n, err = insert(ctx, tx, b.aggregates)
		stored += n
		if err != nil {
			return err
		}
		n, err = insert(ctx, tx, b.captures)
		l.counters.captured.Add(n)
		return err
	})
	if err != nil {
		return err
	}
	l.counters.stored.Add(stored)
	l.counters.duplicates.Add(int64(b.rows()) - stored)
	l.lastError.Store(nil)
	if l.segRows == 0 {
		l.segOpened = b.nowMs
	}
	l.segRows += stored
	l.bump()
	if l.segRows >= l.o.SegmentRows {
		return l.closeSegment(ctx, f)
	}
	return nil
}

// insert stores rows, passing over those that are stored already, and says how many were new.
func insert[T any](ctx context.Context, tx bun.Tx, rows []T) (int64, error) {
	const chunk = 200
	var stored int64
	for len(rows) > 0 {
		part := rows[:min(chunk, len(rows))]
		rows = rows[len(part):]
		res, err := tx.NewInsert().Model(&part).On("CONFLICT DO NOTHING").Exec(ctx)
		if err != nil {
			return stored, err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return stored, err
		}
		stored += n
	}
	return stored, nil
}

// roll gives the file of day, closing the one of the day before.
func (l *Log) roll(ctx context.Context, day string) (*dayFile, error) {
	l.mu.Lock()
	f := l.today
	l.mu.Unlock()
	if f != nil && f.day == day {
		return f, nil
	}
	if f != nil {
		if err := l.closeSegment(ctx, f); err != nil {
			return nil, err
		}
	}
	fresh, err := l.openDay(ctx, day)
	if err != nil {
		return nil, err
	}
	_, covered, err := bounds(ctx, fresh.r)
	if err != nil {
		return nil, errors.Join(err, fresh.close())
	}
	l.mu.Lock()
	old := l.yesterday
	l.today, l.yesterday = fresh, f
	l.mu.Unlock()
	l.segFrom, l.segRows = covered, 0
	if old != nil {
		if err := old.close(); err != nil {
			l.o.Logger.Warn("closing a day", "day", old.day, "error", err)
		}
	}
	if f != nil {
		if _, err := f.w.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
			l.o.Logger.Warn("the day could not be folded into one file", "day", f.day, "error", err)
		}
	}
	return fresh, nil
}

// repeatWithin is how long after midnight a row may still be handed in that yesterday's file holds.
const repeatWithin = time.Hour

// dropRepeated takes out rows that the file of the day before has already; within a file the unique
// columns do that.
func (l *Log) dropRepeated(ctx context.Context, b *batch, day string) error {
	start, err := time.Parse(dayLayout, day)
	if err != nil || b.nowMs-start.UnixMilli() > repeatWithin.Milliseconds() {
		return err
	}
	before := Day(start.UnixMilli() - 1)
	signals, traffic := make([]string, 0, len(b.signals)), make([]string, 0, len(b.traffic))
	for _, s := range b.signals {
		signals = append(signals, s.ID)
	}
	for _, t := range b.traffic {
		traffic = append(traffic, t.RequestID)
	}
	return ignoreMissing(l.onDay(ctx, before, func(db *bun.DB) error {
		known := map[string]bool{}
		for _, q := range []struct {
			sql string
			ids []string
		}{{"SELECT id FROM signal WHERE id IN (?)", signals}, {"SELECT request_id FROM traffic WHERE request_id IN (?)", traffic}} {
			if len(q.ids) == 0 {
				continue
			}
			var found []string
			if err := db.NewRaw(q.sql, bun.List(q.ids)).Scan(ctx, &found); err != nil {
				return err
			}
			for _, id := range found {
				known[id] = true
			}
		}
		if len(known) == 0 {
			return nil
		}
		before := b.rows()
		b.signals = keepIf(b.signals, func(s Signal) bool { return !known[s.ID] })
		b.traffic = keepIf(b.traffic, func(t Traffic) bool { return !known[t.RequestID] })
		l.counters.duplicates.Add(int64(before - b.rows()))
		return nil
	}))
}

func keepIf[T any](in []T, ok func(T) bool) []T {
	out := in[:0]
	for _, v := range in {
		if ok(v) {
			out = append(out, v)
		}
	}
	return out
}
