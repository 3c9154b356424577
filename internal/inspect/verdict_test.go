package inspect

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestAVerdictSumsUpTheHitsOfAllTextsByRiskTheWorstFirst(t *testing.T) {
	var v Verdict
	v.Add("content", []Match{{RuleID: "t2", Kind: KindTerm, Action: Mask, Risk: "A.1.h"}, {RuleID: "c1", Kind: KindClassifier, Action: Observe, Risk: "A.2.e", Score: 0.7}})
	v.AddStep("reasoning", Step{Held: 4, Matches: []Match{{RuleID: "c1", Kind: KindClassifier, Action: Observe, Risk: "A.2.e", Score: 0.9}, {RuleID: "t1", Kind: KindTerm, Action: Mask, Risk: "A.1.h"}}})
	v.AddStep("reasoning", Step{Held: 2, Matches: []Match{{RuleID: "b", Kind: KindTerm, Action: Block}}})
	want := Verdict{Action: Block, Held: 4, Risks: []Risk{
		{Risk: "", Action: Block, Score: 1, Hits: 1, Rules: []string{"b"}, Texts: []string{"reasoning"}},
		{Risk: "A.1.h", Action: Mask, Score: 1, Hits: 2, Rules: []string{"t1", "t2"}, Texts: []string{"content", "reasoning"}},
		{Risk: "A.2.e", Action: Observe, Score: 0.9, Hits: 2, Rules: []string{"c1"}, Texts: []string{"content", "reasoning"}},
	}}
	if !reflect.DeepEqual(v, want) {
		t.Errorf("%+v, want %+v", v, want)
	}
	var none Verdict
	if none.AddStep("content", Step{}); none.Action != Allow || len(none.Risks) != 0 {
		t.Errorf("%+v", none)
	}
}

func TestAVerdictDoesNotDependOnTheOrderOfTheTexts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type part struct {
			text string
			m    Match
		}
		parts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) part {
			return part{rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "text"), Match{
				RuleID: rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "rule"), Kind: rapid.SampledFrom([]string{KindTerm, KindClassifier}).Draw(t, "kind"),
				Action: Action(rapid.IntRange(1, 4).Draw(t, "action")), Risk: rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "risk"), Score: rapid.Float64Range(0, 1).Draw(t, "score")}}
		}), 0, 12).Draw(t, "parts")
		sum := func(list []part) (v Verdict) {
			for _, p := range list {
				v.Add(p.text, []Match{p.m})
			}
			return v
		}
		one := sum(parts)
		slices.Reverse(parts)
		if two := sum(parts); !reflect.DeepEqual(one, two) {
			t.Fatalf("%+v\n%+v", one, two)
		}
	})
}
