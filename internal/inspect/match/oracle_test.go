package match

import (
	"cmp"
	"slices"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/inspect/fold"
)

// letter is one character of a text as the oracle sees it.
type letter struct {
	start, end int
	strict     rune
	loose      rune
}

func letters(text string) []letter {
	var out []letter
	for i := 0; i < len(text); {
		r, w := utf8.DecodeRuneInString(text[i:])
		if s := fold.Strict().Rune(r); s != fold.Skip { // what nobody sees is not there
			out = append(out, letter{i, i + w, s, fold.Loose().Rune(r)})
		}
		i += w
	}
	return out
}

func wide(symbols []uint16) []rune {
	var out []rune
	for i := 0; i < len(symbols); i++ {
		if symbols[i]&0xFC00 == 0xD800 {
			out = append(out, (rune(symbols[i])-0xD800)<<10+rune(symbols[i+1])-0xDC00+1<<16)
			i++
			continue
		}
		out = append(out, rune(symbols[i]))
	}
	return out
}

// oracle finds every hit by comparing every entry with every place.
func oracle(entries []Entry, text string) []Hit {
	var out []Hit
	ls := letters(text)
	for n, e := range entries {
		isLoose := e.Loosely()
		table := fold.Strict()
		if isLoose {
			table = fold.Loose()
		}
		symbols := table.Symbols(nil, e.Text)
		try := func(via Via, want []rune, same func(want, have rune) bool, word bool) {
			for at := range ls {
				if h, ok := stands(ls, at, want, isLoose, e.Gap, word, same); ok {
					h.Entry, h.Via = n, via
					if !slices.Contains(out, h) {
						out = append(out, h)
					}
				}
			}
		}
		exact := func(want, have rune) bool { return want == have }
		try(ViaText, wide(symbols), exact, e.Word)
		if e.Sound {
			texts := slices.Clone(out)
			for _, s := range soundsOf(symbols) {
				try(ViaSound, wide(s), func(want, have rune) bool {
					if have <= 0xFFFF {
						have = rune(fold.Syllables().Of[have])
					}
					return want == have
				}, e.Word)
			}
			// What is the text itself does not merely sound like it.
			out = slices.DeleteFunc(out, func(h Hit) bool {
				h2 := h
				h2.Via = ViaText
				return h.Entry == n && h.Via == ViaSound && slices.Contains(texts, h2)
			})
		}
		if e.Spell {
			if s := spellingOf(symbols); s != nil {
				try(ViaSpelling, wide(s), exact, true)
			}
		}
		if e.Repeat {
			for at := range ls {
				if h, ok := standsAgain(ls, at, wide(symbols), e.Gap, e.Word); ok {
					h.Entry = n
					out = append(out, h)
				}
			}
		}
		if e.Parts {
			for _, s := range partsOf(symbols) {
				try(ViaParts, wide(s), exact, e.Word)
			}
		}
	}
	// One entry by two ways at one place: the first.
	inOrder(out)
	return slices.CompactFunc(out, func(a, b Hit) bool {
		return a.Start == b.Start && a.End == b.End && a.Entry == b.Entry && !slices.Contains([]Via{ViaSound, ViaRepeats}, a.Via) && !slices.Contains([]Via{ViaSound, ViaRepeats}, b.Via)
	})
}

func stands(ls []letter, at int, want []rune, isLoose bool, gap int, word bool, same func(want, have rune) bool) (h Hit, ok bool) {
	i, run := at, 0
	for k := 0; k < len(want); i++ {
		if i == len(ls) {
			return h, false
		}
		have := ls[i].strict
		if isLoose {
			have = ls[i].loose
		}
		if have == fold.Skip && k > 0 {
			h.Gap++
			if run++; run > gap {
				return h, false
			}
			continue
		}
		if have == fold.Skip || !same(want[k], have) {
			return h, false
		}
		run = 0
		k++
	}
	h.Start, h.End = ls[at].start, ls[i-1].end
	if word {
		neighbour := func(j int) rune {
			switch {
			case j < 0 || j >= len(ls):
				return 0
			case isLoose:
				return ls[j].loose
			}
			return ls[j].strict
		}
		if Adjoin(want[0], neighbour(at-1)) || Adjoin(want[len(want)-1], neighbour(i)) {
			return h, false
		}
	}
	return h, true
}

