package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

// flood puts three anomalies under assessment, each first seen and with a complaint and an order of its
// own: c was merged into b, b and a are still apart.
func (b *bench) flood(t testing.TB) {
	t.Helper()
	now := b.app.House.NowMs()
	for k, id := range []string{"a", "b", "c"} {
		seen := now - int64(k+1)*60_000
		state, into := "assessing", ""
		if id == "c" {
			state, into = "merged", "AN-b"
		}
		b.exec(t,
			fmt.Sprintf(`INSERT INTO anomaly (id, number, kind, service_id, rule_id, fingerprint, state, first_ms, last_ms, opened_ms, assessed_by, assessed_ms, merged_into) VALUES ('AN-%s', 'N-%s', 'real', '%s', 'r', 'f%s', '%s', 1, 1, 1, 'x', %d, '%s')`, id, id, b.svc, id, state, seen, into),
			fmt.Sprintf(`INSERT INTO evidence (id, incident_id, anomaly_id, kind, content_no, day, sha256, pinned_by, pinned_ms) VALUES ('EV-%s', '', 'AN-%s', 'real', 'C-%s', '2026-01-01', 'x', 'x', 1)`, id, id, id),
			fmt.Sprintf(`INSERT INTO disposal_order (id, seq, kind, service_id, cause, cause_id, incident_id, rung, measure, scope, params, release_mode, state, issued_by, issued_ms) VALUES ('OR-%s', %d, 'real', '%s', 'anomaly', 'AN-%s', '', 'strict_filter', 'filter', '{"service_id":"%s"}', '{}', 'review', 'in_force', 'x', 1)`, id, 900+k, b.svc, id, b.svc))
		b.write(t, func(tx *store.Tx) error {
			sealed, err := b.app.House.Record.Seal(t.Context(), tx, "anomaly:AN-"+id, []byte("key"))
			if err != nil {
				return err
			}
			_, err = tx.Exec("UPDATE evidence SET sealed_key = ? WHERE id = ?", sealed, "EV-"+id)
			return err
		})
	}
}

func (b *bench) wantAll(t testing.TB, incidentID string) {
	t.Helper()
	for _, what := range []string{"disposal_order", "evidence"} {
		if n := b.count(t, "SELECT COUNT(*) FROM "+what+" WHERE incident_id = ? AND (id LIKE 'OR-%' OR id LIKE 'EV-%')", incidentID); n != 3 {
			t.Errorf("the incident has %d of 3 in %s", n, what)
		}
	}
	if n := b.count(t, "SELECT COUNT(*) FROM awareness WHERE incident_id = ? AND source = 'alarm_seen' AND ref IN ('AN-a', 'AN-b', 'AN-c')", incidentID); n != 3 {
		t.Errorf("the incident knows of %d of 3 times of awareness", n)
	}
	aware, err := incident.AwareMs(t.Context(), b.app.House.Store.Read(), incidentID)
	if err != nil {
		t.Fatal(err)
	}
	if seen := b.count(t, "SELECT assessed_ms FROM anomaly WHERE id = 'AN-c'"); aware != int64(seen) {
		t.Errorf("the clocks run from %d, the first alarm was seen at %d", aware, seen)
	}
	if n := b.count(t, "SELECT COUNT(*) FROM obligation WHERE incident_id = ? AND clock_start_ms > ?", incidentID, aware); n != 0 {
		t.Errorf("%d obligations run from later than the awareness", n)
	}
}

// Whatever the order in which anomalies are merged and promoted, nothing of any of them is lost.
func TestMergingLosesNoOrderNoEvidenceAndNoAwareness(t *testing.T) {
	for name, ways := range map[string][]string{
		"merged and then promoted": {"/anomalies/AN-b/merge", "/anomalies/AN-a/promote"},
		"promoted and then merged": {"/anomalies/AN-a/promote", "/anomalies/AN-b/merge"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.flood(t)
			for _, way := range ways {
				role, body := "duty_officer", `{"title":"t"}`
				if strings.HasSuffix(way, "/merge") {
					role, body = "safety_engineer", `{"into":"AN-a"}` // who merges need not handle incidents
				}
				b.must(t, b.call(t, role, "POST", way, body), nil)
			}
			var of string
			if err := b.app.House.Store.Read().NewRaw("SELECT id FROM incident").Scan(t.Context(), &of); err != nil {
				t.Fatal(err)
			}
			b.wantAll(t, of)
		})
	}
}

func TestNothingIsMergedIntoAClosedIncident(t *testing.T) {
	b := newBench(t)
	b.flood(t)
	b.must(t, b.call(t, "duty_officer", "POST", "/anomalies/AN-a/promote", `{"title":"t"}`), nil)
	b.exec(t, "UPDATE incident SET state = 'closed'")
	if a := b.call(t, "duty_officer", "POST", "/anomalies/AN-b/merge", `{"into":"AN-a"}`); a.status != 409 || a.Key != "anomaly.merge_closed" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if n := b.count(t, "SELECT COUNT(*) FROM anomaly WHERE state = 'merged'"); n != 1 {
		t.Error("it is merged all the same")
	}
}

// Two officers press at once: the one who comes second is told which incident it is, not to assess first.
func TestAnAnomalyIsPromotedOnceAndTheSecondIsToldWhere(t *testing.T) {
	b := newBench(t)
	b.flood(t)
	var i struct{ Number string }
	b.must(t, b.call(t, "duty_officer", "POST", "/anomalies/AN-a/promote", `{"title":"t"}`), &i)
	a := b.call(t, "commander", "POST", "/anomalies/AN-a/promote", `{"title":"t"}`)
	if a.status != 409 || a.Key != "anomaly.promoted_already" || !strings.Contains(string(a.body), i.Number) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if n := b.count(t, "SELECT COUNT(*) FROM incident"); n != 1 {
		t.Errorf("%d incidents", n)
	}
}
