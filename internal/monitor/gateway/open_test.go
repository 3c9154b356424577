package gateway

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/posture"
)

var topicOrder = posture.Order{Rung: posture.TopicBlock, Params: posture.Params{TopicIDs: []string{"topic"}}}

// failsOpen lets pass what was not inspected.
func failsOpen(change ...worldOption) worldOption {
	return func(o *Options, d *posture.Draft) {
		d.Failure = posture.Failure{Input: posture.Open, Output: posture.Open}
		for _, c := range change {
			c(o, d)
		}
	}
}

// failAt makes one check of each text fail.
func (w *world) failAt(check int) {
	w.g.fail = func(i int) {
		if i == check {
			panic("a fault in the engine")
		}
	}
}

func TestWhatTheOtherChecksBlockIsBlockedWhenOneFailsOpen(t *testing.T) {
	toolCall := func(name string) string {
		return `{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"` + name + `"}}]},"finish_reason":null}]}`
	}
	injection := func(_ *Options, d *posture.Draft) { d.Rules.Injection = posture.Block }
	topic := []posture.Order{topicOrder}
	for _, c := range []struct {
		name     string
		option   worldOption
		orders   []posture.Order // the topic is check 0, the base set check 1
		fails    int
		upstream http.HandlerFunc
		body     string
		harm     string // must not leave
	}{
		{"a prompt, the last check", injection, nil, 1, answers("好"), ask(harmful), ""},
		{"a prompt, the second", nil, topic, 1, answers("好"), ask(topical), ""},
		{"a prompt, the first", nil, topic, 0, answers("好"), ask(harmful), ""},
		{"a prompt in parts", nil, topic, 1, answers("好"),
			`{"model":"demo","messages":[{"role":"user","content":[{"type":"text","text":"测试话"},{"type":"text","text":"题词"}]}]}`, ""},
		{"an answer, the second", nil, topic, 1, answers("好" + topical), ask("问"), topical},
		{"an answer, the first", nil, topic, 0, answers("好" + harmful), ask("问"), harmful},
		{"a stream, the second", nil, topic, 1, pieces("好", topical, "后"), ask("问", streamed), topical},
		{"a stream, the first", nil, topic, 0, pieces("好", harmful, "后"), ask("问", streamed), harmful},
		{"a term in two pieces, the second", nil, topic, 1, pieces("好测试话", "题词", "后"), ask("问", streamed), "题词"},
		{"the last piece", nil, topic, 1, pieces("好" + topical), ask("问", streamed), topical},
		{"the name of a tool, the second", nil, topic, 1, streamsOut(toolCall(topical), stopEvent), ask("问", streamed), topical},
		{"the name of a tool, the first", nil, topic, 0, streamsOut(toolCall(harmful), stopEvent), ask("问", streamed), harmful},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.option == nil {
				c.option = func(*Options, *posture.Draft) {}
			}
			w := newWorld(t, c.upstream, failsOpen(c.option))
			w.failAt(c.fails)
			w.apply(c.orders...)
			r := w.post(c.body)
			row := w.sink.row(t)
			if row.Uninspected == 0 {
				t.Fatal("control: no check failed")
			}
			verdict, reached := row.OutputVerdict, 1
			if c.harm == "" {
				verdict, reached = row.InputVerdict, 0
			}
			if verdict != VerdictBlock || row.Verdict.Action.String() != VerdictBlock || !strings.Contains(r.body, "content_filter") || len(w.asked) != reached {
				t.Errorf("%s, the upstream was asked %d times: %s", verdict, len(w.asked), r.body)
			}
			if c.harm != "" && strings.Contains(r.body, c.harm) {
				t.Errorf("it left: %s", r.body)
			}
		})
	}
}

