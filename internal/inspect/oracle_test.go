package inspect

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/inspect/fold"
	"github.com/fengsui/fengsui/internal/inspect/match"
)

func foldText(text string) (out []rune) {
	for _, r := range text {
		if f := fold.Strict().Rune(r); f != fold.Skip {
			out = append(out, f)
		}
	}
	return out
}

// oracle states what the engine must give, by brute force over the whole text
// and without automaton, gate, state or stream.
type oracle struct {
	rules Rules
	syms  []rune // folded
	at    []int  // byte offset of each symbol
	end   []int  // byte offset behind each symbol
	pos   []int  // characters before each symbol
	runes []oracleRune
}

type oracleRune struct {
	off  int
	r    rune
	sym  int // its symbol, or -1
	drop bool
}

type oracleHit struct {
	Match
	first, last int // symbols [first, last)
	decided     int // symbols consumed when it is certain
	replacement string
	order       int
}

func newOracle(rules Rules, text string) *oracle {
	o := &oracle{rules: rules}
	skipped := 0
	for i := 0; i < len(text); {
		r, w := utf8.DecodeRuneInString(text[i:])
		or := oracleRune{off: i, r: r, sym: -1}
		if f := fold.Strict().Rune(r); f != fold.Skip {
			skipped = 0
			or.sym = len(o.syms)
			o.syms, o.at, o.end = append(o.syms, f), append(o.at, i), append(o.end, i+w)
			o.pos = append(o.pos, len(o.runes))
		} else {
			skipped++
			or.drop = skipped > maxSkipRun
		}
		o.runes = append(o.runes, or)
		i += w
	}
	return o
}

func (o *oracle) places(text string) [][2]int {
	want := foldText(text)
	var out [][2]int
	for i := 0; i+len(want) <= len(o.syms); i++ {
		if slices.Equal(o.syms[i:i+len(want)], want) && !slices.Contains(want, fold.Break) {
			out = append(out, [2]int{i, i + len(want)})
		}
	}
	return out
}

// adjoins tells whether what stands at a place is part of a longer word.
func (o *oracle) adjoins(p [2]int) bool {
	return match.Adjoin(o.syms[p[0]], o.symbol(p[0]-1)) || match.Adjoin(o.syms[p[1]-1], o.symbol(p[1]))
}

func (o *oracle) symbol(i int) rune {
	if i < 0 || i >= len(o.syms) {
		return 0
	}
	return o.syms[i]
}

func (o *oracle) hits() []oracleHit {
	var hits []oracleHit
	for n, t := range o.rules.Terms {
		replacement := t.Replacement
		if replacement == "" {
			replacement = o.rules.ReplaceText
		}
		for _, p := range o.places(t.Text) {
			certain := p[1]
			if t.Word {
				if o.adjoins(p) {
					continue
				}
				certain++
			}
			decided := certain
			if len(t.Contexts) > 0 {
				decided = -1
				for _, context := range t.Contexts {
					for _, c := range o.places(context) {
						switch {
						case c[1] <= p[0] && c[0] >= p[0]-t.Window:
							decided = certain
						case c[0] >= p[1] && c[1] <= p[1]+t.Window && (decided < 0 || c[1] < decided):
							decided = max(c[1], certain)
						}
					}
				}
				if decided < 0 {
					continue
				}
			}
			hits = append(hits, oracleHit{
				Match: o.match(t.ID, KindTerm, t.Action, t.Risk, t.Topic, p),
				first: p[0], last: p[1], decided: decided, replacement: replacement, order: n,
			})
		}
	}
	for n, r := range o.rules.Rules {
		replacement := r.Replacement
		if replacement == "" {
			replacement = o.rules.ReplaceText
		}
		for _, at := range o.operand(r.Find) {
			if decided, hit := o.decide(r.When, at); hit {
				hits = append(hits, oracleHit{
					Match: o.match(r.ID, KindRule, r.Action, r.Risk, r.Topic, at.p),
					first: at.p[0], last: at.p[1], decided: decided, replacement: replacement, order: 2000 + n,
				})
			}
		}
	}
	for n, c := range o.rules.Checks {
		for p, decided := range o.checked(c.Kind) {
			hits = append(hits, oracleHit{
				Match: o.match(c.ID, c.Kind, c.Action, c.Risk, "", p),
				first: p[0], last: p[1], decided: decided, replacement: o.rules.ReplaceText, order: len(o.rules.Terms) + n,
			})
		}
	}
	return hits
}

