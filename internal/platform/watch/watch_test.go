package watch_test

import (
	"sync"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/watch"
)

func changed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestAChangeWakesEachWatcherOfItsTopicAndNobodyElse(t *testing.T) {
	h := watch.New()
	rev, a := h.Watch("a")
	_, again := h.Watch("a")
	_, b := h.Watch("b")
	if rev != 0 || changed(a) || changed(b) {
		t.Error("woken by nothing")
	}
	h.Bump("a", "c")
	if !changed(a) || !changed(again) || changed(b) {
		t.Error("the wrong ones are woken")
	}
	rev, next := h.Watch("a")
	if rev != 1 || changed(next) {
		t.Error("a change of before wakes who came after", rev)
	}
	h.Bump("a", "a")
	if rev, _ := h.Watch("a"); rev != 3 || !changed(next) {
		t.Error(rev)
	}
	h.Bump()
	if rev, _ := h.Watch("c"); rev != 1 {
		t.Error("a topic counts before anybody watches it:", rev)
	}
}

// Who takes revision and channel, reads, and then waits, misses no change, however many there are.
func TestNoChangeFallsBetweenReadingAndWaiting(t *testing.T) {
	h := watch.New()
	var mu sync.Mutex
	truth := 0
	const changes = 2000
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				_, ch := h.Watch("x")
				mu.Lock()
				seen := truth
				mu.Unlock()
				if seen == changes {
					return
				}
				select {
				case <-ch:
				case <-time.After(20 * time.Second):
					t.Errorf("stuck at %d", seen)
					return
				}
			}
		})
	}
	for range changes {
		mu.Lock()
		truth++
		mu.Unlock()
		h.Bump("x")
	}
	wg.Wait()
	if rev, _ := h.Watch("x"); rev != changes {
		t.Error(rev)
	}
}
