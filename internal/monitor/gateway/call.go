package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/inspect/placeholder"
	"github.com/fengsui/fengsui/internal/monitor/guard"
	"github.com/fengsui/fengsui/internal/platform/trace"
	"github.com/fengsui/fengsui/internal/posture"
)

// call is one request with a valid key, from registration to its last byte. The goroutine that serves
// it owns everything but the part under mu, through which orders reach it.
type call struct {
	g    *Gateway
	key  posture.GatewayKey
	svc  *service // the posture it began with
	row  Traffic
	link link // to the client
	span *trace.Span

	cancel context.CancelCauseFunc
	done   chan struct{} // closed when nothing more will be written
	wake   chan struct{} // of size 1: look at the orders again

	mu       sync.Mutex
	req      posture.Request
	language string
	decision posture.Decision
	orders   []*inspect.Engine // engines for decision
	reason   *problem          // not nil: an order or the gateway's stop ended it
	serving  string            // deployment in use, "" before one was chosen
	changed  bool              // orders tightened and the serving goroutine has not looked yet
	revision int64             // of the bundle by which it was judged last

	ended atomic.Bool // mirrors reason != nil, for the hot path

	signalled map[string]bool // side and rule
	turns     []guard.Turn    // see conversation; nil if it is not put together
	turnOf    []int
	questions map[string]int         // to the guard, by side
	spent     map[inspect.Place]bool // texts that passed because no question was left: that is said once
	swaps     *placeholder.Map
	uncovered map[*string]string // texts of the request before their data was swapped
	stopped   map[int]bool       // choices of an answer that is not streamed and was blocked once: a check that fails when it is read again does not let it go
	captured  bool               // a signal carried the content
	answer    capture
	request   *chatRequest // as it went to the upstream
}

// newID is a ULID, the shape of all our ids.
func (g *Gateway) newID() string {
	return ulid.MustNew(ulid.Timestamp(g.o.Clock.Now()), rand.Reader).String()
}

// subject is the HMAC under which a subject is known, "" for an unknown one. The tenant is part of it:
// user 1 of one tenant is not user 1 of another.
func (g *Gateway) subject(tenant, raw string) string {
	if raw == "" {
		return ""
	}
	m := hmac.New(sha256.New, g.o.SubjectKey)
	_, _ = m.Write([]byte(tenant))
	_, _ = m.Write([]byte{0})
	_, _ = m.Write([]byte(raw))
	return hex.EncodeToString(m.Sum(nil))
}

// SubjectHash is the HMAC that a request of this tenant with this subject gets, for orders and
// complaints that name a person.
func (g *Gateway) SubjectHash(tenant, subject string) string { return g.subject(tenant, subject) }

// obey looks at the orders of a regime and says whether anything tightened and whether the call must end.
func (c *call) obey(g *Gateway, r *regime) (changed, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason != nil {
		return false, false
	}
	d, engines, p := g.judge(r, c, c.askedLocked())
	c.revision = r.bundle.Revision
	if p == nil && c.serving != "" && d.DeploymentID != c.serving {
		p = unavailable("model_switched", "The service moved to another model. Please ask again.")
		p.retry = true
	}
	if p != nil {
		c.decision.OrderIDs, c.decision.DecidedBy, c.decision.Notice = d.OrderIDs, d.DecidedBy, d.Notice
		c.endLocked(p, errCut)
		return true, true
	}
	if !tighter(d, c.decision) {
		return false, false
	}
	c.decision, c.orders, c.changed = d, engines, true
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return true, false
}

// tighter: an open call never gets looser rules than it has, so that only more counts.
func tighter(now, before posture.Decision) bool {
	if now.Strict && !before.Strict {
		return true
	}
	for _, t := range now.Topics {
		if !slices.Contains(before.Topics, t) {
			return true
		}
	}
	return false
}

// asked is what judging looks at; a copy, because orders are judged on another goroutine.
type asked struct {
	req      posture.Request
	language string
	before   posture.Decision
}

