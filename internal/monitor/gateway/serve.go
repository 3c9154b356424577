package gateway

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/posture"
)

// Headers of our own.
const (
	HeaderContentNumber = "X-Fengsui-Content-Number" // response: the number of this generated content
	HeaderRequestID     = "X-Fengsui-Request-Id"     // response
	HeaderSubject       = "X-Fengsui-Subject"        // request: who asks, kept as an HMAC only
	HeaderSimulated     = "X-Fengsui-Simulated"      // request: "1" marks simulated traffic, for keys that may
)

const bodyWait = 30 * time.Second // for a client that sends its request slowly

// ServeHTTP serves the two doors and refuses the others by name.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.count.requests.Add(1)
	id := g.newID()
	w.Header().Set(HeaderRequestID, id)
	refuse := func(p *problem) {
		g.count.refused.Add(1)
		p.write(w)
	}
	method := ""
	switch path := r.URL.EscapedPath(); {
	case path == "/v1/chat/completions":
		method = http.MethodPost
	case path == "/v1/models":
		method = http.MethodGet
	case strings.HasPrefix(path, "/v1/"):
		refuse(&problem{status: http.StatusNotFound, typ: typeRequest, code: "endpoint_not_inspected",
			message: "This gateway serves POST /v1/chat/completions and GET /v1/models. Other endpoints are not inspected, so they are not passed on."})
		return
	default:
		refuse(&problem{status: http.StatusNotFound, typ: typeRequest, code: "not_found", message: "There is nothing here."})
		return
	}
	if r.Method != method {
		w.Header().Set("Allow", method)
		refuse(&problem{status: http.StatusMethodNotAllowed, typ: typeRequest, code: "method_not_allowed", message: "This endpoint takes " + method + " only."})
		return
	}
	regime := g.regime.Load()
	if regime == nil {
		refuse(unavailable("no_posture", "The gateway has no posture yet, so it passes nothing."))
		return
	}
	key, p := authenticate(regime, r)
	if p != nil {
		refuse(p)
		return
	}
	if method == http.MethodGet {
		g.models(w, regime, key)
		return
	}
	g.chat(w, r, id, key)
}

func authenticate(regime *regime, r *http.Request) (posture.GatewayKey, *problem) {
	missing := &problem{status: http.StatusUnauthorized, typ: typeAuth, code: "invalid_api_key", message: "The gateway key is missing or not valid."}
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return posture.GatewayKey{}, missing
	}
	scheme, secret, _ := strings.Cut(values[0], " ")
	hash := posture.HashKey(strings.TrimSpace(secret))
	if !strings.EqualFold(scheme, "Bearer") || hash == "" {
		return posture.GatewayKey{}, missing
	}
	key, ok := regime.keys[hash]
	if !ok || !key.Enabled {
		return posture.GatewayKey{}, missing
	}
	return key, nil
}

type modelList struct {
	Object string      `json:"object"`
	Data   []modelItem `json:"data"`
}

type modelItem struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

