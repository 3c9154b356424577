package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/inspect"
)

// pump carries a streamed answer from the upstream to the client. One goroutine reads; the serving
// goroutine writes and listens to orders, the client and the silence of the upstream at the same time,
// so that an order is heard while nobody speaks.
type pump struct {
	c       *call
	filter  *filter
	ev      event
	checked []byte // labels that were inspected last
	out     []byte // event being written
	edits   []string
	tails   []pendingText
	head    chunk // id, created, model of the answer, for events of our own
	open    []int // choices that have begun, in order
	began   bool  // the header is out
	runes   int   // of model text in out
}

// read cuts the upstream's body into frames until it ends or ctx does. It owns body.
func read(ctx context.Context, body io.ReadCloser, limit int, out chan<- *frame, free <-chan *frame) error {
	src := newFrames(body, limit)
	for {
		var f *frame
		select {
		case f = <-free:
		default:
			f = &frame{}
		}
		if err := src.next(f); err != nil {
			return err
		}
		select {
		case out <- f:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

const framesAhead = 32

// run gives nil when the answer was brought to its end, whatever that was.
func (p *pump) run(ctx context.Context, body io.ReadCloser) {
	c := p.c
	in, free := make(chan *frame, framesAhead), make(chan *frame, framesAhead)
	var readErr error // of the reader; read it after in is closed
	go func() {
		readErr = read(ctx, body, c.svc.draft.Limits.MaxEventBytes, in, free)
		close(in)
	}()
	defer func() {
		c.cancel(errClientGone) // whatever the reason: nobody reads on
		_ = body.Close()
		for range in { // until the reader has gone
		}
	}()
	idleFor := time.Duration(c.svc.draft.Limits.IdleMs) * time.Millisecond
	idle := time.NewTimer(idleFor)
	defer idle.Stop()
	lastReset := time.Now() // the timer is moved at most ten times a second, not for each event
	for {
		if c.ended.Load() {
			p.cut()
			return
		}
		select {
		case f, ok := <-in:
			if !ok {
				p.upstreamEnded(ctx, readErr)
				return
			}
			if now := time.Now(); now.Sub(lastReset) > 100*time.Millisecond {
				idle.Reset(idleFor)
				lastReset = now
			}
			over := p.frame(ctx, f)
			select {
			case free <- f:
			default:
			}
			if over {
				return
			}
			if !p.began || len(in) == 0 || len(p.out) > 8<<10 {
				if !p.flush() {
					return
				}
			}
		case <-c.wake:
			reason, engines, changed := c.verdict()
			if reason != nil {
				p.cut()
				return
			}
			if changed && p.tighten(engines) {
				return
			}
		case <-idle.C:
			p.fail(&problem{status: http.StatusGatewayTimeout, typ: typeUp, code: "upstream_stalled", message: "The upstream fell silent."}, errIdle)
			return
		case <-ctx.Done():
			if c.ended.Load() {
				continue
			}
			p.gaveUp(ctx)
			return
		}
	}
}

// upstreamEnded: the body is at its end without [DONE].
func (p *pump) upstreamEnded(ctx context.Context, err error) {
	c := p.c
	switch {
	case c.ended.Load():
		p.cut()
	case ctx.Err() != nil:
		p.gaveUp(ctx)
	case errors.Is(err, errEventTooBig):
		p.fail(&problem{status: http.StatusBadGateway, typ: typeUp, code: "upstream_protocol", message: "The upstream sent an event that is larger than allowed."}, nil)
	case len(p.open) > 0 && p.allFinished():
		p.done(ctx) // some servers forget [DONE]
	default:
		p.fail(&problem{status: http.StatusBadGateway, typ: typeUp, code: "upstream_interrupted", message: "The upstream ended the answer in the middle."}, nil)
	}
}

func (p *pump) gaveUp(ctx context.Context) {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errTotal):
		p.fail(&problem{status: http.StatusGatewayTimeout, typ: typeUp, code: "request_too_long", message: "The answer took longer than allowed."}, errTotal)
	default: // the client left; nobody to tell
		p.c.row.ErrorCode = orText(p.c.row.ErrorCode, "client_left")
	}
}

func (p *pump) allFinished() bool {
	for _, choice := range p.open {
		if !p.filter.finished(choice) {
			return false
		}
	}
	return true
}

var doneData = []byte("[DONE]")

// frame handles one event and reports whether the answer is over.
func (p *pump) frame(ctx context.Context, f *frame) (over bool) {
	c := p.c
	if f.comment {
		return !p.send([]byte(":\n\n"))
	}
	c.g.count.events.Add(1)
	data := bytes.TrimSpace(f.data)
	if bytes.Equal(data, doneData) {
		p.done(ctx)
		return true
	}
	if !p.ev.scan(data) {
		c.g.count.eventsSlow.Add(1)
		canonical, err := canonicalChunk(data)
		if err == nil && !p.ev.scan(canonical) {
			err = errNoChunk
		}
		if err != nil {
			code, text := "upstream_protocol", "The upstream sent something that is not a chat completion chunk."
			if errors.Is(err, errUpstreamFault) {
				code, text = "upstream_failed", "The upstream reported an error in the middle of the answer."
			}
			p.fail(&problem{status: http.StatusBadGateway, typ: typeUp, code: code, message: text}, nil)
			return true
		}
	}
	if p.ev.usage {
		c.row.TokensIn, c.row.TokensOut = p.ev.usageIn, p.ev.usageAt
	}
	if blocked, err := p.labels(); blocked || err != nil {
		return p.refuse(err)
	}
	for _, choice := range p.ev.seen {
		p.opened(choice)
	}
	blocked, changed, err := p.judge()
	if err != nil {
		return p.refuse(err)
	}
	if !blocked && c.svc.waits() { // nothing of this event has been written
		anew, over := p.second(ctx, p.finishing)
		if over {
			return true
		}
		changed = changed || anew
	}
	for _, t := range p.tails {
		if !p.sendChunk(p.pending(t)) {
			return true
		}
		p.left(t.text)
	}
	p.out = append(p.out, "data: "...)
	from := len(p.out)
	if changed || blocked {
		p.rewrite(blocked)
	} else {
		p.out = append(p.out, p.ev.json...)
	}
	if f.lines > 1 { // line ends of the upstream, which can only stand between tokens
		for i := from; i < len(p.out); i++ {
			if p.out[i] == '\n' {
				p.out[i] = ' '
			}
		}
	}
	p.out = append(p.out, "\n\n"...)
	for _, s := range p.edits {
		p.left(s)
	}
	for _, fin := range p.ev.finish {
		if blocked { // ours comes instead
			break
		}
		if fin.choice == p.open[0] {
			c.row.Finish = string(p.ev.json[fin.from:fin.to])
		}
		p.filter.over = append(p.filter.over, fin.choice)
	}
	if blocked {
		return p.refuse(nil)
	}
	return false
}

// finishing tells whether a choice ends with this event.
func (p *pump) finishing(choice int) bool {
	for _, fin := range p.ev.finish {
		if fin.choice == choice {
			return true
		}
	}
	return false
}

// judge passes every text of the event through the filter. edits holds, span by span, what may leave;
// tails what leaves beforehand because a choice ends here.
func (p *pump) judge() (blocked, changed bool, err error) {
	f := p.filter
	p.edits, p.tails = p.edits[:0], p.tails[:0]
	f.mark()
	for i := range p.ev.spans {
		sp := &p.ev.spans[i]
		released := ""
		// A choice that has ended says nothing more: its text would join what was cleared as complete.
		if !blocked && !f.finished(sp.key.choice) {
			released, blocked, err = f.write(sp.key, sp.text)
			if err != nil {
				return true, true, err
			}
		}
		changed = changed || released != sp.text
		p.edits = append(p.edits, released)
	}
	for _, fin := range p.ev.finish {
		if blocked || f.finished(fin.choice) {
			continue
		}
		stop, moved, err := p.closeChoice(fin.choice)
		if err != nil {
			return true, true, err
		}
		blocked, changed = blocked || stop, changed || moved
	}
	return blocked, changed, nil
}

// again judges by the engines of now what waited for the guard while orders tightened, and nothing of which has been written.
func (p *pump) again(ends func(choice int) bool) (blocked bool, err error) {
	_, engines, _ := p.c.verdict()
	p.filter.recall()
	for i := range p.ev.spans {
		if !p.ev.spans[i].key.slot.whole() {
			p.edits[i] = ""
		}
	}
	blocked, pending, err := p.filter.tighten(engines)
	if blocked || err != nil || p.c.promptBlocked(engines) {
		return true, err
	}
	p.tails = append(p.tails[:0], pending...)
	for _, choice := range p.open {
		if !ends(choice) || p.filter.finished(choice) {
			continue
		}
		if blocked, _, err = p.closeChoice(choice); blocked || err != nil {
			return true, err
		}
	}
	return false, nil
}

// closeChoice lets out what is held back of a choice: in this event if it has the text, else before it.
func (p *pump) closeChoice(choice int) (blocked, changed bool, err error) {
	for _, t := range p.filter.texts {
		if t.key.choice != choice {
			continue
		}
		tail, stop, err := p.filter.close(t)
		if err != nil {
			return true, true, err
		}
		if tail != "" {
			here := false
			for i := range p.ev.spans {
				if p.ev.spans[i].key == t.key {
					p.edits[i] += tail
					here, changed = true, true
				}
			}
			if !here {
				p.tails = append(p.tails, pendingText{t.key, tail})
			}
		}
		if stop {
			return true, true, nil
		}
	}
	return false, changed, nil
}

// labels inspects the machine's names in an event when they change: a model cannot write them, but they reach the client.
func (p *pump) labels() (blocked bool, err error) {
	if bytes.Equal(p.ev.labels, p.checked) {
		return false, nil
	}
	s := string(p.ev.labels)
	missed, err := p.c.guarded(Output, len(p.filter.engines), func(i int) {
		if res := p.filter.engines[i].Scan(s); res.Action >= inspect.Mask {
			blocked = true
			p.c.found(labelPlace, res.Matches)
			p.c.row.Verdict.Decide(labelPlace, inspect.Block)
		}
	}, nil)
	if missed {
		p.filter.verdict = Worse(p.filter.verdict, VerdictUninspected)
		p.c.row.Verdict.Miss(labelPlace)
	}
	p.checked = append(p.checked[:0], p.ev.labels...)
	if blocked {
		p.filter.verdict = VerdictBlock
	}
	if p.head.ID == "" && err == nil && !blocked {
		var h chunk
		if json.Unmarshal(p.ev.json, &h) == nil {
			p.head = chunk{ID: h.ID, Created: h.Created, Model: h.Model}
		}
	}
	return blocked, err
}

func (p *pump) opened(choice int) {
	for _, have := range p.open {
		if have == choice {
			return
		}
	}
	p.open = append(p.open, choice)
}

// left counts model text that is about to leave.
func (p *pump) left(s string) { p.runes += utf8.RuneCountInString(s) }

// rewrite copies the event with the released texts in place of the original ones. In a blocked event
// a finish of the model is not passed on; ours follows.
func (p *pump) rewrite(blocked bool) {
	at := 0
	fin := 0
	putFinish := func(before int) {
		for blocked && fin < len(p.ev.finish) && p.ev.finish[fin].from <= before {
			f := p.ev.finish[fin]
			p.out = append(p.out, p.ev.json[at:f.from-1]...)
			p.out = append(p.out, "null"...)
			at = f.to + 1
			fin++
		}
	}
	for i, sp := range p.ev.spans {
		putFinish(sp.from)
		p.out = append(p.out, p.ev.json[at:sp.from]...)
		p.out = appendText(p.out, p.edits[i])
		at = sp.to
	}
	putFinish(len(p.ev.json))
	p.out = append(p.out, p.ev.json[at:]...)
}

// pending is an event of our own for text that was held back.
func (p *pump) pending(t pendingText) chunk {
	d := delta{}
	switch t.key.slot {
	case slotContent:
		d.Content = &t.text
	case slotReasoningContent:
		d.ReasoningContent = &t.text
	case slotReasoning:
		d.Reasoning = &t.text
	case slotRefusal:
		d.Refusal = &t.text
	case slotToolArguments:
		d.ToolCalls = []toolDelta{{Index: &t.key.tool, Function: &functionDelta{Arguments: &t.text}}}
	case slotCallArguments:
		d.FunctionCall = &functionDelta{Arguments: &t.text}
	}
	return p.own(chunkChoice{Index: &t.key.choice, Delta: d})
}

func (p *pump) own(choices ...chunkChoice) chunk {
	c := p.head
	c.Object = "chat.completion.chunk"
	if c.ID == "" {
		c.ID = "chatcmpl-" + p.c.row.RequestID
		c.Created, c.Model = p.c.row.StartedMs/1000, p.c.row.Route
	}
	c.Choices = choices
	return c
}

// tighten puts stricter engines to work and reports whether the answer is over.
func (p *pump) tighten(engines []*inspect.Engine) (over bool) {
	blocked, pending, err := p.filter.tighten(engines)
	if blocked || err != nil || p.c.promptBlocked(engines) {
		return p.refuse(err)
	}
	for _, t := range pending {
		if !p.sendChunk(p.pending(t)) {
			return true
		}
		p.left(t.text)
	}
	return !p.flush()
}

func (p *pump) sendChunk(ch chunk) bool {
	body, err := json.Marshal(ch)
	if err != nil {
		return false
	}
	p.out = append(p.out, "data: "...)
	p.out = append(p.out, body...)
	p.out = append(p.out, "\n\n"...)
	return true
}

func (p *pump) send(b []byte) bool {
	p.out = append(p.out, b...)
	return true
}

// flush hands everything to the kernel; false if the client does not take it.
func (p *pump) flush() bool {
	if len(p.out) == 0 {
		return true
	}
	c := p.c
	if !p.began {
		p.began = true
		c.begin("text/event-stream; charset=utf-8")
		c.link.w.WriteHeader(http.StatusOK)
	}
	err := c.link.write(p.out)
	p.out = p.out[:0]
	if err == nil {
		err = c.link.flush()
	}
	if err != nil {
		c.lost(err)
		return false
	}
	c.row.ReleasedRunes += p.runes
	p.runes = 0
	return true
}
