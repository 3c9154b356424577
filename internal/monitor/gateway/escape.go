package gateway

import (
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// unescape appends the meaning of the inside of a JSON string; ok is false for a bad escape or a lone surrogate.
func unescape(dst, s []byte) (out []byte, ok bool) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '\\' {
			dst = append(dst, c)
			continue
		}
		if i++; i >= len(s) {
			return nil, false
		}
		switch s[i] {
		case '"', '\\', '/':
			dst = append(dst, s[i])
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			if i+5 > len(s) || !hexDigits(string(s[i+1:i+5])) {
				return nil, false
			}
			r := hexRune(string(s[i+1 : i+5]))
			i += 4
			if utf16.IsSurrogate(r) {
				if i+7 > len(s) || s[i+1] != '\\' || s[i+2] != 'u' || !hexDigits(string(s[i+3:i+7])) {
					return nil, false
				}
				if r = utf16.DecodeRune(r, hexRune(string(s[i+3:i+7]))); r == utf8.RuneError {
					return nil, false
				}
				i += 6
			}
			dst = utf8.AppendRune(dst, r)
		default:
			return nil, false
		}
	}
	return dst, true
}

// appendText appends s as a JSON string.
func appendText(dst []byte, s string) []byte {
	out, err := jsontext.AppendQuote(dst, s)
	if err != nil { // not UTF-8; cannot come from here, and nothing is the safe thing to say
		return append(dst, '"', '"')
	}
	return out
}
