package api_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/api"
	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

const mark = "测试标记甲9f3"

// written makes an incident with the mark in every text that people write about one: through the calls
// where a call takes it at once, in the tables where a long way leads there.
func (b *bench) written(t *testing.T) (id string) {
	t.Helper()
	n := 0
	say := func(role, path, body string, into any) {
		t.Helper()
		n++
		b.must(t, b.call(t, role, "POST", path, strings.ReplaceAll(body, "MARK", mark), "Idempotency-Key", fmt.Sprint("k", n)), into)
	}
	var i struct{ ID string }
	say("commander", "/incidents", `{"service_id":"`+b.svc+`","title":"MARK"}`, &i)
	at := "/incidents/" + i.ID
	say("compliance", at+"/fact-checks", `{"claim":"MARK","source":"MARK","verdict":"false"}`, nil)
	say("compliance", at+"/impacts", `{"party":"MARK","economic":"MARK","reputation":"MARK"}`, nil)
	say("compliance", at+"/statements", `{"audience":"public","text":"MARK"}`, nil)
	say("engineer", at+"/fixes", `{"cause":"MARK","measure":"MARK"}`, nil)
	say("compliance", at+"/spread", `{"platform":"MARK","location":"MARK"}`, nil)
	b.world(t)
	b.exec(t, "DELETE FROM second_signature WHERE id = 'RWerase'")
	for _, q := range []string{
		"UPDATE disposal_order SET incident_id = 'INC', ended_reason = 'MARK'",
		"UPDATE gate_review SET incident_id = 'INC', ground = 'MARK', decision_reason = 'MARK'",
		"UPDATE nonconformity SET incident_id = 'INC', reason = 'MARK' WHERE id = 'RWnon'",
		"UPDATE obligation SET reason = 'MARK', receipt = 'MARK' WHERE incident_id = 'INC'",
		"UPDATE task SET incident_id = 'INC', output = 'MARK', title = '{\"zh\":\"MARK\",\"en\":\"MARK\"}'",
		"UPDATE closing SET incident_id = 'INC', summary = 'MARK', verification = 'MARK'",
		"UPDATE retrospective SET incident_id = 'INC', root_cause = 'MARK', went_well = 'MARK', went_badly = 'MARK', report = 'MARK'",
		"UPDATE improvement_action SET incident_id = 'INC', title = 'MARK', owner = 'MARK', proof = 'MARK'",
		"UPDATE second_signature SET incident_id = 'INC', state = 'confirmed', reason = 'MARK', request = '\"MARK\"'",
		"UPDATE awareness SET incident_id = 'INC', ref = 'MARK', withdrawn_reason = 'MARK'",
		"UPDATE incident SET links = '[\"MARK\"]' WHERE id = 'INC'",
		"UPDATE anomaly SET incident_id = 'INC', reason = 'MARK'",
		"UPDATE evidence SET incident_id = 'INC'",
		"INSERT INTO unmasking (id, evidence_id, person_id, reason, at_ms) VALUES ('u', 'RWevidence', 'p', 'MARK', 1)",
	} {
		b.exec(t, strings.NewReplacer("INC", i.ID, "MARK", mark).Replace(q))
	}
	return i.ID
}

// marked lists where the mark is: the columns of the database, and the files of its folder.
func (b *bench) marked(t *testing.T) (out []string) {
	t.Helper()
	db := b.app.House.Store.Read()
	for table, columns := range storetest.Columns(t, db) {
		for _, c := range columns {
			if b.count(t, `SELECT COUNT(*) FROM "`+table+`" WHERE `+c.Contains(), mark) > 0 {
				out = append(out, table+"."+c.Name)
			}
		}
	}
	if storetest.On() == storetest.Postgres {
		return out // what was overwritten stays in its files until the room is used again, see decision 9
	}
	for busy, tries := 1, 0; busy != 0; tries++ { // it gives way to whoever reads or writes meanwhile
		if tries == 500 {
			t.Fatal("the log was never folded into the file")
		}
		var log, moved int
		if err := db.QueryRowContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &moved); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	files, _ := filepath.Glob(filepath.Join(b.app.House.Store.Dir(), "fengsui.db*"))
	for _, f := range files {
		if raw, err := os.ReadFile(f); err != nil || bytes.Contains(raw, []byte(mark)) {
			out = append(out, fmt.Sprint(filepath.Base(f), err))
		}
	}
	return out
}

