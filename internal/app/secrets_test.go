package app

import (
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
)

func TestAKeyOfTheInstanceThatHasAnotherLengthIsAnErrorAndNoPanic(t *testing.T) {
	o := Options{DataDir: t.TempDir() + "/data"}
	if _, err := secret.Open(secret.DefaultDir(o.DataDir)); err != nil { // work offline makes none
		t.Fatal(err)
	}
	for _, name := range []string{controlKey, subjectKey, probeKey, ackKey} {
		a, err := Offline(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		put := func(value []byte) {
			t.Helper()
			if err := a.House.Store.Write(t.Context(), store.System("test"), func(tx *store.Tx) error { return a.House.Secrets.Put(t.Context(), tx, name, value) }); err != nil {
				t.Fatal(err)
			}
		}
		put([]byte("short"))
		if b, err := Offline(t.Context(), o); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "short") {
			t.Errorf("%s: %v", name, err)
			if b != nil {
				b.Stop()
			}
		}
		put(make([]byte, 32))
		a.Stop()
	}
}