// standsAgain is stands where characters may be written again, from the last of
// the first kind that counts to the first of the last kind that does.
func standsAgain(ls []letter, at int, want []rune, gap int, word bool) (h Hit, ok bool) {
	type kind struct {
		r rune
		n int
	}
	var kinds []kind
	for _, r := range want {
		if k := len(kinds) - 1; k >= 0 && kinds[k].r == r && r <= 0xFFFF {
			kinds[k].n++
			continue
		}
		kinds = append(kinds, kind{r, 1})
	}
	if ls[at].loose != kinds[0].r {
		return h, false
	}
	next := func(i int) int { // the next that is no separator
		for i++; i < len(ls) && ls[i].loose == fold.Skip; i++ {
		}
		return i
	}
	i, end, again := at, at, false
	for k, kind := range kinds {
		if i >= len(ls) || ls[i].loose != kind.r {
			return h, false
		}
		first, n := i, 0
		for i < len(ls) && ls[i].loose == kind.r && (n == 0 || kind.r <= 0xFFFF) {
			n, end, i = n+1, i, next(i)
			if k == len(kinds)-1 && n == kind.n {
				i = end + 1
				break
			}
		}
		switch {
		case n < kind.n || i-first-1 > gap:
			return h, false
		case k > 0 && n > kind.n:
			again = true
		case k == 0 && n > kind.n:
			return h, false // begins later
		}
	}
	if !again {
		return h, false
	}
	side := func(j int) rune {
		if j < 0 || j >= len(ls) {
			return 0
		}
		return ls[j].loose
	}
	if word && (Adjoin(want[0], side(at-1)) || Adjoin(want[len(want)-1], side(end+1))) {
		return h, false
	}
	return Hit{Start: ls[at].start, End: ls[end].end, Gap: end + 1 - at - len(want), Via: ViaRepeats}, true
}

func inOrder(hits []Hit) {
	slices.SortFunc(hits, func(a, b Hit) int {
		return cmp.Or(a.Start-b.Start, a.End-b.End, a.Entry-b.Entry, int(a.Via)-int(b.Via))
	})
}

// byCursor finds the hits character by character, as a stream does.
func byCursor(l *Lexicon, text string) []Hit {
	var out []Hit
	var c Cursor
	ls := letters(text)
	for i := 0; i < len(text); {
		r, w := utf8.DecodeRuneInString(text[i:])
		i += w
		if !l.Step(&c, r) {
			continue
		}
		last := slices.IndexFunc(ls, func(x letter) bool { return x.end == i })
		l.Ends(&c, r, func(e End) bool {
			of := func(k int) rune {
				switch {
				case k < 0 || k >= len(ls):
					return 0
				case e.Loose:
					return ls[k].loose
				}
				return ls[k].strict
			}
			if e.Via == ViaRepeats {
				k, t := last, l.Trace(e.Entry, e.Gap)
				for ; k >= 0; k-- {
					more, hit := t.Back(ls[k].loose)
					if hit {
						break
					}
					if !more {
						return true
					}
				}
				if k >= 0 && (!e.Word || !Adjoin(e.First, of(k-1)) && !Adjoin(e.Last, of(last+1))) {
					out = append(out, Hit{e.Entry, ls[k].start, i, t.Gap, e.Via})
				}
				return true
			}
			k, need, run := last, e.Symbols, 0
			h := Hit{Entry: e.Entry, Via: e.Via, End: i}
			var symbols []uint16
			for {
				f := of(k)
				if f == fold.Skip {
					h.Gap++
					if run++; run > e.Gap {
						return true
					}
				} else {
					run = 0
					if f > 0xFFFF {
						a, b := fold.Pair(f)
						symbols = append(symbols, b, a) // backwards
					} else {
						symbols = append(symbols, uint16(f))
					}
					if need -= width(f); need == 0 {
						break
					}
				}
				k--
			}
			h.Start = ls[k].start
			slices.Reverse(symbols)
			if e.Word && (Adjoin(e.First, of(k-1)) || Adjoin(e.Last, of(last+1))) || e.Via == ViaSound && l.Itself(e.Entry, symbols) {
				return true
			}
			out = append(out, h)
			return true
		})
	}
	inOrder(out)
	return out
}
