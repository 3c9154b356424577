package gateway

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/inspect/placeholder"
	"github.com/fengsui/fengsui/internal/monitor/guard"
)

// inParts is a content in several parts, in which something may be noticed part by part.
type inParts struct {
	length int    // bytes of the parts so far, as they will be passed on
	ends   []int  // byte offsets in the whole content of what was noticed
	risk   string // of the first
}

// notice adds what was noticed in a text that begins at byte offset from.
func (p *inParts) notice(from int, ends []int, risk string) {
	for _, n := range ends {
		p.ends = append(p.ends, from+n)
	}
	if p.risk == "" {
		p.risk = risk
	}
}

// move follows a content in which masks and replacements made to of from. A replacement may shift what lies behind it by the
// difference in length, little beside what a question shows.
func (p *inParts) move(from, to string) {
	ends, _ := guard.Places(from, p.ends)
	p.ends = p.ends[:0:0]
	before, at := 0, 0
	for _, n := range ends {
		for range utf8.RuneCountInString(from[before:n]) {
			_, w := utf8.DecodeRuneInString(to[at:])
			at += w
		}
		before, p.ends = n, append(p.ends, at)
	}
}

// inspectInput reads everything the model would read. Masks and replacements are written into req, so
// that the upstream gets them. blocked: the request must not reach the upstream.
func (c *call) inspectInput(ctx context.Context, req *chatRequest, engines []*inspect.Engine) (blocked bool, err error) {
	c.row.InputVerdict = Worse(c.row.InputVerdict, VerdictAllow)
	for s, was := range c.uncovered { // the second time, under other orders
		*s = was
	}
	clear(c.uncovered)
	c.turns = nil
	var doubts []doubt
	// What is noticed in one of several parts of a content is asked about with the whole content.
	parts := map[int]*inParts{} // by message
	doubtIn := func(f field, text string, ends []int, risk string) {
		for _, at := range c.places(text, ends) {
			doubts = append(doubts, doubt{place: f.place(), text: text, at: at, risk: risk, said: req.Messages[f.message].Role == "assistant"})
		}
	}
	notice := func(f field, engines []*inspect.Engine, s, out string, hits []inspect.Match) {
		if c.svc.guard == nil || !f.spoken(req) {
			return
		}
		ends := c.unsure(Input, engines, s, out, hits)
		if p := parts[f.message]; p != nil && f.channel == ChannelContent {
			p.notice(p.length, ends, riskOf(hits))
			return
		}
		doubtIn(f, out, ends, riskOf(hits))
	}
	for i := range req.Messages {
		if m := req.Messages[i].Content; m != nil && len(m.Parts) > 1 {
			parts[i] = &inParts{}
		}
	}
	before := field{message: -2}
	one := func(f field, s string) string {
		if f != before { // the strings of one JSON value have one place
			before = f
			c.row.Verdict.Open(f.place())
		}
		c.row.Verdict.Read(f.place(), len(s))
		reading := c.before(f, c.reading(req, f, engines))
		out, hits, action, uninspected, failed := c.scan(Input, reading, s)
		if failed != nil {
			err = failed
		}
		c.missed(f.place(), uninspected)
		c.row.InputVerdict = Worse(c.row.InputVerdict, action.String())
		c.found(f.place(), hits)
		notice(f, reading, s, out, hits)
		blocked = blocked || action == inspect.Block
		return out
	}
	req.texts(func(f field, s *string) {
		if err != nil || *s == "" {
			return
		}
		if f.channel == ChannelToolArguments {
			*s = plain(*s)
		}
		*s = one(f, *s)
		if p := parts[f.message]; p != nil && strings.HasPrefix(f.path, "content[") {
			p.length += len(*s)
		}
	})
	// A term may be spread over the parts of one content, which the model reads as one text.
	for i := range req.Messages {
		whole, ok := req.Messages[i].Content.joined()
		if !ok || err != nil {
			continue
		}
		f := field{i, ChannelContent, "content"}
		c.row.Verdict.Open(f.place())
		c.row.Verdict.Read(f.place(), len(whole))
		reading := c.before(f, c.reading(req, f, engines))
		out, hits, action, uninspected, failed := c.scan(Input, reading, whole)
		if failed != nil {
			err = failed
			break
		}
		c.missed(f.place(), uninspected)
		if c.svc.guard != nil && f.spoken(req) {
			p := parts[i]
			if out != whole {
				p.move(whole, out)
			}
			p.notice(0, c.unsure(Input, reading, whole, out, hits), riskOf(hits))
			doubtIn(f, out, p.ends, p.risk)
		}
		if len(hits) == 0 {
			continue
		}
		c.row.InputVerdict = Worse(c.row.InputVerdict, action.String())
		c.found(f.place(), hits)
		if action == inspect.Block {
			blocked = true
		}
		if action >= inspect.Mask {
			req.Messages[i].Content = &content{Text: &out}
		}
	}
	if blocked || err != nil {
		return blocked, err
	}
	if err := c.swap(req); err != nil {
		return false, err
	}
	if e := c.svc.swaps[c.set()]; e != nil { // the guard sees what the model sees
		for i, d := range doubts {
			if doubts[i].text, doubts[i].at, _, err = c.cover(d.place, e, d.text, d.at, placeholder.Others); err != nil {
				return false, err
			}
		}
	}
	slices.SortStableFunc(doubts, func(a, b doubt) int { return a.place.Choice - b.place.Choice })
	slices.Reverse(doubts) // what was said last first: of a long conversation the guard has heard the rest before
	doubts = c.joined(doubts)
	if !c.svc.waits() {
		c.askLater(doubts)
		return false, nil
	}
	blocked, uninspected, err := c.settle(ctx, doubts)
	switch {
	case blocked:
		c.row.InputVerdict = VerdictBlock
	case uninspected:
		c.row.InputVerdict = Worse(c.row.InputVerdict, VerdictUninspected)
	}
	return blocked, err
}

