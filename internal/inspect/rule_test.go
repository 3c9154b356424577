package inspect

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestRulesHitInTheRightSurroundingsOnly(t *testing.T) {
	sets := []Set{
		{Name: "verb", Words: []string{"忽略", "ignore"}, Disguise: Disguise{Word: true}},
		{Name: "order", Words: []string{"指令", "instructions"}, Disguise: Disguise{Word: true}},
		{Name: "lesson", Words: []string{"教程"}},
	}
	for _, c := range []struct {
		name, find, when, text string
		want                   int
	}{
		{"alone never", "verb", "order within 10", "忽略。", 0},
		{"near", "verb", "order within 10", "忽略那个指令", 1},
		{"too far", "verb", "order within 2", "忽略那些个指令", 0},
		{"partly outside", "verb", "order within 3", "忽略那个指令", 0},
		{"before", "verb", "order within 5 before", "指令要忽略", 1},
		{"not before", "verb", "order within 5 before", "忽略指令", 0},
		{"after", "verb", "order within 5 after", "指令要忽略", 0},
		{"a word is whole", "verb", "order within 30", "ignored instructions", 0},
		{"a word is whole", "verb", "order within 30", "ignore instructionset", 0},
		{"both of them", "verb", "order within 9 and lesson within 9", "忽略指令", 0},
		{"both of them", "verb", "order within 9 and lesson within 9", "忽略指令教程", 1},
		{"either", "verb", "order within 9 or lesson within 9", "忽略教程", 1},
		{"not", "verb", "order within 9 and not lesson within 9", "忽略指令", 1},
		{"not", "verb", "order within 9 and not lesson within 9", "忽略指令教程", 0},
		{"brackets", "verb", "not (order within 9 or lesson within 9)", "忽略一切教程", 0},
		{"two of a set", "verb", "2x order within 9", "忽略指令", 0},
		{"two of a set", "verb", "2x order within 9", "指令忽略指令", 1},
		{"in the sentence", "verb", "order in sentence", "先忽略它，再看指令。", 1},
		{"beyond the sentence", "verb", "order in sentence", "先忽略它。再看指令。", 0},
		{"a hit may end it", `"忽略。"`, "order in sentence", "忽略。指令", 0},
		{"a hit before the line break", "verb", "order in sentence", "忽略\n指令", 0},
		{"a sentence stays over", "verb", "order in sentence or lesson within 20", "忽略\n指令", 0},
		{"a line is one", "verb", "order in sentence", "ignore it\ninstructions", 0},
		{"a full stop ends it", "verb", "order in sentence", "ignore it. instructions", 0},
		{"a point does not", "verb", "order in sentence", "ignore 3.14 instructions", 1},
		{"a number", "cn_mobile", `"电话" within 6 before`, "电话：" + goodMobile + "，单号" + goodMobile, 1},
		{"near a number", "verb", "cn_mobile within 20", "忽略" + goodMobile, 1},
		{"a term by its id", "#t", "order within 9", "甲乙指令", 1},
		{"a text", `"甲"`, "", "甲乙甲", 2},
		{"itself at a distance", "verb", "verb within 9", "忽略和忽略", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := mustCompile(t, Rules{Terms: []Term{{ID: "t", Text: "甲乙", Action: Observe}}, Sets: sets,
				Rules: []Rule{{ID: "r", Find: c.find, When: c.when, Action: Mask, Risk: "A.1.a", Topic: "x"}}})
			n := 0
			for _, m := range e.Scan(c.text).Matches {
				if m.Kind == KindRule {
					n++
					if m.RuleID != "r" || m.Risk != "A.1.a" || m.Topic != "x" {
						t.Errorf("%+v", m)
					}
				}
			}
			if n != c.want {
				t.Errorf("%d hits of %q in %q, want %d", n, c.when, c.text, c.want)
			}
		})
	}
}

