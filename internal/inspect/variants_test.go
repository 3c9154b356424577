package inspect

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/inspect/fold"
	"github.com/fengsui/fengsui/internal/inspect/match"
	"github.com/fengsui/fengsui/internal/inspect/samples"
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
		"width": swap(1, func(r rune) (rune, bool) { return r + 0xFEE0, '!' <= r && r <= '~' }),
		"repeats": func(w []rune) string {
			var b strings.Builder
			for i, again := 0, rng.IntN(len(w)); i < len(w); i++ {
				n := 1 + rng.IntN(3)
				if i == again {
					n = max(n, 2)
				}
				b.WriteString(strings.Repeat(string(w[i]), n))
			}
			return b.String()
		},
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

// The same with pieces of real questions, calibrated: none that stands in
// ordinary answers, disguised or not, is a term. What of them stands in other
// ordinary text is printed.
func TestDisguisedTermsOfACalibratedListAreFound(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	questions, benign := samples.Texts(t, "cvalues-answer-dev", "question"), samples.Texts(t, "belle-benign-dev", "text", "answer")
	var rules Rules
	have := map[string]bool{}
	for tries := 0; len(rules.Terms) < 900 && tries < 100_000; tries++ {
		w := []rune(questions[rng.IntN(len(questions))])
		size := 4 + rng.IntN(4)
		if len(w) <= size {
			continue
		}
		at := rng.IntN(len(w) - size)
		text := string(w[at : at+size])
		if d := Usual(text); d.Sound && !have[text] && len(fold.Loose().Symbols(nil, text)) == size {
			have[text] = true
			d.Spell = true
			rules.Terms = append(rules.Terms, Term{ID: text, Text: text, Action: Observe, Disguise: d})
		}
	}
	e := mustCompile(t, rules)
	for i, text := range benign {
		if i%2 == 0 {
			for _, m := range e.Scan(text).Matches {
				delete(have, m.RuleID)
			}
		}
	}
	var texts []string
	for _, term := range rules.Terms {
		if have[term.Text] && len(texts) < 500 {
			texts = append(texts, term.Text)
		}
	}
	if len(texts) < 500 {
		t.Fatalf("%d terms are left", len(texts))
	}
	e = findDisguised(t, rng, texts)
	hits, size := 0, 0
	for i, text := range benign {
		if i%2 == 1 {
			hits, size = hits+len(e.Scan(text).Matches), size+len(text)
		}
	}
	perKB := float64(hits) / float64(size) * 1000
	t.Logf("false hits: %d in %d KB of other ordinary text, %.4f a KB", hits, size/1000, perKB)
	if perKB > 0.1 {
		t.Errorf("%.2f false hits a KB", perKB)
	}
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
	all := disguises(rng)
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
