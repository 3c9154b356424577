package inspect

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAnEngineWithoutSomeRulesFindsWhatOneCompiledWithoutThemFinds(t *testing.T) {
	compile := func(r Rules) *Engine { return mustCompile(t, r) }
	fewer := 0 // texts in which the rules left out had hit
	agree := func(t *rapid.T) {
		rules := drawRules(t)
		asked := func(id string) bool { // by a rule
			return slices.ContainsFunc(rules.Rules, func(r Rule) bool { return strings.Contains(" "+r.Find+" "+r.When+" ", "#"+id) })
		}
		var gone []string
		drop := func(id string) bool {
			if asked(id) || !rapid.Bool().Draw(t, "drop") {
				return false
			}
			gone = append(gone, id)
			return true
		}
		whole := compile(rules)
		rest := rules
		rest.Terms = slices.DeleteFunc(slices.Clone(rules.Terms), func(x Term) bool { return drop(x.ID) })
		rest.Checks = slices.DeleteFunc(slices.Clone(rules.Checks), func(x Check) bool { return drop(x.ID) })
		rest.Rules = slices.DeleteFunc(slices.Clone(rules.Rules), func(x Rule) bool { return drop(x.ID) })
		want, got := compile(rest), whole
		for part := range slices.Chunk(append(gone, "unknown"), 2) { // one after the other
			got = got.Without(part...)
		}
		text := drawText(t)
		expect := want.Scan(text)
		check := func(how, released string, matches []Match, blocked bool) {
			same := released == expect.Released || blocked && strings.HasPrefix(expect.Released, released)
			if !same || !slices.Equal(sorted(matches), sorted(expect.Matches)) || blocked != (expect.Action == Block) {
				t.Fatalf("%s, without %v, text %q:\n%q %v\n%q %v", how, gone, text, released, sorted(matches), expect.Released, sorted(expect.Matches))
			}
		}
		res := got.Scan(text)
		check("whole", res.Released, res.Matches, res.Action == Block)
		released, matches, blocked := run(got.NewStream(), drawCuts(t, text))
		check("cut", released, matches, blocked)
		if len(whole.Scan(text).Matches) != len(expect.Matches) {
			fewer++
		}
	}
	for n := 0; n == 0 || n < 20 && fewer == 0; n++ { // few texts have what is left out
		rapid.Check(t, agree)
	}
	if fewer == 0 {
		t.Error("control: nothing that was left out had hit")
	}
}

func TestAnEngineWithoutAClassifierDoesNotHearIt(t *testing.T) {
	m := ofLetter(t, "火水")
	e := mustCompile(t, Rules{Classifiers: []Classifier{{ID: "fire", Model: m, Head: "火", Action: Block}, {ID: "water", Model: m, Head: "水", Action: Observe}}})
	text := strings.Repeat("火水", 60)
	if got := e.Scan(text).Matches; len(got) != 2 || got[0].RuleID != "fire" {
		t.Fatalf("control: %+v", got)
	}
	rest := e.Without("fire").Scan(text)
	if len(rest.Matches) != 1 || rest.Matches[0].RuleID != "water" || rest.Released != text {
		t.Errorf("%+v", rest)
	}
	if rest := e.Without("fire", "water").Scan(text); len(rest.Matches) != 0 || rest.Released != text {
		t.Errorf("%+v", rest)
	}
}

func TestAnEngineWithoutACheckCostsTheTextNoCloserLook(t *testing.T) {
	e := mustCompile(t, Rules{Checks: []Check{{ID: "mail", Kind: KindEmail, Action: Mask}, {ID: "mobile", Kind: KindCNMobile, Action: Mask}}})
	text := "请拨 " + goodMobile + " 或写信到 someone@example.com"
	if e.quiet(text) {
		t.Fatal("control: the text is quiet")
	}
	rest := e.Without("mail", "mobile")
	if !rest.quiet(text) || rest.lexicon != e.lexicon || &rest.rules[0] != &e.rules[0] {
		t.Error("it is read closely, or does not share")
	}
}
