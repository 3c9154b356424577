package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/monitor/guard"
	"github.com/fengsui/fengsui/internal/posture"
)

// doubt is a text in which a rule noticed something and none stopped it.
type doubt struct {
	place  inspect.Place
	before []guard.Turn // what was said before it
	text   string       // as it would be passed on
	at     int          // byte offset of what was noticed
	said   bool         // by the model
	risk   string       // of what was noticed
	gone   bool         // what was noticed is not kept any more
}

// maxQuestions is how often the guard is asked about one request, and as often about its answer. What it remembers does not count.
const maxQuestions = 16

// KindGuard is the kind of a match that is the opinion of the guard model.
const KindGuard = "guard"

// ruleGuardSilent stands for texts about which the guard had no opinion, whether they passed without one or not.
const ruleGuardSilent = "gateway.guard_silent"

// errLeft: the call is over, so nobody waits for an opinion.
var errLeft = errors.New("the call is over")

// doubtful tells whether a hit asks for a second opinion. Numbers and keys are certain or not for reasons that a model cannot
// know better.
func doubtful(h inspect.Match) bool {
	return h.Action == inspect.Observe && slices.Contains([]string{inspect.KindTerm, inspect.KindRule, inspect.KindClassifier}, h.Kind)
}

// noticed gives where in out, which is what engines made of s, to ask a guard about their hits.
func (c *call) noticed(side string, engines []*inspect.Engine, s, out string, hits []inspect.Match) []int {
	return c.places(out, c.unsure(side, engines, s, out, hits))
}

// places gives where to ask about a text in which something is noticed at byte offsets.
func (c *call) places(text string, ends []int) []int {
	if len(ends) == 0 {
		return nil
	}
	at, all := guard.Places(text, ends)
	if !all {
		c.svc.guard.Partly()
	}
	return at
}

// unsure gives where in out, which is what engines made of s, hits that ask for a second opinion begin and end.
func (c *call) unsure(side string, engines []*inspect.Engine, s, out string, hits []inspect.Match) (ends []int) {
	if !slices.ContainsFunc(hits, doubtful) {
		return nil
	}
	if out != s { // masks and replacements moved it
		_, again, _, _, err := c.scan(side, engines, out)
		if err == nil && slices.ContainsFunc(again, doubtful) {
			hits = again
		}
	}
	for _, h := range hits {
		if doubtful(h) {
			ends = append(ends, h.Start, h.End)
		}
	}
	return ends
}

// riskOf is the risk of the first hit that asks for a second opinion.
func riskOf(hits []inspect.Match) string {
	if i := slices.IndexFunc(hits, doubtful); i >= 0 {
		return hits[i].Risk
	}
	return ""
}

// conversation is what users, tools and the model said, as the model reads it, and in which message each was. It is put together
// once each time that the request is inspected; callers do not change it.
func (c *call) conversation() (turns []guard.Turn, of []int) {
	if c.turns != nil {
		return c.turns, c.turnOf
	}
	turns = []guard.Turn{}
	channel := ""
	var parts []string // of the last turn
	whole := func() {
		if len(parts) > 1 {
			turns[len(turns)-1].Text = strings.Join(parts, "")
		}
	}
	c.request.texts(func(f field, s *string) {
		if *s == "" || !f.spoken(c.request) {
			return
		}
		if n := len(of); n > 0 && of[n-1] == f.message && channel == f.channel && channel == ChannelContent {
			parts = append(parts, *s)
			return
		}
		whole()
		parts = append(parts[:0], *s)
		channel, of = f.channel, append(of, f.message)
		turns = append(turns, guard.Turn{Text: *s, Said: c.request.Messages[f.message].Role == "assistant"})
	})
	whole()
	c.turns, c.turnOf = turns, of
	return turns, of
}

// joined adds to doubts about a request, the last message first, what was said before, and leaves out the messages that the
// question about a later one shows whole.
func (c *call) joined(doubts []doubt) (list []doubt) {
	if len(doubts) == 0 {
		return nil
	}
	turns, of := c.conversation()
	shown := map[int]bool{} // messages
	for _, d := range doubts {
		if shown[d.place.Choice] {
			continue
		}
		n, _ := slices.BinarySearch(of, d.place.Choice)
		d.before = turns[:n]
		if list = append(list, d); !c.svc.guard.JudgesAll() {
			continue
		}
		for i := n - guard.Whole(d.question()); i < n; i++ {
			if i == 0 || of[i-1] != of[i] {
				shown[of[i]] = true
			}
		}
	}
	return list
}

// waits tells whether doubtful texts wait for the guard.
func (s *service) waits() bool { return s.guard != nil && s.draft.Guard.Action == posture.Block }

