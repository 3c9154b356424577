// Package trace follows one request through logs and, where that is configured, through OpenTelemetry traces. Neither holds content: ids that
// we make, names of our own, figures.
package trace

import (
	"context"
	"crypto/rand"
	"log/slog"
	"regexp"

	"go.opentelemetry.io/otel/trace"
)

// Header carries a request's id: accepted if it is one, made otherwise, and answered.
const Header = "X-Request-Id"

type key int

const (
	requestKey key = iota
	incidentKey
)

// Request is one that is being served. Route is a name of ours, never the path: paths hold tokens.
type Request struct {
	ID    string
	Route string
}

var acceptable = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{7,63}$`)

// NewRequest takes over an id that somebody in front of us gave, or makes one.
func NewRequest(id string) *Request {
	if !acceptable.MatchString(id) {
		id = rand.Text()
	}
	return &Request{ID: id}
}

// With puts a request into a context.
func With(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, requestKey, r)
}

// Of gives the request of a context, nil if there is none.
func Of(ctx context.Context) *Request { r, _ := ctx.Value(requestKey).(*Request); return r }

// About says that what is done under this context is about an incident.
func About(ctx context.Context, incidentID string) context.Context {
	return context.WithValue(ctx, incidentKey, incidentID)
}

// Logs adds the ids of a line's context to it: request_id, incident_id, trace_id.
func Logs(h slog.Handler) slog.Handler { return &handler{h} }

type handler struct{ slog.Handler }

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if req := Of(ctx); req != nil {
		r.AddAttrs(slog.String("request_id", req.ID))
	}
	if id, _ := ctx.Value(incidentKey).(string); id != "" {
		r.AddAttrs(slog.String("incident_id", id))
	}
	if s := trace.SpanContextFromContext(ctx); s.HasTraceID() {
		r.AddAttrs(slog.String("trace_id", s.TraceID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h *handler) WithAttrs(a []slog.Attr) slog.Handler { return &handler{h.Handler.WithAttrs(a)} }
func (h *handler) WithGroup(name string) slog.Handler   { return &handler{h.Handler.WithGroup(name)} }
