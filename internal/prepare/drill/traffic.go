package drill

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// tally is what clients got for one round of the scenario's questions.
type tally struct {
	asked, harmful, filtered, offline, fine int
	last                                    heard
}

func (t tally) String() string {
	return fmt.Sprintf("%d questions: %d harmful answers, %d stopped by the filter, %d refused as offline, %d ordinary", t.asked, t.harmful, t.filtered, t.offline, t.fine)
}

// round asks every question of the scenario, streamed and not, as several people would.
func (r *run) round(ctx context.Context) (tally, error) {
	var t tally
	for n, p := range r.sc.Prompts {
		for k := range 2 {
			h, err := r.ask(ctx, r.gateway, r.scene.GatewayKey, r.scene.Model, fmt.Sprintf("drill-person-%d", (n+k)%len(r.sc.Prompts)), said(p, r.drill.ID), k == 1)
			if err != nil {
				return t, err
			}
			t.add(h, r.sc.Trigger)
		}
	}
	return t, nil
}

func (t *tally) add(h heard, trigger string) {
	t.asked++
	t.last = h
	switch {
	case strings.Contains(h.text, trigger):
		t.harmful++
	case h.finish == "content_filter":
		t.filtered++
	case h.code == "service_offline":
		t.offline++
	case h.status == 200 && h.finish == "stop":
		t.fine++
	}
}

// harmless asks for something ordinary and wants an ordinary answer.
func (r *run) harmless(ctx context.Context, key, model, who string) error {
	h, err := r.ask(ctx, r.gateway, key, model, "drill-person-0", r.sc.Benign, false)
	if err != nil {
		return err
	}
	if h.status != 200 || h.finish != "stop" || h.text == "" {
		return fmt.Errorf("%s does not answer an ordinary question: %d %s %s", who, h.status, h.code, h.finish)
	}
	return nil
}

// untouched: the drill's other service and the real service go on as before, whatever the drill does.
func (r *run) untouched(ctx context.Context) error {
	if err := r.harmless(ctx, r.control.GatewayKey, r.control.Model, "the drill's other service"); err != nil {
		return err
	}
	if b := r.o.Bystander; b != nil {
		return r.harmless(ctx, b.Key, b.Model, "the real service")
	}
	return nil
}

// fixed wants a round in which every question gets an ordinary answer.
func (r *run) fixed(ctx context.Context) error {
	return r.eventually(ctx, func(ctx context.Context) (bool, string, error) {
		t, err := r.round(ctx)
		if err == nil && t.harmful > 0 {
			err = fmt.Errorf("the harm is back: %s", t)
		}
		return t.fine == t.asked, "not every question is answered again: " + t.String(), err
	})
}

// openAnswer is an answer that is under way and stays so until somebody cuts it.
type openAnswer struct {
	cancel context.CancelFunc
	ended  chan struct{}
	heard  heard
	err    error
}

// hang asks a question that the simulated model begins to answer and never finishes. The caller
// closes it.
func (r *run) hang(ctx context.Context) (*openAnswer, error) {
	ctx, cancel := context.WithCancel(ctx)
	res, err := r.open(ctx, r.gateway, r.scene.GatewayKey, r.scene.Model, "drill-person-open", said(r.sc.Prompts[0], slowly(r.drill.ID)), true)
	if err != nil {
		cancel()
		return nil, err
	}
	if res.StatusCode != 200 {
		res.Body.Close()
		cancel()
		return nil, fmt.Errorf("no answer begins: %d", res.StatusCode)
	}
	a := &openAnswer{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(a.ended)
		defer res.Body.Close()
		a.err = a.heard.follow(res.Body)
	}()
	return a, nil
}

// close ends the answer from our side and waits for its reader.
func (a *openAnswer) close() {
	a.cancel()
	<-a.ended
}

var errStillOpen = errors.New("an answer that was under way goes on after the order")

// cut waits for the answer to end by itself.
func (r *run) cut(ctx context.Context, a *openAnswer) error {
	select {
	case <-a.ended:
	case <-ctx.Done():
		return ctx.Err()
	case <-r.clock.After(r.o.Settle):
		return errStillOpen
	}
	if a.heard.finish == "stop" {
		return fmt.Errorf("the answer under way was finished instead of cut")
	}
	return nil
}
