package app

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/api"
	"github.com/fengsui/fengsui/internal/platform/login"
	"github.com/fengsui/fengsui/internal/platform/store"
)

func (a *App) get(t *testing.T, path, token string, want int) string {
	t.Helper()
	return page200(t, want, func() (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", a.URL()+path, nil)
		if err != nil {
			return nil, err
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		return http.DefaultClient.Do(req)
	})
}

func TestAnIncidentIsPrintedForWhoMayReadItAndEachPrintIsOnRecord(t *testing.T) {
	a := running(t)
	id := oneService(t, a)
	person, token, err := a.AddPerson(t.Context(), tagged("指挥甲"), "commander")
	if err != nil {
		t.Fatal(err)
	}
	_, admin, err := a.AddPerson(t.Context(), "系统甲", "system_admin")
	if err != nil {
		t.Fatal(err)
	}
	a.run(t, fmt.Sprintf(`INSERT INTO incident (id, number, kind, operator_id, service_id, title, state, editions, declared_by, declared_ms) SELECT 'I', 'IN-PRINT', 'drill', operator_id, id, '%s', 'responding', '[]', 'x', 1700000000000 FROM service WHERE id = '%s'`, tagged("标题甲"), id),
		fmt.Sprintf(anOfflineOrder, "O", 901, "real", id, "service_offline", "", "in_force"),
		fmt.Sprintf(`INSERT INTO obligation (id, incident_id, operator_id, rule_id, authority, edition, state, clock_start_ms, due_ms, receipt) SELECT 'B', 'I', operator_id, 'cac.summary', '%s', 'e', 'owed', 1, 1700000000000, '%s' FROM service`, tagged("机关甲"), tagged("回执甲")),
		`INSERT INTO obligation (id, incident_id, operator_id, rule_id, authority, edition, state, clock_start_ms, due_ms, receipt) SELECT 'B2', 'I', operator_id, 'cac.first', 'provincial_cac', 'e', 'owed', 2, 1700000000000, '' FROM service`,
		fmt.Sprintf(`INSERT INTO evidence (id, incident_id, anomaly_id, kind, content_no, day, sha256, pinned_by, pinned_ms) VALUES ('E', 'I', '', 'real', '%s', '2026-01-01', 'abc123hash', 'x', 1)`, tagged("C-1")))
	// Everything that people did, with text that must not become markup.
	a.run(t, `INSERT INTO person (id, name, roles, created_ms) VALUES ('P2', '复核乙', '[]', 1), ('P3', '旁观丙', '[]', 1), ('P4', '未动丁', '[]', 1)`,
		fmt.Sprintf(`INSERT INTO statement (id, incident_id, audience, text, drafted_by, drafted_ms, approved_by, approved_ms) VALUES ('S', 'I', 'public', '%s', 'P2', 1, '', 0)`, tagged("口径甲")),
		fmt.Sprintf(`INSERT INTO fix (id, incident_id, cause, measure, deployment_id, fixed_by, fixed_ms) VALUES ('F', 'I', '%s', '措施甲', '', 'P2', 1)`, tagged("原因甲")),
		fmt.Sprintf(`INSERT INTO closing (id, incident_id, state, summary, applied_by, applied_ms) VALUES ('C', 'I', 'applied', '%s', 'P2', 1)`, tagged("小结甲")),
		fmt.Sprintf(`INSERT INTO second_signature (id, action, object_kind, object_id, incident_id, request, reason, state, requested_by, requested_ms) VALUES ('2', 'incident.restrict', 'incident', 'I', 'I', '{}', '%s', 'requested', 'P2', 1)`, tagged("理由甲")),
		`INSERT INTO incident_access (incident_id, person_id, granted_by, granted_ms) VALUES ('I', 'P3', 'P2', 1)`,
		`INSERT INTO assessment (id, incident_id, object_id, stage, source, facts, importance, business_loss, social_harm, working_level, grading, edition, assessed_by, reason, at_ms) SELECT 'A', 'I', id, 'preliminary', 'self', '{}', 'general', 'small', 'small', 4, '{"clause":"6.3.9","cell":"8/x/y"}', 'tc260-x', 'P2', '', 1 FROM affected_object`)
	prints := func() (n int) {
		if err := a.House.Store.Read().NewRaw("SELECT COUNT(*) FROM record_entries WHERE action = 'incident.print'").Scan(t.Context(), &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for lang, words := range map[string][]string{"zh": {"事件档案 IN-PRINT", "【演练】", "打印于", "处置指令", "触达范围", "服务下线"}, "en": {"provincial cyberspace administration", "Dossier of incident IN-PRINT", "【drill】", "printed by", "Orders", "Reach", "service offline"}} {
		before := prints()
		body := a.get(t, "/incidents/I/print?lang="+lang, token, 200)
		noMarkup(t, body)
		for _, w := range append(words, "2023-11-15 06:13:20", "abc123hash", "&lt;script&gt;口径甲", "&lt;script&gt;原因甲", "&lt;script&gt;小结甲", "&lt;script&gt;理由甲", "<td>复核乙</td>", "tc260-x · 6.3.9 · 8/x/y", "&lt;script&gt;标题甲", "&lt;script&gt;回执甲", "&lt;script&gt;指挥甲") {
			if !strings.Contains(body, w) {
				t.Errorf("%s: %q is missing", lang, w)
			}
		}
		for _, w := range []string{"旁观丙", "未动丁"} { // let in, or not even that: neither acted
			if strings.Contains(body, w) {
				t.Errorf("%s is among those who acted", w)
			}
		}
		if strings.Contains(body, "provincial_cac") || strings.Contains(body, "incident.print") {
			t.Error("a code is printed instead of its words")
		}
		if prints() != before+1 {
			t.Error("a print is not on record")
		}
	}
	// What the reader may not see is no nothing.
	_, engineer, err := a.AddPerson(t.Context(), "修复甲", "engineer")
	if err != nil {
		t.Fatal(err)
	}
	for who, want := range map[string]int{token: 0, engineer: 3} {
		if got := strings.Count(a.get(t, "/incidents/I/print", who, 200), "不在打印人的权限内"); got != want {
			t.Errorf("%d parts are said to be hidden instead of %d", got, want)
		}
	}
	// The browser of somebody who is logged in sends no token but the session's cookie.
	var session string
	if err := a.House.Store.Write(t.Context(), store.System("test"), func(tx *store.Tx) (err error) {
		session, _, err = a.House.Login.Begin(t.Context(), tx, person, "password", login.From{})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for cookie, want := range map[string]int{session: 200, session + "x": 401} {
		page200(t, want, func() (*http.Response, error) {
			req, err := http.NewRequestWithContext(t.Context(), "GET", a.URL()+"/incidents/I/print", nil)
			if err != nil {
				return nil, err
			}
			req.AddCookie(&http.Cookie{Name: api.SessionCookie, Value: cookie})
			return http.DefaultClient.Do(req)
		})
	}
	// Who may not read it learns nothing, and leaves no entry.
	before := prints()
	a.get(t, "/incidents/I/print", "", 401)
	a.get(t, "/incidents/I/print", "fst-nonsense", 401)
	a.get(t, "/incidents/nothing/print", token, 404)
	a.get(t, "/incidents/I/print", admin, 403)
	a.run(t, "UPDATE incident SET restricted = TRUE")
	if body := a.get(t, "/incidents/I/print", token, 404); strings.Contains(body, "IN-PRINT") {
		t.Error(body)
	}
	if prints() != before {
		t.Error("a refusal is on record as a print")
	}
}
