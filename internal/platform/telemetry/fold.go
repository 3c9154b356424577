package telemetry

import "encoding/json"

// maxAggregatedSubjects bounds the distinct subjects that a folded signal names.
const maxAggregatedSubjects = 64

// Fold joins rows for which there is no room into one a kind of event. Kinds are told apart by what configuration bounds,
// not by what a caller can vary, so it stays small in a flood. It is not safe for use by several goroutines.
type Fold struct {
	signals map[signalKey]*foldedSignal
	traffic map[trafficKey]*Aggregate
}

type signalKey struct {
	service, kind, rule, risk, action, side string
	simulated                               bool
}

type foldedSignal struct {
	row      Signal
	subjects map[string]bool
}

type trafficKey struct {
	service, kind, input, output string
	simulated                    bool
}

// NewFold makes an empty fold.
func NewFold() *Fold {
	return &Fold{signals: map[signalKey]*foldedSignal{}, traffic: map[trafficKey]*Aggregate{}}
}

// Len is how many rows lie in it.
func (f *Fold) Len() int { return len(f.signals) + len(f.traffic) }

// Traffic counts a request in the row of its kind.
func (f *Fold) Traffic(t *Traffic) {
	k := trafficKey{t.ServiceID, t.Kind, t.InputVerdict, t.OutputVerdict, t.Simulated}
	a := f.traffic[k]
	if a == nil {
		a = &Aggregate{FirstMs: t.EndedMs, ServiceID: t.ServiceID, Kind: t.Kind, Simulated: t.Simulated, InputVerdict: t.InputVerdict, OutputVerdict: t.OutputVerdict}
		f.traffic[k] = a
	}
	a.FirstMs, a.LastMs = min(a.FirstMs, t.EndedMs), max(a.LastMs, t.EndedMs)
	a.Count++
	a.ReleasedRunes += int64(t.ReleasedRunes)
}

// Signal counts a signal in the row of its kind, which names the first subjects and no content.
func (f *Fold) Signal(s *Signal) {
	k := signalKey{s.ServiceID, s.Kind, s.Rule, s.Risk, s.Action, s.Side, s.Simulated}
	g := f.signals[k]
	if g == nil {
		g = &foldedSignal{row: *s, subjects: map[string]bool{}}
		g.row.Count, g.row.Content = 0, nil
		g.row.RequestID, g.row.ContentNo, g.row.Subject, g.row.Fingerprint = "", "", "", ""
		g.row.Tenant, g.row.Group, g.row.DeploymentID = "", "", ""
		f.signals[k] = g
	}
	g.row.Count++
	g.row.AtMs = min(g.row.AtMs, s.AtMs)
	if s.Subject != "" && len(g.subjects) < maxAggregatedSubjects {
		g.subjects[s.Subject] = true
	}
}

// Take hands each row to one of the functions, signals first. A row that is taken (true) is gone from the fold; at the first that
// is not, it stops.
func (f *Fold) Take(signal func(*Signal) bool, traffic func(*Aggregate) bool) {
	for k, g := range f.signals {
		names := make([]string, 0, len(g.subjects))
		for name := range g.subjects {
			names = append(names, name)
		}
		js, _ := json.Marshal(names) // strings always marshal
		g.row.Subjects = string(js)
		if !signal(&g.row) {
			return
		}
		delete(f.signals, k)
	}
	for k, a := range f.traffic {
		if !traffic(a) {
			return
		}
		delete(f.traffic, k)
	}
}
