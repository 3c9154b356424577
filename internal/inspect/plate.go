package inspect

// plateSymbols behind the province and the letter of a vehicle plate: six of a
// new-energy vehicle, else five. GA 36 gives the form.
const plateSymbols = 6

// plateAnchors: the short name of a province and the letter of an office. Two
// symbols, so that the name alone, which is a common word, is no anchor.
func plateAnchors() (out []anchor) {
	form := &tailForm{kind: kCNPlate, max: plateSymbols + 2, step: stepPlate}
	for _, province := range "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼" {
		for office := 'a'; office <= 'z'; office++ {
			if office != 'i' {
				out = append(out, anchor{string([]rune{province, office}), form})
			}
		}
	}
	return out
}

// stepPlate collects what stands behind the letter, a dot before it allowed.
// The last symbol of five may say what the vehicle is for. Chance makes such a
// word of any five symbols, so that four of them, or the four of a series, have
// to be digits as far as GA 36 demands it: at most two letters, never I and O.
func stepPlate(t *tail, it *item) verdict {
	f := it.f
	switch {
	case t.state == 1: // a last character that says what for
		if isAlnum(f) {
			return verdictVoid
		}
		return verdictOff
	case t.n == 0 && (f == '·' || f == '•' || f == '・' || f == '.' || f == ' ' || f == '-'):
		return verdictMore
	case t.count == 4 && (f == '学' || f == '警' || f == '挂' || f == '港' || f == '澳' || f == '领' || f == '试' || f == '超'):
		t.state = 1
		if lettersIn(t.text[:4]) <= 1 {
			return verdictHit
		}
		return verdictVoid
	case !isAlnum(f):
		return verdictOff
	case t.count == plateSymbols:
		return verdictVoid
	}
	t.text[t.count] = byte(f)
	t.count++
	t.good = span{}
	if validPlate(t.text[:t.count]) {
		return verdictHit
	}
	return verdictMore
}

func lettersIn(text []byte) (n int) {
	for _, c := range text {
		if c == 'i' || c == 'o' {
			return len(text) + 1
		}
		if isLetter(rune(c)) {
			n++
		}
	}
	return n
}

// validPlate: five with two letters at most; or six of which the first or the
// last is one that marks new energy, the others digits, but for a second letter
// behind the first.
func validPlate(text []byte) bool {
	switch len(text) {
	case 5:
		return lettersIn(text) <= 2
	case 6:
		energy := func(c byte) bool { return 'a' <= c && c <= 'k' && c != 'i' }
		small := energy(text[0]) && lettersIn(text[1:2]) <= 1 && allDigits(text[2:])
		return small || energy(text[5]) && allDigits(text[:5])
	}
	return false
}
