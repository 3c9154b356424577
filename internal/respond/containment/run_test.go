package containment_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/service"
)

// gate is a gateway that obeys, or is out of reach, or only says that it obeys. It answers probes as
// the real one does, from the bundle it holds.
type gate struct {
	id  string
	pub ed25519.PublicKey

	mu           sync.Mutex
	have         *posture.Opened
	down         bool
	deaf         bool // acknowledges and ignores orders
	seen         []string
	calls        int
	guardsSilent int64
}

func (g *gate) ID() string { return g.id }

func (g *gate) Apply(_ context.Context, s posture.Signed) (containment.Ack, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.down {
		return containment.Ack{}, errors.New("out of reach")
	}
	o, err := posture.OpenBundle(s, nil, g.pub)
	if err != nil {
		return containment.Ack{}, err
	}
	if err := o.Succeeds(g.have); err != nil {
		return containment.Ack{}, err
	}
	g.have = o
	g.calls++
	a := containment.Ack{Epoch: o.Epoch, Revision: o.Revision, AtMs: 1, GuardsSilent: g.guardsSilent}
	for _, ord := range o.Orders {
		a.OrderIDs = append(a.OrderIDs, ord.ID)
	}
	return a, nil
}

func (g *gate) set(f func()) { g.mu.Lock(); defer g.mu.Unlock(); f() }

// Do answers a probe as a gateway with this bundle would.
func (g *gate) Do(r *http.Request) (*http.Response, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	say := func(status int, body string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"X-Fengsui-Content-Number": {"FS1"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
	if g.down {
		return nil, errors.New("connection refused")
	}
	hash := posture.HashKey(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	var key *posture.GatewayKey
	for i := range g.have.Keys {
		if g.have.Keys[i].Hash == hash {
			key = &g.have.Keys[i]
		}
	}
	if key == nil {
		return say(401, `{"error":{"code":"invalid_api_key"}}`)
	}
	g.seen = append(g.seen, string(key.Kind))
	var req struct {
		Model    string
		Messages []struct{ Content string }
	}
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		return nil, err
	}
	ok := `{"choices":[{"finish_reason":"stop"}]}`
	if g.deaf {
		return say(200, ok)
	}
	d := posture.Effective(g.have.Orders, posture.Request{ServiceID: key.ServiceID, DeploymentID: "p1", Route: req.Model, TenantID: key.TenantID, Group: key.Group, Kind: key.Kind})
	switch {
	case d.Offline:
		return say(503, `{"error":{"code":"service_offline"}}`)
	case d.Limited:
		return say(403, `{"error":{"code":"audience_limited"}}`)
	}
	for _, p := range g.have.Postures {
		if p.ServiceID() != key.ServiceID {
			continue
		}
		draft := p.Draft()
		terms := draft.Rules.Terms
		if d.Strict {
			terms = draft.Tightened().Terms
		}
		for _, id := range d.Topics {
			terms = append(terms, draft.Topical(id)...)
		}
		for _, t := range terms {
			if t.Action == posture.Block && strings.Contains(req.Messages[0].Content, t.Text) {
				return say(200, `{"choices":[{"finish_reason":"content_filter"}]}`)
			}
		}
	}
	return say(200, ok)
}

type served struct{ id string }

func (s served) DeploymentOf(context.Context, string) (string, error) { return s.id, nil }

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

func (b *bench) gate(id string) *gate {
	return &gate{id: id, pub: b.key.Public().(ed25519.PublicKey)}
}

// run starts a loop and stops it at the end of the test.
func run(t *testing.T, loop interface {
	Run(context.Context) error
	Stop()
}) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); _ = loop.Run(context.Background()) }()
	t.Cleanup(func() { loop.Stop(); <-done })
}

