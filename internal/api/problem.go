package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// Problem is how the API says what went wrong (RFC 9457): a sentence in the caller's language, the
// field at fault, the translation key, and for a 5xx an id that is also in the log.
type Problem struct {
	Status int      `json:"status"`
	Title  string   `json:"title"`
	Detail string   `json:"detail"`
	Key    string   `json:"key"`
	Field  string   `json:"field,omitempty"`
	ID     string   `json:"id,omitempty"`
	Errors []Detail `json:"errors,omitempty"`
}

// Detail is one fault of the request's shape, found by the OpenAPI schema.
type Detail struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is that of RFC 9457.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

var statusOf = map[fault.Kind]int{
	fault.KindInvalid:         http.StatusUnprocessableEntity,
	fault.KindUnauthenticated: http.StatusUnauthorized,
	fault.KindForbidden:       http.StatusForbidden,
	fault.KindNotFound:        http.StatusNotFound,
	fault.KindConflict:        http.StatusConflict,
	fault.KindTooMany:         http.StatusTooManyRequests,
	fault.KindUnavailable:     http.StatusServiceUnavailable,
	fault.KindInternal:        http.StatusInternalServerError,
}

// problem is the one error mapper.
func (a *API) problem(ctx context.Context, err error) error {
	lang := langOf(ctx)
	var f *fault.Error
	if err = store.Away(err); errors.As(err, &f) {
		p := &Problem{Status: statusOf[f.Kind], Title: http.StatusText(statusOf[f.Kind]), Key: f.Key, Field: f.Field, Detail: a.catalog.Say(lang, f.Key, f.Args...)}
		a.log.DebugContext(ctx, "request refused", "key", f.Key, "err", err)
		if p.Status >= 500 {
			p.ID = rand.Text()
			a.failed(ctx, p.ID, err)
		}
		for i := 0; i+1 < len(f.Args); i += 2 {
			if f.Kind == fault.KindTooMany && f.Args[i] == "seconds" {
				return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {fmt.Sprint(f.Args[i+1])}})
			}
		}
		return p
	}
	p := &Problem{Status: http.StatusInternalServerError, Title: http.StatusText(http.StatusInternalServerError), Key: "error.internal", ID: rand.Text()}
	p.Detail = a.catalog.Say(lang, p.Key, "id", p.ID)
	a.failed(ctx, p.ID, err)
	return p
}

// errPanic is a fault of ours, whoever has left.
var errPanic = errors.New("panic")

// failed logs a failure under its id. Where nobody waits for the answer any more, what failed was cut off: databases say so in words of
// their own, so the context is asked and not the error.
func (a *API) failed(ctx context.Context, id string, err error) {
	if ctx.Err() != nil && !errors.Is(err, errPanic) {
		a.log.DebugContext(ctx, "request given up", "error_id", id, "err", err)
		return
	}
	a.log.ErrorContext(ctx, "request failed", "error_id", id, "err", err)
}

// nowhere answers for paths and methods that are not in the API.
func (a *API) nowhere(w http.ResponseWriter, r *http.Request) {
	a.answer(w, r, fault.NotFound("path", "api.nowhere"))
}

// guarded turns a panic into an answer with an id; without it the caller would see a broken connection.
func (a *API) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler {
					panic(v)
				}
				a.answer(w, r, fmt.Errorf("%w: %v\n%s", errPanic, v, debug.Stack()))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func (a *API) answer(w http.ResponseWriter, r *http.Request, err error) {
	ctx := context.WithValue(r.Context(), langKey, locale.Parse(r.Header.Get("Accept-Language")))
	p := a.problem(ctx, err).(*Problem)
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client is gone if this fails
}

func (a *API) refuse(ctx huma.Context, err error) {
	write(ctx, a.problem(ctx.Context(), err).(*Problem))
}

func write(ctx huma.Context, p *Problem) {
	ctx.SetHeader("Content-Type", p.ContentType(""))
	ctx.SetStatus(p.Status)
	_ = json.NewEncoder(ctx.BodyWriter()).Encode(p) // the client is gone if this fails
}

const catalogKey ctxKey = 100

// newProblem gives huma's own complaints, which are about the shape of a request, the house's form.
func newProblem(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
	p := &Problem{Status: status, Title: http.StatusText(status), Detail: msg, Key: "api.bad_request"}
	lang := locale.ZH
	var a *API
	if ctx != nil {
		lang = langOf(ctx.Context())
		a, _ = ctx.Context().Value(catalogKey).(*API)
	}
	for _, e := range errs {
		var d huma.ErrorDetailer
		if errors.As(e, &d) {
			p.Errors = append(p.Errors, Detail{Location: d.ErrorDetail().Location, Message: d.ErrorDetail().Message})
		} else if e != nil {
			p.Errors = append(p.Errors, Detail{Message: e.Error()})
		}
	}
	if len(p.Errors) > 0 {
		p.Field = fieldOf(p.Errors[0])
	}
	if a != nil {
		problem := msg
		if len(p.Errors) > 0 {
			problem = a.shape(lang, p.Errors[0].Message)
		}
		p.Detail = a.catalog.Say(lang, p.Key, "field", p.Field, "problem", problem)
	}
	return p
}

var missing = regexp.MustCompile(`^expected required property (\S+) to be present$`)

// fieldOf names the input as the rooms do: without the word body, and a property that is missing by its name.
func fieldOf(d Detail) string {
	field := strings.TrimPrefix(d.Location, "body.")
	if m := missing.FindStringSubmatch(d.Message); m != nil {
		if field == "body" {
			return m[1]
		}
		return field + "." + m[1]
	}
	return field
}

// shape says in the caller's language what the schema finds most often; the rest stays as huma puts it.
func (a *API) shape(lang locale.Lang, message string) string {
	say := func(key string, args ...any) string { return a.catalog.Say(lang, key, args...) }
	rest := func(prefix string) (string, bool) { return strings.CutPrefix(message, prefix) }
	switch {
	case missing.MatchString(message):
		return say("api.shape.missing")
	case message == "unexpected property":
		return say("api.shape.unexpected")
	}
	if v, ok := rest("expected value to be one of "); ok {
		return say("api.shape.one_of", "values", strings.Trim(v, `"`))
	}
	if v, ok := rest("expected length <= "); ok {
		return say("api.shape.too_long", "n", v)
	}
	if v, ok := rest("expected length >= "); ok {
		return say("api.shape.too_short", "n", v)
	}
	if v, ok := rest("expected array length >= "); ok {
		return say("api.shape.too_few", "n", v)
	}
	switch message {
	case "expected string":
		return say("api.shape.string")
	case "expected number", "expected integer":
		return say("api.shape.number")
	case "expected boolean":
		return say("api.shape.boolean")
	case "expected array":
		return say("api.shape.array")
	case "expected object":
		return say("api.shape.object")
	}
	return message
}
