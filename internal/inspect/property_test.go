package inspect

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/fengsui/fengsui/internal/inspect/fold"
	"github.com/fengsui/fengsui/internal/inspect/match"
)

const (
	goodID     = "11010519491231002X" // the example printed in GB 11643
	goodIDOnly = "440524188001010014" // right check character, but born in 1880
	goodCard   = "4111111111111111"   // the schemes' test numbers
	goodCard19 = "6212345678901234569"
	goodMobile = "13800138000"
	goodCredit = "91110108MA01ABCD0B" // made up, its check symbol is right
	goodKey    = "sk-" + "k3Xq7mT1zRp5Lb9WdVn2"
	goodID15   = "110105491231002"
)

// drawText makes texts in which the rules of drawRules meet, overlap and are
// cut short, with invisible and broken characters in between.
func drawText(t *rapid.T) string {
	pieces := []string{
		"a", "b", "A", "Ｂ", "х", "中", "忠", "文", "闻", "字", "中文中", "钟闻仲", "法", "氵去", "氵去中", "zhongwen", "發", "\u200b", "\u200d", "\ufe0f", "\u00ad", "。", "😀",
		"\xff", "\xe4\xb8", "\xf0\x9f", "�", " ", "-", "\n", ". ", ".", "！", "\u2028", "x", "X", "1", "4", "62", "９", "0000",
		goodID, goodCard, goodCard19, goodMobile, goodID15, "86", "138 0013 8000", "138-0013-8000", "138 00138 000", "13", "0013", "4111 1111 1111 1111", "4111-1111-1111-1111", "411111 1111111111",
		"3782 822463 10005", "6212 3456 7890 1234 569", "41 11 11 11 11 11 11 11", "11010519491231002", "110105194912310028",
		strings.Repeat("\u200b", maxSkipRun+3),
	}
	if rapid.Bool().Draw(t, "of kinds") {
		pieces = append(kindPieces(), "a", "1", " ", "-", ".", "中", "\u200b", "\xff", "护照", "通行证")
	}
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 40).Draw(t, "text"), "")
}

// kindPieces are what the kinds of checks are made of, whole and in parts.
func kindPieces() []string {
	return []string{
		goodCredit, goodCredit[:17], "91110108MA01ABCD", "0B", "E12345678", "EA1234567", "E1234567", "护照", "passport ", "台胞证", "通行证：", "C12345678", "CA1234567", "H1234567890",
		"12345678", "20240501", "1234567890", "a.b@" + "c-d.cn", "foo_bar@example.com", "@", "x@" + "y.zz", "a@b", "@c.com", "..", "_", "%", "+", "ab.cd",
		"192.168.1.1", "10.0.0.256", "8.8.8.8:53", "1.2.3", "4.5", ":", "::", "fe80::1", "2001:db8:0:0:0:0:0:1", "dead:beef", "12:30:45",
		"010-66554321", "01066554321", "0755 8655432", "0755-8655-4321", "86 10 66554321", "010", "66554321", "0086-755-8655", "4321", "(", ")",
		"京A12345", "京", "粤B", "·", "D12345", "12345F", "A1234", "学", "1234警", "i", "o",
		goodKey, "sk-", "sk-proj-", "q8d3Zk5Tn1wR", "AKIA", "ABCDEFGH23456789", "R5KQ2YLX7DNM3VTB", "ghp_", "abcdefghijklmnopqrstuvwxyz0123456789", "hf_", "xoxb-", "LTAI", "xxxxxxxxxxxxxxxxxxxxxxxx",
		"https://", "http://", "www.", "example.com", "/a?b=c", "，", ",", "。", "localhost", "?", "eyJhbGciOiJI", ".eyJzdWIiOiI", ".abcdefghijk",
		"-----BEGIN PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----", "\n", "MIIEvQIBADAN", "-----END PRIVATE KEY-----", "-----BEGIN CERTIFICATE-----", "-----",
		"北京市", "朝阳区", "建国路", "88号", "3号楼", "1501室", "上海", "姓名：", "张三", "李小明", "我叫", "欧阳修", "的", "AccountKey=", strings.Repeat("Ab1/Cd2+Ef", 8) + "abcdef==",
		"https://example.com/" + strings.Repeat("abc/", 50),
	}
}

