package gateway

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/monitor/guard"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/simulate"
)

// evil is what the guard of the tests calls fraud; the rules see nothing in it.
const evil = "转账到安全账户"

// asking posts a body and comes back when the guard is being asked about it; the reply follows.
func asking(w *world, m *simulate.Model, body string) <-chan reply {
	before := len(m.Calls())
	got := make(chan reply, 1)
	go func() { got <- w.post(body) }()
	for len(m.Calls()) == before {
		time.Sleep(time.Millisecond)
	}
	return got
}

// withGuard puts a simulated guard model behind a world's gateway.
func withGuard(t testing.TB, action posture.Action, failure posture.FailureMode, change ...func(*posture.Guard)) (*simulate.Model, worldOption) {
	t.Helper()
	m := simulate.NewModel(simulate.Options{APIKey: "upstream-key-guard", Record: true})
	srv := httptest.NewServer(m)
	t.Cleanup(func() {
		m.Stop()
		srv.CloseClientConnections()
		srv.Close()
	})
	opinions(t, m)
	return m, func(_ *Options, d *posture.Draft) {
		d.Guard = &posture.Guard{BaseURL: srv.URL + "/v1", Model: "guard-1", Secret: "guard", Action: action, Failure: failure, WaitMs: 15_000, PerMinute: 1000}
		for _, c := range change {
			c(d.Guard)
		}
	}
}

func opinions(t testing.TB, m *simulate.Model, more ...simulate.Fault) {
	t.Helper()
	if err := m.SetFaults(append([]simulate.Fault{{Name: simulate.FaultScripted, Always: true, Text: "safe"}, {Name: simulate.FaultScripted, Contains: evil, Text: "fraud"}}, more...)); err != nil {
		t.Fatal(err)
	}
}

// askedOf gives the texts that the guard was shown, after what was said before each, and who wrote them.
func askedOf(t testing.TB, m *simulate.Model) (texts []string) {
	t.Helper()
	for _, c := range m.Calls() {
		var body struct {
			Messages []struct{ Content string } `json:"messages"`
		}
		if err := json.Unmarshal(c.Body, &body, json.MatchCaseInsensitiveNames(true)); err != nil {
			t.Fatal(err)
		}
		var object struct {
			Before []struct {
				From string `json:"from"`
				Text string `json:"text"`
			} `json:"before"`
			From string `json:"from"`
			Text string `json:"text"`
		}
		if err := json.Unmarshal([]byte(strings.Split(body.Messages[1].Content, "\n")[1]), &object); err != nil {
			t.Fatal(err)
		}
		all := ""
		for _, b := range object.Before {
			all += b.From + ": " + b.Text + " / "
		}
		texts = append(texts, all+object.From+": "+object.Text)
	}
	return texts
}

func (w *world) signalsOf(kind string) (list []Signal) {
	w.sink.mu.Lock()
	defer w.sink.mu.Unlock()
	for _, s := range w.sink.signals {
		if s.Match.Kind == kind {
			list = append(list, s)
		}
	}
	return list
}

func TestATextThatARuleOnlyNoticedWaitsForTheGuardAndIsBlockedIfUnsafe(t *testing.T) {
	for _, stream := range []string{"", streamed} {
		m, option := withGuard(t, posture.Block, posture.Closed)
		w := newWorld(t, answers("好"), option)
		if stream != "" {
			w.upstream = pieces("好")
		}
		w.apply()
		r := w.post(ask(watched+evil, stream))
		row := w.sink.row(t)
		if r.status != 200 || !strings.Contains(r.body, "该内容无法展示") || row.InputVerdict != VerdictBlock || row.OutputVerdict != VerdictNone || len(w.asked) != 0 {
			t.Errorf("unsafe: %d %s %+v, upstream asked %d times", r.status, r.body, row, len(w.asked))
		}
		i := slices.IndexFunc(row.Verdict.Hits, func(m inspect.Hit) bool { return m.Kind == KindGuard })
		if i < 0 || row.Verdict.Hits[i].RuleID != "guard.fraud" || row.Verdict.Hits[i].Risk != "A.1.h" || row.Verdict.Hits[i].Action != inspect.Block || row.Verdict.Hits[i].Side != Input || row.Verdict.Hits[i].Runes != 12 {
			t.Errorf("%+v", row.Verdict.Hits)
		}
		if n := w.signalsOf(KindGuard); len(n) != 1 || n[0].Match.Action != "block" {
			t.Errorf("%d signals", len(n))
		}
		r = w.post(ask(watched+"无害", stream))
		if row := w.sink.row(t); row.InputVerdict != VerdictObserve || row.OutputVerdict != VerdictAllow || !strings.Contains(r.body, "好") {
			t.Errorf("safe: %+v %s", row, r.body)
		}
		before := len(m.Calls())
		w.post(ask(evil, stream)) // no rule noticed anything
		w.post(ask(cnID+evil, stream))
		w.post(ask(harmful+watched+evil, stream)) // nothing to ask: it is blocked
		for range 3 {
			w.sink.row(t)
		}
		if got := askedOf(t, m); len(got) != before {
			t.Errorf("it was asked without need: %q", got[before:])
		}
	}
}

