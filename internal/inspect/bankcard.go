package inspect

// Digits of a payment card number (ISO/IEC 7812-1): the Luhn digit is the last.
const (
	cardMinDigits = 13
	cardMaxDigits = 19
)

// issuer is a range of leading digits with the lengths in use. Ranges and
// lengths are those that the schemes publish (ISO/IEC 7812 leaves them to the
// issuers; Wikipedia, "Payment card number", collects them); 9558 and 9555 are domestic debit cards from
// before the 62 range.
type issuer struct {
	lo, hi  int    // inclusive, filled up to issuerDigits
	lengths uint32 // bit n set: n digits
}

// issuerDigits is the length of the issuer identification number that is
// looked at.
const issuerDigits = 6

func lengths(from, to int) uint32 { return 1<<(to+1) - 1<<from }

func knownIssuers() []issuer {
	return []issuer{
		{400000, 499999, 1<<13 | 1<<16 | 1<<19},
		{510000, 559999, 1 << 16},
		{222100, 272099, 1 << 16},
		{620000, 629999, lengths(16, 19)},
		{810000, 819999, lengths(16, 19)},
		{955500, 955599, lengths(16, 19)},
		{955800, 955899, lengths(16, 19)},
		{340000, 349999, 1 << 15},
		{370000, 379999, 1 << 15},
		{300000, 305999, lengths(14, 19)},
		{360000, 369999, lengths(14, 19)},
		{380000, 399999, lengths(14, 19)},
		{352800, 358999, lengths(16, 19)},
		{601100, 601199, lengths(16, 19)},
		{644000, 649999, lengths(16, 19)},
		{650000, 659999, lengths(16, 19)},
		{220000, 220499, lengths(16, 19)},
		{500000, 509999, lengths(13, 19)},
		{560000, 589999, lengths(13, 19)},
		{600000, 609999, lengths(13, 19)},
		{630000, 639999, lengths(13, 19)},
		{670000, 679999, lengths(13, 19)},
	}
}

// cardLengths gives the lengths that a card beginning with prefix can have, as
// a bit set. A short prefix that may still become a known one counts.
func cardLengths(issuers []issuer, prefix []byte) uint32 {
	lo, hi := 0, 0
	for i := range issuerDigits {
		lo, hi = lo*10, hi*10+9
		if i < len(prefix) {
			d := int(prefix[i] - '0')
			lo, hi = lo+d, hi-9+d
		}
	}
	var set uint32
	for i := range issuers {
		if lo <= issuers[i].hi && issuers[i].lo <= hi {
			set |= issuers[i].lengths
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