func drawRules(t *rapid.T) Rules { return drawRulesWith(t, true) }

// plainRules are those that the oracle can judge.
func plainRules(t *rapid.T) Rules { return drawRulesWith(t, false) }

func drawRulesWith(t *rapid.T, disguised bool) Rules {
	word := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "中", "文", "1", "ａ", "x", "😀", "法", "发"}), 1, 5).Draw(t, "word"), "")
	})
	actions := []Action{Observe, Mask, Mask, Replace}
	if rapid.Bool().Draw(t, "blocks") {
		actions = append(actions, Block)
	}
	action := rapid.SampledFrom(actions)
	var rules Rules
	for i := range rapid.IntRange(0, 8).Draw(t, "terms") {
		term := Term{ID: fmt.Sprintf("t%d", i), Text: word.Draw(t, "term"), Action: action.Draw(t, "action"), Risk: "A.2.e"}
		if rapid.IntRange(0, 2).Draw(t, "contextual") == 0 {
			term.Contexts = rapid.SliceOfN(word, 1, 2).Draw(t, "contexts")
			term.Window = rapid.IntRange(1, 9).Draw(t, "window")
		}
		if rapid.Bool().Draw(t, "wording") {
			term.Replacement = fmt.Sprintf("<%d>", i)
		}
		term.Word = rapid.IntRange(0, 2).Draw(t, "word") == 0
		if disguised && !strings.Contains(term.Text+strings.Join(term.Contexts, ""), "😀") {
			if rapid.IntRange(0, 3).Draw(t, "known") == 0 {
				term.Text = rapid.SampledFrom([]string{"中文", "中文中", "法中"}).Draw(t, "term")
			}
			term.Loose, term.Gap = rapid.Bool().Draw(t, "loose"), rapid.IntRange(0, 3).Draw(t, "gap")
			term.Spell, term.Parts = rapid.IntRange(0, 4).Draw(t, "spell") == 0, rapid.Bool().Draw(t, "parts")
			term.Repeat = term.Gap > 0 && rapid.Bool().Draw(t, "repeat")
			term.Sound = syllables(term.Text) >= match.MinSounds && rapid.Bool().Draw(t, "sound")
		}
		rules.Terms = append(rules.Terms, term)
	}
	kinds := Kinds()
	if !disguised {
		kinds = slices.DeleteFunc(kinds, func(kind string) bool {
			_, known := newOracle(Rules{}, "").kindPlaces(kind)
			return !known
		})
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "checks") {
		rules.Checks = append(rules.Checks, Check{ID: fmt.Sprintf("c%d", i), Action: action.Draw(t, "action"),
			Kind: rapid.SampledFrom(kinds).Draw(t, "kind")})
		c := &rules.Checks[i]
		c.Ends = c.Action == Mask && HasEnds(c.Kind) && rapid.Bool().Draw(t, "ends")
	}
	rules.ReplaceText = rapid.SampledFrom([]string{"", "…"}).Draw(t, "replace text")
	drawRelations(t, &rules, word, action)
	return rules
}

