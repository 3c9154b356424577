package match

import (
	"math/bits"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/inspect/fold"
)

// Characters written again, 测测试试题 for 测试题.
//
// To the entries that ask for it a character that is written again is a
// separator: of one kind only the first counts, and up to the next kind no more
// than Gap separators and characters written again may stand. What an entry has
// twice itself must stand there at least as often: 好学习 is no 好好学习.
//
// A hit begins with the last of its first kind that the entry asks for and ends
// with the first of its last kind, so what is written again stands inside. Where
// nothing is, the entry stands there as it is. An entry of two kinds does so
// however often they are written, and is not looked for in this way.
//
// The automaton is that of the loose reading. What differs is what it is given,
// so a second state goes its own way from the first character written again
// until it meets the other. A whole text is read in this way only around such
// places, and only where the kinds before and behind stand like that in an entry.

// repeats is what the loose reading has for entries that ask for this.
type repeats struct {
	kinds  int // of the entry that has most; 0: there is none
	first  int // how often the first kind of an entry stands there at most
	spread int // symbols of the longest such hit
	middle filter
}

// filter is a Bloom filter on three kinds in a row.
type filter struct {
	words []uint64
	shift uint8 // hash to index of words
}

func newFilter(n int) filter {
	f := filter{shift: 64 - 4}
	for 1<<(64-f.shift) < n/4 {
		f.shift--
	}
	f.words = make([]uint64, 1<<(64-f.shift))
	return f
}

func (f *filter) bits(a, b, c uint16) (at, mask uint64) {
	h := (uint64(a)<<32 | uint64(b)<<16 | uint64(c)) * mix64
	h ^= h >> 29
	h *= mix64
	return h >> f.shift, 1<<(h&63) | 1<<(h>>6&63)
}

func (f *filter) has(a, b, c uint16) bool {
	at, mask := f.bits(a, b, c)
	return f.words[at]&mask == mask
}

// kindsOf appends symbols without those that are written again.
func kindsOf(dst, symbols []uint16) []uint16 {
	for i, c := range symbols {
		if i == 0 || c != symbols[i-1] {
			dst = append(dst, c)
		}
	}
	return dst
}

// addRepeats is called for each entry that asks to be found with characters
// written again. text is its loose symbols. It tells whether these themselves
// are what the automaton has to look for.
func (b *builder) addRepeats(e *Entry, text []uint16, r ref) (themselves bool) {
	kinds := kindsOf(nil, text)
	if len(kinds) < 3 {
		return false
	}
	b.lex.keep(int(r.entry), text)
	rep := &b.lex.repeats
	rep.kinds = max(rep.kinds, len(kinds))
	first := 1
	for text[first] == text[0] {
		first++
	}
	rep.first = max(rep.first, first)
	rep.spread = max(rep.spread, len(kinds)*(1+e.Gap))
	b.middles = append(b.middles, kinds...)
	b.middles = append(b.middles, 0)
	if len(kinds) == len(text) {
		return true
	}
	r.via, r.again = ViaRepeats, true
	b.put(loose, kinds, e, r)
	if last := text[len(text)-1]; last == text[len(text)-2] {
		// Found with the last kind, the entry is not over; this makes the automaton remember it.
		r.again = false
		b.put(loose, append(kinds, last), e, r)
	}
	return false
}

// finishRepeats builds the filter.
func (b *builder) finishRepeats() {
	if b.lex.repeats.kinds == 0 {
		return
	}
	f := newFilter(len(b.middles))
	for i := 2; i < len(b.middles); i++ {
		if m := b.middles[i-2 : i+1]; m[0] != 0 && m[1] != 0 && m[2] != 0 {
			at, mask := f.bits(m[0], m[1], m[2])
			f.words[at] |= mask
		}
	}
	b.lex.repeats.middle = f
}

// stepAgain follows a character in the state that leaves out what is written
// again, once that goes its own way.
func (l *Lexicon) stepAgain(c *Cursor, f rune) (ends bool) {
	m := &l.read[loose].machine
	if f != c.kind || f > 0xFFFF {
		c.kind, c.passed = f, 0
		return m.step(&c.again, f)
	}
	if c.passed++; c.passed > l.widest {
		c.again = m.next(0, uint16(f))
	}
	return m.endsAt(c.again)
}

// skipAgain is for a separator, after gap has counted it.
func (l *Lexicon) skipAgain(c *Cursor) {
	c.passed++
	switch {
	case c.gap > l.widest:
		c.again = 0
	case c.passed > l.widest && c.again != c.state[loose] && c.kind <= 0xFFFF:
		c.again = l.read[loose].machine.next(0, uint16(c.kind)) // the last of them is nearer than the first
	}
}

