package main

import (
	"context"
	"fmt"
	"hash/fnv"

	"github.com/fengsui/fengsui/internal/inspect/classify"
	"github.com/fengsui/fengsui/internal/inspect/classify/train"
	"github.com/fengsui/fengsui/internal/inspect/fold"
)

// featuresPart says what each choice of the classifiers is worth: five folds of COLD's training file, with one thing
// changed at a time. It reads no text that a report of accuracy counts.
func featuresPart(ctx context.Context, b *bench) ([]table, error) {
	all, err := readMixture(b.samples)
	if err != nil {
		return nil, err
	}
	cold := all.of("COLD")
	t := table{Part: "features", Title: "What a choice is worth: five folds of COLD's training file, one thing changed at a time", Keys: []string{"what is learned", "right", "only this right : only the first right"}}
	var first []bool
	for _, c := range choices() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		right, err := c.folds(cold)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		versus := "–"
		if first == nil {
			first = right
		}
		n, only, back := 0, 0, 0
		for i := range right {
			switch {
			case right[i] && !first[i]:
				only++
			case first[i] && !right[i]:
				back++
			}
			if right[i] {
				n++
			}
		}
		if only+back > 0 {
			versus = fmt.Sprintf("%d : %d, p = %.2g", only, back, train.McNemar(only, back))
		}
		t.Rows = append(t.Rows, row{Keys: []string{c.name, train.Share(n, len(right)), versus}})
		b.say("       %s", c.name)
	}
	t.Notes = []string{"Head discrimination. Every text is answered by a model that has not learned from it; the folds are told by a hash of the text. The first row counts exact characters and pairs; the last is the model as it is used: hashed, its weights rounded, with words and shapes, its curve fitted on a tenth of what it learns from."}
	return []table{t}, nil
}

// choice is what is counted in a text, and how it is learned.
type choice struct {
	name     string
	unfolded bool
	signs    bool  // signs count
	rows     []int // characters in a row
	gap      bool  // and two with one between
	again    again
	options  train.Options
	whole    bool // not at all of this: a model as it is used
	apart    bool // what holds for one subject is not learned apart
}

// again is what a feature counts that comes again.
type again int

const (
	half again = iota
	full
	nothing
)

func choices() []choice {
	pairs := choice{name: "characters and pairs, what comes again counts half, by subject", signs: true, rows: []int{1, 2}}
	but := func(name string, change func(*choice)) choice {
		c := pairs
		c.name = name
		change(&c)
		return c
	}
	return []choice{
		pairs,
		but("not by subject", func(c *choice) { c.apart = true }),
		but("what comes again counts in full", func(c *choice) { c.again = full }),
		but("what comes again does not count", func(c *choice) { c.again = nothing }),
		but("neither: in full and not by subject", func(c *choice) { c.again, c.apart = full, true }),
		but("not folded", func(c *choice) { c.unfolded = true }),
		but("without signs", func(c *choice) { c.signs = false }),
		but("pairs only", func(c *choice) { c.rows = []int{2} }),
		but("three in a row as well", func(c *choice) { c.rows = []int{1, 2, 3} }),
		but("three and four in a row as well", func(c *choice) { c.rows = []int{1, 2, 3, 4} }),
		but("two with one between as well", func(c *choice) { c.gap = true }),
		but("prior nearly 0", func(c *choice) { c.options.Prior = 1e-9 }),
		but("prior 0.5", func(c *choice) { c.options.Prior = 0.5 }),
		but("prior 1", func(c *choice) { c.options.Prior = 1 }),
		but("cost 1", func(c *choice) { c.options.Cost = 1 }),
		but("cost 4", func(c *choice) { c.options.Cost = 4 }),
		but("features of one text are kept", func(c *choice) { c.options.Rare = 1 }),
		but("as it is used", func(c *choice) { c.whole = true }),
	}
}

// folds tells for each text whether the model of the four folds that it is not in is right about it.
func (c choice) folds(texts mixture) ([]bool, error) {
	const folds = 5
	fold := func(s sample) int {
		h := fnv.New64a()
		h.Write([]byte("fold " + s.text))
		return int(h.Sum64() >> 20 % folds)
	}
	o := c.options
	o.Heads, o.Seed = heads("discrimination"), modelSeed
	o.Heads[0].BySubject = !c.apart
	list, size := c.features(texts)
	right := make([]bool, len(texts))
	for f := range folds {
		var from, to mixture
		var ofFrom, ofTo [][]uint32
		var at []int
		for i, s := range texts {
			if fold(s) == f {
				to, ofTo, at = append(to, s), append(ofTo, list[i]), append(at, i)
			} else {
				from, ofFrom = append(from, s), append(ofFrom, list[i])
			}
		}
		var scores []float64
		if c.whole {
			fit, choose, _ := from.parts()
			m, err := train.Fit(fit.answers(o.Heads), choose.answers(o.Heads), o)
			if err != nil {
				return nil, err
			}
			for _, s := range to {
				scores = append(scores, m.Scores(nil, s.text)[0]-0.5)
			}
		} else {
			scores = train.Compare(from.answers(o.Heads), ofFrom, ofTo, size, o)
		}
		for i, score := range scores {
			right[at[i]] = score >= 0 == !to[i].benign
		}
	}
	return right, nil
}

// features numbers what is counted in each text, as [train.Compare] takes it, and says how many numbers there are.
func (c choice) features(texts mixture) (list [][]uint32, size int) {
	if c.whole {
		return make([][]uint32, len(texts)), 0
	}
	numbers := map[string]uint32{}
	for _, s := range texts {
		var of []uint32
		times := map[uint32]bool{}
		put := func(kind, gram string) {
			gram = kind + gram
			number, known := numbers[gram]
			if !known {
				number = uint32(len(numbers))
				numbers[gram] = number
			}
			switch {
			case !times[number] || c.again == full:
				of = append(of, number<<1)
			case c.again == half:
				of = append(of, number<<1|classify.Again)
			}
			times[number] = true
		}
		symbols := c.read(s.text, put)
		for _, n := range c.rows {
			for i := 0; i+n <= len(symbols); i++ {
				put("", string(symbols[i:i+n]))
			}
		}
		for i := 2; c.gap && i < len(symbols); i++ {
			put("gap", string([]rune{symbols[i-2], symbols[i]}))
		}
		list = append(list, of)
	}
	return list, len(numbers)
}

// read gives the characters that stand in a row, and counts signs.
func (c choice) read(text string, put func(kind, gram string)) (symbols []rune) {
	strict, loose := fold.Strict(), fold.Loose()
	for _, r := range text {
		s, l := strict.Rune(r), loose.Rune(r)
		switch {
		case s == fold.Skip:
		case s <= fold.Break || l <= fold.Break:
			if c.signs && s > ' ' {
				put("sign", string(s))
			}
		case c.unfolded:
			symbols = append(symbols, r)
		case s >= '0' && s <= '9':
			symbols = append(symbols, '0')
		default:
			symbols = append(symbols, l)
		}
	}
	return symbols
}
