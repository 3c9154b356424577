package fold

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

//go:embed table.txt
var tableText string

//go:embed sound.txt
var soundText string

// Strict gives the table that undoes what changes no reading.
func Strict() *Table { return both().strict }

// Loose gives the table that also undoes what is written to be overlooked.
func Loose() *Table { return both().loose }

type tables struct{ strict, loose *Table }

// both expands the written tables, 4 ms once.
var both = sync.OnceValue(func() tables {
	out := tables{newTable(), newTable()}
	for line := range strings.Lines(tableText) {
		if line[0] == '#' {
			continue
		}
		f := strings.Fields(line)
		from, to, _ := strings.Cut(f[0], "-")
		if to == "" {
			to = from
		}
		out.strict.set(hex(from), hex(to), f[1])
		out.loose.set(hex(from), hex(to), f[2])
	}
	return out
})

func newTable() *Table {
	t := &Table{pages: make([][256]rune, 1)}
	for i := range t.short {
		t.short[i] = uint16(i)
	}
	for i := range t.three {
		if t.three[i] = uint16(i); wrong(uint16(i)) {
			t.three[i] = Break
		}
	}
	return t
}

// hex reads a number of the embedded table, which a test holds to be right.
func hex(s string) rune {
	n, _ := strconv.ParseUint(s, 16, 32)
	return rune(n)
}

func (t *Table) set(from, to rune, target string) {
	if target == "=" {
		return
	}
	for r := from; r <= to; r++ {
		f := rune(Skip)
		switch target {
		case ".":
		case "!":
			f = Break
		default:
			f = hex(target) + r - from
		}
		if r < 1<<11 {
			t.short[r] = uint16(f)
			continue
		}
		if r < 1<<16 {
			t.three[r] = uint16(f)
			continue
		}
		p := (r - 1<<16) >> 8
		if t.page[p] == 0 {
			t.page[p] = uint16(len(t.pages))
			t.pages = append(t.pages, [256]rune{})
			for i := range t.pages[t.page[p]] {
				t.pages[t.page[p]][i] = r&^0xFF + rune(i)
			}
		}
		t.pages[t.page[p]][r&0xFF] = f
	}
}

// Sounds says which syllable a Chinese character is, tones not counted.
type Sounds struct {
	// Of gives for a folded symbol the symbol of its syllable; what has none
	// is its own.
	Of [1 << 16]uint16
	// also holds other readings, which only the patterns are tried in.
	also map[uint16][]uint16
	// spelling of each syllable, by its symbol less firstSound
	spelling []string
}

// firstSound is the symbol of the first syllable: from the private use area,
// whose characters therefore have no sound and are equal to nothing.
const firstSound = 0xE000

// Syllables gives the table of sounds.
var Syllables = sync.OnceValue(func() *Sounds {
	s := &Sounds{also: map[uint16][]uint16{}}
	for i := range s.Of {
		s.Of[i] = uint16(i)
	}
	for line := range strings.Lines(soundText) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if line[0] == '#' || len(f) < 3 {
			continue
		}
		symbol := uint16(firstSound + len(s.spelling))
		s.spelling = append(s.spelling, f[0])
		s.Of[symbol] = Break
		for _, r := range f[1] {
			s.Of[r] = symbol
		}
		for _, r := range f[2] {
			s.also[uint16(r)] = append(s.also[uint16(r)], symbol)
		}
	}
	return s
})

// Has tells whether a symbol of folded text is a Chinese character with a
// known syllable.
func (s *Sounds) Has(symbol uint16) bool { return s.Of[symbol] >= firstSound && s.Of[symbol] != symbol }

// Readings gives the syllables of a symbol, the usual one first; none if it
// has no syllable.
func (s *Sounds) Readings(symbol uint16) []uint16 {
	if !s.Has(symbol) {
		return nil
	}
	return append([]uint16{s.Of[symbol]}, s.also[symbol]...)
}

// Spelling gives a syllable in Latin letters, v for ü.
func (s *Sounds) Spelling(syllable uint16) string {
	if i := int(syllable) - firstSound; i >= 0 && i < len(s.spelling) {
		return s.spelling[i]
	}
	return ""
}
