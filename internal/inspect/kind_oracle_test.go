package inspect

import (
	"math/big"
	"net"
	"regexp"
	"strings"
	"unicode/utf8"
)

// The oracle of kinds says by expressions over the whole folded text what the
// streaming recognisers must find.

// folded is the text in symbols, as a string, and the symbol that each byte is.
func (o *oracle) folded() (text string, symbolAt []int) {
	var b strings.Builder
	for i, r := range o.syms {
		b.WriteRune(r)
		for len(symbolAt) < b.Len() {
			symbolAt = append(symbolAt, i)
		}
	}
	return b.String(), append(symbolAt, len(o.syms))
}

var (
	oracleWord     = regexp.MustCompile(`[a-z0-9]+`)
	oracleMailRun  = regexp.MustCompile(`[a-z0-9_][a-z0-9._%+@-]*`)
	oracleMail     = regexp.MustCompile(`^[a-z0-9_][a-z0-9._%+-]*@([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+([a-z]{2,}|xn--[a-z0-9-]*[a-z0-9])$`)
	oracleIPRun    = regexp.MustCompile(`[a-z0-9:][a-z0-9:.]*`)
	oracleIPv4     = regexp.MustCompile(`^([1-9][0-9]{0,2})((\.(0|[1-9][0-9]{0,2})){3})(:[0-9]{0,5})?$`)
	oraclePassport = regexp.MustCompile(`^((e|g|d|s|p|h|k)[0-9]{8}|(e[a-hj-np-z]|de|se|pe|kj|ma|mb|14|15)[0-9]{7})$`)
	oraclePermit   = regexp.MustCompile(`^([cwlthm][0-9]{8}|[cl][a-hj-np-z][0-9]{7}|[hm][0-9]{10}|[0-9]{8}|[0-9]{10})$`)
	oracleDate     = regexp.MustCompile(`^(19|20)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])$`)
	oracleLine     = regexp.MustCompile(`^(?:(?:86|0086)-(?:10|2[0-57-9])-(?:[2-8][0-9]{7}|[2-8][0-9]{3}-[0-9]{4})|0(?:10|2[0-57-9])(?:-?[2-8][0-9]{7}|-[2-8][0-9]{3}-[0-9]{4}))$`)
	oracleLineFar  = regexp.MustCompile(`^(?:(?:86|0086)-([3-9][0-9]{2})-|0([3-9][0-9]{2})-?)(?:[2-8][0-9]{6,7}|[2-8][0-9]{2,3}-[0-9]{4})$`)
	oraclePlate    = regexp.MustCompile(`[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][a-hj-z][·•・. -]?([a-z0-9]+[学警挂港澳领试超]?)`)
	oracleJWT      = regexp.MustCompile(`eyj[a-z0-9_-]{7,}\.eyj[a-z0-9_-]{7,}\.[a-z0-9_-]{10,}`)
	oracleAzure    = regexp.MustCompile(`accountkey=[ "':=>]{0,4}([a-z0-9+][a-z0-9+/=]*)`)
	oracleKeys     = []struct {
		expr     string
		min, max int
	}{
		{`sk-([a-z0-9]+)`, 20, 64}, {`(?:sk-proj-|sk-svcacct-|sk-admin-|sk-ant-|sk-or-v1-)([a-z0-9_-]+)`, 20, 1 << 20},
		{`(?:akia|asia)([a-z0-9]+)`, 16, 16}, {`aiza([a-z0-9_-]+)`, 35, 35}, {`ltai([a-z0-9]+)`, 12, 26}, {`akid([a-z0-9]+)`, 13, 40},
		{`gh[posur]_([a-z0-9]+)`, 36, 36}, {`glpat-([a-z0-9_-]+)`, 20, 60}, {`(?:xox[bpars]|xapp)-([a-z0-9-]+)`, 10, 1 << 20},
		{`(?:[sr]k_(?:live|test)|whsec)_([a-z0-9]+)`, 16, 1 << 20}, {`hf_([a-z0-9]+)`, 30, 40}, {`npm_([a-z0-9]+)`, 36, 36},
	}
)

