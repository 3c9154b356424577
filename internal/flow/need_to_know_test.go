package flow_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
	"pgregory.net/rapid"

	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

// quiet keeps no record; this test is about reading.
type quiet struct{}

func (quiet) Append(context.Context, bun.Tx, int64, []store.Entry) error { return nil }

// Lists filter in SQL and single things are asked of Cedar. Whoever, whatever: both say the same.
func TestTheFilterOfListsAndThePoliciesHideTheSame(t *testing.T) {
	st, err := store.Open(t.Context(), storetest.With(t, store.Options{Dir: t.TempDir(), Clock: clock.NewFake(time.UnixMilli(1_800_000_000_000)), Recorder: quiet{}}))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	ctx, db := t.Context(), st.Read()
	ids := func(t *rapid.T, q schema.QueryAppender) []string {
		var out []string
		if err := db.NewRaw("SELECT * FROM (?) AS q ORDER BY 1", q).Scan(ctx, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	same := func(t *rapid.T, what string, a store.Actor, got, want []string) {
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%s for %+v: SQL has %v, the policies %v", what, a, got, want)
		}
	}
	combinations, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		people := []string{"p1", "p2", "p3"}
		drills := rapid.SampledFrom([]string{"", "", "d1", "d2"})
		var things []identity.Thing
		var anomalies []struct{ id, incident, into string }
		if err := st.Write(ctx, store.System("test"), func(tx *store.Tx) error {
			things, anomalies = nil, nil
			for _, table := range []string{"disposal_order", "anomaly", "incident_access", "incident", "service", "operator", "person"} {
				if _, err := tx.Exec("DELETE FROM " + table); err != nil {
					return err
				}
			}
			exec := func(q string, args ...any) {
				if _, err := tx.ExecContext(ctx, q, args...); err != nil {
					t.Fatal(err)
				}
			}
			exec("INSERT INTO operator (id, name, province, kind, created_ms) VALUES ('op', 'o', 'p', 'other', 1)")
			exec("INSERT INTO service (id, operator_id, name, kind, model_name, created_ms) VALUES ('svc', 'op', 's', 'real', 'm', 1)")
			for _, p := range people {
				exec("INSERT INTO person (id, name, roles, created_ms) VALUES (?, ?, '[]', 1)", p, p)
			}
			for k := range rapid.IntRange(0, 5).Draw(t, "incidents") {
				thing := identity.Thing{Kind: "incident", ID: fmt.Sprint("i", k), Restricted: rapid.Bool().Draw(t, "restricted"), InDrill: true, Drill: drills.Draw(t, "drill"),
					Allowed: rapid.SliceOfDistinct(rapid.SampledFrom(people), rapid.ID).Draw(t, "list")}
				kind := "real"
				if thing.Drill != "" {
					kind = "drill"
				}
				exec("INSERT INTO incident (id, number, kind, drill_id, operator_id, service_id, title, state, restricted, editions, declared_by, declared_ms) VALUES (?, ?, ?, ?, 'op', 'svc', 't', 'declared', ?, '[]', 'x', 1)",
					thing.ID, thing.ID, kind, thing.Drill, thing.Restricted)
				for _, p := range thing.Allowed { // a list may stand there from a wall that is not up
					exec("INSERT INTO incident_access (incident_id, person_id, granted_by, granted_ms) VALUES (?, ?, 'x', 1)", thing.ID, p)
				}
				exec(`INSERT INTO disposal_order (id, seq, kind, drill_id, service_id, cause, cause_id, incident_id, rung, measure, scope, params, release_mode, state, issued_by, issued_ms)
					VALUES (?, ?, ?, ?, 'svc', 'incident', ?, ?, 'strict_filter', 'adjust', '{}', '{}', 'review', 'in_force', 'x', 1)`, "o"+thing.ID, k+1, kind, thing.Drill, thing.ID, thing.ID)
				things = append(things, thing)
			}
			for k := range rapid.IntRange(0, 6).Draw(t, "anomalies") {
				a := struct{ id, incident, into string }{id: fmt.Sprint("a", k)}
				if k > 0 && rapid.Bool().Draw(t, "merged") {
					a.into = fmt.Sprint("a", rapid.IntRange(0, k-1).Draw(t, "into"))
				} else if len(things) > 0 && rapid.Bool().Draw(t, "promoted") {
					a.incident = rapid.SampledFrom(things).Draw(t, "of").ID
				}
				exec("INSERT INTO anomaly (id, number, kind, service_id, rule_id, fingerprint, state, first_ms, last_ms, opened_ms, incident_id, merged_into) VALUES (?, ?, 'real', 'svc', 'r', ?, 'open', 1, 1, 1, ?, ?)",
					a.id, a.id, a.id, a.incident, a.into)
				anomalies = append(anomalies, a)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			a := store.Actor{ID: rapid.SampledFrom(append(people, "outsider")).Draw(t, "who"), Drill: drills.Draw(t, "in"),
				Roles: rapid.SliceOfNDistinct(rapid.SampledFrom(identity.Roles()), 1, 3, rapid.ID).Draw(t, "roles")}
			if rapid.IntRange(0, 7).Draw(t, "system") == 0 {
				a = store.System("due")
			}
			bare := a
			if !a.IsSystem() {
				bare.Roles = nil
			}
			var readable, secret, orders []string
			for _, thing := range things {
				combinations++
				if identity.Decide(a, "incident.read", thing).Allowed {
					readable = append(readable, thing.ID)
				} else {
					refused++
				}
				// What may not be known of is hidden whatever the drill or the office.
				if !identity.Decide(bare, "thing.touch", identity.Thing{Restricted: thing.Restricted, Allowed: thing.Allowed}).Allowed {
					secret = append(secret, thing.ID)
				}
				if identity.Decide(a, "order.read", thing).Allowed {
					orders = append(orders, "o"+thing.ID)
				}
				_, err := incident.Get(ctx, db, a, thing.ID)
				if (err == nil) != slices.Contains(readable, thing.ID) {
					t.Fatalf("%s for %+v: %v", thing.ID, a, err)
				}
				if err := incident.Visible(ctx, db, a, "id", thing.ID); (err != nil) != slices.Contains(secret, thing.ID) {
					t.Fatalf("%s for %+v: %v", thing.ID, a, err)
				}
			}
			same(t, "hidden incidents", a, ids(t, incident.Hidden(a)), secret)
			var hidden []string
			root := map[string]string{}
			for _, x := range anomalies { // into an earlier one, so roots are known
				root[x.id] = x.incident
				if x.into != "" {
					root[x.id] = root[x.into]
				}
				if slices.Contains(secret, root[x.id]) {
					hidden = append(hidden, x.id)
				}
			}
			same(t, "hidden anomalies", a, ids(t, anomaly.Hidden(a)), hidden)
			if identity.May(a, "incident.read") {
				list, err := incident.List(ctx, db, a, incident.Filter{})
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, i := range list {
					got = append(got, i.ID)
				}
				same(t, "incidents", a, got, readable)
			}
			if identity.May(a, "order.read") {
				list, err := containment.List(ctx, db, a, containment.Filter{})
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, o := range list {
					got = append(got, o.ID)
				}
				same(t, "orders", a, got, orders)
			}
		}
	})
	if refused == 0 || refused == combinations {
		t.Errorf("%d of %d were refused", refused, combinations)
	}
	t.Logf("%d actors × incidents, %d refused", combinations, refused)
}