// spoken tells whether a text is something that a user, a tool or the model said. What the operator wrote, and names, are not.
func (f field) spoken(req *chatRequest) bool {
	return f.message >= 0 && !slices.Contains([]string{ChannelName, ChannelToolName, ChannelToolID}, f.channel) &&
		slices.Contains([]string{"user", "tool", "function", "assistant"}, req.Messages[f.message].Role)
}

// reading adds to engines what judges the texts of users, tools and the model, and what looks for injection in what a user or
// a tool wrote. What the operator wrote is not judged.
func (c *call) reading(req *chatRequest, f field, engines []*inspect.Engine) []*inspect.Engine {
	if f.message < 0 || f.channel == ChannelName || f.channel == ChannelToolName || f.channel == ChannelToolID {
		return engines
	}
	set := c.set()
	at, judge := c.svc.attempts[set], c.svc.judges[set]
	var more *inspect.Engine
	switch req.Messages[f.message].Role {
	case "user":
		more, engines = at.user, judged(judge.asked, engines)
	case "tool", "function":
		more, engines = at.tool, judged(judge.asked, engines)
	case "assistant":
		return judged(judge.said, engines)
	}
	if more == nil || f.channel != ChannelContent {
		return engines
	}
	return append(engines[:len(engines):len(engines)], more)
}

// covered masks what hits in what a text says in an encoding ask to change. It gives as many bytes as before, so
// that the places of other hits stay right.
func covered(s string, hits []inspect.Match) string {
	var out []byte
	for _, h := range hits {
		if h.Action != inspect.Mask && h.Action != inspect.Replace {
			continue
		}
		if out == nil {
			out = []byte(s)
		}
		for i := h.Start; i < h.End; i++ {
			out[i] = inspect.DefaultMaskRune
		}
	}
	if out == nil {
		return s
	}
	return string(out)
}

// scan passes a text through all engines. uninspected: some failed, and the posture lets pass what the others made of it.
func (c *call) scan(side string, engines []*inspect.Engine, s string) (out string, hits []inspect.Match, action inspect.Action, uninspected bool, err error) {
	out = s
	missed, err := c.guarded(side, len(engines), func(i int) {
		e := engines[i]
		if side == Input {
			encoded, unread := e.ScanEncoded(out)
			if unread > 0 {
				hits = append(hits, inspect.Match{RuleID: "gateway.unread", Kind: kindFailure, Action: inspect.Observe, End: len(out)})
			}
			for _, h := range encoded {
				action = max(action, h.Action)
			}
			hits, out = append(hits, encoded...), covered(out, encoded)
		}
		res := e.Scan(out)
		hits = append(hits, res.Matches...)
		out, action = res.Released, max(action, res.Action)
	}, nil)
	return out, hits, action, missed, err
}

// promptBlocked says whether stricter engines would have refused the request that is being answered.
func (c *call) promptBlocked(engines []*inspect.Engine) (blocked bool) {
	said := func(s *string) string {
		if was, ok := c.uncovered[s]; ok {
			return was
		}
		return *s
	}
	judge := func(f field, text string) {
		if blocked || text == "" {
			return
		}
		_, hits, action, uninspected, err := c.scan(Input, c.before(f, c.reading(c.request, f, engines)), text)
		c.missed(f.place(), uninspected)
		if blocked = err != nil || action == inspect.Block; blocked {
			c.found(f.place(), hits)
			c.row.InputVerdict = VerdictBlock
		}
	}
	c.request.texts(func(f field, s *string) { judge(f, said(s)) })
	for i := range c.request.Messages { // the model reads the parts of one content as one text
		if whole, ok := c.request.Messages[i].Content.joinedAs(said); ok {
			judge(field{i, ChannelContent, "content"}, whole)
		}
	}
	return blocked
}
