package app

import (
	"testing"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

func TestADataFolderHasOneServerAtATime(t *testing.T) {
	a := running(t)
	o := Options{DataDir: a.House.Store.Dir(), Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0"}
	if b, err := New(t.Context(), o); !fault.Is(err, "app.folder_in_use") {
		if err == nil {
			b.Stop()
		}
		t.Errorf("a second server: %v", err)
	}
	off, err := Offline(t.Context(), o)
	if err != nil {
		t.Fatalf("work beside a server: %v", err)
	}
	off.Stop()
	a.Stop()
	b, err := New(t.Context(), o)
	if err != nil {
		t.Fatalf("after it has stopped: %v", err)
	}
	b.Stop()
}
