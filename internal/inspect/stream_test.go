package inspect

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestStreamHoldsOnlyWhatMayBecomeAHit(t *testing.T) {
	rules := Rules{
		Terms: []Term{
			{ID: "mask", Text: "测试违禁", Action: Mask},
			{ID: "inner", Text: "试验田地", Action: Replace, Replacement: "[r]"},
			{ID: "observe", Text: "观察词语", Action: Observe},
			{ID: "context", Text: "甲乙", Action: Mask, Contexts: []string{"配方"}, Window: 3},
		},
		Checks: []Check{{ID: "id", Kind: KindCNID, Action: Mask}, {ID: "card", Kind: KindBankCard, Action: Mask}},
	}
	type step struct {
		in, out string
		held    int
	}
	for _, tt := range []struct {
		name  string
		steps []step
		close string
	}{
		{"plain text leaves at once", []step{{"你好", "你好", 0}, {"世界", "世界", 0}}, ""},
		{"a prefix stays, a miss lets it go", []step{{"你测试", "你", 2}, {"题", "测试题", 0}}, ""},
		{"a miss keeps the shorter prefix inside", []step{{"测试", "", 2}, {"验", "测", 2}, {"田", "", 3}, {"地", "[r]", 0}}, ""},
		{"a hit comes out masked", []step{{"测", "", 1}, {"试违", "", 3}, {"禁！", "****！", 0}}, ""},
		{"observed terms are not held", []step{{"观察", "观察", 0}, {"词语", "词语", 0}}, ""},
		{"a context is waited for as long as it may come", []step{{"甲乙", "", 2}, {"一", "", 3}, {"二", "", 4}, {"三", "甲乙一二三", 0}}, ""},
		{"a context before costs no delay", []step{{"配方甲", "配方", 1}, {"乙", "**", 0}}, ""},
		{"years and prices leave at once where no number begins so", []step{{"2024", "2024", 0}, {"年", "年", 0}, {"价 99", "价 99", 0}}, ""},
		{"digits stay while a number may begin so", []step{{"共41", "共", 2}, {"11件", "4111件", 0}}, ""},
		{"digits go once they are too many", []step{{"4111111111111111111", "", 19}, {"1", "41111111111111111111", 0}}, ""},
		{"a card is sure only behind its end", []step{{goodCard, "", 16}, {"。", "****************。", 0}}, ""},
		{"an X waits for what follows", []step{{goodID, "", 18}, {",", "******************,", 0}}, ""},
		{"the separator of a run stays with it", []step{{"4111 ", "", 5}, {"x", "4111 x", 0}}, ""},
		{"a cut inside a character", []step{{"\xe4", "", 0}, {"\xbd", "", 0}, {"\xa0好", "你好", 0}, {"\xe6\xb5", "", 0}, {"\x8b", "", 1}}, "测"},
		{"closing lets go", []step{{"你测试违", "你", 3}}, "测试违"},
		{"closing decides a number", []step{{"4111 1111 1111 1111", "", 19}}, strings.Repeat("*", 19)},
		{"closing takes a broken end", []step{{"测\xe4\xb8", "", 1}}, "测\ufffd\ufffd"},
		{"empty chunks change nothing", []step{{"", "", 0}, {"测", "", 1}, {"", "", 1}, {"试", "", 2}, {"", "", 2}}, "测试"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := mustCompile(t, rules).NewStream()
			for i, st := range tt.steps {
				got := s.Write(st.in)
				if got.Released != st.out || got.Held != st.held || got.Blocked {
					t.Fatalf("step %d %q: got %+v, want %q held %d", i, st.in, got, st.out, st.held)
				}
			}
			if got := s.Close(); got.Released != tt.close || got.Held != 0 {
				t.Fatalf("close: got %+v, want %q", got, tt.close)
			}
		})
	}
}

func TestBlockedStreamStaysClosedUntilReset(t *testing.T) {
	s := mustCompile(t, Rules{Terms: []Term{{ID: "b", Text: "甲乙", Action: Block}}}).NewStream()
	if step := s.Write("你好甲"); step.Released != "你好" || step.Blocked {
		t.Fatalf("got %+v", step)
	}
	step := s.Write("乙再见")
	if step.Released != "" || !step.Blocked || step.Held != 0 || len(step.Matches) != 1 || step.Matches[0].Start != 6 {
		t.Fatalf("got %+v", step)
	}
	for _, step := range []Step{s.Write("你好"), s.Close(), s.Write("甲乙")} {
		if step.Released != "" || !step.Blocked || len(step.Matches) != 0 {
			t.Fatalf("after the block: %+v", step)
		}
	}
	s.Reset()
	if step := s.Write("你好"); step.Released != "你好" || step.Blocked {
		t.Fatalf("after reset: %+v", step)
	}
}

