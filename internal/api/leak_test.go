package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/api"
	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// canary begins every text that people wrote about the secret incident; each place has its own.
const canary = "CANARY"

var canaries = regexp.MustCompile(canary + `[a-z-]+`)

// secret is what hangs on one restricted incident: ids, and the texts planted in it.
type secret struct {
	ids       []string // in paths
	anomaly   string   // of the complaint
	complaint string
	directive string
}

// plant writes a canary wherever people write about an incident, by the API where texts are sealed.
func (b *bench) plant(t testing.TB, doc document, ops []api.Op) secret {
	t.Helper()
	b.world(t)
	var s secret
	var c struct {
		ID        string `json:"id"`
		AnomalyID string `json:"anomaly_id"`
	}
	b.must(t, b.call(t, "", "POST", "/complaints", `{"service_id":"`+b.svc+`","text":"`+canary+`complaint","contact":"`+canary+`contact"}`), &c)
	s.complaint, s.anomaly = c.ID, c.AnomalyID
	b.must(t, b.call(t, "duty_officer", "POST", "/complaints/"+c.ID+"/read", ""), nil)
	var operator string
	if err := b.app.House.Store.Read().NewRaw("SELECT operator_id FROM service WHERE id = ?", b.svc).Scan(t.Context(), &operator); err != nil {
		t.Fatal(err)
	}
	var d struct {
		ID string `json:"id"`
	}
	b.must(t, b.call(t, "compliance", "POST", "/directives", `{"operator_id":"`+operator+`","incident_id":"RWinc","authority":"`+canary+`authority","text":"`+canary+`directive"}`), &d)
	s.directive = d.ID
	for id, role := range map[string]string{"check-fact": "duty_officer", "draft-statement": "commander", "add-fix": "engineer", "add-spread": "duty_officer", "assess-impact": "commander"} {
		k := slices.IndexFunc(ops, func(o api.Op) bool { return o.ID == id })
		body := strings.ReplaceAll(b.body(t, ops[k], doc), `"x"`, `"`+canary+id+`"`)
		b.must(t, b.call(t, role, "POST", b.path(ops[k]), body), nil)
	}
	b.exec(t,
		`UPDATE incident SET title = 'CANARYtitle', number = 'CANARYnumber' WHERE id = 'RWinc'`,
		`UPDATE anomaly SET state = 'promoted', incident_id = 'RWinc', number = 'CANARYanomaly' WHERE id = 'RWanomaly'`,
		`UPDATE anomaly SET state = 'merged', merged_into = 'RWanomaly' WHERE id = '`+c.AnomalyID+`'`,
		`UPDATE disposal_order SET ended_reason = 'CANARYorder', cause = 'anomaly', cause_id = 'RWanomaly' WHERE id = 'RWorder'`,
		`UPDATE gate_review SET ground = 'CANARYgate' WHERE id = 'RWgate'`,
		`UPDATE awareness SET ref = 'CANARYawareness' WHERE id = 'RWaware'`,
		`UPDATE second_signature SET reason = 'CANARYsecond' WHERE id = 'RWsecond'`,
		`UPDATE service_test SET run_by = 'CANARYtest' WHERE id = 'RWtest'`,
		`UPDATE task SET title = '{"zh":"CANARYtask","en":"CANARYtask"}', output = 'CANARYoutput' WHERE id = 'RWtask'`,
		`UPDATE closing SET summary = 'CANARYclosing' WHERE id = 'RWclosing'`,
		`UPDATE nonconformity SET reason = 'CANARYnonconformity' WHERE id = 'RWnon'`,
		`UPDATE retrospective SET root_cause = 'CANARYcause', went_badly = 'CANARYbadly' WHERE id = 'RWretro'`,
		`UPDATE improvement_action SET title = 'CANARYaction' WHERE id = 'RWaction'`,
		`UPDATE evidence SET content_no = 'CANARYevidence' WHERE id = 'RWevidence'`,
		`UPDATE lexicon_entry SET source = 'incident:RWinc' WHERE id = 'RWlex'`,
		`INSERT INTO outbox (id, idem_key, channel, class, recipient, lang, incident_kind, object_kind, object_id, template, args, state, queued_ms, next_ms)
			VALUES ('RWmessage', 'RWmessage', 'desk', 'staff', 'x', 'zh', 'real', 'incident', 'RWinc', 'incident.declared', '[{"name":"number","id":"CANARYmessage"}]', 'pending', 9000000000000, 9000000000000)`,
		`INSERT INTO due (id, kind, object_kind, object_id, incident_kind, due_ms, next_ms, state, set_ms) VALUES ('RWdue', 'task', 'task', 'RWtask', 'real', 9000000000000, 9000000000000, 'pending', 1)`,
		`UPDATE obligation SET state = 'owed', due_ms = 1 WHERE id = 'RWobligation'`)
	s.ids = []string{"RWinc", "RWaware", "RWaware2", "RWsecond", "RWobligation", "RWstatement", "RWtest", "RWtask", "RWspread", "RWclosing", "RWnon", "RWorder", "RWgate", "RWanomaly",
		"RWevidence", "RWretro", "RWaction", "RWmessage", s.complaint, s.anomaly, s.directive}
	return s
}

