package gateway

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/posture"
)

func TestEveryDoorButTwoIsClosedByName(t *testing.T) {
	w := newWorld(t, answers("好"))
	w.apply()
	for _, c := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"POST", "/v1/completions", 404, "endpoint_not_inspected"},
		{"POST", "/v1/embeddings", 404, "endpoint_not_inspected"},
		{"POST", "/v1/responses", 404, "endpoint_not_inspected"},
		{"POST", "/v1/images/generations", 404, "endpoint_not_inspected"},
		{"POST", "/v1/audio/speech", 404, "endpoint_not_inspected"},
		{"POST", "/v1/audio/transcriptions", 404, "endpoint_not_inspected"},
		{"POST", "/v1/files", 404, "endpoint_not_inspected"},
		{"POST", "/v1/assistants", 404, "endpoint_not_inspected"},
		{"POST", "/v1/threads/runs", 404, "endpoint_not_inspected"},
		{"POST", "/v1/batches", 404, "endpoint_not_inspected"},
		{"POST", "/v1/fine_tuning/jobs", 404, "endpoint_not_inspected"},
		{"POST", "/v1/moderations", 404, "endpoint_not_inspected"},
		{"GET", "/v1/realtime", 404, "endpoint_not_inspected"},
		{"POST", "/v1/chat/completions/", 404, "endpoint_not_inspected"},
		{"POST", "/v1/chat/Completions", 404, "endpoint_not_inspected"},
		{"POST", "/v1/chat%2Fcompletions", 404, "endpoint_not_inspected"},
		{"GET", "/v1/chat/completions", 405, "method_not_allowed"},
		{"PUT", "/v1/chat/completions", 405, "method_not_allowed"},
		{"POST", "/v1/models", 405, "method_not_allowed"},
		{"POST", "/", 404, "not_found"},
		{"POST", "/chat/completions", 404, "not_found"},
		{"GET", "/v1/models", 200, ""},
	} {
		req, _ := http.NewRequest(c.method, w.url+c.path, strings.NewReader(ask("hi")))
		as(w, "real")(req)
		req.Header.Set("Content-Type", "application/json")
		r := w.do(req)
		if r.status != c.status || r.code() != c.code {
			t.Errorf("%s %s: %d %s", c.method, c.path, r.status, r.body)
		}
		if c.status == 200 && !strings.Contains(r.body, `"id":"demo"`) {
			t.Errorf("models: %s", r.body)
		}
	}
	if len(w.asked) != 0 {
		t.Fatal("the upstream was asked")
	}
}

