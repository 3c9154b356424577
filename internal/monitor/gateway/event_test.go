package gateway

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/inspect"
)

// decodedTexts reads the texts of a chunk by the full decoder, in the order of scan's spans for JSON that we wrote.
func decodedTexts(t interface{ Fatalf(string, ...any) }, data []byte) (texts map[chanKey]string, finish map[int]string) {
	var c chunk
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatalf("the decoder refuses what the scanner takes: %s: %v", data, err)
	}
	texts, finish = map[chanKey]string{}, map[int]string{}
	for _, ch := range c.Choices {
		i := *ch.Index
		add := func(s slot, tool int, p *string) {
			if p != nil {
				texts[chanKey{i, s, tool}] += *p
			}
		}
		d := ch.Delta
		add(slotContent, 0, d.Content)
		add(slotReasoningContent, 0, d.ReasoningContent)
		add(slotReasoning, 0, d.Reasoning)
		add(slotRefusal, 0, d.Refusal)
		for _, tc := range d.ToolCalls {
			add(slotToolID, *tc.Index, tc.ID)
			if tc.Function != nil {
				add(slotToolName, *tc.Index, tc.Function.Name)
				add(slotToolArguments, *tc.Index, tc.Function.Arguments)
			}
		}
		if f := d.FunctionCall; f != nil {
			add(slotCallName, 0, f.Name)
			add(slotCallArguments, 0, f.Arguments)
		}
		if ch.Finish != nil {
			finish[i] = *ch.Finish
		}
	}
	return texts, finish
}

// agree holds the scanner to the decoder: what the scanner is sure about, the decoder reads the same.
func agree(t interface{ Fatalf(string, ...any) }, data []byte) (sure bool) {
	var e event
	if !e.scan(data) {
		return false
	}
	texts, finish := decodedTexts(t, data)
	got := map[chanKey]string{}
	for _, sp := range e.spans {
		got[sp.key] += sp.text
		var s string
		if err := json.Unmarshal(data[sp.from:sp.to], &s); err != nil || s != sp.text {
			t.Fatalf("span %q of %s is read as %q", data[sp.from:sp.to], data, sp.text)
		}
	}
	for k, v := range texts {
		if got[k] != v {
			t.Fatalf("%+v: scanner %q, decoder %q in %s", k, got[k], v, data)
		}
	}
	for k := range got {
		if _, ok := texts[k]; !ok {
			t.Fatalf("%+v: only the scanner sees it in %s", k, data)
		}
	}
	if len(finish) != len(e.finish) {
		t.Fatalf("finishes differ in %s", data)
	}
	for _, f := range e.finish {
		if finish[f.choice] != string(data[f.from:f.to]) {
			t.Fatalf("finish %d differs in %s", f.choice, data)
		}
	}
	// Every string that is not a text is a name of the machine's making: nothing else of it may reach the client.
	var all any
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return true
}

var eventSeeds = []string{
	contentEvent("你好"), contentEvent("a\n\t\"\\/😀"), deltaEvent(3, "reasoning_content", "想"), stopEvent,
	`{"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"prompt_tokens_details":{"cached_tokens":0}}}`,
	`{"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"index":1,"function":{"arguments":"x"}}]},"finish_reason":"tool_calls","logprobs":null}],"system_fingerprint":null,"service_tier":"default"}`,
	`{"choices":[{"delta":{"function_call":{"name":"f","arguments":"x"}},"index":0}]}`,
	`{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}`,
	`{"choices":[{"index":0,"delta":{"content":"\ud83d\ude00\u0000"}}]}`, `{"choices":[{"index":0,"delta":{"content":"\ud83d"}}]}`,
	`{"choices":[{"index":0,"delta":{"content":"a","content":"b"}}]}`, `{"choices":[{"index":0,"delta":{"Content":"a"}}]}`,
	`{"choices":[{"index":0,"d\u0065lta":{"content":"a"}}]}`, `{}`, `{"choices":[{"index":01,"delta":{}}]}`, `{"choices":[{"index":0,"delta":{"content":"a"}}]}x`,
	`{"a":{},"choices":[]}`, `[]`, `"x"`, ``, `{`, `{"choices":[{"index":0,"delta":{"content":"a` + "\n" + `"}}]}`, `{"choices":[{"index":0,"delta":{"content":"a` + "\xff" + `"}}]}`,
	`{"choices":[{"index":0,"delta":{"content":"a"}},{"index":0,"delta":{"content":"b"}}]}`, `{"choices":[{"index":0,"delta":{"content":"a"}},{"delta":{"content":"b"}}]}`,
	`{"error":{"message":"x"}}`, `{"choices":[{"index":0,"delta":{"content":"a"},}]}`, `{"choices":[,]}`, `{"choices":[{"index":0}],}`, `{"usage":{"a":1,"a":2}}`, `{"usage":{"a":"text"}}`,
}

func FuzzScannerAgreesWithTheDecoder(f *testing.F) {
	for _, s := range eventSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		agree(t, data)
		// What is decoded and written anew, the scanner is sure about.
		if out, err := canonicalChunk(data); err == nil && !agree(t, out) {
			t.Fatalf("the scanner is not sure about our own %s (from %s)", out, data)
		}
	})
}

