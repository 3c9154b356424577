package flow

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

// plain are the text columns of an incident's tables in which nobody writes freely: ids, terms that are
// chosen, numbers, digests and what the books say.
var plain = map[string]string{
	"incident":           "id number kind drill_id operator_id service_id state editions declared_by",
	"incident_access":    "incident_id person_id granted_by",
	"incident_object":    "incident_id object_id",
	"milestone":          "incident_id name",
	"awareness":          "id incident_id source zone time_source entered_by withdrawn_by withdrawn_second",
	"incident_category":  "id incident_id guide_type gb_category risk rank part edition set_by",
	"assessment":         "id incident_id object_id stage source importance business_loss social_harm grading edition assessed_by second_by",
	"cac_assessment":     "id incident_id quantities grade decided_by_indicator edition assessed_by",
	"obligation":         "id incident_id operator_id rule_id authority edition state submitted_by decided_by decided_facts",
	"incident_fact":      "incident_id name stated_by",
	"directive":          "id operator_id incident_id authority body state answered_by", // body is sealed
	"disposal_order":     "id kind drill_id service_id cause cause_id incident_id rung measure scope params release_mode state issued_by ended_by ended_second",
	"gate_review":        "id direction order_id incident_id kind state requested_by service_test_id decided_by",
	"evidence":           "id incident_id anomaly_id kind content_no day sha256 sealed_key side modality language pinned_by",
	"reach":              "incident_id content_no subject tenant",
	"outside_spread":     "id incident_id found_by",
	"fact_check":         "id incident_id verdict checker",
	"plan_run":           "id incident_id plan_id started_by",
	"task":               "id incident_id plan_run_id step_id role automatic state done_by",
	"statement":          "id incident_id audience drafted_by approved_by",
	"impact_assessment":  "id incident_id assessed_by",
	"fix":                "id incident_id deployment_id fixed_by",
	"service_test":       "id incident_id deployment_id state results run_by",
	"closing":            "id incident_id state applied_by verified_by",
	"nonconformity":      "id incident_id rule",
	"retrospective":      "id incident_id held_by",
	"improvement_action": "id retrospective_id incident_id state done_by",
	"anomaly":            "id number kind drill_id service_id rule_id fingerprint category risk severity modality language state assessed_by decided_by merged_into incident_id",
	"drill":              "id number scenario state played_by service_id incident_id started_by stages",
	"second_signature":   "id action object_kind object_id incident_id drill_id state requested_by decided_by lapsed_by",
}

// A column that a later migration adds to an incident's table is either erased or said to be plain.
func TestEveryTextColumnOfAnIncidentIsErasedOrKnownToBePlain(t *testing.T) {
	st, err := store.Open(t.Context(), storetest.With(t, store.Options{Dir: t.TempDir(), Clock: clock.NewFake(time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC))}))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var found []struct{ Tbl, Col string }
	for table, columns := range storetest.Columns(t, st.Read()) {
		if table != "incident" && !slices.ContainsFunc(columns, func(c storetest.Column) bool { return c.Name == "incident_id" }) {
			continue
		}
		for _, c := range columns {
			if c.Type == "TEXT" {
				found = append(found, struct{ Tbl, Col string }{table, c.Name})
			}
		}
	}
	if len(found) < 150 {
		t.Fatalf("only %d columns were found", len(found))
	}
	erased := map[string]bool{}
	for _, x := range incidentTexts {
		for _, c := range x.columns {
			erased[x.table+"."+c] = true
		}
	}
	for _, f := range found {
		isPlain := slices.Contains(strings.Fields(plain[f.Tbl]), f.Col)
		if isPlain == erased[f.Tbl+"."+f.Col] {
			t.Errorf("%s.%s: plain %v, erased %v", f.Tbl, f.Col, isPlain, erased[f.Tbl+"."+f.Col])
		}
	}
}
