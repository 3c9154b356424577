package posture

import (
	"crypto/ed25519"
	"math"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// DomainStop is what the signature of a Stop is about.
const DomainStop Domain = "fengsui/stop/v1"

// Stop is a sealed token: signed beforehand, it takes one service offline on a gateway's host without control. It
// binds until a bundle says that control took it over, by an order, or voided it.
type Stop struct {
	Format    int    `json:"format"`
	ID        string `json:"id"`
	ServiceID string `json:"service_id"`
	IssuedMs  int64  `json:"issued_ms"`
}

// Sign seals a token.
func (s Stop) Sign(key ed25519.PrivateKey) (Signed, error) {
	s.Format = Format
	body, err := json.Marshal(s, json.Deterministic(true))
	if err != nil {
		return Signed{}, fault.Invalid("stop", "posture.malformed", "field", "stop").Because(err)
	}
	return Sign(key, DomainStop, body), nil
}

// OpenStop verifies and parses a sealed token.
func OpenStop(s Signed, trusted ...ed25519.PublicKey) (Stop, error) {
	body, err := s.Verify(DomainStop, trusted...)
	if err != nil {
		return Stop{}, err
	}
	var st Stop
	if err := decode(body, &st); err != nil {
		return Stop{}, fault.Invalid("stop", "posture.malformed", "field", "stop").Because(err)
	}
	if st.Format != Format || st.ID == "" || st.ServiceID == "" || st.IssuedMs <= 0 {
		return Stop{}, fault.Invalid("stop", "posture.malformed", "field", "stop")
	}
	return st, nil
}

// Order is what a sealed token says to a gateway.
func (s Stop) Order() Order {
	return Order{ID: s.ID, Seq: math.MaxInt64, Kind: Real, Rung: ServiceOffline, Scope: Scope{ServiceID: s.ServiceID}, IssuedMs: s.IssuedMs, State: InForce}
}
