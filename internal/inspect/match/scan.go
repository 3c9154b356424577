package match

import (
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/inspect/fold"
)

// Hit is one place where an entry stands.
type Hit struct {
	Entry      int
	Start, End int // bytes of the text
	Gap        int // separators inside; 0 is the entry as it is written
	Via        Via
}

const (
	blockSymbols = 1 << 12 // looked at in one go: what fits into the first cache
	pieceBytes   = 1 << 8  // folded in one go: what is read again where a hit is
	lead         = 3       // symbols before the first of a text, all zero
	maxPlaces    = 1 << 13 // more than a block has, and a power of two
)

// block is a part of a text in symbols, and where they come from.
type block struct {
	text    string
	table   *fold.Table
	symbols [lead + blockSymbols + pieceBytes + 2]uint16
	sounds  [lead + blockSymbols + pieceBytes + 2]uint16
	places  [maxPlaces]uint16
	ends    [lead + blockSymbols + pieceBytes + 2]int32 // state with which a pattern ends at each symbol, or 0
	kept    int32                                       // what was read ahead, so that it is
	n       int
	// A piece begins at byte off with symbol sym.
	off []int
	sym []int32
	odd bool // something of the text was left out or is equal to nothing
	// Where the last hit began and ended: the next one is seldom far.
	last [2]spot
}

// spot is a symbol, and the byte at which to look for it.
type spot struct{ symbol, at int }

var blocks = sync.Pool{New: func() any { return new(block) }}

// Scan appends every hit in text to dst, overlapping ones included, ordered by
// Start, End, Entry and Via. It allocates only what dst needs to grow.
func (l *Lexicon) Scan(dst []Hit, text string) []Hit { return l.scan(dst, text, false) }

// scan can be told to leave the gate aside, which must change nothing.
func (l *Lexicon) scan(dst []Hit, text string, plain bool) []Hit {
	b := blocks.Get().(*block)
	from := len(dst)
	if len(l.read[strict].pats) > 0 {
		dst = l.scanIn(dst, b, text, l.strict, &l.read[strict], nil, plain, nil)
	}
	if len(l.read[loose].pats)+len(l.read[sound].pats) > 0 {
		dst = l.scanIn(dst, b, text, l.loose, &l.read[loose], &l.read[sound], plain, nil)
	}
	b.text = ""
	blocks.Put(b)
	sortHits(dst[from:])
	return dst
}

// sortHits puts hits in order. As they are found they nearly are, for which
// moving each to its place is the fastest way; where it is not, it gives up.
func sortHits(hits []Hit) {
	moves := 8 * len(hits)
	for i := 1; i < len(hits); i++ {
		h, k := hits[i], i
		for ; k > 0 && h.before(&hits[k-1]); k-- {
			hits[k] = hits[k-1]
		}
		hits[k] = h
		if moves -= i - k; moves < 0 {
			slices.SortFunc(hits, func(a, b Hit) int {
				switch {
				case a.before(&b):
					return -1
				case b.before(&a):
					return 1
				}
				return 0
			})
			return
		}
	}
}

func (h *Hit) before(o *Hit) bool {
	switch {
	case h.Start != o.Start:
		return h.Start < o.Start
	case h.End != o.End:
		return h.End < o.End
	case h.Entry != o.Entry:
		return h.Entry < o.Entry
	}
	return h.Via < o.Via
}

// Quiet tells whether text is UTF-8 without a hit of the first so many entries
// and without anything that look objects to. look may be nil; it is given the
// strict symbols of the text, block by block, the last overlap of each again
// at the beginning of the next. odd tells that something was left out of them.
func (l *Lexicon) Quiet(text string, entries, overlap int, look func(symbols []uint16) bool) (quiet, odd bool) {
	b := blocks.Get().(*block)
	defer func() { b.text = ""; blocks.Put(b) }()
	var room [8]Hit
	v := &view{entries: entries, overlap: overlap, look: look}
	if l.scanIn(room[:0], b, text, l.strict, &l.read[strict], nil, false, v); v.stop {
		return false, v.odd
	}
	if len(l.read[loose].pats)+len(l.read[sound].pats) > 0 {
		odd = v.odd
		v.look = nil
		l.scanIn(room[:0], b, text, l.loose, &l.read[loose], &l.read[sound], false, v)
		v.odd = odd
	}
	return !v.stop, v.odd
}

