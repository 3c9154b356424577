package inspect

// Digits of a landline number in China: an area code of three or four, its
// zero counted, and seven or eight more. The longest form has the country code
// and three separators.
const (
	landlineMinDigits = 11
	landlineMaxDigits = 12
	landlineHold      = 18
)

// validArea tells whether digits are an area code with its zero: 010, 02x, and
// those of four digits by their first three, as the numbering plan of China
// gives them out.
func validArea(code []byte) bool {
	return (len(code) == 3 || len(code) == 4) && areaPossible(code, true)
}

// areaPossible tells whether an area code may begin so, or with whole is one.
func areaPossible(code []byte, whole bool) bool {
	if len(code) == 0 {
		return true
	}
	if code[0] != '0' || len(code) > 4 {
		return false
	}
	if len(code) == 1 {
		return !whole
	}
	short := code[1] == '1' || code[1] == '2'
	switch {
	case len(code) == 2:
		return !whole && code[1] != '0'
	case code[1] == '0' || short && len(code) != 3:
		return false
	case code[1] == '1':
		return code[2] == '0'
	case code[1] == '2':
		return code[2] != '6'
	case whole && len(code) != 4:
		return false
	}
	var of = [10]string{3: "134579", 4: "1235678", 5: "123456789", 6: "369", 7: "012345679", 8: "1235789", 9: "0134579"}
	for _, c := range []byte(of[code[1]-'0']) {
		if c == code[2] {
			return true
		}
	}
	return false
}

// validLocal tells whether so many digits that begin with first are a number
// in the area.
func validLocal(area []byte, n int, first byte) bool {
	return '2' <= first && first <= '8' && (n == 8 || n == 7 && len(area) == 4)
}

// areaOf gives the length of the area code at the beginning of digits.
func areaOf(digits []byte) int {
	if len(digits) > 1 && (digits[1] == '1' || digits[1] == '2') {
		return 3
	}
	return 4
}

// validLine tells whether one group is area code and number.
func validLine(digits []byte) bool {
	n := areaOf(digits)
	return len(digits) > n && validArea(digits[:n]) && validLocal(digits[:n], len(digits)-n, digits[n])
}

func linePossible(digits []byte) bool {
	n := min(areaOf(digits), len(digits))
	if !areaPossible(digits[:n], false) {
		return false
	}
	return len(digits) == n || len(digits) <= landlineMaxDigits && validLocal(digits[:n], 8, digits[n])
}

// zeroed is an area code that lost its zero behind the country code.
func zeroed(code []byte) []byte { return append([]byte{'0'}, code...) }

func countryCode(digits []byte) bool { return string(digits) == "86" || string(digits) == "0086" }

// landline appends the number that ends with the last group.
func (d *digitRun) landline(hits []numberHit) []numberHit {
	last := len(d.groups) - 1
	g := &d.groups[last]
	if validLine(d.digitsOf(g)) {
		return append(hits, d.from(kCNLandline, last))
	}
	area, n, at := last-1, g.n, g
	if g.n == 4 && last > 0 && (d.groups[last-1].n == 3 || d.groups[last-1].n == 4) {
		area, at = last-2, &d.groups[last-1]
		n += at.n
	}
	if area < 0 || n > 8 {
		return hits
	}
	code, first := d.digitsOf(&d.groups[area]), d.kept[at.at]
	switch {
	case validArea(code) && validLocal(code, n, first):
		hits = append(hits, d.from(kCNLandline, area))
	case area > 0 && len(code) < 4 && countryCode(d.digitsOf(&d.groups[area-1])):
		if code = zeroed(code); validArea(code) && validLocal(code, n, first) {
			hits = append(hits, d.from(kCNLandline, area-1))
		}
	}
	return hits
}

// landlinePossible tells whether a number that begins with group i may still
// be completed by what comes.
func (d *digitRun) landlinePossible(i int) bool {
	last := len(d.groups) - 1
	open := func(k int) bool { return k == last && !d.sep }
	if d.groups[i].n > landlineMaxDigits {
		return false
	}
	first := d.digitsOf(&d.groups[i])
	if open(i) && (linePossible(first) || len(first) <= 4 && ("86"[:min(2, len(first))] == string(first) || "0086"[:len(first)] == string(first))) {
		return true
	}
	if open(i) {
		return false
	}
	coded := countryCode(first)
	if coded {
		if i++; i > last {
			return true
		}
	}
	code := d.digitsOf(&d.groups[i])
	if coded {
		if len(code) > 3 {
			return false
		}
		code = zeroed(code)
	}
	if open(i) {
		return areaPossible(code, false)
	}
	if !validArea(code) {
		return false
	}
	switch i++; last - i {
	case -1:
		return true
	case 0:
		g := &d.groups[i]
		return g.n <= 8 && validLocal(code, 8, d.kept[g.at]) && (!d.sep || g.n == 3 || g.n == 4)
	case 1:
		a, b := &d.groups[i], &d.groups[last]
		return !d.sep && (a.n == 3 || a.n == 4) && b.n <= 4 && validLocal(code, 8, d.kept[a.at])
	}
	return false
}
