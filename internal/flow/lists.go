package flow

import (
	"context"
	"strconv"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/monitor/intake"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/listing"
	"github.com/fengsui/fengsui/internal/platform/notify"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/respond/obligation"
)

// AnomalyItem is an anomaly as the queue shows it. Its category is the one that the rule proposes.
type AnomalyItem struct {
	anomaly.Anomaly
	ServiceName string `json:"service_name"`
}

// IncidentItem is an incident as a list shows it. The nearest due is that of the obligations still open, see
// obligation.Nearest; where it is one owed at once, that stands since NearestSinceMs and has no due time. All 0 for none,
// or for who may not read obligations. Times are UTC milliseconds.
type IncidentItem struct {
	incident.Incident
	ServiceName    string         `json:"service_name"`
	Level          incident.Level `json:"level"`
	OpenedMs       int64          `json:"opened_ms"`
	NearestDueMs   int64          `json:"nearest_due_ms"`
	NearestDueRule string         `json:"nearest_due_rule"`
	NearestSinceMs int64          `json:"nearest_since_ms"`
	OpenTasks      int            `json:"open_tasks"`
}

// OrderItem is an order as a list shows it.
type OrderItem struct {
	containment.Order
	ServiceName    string `json:"service_name"`
	IncidentNumber string `json:"incident_number"` // "" until adopted
}

// ComplaintItem is a complaint as a list shows it, without its text.
type ComplaintItem struct {
	intake.Complaint
	ServiceName string `json:"service_name"`
}

// RecordItem is an entry of the record with the name of who acted, "" for a part of the system.
type RecordItem struct {
	record.Entry
	ActorName string `json:"actor_name"`
}

// MessageItem is a message and its fate. Times are UTC milliseconds, 0 for never.
type MessageItem struct {
	ID             string       `json:"id"`
	Channel        string       `json:"channel"`
	Class          notify.Class `json:"class"`
	Simulated      bool         `json:"simulated"`
	Recipient      string       `json:"recipient"`
	IncidentKind   string       `json:"incident_kind"`
	ObjectKind     string       `json:"object_kind"`
	ObjectID       string       `json:"object_id"`
	Template       string       `json:"template"`
	Args           string       `json:"args"` // JSON array
	State          notify.State `json:"state"`
	Attempts       int          `json:"attempts"`
	QueuedMs       int64        `json:"queued_ms"`
	SentMs         int64        `json:"sent_ms"`
	Receipt        string       `json:"receipt"`
	LastError      string       `json:"last_error"`
	AcknowledgedMs int64        `json:"acknowledged_ms"`
	AcknowledgedBy string       `json:"acknowledged_by"`
}

// AnomalyList is the anomaly queue.
func (h *House) AnomalyList() listing.List[AnomalyItem] {
	return listing.List[AnomalyItem]{Kept: &h.counts, NowMs: h.NowMs, Table: anomaly.Listing(), Mine: anomaly.Mine, IDOf: func(x AnomalyItem) string { return x.ID },
		Load: func(ctx context.Context, db bun.IDB, _ store.Actor, ids []string) ([]AnomalyItem, error) {
			return dressed(ctx, db, ids, func(x anomaly.Anomaly) string { return x.ServiceID }, func(x anomaly.Anomaly, service string) AnomalyItem {
				return AnomalyItem{x, service}
			})
		}}
}

// IncidentList is the list of incidents.
func (h *House) IncidentList() listing.List[IncidentItem] {
	return listing.List[IncidentItem]{Kept: &h.counts, NowMs: h.NowMs, Table: incident.Listing(), Mine: incident.Mine, IDOf: func(x IncidentItem) string { return x.ID }, Load: h.incidentItems}
}

// OrderList is the list of orders.
func (h *House) OrderList() listing.List[OrderItem] {
	return listing.List[OrderItem]{Kept: &h.counts, NowMs: h.NowMs, Table: containment.Listing(), Mine: containment.Mine, IDOf: func(x OrderItem) string { return x.ID },
		Load: func(ctx context.Context, db bun.IDB, _ store.Actor, ids []string) ([]OrderItem, error) {
			numbers, err := names(ctx, db, "SELECT id, number AS name FROM incident WHERE id IN (SELECT incident_id FROM disposal_order WHERE id IN (?))", bun.List(ids))
			if err != nil {
				return nil, err
			}
			return dressed(ctx, db, ids, func(x containment.Order) string { return x.ServiceID }, func(x containment.Order, service string) OrderItem {
				return OrderItem{x, service, numbers[x.IncidentID]}
			})
		}}
}

