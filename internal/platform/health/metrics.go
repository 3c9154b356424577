package health

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the figures for Prometheus. Make it with NewMetrics.
type Metrics struct {
	registry *prometheus.Registry
	lateness prometheus.Histogram
	writes   *prometheus.HistogramVec
}

// NewMetrics makes a private registry with the figures of the Go runtime, the process and the build.
func NewMetrics(b Build) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		lateness: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fengsui_due_lateness_seconds", Help: "How late due rows fired.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 5, 30, 60, 300, 3600},
		}),
		writes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fengsui_store_write_seconds", Help: "How long write transactions took, waiting for the writer included.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 10},
		}, []string{"outcome"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "fengsui_build_info", Help: "Always 1; the labels say what was built.",
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "go": b.Go},
	})
	build.Set(1)
	m.registry.MustRegister(m.lateness, m.writes, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Registerer takes further collectors.
func (m *Metrics) Registerer() prometheus.Registerer { return m.registry }

// ObserveLateness counts one fired due row.
func (m *Metrics) ObserveLateness(d time.Duration) { m.lateness.Observe(max(0, d.Seconds())) }

// ObserveWrite counts one write transaction.
func (m *Metrics) ObserveWrite(d time.Duration, err error) {
	outcome := "ok"
	if err != nil {
		outcome = "error"
	}
	m.writes.WithLabelValues(outcome).Observe(d.Seconds())
}

// Queue is how much work waits in a queue.
type Queue struct {
	Pending       float64
	Overdue       float64
	OldestSeconds float64 // how long the oldest overdue entry waits; 0 if none
}

// AddQueue registers fengsui_<name>_pending, _overdue and _oldest_overdue_seconds, read at each scrape.
// A queue that cannot be read has no figures then and counts in fengsui_<name>_unreadable.
// Errors: a name that is registered already.
func (m *Metrics) AddQueue(name string, read func(ctx context.Context) (Queue, error)) error {
	figure := func(suffix, help string) *prometheus.Desc {
		return prometheus.NewDesc("fengsui_"+name+"_"+suffix, help, nil, nil)
	}
	return m.registry.Register(queue{
		read: read, pending: figure("pending", "Entries that wait, future ones included."), overdue: figure("overdue", "Entries past their time."),
		oldest: figure("oldest_overdue_seconds", "How long the oldest overdue entry waits."), unreadable: figure("unreadable", "1 if the queue could not be read."),
	})
}

type queue struct {
	read                                 func(ctx context.Context) (Queue, error)
	pending, overdue, oldest, unreadable *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (q queue) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{q.pending, q.overdue, q.oldest, q.unreadable} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (q queue) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), CheckTimeout)
	defer cancel()
	v, err := q.read(ctx)
	if err != nil {
		ch <- prometheus.MustNewConstMetric(q.unreadable, prometheus.GaugeValue, 1)
		return
	}
	for d, f := range map[*prometheus.Desc]float64{q.pending: v.Pending, q.overdue: v.Overdue, q.oldest: v.OldestSeconds, q.unreadable: 0} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, f)
	}
}

// AddCycle registers fengsui_cycle_age_seconds{cycle="<name>"}.
// Errors: a cycle that is registered already.
func (m *Metrics) AddCycle(c Cycle, nowMs func() int64) error {
	return m.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fengsui_cycle_age_seconds", Help: "How long ago the loop last came round.", ConstLabels: prometheus.Labels{"cycle": c.Name()},
	}, func() float64 { return c.Age(nowMs()).Seconds() }))
}

// Handler serves the figures.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Timeout: 10 * time.Second, MaxRequestsInFlight: 4})
}
