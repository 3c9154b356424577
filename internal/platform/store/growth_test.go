package store_test

import (
	"slices"
	"testing"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

// What hangs on something that grows in number, by the columns that name it.
var hangsBy = []string{"incident_id", "anomaly_id", "order_id", "evidence_id", "retrospective_id", "plan_run_id", "merged_into"}

func TestWhatHangsOnAnIncidentIsFoundWithoutReadingAllThatHangsOnOthers(t *testing.T) {
	st := storetest.Open(t, store.Options{Dir: t.TempDir(), Clock: clock.System()})
	if err := st.Write(t.Context(), store.System("test"), func(tx *store.Tx) error {
		_, err := tx.ExecContext(t.Context(), "CREATE TABLE forgotten (id TEXT PRIMARY KEY, incident_id TEXT NOT NULL)")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	columns := "SELECT m.name AS tbl, c.name AS col FROM sqlite_master AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table'"
	if storetest.On() == storetest.Postgres {
		columns = "SELECT table_name AS tbl, column_name AS col FROM information_schema.columns WHERE table_schema = current_schema()"
	}
	var all []struct{ Tbl, Col string }
	if err := st.Read().NewRaw(columns).Scan(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	found, forgotten := 0, false
	for _, c := range all {
		if !slices.Contains(hangsBy, c.Col) || c.Tbl == "gateway_stop" { // of which there are a few a service
			continue
		}
		found++
		plan := storetest.Plan(t, st.Read(), "SELECT * FROM "+c.Tbl+" WHERE "+c.Col+" = 'x'")
		if c.Tbl == "forgotten" {
			forgotten = plan.Scans(c.Tbl)
		} else if plan.Scans(c.Tbl) {
			t.Errorf("%s is read whole for one %s: %s", c.Tbl, c.Col, plan)
		}
	}
	if found < 25 || !forgotten {
		t.Errorf("%d columns were looked at; a table without an index is told: %t", found, forgotten)
	}
}
