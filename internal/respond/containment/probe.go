package containment

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/service"
)

// Doer sends a request; http.Client is one.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Served tells which deployment gave an answer, by its content number; the telemetry store does. It
// may say "" while the row is not there yet.
type Served interface {
	DeploymentOf(ctx context.Context, contentNumber string) (string, error)
}

// ProberOptions tune a prober. Zero values mean the default.
type ProberOptions struct {
	Client    Doer              // required
	Addresses map[string]string // gateway id → address such as http://127.0.0.1:8080
	Members   bool              // probe through the gateways that are members too, at the addresses that they stated
	Served    Served            // nil: a backup order cannot be proven
	Timeout   time.Duration     // for one request; default 5 s
	RetryBase time.Duration     // wait after a probe that showed nothing or failed, doubling; default 500 ms
	RetryMax  time.Duration     // default 30 s
	Log       *slog.Logger      // default: discards
}

// What a probe found, in Probe.Detail.
const (
	DetailOffline     = "refused_offline"
	DetailLimited     = "refused_audience"
	DetailBlocked     = "canary_blocked"
	DetailBackup      = "answered_by_backup"
	DetailPassed      = "passed"      // the order does not hold
	DetailUnreachable = "unreachable" // no answer from the gateway
	DetailUnexpected  = "unexpected"  // an answer that proves nothing
	DetailOutOfReach  = "out_of_reach"
)

// Prober sends a real chat request through each gateway that acknowledged an order and writes down
// whether the order holds. A result that does not prove it is tried again, and paged about once.
type Prober struct {
	runner
	st      *store.Store
	control *Control
	o       ProberOptions
	working sync.WaitGroup
	asked   chan struct{} // a gateway was done with

	mu   sync.Mutex
	next map[string]attempt // by order and gateway
	busy map[string]bool    // gateways that are asked now, each by its own goroutine: one that is dead delays no other
}

type attempt struct {
	gateway string
	atMs    int64
	wait    time.Duration
	last    string
	paged   map[string]bool // by template
}

// NewProber makes a prober. The store needs a hub.
func NewProber(st *store.Store, c *Control, o ProberOptions) *Prober {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&o.Timeout, 5*time.Second)
	def(&o.RetryBase, 500*time.Millisecond)
	def(&o.RetryMax, 30*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Prober{st: st, control: c, o: o, next: map[string]attempt{}, busy: map[string]bool{}, asked: make(chan struct{}, 1)}
}

// Run probes until ctx ends or Stop is called.
func (p *Prober) Run(ctx context.Context) error {
	ctx, end, ok := p.begin(ctx)
	if !ok {
		return nil
	}
	defer end()
	defer p.working.Wait()
	for {
		_, acks := p.st.Hub().Watch(TopicAck)
		wait, err := p.round(ctx)
		if err != nil && ctx.Err() == nil {
			p.o.Log.Error("a round of probes failed", "error", err)
			wait = p.o.RetryMax
		}
		var again <-chan time.Time
		if wait > 0 {
			again = p.st.Clock().After(wait)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-acks:
		case <-p.asked:
		case <-again:
		}
	}
}

type pending struct {
	Order
	GatewayID string
	at        string // where the gateway is reached
}

// round begins to probe what is due and says how long to wait for the next, 0 for nothing to wait for.
func (p *Prober) round(ctx context.Context) (wait time.Duration, err error) {
	p.mu.Lock()
	busy := maps.Clone(p.busy) // as it was before the store was read: what is asked now may be proven by then
	p.mu.Unlock()
	todo, err := p.unproven(ctx)
	if err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	live, due := map[string]bool{}, map[string][]pending{}
	now := clock.Ms(p.st.Clock())
	for _, t := range todo {
		live[t.key()] = true
		if busy[t.GatewayID] {
			continue
		}
		if left := time.Duration(p.next[t.key()].atMs-now) * time.Millisecond; left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		due[t.GatewayID] = append(due[t.GatewayID], t)
	}
	maps.DeleteFunc(p.next, func(k string, a attempt) bool { return !live[k] && !busy[a.gateway] })
	for gateway, list := range due {
		p.busy[gateway] = true
		p.working.Go(func() {
			for _, t := range list {
				p.probe(ctx, t)
			}
			p.mu.Lock()
			delete(p.busy, gateway)
			p.mu.Unlock()
			select {
			case p.asked <- struct{}{}:
			default:
			}
		})
	}
	return wait, nil
}

