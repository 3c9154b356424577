package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/simulate"
)

// script is a server that answers each request by the next of its lines and the rest by the last.
type script struct {
	mu    sync.Mutex
	lines []func(http.ResponseWriter)
	seen  []string // key and body of each request
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.seen = append(s.seen, r.Header.Get("Idempotency-Key")+" "+r.Header.Get("Authorization")+" "+string(body))
	line := s.lines[min(len(s.seen), len(s.lines))-1]
	s.mu.Unlock()
	line(w)
}

// requests are those that came in so far.
func (s *script) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

func says(status int, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func streams(body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, body)
	}
}

func dies(http.ResponseWriter) { panic(http.ErrAbortHandler) }

func diesInTheMiddle(w http.ResponseWriter) {
	w.Header().Set("Content-Length", "100")
	io.WriteString(w, `{"id":"o`)
	panic(http.ErrAbortHandler)
}

func serve(t *testing.T, lines ...func(http.ResponseWriter)) (*client, *script) {
	t.Helper()
	s := &script{lines: lines}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return &client{base: srv.URL, http: srv.Client(), clock: clock.System(), lang: "zh", patience: 5 * time.Second}, s
}

func TestACallIsMadeAgainUnderTheSameKeyUntilTheServerIsBack(t *testing.T) {
	c, s := serve(t, dies, diesInTheMiddle, says(503, `{"key":"store.busy"}`), says(502, "<html>"), says(200, `{"id":"one"}`))
	var out idView
	if err := c.post(t.Context(), "tok", "/orders", "drill/contain/order", map[string]string{"rung": "strict_filter"}, &out); err != nil {
		t.Fatal(err)
	}
	if out.ID != "one" || len(s.requests()) != 5 || c.trials != 4 {
		t.Errorf("%+v after %d requests, %d of them again", out, len(s.requests()), c.trials)
	}
	for _, got := range s.requests() {
		if got != `drill/contain/order Bearer tok {"rung":"strict_filter"}` {
			t.Errorf("request %q", got)
		}
	}
}

func TestWhatTheServerRefusesIsNotTriedAgain(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 409, 422, 500} {
		c, s := serve(t, says(status, `{"status":200,"key":"identity.same_person","field":"second","detail":"no"}`))
		err := c.post(t.Context(), "tok", "/x", "k", nil, nil)
		var r *Refusal
		if !errors.As(err, &r) || r.Status != status || !refused(err, "identity.same_person") || refused(err, "other") || len(s.requests()) != 1 {
			t.Errorf("%d: %v after %d requests", status, err, len(s.requests()))
		}
	}
}

func TestACallGivesUpWhenItsPatienceEnds(t *testing.T) {
	c, s := serve(t, dies)
	c.patience = 300 * time.Millisecond
	began := time.Now()
	if err := c.get(t.Context(), "", "/x", nil); err == nil {
		t.Error("a dead server answers")
	}
	if took := time.Since(began); took < c.patience || took > 5*time.Second || len(s.requests()) < 2 {
		t.Errorf("gave up after %s and %d requests", took, len(s.requests()))
	}
}

