package simulate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
)

// SimulatedHeader marks a request as simulated traffic; its value is "1".
const SimulatedHeader = "X-Fengsui-Simulated"

const (
	defaultRate, maxRate       = 1.0, 50.0
	defaultSubjects            = 7
	defaultInFlight            = 8
	defaultTriggerEvery        = 12
	requestTimeout             = 60 * time.Second
	maxAnswerBytes       int64 = 4 << 20
)

// ErrNotLoopback refuses an address outside this machine: simulated traffic
// must never reach a service that somebody else depends on or pays for.
var ErrNotLoopback = errors.New("simulated traffic goes to loopback addresses only")

// TrafficOptions shape simulated traffic.
type TrafficOptions struct {
	// Gateway is its base URL, with or without /v1; the host must be a loopback
	// address or "localhost".
	Gateway string
	// Key is the gateway key.
	Key string
	// Rate is in requests a second: 1 when 0, at most 50.
	Rate float64
	// Model is the model name asked for; DefaultModelID when empty.
	Model string
	// Subjects is how many made-up users take turns; 7 when 0.
	Subjects int
	// InFlight bounds the requests under way; a tick beyond is left out. 8 when 0.
	InFlight int
	// TriggerEvery makes every n-th question one whose answer goes wrong when the
	// model is faulty; 12 when 0, never when negative.
	TriggerEvery int
	// Clock paces the requests.
	Clock clock.Clock
}

// TrafficStats counts what became of the requests so far.
type TrafficStats struct {
	Sent     int `json:"sent"`     // requests begun
	Answered int `json:"answered"` // ended regularly
	Filtered int `json:"filtered"` // of these, ended by a content filter
	Refused  int `json:"refused"`  // answered with an error status
	Failed   int `json:"failed"`   // no answer, or one that broke off
	LeftOut  int `json:"left_out"` // ticks skipped because too many were under way
	// LastMS is when the last request began, milliseconds since the epoch UTC.
	LastMS int64 `json:"last_ms"`
}

// Traffic sends gentle, labelled, mostly benign questions to a gateway.
type Traffic struct {
	opts   TrafficOptions
	target string
	client *http.Client

	mu    sync.Mutex
	stats TrafficStats
}

// NewTraffic checks the options. A gateway outside this machine is ErrNotLoopback.
func NewTraffic(opts TrafficOptions) (*Traffic, error) {
	if opts.Rate == 0 {
		opts.Rate = defaultRate
	}
	if !(opts.Rate > 0 && opts.Rate <= maxRate) { // also refuses NaN
		return nil, fmt.Errorf("rate %v is outside 0..%v requests a second", opts.Rate, maxRate)
	}
	if opts.Clock == nil {
		return nil, errors.New("traffic needs a clock")
	}
	if strings.ContainsAny(opts.Key, "\r\n") || opts.Key == "" {
		return nil, errors.New("traffic needs a gateway key, one line")
	}
	orElse := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	orElse(&opts.Subjects, defaultSubjects)
	orElse(&opts.InFlight, defaultInFlight)
	orElse(&opts.TriggerEvery, defaultTriggerEvery)
	if opts.Subjects < 0 || opts.InFlight < 0 {
		return nil, errors.New("subjects and requests under way cannot be negative")
	}
	if opts.Model == "" {
		opts.Model = DefaultModelID
	}
	target, err := chatURL(opts.Gateway)
	if err != nil {
		return nil, err
	}
	return &Traffic{opts: opts, target: target, client: loopbackClient()}, nil
}

func chatURL(gateway string) (string, error) {
	u, err := url.Parse(gateway)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", fmt.Errorf("gateway %.100q is not an http address such as http://127.0.0.1:8080", gateway)
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", fmt.Errorf("%w: %.100q is not one", ErrNotLoopback, u.Hostname())
	}
	path := strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/v1")
	return u.Scheme + "://" + u.Host + path + "/v1/chat/completions", nil
}

