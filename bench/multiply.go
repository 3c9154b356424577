package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/store"
)

const (
	copyEvery     = 10 * time.Minute // an incident: a hundred thousand take two years
	copiesAtOnce  = 500              // in one transaction
	openEvery     = 50               // one copy in so many is of an incident that is not closed
	entriesOfCopy = 10               // of the record, the first of its incident
	pendingOfCopy = 10               // clocks that still run
	hole          = "@@@@@@"         // where the number of a copy stands in what is copied
)

// copied are the tables of an incident and what hangs on it, each after those that it refers to.
var copied = []string{"incident", "incident_object", "milestone", "awareness", "incident_category", "assessment", "obligation", "incident_fact", "anomaly", "signal", "complaint",
	"disposal_order", "order_ack", "order_probe", "gate_review", "evidence", "reach", "fact_check", "plan_run", "task", "fix", "closing", "nonconformity", "second_signature", "due", "outbox"}

// mostOf is how many rows of a table a copy has at most; the incident that it is copied from may have three times as many.
var mostOf = map[string]int{"due": 8, "outbox": 6, "signal": 10}

// multiplier makes many incidents of a few that went through the product: each copy has rows of its own in every table, with ids,
// numbers and times of its own, and entries of its own at the end of the record.
type multiplier struct {
	app      *app.App
	clock    *clock.Fake
	family   map[string]string // of an id, the incident that it goes with; "" for none
	marked   []string          // pairs of an id and what is copied of it
	insert   []string          // one statement a table
	closed   []string          // incidents to copy
	open     []string
	entries  map[string][]store.Entry // by incident, with holes
	finished []string                 // clean-up
	now      time.Time                // when the story ends
}

// multiply brings a seeded place, whose story ended total×copyEvery ago, to total incidents.
func multiply(ctx context.Context, at place, busy string, total int, began time.Time) (err error) {
	fake := clock.NewFake(began)
	a, err := app.Offline(ctx, app.Options{DataDir: at.dir, Database: at.database, Clock: fake})
	if err != nil {
		return err
	}
	defer a.Stop()
	m := &multiplier{app: a, clock: fake, family: map[string]string{}, entries: map[string][]store.Entry{}, now: began.Add(time.Duration(total) * copyEvery)}
	if err := m.prepare(ctx, busy); err != nil {
		return err
	}
	var have int
	if err := a.House.Store.Read().NewRaw("SELECT COUNT(*) FROM incident").Scan(ctx, &have); err != nil {
		return err
	}
	for from := 1; from <= total-have; from += copiesAtOnce {
		until := min(from+copiesAtOnce-1, total-have)
		fake.Set(began.Add(time.Duration(until) * copyEvery))
		if err := m.copies(ctx, from, until); err != nil {
			return fmt.Errorf("copies %d to %d: %w", from, until, err)
		}
	}
	return m.write(ctx, func(tx *store.Tx) error {
		// What is short of the clocks that should run, as there are no copies or their incidents owe less.
		if _, err := tx.ExecContext(ctx, `INSERT INTO due (id, kind, name, object_kind, object_id, incident_kind, due_ms, next_ms, state, set_ms)
			SELECT 'B' || b.id, 'obligation.due', 'bench', 'obligation', b.id, 'real', ?, ?, 'pending', ? FROM obligation b
			WHERE NOT EXISTS (SELECT 1 FROM due d WHERE d.object_kind = 'obligation' AND d.object_id = b.id AND d.name = 'bench') ORDER BY b.id
			LIMIT (SELECT CASE WHEN COUNT(*) < ? THEN ? - COUNT(*) ELSE 0 END FROM due WHERE state = 'pending')`,
			m.later(), m.later(), tx.NowMs, total*pendingOfCopy, total*pendingOfCopy); err != nil {
			return err
		}
		for _, t := range append(m.finished, "bench_copy") {
			if _, err := tx.ExecContext(ctx, "DROP TABLE "+t); err != nil {
				return err
			}
		}
		return nil
	})
}

// later is when the first of the clocks that run is over: a month from the end of the story.
func (m *multiplier) later() int64 { return m.now.Add(30 * 24 * time.Hour).UnixMilli() }

func (m *multiplier) write(ctx context.Context, fn func(tx *store.Tx) error) error {
	return m.app.House.Store.Write(ctx, store.System("bench"), fn)
}