// kindsBack is what Reach has for characters that are written again.
func (l *Lexicon) kindsBack(c *Cursor, of func(*reading, int32) int) int {
	if rep := &l.repeats; rep.kinds == 0 || c.again == c.state[loose] && rep.first == 1 {
		return 0 // nothing is written again but in front of it
	}
	return of(&l.read[loose], c.again)
}

// Kinds counts back over the characters of the loose table for Reach.Kinds. Of
// the first kind it takes as many as an entry may have: where a stream may cut
// off what was read must not move back when more has been.
type Kinds struct {
	left   int // symbols, and one to know that the first kind is over
	first  int // what may still be taken of it
	widest int
	kind   rune
	passed int // characters since the first of the kind behind
	apart  int // separators since the last character
}

// Kinds begins to count back from the character read last.
func (l *Lexicon) Kinds(reach Reach) Kinds {
	if reach.Kinds == 0 {
		return Kinds{}
	}
	return Kinds{left: reach.Kinds + 1, first: l.repeats.first, widest: int(l.widest)}
}

// Open tells whether characters before are still part of it.
func (k *Kinds) Open() bool { return k.left > 0 }

// Back takes the character before and tells whether it is part of it, which is
// true of a separator only if something before is.
func (k *Kinds) Back(f rune) bool {
	switch {
	case f == fold.Skip:
		k.passed++
		if k.apart++; k.apart > k.widest {
			k.left = 0
		}
		return false
	case f != k.kind || f > 0xFFFF:
		k.left -= width(f)
		k.kind, k.passed = f, k.apart
	}
	if k.left == 1 {
		if k.first--; k.first < 0 || k.passed > k.widest {
			k.left = 0
		}
	}
	k.passed++
	k.apart = 0
	return k.left > 0
}

// Trace follows a hit [ViaRepeats] back from its last character.
type Trace struct {
	want     []uint16 // the entry, as far as its kinds have not been passed
	kind     rune     // the one that stands at the end of want
	asked    int      // how often it stands there
	symbols  int      // ... and in how many symbols
	met      int      // how often it was met
	passed   int      // characters since the first of the kind behind
	apart    int      // separators since the last character
	last     bool     // nothing behind
	gap      int      // allowed
	Gap      int      // separators and characters written again inside
	repeated int
}

// Trace begins before anything was given to Back.
func (l *Lexicon) Trace(entry, gap int) Trace {
	t := Trace{want: l.kept(int32(entry)), gap: gap, last: true}
	t.nextKind()
	return t
}

func (t *Trace) nextKind() {
	n := len(t.want)
	t.kind, t.asked, t.symbols, t.met = rune(t.want[n-1]), 1, 1, 0
	if n > 1 && t.want[n-1]&0xFC00 == 0xDC00 {
		t.kind, t.symbols = (rune(t.want[n-2])-0xD800)<<10+rune(t.want[n-1])-0xDC00+1<<16, 2
		return
	}
	for t.symbols < n && t.want[n-1-t.symbols] == t.want[n-1] {
		t.asked++
		t.symbols++
	}
}

// Back takes the character before, folded by the loose table. It says more until
// it is known whether the entry stands there; hit says that it does, and begins
// with this character.
func (t *Trace) Back(f rune) (more, hit bool) {
	if f == fold.Skip {
		t.Gap++
		t.passed++
		t.apart++
		return t.apart <= t.gap, false
	}
	first := t.symbols == len(t.want)
	if f != t.kind && !first && !t.last && t.met >= t.asked {
		t.want = t.want[:len(t.want)-t.symbols]
		t.passed = t.apart
		t.nextKind()
		first = t.symbols == len(t.want)
	}
	if f != t.kind || t.passed > t.gap {
		return false, false
	}
	t.apart = 0
	t.passed++
	if t.met++; t.met > t.asked {
		t.Gap++
		t.repeated++
	}
	switch {
	case t.met < t.asked:
	case first:
		return false, t.repeated > 0
	case t.last || f > 0xFFFF: // which is of a kind by itself
		t.last = false
		t.want = t.want[:len(t.want)-t.symbols]
		t.passed = 0
		t.nextKind()
	}
	return true, false
}

// findAgain reports the entries that end from done to limit of symbols s with
// characters written again. plain leaves the filter aside.
func (l *Lexicon) findAgain(dst []Hit, b *block, s []uint16, done, limit int, plain bool) []Hit {
	from := max(lead, done-l.repeats.spread)
	if plain {
		w := stroll{at: from}
		return l.stroll(dst, b, s, &w, limit, done)
	}
	w := stroll{at: from}
	for i := nextPair(s, from+1, limit); i < limit; i = nextPair(s, i, limit) {
		before, behind := i-2, i+1
		for before >= from && s[before] == s[i] {
			before--
		}
		for behind < len(s) && s[behind] == s[i] {
			behind++
		}
		if before >= from && behind < len(s) && l.repeats.middle.has(s[before], s[i], s[behind]) {
			begin := l.away(s, before, -1)
			if begin = max(begin, from); begin > w.at {
				w = stroll{at: begin}
			}
			dst = l.stroll(dst, b, s, &w, min(l.away(s, behind, 1), limit), done)
		}
		i = behind
	}
	return dst
}

