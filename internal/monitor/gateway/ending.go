package gateway

import (
	"context"
	"time"
)

// done ends a complete answer: what is held back, then [DONE].
func (p *pump) done(ctx context.Context) {
	p.ev.spans = p.ev.spans[:0]
	p.edits, p.tails = p.edits[:0], p.tails[:0]
	for _, choice := range p.open {
		if p.filter.finished(choice) {
			continue
		}
		p.filter.mark()
		blocked, _, err := p.closeChoice(choice)
		if err != nil {
			_ = p.refuse(err)
			return
		}
		if !blocked {
			if _, over := p.second(ctx, func(c int) bool { return c == choice }); over {
				return
			}
		}
		for _, t := range p.tails {
			if !p.sendChunk(p.pending(t)) {
				return
			}
			p.left(t.text)
		}
		p.tails = p.tails[:0]
		if blocked {
			_ = p.refuse(nil)
			return
		}
	}
	p.out = append(p.out, "data: [DONE]\n\n"...)
	p.flush()
}

// endedMeanwhile: the call is over, and its goroutine did not hear of it because it waited for the guard.
func (p *pump) endedMeanwhile(ctx context.Context) {
	if p.c.ended.Load() {
		p.cut()
		return
	}
	p.gaveUp(ctx)
}

// refuse ends an answer that inspection blocked, or that could not be inspected.
func (p *pump) refuse(err error) (over bool) {
	c := p.c
	if err != nil {
		p.fail(inspectionFailed(), nil)
		return true
	}
	c.g.count.outputBlocks.Add(1)
	p.finishWith(&notice{Code: "content_blocked", Message: c.svc.draft.Notices.Blocked.In(c.row.Language)})
	return true
}

// finishWith ends every open choice as content_filter, which all SDKs know, tells why beside it, and sends [DONE].
func (p *pump) finishWith(n *notice) {
	c := p.c
	n.Content = c.row.ContentNumber
	if len(p.open) == 0 {
		p.open = append(p.open, 0)
	}
	word := "content_filter"
	var choices []chunkChoice
	for i := range p.open {
		if !p.filter.finished(p.open[i]) {
			choices = append(choices, chunkChoice{Index: &p.open[i], Finish: &word})
			if i == 0 {
				c.row.Finish = word
			}
		}
	}
	last := p.own(choices...)
	if last.Choices == nil {
		last.Choices = []chunkChoice{}
	}
	last.Notice = n
	if p.sendChunk(last) {
		p.out = append(p.out, "data: [DONE]\n\n"...)
		p.flush()
	}
}

// cut ends an answer that an order took away, or that the gateway's stop cut short.
func (p *pump) cut() {
	c := p.c
	c.mu.Lock()
	reason := c.reason
	c.mu.Unlock()
	c.row.ErrorCode = reason.code
	if !p.began {
		p.fail(reason, nil)
		return
	}
	c.link.limit = c.g.o.CutGrace
	c.link.armed = time.Time{}
	p.out, p.runes = p.out[:0], 0 // cleared, but the order came first
	p.finishWith(&notice{Code: reason.code, Message: reason.message})
	c.link.settle(c.g.o.CutGrace)
}

// fail tells the client about an error: as a status while nothing is sent, else as an error event, upon
// which SDKs raise their API error. No [DONE] follows, for the answer is not complete.
func (p *pump) fail(pr *problem, cause error) {
	c := p.c
	c.row.ErrorCode = pr.code
	if cause != nil {
		c.cancel(cause)
	}
	if !p.began {
		p.out = p.out[:0]
		c.refuse(pr)
		return
	}
	p.out = append(p.out, "data: "...)
	p.out = append(p.out, pr.json()...)
	p.out = append(p.out, "\n\n"...)
	p.flush()
}
