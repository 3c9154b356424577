package inspect

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/inspect/disguise"
	"github.com/fengsui/fengsui/internal/inspect/fold"
	"github.com/fengsui/fengsui/internal/inspect/samples"
)

func TestDisguisedTermsAreFound(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	var common []rune
	for r := rune(0x4E00); r <= 0x9FA5; r++ {
		if fold.Syllables().Has(uint16(r)) {
			common = append(common, r)
		}
	}
	var texts []string
	have := map[string]bool{}
	for len(texts) < 500 {
		w := make([]rune, 4+rng.IntN(4))
		for i := range w {
			w[i] = common[rng.IntN(len(common))]
		}
		if text := string(w); !have[text] {
			have[text] = true
			texts = append(texts, text)
		}
	}
	findDisguised(t, rng, texts)
}

// findDisguised says how many of the terms are found in each disguise.
func findDisguised(t *testing.T, rng *rand.Rand, texts []string) *Engine {
	t.Helper()
	var rules Rules
	for i, text := range texts {
		term := Term{ID: fmt.Sprint(i), Text: text, Action: Observe, Disguise: Usual(text)}
		term.Spell = true
		// For what can be done to letters and digits only.
		latin := Term{ID: "w" + term.ID, Text: fmt.Sprintf("%sv%c%d", string([]rune(text)[:2]), 'a'+i%26, i), Action: Observe}
		latin.Disguise = Usual(latin.Text)
		rules.Terms = append(rules.Terms, term, latin)
	}
	e := mustCompile(t, rules)
	all := disguise.Ways(rng)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		floor, found, tried := 0.98, 0, 0
		if name == "homophone" {
			floor = 0.9
		}
		for _, term := range rules.Terms {
			if strings.HasPrefix(term.ID, "w") != (name == "width") {
				continue
			}
			hidden := all[name]([]rune(term.Text))
			if hidden == "" {
				continue
			}
			tried++
			_, matches, _ := run(e.NewStream(), tokens("今天有人说"+hidden+"，就是这样。", 1, 5))
			if slices.ContainsFunc(matches, func(m Match) bool { return m.RuleID == term.ID }) {
				found++
			}
		}
		if tried < 50 || float64(found) < floor*float64(tried) {
			t.Errorf("%s: %d of %d found", name, found, tried)
		}
		t.Logf("%s: %d of %d", name, found, tried)
	}
	return e
}

// What the usual disguises cost: hits of terms that are in nobody's text, in
// ordinary text.
func TestFalseHitsOfDisguisesInOrdinaryText(t *testing.T) {
	texts := samples.Texts(t, "belle-benign-dev", "text", "answer")
	words := termsOf(samples.Texts(t, "cvalues-answer-dev", "question"), 2000)
	var rules Rules
	all := strings.Join(texts, "\n")
	for _, w := range words {
		if !strings.Contains(all, w.Text) {
			w.Action, w.Disguise = Observe, Usual(w.Text)
			rules.Terms = append(rules.Terms, w)
		}
	}
	if len(rules.Terms) < 500 {
		t.Fatalf("%d terms prove little", len(rules.Terms))
	}
	e := mustCompile(t, rules)
	count := map[string]int{}
	for _, text := range texts {
		for _, m := range e.Scan(text).Matches {
			way := m.Via.String()
			if m.Gap > 0 {
				way += " with separators"
			}
			count[way]++
		}
	}
	total := 0
	for way, n := range count {
		t.Logf("%s: %d, %.3f a KB", way, n, float64(n)/float64(len(all))*1000)
		total += n
	}
	t.Logf("%d terms of ordinary words, %d KB of text", len(rules.Terms), len(all)/1000)
	if perKB := float64(total) / float64(len(all)) * 1000; perKB > 5 {
		t.Errorf("%.2f false hits a KB", perKB)
	}
}