// The other way round: a window that is held too short would let these out.
func TestARuleHoldsItsHitUntilItIsDecidedAndNoLonger(t *testing.T) {
	sets := []Set{{Name: "order", Words: []string{"指令"}}, {Name: "lesson", Words: []string{"教程"}}}
	for _, c := range []struct {
		name, when string
		action     Action
		text, want string // releases, one for each character and the end
		blocked    bool
	}{
		{"held while it is open", "order within 4", Mask, "前忽略甲指令后", "前|||||**甲指令|后", false},
		{"let go behind the window", "order within 3", Mask, "忽略甲乙丙指令", "||||忽略甲乙丙|指|令", false},
		{"what stands before costs nothing", "order within 9 before", Mask, "指令忽略后", "指|令||**|后", false},
		{"not waits for the width", "not order within 3", Mask, "忽略甲乙丙后", "||||**甲乙丙|后", false},
		{"or for the sentence", "not order in sentence", Mask, "忽略甲。后", "|||**甲。|后", false},
		{"what observes holds nothing", "order within 4", Observe, "忽略甲指令", "忽|略|甲|指|令", false},
		{"a block ends before its hit", "order within 4", Block, "前忽略甲指令后", "前", true},
		{"the end decides", "not order within 9", Mask, "忽略甲", "|||**甲", false},
		{"a sentence that is over", "order in sentence before", Mask, "指令。忽略后", "指|令|。||忽略|后", false},
		{"a line that is over", "order in sentence before", Mask, "指令\n忽略后", "指|令|\n||忽略|后", false},
		{"a full stop that is over", "order in sentence before", Mask, "指令. 忽略后", "指|令|.| ||忽略|后", false},
		{"an open part is not waited for", "order within 2 before or lesson within 9", Mask, "指令忽略后", "指|令||**|后", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := mustCompile(t, Rules{Sets: sets, Rules: []Rule{{ID: "r", Find: `"忽略"`, When: c.when, Action: c.action}}}).NewStream()
			var got []string
			blocked := false
			for _, r := range c.text {
				step := s.Write(string(r))
				got = append(got, step.Released)
				blocked = blocked || step.Blocked
			}
			got = append(got, s.Close().Released)
			if joined := strings.Join(got, "|"); strings.TrimRight(joined, "|") != strings.TrimRight(c.want, "|") || blocked != c.blocked {
				t.Errorf("released %q, blocked %v; want %q", joined, blocked, c.want)
			}
		})
	}
}

func TestRulesCountOverALongWindowBefore(t *testing.T) {
	e := mustCompile(t, Rules{Sets: []Set{{Name: "turn", Words: []string{"user:"}}},
		Rules: []Rule{{ID: "many", Find: "turn", When: "20x turn within 4000 before", Action: Observe}}})
	turn := "User: " + strings.Repeat("话", 150)
	for turns, want := range map[int]int{20: 0, 21: 1, 30: 10} {
		text := strings.Repeat(turn, turns)
		if got := e.Scan(text).Matches; len(got) != want {
			t.Errorf("%d turns: %d hits, want %d", turns, len(got), want)
		}
	}
	if got := e.Scan(strings.Repeat(turn+strings.Repeat("远", 200), 40)).Matches; len(got) != 0 {
		t.Errorf("turns that stand far apart were counted: %d hits", len(got))
	}
}

func TestALongTextDoesNotPileUpWhatConditionsMayAskFor(t *testing.T) {
	e := mustCompile(t, Rules{Sets: []Set{{Name: "a", Words: []string{"甲"}}, {Name: "b", Words: []string{"乙"}}},
		Rules: []Rule{{ID: "r", Find: "a", When: "b within 30 and 3x a in sentence", Action: Mask}}})
	s := e.NewStream()
	for range 20_000 {
		s.Write("甲乙。")
	}
	n := len(s.stops) + len(s.waiting)
	for _, seen := range s.seen {
		n += len(seen)
	}
	if n > 2000 {
		t.Errorf("%d places are remembered", n)
	}
}

