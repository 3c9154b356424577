package main

import (
	"context"
	"fmt"
	"slices"
)

// tiersPart is what inspection costs inside the gateway with everything on: a large lexicon, every kind of check, the rules
// about injection and every classifier.
func tiersPart(ctx context.Context, b *bench) ([]table, error) {
	cells, err := gatewayBenchmarks(ctx, b, "^BenchmarkTiers(Prompt|Event)$")
	if err != nil {
		return nil, err
	}
	t := table{Part: "tiers", Title: "Inspection in the gateway, 100,000 terms and all tiers on (goal for an unchanged event: 8 µs, 3 allocations)", Keys: []string{"what"}}
	for _, r := range []struct{ name, what string }{
		{"BenchmarkTiersPrompt", "4 KB of Chinese in a prompt"}, {"BenchmarkTiersEvent", "one unchanged event of 1,000 open streams"},
	} {
		c := cells[r.name]
		if len(c.valuesOf("ns/op")) != b.runs {
			return nil, fmt.Errorf("go test gave %d results of %s, not %d", len(c.valuesOf("ns/op")), r.name, b.runs)
		}
		us := slices.Clone(c.values["ns/op"])
		for i := range us {
			us[i] /= 1000
		}
		t.Rows = append(t.Rows, row{Keys: []string{r.what}, Figures: []figure{
			newFigure("p50", "µs", c.values["p50-µs"]), newFigure("p99", "µs", c.values["p99-µs"]), newFigure("mean", "µs", us),
			newFigure("allocations", "", c.values["allocs/op"]), newFigure("allocated", "B", c.values["B/op"]),
		}})
	}
	t.Notes = []string{"The gateway's own benchmarks (internal/monitor/gateway): of a prompt the inspection only, of an event framing, scanning, inspecting and writing to a client that takes everything; no sockets, no guard model. All kinds of checks mask, injection and the ten heads observe. The allocations of an event are rounded down."}
	return []table{t}, nil
}
