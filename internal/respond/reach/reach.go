// Package reach finds what harmful text reached whom before it was stopped (触达范围), and keeps the
// list of places outside where it spread (外部扩散).
package reach

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/monitor/anomaly"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/respond/incident"
)

// Row is one answer of which some text left for a client.
type Row struct {
	bun.BaseModel `bun:"table:reach,alias:reach" json:"-"`
	IncidentID    string `bun:"incident_id,pk" json:"incident_id"`
	ContentNo     string `bun:"content_no,pk" json:"content_no"`
	Subject       string `json:"subject"` // HMAC; "" is unknown
	Tenant        string `json:"tenant"`
	ReleasedRunes int    `json:"released_runes"`
	AtMs          int64  `json:"at_ms"`
}

// Reach is the sum of the rows.
type Reach struct {
	IncidentID     string   `json:"incident_id"`
	Answers        int      `json:"answers"`         // of which some text was released
	Subjects       int      `json:"subjects"`        // distinct known subjects
	UnknownAnswers int      `json:"unknown_answers"` // answers whose subject is unknown: at most so many subjects more
	Tenants        []string `json:"tenants"`
	ReleasedRunes  int64    `json:"released_runes"`
	FirstMs        int64    `json:"first_ms"`
	LastMs         int64    `json:"last_ms"`
	Stopped        int      `json:"stopped"`  // answers that were stopped before any text left; only in what Compute returns
	Untraced       int      `json:"untraced"` // content numbers without a request in telemetry; only in what Compute returns

	rows []Row
}

// Compute finds the reach of an incident in telemetry: the answers named by the signals of its anomalies,
// and all others that the same rules hit in the time of the anomaly. It changes nothing.
func Compute(ctx context.Context, db bun.IDB, log *telemetry.Log, actor store.Actor, incidentID string) (Reach, error) {
	if _, err := incident.Get(ctx, db, actor, incidentID); err != nil {
		return Reach{}, err
	}
	var anomalies []anomaly.Anomaly
	if err := db.NewSelect().Model(&anomalies).Where(`id IN (WITH RECURSIVE family(id) AS (SELECT id FROM anomaly WHERE incident_id = ?
		UNION SELECT m.id FROM anomaly m JOIN family f ON m.merged_into = f.id WHERE m.merged_into <> '') SELECT id FROM family)`, incidentID).Scan(ctx); err != nil {
		return Reach{}, err
	}
	numbers := map[string]bool{}
	var firstMs int64
	for _, a := range anomalies {
		if firstMs == 0 || a.FirstMs < firstMs {
			firstMs = a.FirstMs
		}
		var signals []anomaly.Signal
		if err := db.NewSelect().Model(&signals).Where("anomaly_id = ?", a.ID).Scan(ctx); err != nil {
			return Reach{}, err
		}
		rules := map[string]bool{}
		for _, s := range signals {
			if s.ContentNo != "" && s.Side != "input" {
				numbers[s.ContentNo] = true
			}
			if s.Rule != "" && s.Side == "output" {
				rules[s.Rule] = true
			}
		}
		for rule := range rules {
			// A minute on both sides: positions are times of storing, which follow those of observing.
			found, err := log.ContentNumbers(ctx, telemetry.Filter{ServiceID: a.ServiceID, Kind: a.Kind, Rule: rule, Side: "output", FromMs: a.FirstMs - 60_000, ToMs: a.LastMs + 60_000})
			if err != nil {
				return Reach{}, err
			}
			for _, n := range found {
				numbers[n] = true
			}
		}
	}
	list := make([]string, 0, len(numbers))
	for n := range numbers {
		list = append(list, n)
	}
	slices.Sort(list)
	traffic, err := log.TrafficOf(ctx, list, firstMs)
	if err != nil {
		return Reach{}, err
	}
	var rows []Row
	stopped, traced := 0, map[string]bool{}
	for _, t := range traffic {
		if traced[t.ContentNo] {
			continue
		}
		traced[t.ContentNo] = true
		if t.ReleasedRunes == 0 {
			stopped++
			continue
		}
		rows = append(rows, Row{IncidentID: incidentID, ContentNo: t.ContentNo, Subject: t.Subject, Tenant: t.Tenant, ReleasedRunes: t.ReleasedRunes, AtMs: t.StartedMs})
	}
	r := sum(incidentID, rows)
	r.Stopped, r.Untraced = stopped, len(numbers)-len(traced)
	return r, nil
}

