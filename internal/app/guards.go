package app

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fengsui/fengsui/internal/monitor/gateway"
	"github.com/fengsui/fengsui/internal/platform/health"
)

// unjudged notes the classifiers that judge nothing on a gateway; the rest of its bundle binds.
func unjudged(s gateway.Status) error {
	if s.Missing() == 0 {
		return nil
	}
	var of []string
	for id, list := range s.Unjudged {
		of = append(of, id+" "+strings.Join(list, " "))
	}
	slices.Sort(of)
	return health.Note(fmt.Errorf("this version does not have the model that a posture names, so these judge nothing here: %s", strings.Join(of, "; ")))
}

// silentGuards notes guard models that give no opinions on a gateway. What waits for them goes by the failure mode.
func silentGuards(s gateway.Status) error {
	var of []string
	for id, n := range s.Guards {
		if n.Quiet {
			of = append(of, id)
		}
	}
	if len(of) == 0 {
		return nil
	}
	slices.Sort(of)
	return health.Note(fmt.Errorf("the guard model gives no opinions, so doubtful texts of these services have no second reader: %s", strings.Join(of, ", ")))
}

// guards show at /metrics how the guard models and the classifiers of a gateway fare.
type guards struct{ status func() (gateway.Status, bool) }

var (
	guardAsked    = prometheus.NewDesc("fengsui_guard_questions_total", "Questions to a guard model, those answered from memory included.", []string{"service"}, nil)
	guardRecalled = prometheus.NewDesc("fengsui_guard_recalled_total", "Of these, those answered from memory or by the answer to the same question.", []string{"service"}, nil)
	guardUnsafe   = prometheus.NewDesc("fengsui_guard_unsafe_total", "Of these, those that it called unsafe.", []string{"service"}, nil)
	guardSilent   = prometheus.NewDesc("fengsui_guard_silent_total", "Texts without an opinion, by why; many and gone were never asked about.", []string{"service", "why"}, nil)
	guardResting  = prometheus.NewDesc("fengsui_guard_resting", "1 while a guard model is left alone because it kept failing.", []string{"service"}, nil)
	guardPartly   = prometheus.NewDesc("fengsui_guard_partly_total", "Texts of which a part was in no question to the guard model, because they are longer than what is shown of them.", []string{"service"}, nil)
	guardQuiet    = prometheus.NewDesc("fengsui_guard_quiet", "1 while nobody has heard from a guard model lately: it rests, or its last questions got no opinion.", []string{"service"}, nil)

	classifiersMissing = prometheus.NewDesc("fengsui_classifiers_missing", "Classifiers that judge nothing on this gateway, because its version does not have their model.", []string{"service"}, nil)
)

// Describe implements prometheus.Collector.
func (g guards) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{guardAsked, guardRecalled, guardUnsafe, guardSilent, guardResting, guardQuiet, guardPartly, classifiersMissing} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g guards) Collect(ch chan<- prometheus.Metric) {
	s, ok := g.status()
	if !ok {
		return
	}
	for service := range s.Postures {
		ch <- prometheus.MustNewConstMetric(classifiersMissing, prometheus.GaugeValue, float64(len(s.Unjudged[service])), service)
	}
	for service, n := range s.Guards {
		count := func(d *prometheus.Desc, v int64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), append([]string{service}, labels...)...)
		}
		count(guardAsked, n.Asked)
		count(guardRecalled, n.Recalled)
		count(guardUnsafe, n.Unsafe)
		count(guardPartly, n.Partly)
		for why, v := range n.Silent {
			count(guardSilent, v, string(why))
		}
		for d, is := range map[*prometheus.Desc]bool{guardResting: n.Resting, guardQuiet: n.Quiet} {
			v := 0.0
			if is {
				v = 1
			}
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, service)
		}
	}
}
