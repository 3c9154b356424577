package match

import (
	"math/bits"
	"slices"
)

// node is a state of the automaton: all that a step has to know about it side by
// side, because what is not near costs more than all else.
type node struct {
	// The child by symbol c is the node at base+c, if that one's check is this state.
	base, check int32
	// fail is the longest end of this state that has children, and endsHere.
	fail uint32
	// children has bit c&15 for each child: most looks for one that is not there end here.
	children uint16
	// How much of what was read last may still matter, in symbols.
	grow uint8 // the longest end of the text that is the beginning of a pattern
	hold uint8 // ... of a pattern that text must be held back for
}

// endsHere in node.fail says that a pattern ends with this state.
const endsHere = 1 << 31

// machine is an Aho–Corasick automaton in a double array. State 0 is the root.
//
// Ordinary text hardly ever leaves the root and its children. There a step
// reads no node, which would be far in memory: the child of the root by symbol
// c is the state top+c, firsts tells whether there is one, and pairs whether it
// may have a child of its own by the next symbol.
type machine struct {
	nodes  []node
	outs   []int32 // of each state, 1 + the longest pattern that ends there, or 0
	top    int32
	firsts [1 << 10]uint64 // bit set of the symbols by which the root has a child, and the one that would stand for the root
	pairs  []uint64        // a power of two of them
	single bool            // some pattern has one symbol
}

const free = int32(-1)

// next follows one symbol. It is linear over a text: each symbol deepens the
// state by at most one, and each failed look makes it less deep.
func (m *machine) next(s int32, symbol uint16) int32 {
	if m.near(s, symbol) {
		return m.child(symbol)
	}
	return m.deep(s, symbol)
}

// child is that of the root by a symbol, or the root.
func (m *machine) child(symbol uint16) int32 {
	return (m.top + int32(symbol)) & -int32(m.first(symbol))
}

// near tells of the root and of its children that no child of theirs is next.
func (m *machine) near(s int32, symbol uint16) bool {
	p := uint32(s - m.top)
	return p < 1<<16 && m.first(uint16(p))&^m.pair(uint16(p), symbol) != 0
}

// first is 1 for the root and for its children, by symbol.
func (m *machine) first(c uint16) uint64 { return m.firsts[c>>6] >> (c & 63) & 1 }

// pair is 0 if no pattern begins with two symbols.
func (m *machine) pair(a, b uint16) uint64 {
	h := pairMix(a, b)
	return m.pairs[h>>32&uint64(len(m.pairs)-1)] >> (h >> 58) & 1
}

func pairMix(a, b uint16) uint64 { return (uint64(a)<<16 | uint64(b)) * mix64 }

// deep is next by the nodes alone, for text full of words.
func (m *machine) deep(s int32, symbol uint16) int32 {
	nodes := m.nodes
	for {
		n := &nodes[s]
		if n.children>>(symbol&15)&1 != 0 {
			t := n.base + int32(symbol)
			if uint32(t) < uint32(len(nodes)) && nodes[t].check == s {
				return t
			}
		}
		if s == 0 {
			return 0
		}
		s = int32(n.fail &^ endsHere)
	}
}

// endsAt tells whether a pattern ends with a state.
func (m *machine) endsAt(s int32) bool { return m.nodes[s].fail&endsHere != 0 }

// branch is a node of the trie whose children have to be placed: the patterns
// from lo to hi share their first depth symbols.
type branch struct {
	lo, hi, state int32
	depth         int32
}

// machineBuilder places the nodes of a trie, a word after the other, so that
// what is read one after the other lies side by side.
type machineBuilder struct {
	machine
	used         []uint64 // bit set of taken places
	low          int      // no free place below, by words of used
	sparse       int      // from where on siblings are tried
	pats         []pattern
	symbols      []uint16
	holds        []bool // by pattern
	open         []branch
	levels       [2*MaxRunes + 1][]int32 // states by their depth
	childSymbols []uint16
}

