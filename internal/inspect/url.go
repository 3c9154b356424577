package inspect

// urlSymbols of a web address are held at most: what is longer is certain by
// then, and the signs at its end belong to it.
const urlSymbols = 160

func urlAnchors() (out []anchor) {
	schemed := &tailForm{kind: kURL, once: true, max: urlSymbols - 8, long: true, step: stepURL}
	bare := &tailForm{kind: kURL, once: true, token: true, max: urlSymbols - 8, long: true, step: stepURL}
	for _, scheme := range []string{"http://", "https://", "ftp://"} {
		out = append(out, anchor{scheme, schemed})
	}
	return append(out, anchor{"www.", bare})
}

const (
	urlHost = iota
	urlDot  // a dot in the host, with something behind it still to come
	urlRest // the host is whole enough
)

// stepURL goes on while there are ASCII characters that may stand in an address.
// They count as they were written: a full-width comma is one of the sentence.
func stepURL(t *tail, it *item) verdict {
	c := it.r
	if c >= 128 || c <= ' ' {
		return verdictOff
	}
	plain := isAlnum(it.f)
	switch {
	case plain:
		if t.state == urlDot {
			t.state = urlRest
		}
		t.count++
	case c == '.' && t.state == urlHost && t.count > 0:
		t.state = urlDot
	case c == '"' || c == '<' || c == '>' || c == '\\' || c == '^' || c == '`' || c == '{' || c == '}' || c == '|':
		return verdictOff
	case (c == '/' || c == '?' || c == '#') && t.state == urlHost:
		return verdictVoid // a host without a dot names no place outside
	}
	switch {
	case t.state != urlRest:
		return verdictMore
	case plain || c == '/' || c == '=' || c == '&' || c == '#' || c == '-' || c == '_' || c == '%' || c == '~' || c == '+' || c == '@' || c == '$' || c == '*':
		return verdictHit
	}
	return verdictMore
}
