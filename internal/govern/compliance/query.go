package compliance

import (
	"context"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/standard"
)

// inquiry is what a query may look at.
type inquiry struct {
	db    bun.IDB
	book  *standard.Book
	nowMs int64
	args  []string
}

// found is what a query came back with. Lacking counts what stands against it.
type found struct {
	ok       bool
	kind, id string
	atMs     int64
	lacking  int
}

// query looks for proof. Newest selects the id and at_ms of the newest proof, Lacking a number of things
// that stand against it; either may be code instead. In SQL ?0 is a year ago, ?1 now, ?2 and ?3 the
// arguments of the clause, and {open} the incidents that every reader of the board may know of. What
// happened in a drill is proof as well: a drill is the real thing, marked.
type query struct {
	kind    string // of the object that newest names; "" for none
	newest  string
	lacking string
	code    func(context.Context, inquiry) (found, error)
}

const yearMs int64 = 365 * 24 * 60 * 60 * 1000

// The board is one for everybody, so nothing that is restricted counts on it, nor what became of it.
const (
	openIncidents   = "(SELECT id FROM incident WHERE NOT restricted)"
	hiddenAnomalies = `(WITH RECURSIVE hid(id) AS (SELECT h.id FROM anomaly h JOIN incident i ON i.id = h.incident_id WHERE i.restricted
		UNION SELECT m.id FROM anomaly m JOIN hid ON m.merged_into = hid.id WHERE m.merged_into <> '') SELECT id FROM hid)`
)

func (q query) look(ctx context.Context, in inquiry) (found, error) {
	if q.code != nil {
		return q.code(ctx, in)
	}
	f := found{kind: q.kind}
	args := []any{in.nowMs - yearMs, in.nowMs, "", ""}
	for i, a := range in.args {
		args[2+i] = a
	}
	fill := func(sql string) *bun.RawQuery {
		return in.db.NewRaw(strings.NewReplacer("{open}", openIncidents, "{hidden}", hiddenAnomalies).Replace(sql), args...)
	}
	var rows []struct {
		ID   string
		AtMs int64
	}
	if err := fill(q.newest).Scan(ctx, &rows); err != nil || len(rows) == 0 {
		return f, err
	}
	f.ok, f.id, f.atMs = true, rows[0].ID, rows[0].AtMs
	if q.kind == "" {
		f.id = ""
	}
	if q.lacking == "" {
		return f, nil
	}
	return f, fill(q.lacking).Scan(ctx, &f.lacking)
}

const (
	failedSince = "SELECT COUNT(*) FROM drill WHERE state = 'failed' AND (?2 = '' OR scenario = ?2) AND ended_ms > (SELECT COALESCE(MAX(ended_ms), 0) FROM drill WHERE state = 'passed' AND (?2 = '' OR scenario = ?2))"
	newestOrder = "SELECT id, issued_ms AS at_ms FROM disposal_order WHERE issued_ms >= ?0 AND (incident_id = '' OR incident_id IN {open}) ORDER BY issued_ms DESC LIMIT 1"
	graded      = "SELECT incident_id AS id, at_ms FROM assessment WHERE at_ms >= ?0 AND incident_id IN {open} ORDER BY at_ms DESC LIMIT 1"
	// dayMs and the like stand in the SQL as numbers: 86400000 is a day, 604800000 a week.
)

