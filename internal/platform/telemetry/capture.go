package telemetry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"github.com/uptrace/bun"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// sealWithin bounds how long a batch waits for the main database: rows come before captures.
const sealWithin = 3 * time.Second

// encrypt turns the contents of a batch into captures, each under a random key that is sealed for its
// subject, all in one write of the main database. If that fails, the rows go on without captures, and
// the loss is counted: a missing capture is shown on the incident as a red line. What a gateway handed in is refused instead while the
// database is away.
func (l *Log) encrypt(ctx context.Context, b *batch) error {
	b.sealed = true
	if len(b.captures) == 0 {
		return nil
	}
	keys := make([][]byte, len(b.captures))
	for i, content := range b.contents {
		c := &b.captures[i]
		key := make([]byte, chacha20poly1305.KeySize)
		if _, err := rand.Read(key); err != nil {
			return err
		}
		body, err := seal(key, c.label(), content)
		if err != nil {
			return err
		}
		keys[i], c.Body, c.SHA256 = key, body, hexSum(body)
	}
	b.contents = nil
	wctx, cancel := context.WithTimeout(ctx, sealWithin)
	defer cancel()
	err := l.o.Store.Write(wctx, store.System("telemetry"), func(tx *store.Tx) error {
		for i := range b.captures {
			sealed, err := l.o.Vault.Seal(wctx, tx, b.captures[i].Scope, keys[i])
			if err != nil {
				return err
			}
			b.captures[i].SealedKey = sealed
		}
		return nil
	})
	if b.lasting && (fault.KindOf(err) == fault.KindUnavailable || errors.Is(err, context.DeadlineExceeded)) {
		return err // a gateway has the content still, and hands it in again when the database is back
	}
	if err != nil {
		l.counters.capturesLost.Add(int64(len(b.captures)))
		l.o.Logger.Error("captured content could not be kept", "count", len(b.captures), "error", err)
		b.captures = nil
	}
	return nil
}

func (c Capture) label() []byte { return []byte("telemetry.capture:" + c.RequestID + ":" + c.Stage) }

func seal(key, label []byte, content *Content) ([]byte, error) {
	plain, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return aead.Seal(nonce, nonce, plain, label), nil
}

func hexSum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// Intact reports whether the ciphertext is still the one that was stored.
func (c Capture) Intact() bool { return hexSum(c.Body) == c.SHA256 }

// Read decrypts c with its data key. Errors: fault conflict telemetry.altered if the ciphertext or the
// key is not what it was.
func (c Capture) Read(key []byte) (Content, error) {
	var content Content
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return content, fault.Conflict("content", "telemetry.altered").Because(err)
	}
	if len(c.Body) < aead.NonceSize() {
		return content, fault.Conflict("content", "telemetry.altered")
	}
	plain, err := aead.Open(nil, c.Body[:aead.NonceSize()], c.Body[aead.NonceSize():], c.label())
	if err != nil {
		return content, fault.Conflict("content", "telemetry.altered").Because(err)
	}
	return content, json.Unmarshal(plain, &content)
}

// DataKey opens the random key of a capture with its subject's key. Once the subject is erased this
// fails for good. Whoever asks has checked that it may.
func (l *Log) DataKey(ctx context.Context, db bun.IDB, c Capture) ([]byte, error) {
	return l.o.Vault.Open(ctx, db, c.Scope, c.SealedKey)
}

// recent remembers the last few thousand names.
type recent struct {
	known map[string]bool
	ring  []string
	at    int
}

const recentSize = 8192

// add reports whether name is new, and remembers it.
func (r *recent) add(name string) bool {
	if r.known == nil {
		r.known, r.ring = make(map[string]bool, recentSize), make([]string, recentSize)
	}
	if r.known[name] {
		return false
	}
	delete(r.known, r.ring[r.at])
	r.known[name], r.ring[r.at] = true, name
	r.at = (r.at + 1) % recentSize
	return true
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
