package inspect

// Numbers of papers, all of them without a check digit and so short that each
// needs a word near it that says what it is.
const (
	passportSymbols = 9
	permitSymbols   = 11
)

var (
	passportContexts = []string{"护照", "passport", "旅行证"}
	permitContexts   = []string{"通行证", "回乡证", "台胞证", "来往内地", "来往大陆", "往来港澳", "往来台湾", "travel permit", "home return permit"}
)

// prefixed tells whether text is one of the heads and as many digits as fill it
// up to size. A text that is shorter may be the beginning of one.
func prefixed(text []byte, size int, heads ...string) bool {
	if len(text) > size {
		return false
	}
	for _, head := range heads {
		ok := true
		for i, c := range text {
			switch {
			case i >= len(head):
				ok = ok && isDigit(rune(c))
			case head[i] == '?': // a letter that is not taken for a digit
				ok = ok && isLetter(rune(c)) && c != 'i' && c != 'o'
			default:
				ok = ok && head[i] == c
			}
		}
		if ok {
			return true
		}
	}
	return false
}

// passportPossible: ordinary passports E and G (E with a second letter since
// 2017), those for public affairs, service and diplomats, the older ones that
// begin with 14 or 15, and those of Hong Kong and Macao.
func passportPossible(text []byte) bool {
	return prefixed(text, passportSymbols, "e", "e?", "g", "d", "s", "p", "de", "se", "pe", "14", "15", "h", "k", "kj", "ma", "mb")
}

func validPassport(text []byte) bool {
	return len(text) == passportSymbols && passportPossible(text)
}

// permitPossible: permits to Hong Kong and Macao (C, W) and to Taiwan (L, T),
// those of residents of Hong Kong (H) and Macao (M) to the mainland, with the
// count of issues in the older form, and those of residents of Taiwan, which
// are eight digits, formerly ten.
func permitPossible(text []byte) bool {
	return prefixed(text, 9, "c", "c?", "w", "l", "l?", "t", "h", "m") || prefixed(text, 11, "h", "m") || prefixed(text, 10, "")
}

func validPermit(text []byte) bool {
	switch n := len(text); {
	case allDigits(text):
		return (n == 8 || n == 10) && !(n == 8 && plausibleDate(text)) // a date of issue stands in such places too
	case n == 9:
		return permitPossible(text)
	default:
		return n == permitSymbols && prefixed(text, permitSymbols, "h", "m")
	}
}

// creditSymbols of the unified social credit code, GB 32100: 1 registering
// department, 1 type, 6 region, 9 organisation code, 1 check symbol.
const (
	creditSymbols  = 18
	creditAlphabet = "0123456789abcdefghjklmnpqrtuwxy"
)

// creditValues gives the value of each symbol, or -1.
var creditValues = func() (values [128]int8) {
	for i := range values {
		values[i] = -1
	}
	for i := range len(creditAlphabet) {
		values[creditAlphabet[i]] = int8(i)
	}
	return values
}()

// creditPossible tells whether a code may begin so. The region is a province,
// or 10 for what is registered with the state itself.
func creditPossible(text []byte) bool {
	for i, c := range text {
		if creditValues[c] < 0 || i >= 2 && i < 8 && !isDigit(rune(c)) || i == 0 && c == '0' {
			return false
		}
	}
	return len(text) <= creditSymbols && (len(text) < 3 || len(text) >= 4 && text[2] == '1' && text[3] == '0' || regionPossible(text[2:min(len(text), 4)]) && text[2] != '9')
}

func validCredit(text []byte) bool {
	if len(text) != creditSymbols || !creditPossible(text) {
		return false
	}
	sum, weight := 0, 1
	for _, c := range text[:creditSymbols-1] {
		sum += int(creditValues[c]) * weight
		weight = weight * 3 % 31
	}
	return int(creditValues[text[creditSymbols-1]]) == (31-sum%31)%31
}
