package inspect

import (
	"fmt"
	"strings"

	"github.com/fengsui/fengsui/internal/inspect/match"
)

// members is what a gathering is made of.
type members struct {
	words []match.Entry
	term  int    // or the term with that index, else -1
	kind  string // or the numbers of a kind
	need  int    // symbols that one of them may have until it is certain
	late  int    // how many of these stand behind it
}

func (s *Set) disguise(word string) Disguise {
	if s.Usual {
		return Usual(word)
	}
	return s.Disguise
}

// relate compiles the rules, and the contexts of terms, which are rules as well.
func (c *compiler) relate(rules *Rules) error {
	sets := map[string]*Set{}
	for i := range rules.Sets {
		set := &rules.Sets[i]
		if !isName(set.Name) {
			return &RuleError{ID: set.Name, Field: "name", Reason: "must be small letters, digits, _ and -, a letter first, and no word of conditions"}
		}
		if sets[set.Name] != nil {
			return &RuleError{ID: set.Name, Field: "name", Reason: "used twice"}
		}
		if len(set.Words) == 0 {
			return &RuleError{ID: set.Name, Field: "words", Reason: "must not be empty"}
		}
		sets[set.Name] = set
	}
	for i := range rules.Rules {
		if err := c.rule(&rules.Rules[i], rules, sets); err != nil {
			return err
		}
	}
	for i := range rules.Terms {
		if t := &rules.Terms[i]; len(t.Contexts) > 0 {
			need, _ := c.need(c.entries[i])
			if err := c.contexts(i, t, need); err != nil {
				return err
			}
		}
	}
	for k, of := range c.e.of {
		for _, r := range of {
			if info := &kindTable[k]; len(info.contexts) > 0 && c.e.rules[r].gathering == 0 {
				if err := c.contexts(r, &Term{ID: c.e.rules[r].id, Contexts: info.contexts, Window: info.window}, info.hold); err != nil {
					return err
				}
			}
		}
	}
	c.kinds()
	// What begins hits comes first: without it a text needs no second look.
	c.e.termIn = map[int][]int{}
	for _, begins := range []bool{true, false} {
		for g := range c.members {
			if len(c.e.gatherings[g].begins) > 0 == begins {
				c.install(g, rules.Cut)
			}
		}
		if begins {
			c.e.alone = len(c.entries)
		}
	}
	for i, a := range c.e.anchors {
		c.entries[c.e.terms+i].Hold = c.e.holds[a.form.kind] && !a.form.late
	}
	for i := range c.e.rules {
		if w := c.e.rules[i].when; w != nil {
			c.e.memory = max(c.e.memory, w.back+w.ahead)
			c.e.sentences = c.e.sentences || w.sentences
		}
	}
	c.e.memory += c.longest + 2*numberLate
	return nil
}

func (c *compiler) rule(r *Rule, rules *Rules, sets map[string]*Set) error {
	if err := c.identify(r.ID, r.Action); err != nil {
		return err
	}
	fail := func(field string, reason any) error {
		return &RuleError{ID: r.ID, Field: field, Reason: fmt.Sprint(reason)}
	}
	find, err := c.gathering(r.Find, rules, sets)
	if err != nil {
		return fail("find", err)
	}
	out := rule{id: r.ID, kind: KindRule, risk: r.Risk, topic: r.Topic, action: r.Action, replacement: r.Replacement}
	if out.replacement == "" {
		out.replacement = rules.ReplaceText
	}
	need, ahead := c.members[find].need, 0
	if strings.TrimSpace(r.When) != "" {
		if out.when, err = parseCondition(r.When); err != nil {
			return fail("when", err)
		}
		for i := range out.when.parts {
			p := &out.when.parts[i]
			if p.set, err = c.gathering(p.operand, rules, sets); err != nil {
				return fail("when", fmt.Errorf("%w (part %d)", err, i+1))
			}
			c.e.gatherings[p.set].asked = true
			p.late = c.members[p.set].late
			ahead = max(ahead, p.after+p.late)
		}
		out.when.ahead = ahead
		if ahead > c.maxHold {
			return fail("when", fmt.Sprintf("looks %d symbols ahead, max_hold is %d", ahead, c.maxHold))
		}
		c.longest = max(c.longest, need)
	}
	if need += ahead; r.Action.enforces() && need > c.maxHold {
		return fail("when", fmt.Sprintf("could hold back %d symbols, max_hold is %d", need, c.maxHold))
	}
	c.e.gatherings[find].begins = append(c.e.gatherings[find].begins, len(c.e.rules))
	c.e.rules = append(c.e.rules, out)
	return nil
}