func (t pending) key() string { return t.ID + " " + t.GatewayID }

// probe asks once, writes down what came of it, and sets when to ask again.
func (p *Prober) probe(ctx context.Context, t pending) {
	p.mu.Lock()
	a := p.next[t.key()]
	p.mu.Unlock()
	a.gateway = t.GatewayID
	effective, detail, err := p.ask(ctx, t)
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		err = p.write(ctx, t, &a, effective, detail)
	}
	a.wait = min(max(2*a.wait, p.o.RetryBase), p.o.RetryMax)
	if err != nil {
		p.o.Log.Error("a probe failed", "order", t.ID, "gateway", t.GatewayID, "error", err)
		a.wait = p.o.RetryMax
	}
	a.atMs = clock.Ms(p.st.Clock()) + a.wait.Milliseconds()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next[t.key()] = a; err == nil && effective {
		delete(p.next, t.key())
	}
}

// unproven are the orders in force that a reachable gateway acknowledged and whose newest probe
// through it does not show that they hold.
func (p *Prober) unproven(ctx context.Context) ([]pending, error) {
	orders, err := inForce(ctx, p.st.Read(), "")
	if err != nil {
		return nil, err
	}
	var out []pending
	at, err := p.addresses(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range orders {
		var gateways []string
		err := p.st.Read().NewRaw(`SELECT a.gateway_id FROM order_ack a WHERE a.order_id = ?
			AND COALESCE((SELECT CASE WHEN p.effective THEN 1 ELSE 0 END FROM order_probe p WHERE p.order_id = a.order_id AND p.gateway_id = a.gateway_id
				ORDER BY p.at_ms DESC, p.id DESC LIMIT 1), 0) = 0 ORDER BY a.gateway_id`, o.ID).Scan(ctx, &gateways)
		if err != nil {
			return nil, err
		}
		for _, g := range gateways {
			if at[g] != "" {
				out = append(out, pending{o, g, at[g]})
			}
		}
	}
	return out, nil
}

// write keeps a result that differs from the last one, and pages once when an order does not hold, and once when nobody
// answers: that is another thing to do.
func (p *Prober) write(ctx context.Context, t pending, a *attempt, effective bool, detail string) error {
	if !effective && a.last == detail {
		return nil
	}
	page := "containment.page_not_effective"
	if detail == DetailUnreachable {
		page = "containment.page_unreachable"
	}
	owed := !effective && detail != DetailOutOfReach && !a.paged[page]
	err := p.st.Write(ctx, store.System("probe"), func(tx *store.Tx) error {
		row := Probe{ID: tx.NewID(), OrderID: t.ID, GatewayID: t.GatewayID, AtMs: tx.NowMs, Effective: effective, Detail: detail}
		if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
			return err
		}
		tx.Record(t.entry("order.probe", row))
		tx.Touch(TopicOrderProof)
		if owed {
			return p.control.page(ctx, tx, t.Order, page)
		}
		return nil
	})
	if err == nil {
		a.last = detail
		if owed {
			a.paged = maps.Clone(a.paged)
			if a.paged == nil {
				a.paged = map[string]bool{}
			}
			a.paged[page] = true
		}
	}
	return err
}

// TopicOrderProof is woken when a probe was written down.
const TopicOrderProof = "order_probe"

// ask sends one probe. An error is ours; what the gateway does wrong is a result.
func (p *Prober) ask(ctx context.Context, t pending) (effective bool, detail string, err error) {
	o := t.Order
	svc, err := service.Get[service.Service](ctx, p.st.Read(), "service_id", o.ServiceID)
	if err != nil {
		return false, "", err
	}
	if out, err := p.outOfReach(ctx, o); err != nil || out {
		return false, DetailOutOfReach, err
	}
	say := "ping"
	switch o.Rung {
	case posture.StrictFilter:
		say = canary(svc.ID, "strict")
	case posture.TopicBlock:
		// One canary a topic: all of them together would pass as blocked if only one topic were.
		for _, topic := range o.Params.TopicIDs {
			if effective, detail, err = p.say(ctx, t, svc, canary(svc.ID, "topic."+topic)); err != nil || !effective {
				return effective, detail, err
			}
		}
		return effective, detail, nil
	}
	return p.say(ctx, t, svc, say)
}

