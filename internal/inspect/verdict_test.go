package inspect

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fengsui/fengsui/internal/inspect/match"
)

func TestAVerdictSumsUpTheHitsOfAllTextsByRiskTheWorstFirst(t *testing.T) {
	content, reasoning := Place{Channel: "content"}, Place{Channel: "reasoning"}
	var v Verdict
	v.Add(content, []Match{{RuleID: "t2", Kind: KindTerm, Action: Mask, Risk: "A.1.h"}, {RuleID: "c1", Kind: KindClassifier, Action: Observe, Risk: "A.2.e", Score: 0.7}})
	v.AddStep(reasoning, Step{Held: 4, Why: HoldWord, Matches: []Match{{RuleID: "c1", Kind: KindClassifier, Action: Observe, Risk: "A.2.e", Score: 0.9}, {RuleID: "t1", Kind: KindTerm, Action: Mask, Risk: "A.1.h"}}})
	v.AddStep(reasoning, Step{Held: 2, Why: HoldTerm, Matches: []Match{{RuleID: "b", Kind: KindTerm, Action: Block}}})
	risks := []Risk{
		{Risk: "", Action: Block, Score: 1, Hits: 1, Rules: []string{"b"}, Texts: []string{"reasoning"}},
		{Risk: "A.1.h", Action: Mask, Score: 1, Hits: 2, Rules: []string{"t1", "t2"}, Texts: []string{"content", "reasoning"}},
		{Risk: "A.2.e", Action: Observe, Score: 0.9, Hits: 2, Rules: []string{"c1"}, Texts: []string{"content", "reasoning"}},
	}
	texts := []Text{{Place: content, Action: Mask}, {Place: reasoning, Action: Block, Held: 4, Why: HoldWord}}
	if v.Action != Block || v.Held != 4 || v.Why != HoldWord || !reflect.DeepEqual(v.Risks, risks) || !reflect.DeepEqual(v.Texts, texts) {
		t.Errorf("%+v", v)
	}
	if len(v.Hits) != 5 || v.MoreHits != 0 || v.Hits[2].Place != reasoning || v.Hits[2].Score != 0.9 || v.Hits[4].RuleID != "b" {
		t.Errorf("%+v", v.Hits)
	}
	var none Verdict
	if none.AddStep(content, Step{}); none.Action != Allow || len(none.Risks) != 0 {
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
				v.Add(Place{Channel: p.text}, []Match{p.m})
			}
			return v
		}
		one := sum(parts)
		slices.Reverse(parts)
		two := sum(parts)
		if one.Action != two.Action || len(one.Hits) != len(two.Hits) || !reflect.DeepEqual(one.Risks, two.Risks) {
			t.Fatalf("%+v\n%+v", one, two)
		}
	})
}

// A hostile text must not make a verdict grow, nor push out what decided.
func TestAVerdictKeepsABoundedNumberOfHitsAndTextsTheGravestAndCountsTheRest(t *testing.T) {
	var v Verdict
	for i := range 1000 {
		p := Place{Side: "input", Channel: "content", Choice: i}
		v.Open(p)
		v.Read(p, 3)
		switch {
		case i == 10:
			v.Add(p, []Match{{RuleID: "grave", Kind: KindTerm, Action: Mask, Risk: "A"}})
		case i < 500:
			v.Add(p, []Match{{RuleID: fmt.Sprint("r", i), Kind: KindTerm, Action: Observe, Risk: "A"}})
		}
	}
	last := Place{Side: "output", Channel: "content"}
	v.Open(last)
	v.Add(last, []Match{{RuleID: "decided", Kind: KindTerm, Action: Block, Risk: "A"}})
	if len(v.Hits) != maxSpans || v.MoreHits != 501-maxSpans || v.Hits[maxSpans-1].RuleID != "decided" || v.Hits[10].RuleID != "grave" {
		t.Errorf("%d hits and %d more, the last %+v", len(v.Hits), v.MoreHits, v.Hits[len(v.Hits)-1])
	}
	if len(v.Texts) != maxTexts || v.MoreTexts != 1001-maxTexts || v.Texts[maxTexts-1].Place != last || v.at(Place{Side: "input", Channel: "content", Choice: 10}) < 0 {
		t.Errorf("%d texts and %d more: %+v", len(v.Texts), v.MoreTexts, v.Texts)
	}
	if r := v.Risks[0]; r.Hits != 501 || len(r.Rules) != maxNames || len(r.Texts) != maxNames || v.Cost.Bytes != 3000 {
		t.Errorf("%+v, %d bytes", r, v.Cost.Bytes)
	}
}