// kindPlaces gives where a kind stands and how many symbols are read when that
// is certain. known is false for kinds that the oracle cannot judge.
func (o *oracle) kindPlaces(kind string) (places map[[2]int]int, known bool) {
	text, symbol := o.folded()
	out := map[[2]int]int{}
	add := func(from, to, last int) { out[[2]int{symbol[from], symbol[to]}] = symbol[last] + 1 }
	words := func(valid func(string) bool) {
		for _, w := range oracleWord.FindAllStringIndex(text, -1) {
			if valid(text[w[0]:w[1]]) {
				add(w[0], w[1], w[1])
			}
		}
	}
	switch kind {
	case KindCNID:
		return o.ids(), true
	case KindCNID15:
		return o.oldIDs(), true
	case KindCNMobile:
		return o.mobiles(), true
	case KindBankCard:
		return o.cards(), true
	case KindCNLandline:
		return o.landlines(), true
	case KindCNCredit:
		words(oracleCredit)
	case KindCNPassport:
		words(oraclePassport.MatchString)
	case KindCNPermit:
		words(func(w string) bool {
			return oraclePermit.MatchString(w) && !(oracleDate.MatchString(w) && plausibleDate([]byte(w)))
		})
	case KindEmail:
		for _, r := range oracleMailRun.FindAllStringIndex(text, -1) {
			run := text[r[0]:r[1]]
			hit := strings.TrimRight(run, ".-")
			local, domain, _ := strings.Cut(run, "@")
			if r[1]-r[0] <= mailSymbols && oracleMail.MatchString(hit) && len(local) <= mailPart && len(domain) <= mailPart &&
				!strings.Contains(local, "..") && !strings.HasSuffix(local, ".") {
				add(r[0], r[0]+len(hit), r[1])
			}
		}
	case KindIP:
		for _, r := range oracleIPRun.FindAllStringIndex(text, -1) {
			if r[1]-r[0] > ipSymbols {
				continue
			}
			run := strings.TrimRight(text[r[0]:r[1]], ".")
			if m := oracleIPv4.FindStringSubmatch(run); m != nil {
				host := strings.TrimSuffix(run, m[5])
				if net.ParseIP(host) != nil && m[1] != "127" && m[1] != "255" {
					add(r[0], r[0]+len(host), r[1])
				}
				continue
			}
			if strings.HasSuffix(run, ":") && !strings.HasSuffix(run, "::") {
				run = run[:len(run)-1]
			}
			if strings.Count(run, ":") > 1 && len(run) > 6 && strings.ContainsAny(run, "0123456789") && net.ParseIP(run) != nil {
				add(r[0], r[0]+len(run), r[1])
			}
		}
	case KindCNName:
		for label, score := range oracleLabels() {
			for from := 0; ; {
				at := strings.Index(text[from:], label)
				if at < 0 {
					break
				}
				from += at + len(label)
				if first, last, ok := oracleName(text, from, score); ok {
					_, w := utf8.DecodeRuneInString(text[last:])
					add(first, last, last+w)
				}
			}
		}
	case KindCNPlate:
		for _, m := range overlapping(oraclePlate, text) {
			if n := utf8.RuneCountInString(text[m[2]:m[3]]); text[m[3]-1] >= utf8.RuneSelf && n != 5 {
				m[3] -= 3 // a word behind the plate
			}
			if oraclePlateBody(text[m[2]:m[3]]) && (m[3] == len(text) || !isAlnum(rune(text[m[3]]))) {
				add(m[0], m[3], m[3])
			}
		}
	case KindAPIKey:
		for _, k := range oracleKeys {
			for _, m := range overlapping(regexp.MustCompile(k.expr), text) {
				body := text[m[2]:m[3]]
				kinds := map[rune]bool{}
				for _, c := range body {
					if isAlnum(c) {
						kinds[c] = true
					}
				}
				if (m[0] == 0 || !inToken(rune(text[m[0]-1]))) && len(body) >= k.min && len(body) <= k.max && len(kinds) >= variety && !oraclePlaceholder(body) {
					add(m[0], m[3], m[3])
				}
			}
		}
		for _, m := range overlapping(oracleJWT, text) {
			if m[0] == 0 || !inToken(rune(text[m[0]-1])) {
				add(m[0], m[1], m[1])
			}
		}
		for _, m := range overlapping(oracleAzure, text) {
			if n := m[3] - m[2]; (m[0] == 0 || !inToken(rune(text[m[0]-1]))) && n >= 86 && n <= 90 && !oraclePlaceholder(text[m[2]:m[3]]) {
				add(m[2], m[3], m[3])
			}
		}
	default:
		return nil, false
	}
	return out, true
}

func oracleLabels() map[string]int {
	out := map[string]int{}
	for _, l := range strings.Fields(formLabels) {
		out[foldedText(l)] = 2
	}
	for _, l := range strings.Fields(sentenceLabels) {
		out[foldedText(l)] = 1
	}
	return out
}

func foldedText(text string) string {
	text, _ = newOracle(Rules{}, text).folded()
	return text
}

var (
	oracleNameSigns = regexp.MustCompile(`^[:"「“= 是为叫]{0,3}`)
	oracleNameForm  = regexp.MustCompile(`^(` + strings.ReplaceAll(compound, " ", "|") + `|[` + surnames + `])`)
)

// oracleName: signs, a surname, one or two characters, and what may stand behind a name.
func oracleName(text string, at, score int) (first, last int, ok bool) {
	signs := oracleNameSigns.FindString(text[at:])
	if strings.ContainsAny(signs, ":\"「“=") {
		score++
	}
	first = at + len(signs)
	surname := oracleNameForm.FindString(text[first:])
	if surname == "" || signs == "" && strings.Contains(behindName, surname) {
		return 0, 0, false
	}
	last = first + len(surname)
	for given := 0; ; given++ {
		r, w := utf8.DecodeRuneInString(text[last:])
		switch {
		case !isHan(r):
			return first, last, given >= 1 && score+1 >= nameScore
		case given >= 1 && strings.ContainsRune(behindName, r):
			return first, last, score >= nameScore
		case given == 2:
			return 0, 0, false
		}
		last += w
	}
}

