package gateway

import (
	"strings"
	"unicode/utf16"
)

// plainArguments rewrites the arguments of tool calls, which are JSON inside a string and arrive in
// pieces, so that inspection sees what the tool will see: \u8fdd becomes the character it stands for
// wherever JSON allows that character as it is. The value that the tool parses stays the same.
type plainArguments struct {
	held string // an escape that is not complete
}

// write takes a piece and gives what is decided.
func (a *plainArguments) write(s string) string {
	if a.held == "" && strings.IndexByte(s, '\\') < 0 {
		return s
	}
	s = a.held + s
	a.held = ""
	var b strings.Builder
	b.Grow(len(s))
	for len(s) > 0 {
		at := strings.IndexByte(s, '\\')
		if at < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:at])
		s = s[at:]
		if len(s) < 2 || s[1] == 'u' && len(s) < 6 && hexDigits(s[2:]) {
			a.held = s
			break
		}
		if s[1] != 'u' || len(s) < 6 || !hexDigits(s[2:6]) {
			b.WriteString(s[:2]) // \n, \", \\ … stay; so does what is no JSON
			s = s[2:]
			continue
		}
		r := hexRune(s[2:6])
		n := 6
		if utf16.IsSurrogate(r) {
			rest := s[6:]
			switch {
			case len(rest) < 6 && (rest == "" || rest[0] == '\\' && (len(rest) < 2 || rest[1] == 'u' && hexDigits(rest[2:]))):
				a.held = s
				return b.String()
			case len(rest) >= 6 && rest[0] == '\\' && rest[1] == 'u' && hexDigits(rest[2:6]) && utf16.DecodeRune(r, hexRune(rest[2:6])) != 0xfffd:
				r, n = utf16.DecodeRune(r, hexRune(rest[2:6])), 12
			default: // a surrogate on its own stands for nothing
				b.WriteString(s[:6])
				s = s[6:]
				continue
			}
		}
		if r < 0x20 || r == '"' || r == '\\' || r == 0x7f {
			b.WriteString(s[:n])
		} else {
			b.WriteRune(r)
		}
		s = s[n:]
	}
	return b.String()
}

// close gives the rest.
func (a *plainArguments) close() string {
	s := a.held
	a.held = ""
	return s
}

// plain is write and close at once.
func plain(s string) string {
	var a plainArguments
	return a.write(s) + a.close()
}

func hexDigits(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

func hexRune(s string) rune {
	var r rune
	for i := range len(s) {
		c := rune(s[i])
		switch {
		case c <= '9':
			c -= '0'
		case c <= 'F':
			c -= 'A' - 10
		default:
			c -= 'a' - 10
		}
		r = r<<4 | c
	}
	return r
}
