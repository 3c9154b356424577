// Package api is the HTTP API, one file a resource. It knows who asks, in which language, and maps
// errors; every decision is made in the rooms, every change in one store.Write.
package api

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/login"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/trace"
	"github.com/fengsui/fengsui/internal/standard"
)

// API serves /api/v1 and its OpenAPI 3.1 document at /api/v1/openapi.json.
type API struct {
	*flow.House
	catalog *locale.Catalog
	log     *slog.Logger
	huma    huma.API
	streams *streams
	words   func() map[string]standard.Name // of the reference, for exports
}

// maxBody bounds a request body of the API, in bytes.
const maxBody = 1 << 20

// Mount registers the API on mux.
func Mount(mux *http.ServeMux, h *flow.House, catalog *locale.Catalog, log *slog.Logger) *API {
	a := &API{House: h, catalog: catalog, log: log, streams: newStreams()}
	inner := http.NewServeMux()
	a.huma = humago.NewWithPrefix(inner, "", config())
	huma.NewErrorWithContext = newProblem // huma has one hook for the whole program
	huma.ValidateStrictCasing = true      // and one switch: "Title" is not "title", or two readers read two things
	huma.DefaultArrayNullable = false     // and one for lists: [] where there is nothing, never null
	a.huma.UseMiddleware(a.authenticate)
	a.status()
	a.me()
	a.people()
	a.services()
	a.channels()
	a.prepare()
	a.monitor()
	a.login()
	a.oidc()
	a.incidents()
	a.handling()
	a.orders()
	a.gateways()
	a.improve()
	a.directives()
	a.records()
	a.reference()
	a.events()
	a.drills()
	a.govern()
	a.rules()
	a.exports()
	a.search()
	inner.HandleFunc("/api/", a.nowhere)
	mux.Handle("/api/", packed(a.guarded(http.MaxBytesHandler(inner, maxBody))))
	return a
}

// Spec is the OpenAPI document, as JSON.
func (a *API) Spec() ([]byte, error) { return json.Marshal(a.huma.OpenAPI()) }

func config() huma.Config {
	c := huma.DefaultConfig("烽燧 Fengsui", "1")
	c.CreateHooks = nil // no $schema links in answers
	c.OpenAPIPath = "/api/v1/openapi"
	c.DocsPath = ""
	c.SchemasPath = ""
	c.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}, "session": {Type: "apiKey", In: "cookie", Name: SessionCookie}}
	strict := huma.DefaultJSONFormat
	strict.Unmarshal = func(data []byte, v any) error {
		// encoding/json lets the last of two equal keys win; whoever sends two means mischief or has a bug.
		if !jsontext.Value(data).IsValid() {
			_, err := jsontext.NewDecoder(strings.NewReader(string(data))).ReadValue()
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		return json.Unmarshal(data, v)
	}
	c.Formats = map[string]huma.Format{"application/json": strict, "json": strict}
	c.RejectUnknownQueryParameters = true
	return c
}

// schemaName keeps types of one name in two rooms apart.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	path := t.PkgPath()
	if t.Name() == "" || !strings.Contains(path, "/internal/") || strings.HasSuffix(path, "/api") {
		return name
	}
	pkg := path[strings.LastIndex(path, "/")+1:]
	if strings.EqualFold(pkg, t.Name()) || strings.Contains(t.Name(), "[") {
		return name
	}
	return strings.ToUpper(pkg[:1]) + pkg[1:] + name
}

type ctxKey int

const (
	actorKey ctxKey = iota
	langKey
	idemKey
	fromKey // the network that asks
	wireKey
	againKey
)

func actorOf(ctx context.Context) store.Actor { a, _ := ctx.Value(actorKey).(store.Actor); return a }

func langOf(ctx context.Context) locale.Lang {
	if l, ok := ctx.Value(langKey).(locale.Lang); ok {
		return l
	}
	return locale.ZH
}