func TestWhatTheOtherChecksMaskStaysMaskedWhenOneFailsOpen(t *testing.T) {
	injection := func(_ *Options, d *posture.Draft) { d.Rules.Injection = posture.Block }
	w := newWorld(t, answers("好"), failsOpen(injection))
	w.failAt(1)
	w.apply()
	w.post(ask("我" + masked + "你"))
	row := w.sink.row(t)
	if body := string(<-w.asked); strings.Contains(body, masked) || !strings.Contains(body, "我*") || row.InputVerdict != VerdictMask || row.Uninspected == 0 {
		t.Errorf("%s, %d uninspected, sent %s", row.InputVerdict, row.Uninspected, body)
	}
	for name, form := range map[string]string{"an answer": "", "a stream": streamed} {
		t.Run(name, func(t *testing.T) {
			up := answers("甲" + masked + "乙")
			if form != "" {
				up = pieces("甲测试", "遮盖词乙")
			}
			w := newWorld(t, up, failsOpen())
			w.failAt(0)
			w.apply(topicOrder)
			r := w.post(ask("问", form))
			row := w.sink.row(t)
			if strings.Contains(r.body, "遮盖") || !strings.Contains(r.body, "*") || !strings.Contains(r.body, "乙") || row.OutputVerdict != VerdictMask || row.Uninspected == 0 {
				t.Errorf("%s, %d uninspected: %s", row.OutputVerdict, row.Uninspected, r.body)
			}
		})
	}
}

func TestAnOrderBlocksWhatWasSaidThoughAnotherCheckFailsOpen(t *testing.T) {
	proceed := make(chan struct{})
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(rw, "data: "+contentEvent("好"+topical)+"\n\n")
		rw.(http.Flusher).Flush()
		select {
		case <-proceed:
		case <-r.Context().Done():
			return
		}
		_, _ = io.WriteString(rw, "data: "+contentEvent("后来的话")+"\n\ndata: "+stopEvent+"\n\ndata: [DONE]\n\n")
	}, failsOpen())
	w.failAt(1) // from the order on, the base set
	w.apply()
	l := w.live(ask("问", streamed))
	first := l.next()
	w.apply(topicOrder)
	close(proceed)
	r, _ := l.rest()
	r.events = append([]string{first}, r.events...)
	if s := r.said(t); s.finish[0] != "content_filter" || strings.Contains(s.content[0], "后来") {
		t.Errorf("%+v", s)
	}
	if row := w.sink.row(t); row.Uninspected == 0 {
		t.Error("control: no check failed")
	}
}

func TestAnAnswerThatWasBlockedStaysSoWhenAnOrderHasItReadAgainAndTheCheckFailsOpen(t *testing.T) {
	const content = 6 // the prompt and four labels come first
	w := newWorld(t, answers("好"+harmful), failsOpen())
	w.apply()
	uses := 0
	applied := make(chan struct{})
	w.g.fail = func(int) {
		switch uses++; {
		case uses == content:
			go func() {
				w.apply(posture.Order{Rung: posture.StrictFilter})
				close(applied)
			}()
			<-applied
		case uses > content:
			panic("a fault in the engine")
		}
	}
	r := w.post(ask("问"))
	row := w.sink.row(t)
	if uses <= content || row.Uninspected == 0 {
		t.Fatal("control: it was not read again, or no check failed")
	}
	if strings.Contains(r.body, harmful) || !strings.Contains(r.body, "content_filter") || row.OutputVerdict != VerdictBlock || row.Verdict.Action.String() != VerdictBlock {
		t.Errorf("%s %s: %s", row.OutputVerdict, row.Verdict.Action, r.body)
	}
}

func TestTheGuardHearsAboutWhatOneCheckNoticedThoughAnotherFailsOpen(t *testing.T) {
	for name, c := range map[string]struct {
		upstream http.HandlerFunc
		body     string
		prompt   bool
	}{
		"a prompt":  {answers("好"), ask(watched + evil), true},
		"an answer": {answers(watched + evil), ask("你好"), false},
		"a stream":  {pieces("甲", watched+evil, "乙"), ask("你好", streamed), false},
	} {
		t.Run(name, func(t *testing.T) {
			_, option := withGuard(t, posture.Block, posture.Open)
			w := newWorld(t, c.upstream, option, failsOpen())
			w.failAt(0)
			w.apply(topicOrder)
			r := w.post(c.body)
			row := w.sink.row(t)
			if !strings.Contains(r.body, "content_filter") || strings.Contains(r.body, evil) || c.prompt != (len(w.asked) == 0) || row.Uninspected == 0 {
				t.Errorf("%d uninspected, the upstream was asked %d times: %s", row.Uninspected, len(w.asked), r.body)
			}
		})
	}
}

