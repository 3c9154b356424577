package standard

import (
	"fmt"
	"slices"
	"strings"
)

// CACGradeID is a grade of the CAC annex, the second scale, such as "major"; empty while it is not decided.
type CACGradeID string

// CACGradeDef is one grade. Reportable grades owe the report of art. 4.
type CACGradeDef struct {
	ID         CACGradeID `yaml:"id" json:"id"`
	Name       Name       `yaml:"name" json:"name"`
	Reportable bool       `yaml:"reportable" json:"reportable"`
	Cite       Cite       `yaml:"cite" json:"cite"`
}

// Scope is what a measurement is about where the annex asks, such as the kind of site or area.
type Scope struct {
	ID   string `yaml:"id" json:"id"`
	Name Name   `yaml:"name" json:"name"`
	Cite Cite   `yaml:"cite" json:"cite"`
}

// Kinds of indicator: a number is compared, or a person names the grade by the qualitative wording.
const (
	IndicatorMeasured = "measured"
	IndicatorJudged   = "judged"
)

// Indicator is one row of the annex. Unit is ms, persons, count, cny, basis_points (5000 = 50 %) or grade.
type Indicator struct {
	ID    string          `yaml:"id" json:"id"`
	Name  Name            `yaml:"name" json:"name"`
	Unit  string          `yaml:"unit" json:"unit"`
	Kind  string          `yaml:"kind" json:"kind"`
	Cite  Cite            `yaml:"cite" json:"cite"`
	Cells []IndicatorCell `yaml:"cells" json:"cells"`
}

// IndicatorCell is the threshold for one grade: a value of AtLeast or more, of one of the scopes if there are any.
type IndicatorCell struct {
	Grade   CACGradeID `yaml:"grade" json:"grade"`
	AtLeast int64      `yaml:"at_least" json:"at_least,omitempty"`
	Scope   []string   `yaml:"scope" json:"scope,omitempty"`
	Cite    Cite       `yaml:"cite" json:"cite"`
}

// Quantity is one thing known about an incident: Value in the indicator's unit for a measured one, Judged for a judged
// one, Scope where the indicator asks for it. An indicator may occur several times, for example once a site.
type Quantity struct {
	Indicator string     `json:"indicator"`
	Value     int64      `json:"value,omitempty"`
	Scope     string     `json:"scope,omitempty"`
	Judged    CACGradeID `json:"judged,omitempty"`
}

// CACHit is a cell that was met.
type CACHit struct {
	Indicator string     `json:"indicator"`
	Value     int64      `json:"value,omitempty"`
	AtLeast   int64      `json:"at_least,omitempty"`
	Scope     string     `json:"scope,omitempty"`
	Grade     CACGradeID `json:"grade"`
	Cite      Cite       `json:"cite"`
}

// CACGrading is the grade by quantities, a lower bound as long as quantities are missing. Deciding holds the cells that
// gave the grade, none when it is the lowest grade because no threshold was met. Verified is true if at least one
// deciding cell is verified and so is every graver cell that was tried and not met.
type CACGrading struct {
	Grade      CACGradeID `json:"grade"`
	Name       Name       `json:"name"`
	Reportable bool       `json:"reportable"`
	Verified   bool       `json:"verified"`
	Cite       Cite       `json:"cite"`
	Deciding   []CACHit   `json:"deciding"`
}

// Reporter is a kind of reporter under art. 4: whom it tells first, how soon after awareness, and who passes it on.
type Reporter struct {
	ID              string   `yaml:"id" json:"id"`
	Name            Name     `yaml:"name" json:"name"`
	FirstRecipients []string `yaml:"first_recipients" json:"first_recipients"`
	DueMs           int64    `yaml:"due_ms" json:"due_ms"`
	NextHops        []Hop    `yaml:"next_hops" json:"next_hops"`
	Cite            Cite     `yaml:"cite" json:"cite"`
}

// Hop is the duty of a receiving authority to pass a report on: DueMs after its receipt, for incidents of Grades.
type Hop struct {
	From   string       `yaml:"from" json:"from"`
	To     []string     `yaml:"to" json:"to"`
	DueMs  int64        `yaml:"due_ms" json:"due_ms"`
	Grades []CACGradeID `yaml:"grades" json:"grades"`
	Cite   Cite         `yaml:"cite" json:"cite"`
}

type cacRules struct {
	Grades     []CACGradeDef `yaml:"grades"`
	Scopes     []Scope       `yaml:"scopes"`
	Indicators []Indicator   `yaml:"indicators"`
	Reporters  []Reporter    `yaml:"reporters"`
}

// CACGrades returns the grades, gravest first.
func (b *Book) CACGrades() []CACGradeDef { return slices.Clone(b.cac.Grades) }

// Scopes returns what a measurement can be about.
func (b *Book) Scopes() []Scope { return slices.Clone(b.cac.Scopes) }

// Indicators returns the rows of the annex.
func (b *Book) Indicators() []Indicator {
	out := slices.Clone(b.cac.Indicators)
	for i := range out {
		out[i].Cells = slices.Clone(out[i].Cells)
		for j := range out[i].Cells {
			out[i].Cells[j].Scope = slices.Clone(out[i].Cells[j].Scope)
		}
	}
	return out
}

