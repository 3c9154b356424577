//go:build torture

package storm

import (
	"context"
	"fmt"
	"time"
)

// mostLate is how long after control says that a gateway obeys a word may still be read here: it lay in the kernel
// of this machine, whose processors a thousand streams share.
const mostLate = 250 * time.Millisecond

// order stops the streams of a tenant, sees that they end and stay ended, and has two persons lift it again. healed says
// that nothing is broken meanwhile, so that the effect counts.
func (s *storm) order(ctx context.Context, r *row, tenant int, healed bool) {
	s.crowd.held[tenant].Store(true)
	defer s.crowd.held[tenant].Store(false)
	time.Sleep(50 * time.Millisecond) // who was about to open a stream has
	hit := s.crowd.of(tenant)
	s.orders++
	key := fmt.Sprint("order-", s.orders)
	var o struct{ ID string }
	_, err := s.insist(ctx, 0, "POST", "/orders", key, map[string]any{"cause": "incident", "cause_id": s.cause, "rung": "audience_limit", "service_id": s.service,
		"tenant": name(tenant), "params": map[string]any{"allowed_groups": []string{"nobody"}}, "reason": "storm"}, &o)
	asked := time.Now()
	if err != nil {
		s.fail("%s: an order: %v", r.name, err)
		return
	}
	s.ledger.add("order", o.ID, time.Time{})
	told, err := s.acknowledged(ctx, o.ID)
	if err != nil {
		s.fail("%s: order %s: %v", r.name, o.ID, err)
		return
	}
	time.Sleep(mostLate)
	for g := range hit {
		for _, x := range hit[g] {
			select {
			case <-x.done:
			case <-time.After(time.Second):
				s.fail("%s: a stream of %s goes on after the order was acknowledged", r.name, s.gates[g].name)
				r.harmful++
				continue
			}
			if time.UnixMicro(x.lastUs.Load()).After(told[g].Add(mostLate)) {
				r.harmful++
			}
			effect := max(0, time.UnixMicro(x.end.Load()).Sub(asked))
			r.streams++
			if healed {
				r.effects = append(r.effects, effect)
			} else {
				r.during = append(r.during, effect)
			}
		}
		if code, body, err := s.crowd.chat(ctx, g, tenant, "hi", false); err == nil && code == 200 {
			s.fail("%s: %s answers against order %s: %s", r.name, s.gates[g].name, o.ID, body)
		}
	}
	s.lift(ctx, r, o.ID, key)
}

// acknowledged waits until both gateways obey, and gives when this was learnt of each.
func (s *storm) acknowledged(ctx context.Context, id string) (told [2]time.Time, err error) {
	var p struct {
		Acks []struct {
			GatewayID string `json:"gateway_id"`
		}
	}
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err = s.insist(ctx, 0, "GET", "/orders/"+id, "", nil, &p); err != nil {
			return told, err
		}
		for _, a := range p.Acks {
			for g := range s.gates {
				if s.gates[g].name == a.GatewayID && told[g].IsZero() {
					told[g] = time.Now()
				}
			}
		}
		if !told[0].IsZero() && !told[1].IsZero() {
			return told, nil
		}
	}
	return told, fmt.Errorf("only %d gateways obey", len(p.Acks))
}

// lift has one person ask and the other confirm.
func (s *storm) lift(ctx context.Context, r *row, order, key string) {
	var second struct{ ID string }
	if _, err := s.insist(ctx, 0, "POST", "/orders/"+order+"/lift", key+"-lift", map[string]any{"reason": "storm"}, &second); err != nil {
		s.fail("%s: lifting: %v", r.name, err)
		return
	}
	if _, err := s.insist(ctx, 1, "POST", "/second-signatures/"+second.ID+"/decide", key+"-second", map[string]any{"approve": true, "reason": "storm"}, nil); err != nil {
		s.fail("%s: the second signature: %v", r.name, err)
		return
	}
	s.ledger.add("lifted", order, time.Time{})
}
