package inspect

import (
	"fmt"
	"unicode/utf8"
)

// The longest text that a check can hold back, in symbols.
const (
	holdBankCard = 2 * cardMaxDigits // a separator after each digit
	holdCNID     = idDigits
)

// Compile checks the rules and builds an engine. The error is a *RuleError
// and names the entry and the field. The rules are copied.
func Compile(rules Rules) (*Engine, error) {
	c := compiler{
		e: &Engine{
			maskRune: rules.MaskRune,
			prefixes: newPrefixes(),
			issuers:  knownIssuers(),
			shapes:   cardShapes(),
		},
		maxHold: rules.MaxHold,
		ids:     make(map[string]bool),
		index:   make(map[string]int),
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
	for i := range rules.Terms {
		if err := c.term(&rules.Terms[i], rules.ReplaceText); err != nil {
			return nil, err
		}
	}
	for i := range rules.Checks {
		if err := c.check(&rules.Checks[i], rules.ReplaceText); err != nil {
			return nil, err
		}
	}
	c.e.gate = newGate(len(c.texts))
	for _, text := range c.texts {
		c.e.gate.add([]rune(text))
	}
	if len(c.texts) > 0 {
		c.e.matcher = newLibraryMatcher(c.texts)
	}
	return c.e, nil
}

type compiler struct {
	e       *Engine
	maxHold int
	ids     map[string]bool
	index   map[string]int // folded text to pattern
	texts   []string       // folded texts, as patterns
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

func (c *compiler) term(t *Term, replaceText string) error {
	if err := c.identify(t.ID, t.Action); err != nil {
		return err
	}
	fail := func(field, format string, args ...any) error {
		return &RuleError{ID: t.ID, Field: field, Reason: fmt.Sprintf(format, args...)}
	}
	if !utf8.ValidString(t.Replacement) {
		return fail("replacement", "not valid UTF-8")
	}
	symbols, reason := foldPattern(t.Text)
	if reason != "" {
		return fail("text", "%s", reason)
	}
	r := rule{id: t.ID, kind: KindTerm, risk: t.Risk, topic: t.Topic, action: t.Action, replacement: t.Replacement}
	if r.replacement == "" {
		r.replacement = replaceText
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
	if need := len(symbols) + r.window; t.Action.enforces() && need > c.maxHold {
		field := "text"
		if r.window > 0 {
			field = "window"
		}
		return fail(field, "could hold back %d symbols, max_hold is %d", need, c.maxHold)
	}
	index := len(c.e.rules)
	c.e.rules = append(c.e.rules, r)

	p := c.pattern(symbols, t.Action.enforces())
	c.e.patterns[p].terms = append(c.e.patterns[p].terms, index)
	for i, context := range t.Contexts {
		symbols, reason := foldPattern(context)
		if reason != "" {
			return fail("contexts", "entry %d: %s", i, reason)
		}
		p := c.pattern(symbols, false)
		c.e.patterns[p].contextOf = append(c.e.patterns[p].contextOf, index)
	}
	return nil
}

func foldPattern(text string) (symbols []rune, reason string) {
	if !utf8.ValidString(text) {
		return nil, "not valid UTF-8"
	}
	symbols = foldText(text)
	switch {
	case len(symbols) == 0:
		return nil, "has no visible character"
	case len(symbols) > MaxTermRunes:
		return nil, fmt.Sprintf("longer than %d symbols", MaxTermRunes)
	}
	return symbols, ""
}

func (c *compiler) pattern(symbols []rune, enforces bool) int {
	c.e.prefixes.add(symbols, enforces)
	c.e.longest = max(c.e.longest, len(symbols))
	text := string(symbols)
	p, ok := c.index[text]
	if !ok {
		p = len(c.texts)
		c.index[text] = p
		c.texts = append(c.texts, text)
		c.e.patterns = append(c.e.patterns, pattern{symbols: len(symbols)})
	}
	return p
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
	default:
		return &RuleError{ID: k.ID, Field: "kind", Reason: fmt.Sprintf("unknown check %q", k.Kind)}
	}
	if k.Action.enforces() && need > c.maxHold {
		return &RuleError{ID: k.ID, Field: "kind", Reason: fmt.Sprintf("could hold back %d symbols, max_hold is %d", need, c.maxHold)}
	}
	return nil
}
