package gateway

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/monitor/guard"
	"github.com/fengsui/fengsui/internal/posture"
)

// doubt is a text that a rule noticed and none stopped.
type doubt struct {
	place inspect.Place
	text  string // as it would be passed on
	at    int    // byte offset of what was noticed
	said  bool   // by the model
}

// maxQuestions is how often the guard is asked about one request, and as often about its answer. What it remembers does not count.
const maxQuestions = 16

// KindGuard is the kind of a match that is the opinion of the guard model.
const KindGuard = "guard"

// ruleGuardSilent stands for texts about which the guard had no opinion, whether they passed without one or not.
const ruleGuardSilent = "gateway.guard_silent"

// errLeft: the call is over, so nobody waits for an opinion.
var errLeft = errors.New("the call is over")

// doubtful gives where hits begin that ask for a second opinion, of those that a guard sees at one look only the first.
// Numbers and keys are certain or not for reasons that a model cannot know better.
func doubtful(hits []inspect.Match) (at []int) {
	from := 0 // in characters
	for _, h := range hits {
		if h.Action == inspect.Observe && slices.Contains([]string{inspect.KindTerm, inspect.KindRule, inspect.KindClassifier}, h.Kind) &&
			(len(at) == 0 || h.FirstRune >= from+guard.Around || h.FirstRune < from) {
			at, from = append(at, h.Start), h.FirstRune
		}
	}
	return at
}

// waits tells whether doubtful texts wait for the guard.
func (s *service) waits() bool { return s.guard != nil && s.draft.Guard.Action == posture.Block }

// settle asks the guard about texts, all at once, and waits. blocked: one of them is unsafe. uninspected: for one there is no
// opinion, and the posture lets it pass. The error is errInspection where it does not, and errLeft when the call ended meanwhile.
func (c *call) settle(ctx context.Context, doubts []doubt) (blocked, uninspected bool, err error) {
	if len(doubts) == 0 {
		return false, false, nil
	}
	ctx, span := c.g.o.Tracer.Start(ctx, "gateway.guard")
	defer span.End(nil)
	began := c.g.o.Clock.Now()
	opinions, silences := make([]guard.Opinion, len(doubts)), make([]error, len(doubts))
	var asked sync.WaitGroup
	for i, d := range doubts {
		q := d.question()
		if op, ok := c.svc.guard.Recall(q); ok {
			opinions[i] = op
			continue
		}
		if !c.mayAsk(d.place.Side) {
			silences[i] = guard.Budget
			continue
		}
		asked.Go(func() { opinions[i], silences[i] = c.svc.guard.Ask(ctx, q) })
	}
	asked.Wait()
	c.row.Verdict.Cost.WaitUs += c.g.o.Clock.Now().Sub(began).Microseconds()
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
		case silences[i] != nil:
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
		if !c.mayAsk(d.place.Side) {
			continue
		}
		g, model, s := c.g, c.svc.guard, c.signalOf(Match{RuleID: KindGuard, Side: d.place.Side})
		prompt := c.row.Prompt
		g.later.Go(func() {
			op, err := model.Ask(g.laterCtx, d.question())
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
		})
	}
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
	return guard.Question{Text: d.text, At: d.at, Said: d.said}
}

// hit is an opinion as a hit of the whole text.
func (d doubt) hit(op guard.Opinion, action inspect.Action) inspect.Match {
	n := utf8.RuneCountInString(d.text)
	return inspect.Match{RuleID: KindGuard + "." + op.Word, Kind: KindGuard, Action: action, Risk: op.Risk, End: len(d.text), Runes: n, EndRune: n}
}

// doubts are the texts of an answer that the guard should hear about now: those with something new to notice, those that
// end, and of those noticed before the ones that have doubled since.
func (f *filter) doubts(ends func(choice int) bool) (list []doubt) {
	for _, t := range f.texts {
		if len(t.noticed) == 0 || t.heard == t.asked || !t.news && !ends(t.key.choice) && t.heard < 2*max(t.asked, 1024) {
			continue
		}
		t.news, t.asked = false, t.heard
		text := f.cleared(t)
		for _, at := range t.noticed {
			list = append(list, doubt{t.place, text, at, true})
		}
		t.noticed = t.noticed[len(t.noticed)-1:] // what follows is seen around the last
	}
	return list
}

// cleared is a text so far as the rules let it pass, whether it has left or not.
func (f *filter) cleared(t *outText) string {
	out := string(t.fed)
	_, _ = f.c.guarded(Output, func() {
		for _, e := range f.engines {
			out = e.Scan(out).Released
		}
	})
	return out
}

// second lets the texts of an answer wait for the guard where the posture says so.
func (p *pump) second(ctx context.Context, ends func(choice int) bool) (blocked bool, err error) {
	if !p.c.svc.waits() {
		return false, nil
	}
	blocked, uninspected, err := p.c.settle(ctx, p.filter.doubts(ends))
	switch {
	case blocked:
		p.filter.verdict = VerdictBlock
	case uninspected:
		p.filter.verdict = Worse(p.filter.verdict, VerdictUninspected)
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
		svc.guard = guard.New(guard.Options{BaseURL: d.BaseURL, Model: d.Model, Secret: d.Secret, Key: g.o.Secret, Transport: g.o.Transport, Clock: g.o.Clock,
			Wait: time.Duration(d.WaitMs) * time.Millisecond, PerMinute: d.PerMinute, AtOnce: d.AtOnce})
	}
}
