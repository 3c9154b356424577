package api_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/prepare/drill"
)

func (b *bench) drill(t testing.TB, id string) (v flow.DrillView) {
	t.Helper()
	b.must(t, b.call(t, "auditor", "GET", "/drills/"+id, ""), &v)
	return v
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s did not come", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// One call plays the guide's case to its end on the server's own API; the stages can be watched, and the
// times of the plan stand beside those that were taken.
func TestTheServerPlaysADrillByItselfOneAtATime(t *testing.T) {
	b := newBench(t)
	b.exec(t, "DELETE FROM drill WHERE id = '01DRILLX'")
	if a := b.call(t, "auditor", "POST", "/drills/run", `{"scenario":"A.1"}`); a.status != 403 {
		t.Errorf("an auditor starts a drill: %d", a.status)
	}
	var d drill.Drill
	b.must(t, b.call(t, "duty_officer", "POST", "/drills/run", `{"scenario":"A.1"}`), &d)
	if a := b.call(t, "duty_officer", "POST", "/drills/run", `{"scenario":"A.2"}`); a.status != 409 || a.Key != "drill.busy" {
		t.Errorf("a second drill at a time: %d %s", a.status, a.body)
	}
	watched := false
	until(t, "the end of the drill", func() bool {
		v := b.drill(t, d.ID)
		if v.Interrupted {
			t.Fatalf("a drill that is played is shown as interrupted")
		}
		for _, s := range v.StageList {
			watched = watched || v.State == drill.Running && s.State == "done"
		}
		return v.State != drill.Running
	})
	v := b.drill(t, d.ID)
	if !v.Passed || !watched || v.TotalMs <= 0 || v.IncidentID == "" {
		t.Fatalf("passed %v, watched %v: %+v\n%s", v.Passed, watched, v.DrillBrief, b.log)
	}
	for _, s := range v.StageList {
		if s.State != "done" || s.At == "" || s.Title.ZH == "" {
			t.Errorf("a stage of a passed drill: %+v", s)
		}
	}
	if len(v.PlanSteps) == 0 || v.PlanSteps[0].WithinMs <= 0 || v.PlanSteps[0].Title.EN == "" {
		t.Errorf("the plan's times: %+v", v.PlanSteps)
	}
	until(t, "the end of the runner's token", func() bool {
		return b.count(t, "SELECT COUNT(*) FROM token WHERE label = ? AND revoked_ms = 0", "drill "+d.ID) == 0
	})
}

func TestAnAbortedDrillLeavesNothingInForceAndAnInterruptedOneIsShownSo(t *testing.T) {
	b := newBench(t)
	b.exec(t, "DELETE FROM drill WHERE id = '01DRILLX'")
	var d drill.Drill
	b.must(t, b.call(t, "duty_officer", "POST", "/drills/run", `{"scenario":"A.2"}`), &d)
	until(t, "the emergency offline", func() bool {
		return b.count(t, "SELECT COUNT(*) FROM disposal_order WHERE drill_id = ? AND state = 'in_force'", d.ID) > 0
	})
	if a := b.call(t, "auditor", "POST", "/drills/"+d.ID+"/abort", ""); a.status != 403 {
		t.Errorf("an auditor aborts: %d", a.status)
	}
	b.must(t, b.call(t, "commander", "POST", "/drills/"+d.ID+"/abort", ""), nil)
	for what, query := range map[string]string{
		"orders": "SELECT COUNT(*) FROM disposal_order WHERE drill_id = ? AND state = 'in_force'", "stand-ins": "SELECT COUNT(*) FROM person WHERE drill_id = ? AND active",
		"keys": "SELECT COUNT(*) FROM gateway_key k JOIN service s ON s.id = k.service_id WHERE s.drill_id = ? AND k.revoked_ms = 0",
	} {
		if n := b.count(t, query, d.ID); n != 0 {
			t.Errorf("the aborted drill leaves %d %s", n, what)
		}
	}
	v := b.drill(t, d.ID)
	var stages []drill.Stage
	if err := json.Unmarshal([]byte(v.Stages), &stages); err != nil || len(stages) == 0 || v.State != drill.Aborted || v.IncidentID == "" {
		t.Errorf("what it came to is lost: %+v", v.DrillBrief)
	}
	if a := b.call(t, "commander", "POST", "/drills/"+d.ID+"/abort", ""); a.status >= 500 {
		t.Errorf("again: %d", a.status)
	}
	until(t, "the runner's end", func() bool { return b.app.House.PlayingDrill() == "" })

	// As after a crash: the row says running, and nobody plays it.
	b.write(t, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO drill (id, number, scenario, state, started_by, started_ms, by_server) VALUES ('01CRASHED', 'D-DR-C', 'A.1', 'running', 'x', 1, TRUE), ('01SEATED', 'D-DR-D', 'A.1', 'running', 'x', 1, FALSE)`)
		return err
	})
	// One that another node plays: as long as it serves as it did when the drill began.
	b.write(t, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO drill (id, number, scenario, state, started_by, started_ms, by_server, played_by) VALUES ('01ELSEWHERE', 'D-DR-E', 'A.1', 'running', 'x', ?, TRUE, 'b')`, tx.NowMs)
		return err
	})
	for _, c := range []struct {
		startedMs, seenMs int64
		interrupted       bool
	}{{-1, 0, false}, {1, 0, true}, {-1, -40_000, true}} {
		b.write(t, func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO node (id, first_ms, started_ms, seen_ms, version, built_for, modules) SELECT 'b', 1, started_ms + ?, ?, 'v', 1, '{}' FROM drill WHERE id = '01ELSEWHERE'
				ON CONFLICT (id) DO UPDATE SET started_ms = excluded.started_ms, seen_ms = excluded.seen_ms`, c.startedMs, tx.NowMs+c.seenMs)
			return err
		})
		if v := b.drill(t, "01ELSEWHERE"); v.Interrupted != c.interrupted {
			t.Errorf("played elsewhere, %+v: %v", c, v.Interrupted)
		}
	}
	for _, id := range []string{"01CRASHED", "01SEATED"} {
		if v := b.drill(t, id); !v.Interrupted {
			t.Errorf("%s is not shown as interrupted", id)
		}
		b.must(t, b.call(t, "duty_officer", "POST", "/drills/"+id+"/abort", ""), nil)
		if v := b.drill(t, id); v.Interrupted || v.State != drill.Aborted {
			t.Errorf("%s: %+v", id, v.DrillBrief)
		}
	}
}
