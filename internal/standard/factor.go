package standard

import (
	"fmt"
	"slices"
	"strings"
)

// Importance, BusinessLoss and SocialHarm are ids of a factor's level, such as "important"; Book.ParseImportance and
// its siblings make them from names. The empty id means that the factor was not assessed or does not apply.
type (
	Importance   string
	BusinessLoss string
	SocialHarm   string
)

// The ids of the three factors (guide chapter 5).
const (
	FactorImportance   = "importance"
	FactorBusinessLoss = "business_loss"
	FactorSocialHarm   = "social_harm"
)

// Factor is one of the three factors with its levels, gravest first.
type Factor struct {
	ID     string        `yaml:"id" json:"id"`
	Name   Name          `yaml:"name" json:"name"`
	Cite   Cite          `yaml:"cite" json:"cite"`
	Levels []FactorLevel `yaml:"levels" json:"levels"`
}

// FactorLevel is one level of a factor. Aliases are further English names that parse.
type FactorLevel struct {
	ID      string   `yaml:"id" json:"id"`
	Name    Name     `yaml:"name" json:"name"`
	Aliases []string `yaml:"aliases" json:"aliases,omitempty"`
	Cite    Cite     `yaml:"cite" json:"cite"`
}

// Factors returns the three factors, levels gravest first.
func (b *Book) Factors() []Factor {
	out := slices.Clone(b.grading.Factors)
	for i := range out {
		out[i].Levels = slices.Clone(out[i].Levels)
		for j := range out[i].Levels {
			out[i].Levels[j].Aliases = slices.Clone(out[i].Levels[j].Aliases)
		}
	}
	return out
}

// ParseImportance reads 重要, "important" or any other name or id of a level of importance. Case, surrounding space and
// the choice of space, hyphen or underscore do not matter. The error is an *InputError that lists the valid names.
func (b *Book) ParseImportance(s string) (Importance, error) {
	id, err := b.grading.parse(FactorImportance, s)
	return Importance(id), err
}

// ParseBusinessLoss reads 严重, "severe" and so on; see ParseImportance.
func (b *Book) ParseBusinessLoss(s string) (BusinessLoss, error) {
	id, err := b.grading.parse(FactorBusinessLoss, s)
	return BusinessLoss(id), err
}

// ParseSocialHarm reads 重大, "major" and so on; see ParseImportance.
func (b *Book) ParseSocialHarm(s string) (SocialHarm, error) {
	id, err := b.grading.parse(FactorSocialHarm, s)
	return SocialHarm(id), err
}

func (r gradingRules) parse(factor, s string) (string, error) {
	f := r.factor(factor)
	want := plain(s)
	if want == "" {
		return "", &InputError{Field: factor, Problem: "is required", Valid: f.valid()}
	}
	for _, l := range f.Levels {
		if slices.Contains(l.spellings(), want) {
			return l.ID, nil
		}
	}
	return "", &InputError{Field: factor, Value: s, Problem: "is not a level of this factor", Valid: f.valid()}
}

func (r gradingRules) factor(id string) Factor {
	for _, f := range r.Factors {
		if f.ID == id {
			return f
		}
	}
	return Factor{ID: id}
}

// level finds a level by its exact id.
func (f Factor) level(id string) (FactorLevel, bool) {
	i := slices.IndexFunc(f.Levels, func(l FactorLevel) bool { return l.ID == id })
	if i < 0 {
		return FactorLevel{}, false
	}
	return f.Levels[i], true
}

func (f Factor) valid() []string {
	var out []string
	for _, l := range f.Levels {
		out = append(out, l.Name.ZH+" ("+l.Name.EN+")")
	}
	return out
}

func (l FactorLevel) spellings() []string {
	out := []string{plain(l.ID), plain(l.Name.ZH), plain(l.Name.EN)}
	for _, a := range l.Aliases {
		out = append(out, plain(a))
	}
	return out
}

func plain(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
		return r == ' ' || r == '-' || r == '_' || r == '\t' || r == '\u3000'
	}), " ")
}

func (r gradingRules) checkFactors(c *checker) {
	want := []string{FactorImportance, FactorBusinessLoss, FactorSocialHarm}
	got := map[string]bool{}
	for i, f := range r.Factors {
		at := fmt.Sprintf("factors[%d]", i)
		c.require(slices.Contains(want, f.ID), at+".id", "%q is not a factor; valid: %s", f.ID, strings.Join(want, ", "))
		c.require(!got[f.ID], at+".id", "%q is used twice", f.ID)
		got[f.ID] = true
		c.name(at+".name", f.Name)
		c.cite(at+".cite", f.Cite)
		c.require(len(f.Levels) > 0, at+".levels", "is empty")
		seen, owner := map[string]bool{}, map[string]string{}
		for j, l := range f.Levels {
			at := fmt.Sprintf("%s.levels[%d]", at, j)
			c.ids(seen, at, l.ID, idShape)
			c.name(at+".name", l.Name)
			c.cite(at+".cite", l.Cite)
			for _, s := range l.spellings() {
				c.require(s != "", at, "has an empty name or alias")
				c.require(owner[s] == "" || owner[s] == l.ID, at, "%q also names %s", s, owner[s])
				owner[s] = l.ID
			}
		}
	}
	for _, id := range want {
		c.require(got[id], "factors", "%s is missing", id)
	}
}
