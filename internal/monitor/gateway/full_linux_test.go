package gateway

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/fengsui/fengsui/internal/posture"
)

// full takes up all room of a file system; the answer makes room again.
func full(t *testing.T, dir string) (empty func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{64 << 10, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	f.Close()
	return func() { os.Remove(path) }
}

func TestOrdersThatCameWhileTheDiskWasFullBindAfterARestart(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("full", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("no small disk can be mounted: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	inDir := func(o *Options, _ *posture.Draft) { o.StateDir = dir }
	w := newWorld(t, answers("好"), inDir)
	again := func() *world {
		n := newWorld(t, answers("好"), inDir)
		n.keys = w.keys
		return n
	}
	w.apply()
	empty := full(t, dir)
	for range 5 { // each time the disk holds the one before
		if ack := w.apply(offline()); !ack.Persisted {
			t.Fatalf("%+v", ack)
		}
		if r := again().post(ask("问")); r.status != 503 || r.code() != "service_offline" {
			t.Fatalf("an acknowledged order is forgotten: %d %s", r.status, r.body)
		}
		w.orders = nil
		if ack := w.apply(); !ack.Persisted {
			t.Fatalf("%+v", ack)
		}
		if r := again().post(ask("问")); r.status != 200 {
			t.Fatalf("an order that was lifted binds: %d %s", r.status, r.body)
		}
	}
	w.apply(offline())
	// Half of the next one: killed in the middle of writing.
	raw, err := os.ReadFile(w.g.state.spareAt(1 - w.g.state.spare))
	if err != nil {
		t.Fatal(err)
	}
	if err := over(w.g.state.spareAt(w.g.state.spare), bytes.TrimSpace(raw)[:100]); err != nil {
		t.Fatal(err)
	}
	if r := again().post(ask("问")); r.status != 503 {
		t.Fatalf("a spare that was half written hides the other: %d", r.status)
	}
	empty()
	w.orders = nil
	w.apply()
	if r := again().post(ask("问")); r.status != 200 {
		t.Fatalf("with room again: %d %s", r.status, r.body)
	}
	// The negative control: without spares a restart knows only the older bundle.
	full(t, dir)
	for i := range 2 {
		if err := os.Truncate(w.g.state.spareAt(i), 0); err != nil {
			t.Fatal(err)
		}
	}
	full(t, dir)
	if ack := w.apply(offline()); ack.Persisted || again().post(ask("问")).status != 200 {
		t.Errorf("the spares are not what keeps it: %+v", ack)
	}
}
