package inspect

import (
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestScanMasksReplacesAndBlocks(t *testing.T) {
	for _, tt := range []struct {
		name  string
		terms []Term
		text  string
		want  string
		worst Action
		hits  int
	}{
		{"no hit", []Term{{Text: "甲乙", Action: Mask}}, "你好", "你好", Allow, 0},
		{"observe changes nothing", []Term{{Text: "甲乙", Action: Observe}}, "甲乙", "甲乙", Observe, 1},
		{"mask", []Term{{Text: "测试违禁词甲", Action: Mask}}, "你好测试违禁词甲！", "你好******！", Mask, 1},
		{"case and width", []Term{{Text: "ＡＢc", Action: Mask}}, "xaBCx ａｂＣ", "x***x ***", Mask, 2},
		{"mask covers skipped characters inside", []Term{{Text: "甲乙", Action: Mask}}, "甲\u200b\u00ad乙\u200b丙", "**\u200b丙", Mask, 1},
		{"skipped characters in the term", []Term{{Text: "甲\u200b乙", Action: Mask}}, "甲乙", "**", Mask, 1},
		{"overlapping hits of one term", []Term{{Text: "aba", Action: Mask}}, "xababax", "x*****x", Mask, 2},
		{"overlapping terms", []Term{{Text: "甲乙", Action: Mask}, {Text: "乙丙", Action: Mask}}, "甲乙丙丁", "***丁", Mask, 2},
		{"a term inside another", []Term{{Text: "甲乙丙丁", Action: Mask}, {Text: "乙丙", Action: Observe}}, "甲乙丙丁", "****", Mask, 2},
		{"two terms with one text", []Term{{Text: "AB", Action: Mask}, {Text: "ab", Action: Observe}}, "ab", "**", Mask, 2},
		{"replace", []Term{{Text: "甲乙", Action: Replace, Replacement: "[换]"}}, "前甲乙后", "前[换]后", Replace, 1},
		{"replace with the common text", []Term{{Text: "甲乙", Action: Replace}}, "前甲乙后", "前…后", Replace, 1},
		{"overlapping replacements leave the first wording", []Term{
			{Text: "甲乙", Action: Replace, Replacement: "1"}, {Text: "乙丙", Action: Replace, Replacement: "2"}}, "甲乙丙", "1", Replace, 2},
		{"of replacements from one start the longest", []Term{
			{Text: "甲", Action: Replace, Replacement: "1"}, {Text: "甲乙", Action: Replace, Replacement: "2"}}, "甲乙甲丙", "21丙", Replace, 3},
		{"a replacement wins over a mask", []Term{
			{Text: "甲乙", Action: Mask}, {Text: "乙丙", Action: Replace, Replacement: "2"}}, "甲乙丙", "*2", Replace, 2},
		{"block ends the text before the hit", []Term{{Text: "甲乙", Action: Block}}, "你好甲乙再见", "你好", Block, 1},
		{"nothing behind a block is looked at", []Term{{Text: "甲乙", Action: Block}, {Text: "再见", Action: Mask}}, "再见甲乙再见", "**", Block, 2},
		{"the first block to be certain counts", []Term{{Text: "乙丙", Action: Block}, {Text: "甲乙丙丁", Action: Block}}, "你甲乙丙丁", "你", Block, 1},
		{"an unfinished term before a block stays back", []Term{{Text: "乙丙", Action: Block}, {Text: "甲乙丙丁", Action: Mask}}, "你甲乙丙丁", "你", Block, 1},
		{"broken bytes become U+FFFD", nil, "甲\xff\xe4\xb8乙", "甲\ufffd\ufffd\ufffd乙", Allow, 0},
		{"broken bytes do not hide a term", []Term{{Text: "甲乙", Action: Mask}}, "\xe7甲乙\xff", "\ufffd**\ufffd", Mask, 1},
		{"a flood of invisible characters is cut", []Term{{Text: "甲乙", Action: Mask}},
			"甲" + strings.Repeat("\u200b", 5000) + "丙", "甲" + strings.Repeat("\u200b", maxSkipRun) + "丙", Allow, 0},
		{"and does not hide a term", []Term{{Text: "甲乙", Action: Mask}}, "甲" + strings.Repeat("\u200b", 5000) + "乙", "**", Mask, 1},
		{"the longest term", []Term{{Text: strings.Repeat("长", MaxTermRunes), Action: Mask}},
			"前" + strings.Repeat("长", MaxTermRunes), "前" + strings.Repeat("*", MaxTermRunes), Mask, 1},
		{"a text longer than one piece", []Term{{Text: "甲乙", Action: Mask}},
			strings.Repeat("很长的文字", 2000) + "甲乙" + strings.Repeat("很长", 2000), strings.Repeat("很长的文字", 2000) + "**" + strings.Repeat("很长", 2000), Mask, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i := range tt.terms {
				tt.terms[i].ID = string(rune('a' + i))
			}
			e := mustCompile(t, Rules{Terms: tt.terms, ReplaceText: "…"})
			res := e.Scan(tt.text)
			if res.Released != tt.want || res.Action != tt.worst || len(res.Matches) != tt.hits {
				t.Fatalf("got %q %v %v", res.Released, res.Action, res.Matches)
			}
			for cut := range min(len(tt.text), 100) + 1 {
				released, matches, blocked := run(e.NewStream(), []string{tt.text[:cut], tt.text[cut:]})
				if released != tt.want || len(matches) != tt.hits || blocked != (tt.worst == Block) {
					t.Fatalf("cut at %d: %q %v", cut, released, matches)
				}
			}
		})
	}
}

