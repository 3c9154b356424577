package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/inspect/classify/train"
	"github.com/fengsui/fengsui/internal/inspect/disguise"
)

const disguised = 500 // terms

// variant is how often a way to write a term was tried, found, and found by terms that ask for no disguise.
type variant struct {
	name                string
	tried, found, plain int
}

// variantsPart says how many of 500 terms are found in each way to write them otherwise, and what is found in text that
// has none of them.
func variantsPart(ctx context.Context, b *bench) ([]table, error) {
	list, hits, size, err := countVariants(ctx, b.samples)
	if err != nil {
		return nil, err
	}
	t := table{Part: "variants", Title: fmt.Sprintf("%d terms written otherwise", disguised), Keys: []string{"written", "found", "found without asking for it"}}
	for _, v := range list {
		t.Rows = append(t.Rows, row{Keys: []string{v.name, train.Share(v.found, v.tried), train.Share(v.plain, v.tried)}})
	}
	t.Notes = []string{
		"The terms are pieces of real questions, calibrated: none that stands in half of the ordinary answers, disguised or not, is one. Each asks for the usual disguises of its length and for its spelling; read as a stream, 4 to 20 characters at a time. Not every term can be written in every way: beside it stands of how many it was tried.",
		"Width: terms of two characters, letters and a number. Homophone: each character with one chance in two, by any that sounds the same but for the tone. The last column are the same terms without disguises: what the fold alone undoes.",
		fmt.Sprintf("False hits: %d in %d KB of ordinary text that the terms were not calibrated on, %.4f a KB.", hits, size/1000, float64(hits)/float64(size)*1000),
	}
	return []table{t}, nil
}

// countVariants counts, and the hits in so many bytes of ordinary text.
func countVariants(ctx context.Context, samples string) (list []variant, falseHits, size int, err error) {
	questions, err := fieldsOf(filepath.Join(samples, "cvalues-answer-dev.jsonl.gz"), "question")
	if err != nil {
		return nil, 0, 0, err
	}
	ordinary, err := fieldsOf(filepath.Join(samples, "belle-benign-dev.jsonl.gz"), "text", "answer")
	if err != nil {
		return nil, 0, 0, err
	}
	rng := rand.New(rand.NewPCG(8, 8))
	terms, err := calibrated(rng, questions, ordinary)
	if err != nil {
		return nil, 0, 0, err
	}
	engine, err := inspect.Compile(inspect.Rules{Terms: terms})
	if err != nil {
		return nil, 0, 0, err
	}
	bare := slices.Clone(terms)
	for i := range bare {
		bare[i].Disguise = inspect.Disguise{}
	}
	plain, err := inspect.Compile(inspect.Rules{Terms: bare})
	if err != nil {
		return nil, 0, 0, err
	}
	ways := disguise.Ways(rng)
	for _, name := range slices.Sorted(maps.Keys(ways)) {
		if err := ctx.Err(); err != nil {
			return nil, 0, 0, err
		}
		v := variant{name: name}
		for _, term := range terms {
			// Full width is for letters, of which only some terms are made.
			if strings.HasPrefix(term.ID, "w") != (name == "width") {
				continue
			}
			hidden := ways[name]([]rune(term.Text))
			if hidden == "" {
				continue
			}
			v.tried++
			text := "今天有人说" + hidden + "，就是这样。"
			if hits(engine, text, term.ID) {
				v.found++
			}
			if hits(plain, text, term.ID) {
				v.plain++
			}
		}
		list = append(list, v)
	}
	for i := 1; i < len(ordinary); i += 2 {
		falseHits, size = falseHits+len(engine.Scan(ordinary[i]).Matches), size+len(ordinary[i])
	}
	return list, falseHits, size, nil
}

// fieldsOf gives what stands in some fields of a file of samples.
func fieldsOf(path string, fields ...string) (texts []string, err error) {
	if err := rowsOf(path, func(row map[string]any) {
		for _, field := range fields {
			if s, _ := row[field].(string); s != "" {
				texts = append(texts, s)
			}
		}
	}); err != nil {
		return nil, absent{fmt.Errorf("public samples: %w", err)}
	}
	return texts, nil
}

// calibrated takes pieces of questions that half of the ordinary texts do not have, however they are written, and after each
// a term of its beginning, letters and a number, whose id begins with w.
func calibrated(rng *rand.Rand, questions, ordinary []string) ([]inspect.Term, error) {
	var rules inspect.Rules
	left := map[string]bool{}
	for tries := 0; len(rules.Terms) < 900 && tries < 100_000; tries++ {
		w := []rune(questions[rng.IntN(len(questions))])
		size := 4 + rng.IntN(4)
		if len(w) <= size {
			continue
		}
		at := rng.IntN(len(w) - size)
		text := string(w[at : at+size])
		if d := inspect.Usual(text); d.Sound && !left[text] && !strings.ContainsAny(text, "，。？！、：；“”《》 ") {
			left[text], d.Spell = true, true
			rules.Terms = append(rules.Terms, inspect.Term{ID: text, Text: text, Action: inspect.Observe, Disguise: d})
		}
	}
	engine, err := inspect.Compile(rules)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(ordinary); i += 2 {
		for _, m := range engine.Scan(ordinary[i]).Matches {
			delete(left, m.RuleID)
		}
	}
	var terms []inspect.Term
	for i, term := range rules.Terms {
		if !left[term.Text] || len(terms) == 2*disguised {
			continue
		}
		latin := inspect.Term{ID: fmt.Sprint("w", i), Text: fmt.Sprintf("%sv%c%d", string([]rune(term.Text)[:2]), 'a'+i%26, i), Action: inspect.Observe}
		latin.Disguise = inspect.Usual(latin.Text)
		terms = append(terms, term, latin)
	}
	if len(terms) < 2*disguised {
		return nil, fmt.Errorf("%d terms are left, not %d", len(terms)/2, disguised)
	}
	return terms, nil
}

// hits tells whether a term is found in a text that arrives in pieces.
func hits(e *inspect.Engine, text, term string) bool {
	s := e.NewStream()
	is := func(m inspect.Match) bool { return m.RuleID == term }
	for _, chunk := range chunksOf(text) {
		if slices.ContainsFunc(s.Write(chunk).Matches, is) {
			return true
		}
	}
	return slices.ContainsFunc(s.Close().Matches, is)
}
