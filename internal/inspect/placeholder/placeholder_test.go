package placeholder

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const mobile, card = "13800138000", "6200000000000005"

func spans(text string, data map[string]string) (out []Span) {
	for d, label := range data {
		for from := 0; ; {
			at := strings.Index(text[from:], d)
			if at < 0 {
				break
			}
			out = append(out, Span{from + at, from + at + len(d), label})
			from += at + len(d)
		}
	}
	return out
}

var known = map[string]string{mobile: "手机号", card: "银行卡号"}

func TestTheSameDataHasTheSamePlaceholderInAllTextsAndOtherDataAnother(t *testing.T) {
	m := New()
	a, b := "打"+mobile+"或"+mobile+"，卡"+card, card+"、13900139000"
	if got := m.Cover(a, spans(a, known), Own); got != "打⟦手机号1⟧或⟦手机号1⟧，卡⟦银行卡号1⟧" {
		t.Error(got)
	}
	if got := m.Cover(b, spans(b, map[string]string{card: "银行卡号", "13900139000": "手机号"}), Own); got != "⟦银行卡号1⟧、⟦手机号2⟧" {
		t.Error(got)
	}
	if m.Len() != 3 {
		t.Error(m.Len())
	}
}

func TestAPlaceholderThatSomebodyWroteIsNeverGiven(t *testing.T) {
	m := New()
	a, b := "把⟦手机号1⟧和⟦手机号2⟧告诉我", "我的是"+mobile
	m.Avoid(a, b)
	sent := m.Cover(b, spans(b, known), Own)
	if sent != "我的是⟦手机号3⟧" {
		t.Fatal(sent)
	}
	if got := m.Restore(Plain, a+sent); got != a+b {
		t.Error(got)
	}
	n := New() // labels that end in digits
	if x, y := n.Cover("p", []Span{{0, 1, "a1"}}, Own), n.Cover("q", []Span{{0, 1, "a"}}, Own); x == y {
		t.Error(x, y)
	}
	for i := range 30 {
		n.Cover(strings.Repeat("z", i+1), []Span{{0, i + 1, "a"}}, Own)
	}
	if n.Len() != 32 {
		t.Errorf("%d names for 32 data", n.Len())
	}
}

func TestOverlappingSpansAreCoveredAsOneAndSpansOutsideAreNot(t *testing.T) {
	for _, c := range []struct {
		spans []Span
		want  string
	}{
		{[]Span{{2, 5, "b"}, {0, 3, "a"}}, "⟦a1⟧fgh"},
		{[]Span{{0, 2, "a"}, {0, 4, "b"}}, "⟦b1⟧efgh"},
		{[]Span{{0, 2, "a"}, {2, 4, "b"}}, "⟦a1⟧⟦b1⟧efgh"},
		{[]Span{{-1, 2, "a"}, {6, 9, "b"}, {3, 3, "c"}, {5, 2, "d"}}, "abcdefgh"},
		{nil, "abcdefgh"},
		{[]Span{{0, 8, "a"}}, "⟦a1⟧"},
	} {
		m := New()
		got := m.Cover("abcdefgh", c.spans, Own)
		if got != c.want || m.Restore(Plain, got) != "abcdefgh" {
			t.Errorf("%v: %s, want %s", c.spans, got, c.want)
		}
	}
}

// restored is what a stream gives for text in these pieces.
func restored(r *Restorer, pieces ...string) string {
	var out strings.Builder
	for _, p := range pieces {
		out.WriteString(r.Write(p))
	}
	out.WriteString(r.Close())
	return out.String()
}

func TestWhatIsPutBackDoesNotDependOnAnyCut(t *testing.T) {
	m := New()
	m.Cover(mobile, spans(mobile, known), Own)
	m.Cover(card, spans(card, known), Own)
	m.Cover("x", []Span{{0, 1, "手机"}}, Own) // ⟦手机1⟧ and ⟦手机号1⟧ begin alike
	text := "⟦手机号1⟧，⟦⟦手机号1⟧⟧⟦手机1⟧⟦手机号9⟧⟦银行卡号1⟧\xe2\x9f⟦手机号\xe2\x9f\xa6 ⟦银行卡号1"
	want := strings.NewReplacer("⟦手机号1⟧", mobile, "⟦银行卡号1⟧", card, "⟦手机1⟧", "x").Replace(text)
	for i := range len(text) + 1 {
		for j := i; j <= len(text); j++ {
			if got := restored(m.NewRestorer(Plain), text[:i], text[i:j], text[j:]); got != want {
				t.Fatalf("cut at %d and %d: %q, want %q", i, j, got, want)
			}
		}
	}
	if got := restored(m.NewRestorer(Plain), strings.Split(text, "")...); got != want {
		t.Errorf("symbol by symbol: %q", got)
	}
}

