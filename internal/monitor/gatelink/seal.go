package gatelink

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Sealing is HPKE (RFC 9180) with X25519, HKDF-SHA256 and AES-256-GCM. Info says what a seal is for, so that one
// cannot be passed off as another.
const (
	infoFacts = "fengsui/gate/facts/v1\x00"
	infoSpool = "fengsui/gate/spool/v1"
)

func suite() (hpke.KDF, hpke.AEAD) { return hpke.HKDFSHA256(), hpke.AES256GCM() }

// SealTo seals a value to a gateway's public key (X25519, 32 bytes); ref binds it to its name.
func SealTo(publicKey []byte, ref string, value []byte) ([]byte, error) {
	pub, err := publicOf(publicKey)
	if err != nil {
		return nil, err
	}
	kdf, aead := suite()
	return hpke.Seal(pub, kdf, aead, []byte(infoFacts+ref), value)
}

// Unseal opens what SealTo sealed.
func Unseal(key *ecdh.PrivateKey, ref string, sealed []byte) ([]byte, error) {
	k, err := hpke.NewDHKEMPrivateKey(key)
	if err != nil {
		return nil, err
	}
	kdf, aead := suite()
	return hpke.Open(k, kdf, aead, []byte(infoFacts+ref), sealed)
}

// SpoolKey is control's private key for what gateways keep for it. It is derived, so that every control node of an
// instance has the same one and none is stored.
func SpoolKey(seed []byte) (*ecdh.PrivateKey, error) {
	raw, err := hkdf.Key(sha256.New, seed, nil, infoSpool, 32)
	if err != nil {
		return nil, err
	}
	return ecdh.X25519().NewPrivateKey(raw)
}

func publicOf(raw []byte) (hpke.PublicKey, error) {
	pub, err := ecdh.X25519().NewPublicKey(raw)
	if err != nil {
		return nil, fault.Invalid("public_key", "posture.malformed", "field", "public_key").Because(err)
	}
	return hpke.NewDHKEMPublicKey(pub)
}