func TestAVerdictComesBackFromJSONAsItWas(t *testing.T) {
	p := Place{Side: "output", Channel: "tool_arguments", Choice: 1, Part: "tool_calls[2]"}
	v := Verdict{Rules: Version{"d", 7}, Cost: Cost{Us: 3, Asked: 1, WaitUs: 9}}
	v.Open(p)
	v.Read(p, 40)
	v.Miss(p)
	v.AddStep(p, Step{Held: 2, Why: HoldContext, Matches: []Match{{RuleID: "s", Kind: KindTerm, Action: Mask, Risk: "A.1.h", Start: 3, End: 9, Runes: 2, FirstRune: 1, EndRune: 3, Via: match.ViaSound, Encoding: "base64"}}})
	js, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{`"via":"sound"`, `"why":"context"`, `"action":"mask"`, `"part":"tool_calls[2]"`, `"missed":1`} {
		if !strings.Contains(string(js), s) {
			t.Errorf("%s is not in %s", s, js)
		}
	}
	var back Verdict
	if err := json.Unmarshal(js, &back); err != nil || !reflect.DeepEqual(v, back) {
		t.Errorf("%v\n%+v\n%+v", err, v, back)
	}
	for _, bad := range []string{`{"why":"whim"}`, `{"hits":[{"via":"whim"}]}`, `{"action":"whim"}`} {
		if err := json.Unmarshal([]byte(bad), &back); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
	if js, _ := json.Marshal(Verdict{}); string(js) != "{}" {
		t.Errorf("a verdict about nothing is %s", js)
	}
}

// What a clone is given must not show in what it was made from.
func TestACloneOfAVerdictStandsByItself(t *testing.T) {
	p := Place{Channel: "content"}
	var v Verdict
	v.Add(p, []Match{{RuleID: "b", Action: Mask, Risk: "A"}, {RuleID: "c", Action: Mask, Risk: "A"}})
	c := v.Clone()
	c.Add(p, []Match{{RuleID: "a", Action: Block, Risk: "A"}})
	if v.Action != Mask || len(v.Hits) != 2 || v.Texts[0].Action != Mask || !slices.Equal(v.Risks[0].Rules, []string{"b", "c"}) || c.Action != Block {
		t.Errorf("%+v", v)
	}
}

func TestAStreamSaysForWhatItHoldsTextBack(t *testing.T) {
	e := mustCompile(t, Rules{
		Terms: []Term{{ID: "t", Text: "测试违禁", Action: Mask}, {ID: "w", Text: "cat", Action: Mask, Disguise: Disguise{Word: true}},
			{ID: "c", Text: "词条", Action: Mask, Contexts: []string{"之后"}, Window: 8}},
		Checks: []Check{{ID: "m", Kind: KindCNMobile, Action: Mask}, {ID: "e", Kind: KindEmail, Action: Mask}},
	})
	for text, want := range map[string]Hold{"前测试": HoldTerm, "a cat": HoldWord, "这个词条在": HoldContext, "号码1380013": HoldNumber, "写给someone@ex": HoldToken, "什么也没有。": HoldNone} {
		s := e.NewStream()
		whole := s.Write(text)
		if whole.Why != want || whole.Held > 0 != (want != HoldNone) {
			t.Errorf("%s: %d held for %s, want %s", text, whole.Held, whole.Why, want)
		}
		if again := s.Write(""); again.Why != whole.Why || again.Held != whole.Held {
			t.Errorf("%s: nothing more changed %d, %s to %d, %s", text, whole.Held, whole.Why, again.Held, again.Why)
		}
		s = e.NewStream()
		var step Step
		for _, r := range text {
			step = s.Write(string(r))
		}
		if step.Why != want || step.Held != whole.Held {
			t.Errorf("%s, character by character: %d held for %s, want %s", text, step.Held, step.Why, want)
		}
		if end := s.Close(); end.Why != HoldNone {
			t.Errorf("%s: the end is held for %s", text, end.Why)
		}
	}
}
