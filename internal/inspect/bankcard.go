package inspect

// Digits of a payment card number (ISO/IEC 7812-1): the Luhn digit is the last.
const (
	cardMinDigits = 13
	cardMaxDigits = 19
)

// issuer is a range of leading digits with the lengths in use. Ranges are the
// published ones of the schemes; 9558 and 9555 are domestic debit cards from
// before the 62 range.
type issuer struct {
	lo, hi  int // inclusive, both with the same number of digits
	digits  int
	lengths uint32 // bit n set: n digits
}

func lengths(from, to int) uint32 { return 1<<(to+1) - 1<<from }

func knownIssuers() []issuer {
	return []issuer{
		{4, 4, 1, 1<<13 | 1<<16 | 1<<19},
		{51, 55, 2, 1 << 16},
		{2221, 2720, 4, 1 << 16},
		{62, 62, 2, lengths(16, 19)},
		{81, 81, 2, lengths(16, 19)},
		{9555, 9555, 4, lengths(16, 19)},
		{9558, 9558, 4, lengths(16, 19)},
		{34, 34, 2, 1 << 15},
		{37, 37, 2, 1 << 15},
		{300, 305, 3, lengths(14, 19)},
		{36, 36, 2, lengths(14, 19)},
		{38, 39, 2, lengths(14, 19)},
		{3528, 3589, 4, lengths(16, 19)},
		{6011, 6011, 4, lengths(16, 19)},
		{644, 649, 3, lengths(16, 19)},
		{65, 65, 2, lengths(16, 19)},
		{2200, 2204, 4, lengths(16, 19)},
		{50, 50, 2, lengths(13, 19)},
		{56, 58, 2, lengths(13, 19)},
		{60, 60, 2, lengths(13, 19)},
		{63, 63, 2, lengths(13, 19)},
		{67, 67, 2, lengths(13, 19)},
	}
}

// cardLengths gives the lengths that a card beginning with prefix can have, as
// a bit set. A short prefix that may still become a known one counts.
func cardLengths(issuers []issuer, prefix []byte) uint32 {
	var set uint32
	for _, is := range issuers {
		lo, hi := 0, 0
		for i := range is.digits {
			lo, hi = lo*10, hi*10+9
			if i < len(prefix) {
				lo, hi = lo+int(prefix[i]-'0'), hi-9+int(prefix[i]-'0')
			}
		}
		if lo <= is.hi && is.lo <= hi {
			set |= is.lengths
		}
	}
	return set
}

// luhn is the check of ISO/IEC 7812-1 annex B over digits.
func luhn(digits []byte) bool {
	sum, double := 0, false
	for i := len(digits) - 1; i >= 0; i-- {
		d := int(digits[i] - '0')
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum, double = sum+d, !double
	}
	return sum%10 == 0
}

func validCard(issuers []issuer, digits []byte) bool {
	n := len(digits)
	return n >= cardMinDigits && n <= cardMaxDigits &&
		cardLengths(issuers, digits)>>n&1 != 0 && luhn(digits)
}

// cardShapes are the groupings in which card numbers are printed. A number
// written so is found even when other numbers stand next to it.
func cardShapes() [][]int {
	return [][]int{
		{4, 4, 4, 1}, {4, 4, 4, 2}, {4, 4, 4, 3}, {4, 4, 4, 4},
		{4, 4, 4, 4, 1}, {4, 4, 4, 4, 2}, {4, 4, 4, 4, 3},
		{4, 6, 4}, {4, 6, 5},
		{6, 10}, {6, 11}, {6, 12}, {6, 13},
	}
}

// cardMaxGroups is the longest shape.
const cardMaxGroups = 5