// oraclePlaceholder: a word of documentation in the part that is looked at, or hardly two neighbours that are not in order.
func oraclePlaceholder(body string) bool {
	plain := regexp.MustCompile(`[^a-z0-9]`).ReplaceAllString(body[:min(len(body), secretBehind)], "")
	if strings.Contains(plain, "example") || strings.Contains(plain, "your") {
		return true
	}
	plain = regexp.MustCompile(`[^a-z0-9]`).ReplaceAllString(body, "")
	const order = "abcdefghijklmnopqrstuvwxyz 01234567890"
	ordered := func(a, b byte) bool {
		return a == b || strings.Contains(order, string([]byte{a, b})) || strings.Contains(order, string([]byte{b, a}))
	}
	pairs := map[string]bool{}
	for i := 1; i < len(plain); i++ {
		if !ordered(plain[i-1], plain[i]) && (i < 2 || !ordered(plain[i-2], plain[i])) {
			pairs[plain[i-1:i+1]] = true
		}
	}
	return len(pairs) < surprises
}

// overlapping finds an expression at every place, also inside other hits.
func overlapping(re *regexp.Regexp, text string) (out [][]int) {
	for from := 0; from < len(text); {
		m := re.FindStringSubmatchIndex(text[from:])
		if m == nil {
			break
		}
		for i := range m {
			m[i] += from
		}
		out = append(out, m)
		from = m[0] + 1
		for from < len(text) && text[from]&0xC0 == 0x80 {
			from++
		}
	}
	return out
}

// near keeps the places that one of the contexts stands near to.
func (o *oracle) near(places map[[2]int]int, contexts []string, window int) {
	for p, certain := range places {
		decided := -1
		for _, context := range contexts {
			for _, c := range o.places(context) {
				switch {
				case c[1] <= p[0] && c[0] >= p[0]-window:
					decided = certain
				case c[0] >= p[1] && c[1] <= p[1]+window && (decided < 0 || c[1] < decided):
					decided = max(c[1], certain)
				}
			}
		}
		if delete(places, p); decided >= 0 {
			places[p] = decided
		}
	}
}

// oracleCredit by the sum of powers of three, which GB 32100 writes out as a
// table of weights.
func oracleCredit(code string) bool {
	const symbols = "0123456789abcdefghjklmnpqrtuwxy"
	if len(code) != 18 || code[0] == '0' || !regexp.MustCompile(`^[0-9]{6}$`).MatchString(code[2:8]) {
		return false
	}
	if code[2:4] != "10" && (code[2] == '9' || !regionPossible([]byte(code[2:4]))) {
		return false
	}
	sum := new(big.Int)
	for i := range 18 {
		v := strings.IndexByte(symbols, code[i])
		if v < 0 {
			return false
		}
		weight := new(big.Int).Exp(big.NewInt(3), big.NewInt(int64(i)), nil)
		if i == 17 {
			weight.SetInt64(1) // the check symbol makes the sum a multiple of 31
		}
		sum.Add(sum, weight.Mul(weight, big.NewInt(int64(v))))
	}
	return sum.Mod(sum, big.NewInt(31)).Sign() == 0
}

func oraclePlateBody(body string) bool {
	if strings.ContainsAny(body, "io") {
		return false
	}
	letters := len(regexp.MustCompile(`[a-z]`).FindAllString(body, -1))
	switch {
	case regexp.MustCompile(`^[a-z0-9]{4}[学警挂港澳领试超]$`).MatchString(body):
		return letters <= 1
	case regexp.MustCompile(`^[a-z0-9]{5}$`).MatchString(body):
		return letters <= 2
	}
	return regexp.MustCompile(`^([a-hjk][a-z0-9][0-9]{4}|[0-9]{5}[a-hjk])$`).MatchString(body)
}

// landlines: each sequence of up to four groups with single separators between.
func (o *oracle) landlines() map[[2]int]int {
	out := map[[2]int]int{}
	groups := o.groups()
	areas := map[string]bool{}
	for _, two := range strings.Fields("31 33 34 35 37 39 41 42 43 45 46 47 48 51 52 53 54 55 56 57 58 59 63 66 69 70 71 72 73 74 75 76 77 79 81 82 83 85 87 88 89 90 91 93 94 95 97 99") {
		areas[two] = true
	}
	for i := range groups {
		for j := i; j < len(groups) && j < i+4; j++ {
			if j > i && !(groups[j][0] == groups[j-1][1]+1 && isSeparator(o.syms[groups[j-1][1]])) {
				break
			}
			number := strings.Map(func(r rune) rune {
				if isSeparator(r) {
					return '-'
				}
				return r
			}, string(o.syms[groups[i][0]:groups[j][1]]))
			near, far := oracleLine.MatchString(number), oracleLineFar.FindStringSubmatch(number)
			if near || far != nil && areas[(far[1] + far[2])[:2]] && (far[2] == "" || number[4] == '-' || !strings.Contains(number, "-")) {
				out[[2]int{groups[i][0], groups[j][1]}] = groups[j][1] + 1
			}
		}
	}
	return out
}
