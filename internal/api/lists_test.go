package api_test

import (
	"encoding/csv"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/api"
	"github.com/fengsui/fengsui/internal/platform/locale"
)

type found struct {
	Items  []map[string]any `json:"items"`
	Total  int              `json:"total"`
	Facets map[string][]struct {
		Value string `json:"value"`
		Count int    `json:"count"`
	} `json:"facets"`
}

func (b *bench) list(t testing.TB, role, path string) (f found) {
	t.Helper()
	a := b.call(t, role, "GET", path, "")
	if err := json.Unmarshal([]byte(a.body), &f); err != nil || a.status != 200 {
		t.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	return f
}

// sheet reads an exported list without its heading.
func (b *bench) sheet(t testing.TB, role, path string, headers ...string) (head []string, rows [][]string) {
	t.Helper()
	a := b.call(t, role, "GET", path, "", headers...)
	text, ok := strings.CutPrefix(a.body, "\ufeff")
	all, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if !ok || err != nil || a.status != 200 || a.header.Get("Content-Type") != "text/csv; charset=utf-8" {
		t.Fatalf("%s: %d %v %s", path, a.status, err, a.body)
	}
	return all[0], all[1:]
}

func TestWhatIsRestrictedIsInNoItemTotalFacetSearchOrExport(t *testing.T) {
	b := newBench(t)
	b.world(t)
	b.exec(t, `UPDATE anomaly SET state = 'promoted', incident_id = 'RWinc' WHERE id = 'RWanomaly'`)
	count := func(role string) map[string]int {
		out := map[string]int{}
		for _, l := range []string{"incidents", "anomalies", "orders", "obligations"} {
			if l != "obligations" {
				f := b.list(t, role, "/"+l)
				out[l+" items"], out[l+" total"] = len(f.Items), f.Total
				for _, c := range f.Facets["kind"] {
					out[l+" facet"] += c.Count
				}
			}
			_, rows := b.sheet(t, role, "/exports/"+l)
			out[l+" rows"] = len(rows)
		}
		for _, q := range []string{"IN-X", "AN-X", "RWorder"} {
			var hits []map[string]any
			if err := json.Unmarshal([]byte(b.call(t, role, "GET", "/search?q="+q, "").body), &hits); err != nil {
				t.Fatal(err)
			}
			out["search "+q] = len(hits)
		}
		return out
	}
	for what, n := range count("auditor") {
		if n != 1 && !(what == "search IN-X" && n == 2) { // the order is found by its incident too
			t.Errorf("open, %s: %d", what, n)
		}
	}
	b.exec(t, "UPDATE incident SET restricted = TRUE")
	for what, n := range count("auditor") {
		if n != 0 {
			t.Errorf("restricted, %s: %d", what, n)
		}
	}
	b.exec(t, `INSERT INTO incident_access (incident_id, person_id, granted_by, granted_ms) VALUES ('RWinc', '`+b.person["auditor"]+`', 'x', 1)`)
	for what, n := range count("auditor") {
		if n == 0 {
			t.Errorf("who is on the list sees nothing of %s", what)
		}
	}
}

func TestAnExportIsOnRecordAndNoCellIsAFormula(t *testing.T) {
	b := newBench(t)
	b.world(t)
	for i, title := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", `he said "no", twice`, "正常标题", "'quoted"} {
		b.exec(t, `INSERT INTO incident (id, number, kind, operator_id, service_id, title, state, editions, declared_by, declared_ms) SELECT 'F`+string(rune('0'+i))+`', 'IN-F`+string(rune('0'+i))+`', 'real', operator_id, id, '`+strings.ReplaceAll(title, "'", "''")+`', 'closed', '[]', 'x', 1767225600000 FROM service`)
	}
	head, rows := b.sheet(t, "commander", "/exports/incidents?state=closed")
	if len(rows) != 9 || head[1] != "标题" {
		t.Fatalf("%v, %d rows", head, len(rows))
	}
	for _, r := range rows {
		if strings.ContainsAny(r[1][:1], "=+-@\t\r\n") {
			t.Errorf("%q is a formula", r[1])
		}
		if !strings.Contains(strings.Join(r, "|"), "2026-01-01 08:00:00|1767225600000") {
			t.Errorf("no Beijing time in %v", r)
		}
	}
	if head, _ = b.sheet(t, "commander", "/exports/incidents?state=closed", "Accept-Language", "en"); head[1] != "title" {
		t.Errorf("in English: %v", head)
	}
	if n := b.count(t, "SELECT COUNT(*) FROM record_entries WHERE action = 'list.export' AND object_id = 'incidents' AND actor = ?", b.person["commander"]); n != 2 {
		t.Errorf("%d exports on record", n)
	}
	for path, status := range map[string]int{"/exports/incidents?state=gone": 422, "/exports/incidents?colour=red": 422, "/exports/secrets": 404} {
		if a := b.call(t, "commander", "GET", path, ""); a.status != status {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	if n := b.count(t, "SELECT COUNT(*) FROM record_entries WHERE action = 'list.export'"); n != 2 {
		t.Errorf("a refused export is on record: %d", n)
	}
	if a := b.call(t, "seat", "GET", "/exports/incidents", ""); a.status != 403 {
		t.Errorf("a drill's seat exports: %d", a.status)
	}
}

func TestAnExportSaysInWordsWhatTheListHasInCodes(t *testing.T) {
	b := newBench(t)
	b.world(t)
	b.exec(t, `INSERT INTO incident (id, number, kind, operator_id, service_id, title, state, editions, declared_by, declared_ms) SELECT 'W', 'IN-W', 'real', operator_id, id, 't', 'closed', '[]', 'x', 1767225600000 FROM service`)
	for lang, want := range map[string][]string{"zh": {"已关闭", "真实", "否"}, "en": {"closed", "real", "no"}} {
		head, rows := b.sheet(t, "commander", "/exports/incidents?state=closed", "Accept-Language", lang)
		at := func(name string) string {
			c, err := locale.Load()
			if err != nil {
				t.Fatal(err)
			}
			return rows[0][slices.Index(head, c.Say(locale.Lang(lang), "column."+name))]
		}
		if got := []string{at("state"), at("kind"), at("restricted")}; !slices.Equal(got, want) {
			t.Errorf("%s: %q", lang, got)
		}
	}
	// What has no words stays as it is, and is still no formula.
	b.exec(t, `UPDATE anomaly SET risk = '=2+2'`)
	if head, rows := b.sheet(t, "commander", "/exports/anomalies"); len(rows) == 0 || !slices.Contains(rows[0], "'=2+2") {
		t.Errorf("%v %v", head, rows)
	}
	// Each list of words that a column names is one of the reference.
	raw, err := os.ReadFile("exports.go")
	if err != nil {
		t.Fatal(err)
	}
	c, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	words := api.NewReference(b.app.House.Book, c).Words
	found := 0
	for _, m := range regexp.MustCompile(`"[a-z_.]+ ([a-z_.]+)"`).FindAllStringSubmatch(string(raw), -1) {
		found++
		if !slices.ContainsFunc(slices.Collect(maps.Keys(words)), func(k string) bool { return strings.HasPrefix(k, m[1]+".") }) {
			t.Errorf("no words %s", m[1])
		}
	}
	if found < 30 {
		t.Errorf("%d columns with words", found)
	}
}

func TestEveryExportHasItsHeadingsAndShowsNoSecretTerm(t *testing.T) {
	b := newBench(t)
	b.world(t)
	b.exec(t, `INSERT INTO lexicon_entry (id, term, action, risk, source, state, created_by, created_ms, secret) VALUES ('RWsecret', '涉密词条', 'observe', 'A.2.e', 'import', 'live', 'x', 1, TRUE)`)
	c, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	for name, role := range map[string]string{"anomalies": "auditor", "incidents": "auditor", "orders": "auditor", "complaints": "commander", "record": "auditor", "messages": "auditor", "obligations": "auditor", "services": "auditor",
		"keys": "auditor", "plans": "auditor", "persons": "security_admin", "drills": "auditor", "gateways": "auditor", "lexicon": "duty_officer"} {
		head, _ := b.sheet(t, role, "/exports/"+name)
		for _, h := range head {
			if h == "" || strings.HasPrefix(h, "column.") || c.Has(h) {
				t.Errorf("%s has a column %q", name, h)
			}
		}
		if a := b.call(t, role, "GET", "/exports/"+name, ""); strings.Contains(a.body, "涉密词条") || strings.Contains(a.body, "hash") {
			t.Errorf("%s tells a secret", name)
		}
	}
	if a := b.call(t, "duty_officer", "GET", "/exports/lexicon", ""); !strings.Contains(a.body, "＊＊＊＊") {
		t.Error("the masked term is not in the export")
	}
}

func TestAJumpIsTakenAsTextWhateverIsTyped(t *testing.T) {
	b := newBench(t)
	b.world(t)
	for q, status := range map[string]int{"IN-X": 200, "%25": 200, "__": 200, "%27%20OR%201=1": 200, "%22": 200, "%00": 422, "": 422, "%20": 422, strings.Repeat("x", 10_000): 422} {
		if a := b.call(t, "auditor", "GET", "/search?q="+q, ""); a.status != status || status == 200 && q != "IN-X" && a.body != "[]\n" {
			t.Errorf("%.20q: %d %.200s", q, a.status, a.body)
		}
	}
}