func TestNoHitReachesAcrossAClose(t *testing.T) {
	e := mustCompile(t, Rules{
		Terms: []Term{
			{ID: "m", Text: "甲乙", Action: Mask},
			{ID: "c", Text: "丙丁", Action: Mask, Contexts: []string{"配方"}, Window: 20},
		},
		Checks: []Check{{ID: "card", Kind: KindBankCard, Action: Mask}},
	})
	s := e.NewStream()
	var out strings.Builder
	for _, part := range []string{"甲", "乙", "配方", "丙丁", "41111111", "11111111", "\xe4\xbd", "\xa0"} {
		out.WriteString(s.Write(part).Released)
		out.WriteString(s.Close().Released)
	}
	if got := out.String(); got != "甲乙配方丙丁4111111111111111\ufffd\ufffd\ufffd" {
		t.Errorf("released %q", got)
	}
	// Offsets count on.
	if step := s.Write("甲乙"); len(step.Matches) != 1 || step.Matches[0].Start != 37 || step.Released != "**" {
		t.Errorf("after closes: %+v", step)
	}
}

func TestHeldTextStaysUnderTheCap(t *testing.T) {
	rules := Rules{Checks: []Check{{ID: "id", Kind: KindCNID, Action: Mask}, {ID: "card", Kind: KindBankCard, Action: Mask}}}
	rules.Terms = []Term{
		{ID: "long", Text: strings.Repeat("长", MaxTermRunes), Action: Mask},
		{ID: "wide", Text: "长长", Action: Mask, Contexts: []string{"配方"}, Window: DefaultMaxHold - 2},
	}
	e := mustCompile(t, rules)
	for _, text := range []string{
		strings.Repeat("长", 3000),
		strings.Repeat("4 1 ", 800),
		strings.Repeat("4", 3000),
		strings.Repeat("6212 ", 600),
		strings.Repeat("长\u200b\u200b", 1000),
		"长" + strings.Repeat("\u200b", 100000),
	} {
		s, released := e.NewStream(), 0
		for _, chunk := range tokens(text, 1, 9) {
			step := s.Write(chunk)
			released += utf8.RuneCountInString(step.Released)
			if step.Held > DefaultMaxHold {
				t.Fatalf("%.12q...: %d symbols held", text, step.Held)
			}
			if len(s.items) > (DefaultMaxHold+MaxTermRunes)*(maxSkipRun+1) {
				t.Fatalf("%.12q...: %d items kept", text, len(s.items))
			}
		}
		released += utf8.RuneCountInString(s.Close().Released)
		if !strings.Contains(text, "\u200b") && released != utf8.RuneCountInString(text) {
			t.Fatalf("%.12q...: %d runes released of %d bytes", text, released, len(text))
		}
	}
}

func TestLongChunkIsTheSameAsManyShortOnes(t *testing.T) {
	e := mustCompile(t, Rules{Terms: []Term{{ID: "m", Text: "甲乙丙", Action: Mask}}})
	text := strings.Repeat("长文x甲乙丙", 9000)
	want := e.Scan(text)
	released, matches, _ := run(e.NewStream(), []string{text})
	if released != want.Released || len(matches) != len(want.Matches) || len(matches) != 9000 {
		t.Fatalf("%d bytes and %d matches, want %d and %d", len(released), len(matches), len(want.Released), len(want.Matches))
	}
}

func TestChunkWithoutAHitLeavesUncopied(t *testing.T) {
	e := mustCompile(t, Rules{
		Terms:  lexicon(2000),
		Checks: []Check{{ID: "id", Kind: KindCNID, Action: Mask}, {ID: "card", Kind: KindBankCard, Action: Mask}},
	})
	s := e.NewStream()
	chunk := "Ω，ψ第3章，“…”。"
	if allocs := testing.AllocsPerRun(100, func() {
		if step := s.Write(chunk); step.Released != chunk {
			t.Fatalf("released %q", step.Released)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations for a chunk without a hit", allocs)
	}
	chunks := tokens(benignText, 4, 20)
	perChunk := testing.AllocsPerRun(50, func() {
		s.Reset()
		for _, c := range chunks {
			s.Write(c)
		}
	}) / float64(len(chunks))
	if perChunk > 1 {
		t.Errorf("%.2f allocations per chunk of benign text", perChunk)
	}
}
