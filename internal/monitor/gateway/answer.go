package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/inspect"
)

// completion is an answer that is not streamed, with every field that this gateway lets through.
type completion struct {
	ID                string             `json:"id"`
	Object            string             `json:"object"`
	Created           int64              `json:"created"`
	Model             string             `json:"model"`
	SystemFingerprint string             `json:"system_fingerprint,omitzero"`
	ServiceTier       string             `json:"service_tier,omitzero"`
	Choices           []completionChoice `json:"choices"`
	Usage             usage              `json:"usage,omitempty"`
	Notice            *notice            `json:"fengsui,omitzero"`
}

type completionChoice struct {
	Index   *int          `json:"index"`
	Message answerMessage `json:"message"`
	Finish  *string       `json:"finish_reason"`
}

type answerMessage struct {
	Role             string        `json:"role"`
	Content          *string       `json:"content"`
	Refusal          *string       `json:"refusal"`
	ReasoningContent *string       `json:"reasoning_content,omitzero"`
	Reasoning        *string       `json:"reasoning,omitzero"`
	ToolCalls        []toolCall    `json:"tool_calls,omitempty"`
	FunctionCall     *functionCall `json:"function_call,omitzero"`
}

// complete reads, inspects and sends an answer that is not streamed.
func (c *call) complete(ctx context.Context, body io.ReadCloser, engines []*inspect.Engine) {
	limit := c.svc.draft.Limits.MaxAnswerBytes
	raw, err := io.ReadAll(io.LimitReader(body, limit+1))
	_ = body.Close()
	if p := c.problem(); p != nil {
		c.refuse(p)
		return
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errTotal):
		c.refuse(upstreamProblem(http.StatusGatewayTimeout, "upstream_timeout", "The upstream did not answer in time."))
		return
	case err != nil && cause != nil:
		c.row.Status, c.row.ErrorCode = 499, "client_left"
		return
	case err != nil:
		c.refuse(upstreamProblem(http.StatusBadGateway, "upstream_interrupted", "The upstream ended the answer in the middle."))
		return
	case int64(len(raw)) > limit:
		c.refuse(upstreamProblem(http.StatusBadGateway, "upstream_too_large", "The upstream's answer is larger than allowed."))
		return
	}
	room, before := c.answer.left, c.row.Verdict.Clone()
	for {
		// Orders that came while the upstream was at work, or the guard, bind this answer too.
		if _, now, changed := c.verdict(); changed {
			engines = now
			if c.promptBlocked(engines) {
				c.g.count.inputBlocks.Add(1)
				c.sayBlocked(c.request)
				return
			}
		}
		var a completion
		if err := json.Unmarshal(raw, &a); err != nil || len(a.Choices) == 0 || !a.normalise() {
			c.refuse(upstreamProblem(http.StatusBadGateway, "upstream_protocol", "The upstream sent something that is not a chat completion."))
			return
		}
		blocked, err := c.inspectAnswer(ctx, &a, engines)
		p := c.problem()
		if p != nil || err != nil {
			c.row.ReleasedRunes = 0 // nothing of what was cleared leaves
		}
		switch {
		case p != nil:
			c.refuse(p)
			return
		case err != nil:
			c.refuse(inspectionFailed())
			return
		case !c.tightened():
			c.conclude(a, blocked)
			return
		}
		// Once more, from what the upstream sent.
		c.answer, c.row.ReleasedRunes = capture{left: room}, 0
		c.rewind(before)
	}
}

// conclude sends an answer that was inspected.
func (c *call) conclude(a completion, blocked bool) {
	if blocked {
		c.g.count.outputBlocks.Add(1)
	}
	c.row.TokensIn, c.row.TokensOut = a.Usage.tokens()
	if f := a.Choices[0].Finish; f != nil {
		c.row.Finish = *f
	}
	c.send(a)
}

// normalise drops what is not a name of the machine's making where only such names belong.
func (a *completion) normalise() bool {
	a.Notice = nil
	a.Object = "chat.completion"
	for _, s := range []*string{&a.ID, &a.Model, &a.SystemFingerprint, &a.ServiceTier} {
		if !isLabel([]byte(*s)) {
			*s = ""
		}
	}
	for i := range a.Choices {
		ch := &a.Choices[i]
		if !numbered(&ch.Index, i) {
			return false
		}
		ch.Message.Role = "assistant"
		if ch.Finish != nil && !finishWord([]byte(*ch.Finish)) {
			stop := "stop"
			ch.Finish = &stop
		}
		for j := range ch.Message.ToolCalls {
			ch.Message.ToolCalls[j].Type = "function"
		}
	}
	return true
}

// labelPlace is that of the names of the upstream's making in an answer.
var labelPlace = inspect.Place{Side: Output, Channel: ChannelDefinition}

