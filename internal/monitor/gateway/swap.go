package gateway

import (
	"slices"
	"sort"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/inspect/placeholder"
	"github.com/fengsui/fengsui/internal/posture"
)

// swapLabels are the words in placeholders, which the model reads: Chinese, and for all other languages English. Keys are never swapped.
var swapLabels = map[string][2]string{
	inspect.KindCNID: {"身份证号", "ID_NUMBER"}, inspect.KindCNID15: {"旧身份证号", "OLD_ID_NUMBER"}, inspect.KindBankCard: {"银行卡号", "CARD_NUMBER"},
	inspect.KindCNMobile: {"手机号", "MOBILE"}, inspect.KindCNLandline: {"电话", "PHONE"}, inspect.KindCNPassport: {"护照号", "PASSPORT"},
	inspect.KindCNPermit: {"通行证号", "PERMIT"}, inspect.KindCNPlate: {"车牌号", "PLATE"}, inspect.KindCNCredit: {"信用代码", "CREDIT_CODE"},
	inspect.KindEmail: {"邮箱", "EMAIL"}, inspect.KindIP: {"IP地址", "IP_ADDRESS"}, inspect.KindURL: {"网址", "URL"},
	inspect.KindCNAddress: {"住址", "ADDRESS"}, inspect.KindCNName: {"姓名", "NAME"},
}

// swaps tells whether placeholders stand for what a check finds. A key is masked, whoever asks.
func swaps(c posture.Check) bool { return c.Swap && !inspect.IsKey(c.Kind) }

// newSwaps finds what placeholders stand for on the way to the model; nil if nothing does.
func newSwaps(r posture.Rules) (*inspect.Engine, error) {
	var rules inspect.Rules
	for _, c := range r.Checks {
		if swaps(c) {
			rules.Checks = append(rules.Checks, inspect.Check{ID: c.ID, Kind: c.Kind, Action: inspect.Mask, Risk: c.Risk})
		}
	}
	if len(rules.Checks) == 0 {
		return nil, nil
	}
	return inspect.Compile(rules)
}

// swappable are the channels in which placeholders stand for data. In the others it is masked.
var swappable = []string{ChannelContent, ChannelReasoning, ChannelRefusal, ChannelToolArguments}

// before gives the engines that see a text before its data is swapped: those without the checks that swap covers for.
func (c *call) before(f field, engines []*inspect.Engine) []*inspect.Engine {
	if !slices.Contains(swappable, f.channel) {
		return engines
	}
	out := slices.Clone(engines)
	for i, e := range out {
		for set, whole := range []*inspect.Engine{c.svc.base, c.svc.strict} {
			if e == whole && c.svc.unswapped[set] != nil {
				out[i] = c.svc.unswapped[set]
			}
		}
	}
	return out
}

// swap puts placeholders in place of personal data in the messages of a request, which has been inspected: what looked for
// anything else saw the data itself. What stands for what is known to this call and to nobody else.
func (c *call) swap(req *chatRequest) error {
	e := c.svc.swaps[c.set()]
	if e == nil {
		return nil
	}
	if c.swaps == nil {
		c.swaps, c.uncovered = placeholder.New(), map[*string]string{}
		req.texts(func(_ field, s *string) { c.swaps.Avoid(*s) })
	}
	var err error
	straddle := func(f field, m *message) {
		whole, ok := m.Content.joined()
		if !ok || err != nil {
			return
		}
		var hits []inspect.Match
		var missed bool
		missed, err = c.guarded(Input, 1, func(int) { hits = e.Scan(whole).Matches }, nil)
		c.missed(f.place(), missed)
		if err == nil && m.Content.splits(hits) {
			m.Content = &content{Text: &whole}
		}
	}
	for i := range req.Messages {
		straddle(field{i, ChannelContent, "content"}, &req.Messages[i])
	}
	req.texts(func(f field, s *string) {
		if err != nil || *s == "" || f.message < 0 || !slices.Contains(swappable, f.channel) {
			return
		}
		whose := placeholder.Others
		if req.Messages[f.message].Role == "user" {
			whose = placeholder.Own
		}
		var hits []inspect.Match
		was := *s
		if *s, _, hits, err = c.cover(f.place(), e, *s, 0, whose); err != nil || len(hits) == 0 {
			return
		}
		c.uncovered[s] = was
		c.row.InputVerdict = Worse(c.row.InputVerdict, VerdictReplace)
		c.found(f.place(), hits)
	})
	return err
}

// cover swaps the data of one text. at is a byte offset in it; there it is in what comes out.
func (c *call) cover(in inspect.Place, e *inspect.Engine, s string, at int, whose placeholder.Whose) (out string, there int, hits []inspect.Match, err error) {
	var encoded []inspect.Match
	missed, err := c.guarded(Input, 1, func(int) {
		encoded, _ = e.ScanEncoded(s)
		s = covered(s, encoded) // what stands for something in an encoding would not decode
		hits = e.Scan(s).Matches
	}, nil)
	c.missed(in, missed)
	if err != nil {
		return s, at, nil, err
	}
	english := 0
	if c.row.Language != "zh" {
		english = 1
	}
	var head, tail []placeholder.Span
	at = min(at, len(s))
	for i := len(hits) - 1; i >= 0; i-- { // ordered by where they begin
		if hits[i].Start < at && at < hits[i].End {
			at = hits[i].Start
		}
	}
	for i := range hits {
		span := placeholder.Span{Start: hits[i].Start, End: hits[i].End, Label: swapLabels[hits[i].Kind][english]}
		if hits[i].Action = inspect.Replace; span.End <= at {
			head = append(head, span)
		} else {
			span.Start, span.End = span.Start-at, span.End-at
			tail = append(tail, span)
		}
	}
	out = c.swaps.Cover(s[:at], head, whose)
	return out + c.swaps.Cover(s[at:], tail, whose), len(out), append(encoded, hits...), nil
}

// splits tells whether a hit of the whole text begins in one part and ends in another.
func (c *content) splits(hits []inspect.Match) bool {
	at, begins := 0, make([]int, 0, len(c.Parts))
	for _, p := range c.Parts {
		begins = append(begins, at)
		if p.Text != nil {
			at += len(*p.Text)
		} else if p.Refusal != nil {
			at += len(*p.Refusal)
		}
	}
	return slices.ContainsFunc(hits, func(h inspect.Match) bool {
		next := sort.SearchInts(begins, h.Start+1)
		return next < len(begins) && begins[next] < h.End
	})
}

// home puts the data back into a text of an answer that is not streamed.
func (c *call) home(s slot, text string) string {
	if c.swaps == nil {
		return text
	}
	return c.swaps.Restore(form(s), text)
}

func form(s slot) placeholder.Form {
	if s.arguments() {
		return placeholder.JSON
	}
	return placeholder.Plain
}

// give is what of a text leaves: with the data of the request in place of its placeholders.
func (t *outText) give(s string, last bool) string {
	if t.home == nil {
		return s
	}
	if s = t.home.Write(s); last {
		s += t.home.Close()
	}
	return s
}
