package compliance

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/standard"
)

type house struct {
	t    *testing.T
	st   *store.Store
	book *standard.Book
	now  int64
}

func newHouse(t *testing.T) *house {
	t.Helper()
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	st, err := store.Open(t.Context(), storetest.With(t, store.Options{Dir: t.TempDir(), Clock: clock.NewFake(now)}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	book, err := standard.Load()
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t, st, book, now.UnixMilli()}
	h.exec(`INSERT INTO operator (id, name, province, kind, created_ms) VALUES ('OP', 'o', 'p', 'other', 1);
		INSERT INTO service (id, operator_id, name, kind, model_name, created_ms) VALUES ('SV', 'OP', 's', 'real', 'm', 1);
		INSERT INTO affected_object (id, service_id, kind, name, created_ms) VALUES ('OB', 'SV', 'service', 's', 1);
		INSERT INTO incident (id, number, kind, operator_id, service_id, title, state, editions, declared_by, declared_ms) VALUES ('IN', 'IN', 'drill', 'OP', 'SV', 't', 'responding', '[]', 'x', 1)`)
	return h
}

// exec runs SQL in which {now} is the present.
func (h *house) exec(sql string) {
	h.t.Helper()
	err := h.st.Write(h.t.Context(), store.System("test"), func(tx *store.Tx) error {
		for _, q := range strings.Split(strings.ReplaceAll(sql, "{now}", fmt.Sprint(h.now)), ";\n") {
			if _, err := tx.Exec(q); err != nil {
				return fmt.Errorf("%s: %w", q, err)
			}
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) board(nowMs int64) Board {
	h.t.Helper()
	b, err := Read(h.t.Context(), h.st.Read(), store.Actor{ID: "x", Roles: []string{"compliance"}}, h.book, nowMs)
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

func (h *house) look(evidence string, nowMs int64) found {
	h.t.Helper()
	name, args := Clause{Evidence: evidence}.query()
	f, err := queries[name].look(h.t.Context(), inquiry{db: h.st.Read(), book: h.book, nowMs: nowMs, args: args})
	if err != nil {
		h.t.Fatal(err)
	}
	return f
}

// Chapters 4 to 6 and the annex of the guide, as they are printed.
var heading = regexp.MustCompile(`^(?:附录 ?)?([4-6](?:\.\d)*|A(?:\. ?\d){0,2})\.? `)

func printed(text string) []string {
	var out []string
	number, letter := "", ""
	add := func(c string) {
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "- ")
		if strings.Contains(line, "\t") { // the contents and the tables
			continue
		}
		if m := heading.FindStringSubmatch(line + " "); m != nil && len([]rune(line)) < 60 {
			number, letter = strings.ReplaceAll(m[1], " ", ""), ""
			add(number)
			continue
		}
		if number == "" {
			continue
		}
		if len(line) > 2 && line[1] == ')' {
			switch c := line[0]; {
			case c >= 'a' && c <= 'z':
				letter = line[:2]
				add(number + " " + letter)
			case c >= '1' && c <= '9' && letter != "":
				add(number + " " + letter + " " + line[:2])
			}
		}
	}
	return out
}

func TestEveryClauseOfTheGuideIsOnTheBoard(t *testing.T) {
	list, err := Clauses()
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, c := range list {
		have = append(have, c.Clause)
	}
	paths, err := filepath.Glob(filepath.Join("..", "..", "..", "..", "shared", "reference", "001*.txt"))
	if err != nil || len(paths) != 1 {
		t.Skip("the guide's text is not beside this clone (../shared/reference): WHETHER THE BOARD IS COMPLETE WAS NOT CHECKED")
	}
	raw, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	want := printed(string(raw))
	if len(want) < 120 {
		t.Fatalf("only %d clauses were read from the guide: %v", len(want), want)
	}
	for _, c := range want {
		if !slices.Contains(have, c) {
			t.Errorf("clause %s of the guide is not on the board", c)
		}
	}
	for _, c := range have {
		if !slices.Contains(want, c) && !strings.Contains(c, " T") {
			t.Errorf("the board has a clause %s that the guide does not", c)
		}
	}
}

// ageless proofs are states, not events: they do not grow old.
var ageless = []string{"taxonomy", "category", "plan_library", "plan_for", "plan_escalation", "roles", "admins", "lexicon_risks", "lexicon_hot", "posture", "checkpoint", "importance"}

// For each query: what proves it, and what then stands against it. Without proof there is a gap, with it none,
// and with something against it the row is not whole: a query that is always content would be found here.
func TestEachQueryFindsItsProofAndMissesItWhereThereIsNone(t *testing.T) {
	plan := func(id, category string, level int, by, escalation string) string {
		return fmt.Sprintf(`INSERT INTO plan (id, version, scenario, category, level, edition, body, digest, state, created_by, approved_by, created_ms, approved_ms) VALUES ('%s', 1, 's', '%s', %d, 'e', '{"escalation":%s}', 'd', 'approved', 'x', '%s', 1, {now})`, id, category, level, escalation, by)
	}
	var general []string
	for level := 1; level <= 4; level++ {
		general = append(general, plan(fmt.Sprint("g", level), "*", level, "boss", "[]"))
	}
	var enough strings.Builder
	book, err := standard.Load()
	if err != nil {
		t.Fatal(err)
	}
	enough.WriteString("INSERT INTO lexicon_entry (id, term, action, risk, source, state, created_by, created_ms) VALUES ('first', 't', 'mask', 'A.1.a', 's', 'live', 'x', {now})")
	for _, g := range book.RiskGroups() {
		for _, r := range g.Risks {
			for i := range 330 {
				fmt.Fprintf(&enough, ",('%s-%d', 't', 'mask', '%s', 's', 'live', 'x', {now})", r.ID, i, r.ID)
			}
		}
	}
	topic := func(n int, topic string) string {
		var b strings.Builder
		b.WriteString("INSERT INTO lexicon_entry (id, term, action, risk, topic, source, state, created_by, created_ms) VALUES ")
		for i := range n {
			fmt.Fprintf(&b, "('%s%d', 't', 'mask', 'A.1.g', '%s', 's', 'live', 'x', {now}),", topic, i, topic)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	drill := func(id, state string, at int) string {
		return fmt.Sprintf(`INSERT INTO drill (id, number, scenario, state, started_by, started_ms, ended_ms, stages) VALUES ('%s', 'n', 'A.1', '%s', 'x', 1, {now} + %d, '[{"name":"detect","ms":1}]')`, id, state, at)
	}
	incident := func(id, kind, state string) string {
		return fmt.Sprintf("INSERT INTO incident (id, number, kind, operator_id, service_id, title, state, editions, declared_by, declared_ms) VALUES ('%s', '%s', '%s', 'OP', 'SV', 't', '%s', '[]', 'x', 1)", id, id, kind, state)
	}
	person := func(role string) string {
		return fmt.Sprintf(`INSERT INTO person (id, name, roles, created_ms) VALUES ('%s', 'n', '["%s"]', 5)`, role, role)
	}
	order := func(id string) string {
		return fmt.Sprintf(`INSERT INTO disposal_order (id, seq, kind, service_id, cause, cause_id, incident_id, rung, measure, scope, params, release_mode, state, issued_by, issued_ms) VALUES ('%s', 1, 'real', 'SV', 'incident', 'IN', 'IN', 'strict_filter', 'adjust', '{}', '{}', 'auto', 'lifted', 'x', {now})`, id)
	}
	review := func(id, direction, state string, decided string) string {
		return fmt.Sprintf(`INSERT INTO gate_review (id, direction, order_id, incident_id, kind, state, requested_by, requested_ms, ground, decided_ms) VALUES ('%s', '%s', 'OR', 'IN', 'real', '%s', 'x', 1, 'g', %s)`, id, direction, state, decided)
	}
	message := func(id, kind, class, state string) string {
		return fmt.Sprintf(`INSERT INTO outbox (id, idem_key, channel, class, recipient, lang, incident_kind, object_kind, object_id, template, args, state, queued_ms, next_ms, sent_ms) VALUES ('%[1]s', '%[1]s', 'c', '%[3]s', 'r', 'zh', 'drill', '%[2]s', 'x', 't', '[]', '%[4]s', 1, 1, {now})`, id, kind, class, state)
	}
	obligation := func(id, inc, rule, state string, due string) string {
		return fmt.Sprintf("INSERT INTO obligation (id, incident_id, operator_id, rule_id, authority, edition, state, clock_start_ms, due_ms, submitted_ms) VALUES ('%s', '%s', 'OP', '%s', 'a', 'e', '%s', 1, %s, {now})", id, inc, rule, state, due)
	}
	assessment := "INSERT INTO assessment (id, incident_id, object_id, stage, source, facts, importance, working_level, grading, edition, assessed_by, at_ms) VALUES ('AS', 'IN', 'OB', 'confirmed', 'self', '{}', '一般', 4, '{}', 'e', 'x', {now})"
	anomaly := func(id, kind, state string, opened, decided string) string {
		return fmt.Sprintf("INSERT INTO anomaly (id, number, kind, service_id, rule_id, fingerprint, state, first_ms, last_ms, opened_ms, decided_ms) VALUES ('%[1]s', '%[1]s', '%[2]s', 'SV', 'r', 'f', '%[3]s', 1, 1, %[4]s, %[5]s)", id, kind, state, opened, decided)
	}
	complaint := func(id, state, received string) string {
		return fmt.Sprintf("INSERT INTO complaint (id, number, code_hash, kind, traffic_kind, service_id, body, received_ms, state) VALUES ('%[1]s', '%[1]s', 'h', 'complaint', 'real', 'SV', 'b', %[3]s, '%[2]s')", id, state, received)
	}
	retro := "INSERT INTO retrospective (id, incident_id, root_cause, held_by, held_ms) VALUES ('RE', 'IN', 'r', 'x', {now})"
	action := func(id, inc, state, due string) string {
		return fmt.Sprintf("INSERT INTO improvement_action (id, retrospective_id, incident_id, title, owner, due_ms, state, done_ms) VALUES ('%s', 'RE', '%s', 't', 'o', %s, '%s', {now})", id, inc, due, state)
	}
	gateway := func(id string, effective bool) string {
		return fmt.Sprintf("INSERT INTO gateway (id, revision, last_seen_ms, effective) VALUES ('%s', 1, {now}, %v)", id, effective)
	}
	all := func(q ...string) string { return strings.Join(q, ";\n") }
	cases := map[string]struct{ evidence, proof, lacking string }{
		"plan_library":    {"", all(general...), "UPDATE plan SET approved_by = 'starter' WHERE id = 'g2'"},
		"plan_for":        {"plan_for content.false", plan("p", "content.false", 2, "boss", "[]"), "UPDATE plan SET approved_by = 'starter'"},
		"plan_escalation": {"", plan("p", "*", 2, "boss", `[{"to":"x"}]`), plan("q", "*", 3, "boss", "[]")},
		"gate_review":     {"", all(order("OR"), review("G1", "offline", "approved", "{now}")), review("G2", "offline", "requested", "0")},
		"online_review":   {"", all(order("OR"), review("G1", "online", "approved", "{now}")), review("G2", "online", "requested", "0")},
		"roles":           {"roles engineer", person("engineer"), ""},
		"admins":          {"", all(person("system_admin"), person("security_admin"), person("audit_admin")), "UPDATE person SET active = FALSE WHERE id = 'audit_admin'"},
		"drill":           {"", drill("D1", "passed", 0), drill("D2", "failed", 1)},
		"stage":           {"stage A.1 detect", drill("D1", "passed", 0), drill("D2", "failed", 1)},
		"lexicon_risks":   {"", enough.String(), "UPDATE lexicon_entry SET state = 'retired' WHERE risk = 'A.1.c'"},
		"lexicon_fresh":   {"", topic(1, "x"), "UPDATE lexicon_entry SET expires_ms = {now} + 1000"},
		"lexicon_hot":     {"", topic(20, "x"), topic(19, "y")},
		"gateway":         {"", gateway("g", true), gateway("h", false)},
		"cycles":          {"", gateway("g", true), "INSERT INTO due (id, kind, object_kind, object_id, incident_kind, due_ms, next_ms, state, set_ms) VALUES ('D', 'k', 'o', 'i', 'real', 1, 1, 'pending', 1)"},
		"posture": {"", "INSERT INTO posture (digest, service_id, seq, body, reason, compiled_by, compiled_ms) VALUES ('d', 'SV', 1, '{}', 'r', 'x', {now})",
			"INSERT INTO service (id, operator_id, name, kind, model_name, created_ms) VALUES ('S2', 'OP', 's', 'real', 'm2', 1)"},
		"alert":         {"", message("M1", "anomaly", "staff", "sent"), message("M2", "anomaly", "staff", "failed")},
		"assessed":      {"", anomaly("A1", "real", "dismissed", "1", "{now}"), anomaly("A2", "real", "open", "1", "0")},
		"complaint":     {"", complaint("C1", "answered", "{now}"), complaint("C2", "received", "1")},
		"graded":        {"", assessment, incident("I2", "real", "responding")},
		"levels":        {"", assessment, ""},
		"plan_run":      {"", "INSERT INTO plan_run (id, incident_id, plan_id, plan_version, started_by, started_ms) VALUES ('R', 'IN', 'p', 1, 'x', {now})", incident("I2", "real", "responding")},
		"task":          {"", "INSERT INTO task (id, incident_id, title, role, state, done_ms) VALUES ('T1', 'IN', '{}', 'engineer', 'done', {now})", all(incident("I2", "real", "responding"), "INSERT INTO task (id, incident_id, title, role, state, due_ms) VALUES ('T2', 'I2', '{}', 'engineer', 'open', 1)")},
		"fix":           {"", "INSERT INTO fix (id, incident_id, cause, measure, fixed_by, fixed_ms) VALUES ('F', 'IN', 'c', 'm', 'x', {now})", incident("I2", "real", "closed")},
		"recovered":     {"", "INSERT INTO milestone (incident_id, name, first_ms, last_ms, times) VALUES ('IN', 'recovered', 1, {now}, 1)", ""},
		"importance":    {"", "INSERT INTO importance (id, object_id, level, ground, from_ms, set_by) VALUES ('I', 'OB', '一般', 'g', 1, 'x')", "INSERT INTO affected_object (id, service_id, kind, name, created_ms) VALUES ('O2', 'SV', 'model', 'm', 1)"},
		"service_test":  {"", "INSERT INTO service_test (id, incident_id, deployment_id, state, prompts, run_by, started_ms, ended_ms) VALUES ('S', 'IN', 'd', 'passed', 1, 'x', 1, {now})", ""},
		"closing":       {"", "INSERT INTO closing (id, incident_id, state, summary, applied_by, applied_ms, verified_ms) VALUES ('C', 'IN', 'verified', 's', 'x', 1, {now})", "INSERT INTO closing (id, incident_id, state, summary, applied_by, applied_ms) VALUES ('C2', 'IN', 'applied', 's', 'x', 1)"},
		"measures":      {"", order("OR"), "INSERT INTO nonconformity (id, incident_id, rule, raised_ms) VALUES ('N', 'IN', 'r', 1)"},
		"order":         {"", order("OR"), ""},
		"reported":      {"", obligation("O1", "IN", "guide.immediate", "met", "1"), all(incident("I2", "real", "responding"), obligation("O2", "I2", "guide.immediate", "owed", "1"))},
		"filed":         {"", obligation("O1", "IN", "guide.periodic", "met", "0"), all(incident("I2", "real", "responding"), obligation("O2", "I2", "guide.periodic", "owed", "0"))},
		"told":          {"", message("M1", "incident", "platform", "sent"), message("M2", "incident", "authority", "refused")},
		"retrospective": {"", retro, incident("I2", "real", "closed")},
		"action":        {"", all(retro, action("A1", "IN", "done", "1")), all(incident("I2", "real", "closed"), action("A2", "I2", "open", "1"))},
		"checkpoint":    {"", all("INSERT INTO record_entries (idx, leaf, at_ms, action, object_kind, object_id, actor, scope) VALUES (0, 'l', 7, 'a', 'o', 'i', 'x', '')", "INSERT INTO record_checkpoints (epoch, size, note) VALUES (1, 1, 'n')"), ""},
	}
	words := func() map[string]says {
		_, w, err := read()
		if err != nil {
			t.Fatal(err)
		}
		return w
	}()
	const years = 2*yearMs + 1
	for name := range queries {
		if name == "taxonomy" || name == "category" { // true of the binary, not of the instance
			continue
		}
		c, ok := cases[name]
		if !ok {
			t.Errorf("the query %s has no case here", name)
			continue
		}
		if c.evidence == "" {
			c.evidence = name
		}
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			if f := h.look(c.evidence, h.now); f.ok {
				t.Errorf("it found something where there is nothing: %+v", f)
			}
			h.exec(c.proof)
			f := h.look(c.evidence, h.now)
			if !f.ok || f.lacking != 0 || f.atMs == 0 || (f.kind == "") != (f.id == "") {
				t.Errorf("it does not find its proof: %+v", f)
			}
			if old := h.look(c.evidence, h.now+years); old.ok != slices.Contains(ageless, name) {
				t.Errorf("after two years: %+v", old)
			}
			if (c.lacking == "") != (words[name].Lacking.ZH == "") && name != "roles" {
				t.Errorf("it says something it never finds, or finds something it cannot say")
			}
			if c.lacking != "" {
				h.exec(c.lacking)
				if f := h.look(c.evidence, h.now); !f.ok || f.lacking == 0 {
					t.Errorf("it does not see what stands against it: %+v", f)
				}
			}
			if name != "drill" && name != "stage" && f.kind == "incident" {
				h.exec("UPDATE incident SET restricted = TRUE WHERE id = 'IN'")
				if f := h.look(c.evidence, h.now); f.id == "IN" {
					t.Error("it leads to a restricted incident")
				}
			}
		})
	}
}

func TestWhatIsNotBuiltIsAGapAndALimitKeepsARowFromBeingWhole(t *testing.T) {
	h := newHouse(t)
	h.exec(`INSERT INTO person (id, name, roles, created_ms) VALUES ('p', 'n', '["duty_officer","commander","engineer","compliance","management"]', 5)`)
	b := h.board(h.now)
	at := map[string]Row{}
	n := 0
	for _, r := range b.Rows {
		at[r.Clause] = r
		if r.Status == "" || r.Name.ZH == "" {
			t.Errorf("%s has no status", r.Clause)
		}
		if (r.Status == Gap || r.Status == Partial) && r.Query != children && len(r.Gaps) == 0 {
			t.Errorf("%s is not whole and does not say why", r.Clause)
		}
		if r.Query != children {
			n++
		}
	}
	if sum := b.Totals[Satisfied] + b.Totals[Partial] + b.Totals[Gap] + b.Totals[NotApplicable]; sum != n {
		t.Errorf("the totals %v do not add up to %d rows", b.Totals, n)
	}
	for clause, want := range map[string]Status{"6.1.1 a)": Gap, "6.1.3 a)": Gap, "6.2.2 a) 5)": Gap, "6.4.1 b)": Gap, "6.1.1 h)": Gap, // no drill in twelve months
		"6.1.1 f)": Partial, "4.2.1 a)": Satisfied, "4.2": Satisfied, "6.1.3": Gap, "6": Partial} {
		if at[clause].Status != want {
			t.Errorf("%s is %s, want %s (%+v)", clause, at[clause].Status, want, at[clause].Gaps)
		}
	}
}

func TestTheBoardIsNotForADrillsStandInNorForWhoMayNotReadTheStatus(t *testing.T) {
	h := newHouse(t)
	for name, a := range map[string]store.Actor{"a stand-in": {ID: "x", Roles: []string{"compliance"}, Drill: "D"}, "an expert": {ID: "x", Roles: []string{"expert"}}, "nobody": {}} {
		if _, err := Read(t.Context(), h.st.Read(), a, h.book, h.now); err == nil {
			t.Errorf("%s reads the board", name)
		}
	}
}