var queries = map[string]query{
	"taxonomy": {code: func(_ context.Context, in inquiry) (found, error) { return found{ok: len(in.book.Types()) > 0}, nil }},
	"category": {code: func(_ context.Context, in inquiry) (found, error) {
		_, ok := in.book.Subtype(in.args[0])
		return found{ok: ok}, nil
	}},
	"levels":       {kind: "incident", newest: graded},
	"plan_library": {code: planLibrary},
	"plan_for":     {code: planFor},
	"plan_escalation": {kind: "plan",
		newest:  `SELECT id, approved_ms AS at_ms FROM plan WHERE state = 'approved' AND body NOT LIKE '%"escalation":null%' AND body NOT LIKE '%"escalation":[]%' ORDER BY approved_ms DESC, id LIMIT 1`,
		lacking: `SELECT COUNT(*) FROM plan WHERE state = 'approved' AND (body LIKE '%"escalation":null%' OR body LIKE '%"escalation":[]%')`},
	"gate_review": {kind: "gate_review",
		newest:  "SELECT id, decided_ms AS at_ms FROM gate_review WHERE decided_ms >= ?0 AND decided_ms > 0 AND (incident_id = '' OR incident_id IN {open}) ORDER BY decided_ms DESC LIMIT 1",
		lacking: "SELECT COUNT(*) FROM gate_review WHERE state = 'requested' AND (incident_id = '' OR incident_id IN {open})"},
	"online_review": {kind: "gate_review",
		newest:  "SELECT id, decided_ms AS at_ms FROM gate_review WHERE direction = 'online' AND state = 'approved' AND decided_ms >= ?0 AND (incident_id = '' OR incident_id IN {open}) ORDER BY decided_ms DESC LIMIT 1",
		lacking: "SELECT COUNT(*) FROM gate_review WHERE direction = 'online' AND state = 'requested' AND (incident_id = '' OR incident_id IN {open})"},
	"roles":  {code: roles},
	"admins": {code: func(ctx context.Context, in inquiry) (found, error) { in.args = admins; return roles(ctx, in) }},
	"drill": {kind: "drill",
		newest:  "SELECT id, ended_ms AS at_ms FROM drill WHERE state = 'passed' AND ended_ms >= ?0 ORDER BY ended_ms DESC LIMIT 1",
		lacking: failedSince},
	"stage": {kind: "drill",
		newest:  `SELECT id, ended_ms AS at_ms FROM drill WHERE state = 'passed' AND scenario = ?2 AND ended_ms >= ?0 AND (?3 = '' OR stages LIKE '%"' || ?3 || '"%') ORDER BY ended_ms DESC LIMIT 1`,
		lacking: failedSince},
	"lexicon_risks": {code: lexiconRisks},
	"lexicon_fresh": {newest: "SELECT id, created_ms AS at_ms FROM lexicon_entry WHERE state = 'live' AND created_ms >= ?1 - 604800000 ORDER BY created_ms DESC LIMIT 1",
		lacking: "SELECT COUNT(*) FROM lexicon_entry WHERE state = 'live' AND expires_ms > ?1"},
	"lexicon_hot": {newest: "SELECT topic AS id, MAX(created_ms) AS at_ms FROM lexicon_entry WHERE state = 'live' AND topic <> '' AND (expires_ms = 0 OR expires_ms > ?1) GROUP BY topic ORDER BY 2 DESC LIMIT 1",
		lacking: "SELECT COUNT(*) FROM (SELECT topic FROM lexicon_entry WHERE state = 'live' AND topic <> '' AND (expires_ms = 0 OR expires_ms > ?1) GROUP BY topic HAVING COUNT(*) < 20) AS short"},
	"gateway": {kind: "gateway",
		newest:  "SELECT id, last_seen_ms AS at_ms FROM gateway WHERE effective AND last_seen_ms >= ?1 - 30000 ORDER BY last_seen_ms DESC LIMIT 1",
		lacking: "SELECT COUNT(*) FROM gateway WHERE NOT effective OR last_seen_ms < ?1 - 30000"},
	"cycles": {newest: "SELECT id, last_seen_ms AS at_ms FROM gateway WHERE last_seen_ms >= ?1 - 30000 ORDER BY last_seen_ms DESC LIMIT 1",
		lacking: "SELECT COUNT(*) FROM due WHERE state IN ('pending','failed') AND due_ms < ?1 - 60000"},
	"posture": {newest: "SELECT digest AS id, compiled_ms AS at_ms FROM posture WHERE service_id IN (SELECT id FROM service WHERE kind = 'real') ORDER BY compiled_ms DESC LIMIT 1",
		lacking: "SELECT COUNT(*) FROM service s WHERE kind = 'real' AND NOT EXISTS (SELECT 1 FROM posture p WHERE p.service_id = s.id)"},
	"alert": {newest: "SELECT id, sent_ms AS at_ms FROM outbox WHERE object_kind = 'anomaly' AND object_id NOT IN {hidden} AND class = 'staff' AND state = 'sent' AND sent_ms >= ?0 ORDER BY sent_ms DESC LIMIT 1",
		lacking: "SELECT COUNT(*) FROM outbox WHERE object_kind = 'anomaly' AND object_id NOT IN {hidden} AND class = 'staff' AND state IN ('failed','refused')"},
	"assessed": {newest: "SELECT id, decided_ms AS at_ms FROM anomaly WHERE id NOT IN {hidden} AND decided_ms >= ?0 AND decided_ms > 0 ORDER BY decided_ms DESC LIMIT 1",
		lacking: "SELECT COUNT(*) FROM anomaly WHERE id NOT IN {hidden} AND kind = 'real' AND state = 'open' AND opened_ms < ?1 - 86400000"},
	"complaint": {newest: "SELECT id, received_ms AS at_ms FROM complaint WHERE anomaly_id NOT IN {hidden} AND received_ms >= ?0 ORDER BY received_ms DESC LIMIT 1",
		lacking: "SELECT COUNT(*) FROM complaint WHERE anomaly_id NOT IN {hidden} AND traffic_kind = 'real' AND state <> 'answered' AND received_ms < ?1 - 604800000"},
	"graded": {kind: "incident", newest: graded,
		lacking: "SELECT COUNT(*) FROM incident i WHERE kind = 'real' AND state <> 'closed' AND id IN {open} AND NOT EXISTS (SELECT 1 FROM assessment a WHERE a.incident_id = i.id)"},
	"plan_run": {kind: "incident",
		newest:  "SELECT incident_id AS id, started_ms AS at_ms FROM plan_run WHERE started_ms >= ?0 AND incident_id IN {open} ORDER BY started_ms DESC LIMIT 1",
		lacking: "SELECT COUNT(*) FROM incident i WHERE kind = 'real' AND state = 'responding' AND id IN {open} AND NOT EXISTS (SELECT 1 FROM plan_run r WHERE r.incident_id = i.id)"},
	"task": {kind: "incident",
		newest:  "SELECT incident_id AS id, done_ms AS at_ms FROM task WHERE state = 'done' AND done_ms >= ?0 AND incident_id IN {open} ORDER BY done_ms DESC LIMIT 1",
		lacking: "SELECT COUNT(*) FROM task t JOIN incident i ON i.id = t.incident_id WHERE i.kind = 'real' AND i.id IN {open} AND t.state = 'open' AND t.due_ms > 0 AND t.due_ms < ?1"},
	"fix": {kind: "incident",
		newest:  "SELECT incident_id AS id, fixed_ms AS at_ms FROM fix WHERE fixed_ms >= ?0 AND incident_id IN {open} ORDER BY fixed_ms DESC LIMIT 1",
		lacking: "SELECT COUNT(*) FROM incident i WHERE kind = 'real' AND state IN ('ended','verifying','closed') AND id IN {open} AND NOT EXISTS (SELECT 1 FROM fix f WHERE f.incident_id = i.id)"},
	"recovered": {kind: "incident",
		newest: "SELECT incident_id AS id, last_ms AS at_ms FROM milestone WHERE name IN ('recovered','handling_ended') AND last_ms >= ?0 AND incident_id IN {open} ORDER BY last_ms DESC LIMIT 1"},
	"service_test": {kind: "service_test",
		newest: "SELECT id, ended_ms AS at_ms FROM service_test WHERE state = 'passed' AND ended_ms >= ?0 AND incident_id IN {open} ORDER BY ended_ms DESC LIMIT 1"},
	"closing": {kind: "incident",
		newest:  "SELECT incident_id AS id, verified_ms AS at_ms FROM closing WHERE state = 'verified' AND verified_ms >= ?0 AND incident_id IN {open} ORDER BY verified_ms DESC LIMIT 1",
		lacking: "SELECT COUNT(*) FROM closing WHERE state = 'applied' AND incident_id IN {open}"},
	"measures": {kind: "order", newest: newestOrder,
		lacking: "SELECT COUNT(*) FROM nonconformity WHERE reason = '' AND settled_ms = 0 AND incident_id IN {open}"},
	"order": {kind: "order", newest: newestOrder},
	"reported": {kind: "obligation",
		newest:  "SELECT id, submitted_ms AS at_ms FROM obligation WHERE state = 'met' AND rule_id <> 'guide.periodic' AND submitted_ms >= ?0 AND incident_id IN {open} ORDER BY submitted_ms DESC LIMIT 1",
		lacking: "SELECT COUNT(*) FROM obligation o JOIN incident i ON i.id = o.incident_id WHERE i.kind = 'real' AND i.id IN {open} AND o.state IN ('pending','owed','decision') AND o.due_ms > 0 AND o.due_ms < ?1"},
	"filed": {kind: "obligation",
		newest:  "SELECT id, submitted_ms AS at_ms FROM obligation WHERE state = 'met' AND rule_id = 'guide.periodic' AND submitted_ms >= ?0 AND incident_id IN {open} ORDER BY submitted_ms DESC LIMIT 1",
		lacking: "SELECT COUNT(*) FROM obligation o JOIN incident i ON i.id = o.incident_id WHERE i.kind = 'real' AND i.id IN {open} AND o.rule_id = 'guide.periodic' AND o.state IN ('pending','owed','decision')"},
	"told": {newest: "SELECT id, sent_ms AS at_ms FROM outbox WHERE object_id NOT IN (SELECT id FROM incident WHERE restricted) AND class IN ('authority','platform') AND state = 'sent' AND sent_ms >= ?0 ORDER BY sent_ms DESC LIMIT 1",
		lacking: "SELECT COUNT(*) FROM outbox WHERE object_id NOT IN (SELECT id FROM incident WHERE restricted) AND class IN ('authority','platform') AND state IN ('failed','refused')"},
	"retrospective": {kind: "incident",
		newest:  "SELECT incident_id AS id, held_ms AS at_ms FROM retrospective WHERE held_ms >= ?0 AND incident_id IN {open} ORDER BY held_ms DESC LIMIT 1",
		lacking: "SELECT COUNT(*) FROM incident i WHERE kind = 'real' AND state = 'closed' AND id IN {open} AND NOT EXISTS (SELECT 1 FROM retrospective r WHERE r.incident_id = i.id)"},
	"action": {kind: "incident",
		newest:  "SELECT incident_id AS id, done_ms AS at_ms FROM improvement_action WHERE state = 'done' AND done_ms >= ?0 AND incident_id IN {open} ORDER BY done_ms DESC LIMIT 1",
		lacking: "SELECT COUNT(*) FROM improvement_action a JOIN incident i ON i.id = a.incident_id WHERE i.kind = 'real' AND i.id IN {open} AND a.state = 'open' AND a.due_ms < ?1"},
	"checkpoint": {newest: "SELECT '' AS id, e.at_ms AS at_ms FROM record_checkpoints c JOIN record_entries e ON e.idx = c.size - 1 ORDER BY c.epoch DESC, c.size DESC LIMIT 1"},
	"importance": {newest: "SELECT i.object_id AS id, i.from_ms AS at_ms FROM importance i JOIN affected_object o ON o.id = i.object_id JOIN service s ON s.id = o.service_id WHERE s.kind = 'real' ORDER BY i.from_ms DESC LIMIT 1",
		lacking: "SELECT COUNT(*) FROM affected_object o JOIN service s ON s.id = o.service_id WHERE s.kind = 'real' AND NOT EXISTS (SELECT 1 FROM importance i WHERE i.object_id = o.id)"},
}

