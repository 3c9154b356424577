package gateway

import (
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/inspect/fold"
	"github.com/fengsui/fengsui/internal/inspect/placeholder"
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

// place says it in a verdict.
func (k chanKey) place() inspect.Place {
	p := inspect.Place{Side: Output, Channel: k.slot.channel(), Choice: k.choice}
	switch k.slot {
	case slotReasoning:
		p.Part = "reasoning"
	case slotToolID, slotToolName, slotToolArguments:
		p.Part = "tool_calls[" + strconv.Itoa(k.tool) + "]"
	case slotCallName, slotCallArguments:
		p.Part = "function_call"
	}
	return p
}

// outText is one text of an answer on its way to the client.
type outText struct {
	key    chanKey
	place  inspect.Place
	stages []stage
	plain  plainArguments
	word   string // slots that are judged whole: what came so far
	fed    []byte // what went through the stages, for stages that orders put in their place
	gone   int    // runes that were released
	debt   int    // runes that were released before stricter stages came, which would still hold them
	again  bool   // fed is going through new stages

	home *placeholder.Restorer // nil if nothing has to be put back

	heard  int // bytes that came so far
	length int // ... in characters
	told       // to the guard
	was    told

	held int // most symbols that a stage held back at once
	why  inspect.Hold

	fresh   int                  // runes released since mark
	homeWas placeholder.Restorer // ... and home as it was then
}

// stage is one check that a text passes.
type stage struct {
	engine *inspect.Engine
	*inspect.Stream
	from  int    // bytes of the text that came before it began
	given int    // characters that came to it since
	held  []rune // ... of which it has not released these; masked where it has decided that they do not leave as they are
}

// told is what the guard has heard about a text.
type told struct {
	noticed bool     // something asks for a second opinion
	news    bool     // ... that the guard has not heard about
	newsAt  int      // ... the first of it, in bytes that came
	asked   int      // bytes that had come when it was asked
	runes   int      // where it was asked about last, in characters
	first   bool     // ... news by a rule that it has not heard about in this text
	rules   []string // that noticed something; never changed in place
}

// fedLimit bounds what is kept of a text for stricter stages; of a longer one only the end is kept.
const fedLimit = 256 << 10

// maxHeld bounds what is kept of what a stage holds: beyond it, without the characters that take no part in comparison, of
// which there may be any number.
const maxHeld = 4 * inspect.WidestHold

// filter holds back what is not cleared, for all texts of one answer.
type filter struct {
	c       *call
	engines []*inspect.Engine
	texts   []*outText // few: a linear search beats a map
	over    []int      // choices that are finished
	verdict string
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
	t := &outText{key: k, place: k.place()}
	f.c.row.Verdict.Open(t.place)
	if !k.slot.whole() {
		t.stages = f.stages(0)
		if f.c.swaps != nil {
			t.home = f.c.swaps.NewRestorer(form(k.slot))
			t.homeWas = *t.home
		}
	}
	f.texts = append(f.texts, t)
	return t
}

// stages are those of a running text of which so many bytes came before.
func (f *filter) stages(from int) []stage {
	engines := f.c.said(f.engines)
	list := make([]stage, len(engines))
	for i, e := range engines {
		list[i] = stage{engine: e, Stream: e.NewStream(), from: from}
	}
	return list
}

// write takes a piece of one text and gives what may leave now. blocked: nothing more may, of any text.
func (f *filter) write(k chanKey, piece string) (released string, blocked bool, err error) {
	t := f.text(k)
	f.verdict = Worse(f.verdict, VerdictAllow)
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
	t.feed(piece)
	released, blocked, err = f.through(t, piece, last)
	if err != nil {
		return "", true, err
	}
	return t.give(t.release(released), last || blocked), blocked, nil
}

// through passes a piece through the stages. What a stage released before it blocked still passes those behind it, and so
// does what a stage that failed held and what came to it.
func (f *filter) through(t *outText, piece string, last bool) (released string, blocked bool, err error) {
	released = piece
	cleared := "" // by the stage that is at work
	missed, err := f.c.guarded(Output, len(t.stages), func(i int) {
		s := &t.stages[i]
		step := s.Write(released)
		s.keep(released, step)
		cleared, released, blocked = step.Released, "", blocked || step.Blocked
		if step.Held > t.held {
			t.held, t.why = step.Held, step.Why
		}
		f.hits(t, s.from, step.Matches)
		if last || blocked {
			end := s.Close()
			cleared, blocked, s.held = cleared+end.Released, blocked || end.Blocked, s.held[:0]
			f.hits(t, s.from, end.Matches)
		}
		released, cleared = cleared, ""
	}, func(i int) { // its state is unknown: it begins anew behind this piece
		s := &t.stages[i]
		released, cleared = cleared+string(s.held)+released, ""
		s.Stream, s.from, s.given, s.held = s.engine.NewStream(), t.heard, 0, s.held[:0]
	})
	if missed {
		f.missed(t)
	}
	if blocked {
		f.verdict = VerdictBlock
	}
	return released, blocked, err
}

// keep notes what a stage holds after a piece came to it.
func (s *stage) keep(piece string, step inspect.Step) {
	s.given += utf8.RuneCountInString(piece)
	at, old := len(piece), len(s.held)
	for n := step.Held; n > 0 && at+old > 0; {
		var r rune
		if at > 0 {
			var w int
			r, w = utf8.DecodeLastRuneInString(piece[:at])
			at -= w
		} else {
			old--
			r = s.held[old]
		}
		if !skipped(r) {
			n--
		}
	}
	s.held = append(s.held[:0], s.held[old:]...)
	for _, r := range piece[at:] {
		s.held = append(s.held, r)
	}
	first := s.given - len(s.held)
	for _, h := range step.Matches {
		if h.Action != inspect.Mask && h.Action != inspect.Replace {
			continue
		}
		for i := max(h.FirstRune, first); i < h.EndRune; i++ {
			if !skipped(s.held[i-first]) {
				s.held[i-first] = inspect.DefaultMaskRune
			}
		}
	}
	if len(s.held) > maxHeld {
		s.held = slices.DeleteFunc(s.held, skipped)
	}
}

// skipped tells whether a character does not count in Step.Held.
func skipped(r rune) bool { return fold.Strict().Rune(r) == fold.Skip }

func (t *outText) feed(piece string) {
	t.heard += len(piece)
	t.length += utf8.RuneCountInString(piece)
	t.fed = append(t.fed, piece...)
	if len(t.fed) > fedLimit {
		cut := len(t.fed) - fedLimit/2
		for cut < len(t.fed) && !utf8.RuneStart(t.fed[cut]) {
			cut++
		}
		t.gone = max(0, t.gone-utf8.RuneCount(t.fed[:cut])) // masks keep the count; replacements may be off by their length
		t.fed = append(t.fed[:0], t.fed[cut:]...)
	}
}

// release takes off what the client has already, and counts the rest.
func (t *outText) release(s string) string {
	for t.debt > 0 && s != "" {
		_, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		t.debt--
	}
	n := utf8.RuneCountInString(s)
	t.gone, t.fresh = t.gone+n, t.fresh+n
	return s
}

// mark remembers what has left, and recall goes back there: what was released since has not been written.
func (f *filter) mark() {
	for _, t := range f.texts {
		t.fresh = 0
		if t.home != nil {
			t.homeWas = *t.home
		}
	}
}

func (f *filter) recall() {
	for _, t := range f.texts {
		t.gone, t.fresh = max(0, t.gone-t.fresh), 0
		if t.home != nil {
			*t.home = t.homeWas
		}
	}
}

// word judges a short text by all that came of it so far. It cannot be masked and still mean something,
// so whatever asks for more than observing blocks the answer.
func (f *filter) word(t *outText, piece string) (released string, blocked bool, err error) {
	if len(t.word)+len(piece) > 1024 {
		f.verdict = VerdictBlock
		f.c.row.Verdict.Decide(t.place, inspect.Block)
		return "", true, nil
	}
	t.word += piece
	t.heard += len(piece)
	missed, err := f.c.guarded(Output, len(f.engines), func(i int) {
		res := f.engines[i].Scan(t.word)
		for i := range res.Matches {
			if res.Matches[i].Action >= inspect.Mask {
				res.Matches[i].Action, blocked = inspect.Block, true
			}
		}
		f.hits(t, 0, res.Matches)
	}, nil)
	if missed {
		f.missed(t)
	}
	if blocked || err != nil {
		return "", true, err
	}
	return piece, false, nil
}

func (f *filter) missed(t *outText) {
	f.verdict = Worse(f.verdict, VerdictUninspected)
	f.c.row.Verdict.Miss(t.place)
}

// account puts into the verdict of the call what was counted on the way: an event without a hit costs it nothing.
func (f *filter) account() {
	for _, t := range f.texts {
		f.c.row.Verdict.Read(t.place, t.heard)
		f.c.row.Verdict.Keep(t.place, t.held, t.why)
	}
}

// hits notes what was found in a text by a check that began at byte from.
func (f *filter) hits(t *outText, from int, hits []inspect.Match) {
	if len(hits) == 0 {
		return
	}
	news := hits[:0:0]
	for _, h := range hits {
		f.verdict = Worse(f.verdict, h.Action.String())
		if !t.again || !f.c.knows(t.place, h) {
			news = append(news, h)
		}
	}
	f.c.found(t.place, news)
	if f.c.svc.guard == nil || t.key.slot.whole() {
		return
	}
	for _, h := range news {
		if !doubtful(h) {
			continue
		}
		if at := from + h.Start; !t.news || at < t.newsAt {
			t.newsAt = at
		}
		t.noticed, t.news = true, true
		if !slices.Contains(t.rules, h.RuleID) {
			t.first, t.rules = true, append(slices.Clip(t.rules), h.RuleID)
		}
	}
}

// tighten puts stricter engines in place of those at work. Each text goes through them from its beginning,
// so that what was said before the order counts, and so does a term that straddles it. What the client has
// already is not sent again; pending is what the new stages clear beyond that.
func (f *filter) tighten(engines []*inspect.Engine) (blocked bool, pending []pendingText, err error) {
	f.engines = engines
	for _, t := range f.texts {
		if t.key.slot.whole() {
			if _, blocked, err := f.word(t, ""); blocked || err != nil {
				return true, nil, err
			}
			continue
		}
		if f.finished(t.key.choice) {
			continue
		}
		t.again, t.stages = true, f.stages(t.heard-len(t.fed))
		released, blocked, err := f.through(t, string(t.fed), false)
		t.again = false
		if blocked || err != nil {
			return true, nil, err
		}
		sent := t.gone
		t.debt, t.gone = sent, 0
		rest := t.give(t.release(released), false)
		t.gone += sent
		if rest != "" {
			pending = append(pending, pendingText{t.key, rest})
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
