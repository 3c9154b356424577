// Command foldgen writes the tables of internal/inspect/fold: table.txt (what each character is compared as) and
// sound.txt (which syllable a Chinese character is). Run it in the folder tools:
//
//	go run ./foldgen ../internal/inspect/fold
//
// It reads source/TSCharacters.txt there, the Unicode data of golang.org/x/text and of Go itself, and the readings of
// go-pinyin. internal/inspect/fold/source/README.md says where they come from and under which licences.
package main

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/mozillazg/go-pinyin"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/unicode/norm"
)

const (
	skip  = rune(0)
	split = rune(1) // never equal to anything
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: foldgen FOLDER")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "foldgen:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	simple, err := simplified(filepath.Join(dir, "source", "TSCharacters.txt"))
	if err != nil {
		return err
	}
	f := folder{simple: simple, alike: lookalikes()}
	var strict, loose [unicode.MaxRune + 1]rune
	for r := range rune(unicode.MaxRune + 1) {
		strict[r] = f.strict(r)
		loose[r] = f.loose(r, strict[r])
	}
	if err := write(filepath.Join(dir, "table.txt"), strict[:], loose[:]); err != nil {
		return err
	}
	return writeSounds(filepath.Join(dir, "sound.txt"), strict[:])
}

// simplified reads the first candidate of each line.
func simplified(path string) (map[rune]rune, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := map[rune]rune{}
	for line := range strings.Lines(string(text)) {
		from, to, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		to, _, _ = strings.Cut(to, " ")
		a, b := []rune(from), []rune(to)
		// A character of the first plane must stay in it: one symbol there, two in the others.
		if len(a) == 1 && len(b) == 1 && a[0] != b[0] && (b[0] <= 0xFFFF || a[0] > 0xFFFF) {
			out[a[0]] = b[0]
		}
	}
	return out, nil
}

type folder struct{ simple, alike map[rune]rune }

// visibleFormat: characters of class Cf that a reader does see.
func visibleFormat(r rune) bool {
	switch {
	case 0x600 <= r && r <= 0x605, r == 0x6DD, r == 0x70F, r == 0x890, r == 0x891, r == 0x8E2, r == 0x110BD, r == 0x110CD:
		return true
	}
	return false
}

func invisible(r rune) bool {
	switch {
	case unicode.Is(unicode.Cf, r):
		return !visibleFormat(r)
	case unicode.Is(unicode.Cc, r):
		return r != '\t' && r != '\n' && r != '\r'
	case 0xFE00 <= r && r <= 0xFE0F, 0xE0100 <= r && r <= 0xE01EF, 0x180B <= r && r <= 0x180F: // variation selectors
		return true
	case 0xE0000 <= r && r <= 0xE0FFF: // tags, and what is reserved to be ignored
		return true
	case r == 0x115F, r == 0x1160, r == 0x3164, r == 0xFFA0, r == 0x2800, r == 0x034F, r == 0x17B4, r == 0x17B5, r == 0x2065: // fillers
		return true
	case 0x300 <= r && r <= 0x36F, 0x20D0 <= r && r <= 0x20FF, 0x1AB0 <= r && r <= 0x1AFF, 0x1DC0 <= r && r <= 0x1DFF, 0xFE20 <= r && r <= 0xFE2F:
		return true // marks that combine with any character
	}
	return false
}

func (f folder) strict(r rune) rune {
	switch {
	case r == unicode.ReplacementChar, 0xD800 <= r && r <= 0xDFFF:
		return split
	case invisible(r):
		return skip
	}
	out := r
	for range 4 { // until nothing changes; two rounds do
		before := out
		if c := []rune(norm.NFKC.String(string(out))); len(c) == 1 {
			out = c[0]
		}
		out = unicode.ToLower(out)
		if s, ok := f.simple[out]; ok {
			out = s
		}
		if out == before {
			break
		}
	}
	if r <= 0xFFFF && out > 0xFFFF {
		return r
	}
	return out
}

func separator(r rune) bool {
	return unicode.In(r, unicode.Z, unicode.P, unicode.S) || r == '\t' || r == '\n' || r == '\r'
}

func (f folder) loose(r, strict rune) rune {
	if strict == skip || strict == split {
		return strict
	}
	out := strict
	if a, ok := f.alike[out]; ok {
		return a
	}
	// (1) and 1. and [株] stand for what they enclose; so does a Latin letter for what it stands on.
	var kept []rune
	for _, c := range norm.NFKD.String(string(out)) {
		if !separator(c) && !(unicode.Is(unicode.Mn, c) && unicode.Is(unicode.Latin, base(out))) {
			kept = append(kept, c)
		}
	}
	switch {
	case len(kept) == 1 && (unicode.IsLetter(kept[0]) || unicode.IsDigit(kept[0])) && !unicode.Is(unicode.Hangul, out):
		out = f.strict(kept[0])
	case separator(out) && len(kept) < 2:
		return skip
	}
	if a, ok := f.alike[out]; ok {
		out = a
	}
	if r <= 0xFFFF && out > 0xFFFF {
		return strict
	}
	return out
}