// ComplaintList is the list of complaints.
func (h *House) ComplaintList() listing.List[ComplaintItem] {
	return listing.List[ComplaintItem]{Kept: &h.counts, NowMs: h.NowMs, Table: intake.Listing(), Mine: intake.Mine, IDOf: func(x ComplaintItem) string { return x.ID },
		Load: func(ctx context.Context, db bun.IDB, _ store.Actor, ids []string) ([]ComplaintItem, error) {
			return dressed(ctx, db, ids, func(x intake.Complaint) string { return x.ServiceID }, func(x intake.Complaint, service string) ComplaintItem {
				return ComplaintItem{x, service}
			})
		}}
}

// RecordList is the list of the record's entries.
func (h *House) RecordList() listing.List[RecordItem] {
	return listing.List[RecordItem]{Kept: &h.counts, NowMs: h.NowMs, Table: record.Listing(), IDOf: func(x RecordItem) string { return strconv.FormatInt(x.Idx, 10) },
		Mine: func(a store.Actor) (listing.Where, error) {
			if err := identity.Require(a, "record.read"); err != nil {
				return nil, err
			}
			return func(q *bun.SelectQuery) *bun.SelectQuery {
				return q.Where("e.scope NOT IN (?) AND e.object_id NOT IN (?)", hiddenNames(a), hiddenNames(a))
			}, identity.RequireDrill(a, "")
		},
		Load: func(ctx context.Context, db bun.IDB, _ store.Actor, ids []string) ([]RecordItem, error) {
			at := make([]int64, 0, len(ids))
			for _, id := range ids {
				n, err := strconv.ParseInt(id, 10, 64)
				if err != nil {
					return nil, err
				}
				at = append(at, n)
			}
			entries, err := record.Entries(ctx, db, record.Filter{At: at, Limit: len(at)})
			if err != nil {
				return nil, err
			}
			persons, err := names(ctx, db, "SELECT id, name FROM person WHERE id IN (SELECT actor FROM record_entries WHERE idx IN (?))", bun.List(at))
			if err != nil {
				return nil, err
			}
			out := make([]RecordItem, 0, len(entries))
			for _, e := range entries {
				out = append(out, RecordItem{e, persons[e.Actor]})
			}
			return out, nil
		}}
}

// MessageList is the list of messages. Who may read incidents reads what was told about those he may know
// of, and about everything else.
func (h *House) MessageList() listing.List[MessageItem] {
	return listing.List[MessageItem]{Kept: &h.counts, NowMs: h.NowMs, Table: notify.Listing(), IDOf: func(x MessageItem) string { return x.ID },
		Mine: func(a store.Actor) (listing.Where, error) {
			if err := identity.Require(a, "incident.read"); err != nil {
				return nil, err
			}
			return func(q *bun.SelectQuery) *bun.SelectQuery {
				if a.Drill != "" {
					ours := bun.SafeQuery("SELECT id FROM incident WHERE drill_id = ?", a.Drill)
					q = q.Where("m.object_id IN (? UNION SELECT id FROM anomaly WHERE drill_id = ? UNION SELECT id FROM disposal_order WHERE drill_id = ? UNION ?)", ours, a.Drill, a.Drill, hangsOn(ours))
				}
				hidden := incident.Hidden(a)
				return q.Where("m.object_id NOT IN (?) AND m.object_id NOT IN (?)", hiddenNames(a), hangsOn(hidden))
			}, nil
		},
		Load: func(ctx context.Context, db bun.IDB, _ store.Actor, ids []string) ([]MessageItem, error) {
			var rows []notify.Item
			if err := db.NewSelect().Model(&rows).Where("id IN (?)", bun.List(ids)).Scan(ctx); err != nil {
				return nil, err
			}
			out := make([]MessageItem, 0, len(rows))
			for _, m := range rows {
				out = append(out, MessageItem{m.ID, m.Channel, m.Class, m.Simulated, m.Recipient, m.IncidentKind, m.ObjectKind, m.ObjectID, m.Template, m.Args, m.State,
					m.Attempts, m.QueuedMs, m.SentMs, m.Receipt, m.LastError, m.AcknowledgedMs, m.AcknowledgedBy})
			}
			return out, nil
		}}
}

// ObligationItem is an obligation among those of all incidents.
type ObligationItem struct {
	obligation.Obligation
	IncidentNumber string `json:"incident_number"`
}

