package standard

import (
	"fmt"
	"slices"
	"strings"
)

// Recipient is whom something is owed to, by kind; the operator's own data hold the address.
type Recipient struct {
	ID   string `yaml:"id" json:"id"`
	Name Name   `yaml:"name" json:"name"`
	Cite Cite   `yaml:"cite" json:"cite"`
}

// Channel is a way to report. Addresses are those that are the same for everyone; none if they are the operator's own.
type Channel struct {
	ID        string    `yaml:"id" json:"id"`
	Name      Name      `yaml:"name" json:"name"`
	Addresses []Address `yaml:"addresses" json:"addresses"`
	Cite      Cite      `yaml:"cite" json:"cite"`
}

// Address is one address of a channel; Kind is phone, web, wechat_mini_program, wechat_account, email or fax.
type Address struct {
	Kind    string `yaml:"kind" json:"kind"`
	Address string `yaml:"address" json:"address"`
}

// ItemSet is what a report must contain.
type ItemSet struct {
	ID    string `yaml:"id" json:"id"`
	Name  Name   `yaml:"name" json:"name"`
	Cite  Cite   `yaml:"cite" json:"cite"`
	Items []Item `yaml:"items" json:"items"`
}

// Item is one required item, numbered from 1. SendFirst items go out alone if the others are not known in time.
type Item struct {
	No        int    `yaml:"no" json:"no"`
	ID        string `yaml:"id" json:"id"`
	Name      Name   `yaml:"name" json:"name"`
	SendFirst bool   `yaml:"send_first" json:"send_first"`
	Cite      Cite   `yaml:"cite" json:"cite"`
}

type obligationRules struct {
	Recipients []Recipient  `yaml:"recipients"`
	Channels   []Channel    `yaml:"channels"`
	ItemSets   []ItemSet    `yaml:"item_sets"`
	Rules      []Rule       `yaml:"rules"`
	Reasons    []ReasonText `yaml:"reasons"`
}

// Rules returns every obligation rule.
func (b *Book) Rules() []Rule {
	out := slices.Clone(b.obligations.Rules)
	for i := range out {
		out[i] = out[i].clone()
	}
	return out
}

func (r Rule) clone() Rule {
	r.Chain = slices.Clone(r.Chain)
	r.Trigger.Levels = slices.Clone(r.Trigger.Levels)
	r.Trigger.CACGrades = slices.Clone(r.Trigger.CACGrades)
	r.Trigger.Categories = slices.Clone(r.Trigger.Categories)
	return r
}

// Recipients returns the kinds of recipient.
func (b *Book) Recipients() []Recipient { return slices.Clone(b.obligations.Recipients) }

// Channels returns the ways to report.
func (b *Book) Channels() []Channel {
	out := slices.Clone(b.obligations.Channels)
	for i := range out {
		out[i].Addresses = slices.Clone(out[i].Addresses)
	}
	return out
}

// ItemSets returns the required items of each kind of report.
func (b *Book) ItemSets() []ItemSet {
	out := slices.Clone(b.obligations.ItemSets)
	for i := range out {
		out[i].Items = slices.Clone(out[i].Items)
	}
	return out
}

// Reasons returns the sentences of every Reason.Key, with their {arguments}.
func (b *Book) Reasons() []ReasonText { return slices.Concat(b.grading.Reasons, b.obligations.Reasons) }

// ItemSet finds a set of required items by id, as Rule.Items names it.
func (b *Book) ItemSet(id string) (ItemSet, bool) {
	for _, s := range b.ItemSets() {
		if s.ID == id {
			return s, true
		}
	}
	return ItemSet{}, false
}

func (r obligationRules) recipientKnown(id string) bool {
	return slices.ContainsFunc(r.Recipients, func(x Recipient) bool { return x.ID == id })
}

func (r obligationRules) check(c *checker, b *Book) {
	recipients, channels, sets := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i, x := range r.Recipients {
		at := fmt.Sprintf("recipients[%d]", i)
		c.ids(recipients, at, x.ID, idShape)
		c.name(at+".name", x.Name)
		c.cite(at+".cite", x.Cite)
	}
	kinds := []string{"phone", "web", "wechat_mini_program", "wechat_account", "email", "fax"}
	for i, x := range r.Channels {
		at := fmt.Sprintf("channels[%d]", i)
		c.ids(channels, at, x.ID, idShape)
		c.name(at+".name", x.Name)
		c.cite(at+".cite", x.Cite)
		for j, a := range x.Addresses {
			at := fmt.Sprintf("%s.addresses[%d]", at, j)
			c.require(slices.Contains(kinds, a.Kind), at+".kind", "%q; valid: %s", a.Kind, strings.Join(kinds, ", "))
			c.require(a.Address != "", at+".address", "is missing")
		}
	}
	for i, s := range r.ItemSets {
		at := fmt.Sprintf("item_sets[%d]", i)
		c.ids(sets, at, s.ID, idShape)
		c.name(at+".name", s.Name)
		c.cite(at+".cite", s.Cite)
		c.require(len(s.Items) > 0, at+".items", "is empty")
		items := map[string]bool{}
		for j, it := range s.Items {
			at := fmt.Sprintf("%s.items[%d]", at, j)
			c.require(it.No == j+1, at+".no", "is %d where %d is due", it.No, j+1)
			c.ids(items, at, it.ID, idShape)
			c.name(at+".name", it.Name)
			c.cite(at+".cite", it.Cite)
		}
	}
	ids := map[string]bool{}
	c.require(len(r.Rules) > 0, "rules", "is empty")
	for i, rule := range r.Rules {
		at := fmt.Sprintf("rules[%d]", i)
		c.ids(ids, at, rule.ID, idShape)
		c.require(recipients[rule.Recipient], at+".recipient", "%q is not a recipient", rule.Recipient)
		c.require(channels[rule.Channel], at+".channel", "%q is not a channel", rule.Channel)
		c.require(sets[rule.Items], at+".items", "%q is not a set of items", rule.Items)
		rule.check(c, at, b)
	}
	r.checkReporters(c, b)
	want := map[string][]string{"obligation.owed.all": nil, "obligation.decision.all": nil, "obligation.struck.harm_avoided": nil, "obligation.pending.handling_ended": nil}
	for _, cond := range []string{"level", "cac_grade", "reporter", "category", "personal_information", "endangering_flaw", "crime_suspected", "occurrences", "users", "scales_disagree"} {
		want["obligation.pending."+cond], want["obligation.struck."+cond] = nil, nil
	}
	checkReasons(c, r.Reasons, want)
}