// admins are the three who are kept apart (design section 1).
var admins = []string{"system_admin", "security_admin", "audit_admin"}

// roles asks that each role of the arguments is held by an active person.
func roles(ctx context.Context, in inquiry) (found, error) {
	f := found{}
	for _, role := range in.args {
		var rows []struct{ CreatedMs int64 }
		if err := in.db.NewRaw(`SELECT created_ms FROM person WHERE active AND drill_id = '' AND roles LIKE '%"' || ? || '"%' ORDER BY created_ms DESC LIMIT 1`, role).Scan(ctx, &rows); err != nil {
			return f, err
		}
		if len(rows) == 0 {
			f.lacking++
			continue
		}
		f.ok, f.atMs = true, max(f.atMs, rows[0].CreatedMs)
	}
	return f, nil
}

type planRow struct {
	ID, Category, ApprovedBy string
	Level                    int
	ApprovedMs               int64
}

// byPeople tells a plan that somebody here approved from one that ships.
func (p planRow) byPeople() bool { return p.ApprovedBy != "starter" }

func plans(ctx context.Context, in inquiry) (rows []planRow, err error) {
	err = in.db.NewRaw("SELECT id, category, level, approved_by, approved_ms FROM plan WHERE state = 'approved' ORDER BY approved_ms DESC, id").Scan(ctx, &rows)
	return rows, err
}

