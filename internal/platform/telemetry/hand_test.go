package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/platform/telemetry/telemetrytest"
)

func handedBatch(gateway string, number int64) telemetry.Batch {
	n := int(number) * 10
	b := telemetry.Batch{GatewayID: gateway, Number: number, MadeMs: start.UnixMilli(),
		Aggregates: []telemetry.Aggregate{{ServiceID: "svc", Kind: "real", InputVerdict: "block", OutputVerdict: "none", Count: 50}}}
	for i := range 3 {
		t, s := traffic(n+i, "block"), signal(n+i)
		t.RequestID, s.RequestID, s.ID = gateway+t.RequestID, gateway+s.RequestID, gateway+s.ID
		b.Traffic, b.Signals = append(b.Traffic, t), append(b.Signals, s)
	}
	b.Signals[2].Count, b.Signals[2].Subjects = 7, `["a","b"]`
	return b
}

// stored counts requests, aggregated ones included, and observations, folded ones included.
func stored(t *testing.T, l *telemetry.Log) string {
	t.Helper()
	counts, err := l.Verdicts(t.Context(), start.UnixMilli(), start.Add(1000*24*time.Hour).UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	signals, err := l.Signals(t.Context(), 0, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	var requests int64
	seen := 0
	for _, c := range counts {
		requests += c.Count
	}
	for _, s := range signals {
		seen += s.Count
	}
	return fmt.Sprint(requests, " ", seen)
}

func TestAHandedBatchIsStoredOnceHoweverOftenItComes(t *testing.T) {
	h := newHouse(t)
	l, stop := telemetrytest.Run(t, h.options())
	hand := func(b telemetry.Batch) {
		t.Helper()
		if err := l.Hand(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	hand(handedBatch("gw-1", 1))
	hand(handedBatch("gw-1", 1))
	if got := stored(t, l); got != "53 9" {
		t.Fatalf("stored %s", got)
	}
	hand(handedBatch("gw-1", 2))
	hand(handedBatch("gw-2", 1)) // another gateway's number is another batch
	if got := stored(t, l); got != "159 27" {
		t.Fatalf("stored %s", got)
	}
	stop()
	l, _ = telemetrytest.Run(t, h.options())
	hand(handedBatch("gw-2", 1))
	h.clock.Advance(3 * 24 * time.Hour) // whose answer came neither then nor since
	hand(handedBatch("gw-1", 1))
	if got := stored(t, l); got != "159 27" {
		t.Errorf("after a restart and three days: stored %s", got)
	}
}

func TestAHandedBatchHandedInByManyAtOnceIsStoredOnce(t *testing.T) {
	h := newHouse(t)
	l, _ := telemetrytest.Run(t, h.options())
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			if err := l.Hand(t.Context(), handedBatch("gw-1", int64(1+i%4))); err != nil {
				t.Error(err)
			}
			l.PutTraffic(traffic(5000+i, "allow"))
		})
	}
	wg.Wait()
	flush(t, l)
	if got := stored(t, l); got != fmt.Sprint(4*53+40, " ", 4*9) {
		t.Errorf("stored %s", got)
	}
}

func TestAHandedBatchKeepsContentAndTheGatewaysName(t *testing.T) {
	h := newHouse(t)
	l, _ := telemetrytest.Run(t, h.options())
	b := handedBatch("gw-1", 1)
	b.Traffic[0].GatewayID = "gw-9"
	b.Traffic[0].Content = &telemetry.Content{Answer: "测试"}
	b2 := handedBatch("gw-1", 2)
	if err := errors.Join(l.Hand(t.Context(), b), l.Hand(t.Context(), b2)); err != nil {
		t.Fatal(err)
	}
	rows, err := l.Recent(t.Context(), telemetry.Filter{})
	if err != nil || len(rows) != 6 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, r := range rows {
		if r.GatewayID != "gw-1" {
			t.Errorf("%s goes under %q", r.RequestID, r.GatewayID)
		}
	}
	captures, err := l.Captures(t.Context(), []string{b.Traffic[0].ContentNo}, 0)
	if err != nil || len(captures) != 1 || b.Traffic[0].Content == nil {
		t.Errorf("captures %+v, %v", captures, err)
	}
}

func TestABatchIsRefusedWhileItsContentCannotBeSealedBecauseTheDatabaseIsAway(t *testing.T) {
	h := newHouse(t)
	h.vault.Fail = fault.Unavailable("store.busy")
	l, _ := telemetrytest.Run(t, h.options())
	b := handedBatch("gw-1", 1)
	b.Traffic[0].Content = &telemetry.Content{Answer: "测试"}
	if err := l.Hand(t.Context(), b); !fault.Is(err, "store.busy") {
		t.Errorf("the content is given up: %v", err)
	}
	h.vault.Fail = nil
	if l.Status().Failing == "" {
		t.Error("nobody hears of it")
	}
	for range 500 { // the gateway goes to another node meanwhile
		if l.Status().Failing == "" {
			break
		}
		h.clock.Advance(time.Second)
		time.Sleep(10 * time.Millisecond)
	}
	if said := l.Status().Failing; said != "" {
		t.Errorf("without another batch it is failing for ever: %s", said)
	}
	if err := l.Hand(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	captures, err := l.Captures(t.Context(), []string{b.Traffic[0].ContentNo}, 0)
	if err != nil || len(captures) != 1 || l.Status().CapturesLost != 0 {
		t.Errorf("captures %+v, %v, %+v", captures, err, l.Status())
	}
	// What will not pass however often it is tried must not hold up what comes after it.
	h.vault.Fail = errors.New("no key today")
	b = handedBatch("gw-1", 2)
	b.Traffic[0].Content = &telemetry.Content{Answer: "测试"}
	if err := l.Hand(t.Context(), b); err != nil || l.Status().CapturesLost != 1 {
		t.Errorf("%v, %+v", err, l.Status())
	}
}

func TestABatchWithoutNameIsRefusedAndNoneIsTakenAfterTheEnd(t *testing.T) {
	h := newHouse(t)
	l, stop := telemetrytest.Run(t, h.options())
	big := handedBatch("gw-1", 1)
	for range telemetry.MaxBatchRows {
		big.Signals = append(big.Signals, signal(1))
	}
	for name, b := range map[string]telemetry.Batch{"no gateway": handedBatch("", 1), "no number": handedBatch("gw-1", 0), "too many rows": big} {
		if err := l.Hand(t.Context(), b); !fault.Is(err, "telemetry.bad_batch") {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Hand(ctx, handedBatch("gw-1", 1)); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("without time: %v", err)
	}
	stop()
	if err := l.Hand(t.Context(), handedBatch("gw-1", 2)); !fault.Is(err, "telemetry.ended") {
		t.Errorf("after the end: %v", err)
	}
}
