package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/prepare/lexicon"
	"github.com/fengsui/fengsui/internal/service"
)

// apart interrupts a term in a question, whatever may stand between its characters.
const apart = "Q0Q"

// echo is a model that says what it is asked to, uncut.
func (b *bench) echo(t *testing.T) (ask func(text string) string) {
	t.Helper()
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Messages []struct{ Content string } }
		_ = json.NewDecoder(r.Body).Decode(&in)
		// The question itself hits nothing: what it asks for is interrupted.
		said, _ := json.Marshal(strings.ReplaceAll(in.Messages[0].Content, apart, ""))
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":%s},"finish_reason":"stop"}]}`, said)
	}))
	t.Cleanup(model.Close)
	b.exec(t, `UPDATE deployment SET upstream_url = '`+model.URL+`/v1'`)
	var key string
	b.write(t, func(tx *store.Tx) (err error) {
		_, key, err = service.IssueKey(t.Context(), tx, service.GatewayKey{ServiceID: b.svc, Tenant: "t", UserGroup: "g", TrafficKind: "test"})
		return err
	})
	return func(text string) string {
		t.Helper()
		body, _ := json.Marshal(map[string]any{"model": "m", "messages": []map[string]string{{"role": "user", "content": text}}})
		req, err := http.NewRequestWithContext(t.Context(), "POST", b.app.GatewayURL()+"/v1/chat/completions", strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		var a struct {
			Choices []struct{ Message struct{ Content string } }
		}
		if json.Unmarshal(raw, &a) != nil || len(a.Choices) != 1 {
			return string(raw)
		}
		return a.Choices[0].Message.Content
	}
}