// Reporters returns the kinds of reporter.
func (b *Book) Reporters() []Reporter {
	out := slices.Clone(b.cac.Reporters)
	for i := range out {
		out[i].FirstRecipients = slices.Clone(out[i].FirstRecipients)
		out[i].NextHops = slices.Clone(out[i].NextHops)
		for j, h := range out[i].NextHops {
			out[i].NextHops[j].To, out[i].NextHops[j].Grades = slices.Clone(h.To), slices.Clone(h.Grades)
		}
	}
	return out
}

// CACGrade grades by the annex: any one cell is enough, the gravest wins. At least one quantity is required, because
// knowing nothing is not the lowest grade. Errors are *InputError.
func (b *Book) CACGrade(quantities []Quantity) (CACGrading, error) {
	if len(quantities) == 0 {
		return CACGrading{}, &InputError{Field: "quantities", Problem: "at least one quantity is required"}
	}
	var hits []CACHit
	best := len(b.cac.Grades) - 1
	for i, q := range quantities {
		ind, err := b.cac.validQuantity(fmt.Sprintf("quantities[%d]", i), q)
		if err != nil {
			return CACGrading{}, err
		}
		for _, cell := range ind.Cells {
			if cell.met(ind, q) {
				hits = append(hits, CACHit{Indicator: ind.ID, Value: q.Value, AtLeast: cell.AtLeast, Scope: q.Scope, Grade: cell.Grade, Cite: cell.Cite})
				best = min(best, b.cac.rank(cell.Grade))
			}
		}
	}
	g := b.cac.Grades[best]
	out := CACGrading{Grade: g.ID, Name: g.Name, Reportable: g.Reportable, Cite: g.Cite, Deciding: []CACHit{}}
	for _, h := range hits {
		if h.Grade == g.ID {
			out.Deciding = append(out.Deciding, h)
			out.Verified = out.Verified || h.Cite.Verified
		}
	}
	if len(out.Deciding) == 0 {
		out.Verified = g.Cite.Verified
	}
	for _, q := range quantities {
		ind, _ := b.cac.indicator(q.Indicator)
		for _, cell := range ind.Cells {
			if b.cac.rank(cell.Grade) < best && cell.tried(ind) && !cell.Cite.Verified {
				out.Verified = false
			}
		}
	}
	return out, nil
}

// tried says whether not meeting the cell rests on its threshold; a person's judgement does not.
func (c IndicatorCell) tried(ind Indicator) bool { return ind.Kind == IndicatorMeasured }

func (c IndicatorCell) met(ind Indicator, q Quantity) bool {
	if ind.Kind == IndicatorJudged {
		return c.Grade == q.Judged
	}
	return q.Value >= c.AtLeast && (len(c.Scope) == 0 || slices.Contains(c.Scope, q.Scope))
}

func (r cacRules) validQuantity(field string, q Quantity) (Indicator, error) {
	ind, ok := r.indicator(q.Indicator)
	if !ok {
		var valid []string
		for _, i := range r.Indicators {
			valid = append(valid, i.ID)
		}
		return ind, &InputError{Field: field + ".indicator", Value: q.Indicator, Problem: "is not an indicator", Valid: valid}
	}
	if ind.Kind == IndicatorJudged {
		if r.rank(q.Judged) < 0 {
			return ind, &InputError{Field: field + ".judged", Value: string(q.Judged), Problem: "is not a grade", Valid: r.gradeIDs()}
		}
		if q.Value != 0 || q.Scope != "" {
			return ind, &InputError{Field: field, Problem: ind.ID + " is judged: it takes no value and no scope"}
		}
		return ind, nil
	}
	if q.Judged != "" {
		return ind, &InputError{Field: field + ".judged", Value: string(q.Judged), Problem: ind.ID + " is measured, not judged"}
	}
	if q.Value < 0 {
		return ind, &InputError{Field: field + ".value", Value: fmt.Sprint(q.Value), Problem: "is below zero"}
	}
	if ind.Unit == "basis_points" && q.Value > 10000 {
		return ind, &InputError{Field: field + ".value", Value: fmt.Sprint(q.Value), Problem: "is above 10000 basis points"}
	}
	scopes := ind.scopes()
	if (len(scopes) > 0 || q.Scope != "") && !slices.Contains(scopes, q.Scope) {
		return ind, &InputError{Field: field + ".scope", Value: q.Scope, Problem: "is not a scope of " + ind.ID, Valid: scopes}
	}
	return ind, nil
}

