package match

import (
	_ "embed"
	"slices"
	"strings"
	"sync"

	"github.com/fengsui/fengsui/internal/inspect/fold"
)

// maxVariants bounds the patterns that one entry may become in each way.
const maxVariants = 16

// Longest is how many symbols at most an entry has in one of its disguises.
func (e *Entry) Longest() int {
	text := fold.Loose().Symbols(nil, e.Text)
	n := len(text)
	if e.Spell {
		n = max(n, len(spellingOf(text)))
	}
	if e.Parts {
		for _, s := range partsOf(text) {
			n = max(n, len(s))
		}
	}
	return min(n, 2*MaxRunes)
}

// soundsOf gives the ways in which text may be read, the usual one first.
func soundsOf(text []uint16) [][]uint16 {
	out := [][]uint16{make([]uint16, 0, len(text))}
	table := fold.Syllables()
	for _, c := range text {
		readings := table.Readings(c)
		if len(readings) == 0 {
			readings = []uint16{table.Of[c]}
		}
		have := len(out)
		for _, r := range readings[1:] {
			for i := 0; i < have && len(out) < maxVariants; i++ {
				out = append(out, append(slices.Clone(out[i]), r))
			}
		}
		for i := range have {
			out[i] = append(out[i], readings[0])
		}
	}
	return out
}

// spellingOf gives text in Latin letters, in the symbols of the loose table;
// nil if it has a character without a syllable or only one.
func spellingOf(text []uint16) []uint16 {
	var out strings.Builder
	for _, c := range text {
		s := fold.Syllables().Spelling(fold.Syllables().Of[c])
		if s == "" {
			return nil
		}
		out.WriteString(s)
	}
	if len(text) < 2 {
		return nil
	}
	return fold.Loose().Symbols(nil, out.String())
}

//go:embed parts.txt
var partsText string

// parts says how characters are written as two, in symbols of the loose table.
var parts = sync.OnceValue(func() map[uint16][][]uint16 {
	out := map[uint16][][]uint16{}
	for line := range strings.Lines(partsText) {
		if line[0] == '#' {
			continue
		}
		f := strings.Fields(line)
		c := fold.Loose().Symbols(nil, f[0])
		for _, way := range f[1:] {
			out[c[0]] = append(out[c[0]], fold.Loose().Symbols(nil, way))
		}
	}
	return out
})

// partsOf gives text with some of its characters written as their parts: each
// alone, and all of them.
func partsOf(text []uint16) [][]uint16 {
	var out [][]uint16
	var all []uint16
	n := 0
	for i, c := range text {
		ways := parts()[c]
		if len(ways) == 0 {
			all = append(all, c)
			continue
		}
		n++
		all = append(all, ways[0]...)
		for _, way := range ways {
			if len(out) < maxVariants {
				out = append(out, slices.Concat(text[:i], way, text[i+1:]))
			}
		}
	}
	if n > 1 {
		out = append(out, all)
	}
	return out
}

// PartsOf gives the usual way to write a character as its parts; ok is false
// if it has none.
func PartsOf(r rune) (text string, ok bool) {
	if r > 0xFFFF || len(parts()[uint16(r)]) == 0 {
		return "", false
	}
	for _, c := range parts()[uint16(r)][0] {
		text += string(rune(c))
	}
	return text, true
}

// Spells tells whether a text has a spelling: two syllables or more, and
// nothing else that is compared.
func Spells(text string) bool { return spellingOf(fold.Loose().Symbols(nil, text)) != nil }
