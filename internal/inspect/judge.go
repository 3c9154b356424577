package inspect

import (
	"fmt"

	"github.com/fengsui/fengsui/internal/inspect/classify"
)

// KindClassifier is the kind of hits of a [Classifier].
const KindClassifier = "classifier"

// Classifier lets one head of a model have its say on a text. It hits at most
// once in a text: where the head reaches its threshold at the end of a step of
// [classify.Step] symbols, the first after [classify.Warm] symbols, or at the end.
// The hit spans what the head looked at. With Block the text ends there, so that
// what made it hit may have been released before.
type Classifier struct {
	ID        string // unique among all terms, checks and classifiers
	Model     *classify.Model
	Head      string  // id of the head
	Action    Action  // Observe or Block
	Threshold float64 // probability from which it hits; 0 means that of the head
	Risk      string  // risk code; empty means that of the head
	Topic     string  // reported only
}

// judge is a model at work.
type judge struct {
	model *classify.Model
	heads []judgedHead
}

type judgedHead struct {
	head, rule int
	least      float64 // score from which it hits
}

func (c *compiler) classifier(k *Classifier) error {
	if err := c.identify(k.ID, k.Action); err != nil {
		return err
	}
	fail := func(field, format string, args ...any) error {
		return &RuleError{ID: k.ID, Field: field, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case k.Model == nil:
		return fail("model", "missing")
	case k.Action != Observe && k.Action != Block:
		return fail("action", "a classifier can observe or block")
	case !(k.Threshold >= 0 && k.Threshold < 1):
		return fail("threshold", "must be a probability below 1")
	}
	for i, h := range k.Model.Heads() {
		if h.ID != k.Head {
			continue
		}
		if k.Threshold > 0 {
			h.Threshold = k.Threshold
		}
		if k.Risk != "" {
			h.Risk = k.Risk
		}
		at := -1
		for j := range c.e.judges {
			if c.e.judges[j].model == k.Model {
				at = j
			}
		}
		if at < 0 {
			at = len(c.e.judges)
			c.e.judges = append(c.e.judges, judge{model: k.Model})
		}
		c.e.judges[at].heads = append(c.e.judges[at].heads, judgedHead{i, len(c.e.rules), h.Score(h.Threshold)})
		c.e.rules = append(c.e.rules, rule{id: k.ID, kind: KindClassifier, risk: h.Risk, topic: k.Topic, action: k.Action})
		return nil
	}
	return fail("head", "the model has no head %q", k.Head)
}

// opinion is what a stream knows of one judge.
type opinion struct {
	state *classify.State
	hit   []bool // by head: reported already
}

// hear begins a text.
func (s *Stream) hear() {
	if s.opinions == nil {
		for _, j := range s.e.judges {
			s.opinions = append(s.opinions, opinion{j.model.NewState(), make([]bool, len(j.heads))})
		}
		return
	}
	for _, o := range s.opinions {
		o.state.Reset()
		clear(o.hit)
	}
}

// feed is write with the judges listening: the text is written up to where one
// of them has something new to say, so that what else hits comes first.
func (s *Stream) feed(chunk, whole string) Step {
	if len(s.opinions) == 0 || s.blocked {
		return s.write(chunk, whole)
	}
	var all Step
	for {
		n, news := s.listen(chunk)
		step := s.write(chunk[:n], whole)
		if all.Released == "" {
			all.Released = step.Released
		} else {
			all.Released += step.Released
		}
		all.Matches = append(all.Matches, step.Matches...)
		all.Blocked, all.Held, all.Why = step.Blocked, step.Held, step.Why
		if news && !all.Blocked {
			all.Matches, all.Blocked = s.speak(all.Matches)
		}
		if chunk = chunk[n:]; chunk == "" || all.Blocked {
			if all.Blocked {
				all.Held, all.Why = 0, HoldNone
			}
			return all
		}
	}
}

// end is close with the judges listening: they have their say before what is
// held goes.
func (s *Stream) end(whole string) Step {
	if len(s.opinions) == 0 || s.blocked {
		return s.close(whole)
	}
	for _, o := range s.opinions {
		o.state.Close()
	}
	var said []Match
	if s.anyNews() {
		var blocked bool
		if said, blocked = s.speak(nil); blocked {
			return Step{Matches: said, Blocked: true}
		}
	}
	step := s.close(whole)
	step.Matches = append(step.Matches, said...)
	return step
}

// listen reads text up to the first step at which a judge has something new to say.
func (s *Stream) listen(text string) (n int, news bool) {
	for n < len(text) {
		read, full := s.opinions[0].state.Feed(text[n:])
		for _, o := range s.opinions[1:] {
			o.state.Feed(text[n : n+read]) // all count symbols alike
		}
		n += read
		if full && s.anyNews() {
			return n, true
		}
	}
	return n, false
}

func (s *Stream) anyNews() bool {
	for i, o := range s.opinions {
		for k, h := range s.e.judges[i].heads {
			if !o.hit[k] && o.state.PeakScore(h.head) >= h.least {
				return true
			}
		}
	}
	return false
}

// speak appends the hits that are new, and stops the stream if one blocks.
func (s *Stream) speak(to []Match) (all []Match, blocked bool) {
	for i, o := range s.opinions {
		for k, h := range s.e.judges[i].heads {
			if o.hit[k] || s.e.off[h.rule] || o.state.PeakScore(h.head) < h.least {
				continue
			}
			o.hit[k] = true
			r, span := &s.e.rules[h.rule], o.state.Span()
			to = append(to, Match{RuleID: r.id, Kind: r.kind, Action: r.action, Risk: r.risk, Topic: r.topic, Score: o.state.Peak(h.head),
				Start: span.Start, End: span.End, Runes: span.EndRune - span.FirstRune, FirstRune: span.FirstRune, EndRune: span.EndRune})
			blocked = blocked || r.action == Block
		}
	}
	if blocked {
		s.blocked, s.altered = true, true
	}
	return to, blocked
}

// anyJudge tells whether a head would hit somewhere in a whole text.
func (s *Stream) anyJudge(text string) bool {
	news := false
	for i, o := range s.opinions {
		o.state.Write(text)
		o.state.Close()
		for _, h := range s.e.judges[i].heads {
			news = news || !s.e.off[h.rule] && o.state.PeakScore(h.head) >= h.least
		}
	}
	s.hear()
	return news
}
