package match

import (
	"math/bits"
	"slices"
)

// node is a state of the automaton. Its child by symbol c is the node at
// base+c, if that one's check is this state.
type node struct {
	base, check, fail int32
	// out is 1 + the longest pattern that ends here, or 0.
	out int32
}

// reach says how much of what was read last may still matter, in symbols.
type reach struct {
	grow uint8 // the longest end of the text that is the beginning of a pattern
	hold uint8 // ... of a pattern that text must be held back for
}

// machine is an Aho–Corasick automaton in a double array. State 0 is the root.
type machine struct {
	nodes []node
	reach []reach
}

const free = int32(-1)

// next follows one symbol. It is linear over a text: each symbol deepens the
// state by at most one, and each failed look makes it less deep.
func (m *machine) next(s int32, symbol uint16) int32 {
	for {
		t := m.nodes[s].base + int32(symbol)
		if uint32(t) < uint32(len(m.nodes)) && m.nodes[t].check == s {
			return t
		}
		if s == 0 {
			return 0
		}
		s = m.nodes[s].fail
	}
}

// branch is a node of the trie whose children have to be placed: the patterns
// from lo to hi share their first depth symbols.
type branch struct {
	lo, hi, state int32
	depth         int32
}

// machineBuilder places the nodes of a trie, level by level.
type machineBuilder struct {
	machine
	used         []uint64 // bit set of taken places
	low          int      // no free place below, by words of used
	sparse       int      // from where on siblings are tried
	pats         []pattern
	symbols      []uint16
	holds        []bool // by pattern
	children     []branch
	childSymbols []uint16
}

// newMachine builds the automaton of patterns, which are sorted and distinct,
// and sets their suffix links. holds tells for each whether text must be held
// back for it.
func newMachine(pats []pattern, symbols []uint16, holds []bool) machine {
	b := &machineBuilder{pats: pats, symbols: symbols, holds: holds}
	states := b.states()
	b.nodes, b.reach = make([]node, 0, states+states/16+64), make([]reach, 0, states+states/16+64)
	b.take(0, free)
	level, next := []branch{{0, int32(len(pats)), 0, 0}}, []branch(nil)
	for len(level) > 0 {
		next = next[:0]
		for _, n := range level {
			next = b.place(next, n)
		}
		level, next = next, level
	}
	last := len(b.nodes)
	for last > 1 && b.nodes[last-1].check == free {
		last--
	}
	if cap(b.nodes)-last > last/8 { // not to keep what was reserved for building
		return machine{slices.Clone(b.nodes[:last:last]), slices.Clone(b.reach[:last:last])}
	}
	return machine{b.nodes[:last], b.reach[:last]}
}

// states counts the nodes of the trie: the symbols that a pattern does not
// share with the one before it.
func (b *machineBuilder) states() int {
	n := 1
	for i := range b.pats {
		shared := int32(0)
		for i > 0 && shared < int32(min(b.pats[i-1].n, b.pats[i].n)) && b.symbol(int32(i-1), shared) == b.symbol(int32(i), shared) {
			shared++
		}
		n += int(b.pats[i].n) - int(shared)
	}
	return n
}

func (b *machineBuilder) symbol(p int32, at int32) uint16 {
	return b.symbols[int32(b.pats[p].from)+at]
}

// place puts the children of a node and appends them to the next level.
func (b *machineBuilder) place(queue []branch, n branch) []branch {
	lo, depth := n.lo, n.depth
	fail := b.nodes[n.state].fail // a level up at least, so done already
	b.nodes[n.state].out = b.nodes[fail].out
	if lo < n.hi && int32(b.pats[lo].n) == depth {
		// The pattern that ends here sorts before those that go on.
		b.pats[lo].next = b.nodes[fail].out - 1
		b.nodes[n.state].out = lo + 1
		lo++
	}
	b.children, b.childSymbols = b.children[:0], b.childSymbols[:0]
	for lo < n.hi {
		c, from := b.symbol(lo, depth), lo
		for lo < n.hi && b.symbol(lo, depth) == c {
			lo++
		}
		b.children = append(b.children, branch{from, lo, 0, depth + 1})
		b.childSymbols = append(b.childSymbols, c)
	}
	r := b.reach[fail]
	if len(b.children) == 0 {
		b.reach[n.state] = r
		return queue
	}
	r.grow = uint8(depth)
	for p := lo - 1; p >= b.children[0].lo; p-- {
		if b.holds[p] {
			r.hold = uint8(depth)
			break
		}
	}
	b.reach[n.state] = r
	base := b.room(b.childSymbols)
	b.nodes[n.state].base = int32(base)
	for i, c := range b.childSymbols {
		t := base + int(c)
		b.take(t, n.state)
		if n.state != 0 {
			b.nodes[t].fail = b.next(fail, c)
		}
		b.children[i].state = int32(t)
	}
	return append(queue, b.children...)
}

// room finds a base at which all symbols, in rising order, fall on free places.
func (b *machineBuilder) room(symbols []uint16) int {
	first := int(symbols[0])
	if len(symbols) == 1 {
		for b.low < len(b.used) && b.used[b.low] == ^uint64(0) {
			b.low++
		}
		return b.nextFree(b.low*64) - first
	}
	at, tries := b.nextFree(b.sparse), 0
	for ; !b.fits(at-first, symbols); tries++ {
		at = b.nextFree(at + 1)
	}
	if tries > 32 {
		// Too crowded to look here again; what is free stays for single children.
		b.sparse = at
	}
	return at - first
}

func (b *machineBuilder) fits(base int, symbols []uint16) bool {
	for _, c := range symbols[1:] {
		if t := base + int(c); t>>6 < len(b.used) && b.used[t>>6]>>(t&63)&1 != 0 {
			return false
		}
	}
	return true
}

func (b *machineBuilder) nextFree(from int) int {
	for w := from >> 6; w < len(b.used); w++ {
		left := ^b.used[w]
		if w == from>>6 {
			left &= ^uint64(0) << (from & 63)
		}
		if left != 0 {
			return w<<6 + bits.TrailingZeros64(left)
		}
	}
	return max(from, len(b.used)*64)
}

func (b *machineBuilder) take(t int, parent int32) {
	b.grow(t + 1)
	b.used[t>>6] |= 1 << (t & 63)
	b.nodes[t].check = parent
}

func (b *machineBuilder) grow(n int) {
	for len(b.used)*64 < n {
		b.used = append(b.used, 0)
	}
	have := len(b.nodes)
	if n <= have {
		return
	}
	b.nodes, b.reach = slices.Grow(b.nodes, n-have)[:n], slices.Grow(b.reach, n-have)[:n]
	for i := have; i < n; i++ {
		b.nodes[i], b.reach[i] = node{check: free}, reach{}
	}
}
