package classify

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"unicode/utf8"
)

const (
	// MaxLanes is how many sums of weights a model may have: one for most heads,
	// two for each subject of one that judges by subject.
	MaxLanes = 15
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

// Lane is a sum of weights: Bias + Scale · sum / √(2 · number of halves).
type Lane struct {
	Scale float64 `json:"scale"` // what one step of a weight is worth
	Bias  float64 `json:"bias"`  // added to the sum
}

// Head is one question that a model answers, by the lanes with the numbers Lanes.
// Most have one. A head that judges by subject has two for each subject: first how
// much the text is about each, then in the same order what it says of a text that
// is. Its score is the mean of the latter, by how much more the text is about the one than
// about the others.
type Head struct {
	ID        string  `json:"id"`
	Risk      string  `json:"risk"`      // code of the risk, such as A.2.e; may be empty
	Threshold float64 `json:"threshold"` // probability from which the head says yes, above 0 and below 1
	Lanes     []int   `json:"lanes"`
	Slope     float64 `json:"slope"` // probability = 1 / (1 + exp(-(slope·score + offset)))
	Offset    float64 `json:"offset"`
}

// decided is how sharply one subject is preferred to another.
const decided = 3

// Model is a set of heads over one table of weights.
type Model struct {
	lanes []Lane
	heads []Head
	note  string
	bits  int
	// table has two words for each place: sixteen weights, one of each lane and
	// in the last whether the place is known, 128 more than they are.
	table  []uint64
	states sync.Pool
}

// New makes a model. weights[l][place] is the weight of lane l in steps of its
// Scale; each list has 1<<bits entries. Note says where the model comes from.
func New(heads []Head, lanes []Lane, bits int, weights [][]int8, note string) (*Model, error) {
	m := &Model{heads: copied(heads), lanes: slices.Clone(lanes), note: note, bits: bits}
	if err := m.check(); err != nil {
		return nil, err
	}
	if len(weights) != len(lanes) {
		return nil, fmt.Errorf("classify: weights: %d lists for %d lanes", len(weights), len(lanes))
	}
	m.clear()
	for l := range weights {
		if len(weights[l]) != 1<<bits {
			return nil, fmt.Errorf("classify: weights of lane %d: %d instead of %d", l, len(weights[l]), 1<<bits)
		}
		for place, w := range weights[l] {
			m.learn(place, l, w)
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

// learn sets a weight; a place at which any lane has one is known.
func (m *Model) learn(place, lane int, w int8) {
	if w != 0 {
		m.set(place, lane, w)
		m.set(place, known, 1)
	}
}

func (m *Model) set(place, lane int, w int8) {
	at, shift := place*words+lane/8, lane%8*8
	m.table[at] = m.table[at]&^(0xFF<<shift) | uint64(uint8(w)^0x80)<<shift
}

func (m *Model) weight(place, lane int) int8 {
	return int8(uint8(m.table[place*words+lane/8]>>(lane%8*8)) ^ 0x80)
}

// check tells what is wrong with the description of a model.
func (m *Model) check() error {
	switch {
	case m.bits < minBits || m.bits > maxBits:
		return fmt.Errorf("classify: bits: %d, not %d to %d", m.bits, minBits, maxBits)
	case len(m.lanes) == 0 || len(m.lanes) > MaxLanes:
		return fmt.Errorf("classify: lanes: %d, not 1 to %d", len(m.lanes), MaxLanes)
	case len(m.heads) == 0 || len(m.heads) > MaxLanes:
		return fmt.Errorf("classify: heads: %d, not 1 to %d", len(m.heads), MaxLanes)
	}
	for i, l := range m.lanes {
		if !(l.Scale > 0 && l.Scale < 1e6) {
			return fmt.Errorf("classify: lanes[%d].scale: not above 0 or too large", i)
		}
		if !(math.Abs(l.Bias) < 1e6) {
			return fmt.Errorf("classify: lanes[%d].bias: too large", i)
		}
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
		case len(h.Lanes) != 1 && (len(h.Lanes) < 4 || len(h.Lanes)%2 > 0 || len(h.Lanes) > MaxLanes):
			return wrong("lanes", "neither one nor two for each of two or more subjects")
		case slices.Min(h.Lanes) < 0 || slices.Max(h.Lanes) >= len(m.lanes):
			return wrong("lanes", "there is no such lane")
		case !(h.Slope > 0 && h.Slope < 1e6):
			return wrong("slope", "not above 0 or too large")
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
func (m *Model) Heads() []Head { return copied(m.heads) }

func copied(heads []Head) []Head {
	list := slices.Clone(heads)
	for i := range list {
		list[i].Lanes = slices.Clone(list[i].Lanes)
	}
	return list
}

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

// probability puts a score through the curve.
func (h *Head) probability(score float64) float64 {
	return 1 / (1 + math.Exp(-(h.Slope*score + h.Offset)))
}

// Score gives the score that stands for a probability above 0 and below 1.
func (h *Head) Score(probability float64) float64 {
	return (math.Log(probability/(1-probability)) - h.Offset) / h.Slope
}

// score makes one value of those of the lanes.
func (h *Head) score(values *[MaxLanes]float64) float64 {
	if len(h.Lanes) == 1 {
		return values[h.Lanes[0]]
	}
	var picked [MaxLanes]float64
	for i, l := range h.Lanes {
		picked[i] = values[l]
	}
	subjects := len(h.Lanes) / 2
	return BySubject(picked[:subjects], picked[subjects:2*subjects])
}

// BySubject gives the mean of what is said of a text of each subject, by how much
// the text is about each. Of both there is one value for each subject, at least one.
func BySubject(about, said []float64) float64 {
	most := slices.Max(about)
	all, sum := 0.0, 0.0
	for i, x := range about {
		share := math.Exp(decided * (x - most))
		all += share
		sum += share * said[i]
	}
	return sum / all
}
