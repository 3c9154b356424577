package match

import "github.com/fengsui/fengsui/internal/inspect/fold"

// Cursor is where the automaton stands in a text that arrives in pieces. It is
// a few bytes and can be copied; the zero value is the beginning of a text.
type Cursor struct {
	state [readings]int32
	gap   int32 // separators since the last symbol of the loose table
	// Of the loose reading where characters may be written again, see repeats.go.
	again  int32 // state, the same as the other until one is
	passed int32 // separators and characters written again since the first of its kind
	kind   rune  // what was read last
}

// Step reads one character and tells whether a pattern ends with it, see
// [Lexicon.Ends].
func (l *Lexicon) Step(c *Cursor, r rune) bool { return l.StepFolded(c, r, l.strict.Rune(r)) }

// StepFolded is Step for a caller who knows what the strict table makes of r.
func (l *Lexicon) StepFolded(c *Cursor, r, f rune) bool {
	if f == fold.Skip {
		return false
	}
	ends := false
	if m := &l.read[strict].machine; len(m.nodes) > 0 {
		ends = m.step(&c.state[strict], f)
	}
	if len(l.read[loose].pats)+len(l.read[sound].pats) > 0 {
		ends = l.stepLoose(c, r) || ends
	}
	return ends
}

func (l *Lexicon) stepLoose(c *Cursor, r rune) (ends bool) {
	f := l.loose.Rune(r)
	if f == fold.Skip {
		if c.gap++; c.gap > l.widest {
			c.state[loose], c.state[sound] = 0, 0
		}
		if l.repeats.kinds > 0 {
			l.skipAgain(c)
		}
		return false
	}
	c.gap = 0
	if len(l.read[loose].pats) > 0 {
		was := c.state[loose]
		ends = l.read[loose].machine.step(&c.state[loose], f)
		switch {
		case l.repeats.kinds == 0:
		case f != c.kind && c.again == was:
			c.again, c.kind, c.passed = c.state[loose], f, 0
		default:
			ends = l.stepAgain(c, f) || ends
		}
	}
	if len(l.read[sound].pats) > 0 {
		if f <= 0xFFFF {
			f = rune(fold.Syllables().Of[f])
		}
		ends = l.read[sound].machine.step(&c.state[sound], f) || ends
	}
	return ends
}

// step follows one folded character and tells whether a pattern ends with it.
func (m *machine) step(state *int32, f rune) bool {
	if f <= 0xFFFF && m.near(*state, uint16(f)) {
		*state = m.child(uint16(f))
		return m.single && m.endsAt(*state)
	}
	s := *state
	if f <= 0xFFFF {
		s = m.deep(s, uint16(f))
	} else {
		a, b := fold.Pair(f)
		s = m.next(m.next(s, a), b)
	}
	*state = s
	return m.endsAt(s)
}

// End is an entry whose last character has been read. Whether it is a hit
// depends on what stands between and beside its characters: Gap and Word are
// for the caller, who knows the text.
type End struct {
	Entry       int
	Via         Via
	Symbols     int  // of the table named by Loose, back from the last character; [ViaRepeats] goes by [Lexicon.Trace]
	Loose       bool // symbols of the loose table; else of the strict one
	Gap         int  // how many separators at most may stand in a row
	Word        bool // First and Last must not adjoin their neighbours, see [Adjoin]
	First, Last rune
}

// Ends calls yield for each entry that ends with the character read last,
// until yield says no. It is to be called after a Step that said yes.
func (l *Lexicon) Ends(c *Cursor, r rune, yield func(End) bool) {
	for k := range l.read {
		read := &l.read[k]
		if len(read.pats) == 0 || k != strict && l.loose.Rune(r) == fold.Skip {
			continue // a separator: what ended before it was told then
		}
		if !read.ends(c.state[k], k, false, yield) {
			return
		}
		if k == loose && c.again != c.state[k] && !read.ends(c.again, k, true, yield) {
			return
		}
	}
}

func (read *reading) ends(state int32, k int, again bool, yield func(End) bool) (more bool) {
	for p := read.machine.outs[state] - 1; p >= 0; p = read.pats[p].next {
		pat := &read.pats[p]
		e := End{
			Symbols: int(pat.n), Loose: k != strict,
			First: rune(read.symbols[pat.from]), Last: rune(read.symbols[pat.from+uint32(pat.n)-1]),
		}
		for _, ref := range read.refs[pat.refs : pat.refs+uint32(pat.nrefs)] {
			if again && !ref.again || !again && ref.via == ViaRepeats {
				continue
			}
			e.Entry, e.Via, e.Gap, e.Word = int(ref.entry), ref.via, int(ref.gap), ref.word
			if again {
				e.Via = ViaRepeats
			}
			if !yield(e) {
				return false
			}
		}
	}
	return true
}

// Itself tells whether symbols of the loose table are the text of an entry
// that goes by sound. A hit [ViaSound] of which it says yes is one of ViaText.
func (l *Lexicon) Itself(entry int, symbols []uint16) bool {
	want := l.kept(int32(entry))
	if len(want) != len(symbols) {
		return false
	}
	for i, c := range symbols {
		if c != want[i] {
			return false
		}
	}
	return true
}

// Reach says how many symbols of what was read last may be the beginning of
// something, by the strict and by the loose table.
// Kinds counts by the loose one too, but not what is written again, see [Lexicon.Kinds].
type Reach struct{ Strict, Loose, Kinds int }

// Grow is what has to be remembered: the longest end of the text that some
// entry begins with.
func (l *Lexicon) Grow(c *Cursor) Reach {
	return Reach{
		l.read[strict].grow(c.state[strict]), max(l.read[loose].grow(c.state[loose]), l.read[sound].grow(c.state[sound])),
		l.kindsBack(c, (*reading).grow),
	}
}

// Hold is what must not be released yet: the longest end of the text that an
// entry with Hold begins with.
func (l *Lexicon) Hold(c *Cursor) Reach {
	return Reach{
		l.read[strict].hold(c.state[strict]), max(l.read[loose].hold(c.state[loose]), l.read[sound].hold(c.state[sound])),
		l.kindsBack(c, (*reading).hold),
	}
}

func (r *reading) grow(state int32) int {
	if len(r.pats) == 0 {
		return 0
	}
	return int(r.machine.nodes[state].grow)
}

func (r *reading) hold(state int32) int {
	if len(r.pats) == 0 {
		return 0
	}
	return int(r.machine.nodes[state].hold)
}
