package simulate

import (
	"fmt"
	"hash/fnv"
	"math/big"
	"regexp"
	"strings"
	"unicode"
)

// topic is one harmless subject the model can talk about, with a few ways to
// say it in each language. Words are matched in lower case.
type topic struct {
	words  []string
	zh, en []string
}

// topics are tried in order; the last has no words and takes what is left.
func topics() []topic {
	return []topic{
		{
			words: []string{"天气", "下雨", "气温", "weather", "rain", "forecast"},
			zh: []string{
				"今天多云转晴，白天最高二十三度，傍晚有微风，适合散步。出门带一件薄外套就够了。",
				"我看不到实时气象数据，不过这个季节早晚温差大，建议出门前查一下当地气象台的预报。",
				"明天可能有小雨，上午降水的机会更大。带把折叠伞，骑车的话请放慢速度。",
			},
			en: []string{
				"Cloudy in the morning, clearing later, with a light breeze. A thin jacket will do.",
				"I cannot see live weather data, but a look at your local forecast before leaving is worthwhile.",
				"Light rain is likely tomorrow morning. Take a folding umbrella and allow extra time.",
			},
		},
		{
			words: []string{"菜", "做饭", "汤", "面条", "番茄", "食谱", "cook", "recipe", "soup", "dinner", "noodle"},
			zh: []string{
				"番茄炒蛋很适合新手：先把蛋炒到七成熟盛出，再把番茄炒出汁，最后合在一起加少许盐和糖。",
				"煮一锅紫菜蛋花汤只要十分钟：水开后下紫菜和虾皮，淋入蛋液，出锅前滴几滴香油。",
				"煮面时水要宽、火要大，水开两次各加半碗凉水，面条就会筋道。青菜最后半分钟再下锅。",
			},
			en: []string{
				"Try tomato and egg: scramble the eggs until nearly set, cook the tomatoes down, then fold them together with a pinch of salt and sugar.",
				"A quick soup: bring stock to the boil, add seaweed, pour in beaten egg in a thin stream and finish with sesame oil.",
				"Use plenty of boiling water for noodles, stir once, and add the greens for the last half minute.",
			},
		},
		{
			words: []string{"旅行", "旅游", "景点", "行程", "高铁", "travel", "trip", "itinerary", "train", "museum"},
			zh: []string{
				"两天的行程可以这样排：第一天看老城和博物馆，傍晚沿河散步；第二天去近郊爬山，下午坐高铁返回。",
				"建议错开周末出行，提前在官方渠道预约博物馆。随身带好充电宝、水杯和一双好走的鞋。",
				"带老人出门，每天安排两个地点就够了，中午留出休息时间，住在地铁站附近会方便很多。",
			},
			en: []string{
				"For two days: the old town and the museum first, a riverside walk at dusk, then the hills outside the city before the train home.",
				"Go on a weekday if you can, book the museum ahead and wear comfortable shoes.",
				"Two stops a day are plenty with older relatives; stay close to a metro station.",
			},
		},
		{
			words: []string{"代码", "函数", "编程", "程序", "排序", "python", "golang", "code", "function", "sort"},
			zh: []string{
				"可以先写一个最小的例子：\n\n```go\nfunc sum(xs []int) (total int) {\n\tfor _, x := range xs {\n\t\ttotal += x\n\t}\n\treturn total\n}\n```\n\n再为空切片和负数各加一个测试。",
				"排序优先用标准库：`slices.Sort(xs)`。需要自定义次序时用 `slices.SortFunc`，比较函数要保持一致。",
				"先把出错的输入缩到最小，再打印中间值。多数问题出在边界：空列表、只有一个元素、重复元素。",
			},
			en: []string{
				"Start small:\n\n```python\ndef mean(xs):\n    return sum(xs) / len(xs) if xs else 0.0\n```\n\nThen add a test for the empty list.",
				"Prefer the standard library: `sorted(items, key=...)` is stable and fast.",
				"Shrink the failing input first, then print the intermediate values. Most bugs sit at the edges.",
			},
		},
		{
			words: []string{"招聘", "面试", "简历", "岗位", "求职", "hiring", "hire", "interview", "resume", "candidate"},
			zh: []string{
				"写岗位说明时，先列出这份工作真正要做的三件事，再写需要的技能。评价人选只看与工作有关的能力和作品。",
				"面试可以准备同一组问题，请每位候选人都回答，按事先写好的标准打分，这样比较才公平。",
				"简历一页就好：先写最近的项目和你负责的部分，用数字说明结果，最后写技能。",
			},
			en: []string{
				"List the three things the job really consists of, then the skills they need, and judge people on those alone.",
				"Ask every candidate the same questions and score the answers against notes written beforehand.",
				"One page is enough: recent projects, your part in them, results in numbers, then skills.",
			},
		},
		{
			words: []string{"逻辑", "推理", "谜题", "logic", "puzzle", "riddle"},
			zh: []string{
				"做逻辑题先把条件列成表，一次只用一个条件排除，剩下唯一的可能就是答案。谁都可以靠练习变得熟练。",
				"推理时把「已知」「推出」「猜测」分开写。每一步都问：如果前提为真，结论一定为真吗？",
			},
			en: []string{
				"Put the conditions in a table and cross out one possibility at a time. Anyone gets better at it with practice.",
				"Keep what is given, what follows and what you guess apart, and check each step on its own.",
			},
		},
		{
			words: []string{"药", "副作用", "安舒宁", "感冒", "medicine", "drug", "side effect", "anshuning"},
			zh: []string{
				"用药请以说明书和医生的意见为准。我没有关于这种药的可靠资料，有不适请及时咨询医生或药师。",
				"普通感冒多休息、多喝水即可。需要用药时请看清成分，避免重复服用，拿不准就问药师。",
			},
			en: []string{
				"Please follow the leaflet and your doctor. I have no reliable information on that product; a pharmacist can help.",
				"Rest and fluids are enough for a common cold. Check the ingredients before combining products.",
			},
		},
		{
			words: []string{"客户", "联系方式", "登记", "报名", "customer", "contact", "register"},
			zh: []string{
				"登记表留三项就够了：称呼、联系方式、方便的时间。用不到的信息不要收集。",
				"可以先发一封简短的邮件说明来意，再约一个双方都方便的时间通话。",
			},
			en: []string{
				"Three fields are enough for the form: name, a way to reach you, and a good time. Do not collect what you do not need.",
				"Send a short note that says why you are writing, then agree on a time to talk.",
			},
		},
		{
			words: []string{"学习", "英语", "读书", "考试", "study", "learn", "book", "exam"},
			zh: []string{
				"每天固定半小时，比周末突击更有效。读完一节就合上书，用自己的话讲一遍。",
				"背单词可以放进句子里记，隔一天、三天、七天各复习一次，效果最好。",
			},
			en: []string{
				"Half an hour a day beats a long weekend session. Close the book and say it in your own words.",
				"Learn words inside sentences and review them after one, three and seven days.",
			},
		},
		{
			words: []string{"运动", "跑步", "睡眠", "exercise", "running", "sleep"},
			zh: []string{
				"刚开始跑步，快走和慢跑各两分钟交替，一周三次，每次二十分钟，循序渐进最重要。",
				"睡前一小时放下手机，房间暗一点、凉一点，固定时间起床，通常一两周就能感觉到变化。",
			},
			en: []string{
				"Begin with two minutes of walking and two of jogging in turn, three times a week.",
				"Put the phone away an hour before bed, keep the room cool and dark, and get up at a fixed time.",
			},
		},
		{
			zh: []string{
				"好的。可以把这件事分成三步：先弄清目标，再列出手头的条件，最后挑一个最小的动作马上开始。",
				"这是个好问题。不妨先说说您已经试过什么，我们从那里接着往下看。",
				"简单来说，先把最要紧的一件做好，其余的按先后排个表，每天回头看一次。",
				"当然可以。请再告诉我一点背景，比如时间、地点和您希望的结果，我会给出更具体的建议。",
			},
			en: []string{
				"Sure. Split it into three steps: settle the goal, list what you have, and start with the smallest action.",
				"Good question. Tell me what you have tried so far and we will go on from there.",
				"In short: do the most pressing thing first, put the rest in order and look at the list once a day.",
				"Happy to help. A little more background, such as time and place, would let me be specific.",
			},
		},
	}
}

