// Package disguise writes words in the ways that people write them to get past a
// list of words. It is what the engine is tried on; nothing at work uses it.
package disguise

import (
	"math/rand/v2"
	"strings"

	"github.com/fengsui/fengsui/internal/inspect/fold"
	"github.com/fengsui/fengsui/internal/inspect/match"
)

// Ways gives the ways by name; each writes a word of at least one character in
// another way, or gives "" if that cannot be done to this one. What can be chosen, rng
// chooses.
func Ways(rng *rand.Rand) map[string]func([]rune) string {
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
				if x, ok := to(r); ok && rng.IntN(chance) == 0 && x != r {
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