func TestAKeyThatIsNotValidOpensNothing(t *testing.T) {
	w := newWorld(t, answers("好"))
	w.disabled["test"] = true
	w.apply()
	for name, auth := range map[string][]string{
		"none":       nil,
		"empty":      {""},
		"unknown":    {"Bearer fsk-" + strings.Repeat("A", 43)},
		"disabled":   {"Bearer " + w.keys["test"]},
		"basic":      {"Basic " + w.keys["real"]},
		"bare":       {w.keys["real"]},
		"two values": {"Bearer " + w.keys["real"], "Bearer " + w.keys["real"]},
	} {
		r := w.post(ask("hi"), func(r *http.Request) { r.Header["Authorization"] = auth })
		if r.status != 401 || r.code() != "invalid_api_key" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	for key, want := range map[string]int{"test": 401, "real": 200} {
		req, _ := http.NewRequest(http.MethodGet, w.url+"/v1/models", nil)
		as(w, key)(req)
		if r := w.do(req); r.status != want {
			t.Errorf("models with %s: %d", key, r.status)
		}
	}
	if len(w.asked) != 0 {
		t.Fatal("the upstream was asked")
	}
	if r := w.post(ask("hi")); r.status != 200 {
		t.Fatalf("control: %s", r.body)
	}
	if h := <-w.headers; h.Get("Authorization") != "Bearer upstream-key-up1" || strings.Contains(fmt.Sprint(h), w.keys["real"]) {
		t.Fatalf("upstream headers: %v", h)
	}
}

func TestBodiesThatCannotBeReadForSureAreRefused(t *testing.T) {
	w := newWorld(t, answers("好"), func(_ *Options, d *posture.Draft) { d.Limits.MaxBodyBytes = 4096; d.Limits.MaxMessages = 3 })
	w.apply()
	var gz bytes.Buffer
	zw := gzip.NewWriter(&gz)
	_, _ = zw.Write([]byte(ask("hi")))
	_ = zw.Close()
	h := harmful
	msg := func(s string) string { return `{"model":"demo","messages":` + s + `}` }
	one := `[{"role":"user","content":"x"}]`
	bad := `[{"role":"user","content":"` + h + `"}]`
	utf16 := "\xff\xfe{\x00}\x00"
	for _, c := range []struct {
		name, body string
		change     func(*http.Request)
		status     int
		code       string
		param      string
	}{
		{"empty", "", nil, 400, "invalid_json", ""},
		{"not JSON", "hello", nil, 400, "invalid_json", ""},
		{"cut", ask("hi")[:20], nil, 400, "invalid_json", "*"},
		{"a list", "[]", nil, 400, "invalid_value", ""},
		{"trailing data", ask("x") + ask("y"), nil, 400, "invalid_json", "*"},
		{"trailing comma", `{"model":"demo","messages":` + one + `,}`, nil, 400, "invalid_json", "*"},
		{"comment", `{/* */"model":"demo","messages":` + one + `}`, nil, 400, "invalid_json", "*"},
		{"single quotes", `{'model':'demo'}`, nil, 400, "invalid_json", "*"},
		{"NaN", `{"model":"demo","temperature":NaN,"messages":` + one + `}`, nil, 400, "invalid_json", "*"},
		{"messages twice", `{"model":"demo","messages":` + bad + `,"messages":` + one + `}`, nil, 400, "duplicate_field", "messages"},
		{"messages and Messages", `{"model":"demo","messages":` + bad + `,"Messages":` + one + `}`, nil, 400, "field_not_inspected", "Messages"},
		{"Messages and messages", `{"model":"demo","Messages":` + bad + `,"messages":` + one + `}`, nil, 400, "field_not_inspected", "Messages"},
		{"MESSAGES alone", `{"model":"demo","MESSAGES":` + bad + `}`, nil, 400, "field_not_inspected", "MESSAGES"},
		{"long s in the name", `{"model":"demo","me\u017fsages":` + bad + `,"messages":` + one + `}`, nil, 400, "field_not_inspected", "*"},
		{"escaped name twice", `{"model":"demo","messages":` + one + `,"\u006dessages":` + bad + `}`, nil, 400, "duplicate_field", "*"},
		{"blank in the name", `{"model":"demo","messages ":` + bad + `,"messages":` + one + `}`, nil, 400, "field_not_inspected", "*"},
		{"null in the name", `{"model":"demo","messages\u0000":` + bad + `,"messages":` + one + `}`, nil, 400, "field_not_inspected", "*"},
		{"content twice", msg(`[{"role":"user","content":"` + h + `","content":"x"}]`), nil, 400, "duplicate_field", "messages[0].content"},
		{"Content and content", msg(`[{"role":"user","Content":"` + h + `","content":"x"}]`), nil, 400, "field_not_inspected", "messages[0].Content"},
		{"role twice", msg(`[{"role":"user","role":"system","content":"x"}]`), nil, 400, "duplicate_field", "messages[0].role"},
		{"text of a part twice", msg(`[{"role":"user","content":[{"type":"text","text":"` + h + `","text":"x"}]}]`), nil, 400, "duplicate_field", "*"},
		{"type of a part twice", msg(`[{"role":"user","content":[{"type":"text","type":"image_url","text":"x"}]}]`), nil, 400, "duplicate_field", "*"},
		{"Text of a part", msg(`[{"role":"user","content":[{"type":"text","Text":"` + h + `","text":"x"}]}]`), nil, 400, "field_not_inspected", "messages[0].content[0].Text"},
		{"duplicate deep in a schema", `{"model":"demo","messages":` + one + `,"tools":[{"type":"function","function":{"name":"f","parameters":{"a":{"b":1,"b":2}}}}]}`, nil, 400, "duplicate_field", "*"},
		{"lone surrogate", msg(`[{"role":"user","content":"a\ud800b"}]`), nil, 400, "invalid_json", "*"},
		{"surrogates swapped", msg(`[{"role":"user","content":"\udc00\ud800"}]`), nil, 400, "invalid_json", "*"},
		{"broken UTF-8", msg("[{\"role\":\"user\",\"content\":\"a\xffb\"}]"), nil, 400, "invalid_encoding", ""},
		{"overlong UTF-8", msg("[{\"role\":\"user\",\"content\":\"\xc0\xaf\"}]"), nil, 400, "invalid_encoding", ""},
		{"byte order mark", "\xef\xbb\xbf" + ask("x"), nil, 400, "invalid_encoding", ""},
		{"UTF-16", utf16, nil, 400, "invalid_encoding", ""},
		{"raw null byte", msg("[{\"role\":\"user\",\"content\":\"a\x00b\"}]"), nil, 400, "invalid_encoding", ""},
		{"null character in a text", msg(`[{"role":"user","content":"测试\u0000违禁词甲"}]`), nil, 400, "invalid_text", "messages[0].content"},
		{"raw line end in a string", msg("[{\"role\":\"user\",\"content\":\"a\nb\"}]"), nil, 400, "invalid_json", "*"},
		{"too deep", `{"model":"demo","messages":` + one + `,"tools":[{"type":"function","function":{"name":"f","parameters":` + strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40) + `}}]}`, nil, 400, "too_deep", ""},
		{"brackets without end", strings.Repeat("[", 4000), nil, 400, "too_deep", ""},
		{"content a number", msg(`[{"role":"user","content":1}]`), nil, 400, "invalid_value", "messages[0].content"},
		{"content an object", msg(`[{"role":"user","content":{"text":"` + h + `"}}]`), nil, 400, "invalid_value", "messages[0].content"},
		{"role unknown", msg(`[{"role":"root","content":"x"}]`), nil, 400, "invalid_value", "messages[0].role"},
		{"no content", msg(`[{"role":"user"}]`), nil, 400, "invalid_value", "messages[0].content"},
		{"no messages", `{"model":"demo","messages":[]}`, nil, 400, "invalid_value", "messages"},
		{"too many messages", msg(`[` + strings.Repeat(`{"role":"user","content":"x"},`, 3) + `{"role":"user","content":"x"}]`), nil, 400, "too_many_messages", "messages"},
		{"model missing", `{"messages":` + one + `}`, nil, 400, "invalid_value", "model"},
		{"model of another", `{"model":"gpt","messages":` + one + `}`, nil, 404, "model_not_found", "model"},
		{"model by other case", `{"model":"Demo","messages":` + one + `}`, nil, 404, "model_not_found", "model"},
		{"too large", ask(strings.Repeat("x", 5000)), nil, 413, "body_too_large", ""},
		{"too large, length unknown", ask(strings.Repeat("x", 5000)), func(r *http.Request) { r.ContentLength = -1 }, 413, "body_too_large", ""},
		{"gzip", gz.String(), header("Content-Encoding", "gzip"), 415, "unsupported_content_encoding", ""},
		{"said to be gzip", ask("x"), header("Content-Encoding", "br"), 415, "unsupported_content_encoding", ""},
		{"form", "model=demo", header("Content-Type", "application/x-www-form-urlencoded"), 415, "unsupported_content_type", ""},
		{"no type", ask("x"), header("Content-Type", ""), 415, "unsupported_content_type", ""},
		{"other charset", ask("x"), header("Content-Type", "application/json; charset=utf-16"), 415, "unsupported_content_type", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := w.post(c.body, func(r *http.Request) {
				if c.change != nil {
					c.change(r)
				}
			})
			if r.status != c.status || r.code() != c.code || c.param != "*" && r.param() != c.param {
				t.Fatalf("%d %s", r.status, r.body)
			}
			if row := w.sink.row(t); row.ErrorCode != c.code || row.Status != c.status {
				t.Fatalf("%+v", row)
			}
		})
	}
	if len(w.asked) != 0 {
		t.Fatal("the upstream was asked")
	}
	if r := w.post(ask("x"), header("Content-Type", "application/json; charset=UTF-8")); r.status != 200 {
		t.Fatalf("control: %s", r.body)
	}
}

