package standard

import (
	"fmt"
	"slices"
	"strconv"
)

// Measures that a level may demand (guide 6.3.2 a), from the lightest to the gravest.
const (
	MeasureLocalAdjustment    = "local_adjustment"
	MeasureFeatureRestriction = "feature_restriction"
	MeasureOffline            = "offline"
)

// How soon a level is reported to the authority in charge (guide 6.3.2 b).
const (
	ReportAtOnce   = "at_once"
	ReportPeriodic = "periodic"
)

// Measure is one of 局部调整, 功能限制, 下线.
type Measure struct {
	ID   string `yaml:"id" json:"id"`
	Name Name   `yaml:"name" json:"name"`
	Cite Cite   `yaml:"cite" json:"cite"`
}

// LevelPolicy is what a level demands: Must at least, May where needed; Report is ReportAtOnce or ReportPeriodic.
type LevelPolicy struct {
	Level      int      `yaml:"level" json:"level"`
	Name       Name     `yaml:"name" json:"name"`
	Title      Name     `yaml:"title" json:"title"`
	Must       string   `yaml:"must" json:"must"`
	May        []string `yaml:"may" json:"may"`
	Report     string   `yaml:"report" json:"report"`
	Cite       Cite     `yaml:"cite" json:"cite"`
	ReportCite Cite     `yaml:"report_cite" json:"report_cite"`
}

// Number is one number of the standard. Unit is ms, count or basis_points (9500 = 95 %).
type Number struct {
	ID    string `yaml:"id" json:"id"`
	Value int64  `yaml:"value" json:"value"`
	Unit  string `yaml:"unit" json:"unit"`
	Cite  Cite   `yaml:"cite" json:"cite"`
}

// HotEvent is what the guide asks for when a key news event or threat arises (6.1.2 a, 6.2.2 a).
type HotEvent struct {
	UpdateWithinMs           int64
	MinKeywords              int64
	MinShouldRefuseQuestions int64
	MinRefusalRateBP         int64 // basis points: 9500 = 95 %
	Numbers                  []Number
}

type policyRules struct {
	Measures []Measure     `yaml:"measures"`
	Levels   []LevelPolicy `yaml:"levels"`
	HotEvent []Number      `yaml:"hot_event"`
}

// Measures returns the measures, lightest first.
func (b *Book) Measures() []Measure { return slices.Clone(b.policy.Measures) }

// Levels returns the policy of every level, gravest first.
func (b *Book) Levels() []LevelPolicy {
	out := slices.Clone(b.policy.Levels)
	for i := range out {
		out[i].May = slices.Clone(out[i].May)
	}
	return out
}

// RequiredMeasure returns what a level demands; *InputError if there is no such level.
func (b *Book) RequiredMeasure(level int) (LevelPolicy, error) {
	if !b.policy.has(level) {
		valid := []string{}
		for _, l := range b.policy.Levels {
			valid = append(valid, strconv.Itoa(l.Level))
		}
		return LevelPolicy{}, &InputError{Field: "level", Value: strconv.Itoa(level), Problem: "is not a level", Valid: valid}
	}
	return b.Levels()[level-1], nil
}

// LevelName returns 一级 and "Level 1" for 1; empty names for a number that is not a level.
func (b *Book) LevelName(level int) Name {
	if !b.policy.has(level) {
		return Name{}
	}
	return b.policy.Levels[level-1].Name
}

// HotEvent returns the numbers for hot events.
func (b *Book) HotEvent() HotEvent {
	n := func(id string) int64 {
		i := slices.IndexFunc(b.policy.HotEvent, func(x Number) bool { return x.ID == id })
		return b.policy.HotEvent[i].Value
	}
	return HotEvent{
		UpdateWithinMs: n("update_within_ms"), MinKeywords: n("min_keywords"),
		MinShouldRefuseQuestions: n("min_should_refuse_questions"), MinRefusalRateBP: n("min_refusal_rate_bp"),
		Numbers: slices.Clone(b.policy.HotEvent),
	}
}

func (p policyRules) has(level int) bool { return level >= 1 && level <= len(p.Levels) }

func (p policyRules) check(c *checker) {
	order := []string{MeasureLocalAdjustment, MeasureFeatureRestriction, MeasureOffline}
	c.require(len(p.Measures) == len(order), "measures", "must be exactly %v, lightest first", order)
	for i, m := range p.Measures {
		at := fmt.Sprintf("measures[%d]", i)
		c.require(i < len(order) && m.ID == order[i], at+".id", "%q: must be exactly %v, lightest first", m.ID, order)
		c.name(at+".name", m.Name)
		c.cite(at+".cite", m.Cite)
	}
	c.require(len(p.Levels) > 0, "levels", "is empty")
	for i, l := range p.Levels {
		at := fmt.Sprintf("levels[%d]", i)
		c.require(l.Level == i+1, at+".level", "is %d where %d is due: levels are listed from 1", l.Level, i+1)
		c.name(at+".name", l.Name)
		c.name(at+".title", l.Title)
		c.cite(at+".cite", l.Cite)
		c.cite(at+".report_cite", l.ReportCite)
		c.require(slices.Contains(order, l.Must), at+".must", "%q is not a measure; valid: %v", l.Must, order)
		for _, m := range l.May {
			c.require(slices.Index(order, m) > slices.Index(order, l.Must), at+".may", "%q is not a measure beyond %q", m, l.Must)
		}
		c.require(l.Report == ReportAtOnce || l.Report == ReportPeriodic, at+".report", "%q; valid: %s, %s", l.Report, ReportAtOnce, ReportPeriodic)
		if i > 0 {
			graver := p.Levels[i-1]
			c.require(slices.Index(order, graver.Must) >= slices.Index(order, l.Must), at+".must", "demands more than level %d", graver.Level)
			c.require(graver.Report == ReportAtOnce || l.Report == ReportPeriodic, at+".report", "is sooner than at level %d", graver.Level)
		}
	}
	units := map[string]string{"update_within_ms": "ms", "min_keywords": "count", "min_should_refuse_questions": "count", "min_refusal_rate_bp": "basis_points"}
	seen := map[string]bool{}
	for i, n := range p.HotEvent {
		at := fmt.Sprintf("hot_event[%d]", i)
		c.require(units[n.ID] != "", at+".id", "%q is not a number for hot events", n.ID)
		c.require(!seen[n.ID], at+".id", "%q is used twice", n.ID)
		seen[n.ID] = true
		c.require(n.Unit == units[n.ID], at+".unit", "%q; valid: %s", n.Unit, units[n.ID])
		c.require(n.Value > 0, at+".value", "must be above zero")
		c.require(n.Unit != "basis_points" || n.Value <= 10000, at+".value", "is above 10000 basis points")
		c.cite(at+".cite", n.Cite)
	}
	for id := range units {
		c.require(seen[id], "hot_event", "%s is missing", id)
	}
}
