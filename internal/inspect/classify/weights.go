package classify

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"unicode/utf8"
)

const (
	// MaxHeads is how many heads a model may have.
	MaxHeads = 15
	// Window is how many symbols a score looks back, and up to Step-1 more.
	Window = 256
	// Step is after how many symbols a score is taken.
	Step = 32
	// Warm is how many symbols the first score takes, if the text is that long:
	// fewer say too little.
	Warm = 128

	minBits, maxBits = 8, 20
	lanes            = 16
	known            = lanes - 1 // the lane that counts features: 1 where a head has a weight
	words            = lanes / 8
	zero             = 0x8080808080808080 // eight weights of nothing
)

// Head is one question that a model answers.
type Head struct {
	ID        string  `json:"id"`
	Risk      string  `json:"risk"`      // code of the risk, such as A.2.e; may be empty
	Threshold float64 `json:"threshold"` // probability from which the head says yes, above 0 and below 1
	Scale     float64 `json:"scale"`     // what one step of a weight is worth
	Bias      float64 `json:"bias"`      // added to the score
	Slope     float64 `json:"slope"`     // probability = 1 / (1 + exp(-(slope·score + offset)))
	Offset    float64 `json:"offset"`
}

// Model is a set of heads over one table of weights.
type Model struct {
	heads []Head
	note  string
	bits  int
	// table has two words for each place: sixteen weights, one of each head and
	// in the last lane whether the place is known, 128 more than they are.
	table  []uint64
	states sync.Pool
}

// New makes a model. weights[h][place] is the weight of head h in steps of its
// Scale; each list has 1<<bits entries. Note says where the model comes from.
func New(heads []Head, bits int, weights [][]int8, note string) (*Model, error) {
	m := &Model{heads: append([]Head(nil), heads...), note: note, bits: bits}
	if err := m.check(); err != nil {
		return nil, err
	}
	if len(weights) != len(heads) {
		return nil, fmt.Errorf("classify: weights: %d lists for %d heads", len(weights), len(heads))
	}
	m.clear()
	for h := range weights {
		if len(weights[h]) != 1<<bits {
			return nil, fmt.Errorf("classify: weights of %q: %d instead of %d", heads[h].ID, len(weights[h]), 1<<bits)
		}
		for place, w := range weights[h] {
			m.learn(place, h, w)
		}
	}
	return m, nil
}

func (m *Model) clear() {
	m.table = make([]uint64, words<<m.bits)
	for i := range m.table {
		m.table[i] = zero
	}
}

// learn sets a weight; a place at which any head has one is known.
func (m *Model) learn(place, head int, w int8) {
	if w != 0 {
		m.set(place, head, w)
		m.set(place, known, 1)
	}
}

func (m *Model) set(place, head int, w int8) {
	at, shift := place*words+head/8, head%8*8
	m.table[at] = m.table[at]&^(0xFF<<shift) | uint64(uint8(w)^0x80)<<shift
}

func (m *Model) weight(place, head int) int8 {
	return int8(uint8(m.table[place*words+head/8]>>(head%8*8)) ^ 0x80)
}

// check tells what is wrong with the description of a model.
func (m *Model) check() error {
	switch {
	case m.bits < minBits || m.bits > maxBits:
		return fmt.Errorf("classify: bits: %d, not %d to %d", m.bits, minBits, maxBits)
	case len(m.heads) == 0 || len(m.heads) > MaxHeads:
		return fmt.Errorf("classify: heads: %d, not 1 to %d", len(m.heads), MaxHeads)
	}
	seen := map[string]bool{}
	for i, h := range m.heads {
		wrong := func(field, what string) error {
			return fmt.Errorf("classify: heads[%d].%s: %s", i, field, what)
		}
		switch {
		case h.ID == "" || len(h.ID) > 64 || !utf8.ValidString(h.ID):
			return wrong("id", "empty, too long or not UTF-8")
		case seen[h.ID]:
			return wrong("id", "is used twice")
		case len(h.Risk) > 64:
			return wrong("risk", "too long")
		case !(h.Threshold > 0 && h.Threshold < 1):
			return wrong("threshold", "not above 0 and below 1")
		case !(h.Scale > 0 && h.Scale < 1e6):
			return wrong("scale", "not above 0 or too large")
		case !(h.Slope > 0 && h.Slope < 1e6):
			return wrong("slope", "not above 0 or too large")
		case !(math.Abs(h.Bias) < 1e6):
			return wrong("bias", "too large")
		case !(math.Abs(h.Offset) < 1e6):
			return wrong("offset", "too large")
		}
		seen[h.ID] = true
	}
	if len(m.note) > 4096 || !utf8.ValidString(m.note) {
		return errors.New("classify: note: too long or not UTF-8")
	}
	return nil
}

// Heads gives the heads, in the order of every score. The list is the caller's.
func (m *Model) Heads() []Head { return append([]Head(nil), m.heads...) }

// Note says where the model comes from.
func (m *Model) Note() string { return m.note }

// Scores appends the highest probability that each head reaches in a text.
func (m *Model) Scores(dst []float64, text string) []float64 {
	s, _ := m.states.Get().(*State)
	if s == nil {
		s = m.NewState()
	}
	s.Write(text)
	s.Close()
	for h := range m.heads {
		dst = append(dst, s.Peak(h))
	}
	s.Reset()
	m.states.Put(s)
	return dst
}

// probability puts the sum of the steps of n known features through the curve.
func (h *Head) probability(sum, n int64) float64 {
	return 1 / (1 + math.Exp(-(h.Slope*h.score(sum, n) + h.Offset)))
}

// Score gives the score that stands for a probability above 0 and below 1.
func (h *Head) Score(probability float64) float64 {
	return (math.Log(probability/(1-probability)) - h.Offset) / h.Slope
}

func (h *Head) score(sum, n int64) float64 {
	if n == 0 {
		return h.Bias
	}
	return h.Bias + float64(sum)*h.Scale/math.Sqrt(float64(n))
}
