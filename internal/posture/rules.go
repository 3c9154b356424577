package posture

import (
	"cmp"
	"slices"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Action is what a match does, mildest first.
type Action string

// The actions. Mask covers the match, Replace puts another text in its place, Block ends the answer.
const (
	Allow   Action = "allow"
	Observe Action = "observe"
	Mask    Action = "mask"
	Replace Action = "replace"
	Block   Action = "block"
)

// Severity orders the actions: 0 for allow … 4 for block, -1 for a word that is none.
func (a Action) Severity() int {
	return slices.Index([]Action{Allow, Observe, Mask, Replace, Block}, a)
}

// Term is one entry of a lexicon as the engine matches it.
type Term struct {
	ID          string   `json:"id"`
	Text        string   `json:"text"`
	Action      Action   `json:"action"`
	Risk        string   `json:"risk"`                 // code of the taxonomy
	Topic       string   `json:"topic,omitzero"`       //
	Replacement string   `json:"replacement,omitzero"` // for Replace
	Contexts    []string `json:"contexts,omitempty"`   // one of them must stand within Window runes
	Window      int      `json:"window,omitzero"`      // runes
	// Matching says in which ways the text is looked for where they are not the usual; the usual says [inspect.Usual].
	Matching inspect.Matching `json:"matching,omitzero"`
}

// Check is a rule by computation; the kinds are those of [inspect.Kinds].
type Check struct {
	ID     string `json:"id"`
	Kind   string `json:"kind"`
	Action Action `json:"action"`
	Risk   string `json:"risk"`
	Ends   bool   `json:"ends,omitzero"` // a mask leaves both ends, see [inspect.Check]
	Swap   bool   `json:"swap,omitzero"` // of a mask: the model gets a placeholder, the answer has the data again; what it says itself is masked
}

// Rules is one set of terms and checks.
type Rules struct {
	Terms  []Term  `json:"terms"`
	Checks []Check `json:"checks"`
	// Injection is what is done about a request that seems to turn the model against its operator, by what a
	// user or a tool wrote: Observe or Block; "" and Allow look for nothing.
	Injection   Action       `json:"injection,omitzero"`
	Classifiers []Classifier `json:"classifiers,omitempty"`
}

// Topic is what a topic-block order can shut off; its terms all block, whatever their action says.
type Topic struct {
	ID    string `json:"id"`
	Name  Text   `json:"name"`
	Terms []Term `json:"terms"`
}

func cloneTerms(in []Term) []Term {
	out := make([]Term, len(in))
	for i, t := range in {
		t.Contexts, t.Matching = slices.Clone(t.Contexts), t.Matching.Clone()
		out[i] = t
	}
	return out
}

func (r Rules) clone() Rules {
	checks := make([]Check, len(r.Checks))
	copy(checks, r.Checks)
	return Rules{Terms: cloneTerms(r.Terms), Checks: checks, Injection: r.Injection, Classifiers: slices.Clone(r.Classifiers)}
}

func canonicalTerms(terms []Term) {
	slices.SortFunc(terms, func(a, b Term) int { return cmp.Compare(a.ID, b.ID) })
	for i := range terms {
		slices.Sort(terms[i].Contexts)
	}
}

func (r *Rules) canonical() {
	canonicalTerms(r.Terms)
	slices.SortFunc(r.Checks, func(a, b Check) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(r.Classifiers, func(a, b Classifier) int { return cmp.Compare(a.ID, b.ID) })
}

func (r Rules) check(path string, ids map[string]bool) error {
	if err := checkTerms(path+".terms", r.Terms, ids); err != nil {
		return err
	}
	if !slices.Contains([]Action{"", Allow, Observe, Block}, r.Injection) {
		return fault.Invalid(path+".injection", "posture.unknown_value", "value", string(r.Injection))
	}
	for _, c := range r.Checks {
		switch {
		case c.ID == "":
			return fault.Invalid(path+".checks.id", "posture.missing")
		case ids[c.ID]:
			return fault.Invalid(path+".checks."+c.ID, "posture.repeated", "value", c.ID)
		case !slices.Contains(inspect.Kinds(), c.Kind):
			return fault.Invalid(path+".checks."+c.ID+".kind", "posture.unknown_value", "value", c.Kind)
		case c.Ends && (c.Action != Mask || !inspect.HasEnds(c.Kind)):
			return fault.Invalid(path+".checks."+c.ID+".ends", "posture.unknown_value", "value", "true")
		case c.Swap && (c.Action != Mask || c.Ends):
			return fault.Invalid(path+".checks."+c.ID+".swap", "posture.unknown_value", "value", "true")
		case c.Action.Severity() < 0:
			return fault.Invalid(path+".checks."+c.ID+".action", "posture.unknown_value", "value", string(c.Action))
		}
		ids[c.ID] = true
	}
	for _, c := range r.Classifiers {
		if err := c.check(path, ids); err != nil {
			return err
		}
	}
	return nil
}

func checkTerms(path string, terms []Term, ids map[string]bool) error {
	for _, t := range terms {
		switch {
		case t.ID == "":
			return fault.Invalid(path+".id", "posture.missing")
		case ids[t.ID]:
			return fault.Invalid(path+"."+t.ID, "posture.repeated", "value", t.ID)
		case t.Text == "":
			return fault.Invalid(path+"."+t.ID+".text", "posture.missing")
		case t.Action.Severity() < 0:
			return fault.Invalid(path+"."+t.ID+".action", "posture.unknown_value", "value", string(t.Action))
		case t.Window < 0 || len(t.Contexts) > 0 && t.Window == 0:
			return fault.Invalid(path+"."+t.ID+".window", "posture.window")
		}
		if !t.Matching.IsZero() {
			if _, err := t.Matching.Of(t.Text, t.Contexts...); err != nil {
				return fault.Invalid(path+"."+t.ID+".matching", "posture.unknown_value", "value", t.Matching.String()).Because(err)
			}
		}
		ids[t.ID] = true
	}
	return nil
}

// Tightened gives the rules of the base and the strict set together.
func (d Draft) Tightened() Rules {
	rules, s := d.Rules.clone(), d.Strict.clone()
	rules.Terms = append(rules.Terms, s.Terms...)
	rules.Checks = append(rules.Checks, s.Checks...)
	rules.Classifiers = stricter(rules.Classifiers, s.Classifiers)
	if s.Injection.Severity() > rules.Injection.Severity() {
		rules.Injection = s.Injection
	}
	return rules
}

// Topical gives the terms that shutting off a topic blocks by itself: its own, and those of the base and the strict set that
// carry it.
func (d Draft) Topical(id string) (terms []Term) {
	carry := func(list []Term, all bool) {
		for _, t := range list {
			if all || t.Topic == id {
				t.Action, t.Topic = Block, id
				terms = append(terms, t)
			}
		}
	}
	carry(d.Rules.Terms, false)
	carry(d.Strict.Terms, false)
	for _, t := range d.Topics {
		if t.ID == id {
			carry(t.Terms, true)
		}
	}
	return cloneTerms(terms)
}