func TestFieldsAndKindsThatNobodyInspectsAreRefusedByName(t *testing.T) {
	w := newWorld(t, answers("好"))
	w.apply()
	part := func(s string) string { return `{"model":"demo","messages":[{"role":"user","content":[` + s + `]}]}` }
	for _, c := range []struct{ name, body, code, param string }{
		{"image", part(`{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"http://x/"}}`), "modality_not_inspected", "messages[0].content[1].type"},
		{"audio", part(`{"type":"input_audio","input_audio":{"data":"","format":"wav"}}`), "modality_not_inspected", "messages[0].content[0].type"},
		{"file", part(`{"type":"file","file":{"file_id":"x"}}`), "modality_not_inspected", "messages[0].content[0].type"},
		{"video", part(`{"type":"video_url","video_url":{"url":"x"}}`), "modality_not_inspected", "messages[0].content[0].type"},
		{"kind of the future", part(`{"type":"smell"}`), "modality_not_inspected", "messages[0].content[0].type"},
		{"text with an image in it", part(`{"type":"text","text":"x","image_url":"y"}`), "field_not_inspected", "messages[0].content[0].image_url"},
		{"modalities", ask("x", `,"modalities":["text","audio"]`), "modality_not_inspected", "modalities[1]"},
		{"audio output", ask("x", `,"audio":{"voice":"a","format":"wav"}`), "field_not_inspected", "audio"},
		{"earlier audio", `{"model":"demo","messages":[{"role":"assistant","audio":{"id":"x"}}]}`, "modality_not_inspected", "messages[0].audio"},
		{"web search", ask("x", `,"web_search_options":{}`), "field_not_inspected", "web_search_options"},
		{"prediction", ask("x", `,"prediction":{"type":"content","content":"y"}`), "field_not_inspected", "prediction"},
		{"metadata", ask("x", `,"metadata":{"a":"b"}`), "field_not_inspected", "metadata"},
		{"store", ask("x", `,"store":true`), "field_not_inspected", "store"},
		{"prompt", ask("x", `,"prompt":"y"`), "field_not_inspected", "prompt"},
		{"extra_body", ask("x", `,"chat_template_kwargs":{"a":"b"}`), "field_not_inspected", "chat_template_kwargs"},
		{"logprobs", ask("x", `,"logprobs":true`), "logprobs_not_supported", "logprobs"},
		{"top_logprobs", ask("x", `,"top_logprobs":2`), "logprobs_not_supported", "logprobs"},
		{"n", ask("x", `,"n":5`), "too_many_choices", "n"},
		{"n of zero", ask("x", `,"n":0`), "too_many_choices", "n"},
		{"custom tool", ask("x", `,"tools":[{"type":"custom","custom":{"name":"x"}}]`), "field_not_inspected", "tools[0].custom"},
		{"hosted tool", ask("x", `,"tools":[{"type":"web_search","function":{"name":"x"}}]`), "modality_not_inspected", "tools[0].type"},
		{"tool choice of another kind", ask("x", `,"tool_choice":{"type":"allowed_tools","function":{"name":"x"}}`), "modality_not_inspected", "tool_choice.type"},
		{"setting with text", ask("x", `,"reasoning_effort":"`+harmful+`"`), "invalid_value", "reasoning_effort"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if r := w.post(c.body); r.status != 400 || r.code() != c.code || r.param() != c.param {
				t.Fatalf("%d %s", r.status, r.body)
			}
		})
	}
	if len(w.asked) != 0 {
		t.Fatal("the upstream was asked")
	}
}

