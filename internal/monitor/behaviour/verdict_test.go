package behaviour_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/monitor/behaviour"
	"github.com/fengsui/fengsui/internal/monitor/gateway"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
)

func TestAVerdictComesOutOfTheLogAsTheGatewayGaveIt(t *testing.T) {
	at := inspect.Place{Side: gateway.Output, Channel: gateway.ChannelContent, Choice: 1}
	v := inspect.Verdict{Rules: inspect.Version{Digest: "sha256:1", Revision: 9}, Cost: inspect.Cost{Us: 77}}
	v.Open(at)
	v.Read(at, 100)
	v.AddStep(at, inspect.Step{Held: 3, Why: inspect.HoldTerm, Matches: []inspect.Match{{RuleID: "c", Kind: inspect.KindClassifier, Action: inspect.Observe, Risk: "A.1.h", Score: 0.5, End: 100, EndRune: 40, Runes: 40}}})
	log := &fakeLog{}
	behaviour.NewSink(log).Traffic(gateway.Traffic{PostureDigest: "sha256:1", Verdict: v})
	row := log.traffic[0]
	got, whole, err := behaviour.ReadVerdict(row)
	if err != nil || !whole || !reflect.DeepEqual(got, v) {
		t.Errorf("%v, whole %v\n%+v\n%+v", err, whole, got, v)
	}
	if strings.Contains(row.Verdict, "sha256:1") || row.InspectUs != 77 {
		t.Errorf("twice in the row: %s", row.Verdict)
	}
}

func TestARowOfAGatewayThatKnewNoVerdictsStillShowsWhatHit(t *testing.T) {
	row := telemetry.Traffic{PostureDigest: "sha256:1", InspectUs: 5, Verdict: `[{"rule_id":"block","kind":"term","risk":"A.1.h","action":"block","side":"output","channel":"content","choice":2,"start":3,"end":9,"runes":2}]`}
	v, whole, err := behaviour.ReadVerdict(row)
	if err != nil || whole || v.Action != inspect.Block || len(v.Hits) != 1 || v.Hits[0].Choice != 2 || v.Hits[0].End != 9 || v.Risks[0].Risk != "A.1.h" || v.Rules.Digest != "sha256:1" || v.Cost.Us != 5 {
		t.Errorf("%v, whole %v, %+v", err, whole, v)
	}
	if v, whole, err := behaviour.ReadVerdict(telemetry.Traffic{Verdict: "[]"}); err != nil || whole || v.Action != inspect.Allow {
		t.Errorf("%v, whole %v, %+v", err, whole, v)
	}
	for _, bad := range []string{"{", `[{"action":"whim"}]`, ""} {
		if _, _, err := behaviour.ReadVerdict(telemetry.Traffic{Verdict: bad}); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