// says asks until the answer is what is wanted: what was published reaches the gateway in a moment.
func says(t *testing.T, ask func(string) string, question, want string) {
	t.Helper()
	got := ""
	for range 200 {
		if got = ask(question); got == want {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Errorf("%s: the answer is %q, not %q", question, got, want)
}

func TestALiveAnswerIsMatchedAsTheEntrySays(t *testing.T) {
	b := newBench(t)
	ask := b.echo(t)
	b.must(t, b.call(t, "duty_officer", "POST", "/lexicon", `{"entries":[
		{"term":"badword","action":"mask","risk":"A.2.e","matching":{"word":true}},
		{"term":"evilword","action":"mask","risk":"A.2.e","matching":{"word":false}},
		{"term":"测试违禁","action":"mask","risk":"A.2.e"},
		{"term":"样例禁语","action":"mask","risk":"A.2.e","matching":{"sound":false}},
		{"term":"严格比较","action":"mask","risk":"A.2.e","matching":{"fold":"strict"}},
		{"term":"间隔用词","action":"mask","risk":"A.2.e","matching":{"gap":1,"sound":false}},
		{"term":"末尾标记","action":"mask","risk":"A.2.e"}]}`), nil)
	says(t, ask, "末"+apart+"尾标记", "****")
	for _, c := range []struct{ name, question, want string }{
		{"a word in another one", "xbad" + apart + "words", "xbadwords"},
		{"a word by itself", "a bad" + apart + "word.", "a *******."},
		{"a word in another one, where that counts", "xevil" + apart + "words", "x********s"},
		{"what sounds alike, as delivered", "侧试" + apart + "违禁", "****"},
		{"what sounds alike, not wanted", "漾例" + apart + "禁语", "漾例禁语"},
		{"the term itself, sound not wanted", "样例" + apart + "禁语", "****"},
		{"a sign inside, strict", "严-格" + apart + "比较", "严-格比较"},
		{"the term itself, strict", "严格" + apart + "比较", "****"},
		{"a sign inside, as delivered", "测-试" + apart + "违禁", "*****"},
		{"a sign inside, one allowed", "间-隔" + apart + "用词", "*****"},
		{"two signs inside, one allowed", "间--隔" + apart + "用词", "间--隔用词"},
	} {
		if got := ask(c.question); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	var rows []lexicon.Entry
	b.must(t, b.call(t, "duty_officer", "GET", "/lexicon?state=live", ""), &rows)
	shown := map[string]string{}
	for _, r := range rows {
		shown[r.Term] = r.Matching.String()
	}
	if shown["间隔用词"] != "gap=1|sound=off" || shown["badword"] != "word" || shown["测试违禁"] != "" {
		t.Errorf("the list shows %v", shown)
	}
	if a := b.call(t, "duty_officer", "GET", "/exports/lexicon", "", "Accept-Language", "en"); !strings.Contains(a.body, "gap=1|sound=off") || !strings.Contains(a.body, "matching") {
		t.Error("the export does not say how entries are matched")
	}
}

func TestAMatchingThatATermDoesNotAllowIsRefusedWithItsField(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct{ entry, field, key string }{
		{`"term":"测试","matching":{"sound":true}`, "entries[0].matching.sound", "lexicon.matching_sound"},
		{`"term":"测试a","matching":{"spell":true}`, "entries[0].matching.spell", "lexicon.matching_spell"},
		{`"term":"测试违","matching":{"fold":"strict","sound":true}`, "entries[0].matching.sound", "lexicon.matching_strict"},
		{`"term":"测试违","matching":{"fold":"strict","gap":1}`, "entries[0].matching.gap", "lexicon.matching_strict"},
		{`"term":"?!","matching":{"fold":"loose"}`, "entries[0].matching.fold", "lexicon.matching_signs"},
		{`"term":"测试违","contexts":["？"],"matching":{"fold":"loose"}`, "entries[0].contexts", "lexicon.matching_signs"},
	} {
		a := b.call(t, "duty_officer", "POST", "/lexicon", `{"entries":[{"action":"mask","risk":"A.2.e",`+c.entry+`}]}`)
		if a.status != 422 || a.Field != c.field || a.Key != c.key || strings.Contains(a.Detail, "{") {
			t.Errorf("%s: %d %s %s %s", c.entry, a.status, a.Field, a.Key, a.Detail)
		}
	}
	for _, matching := range []string{`{"gap":9}`, `{"gap":-1}`, `{"fold":"wide"}`, `{"colour":true}`, `{"sound":"yes"}`} {
		if a := b.call(t, "duty_officer", "POST", "/lexicon", `{"entries":[{"action":"mask","risk":"A.2.e","term":"测试违禁","matching":`+matching+`}]}`); a.status != 422 || !strings.Contains(a.Field, "matching") {
			t.Errorf("%s: %d %s", matching, a.status, a.body)
		}
	}
	b.must(t, b.call(t, "duty_officer", "POST", "/lexicon", `{"entries":[{"action":"mask","risk":"A.2.e","term":"测试违","matching":{"sound":true,"spell":true,"gap":8}}]}`), nil)
}

func TestHowAnEntryIsMatchedChangesForGoodByASecondPerson(t *testing.T) {
	b := newBench(t)
	ask := b.echo(t)
	var in []lexicon.Entry
	b.must(t, b.call(t, "safety_engineer", "POST", "/lexicon", `{"entries":[{"term":"测试违禁","action":"mask","risk":"A.2.e","secret":true}]}`), &in)
	b.must(t, b.call(t, "commander", "POST", "/lexicon/approve", `{"ids":["`+in[0].ID+`"]}`), nil)
	says(t, ask, "侧试"+apart+"违禁", "****")
	change := "/lexicon/" + in[0].ID + "/matching"
	if a := b.call(t, "safety_engineer", "POST", change, `{"matching":{},"reason":"r"}`); a.Key != "lexicon.matching_same" {
		t.Errorf("the same matching: %d %s", a.status, a.body)
	}
	if a := b.call(t, "safety_engineer", "POST", change, `{"matching":{"gap":1,"fold":"strict"},"reason":"r"}`); a.Field != "matching.gap" {
		t.Errorf("a matching that cannot be: %d %s", a.status, a.body)
	}
	var out lexicon.Changed
	a := b.call(t, "safety_engineer", "POST", change, `{"matching":{"sound":false},"reason":"误报"}`)
	if b.must(t, a, &out); strings.Contains(a.body, "测试违禁") || out.Entry.Matching.String() != "sound=off" {
		t.Errorf("%s", a.body)
	}
	if got := ask("侧试" + apart + "违禁"); got != "****" {
		t.Errorf("one person alone loosened it: %s", got)
	}
	if a := b.call(t, "safety_engineer", "POST", "/second-signatures/"+out.Second.ID+"/decide", `{"approve":true}`); a.Key != "identity.same_person" {
		t.Errorf("the asker decided: %d %s", a.status, a.body)
	}
	b.must(t, b.call(t, "duty_officer", "POST", "/second-signatures/"+out.Second.ID+"/decide", `{"approve":true}`), nil)
	says(t, ask, "侧试"+apart+"违禁", "侧试违禁")
	says(t, ask, "测试"+apart+"违禁", "****")
	if n := b.count(t, "SELECT COUNT(*) FROM lexicon_entry WHERE id = ? AND state = 'live' AND expires_ms = 0 AND approved_by = ?", out.Entry.ID, b.person["duty_officer"]); n != 1 {
		t.Error("what took the place of an approved entry lapses")
	}
	if n := b.count(t, "SELECT COUNT(*) FROM lexicon_entry WHERE id = ? AND state = 'live'", in[0].ID); n != 0 {
		t.Error("the entry is still live")
	}
}

func TestAnEntryThatAnOlderGatewayDoesNotUnderstandIsRefused(t *testing.T) {
	b := newBench(t)
	b.exec(t, `INSERT INTO gateway_join (id, name, hash, issued_by, issued_ms, expires_ms) VALUES ('j', 'edge-old', 'h', 'x', 1, 2)`,
		`INSERT INTO gateway_member (id, url, credential_hash, public_key, version, join_id, joined_ms) VALUES ('edge-old', '', 'h', 'k', 'v0.1.0', 'j', 1)`)
	file, _ := json.Marshal(map[string]string{"format": "tsv", "text": "term\taction\trisk\ttopic\tcontexts\tstrict_only\tmatching\n测试违禁\tmask\tA.2.e\t\t\tfalse\tsound=off\n"})
	entry := `{"entries":[{"term":"测试违禁","action":"mask","risk":"A.2.e"%s}]}`
	for path, body := range map[string]string{"/lexicon": fmt.Sprintf(entry, `,"matching":{"sound":false}`), "/lexicon/import": string(file)} {
		if a := b.call(t, "safety_engineer", "POST", path, body); a.status != 409 || a.Key != "containment.not_understood" || a.Field != "matching" || !strings.Contains(a.Detail, "edge-old") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	b.must(t, b.call(t, "safety_engineer", "POST", "/lexicon", fmt.Sprintf(entry, "")), nil)
	b.exec(t, `UPDATE gateway_member SET revoked_ms = 1`)
	b.must(t, b.call(t, "safety_engineer", "POST", "/lexicon/import", string(file)), nil)
	if n := b.count(t, "SELECT COUNT(*) FROM lexicon_entry WHERE term = '测试违禁' AND state = 'live'"); n != 2 {
		t.Errorf("%d entries of one term in two ways", n)
	}
}
