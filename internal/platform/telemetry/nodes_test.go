package telemetry_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/platform/telemetry/telemetrytest"
)

// nodes are several logs of one database, as of as many control nodes.
func nodes(t *testing.T, h *house, n int) (logs []*telemetry.Log) {
	t.Helper()
	storetest.Only(t, storetest.Postgres, "a folder has one node")
	for i := range n {
		o := h.options()
		if i > 0 {
			o.Store = telemetrytest.OpenStore(t, h.dir, h.clock, h.rec)
		}
		l, _ := telemetrytest.Run(t, o)
		logs = append(logs, l)
	}
	return logs
}

// A reader that goes on from the last position it saw, while three nodes store: it meets each row once.
func TestWhoFollowsSeveralNodesMissesNoRowAndMeetsNoneTwice(t *testing.T) {
	h := newHouse(t)
	logs := nodes(t, h, 3)
	const each = 1500
	var wg sync.WaitGroup
	for i, l := range logs {
		wg.Go(func() {
			for k := range each {
				l.PutSignal(signal(i*10_000 + k))
				if k%50 == 0 {
					flush(t, l)
				}
				if k%500 == 0 {
					h.clock.Advance(time.Duration(i*400) * time.Millisecond)
				}
			}
			flush(t, l)
		})
	}
	seen := map[string]int{}
	after := int64(0)
	read := func() {
		for {
			rows, err := logs[0].Signals(t.Context(), after, 100)
			if err != nil {
				t.Error(err)
				return
			}
			for _, s := range rows {
				seen[s.ID]++
				after = s.Seq
			}
			if len(rows) < 100 {
				return
			}
		}
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		read()
	}
	if len(seen) != 3*each {
		t.Errorf("%d of %d rows were met", len(seen), 3*each)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was met %d times", id, n)
		}
	}
}

func TestABatchHandedToTwoNodesAtOnceIsStoredOnce(t *testing.T) {
	h := newHouse(t)
	logs := nodes(t, h, 2)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := logs[i%2].Hand(t.Context(), handedBatch("gw-1", int64(1+i/2%5))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := stored(t, logs[0]); got != fmt.Sprint(5*53, " ", 5*9) {
		t.Errorf("stored %s", got)
	}
}

func TestANodeHearsOfWhatAnotherStored(t *testing.T) {
	h := newHouse(t)
	logs := nodes(t, h, 2)
	changed := logs[1].Changed()
	logs[0].PutSignal(signal(1))
	flush(t, logs[0])
	select {
	case <-changed:
	case <-time.After(20 * time.Second):
		t.Fatal("never")
	}
}

// Every row is under one segment, every segment in the record once, whichever node closed and digested it.
func TestSeveralNodesCoverEachRowByOneSegmentThatIsRecordedOnce(t *testing.T) {
	h := newHouse(t)
	logs := nodes(t, h, 3)
	for round := range 4 {
		for i, l := range logs {
			l.PutTraffic(traffic(round*10+i, "allow"))
			flush(t, l)
		}
		h.clock.Advance(11 * time.Minute)
	}
	covered := func() (rows int64) {
		segments, err := logs[0].Segments(t.Context(), "20261122")
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range segments {
			if i > 0 && s.FromSeq != segments[i-1].ToSeq {
				t.Errorf("segment %+v", s)
			}
			if s.HandedMs > 0 {
				rows += s.Rows
			}
		}
		return rows
	}
	eventually(t, "all rows covered", func() bool { h.clock.Advance(time.Minute); return covered() == 12 })
	ids := map[string]int{}
	for _, e := range h.rec.Of("telemetry.segment") {
		if ids[e.ObjectID]++; ids[e.ObjectID] > 1 {
			t.Errorf("%s is in the record twice", e.ObjectID)
		}
	}
}

func TestSeveralNodesDeleteADayOnce(t *testing.T) {
	h := newHouse(t)
	logs := nodes(t, h, 2)
	logs[0].PutTraffic(traffic(1, "allow"))
	flush(t, logs[0])
	h.clock.Advance(200 * 24 * time.Hour)
	var wg sync.WaitGroup
	for _, l := range logs {
		wg.Go(func() {
			if err := l.Retain(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	days, err := logs[1].Days(t.Context())
	if n := len(h.rec.Of("telemetry.delete_day")); err != nil || len(days) != 0 || n != 1 {
		t.Errorf("left %v, %d entries, %v", days, n, err)
	}
	if _, err := logs[0].Segments(t.Context(), "20261122"); fault.KindOf(err) != fault.KindNotFound {
		t.Errorf("the deleted day: %v", err)
	}
}

func TestRowsWaitWhileTheDatabaseIsAwayAndAreStoredOnceAfterwards(t *testing.T) {
	h := newHouse(t)
	l := nodes(t, h, 1)[0]
	l.PutTraffic(traffic(1, "allow"))
	flush(t, l)
	c := storetest.Cluster(t)
	name, _, _ := strings.Cut(strings.TrimPrefix(storetest.Database(t, h.dir), "postgres://fengsui@/"), "?")
	c.Exec(t, "postgres", "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false")
	c.Exec(t, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+name+"'")
	for i := range 100 {
		l.PutTraffic(traffic(2+i, "allow"))
	}
	eventually(t, "the failure shown", func() bool { return l.Status().Failing != "" })
	c.Exec(t, "postgres", "ALTER DATABASE "+name+" ALLOW_CONNECTIONS true")
	eventually(t, "the rows stored", func() bool {
		h.clock.Advance(time.Second)
		return l.Status().QueuedRows == 0 && l.Status().Failing == "" && l.Status().Stored == 101
	})
	if got := stored(t, l); got != "101 0" {
		t.Errorf("stored %s", got)
	}
}

func TestATextThatTheDatabaseRefusesHoldsUpNoOtherRow(t *testing.T) {
	h := newHouse(t)
	l, _ := telemetrytest.Run(t, h.options())
	bad := traffic(1, "allow")
	bad.Tenant, bad.Route = "a\x00b", "\xff"
	bad.Content = &telemetry.Content{Answer: "测试\x00"}
	l.PutTraffic(bad)
	l.PutTraffic(traffic(2, "allow"))
	flush(t, l)
	rows, err := l.Recent(t.Context(), telemetry.Filter{})
	if err != nil || len(rows) != 2 || rows[1].Tenant != "a\uFFFDb" || rows[1].Route != "\uFFFD" {
		t.Errorf("rows %+v, %v", rows, err)
	}
}
