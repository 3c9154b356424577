package drill_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/prepare/drill"
	"github.com/fengsui/fengsui/internal/service"
)

// keeper notes what would be recorded.
type keeper struct{ entries []store.Entry }

func (k *keeper) Append(_ context.Context, _ bun.Tx, _ int64, e []store.Entry) error {
	k.entries = append(k.entries, e...)
	return nil
}

type house struct {
	t     *testing.T
	st    *store.Store
	kept  *keeper
	clock *clock.Fake
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, kept: &keeper{}, clock: clock.NewFake(time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC))}
	st, err := store.Open(t.Context(), storetest.With(t, store.Options{Dir: t.TempDir(), Clock: h.clock, Recorder: h.kept}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	h.st = st
	return h
}

func (h *house) write(a store.Actor, fn func(ctx context.Context, tx *store.Tx) error) error {
	return h.st.Write(h.t.Context(), a, func(tx *store.Tx) error { return fn(h.t.Context(), tx) })
}

func (h *house) start(a store.Actor, o drill.StartOptions) (s drill.Started, err error) {
	err = h.write(a, func(ctx context.Context, tx *store.Tx) (err error) { s, err = drill.Start(ctx, tx, o); return err })
	return s, err
}

func (h *house) finish(a store.Actor, id, stages string, state drill.State) (d drill.Drill, err error) {
	err = h.write(a, func(ctx context.Context, tx *store.Tx) (err error) {
		d, err = drill.Finish(ctx, tx, id, stages, state, "incident-1")
		return err
	})
	return d, err
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

var (
	officer = store.Actor{ID: "officer", Roles: []string{"duty_officer"}}
	auditor = store.Actor{ID: "auditor", Roles: []string{"auditor"}}
)

const drillID = "01KAMHKZ0000000000000000AA"

func options() drill.StartOptions {
	return drill.StartOptions{ID: drillID, Scenario: "A.2", UpstreamURL: "http://127.0.0.1:9/v1", UpstreamModel: "sim"}
}

func TestStartMakesGroundThatIsMarkedAsADrill(t *testing.T) {
	h := newHouse(t)
	s, err := h.start(officer, options())
	h.must(err)
	if s.Drill.State != drill.Running || !strings.HasPrefix(s.Drill.Number, "D-DR-2026-") || s.Drill.StartedBy != "officer" {
		t.Errorf("drill %+v", s.Drill)
	}
	if len(s.Grounds) != 2 || s.Grounds[0].Importance != "重要" || s.Grounds[1].Importance != "一般" || s.Grounds[0].ServiceID != s.Drill.ServiceID {
		t.Fatalf("grounds %+v", s.Grounds)
	}
	for _, g := range s.Grounds {
		svc, err := service.Get[service.Service](t.Context(), h.st.Read(), "id", g.ServiceID)
		h.must(err)
		if svc.Kind != "drill" || svc.DrillID != drillID || svc.ModelName != g.Model {
			t.Errorf("service %+v", svc)
		}
		var kind, hash string
		h.must(h.st.Read().NewRaw("SELECT traffic_kind, hash FROM gateway_key WHERE service_id = ? AND revoked_ms = 0", g.ServiceID).Scan(t.Context(), &kind, &hash))
		if kind != "drill" || hash != service.HashKey(g.GatewayKey) {
			t.Errorf("key of kind %s, hash %s", kind, hash)
		}
		d, err := service.Get[service.Deployment](t.Context(), h.st.Read(), "id", g.DeploymentID)
		h.must(err)
		if d.UpstreamURL != "http://127.0.0.1:9/v1" || d.Role != "primary" {
			t.Errorf("deployment %+v", d)
		}
	}
	seen := map[string]bool{}
	for _, seat := range s.Seats {
		a, err := identity.Authenticate(t.Context(), h.st.Read(), clock.Ms(h.clock), seat.Token)
		h.must(err)
		if a.Drill != drillID || len(a.Roles) != 1 || a.Roles[0] != seat.Role {
			t.Errorf("stand-in %+v for %s", a, seat.Role)
		}
		if identity.RequireDrill(a, "") == nil || identity.RequireDrill(a, "another") == nil {
			t.Errorf("the stand-in for %s reaches beyond its drill", seat.Role)
		}
		seen[seat.Role] = true
	}
	for _, role := range drill.Roles() {
		if !seen[role] {
			t.Errorf("nobody stands in for %s", role)
		}
	}
	h.clock.Advance(time.Duration(drill.SeatMs+1) * time.Millisecond)
	if _, err := identity.Authenticate(t.Context(), h.st.Read(), clock.Ms(h.clock), s.Seats[0].Token); err == nil {
		t.Error("a stand-in's token never expires")
	}
}

func TestTheSameIDGivesTheSameObjectsWithFreshSecrets(t *testing.T) {
	h := newHouse(t)
	first, err := h.start(officer, options())
	h.must(err)
	again, err := h.start(officer, options())
	h.must(err)
	if again.Drill != first.Drill {
		t.Errorf("drill %+v, then %+v", first.Drill, again.Drill)
	}
	for i := range first.Grounds {
		a, b := first.Grounds[i], again.Grounds[i]
		if a.GatewayKey == b.GatewayKey {
			t.Error("the gateway key is the same, so it is kept somewhere")
		}
		a.GatewayKey, b.GatewayKey = "", ""
		if a != b {
			t.Errorf("ground %+v, then %+v", a, b)
		}
	}
	for i := range first.Seats {
		if first.Seats[i].PersonID != again.Seats[i].PersonID || first.Seats[i].Token == again.Seats[i].Token {
			t.Errorf("seat %+v, then %+v", first.Seats[i], again.Seats[i])
		}
	}
	for table, want := range map[string]int{"drill": 1, "service": 2, "person": len(drill.Roles()), "operator": 1} {
		n, err := h.st.Read().NewSelect().TableExpr(table).Count(t.Context())
		h.must(err)
		if n != int64(want) {
			t.Errorf("%d rows in %s instead of %d", n, table, want)
		}
	}
}

func TestDrillsShareAnOperatorOfTheirOwn(t *testing.T) {
	h := newHouse(t)
	h.must(h.write(store.System("test"), func(ctx context.Context, tx *store.Tx) error {
		_, err := service.AddOperator(ctx, tx, service.Operator{Name: "real", Province: "x", Kind: "cii"})
		return err
	}))
	_, err := h.start(officer, options())
	h.must(err)
	o := options()
	o.ID, o.Scenario = "01KAMHKZ0000000000000000BB", "A.1"
	s, err := h.start(officer, o)
	h.must(err)
	var operators []string
	h.must(h.st.Read().NewRaw("SELECT DISTINCT operator_id FROM service").Scan(t.Context(), &operators))
	if len(operators) != 1 {
		t.Errorf("operators %v", operators)
	}
	var name string
	h.must(h.st.Read().NewRaw("SELECT name FROM operator WHERE id = ?", operators[0]).Scan(t.Context(), &name))
	if name == "real" {
		t.Error("a real operator is drawn into a drill")
	}
	if s.Drill.Number != "D-DR-2026-0002" || s.Grounds[0].Importance != "一般" {
		t.Errorf("drill %+v on %+v", s.Drill, s.Grounds)
	}
}

func TestStartRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		actor store.Actor
		alter func(*drill.StartOptions)
		key   string
	}{
		{"who may not run drills", auditor, func(*drill.StartOptions) {}, "identity.not_allowed"},
		{"a stand-in of another drill", store.Actor{ID: "s", Roles: []string{"commander"}, Drill: "x"}, func(*drill.StartOptions) {}, "identity.other_drill"},
		{"a stand-in of this drill", store.Actor{ID: "s", Roles: []string{"commander"}, Drill: drillID}, func(*drill.StartOptions) {}, "identity.other_drill"},
		{"an id that is no ULID", officer, func(o *drill.StartOptions) { o.ID = "A.1" }, "drill.bad_id"},
		{"an id in small letters", officer, func(o *drill.StartOptions) { o.ID = strings.ToLower(drillID) }, "drill.bad_id"},
		{"an unknown scenario", officer, func(o *drill.StartOptions) { o.Scenario = "A.3" }, "error.unknown_value"},
		{"an upstream with credentials", officer, func(o *drill.StartOptions) { o.UpstreamURL = "http://a:b@127.0.0.1/v1" }, "service.bad_url"},
		{"no upstream", officer, func(o *drill.StartOptions) { o.UpstreamURL = "" }, "error.required"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			o := options()
			c.alter(&o)
			if _, err := h.start(c.actor, o); !fault.Is(err, c.key) {
				t.Errorf("%v instead of %s", err, c.key)
			}
			for _, table := range []string{"drill", "service", "person"} {
				n, err := h.st.Read().NewSelect().TableExpr(table).Count(t.Context())
				h.must(err)
				if n != 0 {
					t.Errorf("%d rows in %s are left behind", n, table)
				}
			}
		})
	}
}

