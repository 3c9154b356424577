//go:build torture

package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// clocks sets clocks that run out within seconds: incidents that somebody knew of almost four hours ago,
// whose report is due soon, and orders that lapse.
type clocks struct {
	rng  *rand.Rand
	last time.Time // when the last of them runs out
}

// reportMs is when an operator that is neither CII nor a central organ has to report: 4 h after awareness.
const reportMs = 4 * 60 * 60 * 1000

func (k *clocks) work(t *testing.T, ctx context.Context, s *server, c *counts, over <-chan struct{}) {
	var real struct {
		ID string `json:"id"`
	}
	if _, err := s.insist(ctx, "POST", "/incidents", "real", map[string]any{"kind": "real", "service_id": s.service, "title": "cause of orders"}, &real); err != nil {
		t.Error(err)
		return
	}
	for n := 0; ; n++ {
		select {
		case <-over:
			return
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(200+k.rng.IntN(800)) * time.Millisecond):
		}
		// How long it takes to run out; long enough to be set before, short enough to run out amid the kills.
		life := time.Duration(1500+k.rng.IntN(5000)) * time.Millisecond
		due := time.Now().Add(life)
		if due.After(k.last) {
			k.last = due
		}
		if n%3 == 2 {
			k.order(t, ctx, s, c, n, real.ID, due)
			continue
		}
		var i struct {
			ID string `json:"id"`
		}
		_, err := s.insist(ctx, "POST", "/incidents", fmt.Sprint("clock-", n), map[string]any{"kind": "test", "service_id": s.service, "title": fmt.Sprint("clock ", n), "aware_ms": due.UnixMilli() - reportMs}, &i)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		c.incidents.Add(1)
	}
}

func (k *clocks) order(t *testing.T, ctx context.Context, s *server, c *counts, n int, incident string, due time.Time) {
	var o struct {
		ID string `json:"id"`
	}
	status, err := s.insist(ctx, "POST", "/orders", fmt.Sprint("clock-", n), map[string]any{"cause": "incident", "cause_id": incident, "rung": "strict_filter", "service_id": s.service,
		"tenant": fmt.Sprint("clock-", n), "release_mode": "auto", "expires_ms": due.UnixMilli(), "reason": "torture"}, &o)
	switch {
	case ctx.Err() != nil:
	case status == 422 && time.Now().After(due): // the server was away until it made no sense any more
		c.skipped.Add(1)
	case err != nil:
		t.Error(err)
	default:
		c.orders.Add(1)
	}
}

// settle waits until the last clock has run out and the server had time to say so.
func (k *clocks) settle(t *testing.T, ctx context.Context, s *server) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Until(k.last)):
	}
	for until := time.Now().Add(60 * time.Second); ; {
		waiting, err := backlog(ctx, s.data)
		if err == nil && waiting == 0 {
			return
		}
		if time.Now().After(until) {
			t.Errorf("%d things that are due wait still: %v", waiting, err)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}
