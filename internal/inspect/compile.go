package inspect

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/inspect/fold"
	"github.com/fengsui/fengsui/internal/inspect/match"
)

// Compile checks the rules and builds an engine. The error is a *RuleError
// and names the entry and the field. The rules are copied.
func Compile(rules Rules) (*Engine, error) {
	c := compiler{
		e: &Engine{
			maskRune: rules.MaskRune,
			strict:   fold.Strict(),
			loose:    fold.Loose(),
			issuers:  knownIssuers(),
			shapes:   cardShapes(),
			streams:  new(sync.Pool),
		},
		maxHold: rules.MaxHold,
		ids:     make(map[string]bool),
		index:   make(map[match.Entry]int),
		named:   make(map[string]int),
	}
	if c.e.maskRune == 0 {
		c.e.maskRune = DefaultMaskRune
	}
	if !utf8.ValidRune(c.e.maskRune) {
		return nil, &RuleError{Field: "mask_rune", Reason: "not a Unicode character"}
	}
	if c.maxHold == 0 {
		c.maxHold = DefaultMaxHold
	}
	if c.maxHold < 0 {
		return nil, &RuleError{Field: "max_hold", Reason: "must not be negative"}
	}
	if !utf8.ValidString(rules.ReplaceText) {
		return nil, &RuleError{Field: "replace_text", Reason: "not valid UTF-8"}
	}
	if c.e.holdFrom = rules.HoldFrom; c.e.holdFrom < 0 || c.e.holdFrom > MaxTermRunes {
		return nil, &RuleError{Field: "hold_from", Reason: fmt.Sprintf("must be 0 to %d", MaxTermRunes)}
	}
	for i := range rules.Terms {
		c.widen(rules.Terms[i].Disguise)
	}
	for i := range rules.Sets {
		for _, word := range rules.Sets[i].Words {
			c.widen(rules.Sets[i].disguise(word))
		}
	}
	for i := range rules.Terms {
		if err := c.term(&rules.Terms[i], &rules); err != nil {
			return nil, err
		}
	}
	c.e.terms = len(c.entries)
	for i := range rules.Checks {
		if err := c.check(&rules.Checks[i], rules.ReplaceText); err != nil {
			return nil, err
		}
	}
	for i := range rules.Classifiers {
		if err := c.classifier(&rules.Classifiers[i]); err != nil {
			return nil, err
		}
	}
	if err := c.relate(&rules); err != nil {
		return nil, err
	}
	if err := c.build(rules.Terms); err != nil {
		return nil, err
	}
	return c.e, nil
}

type compiler struct {
	e       *Engine
	maxHold int
	ids     map[string]bool
	entries []match.Entry // one for each term, then the anchors, then the words of gatherings
	gap     int           // the widest of all terms: a stream cannot tell sooner that a gap is too wide

	index   map[match.Entry]int // entries behind the terms
	named   map[string]int      // gatherings
	members []members           // of each gathering
	longest int                 // symbols of a hit under a condition
}

func (c *compiler) widen(d Disguise) {
	if d.loosely() {
		c.gap = max(c.gap, min(d.Gap, match.MaxGap))
	}
}

func (c *compiler) identify(id string, action Action) error {
	if id == "" {
		return &RuleError{Field: "id", Reason: "must not be empty"}
	}
	if c.ids[id] {
		return &RuleError{ID: id, Field: "id", Reason: "used twice"}
	}
	c.ids[id] = true
	if action <= Allow || action > Block {
		return &RuleError{ID: id, Field: "action", Reason: "must be observe, mask, replace or block"}
	}
	return nil
}

func (c *compiler) term(t *Term, rules *Rules) error {
	if err := c.identify(t.ID, t.Action); err != nil {
		return err
	}
	fail := func(field, format string, args ...any) error {
		return &RuleError{ID: t.ID, Field: field, Reason: fmt.Sprintf(format, args...)}
	}
	if !utf8.ValidString(t.Replacement) {
		return fail("replacement", "not valid UTF-8")
	}
	r := rule{id: t.ID, kind: KindTerm, risk: t.Risk, topic: t.Topic, action: t.Action, replacement: t.Replacement}
	if r.replacement == "" {
		r.replacement = rules.ReplaceText
	}
	ahead := 0
	if len(t.Contexts) > 0 {
		if t.Window < 1 {
			return fail("window", "must be at least 1 with contexts")
		}
		if t.Window > c.maxHold {
			return fail("window", "must not exceed max_hold (%d)", c.maxHold)
		}
		ahead = t.Window
	}
	entry := entryOf(t.Text, t.Disguise)
	entry.Hold = c.holds(t.Action, rules.Cut)
	need, reason := c.need(entry)
	if reason != "" {
		return fail("text", "%s", reason)
	}
	if need += ahead; t.Action.enforces() && need > c.maxHold {
		field := "text"
		if ahead > 0 {
			field = "window"
		}
		return fail(field, "could hold back %d symbols, max_hold is %d", need, c.maxHold)
	}
	c.e.rules = append(c.e.rules, r)
	c.entries = append(c.entries, entry)
	return nil
}

