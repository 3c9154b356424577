package main

import (
	"bufio"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/inspect/fold"
)

// matchText is what the matcher is measured on.
type matchText struct {
	text  string
	words []string // the largest set; smaller ones are its beginning
	from  string
}

const (
	matchBytes = 4 << 20
	matchWords = 200_000
)

// newMatchText takes public text and word lists where they lie in dir, and makes both otherwise.
func newMatchText(dir string) (matchText, error) {
	m := matchText{from: "text and words made of common characters, which is easier than real ones"}
	var real []string
	if _, err := os.Stat(filepath.Join(dir, "lexicon-public.tsv.gz")); err == nil {
		m.from = "text: answers and posts of public sets; words: a public list of about 15,000, the rest are such words with characters that sound alike in their place"
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
	if m.text == "" {
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
	m.words = varied(rng, real, m.text)
	return m, nil
}

// varied drops what the text is full of, as a calibrated list does, and adds words that sound like the others.
func varied(rng *rand.Rand, real []string, text string) []string {
	alike := map[uint16][]rune{}
	for r := rune(0x4E00); r <= 0x9FA5; r++ {
		if s := fold.Syllables().Of[r]; fold.Syllables().Has(uint16(r)) {
			alike[s] = append(alike[s], r)
		}
	}
	have := map[string]bool{}
	var out []string
	add := func(w string) {
		s := strings.ToLower(strings.TrimSpace(w))
		if n := len([]rune(s)); n < 2 || n > 32 || have[s] || strings.ContainsAny(s, "\n\x00") || len(fold.Strict().Symbols(nil, s)) == 0 {
			return
		}
		have[s] = true
		if strings.Count(text, s) <= 20 {
			out = append(out, s)
		}
	}
	for _, w := range real {
		add(w)
	}
	known := len(out)
	for tries := 0; len(out) < matchWords && tries < 40*matchWords; tries++ {
		w := []rune(out[rng.IntN(known)])
		for i := range w {
			if w[i] <= 0xFFFF && fold.Syllables().Has(uint16(w[i])) && rng.IntN(2) == 0 {
				others := alike[fold.Syllables().Of[w[i]]]
				w[i] = others[rng.IntN(len(others))]
			}
		}
		if s := string(w); !have[s] {
			have[s] = true
			out = append(out, s)
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