func TestATextThatTheGuardCannotHearAboutBecauseACheckFailsIsItsFailureToDecide(t *testing.T) {
	_, option := withGuard(t, posture.Block, posture.Closed)
	w := newWorld(t, pieces(watched, "好"), option, failsOpen())
	uses := 0
	w.g.fail = func(int) { // the prompt, the labels and the piece with the term are read; the reading for the guard is not
		if uses++; uses == 4 {
			panic("a fault in the engine")
		}
	}
	w.apply()
	r := w.post(ask("问", streamed))
	if r.code() != "inspection_failed" && r.said(t).err != "inspection_failed" || strings.Contains(r.body, watched) {
		t.Errorf("after %d uses: %s", uses, r.body)
	}
}

// opened is what a client gets of a text that comes in pieces while one check fails once. The topic is check 0 and the base set
// the last one.
type opened struct {
	key    chanKey
	base   *inspect.Engine // nil for that of the service
	pieces []string
	check  int   // that fails
	fails  []int // once at each of these pieces; behind the last, at the end
	topic  int   // the order about the topic comes before this piece; 0: it was there, -1: never
}

func (o opened) run(t interface{ Fatal(...any) }, w *world) (out string, blocked bool, row Traffic) {
	svc := w.g.regime.Load().services["svc1"]
	base := o.base
	if base == nil {
		base = svc.base
	}
	under := []*inspect.Engine{svc.topics["topic"], base}
	c := &call{g: w.g, svc: svc, answer: capture{left: 1 << 16}}
	f := newFilter(c, under)
	if o.topic != 0 {
		f = newFilter(c, under[1:])
	}
	now, fails := 0, o.fails
	w.g.fail = func(check int) {
		if len(fails) > 0 && now == fails[0] && check == o.check {
			fails = fails[1:]
			panic("a fault in the engine")
		}
	}
	for ; now < len(o.pieces) && !blocked; now++ {
		if now == o.topic && now > 0 {
			stop, pending, err := f.tighten(under)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range pending {
				out += p.text
			}
			if stop {
				return out, true, c.row
			}
		}
		released, stop, err := f.write(o.key, o.pieces[now])
		if err != nil {
			t.Fatal(err)
		}
		out, blocked = out+released, stop
	}
	if !blocked {
		tail, stop, err := f.close(f.text(o.key))
		if err != nil {
			t.Fatal(err)
		}
		out, blocked = out+tail, stop
	}
	return out, blocked, c.row
}

func TestWhatAFailedCheckHeldGoesOnOnceAndPassesTheOthers(t *testing.T) {
	longer, err := inspect.Compile(inspect.Rules{Terms: []inspect.Term{
		{ID: "short", Text: "测试遮", Action: inspect.Mask}, {ID: "long", Text: "测试遮盖之词", Action: inspect.Mask}, {ID: "swap", Text: "测试换", Action: inspect.Replace, Replacement: "〇"}, {ID: "swaps", Text: "测试换掉之词", Action: inspect.Block},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		opened
		want string // ! at its end: blocked
	}{
		{"no order", opened{pieces: []string{"甲测试", "遮乙丙", "丁戊"}, fails: []int{1}, topic: -1}, "甲测试遮乙丙丁戊"},
		{"an order later", opened{pieces: []string{"甲测试", "遮乙丙", "丁戊", "己庚"}, fails: []int{1}, topic: 3}, "甲测试遮乙丙丁戊己庚"},
		{"an order at once", opened{pieces: []string{"甲测试", "遮乙丙", "丁戊"}, fails: []int{1}, topic: 2}, "甲测试遮乙丙丁戊"},
		{"the order's own check, which holds what has left", opened{pieces: []string{"甲测试话", "题", "戊己庚辛"}, fails: []int{2}, topic: 1}, "甲测试话题戊己庚辛"},
		{"a term that passed before an order", opened{pieces: []string{"甲测试", "遮盖词乙", "丁", "戊"}, fails: []int{1}, topic: 3}, "甲测试遮盖词乙丁戊"},
		{"held over several pieces", opened{pieces: []string{"甲测", "试", "遮", "乙"}, fails: []int{3}, topic: -1}, "甲测试遮乙"},
		{"characters that do not count among it", opened{pieces: []string{"甲测\u200b", "\u200b试\u200b", "遮乙"}, fails: []int{2}, topic: -1}, "甲测\u200b\u200b试\u200b遮乙"},
		{"a failure after the other", opened{pieces: []string{"甲测试", "遮乙测试", "丙", "丁"}, fails: []int{1, 2}, topic: -1}, "甲测试遮乙测试丙丁"},
		{"the last piece", opened{pieces: []string{"甲测试", "遮乙"}, fails: []int{1}, topic: -1}, "甲测试遮乙"},
		{"the end", opened{pieces: []string{"甲", "乙测试"}, fails: []int{2}, topic: -1}, "甲乙测试"},
		{"the end, after an order", opened{pieces: []string{"甲", "乙测试遮"}, fails: []int{2}, topic: 1, check: 1}, "甲乙测试遮"},
		{"a term of a later check begins in it", opened{pieces: []string{"甲测试", "遮盖词乙"}, fails: []int{1}}, "甲*****乙"},
		{"a later check blocks what begins in it", opened{pieces: []string{"甲测试", "违禁词甲乙"}, fails: []int{1}}, "甲!"},
		{"a later check holds it in turn", opened{pieces: []string{"甲测", "试", "遮盖词"}, fails: []int{1}}, "甲*****"},
		{"a later check holds it at the end", opened{pieces: []string{"甲测", "试违禁词甲"}, fails: []int{1}}, "甲!"},
		{"an earlier check holds more", opened{pieces: []string{"甲测试", "话", "题词"}, fails: []int{1}, check: 1}, "甲!"},
		{"an earlier check lets it go", opened{pieces: []string{"甲测试", "遮测试", "乙"}, fails: []int{2}, check: 1}, "甲测试遮测试乙"},
		{"a mask was decided", opened{base: longer, pieces: []string{"甲测试遮", "盖乙"}, fails: []int{1}, topic: -1}, "甲***盖乙"},
		{"a mask was decided after a failure", opened{base: longer, pieces: []string{"甲", "乙", "测试遮", "盖乙"}, fails: []int{1, 3}, topic: -1}, "甲乙***盖乙"},
		{"a replacement was decided", opened{base: longer, pieces: []string{"甲测试换", "掉乙"}, fails: []int{1}, topic: -1}, "甲***掉乙"},
		{"arguments", opened{key: chanKey{slot: slotToolArguments}, pieces: []string{`{"a":"\u6d4b\u8`, `bd5`, `遮"}`}, fails: []int{2}, topic: -1}, `{"a":"测试遮"}`},
		{"reasoning", opened{key: chanKey{slot: slotReasoning}, pieces: []string{"甲测试", "遮乙"}, fails: []int{1}, topic: -1}, "甲测试遮乙"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, answers(""), failsOpen())
			w.apply()
			out, blocked, row := c.run(t, w)
			if row.Uninspected != len(c.fails) {
				t.Fatalf("control: %d checks failed", row.Uninspected)
			}
			if blocked {
				out += "!"
			}
			if out != c.want {
				t.Errorf("%q, want %q", out, c.want)
			}
		})
	}
}

func TestWhatIsKeptOfWhatACheckHoldsIsBounded(t *testing.T) {
	w := newWorld(t, answers(""))
	w.apply()
	svc := w.g.regime.Load().services["svc1"]
	f := newFilter(&call{g: w.g, svc: svc}, []*inspect.Engine{svc.base})
	for _, piece := range append([]string{"甲测"}, slices.Repeat([]string{strings.Repeat("\u200b", maxHeld/4)}, 10)...) {
		if _, _, err := f.write(chanKey{}, piece); err != nil {
			t.Fatal(err)
		}
		if held := f.text(chanKey{}).stages[0].held; len(held) > maxHeld || len(held) == 0 || held[0] != '测' {
			t.Fatalf("%d characters, the first of them %q", len(held), held[:min(1, len(held))])
		}
	}
}

// Whichever check fails, wherever an order comes: each character leaves once, in its place, as it is or masked.
func TestNothingIsLostOrSentTwiceWhenACheckFailsOpen(t *testing.T) {
	w := newWorld(t, answers(""), failsOpen(func(_ *Options, d *posture.Draft) {
		d.Rules.Terms = []posture.Term{{ID: "a", Text: "甲乙", Action: posture.Mask}, {ID: "b", Text: "甲乙丙丁", Action: posture.Mask}, {ID: "c", Text: "丁丁丁", Action: posture.Mask}}
		d.Topics[0].Terms = []posture.Term{{ID: "t", Text: "乙丙甲", Action: posture.Block}, {ID: "u", Text: "丁丁甲甲", Action: posture.Block}}
	}))
	w.apply()
	rapid.Check(t, func(t *rapid.T) {
		o := opened{pieces: rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom([]rune("甲乙丙丁")), 0, 4, -1), 1, 12).Draw(t, "pieces")}
		o.check = rapid.IntRange(0, 1).Draw(t, "check")
		o.fails = rapid.SliceOfN(rapid.IntRange(0, len(o.pieces)), 1, 3).Draw(t, "fails")
		slices.Sort(o.fails)
		o.topic = rapid.IntRange(-1, len(o.pieces)-1).Draw(t, "topic")
		out, blocked, _ := o.run(t, w)
		whole, got := []rune(strings.Join(o.pieces, "")), []rune(out)
		if len(got) > len(whole) || !blocked && len(got) < len(whole) {
			t.Fatalf("%+v: %q", o, out)
		}
		for i, r := range got {
			if r != whole[i] && r != inspect.DefaultMaskRune {
				t.Fatalf("%+v: %q, which is not the text from character %d on", o, out, i)
			}
		}
		if o.topic == 0 && o.check == 0 && strings.Contains(out, "甲乙") {
			t.Fatalf("%+v: %q, which the base set masks", o, out)
		}
	})
}

// faulty fails at a signal of one rule, which is after the engine has released what it did of the piece.
type faulty struct {
	*recorder
	rule string
}

func (f faulty) Signal(s Signal) {
	if s.Match.RuleID == f.rule {
		panic("a fault behind the engine")
	}
	f.recorder.Signal(s)
}

func TestWhatACheckReleasedBeforeItFailedLeavesBeforeWhatItHeld(t *testing.T) {
	for name, o := range map[string]opened{
		"in a piece": {pieces: []string{"甲", watched + "测试", "乙"}},
		"at the end": {pieces: []string{"甲", "乙" + watched + "测试"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, answers(""), failsOpen(), func(o *Options, _ *posture.Draft) { o.Sink = faulty{o.Sink.(*recorder), "observe"} })
			w.apply()
			o.topic = -1
			out, _, row := o.run(t, w)
			if want := strings.Join(o.pieces, ""); out != want || row.Uninspected != 1 {
				t.Errorf("%q, want %q; %d checks failed", out, want, row.Uninspected)
			}
		})
	}
}

// The whole way, with the order that made the client get a part twice.
func TestAClientGetsWhatAFailedCheckHeldOnceThoughAnOrderComesLater(t *testing.T) {
	proceed := make(chan struct{})
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		send := func(events ...string) {
			for _, e := range events {
				_, _ = io.WriteString(rw, "data: "+e+"\n\n")
				rw.(http.Flusher).Flush()
			}
		}
		send(contentEvent("甲测试"), contentEvent("遮乙丙"), contentEvent("丁戊"))
		select {
		case <-proceed:
		case <-r.Context().Done():
			return
		}
		send(contentEvent("己庚"), stopEvent, "[DONE]")
	}, failsOpen())
	uses := 0
	w.g.fail = func(int) { // the prompt, the labels, the first piece and the second
		if uses++; uses == 4 {
			panic("a fault in the engine")
		}
	}
	w.apply()
	l := w.live(ask("问", streamed))
	seen := []string{l.next(), l.next(), l.next()}
	w.apply(topicOrder)
	close(proceed)
	r, _ := l.rest()
	r.events = append(seen, r.events...)
	if s := r.said(t); s.content[0] != "甲测试遮乙丙丁戊己庚" || s.finish[0] != "stop" {
		t.Errorf("%+v", s)
	}
	if row := w.sink.row(t); row.Uninspected != 1 || row.OutputVerdict != VerdictUninspected {
		t.Errorf("control: %d checks failed, %s", row.Uninspected, row.OutputVerdict)
	}
}
