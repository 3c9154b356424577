package inspect

import (
	"math"
	"slices"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/inspect/fold"
	"github.com/fengsui/fengsui/internal/inspect/match"
)

// maxSkipRun is how many skipped characters in a row are released; what goes
// beyond is dropped. It bounds the memory of a stream that waits for the rest
// of a term and is sent nothing but invisible characters.
const maxSkipRun = 64

// Stream inspects one text that arrives in pieces: one for each choice and
// channel of an answer. Make one with [Engine.NewStream]. Not safe for
// concurrent use.
type Stream struct {
	e *Engine

	// Where we are. off and rel are byte offsets in the original.
	off     int // decoded so far
	rel     int // released so far
	sym     int // symbols so far
	pos     int // characters so far
	cursor  match.Cursor
	why     Hold // of the last step
	skipRun int  // skipped runes since the last symbol
	blocked bool

	items  []item // what is unreleased or may be part of a hit to come
	carry  [utf8.UTFMax]byte
	nCarry int

	digits digitRun
	runs   []openRun // one for each of the engine's
	tails  []tail    // anchors that may become a hit, or are one
	left   uint64    // a bit for each symbol read last, the newest lowest: it can stand in a key
	edges  []edge    // terms that hit, should nothing adjoin them
	marks  []mark    // masks and replacements not yet released
	going  []mark    // ... of which the beginning was, and the end is not known
	maskTo int       // released masks and replacements reach to here
	replTo int

	// For rules with a condition.
	waiting  []candidate     // places of which it is open whether they hit
	seen     map[int][]sight // what conditions may ask for, by gathering
	stops    []int           // where sentences end, in symbols
	now      int             // symbols looked at
	fullStop bool            // the last symbol was a full stop
	stirred  bool            // something was seen since waiting was weighed
	weighAt  int             // symbols after which some of waiting is decided anyhow
	sweepAt  int             // symbols after which seen is swept
	answers  [maxParts]answer
	account  func(c *candidate, verdict answer) // told of each decision, with answers

	opinions []opinion // of the judges

	// What the original looks like: src holds it from byte srcOff on, and is
	// what would be released except before plainFrom.
	src       string
	srcOff    int
	plainFrom int
	altered   bool // released text differs from the original somewhere

	// Of the step that is running.
	matches []Match
	blockAt int // where the blocking hit starts, or -1
	numbers []numberHit
	symbols []uint16 // of a hit by sound
}

// item is one rune of the original.
type item struct {
	off int   // byte offset
	sym int   // symbols before it
	pos int   // characters before it
	r   rune  // as it came, U+FFFD for a byte that is not UTF-8
	f   rune  // what it is compared as, or fold.Skip
	w   uint8 // bytes in the original
}

// span is a place in the text, in bytes, in symbols and in characters.
type span struct{ start, end, symStart, symEnd, pos, posEnd int }

// found is how a term was found.
type found struct {
	gap int
	via match.Via
}

// edge is a hit that counts unless the next symbol continues the word.
type edge struct {
	span
	found
	entry int
	last  rune
	loose bool
}

type mark struct {
	start, end int
	rule       int
}

// NewStream begins a text.
func (e *Engine) NewStream() *Stream {
	s := &Stream{e: e, blockAt: -1, runs: make([]openRun, len(e.runs))}
	s.hear()
	return s
}

// Reset forgets everything; the stream begins a new text at offset 0.
func (s *Stream) Reset() {
	*s = Stream{
		e: s.e, blockAt: -1,
		items: s.items[:0], edges: s.edges[:0], waiting: s.waiting[:0], seen: s.seen, stops: s.stops[:0], marks: s.marks[:0], numbers: s.numbers[:0], symbols: s.symbols[:0],
		digits: s.digits, runs: s.runs, tails: s.tails[:0], going: s.going[:0], account: s.account, opinions: s.opinions,
	}
	clear(s.seen)
	s.resetNumbers()
	s.hear()
}

// Write takes the next piece and gives what may be released. The pieces may
// be cut anywhere, even inside a character. After a blocking hit every call
// gives nothing but Blocked.
func (s *Stream) Write(chunk string) Step {
	if len(chunk) > longChunk {
		return s.writeLong(chunk)
	}
	step := s.feed(chunk, "")
	s.src = "" // do not keep the caller's memory alive
	return step
}

// longChunk is where a chunk is taken in pieces to bound the working memory.
const longChunk = 16 << 10

