package standard

import (
	"fmt"
	"slices"
)

// Type is one heading of the guide's chapter 4 (4.2.1–4.2.4) with the subtypes it lists.
type Type struct {
	ID       string    `yaml:"id" json:"id"`
	Name     Name      `yaml:"name" json:"name"`
	Cite     Cite      `yaml:"cite" json:"cite"`
	Subtypes []Subtype `yaml:"subtypes" json:"subtypes"`
}

// Subtype is what an incident is classified as, for example content.discrimination (4.2.1 e).
type Subtype struct {
	ID   string     `yaml:"id" json:"id"`
	Name Name       `yaml:"name" json:"name"`
	Cite Cite       `yaml:"cite" json:"cite"`
	Map  SubtypeMap `yaml:"map" json:"map"`
}

// SubtypeMap is the default proposal for the neighbouring taxonomies; the person who classifies may choose otherwise.
// Category and Subclasses are ids of GB/T 20986, Risks are ids of the 31 risks and may be none.
type SubtypeMap struct {
	Category   string   `yaml:"category" json:"category"`
	Subclasses []string `yaml:"subclasses" json:"subclasses"`
	Risks      []string `yaml:"risks" json:"risks"`
	Cite       Cite     `yaml:"cite" json:"cite"`
}

// Category is one of the ten categories of GB/T 20986 (5.2). ID is ours; OfficialCode is empty until the normative
// code annex has been compared.
type Category struct {
	ID           string     `yaml:"id" json:"id"`
	Name         Name       `yaml:"name" json:"name"`
	OfficialCode string     `yaml:"official_code" json:"official_code"`
	Cite         Cite       `yaml:"cite" json:"cite"`
	Subclasses   []Subclass `yaml:"subclasses" json:"subclasses"`
}

// Subclass is one subclass of a Category, for example gbt20986.data.leak.
type Subclass struct {
	ID           string `yaml:"id" json:"id"`
	Name         Name   `yaml:"name" json:"name"`
	OfficialCode string `yaml:"official_code" json:"official_code"`
	Cite         Cite   `yaml:"cite" json:"cite"`
}

// RiskGroup is A.1 … A.5 of Annex A of GB/T 45654.
type RiskGroup struct {
	ID    string `yaml:"id" json:"id"`
	Name  Name   `yaml:"name" json:"name"`
	Cite  Cite   `yaml:"cite" json:"cite"`
	Risks []Risk `yaml:"risks" json:"risks"`
}

// Risk is one of the 31 risks, A.1.a … A.5.b.
type Risk struct {
	ID   string `yaml:"id" json:"id"`
	Name Name   `yaml:"name" json:"name"`
	Cite Cite   `yaml:"cite" json:"cite"`
}

type taxonomy struct {
	types      []Type
	categories []Category
	groups     []RiskGroup
}

// Types returns the guide's types in the guide's order.
func (b *Book) Types() []Type {
	out := slices.Clone(b.taxonomy.types)
	for i := range out {
		out[i].Subtypes = slices.Clone(out[i].Subtypes)
		for j := range out[i].Subtypes {
			out[i].Subtypes[j] = out[i].Subtypes[j].clone()
		}
	}
	return out
}

// Subtype finds a subtype by id.
func (b *Book) Subtype(id string) (Subtype, bool) {
	for _, t := range b.taxonomy.types {
		for _, s := range t.Subtypes {
			if s.ID == id {
				return s.clone(), true
			}
		}
	}
	return Subtype{}, false
}

func (s Subtype) clone() Subtype {
	s.Map.Subclasses, s.Map.Risks = slices.Clone(s.Map.Subclasses), slices.Clone(s.Map.Risks)
	return s
}

// Categories returns the ten categories of GB/T 20986 in the standard's order.
func (b *Book) Categories() []Category {
	out := slices.Clone(b.taxonomy.categories)
	for i := range out {
		out[i].Subclasses = slices.Clone(out[i].Subclasses)
	}
	return out
}

