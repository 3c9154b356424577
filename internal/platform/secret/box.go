// Package secret keeps what must not be read: one key-encryption key (KEK) in a key folder outside
// the data folder and its backups, and small secrets sealed under it in the main database.
package secret

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"log/slog"

	"golang.org/x/crypto/chacha20poly1305"
)

// KeySize is the length of every symmetric key, in bytes.
const KeySize = chacha20poly1305.KeySize

// ErrUnseal says that sealed bytes, their label or the key are not those of the sealing.
var ErrUnseal = errors.New("secret: sealed bytes do not open")

// Value is a secret in the clear. It prints and logs as "[secret]" and refuses to become JSON.
type Value []byte

// String hides the value.
func (Value) String() string { return "[secret]" }

// GoString hides the value from %#v.
func (Value) GoString() string { return "[secret]" }

// LogValue hides the value from slog.
func (Value) LogValue() slog.Value { return slog.StringValue("[secret]") }

// MarshalJSON always fails: a secret leaves through no answer.
func (Value) MarshalJSON() ([]byte, error) {
	return nil, errors.New("secret: a secret value cannot be marshalled")
}

// Box seals bytes under one key with XChaCha20-Poly1305; the nonce is random and stands in front.
type Box struct{ aead cipher.AEAD }

// NewBox makes a box from a key of KeySize bytes.
func NewBox(key []byte) (Box, error) {
	aead, err := chacha20poly1305.NewX(key)
	return Box{aead}, err
}

// NewKey makes a random key of KeySize bytes.
func NewKey() []byte { return Random(KeySize) }

// Random makes n random bytes.
func Random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) //nolint:errcheck // crypto/rand.Read never fails: it ends the program instead
	return b
}

// Seal encrypts plain. label is authenticated, not kept: the same label must be given to Unseal, so
// that sealed bytes cannot be moved to another place.
func (b Box) Seal(label string, plain []byte) []byte {
	nonce := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(plain)+chacha20poly1305.Overhead)
	rand.Read(nonce) //nolint:errcheck // as in Random
	return b.aead.Seal(nonce, nonce, plain, []byte(label))
}

// Unseal decrypts what Seal made; anything else is ErrUnseal.
func (b Box) Unseal(label string, sealed []byte) ([]byte, error) {
	if len(sealed) < chacha20poly1305.NonceSizeX {
		return nil, ErrUnseal
	}
	nonce, body := sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:]
	plain, err := b.aead.Open(nil, nonce, body, []byte(label))
	if err != nil {
		return nil, ErrUnseal
	}
	return plain, nil
}