// numbers gives the places of a kind; what stands near them does not matter.
func (o *oracle) numbers(kind string) map[[2]int]int {
	places, known := o.kindPlaces(kind)
	if !known {
		panic("the oracle does not know " + kind)
	}
	return places
}

// checked gives those that a check finds.
func (o *oracle) checked(kind string) map[[2]int]int {
	places := o.numbers(kind)
	switch kind {
	case KindCNPassport:
		o.near(places, passportContexts, 24)
	case KindCNPermit:
		o.near(places, permitContexts, 24)
	}
	return places
}

func (o *oracle) match(id, kind string, action Action, risk, topic string, p [2]int) Match {
	return Match{RuleID: id, Kind: kind, Action: action, Risk: risk, Topic: topic,
		Start: o.at[p[0]], End: o.end[p[1]-1], Runes: p[1] - p[0], FirstRune: o.pos[p[0]], EndRune: o.pos[p[1]-1] + 1}
}

func (o *oracle) digitAt(i int) bool { return i >= 0 && i < len(o.syms) && isDigit(o.syms[i]) }

// groups: maximal digit sequences.
func (o *oracle) groups() [][2]int {
	var out [][2]int
	for i := 0; i < len(o.syms); i++ {
		if !o.digitAt(i) {
			continue
		}
		j := i
		for o.digitAt(j) {
			j++
		}
		out = append(out, [2]int{i, j})
		i = j
	}
	return out
}

func (o *oracle) ids() map[[2]int]int {
	out := make(map[[2]int]int)
	for _, g := range o.groups() {
		number := []byte(string(o.syms[g[0]:g[1]]))
		if validID(number) {
			out[g] = g[1] + 1
		}
		if len(number) == 17 && g[1] < len(o.syms) && o.syms[g[1]] == 'x' && !o.digitAt(g[1]+1) && validID(append(number, 'x')) {
			out[[2]int{g[0], g[1] + 1}] = g[1] + 2
		}
	}
	return out
}

func (o *oracle) oldIDs() map[[2]int]int {
	out := make(map[[2]int]int)
	for _, g := range o.groups() {
		if validOldID([]byte(string(o.syms[g[0]:g[1]]))) {
			out[g] = g[1] + 1
		}
	}
	return out
}

func (o *oracle) mobiles() map[[2]int]int {
	out := make(map[[2]int]int)
	groups := o.groups()
	for i, g := range groups {
		if validMobile([]byte(string(o.syms[g[0]:g[1]]))) {
			out[g] = g[1] + 1
		}
		if i < 2 {
			continue
		}
		a, b := groups[i-2], groups[i-1]
		joined := b[0] == a[1]+1 && g[0] == b[1]+1 && isSeparator(o.syms[a[1]]) && isSeparator(o.syms[b[1]])
		if !joined || a[1]-a[0] != 3 || b[1]-b[0] != 4 || g[1]-g[0] != 4 {
			continue
		}
		if validMobile([]byte(string(o.syms[a[0]:a[1]]) + string(o.syms[b[0]:b[1]]) + string(o.syms[g[0]:g[1]]))) {
			out[[2]int{a[0], g[1]}] = g[1] + 1
		}
	}
	return out
}

