package inspect

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what is decoded.
const (
	decodeBlock   = 8 << 10 // bytes that are decoded at once, and that a Decoder keeps
	decodeDepth   = 3       // encodings in one another
	decodeWork    = 4       // times its own length that a block may be decoded to, all in all
	payloadMin    = 16      // characters of a payload in base64 or hex
	payloadSays   = 6       // bytes that it must say
	wrappedMin    = 40      // characters of a line that goes on in the next
	escapeLongest = 12      // bytes of one escape
)

// Decoder reads what a text says in an encoding: base64 and hex of 16
// characters or more, percent signs, escapes such as \u5FFD, \x41 and &#65;,
// and one in the other up to three deep. What is decoded is inspected by the
// rules of the engine.
//
// A decoder changes nothing and holds nothing back: it tells of a hit at the
// end of the line in which it stands, or after 8 KB of one that does not end,
// where a payload is judged in two halves. By then a stream has released it.
// What it finds depends on the text and the rules only, never on the cut. Each
// block of text is decoded to at most four times its length; what goes beyond
// is left unread.
type Decoder struct {
	e    *Engine
	buf  []byte // the line that is being read
	off  int    // where it begins in the text
	pos  int    // characters before it
	left int    // bytes that may still be decoded of it
}

// NewDecoder begins a text.
func (e *Engine) NewDecoder() *Decoder { return &Decoder{e: e} }

// Write takes the next piece, cut anywhere, and gives what was found. Start,
// End and the characters of a hit are those of the payload, or of what was
// written in escapes, Match.Encoding names the encodings from outside in.
func (d *Decoder) Write(piece string) (found []Match) {
	for len(piece) > 0 {
		n := min(len(piece), decodeBlock-len(d.buf))
		end := false
		if i := strings.IndexByte(piece[:n], '\n'); i >= 0 {
			n, end = i+1, true
		}
		d.buf = append(d.buf, piece[:n]...)
		piece = piece[n:]
		if len(d.buf) == decodeBlock || end && !wrapped(d.buf) {
			found = append(found, d.read()...)
		}
	}
	return found
}

// Close ends the text, or a part of it behind which something new begins.
func (d *Decoder) Close() []Match { return d.read() }

// ScanEncoded reads what a whole text says in an encoding; see [Decoder].
func (e *Engine) ScanEncoded(text string) []Match {
	d := e.NewDecoder()
	return append(d.Write(text), d.Close()...)
}

// wrapped tells whether the last line is so long and so much of one piece that
// a payload may go on in the next.
func wrapped(block []byte) bool {
	line := bytes.TrimRight(block[bytes.LastIndexByte(block[:len(block)-1], '\n')+1:], "\r\n")
	if len(line) < wrappedMin {
		return false
	}
	for i := 0; i < len(line); i++ {
		if !inBase64(line[i]) {
			return false
		}
	}
	return true
}

func (d *Decoder) read() (found []Match) {
	text := string(d.buf)
	d.left = decodeWork * len(text)
	all := d.decoded(text, 0)
	slices.SortStableFunc(all, func(a, b Match) int {
		return cmp.Or(strings.Compare(a.RuleID, b.RuleID), a.Start-b.Start)
	})
	for _, m := range all {
		if n := len(found) - 1; n >= 0 && m.RuleID == found[n].RuleID && m.Start < found[n].End {
			found[n].End = max(found[n].End, m.End) // one place read in two ways, or much in one payload
			continue
		}
		found = append(found, m)
	}
	slices.SortStableFunc(found, func(a, b Match) int { return cmp.Or(a.Start-b.Start, a.End-b.End) })
	at, runes := 0, d.pos
	for i := range found {
		m := &found[i]
		runes += utf8.RuneCountInString(text[at:m.Start])
		at = m.Start
		if m.FirstRune = runes; i > 0 && m.Start == found[i-1].Start-d.off && m.End == found[i-1].End-d.off {
			m.Runes = found[i-1].Runes
		} else {
			m.Runes = utf8.RuneCountInString(text[m.Start:m.End])
		}
		m.EndRune = m.FirstRune + m.Runes
		m.Start += d.off
		m.End += d.off
	}
	d.off += len(text)
	d.pos += utf8.RuneCountInString(text)
	d.buf = d.buf[:0]
	return found
}

