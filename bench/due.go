package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/watch"
)

const dueRows = 5000 // that fall due within one second

// duePart lets rows fall due evenly over one second, each with an effect of its own in the database.
func duePart(ctx context.Context, b *bench) ([]table, error) {
	s := &series{}
	for n := range b.runs {
		b.say("       due run %d of %d", n+1, b.runs)
		late, err := dueRun(ctx, filepath.Join(b.dir, fmt.Sprint("due", n)))
		if err != nil {
			return nil, err
		}
		s.add("p50", "ms", ms(percentile(late, 0.5)))
		s.add("p99", "ms", ms(percentile(late, 0.99)))
		s.add("max", "ms", ms(percentile(late, 1)))
	}
	return []table{{Part: "due", Title: "Due rows: how late they fire, 5,000 in one second", Keys: []string{"rows"},
		Rows:  []row{{Keys: []string{number(dueRows)}, Figures: s.figures()}},
		Notes: []string{"From the instant a row was due to the return of the commit that holds its effect (SQLite, synchronous FULL). None was lost and none fired twice; the run fails otherwise. No peer."}}}, nil
}

func dueRun(ctx context.Context, dir string) (_ []time.Duration, err error) {
	sys := clock.System()
	st, err := store.Open(ctx, store.Options{Dir: dir, Clock: sys, Hub: watch.New()})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	actor := store.System("bench")
	if err := st.Write(ctx, actor, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, "CREATE TABLE bench_effect (object_id TEXT NOT NULL, at_ms BIGINT NOT NULL)")
		return err
	}); err != nil {
		return nil, err
	}
	begin := clock.Ms(sys) + 2500 // setting them takes about half a second; looked at again below
	if err := st.Write(ctx, actor, func(tx *store.Tx) error {
		for i := range dueRows {
			if err := due.Set(ctx, tx, due.Row{Kind: "bench", ObjectKind: "bench", ObjectID: fmt.Sprint(i), IncidentKind: due.KindReal, DueMs: begin + int64(i)*1000/dueRows}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if clock.Ms(sys) >= begin {
		return nil, errors.New("the machine is too busy: the first rows were due before the last were set")
	}
	var mu sync.Mutex
	var late []time.Duration
	all := make(chan struct{})
	w := due.New(st, map[string]due.Handler{"bench": func(ctx context.Context, tx *store.Tx, r due.Row) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO bench_effect (object_id, at_ms) VALUES (?, ?)", r.ObjectID, tx.NowMs)
		return err
	}}, due.Options{OnFired: func(r due.Row, _ time.Duration) {
		d := sys.Now().Sub(time.UnixMilli(r.DueMs)) // after the commit, not at the transaction's instant
		mu.Lock()
		defer mu.Unlock()
		if late = append(late, d); len(late) == dueRows {
			close(all)
		}
	}})
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	select {
	case <-all:
	case <-ctx.Done():
	case <-time.After(60 * time.Second):
	}
	w.Stop()
	if err := errors.Join(<-done, ctx.Err()); err != nil {
		return nil, err
	}
	var effects, rows int
	if err := st.Read().NewRaw("SELECT COUNT(*), COUNT(DISTINCT object_id) FROM bench_effect").Scan(ctx, &effects, &rows); err != nil {
		return nil, err
	}
	if effects != dueRows || rows != dueRows {
		return nil, fmt.Errorf("%d effects of %d rows, of %d that were due", effects, rows, dueRows)
	}
	return late, nil
}
