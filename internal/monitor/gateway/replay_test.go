package gateway

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/inspect/samples"
)

// escaped is text as a model may write it into the arguments of a tool: every
// character that is not ASCII as \u, those of the higher planes as two of them.
func escaped(text string) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(text)) {
		if u < 0x80 {
			b.WriteByte(byte(u))
			continue
		}
		b.WriteString(`\u`)
		for shift := 12; shift >= 0; shift -= 4 {
			b.WriteByte(hex[u>>shift&0xF])
		}
	}
	return b.String()
}

// through is what a client gets of a text in pieces, and what is found in it.
func through(t *testing.T, w *world, e *inspect.Engine, key chanKey, pieces []string) (out string, blocked bool, hits []inspect.Match) {
	t.Helper()
	c := &call{g: w.g, svc: w.g.regime.Load().services["svc1"], answer: capture{left: 1 << 20}}
	f := newFilter(c, []*inspect.Engine{e})
	for _, piece := range pieces {
		released, stop, err := f.write(key, piece)
		if err != nil {
			t.Fatal(err)
		}
		if out += released; stop {
			return out, true, nil
		}
	}
	tail, stop, err := f.close(f.text(key))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range c.row.Verdict.Hits {
		hits = append(hits, h.Match)
	}
	slices.SortFunc(hits, func(a, b inspect.Match) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End), cmp.Compare(a.RuleID, b.RuleID))
	})
	return out + tail, stop, hits
}

func TestEveryCutOfRealAnswersAndOfEscapesReleasesTheSame(t *testing.T) {
	texts := samples.Texts(t, "jade-replies-medium", "违规回答", "安全有用回答")
	rng := rand.New(rand.NewPCG(3, 3))
	var terms []inspect.Term
	have := map[string]bool{}
	actions := []inspect.Action{inspect.Mask, inspect.Replace, inspect.Observe}
	for i, text := range texts {
		r := slices.Insert([]rune(text), rng.IntN(len([]rune(text))+1), '😀', '𠮷')
		texts[i] = string(r)
		at := rng.IntN(max(1, len(r)-6))
		if i%2 == 0 { // across both
			at = max(0, slices.Index(r, '😀')-1)
		}
		term := inspect.Term{ID: string(r[at:min(len(r), at+4)]), Text: string(r[at:min(len(r), at+4)]), Action: actions[i%3], Replacement: "…"}
		if _, err := inspect.Compile(inspect.Rules{Terms: []inspect.Term{term}}); err == nil && !have[term.Text] && !strings.ContainsAny(term.Text, "\"\\") {
			have[term.Text] = true
			terms = append(terms, term)
		}
	}
	e, err := inspect.Compile(inspect.Rules{Terms: terms})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, answers(""))
	w.apply()
	found := 0
	for n, text := range texts {
		text = strings.NewReplacer(`\`, ``, `"`, ``).Replace(text)
		for _, c := range []struct {
			key  chanKey
			sent string
		}{{chanKey{}, text}, {chanKey{slot: slotToolArguments}, escaped(text)}} {
			want, blocked, hits := through(t, w, e, c.key, []string{text})
			found += len(hits)
			for _, longest := range []int{1, 64} {
				var pieces []string
				for rest := []rune(c.sent); len(rest) > 0; { // of escapes, single characters of \u and of the pairs
					k := min(len(rest), 1+rng.IntN(longest))
					pieces, rest = append(pieces, string(rest[:k])), rest[k:]
				}
				out, stop, again := through(t, w, e, c.key, pieces)
				if out != want || stop != blocked || !slices.Equal(again, hits) {
					t.Fatalf("text %d as %v in pieces of up to %d: released the same %v, blocked %v and %v, %d hits and %d", n, c.key.slot, longest, out == want, stop, blocked, len(again), len(hits))
				}
			}
		}
	}
	if found < len(texts)/2 {
		t.Fatalf("%d hits in %d texts prove little", found, len(texts))
	}
	t.Logf("%d texts, %d hits, the same for every cut", len(texts), found)
}