func (c *call) askedLocked() asked { return asked{c.req, c.language, c.decision} }

// judge merges orders, key and posture for a call: a problem if it may not be served (any more).
func (g *Gateway) judge(r *regime, c *call, a asked) (posture.Decision, []*inspect.Engine, *problem) {
	d := posture.Decision{DeploymentID: a.req.DeploymentID}
	if !g.o.DANGEROUSIgnoreOrders {
		if key, known := r.keys[c.key.Hash]; !known || !key.Enabled {
			return d, nil, &problem{status: http.StatusUnauthorized, typ: typeAuth, code: "invalid_api_key", message: "The gateway key is not valid."}
		}
		if r.services[a.req.ServiceID] == nil {
			return d, nil, unavailable("no_posture", "The service has no posture.")
		}
		d = posture.Effective(r.bundle.Orders, a.req)
	}
	if g.isolated() == IsolationStrict {
		d.Strict = true
	}
	// What tightened an open call stays, see tighter.
	d.Strict = d.Strict || a.before.Strict
	for _, t := range a.before.Topics {
		if !slices.Contains(d.Topics, t) {
			d.Topics = append(d.Topics, t)
		}
	}
	notice := func(own posture.Text, fallback string) string {
		return orText(d.Notice.In(a.language), orText(own.In(a.language), fallback))
	}
	switch {
	case d.Offline:
		says := notice(c.svc.draft.Notices.Offline, "The service is offline.")
		if g.o.NoticeURL != nil {
			says += " " + g.o.NoticeURL(c.svc.draft.ServiceID)
		}
		return d, nil, unavailable("service_offline", says)
	case d.Limited:
		return d, nil, &problem{status: http.StatusForbidden, typ: typePolicy, code: "audience_limited",
			message: notice(c.svc.draft.Notices.Limited, "The service is limited to certain groups for now.")}
	}
	engines, ok := c.svc.stages(d.Strict, d.Topics)
	if !ok {
		return d, nil, unavailable("order_not_enforceable", "An order names a topic that this gateway does not know, so nothing is let through.")
	}
	return d, engines, nil
}

func orText(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// end lets the call end as soon as its goroutine looks; the upstream is cancelled at once.
func (c *call) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == nil {
		c.endLocked(unavailable("gateway_stopping", "The gateway is stopping."), cause)
	}
}

