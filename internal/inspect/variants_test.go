package inspect

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/inspect/fold"
	"github.com/fengsui/fengsui/internal/inspect/match"
)

// disguises write a term in another way; "" means that it cannot be done to
// this one.
func disguises(rng *rand.Rand) map[string]func([]rune) string {
	between := func(what ...string) func([]rune) string {
		return func(w []rune) string {
			var b strings.Builder
			for i, r := range w {
				if i > 0 {
					b.WriteString(what[rng.IntN(len(what))])
				}
				b.WriteRune(r)
			}
			return b.String()
		}
	}
	traditional := map[rune]rune{}
	alike := map[uint16][]rune{}
	for r := rune(0x4E00); r <= 0x9FA5; r++ {
		if s := fold.Strict().Rune(r); s != r {
			traditional[s] = r
		} else if fold.Syllables().Has(uint16(r)) {
			alike[fold.Syllables().Of[r]] = append(alike[fold.Syllables().Of[r]], r)
		}
	}
	swap := func(chance int, to func(rune) (rune, bool)) func([]rune) string {
		return func(w []rune) string {
			out, changed := make([]rune, len(w)), false
			for i, r := range w {
				out[i] = r
				if x, ok := to(r); ok && rng.IntN(chance) == 0 {
					out[i], changed = x, true
				}
			}
			if !changed {
				return ""
			}
			return string(out)
		}
	}
	return map[string]func([]rune) string{
		"traditional": swap(1, func(r rune) (rune, bool) { x, ok := traditional[r]; return x, ok }),
		"separators":  between(" ", "-", "*", "。", "、", "|", "·"),
		"line breaks": between("\n"),
		"zero width":  between("\u200b", "\u200d", "\u2060", "\ufeff"),
		"marks":       between("\u0336", "\u0305"),
		"emoji":       between("😀", "🔥", "❤\ufe0f"),
		"two of them": between("* ", "--"),
		"homophone": swap(2, func(r rune) (rune, bool) {
			others := alike[fold.Syllables().Of[r]]
			if r > 0xFFFF || len(others) < 2 {
				return 0, false
			}
			return others[rng.IntN(len(others))], true
		}),
		"pinyin": func(w []rune) string {
			var b strings.Builder
			for _, r := range w {
				b.WriteString(fold.Syllables().Spelling(fold.Syllables().Of[r]))
			}
			return b.String()
		},
		"parts": func(w []rune) string {
			for i, r := range w {
				if p, ok := match.PartsOf(r); ok {
					return string(w[:i]) + p + string(w[i+1:])
				}
			}
			return ""
		},
	}
}

func TestDisguisedTermsAreFound(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	var common []rune
	for r := rune(0x4E00); r <= 0x9FA5; r++ {
		if fold.Syllables().Has(uint16(r)) {
			common = append(common, r)
		}
	}
	var rules Rules
	have := map[string]bool{}
	for len(rules.Terms) < 500 {
		w := make([]rune, 4+rng.IntN(4))
		for i := range w {
			w[i] = common[rng.IntN(len(common))]
		}
		if text := string(w); !have[text] {
			have[text] = true
			term := Term{ID: fmt.Sprint(len(rules.Terms)), Text: text, Action: Observe, Disguise: Usual(text)}
			term.Spell = true
			rules.Terms = append(rules.Terms, term)
		}
	}
	e := mustCompile(t, rules)
	for name, disguise := range disguises(rng) {
		floor, found, tried := 0.98, 0, 0
		if name == "homophone" {
			floor = 0.9
		}
		for i, term := range rules.Terms {
			hidden := disguise([]rune(term.Text))
			if hidden == "" {
				continue
			}
			tried++
			_, matches, _ := run(e.NewStream(), tokens("今天有人说"+hidden+"，就是这样。", 1, 5))
			for _, m := range matches {
				if m.RuleID == fmt.Sprint(i) {
					found++
					break
				}
			}
		}
		if tried < 50 || float64(found) < floor*float64(tried) {
			t.Errorf("%s: %d of %d found", name, found, tried)
		}
		t.Logf("%s: %d of %d", name, found, tried)
	}
}

// What the usual disguises cost: hits of terms that are in nobody's text, in
// ordinary text.
func TestFalseHitsOfDisguisesInOrdinaryText(t *testing.T) {
	texts := publicTexts(t, "belle-benign-dev", "text", "answer")
	words := termsOf(publicTexts(t, "cvalues-answer-dev", "question"), 2000)
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