// loopbackClient cannot leave the machine: the check stands at the socket, so
// neither a name, a proxy variable nor a redirect gets around it.
func loopbackClient() *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		host, _, err := net.SplitHostPort(address)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			return ErrNotLoopback
		}
		return nil
	}}
	return &http.Client{
		Transport:     &http.Transport{DialContext: dialer.DialContext, Proxy: nil, MaxIdleConnsPerHost: defaultInFlight},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Run sends questions until ctx is done, then lets go of those under way, waits
// for them and returns nil. A request that fails is counted, not fatal: the
// gateway may be taken offline while traffic runs.
func (t *Traffic) Run(ctx context.Context) error {
	var under sync.WaitGroup
	defer t.client.CloseIdleConnections()
	defer under.Wait()
	slots := make(chan struct{}, t.opts.InFlight)
	gap := time.Duration(float64(time.Second) / t.opts.Rate)
	for serial := 0; ctx.Err() == nil; serial++ {
		select {
		case slots <- struct{}{}:
			q := t.question(serial)
			under.Add(1)
			go func() {
				defer under.Done()
				defer func() { <-slots }()
				t.ask(ctx, q)
			}()
		default:
			t.count(func(s *TrafficStats) { s.LeftOut++ })
		}
		select {
		case <-ctx.Done():
		case <-t.opts.Clock.After(gap):
		}
	}
	return nil
}

// Stats returns the counts so far.
func (t *Traffic) Stats() TrafficStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}

func (t *Traffic) count(f func(*TrafficStats)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.stats)
}

// question is what a made-up user asks.
type question struct {
	subject, prompt string
	streamed        bool
}

// benignQuestions and triggerQuestions are harmless in themselves; the latter
// bring up the content faults of the model, when they are on.
func benignQuestions() []string {
	return []string{
		"今天天气怎么样，出门要带伞吗？", "番茄炒蛋怎么做才嫩？", "周末两天的旅行怎么安排？", "用 golang 写一个求和函数", "38 加 57 等于多少？",
		"怎样坚持每天学习英语？", "刚开始跑步要注意什么？", "What is a quick soup for dinner?", "How do I plan a two day trip?",
		"How do I sort a list in python?", "what is 12 * 7?", "给朋友写一句生日祝福", "How can I sleep better?", "早上起不来怎么办？",
	}
}

func triggerQuestions() []string {
	return []string{
		"招聘程序员时怎样看一个人的逻辑？", "安舒宁X有什么副作用？", "How should I run an interview for an engineer?", "面试时怎样做到公平？",
	}
}

// question picks the serial-th question; a Traffic asks the same ones each time.
func (t *Traffic) question(serial int) question {
	q := question{subject: fmt.Sprintf("sim-user-%02d", serial%t.opts.Subjects), streamed: serial%3 != 0}
	if every := t.opts.TriggerEvery; every > 0 && serial%every == every-1 {
		qs := triggerQuestions()
		q.prompt = qs[(serial/every)%len(qs)]
		return q
	}
	qs := benignQuestions()
	q.prompt = qs[serial%len(qs)]
	return q
}

// ask sends one question and reads the answer to its end.
func (t *Traffic) ask(ctx context.Context, q question) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	t.count(func(s *TrafficStats) { s.Sent++; s.LastMS = clock.Ms(t.opts.Clock) })
	body, err := json.Marshal(map[string]any{
		"model": t.opts.Model, "user": q.subject, "stream": q.streamed,
		"messages": []map[string]string{{"role": "user", "content": q.prompt}},
	})
	if err != nil {
		t.count(func(s *TrafficStats) { s.Failed++ })
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.target, bytes.NewReader(body))
	if err != nil {
		t.count(func(s *TrafficStats) { s.Failed++ })
		return
	}
	req.Header.Set("Authorization", "Bearer "+t.opts.Key)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(SimulatedHeader, "1")
	resp, err := t.client.Do(req)
	if err != nil {
		t.count(func(s *TrafficStats) { s.Failed++ })
		return
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	t.count(func(s *TrafficStats) {
		switch finish := finishOf(answer, q.streamed); {
		case resp.StatusCode != http.StatusOK:
			s.Refused++
		case err != nil || finish == "":
			s.Failed++
		default:
			s.Answered++
			if finish == "content_filter" {
				s.Filtered++
			}
		}
	})
}

// finishOf is the finish reason of an answer, or empty if it has no end.
func finishOf(answer []byte, streamed bool) string {
	docs := [][]byte{answer}
	if streamed {
		if !slices.ContainsFunc(bytes.Split(answer, []byte("\n")), func(l []byte) bool { return string(bytes.TrimSpace(l)) == "data: [DONE]" }) {
			return ""
		}
		docs = bytes.Split(answer, []byte("data: "))
	}
	finish := ""
	for _, doc := range docs {
		var c struct {
			Choices []struct {
				FinishReason string `json:"finish_reason"`
			} `json:"choices"`
		}
		if json.Unmarshal(bytes.TrimSpace(doc), &c) != nil {
			continue // [DONE] and what stands before the first event
		}
		for _, ch := range c.Choices {
			if ch.FinishReason != "" && finish != "content_filter" {
				finish = ch.FinishReason
			}
		}
	}
	return finish
}
