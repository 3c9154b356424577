package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/posture"
)

// fetch asks the upstream and brings the answer to the client.
func (c *call) fetch(ctx context.Context, req *chatRequest, dep posture.Deployment, engines []*inspect.Engine) {
	lim := c.svc.draft.Limits
	req.Model = dep.Model
	body, err := json.Marshal(req, json.Deterministic(true))
	if err != nil {
		c.refuse(badRequest("invalid_value", "", "The request cannot be passed on."))
		return
	}
	if req.Stream {
		defer c.svc.open.Add(-1)
		if c.svc.open.Add(1) > int64(lim.MaxOpenStreams) {
			p := unavailable("too_many_streams", "Too many answers are being streamed. Please try again shortly.")
			p.retry, p.after = true, 1
			c.refuse(p)
			return
		}
	}
	first := time.AfterFunc(time.Duration(lim.FirstByteMs)*time.Millisecond, func() { c.cancel(errFirstByte) })
	defer first.Stop()
	res, p := c.ask(ctx, dep, body, req.Stream)
	if p != nil {
		c.refuse(p)
		return
	}
	first.Stop()
	c.row.UpstreamStatus = res.StatusCode
	if p := checkAnswer(res, req.Stream); p != nil {
		_ = res.Body.Close()
		c.refuse(p)
		return
	}
	ctx, span := c.g.o.Tracer.Start(ctx, "gateway.release")
	defer span.End(nil)
	if !req.Stream {
		c.complete(ctx, res.Body, engines)
		return
	}
	c.g.count.streams.Add(1)
	defer c.g.count.streams.Add(-1)
	if _, now, changed := c.verdict(); changed { // tightened while the upstream was thinking
		if engines = now; c.promptBlocked(engines) {
			_ = res.Body.Close()
			c.g.count.inputBlocks.Add(1)
			c.sayBlocked(req)
			return
		}
	}
	pump := &pump{c: c, filter: newFilter(c, engines)}
	pump.run(ctx, res.Body)
	pump.filter.account()
	c.row.OutputVerdict = pump.filter.verdict
	if c.svc.guard != nil && !c.svc.waits() && c.row.OutputVerdict != VerdictBlock {
		c.askLater(pump.filter.doubts(func(int) bool { return true }))
	}
}

// ask sends the request. Nothing of the client's headers goes along.
func (c *call) ask(ctx context.Context, dep posture.Deployment, body []byte, stream bool) (*http.Response, *problem) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, dep.BaseURL+"/chat/completions", bytes.NewReader(body))
	if err != nil {
		return nil, upstreamProblem(http.StatusBadGateway, "upstream_unreachable", "The upstream address is not usable.")
	}
	h := req.Header
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "application/json")
	if stream {
		h.Set("Accept", "text/event-stream")
	}
	h.Set("Accept-Encoding", "identity")
	h.Set("User-Agent", "fengsui-gateway")
	h.Set("X-Request-Id", c.row.RequestID)
	if dep.Secret != "" {
		secret, err := c.g.o.Secret(dep.Secret)
		if err != nil || secret == "" {
			c.g.o.Logger.Error("the upstream key is not in the secret store", "gateway", c.g.o.ID, "deployment", dep.ID, "ref", dep.Secret)
			return nil, upstreamProblem(http.StatusBadGateway, "upstream_key_missing", "The upstream key is not set.")
		}
		h.Set("Authorization", "Bearer "+secret)
	}
	_, span := c.g.o.Tracer.Start(ctx, "gateway.upstream", "deployment", dep.ID)
	res, err := c.g.o.Transport.RoundTrip(req)
	if err == nil {
		span.Count("status", int64(res.StatusCode))
		span.End(nil)
		return res, nil
	}
	span.End(err)
	if p := c.problem(); p != nil {
		return nil, p
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errFirstByte), errors.Is(cause, errTotal):
		return nil, upstreamProblem(http.StatusGatewayTimeout, "upstream_timeout", "The upstream did not answer in time.")
	case cause != nil:
		return nil, &problem{status: 499, typ: typeRequest, code: "client_left", message: "The client left."} // nobody reads it; 499 is for the row
	}
	// The error may hold the upstream's address, which is not the client's business.
	c.g.o.Logger.Warn("the upstream cannot be reached", "gateway", c.g.o.ID, "deployment", dep.ID, "error", err)
	return nil, upstreamProblem(http.StatusBadGateway, "upstream_unreachable", "The upstream cannot be reached.")
}

func upstreamProblem(status int, code, text string) *problem {
	return &problem{status: status, typ: typeUp, code: code, message: text, retry: status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable}
}

// checkAnswer turns everything but a plain success into a problem. Neither text nor headers of the
// upstream's error are shown: nobody inspected them, and they may hold its keys.
func checkAnswer(res *http.Response, stream bool) *problem {
	var p *problem
	switch code := res.StatusCode; {
	case code == http.StatusOK:
	case code == http.StatusBadRequest || code == http.StatusUnprocessableEntity:
		p = badRequest("upstream_rejected", "", "The upstream does not accept the request.")
		if contextTooLong(res.Body) {
			p = badRequest("context_length_exceeded", "messages", "The conversation is longer than the model can read.")
		}
	case code == http.StatusRequestEntityTooLarge:
		p = &problem{status: code, typ: typeRequest, code: "upstream_rejected", message: "The upstream finds the request too large."}
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		p = upstreamProblem(http.StatusBadGateway, "upstream_refuses_gateway", "The upstream does not accept the gateway's key.")
	case code == http.StatusTooManyRequests:
		p = upstreamProblem(code, "upstream_busy", "The upstream has too much to do.")
	case code == http.StatusServiceUnavailable:
		p = upstreamProblem(code, "upstream_unavailable", "The upstream is not available.")
	case code == http.StatusRequestTimeout || code == http.StatusGatewayTimeout:
		p = upstreamProblem(http.StatusGatewayTimeout, "upstream_timeout", "The upstream did not answer in time.")
	default:
		p = upstreamProblem(http.StatusBadGateway, "upstream_failed", "The upstream answered with an error.")
	}
	if p != nil {
		if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && p.retry {
			p.after = min(max(n, 0), 3600)
		}
		return p
	}
	want := "application/json"
	if stream {
		want = "text/event-stream"
	}
	kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	enc := res.Header.Get("Content-Encoding")
	if err != nil || kind != want || enc != "" && !strings.EqualFold(enc, "identity") {
		return upstreamProblem(http.StatusBadGateway, "upstream_protocol", "The upstream answered in a form that cannot be inspected.")
	}
	return nil
}

// contextTooLong looks for the one code that clients handle by themselves.
func contextTooLong(body io.Reader) bool {
	raw, err := io.ReadAll(io.LimitReader(body, 16<<10))
	if err != nil {
		return false
	}
	var e struct {
		Error struct {
			Code jsontext.Value `json:"code"`
		} `json:"error"`
	}
	return json.Unmarshal(raw, &e) == nil && string(e.Error.Code) == `"context_length_exceeded"`
}
