package trace

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Tracer makes spans. The nil Tracer is off and costs a comparison.
type Tracer struct {
	t     trace.Tracer
	close func(context.Context) error
}

// Options say where traces go.
type Options struct {
	Endpoint string // OTLP over HTTP, such as http://collector.example.com:4318 [the standard OTEL_EXPORTER_OTLP_… variables; off without]
	Node     string
	Version  string
	Log      *slog.Logger
}

// Open gives a Tracer that sends to a collector, or nil if none is configured. A collector that is away costs traces and nothing else.
// Error: fault invalid trace.bad_endpoint.
func Open(ctx context.Context, o Options) (*Tracer, error) {
	endpoint := cmp.Or(o.Endpoint, os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	if endpoint == "" || strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return nil, nil
	}
	if !strings.HasPrefix(endpoint, "http://") && !strings.HasPrefix(endpoint, "https://") {
		return nil, fault.Invalid("otlp-endpoint", "trace.bad_endpoint", "endpoint", endpoint)
	}
	var to []otlptracehttp.Option
	if o.Endpoint != "" { // else the library reads the variables itself, with what stands beside them
		to = append(to, otlptracehttp.WithEndpointURL(strings.TrimRight(o.Endpoint, "/")+"/v1/traces"))
	}
	exporter, err := otlptracehttp.New(ctx, to...)
	if err != nil {
		return nil, fault.Invalid("otlp-endpoint", "trace.bad_endpoint", "endpoint", endpoint).Because(err)
	}
	if o.Log != nil {
		otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { o.Log.Warn("traces could not be sent", "error", err) }))
	}
	res := resource.NewSchemaless(attribute.String("service.name", "fengsui"), attribute.String("service.version", o.Version), attribute.String("service.instance.id", o.Node))
	p := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(res))
	return &Tracer{t: p.Tracer("github.com/fengsui/fengsui"), close: p.Shutdown}, nil
}

// Close sends what waits, within a few seconds.
func (t *Tracer) Close() error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	return t.close(ctx)
}

// Span is one piece of work. The nil Span does nothing.
type Span struct{ s trace.Span }

// Start begins a span; pairs are names and values. No value is a text that people wrote.
func (t *Tracer) Start(ctx context.Context, name string, pairs ...string) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	ctx, s := t.t.Start(ctx, name, trace.WithAttributes(attributes(pairs)...))
	return ctx, &Span{s}
}

// Inside is Start where ctx is traced already: loops that write each second are no story of their own.
func (t *Tracer) Inside(ctx context.Context, name string, pairs ...string) (context.Context, *Span) {
	if t == nil || !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx, nil
	}
	return t.Start(ctx, name, pairs...)
}

func attributes(pairs []string) []attribute.KeyValue {
	out := make([]attribute.KeyValue, 0, len(pairs)/2+1)
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, attribute.String("fengsui."+pairs[i], pairs[i+1]))
	}
	return out
}

// Set adds a value.
func (s *Span) Set(name, value string) {
	if s != nil {
		s.s.SetAttributes(attribute.String("fengsui."+name, value))
	}
}

// Count adds a figure.
func (s *Span) Count(name string, value int64) {
	if s != nil {
		s.s.SetAttributes(attribute.Int64("fengsui."+name, value))
	}
}

// Rename gives the name that became known later.
func (s *Span) Rename(name string) {
	if s != nil {
		s.s.SetName(name)
	}
}

// End ends the span. Of an error it keeps what kind it is: the text may quote anything.
func (s *Span) End(err error) {
	if s == nil {
		return
	}
	if err != nil {
		s.s.SetStatus(codes.Error, kind(err))
	}
	s.s.End()
}

func kind(err error) string {
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		return string(f.Kind) + ": " + f.Key
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "internal"
}

// Past writes down a span that began and ended elsewhere. All that has the same subject, such as "order:<id>", is one trace, whichever
// process wrote it down; the trace of ctx is linked.
func (t *Tracer) Past(ctx context.Context, subject, name string, fromMs, toMs int64, pairs ...string) {
	if t == nil {
		return
	}
	sum := sha256.Sum256([]byte("fengsui trace " + subject))
	parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID(sum[:16]), SpanID: trace.SpanID(sum[16:24]), TraceFlags: trace.FlagsSampled, Remote: true})
	_, s := t.t.Start(trace.ContextWithRemoteSpanContext(context.Background(), parent), name, trace.WithTimestamp(time.UnixMilli(fromMs)),
		trace.WithAttributes(attributes(pairs)...), trace.WithLinks(trace.LinkFromContext(ctx)))
	s.End(trace.WithTimestamp(time.UnixMilli(max(fromMs, toMs))))
}
