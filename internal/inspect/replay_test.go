package inspect

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unicode/utf8"
)

// publicTexts gives a field of a public set, or skips the test where the sets
// are not there; they are no part of this repository. Nothing of them is
// printed.
func publicTexts(t *testing.T, name string, fields ...string) []string {
	t.Helper()
	dir := os.Getenv("FENGSUI_SAMPLES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(dir, name+".jsonl.gz"))
	if err != nil {
		t.Skipf("the public set %s is not here; FENGSUI_SAMPLES names the folder", name)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	in := bufio.NewScanner(z)
	in.Buffer(nil, 1<<24)
	for in.Scan() {
		var row map[string]any
		if err := json.Unmarshal(in.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		for _, field := range fields {
			if s, ok := row[field].(string); ok {
				out = append(out, s)
			}
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s has no %v", name, fields)
	}
	return out
}

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
	texts := publicTexts(t, "jade-replies-medium", "违规回答", "安全有用回答")
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
