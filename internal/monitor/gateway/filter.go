package gateway

import (
	"github.com/fengsui/fengsui/internal/inspect"
)

// slot is a place of a delta that can hold text.
type slot uint8

// The slots. The first four are running texts; the last four are short words that are judged whole.
const (
	slotContent slot = iota
	slotReasoningContent
	slotReasoning
	slotRefusal
	slotToolArguments
	slotCallArguments // of the old function_call
	slotToolName
	slotToolID
	slotCallName
)

func (s slot) channel() string {
	switch s {
	case slotContent:
		return ChannelContent
	case slotReasoningContent, slotReasoning:
		return ChannelReasoning
	case slotRefusal:
		return ChannelRefusal
	case slotToolArguments, slotCallArguments:
		return ChannelToolArguments
	case slotToolID:
		return ChannelToolID
	}
	return ChannelToolName
}

func (s slot) arguments() bool { return s == slotToolArguments || s == slotCallArguments }
func (s slot) whole() bool     { return s >= slotToolName }

// chanKey names one text of an answer.
type chanKey struct {
	choice int
	slot   slot
	tool   int
}

// outText is one text of an answer on its way to the client.
type outText struct {
	key    chanKey
	stages []*inspect.Stream
	plain  plainArguments
	word   string // slots that are judged whole: what came so far
	base   int    // bytes that went through stages which orders have replaced
	bytes  int    // bytes taken
}

// filter holds back what is not cleared, for all texts of one answer.
type filter struct {
	c       *call
	engines []*inspect.Engine
	texts   []*outText // few: a linear search beats a map
	over    []int      // choices that are finished
	verdict string
	blocked *inspect.Match // the hit that ended the answer
}

func newFilter(c *call, engines []*inspect.Engine) *filter {
	return &filter{c: c, engines: engines, verdict: VerdictNone}
}

func (f *filter) text(k chanKey) *outText {
	for _, t := range f.texts {
		if t.key == k {
			return t
		}
	}
	t := &outText{key: k}
	if !k.slot.whole() {
		t.stages = streams(f.engines)
	}
	f.texts = append(f.texts, t)
	return t
}

func streams(engines []*inspect.Engine) []*inspect.Stream {
	list := make([]*inspect.Stream, len(engines))
	for i, e := range engines {
		list[i] = e.NewStream()
	}
	return list
}

// write takes a piece of one text and gives what may leave now. blocked: nothing more may, of any text.
func (f *filter) write(k chanKey, piece string) (released string, blocked bool, err error) {
	t := f.text(k)
	f.verdict = worse(f.verdict, VerdictAllow)
	f.c.answer.add(k, piece)
	if k.slot.whole() {
		return f.word(t, piece)
	}
	if k.slot.arguments() {
		piece = t.plain.write(piece)
	}
	return f.pass(t, piece, false)
}

// close gives what was held back at the end of a text.
func (f *filter) close(t *outText) (released string, blocked bool, err error) {
	if t.key.slot.whole() {
		return "", false, nil
	}
	rest := ""
	if t.key.slot.arguments() {
		rest = t.plain.close()
	}
	return f.pass(t, rest, true)
}

func (f *filter) pass(t *outText, piece string, last bool) (released string, blocked bool, err error) {
	if piece == "" && !last {
		return "", false, nil
	}
	released = piece
	uninspected, err := f.c.guarded(Output, func() {
		for _, s := range t.stages {
			step := s.Write(released)
			f.hits(t, step.Matches)
			out := step.Released
			blocked = blocked || step.Blocked
			if last || blocked {
				end := s.Close()
				f.hits(t, end.Matches)
				out += end.Released
				blocked = blocked || end.Blocked
			}
			released = out
		}
	})
	t.bytes += len(piece)
	if err != nil {
		return "", true, err
	}
	if uninspected {
		// The state of the engine is unknown: begin anew behind this piece.
		t.stages, t.base = streams(f.engines), t.bytes
		f.verdict = worse(f.verdict, VerdictUninspected)
		return piece, false, nil
	}
	if blocked {
		f.verdict = VerdictBlock
	}
	return released, blocked, nil
}

// word judges a short text by all that came of it so far. It cannot be masked and still mean something,
// so whatever asks for more than observing blocks the answer.
func (f *filter) word(t *outText, piece string) (released string, blocked bool, err error) {
	if len(t.word)+len(piece) > 1024 {
		f.verdict = VerdictBlock
		return "", true, nil
	}
	t.word += piece
	uninspected, err := f.c.guarded(Output, func() {
		for _, e := range f.engines {
			res := e.Scan(t.word)
			for i := range res.Matches {
				if res.Matches[i].Action >= inspect.Mask {
					res.Matches[i].Action, blocked = inspect.Block, true
				}
			}
			f.hits(t, res.Matches)
		}
	})
	switch {
	case err != nil:
		return "", true, err
	case uninspected:
		f.verdict = worse(f.verdict, VerdictUninspected)
	case blocked:
		return "", true, nil
	}
	return piece, false, nil
}

func (f *filter) hits(t *outText, hits []inspect.Match) {
	if len(hits) == 0 {
		return
	}
	for i := range hits {
		hits[i].Start += t.base
		hits[i].End += t.base
		f.verdict = worse(f.verdict, hits[i].Action.String())
		if hits[i].Action == inspect.Block && f.blocked == nil {
			f.blocked = &hits[i]
		}
	}
	f.c.found(Output, t.key.slot.channel(), t.key.choice, hits)
}

// tighten puts stricter engines in place of those at work. What is held back goes through them, and if
// they would have blocked what was said so far, the answer is blocked: said is the text up to now.
func (f *filter) tighten(engines []*inspect.Engine) (blocked bool, pending []pendingText, err error) {
	f.engines = engines
	for _, t := range f.texts {
		if said := f.c.answer.text[t.key]; said != nil {
			_, err := f.c.guarded(Output, func() {
				for _, e := range engines {
					res := e.Scan(said.String())
					if res.Action == inspect.Block {
						f.hits(t, res.Matches)
						blocked = true
					}
				}
			})
			if err != nil {
				return true, nil, err
			}
		}
		if blocked {
			f.verdict = VerdictBlock
			return true, nil, nil
		}
		if t.key.slot.whole() {
			continue
		}
		held, stop, err := f.pass(t, "", true)
		if stop || err != nil {
			return true, nil, err
		}
		t.base = t.bytes - len(held)
		t.bytes -= len(held)
		t.stages = streams(engines)
		released, stop, err := f.pass(t, held, false)
		if stop || err != nil {
			return true, nil, err
		}
		if released != "" {
			pending = append(pending, pendingText{t.key, released})
		}
	}
	return false, pending, nil
}

// pendingText is text that was cleared without an event to put it in.
type pendingText struct {
	key  chanKey
	text string
}

func (f *filter) finished(choice int) bool {
	for _, c := range f.over {
		if c == choice {
			return true
		}
	}
	return false
}
