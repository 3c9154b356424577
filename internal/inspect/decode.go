package inspect

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
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
	decodeBlock   = 16 << 10 // bytes that are decoded at once, and that a Decoder keeps
	decodeAgain   = 2 << 10  // bytes of a block that are read again with the next, so that nothing is lost between them
	decodeDepth   = 3        // encodings in one another
	decodeWork    = 4        // times its own length that a block may be decoded to, all in all
	payloadMin    = 16       // characters of a payload in base64 or hex
	payloadSays   = 6        // bytes that it must say
	wrappedMin    = 40       // characters of a line that goes on in the next
	escapeLongest = 12       // bytes of one escape
)

// Decoder reads what a text says in an encoding: base64 and hex of 16
// characters or more, percent signs, escapes such as \u5FFD, \x41 and &#65;,
// and one in the other up to three deep. What is decoded is inspected by the
// rules of the engine.
//
// A decoder changes nothing and holds nothing back: it tells of a hit at the
// end of the line in which it stands, or after 16 KB of one that does not end;
// a payload longer than that is read in parts that overlap. By then a stream has
// released it. What it finds depends on the text and the rules only, never on
// the cut. Each block of text is decoded to at most four times its length; what
// goes beyond, or deeper, is left unread, and [Decoder.Unread] says so.
type Decoder struct {
	e      *Engine
	buf    []byte // the line that is being read
	seen   int    // bytes of it that were read before
	within bool   // it begins within a payload, where a new one could begin
	off    int    // where it begins in the text
	pos    int    // characters before it
	left   int    // bytes that may still be decoded of it
	unread int
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
		switch {
		case end && !wrapped(d.buf):
			found = append(found, d.Close()...)
		case len(d.buf) == decodeBlock:
			found = append(found, d.readOn()...)
		}
	}
	return found
}

// Close ends the text, or a part of it behind which something new begins.
func (d *Decoder) Close() []Match {
	found := d.read(len(d.buf))
	d.drop(len(d.buf))
	d.seen, d.within = 0, false
	return found
}

// Unread is how many bytes of what the text says in encodings were not read,
// because they were too many or too deep in one another.
func (d *Decoder) Unread() int { return d.unread }

