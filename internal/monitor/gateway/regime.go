package gateway

import (
	"slices"
	"sync/atomic"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/inspect/injection"
	"github.com/fengsui/fengsui/internal/monitor/guard"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/posture"
)

// regime is a bundle ready for use. It is never changed, only replaced.
type regime struct {
	bundle   *posture.Opened
	keys     map[string]posture.GatewayKey // by hash
	services map[string]*service
}

// service is a posture ready for use.
type service struct {
	digest      string
	posture     *posture.Posture
	draft       posture.Draft // without terms: the engines have them
	deployments map[string]posture.Deployment
	primary     string
	base        *inspect.Engine
	strict      *inspect.Engine            // base and strict set together
	open        *atomic.Int64              // streams of this service
	topics      map[string]*inspect.Engine // one per topic, all blocking: an order costs no compiling
	attempts    [2]attempts                // under the base set, and with the strict set
	swaps       [2]*inspect.Engine         // what placeholders stand for, as attempts
	unswapped   [2]*inspect.Engine         // base and strict without what placeholders stand for; nil if nothing does
	judges      [2]judges                  // as well
	unjudged    []string                   // ids of classifiers that do not judge here, because their model is not in this program; sorted
	guard       *guard.Guard               // nil: nobody is asked
}

// attempts looks for injection in what others wrote; nil where the posture does not ask for it.
type attempts struct{ user, tool *inspect.Engine }

func newAttempts(a posture.Action) (out attempts, err error) {
	action := inspect.Observe
	switch a {
	case posture.Observe:
	case posture.Block:
		action = inspect.Block
	default:
		return out, nil
	}
	rules := injection.Rules(action)
	for i := range rules.Rules {
		rules.Rules[i].Risk = "" // the annex of risks has no code for it; the rule's id says what it is
	}
	if out.user, err = inspect.Compile(rules.In(injection.Input, "")); err != nil {
		return out, err
	}
	out.tool, err = inspect.Compile(rules.In(injection.Tool, ""))
	return out, err
}

// open verifies a bundle. Postures in force need not be parsed again.
func (g *Gateway) open(s posture.Signed, have *regime) (*posture.Opened, error) {
	known := map[string]*posture.Posture{}
	if have != nil {
		for _, svc := range have.services {
			known[svc.digest] = svc.posture
		}
	}
	return posture.OpenBundle(s, known, g.o.TrustedKeys...)
}

// newRegime builds engines for postures that are not in force already.
func newRegime(b *posture.Opened, have *regime) (*regime, error) {
	r := &regime{bundle: b, keys: make(map[string]posture.GatewayKey, len(b.Keys)), services: map[string]*service{}}
	for _, k := range b.Keys {
		r.keys[k.Hash] = k
	}
	for _, p := range b.Postures {
		var svc *service
		if have != nil {
			svc = have.services[p.ServiceID()]
		}
		if svc == nil || svc.digest != p.Digest() {
			var err error
			if svc, err = newService(p); err != nil {
				return nil, err
			}
		}
		r.services[p.ServiceID()] = svc
	}
	return r, nil
}

// under is this regime with more orders on top of its own. It keeps its bundle's revision and digest.
func (r *regime) under(more []posture.Order) *regime {
	b := *r.bundle
	b.Orders = slices.Clone(b.Orders)
	for _, o := range more {
		if !slices.ContainsFunc(b.Orders, func(have posture.Order) bool { return have.ID == o.ID }) {
			b.Orders = append(b.Orders, o)
		}
	}
	return &regime{bundle: &b, keys: r.keys, services: r.services}
}