func sum(incidentID string, rows []Row) Reach {
	r := Reach{IncidentID: incidentID, Answers: len(rows), Tenants: []string{}, rows: rows}
	subjects := map[string]bool{}
	for _, row := range rows {
		r.ReleasedRunes += int64(row.ReleasedRunes)
		if row.Subject == "" {
			r.UnknownAnswers++
		} else {
			subjects[row.Subject] = true
		}
		if row.Tenant != "" && !slices.Contains(r.Tenants, row.Tenant) {
			r.Tenants = append(r.Tenants, row.Tenant)
		}
		if r.FirstMs == 0 || row.AtMs < r.FirstMs {
			r.FirstMs = row.AtMs
		}
		r.LastMs = max(r.LastMs, row.AtMs)
	}
	r.Subjects = len(subjects)
	slices.Sort(r.Tenants)
	return r
}

// Store keeps a computed reach. Answers that were kept before stay: reach is never taken back because
// telemetry has been deleted meanwhile.
func Store(ctx context.Context, tx *store.Tx, r Reach) (Reach, error) {
	if _, err := incident.ForChange(ctx, tx, r.IncidentID, "incident.handle"); err != nil {
		return r, err
	}
	for rest := r.rows; len(rest) > 0; {
		part := rest[:min(200, len(rest))]
		rest = rest[len(part):]
		if _, err := tx.NewInsert().Model(&part).On("CONFLICT (incident_id, content_no) DO UPDATE").
			Set("released_runes = CASE WHEN reach.released_runes > excluded.released_runes THEN reach.released_runes ELSE excluded.released_runes END").Exec(ctx); err != nil {
			return r, err
		}
	}
	total, err := load(ctx, tx, r.IncidentID)
	if err != nil {
		return r, err
	}
	total.Stopped, total.Untraced = r.Stopped, r.Untraced
	tx.Record(store.Entry{Action: "reach.store", ObjectKind: "incident", ObjectID: r.IncidentID, Scope: incident.Scope(r.IncidentID), Content: total})
	tx.Touch("incident")
	return total, nil
}

func load(ctx context.Context, db bun.IDB, incidentID string) (Reach, error) {
	rows := []Row{}
	err := db.NewSelect().Model(&rows).Where("incident_id = ?", incidentID).Order("at_ms", "content_no").Scan(ctx)
	return sum(incidentID, rows), err
}

// Get is the stored reach of an incident.
func Get(ctx context.Context, db bun.IDB, actor store.Actor, incidentID string) (Reach, error) {
	if _, err := incident.Get(ctx, db, actor, incidentID); err != nil {
		return Reach{}, err
	}
	return load(ctx, db, incidentID)
}

// Rows lists the answers behind the stored reach.
func Rows(ctx context.Context, db bun.IDB, actor store.Actor, incidentID string) ([]Row, error) {
	if _, err := incident.Get(ctx, db, actor, incidentID); err != nil {
		return nil, err
	}
	r, err := load(ctx, db, incidentID)
	return r.rows, err
}

// Spread is one place outside where the content was found. Times are UTC milliseconds, 0 for not yet.
type Spread struct {
	bun.BaseModel `bun:"table:outside_spread" json:"-"`
	ID            string `bun:"id,pk" json:"id"`
	IncidentID    string `json:"incident_id"`
	Platform      string `json:"platform"`
	Location      string `json:"location"` // http(s) address, or words that let one find it
	FoundBy       string `json:"found_by"`
	FoundMs       int64  `json:"found_ms"`
	AskedMs       int64  `json:"asked_ms,omitempty"`
	RemovedMs     int64  `json:"removed_ms,omitempty"`
}

