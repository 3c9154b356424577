package inspect

import (
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// Engine is a compiled rule set: immutable, safe for concurrent use. Make one
// with [Compile].
type Engine struct {
	maskRune rune
	rules    []rule // terms first, then checks, as given
	patterns []pattern
	matcher  matcher // nil without terms
	prefixes *prefixes
	gate     *gate
	longest  int // symbols of the longest pattern
	window   int // the widest context window

	idRules, cardRules []int // indices into rules
	digits             bool  // some check is there
	holdID, holdCard   bool  // ... and changes what is released
	issuers            []issuer
	shapes             [][]int

	streams sync.Pool // *Stream, for Scan
	scratch sync.Pool // *scratch
}

// rule is what a hit reports and does.
type rule struct {
	id, kind, risk, topic string
	action                Action
	replacement           string
	window                int // symbols; 0: needs no context
}

// pattern is one distinct folded text and what it stands for.
type pattern struct {
	symbols   int
	terms     []int // rules that hit here
	contextOf []int // rules that it is a context for
}

// scanPiece is how much of a whole text is looked at in one go: small enough
// for the working memory to stay in the cache.
const scanPiece = 1 << 10

// Scan inspects a whole text. It gives what a stream gives for the same text,
// however cut.
func (e *Engine) Scan(text string) Result {
	s, _ := e.streams.Get().(*Stream)
	if s == nil {
		s = e.NewStream()
	}
	defer func() {
		s.Reset()
		s.src = ""
		e.streams.Put(s)
	}()

	var res Result
	var out strings.Builder
	building := false
	take := func(from int, step Step) {
		res.Matches = append(res.Matches, step.Matches...)
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
		take(from, s.write(text[at:next], text))
		at = next
	}
	from := s.rel
	take(from, s.close(text))

	res.Released = text
	if building {
		res.Released = out.String()
	}
	for i := range res.Matches {
		res.Action = max(res.Action, res.Matches[i].Action)
	}
	slices.SortStableFunc(res.Matches, func(a, b Match) int {
		if a.Start != b.Start {
			return a.Start - b.Start
		}
		if a.End != b.End {
			return a.End - b.End
		}
		return strings.Compare(a.RuleID, b.RuleID)
	})
	return res
}
