package inspect

import (
	"math/rand/v2"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/inspect/samples"
)

// termsOf takes pieces of the texts themselves as terms, so that there is
// something to be found in most of them.
func termsOf(texts []string, n int) []Term {
	rng := rand.New(rand.NewPCG(4, 4))
	actions := []Action{Mask, Mask, Replace, Observe}
	have := map[string]bool{}
	var terms []Term
	for tries := 0; len(terms) < n && tries < 50*n; tries++ {
		runes := []rune(texts[rng.IntN(len(texts))])
		size := 2 + rng.IntN(5)
		if len(runes) <= size {
			continue
		}
		at := rng.IntN(len(runes) - size)
		text := string(runes[at : at+size])
		term := Term{ID: text, Text: text, Action: actions[len(terms)%len(actions)], Replacement: "…"}
		if len(terms)%2 == 0 {
			term.Disguise = Usual(text)
		}
		if _, err := Compile(Rules{Terms: []Term{term}}); err != nil || have[text] {
			continue
		}
		have[text] = true
		terms = append(terms, term)
	}
	return terms
}

func TestEveryCutOfRealAnswersReleasesTheSame(t *testing.T) {
	texts := samples.Texts(t, "jade-replies-medium", "违规回答", "安全有用回答")
	e := mustCompile(t, Rules{
		Terms:  termsOf(texts, 1500),
		Checks: []Check{{ID: "id", Kind: KindCNID, Action: Mask}, {ID: "card", Kind: KindBankCard, Action: Mask}},
	})
	rng := rand.New(rand.NewPCG(9, 9))
	hits := 0
	for n, text := range texts {
		want := e.Scan(text)
		hits += len(want.Matches)
		for _, longest := range []int{[]int{1, 4, 16}[n%3], 64 * utf8.UTFMax} { // bytes: also inside characters
			var chunks []string
			for rest := text; rest != ""; {
				k := min(len(rest), 1+rng.IntN(longest))
				chunks = append(chunks, rest[:k])
				rest = rest[k:]
			}
			released, matches, _ := run(e.NewStream(), chunks)
			if released != want.Released || !slices.Equal(sorted(matches), sorted(want.Matches)) {
				t.Fatalf("text %d in pieces of up to %d bytes: %d hits, %d in the whole; released the same: %v",
					n, longest, len(matches), len(want.Matches), released == want.Released)
			}
		}
	}
	if hits < len(texts) {
		t.Fatalf("%d hits in %d texts prove little", hits, len(texts))
	}
	t.Logf("%d texts, %d hits, the same for every cut", len(texts), hits)
}
