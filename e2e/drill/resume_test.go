package drill

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/prepare/drill"
	"github.com/fengsui/fengsui/internal/respond/incident"
	"github.com/fengsui/fengsui/internal/simulate"
)

// house is an instance in front of a simulated model, with a real service behind the same gateway.
type house struct {
	app      *app.App
	upstream string
	token    string
	real     drill.Bystander
	http     *http.Client
}

func open(t *testing.T) *house {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{upstream: "http://" + l.Addr().String() + "/v1", http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	model := simulate.NewModel(simulate.Options{Clock: clock.System()})
	running.Go(func() { model.Serve(ctx, l) })
	h.app, err = app.New(ctx, app.Options{DataDir: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0", AllowPrivateUpstreams: true})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	first, err := h.app.FirstService(ctx, app.FirstService{Upstream: h.upstream, Model: simulate.DefaultModelID})
	if err == nil {
		_, h.token, err = h.app.AddPerson(ctx, "organiser", "duty_officer")
	}
	h.real = drill.Bystander{Key: first.Key, Model: simulate.DefaultModelID}
	running.Go(func() { h.app.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait(); h.http.CloseIdleConnections() })
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) options(scenario, id string) drill.Options {
	return drill.Options{Server: h.app.URL(), Token: h.token, Upstream: h.upstream, UpstreamModel: simulate.DefaultModelID, Scenario: scenario, DrillID: id, Bystander: &h.real, HTTP: h.http}
}

func (h *house) count(t *testing.T, table, where string, args ...any) int {
	t.Helper()
	n, err := h.app.House.Store.Read().NewSelect().TableExpr(table).Where(where, args...).Count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

func TestADrillThatWasCutOffGoesOnAndDoesNothingTwice(t *testing.T) {
	h := open(t)
	for id, cuts := range map[string][]string{
		"A.1": {"detect", "declare", "contain", "lexicon", "fix", "lift", "close"},
		"A.2": {"complain", "classify", "offline", "spread", "online", "settle"},
	} {
		drillID := store.NewID(clock.Ms(clock.System()))
		for _, cut := range cuts {
			ctx, cancel := context.WithCancel(t.Context())
			o := h.options(id, drillID)
			o.OnStage = func(s drill.Stage, _ drill.Words) {
				if s.Name == cut {
					cancel()
				}
			}
			res, err := drill.Run(ctx, o)
			cancel()
			if !errors.Is(err, context.Canceled) || res.Passed {
				t.Fatalf("%s cut off after %s: %+v, %v", id, cut, res, err)
			}
		}
		res, err := drill.Run(t.Context(), h.options(id, drillID))
		if err != nil || !res.Passed {
			t.Fatalf("%s does not go on: %+v, %v", id, res, err)
		}
		if got, want := names(res.Stages), planned(scenario(t, id)); !slices.Equal(got, want) {
			t.Errorf("stages %v instead of %v", got, want)
		}
		for what, n := range map[string]int{
			"drills":          h.count(t, "drill", "id = ? AND state = 'passed'", drillID),
			"incidents":       h.count(t, "incident", "drill_id = ? AND state = 'closed'", drillID),
			"retrospectives":  h.count(t, "retrospective", "incident_id = ?", res.Incident),
			"fixes":           h.count(t, "fix", "incident_id = ?", res.Incident),
			"plan runs":       h.count(t, "plan_run", "incident_id = ?", res.Incident),
			"closings":        h.count(t, "closing", "incident_id = ?", res.Incident),
			"primary classes": h.count(t, "incident_category", "incident_id = ? AND rank = 'primary'", res.Incident),
		} {
			if n != 1 {
				t.Errorf("%s: %d %s instead of 1", id, n, what)
			}
		}
		if n := h.count(t, "assessment", "incident_id = ?", res.Incident); n != 2 {
			t.Errorf("%s: %d assessments instead of a preliminary and a confirmed one", id, n)
		}
		if n := h.count(t, "disposal_order", "drill_id = ? AND state = 'in_force'", drillID); n != 0 {
			t.Errorf("%s leaves %d orders in force", id, n)
		}
		if n := h.count(t, "anomaly", "drill_id = ? AND state IN ('open', 'assessing')", drillID); n != 0 {
			t.Errorf("%s leaves %d anomalies undecided", id, n)
		}
		// Once it has passed, playing it again is only told so.
		again, err := drill.Run(t.Context(), h.options(id, drillID))
		if err != nil || !again.Passed || len(again.Stages) != len(res.Stages) || again.Incident != res.Incident {
			t.Errorf("%s again: %+v, %v", id, again, err)
		}
	}
	// What happened in the drills touched nothing real.
	for what, n := range map[string]int{
		"incidents": h.count(t, "incident", "kind <> 'drill'"),
		"anomalies": h.count(t, "anomaly", "kind <> 'drill'"),
		"orders":    h.count(t, "disposal_order", "kind <> 'drill'"),
		"messages":  h.count(t, "outbox", "incident_kind <> 'drill'"),
	} {
		if n != 0 {
			t.Errorf("%d real %s came out of drills", n, what)
		}
	}
}

// TestSomethingRealPausesADrillUntilAPersonLetsItGoOn: a real incident of 三级 or above takes the people.
func TestSomethingRealPausesADrillUntilAPersonLetsItGoOn(t *testing.T) {
	h := open(t)
	drillID := store.NewID(clock.Ms(clock.System()))
	officer := store.Actor{ID: "officer", Roles: []string{"duty_officer"}}
	write := func(fn func(ctx context.Context, tx *store.Tx) error) {
		t.Helper()
		if err := h.app.House.Store.Write(t.Context(), officer, func(tx *store.Tx) error { return fn(t.Context(), tx) }); err != nil {
			t.Fatal(err)
		}
	}
	grade := func(harm string) {
		t.Helper()
		write(func(ctx context.Context, tx *store.Tx) error {
			var real string
			if err := tx.NewRaw("SELECT id FROM service WHERE kind = 'real'").Scan(ctx, &real); err != nil {
				return err
			}
			i, err := h.app.House.Declare(ctx, tx, incident.Declaration{Kind: "real", ServiceID: real, Title: "something real", AwareSource: "declared"})
			if err != nil {
				return err
			}
			_, err = h.app.House.Assess(ctx, tx, i.ID, incident.Assessing{Stage: "preliminary", Source: "self", SocialHarm: harm})
			return err
		})
	}
	o := h.options("A.1", drillID)
	o.OnStage = func(s drill.Stage, _ drill.Words) {
		switch s.Name {
		case "complain":
			grade("一般") // 四级 leaves the drill alone
		case "classify":
			grade("较大")
		}
	}
	res, err := drill.Run(t.Context(), o)
	if !errors.Is(err, drill.ErrPaused) || res.FailedStage != "confirm" || res.Passed {
		t.Fatalf("%+v, %v", res, err)
	}
	if _, err := drill.Run(t.Context(), h.options("A.1", drillID)); !errors.Is(err, drill.ErrPaused) {
		t.Errorf("a paused drill is played: %v", err)
	}
	write(func(ctx context.Context, tx *store.Tx) error { _, err := drill.Continue(ctx, tx, drillID); return err })
	if res, err = drill.Run(t.Context(), h.options("A.1", drillID)); err != nil || !res.Passed {
		t.Errorf("%+v, %v", res, err)
	}
}
