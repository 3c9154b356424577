package inspect

import (
	"slices"
	"unicode/utf8"
)

// settle releases what can be released once the items up to end are decided.
func (s *Stream) settle(end int, last bool) Step {
	blocked := s.blockAt >= 0
	hold, keep := s.holdFrom(s.items[:end])
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
	}
	if last {
		s.items, s.waiting, s.seen, s.marks = s.items[:0], s.waiting[:0], s.seen[:0], s.marks[:0]
		s.digits.reset()
		s.nCarry, s.skipRun = 0, 0
		return step
	}
	cut := 0
	for cut < len(s.items) && s.items[cut].off < min(hold, keep) {
		cut++
	}
	s.items = s.items[:copy(s.items, s.items[cut:])]
	for i := range s.items {
		if s.items[i].off >= s.rel && s.items[i].f != skip {
			step.Held++
		}
	}
	s.forgetContexts()
	return step
}

// forgetContexts drops what is too far back for any term to come.
func (s *Stream) forgetContexts() {
	reach := s.sym - s.e.longest - s.e.window
	cut := 0
	for cut < len(s.seen) && s.seen[cut].symEnd <= reach {
		cut++
	}
	if cut > 0 {
		s.seen = s.seen[:copy(s.seen, s.seen[cut:])]
	}
}

// holdFrom gives the offset from which text must stay back after items, and
// the one from which items are needed to recognise what comes.
func (s *Stream) holdFrom(items []item) (hold, keep int) {
	if len(items) == 0 {
		return s.off, s.off
	}
	tail := &items[len(items)-1]
	hold = tail.off + int(tail.w)
	if len(items) == len(s.items) {
		hold = s.off // dropped characters included
	}
	keep = hold
	consumed := tail.sym
	if tail.f != skip {
		consumed++
	}

	// The first start whose symbols are the beginning of a pattern.
	start := len(items)
	for start > 0 && consumed-items[start-1].sym < s.e.longest {
		start--
	}
	for i := start; i < len(items); i++ {
		if items[i].f == skip || !s.e.gate.begins(items[i].f) {
			continue
		}
		node := s.e.prefixes.after(items[i:])
		if node.grows && items[i].off < keep {
			keep = items[i].off
		}
		if node.enforces {
			hold = items[i].off
			break
		}
	}

	kept := s.waiting[:0]
	for _, c := range s.waiting {
		r := &s.e.rules[c.rule]
		if c.symEnd+r.window <= consumed {
			continue // no context came
		}
		kept = append(kept, c)
		if r.action.enforces() {
			hold = min(hold, c.start)
		}
	}
	s.waiting = kept

	if off, ok := s.digits.holdFrom(s.e); ok {
		hold = min(hold, off)
	}
	return hold, keep
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
	plain := from >= s.plainFrom && s.maskTo <= from && s.replTo <= from &&
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
			if rl.action == Mask {
				s.maskTo = max(s.maskTo, m.end)
				continue
			}
			if m.start >= s.replTo { // else a replacement stands here already
				out = append(out, rl.replacement...)
			}
			s.replTo = max(s.replTo, m.end)
		}
		switch {
		case it.off < s.replTo:
			s.altered = true
		case it.off < s.maskTo:
			s.altered = true
			if it.f != skip {
				out = utf8.AppendRune(out, s.e.maskRune)
			}
		default:
			out = utf8.AppendRune(out, it.r)
		}
	}
	s.marks = s.marks[:copy(s.marks, s.marks[used:])]
	return string(out)
}
