package inspect

import "unicode"

// skip marks a rune that takes no part in matching.
const skip rune = -1

// fold maps one rune to the symbol that is compared: lower case, half width,
// invisible characters out. One rune gives at most one symbol, so that every
// hit maps back to its original bytes.
func fold(r rune) rune {
	if r < 0x80 {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}
	if 0x4E00 <= r && r <= 0x9FFF {
		return r
	}
	return foldRare(r)
}

func foldRare(r rune) rune {
	switch {
	case invisible(r):
		return skip
	case r == 0x3000:
		return ' '
	case 0xFF01 <= r && r <= 0xFF5E:
		return fold(r - 0xFEE0)
	}
	return unicode.ToLower(r)
}

// invisible: characters that a reader does not see and that are put between
// others to defeat comparison.
func invisible(r rune) bool {
	switch {
	case r == 0x00AD, r == 0xFEFF: // soft hyphen, byte order mark
		return true
	case 0x200B <= r && r <= 0x200F: // zero-width space and joiners, direction marks
		return true
	case 0x202A <= r && r <= 0x202E, 0x2066 <= r && r <= 0x2069: // bidirectional embedding
		return true
	case 0x2060 <= r && r <= 0x2064: // word joiner, invisible operators
		return true
	case 0xFE00 <= r && r <= 0xFE0F, 0xE0100 <= r && r <= 0xE01EF, 0x180B <= r && r <= 0x180F: // variation selectors
		return true
	}
	return false
}

// foldText gives the symbols of a rule's text.
func foldText(s string) []rune {
	var out []rune
	for _, r := range s {
		if f := fold(r); f != skip {
			out = append(out, f)
		}
	}
	return out
}
