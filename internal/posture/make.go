package posture

import (
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Understands is the newest make of postures that this program can compile and obey. It is raised when a
// version was released and the next lets a posture say something that the released one refuses.
//
//	1  v0.1.0
//	2  all kinds of checks, masks that leave both ends, placeholders, injection, classifiers, a guard model, terms that
//	   are looked for in other ways than the usual
const Understands = 2

// firstKinds are the kinds of checks that make 1 knows.
var firstKinds = []string{inspect.KindCNID, inspect.KindBankCard}

// Needs is the oldest make that understands the draft. What a make does not know is left out of a posture until
// a setting asks for it, so that the same rules are the same bytes in every version.
func (d Draft) Needs() int64 {
	needs := max(d.Rules.needs(), d.Strict.needs())
	for _, t := range d.Topics {
		needs = max(needs, Rules{Terms: t.Terms}.needs())
	}
	if d.Guard != nil {
		needs = max(needs, 2)
	}
	return needs
}

func (r Rules) needs() int64 {
	if r.Injection != "" || len(r.Classifiers) > 0 || slices.ContainsFunc(r.Terms, func(t Term) bool { return !t.Matching.IsZero() }) ||
		slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Ends || c.Swap || !slices.Contains(firstKinds, c.Kind) }) {
		return 2
	}
	return 1
}

// Needs is the oldest make that understands this posture; of one that was only carried, more than this program understands.
func (p *Posture) Needs() int64 {
	if p.carried {
		return Understands + 1
	}
	return p.draft.Needs()
}

// Carry takes the bytes of a posture of a make that this program may not understand. It can be signed and handed on to
// gateways that do, with orders that bind today; its Draft has nothing but the service.
func Carry(body []byte) (*Posture, error) {
	if p, err := Parse(body); err == nil {
		return p, nil
	}
	var d struct {
		ServiceID string `json:"service_id"`
	}
	if err := json.Unmarshal(body, &d); err != nil || d.ServiceID == "" {
		return nil, fault.Invalid("posture", "posture.malformed").Because(err)
	}
	return &Posture{draft: Draft{ServiceID: d.ServiceID}, body: slices.Clone(body), digest: digest(body), carried: true}, nil
}
