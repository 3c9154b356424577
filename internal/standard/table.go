package standard

import (
	"fmt"
	"regexp"
	"slices"
)

// Table is Table 1 (business loss) or Table 2 (social harm) of the guide's chapter 5.
type Table struct {
	ID     string     `yaml:"id" json:"id"`
	Factor string     `yaml:"factor" json:"factor"`
	Cite   Cite       `yaml:"cite" json:"cite"`
	Rows   []TableRow `yaml:"rows" json:"rows"`
}

// TableRow holds the cells for one importance.
type TableRow struct {
	Importance string `yaml:"importance" json:"importance"`
	Cells      []Cell `yaml:"cells" json:"cells"`
}

// Cell holds a Level, or is Empty and then holds the Working level with a citation of its own.
type Cell struct {
	Column      string `yaml:"column" json:"column"`
	Level       int    `yaml:"level" json:"level,omitempty"`
	Empty       bool   `yaml:"empty" json:"empty,omitempty"`
	Working     int    `yaml:"working" json:"working,omitempty"`
	Cite        Cite   `yaml:"cite" json:"cite"`
	WorkingCite *Cite  `yaml:"working_cite" json:"working_cite,omitempty"`
}

func (c Cell) workingLevel() int {
	if c.Empty {
		return c.Working
	}
	return c.Level
}

// ReasonText is a sentence with {arguments}, kept beside the rules so that a new edition brings its own.
type ReasonText struct {
	ID   string `yaml:"id"`
	Text Name   `yaml:"text"`
}

type gradingRules struct {
	Factors        []Factor     `yaml:"factors"`
	Tables         []Table      `yaml:"tables"`
	HigherWinsCite Cite         `yaml:"higher_wins_cite"`
	Reasons        []ReasonText `yaml:"reasons"`
}

// Tables returns Tables 1 and 2.
func (b *Book) Tables() []Table {
	out := slices.Clone(b.grading.Tables)
	for i := range out {
		out[i].Rows = slices.Clone(out[i].Rows)
		for j := range out[i].Rows {
			out[i].Rows[j].Cells = slices.Clone(out[i].Rows[j].Cells)
			for k, cell := range out[i].Rows[j].Cells {
				if cell.WorkingCite != nil {
					out[i].Rows[j].Cells[k].WorkingCite = new(*cell.WorkingCite)
				}
			}
		}
	}
	return out
}

func (r gradingRules) check(c *checker, policy policyRules) {
	r.checkFactors(c)
	c.cite("higher_wins_cite", r.HigherWinsCite)
	seen, ids := map[string]bool{}, map[string]bool{}
	for i, t := range r.Tables {
		at := fmt.Sprintf("tables[%d]", i)
		c.require(t.ID != "" && !ids[t.ID], at+".id", "%q is missing or used twice", t.ID)
		c.require(t.Factor == FactorBusinessLoss || t.Factor == FactorSocialHarm, at+".factor", "%q has no table", t.Factor)
		c.require(!seen[t.Factor], at+".factor", "%q has two tables", t.Factor)
		ids[t.ID], seen[t.Factor] = true, true
		c.cite(at+".cite", t.Cite)
		r.checkCells(c, at, t, policy)
	}
	for _, f := range []string{FactorBusinessLoss, FactorSocialHarm} {
		c.require(seen[f], "tables", "%s has no table", f)
	}
	checkReasons(c, r.Reasons, map[string][]string{
		"grading.reason.loss_only":              {"importance", "loss", "from_loss", "working"},
		"grading.reason.harm_only":              {"importance", "harm", "from_harm", "working"},
		"grading.reason.both_agree":             {"importance", "loss", "harm", "from_loss", "from_harm", "working"},
		"grading.reason.loss_higher":            {"importance", "loss", "harm", "from_loss", "from_harm", "working"},
		"grading.reason.harm_higher":            {"importance", "loss", "harm", "from_loss", "from_harm", "working"},
		"grading.reason.empty_cell":             {"importance", "harm", "working"},
		"grading.reason.empty_cell_loss_higher": {"importance", "loss", "harm", "from_loss", "working"},
	})
}

// checkCells proves that the table has every cell once and that the working level never falls when a factor rises.
func (r gradingRules) checkCells(c *checker, at string, t Table, policy policyRules) {
	rows, cols := r.factor(FactorImportance), r.factor(t.Factor)
	got := map[[2]string]int{}
	for i, row := range t.Rows {
		at := fmt.Sprintf("%s.rows[%d]", at, i)
		_, ok := rows.level(row.Importance)
		c.require(ok, at+".importance", "%q is not a level of importance", row.Importance)
		for j, cell := range row.Cells {
			at := fmt.Sprintf("%s.cells[%d]", at, j)
			_, ok := cols.level(cell.Column)
			c.require(ok, at+".column", "%q is not a level of %s", cell.Column, t.Factor)
			key := [2]string{row.Importance, cell.Column}
			c.require(got[key] == 0, at, "the cell is there twice")
			c.cite(at+".cite", cell.Cite)
			if cell.Empty {
				// The reasons know an empty cell only on the side of social harm, as the guide does.
				c.require(t.Factor == FactorSocialHarm, at+".empty", "only the table of social harm may have empty cells")
				c.require(cell.Level == 0, at+".level", "an empty cell has no level")
				c.require(policy.has(cell.Working), at+".working", "%d is not a level", cell.Working)
				c.require(cell.WorkingCite != nil, at+".working_cite", "is missing")
				if cell.WorkingCite != nil {
					c.cite(at+".working_cite", *cell.WorkingCite)
				}
			} else {
				c.require(policy.has(cell.Level), at+".level", "%d is not a level", cell.Level)
				c.require(cell.Working == 0 && cell.WorkingCite == nil, at+".working", "only an empty cell has a working level")
			}
			got[key] = cell.workingLevel()
		}
	}
	for i, row := range rows.Levels {
		for j, col := range cols.Levels {
			here := got[[2]string{row.ID, col.ID}]
			c.require(here != 0, at, "no cell for %s and %s", row.ID, col.ID)
			if i > 0 {
				graver := rows.Levels[i-1].ID
				c.require(got[[2]string{graver, col.ID}] <= here, at, "the level falls from %s to %s at %s", row.ID, graver, col.ID)
			}
			if j > 0 {
				graver := cols.Levels[j-1].ID
				c.require(got[[2]string{row.ID, graver}] <= here, at, "the level falls from %s to %s at %s", col.ID, graver, row.ID)
			}
		}
	}
}

var argument = regexp.MustCompile(`\{[^}]*\}`)

// checkReasons holds the sentences to exactly the keys that the code gives, with arguments that it fills.
func checkReasons(c *checker, list []ReasonText, want map[string][]string) {
	seen := map[string]bool{}
	for i, t := range list {
		at := fmt.Sprintf("reasons[%d]", i)
		args, ok := want[t.ID]
		c.require(ok, at+".id", "%q is not a reason", t.ID)
		c.require(!seen[t.ID], at+".id", "%q is used twice", t.ID)
		seen[t.ID] = true
		c.name(at+".text", t.Text)
		for _, text := range []string{t.Text.ZH, t.Text.EN} {
			for _, a := range argument.FindAllString(text, -1) {
				c.require(slices.Contains(args, a[1:len(a)-1]), at+".text", "%s is not an argument of %s", a, t.ID)
			}
		}
	}
	for id := range want {
		c.require(seen[id], "reasons", "%s is missing", id)
	}
}