func base(r rune) rune {
	for _, c := range norm.NFKD.String(string(r)) {
		return c
	}
	return r
}

// lookalikes are letters of other scripts, and digits, that are read as a Latin letter.
func lookalikes() map[rune]rune {
	out := map[rune]rune{'0': 'o', '1': 'l', 'ı': 'i', 'ɡ': 'g', 'ɑ': 'a', 'ς': 'σ'}
	pairs := func(from, to string) {
		a, b := []rune(from), []rune(to)
		for i := range a {
			out[a[i]] = b[i]
		}
	}
	pairs("авекмнорстухіѕјһԁԛԝѵӏь", "abekmhopctyxisjhdqwvlb") // Cyrillic
	pairs("αβεικνορτυχωγ", "abeiknoptuxwy")                   // Greek
	pairs("օսհոցյ", "ouhngj")                                 // Armenian
	return out
}

func target(from, to rune) string {
	switch {
	case to == skip:
		return "."
	case to == split:
		return "!"
	case to == from:
		return "="
	}
	return fmt.Sprintf("%X", to)
}

// write puts neighbours that change alike into one line.
func write(path string, strict, loose []rune) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(file)
	fmt.Fprint(w, "# Written by tools/foldgen; do not edit. Characters that are compared as something else than themselves.\n",
		"# from[-to]  strict  loose     = itself, . left out, ! equal to nothing; a target counts on with its range.\n")
	alike := func(a, b rune, to []rune) bool {
		x, y := to[a], to[b]
		if x <= split || y <= split {
			return x == y
		}
		return y-x == b-a
	}
	for r := rune(0); int(r) < len(strict); r++ {
		if strict[r] == r && loose[r] == r && r > split {
			continue
		}
		last := r
		for int(last)+1 < len(strict) && alike(r, last+1, strict) && alike(r, last+1, loose) && (r <= 0xFFFF) == (last+1 <= 0xFFFF) {
			last++
		}
		name := fmt.Sprintf("%X", r)
		if last > r {
			name += fmt.Sprintf("-%X", last)
		}
		fmt.Fprintf(w, "%s %s %s\n", name, target(r, strict[r]), target(r, loose[r]))
		r = last
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return file.Close()
}

// writeSounds lists the characters of GB 2312 by their syllable without tone: those that are mostly read so, and
// those that may be.
func writeSounds(path string, strict []rune) error {
	type sound struct{ first, also []rune }
	sounds := map[string]*sound{}
	of := func(s string) *sound {
		if sounds[s] == nil {
			sounds[s] = &sound{}
		}
		return sounds[s]
	}
	encoder := simplifiedchinese.HZGB2312.NewEncoder()
	for r := rune(0x4E00); r <= 0x9FFF; r++ {
		if _, err := encoder.String(string(r)); err != nil || strict[r] != r {
			continue
		}
		var seen []string
		for _, reading := range strings.Split(pinyin.PinyinDict[int(r)], ",") {
			s := toneless(reading)
			if s == "" || slices.Contains(seen, s) {
				continue
			}
			if len(seen) == 0 {
				of(s).first = append(of(s).first, r)
			} else {
				of(s).also = append(of(s).also, r)
			}
			seen = append(seen, s)
		}
	}
	var out strings.Builder
	out.WriteString("# Written by tools/foldgen; do not edit. syllable, characters mostly read so, characters that may be read so.\n")
	for _, s := range slices.Sorted(maps.Keys(sounds)) {
		fmt.Fprintf(&out, "%s\t%s\t%s\n", s, string(sounds[s].first), string(sounds[s].also))
	}
	return os.WriteFile(path, []byte(out.String()), 0o644)
}

func toneless(reading string) string {
	var out []rune
	for _, r := range norm.NFD.String(strings.ReplaceAll(reading, "ü", "v")) {
		switch {
		case r == 0x308 && len(out) > 0 && out[len(out)-1] == 'u':
			out[len(out)-1] = 'v'
		case 'a' <= r && r <= 'z':
			out = append(out, r)
		}
	}
	for _, r := range out {
		if strings.ContainsRune("aeiouv", r) {
			return string(out)
		}
	}
	return "" // m, ng, hm: no syllable to write with
}
