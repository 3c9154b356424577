package obligation

import (
	"cmp"
	"slices"

	"github.com/fengsui/fengsui/internal/standard"
)

// Order marks what is owed at once, and puts a list in the order in which it presses: what is owed at once, the longest
// standing first; then by the due time; then what stands without a time; then what is settled.
func Order(book *standard.Book, list []Obligation) {
	for k := range list {
		o := &list[k]
		o.AtOnce = o.State == "owed" && o.DueMs == 0 && !book.Periodic(o.RuleID)
	}
	slices.SortStableFunc(list, func(x, y Obligation) int {
		return cmp.Or(cmp.Compare(x.rank(), y.rank()), cmp.Compare(x.presses(), y.presses()), cmp.Compare(x.RuleID, y.RuleID))
	})
}

// Nearest is the duty of a list to look at first; nil if none that stands has a time and none is owed at once. It orders the list.
func Nearest(book *standard.Book, list []Obligation) *Obligation {
	Order(book, list)
	if len(list) == 0 || list[0].rank() > 1 {
		return nil
	}
	return &list[0]
}

func (o Obligation) rank() int {
	switch {
	case o.AtOnce:
		return 0
	case o.Standing() && o.DueMs > 0:
		return 1
	case o.Standing():
		return 2
	}
	return 3
}

func (o Obligation) presses() int64 {
	if o.AtOnce {
		return o.ClockStartMs
	}
	return o.DueMs
}
