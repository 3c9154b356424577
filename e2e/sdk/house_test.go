// Package sdk drives the official OpenAI clients for Go and for Node through a
// gateway in front of a simulated model, and looks at both sides of it.
package sdk

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"go.uber.org/goleak"

	"github.com/fengsui/fengsui/internal/monitor/gateway"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/outgoing"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/simulate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The rules of the guarded service. The words are nonsense of our own.
const (
	maskedTerm   = "测试遮蔽词甲"
	blockedTerm  = "测试违禁词乙"
	replacedTerm = "测试替换词丙"
	replacement  = "（已处理）" // shares no rune with the replaced term
	upstreamKey  = "sk-upstream-of-the-simulated-model"
	blockNotice  = "（内容未予显示）" // shares no rune with the blocked term
)

// refusedEndpoint is the gateway's error code for an endpoint it does not inspect.
const refusedEndpoint = "endpoint_not_inspected"

// house is a simulated model behind a gateway with two services on the same
// model: one guarded by rules and one whose rules are empty, which is the
// negative control of every leak check.
type house struct {
	model    *simulate.Model
	upstream string // base URL of the model, with /v1
	faults   string // URL of the fault switches
	gateway  string // base URL of the gateway, with /v1
	guarded  string // gateway key of the service with rules
	open     string // gateway key of the service without
	rows     rows
}

// rows keeps what the gateway says it saw.
type rows struct {
	mu      sync.Mutex
	traffic []gateway.Traffic
}

func (r *rows) Traffic(row gateway.Traffic) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.traffic = append(r.traffic, row)
}

func (r *rows) Signal(gateway.Signal) {}

func (r *rows) all() []gateway.Traffic {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.traffic)
}

func build(t *testing.T, opts simulate.Options) *house {
	t.Helper()
	opts.APIKey, opts.Record = upstreamKey, true
	h := &house{model: simulate.NewModel(opts), guarded: posture.NewKey(), open: posture.NewKey()}
	upstream := httptest.NewServer(h.model)
	t.Cleanup(func() { h.model.Stop(); upstream.Close() })
	h.upstream, h.faults = upstream.URL+"/v1", upstream.URL+"/faults"

	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := outgoing.Guard{AllowPrivate: true}.Transport()
	gw, err := gateway.New(gateway.Options{
		ID: "gw-e2e", StateDir: t.TempDir(), TrustedKeys: []ed25519.PublicKey{pub}, Clock: clock.System(),
		Secret: func(ref string) (string, error) {
			if ref != "upstream" {
				return "", fmt.Errorf("no secret %q", ref)
			}
			return upstreamKey, nil
		},
		Sink: &h.rows, SubjectKey: []byte(strings.Repeat("k", 32)), Transport: transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := gw.Apply(ctx, h.bundle(t, priv)); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewUnstartedServer(gw)
	front.Config.ConnContext = gateway.ConnContext
	front.Start()
	h.gateway = front.URL + "/v1"
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := gw.Stop(ctx); err != nil {
			t.Errorf("stopping the gateway: %v", err)
		}
		front.Close()
		transport.CloseIdleConnections()
	})
	return h
}

func (h *house) bundle(t *testing.T, priv ed25519.PrivateKey) posture.Signed {
	t.Helper()
	rules := posture.Rules{
		Terms: []posture.Term{
			{ID: "mask", Text: maskedTerm, Action: posture.Mask, Risk: "A.2.i"},
			{ID: "replace", Text: replacedTerm, Action: posture.Replace, Risk: "A.2.i", Replacement: replacement},
			{ID: "block", Text: blockedTerm, Action: posture.Block, Risk: "A.1.h"},
		},
		Checks: []posture.Check{
			{ID: "id", Kind: "cn_id", Action: posture.Mask, Risk: "A.4.f"},
			{ID: "card", Kind: "bank_card", Action: posture.Mask, Risk: "A.4.f"},
		},
	}
	notice := posture.Text{ZH: blockNotice, EN: "(not shown)"}
	draft := func(service string, r posture.Rules) *posture.Posture {
		p, err := posture.Compile(posture.Draft{
			OperatorID: "op", ServiceID: service, Models: []string{simulate.DefaultModelID},
			Deployments: []posture.Deployment{{
				ID: service + "-1", BaseURL: h.upstream, Model: simulate.DefaultModelID, Secret: "upstream",
				Role: posture.RolePrimary, Filed: true, Tested: true,
			}},
			Limits: posture.Limits{IdleMs: 1500}, // for the stalled upstream
			Rules:  r, Notices: posture.Notices{Replaced: notice, Blocked: notice, Limited: notice, Offline: notice},
		})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	key := func(id, service, key string) posture.GatewayKey {
		return posture.GatewayKey{
			ID: id, Hash: posture.HashKey(key), OperatorID: "op", TenantID: "tenant", ServiceID: service,
			Group: "public", Kind: posture.Real, Enabled: true, Simulated: service == "open",
		}
	}
	s, err := posture.NewBundle(priv, posture.Bundle{
		Revision: 1, Keys: []posture.GatewayKey{key("k-guarded", "guarded", h.guarded), key("k-open", "open", h.open)},
	}, []*posture.Posture{draft("guarded", rules), draft("open", posture.Rules{})}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// client is the official Go client; what it opened is closed with the test.
func client(t *testing.T, baseURL, key string) openai.Client {
	t.Helper()
	hc := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
	t.Cleanup(hc.CloseIdleConnections)
	return openai.NewClient(option.WithBaseURL(baseURL), option.WithAPIKey(key), option.WithHTTPClient(hc), option.WithMaxRetries(0))
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// says makes the model answer every prompt with text, in choice and channel.
func (h *house) says(t *testing.T, f simulate.Fault) {
	t.Helper()
	f.Name = simulate.FaultScripted
	if err := h.model.SetFaults([]simulate.Fault{f}); err != nil {
		t.Fatal(err)
	}
}

// cuts are the ways in which the model may cut its stream, in runes an event.
func cuts() []int { return []int{1, 2, 3, 7, simulate.ChunkAsTokens, simulate.ChunkWhole} }