// holds tells whether what an action is for has to be held from its beginning.
func (c *compiler) holds(a Action, cut bool) bool { return a.enforces() && !(cut && a == Block) }

func entryOf(text string, d Disguise) match.Entry {
	return match.Entry{Text: text, Loose: d.Loose, Gap: d.Gap, Word: d.Word, Sound: d.Sound, Spell: d.Spell, Parts: d.Parts, Repeat: d.Repeat}
}

// need is how many symbols go by from the first of an entry until it is
// certain that it stands there.
func (c *compiler) need(e match.Entry) (need int, reason string) {
	loosely := e.Loosely()
	if need, reason = lengthOf(e.Text, loosely); reason != "" {
		return 0, reason
	}
	if loosely {
		need = max(need, e.Longest()) * (1 + c.gap)
	}
	if e.Word || e.Spell {
		need++ // what follows has to be seen
	}
	return need, ""
}

func (d Disguise) loosely() bool { return d.Loose || d.Sound || d.Spell || d.Parts || d.Repeat }

// lengthOf gives the characters of a text after folding; reason says why it
// cannot be looked for.
func lengthOf(text string, loosely bool) (length int, reason string) {
	if !utf8.ValidString(text) {
		return 0, "not valid UTF-8"
	}
	table := fold.Strict()
	if loosely {
		table = fold.Loose()
	}
	for _, r := range text {
		switch f := table.Rune(r); f {
		case fold.Skip:
		case fold.Break:
			return 0, "has a character that is equal to nothing"
		default:
			length++
		}
	}
	switch {
	case length == 0:
		return 0, "has no visible character"
	case length > MaxTermRunes:
		return 0, fmt.Sprintf("longer than %d symbols", MaxTermRunes)
	}
	return length, ""
}

// build compiles the entries; what they cannot be is told by the term's id.
func (c *compiler) build(terms []Term) error {
	lexicon, err := match.Build(c.entries)
	var wrong *match.EntryError
	if errors.As(err, &wrong) {
		if wrong.Index < len(terms) {
			return &RuleError{ID: terms[wrong.Index].ID, Field: wrong.Field, Reason: wrong.Reason}
		}
		return &RuleError{Field: "words", Reason: wrong.Reason}
	}
	c.e.lexicon = lexicon
	return err
}

func (c *compiler) check(k *Check, replaceText string) error {
	if err := c.identify(k.ID, k.Action); err != nil {
		return err
	}
	need, ok := c.number(k.Kind, len(c.e.rules))
	if !ok {
		return &RuleError{ID: k.ID, Field: "kind", Reason: fmt.Sprintf("unknown check %q; there are %s", k.Kind, strings.Join(Kinds(), ", "))}
	}
	kind, _ := kindOf(k.Kind)
	info := &kindTable[kind]
	if k.Ends && (k.Action != Mask || info.first == 0) {
		return &RuleError{ID: k.ID, Field: "ends", Reason: "only a mask over a number or an e-mail address leaves the ends"}
	}
	if k.Action.enforces() {
		if need += info.window; need > c.maxHold {
			return &RuleError{ID: k.ID, Field: "kind", Reason: fmt.Sprintf("could hold back %d symbols, max_hold is %d", need, c.maxHold)}
		}
		c.holdNumber(k.Kind)
	}
	r := rule{id: k.ID, kind: k.Kind, risk: k.Risk, action: k.Action, replacement: replaceText}
	if k.Ends {
		r.first, r.last = info.first, info.last
	}
	c.e.rules = append(c.e.rules, r)
	return nil
}

// number has a kind looked for, for the rule with that index. need is how many
// symbols it may have; ok says that it is known.
func (c *compiler) number(name string, index int) (need int, ok bool) {
	k, ok := kindOf(name)
	if !ok {
		return 0, false
	}
	c.e.of[k] = append(c.e.of[k], index)
	return kindTable[k].hold, true
}

// holdNumber has text held back that may become something of a kind.
func (c *compiler) holdNumber(name string) {
	if k, ok := kindOf(name); ok {
		c.e.holds[k] = true
	}
}

// kinds makes the engine look for the kinds that some check or rule asks for.
func (c *compiler) kinds() {
	c.e.watch()
	for k := range nKinds {
		if c.e.looksFor(k) {
			c.addAnchors(k)
		}
	}
}