func (m *multiplier) prepare(ctx context.Context, busy string) error {
	return m.write(ctx, func(tx *store.Tx) error {
		if _, err := tx.ExecContext(ctx, "CREATE TABLE bench_copy (j BIGINT PRIMARY KEY NOT NULL, src TEXT NOT NULL, tag TEXT NOT NULL, shift BIGINT NOT NULL)"); err != nil {
			return err
		}
		if err := m.families(ctx, tx, busy); err != nil {
			return err
		}
		for _, t := range copied {
			if err := m.table(ctx, tx, t); err != nil {
				return fmt.Errorf("%s: %w", t, err)
			}
		}
		if len(m.closed) == 0 || len(m.open) == 0 {
			return fmt.Errorf("%d closed and %d other incidents to copy", len(m.closed), len(m.open))
		}
		return m.story(ctx, tx)
	})
}

// families says which anomalies go with which incident. Those that were never one's are shared out: what was dismissed among the
// closed, two to each, and what nobody has decided among the others.
func (m *multiplier) families(ctx context.Context, tx *store.Tx, busy string) error {
	var incidents []struct{ ID, State string }
	if err := tx.NewRaw("SELECT id, state FROM incident WHERE id <> ? AND NOT restricted AND kind = 'real' ORDER BY id", busy).Scan(ctx, &incidents); err != nil {
		return err
	}
	for _, i := range incidents {
		m.family[i.ID] = i.ID
		if i.State == "closed" {
			m.closed = append(m.closed, i.ID)
		} else {
			m.open = append(m.open, i.ID)
		}
	}
	var anomalies []struct{ ID, State, IncidentID, MergedInto string }
	if err := tx.NewRaw(`SELECT id, state, incident_id, merged_into FROM anomaly
		ORDER BY CASE WHEN id IN (SELECT anomaly_id FROM complaint) THEN 0 ELSE 1 END, id`).Scan(ctx, &anomalies); err != nil {
		return err
	}
	dismissed, waiting := 0, 0
	for _, a := range anomalies {
		switch {
		case a.IncidentID != "":
			m.family[a.ID] = m.family[a.IncidentID]
		case a.State == "dismissed" && dismissed < 2*len(m.closed):
			m.family[a.ID] = m.closed[dismissed%len(m.closed)]
			dismissed++
		case (a.State == "open" || a.State == "assessing") && waiting < 3*len(m.open):
			m.family[a.ID] = m.open[waiting%len(m.open)]
			waiting++
		}
	}
	for _, a := range anomalies {
		if a.MergedInto != "" {
			m.family[a.ID] = m.family[a.MergedInto]
		}
	}
	return nil
}

// table puts what is to be copied of a table aside, with holes where each copy differs, and makes the statement that copies it.
func (m *multiplier) table(ctx context.Context, tx *store.Tx, name string) error {
	var rows []map[string]any
	query := "SELECT * FROM " + name
	switch name { // what runs or waits is left out: copied, it would be overdue
	case "due", "outbox":
		query += " WHERE state NOT IN ('pending', 'failed', 'refused')"
	case "disposal_order":
		query += " WHERE state <> 'in_force'"
	}
	if err := tx.NewRaw(query).Scan(ctx, &rows); err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(r map[string]any) bool { return m.of(r) == "" })
	if len(rows) == 0 {
		return nil
	}
	for _, r := range rows {
		if id, ok := r["id"].(string); ok {
			m.family[id] = m.of(r)
			m.marked = append(m.marked, id, id[:len(id)-len(hole)]+hole)
		}
	}
	slices.SortFunc(rows, func(a, b map[string]any) int { return cmp.Compare(fmt.Sprint(a["id"]), fmt.Sprint(b["id"])) })
	holes, put := strings.NewReplacer(m.marked...), "bench_"+name
	var columns []string
	for c := range rows[0] {
		columns = append(columns, c)
	}
	slices.Sort(columns)
	expr := map[string]string{}
	for _, c := range columns {
		expr[c] = "s." + c
		if strings.HasSuffix(c, "_ms") {
			expr[c] = "CASE WHEN s." + c + " > 0 THEN s." + c + " + c.shift ELSE 0 END"
		}
	}
	if name == "disposal_order" {
		expr["seq"] = "c.j * 1000 + s.seq"
	}
	if _, err := tx.ExecContext(ctx, "CREATE TABLE "+put+" AS SELECT t.*, '' AS fam, 0 AS nth FROM "+name+" AS t WHERE 1 = 0"); err != nil {
		return err
	}
	m.finished = append(m.finished, put)
	nth := map[string]int{}
	for _, r := range rows {
		fam := m.of(r)
		if most := mostOf[name]; most > 0 && nth[fam] >= most {
			continue
		}
		for _, c := range columns {
			s, ok := r[c].(string)
			if !ok {
				continue
			}
			marked := holes.Replace(s)
			if (c == "number" || c == "idem_key") && !strings.Contains(marked, hole) { // unique
				marked += "-" + hole
			}
			if r[c] = marked; strings.Contains(marked, hole) {
				expr[c] = "REPLACE(s." + c + ", '" + hole + "', c.tag)"
			}
		}
		values := []any{fam, nth[fam]}
		for _, c := range columns {
			values = append(values, r[c])
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO "+put+" (fam, nth, "+strings.Join(columns, ", ")+") VALUES (?"+strings.Repeat(", ?", len(values)-1)+")", values...); err != nil {
			return err
		}
		nth[fam]++
	}
	var from []string
	for _, c := range columns {
		from = append(from, expr[c])
	}
	m.insert = append(m.insert, "INSERT INTO "+name+" ("+strings.Join(columns, ", ")+") SELECT "+strings.Join(from, ", ")+" FROM bench_copy AS c JOIN "+put+" AS s ON s.fam = c.src WHERE c.j BETWEEN ?0 AND ?1")
	if name == "obligation" {
		id := "REPLACE(s.id, '" + hole + "', c.tag)"
		spread := "?2 + (c.j * 7919 + s.nth * 104729) % 31536000 * 1000" // over a year
		m.insert = append(m.insert, "INSERT INTO due (id, kind, name, object_kind, object_id, incident_kind, due_ms, next_ms, state, set_ms) SELECT 'B' || "+id+", 'obligation.due', 'bench', 'obligation', "+id+", 'real', "+
			spread+", "+spread+", 'pending', s.clock_start_ms + c.shift FROM bench_copy AS c JOIN "+put+fmt.Sprintf(" AS s ON s.fam = c.src WHERE c.j BETWEEN ?0 AND ?1 AND s.nth < %d", pendingOfCopy))
	}
	return nil
}

