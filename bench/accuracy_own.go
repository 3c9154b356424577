package main

import (
	_ "embed"
	"math/rand/v2"
	"strings"
)

var (
	//go:embed own/injection.txt
	ownInjections string
	//go:embed own/fraud.txt
	ownFrauds string
	//go:embed own/plain.txt
	ownPlain string
)

// ownTexts makes texts of the lines written for this project, about thirty of each line as far as there are alternatives.
// What is made of one line stays together: number is that of its line.
func ownTexts(lines string, put func(text string, number int, attack bool)) {
	rng := rand.New(rand.NewPCG(modelSeed, 1))
	number := -1
	for line := range strings.Lines(lines) {
		kind, pattern, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kind != "+" && kind != "-" {
			continue
		}
		number++
		seen := map[string]bool{}
		for range 30 {
			if text := draw(rng, pattern); !seen[text] {
				seen[text] = true
				put(text, number, kind == "+")
			}
		}
	}
}

// draw takes one alternative of each pair of braces.
func draw(rng *rand.Rand, pattern string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(pattern, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		choices, after, _ := strings.Cut(rest, "}")
		all := strings.Split(choices, "|")
		b.WriteString(all[rng.IntN(len(all))])
		pattern = after
	}
}
