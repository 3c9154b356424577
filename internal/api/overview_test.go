package api_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
)

func (b *bench) overview(t testing.TB, role string) flow.Overview {
	t.Helper()
	var o flow.Overview
	b.must(t, b.call(t, role, "GET", "/overview", ""), &o)
	return o
}

func reasons(o flow.Overview) (ids []string) {
	for _, r := range o.Reasons {
		ids = append(ids, r.ID)
	}
	slices.Sort(ids)
	return ids
}

// at puts a row about service SVC, at the bench's own present and service.
func (b *bench) at(t testing.TB, offsetMs int64, query string) {
	t.Helper()
	b.exec(t, fmt.Sprintf(query, b.app.House.NowMs()+offsetMs, b.svc))
}

const anIncident = `INSERT INTO incident (id, number, kind, operator_id, service_id, title, state, restricted, editions, declared_by, declared_ms)
	SELECT '%s', 'N-%s', '%s', operator_id, id, 't', 'responding', %s, '[]', 'x', 1 FROM service WHERE kind = 'real'`

func (b *bench) incident(t testing.TB, id, kind, restricted string, level int) {
	t.Helper()
	b.exec(t, fmt.Sprintf(anIncident, id, id, kind, restricted), fmt.Sprintf("INSERT INTO incident_object (incident_id, object_id, added_ms) VALUES ('%s', '%s', 1)", id, b.obj))
	if level > 0 {
		b.exec(t, fmt.Sprintf(`INSERT INTO assessment (id, incident_id, object_id, stage, source, facts, importance, final_level, working_level, grading, edition, assessed_by, at_ms)
			VALUES ('A%s', '%s', '%s', 'confirmed', 'self', '{}', '一般', %d, %d, '{}', 'e', 'x', 1)`, id, id, b.obj, level, level))
	}
}

