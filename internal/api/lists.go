package api

import (
	"context"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fengsui/fengsui/internal/platform/listing"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// ListInput is the query of a list, read by the list itself. It is exported because huma sees no unexported embedding.
type ListInput struct{ query url.Values }

// Resolve keeps the query; huma calls it.
func (in *ListInput) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	in.query = u.Query()
	return nil
}

// takes describes the parameters of a list, which is also what the command line offers.
func (o operation) takes(t listing.Table) operation {
	for _, p := range t.Params() {
		o.params = append(o.params, &huma.Param{Name: p.Name, In: "query", Description: p.Says, Schema: &huma.Schema{Type: p.Type}})
	}
	return o
}

// lists registers a long list: searched, filtered, counted and paged.
func lists[T any](a *API, o operation, l listing.List[T]) {
	get(a, o.takes(l.Table), func(ctx context.Context, actor store.Actor, in *ListInput) (listing.Page[T], error) {
		q, err := asked(actor, l, in)
		if err != nil {
			return listing.Page[T]{}, err
		}
		return l.Page(ctx, a.Store.Read(), actor, q)
	})
}

// asked reads the question; who may not ask at all is told that first.
func asked[T any](actor store.Actor, l listing.List[T], in *ListInput) (listing.Query, error) {
	if _, err := l.Mine(actor); err != nil {
		return listing.Query{}, err
	}
	return l.Parse(in.query)
}
