package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/trace"
)

// requests gives each request an id, a line in the log and a span. The line names the operation or the pattern, never the path: links that
// are handed out hold their secret in it. What is routine is not worth a line of its own unless it fails.
func requests(clk clock.Clock, log *slog.Logger, tracer *trace.Tracer, routine func(*http.Request) bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := trace.NewRequest(r.Header.Get(trace.Header))
		w.Header().Set(trace.Header, req.ID)
		ctx, span := tracer.Start(trace.With(r.Context(), req), "request", "request_id", req.ID, "method", method(r))
		r = r.WithContext(ctx)
		a := &answered{ResponseWriter: w}
		began := clk.Now()
		defer func() {
			if req.Route == "" {
				req.Route = r.Pattern[strings.IndexByte(r.Pattern, ' ')+1:]
			}
			code, level := a.code(), slog.LevelDebug
			v := recover()
			switch {
			case ctx.Err() != nil: // whoever asked has left; what was answered reached nobody
				code = 499
			case v != nil || code >= http.StatusInternalServerError || !routine(r):
				level = slog.LevelInfo
			}
			log.Log(ctx, level, "request", "method", method(r), "route", req.Route, "status", code, "bytes", a.bytes, "ms", clk.Now().Sub(began).Milliseconds())
			span.Rename(strings.TrimSpace(method(r) + " " + req.Route))
			span.Count("status", int64(code))
			var err error
			if code >= http.StatusInternalServerError {
				err = errors.New("failed")
			} else if code == 499 {
				err = context.Canceled
			}
			span.End(err)
			if v != nil {
				panic(v)
			}
		}()
		next.ServeHTTP(a, r)
	})
}

// reading is routine.
func reading(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// method is one that exists: the word is the client's.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// answered keeps what was answered.
type answered struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (a *answered) code() int {
	if a.status == 0 {
		return http.StatusOK
	}
	return a.status
}

func (a *answered) WriteHeader(code int) {
	if a.status == 0 && code >= http.StatusOK {
		a.status = code
	}
	a.ResponseWriter.WriteHeader(code)
}

func (a *answered) Write(b []byte) (int, error) {
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController through, for flushing and deadlines.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }
