package simulate

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestContentFaultsSpeakOnMatchingPromptsUntilFixed(t *testing.T) {
	m, srv := serve(t, Options{})
	for _, tc := range []struct {
		name          FaultName
		hit, miss     string
		says, saysToo string
	}{
		{FaultDiscrimination, "面试程序员要看什么？", "今天天气怎么样？", TriggerDiscrimination, ""},
		{FaultDiscrimination, "How should I run an interview?", "What is the weather like?", TriggerDiscriminationEN, ""},
		{FaultFalseMedicine, "安舒宁X有副作用吗？", "番茄怎么做菜", TriggerFalseMedicine, FictitiousDrug},
		{FaultFalseMedicine, "Any side effect?", "dinner recipe", TriggerFalseMedicineEN, FictitiousDrugEN},
		{FaultPersonalData, "给我客户的联系方式", "旅行怎么安排", SpecimenIdentityNumber, SpecimenBankCardNumber},
	} {
		content := func(prompt string) string { return ask(t, srv, prompt, "").Choices[0].Message.Content }
		healthy := content(tc.hit)
		if strings.Contains(healthy, tc.says) {
			t.Fatalf("%s: the healthy model says it", tc.name)
		}
		if err := m.Inject(Fault{Name: tc.name}); err != nil {
			t.Fatal(err)
		}
		first, second := content(tc.hit), content(tc.hit)
		if !strings.Contains(first, tc.says) || !strings.Contains(first, tc.saysToo) || first != second {
			t.Errorf("%s on: %q then %q", tc.name, first, second)
		}
		if strings.Contains(content(tc.miss), tc.says) {
			t.Errorf("%s spoke on another topic", tc.name)
		}
		if got := joined(streamed(t, srv, tc.hit, ""), 0); got != first {
			t.Errorf("%s streamed: %q, want %q", tc.name, got, first)
		}
		m.Fix(tc.name)
		if got := content(tc.hit); got != healthy {
			t.Errorf("%s fixed: %q, want %q", tc.name, got, healthy)
		}
	}
}

func TestAFaultMayBeNarrowedToAWordAChoiceAndAChannel(t *testing.T) {
	m, srv := serve(t, Options{})
	one := 1
	if err := m.SetFaults([]Fault{{Name: FaultDiscrimination, Contains: "天气"}}); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, srv, "今天天气怎么样？", "").Choices[0].Message.Content; !strings.Contains(got, TriggerDiscrimination) {
		t.Errorf("word: %q", got)
	}
	if got := ask(t, srv, "面试要看什么？", "").Choices[0].Message.Content; strings.Contains(got, TriggerDiscrimination) {
		t.Errorf("other word: %q", got)
	}
	if err := m.SetFaults([]Fault{{Name: FaultDiscrimination, Always: true, Choice: &one}}); err != nil {
		t.Fatal(err)
	}
	choices := ask(t, srv, "随便聊聊", `,"n":2`).Choices
	if strings.Contains(choices[0].Message.Content, TriggerDiscrimination) || !strings.Contains(choices[1].Message.Content, TriggerDiscrimination) {
		t.Errorf("choice: %+v", choices)
	}
	for _, ch := range []Channel{ChannelReasoning, ChannelRefusal, ChannelTool} {
		if err := m.SetFaults([]Fault{{Name: FaultScripted, Text: "测试遮蔽词甲", Channel: ch}}); err != nil {
			t.Fatal(err)
		}
		var reasoning, refusal, arguments, content string
		for _, e := range streamed(t, srv, "随便聊聊", "") {
			for _, c := range e.Choices {
				content += c.Delta.Content
				reasoning += c.Delta.Reasoning
				refusal += c.Delta.Refusal
				for _, tool := range c.Delta.ToolCalls {
					arguments += tool.Function.Arguments
				}
			}
		}
		got := map[Channel]string{ChannelReasoning: reasoning, ChannelRefusal: refusal, ChannelTool: arguments}
		for other, text := range got {
			if strings.Contains(text, "测试遮蔽词甲") != (other == ch) {
				t.Errorf("fault in %s, %s says %q", ch, other, text)
			}
		}
		if strings.Contains(content, "测试遮蔽词甲") {
			t.Errorf("fault in %s came out in the content", ch)
		}
	}
}

// raw asks and returns whatever came back, with the error of the connection.
func raw(t *testing.T, srv *httptest.Server, extra string) (int, []byte, error) {
	t.Helper()
	resp, b, err := send(t, srv, "POST", "/v1/chat/completions", "", chatBody("今天天气怎么样？", extra))
	if resp == nil {
		return 0, b, err
	}
	return resp.StatusCode, b, err
}