// ObligationList is what is owed over all incidents that the actor may know of.
func (h *House) ObligationList() listing.List[ObligationItem] {
	return listing.List[ObligationItem]{Kept: &h.counts, NowMs: h.NowMs, IDOf: func(x ObligationItem) string { return x.ID },
		Table: listing.Table{From: "obligation AS b", ID: "b.id", Time: "b.clock_start_ms", Search: []string{listing.Has("b.rule_id"), listing.Has("b.authority")},
			Fields: []listing.Field{{Name: "state", Expr: "b.state", Values: []string{"pending", "owed", "decision", "struck_off", "met"}, Facet: true}, {Name: "rule_id", Expr: "b.rule_id", Facet: true}, {Name: "incident_id", Expr: "b.incident_id"}}},
		Mine: func(a store.Actor) (listing.Where, error) {
			if err := identity.Require(a, "obligation.read"); err != nil {
				return nil, err
			}
			inner, err := incident.Mine(a)
			return func(q *bun.SelectQuery) *bun.SelectQuery {
				return q.Where("b.incident_id IN (?)", inner(h.Store.Read().NewSelect().TableExpr("incident AS i").ColumnExpr("i.id")))
			}, err
		},
		Load: func(ctx context.Context, db bun.IDB, _ store.Actor, ids []string) ([]ObligationItem, error) {
			var rows []obligation.Obligation
			if err := db.NewSelect().Model(&rows).Where("id IN (?)", bun.List(ids)).Scan(ctx); err != nil {
				return nil, err
			}
			obligation.Order(h.Book, rows)
			numbers, err := names(ctx, db, "SELECT id, number AS name FROM incident WHERE id IN (SELECT incident_id FROM obligation WHERE id IN (?))", bun.List(ids))
			out := make([]ObligationItem, 0, len(rows))
			for _, r := range rows {
				out = append(out, ObligationItem{r, numbers[r.IncidentID]})
			}
			return out, err
		}}
}

// dressed loads rows of a room by id and gives each the name of its service.
func dressed[R, T any](ctx context.Context, db bun.IDB, ids []string, service func(R) string, dress func(R, string) T) ([]T, error) {
	var rows []R
	if err := db.NewSelect().Model(&rows).Where("id IN (?)", bun.List(ids)).Scan(ctx); err != nil {
		return nil, err
	}
	of := make([]string, len(rows))
	for i, r := range rows {
		of[i] = service(r)
	}
	called, err := names(ctx, db, "SELECT id, name FROM service WHERE id IN (?)", bun.List(of))
	if err != nil {
		return nil, err
	}
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = dress(r, called[of[i]])
	}
	return out, nil
}

// names reads what the rows of a query with id and name are called.
func names(ctx context.Context, db bun.IDB, query string, args ...any) (map[string]string, error) {
	var rows []struct{ ID, Name string }
	if err := db.NewRaw(query, args...).Scan(ctx, &rows); err != nil {
		return nil, err
	}
	out := make(map[string]string, len(rows))
	for _, r := range rows {
		out[r.ID] = r.Name
	}
	return out, nil
}

func (h *House) incidentItems(ctx context.Context, db bun.IDB, a store.Actor, ids []string) ([]IncidentItem, error) {
	items, err := dressed(ctx, db, ids, func(x incident.Incident) string { return x.ServiceID }, func(x incident.Incident, service string) IncidentItem {
		return IncidentItem{Incident: x, ServiceName: service, OpenedMs: x.DeclaredMs}
	})
	if err != nil {
		return nil, err
	}
	levels, err := incident.LevelsOf(ctx, db, ids)
	if err != nil {
		return nil, err
	}
	var tasks []struct {
		IncidentID string
		N          int
	}
	if err := db.NewRaw("SELECT incident_id, COUNT(*) AS n FROM task WHERE state = 'open' AND incident_id IN (?) GROUP BY incident_id", bun.List(ids)).Scan(ctx, &tasks); err != nil {
		return nil, err
	}
	duties := map[string][]obligation.Obligation{}
	if identity.May(a, "obligation.read") {
		var standing []obligation.Obligation
		if err := db.NewSelect().Model(&standing).Where("incident_id IN (?)", bun.List(ids)).Where("state IN ('pending', 'owed', 'decision')").Scan(ctx); err != nil {
			return nil, err
		}
		for _, o := range standing {
			duties[o.IncidentID] = append(duties[o.IncidentID], o)
		}
	}
	at := make(map[string]*IncidentItem, len(items))
	for i := range items {
		at[items[i].ID] = &items[i]
		items[i].Level = levels[items[i].ID]
	}
	for _, t := range tasks {
		at[t.IncidentID].OpenTasks = t.N
	}
	for id, of := range duties {
		o := obligation.Nearest(h.Book, of)
		if o == nil {
			continue
		}
		at[id].NearestDueMs, at[id].NearestDueRule = o.DueMs, o.RuleID
		if o.AtOnce {
			at[id].NearestSinceMs = o.ClockStartMs
		}
	}
	return items, nil
}