// decoded gives the hits in what text says in an encoding, at their places in
// text.
func (d *Decoder) decoded(text string, depth int) (found []Match) {
	if depth == decodeDepth {
		return nil
	}
	for _, p := range payloads(text) {
		if d.left -= len(p.says); d.left < 0 {
			return found
		}
		for _, m := range append(d.e.Scan(p.says).Matches, d.decoded(p.says, depth+1)...) {
			m.Start, m.End = p.start, p.end
			found = append(found, under(p.encoding, m))
		}
	}
	plain, at, encoding := unescape(text)
	if encoding == "" {
		return found
	}
	if d.left -= len(plain); d.left < 0 {
		return found
	}
	// What stands there without decoding is no news.
	known := map[string]bool{}
	place := func(m *Match) string { return fmt.Sprint(m.RuleID, " ", m.Start, " ", m.End) }
	for _, m := range d.e.Scan(text).Matches {
		known[place(&m)] = true
	}
	for _, m := range append(d.e.Scan(plain).Matches, d.decoded(plain, depth+1)...) {
		m.Start, m.End = original(at, m.Start, false), original(at, m.End, true)
		if !known[place(&m)] {
			found = append(found, under(encoding, m))
		}
	}
	return found
}

func under(encoding string, m Match) Match {
	if m.Encoding != "" {
		encoding += "," + m.Encoding
	}
	m.Encoding = encoding
	return m
}

// payload is a piece of text that is nothing but an encoding of another.
type payload struct {
	start, end     int
	encoding, says string
}

func payloads(text string) (out []payload) {
	for i := 0; i < len(text); {
		if !inBase64(text[i]) {
			i++
			continue
		}
		end, last := i, i // last: behind the last character that is not a line break
		line := i
		for ; end < len(text); end++ {
			switch c := text[end]; {
			case inBase64(c):
				last = end + 1
				continue
			case c == '\n' || c == '\r' && end+1 < len(text) && text[end+1] == '\n':
				if last-line >= wrappedMin {
					if c == '\n' {
						line = end + 1
					}
					continue
				}
			}
			break
		}
		if run := text[i:last]; len(run) >= payloadMin {
			if says, ok := fromHex(run); ok {
				out = append(out, payload{i, last, "hex", says})
			} else if says, ok := fromBase64(run); ok {
				out = append(out, payload{i, last, "base64", says})
			}
		}
		i = max(end, i+1)
	}
	return append(out, spacedHex(text)...)
}

func inBase64(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '+' || c == '/' || c == '-' || c == '_' || c == '='
}

var oneAlphabet = strings.NewReplacer("-", "+", "_", "/", "\r", "", "\n", "")

func fromBase64(run string) (string, bool) {
	run = strings.TrimRight(oneAlphabet.Replace(run), "=")
	if i := strings.LastIndexByte(run, '='); i >= 0 {
		run = run[i+1:] // name=payload
	}
	if len(run)%4 == 1 {
		run = run[:len(run)-1]
	}
	says, err := base64.RawStdEncoding.DecodeString(run)
	if err != nil { // bits left over at the end
		if says, err = base64.RawStdEncoding.DecodeString(run[:len(run)/4*4]); err != nil {
			return "", false
		}
	}
	return sensible(says)
}

func fromHex(run string) (string, bool) {
	if len(run)%2 == 1 {
		return "", false
	}
	says, err := hex.DecodeString(run)
	if err != nil {
		return "", false
	}
	return sensible(says)
}

// spacedHex finds pairs of hex digits with one blank, comma or colon between.
func spacedHex(text string) (out []payload) {
	pair := func(i int) bool { return i+2 <= len(text) && isHex(text[i]) && isHex(text[i+1]) }
	for i := 0; i < len(text); i++ {
		if !pair(i) || i > 0 && inBase64(text[i-1]) {
			continue
		}
		says, end := []byte{}, i
		for k := i; pair(k); {
			says = append(says, unhex(text[k])<<4|unhex(text[k+1]))
			end = k + 2
			if k = end; k < len(text) && strings.IndexByte(" ,:", text[k]) >= 0 {
				k++
			} else {
				break
			}
		}
		if end < len(text) && inBase64(text[end]) {
			i = end
			continue
		}
		if len(says) >= payloadMin/2 {
			if s, ok := sensible(says); ok {
				out = append(out, payload{i, end, "hex", s})
			}
		}
		i = end
	}
	return out
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&0xF + 9
}

// sensible tells whether decoded bytes are text, not what any long word gives.
func sensible(says []byte) (string, bool) {
	if len(says) < payloadSays || !utf8.Valid(says) {
		return "", false
	}
	for _, r := range string(says) {
		if !unicode.IsPrint(r) && r != '\n' && r != '\r' && r != '\t' && !unicode.Is(unicode.Cf, r) {
			return "", false
		}
	}
	return string(says), true
}

