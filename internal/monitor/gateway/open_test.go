package gateway

import (
	"io"
	"net/http"
	"strings"
	"testing"

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
