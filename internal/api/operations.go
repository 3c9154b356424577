package api

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"sort"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/locale"
)

// Op is one operation as the command line sees it. Body maps each field to its JSON type.
type Op struct {
	ID, Room, Summary, Method, Path string
	PathParams                      []string
	Query                           map[string]bool
	Body                            map[string]string
	Required                        []string
}

// Params lists the parameters; required ones first, optional ones in brackets.
func (o Op) Params() []string {
	out := append([]string{}, o.PathParams...)
	must := map[string]bool{}
	for _, r := range o.Required {
		must[r] = true
		out = append(out, r)
	}
	var may []string
	for b := range o.Body {
		if !must[b] {
			may = append(may, "["+b+"]")
		}
	}
	for q := range o.Query {
		may = append(may, "["+q+"]")
	}
	sort.Strings(may)
	return append(out, may...)
}

func document() (*huma.OpenAPI, error) {
	catalog, err := locale.Load()
	if err != nil {
		return nil, err
	}
	return Mount(http.NewServeMux(), &flow.House{}, catalog, slog.New(slog.DiscardHandler)).huma.OpenAPI(), nil
}

// Document is the OpenAPI 3.1 document as JSON, without a running server.
func Document() ([]byte, error) {
	doc, err := document()
	if err != nil {
		return nil, err
	}
	return json.Marshal(doc)
}

// Operations lists every operation, room by room, from the same registration that serves them.
func Operations() ([]Op, error) {
	doc, err := document()
	if err != nil {
		return nil, err
	}
	var out []Op
	for path, item := range doc.Paths {
		for method, op := range map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodPost: item.Post} {
			if op == nil {
				continue
			}
			o := Op{ID: op.OperationID, Room: op.Tags[0], Summary: op.Summary, Method: method, Path: path, Query: map[string]bool{}, Body: map[string]string{}}
			for _, p := range op.Parameters {
				switch p.In {
				case "path":
					o.PathParams = append(o.PathParams, p.Name)
				case "query":
					o.Query[p.Name] = true
				}
			}
			if op.RequestBody != nil {
				s := op.RequestBody.Content["application/json"].Schema
				if s.Ref != "" {
					s = doc.Components.Schemas.SchemaFromRef(s.Ref)
				}
				o.Required = s.Required
				for name, p := range s.Properties {
					o.Body[name] = p.Type
					if p.Type == "" {
						o.Body[name] = "object"
					}
				}
			}
			out = append(out, o)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Room != out[j].Room {
			return out[i].Room < out[j].Room
		}
		return out[i].ID < out[j].ID
	})
	return out, nil
}