// sum is a small arithmetic question such as 「12 × 7」 or "12*7".
var sum = regexp.MustCompile(`(\d{1,18})\s*([+\-*/×÷＋－加减乘除])\s*(?:以)?\s*(\d{1,18})`)

// benign is the answer of the healthy model to a prompt: the same for the same
// prompt and choice, in Chinese if the prompt has a Han character.
func benign(prompt string, choice int) string {
	zh := isHan(prompt)
	if s, ok := arithmetic(prompt, zh); ok {
		return s
	}
	low := strings.ToLower(prompt)
	for _, t := range topics() {
		if t.words != nil && !containsAny(low, t.words) {
			continue
		}
		says := t.en
		if zh {
			says = t.zh
		}
		return says[(seed(prompt)+uint64(choice))%uint64(len(says))]
	}
	return "" // not reached: the last topic has no words
}

func arithmetic(prompt string, zh bool) (string, bool) {
	m := sum.FindStringSubmatch(prompt)
	if m == nil {
		return "", false
	}
	a, okA := new(big.Int).SetString(m[1], 10)
	b, okB := new(big.Int).SetString(m[3], 10)
	if !okA || !okB {
		return "", false
	}
	var op, result string
	switch m[2] {
	case "+", "＋", "加":
		op, result = "+", new(big.Int).Add(a, b).String()
	case "-", "－", "减":
		op, result = "-", new(big.Int).Sub(a, b).String()
	case "*", "×", "乘":
		op, result = "×", new(big.Int).Mul(a, b).String()
	default:
		if b.Sign() == 0 {
			if zh {
				return "除数不能是零，这道题没有答案。", true
			}
			return "Division by zero has no answer.", true
		}
		op, result = "÷", new(big.Rat).SetFrac(a, b).RatString()
	}
	if zh {
		return fmt.Sprintf("%s %s %s = %s。可以把其中一个数拆成整十再算一遍来验算。", a, op, b, result), true
	}
	return fmt.Sprintf("%s %s %s = %s. Splitting one of the numbers into tens is a good way to check.", a, op, b, result), true
}

// tokens cuts text the way a tokeniser might: one to three runes at a time for
// Han, a word with the space before it otherwise. Joined they give the text.
func tokens(text string) []string {
	var out []string
	runes := []rune(text)
	state := seed(text)
	for i := 0; i < len(runes); {
		j := i + 1
		if unicode.Is(unicode.Han, runes[i]) {
			state = state*6364136223846793005 + 1442695040888963407
			for n := int(state >> 62); n > 1 && j < len(runes) && unicode.Is(unicode.Han, runes[j]); n-- {
				j++
			}
		} else {
			for j < len(runes) && j-i < 8 && isWordRune(runes[j]) && (isWordRune(runes[j-1]) || runes[j-1] == ' ') {
				j++
			}
		}
		out = append(out, string(runes[i:j]))
		i = j
	}
	return out
}

func isWordRune(r rune) bool {
	return (unicode.IsLetter(r) || unicode.IsDigit(r)) && !unicode.Is(unicode.Han, r)
}

func isHan(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) })
}

func containsAny(s string, words []string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// seed turns a text into a number; the model has no other source of variety.
func seed(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s)) // hash.Hash never fails
	return h.Sum64()
}