func (s *Stream) writeLong(chunk string) Step {
	var all Step
	out := make([]byte, 0, len(chunk))
	for len(chunk) > 0 {
		piece := chunk[:min(len(chunk), longChunk)]
		chunk = chunk[len(piece):]
		step := s.Write(piece)
		out = append(out, step.Released...)
		all.Matches = append(all.Matches, step.Matches...)
		all.Blocked, all.Held, all.Why = step.Blocked, step.Held, step.Why
	}
	all.Released = string(out)
	return all
}

// Close decides and releases all that is held, at the end of the text or
// where no hit may reach across: end of choice, tool boundary. A later Write
// goes on behind it, offsets counting on, unless the stream was blocked.
func (s *Stream) Close() Step {
	step := s.end("")
	s.src = ""
	return step
}

// write is Write for a piece of a whole text that is at hand, or of none.
func (s *Stream) write(chunk, whole string) Step {
	if s.blocked {
		return Step{Blocked: true}
	}
	if step, ok := s.pass(chunk); ok {
		return step
	}
	if s.nCarry > 0 {
		chunk = string(s.carry[:s.nCarry]) + chunk
		s.nCarry = 0
	}
	return s.advance(chunk, whole, false)
}

func (s *Stream) close(whole string) Step {
	if s.blocked {
		return Step{Blocked: true}
	}
	tail := string(s.carry[:s.nCarry])
	s.nCarry = 0
	return s.advance(tail, whole, true)
}

func (s *Stream) advance(text, whole string, last bool) Step {
	s.src, s.srcOff = text, s.off
	if whole != "" {
		s.src, s.srcOff = whole, 0
	}
	first := len(s.items)
	s.decode(text, last)
	return s.inspect(first, last)
}

// decode appends text to the items. An incomplete character at the end is
// carried to the next call, or taken as broken if this is the last.
func (s *Stream) decode(text string, last bool) {
	for i := 0; i < len(text); {
		r, w := decodeRune(text[i:])
		if r == utf8.RuneError && w == 1 {
			if !last && !utf8.FullRuneInString(text[i:]) {
				s.nCarry = copy(s.carry[:], text[i:])
				return
			}
			s.altered, s.plainFrom = true, s.off+w
		}
		it := item{off: s.off, sym: s.sym, pos: s.pos, r: r, f: s.e.strict.Rune(r), w: uint8(w)}
		i += w
		s.off += w
		s.pos++
		if it.f != fold.Skip {
			s.skipRun = 0
			s.sym++
		} else if s.skipRun++; s.skipRun > maxSkipRun {
			s.altered, s.plainFrom = true, s.off
			continue
		}
		s.items = append(s.items, it)
	}
}

// inspect decides about the items from first on, which are new.
func (s *Stream) inspect(first int, last bool) Step {
	s.matches, s.blockAt = s.matches[:0], -1
	end := len(s.items)
	for i := first; i < len(s.items) && s.blockAt < 0; i++ {
		it := &s.items[i]
		if s.e.sentences {
			s.sentenceEnd(it)
		}
		if it.f == fold.Skip {
			continue
		}
		s.now = it.sym + 1
		if len(s.edges) > 0 {
			s.settleEdges(it)
		}
		if s.e.digits && (isDigit(it.f) || !s.digits.idle()) {
			s.numbers = s.digits.feed(s.e, it, s.numbers[:0])
			s.takeNumbers()
		}
		if s.e.tokens != 0 {
			s.feedRuns(it)
		}
		if len(s.tails) > 0 {
			s.feedTails(it)
		}
		if s.left <<= 1; inToken(it.f) {
			s.left |= 1
		}
		if s.e.lexicon.StepFolded(&s.cursor, it.r, it.f) {
			s.e.lexicon.Ends(&s.cursor, it.r, func(e match.End) bool {
				s.takeEnd(&e, i)
				return true
			})
		}
		if len(s.waiting) > 0 && (s.stirred || it.sym+1 >= s.weighAt) {
			s.weigh(it.sym + 1)
		}
		end = i + 1
	}
	if s.blockAt < 0 {
		end = len(s.items)
	}
	if last && s.blockAt < 0 {
		s.settleEdges(nil)
		s.numbers = s.digits.finish(s.e, s.numbers[:0])
		s.takeNumbers()
		s.endRuns()
		s.endTails()
		s.weigh(math.MaxInt)
	}
	return s.settle(end, last)
}

// folded gives what an item is compared as.
func (e *Engine) folded(it *item, loose bool) rune {
	if loose {
		return e.loose.Rune(it.r)
	}
	return it.f
}

func width(f rune) int {
	if f > 0xFFFF {
		return 2
	}
	return 1
}

