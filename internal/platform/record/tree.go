package record

import (
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// edge is the right edge of the tree: the roots of its complete subtrees, widest first. Their number
// is the number of ones in the size. It is all that appending needs.
type edge []tlog.Hash

// add appends the leaf with hash h at index n and gives the subtree roots that this completes, by level.
func (e *edge) add(n int64, h tlog.Hash) []tlog.Hash {
	done := []tlog.Hash{h}
	for n&1 == 1 {
		last := len(*e) - 1
		h = tlog.NodeHash((*e)[last], h)
		*e = (*e)[:last]
		done = append(done, h)
		n >>= 1
	}
	*e = append(*e, h)
	return done
}

// root is the tree hash of RFC 6962; of an empty tree, the hash of nothing.
func (e edge) root() tlog.Hash {
	if len(e) == 0 {
		h, _ := tlog.TreeHash(0, nil) // never reads for size 0
		return h
	}
	r := e[len(e)-1]
	for i := len(e) - 2; i >= 0; i-- {
		r = tlog.NodeHash(e[i], r)
	}
	return r
}

func (e edge) bytes() []byte {
	out := make([]byte, 0, len(e)*tlog.HashSize)
	for _, h := range e {
		out = append(out, h[:]...)
	}
	return out
}

func parseEdge(size int64, raw []byte) (edge, error) {
	if size < 0 || len(raw) != bits.OnesCount64(uint64(size))*tlog.HashSize {
		return nil, fmt.Errorf("record: the head's edge does not fit its size %d", size)
	}
	out := make(edge, 0, len(raw)/tlog.HashSize+1)
	for ; len(raw) > 0; raw = raw[tlog.HashSize:] {
		out = append(out, tlog.Hash(raw[:tlog.HashSize]))
	}
	return out, nil
}
