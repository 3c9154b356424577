package gateway

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

func TestABenignAnswerArrivesAsTheUpstreamGaveIt(t *testing.T) {
	w := newWorld(t, answers("你好，世界"))
	w.apply()
	r := w.post(ask("hello there"))
	if r.status != 200 || r.header.Get(HeaderContentNumber) == "" || r.header.Get(HeaderRequestID) == "" {
		t.Fatalf("%d %v", r.status, r.header)
	}
	var a completion
	if err := json.Unmarshal([]byte(r.body), &a); err != nil {
		t.Fatal(err)
	}
	if *a.Choices[0].Message.Content != "你好，世界" || *a.Choices[0].Finish != "stop" || a.ID != "chatcmpl-1" || a.Model != "upstream-model" || a.SystemFingerprint != "fp_1" || a.Created != 1700000000 {
		t.Fatalf("%s", r.body)
	}
	row := w.sink.row(t)
	if row.InputVerdict != VerdictAllow || row.OutputVerdict != VerdictAllow || row.ReleasedRunes != 5 || row.TokensOut != 5 || row.Finish != "stop" ||
		row.DeploymentID != "d1" || row.Kind != "real" || row.Language != "en" || row.ContentNumber != r.header.Get(HeaderContentNumber) || row.Answer != "你好，世界" || row.Prompt != "hello there" || row.Subject != "" {
		t.Fatalf("%+v", row)
	}
	if n := w.g.Status().Counters; n.Unknown != 1 || n.Requests != 1 {
		t.Fatalf("%+v", n)
	}
}

