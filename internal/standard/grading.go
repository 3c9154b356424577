package standard

import (
	"slices"
	"strconv"
	"strings"
)

// Factors is what one affected object is graded by. Importance is required, and at least one of the others.
type Factors struct {
	Importance   Importance   `json:"importance"`
	BusinessLoss BusinessLoss `json:"business_loss,omitempty"`
	SocialHarm   SocialHarm   `json:"social_harm,omitempty"`
}

// Term is an id with its names.
type Term struct {
	ID string `json:"id"`
	ZH string `json:"zh"`
	EN string `json:"en"`
}

// Grading is a level that explains itself. Levels run from 1 (一级, the gravest) to 4.
//
// Final is nil when Table 2 is empty at the object's cell: then no final level exists until a person decides, whatever
// business loss says, and Working is the graver of the cell's working level and the level from loss. Otherwise
// Working equals *Final. Clause, Cell and Verified speak of the cell that decides Final; of the empty one if it is empty.
type Grading struct {
	Factors    Factors     `json:"factors"`
	Final      *int        `json:"level"`
	Working    int         `json:"working_level"`
	FromLoss   *Partial    `json:"from_loss"`
	FromHarm   *Partial    `json:"from_harm"`
	Edition    string      `json:"edition"`
	Clause     string      `json:"clause"`
	Cell       string      `json:"cell"`
	Verified   bool        `json:"verified"`
	Reason     Reason      `json:"reason"`
	Neighbours []Neighbour `json:"neighbours"`
}

// Partial is the level from one table. Level is nil in an empty cell; Working always holds. Cell is "table/row/column".
type Partial struct {
	Level    *int   `json:"level"`
	Working  int    `json:"working_level"`
	Edition  string `json:"edition"`
	Clause   string `json:"clause"`
	Verified bool   `json:"verified"`
	Table    string `json:"table"`
	Row      Term   `json:"row"`
	Column   Term   `json:"column"`
	Cell     string `json:"cell"`
}

// Neighbour is one factor assessed otherwise, all else equal, where that would change the final or the working level.
// From is empty when the factor had not been assessed.
type Neighbour struct {
	Factor  string `json:"factor"`
	From    string `json:"from"`
	To      Term   `json:"to"`
	Final   *int   `json:"level"`
	Working int    `json:"working_level"`
}

// Object is one affected object of an incident.
type Object struct {
	ID      string  `json:"id"`
	Factors Factors `json:"factors"`
}

// ObjectGrading is the grading of one object.
type ObjectGrading struct {
	ID      string  `json:"id"`
	Grading Grading `json:"grading"`
}

// IncidentGrading is the level of an incident over its objects: the highest wins. Final is nil while any object has
// no final level, because a person's decision on it could still be the highest. Deciding names the objects whose
// working level is the incident's.
type IncidentGrading struct {
	Final    *int            `json:"level"`
	Working  int             `json:"working_level"`
	Deciding []string        `json:"deciding"`
	Objects  []ObjectGrading `json:"objects"`
}

// Grade applies Tables 1 and 2 of the guide (chapter 5); where both apply the higher level wins. Errors are
// *InputError: a missing importance, no other factor at all, or an id that is not a level of its factor.
func (b *Book) Grade(f Factors) (Grading, error) {
	if err := b.grading.valid(f); err != nil {
		return Grading{}, err
	}
	g := b.grading.evaluate(f)
	g.Reason = b.reason(g)
	g.Neighbours = b.grading.neighbours(g)
	return g, nil
}

// WorkingLevel is the level that drives orders and clocks: the final level where there is one. It never falls when a
// factor rises or is added.
func (b *Book) WorkingLevel(f Factors) (int, error) {
	if err := b.grading.valid(f); err != nil {
		return 0, err
	}
	return b.grading.evaluate(f).Working, nil
}

// GradeAll grades every object of an incident and takes the highest. At least one object is required, ids are unique.
func (b *Book) GradeAll(objects []Object) (IncidentGrading, error) {
	if len(objects) == 0 {
		return IncidentGrading{}, &InputError{Field: "objects", Problem: "at least one affected object is required"}
	}
	var out IncidentGrading
	seen := map[string]bool{}
	open := false
	for i, o := range objects {
		field := "objects[" + strconv.Itoa(i) + "]"
		if o.ID == "" || seen[o.ID] {
			return IncidentGrading{}, &InputError{Field: field + ".id", Value: o.ID, Problem: "must be given and unique"}
		}
		seen[o.ID] = true
		g, err := b.Grade(o.Factors)
		if err != nil {
			if in, ok := err.(*InputError); ok {
				in.Field = field + "." + in.Field
			}
			return IncidentGrading{}, err
		}
		out.Objects = append(out.Objects, ObjectGrading{ID: o.ID, Grading: g})
		open = open || g.Final == nil
		switch {
		case out.Working == 0 || g.Working < out.Working:
			out.Working, out.Deciding = g.Working, []string{o.ID}
		case g.Working == out.Working:
			out.Deciding = append(out.Deciding, o.ID)
		}
	}
	if !open {
		out.Final = new(out.Working)
	}
	return out, nil
}

func (r gradingRules) valid(f Factors) error {
	if f.Importance == "" {
		return &InputError{Field: FactorImportance, Problem: "is required", Valid: r.factor(FactorImportance).valid()}
	}
	if f.BusinessLoss == "" && f.SocialHarm == "" {
		return &InputError{Field: FactorSocialHarm, Problem: "at least one of business_loss and social_harm is required",
			Valid: r.factor(FactorSocialHarm).valid()}
	}
	for _, v := range f.values() {
		factor := r.factor(v.factor)
		if _, ok := factor.level(v.id); v.id != "" && !ok {
			return &InputError{Field: v.factor, Value: v.id, Problem: "is not a level of this factor", Valid: factor.valid()}
		}
	}
	return nil
}

