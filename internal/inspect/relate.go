package inspect

import (
	"math"
	"slices"
	"sort"

	"github.com/fengsui/fengsui/internal/inspect/fold"
)

// gathering is what is looked for together: a set, a number kind, the contexts
// of a term. Rules begin with one or ask for one.
type gathering struct {
	begins []int // rules that hit where it stands, under their condition
	asked  bool  // some condition asks whether it stands somewhere
}

// numberLate is how many symbols behind a number it may take until it is
// certain; one that becomes certain later is not seen by conditions.
const numberLate = 4

// candidate is a place that hits if the condition of its rule holds.
type candidate struct {
	span
	found
	rule   int
	due    int             // symbols after which it is to be weighed again
	counts [maxParts]uint8 // what stands near, for each part; no more than is asked for
}

// sight is a place at which something of a gathering stands, in symbols.
type sight struct{ start, end int }

// see is called for each place of each member of a gathering, in the order in
// which that becomes certain.
func (s *Stream) see(g int, at span, how found) {
	if s.e.gatherings[g].asked && s.now <= at.symEnd+numberLate {
		place := sight{at.symStart, at.symEnd}
		s.remember(g, place)
		for i := range s.waiting {
			c := &s.waiting[i]
			for p := range s.e.rules[c.rule].when.parts {
				if part := &s.e.rules[c.rule].when.parts[p]; part.set == g {
					s.count(c, p, part, place)
				}
			}
		}
	}
	for _, r := range s.e.gatherings[g].begins {
		s.begin(r, at, how)
	}
}

// begin puts a hit under its condition; weigh decides it.
func (s *Stream) begin(rule int, at span, how found) {
	if s.e.off[rule] {
		return
	}
	when := s.e.rules[rule].when
	if when == nil {
		s.hit(rule, at, how)
		return
	}
	c := candidate{span: at, found: how, rule: rule}
	for p := range when.parts {
		part := &when.parts[p]
		seen := s.seen[part.set]
		for i := len(seen) - 1; i >= 0 && int(c.counts[p]) < part.count; i-- {
			if seen[i].end+numberLate <= at.symStart-part.before {
				break // what became certain before ends before, or nearly so
			}
			s.count(&c, p, part, seen[i])
		}
	}
	s.waiting = append(s.waiting, c)
	s.stirred = true
}

// count takes a place into account where it counts.
func (s *Stream) count(c *candidate, p int, part *part, place sight) {
	if int(c.counts[p]) == part.count {
		return
	}
	switch {
	case place.end <= c.symStart && place.start >= c.symStart-part.before:
		if part.sentence && s.parted(place.start+1, c.symStart+1) {
			return
		}
	case place.start >= c.symEnd && place.end <= c.symEnd+part.after:
		if part.sentence && s.parted(c.symEnd, place.end) {
			return
		}
	default:
		return
	}
	c.counts[p]++
	c.due, s.stirred = 0, true
}

// parted tells whether a sentence ends at one of the places [from, to).
func (s *Stream) parted(from, to int) bool {
	i := sort.SearchInts(s.stops, from)
	return i < len(s.stops) && s.stops[i] < to
}

// sentenceEnd is called for each symbol, and for what is skipped.
func (s *Stream) sentenceEnd(it *item) {
	switch {
	case breaksLine(it.r):
		s.stop(it.sym)
	case it.f == fold.Skip:
		return
	case isStop(it.f):
		s.stop(it.sym + 1)
	case s.fullStop && isBlank(it.f):
		s.stop(it.sym)
	}
	s.fullStop = it.f == '.' || it.f == fold.Skip && s.fullStop
}

func breaksLine(r rune) bool { return r == '\n' || r == '\u2028' || r == '\u2029' }

func isStop(f rune) bool {
	switch f {
	case '。', '!', '?', ';', '…':
		return true
	}
	return false
}

func isBlank(f rune) bool { return f == ' ' || f == '\t' || f == 0xA0 }

// stop notes that a sentence ends before the symbol with that number.
func (s *Stream) stop(at int) {
	if n := len(s.stops); n > 0 && s.stops[n-1] == at {
		return
	}
	if len(s.stops) == cap(s.stops) {
		s.stops = slices.DeleteFunc(s.stops, func(stop int) bool { return stop < s.far() })
	}
	s.stops = append(s.stops, at)
	s.stirred = true
	for i := range s.waiting {
		s.waiting[i].due = 0
	}
}

// far is the symbol before which nothing matters any more.
func (s *Stream) far() int { return s.now - s.e.memory }

func (s *Stream) remember(g int, place sight) {
	if s.seen == nil {
		s.seen = map[int][]sight{}
	}
	seen, far := s.seen[g], s.far()
	if len(seen) == cap(seen) {
		seen = slices.DeleteFunc(seen, func(p sight) bool { return p.end < far })
	}
	s.seen[g] = append(seen, place)
	if s.now < s.sweepAt {
		return
	}
	// Now and then, so that a long text with much in it does not pile up.
	s.sweepAt = s.now + 4*s.e.memory
	for g, seen := range s.seen {
		if seen[len(seen)-1].end < far {
			delete(s.seen, g)
		}
	}
}

// weigh decides what can be decided after so many symbols.
func (s *Stream) weigh(read int) {
	s.stirred, s.weighAt = false, math.MaxInt
	kept := 0
	for i := range s.waiting {
		c := &s.waiting[i]
		verdict := open
		if read >= c.due { // else nothing about it has changed
			s.ask(c, read)
			verdict = s.e.rules[c.rule].when.value(&s.answers)
		}
		if verdict == open {
			s.weighAt = min(s.weighAt, c.due)
			if kept < i {
				s.waiting[kept] = *c
			}
			kept++
			continue
		}
		if s.account != nil {
			s.account(c, verdict)
		}
		if verdict == yes {
			s.hit(c.rule, c.span, c.found)
		}
	}
	s.waiting = s.waiting[:kept]
}

// ask fills in what is known of each part of a condition, and when more will be
// without anything more to see.
func (s *Stream) ask(c *candidate, read int) {
	c.due = math.MaxInt
	when := s.e.rules[c.rule].when
	for p := range when.parts {
		part := &when.parts[p]
		if int(c.counts[p]) >= part.count {
			s.answers[p] = yes
			continue
		}
		until := c.symStart
		if part.after > 0 {
			until = c.symEnd + part.after
			if part.sentence {
				if i := sort.SearchInts(s.stops, c.symEnd); i < len(s.stops) {
					until = min(until, s.stops[i])
				}
			}
		}
		if until += part.late; read >= until {
			s.answers[p] = no
			continue
		}
		s.answers[p] = open
		c.due = min(c.due, until)
	}
}
