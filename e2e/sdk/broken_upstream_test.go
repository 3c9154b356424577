package sdk

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/simulate"
)

// A cut answer must never look like a whole one: the client gets an error of its own kind.
func TestABrokenUpstreamIsAnErrorToTheClientAndNeverAShortAnswer(t *testing.T) {
	h := build(t, simulate.Options{})
	c := client(t, h.gateway, h.guarded)
	prompt := params("今天天气怎么样？", 1)
	ask := map[string]func() (string, error){
		"whole": func() (string, error) {
			resp, err := c.Chat.Completions.New(soon(t), prompt)
			if err != nil {
				return "", err
			}
			return resp.Choices[0].Message.Content, nil
		},
		"streamed": func() (string, error) {
			stream := c.Chat.Completions.NewStreaming(soon(t), prompt)
			defer func() { _ = stream.Close() }()
			text := ""
			for stream.Next() {
				for _, ch := range stream.Current().Choices {
					text += ch.Delta.Content
				}
			}
			return text, stream.Err()
		},
	}
	for _, name := range []simulate.FaultName{
		simulate.FaultDie, simulate.FaultBadJSON, simulate.FaultGibberishEvent, simulate.FaultError500,
	} {
		if err := h.model.SetFaults([]simulate.Fault{{Name: name}}); err != nil {
			t.Fatal(err)
		}
		for way, f := range ask {
			if text, err := f(); err == nil {
				t.Errorf("%s, %s: the client took %q for an answer", name, way, text)
			} else if errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s, %s: the client had to give up by itself", name, way)
			}
		}
	}
	if err := h.model.SetFaults([]simulate.Fault{{Name: simulate.FaultStall}}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if text, err := ask["streamed"](); err == nil || errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 10*time.Second {
		t.Errorf("stall: %q %v after %v", text, err, time.Since(began))
	}
	// The control: repaired, the same question is answered both ways.
	if err := h.model.SetFaults(nil); err != nil {
		t.Fatal(err)
	}
	for way, f := range ask {
		if text, err := f(); err != nil || text == "" {
			t.Errorf("repaired, %s: %q %v", way, text, err)
		}
	}
}

func TestAnErrorOfTheUpstreamDoesNotCarryItsKeyOrAddress(t *testing.T) {
	h := build(t, simulate.Options{Faults: []simulate.Fault{{Name: simulate.FaultError500}}})
	c := client(t, h.gateway, h.guarded)
	_, err := c.Chat.Completions.New(soon(t), params("hi", 1))
	var refused *openai.Error
	if !errors.As(err, &refused) || refused.StatusCode/100 != 5 || refused.Code == "" {
		t.Fatalf("%v", err)
	}
	for _, secret := range []string{upstreamKey, h.upstream[len("http://") : len(h.upstream)-len("/v1")]} {
		if strings.Contains(refused.RawJSON(), secret) {
			t.Errorf("the error names %s", secret)
		}
	}
}

func TestSimulatedTrafficIsLabelledInTheGatewaysRowsWhereTheKeyMay(t *testing.T) {
	h := build(t, simulate.Options{})
	for key, want := range map[string]bool{h.open: true, h.guarded: false} {
		before := len(h.rows.all())
		traffic, err := simulate.NewTraffic(simulate.TrafficOptions{Gateway: h.gateway, Key: key, Rate: 40, Clock: clock.System()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		ended := make(chan error, 1)
		go func() { ended <- traffic.Run(ctx) }()
		for traffic.Stats().Answered < 10 && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if s := traffic.Stats(); s.Answered < 10 || s.Refused != 0 {
			t.Fatalf("traffic: %+v", s)
		}
		subjects := map[string]bool{}
		for _, row := range h.rows.all()[before:] {
			if row.Simulated != want {
				t.Errorf("a row says simulated: %v, want %v", row.Simulated, want)
			}
			subjects[row.Subject] = true
		}
		if len(subjects) < 5 || subjects[""] {
			t.Errorf("%d subjects, an unknown one among them: %v", len(subjects), subjects[""])
		}
	}
}