// view is what Quiet wants to know.
type view struct {
	entries, overlap int
	look             func([]uint16) bool
	odd, stop        bool
}

// block tells whether the scan is over.
func (v *view) block(hits []Hit, symbols []uint16) bool {
	for i := range hits {
		v.stop = v.stop || hits[i].Entry < v.entries
	}
	v.stop = v.stop || v.look != nil && !v.look(symbols)
	return v.stop
}

// scanIn goes through text once by one table. A hit belongs to the block in
// which its anchor ends; what of it may stand before and behind is at hand.
func (l *Lexicon) scanIn(dst []Hit, b *block, text string, table *fold.Table, r, sounds *reading, plain bool, v *view) []Hit {
	tail := r.longest
	if v != nil {
		tail = max(tail, v.overlap)
	}
	if sounds != nil {
		tail = max(tail, sounds.longest, l.repeats.spread)
	}
	b.text, b.table, b.n, b.off, b.sym, b.odd, b.last = text, table, lead, b.off[:0], b.sym[:0], false, [2]spot{}
	clear(b.symbols[:lead])
	for at, done := 0, lead; ; {
		for b.n < lead+blockSymbols && at < len(text) {
			if k := len(b.sym) - 1; k >= 0 && int(b.sym[k]) == b.n {
				b.off[k] = at // nothing was made of the piece before
			} else {
				b.off, b.sym = append(b.off, at), append(b.sym, int32(b.n))
			}
			made, used, odd := table.Fill(b.symbols[b.n:], text[at:], pieceBytes)
			if b.odd = b.odd || odd; odd && v != nil {
				v.odd = true
			}
			b.n += made
			at += used
		}
		limit := b.n
		if at < len(text) {
			limit -= tail
		}
		if len(r.pats) > 0 {
			dst = l.find(dst, b, r, b.symbols[:b.n], done, limit, plain)
		}
		if sounds != nil && l.repeats.kinds > 0 {
			dst = l.findAgain(dst, b, b.symbols[:b.n], done, limit, plain)
		}
		if sounds != nil && len(sounds.pats) > 0 {
			of := &fold.Syllables().Of
			for i, c := range b.symbols[:b.n] {
				b.sounds[i] = of[c]
			}
			dst = l.find(dst, b, sounds, b.sounds[:b.n], done, limit, plain)
		}
		if v != nil {
			if v.block(dst, b.symbols[max(lead, done-v.overlap):b.n]) {
				return dst
			}
			dst = dst[:0]
		}
		if at == len(text) {
			return dst
		}
		done = limit - b.slide(limit-tail)
		b.last = [2]spot{}
	}
}

// slide drops whole pieces before a symbol and gives by how much it moved.
func (b *block) slide(before int) int {
	k := b.piece(before)
	by := int(b.sym[k]) - lead
	b.n = copy(b.symbols[:], b.symbols[by:b.n])
	b.off, b.sym = b.off[:copy(b.off, b.off[k:])], b.sym[:copy(b.sym, b.sym[k:])]
	for i := range b.sym {
		b.sym[i] -= int32(by)
	}
	return by
}

// piece gives the piece in which a symbol stands.
func (b *block) piece(symbol int) int {
	lo, hi := 0, len(b.sym)
	for hi-lo > 1 {
		if m := (lo + hi) / 2; int(b.sym[m]) <= symbol {
			lo = m
		} else {
			hi = m
		}
	}
	return lo
}

