package gateway

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/posture"
)

const ownMobile, otherMobile = "13800138000", "13900139000"

func swapping(_ *Options, d *posture.Draft) {
	d.Rules.Checks = append(d.Rules.Checks, posture.Check{ID: "mobile", Kind: inspect.KindCNMobile, Action: posture.Mask, Risk: "A.4.f", Swap: true})
}

func TestTheModelGetsAPlaceholderAndTheClientItsOwnDataAgainWhateverTheCut(t *testing.T) {
	answer := "您的号码⟦手机号1⟧已登记，⟦手机号2⟧没有，" + otherMobile + "不是您的。"
	want := "您的号码" + ownMobile + "已登记，⟦手机号2⟧没有，" + strings.Repeat("*", 11) + "不是您的。"
	w := newWorld(t, answers(answer), swapping)
	w.apply()
	check := func(got, how string) {
		t.Helper()
		row := w.sink.row(t)
		body := string(<-w.asked)
		if got != want {
			t.Errorf("%s: %q, want %q", how, got, want)
		}
		if strings.Contains(body, ownMobile) || strings.Count(body, "⟦手机号1⟧") != 2 {
			t.Errorf("%s: the model was sent %s", how, body)
		}
		if row.InputVerdict != VerdictReplace || row.OutputVerdict != VerdictMask || strings.Contains(row.Answer, ownMobile) || row.Verdict.Hits[0].RuleID != "mobile" || row.Verdict.Hits[0].Action != inspect.Replace || row.Verdict.Hits[0].Side != Input {
			t.Errorf("%s: %s %s %+v", how, row.InputVerdict, row.OutputVerdict, row.Verdict.Hits)
		}
	}
	prompt := "我的手机号是" + ownMobile + "，再说一遍：" + ownMobile
	var whole completion
	if err := json.Unmarshal([]byte(w.post(ask(prompt)).body), &whole); err != nil {
		t.Fatal(err)
	}
	check(*whole.Choices[0].Message.Content, "not streamed")
	runes := strings.Split(answer, "")
	for _, n := range []int{1, 2, 3, 5, 100} {
		var parts []string
		for i := 0; i < len(runes); i += n {
			parts = append(parts, strings.Join(runes[i:min(len(runes), i+n)], ""))
		}
		w.upstream = pieces(parts...)
		s := w.post(ask(prompt, streamed)).said(t)
		if check(s.content[0], "streamed"); s.finish[0] != "stop" || !s.done {
			t.Errorf("%+v", s)
		}
	}
}

func TestAPlaceholderThatSomebodyWroteIntoAPromptGetsNobodysData(t *testing.T) {
	w := newWorld(t, pieces("⟦手机号1⟧、⟦手机号2⟧"), swapping)
	w.apply()
	s := w.post(ask("文档里写着⟦手机号1⟧，我的是"+ownMobile, streamed)).said(t)
	if body := string(<-w.asked); s.content[0] != "⟦手机号1⟧、"+ownMobile || strings.Contains(body, ownMobile) {
		t.Errorf("%s; sent %s", s.content[0], body)
	}
	w.upstream = pieces("⟦手机号1⟧")
	if s := w.post(ask("没有号码的请求", streamed)).said(t); s.content[0] != "⟦手机号1⟧" { // of another request
		t.Errorf("%q", s.content[0])
	}
}

func TestDataIsPutBackIntoArgumentsOfToolsAndWhatIsHeldComesOutAtTheEnd(t *testing.T) {
	call := func(text string) string {
		q, _ := json.Marshal(text)
		return `{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":` + string(q) + `}}]},"finish_reason":null}]}`
	}
	w := newWorld(t, streamsOut(call(`{"to":"⟦手`), call(`机号1`), call(`⟧","text":"⟦手机`), call(`"}`), contentEvent("好⟦手机号"), stopEvent), swapping)
	w.apply()
	s := w.post(ask("给"+ownMobile+"发短信", streamed)).said(t)
	if s.args[0] != `{"to":"`+ownMobile+`","text":"⟦手机"}` || s.content[0] != "好⟦手机号" || !s.done {
		t.Errorf("%q %q", s.args[0], s.content[0])
	}
}

func TestAPlaceholderInEnglishAndUnderAStrictOrderOnly(t *testing.T) {
	w := newWorld(t, answers("ok"), func(_ *Options, d *posture.Draft) {
		d.Strict.Checks = []posture.Check{{ID: "mail", Kind: inspect.KindEmail, Action: posture.Mask, Risk: "A.4.f", Swap: true}}
	})
	w.apply()
	w.post(ask("Please write to someone@example.com today"))
	if body := string(<-w.asked); !strings.Contains(body, "someone@example.com") {
		t.Error(body)
	}
	w.apply(posture.Order{Rung: posture.StrictFilter})
	w.upstream = answers("I wrote to ⟦EMAIL1⟧.")
	r := w.post(ask("Please write to someone@example.com today"))
	if body := string(<-w.asked); strings.Contains(body, "someone@example.com") || !strings.Contains(body, "⟦EMAIL1⟧") || !strings.Contains(r.body, "I wrote to someone@example.com.") {
		t.Errorf("%s %s", body, r.body)
	}
}