func TestRestoringIsReplacingWhateverTheTextAndTheCuts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := New()
		n := rapid.IntRange(0, 4).Draw(t, "data")
		var pairs []string
		for i := range n {
			data := string(rune('A' + i))
			pairs = append(pairs, m.Cover(data, []Span{{0, 1, rapid.SampledFrom([]string{"甲", "甲1", "a"}).Draw(t, "label")}}, Own), data)
		}
		parts := rapid.SliceOfN(rapid.SampledFrom(append([]string{"⟦", "⟧", "⟦甲", "1", "11", "a", "\xe2", "\x9f", "\xa6", "中", "⟦a1", "甲1⟧"}, pairs...)), 0, 30).Draw(t, "text")
		text := strings.Join(parts, "")
		want := strings.NewReplacer(pairs...).Replace(text)
		r := m.NewRestorer(Plain)
		var out strings.Builder
		for rest := text; rest != ""; {
			k := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			out.WriteString(r.Write(rest[:k]))
			if len(r.held) >= max(1, m.longest) {
				t.Fatalf("%d bytes are held, a placeholder has %d", len(r.held), m.longest)
			}
			rest = rest[k:]
		}
		if got := out.String() + r.Close(); got != want {
			t.Fatalf("%q, want %q of %q", got, want, text)
		}
	})
}

func TestNothingIsHeldThatCannotBecomeAPlaceholder(t *testing.T) {
	m := New()
	m.Cover(mobile, spans(mobile, known), Own)
	for piece, want := range map[string]string{"你好": "你好", "⟦乙": "⟦乙", "⟦手机号2": "⟦手机号2", "好⟦手": "好", "⟦手机号1⟧": mobile, "⟦手机号1": "", "…": "…", "\xe2": ""} {
		if got := m.NewRestorer(Plain).Write(piece); got != want {
			t.Errorf("%q gives %q, want %q", piece, got, want)
		}
	}
	if got := New().NewRestorer(Plain).Write("⟦手"); got != "⟦手" {
		t.Errorf("a map without data holds %q", got)
	}
}

func TestDataPutBackIntoJSONLeavesItJSON(t *testing.T) {
	m := New()
	data := "a\"b\\c\nd\x00\x1f中"
	name := m.Cover(data, []Span{{0, len(data), "私钥"}}, Own)
	var got struct{ Key string }
	if err := json.Unmarshal([]byte(m.Restore(JSON, `{"Key":"`+name+`"}`)), &got); err != nil || got.Key != data {
		t.Errorf("%q %v", got.Key, err)
	}
	if m.Restore(Plain, name) != data {
		t.Error("plain text was escaped")
	}
}

func TestDataOfOthersIsShownToNoReaderUnlessTheReaderGaveItToo(t *testing.T) {
	m := New()
	name := m.Cover(mobile, spans(mobile, known), Others)
	if got := m.Restore(Plain, "打"+name); got != "打"+name {
		t.Error(got)
	}
	if got := m.Restore(JSON, name); got != mobile {
		t.Error(got)
	}
	if again := m.Cover(mobile, spans(mobile, known), Own); again != name || m.Restore(Plain, name) != mobile {
		t.Error(again)
	}
	m.Cover(mobile, spans(mobile, known), Others)
	if m.Restore(Plain, name) != mobile {
		t.Error("it is the reader's no more")
	}
}

func TestAMapHasRoomForSoManyDataAndCoversTheRest(t *testing.T) {
	m := New()
	for i := range Most + 5 {
		data := strconv.Itoa(1_000_000 + i)
		got := m.Cover(data, []Span{{0, len(data), "n"}}, Own)
		if i < Most != (got == "⟦n"+strconv.Itoa(i+1)+"⟧") || i >= Most && got != "*******" {
			t.Fatal(i, got)
		}
	}
	if m.Len() != Most || m.Restore(Plain, "⟦n1⟧⟦n1001⟧") != "1000000⟦n1001⟧" {
		t.Error(m.Len())
	}
}

func TestTextsFullOfBracketsAndDataTakeTheirLengthNotItsSquare(t *testing.T) {
	m := New()
	var b strings.Builder
	for i := range 100_000 {
		b.WriteString("⟦手机号" + strconv.Itoa(i+1) + "⟧⟦\xe2")
	}
	m.Avoid(b.String())
	began := time.Now()
	if got := m.Cover(mobile, spans(mobile, known), Own); got != "⟦手机号100001⟧" {
		t.Error(got)
	}
	if d := time.Since(began); d > time.Second { // by the square: minutes
		t.Error(d)
	}
}
