package api_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/trace"
)

// receiver takes traces as a collector does: OTLP over HTTP.
type receiver struct {
	*httptest.Server
	mu  sync.Mutex
	all []*spans.Span
	raw bytes.Buffer
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body := io.Reader(req.Body)
		if req.Header.Get("Content-Encoding") == "gzip" {
			gz, err := gzip.NewReader(req.Body)
			if err != nil {
				t.Error(err)
				return
			}
			body = gz
		}
		raw, err := io.ReadAll(body)
		var in collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(raw, &in)
		}
		if err != nil || req.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", req.URL.Path, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.raw.Write(raw)
		for _, res := range in.ResourceSpans {
			for _, scope := range res.ScopeSpans {
				r.all = append(r.all, scope.Spans...)
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) named(name string) (out []*spans.Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.all {
		if s.Name == name {
			out = append(out, s)
		}
	}
	return out
}

func value(s *spans.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == "fengsui."+key {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

func TestTracesFollowARequestAnOrderAndAMessageAndHoldNoContent(t *testing.T) {
	r := newReceiver(t)
	tracer, err := trace.Open(t.Context(), trace.Options{Endpoint: r.URL, Node: "n", Version: "v"})
	if err != nil {
		t.Fatal(err)
	}
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(hook.Close)
	b := newBenchWith(t, app.Options{Tracer: tracer, Webhook: hook.URL, AllowPrivateWebhooks: true, WebhookSecret: strings.Repeat("s", 32)})
	const text = "测试违禁词甲CANARY"
	var c struct {
		ID        string `json:"id"`
		AnomalyID string `json:"anomaly_id"`
	}
	b.must(t, b.call(t, "", "POST", "/complaints", `{"service_id":"`+b.svc+`","text":"`+text+`","contact":"`+text+`"}`), &c)
	var order struct {
		ID string `json:"id"`
	}
	b.must(t, b.call(t, "duty_officer", "POST", "/orders", `{"cause":"anomaly","cause_id":"`+c.AnomalyID+`","rung":"strict_filter","service_id":"`+b.svc+`","group":"g","reason":"`+text+`"}`), &order)
	b.until(t, "the order is acknowledged", func() bool { return b.count(t, "SELECT COUNT(*) FROM order_ack WHERE order_id = ?", order.ID) > 0 })
	b.until(t, "a message is sent", func() bool { return b.count(t, "SELECT COUNT(*) FROM outbox WHERE state = 'sent'") > 0 })
	key := struct {
		Key string `json:"key"`
	}{}
	b.must(t, b.call(t, "system_admin", "POST", "/services/"+b.svc+"/keys", `{"tenant":"t","user_group":"g","traffic_kind":"real"}`), &key)
	b.until(t, "the gateway asks its upstream", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), "POST", b.app.GatewayURL()+"/v1/chat/completions", strings.NewReader(`{"model":"m","messages":[{"role":"user","content":"`+text+`"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+key.Key)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusBadGateway || res.StatusCode == http.StatusOK
	})
	b.app.Stop() // a span ends after its answer
	if err := tracer.Close(); err != nil {
		t.Fatal(err)
	}
	asked := r.named("POST issue-order")
	writes := r.named("store.write")
	if len(asked) != 1 || !slices.ContainsFunc(writes, func(s *spans.Span) bool { return bytes.Equal(s.ParentSpanId, asked[0].SpanId) }) {
		t.Errorf("%d requests, and none of %d writes inside", len(asked), len(writes))
	}
	followed := r.named("order.issue to acknowledgement")
	if len(followed) == 0 || value(followed[0], "order") != order.ID || followed[0].EndTimeUnixNano < followed[0].StartTimeUnixNano {
		t.Errorf("the order was not followed: %v", followed)
	}
	if sent := r.named("outbox.send"); len(sent) == 0 || value(sent[0], "template") == "" {
		t.Errorf("no message was followed: %v", sent)
	}
	through, up := r.named("gateway.request"), r.named("gateway.upstream")
	if len(up) == 0 || value(up[0], "deployment") != b.dep || !slices.ContainsFunc(through, func(s *spans.Span) bool {
		return bytes.Equal(s.SpanId, up[0].ParentSpanId) && value(s, "service") == b.svc
	}) {
		t.Errorf("a gateway's request was not followed: %v %v", through, up)
	}
	if r.raw.Len() == 0 || bytes.Contains(r.raw.Bytes(), []byte("CANARY")) || bytes.Contains(r.raw.Bytes(), []byte(key.Key)) {
		t.Error("content is in the traces")
	}
}

func (b *bench) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 400 {
		if ok() {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatal(what)
}

func TestARequestsIDIsTakenOrMadeAndAnsweredAndInEveryLineOfIt(t *testing.T) {
	b := newBench(t)
	for name, c := range map[string]struct {
		given string
		taken bool
	}{"one of a proxy": {"req-0123456789", true}, "none": {"", false}, "one that is no id": {"a b\"c=d level=ERROR", false}, "one that is too long": {strings.Repeat("a", 65), false}} {
		t.Run(name, func(t *testing.T) {
			a := b.call(t, "commander", "GET", "/incidents/01NOSUCHINCIDENT", "", trace.Header, c.given)
			id := a.header.Get(trace.Header)
			if (id == c.given) != c.taken || id == "" {
				t.Fatalf("given %q, answered %q", c.given, id)
			}
			b.until(t, "the request has its line", func() bool { return strings.Count(b.log.String(), "request_id="+id) >= 2 })
			lines := 0
			for line := range strings.Lines(b.log.String()) {
				if !strings.Contains(line, "request_id="+id) {
					continue
				}
				lines++
				if strings.Contains(line, "msg=\"request refused\"") && !strings.Contains(line, "incident_id=01NOSUCHINCIDENT") {
					t.Errorf("a line about an incident does not name it: %s", line)
				}
				if strings.Contains(line, "msg=request ") && (!strings.Contains(line, "route=get-incident") || !strings.Contains(line, "status=404")) {
					t.Errorf("the line of the request: %s", line)
				}
			}
			if lines != 2 {
				t.Errorf("%d lines", lines)
			}
		})
	}
	res, err := http.Get(b.app.URL() + "/welcome/CANARYtoken")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	b.until(t, "the page has its line", func() bool { return strings.Contains(b.log.String(), "route=/welcome/{token}") })
	if strings.Contains(b.log.String(), "CANARYtoken") {
		t.Error("a link's secret is in the log")
	}
}

func TestARequestThatWasGivenUpIsNotLoggedAsAFailureOfOurs(t *testing.T) {
	b := newBench(t)
	status := func(line string) string {
		_, rest, _ := strings.Cut(line, "status=")
		code, _, _ := strings.Cut(rest, " ")
		return code
	}
	lines := func(id string) (codes []string, failed bool) {
		for line := range strings.Lines(b.log.String()) {
			if strings.Contains(line, "request_id="+id) {
				failed = failed || strings.Contains(line, "level=ERROR")
				if strings.Contains(line, "msg=request ") {
					codes = append(codes, status(line))
				}
			}
		}
		return codes, failed
	}
	// A writer holds the store, so that the request waits until whoever asked has left.
	inside, release := make(chan struct{}), make(chan struct{})
	held := make(chan error, 1)
	go func() {
		held <- b.app.House.Store.Write(context.Background(), store.System("test"), func(*store.Tx) error { close(inside); <-release; return nil })
	}()
	<-inside
	ctx, leave := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer leave()
	req, err := http.NewRequestWithContext(ctx, "POST", b.app.URL()+"/api/v1/complaints", strings.NewReader(`{"service_id":"`+b.svc+`","text":"x","contact":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(trace.Header, "req-given-up")
	if res, err := http.DefaultClient.Do(req); err == nil {
		res.Body.Close()
		t.Fatal("it was answered")
	}
	b.until(t, "it has its line", func() bool { codes, _ := lines("req-given-up"); return len(codes) == 1 })
	close(release)
	if err := <-held; err != nil {
		t.Fatal(err)
	}
	if codes, failed := lines("req-given-up"); codes[0] != "499" || failed {
		t.Errorf("%q, logged as failed: %v", codes, failed)
	}
	// One that fails while somebody waits is a failure.
	b.exec(t, "ALTER TABLE plan RENAME TO plan_away")
	if a := b.call(t, "commander", "GET", "/plans", "", trace.Header, "req-that-fails"); a.status != http.StatusInternalServerError {
		t.Fatalf("%d %s", a.status, a.body)
	}
	b.until(t, "it has its line", func() bool { codes, _ := lines("req-that-fails"); return len(codes) == 1 })
	if codes, failed := lines("req-that-fails"); codes[0] != "500" || !failed {
		t.Errorf("%q, logged as failed: %v", codes, failed)
	}
}

func TestLinesAreStructured(t *testing.T) {
	var buf bytes.Buffer
	log := slog.New(trace.Logs(slog.NewJSONHandler(&buf, nil))).With("a", 1)
	ctx := trace.About(trace.With(t.Context(), trace.NewRequest("req-0123456789")), "01INCIDENT")
	log.InfoContext(ctx, "said")
	log.Info("without")
	var with, without map[string]any
	dec := json.NewDecoder(&buf)
	if err := dec.Decode(&with); err != nil || with["request_id"] != "req-0123456789" || with["incident_id"] != "01INCIDENT" || with["a"] != 1.0 {
		t.Errorf("%v %v", err, with)
	}
	if err := dec.Decode(&without); err != nil || without["request_id"] != nil {
		t.Errorf("%v %v", err, without)
	}
}