// settle asks the guard about texts, all at once, and waits until it has answered or orders tightened. blocked: one of them is unsafe. uninspected: for one there is no
// opinion, and the posture lets it pass. The error is errInspection where it does not, and errLeft when the call ended meanwhile.
func (c *call) settle(ctx context.Context, doubts []doubt) (blocked, uninspected bool, err error) {
	if len(doubts) == 0 || c.tightened() {
		return false, false, nil
	}
	ctx, span := c.g.o.Tracer.Start(ctx, "gateway.guard")
	defer span.End(nil)
	began := c.g.o.Clock.Now()
	opinions, silences := make([]guard.Opinion, len(doubts)), make([]error, len(doubts))
	var asked sync.WaitGroup
	put := map[string]int{} // questions, by side
	for i, d := range doubts {
		if silences[i] = c.unasked(d, &opinions[i]); silences[i] != errAsk {
			continue
		}
		put[d.place.Side]++
		asked.Add(1)
		c.g.later.Go(func() {
			defer asked.Done()
			opinions[i], silences[i] = c.svc.guard.Ask(ctx, d.question())
		})
	}
	answered := make(chan struct{})
	c.g.later.Go(func() { asked.Wait(); close(answered) })
	defer func() { c.row.Verdict.Cost.WaitUs += c.g.o.Clock.Now().Sub(began).Microseconds() }()
	for waiting := true; waiting; {
		select {
		case <-answered:
			waiting = false
		case <-c.wake:
			if c.tightened() { // the texts are judged anew, and then the same question goes on
				for side, n := range put {
					c.questions[side] -= n
					c.row.Verdict.Cost.Asked -= n
				}
				return false, false, nil
			}
		case <-ctx.Done():
			waiting = false
		}
	}
	if ctx.Err() != nil {
		return false, false, errLeft
	}
	for i, d := range doubts {
		switch {
		case silences[i] == nil && opinions[i].Unsafe:
			c.found(d.place, []inspect.Match{d.hit(opinions[i], inspect.Block)})
			blocked = true
		case silences[i] != nil && c.svc.draft.Guard.Failure == posture.Closed:
			c.once(unheard(d.place.Side))
			err = errInspection
		case silences[i] == guard.Many && c.spent[d.place]:
			uninspected = true // and said
		case silences[i] != nil:
			if silences[i] == guard.Many {
				if c.spent == nil {
					c.spent = map[inspect.Place]bool{}
				}
				c.spent[d.place] = true
			}
			c.passUninspected(d.place.Side, ruleGuardSilent)
			c.row.Verdict.Miss(d.place)
			uninspected = true
		}
	}
	if blocked {
		return true, uninspected, nil
	}
	return false, uninspected, err
}

// unheard is a silence of the guard that let nothing pass that would have waited.
func unheard(side string) Match {
	return Match{RuleID: ruleGuardSilent, Kind: kindFailure, Action: VerdictObserve, Side: side}
}

// askLater asks the guard about texts that do not wait for it; what is unsafe becomes a signal, whenever the answer comes,
// and so does the first silence. The content is with the signal of the rule that noticed the text.
func (c *call) askLater(doubts []doubt) {
	var told atomic.Bool
	for _, d := range doubts {
		g, model, s := c.g, c.svc.guard, c.signalOf(Match{RuleID: KindGuard, Side: d.place.Side})
		prompt := c.row.Prompt
		tell := func(op guard.Opinion, err error) {
			switch {
			case err == nil && op.Unsafe:
				s.Match = matchOf(d.place, d.hit(op, inspect.Observe))
			case err == nil || errors.Is(err, guard.Left) || told.Swap(true):
				return
			default:
				s.Match = unheard(d.place.Side)
			}
			s.ID, s.AtMs = g.newID(), g.o.Clock.Now().UnixMilli()
			s.Fingerprint = fingerprint(s.ServiceID, s.Match, prompt)
			g.o.Sink.Signal(s)
		}
		var op guard.Opinion
		if err := c.unasked(d, &op); err != errAsk {
			tell(op, err)
			continue
		}
		g.later.Go(func() { tell(model.Ask(g.laterCtx, d.question())) })
	}
}

// errAsk: there is a question to put.
var errAsk = errors.New("the guard is to be asked")

// unasked settles what needs no question: an opinion that the guard remembers, or a silence. It counts the others, errAsk.
func (c *call) unasked(d doubt, op *guard.Opinion) error {
	if d.gone {
		return c.svc.guard.Unasked(guard.Gone)
	}
	known, ok := c.svc.guard.Recall(d.question())
	switch {
	case ok:
		*op = known
		return nil
	case !c.mayAsk(d.place.Side):
		return c.svc.guard.Unasked(guard.Many)
	}
	return errAsk
}

// mayAsk counts a question about one side.
func (c *call) mayAsk(side string) bool {
	if c.questions == nil {
		c.questions = map[string]int{}
	}
	if c.questions[side] == maxQuestions {
		return false
	}
	c.questions[side]++
	c.row.Verdict.Cost.Asked++
	return true
}

func (d doubt) question() guard.Question {
	return guard.Question{Before: d.before, Text: d.text, At: d.at, Said: d.said}
}