func FuzzRequestsAreReadStrictly(f *testing.F) {
	for _, s := range []string{ask("hi"), ask("x", `,"tools":[{"type":"function","function":{"name":"f","parameters":{"a":[1,"b"]}}}],"stop":["a"],"tool_choice":{"type":"function","function":{"name":"f"}}`),
		`{"model":"demo","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]}`, `{"model":"demo","Messages":[]}`} {
		f.Add([]byte(s))
	}
	var d = limitsForTests()
	f.Fuzz(func(t *testing.T, body []byte) {
		r, p := parseRequest(body, d)
		if p != nil {
			if !utf8.Valid(p.json()) {
				t.Fatal("the error is not UTF-8")
			}
			return
		}
		// What is accepted is written and read again the same, and passes every text by the visitor.
		out, err := json.Marshal(r, json.Deterministic(true))
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		again, p := parseRequest(out, d)
		if p != nil {
			t.Fatalf("%s became %s: %s %s", body, out, p.code, p.param)
		}
		twice, _ := json.Marshal(again, json.Deterministic(true))
		if !bytes.Equal(out, twice) {
			t.Fatalf("%s / %s", out, twice)
		}
		seen := map[string]bool{}
		r.texts(func(_ field, s *string) { seen[*s] = true })
		for _, m := range r.Messages {
			if m.Content != nil && m.Content.Text != nil && !seen[*m.Content.Text] {
				t.Fatalf("not visited: %s", body)
			}
		}
	})
}

func TestTheScannerIsSureOfWhatUpstreamsNormallySendAndOfNothingOdd(t *testing.T) {
	for i, s := range eventSeeds {
		want := i < 8 || i == 8 || s == "{}"
		if got := agree(t, []byte(s)); got != want {
			t.Errorf("%s: sure %v, want %v", s, got, want)
		}
	}
}

func TestScannerAndDecoderAgreeOnAnyChunk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", harmful, "\u2028", "😀", `\u0041`, "\"", "</script>"}))
		opt := func(name string) *string {
			if rapid.Bool().Draw(t, name+"?") {
				s := strings.ToValidUTF8(text.Draw(t, name), "?")
				return &s
			}
			return nil
		}
		c := chunk{ID: "x", Object: "chat.completion.chunk", Created: 1, Model: "m", Choices: []chunkChoice{}}
		for i := range rapid.IntRange(0, 3).Draw(t, "choices") {
			ch := chunkChoice{Index: &i, Delta: delta{Content: opt("content"), ReasoningContent: opt("rc"), Reasoning: opt("r"), Refusal: opt("refusal")}}
			for j := range rapid.IntRange(0, 2).Draw(t, "tools") {
				ch.Delta.ToolCalls = append(ch.Delta.ToolCalls, toolDelta{Index: &j, ID: opt("id"), Function: &functionDelta{Name: opt("name"), Arguments: opt("args")}})
			}
			c.Choices = append(c.Choices, ch)
		}
		data, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if !agree(t, data) {
			t.Fatalf("not sure about %s", data)
		}
		// The same with every character escaped.
		var b strings.Builder
		for _, r := range string(data) {
			if r >= 0x80 && r <= 0xffff {
				fmt.Fprintf(&b, `\u%04x`, r)
			} else {
				b.WriteRune(r)
			}
		}
		if !agree(t, []byte(b.String())) {
			t.Fatalf("not sure about %s", b.String())
		}
	})
}