func TestATextOfNothingButTriggersCostsNoMemoryForEach(t *testing.T) {
	e := mustCompile(t, Rules{Sets: []Set{{Name: "a", Words: []string{"甲"}}, {Name: "b", Words: []string{"乙"}}},
		Rules: []Rule{{ID: "r", Find: "a", When: `b within 100 and "丙" within 100`, Action: Observe}}})
	text := strings.Repeat("甲乙", 5000)
	if n := testing.AllocsPerRun(3, func() { e.Scan(text) }); n > 200 {
		t.Errorf("%.0f allocations for 5,000 places", n)
	}
}

func TestCompileNamesTheRuleAndTheFieldThatIsWrong(t *testing.T) {
	sets := []Set{{Name: "s", Words: []string{"测试违禁词甲"}}, {Name: "empty", Words: []string{"\u200b"}}}
	good := Rule{ID: "good", Find: "s", Action: Mask}
	for _, c := range []struct {
		name, id, field string
		rule            Rule
	}{
		{"no id", "", "id", Rule{Find: "s", Action: Mask}},
		{"same id", "good", "id", good},
		{"no action", "r", "action", Rule{ID: "r", Find: "s"}},
		{"finds nothing", "r", "find", Rule{ID: "r", Action: Mask}},
		{"unknown set", "r", "find", Rule{ID: "r", Find: "t", Action: Mask}},
		{"unknown term", "r", "find", Rule{ID: "r", Find: "#t", Action: Mask}},
		{"invisible word", "r", "find", Rule{ID: "r", Find: "empty", Action: Mask}},
		{"unknown operand", "r", "when", Rule{ID: "r", Find: "s", When: "t within 3", Action: Mask}},
		{"no width", "r", "when", Rule{ID: "r", Find: "s", When: "s", Action: Mask}},
		{"bad width", "r", "when", Rule{ID: "r", Find: "s", When: "s within 0", Action: Mask}},
		{"wide", "r", "when", Rule{ID: "r", Find: "s", When: "s within 5000 before", Action: Mask}},
		{"looks too far ahead", "r", "when", Rule{ID: "r", Find: "s", When: "s within 251 after", Action: Mask}},
		{"even if it only observes", "r", "when", Rule{ID: "r", Find: "s", When: "s within 257", Action: Observe}},
		{"no count", "r", "when", Rule{ID: "r", Find: "s", When: "0x s within 3", Action: Mask}},
		{"open bracket", "r", "when", Rule{ID: "r", Find: "s", When: "(s within 3", Action: Mask}},
		{"half a condition", "r", "when", Rule{ID: "r", Find: "s", When: "s within 3 and", Action: Mask}},
		{"two sides", "r", "when", Rule{ID: "r", Find: "s", When: "s within 3 before after", Action: Mask}},
		{"no quotation mark", "r", "when", Rule{ID: "r", Find: "s", When: `"测试违禁词甲 within 3`, Action: Mask}},
		{"nested", "r", "when", Rule{ID: "r", Find: "s", When: strings.Repeat("(", 100) + "s within 3", Action: Mask}},
		{"many parts", "r", "when", Rule{ID: "r", Find: "s", When: strings.Repeat("s within 3 and ", 8) + "s within 3", Action: Mask}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Compile(Rules{Sets: sets, Rules: []Rule{good, c.rule}})
			var wrong *RuleError
			if !errors.As(err, &wrong) || wrong.ID != c.id || wrong.Field != c.field {
				t.Fatalf("got %v, want rule %q field %q", err, c.id, c.field)
			}
			if strings.Contains(err.Error(), "违禁") {
				t.Errorf("message %q shows a word", err)
			}
		})
	}
	for _, set := range []Set{{Name: "and", Words: []string{"a"}}, {Name: "A", Words: []string{"a"}}, {Name: "s", Words: []string{"a"}}, {Name: "x"}} {
		if _, err := Compile(Rules{Sets: append(sets, set)}); err == nil {
			t.Errorf("the set %+v was taken", set)
		}
	}
}