func (r Rule) check(c *checker, at string, b *Book) {
	c.name(at+".name", r.Name)
	c.cite(at+".cite", r.Cite)
	c.require(slices.Contains([]string{ScaleGuide, ScaleCAC, ScaleNone}, r.Scale), at+".scale", "%q; valid: guide, cac, none", r.Scale)
	c.require(r.Effect == StateOwed || r.Effect == StateDecision, at+".effect", "%q; valid: owed, decision", r.Effect)
	c.require(r.Clock == ClockAwareness || r.Clock == ClockHandlingEnded, at+".clock", "%q; valid: awareness, handling_ended", r.Clock)
	c.require(slices.Contains([]string{DueWithin, DuePromptly, DuePeriodic, DueShorterClock}, r.Due.Kind), at+".due.kind", "%q; valid: within, promptly, periodic, shorter_clock", r.Due.Kind)
	c.require((r.Due.Ms > 0) == (r.Due.Kind == DueWithin) && r.Due.Ms >= 0, at+".due.ms", "must be above zero for within, absent otherwise")
	steps := []string{"oral", "initial", "supplement", "final"}
	c.require(len(r.Chain) > 0, at+".chain", "is empty")
	last := -1
	for _, s := range r.Chain {
		n := slices.Index(steps, s)
		c.require(n > last, at+".chain", "%q: must be a selection of %s in this order", s, strings.Join(steps, ", "))
		last = max(last, n)
	}
	t, f := r.Trigger, at+".trigger"
	set := len(t.Levels) > 0 || len(t.CACGrades) > 0 || len(t.Categories) > 0 || t.PersonalInformation || t.EndangeringFlaw ||
		t.CrimeSuspected || t.OccurrencesAtLeast > 0 || t.UsersMoreThan > 0 || t.ScalesDisagree
	c.require(set, f, "has no condition about the incident: it would always or never hold")
	for _, l := range t.Levels {
		c.require(b.policy.has(l), f+".levels", "%d is not a level", l)
	}
	for _, g := range t.CACGrades {
		c.require(b.cac.rank(g) >= 0, f+".cac_grades", "%q is not a grade", g)
	}
	_, ok := b.cac.reporter(t.Reporter)
	c.require(t.Reporter == "" || ok, f+".reporter", "%q is not a kind of reporter", t.Reporter)
	for _, s := range t.Categories {
		_, ok := b.Subtype(s)
		c.require(ok, f+".categories", "%q is not a subtype", s)
	}
	c.require(t.OccurrencesAtLeast >= 0 && t.UsersMoreThan >= 0, f, "a counter is below zero")
	c.require((t.OccurrencesAtLeast > 0) == (t.WindowMs > 0), f+".window_ms", "goes with occurrences_at_least, above zero")
	c.require(t.HandlingEnded == (r.Clock == ClockHandlingEnded), f+".handling_ended", "goes with the clock handling_ended")
	c.require(t.ScalesDisagree == (r.Due.Kind == DueShorterClock), f+".scales_disagree", "goes with due.kind shorter_clock")
	c.require(!t.ScalesDisagree || r.Scale == ScaleNone, at+".scale", "a rule that compares the scales belongs to none")
}

// checkReporters holds the rules to the reporters of the CAC measures: the same deadlines are stated in both places.
func (r obligationRules) checkReporters(c *checker, b *Book) {
	for _, rep := range b.cac.Reporters {
		for _, to := range rep.FirstRecipients {
			n := 0
			for i, rule := range r.Rules {
				if rule.Scale != ScaleCAC || rule.Trigger.Reporter != rep.ID || rule.Recipient != to {
					continue
				}
				n++
				c.require(rule.Due.Ms == rep.DueMs, fmt.Sprintf("rules[%d].due.ms", i), "is %d where %s gives %d for %s", rule.Due.Ms, fileCAC, rep.DueMs, rep.ID)
			}
			c.require(n == 1, "rules", "%d rules for reporter %s and recipient %s where 1 is due", n, rep.ID, to)
		}
	}
	for i, rule := range r.Rules {
		switch rule.Scale {
		case ScaleGuide:
			for _, l := range b.policy.Levels {
				owes := slices.Contains(rule.Trigger.Levels, l.Level)
				c.require(owes == (l.Report == ReportAtOnce), fmt.Sprintf("rules[%d].trigger.levels", i), "and %s disagree on level %d", filePolicy, l.Level)
			}
		case ScaleCAC:
			for _, g := range b.cac.Grades {
				owes := slices.Contains(rule.Trigger.CACGrades, g.ID)
				c.require(owes == g.Reportable, fmt.Sprintf("rules[%d].trigger.cac_grades", i), "and %s disagree on %s", fileCAC, g.ID)
			}
		}
	}
}
