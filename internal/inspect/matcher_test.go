package inspect

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	ahocorasick "github.com/petar-dambovaliev/aho-corasick"
	"pgregory.net/rapid"
)

// The library must report every overlapping occurrence, in order of end, in
// both of its forms; hold-back and masking rest on that.
func TestLibraryFindsAllOverlappingOccurrences(t *testing.T) {
	letters := rapid.SampledFrom([]string{"a", "b", "c", "中", "文", "丮", "\x00", "\x7f", "ÿ", "😀"})
	word := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(letters, 1, 5).Draw(t, "word"), "")
	})
	rapid.Check(t, func(t *rapid.T) {
		patterns := rapid.SliceOfNDistinct(word, 1, 12, func(s string) string { return s }).Draw(t, "patterns")
		text := strings.Join(rapid.SliceOfN(letters, 0, 60).Draw(t, "text"), "")
		var want []string
		for i, p := range patterns {
			for at := range len(text) {
				if strings.HasPrefix(text[at:], p) {
					want = append(want, fmt.Sprint(i, at, at+len(p)))
				}
			}
		}
		slices.Sort(want)
		for _, dfa := range []bool{false, true} {
			builder := ahocorasick.NewAhoCorasickBuilder(ahocorasick.Opts{MatchKind: ahocorasick.StandardMatch, DFA: dfa})
			found := libraryMatcher{ac: builder.Build(patterns)}.find(nil, []byte(text))
			var got []string
			for i, o := range found {
				got = append(got, fmt.Sprint(o.pattern, o.start, o.end))
				if i > 0 && o.end < found[i-1].end {
					t.Fatalf("dfa %v: not in order of end: %v", dfa, found)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatalf("dfa %v patterns %q text %q: got %v, want %v", dfa, patterns, text, got, want)
			}
		}
	})
}

func TestGateNeverMissesABeginning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringN(1, 4, -1), 1, 20).Draw(t, "words")
		g, p := newGate(len(words)), newPrefixes()
		for _, w := range words {
			g.add([]rune(w))
			p.add([]rune(w), true)
		}
		for _, w := range words {
			r := []rune(w)
			if !g.begins(r[0]) || len(r) == 1 && !g.isSingle(r[0]) || len(r) > 1 && !g.beginsPair(r[0], r[1]) {
				t.Fatalf("%q does not pass", w)
			}
			node := int32(0)
			for i := range r {
				if node = p.step(node, r[i]); node == 0 {
					t.Fatalf("%q is not a prefix of %q", string(r[:i+1]), w)
				}
				if i < len(r)-1 && !p.nodes[node].enforces {
					t.Fatalf("%q does not hold", string(r[:i+1]))
				}
			}
			if !p.nodes[node].ends {
				t.Fatalf("%q does not end", w)
			}
		}
	})
}
