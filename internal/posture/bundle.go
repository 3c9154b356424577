package posture

import (
	"crypto/ed25519"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Sign checks an order and puts it into an envelope.
func (o Order) Sign(key ed25519.PrivateKey) (Signed, error) {
	if err := o.Check(); err != nil {
		return Signed{}, err
	}
	body, err := json.Marshal(o, json.Deterministic(true))
	if err != nil {
		return Signed{}, fault.Invalid("order", "posture.malformed").Because(err)
	}
	return Sign(key, DomainOrder, body), nil
}

// OpenOrder verifies, parses and checks a signed order.
func OpenOrder(s Signed, trusted ...ed25519.PublicKey) (Order, error) {
	body, err := s.Verify(DomainOrder, trusted...)
	if err != nil {
		return Order{}, err
	}
	var o Order
	if err := decode(body, &o); err != nil {
		return Order{}, fault.Invalid("order", "posture.malformed").Because(err)
	}
	return o, o.Check()
}

// Bundle is all that control hands to a gateway, complete each time: what is not in it is not in force.
type Bundle struct {
	Format   int          `json:"format"`
	Epoch    int64        `json:"epoch"`     // begins anew when control was restored from a backup; never falls
	Revision int64        `json:"revision"`  // grows with every change inside an epoch
	OrderSeq int64        `json:"order_seq"` // highest seq ever issued; never falls inside an epoch
	IssuedMs int64        `json:"issued_ms"`
	Postures []Signed     `json:"postures"`
	Keys     []GatewayKey `json:"keys"`
	Orders   []Signed     `json:"orders"`
	Stops    []string     `json:"stops,omitempty"` // sealed tokens that do not bind by themselves any more
}

// Opened is a bundle that was verified, with its parts parsed.
type Opened struct {
	Epoch    int64
	Revision int64
	OrderSeq int64
	IssuedMs int64
	Postures []*Posture
	Keys     []GatewayKey
	Orders   []Order // in force only, by seq
	Stops    []string
	Digest   string // of the bundle's payload: two bundles of one revision must have one digest
}

// NewBundle signs everything with one key. OrderSeq is raised to the highest seq among orders.
func NewBundle(key ed25519.PrivateKey, b Bundle, postures []*Posture, orders []Order) (Signed, error) {
	b.Format = Format
	b.Keys = slices.Clone(b.Keys)
	if b.Keys == nil {
		b.Keys = []GatewayKey{}
	}
	b.Postures, b.Orders = []Signed{}, []Signed{}
	for _, p := range postures {
		b.Postures = append(b.Postures, p.Sign(key))
	}
	for _, o := range orders {
		s, err := o.Sign(key)
		if err != nil {
			return Signed{}, err
		}
		b.OrderSeq = max(b.OrderSeq, o.Seq)
		b.Orders = append(b.Orders, s)
	}
	body, err := json.Marshal(b, json.Deterministic(true))
	if err != nil {
		return Signed{}, fault.Invalid("bundle", "posture.malformed").Because(err)
	}
	s := Sign(key, DomainBundle, body)
	known := map[string]*Posture{}
	for _, p := range postures {
		known[p.digest] = p
	}
	if _, err := OpenBundle(s, known, key.Public().(ed25519.PublicKey)); err != nil {
		return Signed{}, err
	}
	return s, nil
}

// OpenBundle verifies the bundle and everything in it. known may hold postures by digest that were
// parsed before, so that an order does not cost parsing all rules again; nil is fine.
func OpenBundle(s Signed, known map[string]*Posture, trusted ...ed25519.PublicKey) (*Opened, error) {
	body, err := s.Verify(DomainBundle, trusted...)
	if err != nil {
		return nil, err
	}
	var b Bundle
	if err := decode(body, &b); err != nil {
		return nil, fault.Invalid("bundle", "posture.malformed").Because(err)
	}
	switch {
	case b.Format != Format:
		return nil, fault.Invalid("bundle.format", "posture.unknown_format", "format", b.Format)
	case b.Revision <= 0 || b.Epoch < 0 || b.OrderSeq < 0:
		return nil, fault.Invalid("bundle.revision", "posture.missing")
	}
	o := &Opened{Epoch: b.Epoch, Revision: b.Revision, OrderSeq: b.OrderSeq, IssuedMs: b.IssuedMs, Keys: b.Keys, Stops: b.Stops, Digest: digest(body)}
	services := map[string]bool{}
	for _, sp := range b.Postures {
		pb, err := sp.Verify(DomainPosture, trusted...)
		if err != nil {
			return nil, err
		}
		p := known[digest(pb)]
		if p == nil {
			if p, err = Parse(pb); err != nil {
				return nil, err
			}
		}
		if services[p.ServiceID()] {
			return nil, fault.Invalid("bundle.postures", "posture.repeated", "value", p.ServiceID())
		}
		services[p.ServiceID()] = true
		o.Postures = append(o.Postures, p)
	}
	if err := o.openOrders(b, trusted); err != nil {
		return nil, err
	}
	return o, checkKeys(b.Keys)
}

func (o *Opened) openOrders(b Bundle, trusted []ed25519.PublicKey) error {
	ids := map[string]bool{}
	for _, so := range b.Orders {
		ord, err := OpenOrder(so, trusted...)
		if err != nil {
			return err
		}
		if ids[ord.ID] {
			return fault.Invalid("bundle.orders", "posture.repeated", "value", ord.ID)
		}
		ids[ord.ID] = true
		if ord.Seq > b.OrderSeq {
			return fault.Invalid("bundle.order_seq", "posture.seq_behind", "seq", ord.Seq)
		}
		if ord.State == InForce {
			o.Orders = append(o.Orders, ord)
		}
	}
	slices.SortFunc(o.Orders, func(a, b Order) int { return int(min(max(a.Seq-b.Seq, -1), 1)) })
	return nil
}

func checkKeys(keys []GatewayKey) error {
	for _, k := range keys {
		switch {
		case k.ID == "" || k.ServiceID == "" || len(k.Hash) != 64:
			return fault.Invalid("bundle.keys", "posture.missing")
		case k.Kind != Real && k.Kind != Drill && k.Kind != Test:
			return fault.Invalid("bundle.keys."+k.ID+".kind", "posture.unknown_value", "value", string(k.Kind))
		}
	}
	if id, twice := repeated(keys, func(k GatewayKey) string { return k.Hash }); twice {
		return fault.Invalid("bundle.keys", "posture.repeated", "value", id)
	}
	return nil
}

// Succeeds reports whether o may take the place of have: nil if it may or is the same, otherwise a
// conflict that says why. An older revision or a lower order seq is never taken, so a replayed
// bundle cannot loosen anything.
func (o *Opened) Succeeds(have *Opened) error {
	switch {
	case have == nil:
		return nil
	case o.Epoch != have.Epoch:
		if o.Epoch < have.Epoch {
			return fault.Conflict("bundle.epoch", "posture.older", "have", have.Epoch, "got", o.Epoch)
		}
		return nil
	case o.Revision < have.Revision:
		return fault.Conflict("bundle.revision", "posture.older", "have", have.Revision, "got", o.Revision)
	case o.Revision == have.Revision && o.Digest != have.Digest:
		return fault.Conflict("bundle.revision", "posture.same_revision", "revision", o.Revision)
	case o.OrderSeq < have.OrderSeq:
		return fault.Conflict("bundle.order_seq", "posture.older", "have", have.OrderSeq, "got", o.OrderSeq)
	}
	return nil
}
