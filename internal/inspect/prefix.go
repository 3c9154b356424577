package inspect

// prefixes knows every prefix of every pattern, so that a stream can keep
// exactly the suffix that may still grow into a hit.
type prefixes struct {
	next  map[uint64]int32 // node and symbol to child
	nodes []prefixNode
}

type prefixNode struct {
	grows    bool // some pattern goes on from here
	enforces bool // ... and it would mask, replace or block
}

func newPrefixes() *prefixes {
	return &prefixes{next: make(map[uint64]int32), nodes: make([]prefixNode, 1)}
}

func edge(node int32, symbol rune) uint64 { return uint64(node)<<32 | uint64(uint32(symbol)) }

func (p *prefixes) add(pattern []rune, enforces bool) {
	node := int32(0)
	for _, symbol := range pattern {
		p.nodes[node].grows = true
		p.nodes[node].enforces = p.nodes[node].enforces || enforces
		child, ok := p.next[edge(node, symbol)]
		if !ok {
			child = int32(len(p.nodes))
			p.nodes = append(p.nodes, prefixNode{})
			p.next[edge(node, symbol)] = child
		}
		node = child
	}
}

// after walks the symbols of items and gives the node they lead to; the zero
// node means that no pattern begins like this.
func (p *prefixes) after(items []item) prefixNode {
	node := int32(0)
	for i := range items {
		if items[i].f == skip {
			continue
		}
		child, ok := p.next[edge(node, items[i].f)]
		if !ok {
			return prefixNode{}
		}
		node = child
	}
	return p.nodes[node]
}

// afterOne is after for a single symbol.
func (p *prefixes) afterOne(symbol rune) prefixNode {
	child, ok := p.next[edge(0, symbol)]
	if !ok {
		return prefixNode{}
	}
	return p.nodes[child]
}

// gate tells cheaply where a pattern cannot begin: it never misses a beginning
// and seldom reports a false one. Most chunks do not get past it, and the
// matcher need not run.
type gate struct {
	first  [1 << 10]uint64 // begins a pattern, by the low 16 bits of the symbol
	single [1 << 10]uint64 // is a pattern by itself
	pair   []uint64        // first two symbols of a pattern, hashed
	shift  uint
}

// newGate sizes the pair filter for at most 1/16 of its bits set.
func newGate(patterns int) *gate {
	bits := uint(12)
	for 1<<bits < patterns*16 && bits < 24 {
		bits++
	}
	return &gate{pair: make([]uint64, 1<<(bits-6)), shift: 64 - bits}
}

func (g *gate) add(pattern []rune) {
	g.first[pattern[0]>>6&0x3FF] |= 1 << (pattern[0] & 63)
	if len(pattern) == 1 {
		g.single[pattern[0]>>6&0x3FF] |= 1 << (pattern[0] & 63)
		return
	}
	h := g.hash(pattern[0], pattern[1])
	g.pair[h>>6] |= 1 << (h & 63)
}

func (g *gate) hash(a, b rune) uint64 {
	return (uint64(uint32(a))<<32 | uint64(uint32(b))) * 0x9E3779B97F4A7C15 >> g.shift
}

func (g *gate) begins(symbol rune) bool {
	return g.first[symbol>>6&0x3FF]>>(symbol&63)&1 != 0
}

func (g *gate) isSingle(symbol rune) bool {
	return g.single[symbol>>6&0x3FF]>>(symbol&63)&1 != 0
}

func (g *gate) beginsPair(a, b rune) bool {
	if !g.begins(a) {
		return false
	}
	h := g.hash(a, b)
	return g.pair[h>>6]>>(h&63)&1 != 0
}
