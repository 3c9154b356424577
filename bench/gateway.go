package main

import (
	"context"
	"fmt"
	"path/filepath"
)

// lexiconSize is how many terms the gateway and the engine are measured with.
const lexiconSize = 2000

var connections = []int{1, 32, 128}

// gatewayPart measures what the gateway adds to a request, beside a bare reverse proxy and no proxy at all.
func gatewayPart(ctx context.Context, b *bench) ([]table, error) {
	var upstreamURL string
	model, err := start(ctx, b.log, "upstream", nil, &upstreamURL)
	if err != nil {
		return nil, err
	}
	defer model.stop()
	targets := make([]*target, 3)
	if targets[0], err = newTarget("direct", upstreamURL, "", nil); err != nil {
		return nil, err
	}
	var gate *child
	for i, role := range []string{"proxy", "gateway"} {
		var ready middleReady
		c, err := start(ctx, b.log, role, middleSetUp{Upstream: upstreamURL, Dir: filepath.Join(b.dir, role), Sink: b.sink, Terms: lexiconSize}, &ready)
		if err != nil {
			return nil, err
		}
		defer c.stop()
		if targets[i+1], err = newTarget(role, ready.URL, ready.Key, c); err != nil {
			return nil, err
		}
		gate = c
	}
	events := len(newUpstream().events)
	for _, t := range targets {
		if err := t.prove(ctx, events); err != nil {
			return nil, err
		}
	}
	paced := table{Part: "gateway", Title: fmt.Sprintf("Gateway: added latency at %s requests a second over all connections", number(b.rate)), Keys: []string{"answer", "connections"}}
	flat := table{Part: "gateway", Title: "Gateway: throughput, each connection asking again as soon as it has its answer", Keys: []string{"answer", "connections"}}
	cells := map[load]*series{}
	var order []load
	for n := range b.runs {
		b.say("       gateway run %d of %d", n+1, b.runs)
		for _, stream := range []bool{false, true} {
			for _, conns := range connections {
				for _, rate := range []float64{b.rate, 0} {
					l := load{stream: stream, conns: conns, rate: rate, phase: b.phase}
					if cells[l] == nil {
						cells[l] = &series{}
						order = append(order, l)
					}
					var got [3]outcome
					for i := range targets { // another one begins in each run
						at := (i + n) % len(targets)
						if got[at], err = targets[at].apply(ctx, l, events); err != nil {
							return nil, fmt.Errorf("%d connections, stream %t: %w", conns, stream, err)
						}
					}
					cells[l].compare(l, got[0], got[1], got[2])
				}
			}
		}
	}
	for _, l := range order {
		answer := "whole"
		if l.stream {
			answer = "streamed"
		}
		r := row{Keys: []string{answer, number(float64(l.conns))}, Figures: cells[l].figures()}
		if l.rate > 0 {
			paced.Rows = append(paced.Rows, r)
		} else {
			flat.Rows = append(flat.Rows, r)
		}
	}
	var state gatewayState
	if err := gate.ask("state", nil, &state); err != nil {
		return nil, err
	}
	paced.Notes = []string{
		fmt.Sprintf("Answers: %d bytes of text in one piece, or in %d events, each flushed by the upstream; identical on all three ways (compared word by word).", len(answerText), events),
		"Added: through the gateway or the proxy less direct, both of the same run, to the last byte. The proxy is net/http/httputil.ReverseProxy with the gateway's own transport; like the gateway it reads a request whole before it passes it on, because it loses answers of so quick an upstream otherwise.",
		fmt.Sprintf("A p99 here is of about %.0f requests a run, so it is close to the worst of them; on a machine that does other things too it says more about these.", b.rate*b.phase.Seconds()),
		fmt.Sprintf("Gateway: %s terms, cn_id and bank_card on both sides; sink: %s (%s rows stored, %s folded because the queue was full); %s of %s events were decoded in full.",
			number(lexiconSize), b.sink, number(float64(state.Stored)), number(float64(state.Aggregated)), number(float64(state.Counters.EventsSlow)), number(float64(state.Counters.Events))),
		"Clients, stub model, proxy and gateway are processes of their own and share the cores, so latency holds the others' turns too.",
	}
	flat.Notes = []string{"All processes share the cores, so requests a second are those of the whole chain; processor time is that of the proxy's or gateway's process alone, the kernel's share and storing the rows included.",
		"Here the cores are full: added latency is waiting for a turn and says little beyond the throughput."}
	return []table{paced, flat}, nil
}

func (s *series) compare(l load, direct, proxy, gate outcome) {
	if l.rate > 0 {
		s.add("direct p50", "ms", ms(direct.p50))
		s.add("direct p99", "ms", ms(direct.p99))
	} else {
		s.add("direct", "/s", direct.perSecond)
		s.add("proxy", "/s", proxy.perSecond)
		s.add("gateway", "/s", gate.perSecond)
		s.add("gateway ÷ proxy", "", gate.perSecond/proxy.perSecond)
		s.add("proxy CPU", "µs", float64(proxy.cpu.Microseconds()))
		s.add("gateway CPU", "µs", float64(gate.cpu.Microseconds()))
		s.add("CPU gateway ÷ proxy", "", float64(gate.cpu)/float64(proxy.cpu))
	}
	s.add("proxy adds p50", "ms", ms(proxy.p50-direct.p50))
	s.add("gateway adds p50", "ms", ms(gate.p50-direct.p50))
	s.add("proxy adds p99", "ms", ms(proxy.p99-direct.p99))
	s.add("gateway adds p99", "ms", ms(gate.p99-direct.p99))
	if l.rate > 0 {
		s.add("p50 gateway ÷ proxy", "", float64(gate.p50)/float64(proxy.p50))
		s.add("to the first byte, gateway adds p50", "ms", ms(gate.first50-direct.first50))
	}
}