func TestACancelledCallEndsAtOnce(t *testing.T) {
	c, _ := serve(t, dies)
	c.patience = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := c.get(ctx, "", "/x", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestAnAnswerOfAnotherShapeIsAnError(t *testing.T) {
	c, _ := serve(t, says(200, `<html>`))
	if err := c.get(t.Context(), "", "/x", &idView{}); err == nil {
		t.Error("a page is taken for an answer")
	}
}

const (
	whole   = "data: {\"choices\":[{\"delta\":{\"content\":\"你\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"好\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
	broken  = "data: {\"choices\":[{\"delta\":{\"content\":\"你\"}}]}\n\n"
	refusal = `{"error":{"message":"x","type":"y","param":null,"code":"%s"}}`
)

func TestWhatAClientHears(t *testing.T) {
	for _, c := range []struct {
		name     string
		lines    []func(http.ResponseWriter)
		want     heard
		requests int
	}{
		{"a plain answer", []func(http.ResponseWriter){says(200, `{"choices":[{"message":{"content":"好"},"finish_reason":"stop"}]}`)}, heard{status: 200, text: "好", finish: "stop", whole: true}, 1},
		{"a streamed answer", []func(http.ResponseWriter){streams(whole)}, heard{status: 200, text: "你好", finish: "stop", whole: true}, 1},
		{"a stream that breaks is asked for again", []func(http.ResponseWriter){streams(broken), streams(whole)}, heard{status: 200, text: "你好", finish: "stop", whole: true}, 2},
		{"a dead gateway is asked again", []func(http.ResponseWriter){dies, streams(whole)}, heard{status: 200, text: "你好", finish: "stop", whole: true}, 2},
		{"offline is an answer", []func(http.ResponseWriter){says(503, fmt.Sprintf(refusal, "service_offline"))}, heard{status: 503, code: "service_offline", whole: true}, 1},
		{"a gateway without posture is asked again", []func(http.ResponseWriter){says(503, fmt.Sprintf(refusal, "no_posture")), streams(whole)}, heard{status: 200, text: "你好", finish: "stop", whole: true}, 2},
		{"a key that is not known yet is shown again", []func(http.ResponseWriter){says(401, fmt.Sprintf(refusal, "invalid_api_key")), streams(whole)}, heard{status: 200, text: "你好", finish: "stop", whole: true}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl, s := serve(t, c.lines...)
			got, err := cl.ask(t.Context(), cl.base, "key", "m", "who", "什么", true)
			if err != nil || got != c.want || len(s.requests()) != c.requests {
				t.Errorf("%+v, %v after %d requests", got, err, len(s.requests()))
			}
		})
	}
}

// faulty is a simulated model with its switches.
func faulty(t *testing.T) (*client, *simulate.Model, string) {
	t.Helper()
	m := simulate.NewModel(simulate.Options{})
	srv := httptest.NewServer(m)
	t.Cleanup(func() { m.Stop(); srv.Close() })
	return &client{http: srv.Client(), clock: clock.System(), patience: time.Second}, m, faultsURL(srv.URL + "/v1")
}

func TestADrillSwitchesOnlyItsOwnFaults(t *testing.T) {
	c, m, url := faulty(t)
	const id, other = "01KAMHKZ0000000000000000AA", "01KAMHKZ0000000000000000BB"
	others := []simulate.Fault{{Name: simulate.FaultSlow, DelayMS: 1}, {Name: simulate.FaultStall, Contains: mark(slowly(other))}}
	if err := m.SetFaults(others); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a rerun switches the same again
		if err := c.setFaults(t.Context(), url, id, defect{"name": "discrimination", "contains": mark(id)}, defect{"name": "stall", "contains": mark(slowly(id))}); err != nil {
			t.Fatal(err)
		}
	}
	if on := m.Faults(); len(on) != 4 || !slices.Equal(on[:2], others) {
		t.Errorf("faults %+v", on)
	}
	if err := c.setFaults(t.Context(), url, id); err != nil {
		t.Fatal(err)
	}
	if on := m.Faults(); !slices.Equal(on, others) {
		t.Errorf("faults %+v after the fix", on)
	}
}

func TestAModelWithoutSwitchesIsNamedAsTheCause(t *testing.T) {
	c, _ := serve(t, says(404, "not found"))
	c.patience = 200 * time.Millisecond
	if err := c.setFaults(t.Context(), c.base+"/faults", "x"); err == nil || !strings.Contains(err.Error(), "simulate-model") {
		t.Error(err)
	}
}

