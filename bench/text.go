package main

import (
	"math/rand/v2"
	"strings"
)

// modelName is what the stub model is called, there and by clients.
const modelName = "bench-model"

const promptText = "请介绍一下周末短途旅行要做哪些准备。"

// answerText is what the stub model says, in as many pieces as a stream has events with text.
const answerText = "首先要确定目的地，可以选择离家不远的山区或者湖边，空气清新，人也不多。其次是交通方式，如果有车，自驾最为方便；没有车的话，可以查一下火车和长途汽车的时刻表。" +
	"住宿方面，建议提前几天预订，比较一下不同平台的价格和评价。最后别忘了带上雨伞、常用药品和一件外套，山里早晚的温度变化比较大。Have a nice trip!"

const pieces = 20

// answerPieces cuts the answer into runs of about the same length.
func answerPieces() []string {
	runes := []rune(answerText)
	var out []string
	for i := range pieces {
		out = append(out, string(runes[len(runes)*i/pieces:len(runes)*(i+1)/pieces]))
	}
	return out
}

const common = "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经十三之进着等部度家电力里如水化高自二理起小物现实加量都两体制机当使点从业本去把性好应开它合还因由其些然前外天政四日那社义事平形相全表间样与关各重新线内数正心反你明看原又么利比或但质气第向道命此变条只没结解问意建月公无系军很情者最立代想已通并提直题党程展五果料象员革位入常文总次品式活设及管特件长求老头基资边流路级少图山统接知较将组见计别她手角期根论运农指几九区强放决西被干做必战先回则任取据处队南给色光门即保治北造百规热领七海口东导器压志世金增争济阶油思术极交受联什认六共权收证改清己美再采转更单风切打白教速花带安场身车例真务具万每目至达走积示议声报斗完类八离华名确才科张信马节话米整空元况今集温传土许步群广石记需段研界拉林律叫且究观越织装影算低持音众书布复容儿须际商非验连断深难近矿千周委素技备半办青省列习响约支般史感劳便团往酸历市克何除消构府称太准精值号率族维划选标写存候毛亲快效斯院查江型眼王按格养易置派层片始却专状育厂京识适属圆包火住调满县局照参红细引听该铁价严龙飞"

// nonsense makes n different terms of 2 to 6 common characters, a tenth of them Latin: as dense as a real
// lexicon and without meaning. None of them stands in the texts of this program.
func nonsense(n int) []string {
	rng := rand.New(rand.NewPCG(1, 2))
	chars := []rune(common)
	own := strings.ToLower(promptText + answerText + benignText + digitsText)
	have := map[string]bool{}
	var out []string
	for len(out) < n {
		var b strings.Builder
		if len(out)%10 == 0 {
			for range 4 + rng.IntN(6) {
				b.WriteByte(byte('a' + rng.IntN(26)))
			}
		} else {
			for range 2 + rng.IntN(5) {
				b.WriteRune(chars[rng.IntN(len(chars))])
			}
		}
		if s := b.String(); !have[s] && !strings.Contains(own, s) {
			have[s] = true
			out = append(out, s)
		}
	}
	return out
}
