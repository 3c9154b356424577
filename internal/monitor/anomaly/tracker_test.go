package anomaly

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const testRules = `
edition: test
rules:
  - id: one
    match: {source: gateway, side: output, risks: [A.1], min_severity: mask}
    threshold: 1
    fingerprint: [service]
    severity: critical
  - id: some
    match: {source: gateway, side: output, risks: [A.2], actions: [observe, block]}
    window: 10s
    threshold: 4
    min_subjects: 2
    any_subjects: 8
    fingerprint: [service, risk]
    category: content.discrimination
    severity: high
  - id: input
    match: {source: gateway, side: input}
    window: 30s
    threshold: 5
    fingerprint: [service, tenant]
    severity: normal
  - id: complaint
    match: {source: complaint}
    threshold: 1
    fingerprint: [service, content]
    severity: high
`

func mustRules(t testing.TB, text string) Rules {
	t.Helper()
	r, err := ParseRules([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// oracle keeps everything and counts by looking at all of it, again for each signal.
type oracle struct {
	rules   Rules
	all     []seen
	opened  []*opening
	decided map[string]int64
}

type seen struct {
	f  string
	ms int64
	o  Observation
}

type opening struct {
	f        string
	openedMs int64
	signals  int
	subjects map[string]bool
	ended    bool
}

func (or *oracle) feed(o Observation, ms int64) {
	rule := or.rules.For(o)
	if rule == nil {
		return
	}
	f := rule.fingerprint(o)
	or.all = append(or.all, seen{f, ms, o})
	for _, a := range or.opened {
		if a.f == f && !a.ended {
			a.signals += o.Count
			for _, s := range o.subjects() {
				a.subjects[s] = true
			}
			return
		}
	}
	n, subjects := 0, map[string]bool{}
	for _, s := range or.all {
		if s.f == f && s.ms > or.decided[f] && (s.ms > ms-time.Duration(rule.Window).Milliseconds() || s.ms == ms) {
			n += s.o.Count
			for _, name := range s.o.subjects() {
				subjects[name] = true
			}
		}
	}
	if (n >= rule.Threshold && len(subjects) >= rule.MinSubjects) || (rule.AnySubjects > 0 && n >= rule.AnySubjects) {
		or.opened = append(or.opened, &opening{f: f, openedMs: ms, signals: n, subjects: subjects})
	}
}

func (or *oracle) decide(f string, ms int64) {
	for _, a := range or.opened {
		if a.f == f {
			a.ended = true
		}
	}
	or.decided[f] = ms
}

func (or *oracle) String() string {
	var out []string
	for _, a := range or.opened {
		out = append(out, fmt.Sprintf("%s opened %d signals %d subjects %d ended %v", a.f, a.openedMs, a.signals, len(a.subjects), a.ended))
	}
	slices.Sort(out)
	return fmt.Sprint(out)
}

func drawObservation(t *rapid.T, id string) Observation {
	o := Observation{Kind: rapid.SampledFrom([]string{"real", "real", "drill"}).Draw(t, "kind"), Count: 1, Signal: Signal{ID: id, Source: "gateway",
		ServiceID: rapid.SampledFrom([]string{"svc-a", "svc-b"}).Draw(t, "service"), Risk: rapid.SampledFrom([]string{"A.1.a", "A.2.a", "A.2.b", "A.2.b", "A.5.b"}).Draw(t, "risk"),
		Action: rapid.SampledFrom([]string{"observe", "mask", "block", "block"}).Draw(t, "action"), Side: rapid.SampledFrom([]string{"output", "output", "input"}).Draw(t, "side"),
		Subject: rapid.SampledFrom([]string{"", "p", "q", "r"}).Draw(t, "subject"), Tenant: rapid.SampledFrom([]string{"t1", "t2"}).Draw(t, "tenant"), ContentNo: "C-" + id}}
	return o
}

func TestTheWindowEngineOpensExactlyWhatCountingEverythingWouldOpen(t *testing.T) {
	rules := mustRules(t, testRules)
	reached := 0
	rapid.Check(t, func(rt *rapid.T) {
		tr, or := newTracker(rules), &oracle{rules: rules, decided: map[string]int64{}}
		type kept struct {
			f, text string
		}
		var ended []kept
		say := func(f string, l *live, end bool) string {
			n, subjects := int(l.a.Signals), maps.Clone(l.subjects)
			for _, p := range l.pending {
				n += p.o.Count
				for _, s := range p.o.subjects() {
					subjects[s] = struct{}{}
				}
			}
			return fmt.Sprintf("%s opened %d signals %d subjects %d ended %v", f, l.a.OpenedMs, n, len(subjects), end)
		}
		ms := int64(1_000_000)
		for i := range rapid.IntRange(1, 120).Draw(rt, "steps") {
			switch rapid.IntRange(0, 19).Draw(rt, "op") {
			case 0:
				if keys := sortedKeys(tr.active); len(keys) > 0 {
					f := rapid.SampledFrom(keys).Draw(rt, "decide")
					ms++
					ended = append(ended, kept{f, say(f, tr.active[f], true)})
					tr.settle(f, ms, nil)
					or.decide(f, ms)
					ms++
				}
			case 1, 2, 3, 4, 5:
				ms += rapid.SampledFrom([]int64{1, 500, 3000, 9999, 10000, 10001, 30000}).Draw(rt, "advance")
			default:
				o := drawObservation(rt, fmt.Sprint(i))
				if rapid.IntRange(0, 9).Draw(rt, "fold") == 0 {
					o.Count, o.Subject, o.Subjects = 3, "", []string{"p", "z"}
				}
				tr.feed(o, ms)
				or.feed(o, ms)
			}
			var got []string
			for _, k := range ended {
				got = append(got, k.text)
			}
			for f, l := range tr.active {
				got = append(got, say(f, l, false))
			}
			slices.Sort(got)
			if fmt.Sprint(got) != or.String() {
				rt.Fatalf("step %d\n got %v\nwant %v", i, got, or)
			}
		}
		reached += len(or.opened)
	})
	if reached == 0 {
		t.Error("the property was never put to the test: nothing opened")
	}
}

func TestAWindowForgetsAndHoldsNoMoreThanItsInstants(t *testing.T) {
	w := &window{}
	for i := range 100_000 {
		w.add(int64(i/1000), Observation{Count: 1, Signal: Signal{Subject: "same"}})
	}
	if len(w.ticks) != 100 || w.total != 100_000 || len(w.last) != 1 || len(w.sample) != maxSample {
		t.Errorf("holds %d ticks, %d subjects, %d samples", len(w.ticks), len(w.last), len(w.sample))
	}
	w.expire(98)
	if w.total != 1000 || len(w.ticks) != 1 {
		t.Errorf("after expiry: %d signals in %d ticks", w.total, len(w.ticks))
	}
	w.expire(99)
	if w.total != 0 || len(w.last) != 0 || len(w.sample) != 0 {
		t.Errorf("an empty window still holds %+v", w)
	}
}