func TestEveryQuestionOfAScenarioMeetsItsFaultAndNoOther(t *testing.T) {
	book, err := Scenarios()
	if err != nil {
		t.Fatal(err)
	}
	const id = "01KAMHKZ0000000000000000AA"
	for _, name := range ScenarioIDs() {
		sc := book[name]
		c, m, url := faulty(t)
		if err := c.setFaults(t.Context(), url, id, defect{"name": sc.Fault, "contains": mark(id)}); err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(m)
		defer srv.Close()
		for _, p := range sc.Prompts {
			if h, err := c.ask(t.Context(), srv.URL, "", "m", "who", said(p, id), false); err != nil || !strings.Contains(h.text, sc.Trigger) {
				t.Errorf("%s: %q is answered %q, %v", name, p, h.text, err)
			}
			if h, err := c.ask(t.Context(), srv.URL, "", "m", "who", said(p, "another"), false); err != nil || strings.Contains(h.text, sc.Trigger) {
				t.Errorf("%s: the question of another drill is answered %q, %v", name, h.text, err)
			}
		}
		if h, err := c.ask(t.Context(), srv.URL, "", "m", "who", sc.Benign, false); err != nil || strings.Contains(h.text, sc.Trigger) {
			t.Errorf("%s: the ordinary question is answered %q, %v", name, h.text, err)
		}
		if err := c.setFaults(t.Context(), url, id, defect{"name": "stall", "contains": mark(slowly(id))}); err != nil {
			t.Fatal(err)
		}
		if f := m.Faults(); len(f) != 1 || !strings.Contains(said(sc.Prompts[0], slowly(id)), f[0].Contains) || strings.Contains(said(sc.Prompts[0], id), f[0].Contains) {
			t.Errorf("%s: %+v makes the wrong questions hang", name, f)
		}
	}
}

func TestEveryStageOfTheDataCanBePlayedAndNoneTwice(t *testing.T) {
	book, err := Scenarios()
	if err != nil {
		t.Fatal(err)
	}
	if len(book) != len(ScenarioIDs()) {
		t.Errorf("%d scenarios in the data, %d offered", len(book), len(ScenarioIDs()))
	}
	for id, sc := range book {
		r := &run{sc: sc, client: &client{}}
		if acts, err := r.acts(); err != nil || len(acts) != len(sc.Stages) {
			t.Errorf("%s: %v", id, err)
		}
		names := sc.stageNames()
		slices.Sort(names)
		if len(slices.Compact(names)) != len(sc.Stages) {
			t.Errorf("%s has a stage twice", id)
		}
		for _, n := range sc.Stages {
			if n.ZH == "" || n.EN == "" {
				t.Errorf("%s: stage %s has no title", id, n.ID)
			}
		}
	}
	r := &run{sc: Scenario{Stages: []Name{{ID: "dance"}}}, client: &client{}}
	if _, err := r.acts(); err == nil {
		t.Error("an unknown stage is played")
	}
}

// ended drills and paused ones, as the server tells.
func TestADrillThatIsOverOrPausedIsNotPlayed(t *testing.T) {
	drillOf := func(state State, stages string) string {
		js, _ := json.Marshal(Started{Drill: Drill{ID: "01KAMHKZ0000000000000000AA", Number: "D-DR-2026-0001", State: state, IncidentID: "i", Stages: stages}})
		return string(js)
	}
	options := func(c *client) Options {
		return Options{Server: c.base, Token: "t", Upstream: "http://127.0.0.1:9/v1", Scenario: "A.1", DrillID: "01KAMHKZ0000000000000000AA", HTTP: c.http}
	}
	c, s := serve(t, says(200, drillOf(Passed, `[{"name":"prepare","at":"x","ms":1}]`)))
	if res, err := Run(t.Context(), options(c)); err != nil || !res.Passed || len(res.Stages) != 1 || res.Incident != "i" || len(s.requests()) != 1 {
		t.Errorf("passed before: %+v, %v", res, err)
	}
	c, _ = serve(t, says(200, drillOf(Aborted, `[]`)))
	if res, err := Run(t.Context(), options(c)); err == nil || res.Passed {
		t.Errorf("aborted before: %+v", res)
	}
	c, _ = serve(t, says(409, `{"key":"drill.paused"}`))
	if res, err := Run(t.Context(), options(c)); !errors.Is(err, ErrPaused) || res.Passed {
		t.Errorf("paused: %+v, %v", res, err)
	}
	o := options(c)
	o.DrillID = "mine"
	if _, err := Run(t.Context(), o); err == nil {
		t.Error("an id that is no ULID is taken")
	}
	o = options(c)
	o.Scenario = "A.9"
	if _, err := Run(t.Context(), o); err == nil {
		t.Error("an unknown scenario is played")
	}
}
