package posture

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// cutAndJoin sends a bundle over the wire without its large parts and puts it together again.
func cutAndJoin(t *testing.T, s Signed) (slim Slim, wire []byte, parts map[string][]byte) {
	t.Helper()
	slim, parts, err := CutBundle(s, testKey(1).Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	if wire, err = json.Marshal(slim); err != nil {
		t.Fatal(err)
	}
	var back Slim
	if err := json.Unmarshal(wire, &back); err != nil {
		t.Fatal(err)
	}
	joined, err := back.Join(func(d string) ([]byte, bool) { b, ok := parts[d]; return b, ok })
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(joined.Payload, s.Payload) {
		t.Fatal("the joined payload is another one")
	}
	open(t, joined)
	return slim, wire, parts
}

func TestABundleThatWasCutIsTheSameWhenJoined(t *testing.T) {
	cutAndJoin(t, bundle(t, Bundle{Revision: 3}))
	d := testDraft()
	for i := range 2000 {
		d.Rules.Terms = append(d.Rules.Terms, Term{ID: fmt.Sprintf("x%d", i), Text: fmt.Sprintf("测试违禁词%d", i), Action: Observe, Risk: "A.1.a"})
	}
	p, err := Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	keys := []GatewayKey{}
	for i := range 500 {
		keys = append(keys, GatewayKey{ID: fmt.Sprintf("k%d", i), ServiceID: "svc1", Kind: Real, Hash: fmt.Sprintf("%064d", i), Enabled: true})
	}
	made := func(rev int64, orders ...Order) Signed {
		k := keys
		for _, o := range orders {
			k = append(k[:len(k):len(k)], GatewayKey{ID: ProbeKey + o.ID, ServiceID: "svc1", Kind: Test, Hash: fmt.Sprintf("f%063d", o.Seq), Enabled: true})
		}
		s, err := NewBundle(testKey(1), Bundle{Revision: rev, Keys: k}, []*Posture{p}, orders)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	_, _, before := cutAndJoin(t, made(1))
	slim, wire, _ := cutAndJoin(t, made(2, order("a", 1, ServiceOffline)))
	for _, part := range slim.Parts() {
		if before[part] == nil {
			t.Errorf("an order makes a gateway fetch %s anew", part)
		}
	}
	if whole := made(2, order("a", 1, ServiceOffline)); len(wire) > 4096 || len(whole.Payload) < 300_000 || len(slim.Parts()) != 2 {
		t.Errorf("an order costs %d bytes of %d in %d parts", len(wire), len(whole.Payload), len(slim.Parts()))
	}
}

func TestACutBundleWithAnAlteredPartIsRefused(t *testing.T) {
	s := bundle(t, Bundle{Revision: 3})
	slim, parts := Cut(s, [][]byte{s.Payload[100 : len(s.Payload)-100]})
	if len(parts) != 1 {
		t.Fatal("nothing was cut")
	}
	for d, p := range parts {
		if !IsPart(p, d) || IsPart(p[1:], d) {
			t.Error("the digest does not tell parts apart")
		}
	}
	altered, err := slim.Join(func(string) ([]byte, bool) { return []byte(strings.Repeat("x", 10)), true })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenBundle(altered, nil, testKey(1).Public().(ed25519.PublicKey)); err == nil {
		t.Error("accepted")
	}
	if _, err := slim.Join(func(string) ([]byte, bool) { return nil, false }); err == nil {
		t.Error("a missing part was not noticed")
	}
}
