package inspect

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// A new lexicon takes the place of the old one while texts are inspected; each
// text is inspected by one of them as a whole.
func TestALexiconIsBuiltAndSwappedWhileScansRun(t *testing.T) {
	with := func(n int) *Engine {
		terms := append(lexicon(500), Term{ID: "x", Text: fmt.Sprintf("测试甲乙%d号", n), Action: Mask, Disguise: Disguise{Loose: true, Gap: 2}})
		return mustCompile(t, Rules{Terms: terms})
	}
	var live atomic.Pointer[Engine]
	live.Store(with(0))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				text, found := "", 0
				for n := range 8 {
					text += fmt.Sprintf("说测试甲乙%d号。", n)
				}
				e := live.Load()
				released, matches, _ := run(e.NewStream(), tokens(text, 1, 6))
				for _, m := range matches {
					if m.RuleID == "x" {
						found++
					}
				}
				if found != 1 || released != e.Scan(text).Released {
					t.Errorf("%d hits", found)
				}
			}
		})
	}
	for n := 1; n < 8; n++ {
		live.Store(with(n))
	}
	wg.Wait()
}