func TestABenignStreamArrivesAsTheUpstreamGaveIt(t *testing.T) {
	w := newWorld(t, pieces("你好", "，", "世界", " emoji 😀 \n"))
	w.apply()
	r := w.post(ask("hi", streamed))
	s := r.said(t)
	if r.status != 200 || s.content[0] != "你好，世界 emoji 😀 \n" || s.finish[0] != "stop" || !s.done {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if r.events[0] != contentEvent("你好") {
		t.Fatalf("an unchanged event was changed: %s", r.events[0])
	}
	row := w.sink.row(t)
	if row.ReleasedRunes != utf8.RuneCountInString(s.content[0]) || row.Finish != "stop" || row.OutputVerdict != VerdictAllow || row.LastByteUs == 0 || row.FirstByteMs == 0 || !row.Stream {
		t.Fatalf("%+v", row)
	}
	if c := w.g.Status().Counters; c.Events != 6 || c.EventsSlow != 0 {
		t.Fatalf("%+v", c)
	}
}

func TestEveryActionOnEitherSideAndInEitherForm(t *testing.T) {
	for _, c := range []struct {
		name, text, released string
		verdict, finish      string
	}{
		{"allow", "平常的话", "平常的话", VerdictAllow, "stop"},
		{"observe", "看" + watched + "看", "看" + watched + "看", VerdictObserve, "stop"},
		{"mask", "前" + masked + "后", "前*****后", VerdictMask, "stop"},
		{"replace", "前" + swapped + "后", "前〔替换〕后", VerdictReplace, "stop"},
		{"identity number", "号码" + cnID + "。", "号码" + strings.Repeat("*", 18) + "。", VerdictMask, "stop"},
		{"block", "前面" + harmful + "后面", "前面", VerdictBlock, "content_filter"},
	} {
		t.Run(c.name+" in a stream, cut everywhere", func(t *testing.T) {
			var parts []string
			for _, r := range c.text {
				parts = append(parts, string(r))
			}
			w := newWorld(t, pieces(parts...))
			w.apply()
			r := w.post(ask("问", streamed))
			s := r.said(t)
			if s.content[0] != c.released || s.finish[0] != c.finish || !s.done {
				t.Fatalf("%+v\n%s", s, r.body)
			}
			row := w.sink.row(t)
			if row.OutputVerdict != c.verdict || row.ReleasedRunes != utf8.RuneCountInString(c.released) || row.Finish != c.finish || row.Answer != c.text && c.verdict != VerdictBlock {
				t.Fatalf("%+v", row)
			}
			if wantSignals := c.verdict != VerdictAllow; (len(w.sink.signals) > 0) != wantSignals {
				t.Fatalf("signals %+v", w.sink.signals)
			}
		})
		t.Run(c.name+" in one answer", func(t *testing.T) {
			w := newWorld(t, answers(c.text))
			w.apply()
			r := w.post(ask("问"))
			var a completion
			if err := json.Unmarshal([]byte(r.body), &a); err != nil {
				t.Fatal(err)
			}
			want := c.released
			if c.verdict == VerdictBlock {
				want = "该内容无法展示。"
			}
			if *a.Choices[0].Message.Content != want || *a.Choices[0].Finish != c.finish {
				t.Fatalf("%s", r.body)
			}
			row := w.sink.row(t)
			if row.OutputVerdict != c.verdict {
				t.Fatalf("%+v", row)
			}
			if c.verdict == VerdictBlock && (row.ReleasedRunes != 0 || a.Notice == nil || a.Notice.Code != "content_blocked") {
				t.Fatalf("%+v", row)
			}
		})
		t.Run(c.name+" in the request", func(t *testing.T) {
			w := newWorld(t, answers("好"))
			w.apply()
			r := w.post(ask(c.text))
			row := w.sink.row(t)
			if row.InputVerdict != c.verdict {
				t.Fatalf("%+v", row)
			}
			if c.verdict == VerdictBlock {
				var a completion
				if err := json.Unmarshal([]byte(r.body), &a); err != nil || *a.Choices[0].Finish != "content_filter" || *a.Choices[0].Message.Content != "该内容无法展示。" {
					t.Fatalf("%s %v", r.body, err)
				}
				if len(w.asked) != 0 || row.UpstreamStatus != 0 || row.OutputVerdict != VerdictNone {
					t.Fatal("the upstream was asked")
				}
				if len(w.sink.signals) != 1 || w.sink.signals[0].Match.Side != Input || w.sink.signals[0].Prompt != c.text {
					t.Fatalf("%+v", w.sink.signals)
				}
				return
			}
			var sent chatRequest
			if err := json.Unmarshal(<-w.asked, &sent); err != nil || *sent.Messages[0].Content.Text != c.released {
				t.Fatalf("the upstream got %+v", sent.Messages)
			}
		})
	}
}

func TestABlockedRequestForAStreamIsAnsweredAsAStream(t *testing.T) {
	w := newWorld(t, pieces("x"))
	w.apply()
	r := w.post(ask("please "+harmful+" in English if you can, thank you", streamed))
	s := r.said(t)
	if r.status != 200 || s.content[0] != "This content is not shown." || s.finish[0] != "content_filter" || !s.done || len(w.asked) != 0 {
		t.Fatalf("%s", r.body)
	}
}

func TestEveryChannelOfAStreamIsInspected(t *testing.T) {
	tool := func(args string) string {
		q, _ := json.Marshal(args)
		return `{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":` + string(q) + `}}]},"finish_reason":null}]}`
	}
	ascii := `"\u6d4b\u8bd5\u8fdd\u7981\u8bcd\u7532"`
	for name, events := range map[string][]string{
		"content":                      {contentEvent(harmful)},
		"reasoning_content":            {deltaEvent(0, "reasoning_content", harmful)},
		"reasoning":                    {deltaEvent(0, "reasoning", harmful)},
		"refusal":                      {deltaEvent(0, "refusal", harmful)},
		"second choice":                {contentEvent("好"), deltaEvent(1, "content", harmful)},
		"tool arguments":               {tool(`{"q":"`), tool(harmful), tool(`"}`)},
		"tool arguments with escapes":  {tool(`{"q":`), tool(ascii), tool("}")},
		"tool arguments, escapes cut":  {tool(`{"q":"\u6d4b\u8bd5\u8f`), tool(`dd\u7981\u8bcd\`), tool(`u7532"}`)},
		"tool name":                    {`{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"x","type":"function","function":{"name":"` + harmful + `","arguments":""}}]},"finish_reason":null}]}`},
		"tool name over two events":    {`{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"测试违"}}]},"finish_reason":null}]}`, `{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"禁词甲"}}]},"finish_reason":null}]}`},
		"tool id":                      {`{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"` + harmful + `"}]},"finish_reason":null}]}`},
		"old function call":            {`{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"function_call":{"name":"f","arguments":"` + harmful + `"}},"finish_reason":null}]}`},
		"escaped in JSON":              {`{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":` + ascii + `},"finish_reason":null}]}`},
		"name written with escapes":    {`{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"d\u0065lta":{"c\u006fntent":"` + harmful + `"},"finish_reason":null}]}`},
		"data over several lines":      {"{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\ndata: \"choices\":[{\"index\":0,\ndata:\"delta\":{\"content\":\"" + harmful + "\"},\"finish_reason\":null}]}"},
		"with the finish in one event": {`{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"` + harmful + `"},"finish_reason":"stop"}]}`},
		"finish before the delta":      {`{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop","delta":{"content":"` + harmful + `"}}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, streamsOut(append(events, contentEvent("更多"), stopEvent)...))
			w.apply()
			r := w.post(ask("问", streamed))
			s := r.said(t)
			whole := strings.Join(r.events, "")
			if strings.Contains(whole, harmful) || strings.Contains(whole, "违禁") || strings.Contains(whole, `\u8fdd`) || strings.Contains(whole, "更多") {
				t.Fatalf("leaked: %s", whole)
			}
			if s.finish[0] != "content_filter" || !s.done {
				t.Fatalf("%+v %s", s, whole)
			}
			if row := w.sink.row(t); row.OutputVerdict != VerdictBlock || row.Finish != "content_filter" {
				t.Fatalf("%+v", row)
			}
		})
	}
}

func TestFieldsOfAnAnswerThatAreNotKnownAreDropped(t *testing.T) {
	extra := `{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","provider":"` + harmful + `","choices":[{"index":0,"delta":{"content":"好","Content":"` + harmful + `","audio":{"transcript":"` + harmful + `"}},"logprobs":{"content":[{"token":"` + harmful + `"}]},"finish_reason":null,"text":"` + harmful + `"}],"usage":{"prompt_tokens":1,"note":"` + harmful + `"}}`
	w := newWorld(t, streamsOut(extra, stopEvent))
	w.apply()
	r := w.post(ask("问", streamed))
	if s := r.said(t); s.content[0] != "好" || s.finish[0] != "stop" || strings.Contains(r.body, harmful) || strings.Contains(r.body, "logprobs") {
		t.Fatalf("%s", r.body)
	}
	w.upstream = func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write([]byte(`{"id":"` + harmful + `","object":"chat.completion","created":1,"model":"m","x":"` + harmful + `","choices":[{"index":0,"message":{"role":"` + harmful + `","content":"好","annotations":[{"t":"` + harmful + `"}]},"logprobs":{"content":"` + harmful + `"},"finish_reason":"` + harmful + `"}]}`))
	}
	if r := w.post(ask("问")); strings.Contains(r.body, harmful) || !strings.Contains(r.body, "好") {
		t.Fatalf("%s", r.body)
	}
}

func TestHeldTextLeavesBeforeTheFinish(t *testing.T) {
	// The beginning of a masked term is held back; then the answer ends.
	w := newWorld(t, pieces("尾", "测试遮"))
	w.apply()
	r := w.post(ask("问", streamed))
	if s := r.said(t); s.content[0] != "尾测试遮" || s.finish[0] != "stop" || !s.done {
		t.Fatalf("%s", r.body)
	}
	if row := w.sink.row(t); row.ReleasedRunes != 4 {
		t.Fatalf("%+v", row)
	}
	w.upstream = streamsOut(contentEvent("尾"), contentEvent("测试遮")) // no finish, just [DONE]
	if s := w.post(ask("问", streamed)).said(t); s.content[0] != "尾测试遮" || !s.done {
		t.Fatalf("%+v", s)
	}
	// Text after the finish would join what was cleared as complete.
	w.upstream = streamsOut(contentEvent("测试遮"), stopEvent, contentEvent("盖词"))
	if s := w.post(ask("问", streamed)).said(t); s.content[0] != "测试遮" {
		t.Fatalf("%+v", s)
	}
}

func TestEveryChannelOfAWholeAnswerIsInspected(t *testing.T) {
	for name, message := range map[string]string{
		"content":           `"content":"%s"`,
		"refusal":           `"content":null,"refusal":"%s"`,
		"reasoning_content": `"content":"好","reasoning_content":"%s"`,
		"reasoning":         `"content":"好","reasoning":"%s"`,
		"tool name":         `"content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"%s","arguments":"{}"}}]`,
		"tool id":           `"content":null,"tool_calls":[{"id":"%s","type":"function","function":{"name":"f","arguments":"{}"}}]`,
		"tool arguments":    `"content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":\"%s\"}"}}]`,
		"escaped arguments": `"content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"\\u6d4b\\u8bd5\\u8fdd\\u7981\\u8bcd\\u7532"}}]`,
		"function call":     `"content":null,"function_call":{"name":"f","arguments":"%s"}`,
	} {
		body := `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"头一个"},"finish_reason":"stop"},{"index":1,"message":{"role":"assistant",` +
			strings.ReplaceAll(message, "%s", harmful) + `},"finish_reason":"stop"}]}`
		w := newWorld(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(body))
		})
		w.apply()
		r := w.post(ask("问"))
		var a completion
		if err := json.Unmarshal([]byte(r.body), &a); err != nil {
			t.Fatalf("%s: %s", name, r.body)
		}
		second := a.Choices[1]
		if strings.Contains(r.body, harmful) || strings.Contains(r.body, "u8fdd") || *second.Finish != "content_filter" || *second.Message.Content != "该内容无法展示。" || second.Message.ToolCalls != nil || second.Message.ReasoningContent != nil {
			t.Errorf("%s: %s", name, r.body)
		}
		if *a.Choices[0].Message.Content != "头一个" || *a.Choices[0].Finish != "stop" {
			t.Errorf("%s: the benign choice was lost: %s", name, r.body)
		}
		if row := w.sink.row(t); row.OutputVerdict != VerdictBlock || row.ReleasedRunes != 3 {
			t.Errorf("%s: %+v", name, row)
		}
	}
}

func TestAClientThatLeavesBeforeTheAnswerIsNotedAsThat(t *testing.T) {
	asked, gone := make(chan struct{}, 1), make(chan struct{}, 1)
	w := newWorld(t, func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
		gone <- struct{}{}
	})
	w.apply()
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-asked
		leave()
	}()
	if _, err := w.client.Do(w.request(ask("问")).WithContext(ctx)); err == nil {
		t.Fatal("answered")
	}
	<-gone
	if row := w.sink.row(t); row.ErrorCode != "client_left" || row.Status != 499 {
		t.Fatalf("%+v", row)
	}
}