// takeEnd is called for each entry whose last character is item i.
func (s *Stream) takeEnd(e *match.End, i int) {
	if e.Via == match.ViaRepeats {
		s.takeRepeats(e, i)
		return
	}
	k, how, run := i, found{via: e.Via}, 0
	s.symbols = s.symbols[:0]
	for need := e.Symbols; ; k-- {
		if s.items[k].f == fold.Skip {
			continue
		}
		f := s.e.folded(&s.items[k], e.Loose)
		if f == fold.Skip {
			how.gap++
			if run++; run > e.Gap {
				return
			}
			continue
		}
		run = 0
		if e.Via == match.ViaSound {
			s.symbols = fold.AppendBackwards(s.symbols, f)
		}
		if need -= width(f); need <= 0 {
			break
		}
	}
	if e.Via == match.ViaSound {
		slices.Reverse(s.symbols)
		if s.e.lexicon.Itself(e.Entry, s.symbols) {
			return
		}
	}
	s.takePlace(e, k, i, how)
}

// takeRepeats is takeEnd where characters may have been written again.
func (s *Stream) takeRepeats(e *match.End, i int) {
	t := s.e.lexicon.Trace(e.Entry, e.Gap)
	for k := i; k >= 0; k-- {
		if s.items[k].f == fold.Skip {
			continue
		}
		switch more, hit := t.Back(s.e.loose.Rune(s.items[k].r)); {
		case hit:
			s.takePlace(e, k, i, found{t.Gap, e.Via})
			return
		case !more:
			return
		}
	}
}

// takePlace is called for each entry that stands from item k to i.
func (s *Stream) takePlace(e *match.End, k, i int, how found) {
	at := s.spanOf(k, i)
	if !e.Word {
		s.takeEntry(e.Entry, at, how)
		return
	}
	for k--; k >= 0; k-- {
		if s.items[k].f != fold.Skip {
			if match.Adjoin(e.First, s.e.folded(&s.items[k], e.Loose)) {
				return
			}
			break
		}
	}
	s.edges = append(s.edges, edge{at, how, e.Entry, e.Last, e.Loose})
}

// settleEdges decides the words that wait for the next symbol, or for the end
// of the text if there is none.
func (s *Stream) settleEdges(next *item) {
	for i := range s.edges {
		e := &s.edges[i]
		if next == nil || !match.Adjoin(e.last, s.e.folded(next, e.loose)) {
			s.takeEntry(e.entry, e.span, e.found)
		}
	}
	s.edges = s.edges[:0]
}

func (s *Stream) spanOf(first, last int) span {
	a, b := &s.items[first], &s.items[last]
	return span{a.off, b.off + int(b.w), a.sym, b.sym + 1, a.pos, b.pos + 1}
}

func (s *Stream) takeNumbers() {
	for _, n := range s.numbers {
		s.takeKind(n.kind, n.span)
	}
}

// resetNumbers forgets all that is not yet a hit.
func (s *Stream) resetNumbers() {
	s.digits.reset()
	for i := range s.runs {
		s.runs[i].reset()
	}
	s.tails, s.going, s.left = s.tails[:0], s.going[:0], 0
}

// takeEntry is called for each entry that stands in the text, in the order in
// which that becomes certain.
func (s *Stream) takeEntry(entry int, at span, how found) {
	if entry < s.e.terms {
		s.begin(entry, at, how)
		for _, g := range s.e.termIn[entry] {
			s.see(g, at, how)
		}
		return
	}
	if a := entry - s.e.terms; a < len(s.e.anchors) {
		s.openTail(&s.e.anchors[a], at)
		return
	}
	for _, g := range s.e.entryIn[entry-s.e.terms] {
		s.see(g, at, how)
	}
}

func (s *Stream) hit(r int, at span, how found) {
	rl := &s.e.rules[r]
	s.matches = append(s.matches, Match{
		RuleID: rl.id, Kind: rl.kind, Action: rl.action, Risk: rl.risk, Topic: rl.topic,
		Start: at.start, End: at.end, Runes: at.symEnd - at.symStart,
		FirstRune: at.pos, EndRune: at.posEnd, Gap: how.gap, Via: how.via,
	})
	switch rl.action {
	case Mask, Replace:
		m := mark{at.start, at.end, r}
		if n := at.symEnd - at.symStart; rl.first > 0 && n > rl.first+rl.last {
			m.start, m.end = s.offset(at.symStart+rl.first), s.offset(at.symEnd-rl.last)
		}
		s.marks = append(s.marks, m)
	case Block:
		if s.blockAt < 0 || at.start < s.blockAt {
			s.blockAt = at.start
		}
	}
}

// offset gives where a symbol begins that is still held.
func (s *Stream) offset(sym int) int {
	for i := range s.items {
		if it := &s.items[i]; it.sym == sym && it.f != fold.Skip {
			return it.off
		}
	}
	return s.off
}
