package fold

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func folded(t *Table, text string) string {
	var out []rune
	for _, r := range text {
		if f := t.Rune(r); f != Skip {
			out = append(out, f)
		}
	}
	return strings.ReplaceAll(string(out), "\x01", "!")
}

func TestWhatLooksAlikeBecomesAlike(t *testing.T) {
	for _, c := range []struct{ name, text, strict, loose string }{
		{"case", "AbÇ", "abç", "abc"},
		{"width", "ＡＢ１２ｶ", "ab12カ", "abl2カ"},
		{"compatibility", "①㊙Ⅷ²", "1秘ⅷ2", "l秘ⅷ2"},
		{"traditional", "體驗發電", "体验发电", "体验发电"},
		{"invisible", "甲\u200b乙\u00ad丙\ufe0f丁\u202e戊\ufeff\x00己", "甲乙丙丁戊己", "甲乙丙丁戊己"},
		{"marks over everything", "法\u0336轮\u0353", "法轮", "法轮"},
		{"blanks and signs", "甲 乙，丙—丁\n戊😀己", "甲 乙,丙—丁\n戊😀己", "甲乙丙丁戊己"},
		{"look-alikes", "раураl ρ0rn", "раураl ρ0rn", "paypalporn"},
		{"in brackets and circles", "⑴⒈㈱ⓐ🄰", "⑴⒈㈱aa", "ll株aa"},
		{"letters of mathematics", "𝐚𝔟𝒄𝟗", "abc9", "abc9"},
		{"what stands for several stays", "ﬁ㎏½", "ﬁ㎏½", "ﬁ㎏½"},
		{"beyond the first plane", "𠀀𫝈", "𠀀𫝈", "𠀀𫝈"},
		{"what is no text", "甲\ufffd乙", "甲!乙", "甲!乙"},
		{"tags and fillers", "甲\U000E0041乙\u3164丙\u2800丁", "甲乙丙丁", "甲乙丙丁"},
	} {
		if got := folded(Strict(), c.text); got != c.strict {
			t.Errorf("%s: strict %q, want %q", c.name, got, c.strict)
		}
		if got := folded(Loose(), c.text); got != c.loose {
			t.Errorf("%s: loose %q, want %q", c.name, got, c.loose)
		}
	}
}

func TestFoldingTwiceIsFoldingOnce(t *testing.T) {
	for _, table := range []*Table{Strict(), Loose()} {
		for r := range rune(unicode.MaxRune + 1) {
			f := table.Rune(r)
			if f > Break && table.Rune(f) != f {
				t.Fatalf("%U gives %U, and that %U", r, f, table.Rune(f))
			}
			if r <= 0xFFFF && f > 0xFFFF {
				t.Fatalf("%U of the first plane gives %U", r, f)
			}
		}
	}
}

func TestLooseMakesEqualWhateverStrictMakesEqual(t *testing.T) {
	for r := range rune(unicode.MaxRune + 1) {
		s, l := Strict().Rune(r), Loose().Rune(r)
		if s > Break && Loose().Rune(s) != l || s <= Break && s != l {
			t.Fatalf("%U: strict %U, loose %U, loose of strict %U", r, s, l, Loose().Rune(s))
		}
	}
}

// slowly is what Symbols must give.
func slowly(t *Table, text string) []uint16 {
	out := []uint16{}
	for _, r := range text {
		switch f := t.Rune(r); {
		case f == Skip:
		case f > 0xFFFF:
			a, b := Pair(f)
			out = append(out, a, b)
		default:
			out = append(out, uint16(f))
		}
	}
	return out
}

// inPieces folds a text so many bytes or more at a time.
func inPieces(t *testing.T, table *Table, text string, want, buf []uint16, limit int) {
	t.Helper()
	var got []uint16
	for rest := text; rest != ""; {
		made, used, odd := table.Fill(buf, rest, limit)
		if used == 0 {
			t.Fatalf("%q: stuck", text)
		}
		want := false
		for _, r := range rest[:used] {
			want = want || table.Rune(r) <= Break
		}
		if odd != want {
			t.Fatalf("%q: odd is %v", rest[:used], odd)
		}
		got, rest = append(got, buf[:made]...), rest[used:]
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%q, %d bytes at a time: %X, want %X", text, limit, got, want)
	}
}