// newMachine builds the automaton of patterns, which are sorted and distinct,
// and sets their suffix links. holds tells for each whether text must be held
// back for it.
func newMachine(pats []pattern, symbols []uint16, holds []bool) machine {
	b := &machineBuilder{pats: pats, symbols: symbols, holds: holds}
	states := b.states()
	b.nodes, b.outs = make([]node, 0, states+states/16+64), make([]int32, 0, states+states/16+64)
	b.take(0, free)
	b.open = append(b.open, branch{0, int32(len(pats)), 0, 0})
	for len(b.open) > 0 {
		n := b.open[len(b.open)-1]
		b.open = b.open[:len(b.open)-1]
		b.levels[n.depth] = append(b.levels[n.depth], n.state)
		b.place(n)
	}
	for _, level := range b.levels[1:] {
		for _, s := range level {
			b.link(s)
		}
	}
	last := len(b.nodes)
	for last > 1 && b.nodes[last-1].check == free {
		last--
	}
	b.nodes, b.outs = b.nodes[:last], b.outs[:last]
	if cap(b.nodes)-last > last/8 { // not to keep what was reserved for building
		b.nodes, b.outs = slices.Clone(b.nodes), slices.Clone(b.outs)
	}
	b.shortcuts()
	return b.machine
}

// shortcuts is for what next asks before it reads a node.
func (b *machineBuilder) shortcuts() {
	b.top = b.nodes[0].base
	b.firsts[uint16(-b.top)>>6] |= 1 << (-b.top & 63) // the root is the state before its first child
	words := 1
	for words < len(b.levels[2])/8 && words < 1<<14 {
		words <<= 1
	}
	b.pairs = make([]uint64, words)
	for i := range b.pats {
		p := &b.pats[i]
		first := b.symbol(int32(i), 0)
		b.firsts[first>>6] |= 1 << (first & 63)
		if b.single = b.single || p.n == 1; p.n > 1 {
			h := pairMix(first, b.symbol(int32(i), 1))
			b.pairs[h>>32&uint64(words-1)] |= 1 << (h >> 58)
		}
	}
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

// place puts the children of a node.
func (b *machineBuilder) place(n branch) {
	lo, depth := n.lo, n.depth
	if lo < n.hi && int32(b.pats[lo].n) == depth {
		// The pattern that ends here sorts before those that go on.
		b.outs[n.state] = lo + 1
		lo++
	}
	if lo == n.hi {
		return
	}
	here := &b.nodes[n.state]
	here.grow = uint8(depth)
	if slices.Contains(b.holds[lo:n.hi], true) {
		here.hold = uint8(depth)
	}
	b.childSymbols = b.childSymbols[:0]
	first := len(b.open)
	for lo < n.hi {
		c, from := b.symbol(lo, depth), lo
		for lo < n.hi && b.symbol(lo, depth) == c {
			lo++
		}
		b.open = append(b.open, branch{from, lo, 0, depth + 1})
		b.childSymbols = append(b.childSymbols, c)
		here.children |= 1 << (c & 15)
	}
	base := b.room(b.childSymbols)
	here.base = int32(base) // not later: taking room moves the nodes
	for i, c := range b.childSymbols {
		t := base + int(c)
		b.take(t, n.state)
		b.open[first+i].state = int32(t)
	}
	slices.Reverse(b.open[first:])
}

// link sets what a state has from its longest end that is a state too; those
// less deep have been linked.
func (b *machineBuilder) link(s int32) {
	n := &b.nodes[s]
	fail := int32(0)
	if p := &b.nodes[n.check]; n.check != 0 {
		fail = b.deep(int32(p.fail&^endsHere), uint16(s-p.base))
	}
	end := &b.nodes[fail]
	if own := b.outs[s]; own != 0 {
		b.pats[own-1].next = b.outs[fail] - 1
	} else {
		b.outs[s] = b.outs[fail]
	}
	if n.children == 0 {
		n.grow = end.grow
	}
	n.hold = max(n.hold, end.hold) // its own is the deeper one
	if n.fail = uint32(fail); end.children == 0 {
		n.fail = end.fail &^ endsHere // has some itself, or is the root
	}
	if b.outs[s] != 0 {
		n.fail |= endsHere
	}
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
	b.nodes, b.outs = slices.Grow(b.nodes, n-have)[:n], slices.Grow(b.outs, n-have)[:n]
	for i := have; i < n; i++ {
		b.nodes[i], b.outs[i] = node{check: free}, 0
	}
}