func (b *bench) erase(t *testing.T, scope string) answer {
	t.Helper()
	var s struct{ ID string }
	b.must(t, b.call(t, "management", "POST", "/record/erasures", `{"scope":"`+scope+`","ground":"g"}`), &s)
	b.exec(t, "UPDATE second_signature SET requested_by = '"+b.person["auditor"]+"' WHERE id = '"+s.ID+"'") // another manager
	return b.call(t, "management", "POST", "/record/erasures/"+s.ID+"/decide", `{"approve":true}`)
}

func TestAnErasedIncidentLeavesNoTextInTheDatabaseNorInItsFile(t *testing.T) {
	b := newBench(t)
	id := b.written(t)
	if before := b.marked(t); len(before) < 35 {
		t.Errorf("the mark was only in %d places: %q", len(before), before)
	}
	b.must(t, b.erase(t, "incident:"+id), nil)
	if after := b.marked(t); len(after) > 0 {
		t.Errorf("the mark is still in %q", after)
	}
	rep, err := record.Verify(t.Context(), b.app.House.Store.Read(), record.VerifyOptions{})
	if err != nil || !rep.OK || rep.Erased < 6 || rep.ErasedScopes != 1 {
		t.Errorf("record: %+v, %v", rep, err)
	}
	// What was done under a key stays done: the answer is gone, the act is not repeated.
	a := b.call(t, "commander", "POST", "/incidents", `{"service_id":"`+b.svc+`","title":"`+mark+`"}`, "Idempotency-Key", "k1")
	if a.status != 409 || a.Key != "api.idempotency_shown" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestTextsThatARestoreBroughtBackAreErasedAgain(t *testing.T) {
	b := newBench(t)
	id := b.written(t)
	b.exec(t, "INSERT INTO directive (id, operator_id, incident_id, authority, received_ms, body, state) VALUES ('DIR', '', '', 'a', 1, '', 'open')")
	b.write(t, func(tx *store.Tx) error { // a key under each, so that there is something to erase
		for _, s := range []string{"anomaly:RWanomaly", "directive:DIR"} {
			if _, err := b.app.House.Record.Seal(t.Context(), tx, s, []byte("x")); err != nil {
				return err
			}
		}
		return nil
	})
	for _, s := range []string{"incident:" + id, "anomaly:RWanomaly", "directive:DIR"} {
		b.must(t, b.erase(t, s), nil)
	}
	b.exec(t, "UPDATE incident SET title = '"+mark+"' WHERE id = '"+id+"'", "UPDATE fix SET cause = '"+mark+"'",
		"UPDATE anomaly SET incident_id = '', reason = '"+mark+"'", "UPDATE directive SET answer = '"+mark+"'")
	if len(b.marked(t)) < 4 {
		t.Error("the control failed")
	}
	dir := b.app.House.Store.Dir()
	database := storetest.Prepare(t, dir)
	b.app.Stop()
	var err error
	if b.app, err = app.New(t.Context(), app.Options{DataDir: dir, Database: database, Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	defer b.app.Stop()
	if after := b.marked(t); len(after) > 0 {
		t.Errorf("the mark is still in %q", after)
	}
}

func TestAnIncidentIsNotErasedWhileItWaitsForASecondPerson(t *testing.T) {
	b := newBench(t)
	id := b.written(t)
	b.exec(t, "UPDATE second_signature SET state = 'requested' WHERE id = 'RWsecond'")
	if a := b.erase(t, "incident:"+id); a.status != 409 || a.Key != "incident.open_seconds" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// A hold on an incident holds what belongs to it: its anomalies, also merged ones, its complaints, the
// users whom it reached, and directives about it.
func TestALegalHoldCoversWhatBelongsToTheIncident(t *testing.T) {
	b := newBench(t)
	id := b.written(t)
	for _, q := range []string{
		"INSERT INTO anomaly (id, number, kind, service_id, rule_id, fingerprint, state, first_ms, last_ms, opened_ms, merged_into) SELECT 'AN2', 'AN-2', kind, service_id, rule_id, 'f2', 'merged', 1, 1, 1, 'RWanomaly' FROM anomaly WHERE id = 'RWanomaly'",
		"INSERT INTO anomaly (id, number, kind, service_id, rule_id, fingerprint, state, first_ms, last_ms, opened_ms) SELECT 'AN3', 'AN-3', kind, service_id, rule_id, 'f3', 'open', 1, 1, 1 FROM anomaly WHERE id = 'RWanomaly'",
		"INSERT INTO complaint (id, number, code_hash, kind, traffic_kind, service_id, body, received_ms, state, anomaly_id) SELECT 'CP1', 'CP-1', '', 'complaint', 'real', service_id, '', 1, 'read', 'AN2' FROM anomaly WHERE id = 'AN2'",
		"INSERT INTO complaint (id, number, code_hash, kind, traffic_kind, service_id, body, received_ms, state, anomaly_id) SELECT 'CP3', 'CP-3', '', 'complaint', 'real', service_id, '', 1, 'read', 'AN3' FROM anomaly WHERE id = 'AN3'",
		"INSERT INTO signal (id, anomaly_id, source, service_id, at_ms, subject) VALUES ('s1', 'AN2', 'gateway', '', 1, 'hmac1'), ('s2', 'AN2', 'gateway', '', 1, ''), ('s3', 'AN3', 'gateway', '', 1, 'hmac3')",
		"INSERT INTO reach (incident_id, content_no, subject, released_runes, at_ms) VALUES ('INC', 'C-9', 'hmac9', 1, 1)",
		"INSERT INTO directive (id, operator_id, incident_id, authority, received_ms, body, state) VALUES ('DIR', '', 'INC', 'a', 1, '', 'open')",
	} {
		b.exec(t, strings.ReplaceAll(q, "INC", id))
	}
	scopes := []string{"incident:" + id, "anomaly:RWanomaly", "anomaly:AN2", "subject:CP1", "subject:hmac1", "subject:unknown", "subject:hmac9", "directive:DIR"}
	free := []string{"anomaly:AN3", "subject:CP3", "subject:hmac3"}
	b.write(t, func(tx *store.Tx) error { // a key under each, so that there is something to erase
		for _, s := range append(free, scopes...) {
			if _, err := b.app.House.Record.Seal(t.Context(), tx, s, []byte("x")); err != nil {
				return err
			}
		}
		return nil
	})
	b.must(t, b.call(t, "management", "POST", "/incidents/"+id+"/hold", `{"reason":"g"}`), nil)
	try := func(scope string) error {
		return b.app.House.Store.Write(t.Context(), store.System("test"), func(tx *store.Tx) error {
			return b.app.House.Erase(t.Context(), tx, record.Erasure{Scope: scope, Ground: "g", Requester: b.person["auditor"], Approver: b.person["management"]})
		})
	}
	for _, s := range scopes {
		if err := try(s); !fault.Is(err, "record.held") {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range free {
		if err := try(s); err != nil {
			t.Errorf("%s belongs to no held incident: %v", s, err)
		}
	}
	b.exec(t, "UPDATE incident SET legal_hold = FALSE")
	for _, s := range scopes[1:] { // the control; the incident itself is still held in the record
		if err := try(s); err != nil {
			t.Errorf("%s without the hold: %v", s, err)
		}
	}
}

func TestAKeptAnswerIsForgottenAfterADay(t *testing.T) {
	b := newBench(t)
	b.must(t, b.call(t, "safety_engineer", "POST", "/operators", operator, "Idempotency-Key", "old"), nil)
	b.must(t, b.call(t, "safety_engineer", "POST", "/operators", operator, "Idempotency-Key", "young"), nil)
	b.exec(t, "UPDATE idempotency SET at_ms = at_ms - 24*3600*1000 - 1 WHERE idem_key = 'old'", "UPDATE idempotency SET at_ms = at_ms - 23*3600*1000 WHERE idem_key = 'young'")
	if err := api.ForgetOldAnswers(t.Context(), b.app.House.Store); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, "SELECT COUNT(*) FROM idempotency WHERE idem_key = 'old'"); n != 0 {
		t.Error("it is still there")
	}
	if n := b.count(t, "SELECT COUNT(*) FROM idempotency WHERE idem_key = 'young'"); n != 1 {
		t.Error("a young one is gone")
	}
}
