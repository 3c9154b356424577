package behaviour_test

import (
	"context"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/monitor/behaviour"
	"github.com/fengsui/fengsui/internal/monitor/gateway"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/platform/telemetry/telemetrytest"
	"github.com/fengsui/fengsui/internal/service"
)

func TestPeopleSeeTheDecisionsThatTheyMaySee(t *testing.T) {
	st := telemetrytest.OpenStore(t, t.TempDir(), clock.NewFake(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)), &telemetrytest.Recorder{})
	log, _ := telemetrytest.Run(t, telemetry.Options{Store: st, Vault: &telemetrytest.Vault{}})
	rules, err := anomaly.ParseRules([]byte("edition: t\nrules: [{id: r, match: {source: complaint}, threshold: 1, fingerprint: [service], severity: high}]"))
	if err != nil {
		t.Fatal(err)
	}
	anomalies := map[string]string{}
	sink := behaviour.NewSink(log)
	err = st.Write(t.Context(), store.System("test"), func(tx *store.Tx) error {
		op, err := service.AddOperator(t.Context(), tx, service.Operator{Name: "甲公司", Province: "北京", Kind: "other"})
		if err != nil {
			return err
		}
		for _, s := range []service.Service{{OperatorID: op.ID, Name: "r", ModelName: "r", Kind: "real"}, {OperatorID: op.ID, Name: "d", ModelName: "d", Kind: "drill", DrillID: "drill-1"}} {
			if s, _, err = service.AddService(t.Context(), tx, s); err != nil {
				return err
			}
			a, err := anomaly.NewDesk(rules, nil).Raise(t.Context(), tx, anomaly.Observation{Kind: s.Kind, Signal: anomaly.Signal{Source: "complaint", ServiceID: s.ID, ContentNo: "C-" + s.Kind}})
			if err != nil {
				return err
			}
			anomalies[s.Kind] = a.ID
			at := inspect.Place{Side: gateway.Output, Channel: gateway.ChannelContent}
			row := gateway.Traffic{RequestID: "req-" + s.Kind, ContentNumber: "C-" + s.Kind, ServiceID: s.ID, Kind: s.Kind, InputVerdict: "allow", OutputVerdict: "block", PostureDigest: "sha256:" + s.Kind, OrderIDs: []string{"o1"}}
			row.Verdict.Open(at)
			row.Verdict.Add(at, []inspect.Match{{RuleID: "t", Kind: inspect.KindTerm, Action: inspect.Block, Risk: "A.1.h"}})
			sink.Traffic(row)
			for seq, digest := range []string{"sha256:older-" + s.Kind, "sha256:" + s.Kind} {
				if _, err := tx.ExecContext(t.Context(), "INSERT INTO posture (digest, service_id, seq, body, reason, compiled_by, compiled_ms) VALUES (?, ?, ?, '{}', '', 'x', 1)", digest, s.ID, seq+1); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil {
		err = log.Flush(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	get := func(a store.Actor, kind, no string) (behaviour.Decision, error) {
		return behaviour.OfAnomaly(context.Background(), st.Read(), log, a, anomalies[kind], no)
	}
	officer := store.Actor{ID: "p", Roles: []string{"duty_officer"}}
	stand := store.Actor{ID: "s", Roles: []string{"duty_officer"}, Drill: "drill-1"}
	d, err := get(officer, "real", "C-real")
	if err != nil || d.Told != behaviour.ToldVerdict || d.RequestID != "req-real" || d.Output != "block" || d.PostureNo != 2 || len(d.OrderIDs) != 1 || d.Verdict.Hits[0].RuleID != "t" {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := get(stand, "drill", "C-drill"); err != nil || d.RequestID != "req-drill" {
		t.Errorf("a stand-in in its drill: %+v, %v", d, err)
	}
	if d, err := get(stand, "real", "C-real"); !fault.Is(err, "identity.other_drill") || d.RequestID != "" {
		t.Errorf("a stand-in reads real traffic: %+v, %v", d, err)
	}
	for _, no := range []string{"C-drill", "", "req-real"} {
		if d, err := get(officer, "real", no); fault.KindOf(err) != fault.KindNotFound || d.RequestID != "" {
			t.Errorf("%q is not of this anomaly: %+v, %v", no, d, err)
		}
	}
	if _, err := get(store.Actor{ID: "e", Roles: []string{"engineer"}}, "real", "C-real"); !fault.Is(err, "identity.not_allowed") {
		t.Errorf("an engineer reads traffic: %v", err)
	}
}
