package inspect

// Digits of the identity number, GB 11643-1999: 6 region, 8 date of birth,
// 3 sequence, 1 check character by ISO 7064 MOD 11-2.
const idDigits = 18

var idWeights = [idDigits - 1]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}

// validID tells whether 18 characters, digits with an 'x' allowed at the end,
// are an identity number.
func validID(number []byte) bool {
	if len(number) != idDigits || !regionPossible(number) || !plausibleDate(number[6:14]) {
		return false
	}
	sum := 0
	for i, w := range idWeights {
		sum += int(number[i]-'0') * w
	}
	return "10x98765432"[sum%11] == number[idDigits-1]
}

// oldIDDigits of the identity number before 1999: 6 region, 6 date of birth
// without century, 3 sequence, no check digit.
const oldIDDigits = 15

// validOldID tells whether 15 digits are an old identity number. Without a
// check digit one in a hundred numbers of that length is one.
func validOldID(number []byte) bool {
	if len(number) != oldIDDigits || number[0] == '9' || !regionPossible(number) {
		return false
	}
	return plausibleDate(append([]byte("19"), number[6:12]...))
}

// regionPossible tells whether the number can begin like this. The first two
// digits are a province of GB/T 2260 (with 81 to 83 for residents from Hong
// Kong, Macao and Taiwan); the identity card of foreign permanent residents
// begins with 9, the province following.
func regionPossible(prefix []byte) bool {
	if len(prefix) > 0 && prefix[0] == '9' {
		prefix = prefix[1:]
	}
	if len(prefix) == 0 {
		return true
	}
	if len(prefix) == 1 {
		return '1' <= prefix[0] && prefix[0] <= '8'
	}
	unit := prefix[1]
	switch prefix[0] {
	case '1':
		return '1' <= unit && unit <= '5'
	case '2', '8':
		return '1' <= unit && unit <= '3'
	case '3':
		return '1' <= unit && unit <= '7'
	case '4':
		return '1' <= unit && unit <= '6'
	case '5':
		return unit <= '4'
	case '6':
		return '1' <= unit && unit <= '5'
	case '7':
		return unit == '1'
	}
	return false
}

// plausibleDate reads YYYYMMDD: a day that exists, 1900 to 2099. There is no
// clock here, so a date to come within that span passes.
func plausibleDate(d []byte) bool {
	number := func(b []byte) int {
		n := 0
		for _, c := range b {
			n = n*10 + int(c-'0')
		}
		return n
	}
	year, month, day := number(d[:4]), number(d[4:6]), number(d[6:8])
	if year < 1900 || year > 2099 || month < 1 || month > 12 || day < 1 {
		return false
	}
	last := [...]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[month-1]
	if month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		last = 29
	}
	return day <= last
}