func TestEventsAreFramedTheSameHoweverTheyArrive(t *testing.T) {
	const stream = "\xef\xbb\xbf: hello\n\ndata: a\n\ndata:b\r\n\r\ndata: c\rdata: d\r\revent: x\nid: 1\ndata:  e\nretry: 5\n\n\n\nnothing\n\n: beat\ndata\ndata: \n\ndata: f\n: inside\ndata: g\n\ndata: cut off"
	want := []string{"#", "a", "b", "c\nd", " e", "#", "\n", "f\ng"}
	readAll := func(r io.Reader) (got []string, err error) {
		s := newFrames(r, 1<<16)
		var f frame
		for {
			if err = s.next(&f); err != nil {
				return got, err
			}
			if f.comment {
				got = append(got, "#")
			} else {
				got = append(got, string(f.data))
			}
		}
	}
	for name, r := range map[string]io.Reader{
		"whole":        strings.NewReader(stream),
		"byte by byte": iotest.OneByteReader(strings.NewReader(stream)),
		"by halves":    iotest.HalfReader(strings.NewReader(stream)),
		"with its end": iotest.DataErrReader(strings.NewReader(stream)),
	} {
		got, err := readAll(r)
		if err != io.EOF || !slices.Equal(got, want) {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	if got, err := readAll(strings.NewReader("data: x\n\n")); len(got) != 1 || err != io.EOF {
		t.Errorf("shorter stream: %q %v", got, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.StringOfN(rapid.SampledFrom([]rune("data: x\r\n:é")), 0, 80, -1).Draw(t, "body")
		a, _ := readAll(strings.NewReader(body))
		b, _ := readAll(iotest.OneByteReader(strings.NewReader(body)))
		if !slices.Equal(a, b) {
			t.Fatalf("%q: %q / %q", body, a, b)
		}
	})
	for _, big := range []string{"data: " + strings.Repeat("x", 1<<17), strings.Repeat("data: x\n", 1<<14), strings.Repeat(": ", 1<<17)} {
		if _, err := readAll(strings.NewReader(big)); err != errEventTooBig {
			t.Errorf("a huge event: %v", err)
		}
	}
}

func TestArgumentsAreMadePlainHoweverTheyAreCutAndMeanTheSame(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":"\u6d4b\u8bd5"}`: `{"a":"测试"}`, `\u0041\u0022\u005c\u000a\u007f`: `A\u0022\u005c\u000a\u007f`, `\\u6d4b`: `\\u6d4b`, `\\\u6d4b`: `\\测`,
		`\ud83d\ude00`: "😀", `\ud83d`: `\ud83d`, `\ud83dx`: `\ud83dx`, `\ude00\ud83d`: `\ude00\ud83d`, `\ud83d\u0041`: `\ud83dA`, `\uZZZZ`: `\uZZZZ`, `\u12`: `\u12`, `\`: `\`, `\n\"`: `\n\"`, `\ud83d\n`: `\ud83d\n`,
	} {
		if got := plain(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOfN(rapid.SampledFrom([]rune(`\\\u6d4bde38"x测n`)), 0, 40, -1).Draw(t, "s")
		var a plainArguments
		var b strings.Builder
		for _, r := range s {
			b.WriteString(a.write(string(r)))
		}
		b.WriteString(a.close())
		if b.String() != plain(s) {
			t.Fatalf("%q: in pieces %q, whole %q", s, b.String(), plain(s))
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		var v any = map[string]any{"k": rapid.String().Filter(utf8.ValidString).Draw(t, "v")}
		data, _ := json.Marshal(v)
		var esc strings.Builder
		for _, r := range string(data) {
			if r >= 0x80 && r <= 0xffff {
				fmt.Fprintf(&esc, `\u%04X`, r)
			} else {
				esc.WriteRune(r)
			}
		}
		var x, y any
		if err := json.Unmarshal([]byte(esc.String()), &x); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(plain(esc.String())), &y); err != nil || fmt.Sprint(x) != fmt.Sprint(y) {
			t.Fatalf("%s: %v %v", esc.String(), y, err)
		}
	})
}

func TestReleasedTextDoesNotDependOnHowTheAnswerWasCut(t *testing.T) {
	e, err := inspect.Compile(inspect.Rules{Terms: []inspect.Term{
		{ID: "a", Text: "甲乙", Action: inspect.Mask}, {ID: "b", Text: "乙丙丁", Action: inspect.Block}, {ID: "c", Text: "丁甲", Action: inspect.Replace, Replacement: "〇"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	strict, err := inspect.Compile(inspect.Rules{Terms: []inspect.Term{
		{ID: "a", Text: "甲乙", Action: inspect.Mask}, {ID: "b", Text: "乙丙丁", Action: inspect.Block}, {ID: "c", Text: "丁甲", Action: inspect.Replace, Replacement: "〇"}, {ID: "d", Text: "丙甲丁", Action: inspect.Block},
	}})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, answers(""))
	w.apply()
	svc := w.g.regime.Load().services["svc1"]
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom([]rune("甲乙丙丁x")), 0, 4, -1), 0, 12).Draw(t, "parts")
		at := rapid.IntRange(0, len(parts)).Draw(t, "order after")
		c := &call{g: w.g, svc: svc, answer: capture{left: 1 << 16}}
		f := newFilter(c, []*inspect.Engine{e})
		out, blocked := "", false
		key := chanKey{}
		for i, part := range parts {
			if i == at {
				var pending []pendingText
				if blocked, pending, err = f.tighten([]*inspect.Engine{strict}); blocked {
					break
				}
				for _, p := range pending {
					out += p.text
				}
			}
			var released string
			if released, blocked, err = f.write(key, part); err != nil {
				t.Fatal(err)
			}
			out += released
			if blocked {
				break
			}
		}
		if !blocked {
			tail, stop, _ := f.close(f.text(key))
			out += tail
			blocked = stop
		}
		whole := strings.Join(parts, "")
		res := e.Scan(whole)
		if at < len(parts) {
			res = strict.Scan(whole)
		}
		if blocked != (res.Action == inspect.Block) {
			t.Fatalf("%q at %d: blocked %v, whole %v", parts, at, blocked, res.Action)
		}
		if !blocked && out != res.Released {
			t.Fatalf("%q at %d: %q, whole %q", parts, at, out, res.Released)
		}
		if strings.Contains(out, "甲乙") || strings.Contains(out, "乙丙丁") {
			t.Fatalf("leaked %q", out)
		}
	})
}