func (b *bench) status(t *testing.T, id string) containment.Status {
	t.Helper()
	s, err := containment.Get(ctx, b.st.Read(), officer, id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnOrderReachesEveryGatewayAtOnceAndALostOneIsShownAsNotEffective(t *testing.T) {
	b := newBench(t)
	near, far := b.gate("near"), b.gate("far")
	far.down = true
	d := containment.NewDistributor(b.st, b.control, containment.DistributorOptions{}, near, far)
	run(t, d)
	until(t, "the first bundle arrives", func() bool { near.mu.Lock(); defer near.mu.Unlock(); return near.have != nil })
	began := time.Now()
	o := b.issue(t, officer, strict(containment.FromIncident, "i1"))
	until(t, "the near gateway acknowledges", func() bool { return len(b.status(t, o.ID).Acks) == 1 })
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %v", took)
	}
	until(t, "the far gateway is shown as lost", func() bool {
		s := b.status(t, o.ID)
		return !s.Acknowledged && len(s.Missing) == 1 && s.Missing[0] == "far"
	})
	far.set(func() { far.down = false })
	until(t, "the far gateway acknowledges after its retry", func() bool { b.clock.Advance(10 * time.Second); return b.status(t, o.ID).Acknowledged })
	if s := b.status(t, o.ID); s.Proven || len(s.Acks) != 2 {
		t.Fatalf("%+v", s)
	}
	p := b.issue(t, officer, offline(containment.FromIncident, "i1"))
	until(t, "a second order is acknowledged beside the first", func() bool {
		return b.status(t, p.ID).Acknowledged && b.status(t, o.ID).Acknowledged
	})
	far.set(func() { far.down = true })
	until(t, "a gateway that falls silent is shown as lost", func() bool { b.clock.Advance(10 * time.Second); return !b.status(t, o.ID).Acknowledged })
	if acks := strings.Count(b.actions(), "order.acknowledge"); acks != 4 {
		t.Fatalf("%d acknowledgements in the record", acks)
	}
}

// setBack lets the database give the number of the last revision again, to another bundle.
func (b *bench) setBack(t *testing.T) {
	t.Helper()
	b.do(t, store.System("test"), func(tx *store.Tx) error {
		tx.Touch(containment.TopicOrder)
		_, err := tx.Exec("UPDATE bundle_state SET changed_ms = changed_ms + 1")
		return err
	})
}

// So it is after an update of the program that puts the same state otherwise, too.
func TestARevisionThatAGatewayKnowsAsAnotherBundleGetsANewNumber(t *testing.T) {
	b := newBench(t)
	b.refresh(t)
	g := b.gate("near")
	d := containment.NewDistributor(b.st, b.control, containment.DistributorOptions{RetryBase: time.Millisecond}, g)
	run(t, d)
	until(t, "the gateway obeys", func() bool { e, _ := b.effective(t, "near"); return e })
	was, _ := d.Latest()
	b.setBack(t)
	until(t, "the gateway obeys the other bundle", func() bool {
		b.clock.Advance(10 * time.Millisecond)
		now, _ := d.Latest()
		e, _ := b.effective(t, "near")
		g.mu.Lock()
		defer g.mu.Unlock()
		return e && now.Revision > was.Revision && g.have.Revision == now.Revision && g.have.Digest == now.Digest
	})
	now, _ := d.Latest()
	time.Sleep(50 * time.Millisecond)
	if m, _ := d.Latest(); m.Revision != now.Revision || now.Revision > was.Revision+2 {
		t.Errorf("revision %d became %d and then %d", was.Revision, now.Revision, m.Revision)
	}
	for digest, current := range map[string]bool{was.Digest: false, now.Digest: true, "": true} {
		name := "edge" + digest[max(0, len(digest)-4):]
		if _, err := b.enrol(b.token(t, name), credential("a"+digest)); err != nil {
			t.Fatal(err)
		}
		err := d.Obeyed(ctx, name, containment.Ack{Epoch: now.Epoch, Revision: now.Revision, Digest: digest})
		if e, _ := b.effective(t, name); err != nil || e != current {
			t.Errorf("an acknowledgement of %q: effective %v, %v", digest, e, err)
		}
	}
}

func TestALexiconChangeAndANewKeyReachTheGatewayWithoutBeingAsked(t *testing.T) {
	b := newBench(t)
	key := func(of, kind string) {
		b.do(t, store.Actor{ID: "e", Roles: []string{"safety_engineer"}}, func(tx *store.Tx) error {
			tx.Touch("posture")
			_, _, err := service.IssueKey(ctx, tx, service.GatewayKey{ServiceID: of, Tenant: "t", UserGroup: "g", TrafficKind: kind})
			return err
		})
	}
	key("s1", "real")
	g := b.gate("g")
	run(t, containment.NewDistributor(b.st, b.control, containment.DistributorOptions{}, g))
	terms := func() (n int) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.have == nil {
			return 0
		}
		for _, p := range g.have.Postures {
			n += len(p.Draft().Rules.Terms)
		}
		return n
	}
	until(t, "the first bundle arrives", func() bool { return terms() == 2 })
	key("s2", "drill")
	until(t, "the service of the new key arrives", func() bool { return terms() == 4 })
	b.do(t, rule, func(tx *store.Tx) error {
		tx.Touch("posture")
		_, err := tx.Exec("INSERT INTO lexicon_entry (id, service_id, term, action, risk, source, state, created_by, created_ms) VALUES ('l9','s1','测试违禁词丁','block','A.1.g','emergency','live','x',1)")
		return err
	})
	until(t, "the new term arrives", func() bool { return terms() == 5 })
}

