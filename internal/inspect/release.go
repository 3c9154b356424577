package inspect

import (
	"slices"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/inspect/fold"
	"github.com/fengsui/fengsui/internal/inspect/match"
)

// settle releases what can be released once the items up to end are decided.
func (s *Stream) settle(end int, last bool) Step {
	blocked := s.blockAt >= 0
	hold, keep, why := s.holdFrom(s.items[:end])
	if last && !blocked {
		hold, keep = s.off, s.off
	}
	if blocked {
		hold = min(hold, s.blockAt)
	}
	step := Step{Released: s.release(hold), Matches: s.matches, Blocked: blocked}
	s.matches = nil
	if blocked {
		s.blocked, s.altered = true, true
		last = true
		for i := 0; i < len(s.waiting) && s.account != nil; i++ {
			s.ask(&s.waiting[i], s.now)
			s.account(&s.waiting[i], open)
		}
	}
	if last {
		s.items, s.edges, s.waiting, s.marks, s.stops = s.items[:0], s.edges[:0], s.waiting[:0], s.marks[:0], s.stops[:0]
		clear(s.seen)
		s.fullStop = false
		s.cursor = match.Cursor{}
		s.resetNumbers()
		s.nCarry, s.skipRun = 0, 0
		return step
	}
	cut := 0
	for cut < len(s.items) && s.items[cut].off < min(hold, keep) {
		cut++
	}
	s.items = s.items[:copy(s.items, s.items[cut:])]
	for i := range s.items {
		if s.items[i].off >= s.rel && s.items[i].f != fold.Skip {
			step.Held, step.Why = step.Held+1, why
		}
	}
	s.why = step.Why
	return step
}

// holdFrom gives the offset from which text must stay back after items, and
// the one from which items are needed to recognise what comes.
func (s *Stream) holdFrom(items []item) (hold, keep int, why Hold) {
	if len(items) == 0 {
		return s.off, s.off, HoldNone
	}
	from := func(off int, what Hold) {
		if off < hold {
			hold, why = off, what
		}
	}
	tail := &items[len(items)-1]
	hold = tail.off + int(tail.w)
	if len(items) == len(s.items) {
		hold = s.off // dropped characters included
	}
	keep = hold

	lexicon := s.e.lexicon
	keep = min(keep, s.back(items, lexicon.Grow(&s.cursor), lexicon.Words(), hold))
	from(s.back(items, s.e.held(&s.cursor), false, hold), HoldTerm)
	for i := range s.edges {
		keep = min(keep, s.edges[i].start)
		if e := &s.edges[i]; s.e.enforces(e.entry) {
			from(e.start, HoldWord)
		}
	}

	for i := range s.waiting {
		if c := &s.waiting[i]; s.e.rules[c.rule].action.enforces() {
			from(c.start, HoldContext)
		}
	}

	if off, ok := s.digits.holdFrom(s.e); ok {
		from(off, HoldNumber)
	}
	from(s.holdTails(s.holdRuns(hold)), HoldToken)
	return hold, keep, why
}

// held is what of the text must stay back for terms that began.
func (e *Engine) held(c *match.Cursor) match.Reach {
	r := e.lexicon.Hold(c)
	if r.Strict < e.holdFrom {
		r.Strict = 0
	}
	if r.Loose < e.holdFrom {
		r.Loose = 0
	}
	if r.Kinds < e.holdFrom {
		r.Kinds = 0
	}
	return r
}

// enforces tells whether a place of an entry may change what is released.
func (e *Engine) enforces(entry int) bool {
	if entry < e.terms {
		return e.rules[entry].action.enforces() && !e.off[entry] || e.enforced(e.termIn[entry])
	}
	return e.enforced(e.entryIn[entry-e.terms])
}

func (e *Engine) enforced(gatherings []int) bool {
	for _, g := range gatherings {
		for _, r := range e.gatherings[g].begins {
			if e.rules[r].action.enforces() && !e.off[r] {
				return true
			}
		}
	}
	return false
}

