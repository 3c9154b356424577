package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// gatewayBenchmarks runs benchmarks of the gateway itself, which reach inside it.
func gatewayBenchmarks(ctx context.Context, b *bench, pattern string) (map[string]*series, error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOMOD: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", pattern, "-benchmem", "-benchtime", "300ms",
		"-count", strconv.Itoa(b.runs), "./internal/monitor/gateway")
	cmd.Dir = filepath.Dir(strings.TrimSpace(string(mod)))
	if !filepath.IsAbs(cmd.Dir) || cmd.Dir == string(filepath.Separator) {
		return nil, errors.New("this is not run inside the module, so the gateway's benchmarks cannot be found")
	}
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, roleVariable+"=") })
	cmd.Stderr = b.log
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go test -bench: %w\n%s", err, out)
	}
	return parseBenchmarks(out)
}

// ssePart is one server-sent event from the upstream's bytes to the client's.
func ssePart(ctx context.Context, b *bench) ([]table, error) {
	cells, err := gatewayBenchmarks(ctx, b, "^BenchmarkEvent(Unchanged|Masked|Decoded)$")
	if err != nil {
		return nil, err
	}
	t := table{Part: "sse", Title: "One server-sent event through the gateway (goal for an unchanged one: 5 µs, 3 allocations)", Keys: []string{"event"}}
	for _, r := range []struct{ name, what string }{
		{"BenchmarkEventUnchanged", "unchanged"}, {"BenchmarkEventMasked", "a term masked"}, {"BenchmarkEventDecoded", "decoded in full, unchanged (the slow way)"},
	} {
		c := cells[r.name]
		if c == nil || len(c.values["ns/op"]) != b.runs {
			return nil, fmt.Errorf("go test gave %d results of %s, not %d", len(c.valuesOf("ns/op")), r.name, b.runs)
		}
		us := slices.Clone(c.values["ns/op"])
		for i := range us {
			us[i] /= 1000
		}
		t.Rows = append(t.Rows, row{Keys: []string{r.what}, Figures: []figure{
			newFigure("time", "µs", us), newFigure("allocations", "", c.values["allocs/op"]), newFigure("allocated", "B", c.values["B/op"]),
		}})
	}
	t.Notes = []string{"The gateway's own benchmark (internal/monitor/gateway, BenchmarkEventUnchanged): framing, scanning, inspecting with 1,000 terms and cn_id, writing to a client that takes everything; no sockets. No peer: a bare proxy does none of it."}
	return []table{t}, nil
}

func (s *series) valuesOf(name string) []float64 {
	if s == nil {
		return nil
	}
	return s.values[name]
}

// parseBenchmarks reads what go test -bench prints: name, iterations, then pairs of value and unit.
func parseBenchmarks(out []byte) (map[string]*series, error) {
	cells := map[string]*series{}
	sc := bufio.NewScanner(bytes.NewReader(out))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name := f[0]
		if i := strings.LastIndexByte(name, '-'); i > 0 { // the number of processors
			if _, err := strconv.Atoi(name[i+1:]); err == nil {
				name = name[:i]
			}
		}
		if cells[name] == nil {
			cells[name] = &series{}
		}
		for i := 2; i+1 < len(f); i += 2 {
			v, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				return nil, fmt.Errorf("go test printed %q: %w", sc.Text(), err)
			}
			cells[name].add(f[i+1], "", v)
		}
	}
	return cells, sc.Err()
}