// find reports the patterns of a reading whose anchor ends at a place from
// done to limit of symbols s.
func (l *Lexicon) find(dst []Hit, b *block, r *reading, s []uint16, done, limit int, plain bool) []Hit {
	g := &r.gate
	if limit <= done {
		return dst
	}
	m := 0
	if g.lens&^(1<<1) != 0 && !plain {
		m, plain = g.places(b, s, done, limit)
	}
	if plain {
		return l.walk(dst, b, r, s, done, limit)
	}
	if g.single != nil {
		for i := done; i < limit; i++ {
			if c := s[i]; g.single[c>>6]>>(c&63)&1 != 0 {
				for _, p := range g.patterns(uint64(c)) {
					dst = l.take(dst, b, r, p, i)
				}
			}
		}
	}
	for _, place := range b.places[:m] {
		i := int(place)
		key := keyAt(s, i)
		for n := anchorMax; n > 1; n-- {
			// Before the text there is nothing that an anchor could hold.
			if g.lens>>n&1 == 0 || s[i+1-n] == 0 {
				continue
			}
			for _, p := range g.patterns(key << (16 * (anchorMax - n)) >> (16 * (anchorMax - n))) {
				pat := &r.pats[p]
				start := i + 1 - int(pat.anchor)
				end := start + int(pat.n)
				if start >= lead && end <= len(s) && slices.Equal(s[start:end], r.symbols[pat.from:pat.from+uint32(pat.n)]) {
					dst = l.take(dst, b, r, p, start)
				}
			}
		}
	}
	return dst
}

// lanes is how many parts of a block the automaton reads at once: while one
// waits for memory the others go on.
const lanes = 8

// walk is find by the automaton, for blocks in which the gate would have to
// look up too much.
func (l *Lexicon) walk(dst []Hit, b *block, r *reading, s []uint16, done, limit int) []Hit {
	from, to := max(lead, done-r.longest), min(len(s), limit+r.longest)
	size := (to - from + lanes - 1) / lanes
	var state [lanes]int32
	for k := -r.longest; k < size; k++ { // each begins early enough to know what may end in its part
		for lane := range lanes {
			i := from + lane*size + k
			if i < from || i >= to {
				continue
			}
			at := r.machine.deep(state[lane], s[i])
			state[lane] = at
			if k < 0 {
				continue
			}
			if r.machine.nodes[at].fail&endsHere == 0 {
				at = 0
			}
			b.ends[i] = at
		}
	}
	// One after the other, each load that has to wait for memory by itself, so that many wait at once.
	n := uint(0)
	for i, at := range b.ends[from:to] {
		b.places[n%maxPlaces] = uint16(i)
		if at != 0 {
			n++
		}
	}
	pats := b.ends[:n] // n is no more than what was read
	for k, i := range b.places[:n] {
		pats[k] = r.machine.outs[b.ends[from+int(i)]] - 1
	}
	for _, p := range pats {
		b.kept += r.refs[r.pats[p].refs].entry
	}
	for k, p := range pats {
		i := from + int(b.places[k])
		for ; p >= 0; p = r.pats[p].next {
			pat := &r.pats[p]
			start := i + 1 - int(pat.n)
			if anchor := start + int(pat.anchor) - 1; anchor >= done && anchor < limit {
				dst = l.take(dst, b, r, p, start)
			}
		}
	}
	return dst
}

// take reports what a pattern that begins at a symbol stands for, if the text
// there is as the entry asks.
func (l *Lexicon) take(dst []Hit, b *block, r *reading, p int32, symbol int) []Hit {
	pat := &r.pats[p]
	start, end, gap, widest := b.span(l, symbol, int(pat.n))
	edges := 0 // not looked at, free, adjoined
	for _, ref := range r.refs[pat.refs : pat.refs+uint32(pat.nrefs)] {
		if widest > int(ref.gap) || ref.via == ViaRepeats {
			continue
		}
		if ref.word && edges == 0 {
			edges = 1
			first, last := r.symbols[pat.from], r.symbols[pat.from+uint32(pat.n)-1]
			if Adjoin(rune(first), b.before(l, start)) || Adjoin(rune(last), b.after(l, end)) {
				edges = 2
			}
		}
		if ref.word && edges == 2 {
			continue
		}
		if ref.via == ViaSound && l.itself(b, ref.entry, start, end) {
			continue
		}
		dst = append(dst, Hit{int(ref.entry), start, end, gap, ref.via})
	}
	return dst
}

