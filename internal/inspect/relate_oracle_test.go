package inspect

import (
	"slices"
	"strings"
)

// oraclePlace is where something stands, and after how many symbols that is
// certain.
type oraclePlace struct {
	p       [2]int
	certain int
}

func (o *oracle) word(text string, word bool) (out []oraclePlace) {
	for _, p := range o.places(text) {
		switch {
		case !word:
			out = append(out, oraclePlace{p, p[1]})
		case !o.adjoins(p):
			out = append(out, oraclePlace{p, p[1] + 1})
		}
	}
	return out
}

// operand gives all places of what a rule names.
func (o *oracle) operand(name string) (out []oraclePlace) {
	if strings.HasPrefix(name, `"`) {
		return o.word(strings.Trim(name, `"`), false)
	}
	if id, ok := strings.CutPrefix(name, "#"); ok {
		for _, t := range o.rules.Terms {
			if t.ID == id {
				return o.word(t.Text, t.Word)
			}
		}
	}
	for _, s := range o.rules.Sets {
		if s.Name != name {
			continue
		}
		done := map[string]bool{}
		for _, w := range s.Words {
			if !done[w] {
				out = append(out, o.word(w, s.Word)...)
			}
			done[w] = true
		}
		return out
	}
	for p, certain := range o.numbers(name) {
		out = append(out, oraclePlace{p, certain})
	}
	return out
}

// oracleStop is the end of a sentence before symbol at, and after how many
// symbols it is known.
type oracleStop struct{ at, known int }

func (o *oracle) stops() (out []oracleStop) {
	last, n := rune(0), 0
	for _, r := range o.runes {
		if r.drop {
			continue
		}
		if strings.ContainsRune("\n\u2028\u2029", r.r) {
			out = append(out, oracleStop{n, n + 1})
		}
		if r.sym < 0 {
			continue
		}
		f := o.syms[r.sym]
		if strings.ContainsRune("。!?;…", f) {
			out = append(out, oracleStop{r.sym + 1, r.sym + 1})
		}
		if last == '.' && (f == ' ' || f == '\t' || f == 0xA0) {
			out = append(out, oracleStop{r.sym, r.sym + 1})
		}
		last, n = f, r.sym+1
	}
	slices.SortFunc(out, func(a, b oracleStop) int { return a.at - b.at })
	return out
}

// decide asks a condition again after each symbol, from the one on by which the
// place is certain, until it is decided.
func (o *oracle) decide(when string, at oraclePlace) (decided int, hit bool) {
	if strings.TrimSpace(when) == "" {
		return at.certain, true
	}
	c, err := parseCondition(when)
	if err != nil {
		panic(err)
	}
	for read := at.certain; ; read++ {
		over := read > len(o.syms)
		var answers [maxParts]answer
		for i := range c.parts {
			answers[i] = o.answer(&c.parts[i], at, read, over)
		}
		if v := c.value(&answers); v != open {
			return min(read, len(o.syms)+1), v == yes
		}
	}
}

func (o *oracle) answer(q *part, at oraclePlace, read int, over bool) answer {
	within := func(from, to int) bool { // a sentence ends in between
		return slices.ContainsFunc(o.stops(), func(s oracleStop) bool { return from <= s.at && s.at < to })
	}
	n := 0
	for _, x := range o.operand(q.operand) {
		switch {
		case x.certain > read && !over:
		case x.p[1] <= at.p[0] && x.p[0] >= at.p[0]-q.before:
			if !q.sentence || !within(x.p[0]+1, at.p[0]+1) {
				n++
			}
		case x.p[0] >= at.p[1] && x.p[1] <= at.p[1]+q.after:
			if !q.sentence || !within(at.p[1], x.p[1]) {
				n++
			}
		}
	}
	if n >= q.count {
		return yes
	}
	until := at.p[0]
	if q.after > 0 {
		until = at.p[1] + q.after
		for _, s := range o.stops() {
			if q.sentence && s.at >= at.p[1] && s.known <= read {
				until = min(until, s.at)
			}
		}
	}
	if over || read >= until+o.late(q.operand) {
		return no
	}
	return open
}

func (o *oracle) late(operand string) int {
	if strings.HasPrefix(operand, `"`) {
		return 0
	}
	word := func(is bool) int {
		if is {
			return 1
		}
		return 0
	}
	for _, t := range o.rules.Terms {
		if "#"+t.ID == operand {
			return word(t.Word)
		}
	}
	for _, s := range o.rules.Sets {
		if s.Name == operand {
			return word(s.Word)
		}
	}
	return numberLate
}
