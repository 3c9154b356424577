package inspect

import "strings"

// addressSymbols behind the place with which an address begins are looked at.
const addressSymbols = 56

// addressScore is what an address has to reach: a place alone, or a street
// without a number, names nobody.
const addressScore = 5

// places with which an address may begin: what is of the first level, and large
// cities, which are often written without their province.
const places = `北京 天津 上海 重庆 河北 山西 辽宁 吉林 黑龙江 江苏 浙江 安徽 福建 江西 山东 河南 湖北 湖南 广东 海南 四川 贵州 云南 陕西 甘肃 青海 台湾
内蒙古 广西 西藏 宁夏 新疆 香港 澳门 石家庄 太原 沈阳 大连 长春 哈尔滨 南京 苏州 无锡 常州 南通 徐州 杭州 宁波 温州 嘉兴 绍兴 金华 合肥 福州 厦门 泉州
南昌 济南 青岛 烟台 潍坊 郑州 洛阳 武汉 长沙 广州 深圳 珠海 佛山 东莞 中山 惠州 南宁 海口 三亚 成都 绵阳 贵阳 昆明 拉萨 西安 兰州 西宁 银川 乌鲁木齐 呼和浩特 唐山 保定 邯郸 大庆 吉安 赣州 宜昌 襄阳 株洲 岳阳 汕头 湛江 桂林 柳州 遵义 大理`

func addressAnchors() (out []anchor) {
	form := &tailForm{kind: kCNAddress, once: true, restart: true, max: addressSymbols, step: stepAddress}
	for _, place := range strings.Fields(places) {
		out = append(out, anchor{place, form})
	}
	return out
}

// The parts of an address. What stands behind a number is a house, a floor or
// a room; what stands behind a name an area or a street.
const (
	areaParts   = "省市区县旗州盟镇乡村"
	streetParts = "路街道巷弄里胡同坊"
	houseParts  = "号栋幢座楼层室单元户组院弄期"
)

// addressGap is how many symbols a name in an address has at most.
const addressGap = 8

// stepAddress scores an address part by part: a place and an area 1, a street
// 2, a number with what it counts 2. state holds which of them were seen, count
// whether the last symbol was one of a number. The hit ends with the last part.
func stepAddress(t *tail, it *item) verdict {
	const (
		seenArea = 1 << iota
		seenStreet
		seenHouse
		inNumber
	)
	f := it.f
	was := t.state&inNumber != 0
	t.state &^= inNumber
	switch {
	case isAlnum(f), f == '-', was && strings.ContainsRune("一二三四五六七八九十", f):
		t.state |= inNumber
		t.gap++
		return t.within()
	case strings.ContainsRune("一二三四五六七八九十", f) && t.gap == 0:
		t.state |= inNumber
	case was && strings.ContainsRune(houseParts, f):
		t.score += 2
		t.state |= seenHouse
	case t.gap == 0 && t.state&seenHouse != 0 && strings.ContainsRune(houseParts, f): // 号楼
	case strings.ContainsRune(streetParts, f):
		if t.state&seenStreet == 0 {
			t.score += 2
		}
		t.state |= seenStreet
	case strings.ContainsRune(areaParts, f):
		if t.score < 3 {
			t.score++
		}
		t.state |= seenArea
	case isHan(f), f == ' ', f == '#', f == '·', f == '(', f == ')':
		t.gap++
		return t.within()
	default:
		return verdictOff
	}
	t.gap = 0
	if t.state&seenHouse != 0 && t.state&(seenArea|seenStreet) != 0 && t.score+1 >= addressScore {
		return verdictHit
	}
	return verdictMore
}

func (t *tail) within() verdict {
	if t.gap > addressGap {
		return verdictOff
	}
	return verdictMore
}
