package gateway

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fengsui/fengsui/internal/monitor/guard"
	"github.com/fengsui/fengsui/internal/posture"
)

// mentions are pieces of an answer of n times so many characters, in each of which the watched term stands once.
func mentions(n, characters int) []string {
	list := make([]string, n)
	for i := range list {
		head := fmt.Sprintf("%s%03d", watched, i) // no two alike: the guard remembers
		list[i] = head + strings.Repeat("好", characters-utf8.RuneCountInString(head))
	}
	return list
}

func TestAnAnswerOnOneSubjectIsNotAskedAboutAtEachMention(t *testing.T) {
	for name, c := range map[string]struct {
		pieces []string
		most   int
	}{
		"short pieces":   {mentions(40, 20), 3},
		"a long answer":  {mentions(40, 100), 6},
		"a longer one":   {mentions(100, 200), maxQuestions},
		"many questions": {mentions(8, 2*guard.Shown), maxQuestions},
	} {
		t.Run(name, func(t *testing.T) {
			m, option := withGuard(t, posture.Block, posture.Closed)
			w := newWorld(t, pieces(c.pieces...), option)
			w.apply()
			s := w.post(ask("你好", streamed)).said(t)
			if n := len(m.Calls()); !s.done || s.err != "" || s.content[0] != strings.Join(c.pieces, "") || n == 0 || n > c.most {
				t.Errorf("%d questions, want 1 to %d; done %v, %s, %d characters", n, c.most, s.done, s.err, len([]rune(s.content[0])))
			} else {
				t.Log(n, "questions")
			}
		})
	}
}

func TestAMentionIsAskedAboutAgainAfterAWholeWindow(t *testing.T) {
	filler := strings.Repeat("无害的话", 100)
	for name, c := range map[string]struct {
		before int // fillers between a question and the next mention
		waits  bool
	}{"a window later": {guard.Shown/400 + 1, true}, "sooner": {3, false}} {
		t.Run(name, func(t *testing.T) {
			_, option := withGuard(t, posture.Block, posture.Closed)
			// The second mention is the question that counts: from there the text does not double before the third.
			list := []string{strings.Repeat(filler, 40), watched}
			for range c.before {
				list = append(list, filler)
			}
			w := newWorld(t, pieces(append(list, watched+evil, "后面")...), option)
			w.apply()
			s := w.post(ask("你好", streamed)).said(t)
			if s.finish[0] != "content_filter" || strings.Contains(s.content[0], evil) != !c.waits {
				t.Errorf("finish %q, it left: %v", s.finish[0], strings.Contains(s.content[0], evil))
			}
			w.upstream = answers(strings.Join(append(list, watched+evil, "后面"), ""))
			if r := w.post(ask("另一个问题")); strings.Contains(r.body, evil) || !strings.Contains(r.body, "content_filter") {
				t.Error("not streamed, it left")
			}
		})
	}
}

func TestAnotherRuleIsAskedAboutAtOnce(t *testing.T) {
	const other = "测试旁观词"
	_, option := withGuard(t, posture.Block, posture.Closed)
	w := newWorld(t, pieces(watched, "好", other+evil, "后面"), option, func(_ *Options, d *posture.Draft) {
		d.Rules.Terms = append(d.Rules.Terms, posture.Term{ID: "other", Text: other, Action: posture.Observe, Risk: "R4"})
	})
	w.apply()
	if s := w.post(ask("你好", streamed)).said(t); s.finish[0] != "content_filter" || strings.Contains(s.content[0], evil) {
		t.Errorf("%+v", s)
	}
}

func TestAnAnswerWithManySubjectsLeavesQuestionsForItsEnd(t *testing.T) {
	var terms []posture.Term
	var list []string
	for i := range 2 * maxQuestions {
		text := "测试" + string(rune('甲'+i)) + "观察"
		terms, list = append(terms, posture.Term{ID: "other" + string(rune('a'+i)), Text: text, Action: posture.Observe, Risk: "R4"}), append(list, text+"好")
	}
	m, option := withGuard(t, posture.Block, posture.Closed)
	w := newWorld(t, pieces(list...), option, func(_ *Options, d *posture.Draft) { d.Rules.Terms = append(d.Rules.Terms, terms...) })
	w.apply()
	if s := w.post(ask("你好", streamed)).said(t); !s.done || s.err != "" || len(m.Calls()) > maxQuestions/2+2 {
		t.Errorf("%d questions, %+v", len(m.Calls()), s)
	}
}