func TestAProbeProvesEachRungAndShowsAGatewayThatOnlySaysItObeys(t *testing.T) {
	rungs := map[posture.Rung]posture.Params{posture.StrictFilter: {}, posture.TopicBlock: {TopicIDs: []string{"rumour", "fraud"}}, posture.AudienceLimit: {AllowedGroups: []string{"staff"}},
		posture.BackupModel: {BackupID: "b1"}, posture.ServiceOffline: {}}
	for rung, params := range rungs {
		for _, deaf := range []bool{false, true} {
			t.Run(string(rung)+map[bool]string{true: " ignored"}[deaf], func(t *testing.T) {
				b := newBench(t)
				g := b.gate("g")
				g.deaf = deaf
				who := served{"b1"}
				if deaf {
					who = served{"p1"}
				}
				run(t, containment.NewProber(b.st, b.control, containment.ProberOptions{Client: g, Addresses: map[string]string{"g": "http://gate"}, Served: who}))
				run(t, containment.NewDistributor(b.st, b.control, containment.DistributorOptions{}, g))
				r := strict(containment.FromIncident, "i1")
				r.Rung, r.Params = rung, params
				o := b.issue(t, officer, r)
				until(t, "a probe result", func() bool { return len(b.status(t, o.ID).Probes) > 0 })
				s := b.status(t, o.ID)
				if s.Proven == deaf {
					t.Fatalf("%+v", s)
				}
				if deaf != strings.Contains(b.pager.keys(), "containment.page_not_effective") {
					t.Fatalf("pages: %q", b.pager.keys())
				}
				g.set(func() {
					for _, k := range g.seen {
						if k != "test" {
							t.Errorf("a real order was probed with %s traffic", k)
						}
					}
				})
				if !deaf {
					return
				}
				g.set(func() { g.deaf = false })
				if rung == posture.BackupModel {
					return // the fixed answer of served cannot change its mind
				}
				until(t, "the next probe proves it", func() bool { b.clock.Advance(30 * time.Second); return b.status(t, o.ID).Proven })
				if n := strings.Count(b.pager.keys(), "containment.page_not_effective"); n != 1 {
					t.Fatalf("paged %d times", n)
				}
			})
		}
	}
}

