package inspect

import (
	"math"
	"slices"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/inspect/fold"
	"github.com/fengsui/fengsui/internal/inspect/match"
)

// anchor is a text with which something begins. The automaton looks for it
// beside the terms, so that a text without one costs nothing.
type anchor struct {
	text string
	form *tailForm
}

// tailForm says how to go on behind an anchor.
type tailForm struct {
	kind  kindID
	token bool // it is a word: what stands before it must not belong to the same one
	once  bool // of several that overlap only the first counts
	// ... unless it has found nothing yet and symbols stand in between that are
	// no part of it, as tail.gap says
	restart bool
	late    bool // the hit begins later than the anchor: step says where, by tail.begin
	max     int  // symbols behind the anchor that are looked at
	long    bool // a hit may go on beyond max: it is certain by then, only its end is not
	step    func(t *tail, it *item) verdict
}

// verdict is what a form says of one symbol behind an anchor.
type verdict uint8

const (
	verdictOff  verdict = iota // does not belong: what was a hit before is one
	verdictVoid                // does not belong, and there is no hit
	verdictMore                // belongs, no hit yet
	verdictHit                 // belongs, and up to here it is a hit
	verdictSure                // belongs, and here the hit is certain, whatever its end
	verdictDone                // belongs, and here the hit ends
)

// tail is an anchor in the text and what was read behind it.
type tail struct {
	form *tailForm
	at   span // from the beginning of the hit to the symbol read last
	good span // the hit, should nothing more belong; its end is 0 if there is none
	n    int  // symbols behind the anchor
	held bool // it may still become a hit that begins at at.start
	open bool // the hit is certain and its beginning may have been released, masked
	// The rest belongs to the form.
	state, count, score, gap int
	seen, last               uint64
	text                     [plateSymbols]byte
	pair                     [surprises][2]byte // of which there are pairs
	pairs                    int
}

// begin makes the hit of a late form begin with a symbol.
func (t *tail) begin(it *item) {
	t.at.start, t.at.symStart, t.at.pos, t.held = it.off, it.sym, it.pos, true
}

// openEnd is the end of a hit of which only the beginning is known.
const openEnd = math.MaxInt

// openMost is how many symbols a hit of unknown end can have.
const openMost = 16 << 10

// inToken: what vendors make keys of.
func inToken(f rune) bool { return isAlnum(f) || f == '_' || f == '-' }

// addAnchors puts the anchors of a kind behind the terms.
func (c *compiler) addAnchors(k kindID) {
	if kindTable[k].anchors == nil {
		return
	}
	for _, a := range kindTable[k].anchors() {
		c.entries = append(c.entries, match.Entry{Text: a.text})
		c.e.entryIn = append(c.e.entryIn, nil)
		c.e.anchors = append(c.e.anchors, a)
	}
}

// openTail is called for each anchor in the text.
func (s *Stream) openTail(a *anchor, at span) {
	f := a.form
	if !s.e.looksFor(f.kind) { // any more
		return
	}
	if f.token && s.left>>(at.symEnd-at.symStart)&1 != 0 || f.once && s.goesOn(f, at) || f.late && s.beginsHere(f, at) {
		return
	}
	s.tails = append(s.tails, tail{form: f, at: at, held: !f.late})
}

// beginsHere tells whether another anchor of a form ended at the same symbol: of 真实姓名 and 姓名 one is enough, because
// the hit begins behind both.
func (s *Stream) beginsHere(f *tailForm, at span) bool {
	return slices.ContainsFunc(s.tails, func(t tail) bool { return t.form == f && t.n == 0 && t.at.symEnd == at.symEnd })
}

// goesOn tells whether an anchor belongs to a tail of its own form, or of one
// like it, that is there already. One that has found nothing yet gives way if
// the anchor does not follow at once.
func (s *Stream) goesOn(f *tailForm, at span) bool {
	for i := range s.tails {
		t := &s.tails[i]
		if t.form.kind != f.kind {
			continue
		}
		if f.restart && t.good.end == 0 && t.gap > at.symEnd-at.symStart {
			s.tails = append(s.tails[:i], s.tails[i+1:]...)
			return false
		}
		return true
	}
	return false
}

