package posture

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

func bundle(t *testing.T, b Bundle, orders ...Order) Signed {
	t.Helper()
	p, err := Compile(testDraft())
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewBundle(testKey(1), b, []*Posture{p}, orders)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func open(t *testing.T, s Signed) *Opened {
	t.Helper()
	o, err := OpenBundle(s, nil, testKey(1).Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestABundleSurvivesTheWireAndKeepsOnlyOrdersInForce(t *testing.T) {
	s := bundle(t, Bundle{Revision: 3}, order("b", 2, StrictFilter), order("a", 1, TopicBlock), order("c", 3, ServiceOffline, func(o *Order) { o.State = Lifted }))
	wire, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back Signed
	if err := json.Unmarshal(wire, &back); err != nil {
		t.Fatal(err)
	}
	o := open(t, back)
	if o.Revision != 3 || o.OrderSeq != 3 || len(o.Orders) != 2 || o.Orders[0].ID != "a" || len(o.Postures) != 1 || o.Postures[0].ServiceID() != "svc1" {
		t.Fatalf("%+v", o)
	}
}

func TestABundleWithAForeignPartIsRefused(t *testing.T) {
	p, _ := Compile(testDraft())
	foreign, _ := order("x", 1, StrictFilter).Sign(testKey(2))
	good, _ := order("x", 1, StrictFilter).Sign(testKey(1))
	for name, b := range map[string]Bundle{
		"order of another signer":   {Format: 1, Revision: 1, OrderSeq: 1, Orders: []Signed{foreign}},
		"posture of another signer": {Format: 1, Revision: 1, Postures: []Signed{p.Sign(testKey(2))}},
		"order passed as posture":   {Format: 1, Revision: 1, Postures: []Signed{good}},
		"two postures of a service": {Format: 1, Revision: 1, Postures: []Signed{p.Sign(testKey(1)), p.Sign(testKey(1))}},
		"order twice":               {Format: 1, Revision: 1, OrderSeq: 1, Orders: []Signed{good, good}},
		"seq above the bundle's":    {Format: 1, Revision: 1, Orders: []Signed{good}},
		"format of the future":      {Format: 2, Revision: 1},
		"no revision":               {Format: 1},
		"key without hash":          {Format: 1, Revision: 1, Keys: []GatewayKey{{ID: "k", ServiceID: "svc1", Kind: Real}}},
		"key of unknown kind":       {Format: 1, Revision: 1, Keys: []GatewayKey{{ID: "k", ServiceID: "svc1", Kind: "x", Hash: strings.Repeat("a", 64)}}},
	} {
		body, _ := json.Marshal(b, json.Deterministic(true))
		if _, err := OpenBundle(Sign(testKey(1), DomainBundle, body), nil, testKey(1).Public().(ed25519.PublicKey)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	body, _ := json.Marshal(Bundle{Format: 1, Revision: 1, OrderSeq: 1, Orders: []Signed{good}}, json.Deterministic(true))
	if _, err := OpenBundle(Sign(testKey(1), DomainBundle, body), nil, testKey(1).Public().(ed25519.PublicKey)); err != nil {
		t.Errorf("control: %v", err)
	}
}

func TestAnOlderBundleNeverTakesThePlaceOfANewerOne(t *testing.T) {
	have := open(t, bundle(t, Bundle{Revision: 5, Epoch: 1, OrderSeq: 7}))
	for _, c := range []struct {
		name string
		b    Bundle
		ok   bool
	}{
		{"next revision", Bundle{Revision: 6, Epoch: 1, OrderSeq: 7}, true},
		{"the same bundle again", Bundle{Revision: 5, Epoch: 1, OrderSeq: 7}, true},
		{"same revision, other content", Bundle{Revision: 5, Epoch: 1, OrderSeq: 8}, false},
		{"older revision", Bundle{Revision: 4, Epoch: 1, OrderSeq: 9}, false},
		{"newer revision, older orders", Bundle{Revision: 6, Epoch: 1, OrderSeq: 6}, false},
		{"older epoch", Bundle{Revision: 9, Epoch: 0, OrderSeq: 9}, false},
		{"new epoch starts anew", Bundle{Revision: 1, Epoch: 2, OrderSeq: 0}, true},
	} {
		err := open(t, bundle(t, c.b)).Succeeds(have)
		if (err == nil) != c.ok || err != nil && fault.KindOf(err) != fault.KindConflict {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