// of is the incident that a row goes with.
func (m *multiplier) of(row map[string]any) string {
	for _, c := range []string{"id", "incident_id", "anomaly_id", "object_id", "order_id"} {
		if id, ok := row[c].(string); ok && m.family[id] != "" {
			return m.family[id]
		}
	}
	return ""
}

// story keeps the entries of the record that each copy of an incident gets.
func (m *multiplier) story(ctx context.Context, tx *store.Tx) error {
	holes := strings.NewReplacer(m.marked...)
	for _, id := range append(slices.Clone(m.closed), m.open...) {
		entries, err := record.Entries(ctx, tx, record.Filter{Scope: "incident:" + id, Limit: entriesOfCopy})
		if err != nil {
			return err
		}
		contents, err := m.app.House.Record.Contents(ctx, tx, entries)
		if err != nil {
			return err
		}
		for _, e := range entries {
			m.entries[id] = append(m.entries[id], store.Entry{Action: e.Action, ObjectKind: e.ObjectKind, ObjectID: holes.Replace(e.ObjectID), Scope: holes.Replace(e.Scope),
				Content: jsontext.Value(holes.Replace(string(contents[e.Idx]))), Actor: store.Actor{ID: e.Actor, Roles: e.Roles}})
		}
	}
	return nil
}

// copies makes the copies with these numbers, their state and their entries in one transaction.
func (m *multiplier) copies(ctx context.Context, from, until int) error {
	return m.write(ctx, func(tx *store.Tx) error {
		var values []string
		for j := from; j <= until; j++ {
			src := m.closed[j%len(m.closed)]
			if j%openEvery == 0 {
				src = m.open[j/openEvery%len(m.open)]
			}
			tag := fmt.Sprintf("%06d", j)
			values = append(values, fmt.Sprintf("(%d, '%s', '%s', %d)", j, src, tag, (time.Duration(j)*copyEvery).Milliseconds()))
			for _, e := range m.entries[src] {
				fill := func(s string) string { return strings.ReplaceAll(s, hole, tag) }
				tx.Actor = e.Actor
				e.ObjectID, e.Scope, e.Content = fill(e.ObjectID), fill(e.Scope), jsontext.Value(fill(string(e.Content.(jsontext.Value))))
				tx.Record(e)
			}
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO bench_copy (j, src, tag, shift) VALUES "+strings.Join(values, ", ")); err != nil {
			return err
		}
		for _, q := range m.insert {
			if _, err := tx.ExecContext(ctx, q, from, until, m.later()); err != nil {
				return fmt.Errorf("%.40s: %w", q, err)
			}
		}
		return nil
	})
}
