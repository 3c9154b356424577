package inspect

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fengsui/fengsui/internal/inspect/match"
)

// WidestHold is a [Rules.MaxHold] with which no term is refused for what it could hold back: the longest in its
// disguises with the widest gaps, and a window of DefaultMaxHold symbols. A list whose terms come one by one needs
// it, because the widest gap of all decides what each can hold back.
const WidestHold = 2*MaxTermRunes*(1+match.MaxGap) + 1 + DefaultMaxHold

// How the characters of a term are compared.
const (
	FoldStrict = "strict"
	FoldLoose  = "loose"
)

// Matching says in which ways a term is looked for other than [Usual] gives for
// its text. What is left out is as usual.
type Matching struct {
	Fold  string `json:"fold,omitzero" enum:"strict,loose" doc:"strict: blanks, signs, look-alikes and accents count; loose: they do not"`
	Gap   *int   `json:"gap,omitzero" minimum:"0" maximum:"8" doc:"separators that may stand between two characters"`
	Word  *bool  `json:"word,omitzero" doc:"a Latin letter or digit at an end must not be part of a longer word"`
	Sound *bool  `json:"sound,omitzero" doc:"also what sounds alike; three syllables or more"`
	Spell *bool  `json:"spell,omitzero" doc:"also its pinyin in Latin letters; two syllables or more and nothing else"`
	Parts *bool  `json:"parts,omitzero" doc:"also with characters written as their parts"`
	// Repeat needs a gap, which bounds it.
	Repeat *bool `json:"repeat,omitzero" doc:"also with characters written again and again inside it, each counted as a separator; needs a gap"`
}

// ParseMatching reads what String writes, separated by |: strict, loose, gap=N,
// and word, sound, spell, parts, repeat, each alone or with =on or =off. An
// empty text is the usual way.
func ParseMatching(text string) (m Matching, err error) {
	if text == "" {
		return m, nil
	}
	for _, part := range strings.Split(text, "|") {
		name, value, valued := strings.Cut(strings.TrimSpace(part), "=")
		unknown := &RuleError{Field: "matching", Reason: fmt.Sprintf("unknown or doubled %q; there are strict, loose, gap=N, and word, sound, spell, parts, repeat, each also with =off", strings.TrimSpace(part))}
		if (name == FoldStrict || name == FoldLoose) && !valued && m.Fold == "" {
			m.Fold = name
			continue
		}
		if name == "gap" && m.Gap == nil {
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 || n > match.MaxGap {
				return m, &RuleError{Field: "gap", Reason: fmt.Sprintf("must be 0 to %d", match.MaxGap)}
			}
			m.Gap = &n
			continue
		}
		at := slices.Index(switchNames[:], name)
		if at < 0 || *m.switches()[at] != nil || valued && value != "on" && value != "off" {
			return m, unknown
		}
		on := value != "off"
		*m.switches()[at] = &on
	}
	return m, nil
}

var switchNames = [...]string{"word", "sound", "spell", "parts", "repeat"}

func (m *Matching) switches() [5]**bool {
	return [...]**bool{&m.Word, &m.Sound, &m.Spell, &m.Parts, &m.Repeat}
}

// String writes what differs from the usual, "" if nothing does. Two that are equal are the same text.
func (m Matching) String() string {
	var parts []string
	if m.Fold != "" {
		parts = append(parts, m.Fold)
	}
	if m.Gap != nil {
		parts = append(parts, "gap="+strconv.Itoa(*m.Gap))
	}
	for i, s := range m.switches() {
		switch {
		case *s == nil:
		case **s:
			parts = append(parts, switchNames[i])
		default:
			parts = append(parts, switchNames[i]+"=off")
		}
	}
	return strings.Join(parts, "|")
}

// IsZero tells whether everything is as usual.
func (m Matching) IsZero() bool { return m == Matching{} }

// Clone shares nothing with m.
func (m Matching) Clone() Matching {
	if m.Gap != nil {
		gap := *m.Gap
		m.Gap = &gap
	}
	for _, s := range m.switches() {
		if *s != nil {
			on := **s
			*s = &on
		}
	}
	return m
}

// Of gives the disguises in which a term is looked for. The error is a *RuleError without an ID; its field is "fold",
// "gap", "sound", "spell", "parts", "repeat" or "contexts".
//
// Contexts that are nothing but signs make it strict, unless m says otherwise: they are compared like their term.
func (m Matching) Of(text string, contexts ...string) (Disguise, error) {
	d := Usual(text)
	signs := slices.ContainsFunc(contexts, vanishes)
	if d.Loose && signs {
		d = Disguise{Word: d.Word}
	}
	d, err := m.Over(d, text)
	if err == nil && d.Loose && signs {
		err = &RuleError{Field: "contexts", Reason: "nothing of one is left where signs do not count"}
	}
	return d, err
}

// vanishes tells whether nothing of a text is left to compare where signs do not count.
func vanishes(text string) bool {
	_, reason := lengthOf(text, true)
	return reason != ""
}

// Over changes the disguises of a term; see [Matching.Of].
func (m Matching) Over(d Disguise, text string) (Disguise, error) {
	fail := func(field, reason string) (Disguise, error) { return d, &RuleError{Field: field, Reason: reason} }
	on := func(s *bool) bool { return s != nil && *s }
	wide := m.Gap != nil && *m.Gap > 0
	switch m.Fold {
	case FoldStrict:
		for i, s := range m.switches() {
			if on(*s) && s != &m.Word {
				return fail(switchNames[i], "needs the loose comparison")
			}
		}
		if wide {
			return fail("gap", "needs the loose comparison")
		}
		d = Disguise{Word: d.Word}
	case FoldLoose:
		d.Loose = true
	case "":
	default:
		return fail("fold", "must be strict or loose")
	}
	if m.Gap != nil {
		if d.Gap = *m.Gap; d.Gap < 0 || d.Gap > match.MaxGap {
			return fail("gap", fmt.Sprintf("must be 0 to %d", match.MaxGap))
		}
	}
	for i, to := range []*bool{&d.Word, &d.Sound, &d.Spell, &d.Parts, &d.Repeat} {
		if s := *m.switches()[i]; s != nil {
			*to = *s
		}
	}
	if d.Repeat = d.Repeat && d.Gap > 0; on(m.Repeat) && !d.Repeat {
		return fail("repeat", "needs a gap of at least 1")
	}
	if d.Loose = d.loosely() || wide; !d.Loose {
		return d, nil
	}
	if _, none := lengthOf(text, false); none == "" && vanishes(text) {
		return fail("fold", "nothing of the text is left where signs do not count")
	}
	if on(m.Sound) && match.Syllables(text) < match.MinSounds {
		return fail("sound", fmt.Sprintf("needs at least %d syllables", match.MinSounds))
	}
	if on(m.Spell) && !match.Spells(text) {
		return fail("spell", "needs two syllables or more, and nothing else")
	}
	return d, nil
}
