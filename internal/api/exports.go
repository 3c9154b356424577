package api

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/listing"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/prepare/drill"
	"github.com/fengsui/fengsui/internal/prepare/lexicon"
	"github.com/fengsui/fengsui/internal/prepare/plan"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/service"
	"github.com/fengsui/fengsui/internal/standard"
)

// exports registers the export of every list. Columns are names of the JSON that the list answers, a dot
// leading into an object, so that what a list masks or leaves out is masked and left out here; each has its
// words under column.<name>. A column of milliseconds is written twice: in Beijing time and as it is. After a
// column of codes stands the list of the reference that has their words.
func (a *API) exports() {
	a.words = sync.OnceValue(func() map[string]standard.Name { return NewReference(a.Book, a.catalog).Words })
	db := func() bun.IDB { return a.Store.Read() }
	exportList(a, "anomalies", a.AnomalyList(), "number", "state anomaly.state", "kind kind", "service_name", "service_id", "rule_id signal_rule", "risk risk", "category guide_type", "severity severity", "signals", "subjects", "opened_ms", "first_ms", "last_ms", "reason", "incident_id", "id")
	exportList(a, "incidents", a.IncidentList(), "number", "title", "state incident.state", "kind kind", "service_name", "service_id", "level.working level", "level.final level", "level.stage stage", "restricted", "opened_ms", "nearest_due_ms", "nearest_due_rule obligation_rule", "nearest_since_ms", "open_tasks", "id")
	exportList(a, "orders", a.OrderList(), "seq", "state order.state", "rung rung", "measure measure", "kind kind", "service_name", "service_id", "incident_number", "cause cause", "cause_id", "release_mode release_mode", "emergency", "issued_by", "issued_ms", "expires_ms", "ended_ms", "ended_reason", "id")
	exportList(a, "complaints", a.ComplaintList(), "number", "state complaint.state", "kind complaint.kind", "traffic_kind kind", "service_name", "service_id", "received_ms", "read_ms", "answered_ms", "anomaly_id", "id")
	exportList(a, "record", a.RecordList(), "idx", "at_ms", "action action", "object_kind object", "object_id", "actor", "actor_name", "scope", "erased")
	exportList(a, "messages", a.MessageList(), "state message.state", "channel", "class channel.class", "recipient", "template template", "object_kind object", "object_id", "attempts", "queued_ms", "sent_ms", "receipt", "acknowledged_ms", "acknowledged_by", "id")
	exportList(a, "obligations", a.ObligationList(), "incident_number", "rule_id obligation_rule", "authority recipient", "state obligation.state", "clock_start_ms", "due_ms", "submitted_ms", "receipt", "reason", "id")

	exportAll(a, "services", func(ctx context.Context, actor store.Actor) ([]service.Service, error) {
		return list[service.Service](ctx, a, actor, "")
	},
		"name", "model_name", "kind kind", "filing_no", "operator_id", "created_ms", "id")
	exportAll(a, "keys", func(ctx context.Context, actor store.Actor) ([]service.GatewayKey, error) {
		return list[service.GatewayKey](ctx, a, actor, "")
	},
		"label", "service_id", "tenant", "user_group", "traffic_kind kind", "simulated", "created_ms", "revoked_ms", "id")
	exportAll(a, "plans", func(ctx context.Context, actor store.Actor) ([]plan.Version, error) {
		return plan.List(ctx, db(), actor, "")
	},
		"id", "version", "scenario", "category guide_type", "level level", "edition", "state plan.state", "created_ms", "approved_ms", "digest")
	exportAll(a, "persons", func(ctx context.Context, actor store.Actor) ([]identity.Person, error) {
		return identity.ListPersons(ctx, db(), actor, "")
	},
		"name", "active", "created_ms", "id")
	exportAll(a, "drills", func(ctx context.Context, actor store.Actor) ([]drill.Drill, error) {
		return drill.List(ctx, db(), actor, 500)
	},
		"number", "scenario", "state drill.state", "started_ms", "ended_ms", "incident_id", "id")
	exportAll(a, "gateways", func(ctx context.Context, actor store.Actor) ([]containment.GatewayRow, error) {
		if err := identity.Require(actor, "order.read"); err != nil {
			return nil, err
		}
		return containment.Gateways(ctx, db())
	}, "id", "revision", "last_seen_ms", "effective", "guards_silent")
	exportAll(a, "lexicon", func(ctx context.Context, actor store.Actor) (all []entryRow, err error) {
		for {
			some, err := a.LexiconEntries(ctx, actor, lexicon.Filter{Limit: 1000, Offset: len(all)})
			for _, e := range some {
				all = append(all, entryRow{e, e.Matching.String()})
			}
			if err != nil || len(some) < 1000 {
				return all, err
			}
		}
	}, "term", "action lexicon.action", "risk risk", "topic", "matching", "service_id", "strict_only", "secret", "source", "state lexicon.state", "expires_ms", "created_ms", "id")
}

// entryRow is an entry with its matching as a file for import has it.
type entryRow struct {
	lexicon.Entry
	Matching string `json:"matching"`
}

