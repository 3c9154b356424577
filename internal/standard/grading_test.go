package standard

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"
)

// The guide's tables as printed, once more and independent of the data files. A zero is a cell printed empty.
var (
	importances = []string{"特别重要", "重要", "一般"}
	losses      = []string{"特别严重", "严重", "较大", "较小"}
	harms       = []string{"特别重大", "重大", "较大", "一般"}
)

func printed(table string) [3][4]int {
	if table == "1" {
		return [3][4]int{{1, 2, 3, 3}, {2, 3, 3, 4}, {3, 3, 3, 4}}
	}
	return [3][4]int{{1, 2, 3, 0}, {0, 2, 3, 4}, {0, 0, 3, 4}}
}

// workingHarm is Table 2 with the working levels of design promise 9 in its four gaps.
func workingHarm() [3][4]int { return [3][4]int{{1, 2, 3, 3}, {1, 2, 3, 4}, {1, 2, 3, 4}} }

// factors makes Factors from indices into the lists above; -1 is absent.
func factors(t testing.TB, b *Book, i, l, h int) Factors {
	t.Helper()
	var f Factors
	var err error
	if f.Importance, err = b.ParseImportance(importances[i]); err != nil {
		t.Fatal(err)
	}
	if l >= 0 {
		if f.BusinessLoss, err = b.ParseBusinessLoss(losses[l]); err != nil {
			t.Fatal(err)
		}
	}
	if h >= 0 {
		if f.SocialHarm, err = b.ParseSocialHarm(harms[h]); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func TestEveryCellOfTables1And2(t *testing.T) {
	b := load(t)
	for i := range importances {
		for c := range 4 {
			g, err := b.Grade(factors(t, b, i, c, -1))
			want := printed("1")[i][c]
			if err != nil || g.Final == nil || *g.Final != want || g.Working != want || g.FromHarm != nil {
				t.Errorf("Table 1, %s × %s: %+v %v, want %d", importances[i], losses[c], g, err, want)
			}
			if g.FromLoss.Table != "1" || g.FromLoss.Row.ZH != importances[i] || g.FromLoss.Column.ZH != losses[c] || !strings.HasSuffix(g.Clause, "Table 1") {
				t.Errorf("Table 1, %s × %s does not say where it stands: %+v", importances[i], losses[c], g.FromLoss)
			}
			g, err = b.Grade(factors(t, b, i, -1, c))
			want = printed("2")[i][c]
			switch {
			case err != nil:
				t.Error(err)
			case want == 0 && (g.Final != nil || g.FromHarm.Level != nil):
				t.Errorf("Table 2, %s × %s is empty but has a level: %+v", importances[i], harms[c], g)
			case want != 0 && (g.Final == nil || *g.Final != want):
				t.Errorf("Table 2, %s × %s: %+v, want %d", importances[i], harms[c], g, want)
			case g.Working != workingHarm()[i][c]:
				t.Errorf("Table 2, %s × %s works at %d, want %d", importances[i], harms[c], g.Working, workingHarm()[i][c])
			}
			if g.FromHarm.Table != "2" || !strings.HasSuffix(g.Clause, "Table 2") || !g.Verified {
				t.Errorf("Table 2, %s × %s does not say where it stands: %+v", importances[i], harms[c], g)
			}
		}
	}
}

func TestAllCombinationsOfThreeFactors(t *testing.T) {
	b := load(t)
	empty := 0
	for i := range 3 {
		for l := range 4 {
			for h := range 4 {
				g, err := b.Grade(factors(t, b, i, l, h))
				if err != nil {
					t.Fatal(err)
				}
				loss, harm := printed("1")[i][l], printed("2")[i][h]
				name := fmt.Sprintf("%s × %s × %s", importances[i], losses[l], harms[h])
				if g.FromLoss.Level == nil || *g.FromLoss.Level != loss {
					t.Errorf("%s: from loss %+v", name, g.FromLoss)
				}
				if g.Working != min(loss, workingHarm()[i][h]) {
					t.Errorf("%s: works at %d", name, g.Working)
				}
				if harm == 0 {
					empty++
					if g.Final != nil || g.FromHarm.Level != nil || !strings.HasPrefix(g.Reason.Key, "grading.reason.empty_cell") {
						t.Errorf("%s: the empty cell came to a final level: %+v", name, g)
					}
					if g.Cell != g.FromHarm.Cell {
						t.Errorf("%s: the grading names cell %s, not the empty one", name, g.Cell)
					}
					continue
				}
				if g.Final == nil || *g.Final != min(loss, harm) || g.Working != *g.Final {
					t.Errorf("%s: %+v, want %d", name, g, min(loss, harm))
				}
			}
		}
	}
	if empty != 4*4 {
		t.Errorf("%d combinations had no final level, want the 4 empty cells with 4 losses each", empty)
	}
}

func TestTheGuidesWorkedCases(t *testing.T) {
	b := load(t)
	for name, c := range map[string]struct{ importance, harm, level int }{"A.1": {2, 3, 4}, "A.2": {1, 1, 2}} {
		g, err := b.Grade(factors(t, b, c.importance, -1, c.harm))
		if err != nil || g.Final == nil || *g.Final != c.level {
			t.Errorf("%s: %+v %v, want %d", name, g, err, c.level)
		}
	}
}

func TestTheWorkingLevelNeverFallsWhenAFactorRises(t *testing.T) {
	b := load(t)
	level := func(i, l, h int) int {
		n, err := b.WorkingLevel(factors(t, b, i, l, h))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	// Absence (4) is the least of a factor; index 0 is the gravest.
	order := func(n int) int {
		if n == 4 {
			return -1
		}
		return n
	}
	compared := 0
	for i := range 3 {
		for l := range 5 {
			for h := range 5 {
				if l == 4 && h == 4 {
					continue
				}
				here := level(i, order(l), order(h))
				for i2 := range i + 1 {
					for l2 := range l + 1 {
						for h2 := range h + 1 {
							compared++
							if raised := level(i2, order(l2), order(h2)); raised > here {
								t.Errorf("(%d,%d,%d) is level %d but the graver (%d,%d,%d) is %d", i, l, h, here, i2, l2, h2, raised)
							}
						}
					}
				}
			}
		}
	}
	if compared < 1000 {
		t.Errorf("only %d pairs compared", compared)
	}
}

func TestTheHighestObjectWins(t *testing.T) {
	b := load(t)
	a1, a2, gap := factors(t, b, 2, -1, 3), factors(t, b, 1, -1, 1), factors(t, b, 2, -1, 0)
	got, err := b.GradeAll([]Object{{"web", a1}, {"api", a2}})
	if err != nil || got.Final == nil || *got.Final != 2 || got.Working != 2 || !slices.Equal(got.Deciding, []string{"api"}) {
		t.Errorf("%+v %v", got, err)
	}
	got, err = b.GradeAll([]Object{{"web", a2}, {"api", a2}})
	if err != nil || !slices.Equal(got.Deciding, []string{"web", "api"}) {
		t.Errorf("%+v %v", got, err)
	}
	// An object without a final level leaves the incident without one.
	got, err = b.GradeAll([]Object{{"web", a2}, {"api", gap}})
	if err != nil || got.Final != nil || got.Working != 1 {
		t.Errorf("%+v %v", got, err)
	}
	for name, objects := range map[string][]Object{
		"objects": nil, "objects[1].id": {{"a", a1}, {"a", a2}}, "objects[0].id": {{"", a1}}, "objects[1].importance": {{"a", a1}, {"b", Factors{SocialHarm: "major"}}},
	} {
		var in *InputError
		if _, err := b.GradeAll(objects); !errors.As(err, &in) || in.Field != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnIncidentIsAsGraveAsItsGravestObject(t *testing.T) {
	b := load(t)
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(rt, "objects")
		var objects []Object
		worst := 4
		open := false
		for k := range n {
			l := rapid.IntRange(-1, 3).Draw(rt, "loss")
			h := rapid.IntRange(-1, 3).Draw(rt, "harm")
			if l < 0 && h < 0 {
				h = 3
			}
			f := factors(t, b, rapid.IntRange(0, 2).Draw(rt, "importance"), l, h)
			g, err := b.Grade(f)
			if err != nil {
				rt.Fatal(err)
			}
			worst, open = min(worst, g.Working), open || g.Final == nil
			objects = append(objects, Object{fmt.Sprint(k), f})
		}
		got, err := b.GradeAll(objects)
		if err != nil || got.Working != worst || (got.Final == nil) != open {
			rt.Fatalf("%+v %v, want %d open %v", got, err, worst, open)
		}
	})
}

func TestNeighboursAreExactlyTheSingleChangesThatMatter(t *testing.T) {
	b := load(t)
	for i := range 3 {
		for l := -1; l < 4; l++ {
			for h := -1; h < 4; h++ {
				if l < 0 && h < 0 {
					continue
				}
				g, _ := b.Grade(factors(t, b, i, l, h))
				told := map[string]Neighbour{}
				for _, n := range g.Neighbours {
					told[n.Factor+"="+n.To.ZH] = n
				}
				try := func(factor, to string, f Factors) {
					o, err := b.Grade(f)
					if err != nil {
						t.Fatal(err)
					}
					n, ok := told[factor+"="+to]
					differs := o.Working != g.Working || (o.Final == nil) != (g.Final == nil)
					if f == g.Factors || ok != differs {
						if f != g.Factors {
							t.Errorf("%+v: %s=%s told %v, differs %v", g.Factors, factor, to, ok, differs)
						}
						return
					}
					if ok && (n.Working != o.Working || (n.Final == nil) != (o.Final == nil)) {
						t.Errorf("%+v: %s=%s told %+v, is %+v", g.Factors, factor, to, n, o)
					}
				}
				for k, to := range importances {
					try(FactorImportance, to, factors(t, b, k, l, h))
				}
				for k, to := range losses {
					try(FactorBusinessLoss, to, factors(t, b, i, k, h))
				}
				for k, to := range harms {
					try(FactorSocialHarm, to, factors(t, b, i, l, k))
				}
			}
		}
	}
	g, _ := b.Grade(factors(t, b, 2, -1, 3)) // A.1: "if harm were 较大: 三级"
	if !slices.ContainsFunc(g.Neighbours, func(n Neighbour) bool {
		return n.Factor == FactorSocialHarm && n.To.ZH == "较大" && n.Final != nil && *n.Final == 3
	}) {
		t.Errorf("A.1 does not say what graver harm would do: %+v", g.Neighbours)
	}
}

func TestEveryReasonIsASentenceWithoutGaps(t *testing.T) {
	b := load(t)
	keys := map[string]bool{}
	for i := range 3 {
		for l := -1; l < 4; l++ {
			for h := -1; h < 4; h++ {
				if l < 0 && h < 0 {
					continue
				}
				g, _ := b.Grade(factors(t, b, i, l, h))
				keys[g.Reason.Key] = true
				if g.Reason.ZH == "" || strings.ContainsAny(g.Reason.ZH+g.Reason.EN, "{}") || strings.Contains(g.Reason.EN, "  ") {
					t.Errorf("%+v", g.Reason)
				}
			}
		}
	}
	if len(keys) != len(b.grading.Reasons) {
		t.Errorf("reasons used: %v, reasons kept: %d", keys, len(b.grading.Reasons))
	}
}

func TestFactorNamesParseInBothLanguages(t *testing.T) {
	b := load(t)
	for _, in := range []string{"重要", "important", "IMPORTANT", " important ", "　重要"} {
		if got, err := b.ParseImportance(in); err != nil || got != "important" {
			t.Errorf("%q: %q %v", in, got, err)
		}
	}
	for _, in := range []string{"特别严重", "especially severe", "especially-severe", "especially_severe", "Especially  Severe"} {
		if got, err := b.ParseBusinessLoss(in); err != nil || got != "especially_severe" {
			t.Errorf("%q: %q %v", in, got, err)
		}
	}
	if got, err := b.ParseSocialHarm("particularly major"); err != nil || got != "especially_major" {
		t.Errorf("%q %v", got, err)
	}
	for _, f := range b.Factors() {
		for _, l := range f.Levels {
			for _, in := range []string{l.ID, l.Name.ZH, l.Name.EN} {
				if got, err := b.grading.parse(f.ID, in); err != nil || got != l.ID {
					t.Errorf("%s %q: %q %v", f.ID, in, got, err)
				}
			}
		}
	}
}

func TestWrongFactorsAreNamedWithTheValidOnes(t *testing.T) {
	b := load(t)
	_, noImportance := b.Grade(Factors{SocialHarm: "major"})
	_, neither := b.Grade(Factors{Importance: "important"})
	_, stranger := b.Grade(Factors{Importance: "important", BusinessLoss: "major"})
	_, parsed := b.ParseImportance("vital")
	_, blank := b.ParseSocialHarm(" ")
	_, crossed := b.ParseBusinessLoss("重大") // a level of social harm
	for _, tt := range []struct {
		err          error
		field, valid string
	}{
		{noImportance, FactorImportance, "重要 (important)"}, {neither, FactorSocialHarm, "重大 (major)"},
		{stranger, FactorBusinessLoss, "严重 (severe)"}, {parsed, FactorImportance, "一般 (general)"},
		{blank, FactorSocialHarm, "一般 (general)"}, {crossed, FactorBusinessLoss, "较小 (minor)"},
	} {
		var in *InputError
		if !errors.As(tt.err, &in) || in.Field != tt.field || !slices.Contains(in.Valid, tt.valid) || !strings.Contains(tt.err.Error(), tt.valid) {
			t.Errorf("%s: %v", tt.field, tt.err)
		}
	}
}

func TestAnEmptyCellIsNullInJSON(t *testing.T) {
	b := load(t)
	g, _ := b.Grade(factors(t, b, 1, 0, 0))
	raw, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	level, there := got["level"]
	harm := got["from_harm"].(map[string]any)
	harmLevel, harmThere := harm["level"]
	if !there || level != nil || !harmThere || harmLevel != nil || got["working_level"] != 1.0 {
		t.Errorf("%s", raw)
	}
}

// Negative control: the tables come from the data, not from code.
func TestANewEditionOfATableNeedsNoCode(t *testing.T) {
	files := shipped(t)
	was := string(files[fileGrading].Data) // Table 2 alone has a column "general"
	files[fileGrading] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(was, "{column: general, level: 4,", "{column: general, level: 3,"))}
	b, err := LoadFS(files)
	if err != nil {
		t.Fatal(err)
	}
	if g, err := b.Grade(factors(t, b, 2, -1, 3)); err != nil || *g.Final != 3 {
		t.Errorf("%+v %v", g, err)
	}
}

func TestEveryLevelDemandsItsMeasure(t *testing.T) {
	b := load(t)
	for level, want := range map[int][2]string{
		1: {MeasureFeatureRestriction, ReportAtOnce}, 2: {MeasureFeatureRestriction, ReportAtOnce},
		3: {MeasureFeatureRestriction, ReportAtOnce}, 4: {MeasureLocalAdjustment, ReportPeriodic},
	} {
		p, err := b.RequiredMeasure(level)
		if err != nil || p.Level != level || p.Must != want[0] || p.Report != want[1] {
			t.Errorf("%d: %+v %v", level, p, err)
		}
		if slices.Contains(p.May, MeasureOffline) != (level <= 2) {
			t.Errorf("%d: may %v", level, p.May)
		}
	}
	for _, level := range []int{-1, 0, 5} {
		var in *InputError
		if _, err := b.RequiredMeasure(level); !errors.As(err, &in) || in.Field != "level" || b.LevelName(level) != (Name{}) {
			t.Errorf("%d: %v", level, err)
		}
	}
	if n := b.LevelName(2); n.ZH != "二级" || n.EN != "Level 2" {
		t.Errorf("%+v", n)
	}
	if h := b.HotEvent(); h.UpdateWithinMs != 24*3600*1000 || h.MinKeywords != 20 || h.MinShouldRefuseQuestions != 50 || h.MinRefusalRateBP != 9500 {
		t.Errorf("%+v", h)
	}
}
