package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/listing"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

func TestAGrownPlaceHoldsWholeIncidentsARecordThatVerifiesAndClocksThatRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	g := &grown{engine: string(storetest.On()), size: 120, seed: filling{anomalies: 60, incidents: 10, moments: 60}, at: place{dir: dir}}
	if storetest.On() == storetest.Postgres {
		g.at.database = storetest.Database(t, dir)
	}
	if err := g.fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, err := g.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	h, db := a.House, a.House.Store.Read()
	if rep, err := record.Verify(t.Context(), db, record.VerifyOptions{}); err != nil || !rep.OK {
		t.Errorf("the record: %+v, %v", rep, err)
	}
	who := store.Actor{ID: "bench", Roles: []string{consoleViewer}}
	if p, err := h.IncidentList().Page(t.Context(), db, who, listing.All()); err != nil || p.Total != 120 || len(p.Items) != 50 {
		t.Errorf("%d incidents, %v", p.Total, err)
	}
	if b, err := due.CountBacklog(t.Context(), db, time.Now().UnixMilli()); err != nil || b.Pending != 1200 || b.Overdue > 10 { // of the ten, some leave something undone
		t.Errorf("clocks that run: %+v, %v", b, err)
	}
	// A copy is an incident whole, with a story of its own, and names nothing of the one that it was copied from.
	var id string
	if err := db.NewRaw("SELECT id FROM incident WHERE id LIKE '%000042'").Scan(t.Context(), &id); err != nil {
		t.Fatal(err)
	}
	d, err := h.Dossier(t.Context(), who, id)
	if err != nil || len(d.Anomalies) == 0 || len(d.Obligations) == 0 || len(d.Assessments) == 0 || len(d.Milestones) == 0 || d.Level.Working == 0 {
		t.Errorf("%+v, %v", d, err)
	}
	moments, total, _, err := h.Timeline(t.Context(), who, id, 0, 100)
	if err != nil || total != entriesOfCopy {
		t.Errorf("%d moments, %v", total, err)
	}
	for _, m := range moments {
		if m.Detail["erased"] != nil || !strings.HasSuffix(m.ObjectID, "000042") {
			t.Errorf("%+v", m)
		}
	}
	if storetest.On() != storetest.Postgres { // a whole row as text
		return
	}
	for _, table := range copied {
		var n int
		if err := db.NewRaw("SELECT COUNT(*) FROM "+table+" AS t WHERE CAST(t AS TEXT) LIKE ?", "%"+hole+"%").Scan(t.Context(), &n); err != nil || n > 0 {
			t.Errorf("%s: %d rows have holes, %v", table, n, err)
		}
	}
}
