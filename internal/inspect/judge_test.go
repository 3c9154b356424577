package inspect

import (
	"cmp"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/inspect/classify"
)

// ofLetter is a model whose head says yes to texts that are full of a character.
func ofLetter(t testing.TB, letters string) *classify.Model {
	t.Helper()
	const bits = 16
	var heads []classify.Head
	var lanes []classify.Lane
	var weights [][]int8
	for _, r := range letters {
		w := make([]int8, 1<<bits)
		found, _ := classify.NewFeatures().Next(r)
		w[found[0]>>(32-bits)] = 100
		weights = append(weights, w)
		heads = append(heads, classify.Head{ID: string(r), Risk: "A.1.h", Threshold: 0.9, Lanes: []int{len(lanes)}, Slope: 4, Offset: 0})
		lanes = append(lanes, classify.Lane{Scale: 0.01, Bias: -1})
	}
	m, err := classify.New(heads, lanes, bits, weights, "")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAClassifierHitsOnceAndSaysWhatItLookedAt(t *testing.T) {
	m := ofLetter(t, "火水")
	e := mustCompile(t, Rules{Classifiers: []Classifier{{ID: "fire", Model: m, Head: "火", Action: Observe}, {ID: "water", Model: m, Head: "水", Action: Observe, Risk: "A.4.a", Threshold: 0.2}}})
	text := strings.Repeat("天气", 30) + strings.Repeat("火火火风", 60)
	res := e.Scan(text)
	if len(res.Matches) != 1 || res.Released != text || res.Action != Observe {
		t.Fatalf("%+v", res)
	}
	h := res.Matches[0]
	if h.RuleID != "fire" || h.Kind != KindClassifier || h.Risk != "A.1.h" || h.Score < 0.9 || h.Score > 1 || h.Start != 0 || h.End <= 180 || h.EndRune*3 != h.End || h.EndRune%classify.Step != 0 {
		t.Errorf("%+v", h)
	}
	if res := e.Scan("天气"); res.Action != Allow || len(res.Matches) != 0 {
		t.Errorf("%+v", res)
	}
	if res := e.Scan("水"); len(res.Matches) != 1 || res.Matches[0].Risk != "A.4.a" || res.Matches[0].EndRune != 1 {
		t.Errorf("at the end of a short text: %+v", res)
	}
	s := e.NewStream()
	s.Write(strings.Repeat("天气", 400) + strings.Repeat("火", 64))
	if end := s.Close(); len(end.Matches) != 0 {
		t.Errorf("reported again at the end: %+v", end)
	}
}

func TestABlockingClassifierEndsTheTextAtItsStep(t *testing.T) {
	m := ofLetter(t, "火")
	e := mustCompile(t, Rules{
		Terms:       []Term{{ID: "t", Text: "火火风", Action: Mask}, {ID: "b", Text: "雷雷", Action: Block}},
		Classifiers: []Classifier{{ID: "fire", Model: m, Head: "火", Action: Block}},
	})
	calm, fire := strings.Repeat("天气", 16), strings.Repeat("云火火", 60)
	res := e.Scan(calm + fire + "后")
	if res.Action != Block || !strings.HasPrefix(calm+fire, res.Released) || len(res.Released) < len(calm) || len(res.Released) > 3*classify.Warm {
		t.Errorf("%d bytes released, %+v", len(res.Released), res.Matches)
	}
	// A term that blocks earlier leaves the classifier nothing to say.
	res = e.Scan(calm + "雷雷" + fire)
	if len(res.Matches) != 1 || res.Matches[0].RuleID != "b" || res.Released != calm {
		t.Errorf("%+v", res)
	}
	s := e.NewStream()
	if step := s.Write(strings.Repeat("火", 12)); step.Blocked || step.Released != strings.Repeat("火", 10) {
		t.Errorf("%+v", step)
	}
	if end := s.Close(); !end.Blocked || end.Released != "" || len(end.Matches) != 1 {
		t.Errorf("what a term held was let go though the text was blocked at its end: %+v", end)
	}
	if step := s.Write("再"); !step.Blocked || step.Released != "" {
		t.Errorf("after the block: %+v", step)
	}
	s.Reset()
	if step := s.Write("再"); step.Blocked || step.Released != "再" {
		t.Errorf("after a reset: %+v", step)
	}
}

func TestWhatClassifiersSayDoesNotDependOnWhereTheTextWasCut(t *testing.T) {
	m, other := ofLetter(t, "火水"), ofLetter(t, "雷")
	rng := rand.New(rand.NewPCG(4, 2))
	letters := []string{"火", "水", "雷", "云", "a", " ", "，", "\u200b", "\xe4", "😀"}
	hits := 0
	for round := range 300 {
		e := mustCompile(t, Rules{
			Terms: []Term{{ID: "t", Text: "火水", Action: Mask}, {ID: "b", Text: "雷水火水雷", Action: Block}, {ID: "w", Text: "aa", Action: Replace, Disguise: Disguise{Word: true}}},
			Classifiers: []Classifier{{ID: "fire", Model: m, Head: "火", Action: Observe, Threshold: 0.5}, {ID: "water", Model: m, Head: "水", Action: []Action{Observe, Block}[round%2], Threshold: 0.6},
				{ID: "thunder", Model: other, Head: "雷", Action: Observe, Threshold: 0.55}},
		})
		var b strings.Builder
		for range rng.IntN(300) {
			b.WriteString(letters[rng.IntN(3+rng.IntN(len(letters)-2))])
		}
		text := b.String()
		want := e.Scan(text)
		s := e.NewStream()
		var got Result
		var out strings.Builder
		take := func(step Step) {
			out.WriteString(step.Released)
			got.Matches = append(got.Matches, step.Matches...)
		}
		for rest := text; rest != ""; {
			n := min(len(rest), 1+rng.IntN(1+rng.IntN(80)))
			take(s.Write(rest[:n]))
			rest = rest[n:]
		}
		take(s.Close())
		order := func(a, b Match) int {
			return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End), cmp.Compare(a.RuleID, b.RuleID))
		}
		slices.SortFunc(want.Matches, order)
		slices.SortFunc(got.Matches, order)
		if out.String() != want.Released || !reflect.DeepEqual(got.Matches, want.Matches) {
			t.Fatalf("%q: pieces give %q %+v, the whole %q %+v", text, out.String(), got.Matches, want.Released, want.Matches)
		}
		for _, h := range want.Matches {
			if h.Kind == KindClassifier {
				hits++
			}
		}
	}
	if hits < 100 {
		t.Errorf("only %d hits: this test looks at nothing", hits)
	}
}