// back gives the offset of the first of so many symbols at the end of items,
// and with more that of the one before; none if there is nothing to go back.
func (s *Stream) back(items []item, reach match.Reach, more bool, none int) int {
	off := none
	if more {
		reach = s.e.oneMore(reach)
	}
	for i := len(items) - 1; i >= 0 && (reach.Strict > 0 || reach.Loose > 0); i-- {
		it := &items[i]
		if it.f == fold.Skip {
			continue
		}
		if reach.Strict > 0 {
			off = it.off
			reach.Strict -= width(it.f)
		}
		if reach.Loose > 0 {
			if f := s.e.loose.Rune(it.r); f != fold.Skip {
				off = it.off
				reach.Loose -= width(f)
			}
		}
	}
	if reach.Kinds > 0 {
		off = min(off, s.backKinds("", items, reach, none))
	}
	return off
}

// oneMore adds the symbol before, which a word has to know.
func (e *Engine) oneMore(r match.Reach) match.Reach {
	if r.Strict++; e.lexicon.Loosely() {
		r.Loose++
	}
	if r.Kinds > 0 {
		r.Kinds++
	}
	return r
}

// backKinds is back for Reach.Kinds, through a chunk that is not among the items
// yet and then through these.
func (s *Stream) backKinds(chunk string, items []item, reach match.Reach, none int) int {
	k, off := s.e.lexicon.Kinds(reach), none
	for i := len(chunk); i > 0 && k.Open(); {
		r, w := utf8.DecodeLastRuneInString(chunk[:i])
		i -= w
		if k.Back(s.e.loose.Rune(r)) {
			off = s.off - len(chunk) + i
		}
	}
	for i := len(items) - 1; i >= 0 && k.Open(); i-- {
		if it := &items[i]; it.f != fold.Skip && k.Back(s.e.loose.Rune(it.r)) {
			off = it.off
		}
	}
	return off
}

// before orders marks as they are released: by start, the longest first.
func before(a, b mark) int {
	switch {
	case a.start != b.start:
		return a.start - b.start
	case a.end != b.end:
		return b.end - a.end
	}
	return a.rule - b.rule
}

// release gives the text up to offset hold as it may go out.
func (s *Stream) release(hold int) string {
	from := s.rel
	if hold <= from {
		return ""
	}
	s.rel = hold
	if len(s.marks) > 1 {
		slices.SortFunc(s.marks, before)
	}
	plain := from >= s.plainFrom && len(s.going) == 0 && s.maskTo <= from && s.replTo <= from &&
		(len(s.marks) == 0 || s.marks[0].start >= hold)
	if plain && from >= s.srcOff && hold-s.srcOff <= len(s.src) {
		return s.src[from-s.srcOff : hold-s.srcOff]
	}
	out := make([]byte, 0, hold-from+16)
	used := 0
	for i := range s.items {
		it := &s.items[i]
		if it.off < from {
			continue
		}
		if it.off >= hold {
			break
		}
		for ; used < len(s.marks) && s.marks[used].start <= it.off; used++ {
			m := &s.marks[used]
			rl := &s.e.rules[m.rule]
			if rl.action == Replace && m.start >= s.replTo && !s.goingOn(Replace) { // else a replacement stands here already
				out = append(out, rl.replacement...)
			}
			switch {
			case m.end == openEnd:
				s.going = append(s.going, *m)
			case rl.action == Mask:
				s.maskTo = max(s.maskTo, m.end)
			default:
				s.replTo = max(s.replTo, m.end)
			}
		}
		switch {
		case it.off < s.replTo || s.goingOn(Replace):
			s.altered = true
		case it.off < s.maskTo || s.goingOn(Mask):
			s.altered = true
			if it.f != fold.Skip {
				out = utf8.AppendRune(out, s.e.maskRune)
			}
		default:
			out = utf8.AppendRune(out, it.r)
		}
	}
	s.marks = s.marks[:copy(s.marks, s.marks[used:])]
	return string(out)
}