// outOfReach: a probe is answered by the primary, so an order about another deployment cannot be met.
func (p *Prober) outOfReach(ctx context.Context, o Order) (bool, error) {
	if o.Rung == posture.BackupModel && p.o.Served == nil {
		return true, nil
	}
	if o.Scope.DeploymentID == "" {
		return false, nil
	}
	d, err := service.Get[service.Deployment](ctx, p.st.Read(), "deployment_id", o.Scope.DeploymentID)
	return d.Role != "primary", err
}

// answer is as much of a chat completion or of an error as a probe has to know.
type answer struct {
	status        int
	contentNumber string
	code          string
	finish        string
}

func (p *Prober) say(ctx context.Context, t pending, svc service.Service, text string) (bool, string, error) {
	o := t.Order
	a, err := p.post(ctx, t, svc, text)
	if err != nil {
		if ctx.Err() != nil {
			return false, "", ctx.Err()
		}
		p.o.Log.Warn("a probe got no answer", "order", o.ID, "gateway", t.GatewayID, "error", err)
		return false, DetailUnreachable, nil
	}
	effective, detail := judge(o.Rung, a)
	if o.Rung == posture.BackupModel && detail == DetailPassed {
		return p.servedBy(ctx, o, a)
	}
	return effective, detail, nil
}

// servedBy waits a moment for the row of the answer, which is written after the answer left.
func (p *Prober) servedBy(ctx context.Context, o Order, a answer) (bool, string, error) {
	for range 5 {
		id, err := p.o.Served.DeploymentOf(ctx, a.contentNumber)
		switch {
		case err != nil:
			return false, "", err
		case id == o.Params.BackupID:
			return true, DetailBackup, nil
		case id != "":
			return false, DetailPassed, nil
		}
		select {
		case <-ctx.Done():
			return false, "", ctx.Err()
		case <-p.st.Clock().After(200 * time.Millisecond):
		}
	}
	return false, DetailUnexpected, nil
}

// judge reads an answer as proof of a rung. A stronger order in force covers a weaker one: what is
// offline for everybody is filtered, limited and not answered by the wrong model.
func judge(rung posture.Rung, a answer) (effective bool, detail string) {
	switch {
	case a.status == http.StatusServiceUnavailable && a.code == "service_offline":
		return true, DetailOffline
	case a.status == http.StatusForbidden && a.code == "audience_limited":
		return rung != posture.ServiceOffline, DetailLimited
	case a.status == http.StatusOK && a.finish == "content_filter":
		return rung == posture.StrictFilter || rung == posture.TopicBlock, DetailBlocked
	case a.status == http.StatusOK && a.finish != "":
		return false, DetailPassed
	case a.code == "upstream_unreachable" || a.status == http.StatusBadGateway || a.status == http.StatusGatewayTimeout:
		// The gateway asked the model, so nothing held the request back.
		return false, DetailPassed
	}
	return false, DetailUnexpected
}

func (p *Prober) post(ctx context.Context, t pending, svc service.Service, text string) (answer, error) {
	o := t.Order
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	model := svc.ModelName
	if o.Scope.Route != "" {
		model = o.Scope.Route
	}
	body, err := json.Marshal(map[string]any{"model": model, "messages": []map[string]string{{"role": "user", "content": text}}, "max_tokens": 1})
	if err != nil {
		return answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(t.at, "/")+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+p.control.probeSecret(o.ID))
	res, err := p.o.Client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return answer{}, err
	}
	var got struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
		Choices []struct {
			FinishReason string `json:"finish_reason"`
		} `json:"choices"`
	}
	a := answer{status: res.StatusCode, contentNumber: res.Header.Get("X-Fengsui-Content-Number")}
	if json.Unmarshal(raw, &got) == nil {
		a.code = got.Error.Code
		if len(got.Choices) > 0 {
			a.finish = got.Choices[0].FinishReason
		}
	}
	return a, nil
}