// contexts makes a condition of the contexts of a term, or of a check of which
// t says no more than these.
func (c *compiler) contexts(index int, t *Term, need int) error {
	key := fmt.Sprintf("%v\x00%s", t.loosely(), strings.Join(t.Contexts, "\x00"))
	g, ok := c.named[key]
	if !ok {
		m := members{term: -1}
		for i, context := range t.Contexts {
			entry := match.Entry{Text: context, Loose: t.loosely()}
			need, reason := c.need(entry)
			if reason != "" {
				return &RuleError{ID: t.ID, Field: "contexts", Reason: fmt.Sprintf("entry %d: %s", i, reason)}
			}
			m.words, m.need = append(m.words, entry), max(m.need, need)
		}
		g = c.add(key, m)
	}
	c.e.gatherings[g].asked = true
	c.longest = max(c.longest, need)
	p := part{operand: "contexts", set: g, count: 1, before: t.Window, after: t.Window}
	c.e.rules[index].when = &condition{parts: []part{p}, nodes: []node{{op: isPart}}, ahead: t.Window, back: t.Window}
	return nil
}

func (c *compiler) add(key string, m members) int {
	g := len(c.members)
	c.named[key] = g
	c.members = append(c.members, m)
	c.e.gatherings = append(c.e.gatherings, gathering{})
	return g
}

// gathering gives what a rule names. The error does not repeat quoted text.
func (c *compiler) gathering(operand string, rules *Rules, sets map[string]*Set) (int, error) {
	if g, ok := c.named[operand]; ok {
		return g, nil
	}
	m := members{term: -1}
	words := func(list []string, disguise func(string) Disguise) error {
		for i, word := range list {
			d := disguise(word)
			entry := entryOf(word, d)
			need, reason := c.need(entry)
			if reason != "" {
				return fmt.Errorf("word %d: %s", i+1, reason)
			}
			if m.words, m.need = append(m.words, entry), max(m.need, need); d.Word || d.Spell {
				m.late = max(m.late, 1)
			}
		}
		return nil
	}
	if text, ok := quoted(operand); ok {
		if err := words([]string{text}, func(string) Disguise { return Disguise{} }); err != nil {
			return 0, err
		}
		return c.add(operand, m), nil
	}
	if id, ok := strings.CutPrefix(operand, "#"); ok {
		for i := range rules.Terms {
			if t := &rules.Terms[i]; t.ID == id {
				m.term = i
				if m.need, _ = c.need(c.entries[i]); t.Word || t.Spell {
					m.late = 1
				}
				return c.add(operand, m), nil
			}
		}
		return 0, fmt.Errorf("there is no term %q", id)
	}
	if set := sets[operand]; set != nil {
		if err := words(set.Words, set.disguise); err != nil {
			return 0, fmt.Errorf("set %q: %w", operand, err)
		}
		return c.add(operand, m), nil
	}
	if need, ok := c.number(operand, len(c.e.rules)); ok {
		m.kind, m.need, m.late = operand, need+numberLate, numberLate
		g := c.add(operand, m)
		c.e.rules = append(c.e.rules, rule{kind: operand, gathering: g + 1})
		return g, nil
	}
	return 0, fmt.Errorf("%q is no set and no kind of number", operand)
}

// install has the members of a gathering looked for.
func (c *compiler) install(g int, cut bool) {
	m, holds := &c.members[g], false
	for _, r := range c.e.gatherings[g].begins {
		holds = holds || c.holds(c.e.rules[r].action, cut)
	}
	if m.kind != "" && holds {
		c.holdNumber(m.kind)
	}
	if m.term >= 0 {
		c.entries[m.term].Hold = c.entries[m.term].Hold || holds
		c.e.termIn[m.term] = append(c.e.termIn[m.term], g)
	}
	for _, entry := range m.words {
		at, ok := c.index[entry]
		if !ok {
			at = len(c.entries)
			c.index[entry] = at
			c.entries = append(c.entries, entry)
			c.e.entryIn = append(c.e.entryIn, nil)
		}
		c.entries[at].Hold = c.entries[at].Hold || holds
		in := &c.e.entryIn[at-c.e.terms]
		if len(*in) == 0 || (*in)[len(*in)-1] != g { // a word may stand in a set twice
			*in = append(*in, g)
		}
	}
}

var reserved = " and or not within in sentence before after "

func isName(name string) bool {
	for i := 0; i < len(name); i++ {
		c := name[i]
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || !('0' <= c && c <= '9' || c == '_' || c == '-')) {
			return false
		}
	}
	return name != "" && len(name) <= 64 && !strings.Contains(reserved, " "+name+" ")
}
