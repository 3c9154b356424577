package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/outgoing"
	"github.com/fengsui/fengsui/internal/posture"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Terms that stand for harmful ones.
const (
	harmful = "测试违禁词甲"
	masked  = "测试遮盖词"
	swapped = "测试替换词"
	watched = "测试观察词"
	strictT = "测试严格词"
	topical = "测试话题词"
	cnID    = "11010519491231002X" // the example number of GB 11643
)

var controlKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

type recorder struct {
	mu      sync.Mutex
	rows    []Traffic
	signals []Signal
	more    chan struct{}
}

func (r *recorder) Traffic(t Traffic) {
	r.mu.Lock()
	r.rows = append(r.rows, t)
	r.mu.Unlock()
	r.more <- struct{}{}
}

func (r *recorder) Signal(s Signal) {
	r.mu.Lock()
	r.signals = append(r.signals, s)
	r.mu.Unlock()
}

// row waits for the next row.
func (r *recorder) row(t testing.TB) Traffic {
	t.Helper()
	select {
	case <-r.more:
	case <-time.After(10 * time.Second):
		t.Fatal("no traffic row came")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	row := r.rows[0]
	r.rows = r.rows[1:]
	return row
}

// world is a gateway between a client and an upstream that the test plays.
type world struct {
	t        testing.TB
	upstream http.HandlerFunc
	asked    chan []byte // bodies that reached the upstream
	headers  chan http.Header
	g        *Gateway
	url      string
	sink     *recorder
	keys     map[string]string // name → key
	revision int64
	seq      int64
	orders   []posture.Order
	draft    posture.Draft
	disabled map[string]bool
	client   *http.Client
	clock    *clock.Fake
	srv      *httptest.Server
}

type worldOption func(*Options, *posture.Draft)

func newWorld(t testing.TB, upstream http.HandlerFunc, options ...worldOption) *world {
	t.Helper()
	w := &world{t: t, upstream: upstream, asked: make(chan []byte, 4096), headers: make(chan http.Header, 4096), keys: map[string]string{}, disabled: map[string]bool{}}
	up := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.asked <- body
		w.headers <- r.Header
		w.upstream(rw, r)
	}))
	w.draft = posture.Draft{
		OperatorID: "op1", ServiceID: "svc1", Models: []string{"demo"},
		Deployments: []posture.Deployment{
			{ID: "d1", BaseURL: up.URL + "/v1", Model: "upstream-model", Secret: "up1", Role: posture.RolePrimary, Filed: true, Tested: true},
			{ID: "d2", BaseURL: up.URL + "/backup/v1", Model: "backup-model", Role: posture.RoleBackup, Filed: true, Tested: true},
			{ID: "d3", BaseURL: up.URL + "/backup/v1", Model: "unfit-model", Role: posture.RoleBackup, Filed: false, Tested: true},
		},
		Rules: posture.Rules{
			Terms: []posture.Term{
				{ID: "block", Text: harmful, Action: posture.Block, Risk: "R1"},
				{ID: "mask", Text: masked, Action: posture.Mask, Risk: "R2"},
				{ID: "replace", Text: swapped, Action: posture.Replace, Risk: "R3", Replacement: "〔替换〕"},
				{ID: "observe", Text: watched, Action: posture.Observe, Risk: "R4"},
			},
			Checks: []posture.Check{{ID: "cnid", Kind: "cn_id", Action: posture.Mask, Risk: "R5"}},
		},
		Strict: posture.Rules{Terms: []posture.Term{{ID: "strict", Text: strictT, Action: posture.Block, Risk: "R6"}}},
		Topics: []posture.Topic{{ID: "topic", Terms: []posture.Term{{ID: "topical", Text: topical, Action: posture.Observe, Risk: "R7"}}}},
		Notices: posture.Notices{
			Blocked: posture.Text{ZH: "该内容无法展示。", EN: "This content is not shown."},
			Offline: posture.Text{ZH: "服务暂停。", EN: "Service paused."},
		},
	}
	w.clock = clock.NewFake(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC))
	w.sink = &recorder{more: make(chan struct{}, 1<<16)}
	o := Options{
		ID: "gw1", StateDir: t.TempDir(), TrustedKeys: []ed25519.PublicKey{controlKey.Public().(ed25519.PublicKey)}, Clock: clock.System(),
		Secret:     func(ref string) (string, error) { return "upstream-key-" + ref, nil },
		Sink:       w.sink,
		SubjectKey: bytes.Repeat([]byte{9}, 32),
		Transport:  outgoing.Guard{AllowPrivate: true}.Transport(),
		NoticeURL:  func(id string) string { return "https://pages.example.com/notice/" + id },
	}
	for _, opt := range options {
		opt(&o, &w.draft)
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	w.g = g
	w.srv = httptest.NewUnstartedServer(g)
	w.srv.Config.ConnContext = ConnContext
	w.srv.Start()
	w.url = w.srv.URL
	w.client = &http.Client{Transport: &http.Transport{}}
	for _, name := range []string{"real", "drill", "test", "staff", "sim"} {
		w.keys[name] = posture.NewKey()
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = g.Stop(ctx)
		w.client.CloseIdleConnections()
		w.srv.CloseClientConnections()
		w.srv.Close()
		up.CloseClientConnections()
		up.Close()
	})
	return w
}

