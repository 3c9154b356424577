package inspect

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/inspect/fold"
	"github.com/fengsui/fengsui/internal/inspect/match"
)

// Engine is a compiled rule set: immutable, safe for concurrent use. Make one
// with [Compile].
type Engine struct {
	maskRune      rune
	rules         []rule // terms first, then checks, as given
	strict, loose *fold.Table
	lexicon       *match.Lexicon // its entries are the terms, the anchors, then what hits by rules, then what only conditions ask for
	terms         int
	alone         int           // entries without which there is no hit
	gatherings    []gathering   //
	entryIn       [][]int       // gatherings of the entries behind the terms
	termIn        map[int][]int // ... and of terms, few
	sentences     bool          // some condition asks for them
	memory        int           // symbols that conditions have to remember
	holdFrom      int           // symbols of a term that may go

	of      [nKinds][]int       // rules of each kind of check, indices into rules
	holds   [nKinds]bool        // ... of which one changes what is released
	digits  bool                // something in runs of digits is looked for
	fewest  int                 // digits of the shortest number
	look    func([]uint16) bool // nothing, or nothing worth a closer look
	issuers []issuer
	shapes  [][]int

	runs      []runs   // what is looked for in other runs
	tokens    runClass // the classes of all of them
	runDigits int      // digits that such a hit has at least, 0 if it may have none
	anchors   []anchor // entries of the lexicon behind the terms

	judges []judge

	off map[int]bool // rules that do not hit, see Without

	streams *sync.Pool // *Stream, for Scan
}

// Without is the engine without some of its terms, checks, rules and
// classifiers; ids that it does not have do not matter. It shares with e all
// that is large, so it costs neither time nor memory. It finds and releases
// what an engine compiled without them would, but that text may be held back
// where one of them begins, so that less of it is released before a block, and
// that conditions still see them.
func (e *Engine) Without(ids ...string) *Engine {
	named := make(map[string]bool, len(ids))
	for _, id := range ids {
		named[id] = true
	}
	out := *e
	out.off, out.streams = maps.Clone(e.off), new(sync.Pool)
	for r := range e.rules {
		if id := e.rules[r].id; id != "" && named[id] {
			if out.off == nil {
				out.off = map[int]bool{}
			}
			out.off[r] = true
		}
	}
	for k, of := range e.of {
		out.of[k], out.holds[k] = nil, false
		for _, r := range of {
			if !out.off[r] {
				out.of[k] = append(out.of[k], r)
				g := e.rules[r].gathering
				out.holds[k] = out.holds[k] || e.holds[k] && (g > 0 && out.enforced([]int{g - 1}) || g == 0 && e.rules[r].action.enforces())
			}
		}
	}
	out.watch()
	return &out
}

// rule is what a hit reports and does.
type rule struct {
	id, kind, risk, topic string
	action                Action
	replacement           string
	when                  *condition // nil: needs none
	gathering             int        // 1 + the one that it stands for: a number that rules use
	first, last           int        // symbols that a mask leaves
}

// scanPiece is how much of a whole text is looked at in one go: small enough
// for the working memory to stay in the cache.
const scanPiece = 1 << 10

// Scan inspects a whole text. It gives what a stream gives for the same text,
// however cut.
func (e *Engine) Scan(text string) Result {
	quiet := e.quiet(text)
	if quiet && len(e.judges) == 0 {
		return Result{Released: text}
	}
	s, _ := e.streams.Get().(*Stream)
	if s == nil {
		s = e.NewStream()
	}
	defer func() {
		s.Reset()
		s.src = ""
		e.streams.Put(s)
	}()
	if quiet && !s.anyJudge(text) {
		return Result{Released: text}
	}

	var res Result
	var out strings.Builder
	building := false
	take := func(from int, step Step) {
		res.Matches = append(res.Matches, step.Matches...)
		s.matches = step.Matches[:0] // nobody else has them
		// As long as nothing was altered, what is released is the text itself.
		if s.altered && !building {
			building = true
			out.Grow(len(text))
			out.WriteString(text[:from])
		}
		if building {
			out.WriteString(step.Released)
		}
	}
	for at := 0; at < len(text) && !s.blocked; {
		next := min(at+scanPiece, len(text))
		for k := 0; k < utf8.UTFMax-1 && next < len(text) && !utf8.RuneStart(text[next]); k++ {
			next--
		}
		from := s.rel
		take(from, s.feed(text[at:next], text))
		at = next
	}
	from := s.rel
	take(from, s.end(text))

	res.Released = text
	if building {
		res.Released = out.String()
	}
	for i := range res.Matches {
		res.Action = max(res.Action, res.Matches[i].Action)
	}
	if !slices.IsSortedFunc(res.Matches, byPlace) { // they nearly always are, and are large to move
		slices.SortStableFunc(res.Matches, byPlace)
	}
	return res
}

func byPlace(a, b Match) int {
	return cmp.Or(a.Start-b.Start, a.End-b.End, strings.Compare(a.RuleID, b.RuleID))
}

// quiet tells whether nothing can be found in text and nothing is to be changed
// in it, without going through it character by character. It may say no to a
// text that is quiet, never yes to one that is not.
func (e *Engine) quiet(text string) bool {
	quiet, odd := e.lexicon.Quiet(text, e.alone, numberSymbols, e.look)
	if !quiet || !odd {
		return quiet
	}
	// Something was left out. That changes the text only where it is broken or
	// where very much was left out in a row.
	run := 0
	for _, r := range text {
		if e.strict.Rune(r) != fold.Skip {
			run = 0
		} else if run++; run > maxSkipRun {
			return false
		}
	}
	return utf8.ValidString(text)
}

// numberSymbols is how many symbols a number with its separators may have, or
// what in a run has to be seen whole.
const numberSymbols = max(2*cardMaxDigits, ipSymbols)

// lookFor gives what tells whether symbols are worth a closer look for what has
// no anchor; nil if nothing of that kind is looked for.
func (e *Engine) lookFor() func([]uint16) bool {
	switch {
	case e.tokens == 0 && !e.digits:
		return nil
	case e.tokens == 0:
		return e.noNumber
	case !e.digits:
		return e.noToken
	}
	return func(symbols []uint16) bool { return e.noNumber(symbols) && e.noToken(symbols) }
}

// noNumber tells whether no number stands in symbols: as many digits as the
// shortest has, single separators in between. Of two neighbours in a number one is a digit,
// so not every place has to be looked at.
func (e *Engine) noNumber(symbols []uint16) bool {
	for i := 1; i < len(symbols); i += e.fewest - 1 {
		if digit(symbols[i]) || digit(symbols[i-1]) {
			if digitsAround(symbols, i) >= e.fewest {
				return false
			}
		}
	}
	return true
}

func digit(c uint16) bool { return c-'0' < 10 }

// digitsAround counts the digits of the run at place i.
func digitsAround(symbols []uint16, i int) int {
	n := 0
	for k, gap := i, 0; k < len(symbols) && gap < 2; k++ {
		if digit(symbols[k]) {
			n, gap = n+1, 0
		} else {
			gap++
		}
	}
	for k, gap := i-1, 0; k >= 0 && gap < 2; k-- {
		if digit(symbols[k]) {
			n, gap = n+1, 0
		} else {
			gap++
		}
	}
	return n
}
