package standard

import (
	"fmt"
	"slices"
)

// States of an obligation on given facts.
const (
	StateOwed     = "owed"     // a duty
	StatePending  = "pending"  // a fact is missing; the clock runs all the same
	StateDecision = "decision" // a person decides whether to report
	StateStruck   = "struck"   // not owed on these facts
)

// Kinds of due time. DueShorterClock occurs in rules only: Obligations resolves it.
const (
	DueWithin       = "within"
	DuePromptly     = "promptly"
	DuePeriodic     = "periodic"
	DueShorterClock = "shorter_clock"
)

// What starts a clock.
const (
	ClockAwareness     = "awareness"
	ClockHandlingEnded = "handling_ended"
)

// The scale on which a rule is owed, where it is one of the two that must be compared.
const (
	ScaleGuide = "guide"
	ScaleCAC   = "cac"
	ScaleNone  = "none"
)

// Rule is one thing that may be owed. Effect is StateOwed or StateDecision: what follows when the trigger holds.
// Recipient, Channel and Items are ids; Chain is a selection of oral, initial, supplement, final in this order.
type Rule struct {
	ID        string   `yaml:"id" json:"id"`
	Name      Name     `yaml:"name" json:"name"`
	Scale     string   `yaml:"scale" json:"scale"`
	Effect    string   `yaml:"effect" json:"effect"`
	Recipient string   `yaml:"recipient" json:"recipient"`
	Channel   string   `yaml:"channel" json:"channel"`
	Trigger   Trigger  `yaml:"trigger" json:"trigger"`
	Due       Due      `yaml:"due" json:"due"`
	Clock     string   `yaml:"clock" json:"clock"`
	Items     string   `yaml:"items" json:"items"`
	Chain     []string `yaml:"chain" json:"chain"`
	Cite      Cite     `yaml:"cite" json:"cite"`
}

// Due is a time to report. Ms, counted from the clock's start, is set for DueWithin only.
type Due struct {
	Kind string `yaml:"kind" json:"kind"`
	Ms   int64  `yaml:"ms" json:"ms,omitempty"`
}

// Trigger is a conjunction: every condition that is set must hold.
type Trigger struct {
	Levels              []int        `yaml:"levels" json:"levels,omitempty"`
	CACGrades           []CACGradeID `yaml:"cac_grades" json:"cac_grades,omitempty"`
	Reporter            string       `yaml:"reporter" json:"reporter,omitempty"`
	Categories          []string     `yaml:"categories" json:"categories,omitempty"`
	PersonalInformation bool         `yaml:"personal_information" json:"personal_information,omitempty"`
	EndangeringFlaw     bool         `yaml:"endangering_flaw" json:"endangering_flaw,omitempty"`
	CrimeSuspected      bool         `yaml:"crime_suspected" json:"crime_suspected,omitempty"`
	UnlessHarmAvoided   bool         `yaml:"unless_harm_avoided" json:"unless_harm_avoided,omitempty"`
	HandlingEnded       bool         `yaml:"handling_ended" json:"handling_ended,omitempty"`
	OccurrencesAtLeast  int64        `yaml:"occurrences_at_least" json:"occurrences_at_least,omitempty"`
	WindowMs            int64        `yaml:"window_ms" json:"window_ms,omitempty"`
	UsersMoreThan       int64        `yaml:"users_more_than" json:"users_more_than,omitempty"`
	ScalesDisagree      bool         `yaml:"scales_disagree" json:"scales_disagree,omitempty"`
}

// Facts is what is known of an incident. A zero value or nil means "not known yet", except for the two plain flags.
type Facts struct {
	Level               int        `json:"level"`                // working level, 0 while ungraded
	CACGrade            CACGradeID `json:"cac_grade"`            // empty while not decided
	Reporter            string     `json:"reporter"`             // id of a Reporter
	Categories          []string   `json:"categories"`           // ids of subtypes, primary and secondary
	PersonalInformation *bool      `json:"personal_information"` // leaked, altered or lost, actually or possibly
	EndangeringFlaw     *bool      `json:"endangering_flaw"`     // endangers national security or public interest
	CrimeSuspected      *bool      `json:"crime_suspected"`
	HarmAvoided         bool       `json:"harm_avoided"`
	HandlingEnded       bool       `json:"handling_ended"`
	Occurrences         *int64     `json:"occurrences"` // of one risk in one service, within the rule's window
	Users               *int64     `json:"users"`       // distinct subjects affected
}

