package listing

import "sync"

const (
	// KeptFrom is how many rows there must be to count for the counts to be kept: fewer are counted in no time.
	KeptFrom = 50_000
	// KeptMs is how long they are kept.
	KeptMs = 10_000
	// keptMost bounds how many questions are kept; each has a few hundred numbers at most.
	keptMost = 200
)

// group is how many rows have the same values of all facets.
type group struct {
	values []string
	n      int
}

// Counts keeps what was counted of long lists for a while: who turns pages or tries filters asks the same
// again and again, and a count reads an index from end to end. The zero value is ready; safe for concurrent use.
type Counts struct {
	mu   sync.Mutex
	kept map[string]counted
}

type counted struct {
	atMs   int64
	groups []group
}

func (c *Counts) find(question string, nowMs int64) ([]group, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.kept[question]
	return k.groups, ok && nowMs >= k.atMs && nowMs-k.atMs < KeptMs
}

func (c *Counts) keep(question string, nowMs int64, groups []group) {
	n := 0
	for _, g := range groups {
		n += g.n
	}
	if n < KeptFrom {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for q, k := range c.kept {
		if nowMs < k.atMs || nowMs-k.atMs >= KeptMs {
			delete(c.kept, q)
		}
	}
	if c.kept == nil {
		c.kept = map[string]counted{}
	}
	if len(c.kept) < keptMost {
		c.kept[question] = counted{nowMs, groups}
	}
}