// away gives the place behind which the kinds that may belong to an entry with
// the one at place i are over, in the given direction.
func (l *Lexicon) away(s []uint16, i, by int) int {
	for kinds, most := 0, l.repeats.spread; most > 0; most-- {
		next := i + by
		if next < lead || next >= len(s) {
			break
		}
		if s[next] != s[i] {
			if kinds++; kinds > l.repeats.kinds-2 {
				break
			}
		}
		i = next
	}
	if by > 0 {
		return i + 1
	}
	return i
}

// stroll is a way through a part of a block, character by character.
type stroll struct {
	at       int // next symbol
	state    int32
	repeated int // how often the last one was written again
	began    bool
}

// stroll reads up to a place and reports what ends from done on.
func (l *Lexicon) stroll(dst []Hit, b *block, s []uint16, w *stroll, to, done int) []Hit {
	r := &l.read[loose]
	for ; w.at < to; w.at++ {
		if w.began && s[w.at] == s[w.at-1] {
			if w.repeated++; w.repeated > int(l.widest) {
				continue
			}
		} else {
			w.began, w.repeated = true, 0
			w.state = r.machine.next(w.state, s[w.at])
		}
		if !r.machine.endsAt(w.state) || w.at < done {
			continue
		}
		for p := r.machine.outs[w.state] - 1; p >= 0; p = r.pats[p].next {
			pat := &r.pats[p]
			for i := range pat.nrefs {
				if ref := &r.refs[pat.refs+uint32(i)]; ref.again {
					dst = l.takeAgain(dst, b, ref, w.at)
				}
			}
		}
	}
	return dst
}

// takeAgain reports an entry that may end with a symbol, if it does.
func (l *Lexicon) takeAgain(dst []Hit, b *block, ref *ref, symbol int) []Hit {
	wide := 0
	if b.symbols[symbol]&0xFC00 == 0xDC00 {
		wide = 1
	}
	_, end, _, _ := b.span(l, symbol-wide, 1+wide)
	t := l.Trace(int(ref.entry), int(ref.gap))
	at, f := end, rune(0)
	for more, hit := true, false; !hit; {
		if at == 0 || !more {
			return dst
		}
		r, w := utf8.DecodeLastRuneInString(b.text[:at])
		at -= w
		if l.strict.Rune(r) == fold.Skip {
			continue
		}
		f = l.loose.Rune(r)
		more, hit = t.Back(f)
	}
	if own := l.kept(ref.entry); ref.word && (Adjoin(rune(own[0]), b.before(l, at)) || Adjoin(rune(own[len(own)-1]), b.after(l, end))) {
		return dst
	}
	return append(dst, Hit{int(ref.entry), at, end, t.Gap, ViaRepeats})
}

// nextPair gives the first place from i up to end whose symbol is that before
// it, or end. Sixteen places are looked at at once.
func nextPair(s []uint16, i, end int) int {
	for ; i+16 <= end; i += 16 {
		t := s[i-1 : i+16 : i+16]
		a := uint64(t[0]) | uint64(t[1])<<16 | uint64(t[2])<<32 | uint64(t[3])<<48 // one load
		b := uint64(t[4]) | uint64(t[5])<<16 | uint64(t[6])<<32 | uint64(t[7])<<48
		c := uint64(t[8]) | uint64(t[9])<<16 | uint64(t[10])<<32 | uint64(t[11])<<48
		d := uint64(t[12]) | uint64(t[13])<<16 | uint64(t[14])<<32 | uint64(t[15])<<48
		a, b, c, d = a^(a>>16|b<<48), b^(b>>16|c<<48), c^(c>>16|d<<48), d^(d>>16|uint64(t[16])<<48)
		if ((a-ones)&^a|(b-ones)&^b|(c-ones)&^c|(d-ones)&^d)&(ones<<15) == 0 {
			continue
		}
		for k, x := range [...]uint64{a, b, c, d} {
			if x = (x - ones) &^ x & (ones << 15); x != 0 { // its lowest bit tells the first of four that is 0
				return i + 4*k + bits.TrailingZeros64(x)/16
			}
		}
	}
	for ; i < end && s[i] != s[i-1]; i++ {
	}
	return i
}

const ones = 0x0001_0001_0001_0001
