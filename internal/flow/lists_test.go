package flow_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/listing"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

// crowd is a house with 10,000 anomalies, a tenth of them incidents, every third incident restricted.
func crowd(t testing.TB) *flow.House {
	t.Helper()
	st, err := store.Open(t.Context(), storetest.With(t, store.Options{Dir: t.TempDir(), Clock: clock.NewFake(time.UnixMilli(1_800_000_000_000))}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	err = st.Write(t.Context(), store.System("test"), func(tx *store.Tx) error {
		for _, q := range []string{
			"INSERT INTO operator (id, name, province, kind, created_ms) VALUES ('op', 'o', 'p', 'other', 1)",
			`WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20) INSERT INTO service (id, operator_id, name, kind, model_name, created_ms) SELECT 's' || x, 'op', '服务' || x, 'real', 'm' || x, 1 FROM n`,
			`INSERT INTO affected_object (id, service_id, kind, name, created_ms) SELECT 'o' || id, id, 'service', name, 1 FROM service`,
			`WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 10000) INSERT INTO anomaly (id, number, kind, service_id, rule_id, fingerprint, category, risk, severity, state, first_ms, last_ms, opened_ms, incident_id)
				SELECT 'A' || SUBSTR(CAST(100000 + x AS TEXT), 2), 'AN-' || SUBSTR(CAST(100000 + x AS TEXT), 2), CASE x % 7 WHEN 0 THEN 'test' ELSE 'real' END, 's' || (x % 20 + 1), 'rule-' || (x % 9), 'f' || x, 'content', 'A.' || (x % 5 + 1) || '.a', 'normal',
				CASE WHEN x % 10 = 0 THEN 'promoted' WHEN x % 3 = 0 THEN 'dismissed' ELSE 'open' END, x, x, x, CASE WHEN x % 10 = 0 THEN 'I' || SUBSTR(CAST(100000 + x AS TEXT), 2) ELSE '' END FROM n`,
			`INSERT INTO incident (id, number, kind, operator_id, service_id, title, state, restricted, editions, declared_by, declared_ms) SELECT incident_id, 'IN-' || id, kind, 'op', service_id, '事件 ' || id, 'declared', opened_ms % 30 = 0, '[]', 'x', opened_ms FROM anomaly WHERE incident_id <> ''`,
			`INSERT INTO incident_object (incident_id, object_id, added_ms) SELECT id, 'o' || service_id, 1 FROM incident`,
			`WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 4) INSERT INTO assessment (id, incident_id, object_id, stage, source, facts, importance, working_level, grading, edition, assessed_by, at_ms)
				SELECT i.id || x, i.id, 'o' || CASE WHEN x = 4 THEN 's1' ELSE i.service_id END, 'preliminary', CASE WHEN (i.declared_ms / 10 + x) % 5 = 0 THEN 'authority' ELSE 'self' END, '{}', '', (i.declared_ms / 10 * 7 + x * x) % 4 + 1, '{}', 'e', 'x', x / 2 FROM incident i, n WHERE i.declared_ms / 10 % 6 <> 0`,
			`INSERT INTO obligation (id, incident_id, operator_id, rule_id, authority, edition, state, clock_start_ms, due_ms) SELECT 'b' || id, id, 'op', 'r', 'a', 'e', 'owed', 1, declared_ms + 5 FROM incident`,
			`WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 5) INSERT INTO signal (id, anomaly_id, source, service_id, at_ms) SELECT a.id || x, a.id, 'gateway', a.service_id, x FROM anomaly a, n`,
			"ANALYZE",
		} {
			if _, err := tx.ExecContext(t.Context(), q); err != nil {
				return fmt.Errorf("%.60s: %w", q, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return &flow.House{Store: st}
}

var reader = store.Actor{ID: "p", Roles: []string{"commander"}}

func TestTheLevelByWhichIncidentsAreCountedIsTheLevelTheyShow(t *testing.T) {
	h := crowd(t)
	l, seen := h.IncidentList(), map[string]int{}
	for _, level := range []string{"0", "1", "2", "3", "4"} {
		err := l.Each(t.Context(), h.Store.Read(), store.System("test"), listing.All().Only("level", level), func(x flow.IncidentItem) error {
			one, err := incident.LevelOf(t.Context(), h.Store.Read(), x.ID)
			if fmt.Sprint(x.Level.Working) != level || one.Working != x.Level.Working || x.NearestDueMs != x.DeclaredMs+5 {
				t.Errorf("%s is listed under %s, shows %d, has %d", x.ID, level, x.Level.Working, one.Working)
			}
			seen[level]++
			return err
		})
		if err != nil || seen[level] == 0 {
			t.Errorf("level %s: %d, %v", level, seen[level], err)
		}
	}
	if n := seen["0"] + seen["1"] + seen["2"] + seen["3"] + seen["4"]; n != 1000 {
		t.Errorf("%d incidents", n)
	}
}

// asked keeps what a list asks the database.
type asked struct{ queries []string }

func (q *asked) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }
func (q *asked) AfterQuery(_ context.Context, e *bun.QueryEvent) {
	if strings.HasPrefix(e.Query, "SELECT") {
		q.queries = append(q.queries, e.Query)
	}
}

func TestNoListReadsAllSignalsOrSortsAllItsRowsForAPage(t *testing.T) {
	h := crowd(t)
	db := h.Store.Read().(*bun.DB)
	kept := &asked{}
	watched := db.WithQueryHook(kept)
	for _, err := range []error{
		look(t, watched, h.AnomalyList()), look(t, watched, h.IncidentList()), look(t, watched, h.OrderList()), look(t, watched, h.ComplaintList()), look(t, watched, h.RecordList()), look(t, watched, h.MessageList()),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	one := listing.All().Only("action", "incident.declare") // of which there may be a hundred thousand
	if _, err := h.RecordList().Page(t.Context(), watched, reader, one); err != nil {
		t.Fatal(err)
	}
	pages := 0
	for _, q := range kept.queries {
		plan, page := storetest.Plan(t, db, q), strings.Contains(q, "LIMIT 51")
		if page {
			pages++
		}
		if plan.Scans("signal") || page && plan.SortsAll() {
			t.Errorf("%s: %s … %s", plan, q[:60], q[len(q)-60:])
		}
	}
	if pages != 7 {
		t.Errorf("the plans of %d pages were read", pages)
	}
}

func TestAListIsCountedFromAnIndexAloneAndWhatIsHiddenIsFoundFromTheFewRestricted(t *testing.T) {
	h := crowd(t)
	db := h.Store.Read().(*bun.DB)
	kept := &asked{}
	watched := db.WithQueryHook(kept)
	for _, err := range []error{look(t, watched, h.AnomalyList()), look(t, watched, h.IncidentList()), look(t, watched, h.OrderList()), look(t, watched, h.ComplaintList()), look(t, watched, h.MessageList())} {
		if err != nil {
			t.Fatal(err)
		}
	}
	counts := []string{"anomaly_facets", "incident_facets", "disposal_order_facets", "complaint_facets", "outbox_facets"}
	for _, q := range kept.queries {
		if !strings.Contains(q, "GROUP BY") || !strings.Contains(q, "COUNT(*)") || len(counts) == 0 || !strings.Contains(q, " AS kind") && !strings.Contains(q, " AS template") {
			continue
		}
		// PostgreSQL reads an index alone only of pages that were vacuumed, and chooses by what it has counted.
		if plan := storetest.Plan(t, db, q); storetest.On() == storetest.SQLite && (!plan.Uses(counts[0]) || !plan.Uses("incident_restricted")) || plan.Scans("incident ") || plan.Scans("anomaly ") {
			t.Errorf("%s: %s", counts[0], plan)
		}
		counts = counts[1:]
	}
	if len(counts) > 0 {
		t.Errorf("no list was counted from %v", counts)
	}
}

func look[T any](t testing.TB, db bun.IDB, l listing.List[T]) error {
	_, err := l.Page(t.Context(), db, reader, listing.All())
	return err
}
