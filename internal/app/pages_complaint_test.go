package app

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/monitor/intake"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/store"
)

func oneService(t *testing.T, a *App) (id string) {
	t.Helper()
	if err := a.House.Store.Read().NewRaw("SELECT id FROM service").Scan(t.Context(), &id); err != nil {
		t.Fatal(err)
	}
	return id
}

func (a *App) run(t *testing.T, queries ...string) {
	t.Helper()
	if err := a.House.Store.Write(t.Context(), store.System("test"), func(tx *store.Tx) error {
		for _, q := range queries {
			if _, err := tx.Exec(q); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// tagged is markup that would do something if it were not shown as text.
func tagged(s string) string { return `"><img src=x onerror=1><script>` + s + `</script>` }

func noMarkup(t *testing.T, body string) {
	t.Helper()
	if strings.Contains(body, "<img") || strings.Contains(body, "<script") {
		t.Errorf("markup came through: %s", body)
	}
	if strings.Contains(body, "[page.") || strings.Contains(body, "[complaint.") {
		t.Errorf("a key without its sentence: %s", body)
	}
}

// Each kind asks for its own fields, and whatever is refused, all that was typed is in the answer as text.
func TestEachKindOfComplaintAsksForWhatItNeedsAndLosesNothing(t *testing.T) {
	full := map[string]url.Values{
		"complaint":     {"text": {tagged("情况甲")}, "contact": {tagged("联系甲")}, "content": {tagged("C-1")}},
		"report":        {"text": {tagged("情况乙")}, "harm": {"fraud"}, "contact": {tagged("联系乙")}},
		"rights_notice": {"text": {tagged("情况丙")}, "work": {tagged("作品丙")}, "proof": {tagged("登记丙")}, "links": {"https://example.com/" + tagged("丙")}, "contact": {tagged("权利人丙")}, "good_faith": {"1"}},
	}
	required := map[string][]string{"complaint": {"text"}, "report": {"text", "harm"}, "rights_notice": {"text", "work", "proof", "links", "contact", "good_faith"}}
	var a *App
	for _, lang := range []string{"zh", "en"} {
		a = running(t) // a fresh allowance of submissions
		id := oneService(t, a)
		for kind, form := range full {
			form.Set("service", id)
			form.Set("kind", kind)
			form.Set("lang", lang)
			body := page200(t, 200, func() (*http.Response, error) { return http.Get(a.URL() + "/complaint?lang=" + lang + "&kind=" + kind) })
			noMarkup(t, body)
			for _, field := range required[kind] {
				if !strings.Contains(body, `name="`+field+`"`) {
					t.Errorf("%s: the form does not ask for %s", kind, field)
				}
			}
			for _, missing := range required[kind] {
				less := url.Values{}
				for k, v := range form {
					if k != missing {
						less[k] = v
					}
				}
				body := page200(t, 422, func() (*http.Response, error) { return http.PostForm(a.URL()+"/complaint", less) })
				noMarkup(t, body)
				if !strings.Contains(body, `aria-invalid="true"`) || !strings.Contains(body, `role="alert"`) {
					t.Errorf("%s without %s: no input is marked", kind, missing)
				}
				for k, v := range less {
					if k != "service" && k != "lang" && k != "good_faith" && !strings.Contains(body, html.EscapeString(v[0])) && !strings.Contains(html.UnescapeString(body), v[0]) {
						t.Errorf("%s without %s: %s was lost", kind, missing, k)
					}
				}
				if less.Has("good_faith") && !strings.Contains(body, " checked") || less.Has("harm") && !strings.Contains(body, `value="fraud" selected`) {
					t.Errorf("%s without %s: a choice was lost", kind, missing)
				}
			}
			// The control: with everything there it is taken.
			body = page200(t, 200, func() (*http.Response, error) { return http.PostForm(a.URL()+"/complaint", form) })
			if strings.Count(body, "<code>") != 2 {
				t.Errorf("%s: no number and code: %s", kind, body)
			}
		}
	}
	// What is personal is sealed: no column holds it in clear, and who may read it gets it whole.
	var rows []struct{ ID, Kind, Body string }
	if err := a.House.Store.Read().NewRaw("SELECT id, kind, body FROM complaint WHERE kind = 'rights_notice'").Scan(t.Context(), &rows); err != nil || len(rows) != 1 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if strings.Contains(rows[0].Body, "权利人丙") {
		t.Error("the contact is in clear")
	}
	officer := store.Actor{ID: "o", Roles: []string{"duty_officer"}}
	var letter intake.Letter
	if err := a.House.Store.Write(t.Context(), officer, func(tx *store.Tx) (err error) {
		_, letter, err = a.House.Intake.Read(t.Context(), tx, rows[0].ID)
		return err
	}); err != nil || letter.Contact != tagged("权利人丙") || letter.Work != tagged("作品丙") || !letter.GoodFaith || letter.Links == "" || letter.Proof == "" {
		t.Errorf("%+v, %v", letter, err)
	}
}

func TestAFormOfManyBytesIsRefusedWithASentence(t *testing.T) {
	a := running(t)
	form := url.Values{"kind": {"complaint"}, "service": {oneService(t, a)}, "text": {strings.Repeat("长", 4000)}}
	page200(t, 200, func() (*http.Response, error) { return http.PostForm(a.URL()+"/complaint", form) }) // the control: as long as it may be
	form.Set("text", strings.Repeat("长", maxForm))
	if body := page200(t, 422, func() (*http.Response, error) { return http.PostForm(a.URL()+"/complaint", form) }); !strings.Contains(body, "请缩短") {
		t.Errorf("%.300s", body)
	}
}

func TestTheAnswerToAComplaintIsShownAsText(t *testing.T) {
	a := running(t)
	var got intake.Receipt
	officer := store.Actor{ID: "o", Roles: []string{"duty_officer"}}
	if err := a.House.Store.Write(t.Context(), store.System("intake"), func(tx *store.Tx) (err error) {
		got, err = a.House.SubmitComplaint(t.Context(), tx, intake.Submission{Kind: "complaint", ServiceID: oneService(t, a), Text: "情况丁"})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := a.House.Store.Write(t.Context(), officer, func(tx *store.Tx) error {
		if _, _, err := a.House.Intake.Read(t.Context(), tx, got.ID); err != nil {
			return err
		}
		_, err := a.House.Intake.Answer(t.Context(), tx, got.ID, tagged("答复丁"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for lang, word := range map[string]string{"zh": "已答复", "en": "answered"} {
		body := page200(t, 200, func() (*http.Response, error) {
			return http.PostForm(a.URL()+"/complaint/status", url.Values{"number": {got.Number}, "code": {got.Code}, "lang": {lang}})
		})
		noMarkup(t, body)
		if !strings.Contains(body, word) || !strings.Contains(body, "答复丁") {
			t.Errorf("%s: %s", lang, body)
		}
	}
	body := page200(t, 404, func() (*http.Response, error) {
		return http.PostForm(a.URL()+"/complaint/status", url.Values{"number": {tagged("N")}, "code": {"SECRETCODE"}})
	})
	noMarkup(t, body)
	if !strings.Contains(body, "&lt;script&gt;N") || strings.Contains(body, "SECRETCODE") {
		t.Errorf("the number was lost, or the code shown again: %s", body)
	}
}

func TestEveryHarmHasItsWords(t *testing.T) {
	c, err := locale.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range intake.Harms() {
		if !c.Has("complaint.harm." + h) {
			t.Errorf("complaint.harm.%s has no words", h)
		}
	}
}

const anOfflineOrder = `INSERT INTO disposal_order (id, seq, kind, service_id, cause, cause_id, incident_id, rung, measure, scope, params, release_mode, state, issued_by, issued_ms)
	VALUES ('%s', %d, '%s', '%s', 'incident', 'I', 'I', '%s', 'offline', '{"service_id":"%[4]s"%[6]s}', '{}', 'online_review', '%[7]s', 'x', 1700000000000)`

// The notice says that a service is off, since when and what was approved to be said: of the incident nothing.
func TestTheNoticeTellsUsersWhatIsOffAndNothingOfTheIncident(t *testing.T) {
	a := running(t)
	id := oneService(t, a)
	a.run(t, fmt.Sprintf(`INSERT INTO incident (id, number, kind, operator_id, service_id, title, state, restricted, editions, declared_by, declared_ms) SELECT 'I', 'IN-NUMBER', 'real', operator_id, id, '标题保密', 'responding', TRUE, '[]', 'x', 1 FROM service WHERE id = '%s'`, id),
		fmt.Sprintf("UPDATE service SET name = '%s' WHERE id = '%s'", tagged("服务甲"), id),
		fmt.Sprintf(`INSERT INTO statement (id, incident_id, audience, text, drafted_by, drafted_ms, approved_by, approved_ms) VALUES ('S1', 'I', 'public', '%s', 'x', 1, 'y', 2), ('S2', 'I', 'public', '草稿未批', 'x', 3, '', 0), ('S3', 'I', 'authority', '报监管部门', 'x', 4, 'y', 5)`, tagged("公众口径")))
	notice := func(lang string) string {
		body := page200(t, 200, func() (*http.Response, error) { return http.Get(a.URL() + "/notice/" + id + "?lang=" + lang) })
		noMarkup(t, body)
		for _, secret := range []string{"IN-NUMBER", "标题保密", "草稿未批", "报监管部门"} {
			if strings.Contains(body, secret) {
				t.Errorf("%s is shown: %s", secret, body)
			}
		}
		return body
	}
	on := map[string]string{"zh": "未被暂停", "en": "not switched off"}
	for step, q := range []string{"", fmt.Sprintf(anOfflineOrder, "D", 901, "drill", id, "service_offline", "", "in_force"), fmt.Sprintf(anOfflineOrder, "L", 902, "real", id, "service_offline", "", "lifted"), fmt.Sprintf(anOfflineOrder, "F", 903, "real", id, "strict_filter", "", "in_force")} {
		if q != "" {
			a.run(t, q)
		}
		for lang, word := range on {
			if body := notice(lang); !strings.Contains(body, word) || strings.Contains(body, "公众口径") {
				t.Errorf("step %d: %s", step, body)
			}
		}
	}
	a.run(t, fmt.Sprintf(anOfflineOrder, "G", 904, "real", id, "service_offline", `,"group":"g"`, "in_force"))
	if body := notice("en"); !strings.Contains(body, "for some of its users") {
		t.Errorf("for a group: %s", body)
	}
	a.run(t, fmt.Sprintf(anOfflineOrder, "A", 905, "real", id, "service_offline", "", "in_force"))
	for lang, word := range map[string]string{"zh": "本服务已暂停", "en": "This service is switched off<"} {
		if body := notice(lang); !strings.Contains(body, word) || !strings.Contains(body, "2023-11-15 06:13:20") || !strings.Contains(body, "&lt;script&gt;公众口径") || !strings.Contains(body, "/complaint?service="+id) {
			t.Errorf("%s: %s", lang, body)
		}
	}
	a.run(t, "UPDATE service SET kind = 'drill'")
	page200(t, 404, func() (*http.Response, error) { return http.Get(a.URL() + "/notice/" + id) })
	page200(t, 404, func() (*http.Response, error) { return http.Get(a.URL() + "/notice/nothing") })
}
