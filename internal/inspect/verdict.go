package inspect

import (
	"cmp"
	"slices"
	"strconv"
)

// Bounds of a verdict, so that a hostile text cannot make it grow.
const (
	maxTexts = 64
	maxSpans = 256
	maxNames = 32 // of the rules and of the texts of a risk
)

// Verdict sums up what was found in texts that belong together: the channels of one conversation, each of which has a
// stream of its own. The zero value is that of texts without a hit. It keeps a bounded number of texts and hits, the
// gravest rather than the first, and counts the rest. It holds no text.
type Verdict struct {
	Action    Action  `json:"action,omitzero"` // the worst
	Risks     []Risk  `json:"risks,omitempty"` // the worst first
	Texts     []Text  `json:"texts,omitempty"` // in the order in which they were looked at
	MoreTexts int     `json:"more_texts,omitzero"`
	Hits      []Hit   `json:"hits,omitempty"` // in the order in which they were found
	MoreHits  int     `json:"more_hits,omitzero"`
	Held      int     `json:"held,omitzero"` // most symbols that one of the texts held back
	Why       Hold    `json:"why,omitzero"`  // ... and for what
	Rules     Version `json:"rules,omitzero"`
	Cost      Cost    `json:"cost,omitzero"`
}

// Place names one of the texts that belong together.
type Place struct {
	Side    string `json:"side,omitzero"` // input or output
	Channel string `json:"channel"`
	Choice  int    `json:"choice,omitzero"` // number of the message or of the choice
	Part    string `json:"part,omitzero"`   // which, where a message or choice has several texts in one channel
}

// String gives the channel alone where the place says nothing more.
func (p Place) String() string {
	s := p.Channel
	if p.Side != "" {
		s = p.Side + "/" + strconv.Itoa(p.Choice) + "/" + s
	}
	if p.Part != "" {
		s += "/" + p.Part
	}
	return s
}

// Text is what was decided about one text.
type Text struct {
	Place
	Action Action `json:"action,omitzero"` // the worst
	Bytes  int    `json:"bytes,omitzero"`  // that were read
	Held   int    `json:"held,omitzero"`   // most symbols that were held back at once
	Why    Hold   `json:"why,omitzero"`    // ... and for what
	Missed int    `json:"missed,omitzero"` // pieces that passed without a check, because it failed
}

// Hit is where a rule hit.
type Hit struct {
	Place
	Match
}

// Version says by which rules it was decided.
type Version struct {
	Digest   string `json:"digest,omitzero"`
	Revision int64  `json:"revision,omitzero"` // of what changes them on top
}

// Cost is what deciding took.
type Cost struct {
	Bytes  int64 `json:"bytes,omitzero"`   // read, over all texts
	Us     int64 `json:"us,omitzero"`      // microseconds of inspection
	Asked  int   `json:"asked,omitzero"`   // second opinions
	WaitUs int64 `json:"wait_us,omitzero"` // microseconds for which text waited for them
}

// Risk sums up the hits of one risk, or of all that name none.
type Risk struct {
	Risk   string   `json:"risk"`
	Action Action   `json:"action"` // the worst of its hits
	Score  float64  `json:"score"`  // 1 for what a rule says, else the highest probability of a classifier
	Hits   int      `json:"hits"`
	Rules  []string `json:"rules"` // that hit, in order; the first 32
	Texts  []string `json:"texts"` // in which they did, as their places say; as well
}

// Open begins a text; call it once for each.
func (v *Verdict) Open(p Place) {
	if v.at(p) >= 0 || v.room(Text{Place: p}) {
		return
	}
	v.MoreTexts++
}

// Read counts bytes of a text.
func (v *Verdict) Read(p Place, bytes int) {
	v.Cost.Bytes += int64(bytes)
	if i := v.at(p); i >= 0 {
		v.Texts[i].Bytes += bytes
	}
}

// Decide notes what is done about a text, if that is more than its hits ask for.
func (v *Verdict) Decide(p Place, a Action) {
	v.Action = max(v.Action, a)
	if i := v.at(p); i >= 0 {
		v.Texts[i].Action = max(v.Texts[i].Action, a)
	} else {
		v.room(Text{Place: p, Action: a})
	}
}

