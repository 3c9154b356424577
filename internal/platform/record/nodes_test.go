package record_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/store"
)

func TestSeveralNodesAppendWithoutAGapAndSignEachHeadOnce(t *testing.T) {
	const nodes, each = 3, 20
	first := newHouse(t)
	first.write(decision("incident:1", 0)) // the first signer is made
	first.checkpoint()
	houses := []*house{first}
	for n := range nodes - 1 {
		h := &house{t: t, dir: first.dir, outside: filepath.Join(t.TempDir(), fmt.Sprint("elsewhere-", n)), keys: first.keys, clock: first.clock}
		h.open()
		t.Cleanup(func() { h.st.Close() })
		houses = append(houses, h)
	}
	var wg sync.WaitGroup
	for n, h := range houses {
		wg.Go(func() {
			for i := range each {
				if err := h.st.Write(ctx, officer, func(tx *store.Tx) error {
					tx.Record(decision("incident:1", n*each+i))
					tx.Record(decision(fmt.Sprint("subject:", i%3), i))
					return nil
				}); err != nil {
					t.Error(err)
				}
				if i%5 == 4 {
					if _, err := h.log.Checkpoint(ctx); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	var mu sync.Mutex
	at := map[string]string{} // what each node said of the last head
	for n, h := range houses {
		wg.Go(func() {
			c, err := h.log.Checkpoint(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			at[c.Note] = fmt.Sprint(n)
		})
	}
	wg.Wait()
	if len(at) != 1 {
		t.Errorf("the last head was signed %d times", len(at))
	}
	size, err := record.Size(ctx, first.st.Read())
	if err != nil {
		t.Fatal(err)
	}
	if rep := first.verify(record.VerifyOptions{Outside: first.kept()}); !rep.OK || rep.Entries != size || size < nodes*each*2 {
		t.Errorf("%d entries: %+v", size, rep)
	}
}
