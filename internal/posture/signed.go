package posture

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Domain says what a signature is about, so that one thing cannot be passed off as another.
type Domain string

// The domains.
const (
	DomainPosture Domain = "fengsui/posture/v1"
	DomainOrder   Domain = "fengsui/order/v1"
	DomainBundle  Domain = "fengsui/bundle/v1"
)

// Signed is a payload with the signature of control. The signature is ed25519 (RFC 8032) over
// domain, a zero byte and the SHA-256 of the payload.
type Signed struct {
	KeyID     string `json:"key_id"`
	Domain    Domain `json:"domain"`
	Payload   []byte `json:"payload"`   // base64 in JSON
	Signature []byte `json:"signature"` // base64 in JSON
}

// KeyID names a public key: the first 16 hex digits of its SHA-256.
func KeyID(pub ed25519.PublicKey) string {
	sum := sha256.Sum256(pub)
	return hex.EncodeToString(sum[:8])
}

// Digest names the payload, "sha256:" and hex. Two bundles of one revision must have one.
func (s Signed) Digest() string { return digest(s.Payload) }

func message(domain Domain, payload []byte) []byte {
	sum := sha256.Sum256(payload)
	m := make([]byte, 0, len(domain)+1+len(sum))
	m = append(m, domain...)
	m = append(m, 0)
	return append(m, sum[:]...)
}

// Sign puts payload into an envelope.
func Sign(key ed25519.PrivateKey, domain Domain, payload []byte) Signed {
	return Signed{
		KeyID:     KeyID(key.Public().(ed25519.PublicKey)),
		Domain:    domain,
		Payload:   payload,
		Signature: ed25519.Sign(key, message(domain, payload)),
	}
}

// Verify gives the payload if one of the trusted keys signed it for this domain.
func (s Signed) Verify(domain Domain, trusted ...ed25519.PublicKey) ([]byte, error) {
	if s.Domain != domain {
		return nil, fault.Invalid("signed.domain", "posture.wrong_domain", "domain", string(s.Domain))
	}
	for _, pub := range trusted {
		if len(pub) != ed25519.PublicKeySize || KeyID(pub) != s.KeyID {
			continue
		}
		if ed25519.Verify(pub, message(domain, s.Payload), s.Signature) {
			return s.Payload, nil
		}
		return nil, fault.Invalid("signed.signature", "posture.bad_signature")
	}
	return nil, fault.Invalid("signed.key_id", "posture.unknown_signer", "key", s.KeyID)
}

// Sign puts the posture's canonical bytes into an envelope.
func (p *Posture) Sign(key ed25519.PrivateKey) Signed { return Sign(key, DomainPosture, p.Bytes()) }

// OpenPosture verifies and parses a signed posture.
func OpenPosture(s Signed, trusted ...ed25519.PublicKey) (*Posture, error) {
	body, err := s.Verify(DomainPosture, trusted...)
	if err != nil {
		return nil, err
	}
	return Parse(body)
}