// planLibrary asks for a plan in each cell of subtype × level; a plan of the type or of any category counts.
func planLibrary(ctx context.Context, in inquiry) (found, error) {
	rows, err := plans(ctx, in)
	if err != nil || len(rows) == 0 {
		return found{}, err
	}
	f := found{ok: true, kind: "plan", id: rows[0].ID, atMs: rows[0].ApprovedMs}
	for _, t := range in.book.Types() {
		for _, s := range t.Subtypes {
			for level := 1; level <= 4; level++ {
				covered := false
				for _, p := range rows {
					covered = covered || p.Level == level && p.byPeople() && (p.Category == s.ID || p.Category == t.ID || p.Category == "*")
				}
				if !covered {
					f.lacking++
				}
			}
		}
	}
	return f, nil
}

// planFor asks for a plan of exactly this category, at any level.
func planFor(ctx context.Context, in inquiry) (found, error) {
	rows, err := plans(ctx, in)
	f := found{}
	for _, p := range rows {
		if p.Category != in.args[0] || f.ok && (f.lacking == 0 || !p.byPeople()) {
			continue
		}
		f = found{ok: true, kind: "plan", id: p.ID, atMs: p.ApprovedMs}
		if !p.byPeople() {
			f.lacking = 1
		}
	}
	return f, err
}

// The least numbers of approved keywords: in all, of each risk of A.1, of each of A.2 (GB/T 45654-2025).
const (
	leastTerms = 10000
	leastA1    = 200
	leastA2    = 100
)

func lexiconRisks(ctx context.Context, in inquiry) (found, error) {
	var rows []struct {
		Risk     string
		N        int
		NewestMs int64
	}
	if err := in.db.NewRaw("SELECT risk, COUNT(*) AS n, MAX(created_ms) AS newest_ms FROM lexicon_entry WHERE state = 'live' AND expires_ms = 0 GROUP BY risk").Scan(ctx, &rows); err != nil {
		return found{}, err
	}
	f, n, total := found{}, map[string]int{}, 0
	for _, r := range rows {
		n[r.Risk], total, f.ok, f.atMs = r.N, total+r.N, true, max(f.atMs, r.NewestMs)
	}
	for _, g := range in.book.RiskGroups() {
		for _, r := range g.Risks {
			least := 1
			switch g.ID {
			case "A.1":
				least = leastA1
			case "A.2":
				least = leastA2
			}
			if n[r.ID] < least {
				f.lacking++
			}
		}
	}
	if total < leastTerms && f.lacking == 0 {
		f.lacking = 1
	}
	return f, nil
}
