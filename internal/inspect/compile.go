package inspect

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/inspect/fold"
	"github.com/fengsui/fengsui/internal/inspect/match"
)

// The longest text that a check can hold back, in symbols.
const (
	holdBankCard = 2 * cardMaxDigits // a separator after each digit
	holdCNID     = idDigits
	holdMobile   = mobileDigits + 2
	holdOldID    = oldIDDigits
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
			fewest:   cardMinDigits,
			shapes:   cardShapes(),
		},
		maxHold: rules.MaxHold,
		ids:     make(map[string]bool),
		index:   make(map[contextKey]int),
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
		if d := &rules.Terms[i].Disguise; d.loosely() {
			c.gap = max(c.gap, min(d.Gap, match.MaxGap))
		}
	}
	for i := range rules.Terms {
		if err := c.term(&rules.Terms[i], &rules); err != nil {
			return nil, err
		}
	}
	c.e.terms = len(c.entries)
	for i := range rules.Terms {
		if err := c.contexts(i, &rules.Terms[i]); err != nil {
			return nil, err
		}
	}
	for i := range rules.Checks {
		if err := c.check(&rules.Checks[i], rules.ReplaceText); err != nil {
			return nil, err
		}
	}
	c.e.look = c.e.noNumber
	if err := c.build(rules.Terms); err != nil {
		return nil, err
	}
	return c.e, nil
}

// contextKey: contexts with one text are one entry.
type contextKey struct {
	text  string
	loose bool
}

type compiler struct {
	e       *Engine
	maxHold int
	ids     map[string]bool
	entries []match.Entry // one for each term, then the contexts
	index   map[contextKey]int
	gap     int // the widest of all terms: a stream cannot tell sooner that a gap is too wide
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
	if len(t.Contexts) > 0 {
		if t.Window < 1 {
			return fail("window", "must be at least 1 with contexts")
		}
		if t.Window > c.maxHold {
			return fail("window", "must not exceed max_hold (%d)", c.maxHold)
		}
		r.window = t.Window
		c.e.window = max(c.e.window, t.Window)
	}
	entry := match.Entry{
		Text: t.Text, Loose: t.Loose, Gap: t.Gap, Word: t.Word, Sound: t.Sound, Spell: t.Spell, Parts: t.Parts,
		Hold: t.Action.enforces() && !(rules.Cut && t.Action == Block),
	}
	need, reason := lengthOf(t.Text, t.loosely())
	if reason != "" {
		return fail("text", "%s", reason)
	}
	if t.loosely() {
		need = max(need, entry.Longest()) * (1 + c.gap)
	}
	if t.Word || t.Spell {
		need++ // what follows has to be seen
	}
	need += r.window
	c.e.longest = max(c.e.longest, need-r.window)
	if t.Action.enforces() && need > c.maxHold {
		field := "text"
		if r.window > 0 {
			field = "window"
		}
		return fail(field, "could hold back %d symbols, max_hold is %d", need, c.maxHold)
	}
	c.e.rules = append(c.e.rules, r)
	c.entries = append(c.entries, entry)
	return nil
}

func (d Disguise) loosely() bool { return d.Loose || d.Sound || d.Spell || d.Parts }

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

// contexts adds the contexts of a term behind all terms.
func (c *compiler) contexts(rule int, t *Term) error {
	for i, context := range t.Contexts {
		length, reason := lengthOf(context, t.loosely())
		if reason != "" {
			return &RuleError{ID: t.ID, Field: "contexts", Reason: fmt.Sprintf("entry %d: %s", i, reason)}
		}
		c.e.longest = max(c.e.longest, length)
		key := contextKey{context, t.loosely()}
		at, ok := c.index[key]
		if !ok {
			at = len(c.e.contextOf)
			c.index[key] = at
			c.e.contextOf = append(c.e.contextOf, nil)
			c.entries = append(c.entries, match.Entry{Text: context, Loose: t.loosely()})
		}
		c.e.contextOf[at] = append(c.e.contextOf[at], rule)
	}
	return nil
}

// build compiles the entries; what they cannot be is told by the term's id.
func (c *compiler) build(terms []Term) error {
	lexicon, err := match.Build(c.entries)
	var wrong *match.EntryError
	if errors.As(err, &wrong) {
		if wrong.Index < len(terms) {
			return &RuleError{ID: terms[wrong.Index].ID, Field: wrong.Field, Reason: wrong.Reason}
		}
		return &RuleError{Field: "contexts", Reason: wrong.Reason}
	}
	c.e.lexicon = lexicon
	return err
}

func (c *compiler) check(k *Check, replaceText string) error {
	if err := c.identify(k.ID, k.Action); err != nil {
		return err
	}
	index, need := len(c.e.rules), 0
	c.e.rules = append(c.e.rules, rule{id: k.ID, kind: k.Kind, risk: k.Risk, action: k.Action, replacement: replaceText})
	c.e.digits = true
	switch k.Kind {
	case KindCNID:
		c.e.idRules = append(c.e.idRules, index)
		c.e.holdID = c.e.holdID || k.Action.enforces()
		need = holdCNID
	case KindBankCard:
		c.e.cardRules = append(c.e.cardRules, index)
		c.e.holdCard = c.e.holdCard || k.Action.enforces()
		need = holdBankCard
	case KindCNID15:
		c.e.oldIDRules = append(c.e.oldIDRules, index)
		c.e.holdOldID = c.e.holdOldID || k.Action.enforces()
		need = holdOldID
	case KindCNMobile:
		c.e.mobileRules = append(c.e.mobileRules, index)
		c.e.holdMobile = c.e.holdMobile || k.Action.enforces()
		c.e.fewest = mobileDigits
		need = holdMobile
	default:
		return &RuleError{ID: k.ID, Field: "kind", Reason: fmt.Sprintf("unknown check %q", k.Kind)}
	}
	if k.Action.enforces() && need > c.maxHold {
		return &RuleError{ID: k.ID, Field: "kind", Reason: fmt.Sprintf("could hold back %d symbols, max_hold is %d", need, c.maxHold)}
	}
	return nil
}