func TestThatNoQuestionIsLeftIsSaidOncePerText(t *testing.T) {
	_, option := withGuard(t, posture.Block, posture.Open, func(g *posture.Guard) { g.AtOnce = 32 })
	// One piece with more places than there are questions, then more.
	list := append([]string{strings.Join(mentions(maxQuestions+1, guard.Shown/2+100), "")}, mentions(9, 2*guard.Shown)...)
	w := newWorld(t, pieces(list...), option)
	w.apply()
	s := w.post(ask("你好", streamed)).said(t)
	row := w.sink.row(t)
	if !s.done || row.OutputVerdict != VerdictUninspected || row.Uninspected != 1 || len(w.signalsOf(kindFailure)) != 1 {
		t.Errorf("done %v, %s, %d uninspected, %d signals", s.done, row.OutputVerdict, row.Uninspected, len(w.signalsOf(kindFailure)))
	}
	if n := w.g.Status().Guards["svc1"].Silent[guard.Many]; n == 0 {
		t.Error("control: there were questions enough")
	}
	for _, p := range row.Verdict.Texts {
		if p.Missed > 1 {
			t.Errorf("%+v", p)
		}
	}
}

func TestTheSeveralPartsOfAMessageAreAskedAboutTogether(t *testing.T) {
	m, option := withGuard(t, posture.Block, posture.Closed)
	w := newWorld(t, answers("好"), option)
	w.apply()
	post := func(parts ...string) reply {
		for i := range parts {
			parts[i] = `{"type":"text","text":"` + parts[i] + `"}`
		}
		return w.post(`{"model":"demo","messages":[{"role":"user","content":[` + strings.Join(parts, ",") + `]}]}`)
	}
	if r := post(mentions(16, 100)...); r.status != http.StatusOK || strings.Contains(r.body, "content_filter") || len(m.Calls()) != 1 {
		t.Errorf("%d %s, %d questions", r.status, r.body, len(m.Calls()))
	}
	if got := askedOf(t, m); got[0] != "user: "+strings.Join(mentions(16, 100), "") {
		t.Errorf("asked %q", got)
	}
	// What any of them says counts, wherever it is, masks before it or not.
	far := strings.Repeat("好", 2*guard.Shown)
	for _, parts := range [][]string{{watched + evil, far}, {far, watched + evil}, {far, masked + cnID, far + watched + evil, far, watched}, {masked[:6], masked[6:] + far, far + watched + evil}} {
		if r := post(parts...); !strings.Contains(r.body, "content_filter") {
			t.Error("a prompt went through:", r.body)
		}
	}
	for _, s := range askedOf(t, m) {
		if strings.Contains(s, masked) {
			t.Error("it was shown what is covered")
		}
	}
}

func TestAConversationIsPutTogetherOnceAndInOneGo(t *testing.T) {
	list := mentions(4000, 50)
	text := func(role string, parts ...string) message {
		m := message{Role: role, Content: &content{}}
		for i := range parts {
			m.Content.Parts = append(m.Content.Parts, part{Text: &parts[i]})
		}
		return m
	}
	c := &call{request: &chatRequest{Messages: []message{text("user", list...), text("assistant", "一", "二"), text("system", "不"), text("user", "三")}}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	turns, of := c.conversation()
	runtime.ReadMemStats(&after)
	want := []guard.Turn{{Text: strings.Join(list, "")}, {Text: "一二", Said: true}, {Text: "三"}}
	if !slices.Equal(turns, want) || !slices.Equal(of, []int{0, 1, 3}) {
		t.Errorf("%d turns of %v", len(turns), of)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 { // part by part it is a thousand times the text
		t.Errorf("%d bytes for a text of %d", n, len(want[0].Text))
	}
	if again, _ := c.conversation(); &again[0] != &turns[0] {
		t.Error("it is put together twice")
	}
}
