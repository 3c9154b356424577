package main

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/inspect/fold"
	"github.com/fengsui/fengsui/internal/inspect/match"
)

// matchText is what the matcher is measured on.
type matchText struct {
	text string
	sets []wordSet
	from string
}

// wordSet is one list; none is larger than the last.
type wordSet struct {
	name  string
	words []string
	made  string // what of
}

const (
	matchBytes = 4 << 20
	matchWords = 200_000
)

// newMatchText takes public text and word lists where they lie in dir, and makes both otherwise.
func newMatchText(dir string) (matchText, error) {
	m := matchText{from: "text and words made of common characters, which are fuller of beginnings of words than real ones"}
	var real []string
	_, err := os.Stat(filepath.Join(dir, "lexicon-public.tsv.gz"))
	public := err == nil
	if public {
		m.from = "text: answers and posts of public sets; words: a public list of about 15,000, the rest are such words with characters that sound alike in their place; 10,000 are drawn from the 100,000"
		var b strings.Builder
		for _, name := range []string{"belle-benign-dev", "cold-train", "swsr"} {
			if err := rowsOf(filepath.Join(dir, name+".jsonl.gz"), func(row map[string]any) {
				for _, field := range []string{"answer", "text", "comment_text"} {
					if s, ok := row[field].(string); ok && b.Len() < matchBytes {
						b.WriteString(s)
						b.WriteByte('\n')
					}
				}
			}); err != nil {
				return m, err
			}
		}
		m.text = b.String()
		if err := linesOf(filepath.Join(dir, "lexicon-public.tsv.gz"), func(line string) {
			word, _, _ := strings.Cut(line, "\t")
			real = append(real, word)
		}); err != nil {
			return m, err
		}
	}
	rng := rand.New(rand.NewPCG(7, 7))
	if !public {
		chars := []rune(common)
		var b strings.Builder
		for b.Len() < matchBytes {
			// Common characters are more common, as in any text.
			b.WriteRune(chars[int(float64(len(chars))*rng.Float64()*rng.Float64())])
			if rng.IntN(12) == 0 {
				b.WriteString([]string{"，", "。", "\n"}[rng.IntN(3)])
			}
		}
		m.text = b.String()
		real = nonsense(15_000)
	}
	words := varied(rng, real, m.text)
	listed := slices.Clone(words[:min(10_000, len(words))])
	// The public list is sorted by kind and mostly names of hosts, so its beginning is a sample of nothing.
	mix := words[:min(100_000, len(words))]
	rng.Shuffle(len(mix), func(i, j int) { mix[i], mix[j] = mix[j], mix[i] })
	for _, n := range []int{10_000, 100_000, 200_000} {
		m.sets = append(m.sets, wordSet{name: number(float64(n)), words: words[:min(n, len(words))]})
	}
	if public {
		plain := slices.DeleteFunc(slices.Clone(words), latin)
		m.sets = slices.Insert(m.sets, 1, wordSet{name: "10,000, none with Latin letters", words: plain[:min(10_000, len(plain))]}, wordSet{name: "10,000, the list's first", words: listed})
	}
	known := map[string]bool{}
	for _, w := range real {
		known[strings.ToLower(strings.TrimSpace(w))] = true
	}
	for i := range m.sets {
		m.sets[i].count(known)
	}
	return m, nil
}

func latin(word string) bool { return strings.ContainsAny(word, "abcdefghijklmnopqrstuvwxyz") }

// count says what the set is made of.
func (s *wordSet) count(known map[string]bool) {
	var latins, listed, longest int
	for _, w := range s.words {
		longest = max(longest, utf8.RuneCountInString(w))
		switch {
		case latin(w):
			latins++
		case known[w]:
			listed++
		}
	}
	s.made = fmt.Sprintf("%s: %s with Latin letters, mostly names of hosts; %s others of the list; %s that sound like such; the longest of %d characters",
		s.name, number(float64(latins)), number(float64(listed)), number(float64(len(s.words)-latins-listed)), longest)
}

// varied adds words that sound like real ones, and drops what the text is full of, as a calibrated list does.
func varied(rng *rand.Rand, real []string, text string) []string {
	alike := map[uint16][]rune{}
	for r := rune(0x4E00); r <= 0x9FA5; r++ {
		if s := fold.Syllables().Of[r]; fold.Syllables().Has(uint16(r)) {
			alike[s] = append(alike[s], r)
		}
	}
	have := map[string]bool{}
	var all []string
	add := func(s string) {
		if n := utf8.RuneCountInString(s); n < 2 || n > 32 || have[s] || strings.ContainsAny(s, "\n\x00") || len(fold.Strict().Symbols(nil, s)) == 0 {
			return
		}
		have[s] = true
		all = append(all, s)
	}
	for _, w := range real {
		add(strings.ToLower(strings.TrimSpace(w)))
	}
	known := len(all)
	for tries := 0; len(all) < matchWords*11/10 && tries < 40*matchWords; tries++ {
		w := []rune(all[rng.IntN(known)])
		for i := range w {
			if w[i] <= 0xFFFF && fold.Syllables().Has(uint16(w[i])) && rng.IntN(2) == 0 {
				others := alike[fold.Syllables().Of[w[i]]]
				w[i] = others[rng.IntN(len(others))]
			}
		}
		add(string(w))
	}
	counts := make([]int, len(all))
	if l, err := match.Build(entriesOf(all)); err == nil {
		for _, h := range l.Scan(nil, text) {
			counts[h.Entry]++
		}
	}
	var out []string
	for i, w := range all {
		if counts[i] <= 20 && len(out) < matchWords {
			out = append(out, w)
		}
	}
	return out
}

func rowsOf(path string, each func(map[string]any)) error {
	return linesOf(path, func(line string) {
		var row map[string]any
		if json.Unmarshal([]byte(line), &row) == nil {
			each(row)
		}
	})
}

func linesOf(path string, each func(string)) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	in := bufio.NewReader(z)
	for {
		line, err := in.ReadString('\n')
		if line = strings.TrimRight(line, "\n"); line != "" {
			each(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
