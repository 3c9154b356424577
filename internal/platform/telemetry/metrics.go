package telemetry

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Register shows the counters of Status as metrics fengsui_telemetry_*.
func (l *Log) Register(reg prometheus.Registerer) error {
	var errs []error
	for _, m := range []struct {
		name, help string
		value      func(Status) float64
	}{
		{"rows_stored_total", "Rows stored.", func(s Status) float64 { return float64(s.Stored) }},
		{"rows_aggregated_total", "Rows folded into a counting row because the queue was full.", func(s Status) float64 { return float64(s.Aggregated) }},
		{"rows_duplicate_total", "Rows that were handed in twice.", func(s Status) float64 { return float64(s.Duplicates) }},
		{"rows_lost_total", "Rows that could not be stored at the end.", func(s Status) float64 { return float64(s.Lost) }},
		{"captures_total", "Contents kept.", func(s Status) float64 { return float64(s.Captured) }},
		{"captures_lost_total", "Contents that could not be kept.", func(s Status) float64 { return float64(s.CapturesLost) }},
		{"write_failures_total", "Batches that had to be tried again.", func(s Status) float64 { return float64(s.WriteFailures) }},
		{"segments_total", "Closed segments handed to the record.", func(s Status) float64 { return float64(s.Segments) }},
		{"days_deleted_total", "Days deleted by retention.", func(s Status) float64 { return float64(s.DeletedDays) }},
	} {
		errs = append(errs, reg.Register(prometheus.NewCounterFunc(
			prometheus.CounterOpts{Namespace: "fengsui", Subsystem: "telemetry", Name: m.name, Help: m.help},
			func() float64 { return m.value(l.Status()) })))
	}
	errs = append(errs, reg.Register(prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Namespace: "fengsui", Subsystem: "telemetry", Name: "queued_rows", Help: "Rows that wait for the writer."},
		func() float64 { return float64(l.Status().QueuedRows) })))
	return errors.Join(errs...)
}