// inspectAnswer passes every text of every choice through the engines. A choice that is blocked is
// replaced whole: nothing of it has left yet.
func (c *call) inspectAnswer(ctx context.Context, a *completion, engines []*inspect.Engine) (blocked bool, err error) {
	c.row.OutputVerdict = VerdictAllow
	for _, label := range []*string{&a.ID, &a.Model, &a.SystemFingerprint, &a.ServiceTier} {
		_, hits, action, uninspected, failed := c.scan(Output, engines, *label)
		if failed != nil {
			return false, failed
		}
		c.missed(labelPlace, uninspected)
		if action >= inspect.Mask {
			c.found(labelPlace, hits)
			*label = ""
		}
	}
	for i := range a.Choices {
		ch := &a.Choices[i]
		stop := c.stopped[*ch.Index]
		var doubts []doubt
		one := func(s slot, tool int, text *string) {
			if err != nil || text == nil || *text == "" {
				return
			}
			key := chanKey{*ch.Index, s, tool}
			at := key.place()
			c.answer.add(key, *text)
			c.row.Verdict.Open(at)
			c.row.Verdict.Read(at, len(*text))
			if s.arguments() {
				*text = plain(*text)
			}
			reading := engines
			if !s.whole() {
				reading = c.said(engines)
			}
			out, hits, action, uninspected, failed := c.scan(Output, reading, *text)
			if failed != nil {
				err = failed
				return
			}
			c.missed(at, uninspected)
			if s.whole() && action >= inspect.Mask {
				action = inspect.Block // a name cannot be masked and still mean something
				c.row.Verdict.Decide(at, action)
			}
			c.row.OutputVerdict = Worse(c.row.OutputVerdict, action.String())
			c.found(at, hits)
			if c.svc.guard != nil && !s.whole() {
				for _, noticed := range c.noticed(Output, reading, *text, out, hits) {
					turns, _ := c.conversation()
					doubts = append(doubts, doubt{place: at, before: turns, text: out, at: noticed, risk: riskOf(hits), said: true})
				}
			}
			stop = stop || action == inspect.Block
			*text = c.home(s, out)
		}
		m := &ch.Message
		one(slotReasoningContent, 0, m.ReasoningContent)
		one(slotReasoning, 0, m.Reasoning)
		one(slotContent, 0, m.Content)
		one(slotRefusal, 0, m.Refusal)
		for j := range m.ToolCalls {
			t := &m.ToolCalls[j]
			one(slotToolID, j, &t.ID)
			one(slotToolName, j, &t.Function.Name)
			one(slotToolArguments, j, &t.Function.Arguments)
		}
		if f := m.FunctionCall; f != nil {
			one(slotCallName, 0, &f.Name)
			one(slotCallArguments, 0, &f.Arguments)
		}
		if err != nil {
			return false, err
		}
		switch {
		case stop:
		case !c.svc.waits():
			c.askLater(doubts)
		default:
			unsafe, uninspected, err := c.settle(ctx, doubts)
			if err != nil {
				return false, err
			}
			if uninspected {
				c.row.OutputVerdict = Worse(c.row.OutputVerdict, VerdictUninspected)
			}
			stop = unsafe
		}
		if stop {
			if c.stopped == nil {
				c.stopped = map[int]bool{}
			}
			c.stopped[*ch.Index], blocked = true, true
			c.row.OutputVerdict = VerdictBlock
			c.row.Verdict.Decide(chanKey{choice: *ch.Index}.place(), inspect.Block)
			*ch = c.blockedChoice(*ch.Index)
			a.Notice = &notice{Code: "content_blocked", Content: c.row.ContentNumber}
			continue
		}
		c.row.ReleasedRunes += m.runes()
	}
	return blocked, nil
}

func (m *answerMessage) runes() int {
	n := 0
	for _, s := range []*string{m.Content, m.Refusal, m.ReasoningContent, m.Reasoning} {
		if s != nil {
			n += utf8.RuneCountInString(*s)
		}
	}
	for _, t := range m.ToolCalls {
		n += utf8.RuneCountInString(t.Function.Name) + utf8.RuneCountInString(t.Function.Arguments)
	}
	if f := m.FunctionCall; f != nil {
		n += utf8.RuneCountInString(f.Name) + utf8.RuneCountInString(f.Arguments)
	}
	return n
}

func (c *call) blockedText() string {
	return orText(c.svc.draft.Notices.Blocked.In(c.row.Language), "This content cannot be shown.")
}

func (c *call) blockedChoice(index int) completionChoice {
	text, word := c.blockedText(), "content_filter"
	return completionChoice{Index: &index, Message: answerMessage{Role: "assistant", Content: &text}, Finish: &word}
}

// sayBlocked answers a request that was blocked, in the form of a normal answer: the text of the
// posture as content, and content_filter as the reason it ended. SDKs parse it, people can read it.
func (c *call) sayBlocked(req *chatRequest) {
	id, created, model := "chatcmpl-"+c.row.RequestID, c.row.StartedMs/1000, c.row.Route
	n := &notice{Code: "content_blocked", Content: c.row.ContentNumber}
	c.row.Finish = "content_filter"
	if !req.Stream {
		c.send(completion{ID: id, Object: "chat.completion", Created: created, Model: model, Choices: []completionChoice{c.blockedChoice(0)}, Notice: n})
		return
	}
	text, role := c.blockedText(), "assistant"
	p := &pump{c: c, filter: newFilter(c, nil), head: chunk{ID: id, Created: created, Model: model}}
	zero := 0
	p.sendChunk(p.own(chunkChoice{Index: &zero, Delta: delta{Role: &role, Content: &text}}))
	p.finishWith(n)
}

// send writes an answer that is not streamed.
func (c *call) send(a completion) {
	body, err := json.Marshal(a, json.Deterministic(true))
	if err != nil {
		c.refuse(inspectionFailed())
		return
	}
	if p := c.problem(); p != nil { // the last moment at which an order can stop it
		c.row.ReleasedRunes = 0
		c.refuse(p)
		return
	}
	c.begin("application/json; charset=utf-8")
	c.link.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	c.link.w.WriteHeader(http.StatusOK)
	if err := c.link.write(body); err != nil {
		c.lost(err)
		return
	}
	if err := c.link.flush(); err != nil {
		c.lost(err)
	}
}
