package match

import (
	_ "embed"
	"math/bits"
	"slices"
)

// gate finds the patterns of a block of symbols without reading it symbol by
// symbol through an automaton. Each pattern is looked for at its anchor: its
// four rarest symbols in a row, or all of them if it has fewer.
//
// The last two symbols of each place choose a word, in which a bit for the
// symbol before them says that an anchor of three or four may end here. An
// anchor of two has all bits of its word; where many would, only the lower half
// of each word is for longer anchors, and in the upper half a bit for the second
// symbol says that one of two may end here. Few places pass, fewer a Bloom
// filter on the whole anchor, and those are looked up and compared.
type gate struct {
	words  []uint64 // a power of two of them, at most 1<<16
	halves bool     // the upper half of each word is for anchors of two
	lens   uint8    // bit n set: some anchor has n symbols
	single []uint64 // bit set of patterns of one symbol; nil without
	bloom  []uint64
	bits   uint8 // hash to index of bloom

	// Open addressing: the key of an anchor, and where its patterns begin in
	// list; counts of them stand before them.
	keys  []uint64
	at    []uint32
	list  []int32
	slots uint8 // hash to index of keys
}

const (
	anchorMax = 4
	mix32     = 0x9E3779B1
	mix64     = 0x9E3779B97F4A7C15
)

// Counts of pairs of symbols in ordinary text, see pairs.go.
//
//go:embed pairs.bin
var pairCounts string

// usual is about 8·log2 of how often two symbols stand side by side.
func usual(a, b uint16) int {
	return int(pairCounts[pairHash(a, b)])
}

func pairHash(a, b uint16) uint32 { return (uint32(a)<<16 | uint32(b)) * mix32 >> 16 }

// keyOf puts the symbols of an anchor side by side. No symbol is 0, so keys of
// different lengths differ.
func keyOf(symbols []uint16) (key uint64) {
	for _, c := range symbols {
		key = key<<16 | uint64(c)
	}
	return key
}

func anchorLen(p *pattern) int { return min(int(p.n), anchorMax) }

// chooseAnchor gives where the rarest symbols of a pattern end. Patterns that
// would share an anchor with many others take another.
func chooseAnchor(s []uint16, crowd map[uint64]int) int {
	if len(s) <= anchorMax {
		return len(s)
	}
	best, score := 0, 1<<30
	for end := anchorMax; end <= len(s); end++ {
		// The last pair chooses the word, so it counts most.
		n := 4*usual(s[end-2], s[end-1]) + 2*usual(s[end-3], s[end-2]) + usual(s[end-4], s[end-3])
		n += 24 * bits.Len(uint(crowd[keyOf(s[end-anchorMax:end])]))
		if n < score {
			best, score = end, n
		}
	}
	return best
}

func newGate(pats []pattern, symbols []uint16) gate {
	g := gate{bits: 64 - 7, slots: 64 - 4}
	words := 1 << 10
	for words < len(pats)*3 && words < 1<<16 { // at most 512 KB: what is looked at for each symbol has to stay near
		words <<= 1
	}
	for n := len(pats) / 2; 1<<(64-g.bits) < n && g.bits > 64-16; {
		g.bits--
	}
	for 1<<(64-g.slots) < len(pats)*2 {
		g.slots--
	}
	g.words, g.bloom = make([]uint64, words), make([]uint64, 1<<(64-g.bits))
	g.keys, g.at = make([]uint64, 1<<(64-g.slots)), make([]uint32, 1<<(64-g.slots))

	twos := 0
	for i := range pats {
		if pats[i].n == 2 {
			twos++
		}
	}
	g.halves = twos > words/16

	type anchored struct {
		key uint64
		pat int32
	}
	all := make([]anchored, len(pats))
	crowd := make(map[uint64]int, len(pats))
	for i := range pats {
		p := &pats[i]
		s := symbols[p.from : p.from+uint32(p.n)]
		end := chooseAnchor(s, crowd)
		a := s[end-anchorLen(p) : end]
		p.anchor = uint8(end)
		key := keyOf(a)
		if len(s) > anchorMax {
			crowd[key]++
		}
		all[i] = anchored{key, int32(i)}
		g.lens |= 1 << len(a)
		if len(a) == 1 {
			if g.single == nil {
				g.single = make([]uint64, 1<<10)
			}
			g.single[a[0]>>6] |= 1 << (a[0] & 63)
		} else {
			first, second := a[len(a)-2], a[len(a)-1]
			bit := ^uint64(0)
			switch {
			case len(a) > 2 && g.halves:
				bit = 1 << (a[len(a)-3] & 31)
			case len(a) > 2:
				bit = 1 << (a[len(a)-3] & 63)
			case g.halves:
				bit = 1 << (second&31 | 32)
			}
			g.words[wordOf(uint32(first)<<16|uint32(second))%uint64(words)] |= bit
			at, a, b := g.bloomBits(key)
			g.bloom[at] |= 1<<a | 1<<b
		}
	}
	slices.SortFunc(all, func(a, b anchored) int {
		switch {
		case a.key < b.key:
			return -1
		case a.key > b.key:
			return 1
		}
		return int(a.pat - b.pat)
	})
	g.list = make([]int32, 0, len(pats)+len(pats)/2)
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].key == all[i].key {
			j++
		}
		slot := g.slot(all[i].key)
		g.keys[slot], g.at[slot] = all[i].key, uint32(len(g.list))
		g.list = append(g.list, int32(j-i))
		for ; i < j; i++ {
			g.list = append(g.list, all[i].pat)
		}
	}
	g.list = slices.Clip(g.list)
	return g
}

