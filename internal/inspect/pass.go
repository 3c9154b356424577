package inspect

import (
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/inspect/fold"
	"github.com/fengsui/fengsui/internal/inspect/match"
)

// pass is the way of most chunks: what is held together with the chunk has no
// hit, though its end may be the beginning of one. The chunk then leaves
// without a copy unless something was held. pass leaves to the long way what
// is rare: hits, skipped and broken characters, numbers that could be longer
// than a date or a price. It changes nothing unless it answers ok.
func (s *Stream) pass(chunk string) (step Step, ok bool) {
	if s.nCarry > 0 || s.fullStop || len(s.waiting) > 0 || len(s.marks) > 0 || len(s.edges) > 0 ||
		s.maskTo > s.rel || s.replTo > s.rel || !s.digits.idle() || len(s.tails) > 0 || !s.runsEnd(chunk) {
		return Step{}, false
	}
	held := 0 // items not yet released; they are the last ones
	for i := range s.items {
		if s.items[i].f == fold.Skip {
			return Step{}, false
		}
		if s.items[i].off >= s.rel {
			held++
		}
	}
	if chunk == "" {
		return Step{Held: held, Why: s.why}, true
	}
	e := s.e
	cursor := s.cursor
	digits, sep, n := 0, false, 0
	var token tokenRun
	run, runSym := -1, 0 // where the open run begins, in bytes and symbols
	for i := 0; i < len(chunk); {
		r, w := rune(chunk[i]), 1
		if r >= utf8.RuneSelf {
			if r, w = decodeRune(chunk[i:]); r == utf8.RuneError && w == 1 {
				return Step{}, false
			}
		}
		f := e.strict.Rune(r)
		if f == fold.Skip || e.sentences && (f == '.' || breaksLine(r) || isStop(f)) {
			return Step{}, false
		}
		if e.digits {
			switch {
			case f > 0x2212 || f > '9' && f < 0xA0: // no digit and no separator
				digits = 0
			case isDigit(f):
				if digits++; digits >= e.fewest {
					return Step{}, false
				}
				sep = false
			case digits > 0 && !sep && isSeparator(f):
				sep = true
			default:
				digits = 0
			}
		}
		if e.tokens != 0 {
			switch {
			case classOf(f)&e.tokens == 0:
				run = -1
			case run < 0:
				run, runSym, token = i, n, tokenRun{}
				fallthrough
			default:
				if !e.plain(&token, f) {
					return Step{}, false
				}
			}
		}
		if e.lexicon.StepFolded(&cursor, r, f) {
			return Step{}, false
		}
		n++
		i += w
	}
	if digits > 0 {
		return Step{}, false
	}
	if e.tokens != 0 {
		s.passRuns(chunk, run, runSym)
	}
	if len(e.anchors) > 0 {
		s.leftBehind(chunk, n)
	}
	s.cursor = cursor
	return s.commit(chunk, held, n), true
}

// decodeRune is utf8.DecodeRuneInString with a short way for the three-byte
// characters that Chinese text is made of. text is not empty.
func decodeRune(text string) (rune, int) {
	if len(text) >= 3 && text[0]&0xF0 == 0xE0 && text[1]&0xC0 == 0x80 && text[2]&0xC0 == 0x80 {
		r := rune(text[0]&0x0F)<<12 | rune(text[1]&0x3F)<<6 | rune(text[2]&0x3F)
		if r >= 0x800 && (r < 0xD800 || r > 0xDFFF) {
			return r, 3
		}
	}
	return utf8.DecodeRuneInString(text)
}

// commit makes the step that pass found possible; n is the number of characters
// in the chunk, all of which count as symbols.
func (s *Stream) commit(chunk string, held, n int) Step {
	from, start := s.off, s.rel
	s.off += len(chunk)
	s.sym += n
	s.pos += n
	s.skipRun = 0
	lexicon := s.e.lexicon
	grow, hold := lexicon.Grow(&s.cursor), s.e.held(&s.cursor)
	keepAt := s.backIn(chunk, grow, lexicon.Words())
	holdAt := s.backIn(chunk, hold, false)
	runAt := s.holdRuns(holdAt)
	s.rel = max(s.rel, runAt)
	step := Step{}
	switch {
	case held == 0 && s.rel > from:
		step.Released = chunk[:s.rel-from]
	case s.rel > start:
		// All that is held in pass is plain, so bytes can be counted.
		buf := make([]byte, 0, s.rel-start+utf8.UTFMax)
		for i := len(s.items) - held; i < len(s.items); i++ {
			if s.items[i].off < s.rel {
				buf = utf8.AppendRune(buf, s.items[i].r)
			}
		}
		if s.rel > from {
			buf = append(buf, chunk[:s.rel-from]...)
		}
		step.Released = string(buf)
	}
	keep := min(keepAt, s.rel)
	cut := 0
	for cut < len(s.items) && s.items[cut].off < keep {
		cut++
	}
	s.items = s.items[:copy(s.items, s.items[cut:])]
	if keep < s.off {
		rest := chunk[max(0, keep-from):]
		back, off := utf8.RuneCountInString(rest), s.off-len(rest)
		for _, r := range rest {
			w := utf8.RuneLen(r)
			s.items = append(s.items, item{off: off, sym: s.sym - back, pos: s.pos - back, r: r, f: s.e.strict.Rune(r), w: uint8(w)})
			back--
			off += w
		}
	}
	for i := len(s.items) - 1; i >= 0 && s.items[i].off >= s.rel; i-- {
		step.Held++
	}
	switch {
	case step.Held == 0:
	case runAt < holdAt:
		step.Why = HoldToken
	default:
		step.Why = HoldTerm
	}
	s.why = step.Why
	return step
}

// backIn is back for a chunk that is not among the items yet.
func (s *Stream) backIn(chunk string, reach match.Reach, more bool) int {
	off := s.off
	if more {
		reach = s.e.oneMore(reach)
	}
	for i := len(chunk); i > 0 && (reach.Strict > 0 || reach.Loose > 0); {
		r, w := utf8.DecodeLastRuneInString(chunk[:i])
		i -= w
		if reach.Strict > 0 {
			off = s.off - len(chunk) + i
			reach.Strict -= width(s.e.strict.Rune(r))
		}
		if reach.Loose > 0 {
			if f := s.e.loose.Rune(r); f != fold.Skip {
				off = s.off - len(chunk) + i
				reach.Loose -= width(f)
			}
		}
	}
	if reach.Strict > 0 || reach.Loose > 0 {
		off = s.back(s.items, match.Reach{Strict: reach.Strict, Loose: reach.Loose}, false, off)
	}
	if reach.Kinds > 0 {
		off = min(off, s.backKinds(chunk, s.items, reach, off))
	}
	return off
}