func TestAClassifierThatCannotBeIsRefusedByField(t *testing.T) {
	m := ofLetter(t, "火")
	right := Classifier{ID: "c", Model: m, Head: "火", Action: Observe}
	if _, err := Compile(Rules{Classifiers: []Classifier{right}}); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*Classifier){
		"id":        func(c *Classifier) { c.ID = "" },
		"model":     func(c *Classifier) { c.Model = nil },
		"head":      func(c *Classifier) { c.Head = "水" },
		"action":    func(c *Classifier) { c.Action = Mask },
		"threshold": func(c *Classifier) { c.Threshold = 1 },
	} {
		c := right
		change(&c)
		if _, err := Compile(Rules{Classifiers: []Classifier{c}}); err == nil || !strings.Contains(err.Error(), field+":") {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := Compile(Rules{Classifiers: []Classifier{right, right}}); err == nil {
		t.Error("one id twice was taken")
	}
}

func TestAStreamThatClassifiersReadAllocatesNothingForPlainText(t *testing.T) {
	m := ofLetter(t, "火")
	s := mustCompile(t, Rules{Classifiers: []Classifier{{ID: "fire", Model: m, Head: "火", Action: Block}}}).NewStream()
	if n := testing.AllocsPerRun(200, func() { s.Write("今天天气很好，") }); n != 0 {
		t.Errorf("%v allocations a chunk", n)
	}
}
