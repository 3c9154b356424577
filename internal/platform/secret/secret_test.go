package secret_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

func open(t *testing.T, keys *secret.Keys) (*store.Store, *secret.Vault, *record.Log) {
	t.Helper()
	log := record.New(record.Options{Keys: keys})
	st, err := store.Open(context.Background(), storetest.With(t, store.Options{Dir: filepath.Join(t.TempDir(), "data"), Clock: clock.NewFake(time.Unix(1e9, 0)), Recorder: log}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st, secret.NewVault(keys), log
}

func newKeys(t *testing.T) *secret.Keys {
	t.Helper()
	k, err := secret.Open(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var admin = store.Actor{ID: "person-s"}

func put(t *testing.T, st *store.Store, v *secret.Vault, name, value string) {
	t.Helper()
	if err := st.Write(context.Background(), admin, func(tx *store.Tx) error { return v.Put(context.Background(), tx, name, []byte(value)) }); err != nil {
		t.Fatal(err)
	}
}

func TestASecretIsReadBackAndIsNotInTheDataFolder(t *testing.T) {
	ctx := context.Background()
	st, v, log := open(t, newKeys(t))
	const value = "sk-not-a-real-key-0123456789"
	put(t, st, v, "upstream.s1", value)
	got, err := v.Get(ctx, st.Read(), "upstream.s1")
	if err != nil || string(got) != value {
		t.Fatalf("Get = %q, %v", string(got), err)
	}
	if _, err := v.Get(ctx, st.Read(), "upstream.s2"); !fault.Is(err, "secret.none") {
		t.Errorf("a missing secret: %v", err)
	}
	names, err := v.Names(ctx, st.Read())
	if err != nil || len(names) != 1 || names[0] != "upstream.s1" {
		t.Errorf("Names = %v, %v", names, err)
	}
	files, _ := filepath.Glob(filepath.Join(st.Dir(), "*"))
	for _, f := range files {
		if raw, _ := os.ReadFile(f); bytes.Contains(raw, []byte(value)) {
			t.Errorf("%s holds the secret in the clear", filepath.Base(f))
		}
	}
	list, err := record.Entries(ctx, st.Read(), record.Filter{Action: "secret.put"})
	if err != nil || len(list) != 1 || list[0].ObjectID != "upstream.s1" {
		t.Fatalf("record = %v, %v", list, err)
	}
	if c, err := log.Content(ctx, st.Read(), list[0].Idx); err != nil || string(c) != "null" {
		t.Errorf("the entry holds content: %s %v", c, err)
	}
	err = st.Write(ctx, admin, func(tx *store.Tx) error { return v.Delete(ctx, tx, "upstream.s1") })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Get(ctx, st.Read(), "upstream.s1"); !fault.Is(err, "secret.none") {
		t.Errorf("a deleted secret: %v", err)
	}
}

func TestEnsureMakesASecretOnce(t *testing.T) {
	ctx := context.Background()
	st, v, _ := open(t, newKeys(t))
	var a, b secret.Value
	for _, p := range []*secret.Value{&a, &b} {
		if err := st.Write(ctx, admin, func(tx *store.Tx) (err error) { *p, err = v.Ensure(ctx, tx, "subject.hmac", 32); return err }); err != nil {
			t.Fatal(err)
		}
	}
	if len(a) != 32 || !bytes.Equal(a, b) {
		t.Errorf("Ensure gave %d bytes and then others", len(a))
	}
}

func TestASealedRowCannotBeMovedOrAltered(t *testing.T) {
	ctx := context.Background()
	st, v, _ := open(t, newKeys(t))
	put(t, st, v, "a", "one")
	put(t, st, v, "b", "two")
	err := st.Write(ctx, admin, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name = 'b') WHERE name = 'a'`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Get(ctx, st.Read(), "a"); !errors.Is(err, secret.ErrUnseal) {
		t.Errorf("a moved row opened: %v", err)
	}
	box, _ := secret.NewBox(secret.NewKey())
	sealed := box.Seal("x", []byte("plain"))
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := box.Unseal("x", bad); !errors.Is(err, secret.ErrUnseal) {
			t.Fatalf("byte %d altered, and it opened", i)
		}
	}
	if p, err := box.Unseal("x", sealed); err != nil || string(p) != "plain" {
		t.Errorf("untouched: %q, %v", p, err)
	}
}

func TestRotatingTheKEKKeepsEverythingReadable(t *testing.T) {
	ctx := context.Background()
	keys := newKeys(t)
	st, v, log := open(t, keys)
	if err := log.Bind(ctx, st); err != nil {
		t.Fatal(err)
	}
	put(t, st, v, "a", "one")
	err := st.Write(ctx, admin, func(tx *store.Tx) error {
		tx.Record(store.Entry{Action: "incident.note", ObjectKind: "incident", ObjectID: "1", Scope: "incident:1", Content: "kept"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// Another process holds the folder open with the old key only.
	other, err := secret.OpenExisting(keys.Dir())
	if err != nil {
		t.Fatal(err)
	}
	before := keys.Current()
	if err := v.RotateKEK(ctx, st, admin, log); err != nil {
		t.Fatal(err)
	}
	if keys.Current() == before {
		t.Fatal("the key did not change")
	}
	var sealed [][]byte
	for _, q := range []string{`SELECT sealed FROM secrets`, `SELECT wrapped FROM record_keys WHERE scope <> ''`} {
		if err := st.Read().NewRaw(q).Scan(ctx, &sealed); err != nil {
			t.Fatal(err)
		}
		for _, s := range sealed {
			if secret.SealedUnder(s) != keys.Current() {
				t.Errorf("%s: still under the old key", q)
			}
		}
	}
	if got, err := secret.NewVault(other).Get(ctx, st.Read(), "a"); err != nil || string(got) != "one" {
		t.Errorf("the other process reads %q, %v", string(got), err)
	}
	if _, err := log.Checkpoint(ctx); err != nil {
		t.Errorf("the signing key does not open after the rotation: %v", err)
	}
	for i := range int64(3) {
		if _, err := log.Content(ctx, st.Read(), i); err != nil {
			t.Errorf("entry %d after the rotation: %v", i, err)
		}
	}
}

func TestAnotherKeyFolderOpensNothing(t *testing.T) {
	ctx := context.Background()
	st, v, _ := open(t, newKeys(t))
	put(t, st, v, "a", "one")
	if _, err := secret.NewVault(newKeys(t)).Get(ctx, st.Read(), "a"); !fault.Is(err, "secret.unknown_key") {
		t.Errorf("err = %v", err)
	}
}

func TestAKeyFolderThatOthersMayReadIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	if _, err := secret.Open(dir); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]fs.FileMode{dir: 0o750, filepath.Join(dir, "kek-0001.key"): 0o640} {
		st, err := os.Stat(path)
		if err != nil || st.Mode().Perm()&0o077 != 0 {
			t.Fatalf("%s was made with mode %v (%v)", filepath.Base(path), st.Mode(), err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := secret.Open(dir); !fault.Is(err, "secret.loose_permissions") {
			t.Errorf("%s with mode %o: %v", filepath.Base(path), mode, err)
		}
		if err := os.Chmod(path, st.Mode()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := secret.Open(dir); err != nil {
		t.Errorf("mended: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kek-0001.key"), []byte("fengsui-kek-v1 AAAA\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := secret.Open(dir); !fault.Is(err, "secret.bad_key_file") {
		t.Errorf("a damaged key: %v", err)
	}
}

func TestProcessesThatOpenANewFolderAtOnceShareOneKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			k, err := secret.Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = k.Current()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("keys differ: %v", ids)
		}
	}
}

func TestOpenExistingMakesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	if _, err := secret.OpenExisting(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("err = %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("it made the folder")
	}
}

func TestAValueDoesNotPrintLogOrMarshal(t *testing.T) {
	v := secret.Value("hush-hush")
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "v", v)
	for _, s := range []string{fmt.Sprint(v), fmt.Sprintf("%s %v %#v", v, v, v), logged.String()} {
		if strings.Contains(s, "hush") || !strings.Contains(s, "[secret]") {
			t.Errorf("printed: %s", s)
		}
	}
	if _, err := json.Marshal(map[string]any{"v": v}); err == nil {
		t.Error("it became JSON")
	}
}