// Each thing that should keep a duty officer from sleeping is a reason of its own, and its harmless
// neighbour is none: the desk says neither too little nor too much.
func TestTheDeskIsCalmUntilSomethingRealNeedsIt(t *testing.T) {
	b := newBench(t)
	order := `INSERT INTO disposal_order (id, seq, kind, service_id, cause, cause_id, incident_id, rung, measure, scope, params, release_mode, state, issued_by, issued_ms)
		VALUES ('%s', %s, '%s', '%%[2]s', 'anomaly', 'x', '%s', 'strict_filter', 'adjust', '{"service_id":"%%[2]s"}', '{}', 'auto', 'in_force', 'x', %%[1]d)`
	anomaly := `INSERT INTO anomaly (id, number, kind, service_id, rule_id, fingerprint, severity, state, first_ms, last_ms, opened_ms, incident_id) VALUES ('%s', 'AN-%s', '%s', '%%[2]s', 'r', 'f', '%s', '%s', %%[1]d, %%[1]d, %%[1]d, '%s')`
	obligation := `INSERT INTO obligation (id, incident_id, operator_id, rule_id, authority, edition, state, clock_start_ms, due_ms) SELECT '%s', '%s', operator_id, 'r-%s', 'a', 'e', '%s', 1, %%[1]d FROM service WHERE id = '%%[2]s'`
	message := `INSERT INTO outbox (id, idem_key, channel, class, recipient, lang, incident_kind, object_kind, object_id, template, args, state, queued_ms, next_ms) VALUES ('M1', 'M1', 'inbox', 'staff', 'x', 'zh', 'real', 'x', 'x%%.0[2]s', 't', '[]', '%s', %%[1]d, 9000000000000)`
	// The world does nothing by itself while this test looks: only what is put there counts.
	var has []string
	expect := func(step string, more ...string) {
		t.Helper()
		has = append(has, more...)
		slices.Sort(has)
		o := b.overview(t, "commander")
		if got := reasons(o); !slices.Equal(got, has) || o.Calm != (len(has) == 0) {
			t.Errorf("%s: calm %v, reasons %v, want %v", step, o.Calm, got, has)
		}
	}
	for range 100 { // the gateway has just been told
		if len(b.overview(t, "commander").Reasons) == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond) // it tells its own clock, which is the wall's
	}
	expect("at first")
	b.incident(t, "INdrill", "drill", "FALSE", 1)
	b.incident(t, "INsmall", "real", "FALSE", 3)
	b.incident(t, "INsecret", "real", "TRUE", 1)
	expect("a grave drill, a small incident, and one that is hidden")
	b.at(t, 4*3600_000, fmt.Sprintf(obligation, "O1", "INsmall", "1", "owed"))
	b.at(t, -1000, fmt.Sprintf(obligation, "O2", "INsmall", "2", "met"))
	b.at(t, -1000, fmt.Sprintf(obligation, "O3", "INdrill", "3", "owed"))
	b.at(t, 0, fmt.Sprintf(anomaly, "ANn", "n", "real", "normal", "open", ""))
	b.at(t, 0, fmt.Sprintf(anomaly, "ANa", "a", "real", "critical", "assessing", ""))
	b.at(t, 0, fmt.Sprintf(anomaly, "ANd", "d", "drill", "critical", "open", ""))
	b.at(t, 0, fmt.Sprintf(order, "OR1", "901", "real", "INsmall"))
	b.at(t, 0, fmt.Sprintf(order, "OR2", "902", "drill", ""))
	expect("clocks that have time or are met, anomalies that are looked at, orders that belong somewhere")

	b.at(t, 600_000, fmt.Sprintf(obligation, "O4", "INsmall", "4", "owed"))
	expect("a clock of ten minutes", "clock_near")
	b.exec(t, "DELETE FROM obligation WHERE id = 'O4'")
	has = nil
	b.at(t, -1000, fmt.Sprintf(obligation, "O5", "INsmall", "5", "pending"))
	expect("a clock that ran out", "clock_overdue")
	b.incident(t, "INbig", "real", "FALSE", 2)
	expect("an incident of grade II", "incident_grave")
	b.incident(t, "INnew", "real", "FALSE", 0)
	expect("an incident nobody has graded", "incident_ungraded")
	b.at(t, 0, fmt.Sprintf(anomaly, "ANi", "i", "real", "critical", "promoted", "INbig"))
	b.at(t, 0, `INSERT INTO signal (id, anomaly_id, source, service_id, at_ms, content_no) VALUES ('S1', 'ANi', 'gateway', '%[2]s', %[1]d, 'C1')`)
	expect("content of which nothing was kept", "evidence_missing")
	b.at(t, -1000, `INSERT INTO task (id, incident_id, title, role, state, due_ms) VALUES ('T1', 'INbig', '{"zh":"%[2]s","en":"x"}', 'duty_officer', 'open', %[1]d)`)
	expect("a task that is late", "task_overdue")
	b.at(t, 0, fmt.Sprintf(anomaly, "ANc", "c", "real", "critical", "open", ""))
	expect("a severe anomaly that nobody looks at", "anomaly_waiting")
	b.at(t, 0, fmt.Sprintf(order, "OR3", "903", "real", ""))
	expect("an order of no incident", "order_unadopted")
	b.at(t, 0, `INSERT INTO order_probe (id, order_id, gateway_id, at_ms, effective, detail) VALUES ('P1', 'OR1', 'g', %[1]d, TRUE, '%[2]s')`)
	expect("a probe that was stopped")
	b.at(t, 1, `INSERT INTO order_probe (id, order_id, gateway_id, at_ms, effective, detail) VALUES ('P2', 'OR1', 'g', %[1]d, FALSE, '%[2]s')`)
	expect("a probe that came through", "order_not_holding")
	b.at(t, -120_000, fmt.Sprintf(message, "failed"))
	expect("a message that never left", "message_backlog")
	b.exec(t, `INSERT INTO gateway (id, revision, last_seen_ms, effective) VALUES ('far', 0, 1, FALSE)`)
	expect("a gateway nobody hears from", "gateway_stale")
	b.exec(t, `UPDATE gateway SET guards_silent = 1 WHERE id = 'far'`)
	expect("a guard model of which nobody hears anything anyway")
	b.at(t, 0, `INSERT INTO gateway (id, revision, last_seen_ms, effective, guards_silent) SELECT 'near', revision, %[1]d, TRUE, 1 FROM bundle_state WHERE '%[2]s' <> ''`)
	expect("a guard model that gives no opinions", "guard_silent")
	b.at(t, -120_000, `INSERT INTO due (id, kind, object_kind, object_id, incident_kind, due_ms, next_ms, state, set_ms) VALUES ('D1', 'nobody.knows', 'x', '%[2]s', 'real', %[1]d, 9000000000000, 'pending', 1)`)
	expect("a clock that nobody fires", "due_backlog")

	b.at(t, 0, `INSERT INTO obligation (id, incident_id, operator_id, rule_id, authority, edition, state, clock_start_ms, due_ms) SELECT 'O6', 'INbig', operator_id, 'guide.immediate', 'a', 'e', 'pending', %[1]d, 0 FROM service WHERE id = '%[2]s'`)
	expect("a report that may come to be owed at once")
	b.exec(t, "UPDATE obligation SET state = 'owed' WHERE id = 'O6'")
	expect("a report that is owed at once", "report_at_once")

	o := b.overview(t, "commander")
	if c := o.Incidents.Items[0]; c.ID != "INbig" || c.Clock == nil || !c.Clock.AtOnce || c.Clock.SinceMs == 0 || c.Clock.DueMs != 0 || c.Clock.Overdue {
		t.Errorf("what is owed at once is not first: %+v", c)
	}
	b.exec(t, "DELETE FROM obligation WHERE id = 'O6'")
	o = b.overview(t, "commander")
	first := o.Incidents.Items[0]
	if o.Incidents.Total != 4 || first.ID != "INdrill" || first.Clock == nil || !first.Clock.Overdue || o.Incidents.Items[1].Clock.ObligationID != "O5" {
		t.Errorf("the incidents are not by their nearest clock: %+v", o.Incidents)
	}
	for _, i := range o.Incidents.Items {
		if i.ID == "INbig" && (i.MissingEvidence != 1 || i.TasksOverdue != 1 || i.Level.Working != 2) {
			t.Errorf("the incident: %+v", i)
		}
	}
}