// drawRelations adds sets and rules that ask for them, for terms and for numbers.
func drawRelations(t *rapid.T, rules *Rules, word *rapid.Generator[string], action *rapid.Generator[Action]) {
	operands := []string{KindCNMobile, KindCNID, KindBankCard, KindCNPassport, KindCNPlate, KindCNCredit, `"a"`, `"中"`}
	for _, term := range rules.Terms {
		operands = append(operands, "#"+term.ID)
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "sets") {
		s := Set{Name: fmt.Sprintf("s%d", i), Words: rapid.SliceOfN(word, 1, 3).Draw(t, "words")}
		s.Word = rapid.Bool().Draw(t, "whole words")
		rules.Sets = append(rules.Sets, s)
		operands = append(operands, s.Name, s.Name, s.Name)
	}
	operand := rapid.SampledFrom(operands)
	var condition func(depth int) string
	condition = func(depth int) string {
		if depth < 2 {
			switch rapid.IntRange(0, 6).Draw(t, "join") {
			case 0:
				return "not " + condition(depth+1)
			case 1, 2:
				return "(" + condition(depth+1) + rapid.SampledFrom([]string{" and ", " or "}).Draw(t, "op") + condition(depth+1) + ")"
			case 3:
				return condition(depth+1) + " and " + condition(depth+1)
			}
		}
		out := operand.Draw(t, "operand")
		if n := rapid.IntRange(0, 4).Draw(t, "times"); n > 1 {
			out = fmt.Sprintf("%dx %s", n, out)
		}
		if sentence := rapid.IntRange(0, 2).Draw(t, "sentence"); sentence > 0 {
			if out += " in sentence"; sentence > 1 {
				return out
			}
		}
		return out + fmt.Sprintf(" within %d", rapid.IntRange(1, 12).Draw(t, "within")) +
			rapid.SampledFrom([]string{"", " before", " after"}).Draw(t, "side")
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "rules") {
		r := Rule{ID: fmt.Sprintf("r%d", i), Find: operand.Draw(t, "find"), Action: action.Draw(t, "action"), Risk: "A.1.a"}
		if rapid.IntRange(0, 6).Draw(t, "conditional") > 0 {
			r.When = condition(0)
		}
		rules.Rules = append(rules.Rules, r)
	}
}

func syllables(text string) (n int) {
	for _, c := range fold.Loose().Symbols(nil, text) {
		if fold.Syllables().Has(c) {
			n++
		}
	}
	return n
}

// run feeds a stream and gives all that came out of it.
func run(s *Stream, chunks []string) (released string, matches []Match, blocked bool) {
	var out strings.Builder
	for i := 0; i <= len(chunks); i++ {
		var step Step
		if i < len(chunks) {
			step = s.Write(chunks[i])
		} else {
			step = s.Close()
		}
		out.WriteString(step.Released)
		matches = append(matches, step.Matches...)
		blocked = step.Blocked
	}
	return out.String(), matches, blocked
}

func drawCuts(t *rapid.T, text string) []string {
	var chunks []string
	for len(text) > 0 {
		n := rapid.IntRange(0, min(len(text), 9)).Draw(t, "cut")
		chunks = append(chunks, text[:n])
		text = text[n:]
	}
	return chunks
}

func TestVerdictAndReleasedTextDoNotDependOnTheCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, err := Compile(drawRules(t))
		if err != nil {
			t.Fatal(err)
		}
		text := drawText(t)
		want := e.Scan(text)
		stream := e.NewStream()
		for range 2 { // the second time on a stream that was reset
			released, matches, blocked := run(stream, drawCuts(t, text))
			if released != want.Released {
				t.Fatalf("text %q: cut released %q, whole %q", text, released, want.Released)
			}
			if !slices.Equal(sorted(matches), sorted(want.Matches)) {
				t.Fatalf("text %q: cut found %v, whole %v", text, sorted(matches), sorted(want.Matches))
			}
			if blocked != (want.Action == Block) {
				t.Fatalf("text %q: blocked %v, whole %v", text, blocked, want.Action)
			}
			stream.Reset()
		}
	})
}