// feedTails takes the symbol behind what the tails have read.
func (s *Stream) feedTails(it *item) {
	kept := s.tails[:0]
	for i := range s.tails {
		t := s.tails[i]
		v := t.form.step(&t, it)
		if v == verdictOff || v == verdictVoid {
			if v == verdictOff || t.open {
				s.endTail(&t)
			}
			continue
		}
		t.n++
		t.at.end, t.at.symEnd, t.at.posEnd = it.off+int(it.w), it.sym+1, it.pos+1
		if v != verdictMore || t.open {
			t.good = t.at
		}
		switch {
		case v == verdictDone:
			s.endTail(&t)
			continue
		case t.open:
			if t.n >= openMost {
				s.endTail(&t)
				continue
			}
		case v == verdictSure || t.n >= t.form.max && t.form.long && t.good.end > 0:
			s.beginOpen(&t)
		case t.n >= t.form.max:
			if !t.form.long {
				s.endTail(&t)
			}
			continue
		}
		kept = append(kept, t)
	}
	s.tails = kept
}

func (s *Stream) endTails() {
	end := item{r: utf8.RuneError, f: fold.Break}
	for i := range s.tails {
		if t := &s.tails[i]; t.form.step(t, &end) == verdictOff || t.open {
			s.endTail(t)
		}
	}
	s.tails = s.tails[:0]
}

// beginOpen lets the hit be released in its disguise before its end is known.
// What blocks has no need of an end.
func (s *Stream) beginOpen(t *tail) {
	t.open, t.good = true, t.at
	for _, r := range s.e.of[t.form.kind] {
		rl := &s.e.rules[r]
		switch {
		case rl.gathering > 0 || rl.action == Block: // a rule has what has come
			s.takeFor(r, t.at)
		case rl.action.enforces():
			s.marks = append(s.marks, mark{t.at.start, openEnd, r})
		}
	}
}

func (s *Stream) endTail(t *tail) {
	switch {
	case t.good.end == 0:
	case t.open:
		for _, r := range s.e.of[t.form.kind] {
			if rl := &s.e.rules[r]; rl.gathering == 0 && rl.action != Block {
				s.hitOpen(r, t.good)
			}
		}
	default:
		s.takeKind(t.form.kind, t.good)
	}
}

// hitOpen reports a hit whose mark was set before, and gives the mark its end.
func (s *Stream) hitOpen(r int, at span) {
	n := len(s.marks)
	s.hit(r, at, found{})
	s.marks = s.marks[:n]
	for i := range s.marks {
		if m := &s.marks[i]; m.rule == r && m.start == at.start && m.end == openEnd {
			m.end = at.end
			return
		}
	}
	for i := range s.going {
		if m := s.going[i]; m.rule == r && m.start == at.start {
			s.going = append(s.going[:i], s.going[i+1:]...)
			if s.e.rules[r].action == Mask {
				s.maskTo = max(s.maskTo, at.end)
			} else {
				s.replTo = max(s.replTo, at.end)
			}
			return
		}
	}
}

// holdTails gives the offset from which text must stay back for a tail.
func (s *Stream) holdTails(hold int) int {
	for i := range s.tails {
		if t := &s.tails[i]; t.held && !t.open && s.e.holds[t.form.kind] {
			hold = min(hold, t.at.start)
		}
	}
	return hold
}

// goingOn tells whether an open hit covers what is released now.
func (s *Stream) goingOn(action Action) bool {
	for i := range s.going {
		if s.e.rules[s.going[i].rule].action == action {
			return true
		}
	}
	return false
}

// leftBehind remembers which of the symbols at the end of a chunk that was
// passed can stand in a key.
func (s *Stream) leftBehind(chunk string, symbols int) {
	if symbols < 64 {
		s.left <<= symbols
	} else {
		s.left = 0
	}
	for i, k := len(chunk), 0; i > 0 && k < 64; k++ {
		r, w := utf8.DecodeLastRuneInString(chunk[:i])
		if inToken(s.e.strict.Rune(r)) {
			s.left |= 1 << k
		}
		i -= w
	}
}
