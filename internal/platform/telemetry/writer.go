package telemetry

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
)

// Run stores what is put, closes segments and keeps retention until ctx ends; then it stores what is
// still queued, closes the last segment and returns. Call it once.
func (l *Log) Run(ctx context.Context) error {
	var beside sync.WaitGroup
	beside.Go(func() { l.keep(ctx) })
	beside.Go(func() { l.shelf.follow(ctx, l.bump) })
	defer close(l.ended)
	var pending *batch
	for ctx.Err() == nil {
		select {
		case h := <-l.hands: // between two batches of our own, so that neither waits for the other's end
			l.handIn(ctx, h)
		default:
		}
		if pending == nil && l.q.empty() {
			var again <-chan time.Time
			if l.lastError.Load() != nil {
				again = l.clock.After(time.Second)
			}
			select {
			case <-again:
				l.look(ctx)
			case <-ctx.Done():
			case <-l.q.wake:
			case h := <-l.hands:
				l.handIn(ctx, h)
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
		if l.o.Pause > 0 {
			l.rest(ctx, l.o.Pause)
		}
	}
	beside.Wait()
	// The path of requests has ended before: what is queued now is all there is.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return errors.Join(l.drain(last, pending), l.closeDue(last, true), l.settle(last))
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
	return nil
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

// look finds out whether rows could be stored again, when there are none: a gateway whose batch was refused may hand it in at another node.
func (l *Log) look(ctx context.Context) {
	if l.shelf.add(ctx, false, func(_ bun.IDB, _, last int64) (int64, error) { return last, nil }) == nil {
		l.lastError.Store(nil)
	}
}

// batch is what one transaction stores. Trying again changes nothing: rows are known by their ids, and a batch with rows that have
// none by its name.
type batch struct {
	name       string // the gateway's of a handed batch, with its number; "" if the rows' ids are enough
	number     int64
	madeMs     int64
	lasting    bool // whoever handed it in forgets it when it is stored
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

// place gives each row its position, after last.
func (b *batch) place(nowMs, last int64) (newest int64) {
	next := func() int64 {
		last = max(last+1, SeqAt(nowMs))
		return last
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
	return last
}

// plain takes out of every text what PostgreSQL does not store: one row must not hold up all others.
func (b *batch) plain() {
	for i := range b.signals {
		plain(&b.signals[i])
	}
	for i := range b.traffic {
		plain(&b.traffic[i])
	}
	for i := range b.captures {
		plain(&b.captures[i])
	}
}

func plain(row any) {
	for v, i := reflect.ValueOf(row).Elem(), 0; i < v.NumField(); i++ {
		f := v.Field(i)
		if f.Kind() != reflect.String {
			continue
		}
		if s := f.String(); strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
			f.SetString(strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD"))
		}
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
	if len(b.aggregates) > 0 {
		l.batches++
		b.name, b.number = l.name, l.batches
	}
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
	if b.rows() == 0 && b.name == "" {
		return nil
	}
	if !b.sealed {
		b.plain()
		if err := l.encrypt(ctx, b); err != nil {
			return err
		}
	}
	if err := l.dropRepeated(ctx, b); err != nil {
		return err
	}
	var stored, captured int64
	err := l.shelf.add(ctx, b.lasting, func(tx bun.IDB, nowMs, last int64) (newest int64, err error) {
		stored = 0
		if b.name != "" {
			if n, err := insert(ctx, tx, []handed{{Name: b.name, Number: b.number}}); err != nil {
				return last, err
			} else if n == 0 {
				return last, errHanded
			}
		}
		newest = b.place(nowMs, last)
		for _, some := range []func() (int64, error){
			func() (int64, error) { return insert(ctx, tx, b.signals) },
			func() (int64, error) { return insert(ctx, tx, b.traffic) },
			func() (int64, error) { return insert(ctx, tx, b.aggregates) },
		} {
			n, err := some()
			if err != nil {
				return last, err
			}
			stored += n
		}
		captured, err = insert(ctx, tx, b.captures)
		return newest, err
	})
	if errors.Is(err, errHanded) {
		l.lastError.Store(nil)
		l.counters.duplicates.Add(int64(b.rows()))
		return nil
	}
	if err != nil {
		return err
	}
	l.lastError.Store(nil)
	l.counters.stored.Add(stored)
	l.counters.captured.Add(captured)
	l.counters.duplicates.Add(int64(b.rows()) - stored)
	l.bump()
	if l.open += stored; l.open >= l.o.SegmentRows {
		l.open = 0
		l.full.Store(true)
		select {
		case l.segments <- struct{}{}:
		default:
		}
	}
	return nil
}

// insert stores rows, passing over those that are stored already, and says how many were new.
func insert[T any](ctx context.Context, tx bun.IDB, rows []T) (int64, error) {
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

// repeatWithin is how long after midnight a row may still be put that the day before holds.
const repeatWithin = time.Hour

// dropRepeated takes out rows that the day before has already; within a day the unique columns do that.
func (l *Log) dropRepeated(ctx context.Context, b *batch) error {
	nowMs := clock.Ms(l.clock)
	before := Day(nowMs - repeatWithin.Milliseconds())
	if before == Day(nowMs) {
		return nil
	}
	signals, traffic := make([]string, 0, len(b.signals)), make([]string, 0, len(b.traffic))
	for _, s := range b.signals {
		signals = append(signals, s.ID)
	}
	for _, t := range b.traffic {
		traffic = append(traffic, t.RequestID)
	}
	return ignoreMissing(l.shelf.read(ctx, before, func(db bun.IDB) error {
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