func TestScanAgreesWithBruteForce(t *testing.T) {
	hits, related, found := 0, 0, map[string]int{}
	agree := func(t *rapid.T) {
		rules := plainRules(t)
		e, err := Compile(rules)
		if err != nil {
			t.Fatal(err)
		}
		text := drawText(t)
		got := e.Scan(text)
		matches, released, exact := newOracle(rules, text).want()
		hits += len(matches)
		for _, m := range matches {
			found[m.Kind]++
			if m.Kind == KindRule {
				related++
			}
		}
		if !slices.Equal(sorted(got.Matches), sorted(matches)) {
			t.Fatalf("text %q:\nfound %v\nwant  %v", text, sorted(got.Matches), sorted(matches))
		}
		if exact && got.Released != released || !strings.HasPrefix(released, got.Released) {
			t.Fatalf("text %q: released %q, want %q (exact %v)", text, got.Released, released, exact)
		}
	}
	for n := 0; n == 0 || n < 20 && (hits == 0 || related == 0); n++ { // hits by a rule are rare
		rapid.Check(t, agree)
	}
	if hits == 0 || related == 0 {
		t.Fatal("no rule was ever hit: the texts prove nothing")
	}
	t.Log(found)
}

// The lexicon finds in a whole text, by another way, what a stream finds.
func TestStreamFindsWhatTheLexiconFinds(t *testing.T) {
	found := map[match.Via]int{}
	planted, draws := []string{"", "，zhongwen", "，氵去中", "，种文中", "，zhōng wén ", "，甲乙乙丙", "，中 文文-中中"}, 0
	rapid.Check(t, func(t *rapid.T) {
		rules := drawRules(t)
		rules.Checks, rules.Rules = nil, nil
		rules.Terms = append(rules.Terms, Term{ID: "spelled", Text: "中文", Disguise: Disguise{Spell: true}},
			Term{ID: "apart", Text: "法中", Disguise: Disguise{Parts: true}}, Term{ID: "sounding", Text: "中文中", Disguise: Disguise{Sound: true}},
			Term{ID: "again", Text: "甲乙丙", Disguise: Disguise{Repeat: true, Gap: 1}}, Term{ID: "again and twice", Text: "中文中中", Disguise: Disguise{Repeat: true, Gap: 2}})
		for i := range rules.Terms {
			rules.Terms[i].Action, rules.Terms[i].Contexts = Observe, nil
		}
		e, err := Compile(rules)
		if err != nil {
			t.Fatal(err)
		}
		text := drawText(t) + planted[draws%len(planted)]
		draws++
		var want []string
		for _, h := range e.lexicon.Scan(nil, text) {
			want = append(want, fmt.Sprint(h.Start, h.End, rules.Terms[h.Entry].ID, h.Gap, h.Via))
			found[h.Via]++
		}
		var got []string
		_, matches, _ := run(e.NewStream(), drawCuts(t, text))
		for _, m := range matches {
			got = append(got, fmt.Sprint(m.Start, m.End, m.RuleID, m.Gap, m.Via))
			if utf8.RuneCountInString(text[:m.Start]) != m.FirstRune || utf8.RuneCountInString(text[:m.End]) != m.EndRune {
				t.Fatalf("text %q: %+v is not at these characters", text, m)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("text %q rules %+v\nfound %v\nwant  %v", text, rules.Terms, got, want)
		}
	})
	for _, via := range []match.Via{match.ViaText, match.ViaSound, match.ViaParts, match.ViaSpelling, match.ViaRepeats} {
		if found[via] == 0 {
			t.Errorf("nothing was found by %v: the texts prove nothing", via)
		}
	}
}

// symbolsLeaked counts the symbols of hits that were let out before the hit
// was known, for a function that releases chunk by chunk.
func leaks(want string, steps []string) bool {
	return !strings.HasPrefix(want, strings.Join(steps, ""))
}

func TestNothingOfAMaskedTermIsReleasedAtAnyMoment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, err := Compile(drawRules(t))
		if err != nil {
			t.Fatal(err)
		}
		text := drawText(t)
		want := e.Scan(text).Released
		s := e.NewStream()
		var steps []string
		for _, chunk := range drawCuts(t, text) {
			steps = append(steps, s.Write(chunk).Released)
			if leaks(want, steps) {
				t.Fatalf("text %q: %q is out, only %q may be", text, steps, want)
			}
		}
	})
}