// recorded appends entries about all that hangs on the secret, for the stream to tell, and gives where they begin.
func (b *bench) recorded(t testing.TB, s secret) (from int) {
	t.Helper()
	from = b.count(t, "SELECT COUNT(*) FROM record_entries")
	for kind, id := range map[string]string{"awareness": "RWaware", "statement": "RWstatement", "service_test": "RWtest", "outside_spread": "RWspread", "closing": "RWclosing", "nonconformity": "RWnon"} {
		b.note(t, kind, "incident:RWinc", id)
	}
	for kind, id := range map[string]string{"incident": "RWinc", "obligation": "RWobligation", "order": "RWorder", "gate_review": "RWgate", "anomaly": "RWanomaly", "evidence": "RWevidence", "action": "RWaction", "complaint": s.complaint, "directive": s.directive} {
		b.note(t, kind, "", id)
	}
	return from
}

// parameters are the places of an operation's path and query, from the document that clients read.
type parameters struct {
	Paths map[string]map[string]struct {
		Parameters []struct {
			Name, In string
			Schema   struct {
				Type any
				Enum []any
			}
		}
	}
}

// doors lists every way to read: each GET of the document with each secret id in its path, each search for
// a canary, and each filter by a secret id.
func doors(p parameters, s secret) []string {
	out := []string{}
	for path, methods := range p.Paths {
		get, ok := methods["get"]
		if !ok {
			continue
		}
		at := []string{strings.TrimPrefix(path, "/api/v1")}
		queries := []string{""}
		for _, q := range get.Parameters {
			values := s.ids
			for _, v := range q.Schema.Enum {
				if len(values) == len(s.ids) {
					values = nil
				}
				values = append(values, fmt.Sprint(v))
			}
			switch {
			case q.In == "path":
				var next []string
				for _, a := range at {
					for _, v := range values {
						next = append(next, strings.ReplaceAll(a, "{"+q.Name+"}", v))
					}
				}
				at = next
			case q.In == "query" && q.Name == "q":
				queries = append(queries, "?q="+canary, "?q=RWinc", "?q="+canary+"title")
			case q.In == "query" && strings.HasSuffix(q.Name, "_id"):
				for _, v := range s.ids {
					queries = append(queries, "?"+q.Name+"="+url.QueryEscape(v))
				}
			case q.In == "query" && q.Name == "scope":
				queries = append(queries, "?scope=incident:RWinc", "?scope=anomaly:RWanomaly", "?scope=subject:"+s.complaint)
			case q.In == "query" && q.Name == "limit":
				queries = append(queries, "?limit=200")
			}
		}
		for _, a := range at {
			if strings.Contains(a, "{") {
				continue
			}
			for _, q := range queries {
				out = append(out, a+q)
			}
		}
	}
	slices.Sort(out)
	return out
}