// RiskGroups returns the five groups of the 31 risks.
func (b *Book) RiskGroups() []RiskGroup {
	out := slices.Clone(b.taxonomy.groups)
	for i := range out {
		out[i].Risks = slices.Clone(out[i].Risks)
	}
	return out
}

// Risk finds a risk by id, for example A.2.e.
func (b *Book) Risk(id string) (Risk, bool) {
	for _, g := range b.taxonomy.groups {
		for _, r := range g.Risks {
			if r.ID == id {
				return r, true
			}
		}
	}
	return Risk{}, false
}

func (t taxonomy) check(c *checker) {
	risks := t.checkRisks(c.at(fileRisks))
	parent := t.checkCategories(c.at(fileCategories))
	at := c.at(fileTypes)
	at.require(len(t.types) > 0, "types", "is empty")
	// A type of one subtype may share its id ("other"), so the two are counted apart.
	typeIDs, subIDs := map[string]bool{}, map[string]bool{}
	for i, ty := range t.types {
		f := fmt.Sprintf("types[%d]", i)
		at.ids(typeIDs, f, ty.ID, idShape)
		at.name(f+".name", ty.Name)
		at.cite(f+".cite", ty.Cite)
		at.require(len(ty.Subtypes) > 0, f+".subtypes", "is empty")
		for j, s := range ty.Subtypes {
			f := fmt.Sprintf("%s.subtypes[%d]", f, j)
			at.ids(subIDs, f, s.ID, idShape)
			at.name(f+".name", s.Name)
			at.cite(f+".cite", s.Cite)
			at.cite(f+".map.cite", s.Map.Cite)
			own, ok := parent[s.Map.Category]
			at.require(ok && own == "", f+".map.category", "%q is not a category", s.Map.Category)
			at.require(len(s.Map.Subclasses) > 0, f+".map.subclasses", "is empty")
			for _, id := range s.Map.Subclasses {
				at.require(parent[id] != "" && parent[id] == s.Map.Category, f+".map.subclasses", "%q is not a subclass of %q", id, s.Map.Category)
			}
			for _, id := range s.Map.Risks {
				at.require(risks[id], f+".map.risks", "%q is not a risk", id)
			}
		}
	}
}

func (t taxonomy) checkRisks(at *checker) map[string]bool {
	at.require(len(t.groups) > 0, "groups", "is empty")
	groups, risks := map[string]bool{}, map[string]bool{}
	for i, g := range t.groups {
		f := fmt.Sprintf("groups[%d]", i)
		at.ids(groups, f, g.ID, riskShape)
		at.name(f+".name", g.Name)
		at.cite(f+".cite", g.Cite)
		at.require(len(g.Risks) > 0, f+".risks", "is empty")
		for j, r := range g.Risks {
			f := fmt.Sprintf("%s.risks[%d]", f, j)
			at.ids(risks, f, r.ID, riskShape)
			at.require(len(r.ID) > len(g.ID) && r.ID[:len(g.ID)+1] == g.ID+".", f+".id", "%q is not in group %s", r.ID, g.ID)
			at.name(f+".name", r.Name)
			at.cite(f+".cite", r.Cite)
		}
	}
	return risks
}

// checkCategories returns for every id the id of the category above it, empty for a category itself.
func (t taxonomy) checkCategories(at *checker) map[string]string {
	at.require(len(t.categories) > 0, "categories", "is empty")
	seen, parent := map[string]bool{}, map[string]string{}
	for i, k := range t.categories {
		f := fmt.Sprintf("categories[%d]", i)
		at.ids(seen, f, k.ID, idShape)
		at.name(f+".name", k.Name)
		at.cite(f+".cite", k.Cite)
		at.require(len(k.Subclasses) > 0, f+".subclasses", "is empty")
		parent[k.ID] = ""
		for j, s := range k.Subclasses {
			f := fmt.Sprintf("%s.subclasses[%d]", f, j)
			at.ids(seen, f, s.ID, idShape)
			at.name(f+".name", s.Name)
			at.cite(f+".cite", s.Cite)
			parent[s.ID] = k.ID
		}
	}
	return parent
}