// Miss notes that a piece of a text passed without a check.
func (v *Verdict) Miss(p Place) {
	if i := v.at(p); i >= 0 {
		v.Texts[i].Missed++
	}
}

// Keep notes how many symbols of a text were held back, and for what.
func (v *Verdict) Keep(p Place, held int, why Hold) {
	if held > v.Held {
		v.Held, v.Why = held, why
	}
	if i := v.at(p); i >= 0 && held > v.Texts[i].Held {
		v.Texts[i].Held, v.Texts[i].Why = held, why
	}
}

// Add counts hits of a text, in one call or several.
func (v *Verdict) Add(p Place, matches []Match) {
	name := ""
	for i := range matches {
		m := &matches[i]
		v.Decide(p, m.Action)
		v.hit(Hit{p, *m})
		at := slices.IndexFunc(v.Risks, func(r Risk) bool { return r.Risk == m.Risk })
		if at < 0 {
			at = len(v.Risks)
			v.Risks = append(v.Risks, Risk{Risk: m.Risk})
		}
		r := &v.Risks[at]
		r.Hits++
		r.Action = max(r.Action, m.Action)
		score := 1.0
		if m.Kind == KindClassifier {
			score = m.Score
		}
		r.Score = max(r.Score, score)
		if name == "" {
			name = p.String()
		}
		r.Rules, r.Texts = with(r.Rules, m.RuleID), with(r.Texts, name)
	}
	slices.SortFunc(v.Risks, func(a, b Risk) int {
		return cmp.Or(cmp.Compare(b.Action, a.Action), cmp.Compare(b.Score, a.Score), cmp.Compare(a.Risk, b.Risk))
	})
}

// AddStep counts what a stream of one text gave.
func (v *Verdict) AddStep(p Place, s Step) {
	v.Add(p, s.Matches)
	v.Keep(p, s.Held, s.Why)
}

// Clone gives a verdict that can be added to without changing this one.
func (v *Verdict) Clone() Verdict {
	c := *v
	c.Risks, c.Texts, c.Hits = slices.Clone(v.Risks), slices.Clone(v.Texts), slices.Clone(v.Hits)
	for i := range c.Risks {
		c.Risks[i].Rules, c.Risks[i].Texts = slices.Clone(c.Risks[i].Rules), slices.Clone(c.Risks[i].Texts)
	}
	return c
}

// at finds a text that is listed, -1 if it is not. The one that was begun last is asked for most.
func (v *Verdict) at(p Place) int {
	for i := len(v.Texts) - 1; i >= 0; i-- {
		if v.Texts[i].Place == p {
			return i
		}
	}
	return -1
}

// room lists a text, if need be in place of one that matters less: of texts in which nothing is to be done the newest stay, of
// others those that came first. It says whether there is one more now than before: none is where one took another's place.
func (v *Verdict) room(t Text) (more bool) {
	if len(v.Texts) < maxTexts {
		v.Texts = append(v.Texts, t)
		return true
	}
	least := 0
	for i := range v.Texts {
		if v.Texts[i].Action < v.Texts[least].Action {
			least = i
		}
	}
	if a := v.Texts[least].Action; a == Allow || a < t.Action {
		v.Texts = append(slices.Delete(v.Texts, least, least+1), t)
	}
	return false
}

// hit keeps a hit, if need be in place of the last of those that matter least.
func (v *Verdict) hit(h Hit) {
	if len(v.Hits) < maxSpans {
		v.Hits = append(v.Hits, h)
		return
	}
	v.MoreHits++
	least := len(v.Hits) - 1
	for i := least; i >= 0; i-- {
		if v.Hits[i].Action < v.Hits[least].Action {
			least = i
		}
	}
	if v.Hits[least].Action < h.Action {
		v.Hits = append(slices.Delete(v.Hits, least, least+1), h)
	}
}

// with adds a name to those that come first.
func with(sorted []string, s string) []string {
	at, there := slices.BinarySearch(sorted, s)
	if there || at == maxNames {
		return sorted
	}
	sorted = slices.Insert(sorted, at, s)
	return sorted[:min(len(sorted), maxNames)]
}