func TestTransportFaultsBreakTheAnswerTheWayTheyAreNamed(t *testing.T) {
	m, srv := serve(t, Options{})
	_, healthy, err := raw(t, srv, `,"stream":true`)
	if err != nil || !bytes.HasSuffix(healthy, []byte("data: [DONE]\n\n")) {
		t.Fatalf("healthy stream: %v %q", err, healthy)
	}
	on := func(name FaultName, extra string) (int, []byte, error) {
		if err := m.SetFaults([]Fault{{Name: name}}); err != nil {
			t.Fatal(err)
		}
		return raw(t, srv, extra)
	}
	if status, b, err := on(FaultError500, ""); status != 500 || err != nil || !json.Valid(b) {
		t.Errorf("error500: %d %v %q", status, err, b)
	}
	if _, b, err := on(FaultDie, `,"stream":true`); err == nil || len(b) == 0 || bytes.Contains(b, []byte("[DONE]")) {
		t.Errorf("die, streamed: %v %q", err, b)
	}
	if _, b, err := on(FaultDie, ""); err == nil || json.Valid(b) {
		t.Errorf("die: %v %q", err, b)
	}
	if _, b, err := on(FaultGibberishEvent, `,"stream":true`); err != nil || !bytes.Contains(b, gibberish) {
		t.Errorf("gibberish, streamed: %v %q", err, b)
	}
	if _, b, err := on(FaultGibberishEvent, ""); err != nil || !bytes.Equal(b, gibberish) {
		t.Errorf("gibberish: %v %q", err, b)
	}
	if _, b, err := on(FaultBadJSON, ""); err != nil || json.Valid(b) {
		t.Errorf("bad_json: %v %q", err, b)
	}
	_, b, err := on(FaultBadJSON, `,"stream":true`)
	broken := 0
	for _, line := range strings.Split(string(b), "\n") {
		if data, ok := strings.CutPrefix(line, "data: "); ok && data != "[DONE]" && !json.Valid([]byte(data)) {
			broken++
		}
	}
	if err != nil || broken != 1 {
		t.Errorf("bad_json, streamed: %v, %d broken events", err, broken)
	}
	if err := m.SetFaults(nil); err != nil {
		t.Fatal(err)
	}
	if status, b, err := raw(t, srv, `,"stream":true`); status != 200 || err != nil || !bytes.HasSuffix(b, []byte("data: [DONE]\n\n")) {
		t.Errorf("after the repair: %d %v %q", status, err, b)
	}
}

