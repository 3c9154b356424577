package inspect

import (
	"slices"
	"unicode/utf8"
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
	skipRun int // skipped runes since the last symbol
	blocked bool

	items  []item // what is unreleased or may be part of a hit to come
	carry  [utf8.UTFMax]byte
	nCarry int

	digits  digitRun
	waiting []candidate   // terms that hit, should a context follow
	seen    []contextSeen // contexts, for terms to come
	marks   []mark        // masks and replacements not yet released
	maskTo  int           // released masks and replacements reach to here
	replTo  int

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
}

// item is one rune of the original.
type item struct {
	off int   // byte offset
	sym int   // symbols before it
	r   rune  // as it came, U+FFFD for a byte that is not UTF-8
	f   rune  // its symbol, or skip
	w   uint8 // bytes in the original
}

// span is a place in the text, in bytes and in symbols.
type span struct{ start, end, symStart, symEnd int }

type candidate struct {
	span
	rule int
}

type contextSeen struct {
	symStart, symEnd int
	pattern          int
}

type mark struct {
	start, end int
	rule       int
}

// scratch is working memory that lives for one call only.
type scratch struct {
	text  []byte  // folded symbols
	where []int32 // item of each byte of text
	found []occurrence
}

// NewStream begins a text.
func (e *Engine) NewStream() *Stream { return &Stream{e: e, blockAt: -1} }

// Reset forgets everything; the stream begins a new text at offset 0.
func (s *Stream) Reset() {
	*s = Stream{
		e: s.e, blockAt: -1,
		items: s.items[:0], waiting: s.waiting[:0], seen: s.seen[:0], marks: s.marks[:0], numbers: s.numbers[:0],
		digits: s.digits,
	}
	s.digits.reset()
}

// Write takes the next piece and gives what may be released. The pieces may
// be cut anywhere, even inside a character. After a blocking hit every call
// gives nothing but Blocked.
func (s *Stream) Write(chunk string) Step {
	if len(chunk) > longChunk {
		return s.writeLong(chunk)
	}
	step := s.write(chunk, "")
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
		all.Blocked, all.Held = step.Blocked, step.Held
	}
	all.Released = string(out)
	return all
}

// Close decides and releases all that is held, at the end of the text or
// where no hit may reach across: end of choice, tool boundary. A later Write
// goes on behind it, offsets counting on, unless the stream was blocked.
func (s *Stream) Close() Step {
	step := s.close("")
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
		it := item{off: s.off, sym: s.sym, r: r, f: fold(r), w: uint8(w)}
		i += w
		s.off += w
		if it.f != skip {
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
	sc, _ := s.e.scratch.Get().(*scratch)
	if sc == nil {
		sc = new(scratch)
	}
	defer s.e.scratch.Put(sc)
	s.matches, s.blockAt = nil, -1

	var found []occurrence
	if first < len(s.items) {
		found = s.find(sc, first)
	}
	end := len(s.items)
	for i := first; i < len(s.items) && s.blockAt < 0; i++ {
		it := &s.items[i]
		if it.f == skip {
			continue
		}
		if s.e.digits && (isDigit(it.f) || !s.digits.idle()) {
			s.numbers = s.digits.feed(s.e, it, s.numbers[:0])
			s.takeNumbers()
		}
		for len(found) > 0 && int(sc.where[found[0].end-1]) == i {
			s.takePattern(found[0].pattern, s.spanOf(int(sc.where[found[0].start]), i))
			found = found[1:]
		}
		end = i + 1
	}
	if s.blockAt < 0 {
		end = len(s.items)
	}
	if last && s.blockAt < 0 {
		s.numbers = s.digits.finish(s.e, s.numbers[:0])
		s.takeNumbers()
	}
	return s.settle(end, last)
}

// find runs the matcher over the part of the items that the gate points out
// and gives what ends at item first or later: earlier steps took the rest.
func (s *Stream) find(sc *scratch, first int) []occurrence {
	if s.e.matcher == nil {
		return nil
	}
	from, to, prev, prevAt := -1, 0, rune(0), -1
	for i := range s.items {
		f := s.items[i].f
		if f == skip {
			continue
		}
		if prevAt >= 0 && s.e.gate.beginsPair(prev, f) {
			if from < 0 {
				from = prevAt
			}
			to = s.items[prevAt].sym + s.e.longest
		}
		if s.e.gate.isSingle(f) {
			if from < 0 {
				from = i
			}
			to = max(to, s.items[i].sym+1)
		}
		prev, prevAt = f, i
	}
	if from < 0 {
		return nil
	}
	sc.text, sc.where = sc.text[:0], sc.where[:0]
	for i := from; i < len(s.items) && s.items[i].sym < to; i++ {
		if s.items[i].f == skip {
			continue
		}
		sc.text = utf8.AppendRune(sc.text, s.items[i].f)
		for len(sc.where) < len(sc.text) {
			sc.where = append(sc.where, int32(i))
		}
	}
	sc.found = s.e.matcher.find(sc.found[:0], sc.text)
	found := sc.found
	for len(found) > 0 && int(sc.where[found[0].end-1]) < first {
		found = found[1:]
	}
	return found
}

func (s *Stream) spanOf(first, last int) span {
	a, b := &s.items[first], &s.items[last]
	return span{a.off, b.off + int(b.w), a.sym, b.sym + 1}
}

func (s *Stream) takeNumbers() {
	for _, n := range s.numbers {
		rules := s.e.cardRules
		if n.kind == KindCNID {
			rules = s.e.idRules
		}
		for _, r := range rules {
			s.hit(r, n.span)
		}
	}
}

// takePattern is called for each pattern in order of its end.
func (s *Stream) takePattern(p int, at span) {
	pat := &s.e.patterns[p]
	for _, r := range pat.terms {
		switch {
		case s.e.rules[r].window == 0 || s.contextBefore(r, at):
			s.hit(r, at)
		default:
			s.waiting = append(s.waiting, candidate{at, r})
		}
	}
	if len(pat.contextOf) == 0 {
		return
	}
	s.seen = append(s.seen, contextSeen{at.symStart, at.symEnd, p})
	kept := s.waiting[:0]
	for _, c := range s.waiting {
		if at.symEnd > c.symEnd+s.e.rules[c.rule].window {
			continue // too late for it, and so is all that follows
		}
		if at.symStart >= c.symEnd && slices.Contains(pat.contextOf, c.rule) {
			s.hit(c.rule, c.span)
			continue
		}
		kept = append(kept, c)
	}
	s.waiting = kept
}

func (s *Stream) contextBefore(r int, at span) bool {
	for i := len(s.seen) - 1; i >= 0; i-- {
		c := s.seen[i]
		if c.symEnd <= at.symStart-s.e.window {
			return false // contexts are kept in order of their end
		}
		if c.symEnd <= at.symStart && c.symStart >= at.symStart-s.e.rules[r].window &&
			slices.Contains(s.e.patterns[c.pattern].contextOf, r) {
			return true
		}
	}
	return false
}

func (s *Stream) hit(r int, at span) {
	rl := &s.e.rules[r]
	s.matches = append(s.matches, Match{
		RuleID: rl.id, Kind: rl.kind, Action: rl.action, Risk: rl.risk, Topic: rl.topic,
		Start: at.start, End: at.end, Runes: at.symEnd - at.symStart,
	})
	switch rl.action {
	case Mask, Replace:
		s.marks = append(s.marks, mark{at.start, at.end, r})
	case Block:
		if s.blockAt < 0 || at.start < s.blockAt {
			s.blockAt = at.start
		}
	}
}