func TestAnIDBelongsToOneScenario(t *testing.T) {
	h := newHouse(t)
	_, err := h.start(officer, options())
	h.must(err)
	o := options()
	o.Scenario = "A.1"
	if _, err := h.start(officer, o); !fault.Is(err, "drill.other_scenario") {
		t.Errorf("%v", err)
	}
}

func TestAFinishedDrillKeepsItsStagesAndGivesOutNothing(t *testing.T) {
	h := newHouse(t)
	_, err := h.start(officer, options())
	h.must(err)
	stages := `[{"name":"prepare","at":"2026-11-22T08:00:00.000Z","ms":12}]`
	d, err := h.finish(officer, drillID, stages, drill.Passed)
	h.must(err)
	if d.State != drill.Passed || d.Stages != stages || d.EndedMs == 0 || d.IncidentID != "incident-1" {
		t.Errorf("%+v", d)
	}
	again, err := h.start(officer, options())
	h.must(err)
	if again.Drill.State != drill.Passed || len(again.Seats) != 0 || len(again.Grounds) != 0 {
		t.Errorf("a finished drill hands out %+v", again)
	}
	if same, err := h.finish(officer, drillID, stages, drill.Passed); err != nil || same != d {
		t.Errorf("finishing again: %+v, %v", same, err)
	}
	if _, err := h.finish(officer, drillID, stages, drill.Failed); !fault.Is(err, "error.transition") {
		t.Errorf("a passed drill fails afterwards: %v", err)
	}
}

