package posture

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"slices"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Slim is a signed envelope whose payload was cut where large parts stand that the receiver may hold
// already, so that an order does not carry all rules with it. Joined again it is byte for byte what was
// signed, so nothing in it has to be trusted before the signature is verified.
type Slim struct {
	KeyID     string  `json:"key_id"`
	Domain    Domain  `json:"domain"`
	Signature []byte  `json:"signature"` // base64 in JSON
	Pieces    []Piece `json:"pieces"`
}

// Piece is a run of the payload: the text itself, or the part with this digest. One of the two is set.
type Piece struct {
	Text string `json:"text,omitzero"`
	Part string `json:"part,omitzero"` // its digest, "sha256:" and hex
}

// worthCutting is from how many bytes on a part is left out; below it the digest is hardly shorter.
const worthCutting = 512

// Cut takes the parts out of an envelope. What of them does not stand in the payload, or is small, stays. The
// parts that were left out are returned by digest.
func Cut(s Signed, parts [][]byte) (Slim, map[string][]byte) {
	type place struct{ at, end int }
	var places []place
	for _, p := range parts {
		if len(p) < worthCutting {
			continue
		}
		at := bytes.Index(s.Payload, p)
		if at < 0 || slices.ContainsFunc(places, func(o place) bool { return at < o.end && o.at < at+len(p) }) {
			continue
		}
		places = append(places, place{at, at + len(p)})
	}
	slices.SortFunc(places, func(a, b place) int { return a.at - b.at })
	out, left := Slim{KeyID: s.KeyID, Domain: s.Domain, Signature: s.Signature, Pieces: []Piece{}}, map[string][]byte{}
	from := 0
	for _, p := range places {
		if p.at > from {
			out.Pieces = append(out.Pieces, Piece{Text: string(s.Payload[from:p.at])})
		}
		part := s.Payload[p.at:p.end]
		left[digest(part)] = part
		out.Pieces = append(out.Pieces, Piece{Part: digest(part)})
		from = p.end
	}
	if from < len(s.Payload) {
		out.Pieces = append(out.Pieces, Piece{Text: string(s.Payload[from:])})
	}
	return out, left
}

// Join puts the parts back. Error: fault not-found posture.part_missing that names the digest.
func (s Slim) Join(part func(digest string) ([]byte, bool)) (Signed, error) {
	var payload bytes.Buffer
	for _, p := range s.Pieces {
		if p.Part == "" {
			payload.WriteString(p.Text)
			continue
		}
		b, ok := part(p.Part)
		if !ok {
			return Signed{}, fault.NotFound("bundle.pieces", "posture.part_missing", "digest", p.Part)
		}
		payload.Write(b)
	}
	return Signed{KeyID: s.KeyID, Domain: s.Domain, Signature: s.Signature, Payload: payload.Bytes()}, nil
}

// Parts are the digests that Join will ask for.
func (s Slim) Parts() []string {
	out := []string{}
	for _, p := range s.Pieces {
		if p.Part != "" {
			out = append(out, p.Part)
		}
	}
	return out
}

// IsPart reports whether content is the part with this digest.
func IsPart(content []byte, named string) bool {
	return digest(content) == named
}

// CutBundle leaves out of a signed bundle what an order does not change: the bodies of postures and the keys
// of clients.
func CutBundle(s Signed, trusted ...ed25519.PublicKey) (Slim, map[string][]byte, error) {
	body, err := s.Verify(DomainBundle, trusted...)
	if err != nil {
		return Slim{}, nil, err
	}
	var b Bundle
	if err := decode(body, &b); err != nil {
		return Slim{}, nil, fault.Invalid("bundle", "posture.malformed").Because(err)
	}
	parts := make([][]byte, 0, len(b.Postures)+1)
	for _, p := range b.Postures {
		parts = append(parts, []byte(base64.StdEncoding.EncodeToString(p.Payload)))
	}
	if keys := clientKeys(body); keys != nil {
		parts = append(parts, keys)
	}
	slim, left := Cut(s, parts)
	return slim, left, nil
}

// clientKeys is the run of a bundle's payload that holds its keys up to the first that belongs to an order: such
// keys stand last.
func clientKeys(payload []byte) []byte {
	from := bytes.Index(payload, []byte(`"keys":[`))
	if from < 0 {
		return nil
	}
	rest := payload[from:]
	end := bytes.Index(rest, []byte(`],"`))
	if end < 0 {
		return nil
	}
	if probe := bytes.Index(rest[:end], []byte(`{"id":"`+ProbeKey)); probe >= 0 {
		end = probe
	}
	return bytes.TrimSuffix(rest[:end], []byte(","))
}

// ProbeKey begins the ids of keys that belong to an order in force and come and go with it.
const ProbeKey = "probe:"