func TestMatchTellsTheRuleAndThePlaceInTheOriginal(t *testing.T) {
	e := mustCompile(t, Rules{
		Terms:    []Term{{ID: "t1", Text: "甲乙", Action: Mask, Risk: "A.2.e", Topic: "示例"}},
		Checks:   []Check{{ID: "c1", Kind: KindBankCard, Action: Observe, Risk: "A.4.f"}},
		MaskRune: '＊',
	})
	text := "Ａ甲\u200b乙 " + goodCard
	want := []Match{
		{RuleID: "t1", Kind: KindTerm, Action: Mask, Risk: "A.2.e", Topic: "示例", Start: 3, End: 12, Runes: 2, FirstRune: 1, EndRune: 4},
		{RuleID: "c1", Kind: KindBankCard, Action: Observe, Risk: "A.4.f", Start: 13, End: 29, Runes: 16, FirstRune: 5, EndRune: 21},
	}
	res := e.Scan(text)
	if !slices.Equal(res.Matches, want) {
		t.Errorf("got %+v", res.Matches)
	}
	if res.Released != "Ａ＊＊ "+goodCard {
		t.Errorf("released %q", res.Released)
	}
}

func TestContextDecidesWithinItsWindow(t *testing.T) {
	e := mustCompile(t, Rules{Terms: []Term{{ID: "t", Text: "甲乙", Action: Mask, Contexts: []string{"配方", "制作"}, Window: 4}}})
	for text, want := range map[string]string{
		"甲乙":                 "甲乙",
		"配方甲乙":               "配方**",
		"配方一二甲乙":             "配方一二**",
		"配方一二三甲乙":            "配方一二三甲乙", // one symbol too far
		"甲乙配方":               "**配方",
		"甲乙一二制作":             "**一二制作",
		"甲乙一二三制作":            "甲乙一二三制作",
		"甲乙甲乙一二配方":           "甲乙**一二配方",
		"配方甲乙甲乙":             "配方****",
		"配方甲乙一甲乙":            "配方**一甲乙",
		"配\u200b方一二甲\u200b乙": "配\u200b方一二**", // skipped characters do not count
	} {
		if got := e.Scan(text).Released; got != want {
			t.Errorf("%q: released %q, want %q", text, got, want)
		}
		s := e.NewStream()
		var out strings.Builder
		for _, r := range text {
			out.WriteString(s.Write(string(r)).Released)
		}
		out.WriteString(s.Close().Released)
		if out.String() != want {
			t.Errorf("%q rune by rune: released %q, want %q", text, out.String(), want)
		}
	}
}

func TestContextInsideTheTermItselfDoesNotCount(t *testing.T) {
	e := mustCompile(t, Rules{Terms: []Term{{ID: "t", Text: "甲乙丙", Action: Mask, Contexts: []string{"乙"}, Window: 9}}})
	if got := e.Scan("甲乙丙").Released; got != "甲乙丙" {
		t.Errorf("released %q", got)
	}
	if got := e.Scan("甲乙丙乙").Released; got != "***乙" {
		t.Errorf("released %q", got)
	}
}

func TestContextThatOverlapsTheTermDoesNotCount(t *testing.T) {
	e := mustCompile(t, Rules{Terms: []Term{{ID: "t", Text: "甲乙", Action: Mask, Contexts: []string{"乙丙", "丁甲"}, Window: 9}}})
	for text, want := range map[string]string{
		"甲乙丙": "甲乙丙", "丁甲乙": "丁甲乙", "甲乙乙丙": "**乙丙", "丁甲甲乙": "丁甲**",
	} {
		if got := e.Scan(text).Released; got != want {
			t.Errorf("%q: released %q, want %q", text, got, want)
		}
	}
}

func TestContextIsRememberedWhileALongTermArrives(t *testing.T) {
	e := mustCompile(t, Rules{Terms: []Term{{ID: "t", Text: "一二三四五六七八", Action: Mask, Contexts: []string{"配方"}, Window: 2}}})
	s := e.NewStream()
	var out strings.Builder
	// The invisible characters force the long way at every step.
	for _, r := range "配方\u200b一\u200b二\u200b三\u200b四\u200b五\u200b六\u200b七\u200b八" {
		out.WriteString(s.Write(string(r)).Released)
	}
	if got := out.String(); got != "配方\u200b********" {
		t.Errorf("released %q", got)
	}
}

func TestOneEngineServesManyAtOnce(t *testing.T) {
	e := mustCompile(t, Rules{
		Terms:  append(lexicon(300), Term{ID: "x", Text: "测试违禁词甲", Action: Mask}),
		Checks: []Check{{ID: "c", Kind: KindBankCard, Action: Mask}},
	})
	text := benignText + "测试违禁词甲" + goodCard
	want := e.Scan(text).Released
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if got := e.Scan(text).Released; got != want {
					t.Errorf("scan released %q", got)
				}
				if got, _, _ := run(e.NewStream(), tokens(text, 1, 7)); got != want {
					t.Errorf("stream released %q", got)
				}
			}
		})
	}
	wg.Wait()
}