// ScanEncoded reads what a whole text says in an encoding; see [Decoder].
// unread is as in [Decoder.Unread].
func (e *Engine) ScanEncoded(text string) (found []Match, unread int) {
	d := e.NewDecoder()
	found = append(d.Write(text), d.Close()...)
	return found, d.unread
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

// readOn reads a block that is full in the middle of a line. What is encoded at
// its end may go on, so it is left to the next block, or, where there is too much
// of it, read as far as it goes.
func (d *Decoder) readOn() []Match {
	open := openFrom(d.buf)
	if len(d.buf)-open < decodeBlock-2*decodeAgain {
		found := d.read(open)
		from := max(0, open-decodeAgain)
		for from < open && !utf8.RuneStart(d.buf[from]) {
			from++
		}
		d.drop(from)
		d.seen, d.within = open-from, false
		return found
	}
	found := d.read(len(d.buf))
	from := resume(d.buf, len(d.buf)-decodeAgain)
	d.drop(from)
	d.seen, d.within = len(d.buf), true
	return found
}

// drop forgets the beginning of the block.
func (d *Decoder) drop(n int) {
	d.off += n
	d.pos += utf8.RuneCount(d.buf[:n])
	d.buf = d.buf[:copy(d.buf, d.buf[n:])]
}

// openFrom gives where at the end of a block something begins that may be an
// encoding and go on.
func openFrom(block []byte) int {
	i := len(block)
	for ; i > 0; i-- {
		switch c := block[i-1]; c {
		case '%', '\\', '&', '#', ';', '{', '}', '\r', '\n':
		case ' ', ',', ':': // between pairs of hex digits
			if i < 3 || !isHex(block[i-2]) || !isHex(block[i-3]) || i > 3 && inBase64(block[i-4]) {
				return i
			}
		default:
			if !inBase64(c) {
				return i
			}
		}
	}
	return 0
}

// resume gives the first place from at on where what is encoded up to the end
// of a block can be read again.
func resume(block []byte, at int) int {
	if i := bytes.IndexAny(block[at:], `%\&`); i >= 0 {
		return at + i
	}
	if i := bytes.IndexAny(block[at:], " ,:"); i >= 0 {
		return at + i + 1
	}
	start := at
	for start > 0 && (inBase64(block[start-1]) || block[start-1] == '\r' || block[start-1] == '\n') {
		start--
	}
	if i := bytes.LastIndexByte(block[start:], '='); i >= 0 {
		start += i + 1 // name=payload
	}
	for n := 0; start < len(block); start++ {
		if c := block[start]; c == '\r' || c == '\n' {
			continue
		}
		if start >= at && n%4 == 0 {
			return start // behind a whole number of groups of four
		}
		n++
	}
	return len(block)
}

// read gives what is found in the block up to a place, but for what was found
// there before.
func (d *Decoder) read(to int) (found []Match) {
	text := string(d.buf[:to])
	d.left = decodeWork * len(text)
	all := slices.DeleteFunc(d.decoded(text, 0), func(m Match) bool { return m.End <= d.seen })
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
	return found
}

// spend tells whether so many bytes may still be decoded.
func (d *Decoder) spend(bytes, depth int) bool {
	if depth == decodeDepth || bytes > d.left {
		d.unread += bytes
		return false
	}
	d.left -= bytes
	return true
}

// decoded gives the hits in what text says in an encoding, at their places in
// text.
func (d *Decoder) decoded(text string, depth int) (found []Match) {
	before := 0
	if depth == 0 && d.within {
		before = d.seen
	}
	for _, p := range payloads(text, before) {
		if !d.spend(len(p.says), depth) {
			continue
		}
		for _, m := range append(d.e.Scan(p.says).Matches, d.decoded(p.says, depth+1)...) {
			if m.End <= p.old {
				continue
			}
			m.Start, m.End = p.start, p.end
			found = append(found, under(p.encoding, m))
		}
	}
	plain, at, encoding := unescape(text)
	if encoding == "" || !d.spend(len(plain), depth) {
		return found
	}
	hits := append(d.e.Scan(plain).Matches, d.decoded(plain, depth+1)...)
	if len(hits) == 0 {
		return found
	}
	// What stands there without decoding is no news.
	type place struct {
		rule       string
		start, end int
	}
	stands := map[place]bool{}
	for _, m := range d.e.Scan(text).Matches {
		stands[place{m.RuleID, m.Start, m.End}] = true
	}
	for _, m := range hits {
		m.Start, m.End = original(at, m.Start, false), original(at, m.End, true)
		if !stands[place{m.RuleID, m.Start, m.End}] {
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
	old            int // bytes that a part of it said which was read before
}

// payloads finds base64 and hex in text. Of one at its beginning so many bytes
// were read before, as the end of a part of it.
func payloads(text string, before int) (out []payload) {
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
		if last-i >= payloadMin {
			out = appendPayload(out, text, i, last, before, fromHex, "hex")
			if len(out) == 0 || out[len(out)-1].start != i {
				out = appendPayload(out, text, i, last, before, fromBase64, "base64")
			}
		}
		i = max(end, i+1)
	}
	return spacedHex(out, text, before)
}

// appendPayload appends what stands from start to end, if it says something.
func appendPayload(out []payload, text string, start, end, before int, decode func(string) []byte, encoding string) []payload {
	p := payload{start: start, end: end, encoding: encoding}
	says := decode(text[start:end])
	part := start == 0 && before > 0
	if part {
		p.old = len(decode(text[:min(before, end)]))
		for n := 0; n < utf8.UTFMax-1 && len(says) > 0 && !utf8.RuneStart(says[0]); n++ { // cut in the middle of a character
			says = says[1:]
			p.old--
		}
	}
	if end == len(text) { // perhaps too
		for n := 1; n < utf8.UTFMax && n <= len(says); n++ {
			if tail := says[len(says)-n:]; utf8.RuneStart(tail[0]) {
				if !utf8.FullRune(tail) {
					says = says[:len(says)-n]
				}
				break
			}
		}
	}
	if !sensible(says) {
		return out
	}
	p.says = string(says)
	return append(out, p)
}

var base64Bytes = func() (in [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=" {
		in[c] = true
	}
	return in
}()

func inBase64(c byte) bool { return base64Bytes[c] }

// fromBase64 gives what run says by either alphabet, line breaks not counted;
// nothing if it is not base64.
func fromBase64(run string) []byte {
	run = strings.TrimRight(run, "=\r\n")
	if i := strings.LastIndexByte(run, '='); i >= 0 {
		run = run[i+1:] // name=payload
	}
	plain := make([]byte, 0, len(run))
	for i := range len(run) {
		switch c := run[i]; c {
		case '\r', '\n':
		case '-':
			plain = append(plain, '+')
		case '_':
			plain = append(plain, '/')
		default:
			plain = append(plain, c)
		}
	}
	if len(plain)%4 == 1 {
		plain = plain[:len(plain)-1]
	}
	says := make([]byte, base64.RawStdEncoding.DecodedLen(len(plain)))
	n, err := base64.RawStdEncoding.Decode(says, plain)
	if err != nil { // bits left over at the end
		if n, err = base64.RawStdEncoding.Decode(says, plain[:len(plain)/4*4]); err != nil {
			return nil
		}
	}
	return says[:n]
}

func fromHex(run string) []byte {
	for i := range len(run) {
		if !isHex(run[i]) {
			return nil
		}
	}
	says, _ := hex.DecodeString(run[:len(run)/2*2]) // it is hex
	return says
}

// spacedHex finds pairs of hex digits with one blank, comma or colon between.
func spacedHex(out []payload, text string, before int) []payload {
	pair := func(i int) bool { return i+2 <= len(text) && isHex(text[i]) && isHex(text[i+1]) }
	for i := 0; i < len(text); i++ {
		if !pair(i) || i > 0 && inBase64(text[i-1]) {
			continue
		}
		end := i + 2
		for end < len(text) && strings.IndexByte(" ,:", text[end]) >= 0 && pair(end+1) {
			end += 3
		}
		if end < len(text) && inBase64(text[end]) {
			i = end
			continue
		}
		if (end-i+1)/3 >= payloadMin/2 {
			out = appendPayload(out, text, i, end, before, fromPairs, "hex")
		}
		i = end
	}
	return out
}

func fromPairs(run string) (says []byte) {
	for i := 0; i+1 < len(run); i += 3 {
		says = append(says, unhex(run[i])<<4|unhex(run[i+1]))
	}
	return says
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&0xF + 9
}

// sensible tells whether decoded bytes are text, not what any long word gives.
func sensible(says []byte) bool {
	if len(says) < payloadSays || !utf8.Valid(says) {
		return false
	}
	for _, r := range string(says) {
		if !unicode.IsPrint(r) && r != '\n' && r != '\r' && r != '\t' && !unicode.Is(unicode.Cf, r) {
			return false
		}
	}
	return true
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
	if !strings.ContainsAny(text, `%\&`) {
		return text, nil, ""
	}
	var out []byte
	var room [2 * utf8.UTFMax]byte
	from := 0 // of the stretch that is copied
	for i := 0; i < len(text); {
		if c := text[i]; c != '%' && c != '\\' && c != '&' {
			i++
			continue
		}
		says, n := escapeAt(room[:0], text[i:])
		if n == 0 {
			i++
			continue
		}
		if encoding == "" {
			if encoding = "escape"; text[i] == '%' {
				encoding = "percent"
			}
			out = make([]byte, 0, len(text))
		}
		if from < i {
			at = append(at, origin{len(out), from, i, false})
			out = append(out, text[from:i]...)
		}
		at = append(at, origin{len(out), i, i + n, true})
		out = append(out, says...)
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

// escapeAt appends to dst what the escape at the beginning of text stands for
// and gives its length, 0 if there is none.
func escapeAt(dst []byte, text string) (says []byte, length int) {
	number := func(digits string, base, length int) ([]byte, int) {
		n, err := strconv.ParseUint(digits, base, 32)
		if err != nil || n > unicode.MaxRune || n == 0 {
			return dst, 0
		}
		return utf8.AppendRune(dst, rune(n)), length
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
			return append(dst, unhex(d[0])<<4|unhex(d[1])), 3
		}
		if strings.HasPrefix(text, "%u") || strings.HasPrefix(text, "%U") {
			if d := hexAt(2, 4); d != "" {
				return number(d, 16, 6)
			}
		}
	case strings.HasPrefix(text, `\x`):
		if d := hexAt(2, 2); d != "" {
			return append(dst, unhex(d[0])<<4|unhex(d[1])), 4
		}
	case strings.HasPrefix(text, `\u{`):
		if i := strings.IndexByte(text[:min(len(text), escapeLongest)], '}'); i > 3 {
			return number(text[3:i], 16, i+1)
		}
	case strings.HasPrefix(text, `\u`):
		d := hexAt(2, 4)
		if d == "" {
			return dst, 0
		}
		high, _ := strconv.ParseUint(d, 16, 16)
		if high&0xFC00 == 0xD800 && strings.HasPrefix(text[6:], `\u`) {
			if d := hexAt(8, 4); d != "" {
				if low, _ := strconv.ParseUint(d, 16, 16); low&0xFC00 == 0xDC00 {
					return utf8.AppendRune(dst, rune(high&0x3FF<<10|low&0x3FF)+0x10000), 12
				}
			}
		}
		return number(d, 16, 6)
	case strings.HasPrefix(text, `\U`):
		if d := hexAt(2, 8); d != "" {
			return number(d, 16, 10)
		}
	case text[0] == '&':
		if i := strings.IndexByte(text[:min(len(text), escapeLongest)], ';'); i > 1 {
			if s := html.UnescapeString(text[:i+1]); s != text[:i+1] {
				return append(dst, s...), i + 1
			}
		}
	}
	return dst, 0
}