func TestADrillOrderIsProbedWithDrillTraffic(t *testing.T) {
	b := newBench(t)
	g := b.gate("g")
	run(t, containment.NewProber(b.st, b.control, containment.ProberOptions{Client: g, Addresses: map[string]string{"g": "http://gate"}}))
	run(t, containment.NewDistributor(b.st, b.control, containment.DistributorOptions{}, g))
	o := b.issue(t, standIn, offline(containment.FromDrill, "d1"))
	until(t, "the probe proves it", func() bool { return b.status(t, o.ID).Proven })
	g.set(func() {
		if len(g.seen) == 0 || g.seen[0] != "drill" {
			t.Fatal(g.seen)
		}
	})
}

func TestAnUnreachableGatewayProvesNothing(t *testing.T) {
	b := newBench(t)
	g := b.gate("g")
	run(t, containment.NewDistributor(b.st, b.control, containment.DistributorOptions{}, g))
	o := b.issue(t, officer, offline(containment.FromIncident, "i1"))
	until(t, "the acknowledgement", func() bool { return b.status(t, o.ID).Acknowledged })
	g.set(func() { g.down = true })
	run(t, containment.NewProber(b.st, b.control, containment.ProberOptions{Client: g, Addresses: map[string]string{"g": "http://gate"}}))
	until(t, "a probe", func() bool { return len(b.status(t, o.ID).Probes) == 1 })
	if s := b.status(t, o.ID); s.Proven || s.Probes[0].Detail != containment.DetailUnreachable {
		t.Fatalf("%+v", s)
	}
	pages := func(key string) int { return strings.Count(b.pager.keys(), "containment."+key) }
	if pages("page_unreachable") != 1 || pages("page_not_effective") != 0 {
		t.Fatalf("silence is not disobedience: %q", b.pager.keys())
	}
	// Then it answers, and passes what it should not: another thing to do.
	g.set(func() { g.down, g.deaf = false, true })
	until(t, "a probe that passes", func() bool { b.clock.Advance(30 * time.Second); return pages("page_not_effective") == 1 })
	if pages("page_unreachable") != 1 {
		t.Fatalf("%q", b.pager.keys())
	}
}

// doer is a client made of a function.
type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

func TestAGatewayThatDoesNotAnswerDelaysNoProofOnOthers(t *testing.T) {
	b := newBench(t)
	dead, well := b.gate("a"), b.gate("b")
	run(t, containment.NewDistributor(b.st, b.control, containment.DistributorOptions{}, dead, well))
	hanging := make(chan struct{}, 100)
	client := doer(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "b" {
			return well.Do(r)
		}
		hanging <- struct{}{}
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	run(t, containment.NewProber(b.st, b.control, containment.ProberOptions{Client: client, Addresses: map[string]string{"a": "http://a", "b": "http://b"}, Timeout: time.Hour}))
	proven := func(id string) bool {
		return slices.ContainsFunc(b.status(t, id).Probes, func(p containment.Probe) bool { return p.GatewayID == "b" && p.Effective })
	}
	first := b.issue(t, officer, strict(containment.FromIncident, "i1"))
	until(t, "the first order is proven on the other", func() bool { return proven(first.ID) })
	<-hanging
	second := b.issue(t, officer, offline(containment.FromIncident, "i1"))
	until(t, "so is one that comes while the dead one is asked", func() bool { return proven(second.ID) })
	if n := len(hanging); n != 0 {
		t.Errorf("the dead one is asked %d times at once", n+1)
	}
}

func TestLoopsMayBeStoppedBeforeTheyRunAndTwice(t *testing.T) {
	b := newBench(t)
	d := containment.NewDistributor(b.st, b.control, containment.DistributorOptions{}, b.gate("g"))
	d.Stop()
	if err := d.Run(ctx); err != nil {
		t.Fatal(err)
	}
	d.Stop()
	p := containment.NewProber(b.st, b.control, containment.ProberOptions{})
	done := make(chan error)
	short, cancel := context.WithCancel(ctx)
	go func() { done <- p.Run(short) }()
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	p.Stop()
	p.Stop()
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
