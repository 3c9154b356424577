// Package telemetrytest helps tests of what is built on telemetry: a store whose record entries can be
// looked at, and a vault with real encryption and keys that can be erased.
package telemetrytest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/uptrace/bun"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
)

// Vault keeps one AEAD key a scope, in memory.
type Vault struct {
	mu   sync.Mutex
	keys map[string][]byte
	Fail error // returned by Seal if set; set it before use
}

// Seal encrypts under the key of scope, made at first use.
func (v *Vault) Seal(_ context.Context, _ *store.Tx, scope string, plain []byte) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.Fail != nil {
		return "", v.Fail
	}
	if v.keys == nil {
		v.keys = map[string][]byte{}
	}
	if v.keys[scope] == nil {
		v.keys[scope] = random(chacha20poly1305.KeySize)
	}
	aead, err := chacha20poly1305.NewX(v.keys[scope])
	if err != nil {
		return "", err
	}
	nonce := random(aead.NonceSize())
	return base64.StdEncoding.EncodeToString(aead.Seal(nonce, nonce, plain, []byte(scope))), nil
}

// Open decrypts what Seal made for the same scope.
func (v *Vault) Open(_ context.Context, _ bun.IDB, scope, sealed string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.keys[scope] == nil {
		return nil, errors.New("no key for this scope")
	}
	raw, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.NewX(v.keys[scope])
	if err != nil {
		return nil, err
	}
	if len(raw) < aead.NonceSize() {
		return nil, errors.New("too short")
	}
	return aead.Open(nil, raw[:aead.NonceSize()], raw[aead.NonceSize():], []byte(scope))
}

// Erase forgets the key of scope.
func (v *Vault) Erase(scope string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.keys, scope)
}

func random(n int) []byte {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		panic(err) // documented never to happen
	}
	return b
}

// Recorder keeps the entries of committed writes, as far as Append can tell.
type Recorder struct {
	mu      sync.Mutex
	entries []Entry
	Fail    error // returned by Append if set, which undoes the write
}

// Entry is what was recorded, by whom.
type Entry struct {
	store.Entry
	Actor   string
	Content string // as JSON
}

// Append implements store.Recorder.
func (r *Recorder) Append(_ context.Context, _ bun.Tx, _ int64, entries []store.Entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Fail != nil {
		return r.Fail
	}
	for _, e := range entries {
		js, err := json.Marshal(e.Content)
		if err != nil {
			return err
		}
		r.entries = append(r.entries, Entry{Entry: e, Actor: e.Actor.ID, Content: string(js)})
	}
	return nil
}

// Of lists the entries with this action.
func (r *Recorder) Of(action string) []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Entry
	for _, e := range r.entries {
		if e.Action == action {
			out = append(out, e)
		}
	}
	return out
}

// OpenStore opens a main database in dir, closed when the test ends.
func OpenStore(t testing.TB, dir string, c clock.Clock, r store.Recorder) *store.Store {
	t.Helper()
	st, err := store.Open(t.Context(), storetest.With(t, store.Options{Dir: dir, Clock: c, Recorder: r}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// Alter changes what a day holds, past the log. dir is the data folder.
func Alter(t testing.TB, dir, day, statement string, args ...any) {
	t.Helper()
	ctx := context.Background()
	var db *bun.DB
	if storetest.On() == storetest.Postgres {
		var done func()
		db, done = storetest.Raw(t, dir)
		defer done()
	} else {
		var err error
		if db, err = store.OpenSQLite(ctx, filepath.Join(dir, "telemetry", telemetry.FileOf(day)), store.Relaxed, 1); err != nil {
			t.Fatal(err)
		}
		defer db.Close()
	}
	if err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if storetest.On() == storetest.Postgres {
			if err := telemetry.At(ctx, tx, day); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, statement, args...)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// Run opens a log on st and runs it; stop ends and closes it, and is called by the end of the test at the latest.
func Run(t testing.TB, o telemetry.Options) (l *telemetry.Log, stop func()) {
	t.Helper()
	if o.Pause == 0 {
		o.Pause = -1
	}
	l, err := telemetry.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("telemetry ended with %v", err)
			}
			if err := l.Close(); err != nil {
				t.Errorf("closing telemetry: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return l, stop
}
