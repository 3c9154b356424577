package simulate

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a model behind a real server; its answers are read over TCP.
func serve(t testing.TB, opts Options) (*Model, *httptest.Server) {
	t.Helper()
	m := NewModel(opts)
	srv := httptest.NewServer(m)
	t.Cleanup(func() {
		m.Stop()
		srv.Client().CloseIdleConnections()
		srv.Close()
	})
	return m, srv
}

func send(t testing.TB, srv *httptest.Server, method, path, key, body string) (*http.Response, []byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, b, err
}

func chatBody(prompt string, extra string) string {
	p, _ := json.Marshal(prompt)
	return `{"model":"m","messages":[{"role":"user","content":` + string(p) + `}]` + extra + `}`
}

type wireChoice struct {
	Index   int
	Message struct {
		Role, Content, Refusal string
		Reasoning              string `json:"reasoning_content"`
		ToolCalls              []wireTool
	}
	Delta struct {
		Role, Content, Refusal string
		Reasoning              string     `json:"reasoning_content"`
		ToolCalls              []wireTool `json:"tool_calls"`
	}
	FinishReason *string `json:"finish_reason"`
	Logprobs     *struct{ Content []struct{ Token string } }
}

type wireTool struct {
	ID       string
	Function struct{ Name, Arguments string }
}

type wireChat struct {
	ID, Object, Model string
	Created           int64
	Fingerprint       string `json:"system_fingerprint"`
	Choices           []wireChoice
	Usage             *struct {
		Prompt int `json:"prompt_tokens"`
		Done   int `json:"completion_tokens"`
		Total  int `json:"total_tokens"`
	}
}

func ask(t testing.TB, srv *httptest.Server, prompt, extra string) wireChat {
	t.Helper()
	resp, b, err := send(t, srv, "POST", "/v1/chat/completions", "", chatBody(prompt, extra))
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("asking: %v %v %s", resp, err, b)
	}
	var out wireChat
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatalf("answer is no JSON: %v", err)
	}
	return out
}

// streamed reads a stream strictly as server-sent events and fails on any line that is none.
func streamed(t testing.TB, srv *httptest.Server, prompt, extra string) []wireChat {
	t.Helper()
	resp, b, err := send(t, srv, "POST", "/v1/chat/completions", "", chatBody(prompt, `,"stream":true`+extra))
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("asking: %v %v", resp, err)
	}
	if ct := resp.Header.Get("Content-Type"); !strings.HasPrefix(ct, "text/event-stream") {
		t.Fatalf("content type %q", ct)
	}
	var out []wireChat
	done := false
	sc := bufio.NewScanner(bytes.NewReader(b))
	for sc.Scan() {
		line := sc.Text()
		switch {
		case line == "":
		case done:
			t.Fatalf("line after [DONE]: %q", line)
		case line == "data: [DONE]":
			done = true
		case strings.HasPrefix(line, "data: "):
			var c wireChat
			if err := json.Unmarshal([]byte(line[6:]), &c); err != nil {
				t.Fatalf("event is no JSON: %v: %q", err, line)
			}
			out = append(out, c)
		default:
			t.Fatalf("not an event: %q", line)
		}
	}
	if !done {
		t.Fatal("the stream ended without [DONE]")
	}
	return out
}

func joined(events []wireChat, choice int) string {
	var b strings.Builder
	for _, e := range events {
		for _, c := range e.Choices {
			if c.Index == choice {
				b.WriteString(c.Delta.Content)
			}
		}
	}
	return b.String()
}

func TestTheSamePromptAlwaysGetsTheSameAnswerInItsLanguage(t *testing.T) {
	_, srv := serve(t, Options{})
	for _, tc := range []struct{ prompt, want string }{
		{"今天天气怎么样？", ""}, {"What is the weather like?", ""}, {"随便聊聊", ""}, {"hello there", ""},
		{"12 × 7 等于多少？", "84"}, {"what is 9 / 6?", "3/2"}, {"7除以0", "没有答案"},
	} {
		a := ask(t, srv, tc.prompt, "").Choices[0].Message.Content
		b := ask(t, srv, tc.prompt, "").Choices[0].Message.Content
		if a == "" || a != b {
			t.Errorf("%s: %q then %q", tc.prompt, a, b)
		}
		if !strings.Contains(a, tc.want) {
			t.Errorf("%s: answer %q lacks %q", tc.prompt, a, tc.want)
		}
		if isHan(a) != isHan(tc.prompt) {
			t.Errorf("%s: answered in the other language: %q", tc.prompt, a)
		}
	}
}