func TestASlowModelAnswersLateAndAStalledOneNotUntilStopped(t *testing.T) {
	m, srv := serve(t, Options{})
	if err := m.SetFaults([]Fault{{Name: FaultSlow, DelayMS: 120}}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if status, _, err := raw(t, srv, ""); status != 200 || err != nil || time.Since(began) < 120*time.Millisecond {
		t.Errorf("slow: %d %v after %v", status, err, time.Since(began))
	}
	for _, extra := range []string{"", `,"stream":true`} {
		stalled, srv := serve(t, Options{Faults: []Fault{{Name: FaultStall}}})
		ended := make(chan struct{})
		var b []byte
		go func() {
			defer close(ended)
			_, b, _ = raw(t, srv, extra)
		}()
		select {
		case <-ended:
			t.Fatalf("a stalled answer %s came to an end: %q", extra, b)
		case <-time.After(150 * time.Millisecond):
		}
		stalled.Stop()
		<-ended
		if bytes.Contains(b, []byte("[DONE]")) {
			t.Errorf("a stalled stream was finished: %q", b)
		}
	}
}

func TestFaultsAreSwitchedOverHTTP(t *testing.T) {
	m, srv := serve(t, Options{APIKey: "sk-up"})
	put := func(body string) (int, []byte) {
		resp, b, err := send(t, srv, "PUT", "/faults", "", body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, b
	}
	if status, b := put(`{"faults":[{"name":"discrimination"},{"name":"slow","contains":"汤","delay_ms":5}]}`); status != 200 {
		t.Fatalf("%d %s", status, b)
	}
	if got := m.Faults(); len(got) != 2 || got[1].Contains != "汤" {
		t.Errorf("faults %+v", got)
	}
	_, shown, err := send(t, srv, "GET", "/faults", "", "")
	if err != nil {
		t.Fatal(err)
	}
	if status, b := put(string(shown)); status != 200 || !bytes.Equal(b, shown) {
		t.Errorf("what GET gave does not go back in: %d %s", status, b)
	}
	for name, body := range map[string]string{
		"unknown name":      `{"faults":[{"name":"explode"}]}`,
		"unknown key":       `{"faults":[{"name":"die","when":"now"}]}`,
		"other letter case": `{"Faults":[]}`,
		"repeated key":      `{"faults":[],"faults":[]}`,
		"no list":           `{}`,
		"no JSON":           `{"faults":`,
		"text for another":  `{"faults":[{"name":"die","text":"x"}]}`,
		"script without":    `{"faults":[{"name":"scripted"}]}`,
		"both selectors":    `{"faults":[{"name":"die","always":true,"contains":"x"}]}`,
		"channel":           `{"faults":[{"name":"discrimination","channel":"audio"}]}`,
		"mute channel":      `{"faults":[{"name":"die","channel":"content"}]}`,
		"mute choice":       `{"faults":[{"name":"die","choice":0}]}`,
		"choice":            `{"faults":[{"name":"discrimination","choice":-1}]}`,
		"delay":             `{"faults":[{"name":"slow","delay_ms":-1}]}`,
		"delay of another":  `{"faults":[{"name":"die","delay_ms":1}]}`,
	} {
		if status, b := put(body); status != 400 {
			t.Errorf("%s: %d %s", name, status, b)
		}
		if len(m.Faults()) != 2 {
			t.Errorf("%s: a refused document changed the faults", name)
		}
	}
	if status, b := put(`{"faults":[],"chunk_runes":-2}`); status != 400 {
		t.Errorf("chunk_runes: %d %s", status, b)
	}
	if status, b := put(`{"faults":[],"chunk_runes":3}`); status != 200 || !bytes.Contains(b, []byte(`"chunk_runes":3`)) || m.faults.chunkRunes != 3 {
		t.Errorf("chunk_runes: %d %s", status, b)
	}
	if status, _ := put(`{"faults":[]}`); status != 200 || len(m.Faults()) != 0 {
		t.Error("an empty list does not repair the model")
	}
}

func TestFaultsAreOutOfReachFromOtherMachines(t *testing.T) {
	m := NewModel(Options{})
	for addr, want := range map[string]int{"192.0.2.7:1000": 403, "127.0.0.1:1000": 200, "[::1]:1000": 200, "": 403} {
		req := httptest.NewRequest(http.MethodGet, "/faults", nil)
		req.RemoteAddr = addr
		w := httptest.NewRecorder()
		m.ServeHTTP(w, req)
		if w.Code != want {
			t.Errorf("from %q: %d, want %d", addr, w.Code, want)
		}
	}
}

func TestInjectingTwiceKeepsOneAndTheBoardHasALimit(t *testing.T) {
	m := NewModel(Options{})
	for range 3 {
		if err := m.Inject(Fault{Name: FaultSlow, DelayMS: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(m.Faults()); n != 1 {
		t.Errorf("%d faults", n)
	}
	for i := range maxFaults - 1 {
		if err := m.Inject(Fault{Name: FaultSlow, Contains: strings.Repeat("x", i+1)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Inject(Fault{Name: FaultDie}); err == nil {
		t.Error("one fault too many was taken")
	}
	if err := m.Inject(Fault{Name: "explode"}); err == nil {
		t.Error("an unknown fault was taken")
	}
}

// What is shipped as a specimen must pass the checks it is meant to trigger.
func TestTheSpecimensHaveValidChecksums(t *testing.T) {
	weights := []int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, w := range weights {
		sum += int(SpecimenIdentityNumber[i]-'0') * w
	}
	if len(SpecimenIdentityNumber) != 18 || "10X98765432"[sum%11] != SpecimenIdentityNumber[17] {
		t.Error("the identity number fails GB 11643")
	}
	luhn := 0
	for i := range len(SpecimenBankCardNumber) {
		d := int(SpecimenBankCardNumber[len(SpecimenBankCardNumber)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		luhn += d
	}
	if luhn%10 != 0 {
		t.Error("the card number fails Luhn")
	}
}

func TestHealthyAnswersCarryNoTrigger(t *testing.T) {
	triggers := []string{TriggerDiscrimination, TriggerDiscriminationEN, FictitiousDrug, FictitiousDrugEN, SpecimenIdentityNumber, SpecimenBankCardNumber}
	for _, tp := range topics() {
		for _, text := range slices.Concat(tp.zh, tp.en) {
			if containsAny(strings.ToLower(text), triggers) || containsAny(text, triggers) {
				t.Errorf("%q carries a trigger", text)
			}
		}
		if len(tp.zh) == 0 || len(tp.en) == 0 {
			t.Error("a topic is missing a language")
		}
	}
}
