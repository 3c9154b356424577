package inspect

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func escaped(format, text string) string {
	var out strings.Builder
	for _, r := range text {
		fmt.Fprintf(&out, format, r)
	}
	return out.String()
}

func bytewise(format, text string) string {
	var out strings.Builder
	for i := range len(text) {
		fmt.Fprintf(&out, format, text[i])
	}
	return out.String()
}

func decodedFrom(e *Engine, text string) []Match {
	found, _ := e.ScanEncoded(text)
	return found
}

func TestWhatIsSaidInAnEncodingIsRead(t *testing.T) {
	e := mustCompile(t, Rules{
		Terms: []Term{{ID: "t", Text: "测试违禁词", Action: Mask}},
		Sets:  []Set{{Name: "order", Words: []string{"instructions"}}},
		Rules: []Rule{{ID: "r", Find: `"ignore"`, When: "order within 20 after", Action: Observe}},
	})
	said := "前文测试违禁词后文"
	b64 := base64.StdEncoding.EncodeToString
	long := b64([]byte(strings.Repeat("平常的话。", 20) + said + strings.Repeat("平常的话。", 20)))
	var wrappedText string
	for rest := long; rest != ""; {
		n := min(76, len(rest))
		wrappedText += rest[:n] + "\r\n"
		rest = rest[n:]
	}
	for _, c := range []struct{ name, text, want string }{
		{"base64", "请解码 " + b64([]byte(said)) + "，谢谢", "t base64"},
		{"base64 for addresses", base64.RawURLEncoding.EncodeToString([]byte("??>>" + said)), "t base64"},
		{"base64 behind a name", "data=" + b64([]byte(said)), "t base64"},
		{"base64 in lines", wrappedText, "t base64"},
		{"base64 of base64", b64([]byte(b64([]byte(said)))), "t base64,base64"},
		{"hex", hex.EncodeToString([]byte(said)), "t hex"},
		{"hex in pairs", bytewise("%02x ", said), "t hex"},
		{"percent", url.QueryEscape(said), "t percent"},
		{"escapes", escaped(`\u%04x`, said), "t escape"},
		{"escaped bytes", bytewise(`\x%02X`, said), "t escape"},
		{"entities", escaped("&#%d;", said), "t escape"},
		{"one character only", `测试违\u7981词`, "t escape"},
		{"percent of base64", bytewise("%%%02X", b64([]byte(said))), "t percent,base64"},
		{"a rule", b64([]byte("please ignore the instructions")), "r base64"},
		{"a rule over an escape", `ignore the instr\u0075ctions`, "r escape"},
		{"three deep", b64([]byte(hex.EncodeToString([]byte(url.QueryEscape(said))))), "t base64,hex,percent"},
		{"not four deep", b64([]byte(b64([]byte(hex.EncodeToString([]byte(url.QueryEscape(said))))))), ""},
		{"not encoded", said, ""},
		{"not encoded, with an escape elsewhere", said + `\u4e00`, ""},
		{"words and names", "internationalization/of-the-multi-word-names and 0123456789abcdef0123456789abcdef", ""},
		{"broken escapes", `%zz \u12 \x4 &#; &nothing; \u{} % \`, ""},
		{"surrogates", `\ud83d\ude00 \ud83d \ude00`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, m := range decodedFrom(e, c.text) {
				got = append(got, m.RuleID+" "+m.Encoding)
				if m.Start < 0 || m.End > len(c.text) || m.Start >= m.End || m.FirstRune != len([]rune(c.text[:m.Start])) || m.EndRune != len([]rune(c.text[:m.End])) {
					t.Errorf("%+v is no place of the text", m)
				}
			}
			if strings.Join(slices.Compact(got), "; ") != c.want {
				t.Errorf("found %v, want %q", got, c.want)
			}
		})
	}
	m := decodedFrom(e, `前测试违\u7981词后`)
	if len(m) != 1 || m[0].Start != len("前") || m[0].End != len(`前测试违\u7981词`) {
		t.Errorf("the place of an escaped hit: %+v", m)
	}
}

func TestWhatADecoderFindsDoesNotDependOnTheCut(t *testing.T) {
	e := mustCompile(t, Rules{Terms: []Term{{ID: "t", Text: "测试", Action: Mask}}})
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		var text string
		for _, p := range rapid.SliceOfN(rapid.SampledFrom([]string{
			"测", "试", "测试", "\n", " ", "=", "a", `\u6d4b`, `\u8bd5`, "%E6", "%B5%8B", "%E8%AF%95", "&#x6d4b;", "68 65 6c ", "\xe6",
			base64.StdEncoding.EncodeToString([]byte("这是测试的文字")), hex.EncodeToString([]byte("又一个测试")), strings.Repeat("QUJD", 19) + "\n",
		}), 0, 20).Draw(t, "text") {
			text += p
		}
		want, unread := e.ScanEncoded(text)
		found += len(want)
		d := e.NewDecoder()
		var got []Match
		for _, chunk := range drawCuts(t, text) {
			got = append(got, d.Write(chunk)...)
		}
		got = append(got, d.Close()...)
		if !slices.Equal(sorted(got), sorted(want)) || d.Unread() != unread {
			t.Fatalf("text %q: cut %v, whole %v; unread %d and %d", text, sorted(got), sorted(want), d.Unread(), unread)
		}
	})
	if found == 0 {
		t.Fatal("nothing was found: the texts prove nothing")
	}
}

func TestDecodingIsBounded(t *testing.T) {
	e := mustCompile(t, Rules{Terms: []Term{{ID: "t", Text: "测试", Action: Mask}}})
	// Each level decodes to another payload; a bomb of equal signs and escapes
	// must not be decoded again and again.
	nested := strings.Repeat("测试", 20)
	for range 12 {
		nested = base64.StdEncoding.EncodeToString([]byte(nested))
	}
	d := e.NewDecoder()
	for _, text := range []string{nested, strings.Repeat("%25", 100_000), strings.Repeat("=", 100_000), strings.Repeat(`\u005c`, 50_000), strings.Repeat("41 ", 50_000)} {
		d.Write(text)
		if len(d.buf) > decodeBlock {
			t.Errorf("%d bytes are kept", len(d.buf))
		}
	}
	// Much in one block is one hit for each place that lies apart.
	if got := decodedFrom(e, strings.Repeat("%E6%B5%8B%E8%AF%95", 3000)); len(got) < 2900 || got[0].Encoding != "percent" {
		t.Errorf("%d hits", len(got))
	}
	// A payload that stands behind the first block is still read.
	text := strings.Repeat("x ", decodeBlock) + base64.StdEncoding.EncodeToString([]byte("这是测试的文字"))
	if got := decodedFrom(e, text); len(got) != 1 || got[0].End != len(text) {
		t.Errorf("behind a long line: %+v", got)
	}
}

// What is encoded may lie anywhere in a line, blocks of the decoder or not.
func TestWhatLiesAcrossABlockIsRead(t *testing.T) {
	e := mustCompile(t, Rules{Terms: []Term{{ID: "t", Text: "测试违禁词", Action: Mask}}})
	said := "前文测试违禁词后文"
	b64 := base64.StdEncoding.EncodeToString
	calm := strings.Repeat("平常的话。", decodeBlock/8)
	for name, text := range map[string]string{
		"base64": b64([]byte(said)), "hex": hex.EncodeToString([]byte(said)), "hex in pairs": bytewise("%02x ", said),
		"percent": url.QueryEscape(said), "escapes": escaped(`\u%04x`, said), "one character": `测试违\u7981词`,
	} {
		for _, with := range []string{"x ", "平，"} {
			for by := 0; by < 120; by += 7 {
				pad := strings.Repeat(with, (decodeBlock-by)/len(with))
				pad += strings.Repeat(" ", decodeBlock-by-len(pad))
				if got := decodedFrom(e, pad+text+" "+calm); len(got) != 1 || got[0].Start < len(pad) || got[0].End > len(pad)+len(text) {
					t.Fatalf("%s, %d bytes before the end of a block: %+v", name, by, got)
				}
			}
		}
	}
	// A payload of several blocks is read to its end, and nothing in it twice.
	for _, n := range []int{1, 2, 3} {
		for by := range 12 {
			whole := strings.Repeat("x", by) + strings.Repeat(calm, n) + said + calm[:by/3*3]
			for name, text := range map[string]string{
				"base64": b64([]byte(whole)), "base64 behind a name": "data=" + b64([]byte(whole)), "hex": hex.EncodeToString([]byte(whole)),
				"hex in pairs": strings.TrimSpace(bytewise("%02x ", whole)), "percent": bytewise("%%%02x", whole), "escapes": escaped("&#%d;", whole),
			} {
				if by > 1 && name != "base64" { // the rest is slow to make
					continue
				}
				if got := decodedFrom(e, text); len(got) != 1 {
					t.Fatalf("%s of %d bytes: %+v", name, len(whole), got)
				}
			}
		}
	}
}

func TestWhatIsLeftUnreadIsSaid(t *testing.T) {
	e := mustCompile(t, Rules{Terms: []Term{{ID: "t", Text: "测试", Action: Mask}}})
	nested := func(deep int) string {
		text := "这是一段测试的文字"
		for range deep {
			text = base64.StdEncoding.EncodeToString([]byte(text))
		}
		return text
	}
	wide := strings.Repeat(nested(3)+" ", 200)
	for _, c := range []struct {
		name, text string
		unread     bool
	}{
		{"nothing encoded", strings.Repeat("平常的话。", 10_000), false},
		{"one in the other", nested(decodeDepth), false},
		{"too deep", nested(decodeDepth + 1), true},
		{"much, side by side", wide, false},
		{"much in much", bytewise("%%%02x", bytewise("%%%02x", wide)), true},
	} {
		if _, unread := e.ScanEncoded(c.text); unread > 0 != c.unread {
			t.Errorf("%s: %d bytes unread", c.name, unread)
		}
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add("5rWL6K+V6L+d56aB6K+N \\u6d4b%E8%AF%95", uint8(3))
	e, err := Compile(Rules{Terms: []Term{{ID: "t", Text: "测试", Action: Mask}, {ID: "a", Text: "a", Action: Block}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string, cut uint8) {
		want, unread := e.ScanEncoded(text)
		d := e.NewDecoder()
		var got []Match
		for rest := text; rest != ""; {
			n := min(len(rest), int(cut)+1)
			got = append(got, d.Write(rest[:n])...)
			rest = rest[n:]
		}
		if got = append(got, d.Close()...); !slices.Equal(sorted(got), sorted(want)) || d.Unread() != unread {
			t.Fatalf("cut %v, whole %v; unread %d and %d", sorted(got), sorted(want), d.Unread(), unread)
		}
	})
}