func TestAStreamSaysExactlyWhatTheWholeAnswerSaysHoweverItIsCut(t *testing.T) {
	m, srv := serve(t, Options{})
	for _, runes := range []int{ChunkAsTokens, ChunkWhole, 1, 2, 3, 7} {
		m.SetChunkRunes(runes)
		for _, prompt := range []string{"番茄怎么做菜", "show me some python code", "写一段 golang 代码"} {
			whole := ask(t, srv, prompt, `,"n":3`)
			events := streamed(t, srv, prompt, `,"n":3,"stream_options":{"include_usage":true}`)
			for i := range 3 {
				if got, want := joined(events, i), whole.Choices[i].Message.Content; got != want {
					t.Errorf("chunk %d, choice %d: %q, want %q", runes, i, got, want)
				}
			}
			for _, e := range events {
				for _, c := range e.Choices {
					if n := utf8.RuneCountInString(c.Delta.Content); runes > 0 && n > runes {
						t.Errorf("an event of %d runes under a limit of %d", n, runes)
					}
				}
			}
			last := events[len(events)-1]
			if len(last.Choices) != 0 || last.Usage == nil || *last.Usage != *whole.Usage {
				t.Errorf("usage %+v, want that of the whole answer %+v", last.Usage, whole.Usage)
			}
			if whole.Usage.Total != whole.Usage.Prompt+whole.Usage.Done || whole.Usage.Done == 0 {
				t.Errorf("usage does not add up: %+v", whole.Usage)
			}
		}
	}
}

func TestAStreamBeginsWithTheRoleAndEveryChoiceFinishesOnce(t *testing.T) {
	_, srv := serve(t, Options{})
	events := streamed(t, srv, "旅行怎么安排", `,"n":2`)
	finishes := map[int]int{}
	for i, e := range events {
		if e.ID != events[0].ID || e.Object != "chat.completion.chunk" || e.Fingerprint == "" || e.Model != "m" {
			t.Errorf("event %d has another head: %+v", i, e)
		}
		if e.Usage != nil {
			t.Error("usage was given without being asked for")
		}
		for _, c := range e.Choices {
			if i < 2 && c.Delta.Role != "assistant" {
				t.Errorf("event %d does not give the role", i)
			}
			if c.FinishReason != nil {
				finishes[c.Index]++
				if *c.FinishReason != "stop" {
					t.Errorf("finish %q", *c.FinishReason)
				}
			}
		}
	}
	if finishes[0] != 1 || finishes[1] != 1 {
		t.Errorf("finishes %v", finishes)
	}
}

func TestCuttingIsAPartition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		runes := rapid.IntRange(-1, 9).Draw(t, "runes")
		pieces := cut(text, runes)
		if got := strings.Join(pieces, ""); got != text {
			t.Fatalf("%q, want %q", got, text)
		}
		for _, p := range pieces {
			if p == "" || !utf8.ValidString(p) || (runes > 0 && utf8.RuneCountInString(p) > runes) {
				t.Fatalf("piece %q under %d runes", p, runes)
			}
		}
	})
}

func TestOnlyTheConfiguredKeyIsLetIn(t *testing.T) {
	_, srv := serve(t, Options{APIKey: "sk-up"})
	for _, tc := range []struct {
		key  string
		want int
	}{{"", 401}, {"sk-client", 401}, {"sk-upx", 401}, {"sk-up", 200}} {
		for _, path := range []string{"/v1/models", "/v1/chat/completions"} {
			method := map[string]string{"/v1/models": "GET"}[path]
			if method == "" {
				method = "POST"
			}
			resp, _, err := send(t, srv, method, path, tc.key, chatBody("hi", ""))
			if err != nil || resp.StatusCode != tc.want {
				t.Errorf("key %q on %s: %v %v, want %d", tc.key, path, resp.StatusCode, err, tc.want)
			}
		}
	}
}

func TestBadRequestsAreRefusedInOpenAIsShape(t *testing.T) {
	_, srv := serve(t, Options{})
	for name, tc := range map[string]struct {
		method, path, body string
		status             int
	}{
		"no JSON":          {"POST", "/v1/chat/completions", `{"messages":`, 400},
		"broken UTF-8":     {"POST", "/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}", 400},
		"no message":       {"POST", "/v1/chat/completions", `{"messages":[]}`, 400},
		"n too large":      {"POST", "/v1/chat/completions", chatBody("hi", `,"n":1000`), 400},
		"no tokens":        {"POST", "/v1/chat/completions", chatBody("hi", `,"max_tokens":0`), 400},
		"another endpoint": {"POST", "/v1/embeddings", `{}`, 404},
	} {
		resp, b, err := send(t, srv, tc.method, tc.path, "", tc.body)
		var doc struct {
			Error struct{ Message, Type, Code string }
		}
		if err != nil || json.Unmarshal(b, &doc) != nil || resp.StatusCode != tc.status || doc.Error.Code == "" || doc.Error.Message == "" {
			t.Errorf("%s: %v %s", name, err, b)
		}
	}
}