func FuzzSymbols(f *testing.F) {
	for _, s := range []string{"", "a", "中文ABC", "😀𠀀𝐚", "\xff\xe4\xb8", "\xe0\x80\x80\xed\xa0\x80\xf4\x90\x80\x80", "\xc0\x80x", "甲\u200b乙",
		strings.Repeat("中文，", 3000), strings.Repeat("\xff", 9000),
		strings.Repeat("中\xe0\x80\x80文", 300), strings.Repeat("中文\xed\xa0\x80", 300), strings.Repeat("한글𝐚é中a", 200), strings.Repeat("中", 89) + "a" + strings.Repeat("文\u200b", 200),
		strings.Repeat("甲\ufffd乙", 50), strings.Repeat("Weather\x00 and\x01 more, 中文", 60), strings.Repeat("\x00", 700) + "中文中文", "中" + strings.Repeat("abcdefgh", 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, table := range []*Table{Strict(), Loose()} {
			want := slowly(table, text)
			if got := table.Symbols(nil, text); !slices.Equal(got, want) {
				t.Fatalf("%q: %X, want %X", text, got, want)
			}
			for _, piece := range []struct{ room, limit int }{{7, 5}, {258, 256}, {600, 300}} {
				inPieces(t, table, text, want, make([]uint16, piece.room), piece.limit)
			}
		}
	})
}

func TestFoldingAllocatesNothingWhereThereIsRoom(t *testing.T) {
	text := strings.Repeat("今天 weather 很好，Ａ體。", 100)
	dst := make([]uint16, 0, len(text)+8)
	if n := testing.AllocsPerRun(50, func() { dst = Loose().Symbols(dst[:0], text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSyllablesAreThoseOfTheCharacters(t *testing.T) {
	s := Syllables()
	spell := func(text string) string {
		var out []string
		for _, r := range text {
			out = append(out, s.Spelling(s.Of[r]))
		}
		return strings.Join(out, " ")
	}
	if got := spell("法律绿女中国"); got != "fa lv lv nv zhong guo" {
		t.Error(got)
	}
	if s.Of['发'] != s.Of['法'] || s.Of['a'] != 'a' || s.Has('a') || !s.Has('法') {
		t.Error("characters of one syllable have one symbol, others their own")
	}
	if r := s.Readings('行'); len(r) < 2 || s.Spelling(r[0]) != "xing" || s.Spelling(r[1]) != "hang" {
		t.Error("a character that is read in two ways has both")
	}
	if s.Of[0xE003] != Break || s.Has(0xE003) {
		t.Error("a private character sounds like a syllable")
	}
	if len(s.spelling) < 390 || len(s.spelling) > 430 {
		t.Errorf("%d syllables", len(s.spelling))
	}
	for i, x := range s.spelling {
		if x == "" || !utf8.ValidString(x) || strings.Trim(x, "abcdefghijklmnopqrstuvwxyz") != "" {
			t.Errorf("syllable %d is spelled %q", i, x)
		}
	}
}

var sample = strings.Repeat("今天我们来聊一聊如何准备一次周末的短途旅行。首先要确定目的地，可以选择离家不远的山区或者湖边，空气清新，人也不多。", 200)

func BenchmarkFold(b *testing.B) {
	dst := make([]uint16, 0, len(sample))
	b.SetBytes(int64(len(sample)))
	for b.Loop() {
		dst = Strict().Symbols(dst[:0], sample)
	}
}

func BenchmarkRuneCount(b *testing.B) {
	b.SetBytes(int64(len(sample)))
	for b.Loop() {
		utf8.RuneCountInString(sample)
	}
}
