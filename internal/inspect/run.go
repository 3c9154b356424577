package inspect

import "unicode/utf8"

// runClass is a set of symbols. What a run finds is judged when the longest
// sequence of such symbols is complete, so that what adjoins it is part of it.
type runClass uint8

const (
	runWord  runClass = 1 << iota // letters and digits
	runMail                       // what an e-mail address is made of
	runIP                         // letters, digits, dots and colons
	runStart                      // may begin an address; other symbols before it are not part of a run
)

// tokenClass gives the classes of an ASCII symbol.
var tokenClass = func() (class [128]runClass) {
	for c := range class {
		switch f := rune(c); {
		case isAlnum(f):
			class[c] = runWord | runMail | runIP | runStart
		case f == '.':
			class[c] = runMail | runIP
		case f == ':':
			class[c] = runIP | runStart
		case f == '_':
			class[c] = runMail | runStart
		case f == '%' || f == '+' || f == '-' || f == '@':
			class[c] = runMail
		}
	}
	return class
}()

func classOf(f rune) runClass {
	if uint32(f) < 128 {
		return tokenClass[f]
	}
	return 0
}

// runForm is one thing that can be found in runs of a class.
type runForm struct {
	kind  kindID
	class runClass
	max   int // symbols of the longest run that is looked at
	// find gives the place of the hit in a complete run; to is 0 if there is none.
	find func(text []byte) (from, to int)
	// possible tells whether a run that begins so may still have a hit.
	possible func(text []byte) bool
}

func runForms() []runForm {
	whole := func(valid func([]byte) bool) func([]byte) (int, int) {
		return func(text []byte) (int, int) {
			if valid(text) {
				return 0, len(text)
			}
			return 0, 0
		}
	}
	return []runForm{
		{kCNPassport, runWord, passportSymbols, whole(validPassport), passportPossible},
		{kCNPermit, runWord, permitSymbols, whole(validPermit), permitPossible},
		{kCNCredit, runWord, creditSymbols, whole(validCredit), creditPossible},
		{kEmail, runMail, mailSymbols, findMail, mailPossible},
		{kIP, runIP, ipSymbols, findIP, ipPossible},
	}
}

// runs are the forms of one class that an engine looks for.
type runs struct {
	class runClass
	max   int
	forms []runForm
}

// addRuns makes an engine look for a kind that is found in runs.
func (e *Engine) addRuns(k kindID) {
	for _, f := range runForms() {
		if f.kind != k {
			continue
		}
		e.tokens |= f.class
		for i := range e.runs {
			if e.runs[i].class == f.class {
				e.runs[i].forms = append(e.runs[i].forms, f)
				e.runs[i].max = max(e.runs[i].max, f.max)
				return
			}
		}
		e.runs = append(e.runs, runs{f.class, f.max, []runForm{f}})
	}
}

// openRun is a sequence of symbols of one class that is still growing.
type openRun struct {
	text []byte // at most what the longest form needs
	at   []span
	n    int // symbols, kept or not
}

func (r *openRun) reset() { r.text, r.at, r.n = r.text[:0], r.at[:0], 0 }

// runsEnd tells whether all runs end with what comes next, and nothing is found
// in them.
func (s *Stream) runsEnd(chunk string) bool {
	first := rune(-1)
	for i := range s.runs {
		r := &s.runs[i]
		if r.n == 0 {
			continue
		}
		if first < 0 {
			if chunk == "" {
				return false
			}
			c, _ := utf8.DecodeRuneInString(chunk)
			if first = s.e.strict.Rune(c); classOf(first)&s.e.tokens != 0 {
				return false
			}
		}
		for k := range s.e.runs[i].forms {
			f := &s.e.runs[i].forms[k]
			if r.n > f.max {
				continue
			}
			if from, to := f.find(r.text); to > from {
				return false
			}
		}
	}
	return true
}

// passRuns takes a chunk without a hit in a run: only the one at its end, which
// begins with byte at, may become one.
func (s *Stream) passRuns(chunk string, at, symbols int) {
	for i := range s.runs {
		s.runs[i].reset()
	}
	if at < 0 {
		return
	}
	it := item{off: s.off + at, sym: s.sym + symbols, pos: s.pos + symbols}
	for _, r := range chunk[at:] {
		it.r, it.f, it.w = r, s.e.strict.Rune(r), uint8(utf8.RuneLen(r))
		s.feedRuns(&it)
		it.off += int(it.w)
		it.sym++
		it.pos++
	}
}

func (s *Stream) feedRuns(it *item) {
	class := classOf(it.f)
	for i := range s.e.runs {
		r, of := &s.runs[i], &s.e.runs[i]
		switch {
		case class&of.class == 0:
			if r.n > 0 {
				s.endRun(i)
			}
		case r.n > 0 || class&runStart != 0:
			if r.n++; r.n <= of.max {
				r.text = append(r.text, byte(it.f))
				r.at = append(r.at, span{it.off, it.off + int(it.w), it.sym, it.sym + 1, it.pos, it.pos + 1})
			}
		}
	}
}

func (s *Stream) endRuns() {
	for i := range s.runs {
		if s.runs[i].n > 0 {
			s.endRun(i)
		}
	}
}

func (s *Stream) endRun(i int) {
	r := &s.runs[i]
	for k := range s.e.runs[i].forms {
		f := &s.e.runs[i].forms[k]
		if r.n > f.max {
			continue
		}
		if from, to := f.find(r.text); to > from {
			a, b := &r.at[from], &r.at[to-1]
			s.takeKind(f.kind, span{a.start, b.end, a.symStart, b.symEnd, a.pos, b.posEnd})
		}
	}
	r.reset()
}

// holdRuns gives the offset from which text must stay back for an open run.
func (s *Stream) holdRuns(hold int) int {
	for i := range s.runs {
		r := &s.runs[i]
		if r.n == 0 {
			continue
		}
		for k := range s.e.runs[i].forms {
			f := &s.e.runs[i].forms[k]
			if s.e.holds[f.kind] && r.n <= f.max && f.possible(r.text) {
				hold = min(hold, r.at[0].start)
				break
			}
		}
	}
	return hold
}

// tokenRun sums up a run of token symbols for those who only want to know
// whether it is worth a closer look. The zero value is the beginning of a run.
type tokenRun struct{ digits, colons int }

// plain tells whether a run that goes on with a symbol of class is still
// surely nothing.
func (e *Engine) plain(t *tokenRun, f rune) bool {
	switch {
	case isDigit(f):
		if t.digits++; e.runDigits > 0 && t.digits >= e.runDigits {
			return false
		}
	case f == ':':
		if t.colons++; t.colons > 1 && e.tokens&runIP != 0 {
			return false
		}
	case f == '@':
		return e.tokens&runMail == 0
	}
	return true
}

// shortestToken is fewer symbols than any hit in a run has: that is a mail
// address of single letters in a country of two.
const shortestToken = 6

// noToken tells whether no run worth a closer look stands in symbols. Not every
// place has to be looked at, because a hit is not shorter than the steps.
func (e *Engine) noToken(symbols []uint16) bool {
	inRun := func(c uint16) bool { return c < 128 && tokenClass[c]&e.tokens != 0 }
	for i := 0; i < len(symbols); {
		k := min(i+shortestToken, len(symbols)) - 1
		if !inRun(symbols[k]) {
			i = k + 1
			continue
		}
		for i = k; i > 0 && inRun(symbols[i-1]); i-- {
		}
		var t tokenRun
		for ; i < len(symbols) && inRun(symbols[i]); i++ {
			if !e.plain(&t, rune(symbols[i])) {
				return false
			}
		}
	}
	return true
}
