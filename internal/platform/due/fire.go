package due

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/trace"
)

// rowError says which row of a batch failed.
type rowError struct {
	row Row
	err error
}

func (e *rowError) Error() string { return "due row " + e.row.ID + ": " + e.err.Error() }
func (e *rowError) Unwrap() error { return e.err }

// fireBatch fires a batch of rows never attempted before in one transaction and reports whether there
// were any. A handler that fails takes the whole transaction back: the failure is noted on its row,
// which then waits, and the others are fired again in smaller batches, so that one bad row neither
// blocks nor spoils its neighbours. (Savepoints would not do: entries for the record and touched
// topics live outside SQL.)
func (w *Worker) fireBatch(ctx context.Context) (bool, error) {
	var claimed, fired []Row
	err := w.write(ctx, func(ctx context.Context, tx *store.Tx) error {
		claimed, fired = nil, nil // the transaction may be run again
		if err := tx.NewRaw(`UPDATE due SET owner = ?, lease_until_ms = ? WHERE id IN (
				SELECT id FROM due WHERE state = 'pending' AND attempts = 0 AND next_ms <= ? AND kind IN (?) ORDER BY next_ms LIMIT ?)
			RETURNING *`, w.o.Owner, tx.NowMs+w.lease().Milliseconds(), tx.NowMs, w.kinds, w.batch).Scan(ctx, &claimed); err != nil {
			return fmt.Errorf("claim due rows: %w", err)
		}
		slices.SortFunc(claimed, func(a, b Row) int { return cmp.Or(cmp.Compare(a.DueMs, b.DueMs), cmp.Compare(a.ID, b.ID)) })
		begun := w.clock.Now()
		for i, r := range claimed {
			// Other writers wait for this transaction, so it gives the rest back when it has lasted long enough.
			if i > 0 && w.clock.Now().Sub(begun) > w.o.Hold {
				return giveBack(ctx, tx, claimed[i:])
			}
			r.Attempts, r.FirstAttemptMs = 1, tx.NowMs
			done, err := w.fire(ctx, tx, &r)
			if err != nil {
				return err
			}
			if done {
				fired = append(fired, r)
			}
		}
		return nil
	})
	if err == nil {
		w.batch = min(w.batch*2, w.o.Batch)
		w.report(fired)
		return len(claimed) > 0, nil
	}
	if ctx.Err() != nil || len(claimed) == 0 {
		return false, err
	}
	var bad *rowError
	switch {
	case errors.As(err, &bad):
		bad.row.Attempts, bad.row.FirstAttemptMs = 1, clock.Ms(w.clock)
	case len(claimed) == 1 && fault.KindOf(err) != fault.KindUnavailable:
		// The commit itself failed with only this row in it: what its handler left behind is at fault.
		bad = &rowError{claimed[0], err}
		bad.row.Attempts, bad.row.FirstAttemptMs = 1, clock.Ms(w.clock)
	case w.batch > 1:
		w.batch = 1
		return true, nil
	default:
		return false, err
	}
	w.batch = max(1, w.batch/4)
	return true, w.note(ctx, bad.row, bad.err)
}

// giveBackSQL names the rows: who looked for them by their owner would read all that waits.
const giveBackSQL = "UPDATE due SET owner = '', lease_until_ms = 0 WHERE id IN (?) AND state = 'pending' AND attempts = 0"

func giveBack(ctx context.Context, tx *store.Tx, rest []Row) error {
	ids := make([]string, len(rest))
	for i, r := range rest {
		ids[i] = r.ID
	}
	_, err := tx.NewRaw(giveBackSQL, bun.List(ids)).Exec(ctx)
	return err
}