func TestTheGuardSeesWhatTheModelWouldAndNotWhatIsCovered(t *testing.T) {
	m, option := withGuard(t, posture.Block, posture.Closed)
	w := newWorld(t, pieces("甲"+masked, watched, "乙"), option)
	w.apply()
	w.post(ask(watched+cnID, streamed))
	got := askedOf(t, m)
	prompt := "user: " + watched + strings.Repeat("*", 18)
	if want := []string{prompt, prompt + " / assistant: 甲" + strings.Repeat("*", 5) + watched, prompt + " / assistant: 甲" + strings.Repeat("*", 5) + watched + "乙"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAnAnswerThatIsNotStreamedIsReplacedWholeWhenTheGuardCallsItUnsafe(t *testing.T) {
	_, option := withGuard(t, posture.Block, posture.Closed)
	w := newWorld(t, answers(watched+evil), option)
	w.apply()
	r := w.post(ask("你好"))
	if row := w.sink.row(t); strings.Contains(r.body, evil) || !strings.Contains(r.body, "content_blocked") || row.OutputVerdict != VerdictBlock || row.ReleasedRunes != 0 {
		t.Errorf("%s %+v", r.body, row)
	}
	w.upstream = answers(watched + "无害")
	if r := w.post(ask("你好")); !strings.Contains(r.body, watched+"无害") {
		t.Error(r.body)
	}
}

func TestAStreamWaitsWhereARuleNoticesAndEndsThereIfUnsafe(t *testing.T) {
	_, option := withGuard(t, posture.Block, posture.Closed)
	w := newWorld(t, pieces("开头。", evil, watched, "后面"), option)
	w.apply()
	s := w.post(ask("你好", streamed)).said(t)
	row := w.sink.row(t)
	// What made it unsafe came before anything was noticed, so it has left; the documentation says so.
	if s.content[0] != "开头。"+evil || s.finish[0] != "content_filter" || !s.done || row.OutputVerdict != VerdictBlock {
		t.Errorf("%+v %s", s, row.OutputVerdict)
	}
	w.upstream = pieces("开头。", watched, "无害的中间", evil) // unsafe at its end only
	s = w.post(ask("你好", streamed)).said(t)
	if s.content[0] != "开头。"+watched+"无害的中间"+evil || s.finish[0] != "content_filter" || !s.done {
		t.Errorf("%+v", s)
	}
	w.upstream = pieces("开头。", watched, strings.Repeat("无害的中间", 300), evil, "后面", "再后面")
	s = w.post(ask("你好", streamed)).said(t)
	if s.finish[0] != "content_filter" || strings.Contains(s.content[0], "再后面") && !strings.Contains(s.content[0], evil) {
		t.Errorf("finish %q", s.finish[0])
	}
	w.upstream = pieces("开头。", watched, "后面")
	if s = w.post(ask("你好", streamed)).said(t); s.content[0] != "开头。"+watched+"后面" || s.finish[0] != "stop" || !s.done {
		t.Errorf("%+v", s)
	}
}

func TestWithoutAnOpinionTheFailureModeDecides(t *testing.T) {
	for _, fault := range []simulate.FaultName{simulate.FaultError500, simulate.FaultError429, simulate.FaultDie, simulate.FaultStall, simulate.FaultBadJSON, simulate.FaultGibberishEvent} {
		for _, failure := range []posture.FailureMode{posture.Open, posture.Closed} {
			t.Run(string(fault)+" "+string(failure), func(t *testing.T) {
				m, option := withGuard(t, posture.Block, failure, func(g *posture.Guard) {
					if fault == simulate.FaultStall {
						g.WaitMs = 100
					}
				})
				w := newWorld(t, answers("好"), option)
				w.apply()
				opinions(t, m, simulate.Fault{Name: fault, Contains: evil})
				r := w.post(ask(watched + evil))
				row := w.sink.row(t)
				if failure == posture.Closed {
					if r.code() != "inspection_failed" || r.status != 503 || len(w.asked) != 0 {
						t.Errorf("closed: %d %s", r.status, r.body)
					}
				} else if n := w.signalsOf("failure"); r.status != 200 || row.InputVerdict != VerdictUninspected || row.Uninspected != 1 || len(n) != 1 || n[0].Match.RuleID != ruleGuardSilent {
					t.Errorf("open: %d, verdict %s, %d uninspected, %d signals", r.status, row.InputVerdict, row.Uninspected, len(n))
				}
				w.upstream = pieces("甲", watched+evil, "乙")
				s := w.post(ask("你好", streamed)).said(t)
				row = w.sink.row(t)
				if failure == posture.Closed {
					if s.err != "inspection_failed" || s.done || strings.Contains(s.content[0], evil) {
						t.Errorf("closed stream: %+v", s)
					}
				} else if s.content[0] != "甲"+watched+evil+"乙" || row.OutputVerdict != VerdictUninspected {
					t.Errorf("open stream: %+v %s", s, row.OutputVerdict)
				}
			})
		}
	}
}

func TestASilenceOfTheGuardIsASignalWhateverBecomesOfTheText(t *testing.T) {
	for _, c := range []struct {
		action  posture.Action
		failure posture.FailureMode
		verdict string
	}{{posture.Block, posture.Open, VerdictUninspected}, {posture.Block, posture.Closed, VerdictObserve}, {posture.Observe, posture.Closed, VerdictObserve}} {
		m, option := withGuard(t, c.action, c.failure)
		w := newWorld(t, answers("好"), option)
		w.apply()
		w.post(ask(watched + "无害"))
		w.g.later.Wait()
		if n := w.signalsOf(kindFailure); len(n) != 0 {
			t.Errorf("%s %s: control: %+v", c.action, c.failure, n)
		}
		opinions(t, m, simulate.Fault{Name: simulate.FaultError500})
		w.post(`{"model":"demo","messages":[{"role":"user","content":"` + watched + `一"},{"role":"user","content":"` + watched + `二"}]}`)
		w.g.later.Wait()
		n := w.signalsOf(kindFailure)
		if len(n) != 1 || n[0].Match.RuleID != "gateway.guard_silent" || n[0].Match.Action != c.verdict || n[0].Match.Side != Input || n[0].ServiceID != "svc1" || n[0].ID == "" || n[0].AtMs == 0 {
			t.Errorf("%s %s: %+v", c.action, c.failure, n)
		}
		if s := w.g.Status(); s.SilentGuards() != 0 {
			t.Errorf("after one: %+v", s.Guards)
		}
		for i := range 5 {
			w.post(ask(watched + strings.Repeat("啊", i)))
			w.g.later.Wait()
		}
		if s := w.g.Status(); s.SilentGuards() != 1 {
			t.Errorf("after many: %+v", s.Guards)
		}
	}
}

func TestAGuardBesideTheTrafficDelaysNothingAndReportsWhatItCallsUnsafe(t *testing.T) {
	for _, stream := range []string{"", streamed} {
		m, option := withGuard(t, posture.Observe, posture.Closed)
		w := newWorld(t, answers("甲"+watched+evil), option)
		if stream != "" {
			w.upstream = pieces("甲", watched, evil)
		}
		w.apply()
		opinions(t, m, simulate.Fault{Name: simulate.FaultSlow, DelayMS: 300})
		r := w.post(ask(watched+evil, stream))
		row := w.sink.row(t)
		if !strings.Contains(r.body, "甲") || row.InputVerdict != VerdictObserve || row.OutputVerdict != VerdictObserve || len(w.signalsOf(KindGuard)) != 0 {
			t.Errorf("%s %+v", r.body, row)
		}
		w.g.later.Wait()
		n := w.signalsOf(KindGuard)
		if len(n) != 2 || n[0].Match.Side == n[1].Match.Side {
			t.Fatalf("%d signals", len(n))
		}
		for _, s := range n {
			if s.Match.RuleID != "guard.fraud" || s.Match.Action != "observe" || s.Match.Risk != "A.1.h" || s.RequestID != row.RequestID || s.Fingerprint == "" || s.ID == "" || s.AtMs == 0 {
				t.Errorf("%+v", s)
			}
			if len(s.Messages)+len(s.Prompt)+len(s.Answer) != 0 {
				t.Error("the content is there twice")
			}
		}
	}
}

func TestAnOrderEndsAnAnswerThatWaitsForTheGuard(t *testing.T) {
	m, option := withGuard(t, posture.Block, posture.Open)
	w := newWorld(t, pieces("甲", watched, evil), option)
	w.apply()
	opinions(t, m, simulate.Fault{Name: simulate.FaultStall})
	got := make(chan reply, 1)
	go func() { got <- w.post(ask("你好", streamed)) }()
	for len(m.Calls()) == 0 {
		time.Sleep(time.Millisecond)
	}
	began := time.Now()
	if ack := w.apply(posture.Order{Rung: posture.ServiceOffline}); ack.StreamsCut != 1 {
		t.Fatalf("%+v", ack)
	}
	r := <-got
	if d := time.Since(began); d > time.Second {
		t.Errorf("it took %s", d)
	}
	if s := r.said(t); strings.Contains(s.content[0], watched) || strings.Contains(s.content[0], evil) || !strings.Contains(r.body, "service_offline") {
		t.Errorf("%s", r.body)
	}
	if row := w.sink.row(t); !row.CutByOrder || row.OutputVerdict == VerdictUninspected {
		t.Errorf("%+v", row)
	}
	// The same while a prompt waits, and while an answer that is not streamed does.
	for _, body := range []string{ask(watched), ask("你好")} {
		w := newWorld(t, answers(watched+evil), option)
		w.apply()
		got := asking(w, m, body)
		w.apply(posture.Order{Rung: posture.ServiceOffline})
		if r := <-got; r.code() != "service_offline" {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
}

func TestNothingThatWaitsForTheGuardLeavesWhenTheRequestTakesTooLong(t *testing.T) {
	m, option := withGuard(t, posture.Block, posture.Open)
	w := newWorld(t, pieces("甲", watched, "乙", "丙", "丁"), option, func(_ *Options, d *posture.Draft) { d.Limits.TotalMs = 300 })
	w.apply()
	opinions(t, m, simulate.Fault{Name: simulate.FaultStall})
	for range 5 {
		if s := w.post(ask("你好", streamed)).said(t); s.err != "request_too_long" || s.done || s.content[0] != "甲" && s.content[0] != "" {
			t.Errorf("%+v", s)
		}
	}
}

func TestTheStopOfAGatewayHushesQuestionsThatNobodyWaitsFor(t *testing.T) {
	m, option := withGuard(t, posture.Observe, posture.Closed)
	w := newWorld(t, answers("好"), option)
	w.apply()
	opinions(t, m, simulate.Fault{Name: simulate.FaultStall})
	w.post(ask(watched))
	for len(m.Calls()) == 0 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := w.g.Stop(ctx); err != nil || ctx.Err() != nil {
		t.Error(err)
	}
}

func TestAGuardOutlivesANewPostureUnlessItIsAskedOnOtherTerms(t *testing.T) {
	_, option := withGuard(t, posture.Block, posture.Closed)
	w := newWorld(t, answers("好"), option)
	w.apply()
	w.post(ask(watched))
	w.sink.row(t)
	numbers := func() guard.Numbers { return w.g.Status().Guards["svc1"] }
	if n := numbers(); n.Asked != 1 || n.Resting {
		t.Fatalf("%+v", n)
	}
	w.draft.Guard.Action, w.draft.Guard.Failure, w.draft.Models = posture.Observe, posture.Open, []string{"demo", "other"}
	if w.apply(); numbers().Asked != 1 {
		t.Error("it forgot")
	}
	w.draft.Guard.PerMinute++
	if w.apply(); numbers().Asked != 0 {
		t.Error("it kept the old budget")
	}
	w.draft.Guard = nil
	if w.apply(); len(w.g.Status().Guards) != 0 {
		t.Error("a guard that nobody asks for is there")
	}
	w.post(ask(watched + evil))
	if row := w.sink.row(t); row.InputVerdict != VerdictObserve {
		t.Errorf("%+v", row)
	}
}

func TestOneRequestAsksTheGuardSoOftenAndNoMore(t *testing.T) {
	m, option := withGuard(t, posture.Block, posture.Closed, func(g *posture.Guard) { g.AtOnce = 32 })
	w := newWorld(t, answers("好"), option)
	w.apply()
	var many []string
	for i := range maxQuestions + 1 { // too long to be shown with another
		many = append(many, `{"role":"user","content":"`+watched+strings.Repeat("啊", 4000+i)+`"}`)
	}
	body := func(n int) string {
		return `{"model":"demo","messages":[` + strings.Join(many[:n], ",") + `]}`
	}
	if r := w.post(body(maxQuestions)); r.status != http.StatusOK {
		t.Errorf("%d %s", r.status, r.body)
	}
	// What is remembered does not count, so that a conversation may go on.
	if r := w.post(body(maxQuestions + 1)); r.status != http.StatusOK {
		t.Errorf("%d %s", r.status, r.body)
	}
	if n := len(m.Calls()); n != maxQuestions+1 {
		t.Errorf("%d calls", n)
	}
	for i := range many {
		many[i] = strings.Replace(many[i], watched, watched+"新", 1)
	}
	if n := w.g.Status().Guards["svc1"].Silent[guard.Many]; n != 0 {
		t.Errorf("control: %d not asked", n)
	}
	if r := w.post(body(maxQuestions + 1)); r.code() != "inspection_failed" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if n := w.g.Status().Guards["svc1"].Silent[guard.Many]; n != 1 {
		t.Errorf("%d not asked", n)
	}
	// The answer has questions of its own.
	w.upstream = answers(watched + "好")
	if r := w.post(body(maxQuestions)); r.status != http.StatusOK || !strings.Contains(r.body, watched) {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestWhatTheOperatorWroteIsNotJudgedAndWhatTheModelSaidIsItsOwn(t *testing.T) {
	m, option := withGuard(t, posture.Block, posture.Closed)
	w := newWorld(t, answers("好"), option)
	w.apply()
	r := w.post(`{"model":"demo","tools":[{"type":"function","function":{"name":"f","description":"` + watched + evil + `"}}],"messages":[{"role":"system","content":"` + watched + evil + `"},` +
		`{"role":"user","content":"` + watched + `一"},{"role":"assistant","content":"` + watched + `二"},{"role":"user","content":"三"}]}`)
	got := askedOf(t, m)
	if want := []string{"user: " + watched + "一 / assistant: " + watched + "二"}; r.status != http.StatusOK || !slices.Equal(got, want) {
		t.Errorf("%d, asked %q, want %q", r.status, got, want)
	}
}

func TestTheGuardJudgesAConversationInOneQuestion(t *testing.T) {
	m, option := withGuard(t, posture.Block, posture.Closed)
	w := newWorld(t, answers("好"), option)
	w.apply()
	var turns []string
	say := func(role, text string) {
		turns = append(turns, `{"role":"`+role+`","content":"`+text+`"}`)
	}
	post := func(want ...string) {
		t.Helper()
		before := len(m.Calls())
		if r := w.post(`{"model":"demo","messages":[` + strings.Join(turns, ",") + `]}`); r.status != http.StatusOK || strings.Contains(r.body, "content_filter") {
			t.Errorf("%d %s", r.status, r.body)
		}
		if got := askedOf(t, m)[before:]; !slices.Equal(got, want) {
			t.Errorf("asked %q, want %q", got, want)
		}
	}
	say("system", "不给外人看")
	say("user", "甲"+cnID)
	say("assistant", "乙")
	say("user", watched+"丙")
	hidden := "user: 甲" + strings.Repeat("*", 18) + " / assistant: 乙 / user: " + watched + "丙"
	post(hidden)
	say("assistant", "丁")
	say("user", "戊")
	post() // nothing new to notice
	say("assistant", "己")
	say("user", watched+"庚")
	post(hidden + " / assistant: 丁 / user: 戊 / assistant: 己 / user: " + watched + "庚")
	w.upstream = answers(watched + "辛") // an answer is judged with what it answers
	turns = turns[:2]
	post("user: 甲" + strings.Repeat("*", 18) + " / assistant: " + watched + "辛")
	turns = nil
	for i := range 3 * maxQuestions { // short ones that were noticed long ago cost one question
		say("user", watched+strings.Repeat("啊", i))
	}
	w.upstream = answers("好")
	before := len(m.Calls())
	if r := w.post(`{"model":"demo","messages":[` + strings.Join(turns, ",") + `]}`); r.status != http.StatusOK || len(m.Calls()) != before+1 {
		t.Errorf("%d %s, %d questions", r.status, r.body, len(m.Calls())-before)
	}
	// What an older message says counts still.
	turns[1] = `{"role":"user","content":"` + watched + evil + `"}`
	if r := w.post(`{"model":"demo","messages":[` + strings.Join(turns, ",") + `]}`); !strings.Contains(r.body, "content_filter") {
		t.Error(r.body)
	}
}

func TestAGuardWithAFormatOfItsOwnJudgesEachTextAndTakesTheRiskOfWhatWasNoticed(t *testing.T) {
	m, option := withGuard(t, posture.Block, posture.Closed, func(g *posture.Guard) { g.Format = posture.LlamaGuard })
	w := newWorld(t, answers("好"), option)
	w.apply()
	body := `{"model":"demo","messages":[{"role":"user","content":"` + watched + `一"},{"role":"assistant","content":"二"},{"role":"user","content":"` + watched + `三"}]}`
	if r := w.post(body); r.status != http.StatusOK || strings.Contains(r.body, "content_filter") || len(m.Calls()) != 2 { // it judges the last text only
		t.Errorf("%d %s, %d questions", r.status, r.body, len(m.Calls()))
	}
	if err := m.SetFaults([]simulate.Fault{{Name: simulate.FaultScripted, Always: true, Text: "unsafe\nS6"}}); err != nil {
		t.Fatal(err)
	}
	r := w.post(ask(watched + "四"))
	n := w.signalsOf(KindGuard)
	if !strings.Contains(r.body, "content_filter") || len(n) != 1 || n[0].Match.RuleID != "guard.unsafe" || n[0].Match.Risk != w.draft.Rules.Terms[slices.IndexFunc(w.draft.Rules.Terms, func(x posture.Term) bool { return x.Text == watched })].Risk || n[0].Match.Risk == "" {
		t.Errorf("%s %+v", r.body, n)
	}
}

func TestBesideTheTrafficToWhatTheGuardRemembersIsNoQuestion(t *testing.T) {
	m, option := withGuard(t, posture.Observe, posture.Closed, func(g *posture.Guard) { g.AtOnce = 32 })
	w := newWorld(t, answers("好"), option)
	w.apply()
	var many []string
	for i := range maxQuestions + 2 {
		many = append(many, `{"role":"user","content":"`+watched+strings.Repeat("啊", 4000+i)+`"}`)
	}
	post := func(n int) (calls int, silent int64) {
		before := len(m.Calls())
		w.post(`{"model":"demo","messages":[` + strings.Join(many[:n], ",") + `]}`)
		w.g.later.Wait()
		return len(m.Calls()) - before, w.g.Status().Guards["svc1"].Silent[guard.Many]
	}
	if n, silent := post(maxQuestions); n != maxQuestions || silent != 0 {
		t.Errorf("%d calls, %d not asked", n, silent)
	}
	if n, silent := post(maxQuestions + 2); n != 2 || silent != 0 || len(w.signalsOf(kindFailure)) != 0 {
		t.Errorf("%d calls, %d not asked", n, silent)
	}
	for i := range many {
		many[i] = strings.Replace(many[i], watched, watched+"新", 1)
	}
	if n, silent := post(maxQuestions + 2); n != maxQuestions || silent != 2 || len(w.signalsOf(kindFailure)) != 1 {
		t.Errorf("%d calls, %d not asked, %d signals", n, silent, len(w.signalsOf(kindFailure)))
	}
}

func TestWhatTheGuardCannotBeShownIsSaid(t *testing.T) {
	far := strings.Repeat("无害的话", 3000)
	for _, action := range []posture.Action{posture.Observe, posture.Block} {
		m, option := withGuard(t, action, posture.Open)
		numbers := func(w *world) guard.Numbers { return w.g.Status().Guards["svc1"] }
		stream := func(pieces http.HandlerFunc) *world {
			w := newWorld(t, pieces, option)
			w.apply()
			w.post(ask("你好", streamed))
			w.sink.row(t)
			w.g.later.Wait()
			return w
		}
		if w := stream(pieces(watched, "好")); numbers(w).Silent[guard.Gone] != 0 || numbers(w).Partly != 0 || len(w.signalsOf(kindFailure)) != 0 {
			t.Errorf("%s: control: %+v", action, numbers(w))
		}
		// Noticed in a piece of which only the end is kept.
		w := stream(pieces(watched+strings.Repeat(far, 8), "好"))
		if n := w.signalsOf(kindFailure); numbers(w).Silent[guard.Gone] != 1 || len(n) != 1 || n[0].Match.Side != Output {
			t.Errorf("%s: %+v, %d signals", action, numbers(w), len(n))
		}
		before := len(m.Calls())
		w = newWorld(t, answers("好"), option)
		w.apply()
		w.post(ask(watched + far))
		w.g.later.Wait()
		if n := numbers(w); n.Partly != 1 || len(m.Calls()) != before+1 {
			t.Errorf("%s: %+v", action, n)
		}
	}
}

func TestMasksBeforeWhatIsNoticedDoNotDrawTheGuardAway(t *testing.T) {
	_, option := withGuard(t, posture.Block, posture.Closed)
	far := strings.Repeat("无害的话", 6000)
	text := strings.Repeat(masked, 6000) + watched + evil + far // masks are a third as long in bytes
	w := newWorld(t, answers("好"), option)
	w.apply()
	if r := w.post(ask(text)); !strings.Contains(r.body, "content_filter") {
		t.Error("a prompt went through")
	}
	w.upstream = answers(text)
	if r := w.post(ask("你好")); !strings.Contains(r.body, "content_filter") {
		t.Error("an answer went through")
	}
	w.upstream = pieces(strings.Repeat(masked, 6000)+watched+evil+strings.Repeat("啊", 9000), "好")
	if s := w.post(ask("你好", streamed)).said(t); s.finish[0] != "content_filter" {
		t.Error("a stream went through")
	}
}

func TestADecoyDoesNotDrawTheGuardAwayFromWhatIsNoticedFarBehindIt(t *testing.T) {
	_, option := withGuard(t, posture.Block, posture.Closed)
	far := strings.Repeat("无害的话", 3000)
	w := newWorld(t, answers("好"), option)
	w.apply()
	if r := w.post(ask(watched + far + watched + evil)); !strings.Contains(r.body, "content_blocked") {
		t.Error("a prompt went through")
	}
	w.upstream = answers(watched + far + watched + evil)
	if r := w.post(ask("你好")); !strings.Contains(r.body, "content_blocked") {
		t.Error("an answer went through")
	}
	w.upstream = pieces(watched, far, far, watched+evil, "后面")
	if s := w.post(ask("你好", streamed)).said(t); s.finish[0] != "content_filter" || strings.Contains(s.content[0], evil) {
		t.Errorf("a stream went through: %s", s.finish[0])
	}
	w.upstream = pieces(watched, strings.Repeat(far, 9), watched+evil, "后面") // beyond what is kept of a text
	if s := w.post(ask("你好", streamed)).said(t); s.finish[0] != "content_filter" || strings.Contains(s.content[0], evil) {
		t.Errorf("a long stream went through: %s", s.finish[0])
	}
}

func TestAnOrderThatComesWhileATextWaitsForTheGuardBindsThatText(t *testing.T) {
	m, option := withGuard(t, posture.Block, posture.Closed)
	for name, c := range map[string]struct {
		upstream http.HandlerFunc
		body     string
		runs     bool // the request reaches the upstream
	}{
		"a prompt":            {answers("好"), ask(watched + topical), false},
		"an answer":           {answers(watched + topical), ask("你好"), true},
		"a stream":            {pieces("甲", watched+topical, "乙"), ask("你好", streamed), true},
		"the end of a stream": {pieces("甲", watched, "乙"+topical), ask("你好", streamed), true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.upstream, option)
			w.apply()
			if r := w.post(c.body); !strings.Contains(r.body+c.body, topical) || strings.Contains(r.body, "content_filter") {
				t.Fatal("without an order:", r.body)
			}
			w.sink.row(t)
			if c.runs {
				<-w.asked
			}
			w = newWorld(t, c.upstream, option) // with a guard that remembers nothing
			w.apply()
			opinions(t, m, simulate.Fault{Name: simulate.FaultSlow, DelayMS: 500})
			got := asking(w, m, c.body)
			w.apply(posture.Order{Rung: posture.TopicBlock, Params: posture.Params{TopicIDs: []string{"topic"}}})
			r := <-got
			if strings.Contains(r.body, topical) || !strings.Contains(r.body, "content_filter") {
				t.Errorf("%s", r.body)
			}
			if c.runs != (len(w.asked) == 1) {
				t.Errorf("the upstream was asked %d times", len(w.asked))
			}
			opinions(t, m)
		})
	}
}

func TestAnOrderDoesNotWaitForTheGuard(t *testing.T) {
	m, option := withGuard(t, posture.Block, posture.Closed) // waits 15 s
	for name, c := range map[string]struct {
		upstream http.HandlerFunc
		body     string
	}{
		"a prompt":  {answers("好"), ask(watched + topical)},
		"an answer": {answers(watched + topical), ask("你好")},
		"a stream":  {pieces("甲", watched+topical, "乙"), ask("你好", streamed)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.upstream, option)
			w.apply()
			opinions(t, m, simulate.Fault{Name: simulate.FaultStall})
			got := asking(w, m, c.body)
			began := time.Now()
			w.apply(posture.Order{Rung: posture.TopicBlock, Params: posture.Params{TopicIDs: []string{"topic"}}})
			r := <-got
			if d := time.Since(began); d > 5*time.Second || strings.Contains(r.body, topical) || !strings.Contains(r.body, "content_filter") {
				t.Errorf("after %s: %s", d, r.body)
			}
		})
	}
}

func TestAQuestionGoesOnWhileOrdersTightenAndIsNotPutTwice(t *testing.T) {
	m, option := withGuard(t, posture.Block, posture.Closed)
	for name, c := range map[string]struct {
		upstream http.HandlerFunc
		body     string
	}{
		"a prompt":  {answers("好"), ask(watched + evil)},
		"an answer": {answers(watched + evil), ask("你好")},
		"a stream":  {pieces("甲", watched+evil, "乙"), ask("你好", streamed)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.upstream, option)
			w.apply()
			opinions(t, m, simulate.Fault{Name: simulate.FaultSlow, DelayMS: 800})
			before := len(m.Calls())
			got := asking(w, m, c.body)
			w.apply(posture.Order{Rung: posture.StrictFilter})
			if r := <-got; strings.Contains(r.body, evil) || !strings.Contains(r.body, "content_filter") {
				t.Errorf("%s", r.body)
			}
			if n := len(m.Calls()) - before; n != 1 {
				t.Errorf("%d questions", n)
			}
		})
	}
}

func TestWhatIsClearedUnderANewOrderLeavesOnceAfterItWaited(t *testing.T) {
	m, option := withGuard(t, posture.Block, posture.Closed)
	w := newWorld(t, pieces("甲", "乙"+watched+"丙", "丁", "戊"), option)
	w.apply()
	opinions(t, m, simulate.Fault{Name: simulate.FaultSlow, DelayMS: 300})
	got := make(chan reply, 1)
	go func() { got <- w.post(ask("你好", streamed)) }()
	for len(m.Calls()) == 0 {
		time.Sleep(time.Millisecond)
	}
	w.apply(posture.Order{Rung: posture.StrictFilter})
	if s := (<-got).said(t); s.content[0] != "甲乙"+watched+"丙丁戊" || s.finish[0] != "stop" || !s.done {
		t.Errorf("%+v", s)
	}
}