// Obligation is a rule applied to facts. Due never has kind DueShorterClock. Reason.Key is
// "obligation.<state>.<condition>"; the condition is "all" when the trigger holds.
type Obligation struct {
	Rule   Rule   `json:"rule"`
	State  string `json:"state"`
	Due    Due    `json:"due"`
	Reason Reason `json:"reason"`
}

// DueAt is the due time for the clocks' starts, both in milliseconds UTC, zero while a clock has not started. A prompt
// duty is due at the start itself. False if the clock has not started or the rule names no time (DuePeriodic).
func (o Obligation) DueAt(awareMs, handlingEndedMs int64) (int64, bool) {
	start := awareMs
	if o.Rule.Clock == ClockHandlingEnded {
		start = handlingEndedMs
	}
	if start == 0 || o.Due.Kind == DuePeriodic {
		return 0, false
	}
	return start + o.Due.Ms, true
}

// Periodic reports whether the rule leaves its interval to the operator, so that it is never owed at once.
func (b *Book) Periodic(ruleID string) bool {
	return slices.ContainsFunc(b.obligations.Rules, func(r Rule) bool { return r.ID == ruleID && r.Due.Kind == DuePeriodic })
}

// Obligations applies every rule and returns one Obligation a rule, in the rules' order, so that a caller can strike
// off by rule id what it had opened. On an ungraded incident every candidate clock is pending. Until the level is
// known a category can make a report owed but cannot strike one off. Where guide level and CAC grade disagree on
// whether a report is owed, a decision is due on the shortest numeric clock of the two. Errors are *InputError.
func (b *Book) Obligations(f Facts) ([]Obligation, error) {
	if err := b.validFacts(f); err != nil {
		return nil, err
	}
	out := make([]Obligation, 0, len(b.obligations.Rules))
	for _, r := range b.obligations.Rules {
		verdict, condition := r.Trigger.holds(f)
		out = append(out, b.obligation(r, verdict, condition))
	}
	for i, r := range b.obligations.Rules {
		if r.Trigger.ScalesDisagree {
			verdict := disagreement(out)
			out[i] = b.obligation(r, verdict, condition(verdict, "scales_disagree"))
			out[i].Due = b.obligations.shorterClock(f.Reporter)
		}
	}
	return out, nil
}

func (b *Book) obligation(r Rule, v verdict, condition string) Obligation {
	state := map[verdict]string{holds: r.Effect, fails: StateStruck, unknown: StatePending}[v]
	key := "obligation." + state + "." + condition
	out := Obligation{Rule: r.clone(), State: state, Due: r.Due, Reason: Reason{Key: key}}
	for _, t := range b.obligations.Reasons {
		if t.ID == key {
			out.Reason.ZH, out.Reason.EN = t.Text.ZH, t.Text.EN
		}
	}
	return out
}

type verdict int

const (
	holds verdict = iota
	unknown
	fails
)

func known(p *bool) verdict {
	switch {
	case p == nil:
		return unknown
	case *p:
		return holds
	}
	return fails
}

func atLeast(n *int64, min int64) verdict {
	switch {
	case n == nil:
		return unknown
	case *n >= min:
		return holds
	}
	return fails
}

func when(ok bool) verdict {
	if ok {
		return holds
	}
	return fails
}

func condition(v verdict, name string) string {
	if v == holds {
		return "all"
	}
	return name
}

