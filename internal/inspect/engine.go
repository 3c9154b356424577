package inspect

import (
	"strings"
	"unicode/utf8"
)

// Engine is a compiled rule set: immutable, safe for concurrent use.
type Engine struct {
	rules Rules
	terms [][]rune
}

// Compile checks the rules and builds an engine. The error is a *RuleError.
func Compile(rules Rules) (*Engine, error) {
	e := &Engine{rules: rules}
	if e.rules.MaskRune == 0 {
		e.rules.MaskRune = DefaultMaskRune
	}
	for _, t := range rules.Terms {
		f := foldText(t.Text)
		if len(f) == 0 || len(f) > MaxTermRunes {
			return nil, &RuleError{ID: t.ID, Field: "text", Reason: "must have 1 to 64 symbols"}
		}
		e.terms = append(e.terms, f)
	}
	return e, nil
}

// Scan inspects a whole text.
func (e *Engine) Scan(text string) Result {
	s := e.NewStream()
	s.Write(text)
	step := s.Close()
	res := Result{Released: step.Released, Matches: step.Matches}
	for _, m := range step.Matches {
		res.Action = max(res.Action, m.Action)
	}
	return res
}

// Stream inspects one text that arrives in pieces.
type Stream struct {
	e       *Engine
	text    strings.Builder
	blocked bool
}

// NewStream begins a text.
func (e *Engine) NewStream() *Stream { return &Stream{e: e} }

// Write takes the next piece.
func (s *Stream) Write(chunk string) Step {
	s.text.WriteString(chunk)
	return Step{Blocked: s.blocked, Held: utf8.RuneCountInString(s.text.String())}
}

// Reset begins a new text.
func (s *Stream) Reset() { *s = Stream{e: s.e} }

// Close releases what is left.
func (s *Stream) Close() Step {
	text := s.text.String()
	s.text.Reset()
	if s.blocked {
		return Step{Blocked: true}
	}
	var syms []rune
	var at []int
	for i, r := range text {
		if f := fold(r); f != skip {
			syms, at = append(syms, f), append(at, i)
		}
	}
	at = append(at, len(text))
	step := Step{}
	cover := make([]Action, len(syms))
	cut := len(syms)
	for i := range syms {
		for k, t := range s.e.terms {
			if i+len(t) > len(syms) || string(syms[i:i+len(t)]) != string(t) {
				continue
			}
			term := s.e.rules.Terms[k]
			step.Matches = append(step.Matches, Match{RuleID: term.ID, Kind: KindTerm, Action: term.Action,
				Risk: term.Risk, Topic: term.Topic, Start: at[i], End: at[i+len(t)], Runes: len(t)})
			for j := i; j < i+len(t); j++ {
				cover[j] = max(cover[j], term.Action)
			}
			if term.Action == Block {
				cut, s.blocked, step.Blocked = min(cut, i), true, true
			}
		}
	}
	var out strings.Builder
	for i := 0; i < cut; i++ {
		if cover[i].enforces() {
			out.WriteRune(s.e.rules.MaskRune)
		} else {
			out.WriteString(text[at[i]:at[i+1]])
		}
	}
	step.Released = out.String()
	return step
}