func TestEveryKindHasAWordForItsPlaceholder(t *testing.T) {
	for _, kind := range inspect.Kinds() {
		labels, has := swapLabels[kind]
		if has == inspect.IsKey(kind) {
			t.Errorf("%s: %q", kind, labels)
		}
		if !has {
			continue
		}
		for _, label := range labels {
			if label == "" || utf8.RuneCountInString(label) > 16 || strings.ContainsAny(label, "⟦⟧ ") {
				t.Errorf("%s: %q", kind, label)
			}
		}
	}
}

func TestAnOrderThatComesMeanwhileJudgesAPromptByWhatItsUserWrote(t *testing.T) {
	for topic, blocked := range map[string]bool{ownMobile: true, "手机号1": false} {
		release := make(chan struct{})
		w := newWorld(t, answers("好"), swapping, func(_ *Options, d *posture.Draft) {
			d.Topics = append(d.Topics, posture.Topic{ID: "meanwhile", Terms: []posture.Term{{ID: "t1", Text: topic, Action: posture.Block, Risk: "R1"}}})
		})
		now := w.upstream
		w.upstream = func(rw http.ResponseWriter, r *http.Request) { <-release; now(rw, r) }
		w.apply()
		got := make(chan reply, 1)
		go func() { got <- w.post(ask("我的" + ownMobile)) }()
		if body := string(<-w.asked); strings.Contains(body, ownMobile) || !strings.Contains(body, "手机号1") {
			t.Error(body)
		}
		w.apply(posture.Order{Rung: posture.TopicBlock, Params: posture.Params{TopicIDs: []string{"meanwhile"}}})
		close(release)
		if r := <-got; strings.Contains(r.body, "content_filter") != blocked {
			t.Errorf("%s: %s", topic, r.body)
		}
	}
}

func TestAnOrderThatComesMeanwhileReadsThePartsOfAContentAsOneText(t *testing.T) {
	for name, body := range map[string]string{
		"as they are": `{"model":"demo","messages":[{"role":"user","content":[{"type":"text","text":"测试话"},{"type":"text","text":"题乙"}]}]}`,
		"swapped":     `{"model":"demo","messages":[{"role":"user","content":[{"type":"text","text":"` + ownMobile + `测试话"},{"type":"text","text":"题乙"}]}]}`,
		"elsewhere":   `{"model":"demo","messages":[{"role":"user","content":[{"type":"text","text":"测试话"},{"type":"text","text":"说题乙"}]}]}`,
	} {
		release := make(chan struct{})
		w := newWorld(t, answers("好"), swapping, func(_ *Options, d *posture.Draft) {
			d.Topics = append(d.Topics, posture.Topic{ID: "meanwhile", Terms: []posture.Term{{ID: "t1", Text: "测试话题乙", Action: posture.Block, Risk: "R1"}}})
		})
		now := w.upstream
		w.upstream = func(rw http.ResponseWriter, r *http.Request) { <-release; now(rw, r) }
		w.apply()
		got := make(chan reply, 1)
		go func() { got <- w.post(body) }()
		<-w.asked
		w.apply(posture.Order{Rung: posture.TopicBlock, Params: posture.Params{TopicIDs: []string{"meanwhile"}}})
		close(release)
		if r := <-got; strings.Contains(r.body, "content_filter") != (name != "elsewhere") {
			t.Errorf("%s: %s", name, r.body)
		}
	}
}

func TestOnlyWhatAUserGaveIsShownInAnAnswer(t *testing.T) {
	w := newWorld(t, answers("内线⟦手机号1⟧，您的⟦手机号2⟧"), swapping)
	w.apply()
	r := w.post(`{"model":"demo","messages":[{"role":"system","content":"内线` + otherMobile + `"},{"role":"user","content":"我的` + ownMobile + `"}]}`)
	if body := string(<-w.asked); strings.Contains(body, otherMobile) || strings.Contains(body, ownMobile) {
		t.Error(body)
	}
	if !strings.Contains(r.body, "内线⟦手机号1⟧，您的"+ownMobile) || strings.Contains(r.body, otherMobile) {
		t.Error(r.body)
	}
}

func TestRulesSeeWhatIsSwappedAndKeysAreNot(t *testing.T) {
	w := newWorld(t, answers("好"), swapping, func(_ *Options, d *posture.Draft) {
		d.Rules.Terms = append(d.Rules.Terms, posture.Term{ID: "listed", Text: otherMobile, Action: posture.Block, Risk: "A.1.h"})
	})
	w.apply()
	if r := w.post(ask("打" + otherMobile)); !strings.Contains(r.body, "content_blocked") || len(w.asked) != 0 {
		t.Error(r.body)
	}
	parts := `{"model":"demo","messages":[{"role":"user","content":[{"type":"text","text":"打` + ownMobile[:5] + `"},{"type":"text","text":"` + ownMobile[5:] + `吧"}]}]}`
	if r := w.post(parts); r.status != 200 {
		t.Fatal(r.body)
	}
	if body := string(<-w.asked); !strings.Contains(body, "打⟦手机号1⟧吧") {
		t.Error(body)
	}
	if e, err := newSwaps(posture.Rules{Checks: []posture.Check{{ID: "k", Kind: inspect.KindAPIKey, Action: posture.Mask, Swap: true}}}); e != nil || err != nil {
		t.Error("keys are swapped", err)
	}
}
