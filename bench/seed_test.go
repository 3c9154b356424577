package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/platform/listing"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

func TestASeededFolderHoldsWhatTheProductItselfWouldHaveWritten(t *testing.T) {
	want := filling{anomalies: 62, incidents: 12, moments: 60}
	s, err := seed(t.Context(), place{dir: filepath.Join(t.TempDir(), "data")}, want, "http://127.0.0.1:1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.Offline(t.Context(), app.Options{DataDir: s.Dir})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	h, db := a.House, a.House.Store.Read()
	rep, err := record.Verify(t.Context(), db, record.VerifyOptions{})
	if err != nil || !rep.OK || rep.Entries < int64(want.anomalies+want.moments) {
		t.Errorf("the record: %+v, %v", rep, err)
	}
	// The lists say what the seeder counted while it went.
	who := store.Actor{ID: "bench", Roles: []string{consoleViewer}}
	anomalies, err := h.AnomalyList().Page(t.Context(), db, who, listing.All())
	if err != nil || anomalies.Total != want.anomalies || sum(s.Anomalies) != want.anomalies || facet(anomalies.Facets["state"]) != facet(counts(s.Anomalies, anomaly.States())) {
		t.Errorf("anomalies: %d, %v instead of %v, %v", anomalies.Total, anomalies.Facets["state"], s.Anomalies, err)
	}
	incidents, err := h.IncidentList().Page(t.Context(), db, who, listing.All())
	if err != nil || incidents.Total != want.incidents || facet(incidents.Facets["state"]) != facet(counts(s.Incidents, incident.States())) {
		t.Errorf("incidents: %d, %v instead of %v, %v", incidents.Total, incidents.Facets["state"], s.Incidents, err)
	}
	complaints, err := h.ComplaintList().Total(t.Context(), db, who, listing.All())
	if err != nil || complaints != s.Complain {
		t.Errorf("%d complaints instead of %d, %v", complaints, s.Complain, err)
	}
	if _, total, _, err := h.Timeline(t.Context(), who, s.Busy, 0, 1); err != nil || total < want.moments {
		t.Errorf("the longest story has %d moments, %v", total, err)
	}
	// And it is what a browser will be held to.
	i, err := whatIsThere(t.Context(), "small", s)
	if err != nil || i.Lists[0].Total != want.anomalies || i.Lists[1].Total != want.incidents || i.Lists[3].Total != complaints || i.Busy.Moments < want.moments || i.Incidents != want.incidents-s.Incidents["closed"] {
		t.Errorf("%+v, %v", i, err)
	}
	// Nothing is left over that a server would have to work off first.
	o, err := h.Overview(t.Context(), who)
	if err != nil || o.Due.Overdue != 0 || o.Messages.Pending != 0 || len(o.Traffic.Lines) == 0 {
		t.Errorf("%+v, %v", o, err)
	}
}

func counts(m map[string]int, order []string) (out []listing.Count) {
	for _, k := range order {
		if m[k] > 0 {
			out = append(out, listing.Count{Value: k, Count: m[k]})
		}
	}
	return out
}

// facet is counts in an order that does not depend on them.
func facet(c []listing.Count) string {
	var parts []string
	for _, k := range append(anomaly.States(), incident.States()...) {
		for _, x := range c {
			if x.Value == k {
				parts = append(parts, fmt.Sprint(k, x.Count))
			}
		}
	}
	return strings.Join(parts, " ")
}
