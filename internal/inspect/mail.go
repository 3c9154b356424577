package inspect

import "bytes"

// mailSymbols is the longest e-mail address that is looked for: 64 before the
// at sign, as RFC 5321 allows, and a domain of the same length.
const (
	mailSymbols = 2*mailPart + 1
	mailPart    = 64
)

// findMail gives the e-mail address in a run of its symbols: dots and hyphens
// that a sentence puts behind it do not count.
func findMail(run []byte) (from, to int) {
	if !mailPossible(run) {
		return 0, 0
	}
	for to = len(run); to > 0 && (run[to-1] == '.' || run[to-1] == '-'); to-- {
	}
	local, domain, ok := bytes.Cut(run[:to], []byte{'@'})
	if !ok || len(local) == 0 || len(local) > mailPart || local[len(local)-1] == '.' || bytes.Contains(local, []byte("..")) || !validDomain(domain) {
		return 0, 0
	}
	return 0, to
}

// validDomain: two labels or more, the last one of letters, or punycode.
func validDomain(domain []byte) bool {
	if len(domain) > mailPart {
		return false
	}
	labels, letters, size := 0, 0, 0
	var last byte = '.'
	for i, c := range domain {
		switch {
		case c == '.':
			if size == 0 || last == '-' {
				return false
			}
			labels++
			letters, size = 0, 0
		case c == '-':
			if size == 0 {
				return false
			}
			size++
		case !isAlnum(rune(c)):
			return false
		default:
			size++
			if isLetter(rune(c)) {
				letters++
			}
		}
		last = domain[i]
	}
	puny := bytes.HasPrefix(domain[len(domain)-size:], []byte("xn--"))
	return labels >= 1 && size >= 2 && last != '-' && (letters == size || puny)
}

// mailPossible tells whether a run can have an address, or may with what comes.
func mailPossible(run []byte) bool {
	local, domain, ok := bytes.Cut(run, []byte{'@'})
	if len(local) > mailPart {
		return false
	}
	return !ok || len(domain) <= mailPart && !bytes.ContainsAny(domain, "@%+_")
}