// told is what an answer tells of the secret.
func (s secret) told(body, asked string) (out []string) {
	out = append(out, canaries.FindAllString(strings.ReplaceAll(body, asked, ""), -1)...)
	for _, id := range s.ids {
		if strings.Contains(body, id) && !strings.Contains(asked, id) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// moving are the parts of an answer that differ between two calls by nothing but time.
var moving = regexp.MustCompile(`\d{13}|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|"(size|next_index|late[a-z_]*|age[a-z_]*|lag[a-z_]*)":[0-9.e+-]+`)

// described is the API as it describes itself, with every role that is no administrator's, and a second drill.
func (b *bench) described(t *testing.T) (ops []api.Op, doc document, params parameters, every []string) {
	t.Helper()
	ops, err := api.Operations()
	if err != nil {
		t.Fatal(err)
	}
	raw := b.call(t, "", "GET", "/openapi.json", "")
	b.must(t, raw, &doc)
	if err := json.Unmarshal([]byte(raw.body), &params); err != nil {
		t.Fatal(err)
	}
	b.exec(t, `INSERT INTO drill (id, number, scenario, state, started_by, started_ms) VALUES ('01DRILLY', 'D-DR-Y', 'A.1', 'running', 'x', 1)`)
	return ops, doc, params, slices.DeleteFunc(identity.Roles(), func(r string) bool { return strings.HasSuffix(r, "_admin") })
}

// Role × action × resource, by the API as it is described: nothing of a restricted incident, of what hangs
// on it and of what people wrote in it, and no count that it would change, for anybody who is not on its
// list. The controls: while it is open, and for who is on the list, the same doors show it.
func TestNothingOfARestrictedIncidentLeaksToAnyRoleByAnyDoor(t *testing.T) {
	b := newBench(t)
	ops, doc, params, every := b.described(t)
	var err error
	b.write(t, func(tx *store.Tx) error {
		for name, who := range map[string]struct {
			roles []string
			drill string
		}{"every office": {every, ""}, "other seat": {every, "01DRILLY"}} {
			p, err := identity.AddPerson(t.Context(), tx, name, who.roles, who.drill)
			if err != nil {
				return err
			}
			b.person[name] = p.ID
			if b.tokens[name], _, err = identity.IssueToken(t.Context(), tx, p.ID, "", 0); err != nil {
				return err
			}
		}
		return nil
	})
	// An administrator who holds every office besides: the most that one person can be and not be on the list.
	admins := slices.DeleteFunc(identity.Roles(), func(r string) bool { return !strings.HasSuffix(r, "_admin") })
	for _, role := range admins {
		name := role + " with every office"
		if b.person[name], b.tokens[name], err = b.app.AddPerson(t.Context(), name, append(slices.Clone(every), role)...); err != nil {
			t.Fatal(err)
		}
	}
	outside := append(identity.Roles(), "every office", "seat", "other seat", "")
	for _, role := range admins {
		outside = append(outside, role+" with every office")
	}
	var inside []string
	for _, role := range append(identity.Roles(), "every office") {
		roles := []string{role}
		if role == "every office" {
			roles = every
		}
		name := "inside " + role
		if b.person[name], b.tokens[name], err = b.app.AddPerson(t.Context(), name, roles...); err != nil {
			t.Fatal(err)
		}
		inside = append(inside, name)
	}

	deeds, overheard := 500, 100 // at least
	if testing.Short() {         // the whole suite lets each role try by itself
		outside, inside = []string{"every office", "seat", "", admins[0], admins[0] + " with every office"}, []string{"inside every office"}
		deeds, overheard = 150, 30
	}

	// What the lists, counts and overviews say before there is anything to hide. The record grows by what is
	// done here; a search for what is hidden is held to find nothing below.
	still := slices.DeleteFunc(doors(params, secret{}), func(d string) bool {
		return strings.HasPrefix(d, "/record") || strings.HasPrefix(d, "/exports/record") || strings.HasPrefix(d, "/persons") || strings.HasPrefix(d, "/complaint-status") || strings.HasPrefix(d, "/login") || strings.Contains(d, "?")
	})
	before := map[string]string{}
	count := func(into map[string]string) {
		for _, role := range outside {
			for _, d := range still {
				a := b.call(t, role, "GET", d, "")
				into[d+" as "+role] = fmt.Sprint(a.status) + moving.ReplaceAllString(a.body, "~")
			}
		}
	}
	// A moment after the start the gateway reports and the record is signed, which the board of compliance counts.
	for b.count(t, "SELECT COUNT(*) FROM gateway WHERE effective") == 0 || b.count(t, "SELECT COUNT(*) FROM record_checkpoints") == 0 {
		time.Sleep(20 * time.Millisecond)
	}
	count(before)
	s := b.plant(t, doc, ops)
	// A drill and an entry of the lexicon are nobody's secret; leave the world as it was but for the secret.
	b.exec(t, `DELETE FROM drill WHERE id = 'RWdrill'`, `DELETE FROM lexicon_entry WHERE id = 'RWlex'`, `DELETE FROM second_signature WHERE id = 'RWerase'`)
	for _, name := range inside {
		b.exec(t, `INSERT INTO incident_access (incident_id, person_id, granted_by, granted_ms) VALUES ('RWinc', '`+b.person[name]+`', 'x', 1)`)
	}

	ways := doors(params, s)
	combinations := 0
	look := func(roles []string) (seen map[string]bool, where map[string][]string) {
		seen, where = map[string]bool{}, map[string][]string{}
		for _, role := range roles {
			for _, d := range ways {
				if role == "" && strings.Contains(d, "_id=") {
					continue // nobody is refused whatever they filter by
				}
				combinations++
				_, asked, _ := strings.Cut(d, "?q=")
				if asked == "" {
					asked = d
				}
				a := b.call(t, role, "GET", d, "")
				if a.status >= 500 {
					t.Errorf("%s as %s: %d %s", d, role, a.status, a.body)
				}
				for _, what := range s.told(a.body, asked) {
					seen[what] = true
					where[d+" as "+role] = append(where[d+" as "+role], what)
				}
			}
		}
		return seen, where
	}
	open, openAt := look([]string{"every office", "compliance", "security_admin"})
	if len(open) < 35 || len(openAt) < 60 {
		t.Errorf("an open incident shows %d things at %d doors: the search is blind (%v)", len(open), len(openAt), slices.Sorted(maps.Keys(open)))
	}
	// The stream is a door that the document does not list. Who may hear of incidents hears of this one as long
	// as nothing keeps them from it, so that their silence afterwards is the wall's.
	stream := func(when string, roles []string, shows bool) (told int) {
		t.Helper()
		from := b.recorded(t, s)
		for _, role := range roles {
			if role == "" {
				if a := b.call(t, "", "GET", "/events?after=0", ""); a.status != 401 {
					t.Errorf("the stream as nobody: %d", a.status)
				}
				continue
			}
			a := b.actor(t, role)
			hears := shows && a.Drill == "" && flow.Hears(a, "incident")
			what := s.told(b.streamed(t, role, fmt.Sprintf("?after=%d", from), func() { b.note(t, "task", "incident:RWinc", "RWtask") }), "")
			told += len(what)
			if was, comes := slices.Contains(what, "RWinc"), slices.Contains(what, "RWtask"); was != hears || comes != hears || !shows && len(what) > 0 {
				t.Errorf("%s: the stream tells %s of %v, and may tell of the incident: %v", when, role, what, hears)
			}
		}
		return told
	}
	openTold := stream("open", outside, true)
	if openTold < overheard {
		t.Errorf("the stream tells of an open incident %d times only", openTold)
	}
	b.exec(t, "UPDATE incident SET restricted = TRUE")
	insideTold := stream("restricted, on the list", inside, true)
	stream("restricted, not on the list", outside, false)
	listed, _ := look([]string{"inside every office"})
	for what := range open {
		if !listed[what] && what != b.person["every office"] {
			t.Errorf("who is on the list does not see %s", what)
		}
	}
	_, leaks := look(outside)
	for where, what := range leaks {
		t.Errorf("%s shows %v", where, what)
	}
	for _, admin := range admins {
		for _, role := range []string{admin, admin + " with every office"} {
			if !slices.Contains(outside, role) {
				continue
			}
			t.Run("an administrator does not see a restricted incident: "+role, func(t *testing.T) {
				if a := b.call(t, role, "GET", "/incidents/RWinc", ""); a.status != 404 && (role != admin || a.status != 403) {
					t.Errorf("%d %s", a.status, cut(a.body))
				}
				for where, what := range leaks {
					if strings.HasSuffix(where, " as "+role) {
						t.Errorf("%s shows %v", where, what)
					}
				}
			})
		}
	}
	after := map[string]string{}
	count(after)
	for where := range before {
		if before[where] != after[where] {
			t.Errorf("%s tells that there is something:\n  before %s\n  after  %s", where, cut(before[where]), cut(after[where]))
		}
	}

	// Doing: refused in the words of what never was, or for want of a right; nothing changes.
	done := func() int {
		return b.count(t, "SELECT COUNT(*) FROM record_entries WHERE actor IN (SELECT id FROM person)") + b.count(t, "SELECT COUNT(*) FROM second_signature") + b.count(t, "SELECT COALESCE(SUM(version), 0) FROM incident")
	}
	tried := 0
	for _, o := range ops {
		if o.Method != http.MethodPost {
			continue
		}
		path, body := b.path(o), b.body(t, o, doc)
		path = strings.NewReplacer("/complaints/nothing", "/complaints/"+s.complaint, "/directives/nothing", "/directives/"+s.directive).Replace(path)
		if !slices.ContainsFunc(s.ids, func(id string) bool { return strings.Contains(path+body, id) }) {
			continue
		}
		for _, role := range outside {
			tried++
			had := done()
			a := b.call(t, role, "POST", path, body)
			if a.status != 404 && (a.status != 403 || a.Key != "identity.not_allowed" && a.Key != "identity.other_drill") && (a.status != 401 || role != "") {
				never := strings.NewReplacer("RW", "XX", s.complaint, "nothing", s.directive, "nothing", s.anomaly, "nothing")
				if gone := b.call(t, role, "POST", never.Replace(path), never.Replace(body)); a.status < 400 || gone.status != a.status || gone.body != a.body {
					t.Errorf("POST %s as %s: %d %s, and of what never was: %d %s", path, role, a.status, cut(a.body), gone.status, cut(gone.body))
				}
			}
			if what := s.told(a.body, path+body); len(what) > 0 {
				t.Errorf("POST %s tells %s of %v", path, role, what)
			}
			if done() != had {
				t.Errorf("POST %s as %s left something behind", path, role)
			}
		}
	}
	// Taken away, the wall is missed at once: the same streams tell again.
	b.exec(t, "UPDATE incident SET restricted = FALSE")
	if again := stream("open again", outside, true); again < openTold {
		t.Errorf("without the wall the streams tell %d things, before it %d", again, openTold)
	}
	t.Logf("the stream: %d things told while open, %d to the list while restricted", openTold, insideTold)
	t.Logf("%d reads (%d doors) and %d deeds as %d persons, %d kinds of things to find, %d counts compared", combinations, len(ways), tried, len(outside)+len(inside), len(open), len(before))
	if tried < deeds {
		t.Errorf("only %d deeds were tried", tried)
	}
}

// actor is a person of the bench as the policies see them.
func (b *bench) actor(t testing.TB, role string) store.Actor {
	t.Helper()
	var p struct{ Roles, DrillID string }
	if err := b.app.House.Store.Read().NewRaw("SELECT roles, drill_id FROM person WHERE id = ?", b.person[role]).Scan(t.Context(), &p); err != nil {
		t.Fatal(err)
	}
	a := store.Actor{ID: b.person[role], Drill: p.DrillID}
	if err := json.Unmarshal([]byte(p.Roles), &a.Roles); err != nil {
		t.Fatal(err)
	}
	return a
}

// streamed is what the stream of changes tells an actor of what was and, while meanwhile is done, of what comes. It is read up to a mark that this actor may hear: silence is never for want of time.
func (b *bench) streamed(t testing.TB, role, query string, meanwhile func()) string {
	t.Helper()
	a := b.actor(t, role)
	e, _ := b.tune(t, b.app.URL(), role, query)
	defer e.stop()
	if hello, ok := e.next(t); !ok || hello.name != "hello" {
		t.Fatalf("%s: the stream begins with %+v", role, hello)
	}
	meanwhile()
	kinds := []string{"order", "lexicon", "person", "service", "signer", "incident", "complaint", "setting"}
	k := slices.IndexFunc(kinds, func(kind string) bool { return flow.Hears(a, kind) })
	if k < 0 {
		t.Fatalf("%s hears of nothing that can be a mark", role)
	}
	mark := fmt.Sprintf("MARK-%d", b.count(t, "SELECT COUNT(*) FROM record_entries"))
	by := store.System("test")
	by.Drill = a.Drill // a seat hears of what its own drill does
	if err := b.app.House.Store.Write(t.Context(), by, func(tx *store.Tx) error {
		tx.Record(store.Entry{Action: "test.note", ObjectKind: kinds[k], ObjectID: mark})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(e.until(t, mark))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func cut(s string) string { return s[:min(len(s), 400)] }

// Nothing of a drill reaches who sits in another drill, and all of it who sits in this one. The control: given
// to the other drill, the same doors show it there.
func TestNothingOfADrillLeaksToAnotherDrillByAnyDoor(t *testing.T) {
	b := newBench(t)
	ops, doc, params, every := b.described(t)
	var err error
	if b.person["every office"], b.tokens["every office"], err = b.app.AddPerson(t.Context(), "every office", every...); err != nil {
		t.Fatal(err)
	}
	b.sit(t, "this drill", every...)
	b.sit(t, "other drill", every...)
	b.exec(t, "UPDATE person SET drill_id = '01DRILLY' WHERE name = 'other drill'")
	s := b.plant(t, doc, ops)
	belongs := func(drill string) {
		for _, table := range []string{"incident", "anomaly", "disposal_order", "service", "second_signature"} {
			b.exec(t, "UPDATE "+table+" SET drill_id = '"+drill+"'")
		}
		for _, table := range []string{"incident", "anomaly", "disposal_order", "service", "gate_review", "evidence"} {
			b.exec(t, "UPDATE "+table+" SET kind = 'drill'")
		}
		b.exec(t, "UPDATE outbox SET incident_kind = 'drill' WHERE id = 'RWmessage'", "UPDATE drill SET incident_id = '' WHERE id = 'RWdrill'", "UPDATE drill SET incident_id = 'RWinc' WHERE id = '"+drill+"'")
	}
	belongs("01DRILLX")
	ways := doors(params, s)
	from := b.recorded(t, s)
	look := func(role string) (seen map[string]bool) {
		seen = map[string]bool{}
		for _, d := range ways {
			_, asked, _ := strings.Cut(d, "?q=")
			if asked == "" {
				asked = d
			}
			a := b.call(t, role, "GET", d, "")
			if a.status >= 500 {
				t.Errorf("%s as %s: %d %s", d, role, a.status, a.body)
			}
			for _, what := range s.told(a.body, asked) {
				seen[what+" at "+d] = true
			}
		}
		for _, what := range s.told(b.streamed(t, role, fmt.Sprintf("?after=%d", from), func() { b.note(t, "task", "incident:RWinc", "RWtask") }), "") {
			seen[what+" by the stream"] = true
		}
		return seen
	}
	things := func(seen map[string]bool) map[string]bool {
		out := map[string]bool{}
		for where := range seen {
			what, _, _ := strings.Cut(where, " ")
			out[what] = true
		}
		return out
	}
	office, own := look("every office"), look("this drill")
	t.Logf("%d doors: a real person sees %d things, a seat of the drill %d", len(ways), len(things(office)), len(things(own)))
	if len(things(office)) < 35 || len(things(own)) < 20 || !own["RWinc by the stream"] || !own["RWtask by the stream"] {
		t.Errorf("a real person sees %d things of the drill, a seat of it %d: the search is blind", len(things(office)), len(things(own)))
	}
	for where := range look("other drill") {
		t.Errorf("a seat of another drill is shown %s", where)
	}
	belongs("01DRILLY")
	theirs := things(look("other drill"))
	for what := range things(own) {
		if !theirs[what] {
			t.Errorf("the control: given to the other drill, it is not shown %s there", what)
		}
	}
}