func TestEveryTextOfARequestIsInspected(t *testing.T) {
	w := newWorld(t, answers("好"))
	w.apply()
	fn := func(s string) string {
		return ask("x", `,"tools":[{"type":"function","function":`+s+`}]`)
	}
	for name, body := range map[string]string{
		"system":              `{"model":"demo","messages":[{"role":"system","content":"%s"},{"role":"user","content":"x"}]}`,
		"developer":           `{"model":"demo","messages":[{"role":"developer","content":"%s"},{"role":"user","content":"x"}]}`,
		"earlier user":        `{"model":"demo","messages":[{"role":"user","content":"%s"},{"role":"user","content":"x"}]}`,
		"assistant":           `{"model":"demo","messages":[{"role":"assistant","content":"%s"},{"role":"user","content":"x"}]}`,
		"assistant refusal":   `{"model":"demo","messages":[{"role":"assistant","refusal":"%s"},{"role":"user","content":"x"}]}`,
		"reasoning":           `{"model":"demo","messages":[{"role":"assistant","content":"y","reasoning_content":"%s"},{"role":"user","content":"x"}]}`,
		"tool result":         `{"model":"demo","messages":[{"role":"tool","tool_call_id":"1","content":"%s"}]}`,
		"name":                `{"model":"demo","messages":[{"role":"user","name":"%s","content":"x"}]}`,
		"part":                `{"model":"demo","messages":[{"role":"user","content":[{"type":"text","text":"%s"}]}]}`,
		"tool call":           `{"model":"demo","messages":[{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":\"%s\"}"}}]}]}`,
		"tool call name":      `{"model":"demo","messages":[{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"%s","arguments":"{}"}}]}]}`,
		"function call":       `{"model":"demo","messages":[{"role":"assistant","function_call":{"name":"f","arguments":"%s"}}]}`,
		"tool description":    fn(`{"name":"f","description":"%s"}`),
		"tool name":           fn(`{"name":"%s"}`),
		"schema string":       fn(`{"name":"f","parameters":{"type":"object","properties":{"a":{"enum":["%s"]}}}}`),
		"schema name":         fn(`{"name":"f","parameters":{"properties":{"%s":{}}}}`),
		"functions":           ask("x", `,"functions":[{"name":"f","description":"%s"}]`),
		"tool choice":         ask("x", `,"tool_choice":{"type":"function","function":{"name":"%s"}}`),
		"response schema":     ask("x", `,"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"description":"%s"}}}`),
		"response schema's":   ask("x", `,"response_format":{"type":"json_schema","json_schema":{"name":"a","description":"%s"}}`),
		"stop":                ask("x", `,"stop":["%s"]`),
		"stop word":           ask("x", `,"stop":"%s"`),
		"spread over parts":   `{"model":"demo","messages":[{"role":"user","content":[{"type":"text","text":"测试违"},{"type":"text","text":"禁词甲"}]}]}`,
		"escaped in the body": `{"model":"demo","messages":[{"role":"user","content":"\u6d4b\u8bd5\u8fdd\u7981\u8bcd\u7532"}]}`,
		"escaped arguments":   `{"model":"demo","messages":[{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":\"\\u6d4b\\u8bd5\\u8fdd\\u7981\\u8bcd\\u7532\"}"}}]}]}`,
	} {
		body = strings.ReplaceAll(body, "%s", harmful)
		r := w.post(body)
		if r.status != 200 || !strings.Contains(r.body, "content_filter") {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
		if row := w.sink.row(t); row.InputVerdict != VerdictBlock {
			t.Errorf("%s: %+v", name, row)
		}
	}
	if len(w.asked) != 0 {
		t.Fatal("the upstream was asked")
	}
}

func TestTheUpstreamGetsOurSerialisationOfAllKnownFields(t *testing.T) {
	w := newWorld(t, answers("好"))
	w.apply()
	body := `{ "user":"alice@example.org", "safety_identifier":"alice@example.org", "stop":"END", "n":2, "temperature":0.7, "seed":9007199254740993, "max_tokens":16,
	  "tools":[{"type":"function","function":{"name":"f","parameters":{"b":1.50,"a":[true,null,12345678901234567890]}}}], "tool_choice":"auto",
	  "messages":[{"content":[{"type":"text","text":"a\u0062 \/ ` + masked + `"}],"role":"user"}], "model":"demo" }`
	if r := w.post(body, header("X-Custom", "1"), header("Cookie", "a=b"), header("X-Forwarded-For", "1.2.3.4")); r.status != 200 {
		t.Fatalf("%s", r.body)
	}
	row := w.sink.row(t)
	want := `{"model":"upstream-model","messages":[{"role":"user","content":[{"type":"text","text":"ab / *****"}]}],"temperature":0.7,"n":2,"stop":"END","max_tokens":16,"seed":9007199254740993,"user":"` + row.Subject +
		`","tools":[{"type":"function","function":{"name":"f","parameters":{"b":1.50,"a":[true,null,12345678901234567890]}}}],"tool_choice":"auto"}`
	if got := string(<-w.asked); got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
	if h := <-w.headers; h.Get("X-Custom")+h.Get("Cookie")+h.Get("X-Forwarded-For") != "" || h.Get("Accept-Encoding") != "identity" || h.Get("X-Request-Id") != row.RequestID {
		t.Fatalf("%v", h)
	}
	if row.Subject == "" || strings.Contains(row.Subject, "alice") || len(row.Subject) != 64 || row.Subject != w.g.SubjectHash("ten1", "alice@example.org") || row.Subject == w.g.SubjectHash("ten2", "alice@example.org") {
		t.Fatalf("subject %q", row.Subject)
	}
}

func TestWhoAsksIsTakenFromHeaderThenIdentifierThenUser(t *testing.T) {
	w := newWorld(t, answers("好"))
	w.apply()
	for _, c := range []struct {
		body, head, want string
	}{
		{ask("x"), "", ""},
		{ask("x", `,"user":"u"`), "", "u"},
		{ask("x", `,"user":"u","safety_identifier":"s"`), "", "s"},
		{ask("x", `,"user":"u","safety_identifier":"s"`), "h", "h"},
	} {
		w.post(c.body, header(HeaderSubject, c.head))
		if row := w.sink.row(t); row.Subject != w.g.SubjectHash("ten1", c.want) {
			t.Errorf("%+v: %q", c, row.Subject)
		}
	}
	if n := w.g.Status().Counters.Unknown; n != 1 {
		t.Errorf("unknown subjects: %d", n)
	}
}

func TestOnlyAKeyThatMayMarksTrafficAsSimulated(t *testing.T) {
	w := newWorld(t, answers("好"))
	w.apply()
	for _, c := range []struct {
		key, mark, kind string
		simulated       bool
	}{{"real", "1", "real", false}, {"sim", "1", "real", true}, {"sim", "", "real", false}, {"drill", "1", "drill", false}, {"test", "", "test", false}} {
		w.post(ask("x"), as(w, c.key), header(HeaderSimulated, c.mark))
		if row := w.sink.row(t); row.Kind != c.kind || row.Simulated != c.simulated {
			t.Errorf("%+v: %+v", c, row)
		}
	}
}
