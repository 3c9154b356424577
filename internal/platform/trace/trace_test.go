package trace_test

import (
	"context"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/trace"
)

func TestWithoutACollectorATracerIsOffAndCostsNoAllocation(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
	off, err := trace.Open(t.Context(), trace.Options{})
	if err != nil || off != nil {
		t.Fatal(off, err)
	}
	id := time.Now().String()
	if n := testing.AllocsPerRun(100, func() {
		ctx, span := off.Start(context.Background(), "gateway.request", "request_id", id, "service", id)
		_, inner := off.Inside(ctx, "store.write")
		inner.End(nil)
		span.Set("verdict", id)
		span.Count("status", 200)
		span.End(nil)
		off.Past(ctx, id, "x", 1, 2, "order", id)
	}); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}

func TestTheStandardVariablesTurnTracesOnAndOff(t *testing.T) {
	for name, c := range map[string]struct {
		env map[string]string
		on  bool
	}{
		"an endpoint":    {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, true},
		"one for traces": {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, true},
		"switched off":   {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}, false},
		"sent nowhere":   {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			got, err := trace.Open(t.Context(), trace.Options{})
			if err != nil || (got != nil) != c.on {
				t.Error(got, err)
			}
			_ = got.Close()
		})
	}
	if _, err := trace.Open(t.Context(), trace.Options{Endpoint: "collector:4318"}); !fault.Is(err, "trace.bad_endpoint") {
		t.Error(err)
	}
}

// A collector that is away must not hold anything up.
func TestACollectorThatIsAwayHoldsUpNobody(t *testing.T) {
	on, err := trace.Open(t.Context(), trace.Options{Endpoint: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for range 10_000 {
		_, s := on.Start(t.Context(), "x")
		s.End(nil)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("10,000 spans took %s", took)
	}
	_ = on.Close()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("closing took %s", took)
	}
}
