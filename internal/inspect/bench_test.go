package inspect

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
)

// lexicon makes n terms of 2 to 6 common Chinese characters, a tenth of them
// Latin: as dense as a real one, but without meaning.
func lexicon(n int) []Term {
	rng := rand.New(rand.NewPCG(1, 2))
	common := []rune(strings.Repeat("的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经十三之进着等部度家电力里如水化高自二理起小物现实加量都两体制机当使点从业本去把性好应开它合还因由其些然前外天政四日那社义事平形相全表间样与关各重新线内数正心反你明看原又么利比或但质气第向道命此变条只没结解问意建月公无系军很情者最立代想已通并提直题党程展五果料象员革位入常文总次品式活设及管特件长求老头基资边流路级少图山统接知较将组见计别她手角期根论运农指几九区强放决西被干做必战先回则任取据处队南给色光门即保治北造百规热领七海口东导器压志世金增争济阶油思术极交受联什认六共权收证改清己美再采转更单风切打白教速花带安场身车例真务具万每目至达走积示议声报斗完类八离华名确才科张信马节话米整空元况今集温传土许步群广石记需段研界拉林律叫且究观越织装影算低持音众书布复容儿须际商非验连断深难近矿千周委素技备半办青省列习响约支般史感劳便团往酸历市克何除消构府称太准精值号率族维划选标写存候毛亲快效斯院查江型眼王按格养易置派层片始却专状育厂京识适属圆包火住调满县局照参红细引听该铁价严龙飞", 1))
	terms := make([]Term, n)
	for i := range terms {
		var b strings.Builder
		if i%10 == 0 {
			for range 4 + rng.IntN(6) {
				b.WriteByte(byte('a' + rng.IntN(26)))
			}
		} else {
			for range 2 + rng.IntN(5) {
				b.WriteRune(common[rng.IntN(len(common))])
			}
		}
		terms[i] = Term{ID: fmt.Sprint("t", i), Text: b.String(), Action: Mask}
	}
	return terms
}

const benignText = "今天我们来聊一聊如何准备一次周末的短途旅行。首先要确定目的地，可以选择离家不远的山区或者湖边，空气清新，人也不多。" +
	"其次是交通方式，如果有车，自驾最为方便；没有车的话，可以查一下火车和长途汽车的时刻表。住宿方面，建议提前几天预订，比较一下不同平台的价格和评价。" +
	"最后别忘了带上雨伞、常用药品和一件外套，山里早晚的温度变化比较大。Have a nice trip, and don't forget your camera! "

// tokens cuts a text like a model does: 1 to 20 runes at a time.
func tokens(text string, from, to int) []string {
	rng := rand.New(rand.NewPCG(3, 4))
	var out []string
	for runes := []rune(text); len(runes) > 0; {
		n := min(len(runes), from+rng.IntN(to-from+1))
		out = append(out, string(runes[:n]))
		runes = runes[n:]
	}
	return out
}

func BenchmarkStreamChunk(b *testing.B) {
	checks := []Check{{ID: "id", Kind: KindCNID, Action: Mask}, {ID: "card", Kind: KindBankCard, Action: Mask}}
	for _, terms := range []int{100, 2000, 20000} {
		e := mustCompile(b, Rules{Terms: lexicon(terms), Checks: checks})
		for _, text := range []struct{ name, text string }{
			{"benign", benignText},
			{"digits", "2024年5月，第3号文件列出了128项、共4096条记录，电话 010-6655-4321，编号 20240506-7。"},
		} {
			chunks := tokens(text.text, 4, 20)
			b.Run(fmt.Sprintf("terms=%d/%s", terms, text.name), func(b *testing.B) {
				s := e.NewStream()
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					s.Write(chunks[i])
					if i++; i == len(chunks) {
						i = 0
						s.Reset()
					}
				}
			})
		}
	}
}

func BenchmarkScan4KB(b *testing.B) {
	text := strings.Repeat(benignText, 8)[:4096]
	for _, terms := range []int{100, 2000, 20000} {
		e := mustCompile(b, Rules{Terms: lexicon(terms)})
		b.Run(fmt.Sprintf("terms=%d", terms), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				e.Scan(text)
			}
		})
	}
}

func BenchmarkCompile2000(b *testing.B) {
	rules := Rules{Terms: lexicon(2000)}
	b.ReportAllocs()
	for b.Loop() {
		mustCompile(b, rules)
	}
}

// Prompts made to be slow to read, beside an ordinary one of the same size.
func BenchmarkPromptsMadeToBeSlow(b *testing.B) {
	rules := Rules{Terms: lexicon(2000)}
	rules.Sets = []Set{{Name: "order", Words: []string{"instructions", "rules"}}}
	rules.Rules = []Rule{{ID: "r", Find: `"ignore"`, When: "order within 20 after", Action: Observe}}
	e := mustCompile(b, rules)
	term := rules.Terms[1].Text
	for _, c := range []struct{ name, piece string }{
		{"ordinary", benignText},
		{"long words", "internationalization "},
		{"percent signs", "%E4%BB%8A"},
		{"percent of percent", "%25"},
		{"entities", "&amp;"},
		{"half escapes", `\&%`},
		{"hex in pairs", "41 42 "},
		{"payloads", base64.StdEncoding.EncodeToString([]byte("今天我们来聊一聊")) + " "},
		{"payloads with terms", base64.StdEncoding.EncodeToString([]byte(term+term+term+term)) + " "},
		{"a long payload", base64.StdEncoding.EncodeToString([]byte("今天我们来聊一聊"))},
		{"escaped terms", url.QueryEscape(term)},
		{"terms", term},
		{"triggers", "ignore "},
		{"triggers that hit", "ignore rules "},
	} {
		text := strings.Repeat(c.piece, 16<<10/len(c.piece))
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				e.ScanEncoded(text)
				e.Scan(text)
			}
		})
	}
}