func (o *oracle) cards() map[[2]int]int {
	out := make(map[[2]int]int)
	issuers := knownIssuers()
	add := func(p [2]int, decided int) {
		var number []byte
		for _, s := range o.syms[p[0]:p[1]] {
			if isDigit(s) {
				number = append(number, byte(s))
			}
		}
		if before, ok := out[p]; (!ok || decided < before) && validCard(issuers, number) {
			out[p] = decided
		}
	}
	groups := o.groups()
	for i := range groups {
		add(groups[i], groups[i][1]+1)
		// Join i..j while one separator stands between neighbours.
		lens := []int{groups[i][1] - groups[i][0]}
		for j := i + 1; j < len(groups) && groups[j][0] == groups[j-1][1]+1 && isSeparator(o.syms[groups[j-1][1]]); j++ {
			lens = append(lens, groups[j][1]-groups[j][0])
			for _, shape := range cardShapes() {
				if slices.Equal(shape, lens) {
					add([2]int{groups[i][0], groups[j][1]}, groups[j][1]+1)
				}
			}
			firstOfRun := i == 0 || groups[i][0] != groups[i-1][1]+1 || !isSeparator(o.syms[groups[i-1][1]])
			lastOfRun := j == len(groups)-1 || groups[j+1][0] != groups[j][1]+1 || !isSeparator(o.syms[groups[j][1]])
			if firstOfRun && lastOfRun {
				decided := groups[j][1] + 1
				if groups[j][1] < len(o.syms) && isSeparator(o.syms[groups[j][1]]) {
					decided++
				}
				add([2]int{groups[i][0], groups[j][1]}, decided)
			}
		}
	}
	return out
}

// covers tells whether a mask covers a place: with Ends not all of the hit.
func (h *oracleHit) covers(o *oracle, off int) bool {
	if h.Kind == KindTerm || h.Kind == KindRule || !o.rules.Checks[h.order-len(o.rules.Terms)].Ends {
		return true
	}
	k, _ := kindOf(h.Kind)
	first, last := kindTable[k].first, kindTable[k].last
	if h.last-h.first <= first+last {
		return true
	}
	return off >= o.at[h.first+first] && off < o.at[h.last-last]
}

// want gives the outcome. With a block the released text may end earlier than
// the block, where something else was pending: exact tells whether released is
// the whole truth or only the most that may be released.
func (o *oracle) want() (matches []Match, released string, exact bool) {
	hits := o.hits()
	blockedAt := -1
	for _, h := range hits {
		if h.Action == Block && (blockedAt < 0 || h.decided < blockedAt) {
			blockedAt = h.decided
		}
	}
	limit := -1
	var kept []oracleHit
	for _, h := range hits {
		if blockedAt >= 0 && h.decided > blockedAt {
			continue
		}
		kept = append(kept, h)
		matches = append(matches, h.Match)
		if h.Action == Block && (limit < 0 || h.Start < limit) {
			limit = h.Start
		}
	}
	sort.Slice(kept, func(i, j int) bool {
		a, b := kept[i], kept[j]
		if a.Start != b.Start {
			return a.Start < b.Start
		}
		if a.End != b.End {
			return a.End > b.End
		}
		return a.order < b.order
	})
	mask := o.rules.MaskRune
	if mask == 0 {
		mask = DefaultMaskRune
	}
	var out strings.Builder
	for _, r := range o.runes {
		if limit >= 0 && r.off >= limit {
			break
		}
		if r.drop {
			continue
		}
		masked, replaced := false, false
		for i, h := range kept {
			if h.Start > r.off || h.End <= r.off {
				continue
			}
			masked = masked || h.Action == Mask && h.covers(o, r.off)
			if h.Action != Replace {
				continue
			}
			replaced = true
			if h.Start != r.off {
				continue
			}
			covered := false
			for _, earlier := range kept[:i] {
				covered = covered || earlier.Action == Replace && earlier.End > r.off
			}
			if !covered {
				out.WriteString(h.replacement)
			}
		}
		switch {
		case replaced:
		case masked:
			if r.sym >= 0 {
				out.WriteRune(mask)
			}
		default:
			out.WriteRune(r.r)
		}
	}
	return matches, out.String(), limit < 0
}

func sorted(matches []Match) []string {
	out := make([]string, 0, len(matches))
	for _, m := range matches {
		out = append(out, fmt.Sprintf("%06d-%06d %s %+v", m.Start, m.End, m.RuleID, m))
	}
	sort.Strings(out)
	return out
}