// hit is an opinion as a hit of the whole text.
func (d doubt) hit(op guard.Opinion, action inspect.Action) inspect.Match {
	n, risk := utf8.RuneCountInString(d.text), op.Risk
	if op.Unclassed() {
		risk = d.risk
	}
	return inspect.Match{RuleID: KindGuard + "." + op.Word, Kind: KindGuard, Action: action, Risk: risk, End: len(d.text), Runes: n, EndRune: n}
}

// due tells whether the guard should hear about a text now. A rule that it has heard about in this text waits until the text
// has gone on by what one question shows, so that an answer on one subject is not asked about at each mention; once half of
// the questions are spent, every rule does.
func (f *filter) due(t *outText, ends func(choice int) bool) bool {
	switch {
	case !t.noticed || t.heard == t.asked || f.c.spent[t.place]:
		return false
	case ends(t.key.choice) || t.heard >= 2*max(t.asked, 1024) || t.news && t.asked == 0:
		return true
	}
	return t.first && f.c.questions[Output] < maxQuestions/2 || t.news && t.length-t.runes >= guard.Shown
}

// doubts are the texts of an answer that the guard should hear about now: those with something new to notice, those that
// end, and of those noticed before the ones that have doubled since. What it heard about before it remembers.
func (f *filter) doubts(ends func(choice int) bool) (list []doubt) {
	for _, t := range f.texts {
		if t.was = t.told; !f.due(t, ends) {
			continue
		}
		d := doubt{place: t.place, said: true}
		if t.news && t.newsAt < t.heard-len(t.fed) {
			gone := d
			gone.gone = true
			list = append(list, gone)
		}
		t.told = told{noticed: true, asked: t.heard, runes: t.runes, rules: t.rules}
		engines := f.c.said(f.engines)
		out, hits, _, uninspected, err := f.c.scan(Output, engines, string(t.fed))
		d.text, d.risk = out, riskOf(hits)
		places := f.c.noticed(Output, engines, string(t.fed), out, hits)
		if err != nil || uninspected && len(places) == 0 { // the check that noticed something failed now
			d.gone = true
			list = append(list, d)
			continue
		}
		for _, d.at = range places {
			list = append(list, d)
			t.told.runes = t.length - utf8.RuneCountInString(out[d.at:])
		}
	}
	if len(list) > 0 {
		turns, _ := f.c.conversation()
		for i := range list {
			list[i].before = turns
		}
	}
	return list
}

// unheard takes back what doubts noted: nobody has answered yet.
func (f *filter) unheard() {
	for _, t := range f.texts {
		t.told = t.was
	}
}

// second lets the texts of an answer wait for the guard where the posture says so, and judges what is about to leave anew
// when orders tighten meanwhile. over: nothing more leaves.
func (p *pump) second(ctx context.Context, ends func(choice int) bool) (anew, over bool) {
	for {
		blocked, err := p.asked(ctx, ends)
		switch {
		case errors.Is(err, errLeft):
			p.endedMeanwhile(ctx)
			return anew, true
		case blocked || err != nil:
			return anew, p.refuse(err)
		case !p.c.tightened():
			return anew, false
		}
		anew = true
		if blocked, err := p.again(ends); blocked || err != nil {
			return anew, p.refuse(err)
		}
	}
}

// asked puts the texts of an answer to the guard once.
func (p *pump) asked(ctx context.Context, ends func(choice int) bool) (blocked bool, err error) {
	if !p.c.svc.waits() {
		return false, nil
	}
	asked := p.filter.doubts(ends)
	blocked, uninspected, err := p.c.settle(ctx, asked)
	switch {
	case len(asked) > 0 && !blocked && err == nil && p.c.tightened():
		p.filter.unheard() // they are judged anew first
	case blocked:
		p.filter.verdict = VerdictBlock
	case uninspected:
		p.filter.verdict = Worse(p.filter.verdict, VerdictUninspected)
		for _, t := range p.filter.texts {
			t.rules = nil // there is no opinion that would do for the next mention
		}
	}
	return blocked, err
}

// equip gives services that have none yet their guards. One that is asked on the same terms as before is kept, with what it
// remembers and how it fared.
func (g *Gateway) equip(r, have *regime) {
	for id, svc := range r.services {
		d := svc.draft.Guard
		if d == nil || svc.guard != nil {
			continue
		}
		if have != nil && have.services[id] != nil {
			if old := have.services[id]; old.guard != nil && old.draft.Guard.Asks() == d.Asks() {
				svc.guard = old.guard
				continue
			}
		}
		svc.guard = guard.New(guard.Options{BaseURL: d.BaseURL, Model: d.Model, Format: d.Format, Secret: d.Secret, Key: g.o.Secret, Transport: g.o.Transport, Clock: g.o.Clock,
			Wait: time.Duration(d.WaitMs) * time.Millisecond, PerMinute: d.PerMinute, AtOnce: d.AtOnce})
	}
}