// origin is where a stretch of unescaped text comes from.
type origin struct {
	plain, text int  // where it begins here and there
	end         int  // and ends there
	wasEscape   bool // one escape, or several that are one character
}

// unescape replaces escapes by what they stand for. encoding is empty if there
// are none, or "percent" or "escape" by the first.
func unescape(text string) (plain string, at []origin, encoding string) {
	if strings.IndexAny(text, `%\&`) < 0 {
		return text, nil, ""
	}
	out := make([]byte, 0, len(text))
	from := 0 // of the stretch that is copied
	for i := 0; i < len(text); {
		if c := text[i]; c != '%' && c != '\\' && c != '&' {
			i++
			continue
		}
		r, n := escapeAt(text[i:])
		if n == 0 {
			i++
			continue
		}
		if encoding == "" {
			if encoding = "escape"; text[i] == '%' {
				encoding = "percent"
			}
		}
		if from < i {
			at = append(at, origin{len(out), from, i, false})
			out = append(out, text[from:i]...)
		}
		at = append(at, origin{len(out), i, i + n, true})
		out = append(out, r...)
		i += n
		from = i
	}
	if encoding == "" {
		return text, nil, ""
	}
	if from < len(text) {
		at = append(at, origin{len(out), from, len(text), false})
		out = append(out, text[from:]...)
	}
	return string(out), at, encoding
}

// original gives where a place in unescaped text stands in the text itself.
func original(at []origin, place int, end bool) int {
	i := sort.Search(len(at), func(i int) bool {
		if end {
			return at[i].plain >= place
		}
		return at[i].plain > place
	}) - 1
	if i < 0 {
		return 0
	}
	switch o := at[i]; {
	case !o.wasEscape:
		return o.text + place - o.plain
	case end:
		return o.end
	default:
		return o.text
	}
}

// escapeAt gives what the escape at the beginning of text stands for, as bytes,
// and its length, 0 if there is none.
func escapeAt(text string) (says []byte, length int) {
	number := func(digits string, base int) []byte {
		n, err := strconv.ParseUint(digits, base, 32)
		if err != nil || n > unicode.MaxRune || n == 0 {
			return nil
		}
		return utf8.AppendRune(nil, rune(n))
	}
	hexAt := func(i, n int) string {
		if i+n > len(text) {
			return ""
		}
		for k := i; k < i+n; k++ {
			if !isHex(text[k]) {
				return ""
			}
		}
		return text[i : i+n]
	}
	switch {
	case text[0] == '%':
		if d := hexAt(1, 2); d != "" {
			return []byte{unhex(d[0])<<4 | unhex(d[1])}, 3
		}
		if strings.HasPrefix(text, "%u") || strings.HasPrefix(text, "%U") {
			if d := hexAt(2, 4); d != "" {
				return number(d, 16), 6
			}
		}
	case strings.HasPrefix(text, `\x`):
		if d := hexAt(2, 2); d != "" {
			return []byte{unhex(d[0])<<4 | unhex(d[1])}, 4
		}
	case strings.HasPrefix(text, `\u{`):
		if i := strings.IndexByte(text[:min(len(text), escapeLongest)], '}'); i > 3 {
			if b := number(text[3:i], 16); b != nil {
				return b, i + 1
			}
		}
	case strings.HasPrefix(text, `\u`):
		d := hexAt(2, 4)
		if d == "" {
			return nil, 0
		}
		high, _ := strconv.ParseUint(d, 16, 16)
		if high&0xFC00 == 0xD800 && strings.HasPrefix(text[6:], `\u`) {
			if d := hexAt(8, 4); d != "" {
				if low, _ := strconv.ParseUint(d, 16, 16); low&0xFC00 == 0xDC00 {
					return utf8.AppendRune(nil, rune(high&0x3FF<<10|low&0x3FF)+0x10000), 12
				}
			}
		}
		return number(d, 16), 6
	case strings.HasPrefix(text, `\U`):
		if d := hexAt(2, 8); d != "" {
			return number(d, 16), 10
		}
	case text[0] == '&':
		if i := strings.IndexByte(text[:min(len(text), escapeLongest)], ';'); i > 1 {
			if s := html.UnescapeString(text[:i+1]); s != text[:i+1] {
				return []byte(s), i + 1
			}
		}
	}
	return nil, 0
}