func (g *gate) bloomBits(key uint64) (at, a, b uint64) {
	h := key * mix64
	h ^= h >> 29
	h *= mix64
	return h >> (g.bits & 63), h & 63, h >> 6 & 63
}

func (g *gate) slot(key uint64) uint64 {
	h := key * mix64
	h ^= h >> 32
	mask := uint64(len(g.keys) - 1)
	for i := h * mix64 >> g.slots; ; i = (i + 1) & mask {
		if g.keys[i] == key || g.keys[i] == 0 {
			return i
		}
	}
}

// patterns gives the patterns with this anchor.
func (g *gate) patterns(key uint64) []int32 {
	slot := g.slot(key)
	if g.keys[slot] != key || key == 0 {
		return nil
	}
	at := g.at[slot]
	return g.list[at+1 : at+1+uint32(g.list[at])]
}

// places puts into b.places where an anchor ends, as far as the filters tell.
// dense tells that there are too many for the gate: more than an eighth, of
// which the first part gives warning.
func (g *gate) places(b *block, s []uint16, from, to int) (m int, dense bool) {
	first := from + (to-from)/8
	if first-from < 64 {
		first = to
	}
	for at, end := from, first; at < to; at, end = end, to {
		n := g.pass(&b.places, m, s, at, end)
		if n-m > (end-at)/2 {
			return 0, true
		}
		if m += g.sift(b.places[m:n], s); m > (end-from)/8 {
			return 0, true
		}
	}
	return m, false
}

// pass adds to the first so many places those from from to to at which the
// filter sees the end of an anchor of two symbols or more; from is at least 3.
func (g *gate) pass(places *[maxPlaces]uint16, so int, s []uint16, from, to int) int {
	if len(g.words) == 0 {
		return so
	}
	words, mask := g.words, uint64(len(g.words)-1) // a power of two, which spares the compiler's check
	n, at, pair := uint(so), uint16(from), uint32(s[from-2])<<16|uint32(s[from-1])
	if g.halves {
		for _, c := range s[from:to] {
			first := pair >> 16
			pair = pair<<16 | uint32(c)
			places[n%maxPlaces] = at
			at++
			word := words[wordOf(pair)&mask]
			n += uint((word>>(first&31) | word>>(c&31|32)) & 1)
		}
		return int(n)
	}
	for _, c := range s[from:to] {
		first := pair >> 16
		pair = pair<<16 | uint32(c)
		places[n%maxPlaces] = at
		at++
		n += uint(words[wordOf(pair)&mask] >> (first & 63) & 1)
	}
	return int(n)
}

// wordOf is the word that two symbols choose, to be cut to how many there are.
func wordOf(pair uint32) uint64 { return uint64(pair) * mix64 >> 48 }

// sift keeps the places of which the Bloom filter knows an anchor. It asks for
// every length, so that no place waits for what another gives.
func (g *gate) sift(places []uint16, s []uint16) int {
	n := uint(0)
	for _, p := range places {
		key, known := keyAt(s, int(p)), uint64(0)
		if g.lens>>4&1 != 0 {
			known = g.knows(key)
		}
		if g.lens>>3&1 != 0 {
			known |= g.knows(key & (1<<48 - 1))
		}
		if g.lens>>2&1 != 0 {
			known |= g.knows(key & (1<<32 - 1))
		}
		places[n] = p
		n += uint(known)
	}
	return int(n)
}

// knows is 1 for each anchor there is and for few others.
func (g *gate) knows(key uint64) uint64 {
	at, a, b := g.bloomBits(key)
	word := g.bloom[at]
	return word >> a & (word >> b) & 1
}

// keyAt is the key of the four symbols that end at place i.
func keyAt(s []uint16, i int) uint64 {
	t := s[i-3 : i+1 : i+1]
	return uint64(t[0])<<48 | uint64(t[1])<<32 | uint64(t[2])<<16 | uint64(t[3])
}