// models lists what the key's service answers to.
func (g *Gateway) models(w http.ResponseWriter, r *regime, key posture.GatewayKey) {
	list := modelList{Object: "list", Data: []modelItem{}}
	if svc := r.services[key.ServiceID]; svc != nil {
		for _, m := range svc.models() {
			list.Data = append(list.Data, modelItem{ID: m, Object: "model", OwnedBy: svc.draft.OperatorID})
		}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.MarshalWrite(w, list)
}

// chat serves one chat completion from registration to the row in the sink.
func (g *Gateway) chat(w http.ResponseWriter, r *http.Request, id string, key posture.GatewayKey) {
	traced, span := g.o.Tracer.Start(r.Context(), "gateway.request", "request_id", id, "gateway", g.o.ID, "service", key.ServiceID)
	ctx, cancel := context.WithCancelCause(traced)
	defer cancel(nil)
	c := &call{g: g, key: key, cancel: cancel, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	c.link.open(w, r, g.o.Clock)
	c.span = span
	defer span.End(nil) // before there is a row
	c.row = Traffic{
		RequestID: id, GatewayID: g.o.ID, OperatorID: key.OperatorID, ServiceID: key.ServiceID, TenantID: key.TenantID, Group: key.Group,
		KeyID: key.ID, Kind: string(key.Kind), Simulated: key.Simulated && r.Header.Get(HeaderSimulated) == "1",
		Modality: "text", Language: "other", InputVerdict: VerdictNone, OutputVerdict: VerdictNone,
		StartedMs: g.o.Clock.Now().UnixMilli(),
	}
	c.req = posture.Request{ServiceID: key.ServiceID, TenantID: key.TenantID, Group: key.Group, Kind: key.Kind}
	// The posture must be there before orders can reach the call, so it is looked up first and again behind enter.
	svc := g.regime.Load().services[key.ServiceID]
	if svc == nil {
		g.count.refused.Add(1)
		unavailable("no_posture", "The service has no posture.").write(w)
		return
	}
	c.svc = svc
	if err := g.enter(c); err != nil {
		g.count.refused.Add(1)
		unavailable("gateway_stopping", "The gateway is stopping.").write(w)
		return
	}
	defer func() {
		c.finish(ctx)
		g.leave(c)
	}()
	if g.isolated() == IsolationClosed {
		c.refuse(unavailable("out_of_contact", "The gateway is out of contact with its control and set to pass nothing then."))
		return
	}
	c.row.PostureDigest = svc.digest
	c.answer.left = svc.draft.Limits.MaxCaptureBytes
	c.link.limit = time.Duration(svc.draft.Limits.ClientWriteMs) * time.Millisecond
	req, p := c.receive(r)
	if p != nil {
		c.refuse(p)
		return
	}
	total := time.AfterFunc(time.Duration(svc.draft.Limits.TotalMs)*time.Millisecond, func() { cancel(errTotal) })
	defer total.Stop()
	c.serve(ctx, req)
}

// receive reads, checks and parses the body.
func (c *call) receive(r *http.Request) (*chatRequest, *problem) {
	lim := c.svc.draft.Limits
	media := func(code, text string) *problem {
		return &problem{status: http.StatusUnsupportedMediaType, typ: typeRequest, code: code, message: text}
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return nil, media("unsupported_content_type", "The Content-Type must be application/json in UTF-8.")
	}
	for _, enc := range r.Header.Values("Content-Encoding") {
		if enc != "" && !strings.EqualFold(enc, "identity") {
			return nil, media("unsupported_content_encoding", "A compressed body is not accepted.")
		}
	}
	tooBig := &problem{status: http.StatusRequestEntityTooLarge, typ: typeRequest, code: "body_too_large", message: "The body is larger than the service accepts."}
	if r.ContentLength > lim.MaxBodyBytes {
		return nil, tooBig
	}
	_ = c.link.rc.SetReadDeadline(time.Now().Add(bodyWait))
	body, err := io.ReadAll(http.MaxBytesReader(c.link.w, r.Body, lim.MaxBodyBytes))
	_ = c.link.rc.SetReadDeadline(time.Time{})
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooBig
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &problem{status: http.StatusRequestTimeout, typ: typeRequest, code: "body_too_slow", message: "The body did not arrive in time."}
	case err != nil:
		return nil, badRequest("body_incomplete", "", "The body did not arrive complete.")
	}
	req, p := parseRequest(body, lim)
	if p != nil {
		return nil, p
	}
	c.describe(req, r.Header.Get(HeaderSubject))
	if !slices.Contains(c.svc.draft.Models, req.Model) {
		return nil, &problem{status: http.StatusNotFound, typ: typeRequest, code: "model_not_found", param: "model", message: "The service does not answer to this model name."}
	}
	return req, nil
}

// describe fills the row with who asks what.
func (c *call) describe(req *chatRequest, subject string) {
	lim := c.svc.draft.Limits
	for _, s := range []*string{req.SafetyIdentifier, req.User} {
		if subject == "" && s != nil {
			subject = *s
		}
	}
	c.row.Subject = c.g.subject(c.key.TenantID, subject)
	if subject == "" {
		c.g.count.unknown.Add(1)
	}
	// The upstream may tell users apart, but it does not learn who they are.
	req.SafetyIdentifier, req.User = nil, nil
	if c.row.Subject != "" {
		req.User = new(string)
		*req.User = c.row.Subject
	}
	prompt := req.lastUser()
	c.row.Language = guessLanguage(prompt)
	c.row.Prompt = cutText(prompt, lim.MaxCaptureBytes)
	if m, err := json.Marshal(req.Messages); err == nil && len(m) <= lim.MaxCaptureBytes {
		c.row.Messages = m
	}
	c.row.Route, c.row.Stream = cutText(req.Model, 128), req.Stream
}

// serve decides under the orders in force, inspects the request and fetches the answer.
func (c *call) serve(ctx context.Context, req *chatRequest) {
	c.mu.Lock()
	c.req.Subject, c.req.Route, c.req.DeploymentID, c.language = c.row.Subject, req.Model, c.svc.primary, c.row.Language
	// Under the lock: an order that comes now waits, and then finds the whole decision.
	r := c.g.regime.Load()
	d, engines, p := c.g.judge(r, c, c.askedLocked())
	c.decision, c.orders, c.serving, c.changed, c.revision = d, engines, d.DeploymentID, false, r.bundle.Revision
	if p == nil {
		p = c.reason
	}
	c.mu.Unlock()
	c.row.DeploymentID = d.DeploymentID
	if p != nil {
		if p.code == "service_offline" || p.code == "audience_limited" {
			c.row.CutByOrder = true
		}
		c.refuse(p)
		return
	}
	dep, ok := c.svc.deployments[c.serving]
	if !ok || dep.ID != c.svc.primary && !(dep.Role == posture.RoleBackup && dep.Filed && dep.Tested) {
		c.refuse(unavailable("backup_not_fit", "The backup model that an order names is not filed and tested, so nothing answers."))
		return
	}
	c.row.ContentNumber = "FS" + c.g.newID()
	c.request = req
	blocked, err := c.inspectInput(ctx, req, engines)
	for !blocked && err == nil && c.tightened() { // while the request waited for the guard
		_, engines, _ = c.verdict()
		c.rewind(inspect.Verdict{})
		blocked, err = c.inspectInput(ctx, req, engines)
	}
	switch {
	case err != nil && !errors.Is(err, errLeft): // why it is over shows when the upstream is asked
		c.refuse(inspectionFailed())
	case blocked:
		c.g.count.inputBlocks.Add(1)
		c.sayBlocked(req)
	default:
		c.fetch(ctx, req, dep, engines)
	}
}

func (c *call) problem() *problem {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

// begin sets the headers that every answer carries.
func (c *call) begin(contentType string) {
	h := c.link.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set(HeaderContentNumber, c.row.ContentNumber)
	c.row.Status = http.StatusOK
}

// refuse answers with an error object; nothing was sent before.
func (c *call) refuse(p *problem) {
	c.g.count.refused.Add(1)
	c.row.Status, c.row.ErrorCode = p.status, p.code
	c.row.ContentNumber = ""
	c.link.arm()
	p.write(c.link.w)
	_ = c.link.flush()
}

// lost: the client did not take what was written.
func (c *call) lost(err error) {
	switch {
	case c.ended.Load():
		c.row.ErrorCode = c.problem().code
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.g.count.clientsSlow.Add(1)
		c.row.ErrorCode = "client_slow"
	default:
		c.row.ErrorCode = "client_left"
	}
	c.link.reset()
}
