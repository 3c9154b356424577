package telemetry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// MaxBatchRows is how many rows one handed batch may hold.
const MaxBatchRows = 10_000

// Batch is what a gateway that is a process of its own kept on its disk and hands in. GatewayID and Number name it: the
// same two always mean the same rows. MadeMs is when the gateway closed it, UTC milliseconds, the same at each attempt. Rows
// are as for PutTraffic and PutSignal, except that a signal into which several were folded keeps Count and Subjects.
type Batch struct {
	GatewayID  string      `json:"gateway_id"`
	Number     int64       `json:"number"`
	MadeMs     int64       `json:"made_ms"`
	Traffic    []Traffic   `json:"traffic"`
	Signals    []Signal    `json:"signals"`
	Aggregates []Aggregate `json:"aggregates"`
}

// handing is a batch on its way to the writer.
type handing struct {
	b      *batch
	answer chan error // has room for the one answer
}

// handed is the row that says that a batch is stored; it commits with its rows.
type handed struct {
	bun.BaseModel `bun:"table:handed"`
	Name          string `bun:"gateway_id"`
	Number        int64
}

// errHanded undoes a transaction whose batch is stored already.
var errHanded = errors.New("telemetry: the batch is stored already")

// Hand stores a batch and returns when it is on the disk. A batch that was stored before, also by another call that was
// never answered, changes nothing and is no error. It needs Run, and waits while the writer is busy until ctx ends.
// Errors: fault invalid with field batch and telemetry.bad_batch (no gateway, no number, or too many rows); else it was not
// stored, or nobody knows, and is to be handed in again.
func (l *Log) Hand(ctx context.Context, in Batch) error {
	if rows := len(in.Traffic) + len(in.Signals) + len(in.Aggregates); in.GatewayID == "" || in.Number <= 0 || rows > MaxBatchRows {
		return fault.Invalid("batch", "telemetry.bad_batch", "most", fmt.Sprint(MaxBatchRows))
	}
	h := handing{b: l.accept(in), answer: make(chan error, 1)}
	select {
	case l.hands <- h:
	case <-l.ended:
		return fault.Unavailable("telemetry.ended")
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-h.answer:
		return err
	case <-ctx.Done():
		return ctx.Err() // it may be stored or not: the same number again finds out
	}
}

// accept makes the writer's batch of a gateway's. No row goes under another gateway's name.
func (l *Log) accept(in Batch) *batch {
	b := &batch{name: in.GatewayID, number: in.Number, madeMs: in.MadeMs, lasting: true, aggregates: slices.Clone(in.Aggregates)}
	found := map[string]bool{}
	first := func(request string) bool {
		defer func() { found[request] = true }()
		return !found[request]
	}
	for _, s := range in.Signals {
		count, subjects := max(1, s.Count), orEmptyArray(s.Subjects)
		l.mend(&s.Kind, &s.ID)
		s.Count, s.Subjects, s.GatewayID = count, subjects, in.GatewayID
		b.signal(s, first)
	}
	for _, t := range in.Traffic {
		l.mend(&t.Kind, &t.RequestID)
		t.Verdict, t.OrderIDs, t.GatewayID = orEmptyArray(t.Verdict), orEmptyArray(t.OrderIDs), in.GatewayID
		b.ended(t)
	}
	for i := range b.aggregates {
		l.mend(&b.aggregates[i].Kind, nil)
	}
	return b
}

// handIn stores a handed batch and answers.
func (l *Log) handIn(ctx context.Context, h handing) {
	known, err := l.handedBefore(ctx, h.b)
	if err == nil && !known {
		err = l.write(ctx, h.b)
	}
	if known {
		l.counters.duplicates.Add(int64(h.b.rows()))
	}
	if err != nil {
		l.failed(ctx, err)
	}
	h.answer <- err
}

// clockSlack is how far a gateway's clock may be ahead of ours.
const clockSlack = 24 * time.Hour

// handedBefore looks for the batch on the days on which it can have been stored; the transaction itself looks again on its own.
func (l *Log) handedBefore(ctx context.Context, b *batch) (known bool, err error) {
	from := Day(max(0, b.madeMs-clockSlack.Milliseconds()))
	err = l.eachDay(ctx, from, "", true, func(_ string, db bun.IDB) (bool, error) {
		n, err := db.NewSelect().Model((*handed)(nil)).Where("gateway_id = ? AND number = ?", b.name, b.number).Count(ctx)
		if err != nil && strings.Contains(err.Error(), "no such table") {
			return false, nil // a file from before there were batches
		}
		known = n > 0
		return known, err
	})
	return known, err
}
