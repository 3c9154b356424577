package inspect

import (
	"cmp"
	"slices"
)

// Verdict sums up what was found in texts that belong together, such as the
// channels of one conversation, each of which has a stream of its own. The zero
// value is that of texts without a hit.
type Verdict struct {
	Action Action `json:"action"` // the worst
	Risks  []Risk `json:"risks"`  // the worst first
	Held   int    `json:"held"`   // most symbols that one of the texts held back
}

// Risk sums up the hits of one risk, or of all that name none.
type Risk struct {
	Risk   string   `json:"risk"`
	Action Action   `json:"action"` // the worst of its hits
	Score  float64  `json:"score"`  // 1 for what a rule says, else the highest probability of a classifier
	Hits   int      `json:"hits"`
	Rules  []string `json:"rules"` // that hit, in order
	Texts  []string `json:"texts"` // in which they did, in order
}

// Add counts the hits of one text, in one call or several.
func (v *Verdict) Add(text string, matches []Match) {
	for i := range matches {
		m := &matches[i]
		v.Action = max(v.Action, m.Action)
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
		r.Rules, r.Texts = with(r.Rules, m.RuleID), with(r.Texts, text)
	}
	slices.SortFunc(v.Risks, func(a, b Risk) int {
		return cmp.Or(cmp.Compare(b.Action, a.Action), cmp.Compare(b.Score, a.Score), cmp.Compare(a.Risk, b.Risk))
	})
}

// AddStep counts what a stream of one text gave.
func (v *Verdict) AddStep(text string, s Step) {
	v.Add(text, s.Matches)
	v.Held = max(v.Held, s.Held)
}

func with(sorted []string, s string) []string {
	at, there := slices.BinarySearch(sorted, s)
	if there {
		return sorted
	}
	return slices.Insert(sorted, at, s)
}