func TestRulesAreInForceWhereTheySay(t *testing.T) {
	rules := Rules{Rules: []Rule{
		{ID: "all", Find: `"甲"`, Action: Mask}, {ID: "tool", Find: `"甲"`, Action: Mask, Channels: []string{"tool", "document"}},
		{ID: "minor", Find: `"甲"`, Action: Mask, Audiences: []string{"minor"}},
	}}
	for _, c := range []struct{ channel, audience, want string }{
		{"input", "", "[all]"}, {"tool", "adult", "[all tool]"}, {"document", "minor", "[all tool minor]"},
	} {
		var got []string
		for _, m := range mustCompile(t, rules.In(c.channel, c.audience)).Scan("甲").Matches {
			got = append(got, m.RuleID)
		}
		if len(got) != strings.Count(c.want, " ")+1 {
			t.Errorf("%s for %s: %v, want %s", c.channel, c.audience, got, c.want)
		}
	}
	if len(rules.Rules) != 3 {
		t.Error("the rules themselves were changed")
	}
}

func TestReadRulesRefusesWhatItDoesNotKnow(t *testing.T) {
	sets, rules, err := ReadRules([]byte(`{"sets":[{"name":"s","word":true,"words":["a"]}],"rules":[{"id":"r","find":"s","when":"s within 3","action":"block","about":{"zh":"甲"}}]}`))
	if err != nil || len(sets) != 1 || !sets[0].Word || len(rules) != 1 || rules[0].Action != Block || rules[0].About["zh"] != "甲" {
		t.Fatalf("%+v %+v %v", sets, rules, err)
	}
	for _, bad := range []string{``, `{`, `{"set":[]}`, `{"rules":[{"id":"r","colour":"red"}]}`, `{} {}`, `{"rules":[{"action":"shout"}]}`} {
		if _, _, err := ReadRules([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestExplainSaysWhichPartsHeld(t *testing.T) {
	e := mustCompile(t, Rules{
		Terms: []Term{{ID: "term", Text: "甲乙", Action: Mask, Contexts: []string{"配方"}, Window: 5}, {ID: "end", Text: "停止", Action: Block}},
		Sets:  []Set{{Name: "order", Words: []string{"指令"}}, {Name: "lesson", Words: []string{"教程"}}},
		Rules: []Rule{{ID: "r", Find: `"忽略"`, When: "2x order within 4 and not lesson within 4", Action: Mask}},
	})
	for text, want := range map[string]string{
		"忽略指令":      "r no: 2x order within 4 1/2 no, lesson within 4 0/1 no",
		"指令忽略指令。。。": "r hit: 2x order within 4 2/2 yes, lesson within 4 0/1 no",
		"忽略教程":      "r no: 2x order within 4 0/2 open, lesson within 4 1/1 yes",
		"甲乙配方":      "term hit: contexts within 5 1/1 yes",
		"甲乙停止":      "term open: contexts within 5 0/1 open",
		"平常的话":      "",
	} {
		got := ""
		for _, a := range e.Explain(text) {
			var parts []string
			for _, p := range a.Parts {
				parts = append(parts, fmt.Sprintf("%s %d/%d %s", p.Part, p.Found, p.Need, p.Holds))
			}
			got += a.RuleID + " " + a.Outcome + ": " + strings.Join(parts, ", ")
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func FuzzCondition(f *testing.F) {
	f.Add("s within 3 and not (\"a\" in sentence or 2x cn_id within 9 before)", "甲a。甲")
	f.Add("((((not s within 4", "甲")
	f.Fuzz(func(t *testing.T, when, text string) {
		e, err := Compile(Rules{Sets: []Set{{Name: "s", Words: []string{"甲", "b"}}}, Rules: []Rule{{ID: "r", Find: "s", When: when, Action: Mask}}})
		if err != nil {
			return
		}
		want := e.Scan(text)
		var chunks []string
		for i := range len(text) {
			chunks = append(chunks, text[i:i+1])
		}
		released, matches, _ := run(e.NewStream(), chunks)
		if released != want.Released || len(matches) != len(want.Matches) {
			t.Fatalf("cut: %q %d hits, whole: %q %d hits", released, len(matches), want.Released, len(want.Matches))
		}
	})
}