// authenticate turns the bearer token or the session's cookie into the actor. Operations marked public go on without one.
func (a *API) authenticate(ctx huma.Context, next func(huma.Context)) {
	ctx = huma.WithValue(ctx, langKey, locale.Parse(ctx.Header("Accept-Language")))
	ctx = huma.WithValue(ctx, catalogKey, a)
	ctx = huma.WithValue(ctx, idemKey, ctx.Header("Idempotency-Key"))
	ctx = huma.WithValue(ctx, fromKey, login.Network(ctx.RemoteAddr()))
	if req := trace.Of(ctx.Context()); req != nil {
		req.Route = ctx.Operation().OperationID
	}
	if strings.HasPrefix(ctx.Operation().Path, "/api/v1/incidents/{id}") {
		ctx = huma.WithContext(ctx, trace.About(ctx.Context(), ctx.Param("id")))
	}
	w := &wire{}
	w.r, w.w = humago.Unwrap(ctx)
	ctx = huma.WithValue(ctx, wireKey, w)
	if len(ctx.Operation().Security) == 0 {
		next(ctx)
		return
	}
	who := func() (store.Actor, error) { return a.whoIs(ctx, w) }
	actor, err := who()
	if err != nil {
		a.refuse(ctx, err)
		return
	}
	next(huma.WithValue(huma.WithValue(ctx, actorKey, actor), againKey, who)) // a stream asks again
}

// operation describes one call: its verb and path, its id for the CLI, and the room it belongs to.
type operation struct {
	method, path, id, room, summary string
	public                          bool          // no token needed
	secret                          bool          // the answer holds a secret, so it is not kept: a repeated request is refused
	again                           bool          // a repeated request is simply carried out again
	params                          []*huma.Param // of a list, which reads its query itself
}

func (o operation) huma() huma.Operation {
	op := huma.Operation{Method: o.method, Path: "/api/v1" + o.path, OperationID: o.id, Tags: []string{o.room}, Summary: o.summary, Parameters: o.params, SkipValidateParams: o.params != nil}
	if !o.public {
		op.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	}
	if o.method != http.MethodGet && !o.again {
		says := "A repeated request with the same key changes nothing and gets the first answer."
		if o.secret {
			says = "A repeated request with the same key changes nothing and is refused, because the answer was shown once and not kept."
		}
		op.Parameters = []*huma.Param{{Name: "Idempotency-Key", In: "header", Description: says, Schema: &huma.Schema{Type: huma.TypeString}}}
	}
	return op
}

type output[O any] struct{ Body O }

// get registers a call that changes nothing.
func get[I, O any](a *API, o operation, fn func(ctx context.Context, actor store.Actor, in *I) (O, error)) {
	o.method = http.MethodGet
	huma.Register(a.huma, o.huma(), func(ctx context.Context, in *I) (*output[O], error) {
		out, err := fn(ctx, actorOf(ctx), in)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &output[O]{out}, nil
	})
}

// post registers a call that changes something: fn runs in one write transaction. With an
// Idempotency-Key the answer is kept in that transaction and given again to a repeated request, except
// where the operation says otherwise.
func post[I, O any](a *API, o operation, fn func(ctx context.Context, tx *store.Tx, in *I) (O, error)) {
	prepared(a, o, func(store.Actor, *I) (none, error) { return none{}, nil },
		func(ctx context.Context, tx *store.Tx, in *I, _ none) (O, error) { return fn(ctx, tx, in) })
}

// prepared is post with work that takes long and needs no transaction: nobody else writes during one.
func prepared[I, X, O any](a *API, o operation, before func(actor store.Actor, in *I) (X, error), with func(ctx context.Context, tx *store.Tx, in *I, x X) (O, error)) {
	o.method = http.MethodPost
	huma.Register(a.huma, o.huma(), func(ctx context.Context, in *I) (*output[O], error) {
		x, err := before(actorOf(ctx), in)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		fn := func(ctx context.Context, tx *store.Tx, in *I) (O, error) { return with(ctx, tx, in, x) }
		key, _ := ctx.Value(idemKey).(string)
		from, _ := ctx.Value(fromKey).(string)
		var out O
		err = a.Store.Write(ctx, actorOf(ctx), func(tx *store.Tx) error {
			var zero O
			out = zero // the function may run again
			if key == "" || o.again {
				var err error
				out, err = fn(ctx, tx, in)
				return err
			}
			do := once
			if o.public {
				do = onceFrom(from)
			}
			return do(ctx, tx, key, o, in, &out, func() error {
				var err error
				out, err = fn(ctx, tx, in)
				return err
			})
		})
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &output[O]{out}, nil
	})
}

// ByID is the input of calls that need nothing but an id. It is exported because huma sees no unexported embedding.
type ByID struct {
	ID string `path:"id" maxLength:"64"`
}

// none is the input of calls that need nothing.
type none struct{}

// done is the answer of calls that only succeed.
type done struct {
	OK bool `json:"ok"`
}