func (i Indicator) scopes() []string {
	var out []string
	for _, c := range i.Cells {
		for _, s := range c.Scope {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

func (r cacRules) indicator(id string) (Indicator, bool) {
	i := slices.IndexFunc(r.Indicators, func(x Indicator) bool { return x.ID == id })
	if i < 0 {
		return Indicator{}, false
	}
	return r.Indicators[i], true
}

// rank is 0 for the gravest grade, -1 for what is not a grade.
func (r cacRules) rank(id CACGradeID) int {
	return slices.IndexFunc(r.Grades, func(g CACGradeDef) bool { return g.ID == id })
}

func (r cacRules) gradeIDs() []string {
	var out []string
	for _, g := range r.Grades {
		out = append(out, string(g.ID))
	}
	return out
}

func (r cacRules) reporter(id string) (Reporter, bool) {
	i := slices.IndexFunc(r.Reporters, func(x Reporter) bool { return x.ID == id })
	if i < 0 {
		return Reporter{}, false
	}
	return r.Reporters[i], true
}

func (r cacRules) check(c *checker, obl obligationRules) {
	grades, scopes := map[string]bool{}, map[string]bool{}
	c.require(len(r.Grades) >= 2, "grades", "needs at least two grades")
	for i, g := range r.Grades {
		at := fmt.Sprintf("grades[%d]", i)
		c.ids(grades, at, string(g.ID), idShape)
		c.name(at+".name", g.Name)
		c.cite(at+".cite", g.Cite)
		c.require(i == 0 || r.Grades[i-1].Reportable || !g.Reportable, at+".reportable", "is reportable although a graver grade is not")
	}
	for i, s := range r.Scopes {
		at := fmt.Sprintf("scopes[%d]", i)
		c.ids(scopes, at, s.ID, idShape)
		c.name(at+".name", s.Name)
		c.cite(at+".cite", s.Cite)
	}
	r.checkIndicators(c, scopes)
	reporters := map[string]bool{}
	c.require(len(r.Reporters) > 0, "reporters", "is empty")
	for i, rep := range r.Reporters {
		at := fmt.Sprintf("reporters[%d]", i)
		c.ids(reporters, at, rep.ID, idShape)
		c.name(at+".name", rep.Name)
		c.cite(at+".cite", rep.Cite)
		c.require(rep.DueMs > 0, at+".due_ms", "must be above zero")
		c.require(len(rep.FirstRecipients) > 0, at+".first_recipients", "is empty")
		for _, id := range rep.FirstRecipients {
			c.require(obl.recipientKnown(id), at+".first_recipients", "%q is not a recipient", id)
		}
		for j, h := range rep.NextHops {
			at := fmt.Sprintf("%s.next_hops[%d]", at, j)
			c.cite(at+".cite", h.Cite)
			c.require(slices.Contains(rep.FirstRecipients, h.From), at+".from", "%q did not receive the report", h.From)
			c.require(len(h.To) > 0, at+".to", "is empty")
			for _, id := range h.To {
				c.require(obl.recipientKnown(id), at+".to", "%q is not a recipient", id)
			}
			c.require(h.DueMs > 0, at+".due_ms", "must be above zero")
			c.require(len(h.Grades) > 0, at+".grades", "is empty")
			for _, g := range h.Grades {
				c.require(r.rank(g) >= 0, at+".grades", "%q is not a grade", g)
			}
		}
	}
}

func (r cacRules) checkIndicators(c *checker, scopes map[string]bool) {
	units := []string{"ms", "persons", "count", "cny", "basis_points", "grade"}
	seen := map[string]bool{}
	c.require(len(r.Indicators) > 0, "indicators", "is empty")
	for i, ind := range r.Indicators {
		at := fmt.Sprintf("indicators[%d]", i)
		c.ids(seen, at, ind.ID, idShape)
		c.name(at+".name", ind.Name)
		c.cite(at+".cite", ind.Cite)
		c.require(slices.Contains(units, ind.Unit), at+".unit", "%q; valid: %s", ind.Unit, strings.Join(units, ", "))
		c.require(ind.Kind == IndicatorMeasured || ind.Kind == IndicatorJudged, at+".kind", "%q; valid: measured, judged", ind.Kind)
		c.require((ind.Unit == "grade") == (ind.Kind == IndicatorJudged), at+".unit", "grade is the unit of judged indicators only")
		c.require(len(ind.Cells) > 0, at+".cells", "is empty")
		for j, cell := range ind.Cells {
			at := fmt.Sprintf("%s.cells[%d]", at, j)
			c.cite(at+".cite", cell.Cite)
			rank := r.rank(cell.Grade)
			c.require(rank >= 0 && rank < len(r.Grades)-1, at+".grade", "%q is not a grade with a threshold", cell.Grade)
			c.require((cell.AtLeast > 0) == (ind.Kind == IndicatorMeasured), at+".at_least", "must be above zero if measured, absent if judged")
			for _, s := range cell.Scope {
				c.require(scopes[s], at+".scope", "%q is not a scope", s)
			}
			if j > 0 {
				prev := ind.Cells[j-1]
				c.require(r.rank(prev.Grade) < rank, at+".grade", "cells run from the gravest grade to the least, each once")
				c.require(prev.AtLeast >= cell.AtLeast, at+".at_least", "is above the threshold of a graver grade")
				for _, s := range prev.Scope {
					c.require(slices.Contains(cell.Scope, s), at+".scope", "%q of a graver grade is missing", s)
				}
			}
		}
	}
}