func (w *world) bundle() posture.Signed {
	w.t.Helper()
	p, err := posture.Compile(w.draft)
	if err != nil {
		w.t.Fatal(err)
	}
	w.revision++
	b := posture.Bundle{Revision: w.revision, OrderSeq: w.seq, IssuedMs: 1}
	for name, key := range w.keys {
		k := posture.GatewayKey{ID: name, Hash: posture.HashKey(key), OperatorID: "op1", TenantID: "ten1", ServiceID: "svc1", Group: "public", Kind: posture.Real, Enabled: !w.disabled[name]}
		switch name {
		case "drill", "test":
			k.Kind = posture.Kind(name)
		case "staff":
			k.Group = "staff"
		case "sim":
			k.Simulated = true
		}
		b.Keys = append(b.Keys, k)
	}
	s, err := posture.NewBundle(controlKey, b, []*posture.Posture{p}, w.orders)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// apply hands the gateway all orders given so far and these.
func (w *world) apply(orders ...posture.Order) Ack {
	w.t.Helper()
	for _, o := range orders {
		w.seq++
		o.ID, o.Seq, o.IssuedMs, o.State = fmt.Sprintf("o%d", w.seq), w.seq, 1, posture.InForce
		if o.Kind == "" {
			o.Kind = posture.Real
		}
		if o.Scope.ServiceID == "" {
			o.Scope.ServiceID = "svc1"
		}
		w.orders = append(w.orders, o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ack, err := w.g.Apply(ctx, w.bundle())
	if err != nil {
		w.t.Fatal(err)
	}
	return ack
}

type reply struct {
	status int
	header http.Header
	body   string
	events []string // data of events
}

func (w *world) request(body string, change ...func(*http.Request)) *http.Request {
	w.t.Helper()
	req, err := http.NewRequest(http.MethodPost, w.url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.keys["real"])
	req.Header.Set("Content-Type", "application/json")
	for _, c := range change {
		c(req)
	}
	return req
}

func (w *world) post(body string, change ...func(*http.Request)) reply {
	w.t.Helper()
	return w.do(w.request(body, change...))
}

func (w *world) do(req *http.Request) reply {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	res, err := w.client.Do(req.WithContext(ctx))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(body), eventsOf(string(body))}
}

func as(w *world, key string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+w.keys[key]) }
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func eventsOf(body string) (events []string) {
	sc := bufio.NewScanner(strings.NewReader(body))
	sc.Buffer(nil, 1<<22)
	for sc.Scan() {
		if data, ok := strings.CutPrefix(sc.Text(), "data: "); ok {
			events = append(events, data)
		}
	}
	return events
}

// code is the code of an error object.
func (r reply) code() string {
	var e errorBody
	_ = json.Unmarshal([]byte(r.body), &e)
	return e.Error.Code
}

func (r reply) param() string {
	var e errorBody
	_ = json.Unmarshal([]byte(r.body), &e)
	if e.Error.Param == nil {
		return ""
	}
	return *e.Error.Param
}

// said puts the texts of a stream together as an SDK does.
type said struct {
	content, reasoning, refusal, args, name map[int]string
	finish                                  map[int]string
	done                                    bool
	err                                     string
}

func (r reply) said(t testing.TB) said {
	t.Helper()
	s := said{map[int]string{}, map[int]string{}, map[int]string{}, map[int]string{}, map[int]string{}, map[int]string{}, false, ""}
	for _, e := range r.events {
		if s.done {
			t.Fatalf("an event after [DONE]: %s", e)
		}
		if e == "[DONE]" {
			s.done = true
			continue
		}
		var problem errorBody
		if json.Unmarshal([]byte(e), &problem) == nil && problem.Error.Code != "" {
			s.err = problem.Error.Code
			continue
		}
		var c chunk
		if err := json.Unmarshal([]byte(e), &c); err != nil {
			t.Fatalf("not a chunk: %s: %v", e, err)
		}
		for _, ch := range c.Choices {
			i := *ch.Index
			add := func(m map[int]string, p *string) {
				if p != nil {
					m[i] += *p
				}
			}
			add(s.content, ch.Delta.Content)
			add(s.reasoning, ch.Delta.ReasoningContent)
			add(s.reasoning, ch.Delta.Reasoning)
			add(s.refusal, ch.Delta.Refusal)
			for _, tc := range ch.Delta.ToolCalls {
				if tc.Function != nil {
					add(s.args, tc.Function.Arguments)
					add(s.name, tc.Function.Name)
				}
			}
			if ch.Finish != nil {
				s.finish[i] = *ch.Finish
			}
		}
	}
	return s
}

func ask(text string, extra ...string) string {
	q, _ := json.Marshal(text)
	return `{"model":"demo","messages":[{"role":"user","content":` + string(q) + `}]` + strings.Join(extra, "") + `}`
}

const streamed = `,"stream":true`

// answers plays an upstream that gives one answer.
func answers(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		q, _ := json.Marshal(text)
		_, _ = fmt.Fprintf(w, `{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"upstream-model","choices":[{"index":0,"message":{"role":"assistant","content":%s,"refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8},"system_fingerprint":"fp_1"}`, q)
	}
}

func contentEvent(text string) string { return deltaEvent(0, "content", text) }

func deltaEvent(choice int, name, text string) string {
	q, _ := json.Marshal(text)
	return fmt.Sprintf(`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"upstream-model","choices":[{"index":%d,"delta":{%q:%s},"logprobs":null,"finish_reason":null}]}`, choice, name, q)
}

const stopEvent = `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"upstream-model","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`

// streams plays an upstream that sends these events and [DONE].
func streamsOut(events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, e := range events {
			_, _ = io.WriteString(w, "data: "+e+"\n\n")
			w.(http.Flusher).Flush()
		}
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	}
}

// pieces makes a streamed answer out of pieces of text.
func pieces(texts ...string) http.HandlerFunc {
	var events []string
	for _, s := range texts {
		events = append(events, contentEvent(s))
	}
	return streamsOut(append(events, stopEvent)...)
}

func limitsForTests() posture.Limits {
	p, err := posture.Compile(posture.Draft{ServiceID: "s", Models: []string{"m"}, Deployments: []posture.Deployment{{ID: "d", BaseURL: "http://h/v1", Model: "m", Role: posture.RolePrimary}}})
	if err != nil {
		panic(err)
	}
	return p.Draft().Limits
}
