package gateway

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/posture"
)

func TestAnUpstreamThatFailsBeforeItAnswersBecomesAStatus(t *testing.T) {
	said := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Retry-After", "7")
			w.Header().Set("X-Upstream-Secret", "s")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	const js = "application/json"
	die := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	secret := `{"error":{"message":"key sk-upstream is wrong ` + harmful + `","code":"invalid_api_key"}}`
	for _, c := range []struct {
		name   string
		up     http.HandlerFunc
		stream bool
		status int
		code   string
		after  string
	}{
		{"dies", die, false, 502, "upstream_unreachable", ""},
		{"dies before a stream", die, true, 502, "upstream_unreachable", ""},
		{"says nothing", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, false, 504, "upstream_timeout", ""},
		{"says nothing to a stream", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, true, 504, "upstream_timeout", ""},
		{"begins a stream and says nothing", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, true, 504, "upstream_stalled", ""},
		{"begins a stream and dies", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, true, 502, "upstream_interrupted", ""},
		{"dies inside an answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", js)
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"id":`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, false, 502, "upstream_interrupted", ""},
		{"400", said(400, js, secret), false, 400, "upstream_rejected", ""},
		{"context too long", said(400, js, `{"error":{"message":"`+harmful+`","code":"context_length_exceeded"}}`), true, 400, "context_length_exceeded", ""},
		{"401", said(401, js, secret), false, 502, "upstream_refuses_gateway", ""},
		{"404", said(404, js, secret), false, 502, "upstream_failed", ""},
		{"429", said(429, js, secret), false, 429, "upstream_busy", "7"},
		{"500", said(500, js, secret), true, 502, "upstream_failed", ""},
		{"503", said(503, js, secret), true, 503, "upstream_unavailable", "7"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
		}, false, 502, "upstream_failed", ""},
		{"HTML", said(200, "text/html", "<p>"+harmful), false, 502, "upstream_protocol", ""},
		{"JSON where a stream is due", said(200, js, secret), true, 502, "upstream_protocol", ""},
		{"a stream where JSON is due", said(200, "text/event-stream", "data: x\n\n"), false, 502, "upstream_protocol", ""},
		{"gzip all the same", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", js)
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write([]byte(`{}`))
			_ = z.Close()
		}, false, 502, "upstream_protocol", ""},
		{"broken JSON", said(200, js, `{"choices":[`), false, 502, "upstream_protocol", ""},
		{"duplicate names", said(200, js, `{"choices":[{"index":0,"message":{"content":"x","content":"y"}}]}`), false, 502, "upstream_protocol", ""},
		{"no choices", said(200, js, `{"choices":[]}`), false, 502, "upstream_protocol", ""},
		{"too large", said(200, js, `{"choices":[{"index":0,"message":{"content":"`+strings.Repeat("x", 1<<17)+`"}}]}`), false, 502, "upstream_too_large", ""},
		{"an error as the first event", said(200, "text/event-stream", "data: "+secret+"\n\n"), true, 502, "upstream_failed", ""},
		{"no chunk as the first event", said(200, "text/event-stream", "data: hello\n\n"), true, 502, "upstream_protocol", ""},
		{"an event without end", said(200, "text/event-stream", "data: "+strings.Repeat("x", 1<<17)), true, 502, "upstream_protocol", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.up, func(_ *Options, d *posture.Draft) {
				d.Limits.FirstByteMs, d.Limits.IdleMs, d.Limits.MaxAnswerBytes, d.Limits.MaxEventBytes = 300, 300, 1<<16, 1<<16
			})
			w.apply()
			form := ""
			if c.stream {
				form = streamed
			}
			r := w.post(ask("问", form))
			if r.status != c.status || r.code() != c.code || r.header.Get("Retry-After") != c.after {
				t.Fatalf("%d %q %s", r.status, r.header.Get("Retry-After"), r.body)
			}
			if all := r.body + fmt.Sprint(r.header); strings.Contains(all, "sk-upstream") || strings.Contains(all, harmful) || strings.Contains(all, "Upstream-Secret") || strings.Contains(all, "127.0.0.1") {
				t.Fatalf("leaked: %s", all)
			}
			if row := w.sink.row(t); row.ErrorCode != c.code || row.ReleasedRunes != 0 {
				t.Fatalf("%+v", row)
			}
		})
	}
}

func TestAnUpstreamThatFailsInsideAStreamBecomesAnErrorEvent(t *testing.T) {
	begin := func(then func(w http.ResponseWriter, r *http.Request)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: "+contentEvent("开头测试遮")+"\n\n")
			w.(http.Flusher).Flush()
			then(w, r)
		}
	}
	for _, c := range []struct {
		name string
		then func(w http.ResponseWriter, r *http.Request)
		code string
	}{
		{"dies", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "upstream_interrupted"},
		{"ends without finish", func(http.ResponseWriter, *http.Request) {}, "upstream_interrupted"},
		{"stalls", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "upstream_stalled"},
		{"stalls inside an event", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "data: {\"id\":")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "upstream_stalled"},
		{"reports an error", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "data: {\"error\":{\"message\":\""+harmful+"\"}}\n\n")
		}, "upstream_failed"},
		{"sends no JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "data: "+harmful+"\n\n") }, "upstream_protocol"},
		{"sends duplicate names", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `data: {"choices":[{"index":0,"delta":{"content":"`+harmful+`","content":"x"}}]}`+"\n\n")
		}, "upstream_protocol"},
		{"sends broken UTF-8", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "data: "+contentEvent("X")[:20]+"\xff\n\n")
		}, "upstream_protocol"},
		{"sends an event without end", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "data: "+strings.Repeat("x", 1<<17)+"\n\n")
		}, "upstream_protocol"},
		{"talks for too long", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, ": still here "+harmful+"\n\n")
				w.(http.Flusher).Flush()
			}
		}, "request_too_long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, begin(c.then), func(_ *Options, d *posture.Draft) {
				d.Limits.IdleMs, d.Limits.TotalMs, d.Limits.MaxEventBytes = 300, 1500, 1<<16
				if c.code == "request_too_long" {
					d.Limits.TotalMs = 300
				}
			})
			w.apply()
			r := w.post(ask("问", streamed))
			s := r.said(t)
			// What was held back is not cleared, so it does not leave; there is no [DONE], for the answer is not complete.
			if r.status != 200 || s.content[0] != "开头" || s.err != c.code || s.done || strings.Contains(r.body, harmful) {
				t.Fatalf("%d %s", r.status, r.body)
			}
			if row := w.sink.row(t); row.ErrorCode != c.code || row.ReleasedRunes != 2 {
				t.Fatalf("%+v", row)
			}
		})
	}
}

func TestAStreamThatForgetsDoneIsEndedProperly(t *testing.T) {
	w := newWorld(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, ": hello\n\nevent: x\nid: 7\nretry: 1\ndata: "+contentEvent("好")+"\r\n\r\ndata:"+stopEvent+"\r\r")
	})
	w.apply()
	r := w.post(ask("问", streamed))
	if s := r.said(t); s.content[0] != "好" || s.finish[0] != "stop" || !s.done || strings.Contains(r.body, "hello") || strings.Contains(r.body, "retry") {
		t.Fatalf("%q", r.body)
	}
}

func TestAFailingCheckFollowsTheModeOfItsSide(t *testing.T) {
	for _, c := range []struct {
		name          string
		input, output posture.FailureMode
		failFrom      int // which use of the engine fails first
		stream        bool
		status        int
		code          string
	}{
		{"input closed", posture.Closed, posture.Open, 1, false, 503, "inspection_failed"},
		{"output closed", posture.Open, posture.Closed, 2, false, 503, "inspection_failed"},
		{"output closed in a stream", posture.Open, posture.Closed, 2, true, 503, "inspection_failed"},
		{"both open", posture.Open, posture.Open, 1, false, 200, ""},
		{"both open in a stream", posture.Open, posture.Open, 1, true, 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			up, form := answers("好"), ""
			if c.stream {
				up, form = pieces("好"), streamed
			}
			w := newWorld(t, up, func(_ *Options, d *posture.Draft) { d.Failure = posture.Failure{Input: c.input, Output: c.output} })
			uses := 0
			w.g.fail = func(int) {
				if uses++; uses >= c.failFrom {
					panic("a fault in the engine")
				}
			}
			w.apply()
			r := w.post(ask("问", form))
			if r.status != c.status || r.code() != c.code {
				t.Fatalf("%d %s", r.status, r.body)
			}
			row := w.sink.row(t)
			if c.status == 200 {
				if row.Uninspected == 0 || row.OutputVerdict != VerdictUninspected || w.g.Status().Counters.Uninspected == 0 || len(w.sink.signals) == 0 || !strings.Contains(r.body, "好") {
					t.Fatalf("failing open was not counted: %+v", row)
				}
			} else if row.OutputVerdict == VerdictAllow && row.InputVerdict == VerdictAllow && row.Uninspected == 0 && row.ErrorCode == "" {
				t.Fatalf("a failure was noted as success: %+v", row)
			}
		})
	}
}

func TestOfManySignalsOfOneRequestTheFirstCarriesTheContent(t *testing.T) {
	w := newWorld(t, pieces(masked, swapped, watched))
	w.apply()
	w.post(ask(watched+masked, streamed))
	if len(w.sink.signals) < 5 {
		t.Fatalf("%d signals prove nothing", len(w.sink.signals))
	}
	for i, s := range w.sink.signals {
		if has := len(s.Messages)+len(s.Prompt)+len(s.Answer) > 0; has != (i == 0) {
			t.Errorf("signal %d of %s: content is %v", i, s.Match.RuleID, has)
		}
		if s.RequestID != w.sink.signals[0].RequestID || s.Fingerprint == "" {
			t.Errorf("%+v", s.Match)
		}
	}
}

func TestSignalsCarryTheCaptureAndOneFingerprintForOnePrompt(t *testing.T) {
	w := newWorld(t, pieces("开头", harmful))
	w.apply()
	w.post(ask("How  are YOU", streamed), header(HeaderSubject, "a"))
	w.post(ask("how are you", streamed), header(HeaderSubject, "b"))
	w.post(ask("something else", streamed))
	if len(w.sink.signals) != 3 {
		t.Fatalf("%+v", w.sink.signals)
	}
	a, b, c := w.sink.signals[0], w.sink.signals[1], w.sink.signals[2]
	if a.Fingerprint != b.Fingerprint || a.Fingerprint == c.Fingerprint || a.Subject == b.Subject || a.Subject == "" || c.Subject != "" {
		t.Fatalf("%+v %+v %+v", a, b, c)
	}
	if a.Match.RuleID != "block" || a.Match.Risk != "R1" || a.Match.Side != Output || a.Released != 0 && a.Released != 2 || a.Answer != "开头"+harmful || a.Prompt != "How  are YOU" || len(a.Messages) == 0 || a.ContentNumber == "" || a.Kind != "real" || a.Language != "en" {
		t.Fatalf("%+v", a)
	}
}