func TestLeakCheckCatchesAStreamThatHoldsNothing(t *testing.T) {
	e := mustCompile(t, Rules{
		Terms:  []Term{{ID: "t", Text: "测试违禁词甲", Action: Mask}},
		Checks: []Check{{ID: "c", Kind: KindBankCard, Action: Mask}},
	})
	for _, text := range []string{"说到测试违禁词甲。", "卡号" + goodCard + "。"} {
		want := e.Scan(text).Released
		var naive, held []string
		s := e.NewStream()
		caught := false
		for _, r := range text {
			naive = append(naive, e.Scan(string(r)).Released) // each chunk on its own
			held = append(held, s.Write(string(r)).Released)
			caught = caught || leaks(want, naive)
			if leaks(want, held) {
				t.Fatalf("the real stream leaks %q", held)
			}
		}
		if !caught {
			t.Fatalf("text %q: the check does not see the leak of %q", text, naive)
		}
	}
}

// pieces cuts a text into such of one byte to most, as a seed says.
func pieces(text string, seed, most uint64) (out []string) {
	for len(text) > 0 {
		n := min(len(text), int(seed%most)+1)
		seed = seed*6364136223846793005 + 1442695040888963407
		out, text = append(out, text[:n]), text[n:]
	}
	return out
}

func FuzzStream(f *testing.F) {
	f.Add("你好测试违禁词甲！", uint64(1))
	f.Add("甲乙甲乙丙 4111 1111 1111 1111, "+goodID, uint64(0x0102030405))
	f.Add("测\u200b试\xff\xe6\xb5", uint64(7))
	f.Add("丙丙甲甲-甲乙乙丙丙丁丁甲甲乙abba baba丙乙乙甲丙乙乙甲甲", uint64(3))
	e, err := Compile(Rules{
		Terms: []Term{
			{ID: "mask", Text: "测试违禁词甲", Action: Mask},
			{ID: "short", Text: "测试", Action: Observe},
			{ID: "replace", Text: "甲乙", Action: Replace, Replacement: "…"},
			{ID: "context", Text: "乙甲", Action: Mask, Contexts: []string{"丙"}, Window: 6},
			{ID: "block", Text: "乙乙乙", Action: Block},
			{ID: "one", Text: "z", Action: Mask},
			{ID: "again", Text: "丙甲甲乙丙丁", Action: Mask, Disguise: Disguise{Gap: 3, Repeat: true, Sound: true}},
			{ID: "again at the end", Text: "丙乙甲甲", Action: Block, Disguise: Disguise{Gap: 2, Repeat: true}},
			{ID: "again from the beginning", Text: "丁丁甲乙", Action: Replace, Replacement: "…", Disguise: Disguise{Gap: 1, Repeat: true}},
			{ID: "again, a word", Text: "aba", Action: Mask, Disguise: Disguise{Gap: 2, Repeat: true, Word: true}},
		},
		Checks: []Check{{ID: "id", Kind: KindCNID, Action: Mask}, {ID: "card", Kind: KindBankCard, Action: Replace}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string, cuts uint64) {
		want := e.Scan(text)
		released, matches, blocked := run(e.NewStream(), pieces(text, cuts, 11))
		if released != want.Released || blocked != (want.Action == Block) || !slices.Equal(sorted(matches), sorted(want.Matches)) {
			t.Fatalf("cut: %q %v %v\nwhole: %+v", released, matches, blocked, want)
		}
		if len(want.Matches) == 0 && strings.ToValidUTF8(text, "") == text && !strings.Contains(text, strings.Repeat("\u200b", maxSkipRun)) &&
			released != text && want.Released == text {
			t.Fatalf("a text without a hit was changed: %q", released)
		}
	})
}

func mustCompile(t testing.TB, rules Rules) *Engine {
	t.Helper()
	e, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