func TestTheOverviewShowsWhatTheAskerMaySeeAndSaysWhatItLeavesOut(t *testing.T) {
	b := newBench(t)
	b.incident(t, "INsecret", "real", "TRUE", 1)
	b.exec(t, "INSERT INTO incident_access (incident_id, person_id, granted_by, granted_ms) VALUES ('INsecret', '"+b.person["commander"]+"', 'x', 1)")
	if o := b.overview(t, "commander"); o.Incidents.Total != 1 || o.Calm || len(o.Unseen) != 0 {
		t.Errorf("who is on the list: %+v", o)
	}
	for _, role := range []string{"duty_officer", "management", "auditor", "seat"} {
		if o := b.overview(t, role); o.Incidents.Total != 0 || slices.Contains(reasons(o), "incident_grave") {
			t.Errorf("%s: %+v %v", role, o.Incidents, o.Reasons)
		}
	}
	if o := b.overview(t, "system_admin"); !slices.Equal(o.Unseen, []string{"incidents", "anomalies", "orders"}) {
		t.Errorf("an administrator is not told what is left out: %v", o.Unseen)
	}
}

func TestTheOverviewKeepsRealTrafficApartFromWhatIsSimulatedOrADrill(t *testing.T) {
	b := newBench(t)
	for i, row := range []telemetry.Traffic{
		{Kind: "real", InputVerdict: "allow", OutputVerdict: "mask"}, {Kind: "real", InputVerdict: "mask", OutputVerdict: "allow"},
		{Kind: "real", Simulated: true, InputVerdict: "block", OutputVerdict: "none"}, {Kind: "drill", InputVerdict: "allow", OutputVerdict: "allow"},
	} {
		row.RequestID, row.ServiceID = fmt.Sprint("R", i), b.svc
		b.app.House.Telemetry.PutTraffic(row)
	}
	if err := b.app.House.Telemetry.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := b.overview(t, "auditor")
	got := map[string]int64{}
	for _, l := range o.Traffic.Lines {
		got[fmt.Sprint(l.Kind, l.Simulated, l.Verdict)] = l.Total
		if len(l.Counts) != 60 || l.Counts[59]+l.Counts[58] != l.Total {
			t.Errorf("a line is not the last hour by minute: %+v", l)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(map[string]int64{"realfalsemask": 2, "realtrueblock": 1, "drillfalseallow": 1}) {
		t.Errorf("the lines: %v", got)
	}
}

func TestEveryReasonHasItsWords(t *testing.T) {
	c, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range flow.CalmReasons() {
		if !slices.Contains(c.Keys(), "calm."+id) {
			t.Errorf("calm.%s has no words", id)
		}
	}
}