// span gives the bytes of n symbols from one on, and the separators in between:
// all of them, and the most in a row.
func (b *block) span(l *Lexicon, symbol, n int) (start, end, gap, widest int) {
	near := spot{}
	for _, l := range b.last {
		if l.symbol <= symbol && l.symbol > near.symbol {
			near = l
		}
	}
	if k := b.piece(symbol); int(b.sym[k]) >= near.symbol {
		near = spot{int(b.sym[k]), b.off[k]}
	}
	if start, end, ok := b.plain(near, symbol, n); ok {
		b.last = [2]spot{{symbol, start}, {symbol + n, end}}
		return start, end, 0, 0
	}
	at, skip := near.at, symbol-near.symbol
	for {
		r, w := decode(b.text[at:])
		f := b.table.Rune(r)
		if f != fold.Skip {
			if skip <= 0 {
				break
			}
			skip -= width(f)
		}
		at += w
	}
	start = at
	b.last[0] = spot{symbol, at}
	for run, left := 0, n; left > 0; {
		r, w := decode(b.text[at:])
		at += w
		switch f := b.table.Rune(r); {
		case f != fold.Skip:
			left -= width(f)
			run = 0
		case b.table != l.strict && l.strict.Rune(r) != fold.Skip:
			gap++
			run++
			widest = max(widest, run)
		}
	}
	b.last[1] = spot{symbol + n, at}
	return start, at, gap, widest
}

// plain is span where nothing was left out and each character is one symbol.
func (b *block) plain(near spot, symbol, n int) (start, end int, ok bool) {
	if b.odd {
		return 0, 0, false
	}
	at := near.at
	for k := near.symbol; k < symbol+n; k++ {
		if k == symbol {
			start = at
		}
		switch c := b.text[at]; {
		case c < 0x80:
			at++
		case c < 0xE0:
			at += 2
		case c < 0xF0:
			at += 3
		default:
			return 0, 0, false
		}
	}
	return start, at, true
}

// symbolsOf gives the one or two symbols of a folded character.
func symbolsOf(f rune) (a, b uint16, n int) {
	if f > 0xFFFF {
		a, b = fold.Pair(f)
		return a, b, 2
	}
	return uint16(f), 0, 1
}

// decode is utf8.DecodeRuneInString with a short way for what Chinese text is
// made of. text is not empty.
func decode(text string) (rune, int) {
	if text[0] < utf8.RuneSelf {
		return rune(text[0]), 1
	}
	if len(text) >= 3 && text[0]&0xF0 == 0xE0 && text[1]&0xC0 == 0x80 && text[2]&0xC0 == 0x80 {
		r := rune(text[0]&0x0F)<<12 | rune(text[1]&0x3F)<<6 | rune(text[2]&0x3F)
		if r >= 0x800 && r>>11 != 0xD800>>11 {
			return r, 3
		}
	}
	return utf8.DecodeRuneInString(text)
}

// width is how many symbols a folded character is.
func width(f rune) int {
	if f > 0xFFFF {
		return 2
	}
	return 1
}

// before gives what the character before a byte is compared as, or 0.
func (b *block) before(l *Lexicon, at int) rune {
	for at > 0 {
		r, w := utf8.DecodeLastRuneInString(b.text[:at])
		if l.strict.Rune(r) != fold.Skip {
			return b.table.Rune(r)
		}
		at -= w
	}
	return 0
}

func (b *block) after(l *Lexicon, at int) rune {
	for at < len(b.text) {
		r, w := utf8.DecodeRuneInString(b.text[at:])
		if l.strict.Rune(r) != fold.Skip {
			return b.table.Rune(r)
		}
		at += w
	}
	return 0
}

// Adjoin tells whether two folded characters side by side belong to one word:
// both are Latin letters or digits.
func Adjoin(a, b rune) bool { return inWord(a) && inWord(b) }

func inWord(f rune) bool {
	return 'a' <= f && f <= 'z' || '0' <= f && f <= '9' || 0xC0 <= f && f < 0x250 && f != 0xD7 && f != 0xF7
}

// itself tells whether a part of the text that sounds like an entry is that
// entry, and so was found by its text.
func (l *Lexicon) itself(b *block, entry int32, start, end int) bool {
	want := l.kept(entry)
	for _, r := range b.text[start:end] {
		f := l.loose.Rune(r)
		if f == fold.Skip {
			continue
		}
		for a, b, n := symbolsOf(f); n > 0; a, n = b, n-1 {
			if len(want) == 0 || want[0] != a {
				return false
			}
			want = want[1:]
		}
	}
	return len(want) == 0
}