// AddSpread notes where the content was found. The same place twice is fault conflict error.exists.
func AddSpread(ctx context.Context, tx *store.Tx, incidentID, platform, location string) (Spread, error) {
	s := Spread{IncidentID: incidentID, Platform: strings.TrimSpace(platform), Location: strings.TrimSpace(location), FoundBy: tx.Actor.ID, FoundMs: tx.NowMs}
	if _, err := incident.ForChange(ctx, tx, incidentID, "spread.write"); err != nil {
		return s, err
	}
	for _, f := range []struct {
		name, value string
		most        int
	}{{"platform", s.Platform, 100}, {"location", s.Location, 1000}} {
		if f.value == "" {
			return s, fault.Invalid(f.name, "error.required", "field", f.name)
		}
		if !utf8.ValidString(f.value) || utf8.RuneCountInString(f.value) > f.most {
			return s, fault.Invalid(f.name, "anomaly.too_long", "field", f.name, "max", f.most)
		}
	}
	if strings.Contains(s.Location, "://") {
		if u, err := url.Parse(s.Location); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return s, fault.Invalid("location", "reach.bad_location")
		}
	}
	n, err := tx.NewSelect().Model((*Spread)(nil)).Where("incident_id = ? AND platform = ? AND location = ?", incidentID, s.Platform, s.Location).Count(ctx)
	if err != nil {
		return s, err
	}
	if n > 0 {
		return s, fault.Conflict("location", "error.exists", "field", "location")
	}
	s.ID = tx.NewID()
	if _, err := tx.NewInsert().Model(&s).Exec(ctx); err != nil {
		return s, err
	}
	return s, note(tx, "spread.add", s)
}

// SpreadAsked notes that the platform was asked to remove it.
func SpreadAsked(ctx context.Context, tx *store.Tx, id string) (Spread, error) {
	return move(ctx, tx, id, "ask", func(s *Spread) bool {
		if s.AskedMs > 0 || s.RemovedMs > 0 {
			return false
		}
		s.AskedMs = tx.NowMs
		return true
	})
}

// SpreadRemoved notes that it is gone, asked for or not.
func SpreadRemoved(ctx context.Context, tx *store.Tx, id string) (Spread, error) {
	return move(ctx, tx, id, "remove", func(s *Spread) bool {
		if s.RemovedMs > 0 {
			return false
		}
		s.RemovedMs = tx.NowMs
		return true
	})
}

func (s Spread) state() (state, allowed string) {
	switch {
	case s.RemovedMs > 0:
		return "removed", "—"
	case s.AskedMs > 0:
		return "asked", "remove"
	}
	return "found", "ask, remove"
}

func move(ctx context.Context, tx *store.Tx, id, event string, with func(*Spread) bool) (Spread, error) {
	var s Spread
	if err := tx.NewSelect().Model(&s).Where("id = ?", id).Scan(ctx); err != nil {
		return s, store.Missing(err, "id")
	}
	if _, err := incident.ForChange(ctx, tx, s.IncidentID, "spread.write"); err != nil {
		return s, err
	}
	if !with(&s) {
		state, allowed := s.state()
		return s, fault.Conflict("state", "error.transition", "state", state, "event", event, "allowed", allowed)
	}
	if _, err := tx.NewUpdate().Model(&s).Column("asked_ms", "removed_ms").WherePK().Exec(ctx); err != nil {
		return s, err
	}
	return s, note(tx, "spread."+event, s)
}

func note(tx *store.Tx, action string, s Spread) error {
	tx.Record(store.Entry{Action: action, ObjectKind: "outside_spread", ObjectID: s.ID, Scope: incident.Scope(s.IncidentID), Content: s})
	tx.Touch("incident")
	return nil
}

// Spreads lists where the content of an incident was found.
func Spreads(ctx context.Context, db bun.IDB, actor store.Actor, incidentID string) ([]Spread, error) {
	if _, err := incident.Get(ctx, db, actor, incidentID); err != nil {
		return nil, err
	}
	out := []Spread{}
	return out, db.NewSelect().Model(&out).Where("incident_id = ?", incidentID).Order("found_ms", "id").Scan(ctx)
}