// exportList writes all rows of a long list that fit the question, a page at a time.
func exportList[T any](a *API, name string, l listing.List[T], columns ...string) {
	o := operation{path: "/exports/" + name, id: "export-" + name, room: "status", summary: "All of " + name + " that fit, as CSV"}
	register(a, o.takes(l.Table), columns, func(ctx context.Context, actor store.Actor, in *ListInput) (asking, error) {
		q, err := asked(actor, l, in)
		if err != nil {
			return asking{}, err
		}
		n, err := l.Total(ctx, a.Store.Read(), actor, q)
		filters := maps.Clone(map[string][]string(in.query))
		if q.Q != "" { // what people search for may be a name, and this entry is never erased
			filters["q"] = []string{"…"}
		}
		return asking{name: name, n: n, filters: filters, rows: func(write func(any) error) error {
			return l.Each(ctx, a.Store.Read(), actor, q, func(x T) error { return write(x) })
		}}, err
	})
}

// exportAll writes a short list whole.
func exportAll[T any](a *API, name string, read func(context.Context, store.Actor) ([]T, error), columns ...string) {
	register(a, operation{path: "/exports/" + name, id: "export-" + name, room: "status", summary: "All " + name + ", as CSV"}, columns, func(ctx context.Context, actor store.Actor, _ *none) (asking, error) {
		all, err := read(ctx, actor)
		return asking{name: name, n: len(all), rows: func(write func(any) error) error {
			for _, x := range all {
				if err := write(x); err != nil {
					return err
				}
			}
			return nil
		}}, err
	})
}

// asking is an export that may begin.
type asking struct {
	name    string
	n       int
	filters map[string][]string
	rows    func(write func(any) error) error
}

func register[I any](a *API, o operation, columns []string, ask func(context.Context, store.Actor, *I) (asking, error)) {
	o.method = http.MethodGet
	op := o.huma()
	op.Responses = map[string]*huma.Response{"200": {Description: "CSV with a byte order mark", Content: map[string]*huma.MediaType{"text/csv": {Schema: &huma.Schema{Type: huma.TypeString}}}}}
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		actor := actorOf(ctx)
		x, err := ask(ctx, actor, in)
		if err == nil {
			err = identity.RequireDrill(actor, "")
		}
		if err == nil { // on record before the first byte leaves
			err = a.Store.Write(ctx, actor, func(tx *store.Tx) error {
				tx.Record(store.Entry{Action: "list.export", ObjectKind: "list", ObjectID: x.name, Content: map[string]any{"filters": x.filters, "count": x.n}})
				return nil
			})
		}
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			hc.SetHeader("Content-Type", "text/csv; charset=utf-8")
			hc.SetHeader("Content-Disposition", `attachment; filename="`+x.name+`.csv"`)
			hc.SetHeader("Cache-Control", "no-store")
			if err := a.sheet(hc, langOf(ctx), columns, x.rows); err != nil {
				a.log.WarnContext(hc.Context(), "export broken off", "list", x.name, "err", err)
				panic(http.ErrAbortHandler) // a file that ends early must not look whole
			}
		}}, nil
	})
}

func (a *API) sheet(hc huma.Context, lang locale.Lang, columns []string, rows func(func(any) error) error) error {
	if _, err := hc.BodyWriter().Write([]byte("\ufeff")); err != nil {
		return err
	}
	w := csv.NewWriter(hc.BodyWriter())
	var head []string
	for _, c := range columns {
		c, _, _ = strings.Cut(c, " ")
		if head = append(head, a.catalog.Say(lang, "column."+c)); strings.HasSuffix(c, "_ms") {
			head = append(head, a.catalog.Say(lang, "column."+c)+" (ms)")
		}
	}
	if err := w.Write(head); err != nil {
		return err
	}
	err := rows(func(item any) error {
		cells, err := a.cellsOf(lang, item, columns)
		if err != nil {
			return err
		}
		return w.Write(cells)
	})
	w.Flush()
	if err == nil {
		err = w.Error()
	}
	return err
}

func (a *API) cellsOf(lang locale.Lang, item any, columns []string) ([]string, error) {
	raw, err := json.Marshal(item)
	if err != nil {
		return nil, err
	}
	var object map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&object); err != nil {
		return nil, err
	}
	var out []string
	for _, c := range columns {
		c, list, _ := strings.Cut(c, " ")
		var v any = object
		for part := range strings.SplitSeq(c, ".") {
			m, _ := v.(map[string]any)
			v = m[part]
		}
		if !strings.HasSuffix(c, "_ms") {
			out = append(out, a.cell(lang, list, v))
			continue
		}
		n, _ := v.(json.Number)
		if ms, _ := n.Int64(); ms > 0 {
			out = append(out, time.UnixMilli(ms).In(clock.Beijing).Format("2006-01-02 15:04:05"), n.String())
		} else {
			out = append(out, "", "")
		}
	}
	return out, nil
}

// cell writes a value in words, such that no spreadsheet takes it for a formula. A value without words stays.
func (a *API) cell(lang locale.Lang, list string, v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		v = a.worded(lang, list, v)
		if v != "" && strings.ContainsRune("=+-@\t\r", rune(v[0])) {
			return "'" + v
		}
		return v
	case json.Number:
		return a.worded(lang, list, v.String())
	case bool:
		if v {
			return a.catalog.Say(lang, "page.yes")
		}
		return a.catalog.Say(lang, "page.no")
	}
	js, _ := json.Marshal(v)
	return string(js)
}

func (a *API) worded(lang locale.Lang, list, value string) string {
	if list == "" {
		return value
	}
	name, ok := a.words()[list+"."+value]
	switch {
	case !ok:
		return value
	case lang == locale.EN:
		return name.EN
	default:
		return name.ZH
	}
}
