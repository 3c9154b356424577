package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/simulate"
)

// textsOf tells what was decided about each text, in the order in which they were looked at.
func textsOf(v inspect.Verdict) (out []string) {
	for _, t := range v.Texts {
		out = append(out, fmt.Sprintf("%s %s %d", t.Place, t.Action, t.Bytes))
	}
	return out
}

// hitsOf tells where which rule hit, in bytes and in characters.
func hitsOf(v inspect.Verdict) (out []string) {
	for _, h := range v.Hits {
		out = append(out, fmt.Sprintf("%s %s %s %d-%d %d-%d", h.Place, h.RuleID, h.Action, h.Start, h.End, h.FirstRune, h.EndRune))
	}
	return out
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// conversation has text in most places where a request can have it.
const conversation = `{"model":"demo","stream":%v,"n":2,"messages":[{"role":"system","content":"你是助手"},` +
	`{"role":"user","content":[{"type":"text","text":"看一下` + watched + `"},{"type":"text","text":"再说"}]},` +
	`{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":\"` + masked + `\"}"}}]},` +
	`{"role":"tool","tool_call_id":"1","content":"好"}]}`

// What the input of conversation comes to. The parts of a content are read one by one and then as one.
var (
	conversationTexts = []string{"input/0/content allow 12", "input/1/content/content[0].text observe 24", "input/1/content/content[1].text allow 6",
		"input/2/tool_id/tool_calls[0].id allow 1", "input/2/tool_name/tool_calls[0].function.name allow 1",
		"input/2/tool_arguments/tool_calls[0].function.arguments mask 23", "input/3/content allow 3", "input/3/tool_id/tool_call_id allow 1", "input/1/content observe 30"}
	conversationHits = []string{"input/1/content/content[0].text observe observe 9-24 3-8",
		"input/2/tool_arguments/tool_calls[0].function.arguments mask mask 6-21 6-11", "input/1/content observe observe 9-24 3-8"}
)

func TestOneVerdictStandsOverAllTextsOfARequestAndItsAnswer(t *testing.T) {
	argument, _ := json.Marshal(`{"b":"` + swapped + `"}`)
	call := `{"index":1,"function":{"name":"g","arguments":` + string(argument) + `}}`
	for _, stream := range []bool{false, true} {
		w := newWorld(t, nil)
		if stream {
			delta := func(choice int, what string) string {
				return fmt.Sprintf(`{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":%d,"delta":{%s},"finish_reason":null}]}`, choice, what)
			}
			stop := strings.Replace(stopEvent, `"index":0`, `"index":1`, 1)
			w.upstream = streamsOut(deltaEvent(0, "reasoning_content", "想"+watched), deltaEvent(0, "content", "答案"), deltaEvent(1, "content", "前测试"), deltaEvent(1, "content", "遮盖词"),
				delta(1, `"tool_calls":[`+call+`]`), stopEvent, stop)
		} else {
			w.upstream = whole(`{"role":"assistant","reasoning_content":"想`+watched+`","content":"答案"}`,
				`{"role":"assistant","content":"前`+masked+`","tool_calls":[{"id":"","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"","type":"function",`+strings.TrimPrefix(call, `{"index":1,`)+`]}`)
		}
		w.apply()
		if r := w.post(fmt.Sprintf(conversation, stream)); r.status != 200 {
			t.Fatal(r.status, r.body)
		}
		row := w.sink.row(t)
		v := row.Verdict
		texts := append(append([]string{}, conversationTexts...), "output/0/reasoning observe 18", "output/0/content allow 6", "output/1/content mask 18")
		read := int64(12 + 24 + 6 + 1 + 1 + 23 + 3 + 1 + 30 + 18 + 6 + 18 + 1 + 23)
		if !stream { // its first tool call
			texts, read = append(texts, "output/1/tool_name/tool_calls[0] allow 1", "output/1/tool_arguments/tool_calls[0] allow 2"), read+3
		}
		texts = append(texts, "output/1/tool_name/tool_calls[1] allow 1", "output/1/tool_arguments/tool_calls[1] replace 23")
		same(t, "texts", textsOf(v), texts...)
		same(t, "hits", hitsOf(v), append(append([]string{}, conversationHits...), "output/0/reasoning observe observe 3-18 1-6", "output/1/content mask mask 3-18 1-6",
			"output/1/tool_arguments/tool_calls[1] replace replace 6-21 6-11")...)
		if v.Action != inspect.Replace || row.InputVerdict != VerdictMask || row.OutputVerdict != VerdictReplace || v.MoreHits != 0 || v.MoreTexts != 0 {
			t.Errorf("%s over %s and %s", v.Action, row.InputVerdict, row.OutputVerdict)
		}
		if len(v.Risks) != 3 || v.Risks[0].Risk != "R3" || v.Risks[0].Score != 1 || v.Risks[2].Hits != 3 {
			t.Errorf("%+v", v.Risks)
		}
		if v.Rules.Digest != row.PostureDigest || v.Rules.Digest == "" || v.Rules.Revision != w.revision || v.Cost.Bytes != read || v.Cost.Us <= 0 {
			t.Errorf("%+v, %+v, want %d bytes", v.Rules, v.Cost, read)
		}
		if held := v.Held > 0; held != stream { // what is there at once is not held
			t.Errorf("%d held for %s", v.Held, v.Why)
		}
		if js, _ := json.Marshal(v); strings.Contains(string(js), "测试") || strings.Contains(string(js), "助手") {
			t.Errorf("the verdict quotes a text: %s", js)
		}
	}
}

// whole plays an upstream that gives these messages as choices.
func whole(messages ...string) http.HandlerFunc {
	var choices []string
	for i, m := range messages {
		choices = append(choices, fmt.Sprintf(`{"index":%d,"message":%s,"finish_reason":"stop"}`, i, m))
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[%s]}`, strings.Join(choices, ","))
	}
}

func TestAVerdictSaysWhichChoiceOfAStreamWasCut(t *testing.T) {
	w := newWorld(t, streamsOut(deltaEvent(0, "content", "一切"), deltaEvent(1, "content", "前面"+harmful[:6]), deltaEvent(0, "content", "安好"), deltaEvent(1, "content", harmful[6:]), deltaEvent(0, "content", "没有读到")))
	w.apply()
	r := w.post(ask("好", `,"n":2`, streamed)).said(t)
	row := w.sink.row(t)
	same(t, "texts", textsOf(row.Verdict), "input/0/content allow 3", "output/0/content allow 12", "output/1/content block 24")
	same(t, "hits", hitsOf(row.Verdict), "output/1/content block block 6-24 2-8")
	if row.Verdict.Action != inspect.Block || row.OutputVerdict != VerdictBlock || r.finish[1] != "content_filter" || r.content[0] != "一切安好" {
		t.Errorf("%s, %s, %+v", row.Verdict.Action, row.OutputVerdict, r)
	}
	held := row.Verdict.Texts[2]
	if held.Held != 2 || held.Why != inspect.HoldTerm || row.Verdict.Held != 2 || row.Verdict.Texts[1].Held != 0 {
		t.Errorf("held %d for %s, the other choice %d", held.Held, held.Why, row.Verdict.Texts[1].Held)
	}

	w.upstream = streamsOut(deltaEvent(0, "content", "一切"), deltaEvent(1, "content", "也好"), stopEvent, strings.Replace(stopEvent, `"index":0`, `"index":1`, 1))
	w.post(ask("好", `,"n":2`, streamed))
	if row := w.sink.row(t); row.Verdict.Action != inspect.Allow || len(row.Verdict.Hits)+len(row.Verdict.Risks) != 0 || len(row.Verdict.Texts) != 3 || row.Verdict.Held != 0 {
		t.Errorf("an answer in which nothing is: %+v", row.Verdict)
	}
}

func TestAVerdictIsBoundedAndSaysHowMuchMoreThereWas(t *testing.T) {
	w := newWorld(t, answers("好"+masked))
	w.apply()
	turn := `{"role":"user","content":"` + strings.Repeat(watched, 10) + `"},{"role":"assistant","content":"好"},`
	w.post(`{"model":"demo","messages":[` + strings.Repeat(turn, 100) + `{"role":"user","content":"` + masked + `"}]}`)
	row := w.sink.row(t)
	v := row.Verdict
	js, err := json.Marshal(v)
	if err != nil || len(v.Hits) != 256 || v.MoreHits != 1002-256 || len(v.Texts) != 64 || v.MoreTexts != 202-64 || len(js) > 96<<10 {
		t.Errorf("%d hits and %d more, %d texts and %d more, %d bytes, %v", len(v.Hits), v.MoreHits, len(v.Texts), v.MoreTexts, len(js), err)
	}
	same(t, "the hits that count most", hitsOf(inspect.Verdict{Hits: v.Hits[254:]}), "input/200/content mask mask 0-15 0-5", "output/0/content mask mask 3-18 1-6")
	if v.Risks[0].Risk != "R2" || v.Risks[0].Hits != 2 || v.Risks[1].Hits != 1000 {
		t.Errorf("%+v", v.Risks)
	}
}

func TestAVerdictSaysWhatWaitedForTheGuardAndWhatPassedWithoutIt(t *testing.T) {
	_, option := withGuard(t, posture.Block, posture.Open)
	w := newWorld(t, pieces("好"), option)
	w.apply()
	w.post(ask(watched+evil, streamed))
	row := w.sink.row(t)
	if v := row.Verdict; v.Action != inspect.Block || v.Cost.Asked != 1 || v.Cost.WaitUs <= 0 || v.Hits[1].Kind != KindGuard || v.Texts[0].Action != inspect.Block || v.Texts[0].Missed != 0 {
		t.Errorf("%+v", v)
	}
	w.post(ask("好", streamed))
	if v := w.sink.row(t).Verdict; v.Cost.Asked != 0 || v.Cost.WaitUs != 0 {
		t.Errorf("nothing was to be asked: %+v", v.Cost)
	}
	w.draft.Guard.BaseURL = "http://127.0.0.1:1/v1"
	w.apply()
	w.post(ask(watched, streamed))
	row = w.sink.row(t)
	if v := row.Verdict; v.Action != inspect.Observe || v.Texts[0].Missed != 1 || row.InputVerdict != VerdictUninspected {
		t.Errorf("without an answer: %s %+v", row.InputVerdict, v)
	}
}

// What waits for the guard is read once more when an order tightens the rules; the verdict is about the last reading.
func TestAVerdictDoesNotCountTwiceWhatIsReadAgainUnderAnOrder(t *testing.T) {
	m, option := withGuard(t, posture.Block, posture.Closed)
	for name, c := range map[string]struct {
		upstream http.HandlerFunc
		body     string
		texts    []string
	}{
		"a prompt":  {answers("好"), ask(watched), []string{"input/0/content observe 15", "output/0/content allow 3"}},
		"an answer": {answers(watched), ask("好"), []string{"input/0/content allow 3", "output/0/content observe 15"}},
		"a stream":  {pieces(watched), ask("好", streamed), []string{"input/0/content allow 3", "output/0/content observe 15"}},
	} {
		w := newWorld(t, c.upstream, option)
		w.apply()
		opinions(t, m, simulate.Fault{Name: simulate.FaultSlow, DelayMS: 300})
		got := asking(w, m, c.body)
		w.apply(posture.Order{Rung: posture.StrictFilter})
		<-got
		row := w.sink.row(t)
		same(t, name, textsOf(row.Verdict), c.texts...)
		if v := row.Verdict; len(v.Hits) != 1 || v.Risks[0].Hits != 1 || v.Rules.Revision != 2 || len(row.OrderIDs) != 1 || v.Cost.Asked != 1 || v.Cost.WaitUs < 100_000 {
			t.Errorf("%s: %+v under %v", name, v, row.OrderIDs)
		}
	}
}
