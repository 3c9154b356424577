package inspect

import (
	"strings"
	"unicode/utf8"
)

// nameSymbols of a name, at most, and the symbol behind it.
const nameSymbols = 5

// nameScore is what a candidate has to reach: the label before it counts, signs
// between both, and what stands behind.
const nameScore = 3

// labels before a name: those of forms are worth 2, those of sentences 1.
const (
	formLabels     = "姓名 联系人 收件人 收货人 寄件人 户主 持卡人 申请人 经办人 法定代表人 负责人 投保人 被保险人 开户名 户名 账户名 真实姓名"
	sentenceLabels = "我叫 我是 名叫 名字是 名字叫 本人 患者 客户 当事人 被告 原告 嫌疑人 被告人 学生 员工 同事"
)

func nameAnchors() (out []anchor) {
	add := func(labels string, score int) {
		form := &tailForm{kind: kCNName, late: true, max: nameSymbols + 3, step: func(t *tail, it *item) verdict { return stepName(t, it, score) }}
		for _, label := range strings.Fields(labels) {
			out = append(out, anchor{label, form})
		}
	}
	add(formLabels, 2)
	add(sentenceLabels, 1)
	return out
}

// Surnames by how many people have them, as far as they cover nearly all. Those
// of two characters come first in a name.
const (
	surnames = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤温康施文牛樊葛邢安齐易乔伍庞颜倪庄聂章鲁岳翟殷詹申欧耿关兰焦俞左柳甘祝包宁尚符舒阮柯纪梅童凌毕单季裴霍涂成苗谷盛曲翁冉骆蓝路游辛靳管柴蒙鲍华喻祁蒲房滕屈饶解牟艾尤阳时穆农司卓古吉缪简车项连芦麦褚娄窦戚岑景党宫费卜冷晏席卫米柏宗瞿桂全佟应臧闵苟邬边卞姬师仇栾隋商刁沙荣巫寇桑郎甄丛仲虞敖巩明佘池查麻苑迟邝官封谈匡鞠惠荆乐冀郁胥南班储原栗燕楚鄢劳谌奚皮粟冼蔺楼盘满闻位厉伊仝区郜海阚花权强帅屠豆朴盖练廉禹井祖漆巴丰支卿国狄平计索宣晋相初门云容敬来扈晁芮都普阙浦戈伏鹿薄邸雍辜羊阿乌母裘亓修邰赫杭况那宿鲜印逯隆茹诺战慕危玉银亢嵇公哈湛宾戎勾茅利於呼居揭干但尉冶斯元束檀衣信展阴昝智幸奉植衡富尧闭由"
	compound = "欧阳 上官 皇甫 令狐 诸葛 司徒 司马 申屠 夏侯 尉迟 长孙 慕容 宇文 东方 南宫 公孙 司空 端木 独孤 轩辕"
)

// behindName are words that often follow a name in a sentence.
const behindName = "的是在和与于因及先女同已将被向说也到从为以对就了有"

const (
	nameSigns = iota // between the label and the name
	nameGiven        // the surname was read
)

// stepName reads signs, a surname and one or two more characters, and looks at
// what stands behind them. score says what the label is worth; a colon or
// another sign behind it is worth 1, so is an end that is no Chinese character.
func stepName(t *tail, it *item, label int) verdict {
	f := it.f
	if t.state == nameSigns {
		switch {
		case f == ':' || f == '"' || f == '「' || f == '“' || f == '=':
			t.score = 1
		case f == ' ' || f == '是' || f == '为' || f == '叫':
		case t.n == 0 && strings.ContainsRune(behindName, f):
			return verdictVoid // the sentence goes on: 客户于五月, 姓名和电话
		case isHan(f) && strings.ContainsRune(surnames, f) || firstOfCompound(f):
			t.begin(it)
			t.state, t.count = nameGiven, 1
			t.seen = uint64(f)
			return verdictMore
		default:
			return verdictVoid
		}
		if t.n >= 3 {
			return verdictVoid
		}
		return verdictMore
	}
	score := label + t.score
	given := t.count - 1
	two := t.seen>>32 != 0 // a surname of two characters
	if two {
		given--
	}
	switch {
	case !isHan(f):
		// Here the name ends, if it has a given name.
		if given >= 1 && given <= 2 && score+1 >= nameScore {
			return t.nameEnds()
		}
		return verdictVoid
	case t.count == 1 && isCompound(rune(t.seen), f):
		t.seen |= 1 << 32
		t.count++
		return verdictMore
	case t.count == 1 && !strings.ContainsRune(surnames, rune(t.seen)):
		return verdictVoid
	case given >= 1 && strings.ContainsRune(behindName, f):
		if score >= nameScore {
			return t.nameEnds()
		}
		return verdictVoid
	case given == 2:
		return verdictVoid
	}
	t.count++
	return verdictMore
}

// nameEnds makes what was read so far the hit.
func (t *tail) nameEnds() verdict {
	t.good = t.at
	return verdictOff
}

func firstOfCompound(f rune) bool {
	for i, c := range compound {
		if c == f && i%pairBytes == 0 {
			return true
		}
	}
	return false
}

// pairBytes from one surname of two characters to the next.
const pairBytes = len("欧阳 ")

func isCompound(a, b rune) bool {
	i := strings.IndexRune(compound, a)
	return i >= 0 && i%pairBytes == 0 && strings.HasPrefix(compound[i+utf8.RuneLen(a):], string(b))
}
