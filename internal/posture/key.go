package posture

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// KeyPrefix begins every gateway key, so that secret scanners can find one that leaked.
const KeyPrefix = "fsk-"

// GatewayKey is what a gateway knows of a client key: whose traffic it carries, and a hash. A fast
// hash is right here because the key is 256 random bits, not a password.
type GatewayKey struct {
	ID         string `json:"id"`
	Hash       string `json:"hash"` // HashKey of the key
	OperatorID string `json:"operator_id"`
	TenantID   string `json:"tenant_id"`
	ServiceID  string `json:"service_id"`
	Group      string `json:"group"`
	Kind       Kind   `json:"kind"`      // real, drill or test: marks every request made with it
	Simulated  bool   `json:"simulated"` // may mark requests as simulated
	Enabled    bool   `json:"enabled"`
}

// NewKey makes a gateway key of 256 random bits.
func NewKey() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails; the runtime aborts instead (crypto/rand since Go 1.24)
	return KeyPrefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// HashKey is the hex SHA-256 of a key, or "" for what cannot be a key of ours.
func HashKey(key string) string {
	if !strings.HasPrefix(key, KeyPrefix) || len(key) < len(KeyPrefix)+32 || len(key) > 256 {
		return ""
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}