func TestFinishRefusesWithoutChange(t *testing.T) {
	h := newHouse(t)
	_, err := h.start(officer, options())
	h.must(err)
	for _, c := range []struct {
		name   string
		actor  store.Actor
		stages string
		state  drill.State
		key    string
	}{
		{"who may not run drills", auditor, "[]", drill.Passed, "identity.not_allowed"},
		{"another drill's stand-in", store.Actor{ID: "s", Roles: []string{"commander"}, Drill: "x"}, "[]", drill.Passed, "identity.other_drill"},
		{"a state that is no end", officer, "[]", drill.Paused, "error.unknown_value"},
		{"stages that are no JSON", officer, "{", drill.Passed, "error.not_json"},
		{"stages of another shape", officer, `{"name":"x"}`, drill.Passed, "error.not_json"},
	} {
		if _, err := h.finish(c.actor, drillID, c.stages, c.state); !fault.Is(err, c.key) {
			t.Errorf("%s: %v instead of %s", c.name, err, c.key)
		}
	}
	d, err := drill.Get(t.Context(), h.st.Read(), officer, drillID)
	h.must(err)
	if d.State != drill.Running {
		t.Errorf("the drill is %s", d.State)
	}
}

func TestSomethingRealPausesEveryRunningDrill(t *testing.T) {
	h := newHouse(t)
	_, err := h.start(officer, options())
	h.must(err)
	over := options()
	over.ID = "01KAMHKZ0000000000000000CC"
	_, err = h.start(officer, over)
	h.must(err)
	_, err = h.finish(officer, over.ID, "[]", drill.Failed)
	h.must(err)
	h.must(h.write(store.Actor{ID: "grader", Roles: []string{"compliance"}}, func(ctx context.Context, tx *store.Tx) error {
		return drill.PauseAll(ctx, tx, "incident IN-2026-0001 at level 2")
	}))
	list, err := drill.List(t.Context(), h.st.Read(), auditor, 0)
	h.must(err)
	states := map[string]drill.State{}
	for _, d := range list {
		states[d.ID] = d.State
	}
	if states[drillID] != drill.Paused || states[over.ID] != drill.Failed {
		t.Errorf("states %v", states)
	}
	last := h.kept.entries[len(h.kept.entries)-1]
	if last.Action != "drill.pause" || last.ObjectID != drillID {
		t.Errorf("recorded %+v", last)
	}
	if _, err := h.start(officer, options()); !fault.Is(err, "drill.paused") {
		t.Errorf("a paused drill goes on: %v", err)
	}
	if _, err := h.finish(officer, drillID, "[]", drill.Passed); !fault.Is(err, "error.transition") {
		t.Errorf("a paused drill passes: %v", err)
	}
	h.must(h.write(officer, func(ctx context.Context, tx *store.Tx) error { _, err := drill.Continue(ctx, tx, drillID); return err }))
	if _, err := h.start(officer, options()); err != nil {
		t.Errorf("a continued drill does not go on: %v", err)
	}
	if err := h.write(officer, func(ctx context.Context, tx *store.Tx) error { _, err := drill.Continue(ctx, tx, drillID); return err }); !fault.Is(err, "error.transition") {
		t.Errorf("a running drill continues: %v", err)
	}
}

func TestAStandInReadsOnlyItsOwnDrill(t *testing.T) {
	h := newHouse(t)
	_, err := h.start(officer, options())
	h.must(err)
	stranger := store.Actor{ID: "s", Roles: []string{"duty_officer"}, Drill: "x"}
	if _, err := drill.Get(t.Context(), h.st.Read(), stranger, drillID); !fault.Is(err, "identity.other_drill") {
		t.Errorf("%v", err)
	}
	list, err := drill.List(t.Context(), h.st.Read(), stranger, 0)
	if err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := drill.Get(t.Context(), h.st.Read(), store.Actor{ID: "x", Roles: []string{"system_admin"}}, drillID); !fault.Is(err, "identity.not_allowed") {
		t.Errorf("%v", err)
	}
}

func TestNoSecretIsRecorded(t *testing.T) {
	h := newHouse(t)
	s, err := h.start(officer, options())
	h.must(err)
	js, err := json.Marshal(h.kept.entries)
	h.must(err)
	for _, secret := range []string{s.Seats[0].Token, s.Grounds[0].GatewayKey} {
		if strings.Contains(string(js), secret) {
			t.Error("a token or key is in the record")
		}
	}
}
