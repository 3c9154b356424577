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
// The last two symbols of each place choose a word. In its lower half a bit for
// the symbol before them says that an anchor of three or four may end here; in
// its upper half a bit for the pair itself says so of an anchor of two. Few
// places pass, fewer a Bloom filter on the whole anchor, and those are looked
// up and compared.
type gate struct {
	words  []uint64
	shift  uint8    // hash to index of words
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
	g := gate{shift: 59 - 10, bits: 64 - 7, slots: 64 - 4}
	for n := len(pats) * 3; 1<<(59-g.shift) < n && g.shift > 59-16; { // at most 512 KB: what is looked at for each symbol has to stay near
		g.shift--
	}
	for n := len(pats) / 2; 1<<(64-g.bits) < n && g.bits > 64-16; {
		g.bits--
	}
	for 1<<(64-g.slots) < len(pats)*2 {
		g.slots--
	}
	g.words, g.bloom = make([]uint64, 1<<(59-g.shift)), make([]uint64, 1<<(64-g.bits))
	g.keys, g.at = make([]uint64, 1<<(64-g.slots)), make([]uint32, 1<<(64-g.slots))

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
			h := hashPair(a[len(a)-2], a[len(a)-1]) >> g.shift
			bit := 32 + h&31
			if len(a) > 2 {
				bit = uint64(a[len(a)-3] & 31)
			}
			g.words[h>>5] |= 1 << bit
			at, mask := g.bloomBits(key)
			g.bloom[at] |= mask
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

func hashPair(a, b uint16) uint64 { return (uint64(a)<<16 | uint64(b)) * mix64 }

func (g *gate) bloomBits(key uint64) (at, mask uint64) {
	h := key * mix64
	h ^= h >> 29
	h *= mix64
	return h >> g.bits, 1<<(h&63) | 1<<(h>>6&63)
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

// pass gives the places from from to to at which the filter sees the end of an
// anchor of two symbols or more; from is at least 3. places has room for all.
func (g *gate) pass(places []uint16, s []uint16, from, to int) int {
	n := 0
	a, b := s[from-2], s[from-1]
	words, shift := g.words, g.shift&63
	if len(words) == 0 {
		return 0
	}
	mask, at := uint64(len(words)-1), uint16(from) // a power of two, which spares the compiler's check
	for _, c := range s[from:to] {
		h := (uint64(b)<<16 | uint64(c)) * mix64 >> shift
		w := words[h>>5&mask]
		places[n] = at
		at++
		n += int((w>>(a&31) | w>>32>>(h&31)) & 1)
		a, b = b, c
	}
	return n
}

// sift keeps the places of which the Bloom filter knows an anchor.
func (g *gate) sift(places []uint16, s []uint16) int {
	n := 0
	for _, p := range places {
		i := int(p)
		key := keyAt(s, i)
		if g.lens>>4&1 != 0 && g.knows(key) || g.lens>>3&1 != 0 && g.knows(key&(1<<48-1)) || g.lens>>2&1 != 0 && g.knows(key&(1<<32-1)) {
			places[n] = p
			n++
		}
	}
	return n
}

func (g *gate) knows(key uint64) bool {
	at, mask := g.bloomBits(key)
	return g.bloom[at]&mask == mask
}

// keyAt is the key of the four symbols that end at place i.
func keyAt(s []uint16, i int) uint64 {
	t := s[i-3 : i+1 : i+1]
	return uint64(t[0])<<48 | uint64(t[1])<<32 | uint64(t[2])<<16 | uint64(t[3])
}