// retry gives the rows whose attempts failed another one, each in its own transaction, a few a round so
// that fresh rows do not wait behind a flood of bad ones. The attempt is counted before it is made: one
// that takes the process down is not tried again at once.
func (w *Worker) retry(ctx context.Context) (bool, error) {
	for i := range 8 {
		var claimed []Row
		if err := w.write(ctx, func(ctx context.Context, tx *store.Tx) error {
			claimed = nil
			return tx.NewRaw(`UPDATE due SET owner = ?, lease_until_ms = ?, next_ms = ?, attempts = attempts + 1 WHERE id IN (
					SELECT id FROM due WHERE state = 'pending' AND attempts > 0 AND next_ms <= ? AND lease_until_ms <= ? AND kind IN (?) ORDER BY next_ms LIMIT 1)
				RETURNING *`, w.o.Owner, tx.NowMs+w.lease().Milliseconds(), tx.NowMs+w.lease().Milliseconds(), tx.NowMs, tx.NowMs, w.kinds).Scan(ctx, &claimed)
		}); err != nil {
			return false, fmt.Errorf("claim a due row for another attempt: %w", err)
		}
		if len(claimed) == 0 {
			return i > 0, nil
		}
		r, done := claimed[0], false
		err := w.write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			done, err = w.fire(ctx, tx, &r)
			return err
		})
		var bad *rowError
		switch {
		case errors.As(err, &bad):
			err = bad.err
			fallthrough
		case err != nil:
			if err := w.note(ctx, r, err); err != nil {
				return true, err
			}
		case done:
			w.report([]Row{r})
		}
		if ctx.Err() != nil {
			return true, nil
		}
	}
	return true, nil
}

// fire marks one claimed row as fired and runs its handler. It reports false for a row that an earlier
// handler, or another transaction, has moved or cancelled since it was claimed.
func (w *Worker) fire(ctx context.Context, tx *store.Tx, r *Row) (bool, error) {
	res, err := tx.NewRaw(`UPDATE due SET state = 'fired', fired_ms = ?, attempts = ?, first_attempt_ms = ?, lease_until_ms = 0, last_error = ''
		WHERE id = ? AND state = 'pending' AND owner = ?`, tx.NowMs, r.Attempts, r.FirstAttemptMs, r.ID, w.o.Owner).Exec(ctx)
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	r.State, r.FiredMs = Fired, tx.NowMs
	if err := w.call(ctx, w.handlers[r.Kind], tx, *r); err != nil {
		return false, &rowError{*r, err}
	}
	return true, nil
}

func (w *Worker) call(ctx context.Context, h Handler, tx *store.Tx, r Row) (err error) {
	defer func() {
		if p := recover(); p != nil {
			w.o.Log.ErrorContext(about(ctx, r), "due handler panicked", "kind", r.Kind, "row", r.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return h(ctx, tx, r)
}

// about lets the log name the incident that a row is of.
func about(ctx context.Context, r Row) context.Context {
	if r.ObjectKind != "incident" {
		return ctx
	}
	return trace.About(ctx, r.ObjectID)
}

// note keeps a failed attempt and its error in a small write of its own. A row that was moved or
// cancelled in the meantime is left alone.
func (w *Worker) note(ctx context.Context, r Row, cause error) error {
	w.o.Log.WarnContext(about(ctx, r), "due row failed", "kind", r.Kind, "row", r.ID, "object", r.ObjectID, "attempt", r.Attempts, "error", cause)
	state, msg := Pending, []rune(cause.Error())
	if r.Attempts >= w.o.MaxAttempts {
		state = Failed
	}
	return w.write(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.NewRaw(`UPDATE due SET state = ?, attempts = ?, first_attempt_ms = ?, next_ms = ?, owner = '', lease_until_ms = 0, last_error = ?
			WHERE id = ? AND state = 'pending' AND due_ms = ? AND set_ms = ?`,
			state, r.Attempts, r.FirstAttemptMs, tx.NowMs+w.backoff(r.Attempts).Milliseconds(), string(msg[:min(len(msg), 500)]), r.ID, r.DueMs, r.SetMs).Exec(ctx)
		if state == Failed {
			tx.Touch(AuditTopic)
		}
		return err
	})
}

// write is store.Write with the worker's own deadline; a stop does not cut it short.
func (w *Worker) write(ctx context.Context, fn func(ctx context.Context, tx *store.Tx) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.o.HandlerTimeout)
	defer cancel()
	return w.st.Write(ctx, store.System("due"), func(tx *store.Tx) error { return fn(ctx, tx) })
}

func (w *Worker) report(fired []Row) {
	for _, r := range fired {
		w.o.OnFired(r, time.Duration(r.FiredMs-r.DueMs)*time.Millisecond)
	}
}
