package incident_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

func (b *bench) apply(a store.Actor, id, summary string) error {
	return b.try(a, func(tx *store.Tx) error { _, err := incident.ApplyClosing(ctx, tx, id, summary); return err })
}

func (b *bench) verify(a store.Actor, id string, confirm bool, finding string) error {
	return b.try(a, func(tx *store.Tx) error {
		_, err := incident.VerifyClosing(ctx, tx, id, confirm, finding)
		return err
	})
}

// ended is an incident whose handling has ended and whose level is confirmed: ready to be closed.
func (b *bench) ended(t testing.TB) incident.Incident {
	t.Helper()
	i := b.declare(t, officer, nil)
	b.mustAssess(t, officer, i.ID, first("", "一般"))
	b.mustAssess(t, second, i.ID, incident.Assessing{Stage: "confirmed", SocialHarm: "一般"})
	for _, e := range []incident.Event{incident.OnRespond, incident.OnEndHandling} {
		if err := b.advance(commander, i.ID, e); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

// exec runs a query in which ID stands for the incident's id.
func (b *bench) exec(t testing.TB, query, id string) {
	t.Helper()
	b.do(t, store.System("test"), func(tx *store.Tx) error { _, err := tx.Exec(strings.ReplaceAll(query, "'ID'", "'"+id+"'")); return err })
}

func TestClosingIsRefusedWhileAnythingIsOpen(t *testing.T) {
	for name, c := range map[string]struct {
		open, settle string
		key          string
	}{
		"an order in force": {`INSERT INTO disposal_order (id, seq, kind, service_id, cause, cause_id, incident_id, rung, measure, scope, params, release_mode, state, issued_by, issued_ms) VALUES ('x',1,'real','s1','incident','ID','ID','strict_filter','adjust','{}','{}','auto','in_force','x',1)`,
			`UPDATE disposal_order SET state = 'lifted'`, "incident.open_orders"},
		"an open task":          {`INSERT INTO task (id, incident_id, title, role, state) VALUES ('x','ID','{}','engineer','open')`, `UPDATE task SET state = 'skipped'`, "incident.open_tasks"},
		"an owed report":        {`INSERT INTO obligation (id, incident_id, operator_id, rule_id, authority, edition, state, clock_start_ms) VALUES ('x','ID','op','r','a','e','owed',1)`, `UPDATE obligation SET state = 'met'`, "incident.open_obligations"},
		"a pending report":      {`INSERT INTO obligation (id, incident_id, operator_id, rule_id, authority, edition, state, clock_start_ms) VALUES ('x','ID','op','r','a','e','pending',1)`, `UPDATE obligation SET state = 'struck_off'`, "incident.open_obligations"},
		"a report to decide on": {`INSERT INTO obligation (id, incident_id, operator_id, rule_id, authority, edition, state, clock_start_ms) VALUES ('x','ID','op','r','a','e','decision',1)`, `UPDATE obligation SET state = 'struck_off'`, "incident.open_obligations"},
		"a second signature":    {`INSERT INTO second_signature (id, action, object_kind, object_id, incident_id, request, reason, state, requested_by, requested_ms) VALUES ('x','order.lift','order','o','ID','{}','r','requested','officer',1)`, `UPDATE second_signature SET state = 'rejected'`, "incident.open_seconds"},
		"an unconfirmed level":  {`UPDATE assessment SET stage = 'preliminary' WHERE incident_id = 'ID'`, `UPDATE assessment SET stage = 'confirmed'`, "incident.unconfirmed_level"},
		"an empty cell":         {`UPDATE assessment SET final_level = NULL WHERE incident_id = 'ID'`, `UPDATE assessment SET final_level = 4`, "incident.no_final_level"},
		"an ungraded object":    {`INSERT INTO incident_object (incident_id, object_id, added_ms) VALUES ('ID', 'o2', 1)`, `DELETE FROM incident_object WHERE object_id = 'o2'`, "incident.unconfirmed_level"},
		"a lesser object that is a guess": {`INSERT INTO assessment (id, incident_id, object_id, stage, source, facts, importance, final_level, working_level, grading, edition, assessed_by, at_ms) VALUES ('x', 'ID', 'o2', 'preliminary', 'self', '{}', 'important', 4, 4, '{}', 'e', 'x', 1)`,
			`UPDATE assessment SET stage = 'confirmed'`, "incident.unconfirmed_level"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			i, other := b.ended(t), b.ended(t)
			b.exec(t, c.open, i.ID)
			before := b.snapshot(t)
			b.refused(t, before, b.apply(commander, i.ID, "done"), fault.KindConflict, c.key)
			if err := b.apply(commander, other.ID, "done"); err != nil {
				t.Error("what is open on one incident holds up another:", err)
			}
			b.exec(t, c.settle, i.ID)
			if err := b.apply(commander, i.ID, "done"); err != nil {
				t.Fatal("settled, and still:", err)
			}
			// What opens between application and verification holds up the verification.
			b.exec(t, "DELETE FROM disposal_order; DELETE FROM task; DELETE FROM obligation; DELETE FROM second_signature WHERE id = 'x'; DELETE FROM assessment WHERE id = 'x'", i.ID)
			b.exec(t, c.open, i.ID)
			before = b.snapshot(t)
			b.refused(t, before, b.verify(compliance, i.ID, true, "checked"), fault.KindConflict, c.key)
			if err := b.verify(compliance, i.ID, false, "not yet"); err != nil || b.get(t, i.ID).State != incident.Ended {
				t.Error("it cannot be rejected:", err)
			}
		})
	}
	b := newBench(t)
	i := b.ended(t)
	b.exec(t, `INSERT INTO obligation (id, incident_id, operator_id, rule_id, authority, edition, state, clock_start_ms) SELECT 'x', 'ID', 'op', 'r', 'a', 'e', 'owed', last_ms FROM milestone WHERE incident_id = 'ID' AND name = 'handling_ended'`, i.ID)
	if err := b.apply(commander, i.ID, "done"); err != nil {
		t.Error("a report whose clock began with the end of handling runs on beyond closing:", err)
	}
}

func TestClosingTakesAnApplicationAndAnotherPersonsVerification(t *testing.T) {
	b := newBench(t)
	i := b.ended(t)
	young := b.declare(t, officer, nil)
	for name, c := range map[string]struct {
		err  func() error
		kind fault.Kind
		key  string
	}{
		"without a summary":          {func() error { return b.apply(commander, i.ID, "\n") }, fault.KindInvalid, "error.required"},
		"by who may not apply":       {func() error { return b.apply(compliance, i.ID, "s") }, fault.KindForbidden, "identity.not_allowed"},
		"before handling has ended":  {func() error { return b.apply(commander, young.ID, "s") }, fault.KindConflict, "error.transition"},
		"of nothing":                 {func() error { return b.apply(commander, "nope", "s") }, fault.KindNotFound, "error.not_found"},
		"verified before applied":    {func() error { return b.verify(compliance, i.ID, true, "f") }, fault.KindNotFound, "error.not_found"},
		"by a seat of another drill": {func() error { return b.apply(standIn, i.ID, "s") }, fault.KindNotFound, "error.not_found"},
	} {
		t.Run(name, func(t *testing.T) { before := b.snapshot(t); b.refused(t, before, c.err(), c.kind, c.key) })
	}
	if err := b.apply(commander, i.ID, "done"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		err  func() error
		kind fault.Kind
		key  string
	}{
		"by the applicant":        {func() error { return b.verify(commander, i.ID, true, "f") }, fault.KindForbidden, "identity.same_person"},
		"rejected by the same":    {func() error { return b.verify(commander, i.ID, false, "f") }, fault.KindForbidden, "identity.same_person"},
		"without a finding":       {func() error { return b.verify(compliance, i.ID, true, " ") }, fault.KindInvalid, "error.required"},
		"by who may not":          {func() error { return b.verify(officer, i.ID, true, "f") }, fault.KindForbidden, "identity.not_allowed"},
		"applied for twice":       {func() error { return b.apply(officer, i.ID, "s") }, fault.KindConflict, "error.transition"},
		"handled while verifying": {func() error { return b.advance(commander, i.ID, incident.OnReSpread) }, fault.KindConflict, "error.transition"},
	} {
		t.Run(name, func(t *testing.T) { before := b.snapshot(t); b.refused(t, before, c.err(), c.kind, c.key) })
	}
	if err := b.verify(compliance, i.ID, false, "the notice is missing"); err != nil {
		t.Fatal(err)
	}
	if err := b.apply(commander, i.ID, "now it is there"); err != nil {
		t.Fatal(err)
	}
	if err := b.verify(compliance, i.ID, true, "checked"); err != nil {
		t.Fatal(err)
	}
	closings, err := incident.Closings(ctx, b.st.Read(), i.ID)
	if err != nil || len(closings) != 2 || closings[0].State != "rejected" || closings[1].State != "verified" || closings[1].VerifiedBy != "compliance" || closings[1].NotifiedMs == 0 {
		t.Errorf("%+v %v", closings, err)
	}
	if b.get(t, i.ID).State != incident.Closed {
		t.Error("it is not closed")
	}
	// Reopened, it goes the whole way again, and the milestones count it.
	for _, e := range []incident.Event{incident.OnReopen, incident.OnEndHandling} {
		if err := b.advance(commander, i.ID, e); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.apply(commander, i.ID, "again"); err != nil {
		t.Fatal(err)
	}
	if err := b.verify(boss, i.ID, true, "checked"); err != nil {
		t.Fatal(err)
	}
	for name, times := range map[string]int{"closed": 2, "reopened": 1, "handling_ended": 2, "declared": 1} {
		if m := b.milestone(t, i.ID, name); m.Times != times || (times > 1) != (m.LastMs > m.FirstMs) {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestAStatementGoesOutByTwoPeople(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, officer, nil)
	draft := func(a store.Actor, audience, text string) (s incident.Statement, err error) {
		err = b.try(a, func(tx *store.Tx) (err error) {
			s, err = incident.DraftStatement(ctx, tx, i.ID, incident.Statement{Audience: audience, Text: text, ApprovedBy: "forged", ApprovedMs: 1})
			return err
		})
		return s, err
	}
	approve := func(a store.Actor, id string) error {
		return b.try(a, func(tx *store.Tx) error { _, err := incident.ApproveStatement(ctx, tx, id); return err })
	}
	for _, c := range []struct {
		actor          store.Actor
		audience, text string
		kind           fault.Kind
		key            string
	}{
		{compliance, "public", "", fault.KindInvalid, "error.required"},
		{compliance, "", "t", fault.KindInvalid, "error.required"},
		{compliance, "everybody", "t", fault.KindInvalid, "error.unknown_value"},
		{officer, "public", "t", fault.KindForbidden, "identity.not_allowed"},
	} {
		before := b.snapshot(t)
		_, err := draft(c.actor, c.audience, c.text)
		b.refused(t, before, err, c.kind, c.key)
	}
	s, err := draft(compliance, "public", "t")
	if err != nil || s.ApprovedBy != "" || s.ApprovedMs != 0 {
		t.Fatalf("%+v %v", s, err)
	}
	before := b.snapshot(t)
	b.refused(t, before, approve(compliance, s.ID), fault.KindForbidden, "identity.same_person")
	b.refused(t, before, approve(commander, s.ID), fault.KindForbidden, "identity.not_allowed")
	b.refused(t, before, approve(boss, "nope"), fault.KindNotFound, "error.not_found")
	if err := approve(boss, s.ID); err != nil {
		t.Fatal(err)
	}
	before = b.snapshot(t)
	b.refused(t, before, approve(store.Actor{ID: "other", Roles: boss.Roles}, s.ID), fault.KindConflict, "incident.already_approved")
}

// onDisk reports whether what stands anywhere in the data folder, write-ahead log included.
func (b *bench) onDisk(t testing.TB, what string) bool {
	t.Helper()
	found := false
	for _, path := range storetest.Files(t, b.dir) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found = found || bytes.Contains(raw, []byte(what))
	}
	return found
}

func TestTheClaimOfAFactCheckIsNowhereOnDiskInClear(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, officer, nil)
	check := func(a store.Actor, c incident.FactCheck) (out incident.FactCheck, err error) {
		err = b.try(a, func(tx *store.Tx) (err error) { out, err = incident.CheckFact(ctx, tx, b.log, i.ID, c); return err })
		return out, err
	}
	const claim, source = "测试虚假说法甲乙丙", "测试出处丁戊己"
	for _, c := range []struct {
		actor store.Actor
		fc    incident.FactCheck
		kind  fault.Kind
		key   string
	}{
		{officer, incident.FactCheck{Source: source, Verdict: "false"}, fault.KindInvalid, "error.required"},
		{officer, incident.FactCheck{Claim: claim, Verdict: "false"}, fault.KindInvalid, "error.required"},
		{officer, incident.FactCheck{Claim: claim, Source: source, Verdict: "maybe"}, fault.KindInvalid, "error.unknown_value"},
		{engineer, incident.FactCheck{Claim: claim, Source: source, Verdict: "false"}, fault.KindForbidden, "identity.not_allowed"},
	} {
		before := b.snapshot(t)
		_, err := check(c.actor, c.fc)
		b.refused(t, before, err, c.kind, c.key)
	}
	out, err := check(officer, incident.FactCheck{Claim: claim, Source: source, Verdict: "false", Checker: "forged", AtMs: 7})
	if err != nil || out.Claim != "" || out.Checker != "officer" || out.AtMs == 7 {
		t.Fatalf("%+v %v", out, err)
	}
	if b.onDisk(t, claim) {
		t.Error("the claim is on disk in clear")
	}
	if !b.onDisk(t, source) {
		t.Error("the search finds nothing, not even what is there in clear")
	}
	sheet, err := incident.FactChecks(ctx, b.st.Read(), i.ID)
	if err != nil || len(sheet) != 1 || sheet[0].Claim != "" || sheet[0].Source != source {
		t.Errorf("%+v %v", sheet, err)
	}
	var sealed string
	if err := b.st.Read().NewRaw("SELECT claim FROM fact_check").Scan(ctx, &sealed); err != nil {
		t.Fatal(err)
	}
	if plain, err := b.log.Open(ctx, b.st.Read(), incident.Scope(i.ID), sealed); err != nil || string(plain) != claim {
		t.Errorf("%q %v", plain, err)
	}
	if _, err := b.log.Open(ctx, b.st.Read(), incident.Scope("another"), sealed); err == nil {
		t.Error("another incident's key opens it")
	}
}

func TestCategoriesStandOnePrimaryAtATime(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, officer, nil)
	set := func(a store.Actor, c incident.Category) error {
		return b.try(a, func(tx *store.Tx) error { _, err := incident.Categorise(ctx, tx, b.book, i.ID, c); return err })
	}
	good := incident.Category{GuideType: "content.illegal", Rank: "primary", Part: "manifestation"}
	for name, change := range map[string]func(*incident.Category){
		"type":     func(c *incident.Category) { c.GuideType = "content.unheard_of" },
		"category": func(c *incident.Category) { c.GbCategory = "nope" },
		"risk":     func(c *incident.Category) { c.Risk = "A.9.z" },
		"rank":     func(c *incident.Category) { c.Rank = "tertiary" },
		"part":     func(c *incident.Category) { c.Part = "" },
	} {
		t.Run(name, func(t *testing.T) {
			bad, before := good, b.snapshot(t)
			change(&bad)
			b.refused(t, before, set(officer, bad), fault.KindInvalid, "error.unknown_value")
		})
	}
	if p, err := incident.Primary(ctx, b.st.Read(), i.ID); err != nil || p != "" {
		t.Errorf("%q %v", p, err)
	}
	for _, c := range []incident.Category{good, {GuideType: "content.discrimination", Rank: "secondary", Part: "consequence", Risk: "A.2.e"}, {GuideType: "content.discrimination", Rank: "primary", Part: "cause"}} {
		if err := set(officer, c); err != nil {
			t.Fatal(err)
		}
	}
	list, err := incident.Categories(ctx, b.st.Read(), i.ID)
	if err != nil || len(list) != 2 || list[0].Rank != "primary" || list[0].GuideType != "content.discrimination" || list[0].GbCategory == "" || list[0].Edition == "" {
		t.Errorf("%+v %v", list, err)
	}
	if n := b.count(t, "SELECT COUNT(*) FROM incident_category"); n != 3 {
		t.Errorf("the old primary is gone: %d rows", n)
	}
}

func TestImpactsAndFixesSayWhatIsNeeded(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, officer, nil)
	impact := func(m incident.Impact) error {
		return b.try(compliance, func(tx *store.Tx) error { _, err := incident.AssessImpact(ctx, tx, i.ID, m); return err })
	}
	fix := func(f incident.Fix) error {
		return b.try(engineer, func(tx *store.Tx) error { _, err := incident.AddFix(ctx, tx, i.ID, f); return err })
	}
	for _, c := range []struct {
		err  func() error
		kind fault.Kind
		key  string
	}{
		{func() error { return impact(incident.Impact{Economic: "e", Reputation: "r"}) }, fault.KindInvalid, "error.required"},
		{func() error { return impact(incident.Impact{Party: "p", Reputation: "r"}) }, fault.KindInvalid, "error.required"},
		{func() error { return impact(incident.Impact{Party: "p", Economic: "e"}) }, fault.KindInvalid, "error.required"},
		{func() error {
			return impact(incident.Impact{Party: "p", Economic: "e", Reputation: "r", UsersAffected: -1})
		}, fault.KindInvalid, "error.negative"},
		{func() error { return fix(incident.Fix{Measure: "m"}) }, fault.KindInvalid, "error.required"},
		{func() error { return fix(incident.Fix{Cause: "c"}) }, fault.KindInvalid, "error.required"},
		{func() error { return fix(incident.Fix{Cause: "c", Measure: "m", DeploymentID: "nope"}) }, fault.KindNotFound, "error.not_found"},
	} {
		before := b.snapshot(t)
		b.refused(t, before, c.err(), c.kind, c.key)
	}
	if err := impact(incident.Impact{Party: "p", Economic: "e", Reputation: "r", AssessedBy: "forged"}); err != nil {
		t.Fatal(err)
	}
	if err := fix(incident.Fix{Cause: "c", Measure: "m", FixedBy: "forged"}); err != nil {
		t.Fatal(err)
	}
	impacts, _ := incident.Impacts(ctx, b.st.Read(), i.ID)
	fixes, _ := incident.Fixes(ctx, b.st.Read(), i.ID)
	if len(impacts) != 1 || impacts[0].AssessedBy != "compliance" || len(fixes) != 1 || fixes[0].FixedBy != "engineer" {
		t.Errorf("%+v %+v", impacts, fixes)
	}
}

func TestASecondSignatureOfAnotherKindIsNotDecidedHere(t *testing.T) {
	b := newBench(t)
	i := b.declare(t, officer, nil)
	var s identity.SecondSignature
	b.do(t, officer, func(tx *store.Tx) (err error) {
		s, err = identity.AskSecond(ctx, tx, identity.SecondSignature{Action: "incident.grade", ObjectKind: "order", ObjectID: "x", IncidentID: i.ID, Reason: "r"}, "x")
		return err
	})
	before := b.snapshot(t)
	b.refused(t, before, b.decide(second, s.ID, true), fault.KindConflict, "error.not_found")
}