// holds weighs the conditions that are set: one that fails decides, else one that is unknown, else all hold.
func (t Trigger) holds(f Facts) (verdict, string) {
	worst, name := holds, "all"
	weigh := func(set bool, v verdict, condition string) {
		if set && v > worst {
			worst, name = v, condition
		}
	}
	level := when(slices.Contains(t.Levels, f.Level))
	if f.Level == 0 {
		level = unknown
	}
	grade := when(slices.Contains(t.CACGrades, f.CACGrade))
	if f.CACGrade == "" {
		grade = unknown
	}
	reporter := when(t.Reporter == f.Reporter)
	if f.Reporter == "" {
		reporter = unknown
	}
	category := when(slices.ContainsFunc(f.Categories, func(c string) bool { return slices.Contains(t.Categories, c) }))
	if category == fails && (f.Level == 0 || len(f.Categories) == 0) {
		category = unknown // a first guess at the category must not stop a clock
	}
	ended := holds
	if !f.HandlingEnded {
		ended = unknown
	}
	weigh(t.Reporter != "", reporter, "reporter")
	weigh(len(t.Levels) > 0, level, "level")
	weigh(len(t.CACGrades) > 0, grade, "cac_grade")
	weigh(len(t.Categories) > 0, category, "category")
	weigh(t.PersonalInformation, known(f.PersonalInformation), "personal_information")
	weigh(t.EndangeringFlaw, known(f.EndangeringFlaw), "endangering_flaw")
	weigh(t.CrimeSuspected, known(f.CrimeSuspected), "crime_suspected")
	weigh(t.UnlessHarmAvoided, when(!f.HarmAvoided), "harm_avoided")
	weigh(t.OccurrencesAtLeast > 0, atLeast(f.Occurrences, t.OccurrencesAtLeast), "occurrences")
	weigh(t.UsersMoreThan > 0, atLeast(f.Users, t.UsersMoreThan+1), "users")
	weigh(t.HandlingEnded, ended, "handling_ended")
	return worst, name
}

// disagreement compares the two scales by what their rules came to.
func disagreement(all []Obligation) verdict {
	owed := func(scale string) verdict {
		out := fails
		for _, o := range all {
			if o.Rule.Scale != scale {
				continue
			}
			switch o.State {
			case StateOwed, StateDecision:
				return holds
			case StatePending:
				out = unknown
			}
		}
		return out
	}
	guide, cac := owed(ScaleGuide), owed(ScaleCAC)
	if guide == unknown || cac == unknown {
		return unknown
	}
	return when(guide != cac)
}

// shorterClock is the shortest numeric clock among the rules of the two scales that fit the reporter, of all reporters
// while the reporter is not known. A prompt duty has no number and does not count unless there is nothing else.
func (r obligationRules) shorterClock(reporter string) Due {
	out := Due{Kind: DuePromptly}
	for _, rule := range r.Rules {
		fits := rule.Trigger.Reporter == "" || reporter == "" || rule.Trigger.Reporter == reporter
		if rule.Scale == ScaleNone || !fits || rule.Due.Kind != DueWithin {
			continue
		}
		if out.Kind == DuePromptly || rule.Due.Ms < out.Ms {
			out = rule.Due
		}
	}
	return out
}

func (b *Book) validFacts(f Facts) error {
	if f.Level != 0 {
		if _, err := b.RequiredMeasure(f.Level); err != nil {
			return err
		}
	}
	if f.CACGrade != "" && b.cac.rank(f.CACGrade) < 0 {
		return &InputError{Field: "cac_grade", Value: string(f.CACGrade), Problem: "is not a grade", Valid: b.cac.gradeIDs()}
	}
	if _, ok := b.cac.reporter(f.Reporter); f.Reporter != "" && !ok {
		valid := []string{}
		for _, r := range b.cac.Reporters {
			valid = append(valid, r.ID)
		}
		return &InputError{Field: "reporter", Value: f.Reporter, Problem: "is not a kind of reporter", Valid: valid}
	}
	for i, c := range f.Categories {
		if _, ok := b.Subtype(c); !ok {
			return &InputError{Field: fmt.Sprintf("categories[%d]", i), Value: c, Problem: "is not a subtype of the guide's chapter 4"}
		}
	}
	if f.Occurrences != nil && *f.Occurrences < 0 {
		return &InputError{Field: "occurrences", Value: fmt.Sprint(*f.Occurrences), Problem: "is below zero"}
	}
	if f.Users != nil && *f.Users < 0 {
		return &InputError{Field: "users", Value: fmt.Sprint(*f.Users), Problem: "is below zero"}
	}
	return nil
}