type factorValue struct{ factor, id string }

func (f Factors) values() []factorValue {
	return []factorValue{
		{FactorImportance, string(f.Importance)}, {FactorBusinessLoss, string(f.BusinessLoss)}, {FactorSocialHarm, string(f.SocialHarm)},
	}
}

func (f Factors) with(factor, id string) Factors {
	switch factor {
	case FactorImportance:
		f.Importance = Importance(id)
	case FactorBusinessLoss:
		f.BusinessLoss = BusinessLoss(id)
	case FactorSocialHarm:
		f.SocialHarm = SocialHarm(id)
	}
	return f
}

// evaluate decides levels only; f has been found valid.
func (r gradingRules) evaluate(f Factors) Grading {
	g := Grading{Factors: f}
	var decides *Partial
	for _, p := range []struct {
		factor, id string
		into       **Partial
	}{{FactorBusinessLoss, string(f.BusinessLoss), &g.FromLoss}, {FactorSocialHarm, string(f.SocialHarm), &g.FromHarm}} {
		if p.id == "" {
			continue
		}
		part := r.lookUp(p.factor, string(f.Importance), p.id)
		*p.into = part
		if g.Working == 0 || part.Working < g.Working {
			g.Working = part.Working
		}
		switch {
		case decides == nil, part.Level == nil && decides.Level != nil:
			decides = part
		case decides.Level != nil && *part.Level < *decides.Level:
			decides = part
		}
	}
	if decides.Level != nil {
		g.Final = new(g.Working)
	}
	g.Edition, g.Clause, g.Cell, g.Verified = decides.Edition, decides.Clause, decides.Cell, decides.Verified
	return g
}

func (r gradingRules) lookUp(factor, importance, column string) *Partial {
	for _, t := range r.Tables {
		if t.Factor != factor {
			continue
		}
		for _, row := range t.Rows {
			for _, cell := range row.Cells {
				if row.Importance == importance && cell.Column == column {
					p := &Partial{
						Working: cell.workingLevel(), Edition: cell.Cite.Edition, Clause: cell.Cite.Clause,
						Verified: cell.Cite.Verified, Table: t.ID,
						Row: r.term(FactorImportance, importance), Column: r.term(factor, column),
						Cell: t.ID + "/" + importance + "/" + column,
					}
					if !cell.Empty {
						p.Level = new(cell.Level)
					}
					return p
				}
			}
		}
	}
	panic("standard: no cell " + factor + "/" + importance + "/" + column) // loading has proved that every cell exists
}

func (r gradingRules) term(factor, id string) Term {
	l, _ := r.factor(factor).level(id)
	return Term{ID: id, ZH: l.Name.ZH, EN: l.Name.EN}
}

func (r gradingRules) neighbours(g Grading) []Neighbour {
	out := []Neighbour{}
	for _, v := range g.Factors.values() {
		for _, l := range r.factor(v.factor).Levels {
			if l.ID == v.id {
				continue
			}
			n := r.evaluate(g.Factors.with(v.factor, l.ID))
			if n.Working != g.Working || (n.Final == nil) != (g.Final == nil) {
				out = append(out, Neighbour{Factor: v.factor, From: v.id, To: r.term(v.factor, l.ID), Final: n.Final, Working: n.Working})
			}
		}
	}
	return out
}

func (b *Book) reason(g Grading) Reason {
	key := ""
	switch loss, harm := g.FromLoss, g.FromHarm; {
	case harm == nil:
		key = "grading.reason.loss_only"
	case harm.Level == nil && loss != nil && loss.Working < harm.Working:
		key = "grading.reason.empty_cell_loss_higher"
	case harm.Level == nil:
		key = "grading.reason.empty_cell"
	case loss == nil:
		key = "grading.reason.harm_only"
	case loss.Working == harm.Working:
		key = "grading.reason.both_agree"
	case loss.Working < harm.Working:
		key = "grading.reason.loss_higher"
	default:
		key = "grading.reason.harm_higher"
	}
	i := slices.IndexFunc(b.grading.Reasons, func(t ReasonText) bool { return t.ID == key })
	text := b.grading.Reasons[i].Text
	out := Reason{Key: key, Args: map[string]string{}}
	var zh, en []string
	set := func(arg, value string, n Name) {
		out.Args[arg] = value
		zh, en = append(zh, "{"+arg+"}", n.ZH), append(en, "{"+arg+"}", n.EN)
	}
	level := func(arg string, n int) { set(arg, strconv.Itoa(n), b.LevelName(n)) }
	term := func(arg string, t Term) { set(arg, t.ID, Name{ZH: t.ZH, EN: t.EN}) }
	level("working", g.Working)
	if g.FromLoss != nil {
		term("importance", g.FromLoss.Row)
		term("loss", g.FromLoss.Column)
		level("from_loss", g.FromLoss.Working)
	}
	if g.FromHarm != nil {
		term("importance", g.FromHarm.Row)
		term("harm", g.FromHarm.Column)
		level("from_harm", g.FromHarm.Working)
	}
	out.ZH = strings.NewReplacer(zh...).Replace(text.ZH)
	out.EN = strings.NewReplacer(en...).Replace(text.EN)
	return out
}
