package gateway

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/fengsui/fengsui/internal/posture"
)

func sealed(t *testing.T, id string) []byte {
	t.Helper()
	s, err := posture.Stop{ID: id, ServiceID: "svc1", IssuedMs: 1}.Sign(controlKey)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestASealedTokenThatCannotBeReadIsKeptAndBindsOnceItCan(t *testing.T) {
	w := newWorld(t, answers("好"))
	w.apply()
	stops := filepath.Join(w.g.o.StateDir, stopsName)
	for _, ext := range []string{stopNew, stopBinds} { // a folder is what reading fails at, for root too
		if err := os.MkdirAll(filepath.Join(stops, "a"+ext), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := PutStop(w.g.o.StateDir, sealed(t, "b")); err != nil {
		t.Fatal(err)
	}
	if err := w.g.HeedStops(t.Context()); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("nobody hears of what cannot be read: %v", err)
	}
	if n := len(w.g.Stops()); n != 1 {
		t.Errorf("%d tokens bind beside the one that cannot be read", n)
	}
	if r := w.post(ask("问")); r.code() != "service_offline" {
		t.Errorf("%d %s", r.status, r.body)
	}
	again := newWorld(t, answers("好"), func(o *Options, _ *posture.Draft) { o.StateDir = w.g.o.StateDir })
	if _, err := os.Stat(filepath.Join(stops, "a"+stopRefused)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was not read is refused: %v", err)
	}
	for _, ext := range []string{stopNew, stopBinds} {
		if err := os.Remove(filepath.Join(stops, "a"+ext)); err != nil {
			t.Fatalf("it is not kept: %v", err)
		}
	}
	if err := os.WriteFile(filepath.Join(stops, "a"+stopBinds), sealed(t, "a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := again.g.HeedStops(t.Context()); err != nil || len(again.g.Stops()) != 2 {
		t.Errorf("%v %+v", err, again.g.Stops())
	}
	// What can be read and is not control's is refused as ever.
	if err := os.WriteFile(filepath.Join(stops, "c"+stopNew), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := again.g.HeedStops(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(stops, "c"+stopRefused)); err != nil {
		t.Error(err)
	}
}

func TestAGatewayComesUpThoughItsFolderOfSealedTokensCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, stopsName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, answers("好"), func(o *Options, _ *posture.Draft) { o.StateDir = dir })
	w.apply()
	if r := w.post(ask("问")); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
	if err := w.g.HeedStops(t.Context()); err == nil {
		t.Error("nobody hears of it")
	}
}

func TestWhatRootLaysBelongsToWhomTheFolderBelongs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root lays files for others")
	}
	for name, there := range map[string]bool{"the folder of tokens is there": true, "it is not": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			stops := filepath.Join(dir, stopsName)
			if there { // made by root, as an earlier version did
				if err := os.Mkdir(stops, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chown(dir, 4711, 4712); err != nil {
				t.Fatal(err)
			}
			if _, _, err := PutStop(dir, sealed(t, "a")); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{stops, filepath.Join(stops, "a"+stopNew)} {
				info, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				if st := info.Sys().(*syscall.Stat_t); st.Uid != 4711 || st.Gid != 4712 || info.Mode().Perm()&0o077 != 0 {
					t.Errorf("%s: %d %d %s", path, st.Uid, st.Gid, info.Mode())
				}
			}
		})
	}
}

func TestNoTokenIsWrittenThroughALinkOutOfTheFolder(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	if err := os.Symlink(other, filepath.Join(dir, stopsName)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := PutStop(dir, sealed(t, "a")); err == nil {
		t.Error("a link is followed")
	}
	if list, err := os.ReadDir(other); err != nil || len(list) != 0 {
		t.Error(err, list)
	}
}
