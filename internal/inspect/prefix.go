package inspect

// prefixes knows every prefix of every pattern, so that a stream can keep
// exactly the suffix that may still grow into a hit. Edges live in one open
// addressing table: the walk is on the hot path, and a map costs five times
// as much.
type prefixes struct {
	edges []edge
	used  int
	nodes []prefixNode
}

type edge struct {
	node, child int32 // child 0: free, as nothing leads to the root
	symbol      rune
}

type prefixNode struct {
	ends     bool // a pattern ends here
	grows    bool // a pattern goes on from here
	enforces bool // ... and it would mask, replace or block
}

func newPrefixes() *prefixes {
	return &prefixes{edges: make([]edge, 64), nodes: make([]prefixNode, 1)}
}

func (p *prefixes) slot(node int32, symbol rune) int {
	h := (uint64(uint32(node))<<32 | uint64(uint32(symbol))) * 0x9E3779B97F4A7C15
	mask := len(p.edges) - 1
	for i := int(h>>32) & mask; ; i = (i + 1) & mask {
		if e := &p.edges[i]; e.child == 0 || e.node == node && e.symbol == symbol {
			return i
		}
	}
}

// step gives the child of node, 0 if there is none.
func (p *prefixes) step(node int32, symbol rune) int32 {
	return p.edges[p.slot(node, symbol)].child
}

func (p *prefixes) add(pattern []rune, enforces bool) {
	node := int32(0)
	for _, symbol := range pattern {
		p.nodes[node].grows = true
		p.nodes[node].enforces = p.nodes[node].enforces || enforces
		child := p.step(node, symbol)
		if child == 0 {
			child = int32(len(p.nodes))
			p.nodes = append(p.nodes, prefixNode{})
			p.link(edge{node: node, child: child, symbol: symbol})
		}
		node = child
	}
	p.nodes[node].ends = true
}

func (p *prefixes) link(e edge) {
	if p.used++; p.used*2 > len(p.edges) {
		old := p.edges
		p.edges = make([]edge, 2*len(old))
		for _, o := range old {
			if o.child != 0 {
				p.edges[p.slot(o.node, o.symbol)] = o
			}
		}
	}
	p.edges[p.slot(e.node, e.symbol)] = e
}

// after walks the symbols of items and gives the node they lead to; a zero
// node means that no pattern begins like this.
func (p *prefixes) after(items []item) prefixNode {
	node := int32(0)
	for i := range items {
		if items[i].f == skip {
			continue
		}
		if node = p.step(node, items[i].f); node == 0 {
			return prefixNode{}
		}
	}
	return p.nodes[node]
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

func (g *gate) beginsPair(a, b rune) bool { return g.begins(a) && g.pairKnown(a, b) }

func (g *gate) pairKnown(a, b rune) bool {
	h := g.hash(a, b)
	return g.pair[h>>6]>>(h&63)&1 != 0
}
