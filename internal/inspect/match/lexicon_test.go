package match

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/inspect/fold"
	"pgregory.net/rapid"
)

func build(t testing.TB, entries ...Entry) *Lexicon {
	t.Helper()
	l, err := Build(entries)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestEntriesAreFoundAsTheirOptionsSay(t *testing.T) {
	for _, c := range []struct {
		name  string
		entry Entry
		text  string
		want  string // what the hits cover, with gap and way
	}{
		{"as it is", Entry{Text: "甲乙丙"}, "前甲乙丙后", "甲乙丙/0/text"},
		{"case, width, traditional", Entry{Text: "ＦＡ发电"}, "fa發電", "fa發電/0/text"},
		{"what nobody sees inside", Entry{Text: "甲乙"}, "甲\u200b\u200d乙", "甲\u200b\u200d乙/0/text"},
		{"separators keep strict entries apart", Entry{Text: "甲乙"}, "甲 乙", ""},
		{"punctuation of a strict entry counts", Entry{Text: "c++"}, "use c++ or c", "c++/0/text"},
		{"overlapping", Entry{Text: "甲甲"}, "甲甲甲", "甲甲/0/text 甲甲/0/text"},
		{"loose over separators", Entry{Text: "甲乙", Loose: true, Gap: 3}, "甲 - 乙 甲....乙", "甲 - 乙/3/text"},
		{"loose without a gap", Entry{Text: "甲乙", Loose: true}, "甲 乙甲乙", "甲乙/0/text"},
		{"look-alikes", Entry{Text: "paypal", Loose: true}, "раураl PÁYPA1", "раураl/0/text PÁYPA1/0/text"},
		{"separators of a loose entry do not count", Entry{Text: "甲、乙", Loose: true, Gap: 1}, "甲乙", "甲乙/0/text"},
		{"a word", Entry{Text: "cat", Word: true}, "cat concat cats a-cat。cat猫", "cat/0/text cat/0/text cat/0/text"},
		{"a word before invisible letters", Entry{Text: "cat", Word: true}, "cat\u200bs", ""},
		{"word means nothing to Chinese", Entry{Text: "甲乙", Word: true}, "x甲乙x", "甲乙/0/text"},
		{"one character", Entry{Text: "甲"}, "乙甲甲", "甲/0/text 甲/0/text"},
		{"by sound", Entry{Text: "银行卡", Loose: true, Sound: true}, "淫行卡 银行卡 引航咖", "淫行卡/0/sound 银行卡/0/text 引航咖/0/sound"},
		{"by sound with a gap", Entry{Text: "银行卡", Sound: true, Gap: 1}, "因*杭*卡", "因*杭*卡/2/sound"},
		{"by spelling", Entry{Text: "银行", Spell: true, Gap: 1}, "yin xing, YINXING; yinxings", "yin xing/1/spelling YINXING/0/spelling"},
		{"by parts", Entry{Text: "法好", Parts: true, Gap: 1}, "氵去好 法女子 氵去 女子", "氵去好/0/parts 法女子/0/parts 氵去 女子/1/parts"},
		{"beyond the first plane", Entry{Text: "𠀀甲"}, "𠀀𠀀甲甲", "𠀀甲/0/text"},
		{"emoji are separators to loose", Entry{Text: "甲乙", Loose: true, Gap: 2}, "甲😀👍🏽乙 甲😀😀乙", "甲😀😀乙/2/text"},
		{"written again inside", Entry{Text: "甲乙丙", Gap: 3, Repeat: true}, "甲甲乙乙乙丙丙", "甲乙乙乙丙/2/repeats"},
		{"nobody asked for what is written again", Entry{Text: "甲乙丙", Gap: 3, Loose: true}, "甲乙乙丙", ""},
		{"written again at the ends only", Entry{Text: "甲乙丙", Gap: 3, Repeat: true}, "甲甲乙丙丙", "甲乙丙/0/text"},
		{"of two characters nothing is inside", Entry{Text: "甲乙", Gap: 3, Repeat: true}, "甲甲乙乙", "甲乙/0/text"},
		{"written again with separators", Entry{Text: "甲乙丙", Gap: 3, Repeat: true}, "甲 乙-乙 丙 甲乙-乙乙-丙", "甲 乙-乙 丙/4/repeats"},
		{"more often than a gap is wide", Entry{Text: "甲乙丙", Gap: 3, Repeat: true}, "甲乙乙乙乙丙甲乙乙乙乙乙丙", "甲乙乙乙乙丙/3/repeats"},
		{"twice in the entry", Entry{Text: "好好学习", Gap: 3, Repeat: true}, "好好学习 好学学习 好学习 好好学学习", "好好学习/0/text 好好学学习/1/repeats"},
		{"twice inside", Entry{Text: "看妈妈吧", Gap: 3, Repeat: true}, "看妈吧 看妈妈吧 看妈妈妈吧", "看妈妈吧/0/text 看妈妈妈吧/1/repeats"},
		{"twice inside, and something else written again", Entry{Text: "看妈妈去吧", Gap: 3, Repeat: true}, "看妈去去吧 看妈妈去去吧", "看妈妈去去吧/1/repeats"},
		{"written again and separators together", Entry{Text: "甲乙丙", Gap: 3, Repeat: true}, "甲乙乙乙--丙 甲乙乙--丙", "甲乙乙--丙/3/repeats"},
		{"twice at the end", Entry{Text: "找小妹妹", Gap: 3, Repeat: true}, "找小小妹 找小小妹妹 找小小妹妹妹", "找小小妹妹/1/repeats 找小小妹妹/1/repeats"},
		{"a word, written again", Entry{Text: "abc", Word: true, Gap: 1, Repeat: true}, "abbc xabbc abbcx aabbc", "abbc/1/repeats"},
		{"beyond the first plane nothing is written again", Entry{Text: "甲𠀀丙", Gap: 1, Repeat: true}, "甲𠀀丙 甲𠀀𠀀丙", "甲𠀀丙/0/text"},
		{"broken bytes keep apart", Entry{Text: "甲乙", Loose: true, Gap: 8}, "甲\xff乙", ""},
	} {
		l := build(t, c.entry)
		var got []string
		for _, h := range l.Scan(nil, c.text) {
			got = append(got, fmt.Sprintf("%s/%d/%s", c.text[h.Start:h.End], h.Gap, h.Via))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %q, want %q", c.name, strings.Join(got, " "), c.want)
		}
	}
}

func TestBuildNamesTheEntryThatCannotBeLookedFor(t *testing.T) {
	for _, c := range []struct {
		name, field string
		entry       Entry
	}{
		{"empty", "text", Entry{}},
		{"nothing but separators, loose", "text", Entry{Text: " 。—", Loose: true}},
		{"nothing that is seen", "text", Entry{Text: "\u200b\ufe0f"}},
		{"broken bytes", "text", Entry{Text: "a\xff"}},
		{"what is equal to nothing", "text", Entry{Text: "a\ufffd"}},
		{"too long", "text", Entry{Text: strings.Repeat("长", MaxRunes+1)}},
		{"gap too wide", "gap", Entry{Text: "甲乙", Loose: true, Gap: MaxGap + 1}},
		{"written again without a gap", "repeat", Entry{Text: "甲乙丙", Loose: true, Repeat: true}},
		{"negative gap", "gap", Entry{Text: "甲乙", Loose: true, Gap: -1}},
		{"too short to go by sound", "sound", Entry{Text: "银行ab", Sound: true}},
	} {
		_, err := Build([]Entry{{Text: "good"}, c.entry})
		var e *EntryError
		if !errors.As(err, &e) || e.Index != 1 || e.Field != c.field {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

var alphabet = []string{"a", "b", "A", "Ｂ", "х", "o", "0", "甲", "乙", "银", "行", "航", "發", "发", "法", "氵", "去", "yin", "xing",
	" ", "-", "。", "😀", "\u200b", "\ufe0f", "\u0301", "𠀀", "𝐚", "\xff", "\xe4\xb8", "\ufffd", "\n", "⑴", "é"}

func drawEntries(t *rapid.T) []Entry {
	one := rapid.Custom(func(t *rapid.T) Entry {
		return Entry{
			Text:  strings.Join(rapid.SliceOfN(rapid.SampledFrom(alphabet), 1, 6).Draw(t, "text"), ""),
			Loose: rapid.Bool().Draw(t, "loose"), Gap: rapid.IntRange(0, 3).Draw(t, "gap"),
			Word: rapid.Bool().Draw(t, "word"), Sound: rapid.Bool().Draw(t, "sound"),
			Spell: rapid.IntRange(0, 3).Draw(t, "spell") == 0, Parts: rapid.IntRange(0, 3).Draw(t, "parts") == 0,
			Repeat: rapid.Bool().Draw(t, "repeat"),
			Hold:   rapid.Bool().Draw(t, "hold"),
		}
	})
	return slices.DeleteFunc(rapid.SliceOfN(one, 1, 12).Draw(t, "entries"), func(e Entry) bool {
		_, err := Build([]Entry{e})
		return err != nil
	})
}

// twos are so many entries of two characters that the gate gives them half of
// each word of its filter.
func twos(like Entry) (out []Entry) {
	letters := []rune("甲乙丙丁戊己庚辛ab中")
	for _, a := range letters {
		for _, b := range letters {
			like.Text = string([]rune{a, b})
			out = append(out, like)
		}
	}
	return out
}

func TestGateAutomatonAndBruteForceAgree(t *testing.T) {
	found, again, halves := 0, 0, 0
	agree := func(t *rapid.T) {
		entries := drawEntries(t)
		switch rapid.IntRange(0, 5).Draw(t, "twos") {
		case 0:
			entries = append(entries, twos(Entry{})...)
		case 1:
			entries = append(entries, twos(Entry{Loose: true, Gap: 1})...)
		}
		l, err := Build(entries)
		if err != nil {
			t.Fatal(err)
		}
		pieces := rapid.SliceOfN(rapid.SampledFrom(alphabet), 0, 60).Draw(t, "pieces")
		for i, e := range entries {
			if i%3 == 0 && len(pieces) > 0 { // a text that surely holds some
				pieces[i*7%len(pieces)] = e.Text
			}
			if i%3 == 1 && len(pieces) > 0 { // and with characters written again
				var b strings.Builder
				for k, r := range e.Text {
					if strings.HasPrefix(e.Text[k+utf8.RuneLen(r):], string(r)) && rapid.Bool().Draw(t, "fewer") {
						continue
					}
					b.WriteString(strings.Repeat(string(r), rapid.IntRange(1, 3).Draw(t, "again")))
				}
				pieces[i*5%len(pieces)] = b.String()
			}
		}
		text := strings.Join(pieces, "")
		// Over the border of a block, at every offset.
		pad := ""
		if rapid.IntRange(0, 3).Draw(t, "far") == 0 {
			pad = strings.Repeat(rapid.SampledFrom([]string{"z", "中", "\u200b", "，"}).Draw(t, "with"), blockSymbols-rapid.IntRange(-4, 150).Draw(t, "pad"))
		}
		text = pad + text
		if l.read[strict].gate.halves || l.read[loose].gate.halves {
			halves++
		}
		want := oracle(entries, text)
		found += len(want)
		for _, h := range want {
			if h.Via == ViaRepeats {
				again++
			}
		}
		for name, got := range map[string][]Hit{"gate": l.scan(nil, text, false), "automaton": l.scan(nil, text, true), "cursor": byCursor(l, text)} {
			if !slices.Equal(got, want) {
				t.Fatalf("%s: entries %+v\ntext %q after %d\ngot  %v\nwant %v", name, entries, text[len(pad):], len(pad), got, want)
			}
		}
	}
	for n := 0; n == 0 || n < 20 && (again == 0 || halves == 0); n++ { // few are found with characters written again
		rapid.Check(t, agree)
	}
	if found == 0 || again == 0 || halves == 0 {
		t.Fatal("nothing was ever found: the texts prove nothing")
	}
}

// A hit that is much longer than its entry lies over the border of a block at every offset.
func TestWhatIsWrittenAgainIsFoundOverTheBorderOfABlock(t *testing.T) {
	inside := "乙丙丁戊己庚辛壬癸子"
	l := build(t, Entry{Text: "甲" + inside + "丑", Gap: MaxGap, Repeat: true})
	word := "甲"
	for _, r := range inside {
		word += strings.Repeat(string(r), 1+MaxGap)
	}
	word += "丑"
	for before := range pieceBytes { // a block is as much longer as a piece has symbols
		at := blockSymbols + pieceBytes/3 - before
		text := strings.Repeat("中", at) + word + strings.Repeat("中文", blockSymbols)
		want := []Hit{{Start: 3 * at, End: 3*at + len(word), Gap: utf8.RuneCountInString(inside) * MaxGap, Via: ViaRepeats}}
		for _, plain := range []bool{false, true} {
			if got := l.scan(nil, text, plain); !slices.Equal(got, want) {
				t.Fatalf("%d before the border, plain %v: %v, want %v", before, plain, got, want)
			}
		}
	}
}

func TestACrowdedBlockFallsBackAndFindsTheSame(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var entries []Entry
	letters := []rune("甲乙丙丁戊")
	word := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteRune(letters[rng.IntN(len(letters))])
		}
		return b.String()
	}
	for range 300 {
		entries = append(entries, Entry{Text: word(2 + rng.IntN(6)), Hold: true})
	}
	l := build(t, entries...)
	var text strings.Builder
	for range 6 { // crowded, calm, crowded
		text.WriteString(word(5000))
		text.WriteString(strings.Repeat("今天天气很好，", 700+rng.IntN(100)))
	}
	got, want := l.scan(nil, text.String(), false), l.scan(nil, text.String(), true)
	if !slices.Equal(got, want) || len(got) < 1000 {
		t.Fatalf("%d hits by the gate, %d by the automaton", len(got), len(want))
	}
}

func TestTwoHundredThousandEntriesWithDuplicates(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a large lexicon")
	}
	entries := make([]Entry, 200_000)
	for i := range entries {
		entries[i] = Entry{Text: nonsense(i % 150_000), Hold: true}
	}
	l := build(t, entries...)
	text := "前" + entries[7].Text + "，" + entries[149_999].Text + "后"
	var got []int
	for _, h := range l.Scan(nil, text) {
		got = append(got, h.Entry)
	}
	for _, want := range []int{7, 150_007, 149_999} {
		if !slices.Contains(got, want) {
			t.Errorf("entry %d is not found", want)
		}
	}
}

// nonsense is the n-th of many distinct words without meaning.
func nonsense(n int) string {
	rng := rand.New(rand.NewPCG(uint64(n), 5))
	var b strings.Builder
	for range 2 + rng.IntN(5) {
		b.WriteRune(rune(0x4E00 + rng.IntN(3000)))
	}
	fmt.Fprintf(&b, "%c%c", rune(0x4E00+n%500), rune(0x5E00+n/500))
	return b.String()
}

func TestScanningAllocatesNothing(t *testing.T) {
	var entries []Entry
	for i := range 2000 {
		entries = append(entries, Entry{Text: nonsense(i), Loose: i%2 == 0, Gap: 2})
	}
	l := build(t, entries...)
	text := strings.Repeat("今天我们来聊一聊如何准备一次周末的短途旅行。", 500) + nonsense(5) + nonsense(6)
	dst := make([]Hit, 0, 64)
	if n := testing.AllocsPerRun(20, func() { dst = l.Scan(dst[:0], text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if len(dst) < 2 {
		t.Errorf("%d hits", len(dst))
	}
}

// What makes it fast changes no result, so that only counting tells whether it is at work.
func TestOrdinaryTextIsReadByTheShortWays(t *testing.T) {
	common := []rune(ordinary)
	for _, c := range []struct {
		name   string
		twos   int
		halves bool
	}{{"few of two", 1500, false}, {"many of two", 3000, true}} {
		entries := make([]Entry, 10_000)
		for i := range entries {
			// A common character, two seldom ones, a common one: beginnings and ends that ordinary text has.
			w := []rune{common[i%len(common)], rune(0x5E00 + i%2999), rune(0x4E00 + i%2003), common[i*11%len(common)]}
			if i < c.twos {
				w = w[:2]
			}
			entries[i] = Entry{Text: string(w)}
		}
		read := &build(t, entries...).read[strict]
		m, g := &read.machine, &read.gate
		if g.halves != c.halves {
			t.Errorf("%s: halves %v", c.name, g.halves)
		}
		text := fold.Strict().Symbols(make([]uint16, lead), ordinary)[:blockSymbols]
		near, state := 0, int32(0)
		for _, symbol := range text[lead:] {
			if m.near(state, symbol) {
				near++
			}
			state = m.next(state, symbol)
		}
		b := new(block)
		passed := g.pass(&b.places, 0, text, lead, len(text))
		known := g.sift(b.places[:passed], text)
		t.Logf("%s: of %d symbols %d near the root, %d pass, %d known", c.name, len(text), near, passed, known)
		if near < len(text)*8/10 || passed == 0 || passed > len(text)/5 || known > passed/5 {
			t.Errorf("%s: of %d symbols %d near the root, %d pass, %d known", c.name, len(text), near, passed, known)
		}
	}
}

func FuzzScan(f *testing.F) {
	entries := []Entry{{Text: "甲乙"}, {Text: "乙", Word: true}, {Text: "ab", Word: true}, {Text: "甲乙丙丁", Loose: true, Gap: 2}, {Text: "银行卡", Sound: true, Gap: 1},
		{Text: "法好", Parts: true, Spell: true}, {Text: "b c"}, {Text: "甲𠀀"}, {Text: "甲乙丙", Repeat: true, Gap: 2, Word: true}, {Text: "乙甲甲乙乙", Repeat: true, Gap: 3},
		{Text: "甲甲𠀀乙", Repeat: true, Gap: 1}, {Text: "abab", Repeat: true, Gap: 2, Word: true}}
	crowd := slices.Concat(entries, twos(Entry{}), twos(Entry{Loose: true, Gap: 1}))
	l, many := build(f, entries...), build(f, crowd...)
	if !many.read[strict].gate.halves || !many.read[loose].gate.halves || l.read[strict].gate.halves {
		f.Fatal("both ways of the gate are to be tried")
	}
	for _, s := range []string{"甲乙丙丁", "甲 乙-丙丁", "yin hang ka 引航咖", "氵去 好 fahao", "\xff甲\xe4乙", "xab ab", "b c", "甲𠀀", strings.Repeat("甲", 5000) + "乙丙丁",
		"甲乙乙丙", "乙甲甲甲-乙乙乙", "甲甲𠀀𠀀乙", "aabbabb", strings.Repeat("z", blockSymbols-3) + "乙甲甲甲乙乙乙", "丙丁中戊己-庚辛a中b甲"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, set := range []struct {
			entries []Entry
			l       *Lexicon
		}{{entries, l}, {crowd, many}} {
			want := oracle(set.entries, text)
			for name, got := range map[string][]Hit{"gate": set.l.scan(nil, text, false), "automaton": set.l.scan(nil, text, true), "cursor": byCursor(set.l, text)} {
				if !slices.Equal(got, want) {
					t.Fatalf("%s of %d: text %q\ngot  %v\nwant %v", name, len(set.entries), text, got, want)
				}
			}
		}
	})
}
