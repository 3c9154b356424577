package gateway

import (
	"github.com/fengsui/fengsui/internal/inspect"
)

// inspectInput reads everything the model would read. Masks and replacements are written into req, so
// that the upstream gets them. blocked: the request must not reach the upstream.
func (c *call) inspectInput(req *chatRequest, engines []*inspect.Engine) (blocked bool, err error) {
	c.row.InputVerdict = VerdictAllow
	one := func(f field, s string) string {
		out, hits, action, uninspected, failed := c.scan(Input, c.reading(req, f, engines), s)
		if failed != nil {
			err = failed
		}
		if uninspected {
			c.row.InputVerdict = Worse(c.row.InputVerdict, VerdictUninspected)
			return s
		}
		c.row.InputVerdict = Worse(c.row.InputVerdict, action.String())
		c.found(Input, f.channel, f.message, hits)
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
	})
	// A term may be spread over the parts of one content, which the model reads as one text.
	for i := range req.Messages {
		whole, ok := req.Messages[i].Content.joined()
		if !ok || err != nil {
			continue
		}
		out, hits, action, _, failed := c.scan(Input, c.reading(req, field{message: i, channel: ChannelContent}, engines), whole)
		if failed != nil {
			err = failed
			break
		}
		if len(hits) == 0 {
			continue
		}
		c.row.InputVerdict = Worse(c.row.InputVerdict, action.String())
		c.found(Input, ChannelContent, i, hits)
		if action == inspect.Block {
			blocked = true
		}
		if action >= inspect.Mask {
			req.Messages[i].Content = &content{Text: &out}
		}
	}
	return blocked, err
}

// reading adds to engines what looks for injection: in what a user or a tool wrote, not in what the operator
// or the model itself did.
func (c *call) reading(req *chatRequest, f field, engines []*inspect.Engine) []*inspect.Engine {
	if f.message < 0 || f.channel != ChannelContent {
		return engines
	}
	c.mu.Lock()
	strict := c.decision.Strict
	c.mu.Unlock()
	at := c.svc.attempts[0]
	if strict {
		at = c.svc.attempts[1]
	}
	var more *inspect.Engine
	switch req.Messages[f.message].Role {
	case "user":
		more = at.user
	case "tool", "function":
		more = at.tool
	}
	if more == nil {
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

// scan passes a text through all engines.
func (c *call) scan(side string, engines []*inspect.Engine, s string) (out string, hits []inspect.Match, action inspect.Action, uninspected bool, err error) {
	out = s
	uninspected, err = c.guarded(side, func() {
		for _, e := range engines {
			if side == Input {
				encoded := e.ScanEncoded(out)
				for _, h := range encoded {
					action = max(action, h.Action)
				}
				hits, out = append(hits, encoded...), covered(out, encoded)
			}
			res := e.Scan(out)
			hits = append(hits, res.Matches...)
			out, action = res.Released, max(action, res.Action)
		}
	})
	return out, hits, action, uninspected, err
}

// promptBlocked says whether stricter engines would have refused the request that is being answered.
func (c *call) promptBlocked(engines []*inspect.Engine) (blocked bool) {
	c.request.texts(func(f field, s *string) {
		if blocked || *s == "" {
			return
		}
		_, hits, action, _, err := c.scan(Input, c.reading(c.request, f, engines), *s)
		if blocked = err != nil || action == inspect.Block; blocked {
			c.found(Input, f.channel, f.message, hits)
			c.row.InputVerdict = VerdictBlock
		}
	})
	return blocked
}
