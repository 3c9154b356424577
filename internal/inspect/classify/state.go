package classify

import (
	"math"
	"unicode/utf8"
)

const (
	blocks = Window / Step
	even   = 0x00FF00FF00FF00FF
	most   = 257 // halves of weights that fit the sum of one lane
)

// State scores one text that arrives in pieces. It is of fixed size and
// allocates nothing. Make one with [Model.NewState].
type State struct {
	m        *Model
	features Features
	carry    [utf8.UTFMax]byte
	nCarry   int

	lanes   [2 * words]uint64 // of the last few features: sums of 16 bits, of even and of odd ones
	inLanes int               // how many halves of features
	block   sum               // of the symbols since the last full block, lanes not counted
	symbols int               // in it
	warm    int               // blocks so far, up to those without a score
	window  sum               // of the full blocks
	ring    [blocks]sum
	at      int
	starts  [blocks]Span      // of the blocks in the ring
	place   Span              // of the block that is being read
	peak    [MaxLanes]float64 // highest score of each head
}

// Span is a place in the text, in bytes and in characters.
type Span struct{ Start, End, FirstRune, EndRune int }

// sum is for each lane: of its weights, and of how many known features. What came the first time counts
// as two halves, what came a short while ago as one.
type sum [lanes]int64

func (s *sum) add(o *sum) {
	for i := range s {
		s[i] += o[i]
	}
}

func (s *sum) take(o *sum) {
	for i := range s {
		s[i] -= o[i]
	}
}

// NewState begins a text.
func (m *Model) NewState() *State {
	s := &State{m: m, features: *NewFeatures()}
	s.Reset()
	return s
}

// Reset begins a new text.
func (s *State) Reset() {
	s.features.Reset()
	*s = State{m: s.m, features: s.features}
	for h := range s.peak {
		s.peak[h] = math.Inf(-1)
	}
}

// Write takes the next piece, cut anywhere.
func (s *State) Write(chunk string) {
	for chunk != "" {
		n, _ := s.Feed(chunk)
		chunk = chunk[n:]
	}
}

// Feed takes of the next piece as much as completes a block; full tells that one
// is complete, so that [State.PeakScore] may have changed.
func (s *State) Feed(chunk string) (n int, full bool) {
	for ; s.nCarry > 0 && n < len(chunk); n++ {
		s.carry[s.nCarry] = chunk[n]
		s.nCarry++
		if s.drain(false) {
			return n + 1, true
		}
	}
	for n < len(chunk) {
		r, w := utf8.DecodeRuneInString(chunk[n:])
		if r == utf8.RuneError && w == 1 && !utf8.FullRuneInString(chunk[n:]) {
			s.nCarry = copy(s.carry[:], chunk[n:])
			return len(chunk), false
		}
		n += w
		if s.rune(r, w) {
			return n, true
		}
	}
	return n, false
}

// Close ends the text, or a part of it across which no feature reaches. A later
// Write goes on behind it.
func (s *State) Close() {
	s.drain(true)
	s.count(s.features.End())
	s.features.Reset()
	s.measure()
}

// drain takes the characters that are complete out of the carry, or all.
func (s *State) drain(all bool) (full bool) {
	for s.nCarry > 0 && (all || utf8.FullRune(s.carry[:s.nCarry])) {
		r, w := utf8.DecodeRune(s.carry[:s.nCarry])
		full = s.rune(r, w) || full
		s.nCarry = copy(s.carry[:], s.carry[w:s.nCarry])
	}
	return full
}

// rune takes one character of so many bytes; full tells that it completed a block.
func (s *State) rune(r rune, bytes int) (full bool) {
	found, symbol := s.features.Next(r)
	s.count(found)
	s.place.End += bytes
	s.place.EndRune++
	if !symbol {
		return false
	}
	if s.symbols++; s.symbols < Step {
		return false
	}
	s.turn()
	return true
}

// count adds the weights of features: eight of a word, four to a sum of lanes.
func (s *State) count(found []uint32) {
	if s.inLanes+2*len(found) > most {
		s.settle()
	}
	shift := 32 - s.m.bits
	for _, f := range found {
		at := int(f>>shift) * words
		a, b := s.m.table[at], s.m.table[at+1]
		double := f&Again ^ Again
		s.lanes[0] += a & even << double
		s.lanes[1] += a >> 8 & even << double
		s.lanes[2] += b & even << double
		s.lanes[3] += b >> 8 & even << double
		s.inLanes += 1 + int(double)
	}
}

// settle moves the lanes into the block.
func (s *State) settle() {
	for i := range s.block {
		lane := s.lanes[i/8*2+i%2] >> (i % 8 / 2 * 16) & 0xFFFF
		s.block[i] += int64(lane) - int64(s.inLanes)*0x80
	}
	s.lanes, s.inLanes = [2 * words]uint64{}, 0
}

// turn ends a block: the oldest leaves the window.
func (s *State) turn() {
	s.settle()
	s.window.add(&s.block)
	s.window.take(&s.ring[s.at])
	s.ring[s.at], s.starts[s.at] = s.block, s.place
	s.at = (s.at + 1) % blocks
	s.block, s.symbols = sum{}, 0
	s.place = Span{Start: s.place.End, End: s.place.End, FirstRune: s.place.EndRune, EndRune: s.place.EndRune}
	if s.warm = min(s.warm+1, Warm/Step); s.warm == Warm/Step {
		s.measure()
	}
}

// measure notes the scores of the window.
func (s *State) measure() {
	values := s.values()
	for h := range s.m.heads {
		s.peak[h] = max(s.peak[h], s.m.heads[h].score(&values))
	}
}

// values gives what each lane adds up to.
func (s *State) values() (v [MaxLanes]float64) {
	s.settle()
	share := 0.0
	if n := s.window[known] + s.block[known]; n > 0 {
		share = 1 / math.Sqrt(2*float64(n))
	}
	for i, l := range s.m.lanes {
		v[i] = l.Bias + float64(s.window[i]+s.block[i])*l.Scale*share
	}
	return v
}

// Score gives what a head adds up to now, before its curve; a word that may go
// on is not counted.
func (s *State) Score(head int) float64 {
	values := s.values()
	return s.m.heads[head].score(&values)
}

// Probability gives the probability by a head of what was read last; a word that
// may go on is not counted.
func (s *State) Probability(head int) float64 {
	return s.m.heads[head].probability(s.Score(head))
}

// Span is what [State.Score] looks at.
func (s *State) Span() Span {
	span := s.place
	if oldest := s.starts[s.at]; oldest.End > 0 { // the ring is full
		span.Start, span.FirstRune = oldest.Start, oldest.FirstRune
	} else {
		span.Start, span.FirstRune = 0, 0
	}
	return span
}

// PeakScore is Peak before the curve; minus infinity if there was no end of a
// block yet.
func (s *State) PeakScore(head int) float64 { return s.peak[head] }

// Peak gives the highest probability by a head at the end of any block so far,
// and of the text once it is closed; 0 if there was none.
func (s *State) Peak(head int) float64 {
	if math.IsInf(s.peak[head], -1) {
		return 0
	}
	return s.m.heads[head].probability(s.peak[head])
}
