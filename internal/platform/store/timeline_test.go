package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

func TestNothingIsWrittenOnAnotherTimelineUntilTheRecordGoesOnThere(t *testing.T) {
	storetest.Only(t, storetest.Postgres, "has timelines")
	st := storetest.Open(t, store.Options{Dir: t.TempDir(), Clock: clock.System()})
	nothing := func(*store.Tx) error { return nil }
	if err := st.Write(t.Context(), store.System("test"), nothing); err != nil {
		t.Fatal(err)
	}
	line, err := st.Timeline(t.Context())
	if err != nil || line == "" {
		t.Fatal(line, err)
	}
	select {
	case <-st.Moved():
		t.Fatal("moved before anything happened")
	default:
	}
	st.Settle("0000002A") // as if this process had written elsewhere until now
	wrote := make(chan error, 1)
	ran := make(chan struct{}, 100)
	go func() {
		wrote <- st.Write(t.Context(), store.System("test"), func(*store.Tx) error { ran <- struct{}{}; return nil })
	}()
	select {
	case <-st.Moved():
	case <-time.After(10 * time.Second):
		t.Fatal("nobody is told")
	}
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := st.Write(store.OnTimeline(short, "0000002B"), store.System("record"), func(*store.Tx) error { return errors.New("ran") }); err == nil || err.Error() == "ran" {
		t.Errorf("a write that is allowed elsewhere: %v", err)
	}
	if err := st.Write(store.OnTimeline(t.Context(), line), store.System("record"), nothing); err != nil {
		t.Errorf("the one that lets the record go on: %v", err)
	}
	if len(ran) > 0 {
		t.Fatal("a write ran on a timeline that is not settled")
	}
	st.Settle(line)
	if err := <-wrote; err != nil || len(ran) != 1 {
		t.Fatal(err, len(ran))
	}
}