func (c *call) endLocked(p *problem, cause error) {
	c.reason = p
	c.ended.Store(true)
	c.cancel(cause)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// verdict gives the problem that ended the call, if any, and whether the orders tightened since the last look.
func (c *call) verdict() (p *problem, engines []*inspect.Engine, changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed, c.changed = c.changed, false
	return c.reason, c.orders, changed
}

// tightened tells whether orders came that verdict has not told about yet.
func (c *call) tightened() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// reset ends the connection without ceremony: for a client that does not read.
func (c *call) reset() { c.link.reset() }

// capture keeps the raw text of an answer by channel, up to a limit.
type capture struct {
	order []chanKey
	text  map[chanKey]*strings.Builder
	left  int
}

func (a *capture) add(k chanKey, s string) {
	if a.left <= 0 || s == "" {
		return
	}
	b := a.text[k]
	if b == nil {
		if a.text == nil {
			a.text = map[chanKey]*strings.Builder{}
		}
		b = &strings.Builder{}
		a.text[k] = b
		a.order = append(a.order, k)
	}
	s = cutText(s, a.left)
	a.left -= len(s)
	_, _ = b.WriteString(s)
}

func (a *capture) String() string {
	var b strings.Builder
	for i, k := range a.order {
		if i > 0 {
			_ = b.WriteByte('\n')
		}
		_, _ = b.WriteString(a.text[k].String())
	}
	return b.String()
}

// cutText shortens s to at most limit bytes without breaking a character.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// found notes hits in the verdict and sends a signal for each rule that is new on this side.
func (c *call) found(at inspect.Place, hits []inspect.Match) {
	c.row.Verdict.Add(at, hits)
	for _, h := range hits {
		c.once(matchOf(at, h))
	}
}

// once sends a signal for a rule that is new on its side.
func (c *call) once(m Match) {
	k := m.Side + "/" + m.RuleID
	if c.signalled[k] {
		return
	}
	if c.signalled == nil {
		c.signalled = map[string]bool{}
	}
	c.signalled[k] = true
	c.signal(m)
}

func matchOf(at inspect.Place, h inspect.Match) Match {
	return Match{RuleID: h.RuleID, Kind: h.Kind, Risk: h.Risk, Topic: h.Topic, Action: h.Action.String(),
		Side: at.Side, Channel: at.Channel, Choice: at.Choice, Start: h.Start, End: h.End, Runes: h.Runes, Score: h.Score}
}

// rewind takes the verdict back to what it was before texts that are read once more. What it cost was spent.
func (c *call) rewind(to inspect.Verdict) {
	cost := c.row.Verdict.Cost
	c.row.Verdict = to.Clone()
	clear(c.spent)
	c.row.Verdict.Cost = cost
}

// knows reports whether a hit of an answer is in the row already.
func (c *call) knows(at inspect.Place, h inspect.Match) bool {
	return slices.ContainsFunc(c.row.Verdict.Hits, func(m inspect.Hit) bool {
		return m.Place == at && m.RuleID == h.RuleID && m.Start == h.Start && m.Action == h.Action
	})
}

func (c *call) signal(m Match) {
	s := c.signalOf(m)
	if !c.captured {
		c.captured = true
		s.Messages, s.Prompt, s.Answer = c.row.Messages, c.row.Prompt, c.answer.String()
	}
	c.g.o.Sink.Signal(s)
}

// fingerprint is equal for equal prompts that hit the same rule on the same side of the same service.
func fingerprint(serviceID string, m Match, prompt string) string {
	sum := sha256.Sum256([]byte(serviceID + "\x00" + m.Side + "\x00" + m.RuleID + "\x00" + strings.Join(strings.Fields(strings.ToLower(prompt)), " ")))
	return hex.EncodeToString(sum[:16])
}

// signalOf is a signal without the content.
func (c *call) signalOf(m Match) Signal {
	r := &c.row
	return Signal{
		ID: c.g.newID(), AtMs: c.g.o.Clock.Now().UnixMilli(), Match: m, RequestID: r.RequestID, ContentNumber: r.ContentNumber,
		GatewayID: r.GatewayID, OperatorID: r.OperatorID, ServiceID: r.ServiceID, DeploymentID: r.DeploymentID, PostureDigest: r.PostureDigest,
		TenantID: r.TenantID, Group: r.Group, Subject: r.Subject, Kind: r.Kind, Simulated: r.Simulated, Modality: r.Modality, Language: r.Language,
		Fingerprint: fingerprint(r.ServiceID, m, r.Prompt), Released: r.ReleasedRunes,
	}
}

// finish closes the row and hands it over. Called once, when nothing more will be written.
func (c *call) finish(ctx context.Context) {
	c.mu.Lock()
	c.row.OrderIDs = c.decision.OrderIDs
	c.row.Verdict.Rules = inspect.Version{Digest: c.row.PostureDigest, Revision: c.revision}
	c.row.CutByOrder = c.row.CutByOrder || c.reason != nil && errors.Is(context.Cause(ctx), errCut)
	if c.reason != nil && c.row.ErrorCode == "" {
		c.row.ErrorCode = c.reason.code
	}
	c.mu.Unlock()
	c.row.Answer = c.answer.String()
	c.row.FirstByteMs, c.row.LastByteUs = c.link.first, c.link.last.Load()
	c.row.EndedMs = c.g.o.Clock.Now().UnixMilli()
	c.g.o.Sink.Traffic(c.row)
	c.span.Set("input_verdict", c.row.InputVerdict)
	c.span.Set("output_verdict", c.row.OutputVerdict)
	c.span.Set("error_code", c.row.ErrorCode)
	c.span.Count("inspect_us", c.row.Verdict.Cost.Us)
}

// guarded runs the n checks of a text in order. A panic in one is a failed check, and the mode of the posture decides: err is
// set if the text may not go on, and if it may, the other checks still run, what they decide stands, and failed, unless nil,
// hears which one did before the next runs. check must keep what it has decided as it goes.
func (c *call) guarded(side string, n int, check, failed func(i int)) (missed bool, err error) {
	start := c.g.o.Clock.Now()
	at := 0
	for at < n {
		if c.attempt(n, &at, check) {
			continue
		}
		mode := c.svc.draft.Failure.Input
		if side == Output {
			mode = c.svc.draft.Failure.Output
		}
		// The value of the panic may quote the text, so it is not logged.
		c.g.o.Logger.Error("a check failed", "gateway", c.g.o.ID, "request", c.row.RequestID, "side", side, "mode", string(mode))
		if mode != posture.Open {
			err = errInspection
			break
		}
		if missed = true; failed != nil {
			failed(at)
		}
		at++
	}
	c.row.Verdict.Cost.Us += int64(c.g.o.Clock.Now().Sub(start) / time.Microsecond)
	if err == nil && missed {
		c.passUninspected(side, "gateway.uninspected")
	}
	return missed, err
}

// attempt runs the checks from *at on, and leaves there the one that failed. ok: none did.
func (c *call) attempt(n int, at *int, check func(i int)) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			ok = false
		}
	}()
	for ; *at < n; *at++ {
		if c.g.fail != nil {
			c.g.fail(*at)
		}
		check(*at)
	}
	return true
}

