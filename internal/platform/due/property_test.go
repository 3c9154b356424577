package due_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/store"
)

func TestWhateverIsSetMovedAndCancelledEachRowFiresAsOftenAsItsTimesCame(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	run(t, st, map[string]due.Handler{"note": noteEffect}, due.Options{Batch: 4})
	life := 0
	rapid.Check(t, func(rt *rapid.T) {
		life++ // new objects each time, on the same store
		base := c.Now().UnixMilli()
		type model struct {
			at    int64 // 0: not pending
			last  int64
			fires int
		}
		rows := map[string]*model{}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			id := fmt.Sprint(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "object"), life)
			if rows[id] == nil {
				rows[id] = &model{}
			}
			m := rows[id]
			switch rapid.SampledFrom([]string{"set", "set", "cancel", "advance"}).Draw(rt, "do") {
			case "set":
				at := base + int64(rapid.IntRange(1, 5).Draw(rt, "at"))*60_000
				set(t, st, row(id, at))
				if at != m.last || m.at != 0 {
					m.at = at
				}
				m.last = at
			case "cancel":
				write(t, st, func(tx *store.Tx) error { return due.Cancel(context.Background(), tx, "note", id) })
				if m.at != 0 {
					m.at, m.last = 0, 0
				}
			case "advance":
				c.Advance(time.Duration(rapid.IntRange(1, 90).Draw(rt, "seconds")) * time.Second)
			}
			for _, m := range rows {
				if m.at != 0 && m.at <= c.Now().UnixMilli() {
					m.at = 0
					m.fires++
				}
			}
			wake(st)
			until(t, "the worker has caught up", func() bool {
				b, err := due.CountBacklog(context.Background(), st.Read(), c.Now().UnixMilli())
				if err != nil {
					rt.Fatal(err)
				}
				return b.Overdue == 0
			})
		}
		for id, m := range rows {
			if n := effects(t, st, id); n != m.fires {
				rt.Fatalf("%s fired %d times, want %d", id, n, m.fires)
			}
		}
	})
}