func newService(p *posture.Posture) (*service, error) {
	d := p.Draft()
	svc := &service{digest: p.Digest(), posture: p, deployments: map[string]posture.Deployment{}, topics: map[string]*inspect.Engine{}, open: &atomic.Int64{}}
	for _, dep := range d.Deployments {
		svc.deployments[dep.ID] = dep
		if dep.Role == posture.RolePrimary {
			svc.primary = dep.ID
		}
	}
	build := func(r posture.Rules) (*inspect.Engine, error) {
		rules, err := engineRules(r, d.Notices)
		if err != nil {
			return nil, fault.Invalid("posture.rules", "gateway.rules_refused").Because(err)
		}
		e, err := inspect.Compile(rules)
		if err != nil {
			return nil, fault.Invalid("posture.rules", "gateway.rules_refused").Because(err)
		}
		return e, nil
	}
	all := d.Tightened()
	var err error
	if svc.strict, err = build(all); err != nil {
		return nil, err
	}
	if len(d.Strict.Terms) <= len(d.Rules.Terms)/sparse {
		svc.base = svc.strict.Without(idsOf(d.Strict)...)
	} else if svc.base, err = build(d.Rules); err != nil {
		return nil, err
	}
	for i, r := range []posture.Rules{d.Rules, all} {
		if svc.attempts[i], err = newAttempts(r.Injection); err != nil {
			return nil, err
		}
		if svc.swaps[i], err = newSwaps(r); err != nil {
			return nil, err
		}
		if svc.swaps[i] != nil {
			covered := posture.Rules{Checks: slices.DeleteFunc(slices.Clone(r.Checks), func(c posture.Check) bool { return !swaps(c) })}
			svc.unswapped[i] = []*inspect.Engine{svc.base, svc.strict}[i].Without(idsOf(covered)...)
		}
		var missing []string
		if svc.judges[i], missing, err = newJudges(r.Classifiers); err != nil {
			return nil, err
		}
		svc.unjudged = append(svc.unjudged, missing...)
	}
	slices.Sort(svc.unjudged)
	svc.unjudged = slices.Compact(svc.unjudged)
	for _, t := range d.Topics {
		if svc.topics[t.ID], err = build(posture.Rules{Terms: d.Topical(t.ID)}); err != nil {
			return nil, err
		}
	}
	d.Rules.Terms, d.Strict.Terms, d.Topics = nil, nil, nil
	svc.draft = d
	return svc, nil
}

// sparse is how many terms the base set has at least for each of the strict set if both share one lexicon. Texts under the
// base set are held back where a term of the strict set begins, so that there must not be many.
const sparse = 10

func idsOf(r posture.Rules) (ids []string) {
	for _, t := range r.Terms {
		ids = append(ids, t.ID)
	}
	for _, c := range r.Checks {
		ids = append(ids, c.ID)
	}
	return ids
}

func engineRules(r posture.Rules, n posture.Notices) (inspect.Rules, error) {
	out := inspect.Rules{ReplaceText: n.Replaced.In("zh"), MaxHold: inspect.WidestHold}
	actions := map[posture.Action]inspect.Action{posture.Observe: inspect.Observe, posture.Mask: inspect.Mask, posture.Replace: inspect.Replace, posture.Block: inspect.Block}
	for _, t := range r.Terms {
		a, ok := actions[t.Action]
		if !ok {
			continue // allow: the term is listed but switched off
		}
		disguise, err := t.Matching.Of(t.Text, t.Contexts...)
		if err != nil {
			return out, err
		}
		out.Terms = append(out.Terms, inspect.Term{ID: t.ID, Text: t.Text, Action: a, Risk: t.Risk, Topic: t.Topic,
			Replacement: t.Replacement, Contexts: t.Contexts, Window: t.Window, Disguise: disguise})
	}
	for _, c := range r.Checks {
		if a, ok := actions[c.Action]; ok {
			out.Checks = append(out.Checks, inspect.Check{ID: c.ID, Kind: c.Kind, Action: a, Risk: c.Risk, Ends: c.Ends})
		}
	}
	return out, nil
}

// stages are the engines a text passes, in order: topics first, because they only ever block and so
// hand the text on unchanged, then the base or the strict set. A topic that this posture does not know
// cannot be told apart from the rest, so ok is false and nothing may pass.
func (s *service) stages(strict bool, topics []string) (list []*inspect.Engine, ok bool) {
	for _, id := range topics {
		e := s.topics[id]
		if e == nil {
			return nil, false
		}
		list = append(list, e)
	}
	if strict {
		return append(list, s.strict), true
	}
	return append(list, s.base), true
}

// models gives the names the service answers to, sorted.
func (s *service) models() []string { return slices.Sorted(slices.Values(s.draft.Models)) }