// passUninspected counts a text that passes without one of its checks, and sends one signal a side for each such check.
func (c *call) passUninspected(side, check string) {
	c.row.Uninspected++
	c.g.count.uninspected.Add(1)
	c.once(Match{RuleID: check, Kind: kindFailure, Action: VerdictUninspected, Side: side})
}

// missed notes whether a text passes without one of its checks.
func (c *call) missed(at inspect.Place, uninspected bool) {
	if !uninspected {
		return
	}
	c.row.Verdict.Miss(at)
	side := &c.row.InputVerdict
	if at.Side == Output {
		side = &c.row.OutputVerdict
	}
	*side = Worse(*side, VerdictUninspected)
}

// kindFailure is the kind of a match that is a check's failing.
const kindFailure = "failure"

var errInspection = errors.New("a check failed")

func inspectionFailed() *problem {
	return unavailable("inspection_failed", "The text could not be inspected, so it is not passed on.")
}

// Worse gives the more severe of two verdicts.
func Worse(a, b string) string {
	rank := []string{VerdictNone, VerdictAllow, VerdictObserve, VerdictUninspected, VerdictMask, VerdictReplace, VerdictBlock}
	if slices.Index(rank, a) >= slices.Index(rank, b) {
		return a
	}
	return b
}

// guessLanguage tells zh, en and other apart by the letters that are there.
func guessLanguage(s string) string {
	han, latin, letters := 0, 0, 0
	for i, r := range s {
		if i > 4096 {
			break
		}
		switch {
		case r >= 0x4e00 && r <= 0x9fff || r >= 0x3400 && r <= 0x4dbf || r >= 0x20000 && r <= 0x323af:
			han++
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z':
			latin++
		case r >= 0x80 && !(r >= 0x2000 && r <= 0x303f) && !(r >= 0xff00 && r <= 0xffef):
			letters++
		}
	}
	switch {
	case han > 0 && han*4 >= latin && han >= letters:
		return "zh"
	case latin > 0 && latin >= letters:
		return "en"
	}
	return "other"
}