func TestLimitsStopsAndLogprobsAreHonoured(t *testing.T) {
	_, srv := serve(t, Options{})
	full := ask(t, srv, "今天天气怎么样？", "").Choices[0].Message.Content
	short := ask(t, srv, "今天天气怎么样？", `,"max_tokens":4`).Choices[0]
	if *short.FinishReason != "length" || !strings.HasPrefix(full, short.Message.Content) || len(tokens(full)) <= 4 {
		t.Errorf("max_tokens: %q %s", short.Message.Content, *short.FinishReason)
	}
	stopped := ask(t, srv, "今天天气怎么样？", `,"stop":["，"]`).Choices[0].Message.Content
	if stopped == full || strings.Contains(stopped, "，") {
		t.Errorf("stop: %q", stopped)
	}
	lp := ask(t, srv, "今天天气怎么样？", `,"logprobs":true`).Choices[0]
	var b strings.Builder
	for _, e := range lp.Logprobs.Content {
		b.WriteString(e.Token)
	}
	if b.String() != lp.Message.Content {
		t.Errorf("the tokens of logprobs give %q", b.String())
	}
}

func TestAToolIsCalledWhenDemandedOrNamed(t *testing.T) {
	_, srv := serve(t, Options{})
	tools := `,"tools":[{"type":"function","function":{"name":"look_up"}}]`
	call := func(prompt, extra string) (string, string, string) {
		var name, args, finish string
		for _, e := range streamed(t, srv, prompt, tools+extra) {
			for _, c := range e.Choices {
				for _, tc := range c.Delta.ToolCalls {
					name += tc.Function.Name
					args += tc.Function.Arguments
				}
				if c.FinishReason != nil {
					finish = *c.FinishReason
				}
			}
		}
		return name, args, finish
	}
	if name, args, finish := call("请用 look_up 查一查", ""); name != "look_up" || finish != "tool_calls" || !json.Valid([]byte(args)) || !strings.Contains(args, "查一查") {
		t.Errorf("named in the prompt: %q %q %q", name, args, finish)
	}
	if name, _, _ := call("查一查", `,"tool_choice":"required"`); name != "look_up" {
		t.Errorf("required: %q", name)
	}
	if name, _, _ := call("查一查", `,"tool_choice":{"type":"function","function":{"name":"other"}}`); name != "other" {
		t.Errorf("named in the request: %q", name)
	}
	if name, _, finish := call("请用 look_up 查一查", `,"tool_choice":"none"`); name != "" || finish != "stop" {
		t.Errorf("none: %q %q", name, finish)
	}
	if name, _, _ := call("查一查", ""); name != "" {
		t.Errorf("nothing asked for it: %q", name)
	}
}

func TestTheModelKeepsWhatItSawOnlyWhenAskedTo(t *testing.T) {
	m, srv := serve(t, Options{Record: true})
	if _, _, err := send(t, srv, "POST", "/v1/chat/completions", "k1", chatBody("hi", "")); err != nil {
		t.Fatal(err)
	}
	calls := m.Calls()
	if len(calls) != 1 || calls[0].Header.Get("Authorization") != "Bearer k1" || string(calls[0].Body) != chatBody("hi", "") {
		t.Fatalf("calls %+v", calls)
	}
	m.ForgetCalls()
	if len(m.Calls()) != 0 {
		t.Error("calls were not forgotten")
	}
	quiet, srv2 := serve(t, Options{})
	if _, _, err := send(t, srv2, "POST", "/v1/chat/completions", "k1", chatBody("hi", "")); err != nil {
		t.Fatal(err)
	}
	if len(quiet.Calls()) != 0 {
		t.Error("a call was kept unasked")
	}
}

func TestACallerThatLeavesIsSeenAsCancelled(t *testing.T) {
	m, srv := serve(t, Options{Record: true, ChunkDelay: 5 * time.Millisecond, Faults: []Fault{
		{Name: FaultScripted, Text: strings.Repeat("很长的回答。", 2000)},
	}})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", srv.URL+"/v1/chat/completions", strings.NewReader(chatBody("hi", `,"stream":true`)))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	cancel()
	deadline := time.Now().Add(5 * time.Second)
	for !m.Calls()[0].Ended {
		if time.Now().After(deadline) {
			t.Fatal("the answer went on after its caller had left")
		}
		time.Sleep(2 * time.Millisecond)
	}
	if c := m.Calls()[0]; !c.Cancelled || c.Events == 0 || c.Events > 1000 {
		t.Errorf("cancelled %v after %d events", c.Cancelled, c.Events)
	}
}
