package gateway

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/posture"
)

func matching(t testing.TB, text string) inspect.Matching {
	t.Helper()
	m, err := inspect.ParseMatching(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Each of these ends the answer in one way to look for the term and not in the other, live and streamed.
func TestATermIsLookedForAsItsMatchingSays(t *testing.T) {
	const term, sounds, spelled = "测试违禁", "侧试违禁", "ceshiweijin"
	for _, c := range []struct {
		name, text, answer string
		hits, misses       string // matchings
	}{
		{"a part of a Latin word", "badword", "xbadwords", "word=off", "word"},
		{"and as delivered", "badword", "xbadwords", "word=off", ""},
		{"the Latin word itself", "badword", "前badword后", "word", "-"},
		{"what sounds alike", term, sounds, "", "sound=off"},
		{"three syllables", "测试违", "侧试违", "sound", ""},
		{"signs between", term, "测-试-违-禁", "", "strict"},
		{"the text itself", term, term, "strict", "-"},
		{"two signs between", term, "测--试违禁", "gap=2", "gap=1"},
		{"eight signs between", term, "测--------试违禁", "gap=8", ""},
		{"no sign between", term, "测-试违禁", "gap=1", "gap=0"},
		{"pinyin", term, spelled, "spell", ""},
		{"parts", "方法测试", "方氵去测试", "", "parts=off"},
		{"written again", term, "测测试试试违-违禁", "", "repeat=off|sound=off"},
		{"fewer than the term has", "测试试违", "测试违违", "-", ""},
	} {
		for _, m := range []struct {
			matching string
			hit      bool
		}{{c.hits, true}, {c.misses, false}} {
			if m.matching == "-" {
				continue
			}
			w := newWorld(t, answers("前文"+c.answer+"，后文"), func(_ *Options, d *posture.Draft) {
				d.Rules.Terms = []posture.Term{{ID: "t", Text: c.text, Action: posture.Block, Risk: "R1", Matching: matching(t, m.matching)}}
			})
			w.apply()
			var whole completion
			if err := json.Unmarshal([]byte(w.post(ask("hi")).body), &whole); err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(*whole.Choices[0].Message.Content, "后文"); got == m.hit {
				t.Errorf("%s, %q: released %v", c.name, m.matching, got)
			}
			var runes []string
			for _, r := range "前文" + c.answer + "，后文" {
				runes = append(runes, string(r))
			}
			w.upstream = pieces(runes...)
			said := w.post(ask("hi", streamed)).said(t)
			if got := strings.Contains(said.content[0], "后文"); got == m.hit {
				t.Errorf("%s, %q, streamed: released %v", c.name, m.matching, got)
			}
		}
	}
}

func TestEntriesOfOneTextEachHitInTheirOwnWay(t *testing.T) {
	w := newWorld(t, answers("侧试违禁，测试违禁"), func(_ *Options, d *posture.Draft) {
		d.Rules.Terms = []posture.Term{
			{ID: "itself", Text: "测试违禁", Action: posture.Mask, Risk: "R1", Matching: matching(t, "strict")},
			{ID: "sounding", Text: "测试违禁", Action: posture.Observe, Risk: "R1"},
		}
	})
	w.apply()
	if r := w.post(ask("hi")); !strings.Contains(r.body, "侧试违禁，****") {
		t.Errorf("the observing entry masked, or the masking one did not: %s", r.body)
	}
	hits := map[string]int{}
	for _, m := range w.sink.row(t).Verdict.Hits {
		hits[m.RuleID]++
	}
	if hits["itself"] != 1 || hits["sounding"] != 2 {
		t.Errorf("%v", hits)
	}
}

func TestAPostureWithAMatchingThatATextDoesNotAllowIsRefused(t *testing.T) {
	d := newWorld(t, answers("")).draft
	for text, m := range map[string]string{"测试": "sound", "测试a": "spell", "测试违": "strict|gap=1"} {
		d.Rules.Terms = []posture.Term{{ID: "t", Text: text, Action: posture.Block, Risk: "R1", Matching: matching(t, m)}}
		if _, err := posture.Compile(d); !fault.Is(err, "posture.unknown_value") || !strings.Contains(err.Error(), "matching") {
			t.Errorf("%q: %v", m, err)
		}
	}
}
