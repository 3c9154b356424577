package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/fengsui/fengsui/internal/monitor/behaviour"
	"github.com/fengsui/fengsui/internal/monitor/gateway"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/outgoing"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
	"github.com/fengsui/fengsui/internal/platform/watch"
	"github.com/fengsui/fengsui/internal/posture"
)

// middleSetUp is what stands between clients and the stub model is told.
type middleSetUp struct {
	Upstream string `json:"upstream"`
	Dir      string `json:"dir"`
	Sink     string `json:"sink"`
	Terms    int    `json:"terms"`
}

type middleReady struct {
	URL string `json:"url"`
	Key string `json:"key"`
}

// bareProxy is the peer: the standard library's reverse proxy with the gateway's own way to the upstream, so
// that idle connections, compression and dialling are the same.
type bareProxy struct{ server }

func beginProxy(ctx context.Context, with jsontext.Value) (actor, any, error) {
	var o middleSetUp
	if err := json.Unmarshal(with, &o); err != nil {
		return nil, nil, err
	}
	to, err := url.Parse(o.Upstream)
	if err != nil {
		return nil, nil, err
	}
	p := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: outgoing.Guard{AllowPrivate: true}.Transport(),
	}
	// The request is read whole before it is passed on, as the gateway does. Passed on as it comes, answers of so
	// quick an upstream were cut in the middle within the first hundred, each time it was tried: the transport closes
	// the connection ("use of closed network connection"), probably because it still reads the request's body.
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		p.ServeHTTP(w, r)
	})
	s, err := listen(ctx, &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second})
	return bareProxy{s}, middleReady{URL: s.url}, err
}

func (bareProxy) answer(context.Context, string, jsontext.Value) (any, error) {
	return nil, errors.New("the bare proxy has nothing to say")
}

// guarded is the gateway in a process of its own, with the sink that it has in earnest or one that counts.
type guarded struct {
	server
	gateway *gateway.Gateway
	log     *telemetry.Log // nil with the counting sink
	store   *store.Store
	count   *countingSink
	cancel  context.CancelFunc
	loops   sync.WaitGroup
}

// countingSink shows what the gateway costs without telemetry.
type countingSink struct{ rows, signals atomic.Int64 }

func (s *countingSink) Traffic(gateway.Traffic) { s.rows.Add(1) }
func (s *countingSink) Signal(gateway.Signal)   { s.signals.Add(1) }

// gatewayState is how the gateway's part in a measurement is told from a failure.
type gatewayState struct {
	Counters   gateway.Counters `json:"counters"`
	Stored     int64            `json:"stored"`
	Aggregated int64            `json:"aggregated"`
}

func beginGateway(ctx context.Context, with jsontext.Value) (_ actor, _ any, err error) {
	var o middleSetUp
	if err := json.Unmarshal(with, &o); err != nil {
		return nil, nil, err
	}
	g := &guarded{count: &countingSink{}}
	loops, cancel := context.WithCancel(ctx)
	g.cancel = cancel
	defer func() {
		if err != nil {
			g.stop()
		}
	}()
	var sink gateway.Sink = g.count
	if o.Sink == "telemetry" {
		if err := g.openTelemetry(loops, o.Dir); err != nil {
			return nil, nil, err
		}
		sink = behaviour.NewSink(g.log)
	}
	control := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	if g.gateway, err = gateway.New(gateway.Options{
		ID: "bench", StateDir: filepath.Join(o.Dir, "gateway"), TrustedKeys: []ed25519.PublicKey{control.Public().(ed25519.PublicKey)}, Clock: clock.System(),
		Secret: func(string) (string, error) { return "", errors.New("the stub model wants no key") },
		Sink:   sink, SubjectKey: bytes.Repeat([]byte{9}, 32), Transport: outgoing.Guard{AllowPrivate: true}.Transport(),
	}); err != nil {
		return nil, nil, err
	}
	key := posture.NewKey()
	bundle, err := benchBundle(control, o.Upstream, o.Terms, key)
	if err != nil {
		return nil, nil, err
	}
	if _, err := g.gateway.Apply(ctx, bundle); err != nil {
		return nil, nil, err
	}
	if g.server, err = listen(ctx, &http.Server{Handler: g.gateway, ConnContext: gateway.ConnContext, ReadHeaderTimeout: 10 * time.Second}); err != nil {
		return nil, nil, err
	}
	return g, middleReady{URL: g.url, Key: key}, nil
}

// openTelemetry wires the real sink as internal/app does.
func (g *guarded) openTelemetry(ctx context.Context, dir string) error {
	data := filepath.Join(dir, "data")
	keys, err := secret.Open(secret.DefaultDir(data))
	if err != nil {
		return err
	}
	log := record.New(record.Options{Keys: keys})
	if g.store, err = store.Open(ctx, store.Options{Dir: data, Clock: clock.System(), Recorder: log, Hub: watch.New()}); err != nil {
		return err
	}
	if err := log.Bind(ctx, g.store); err != nil {
		return err
	}
	if g.log, err = telemetry.Open(ctx, telemetry.Options{Store: g.store, Vault: log}); err != nil {
		return err
	}
	g.loops.Go(func() { _ = g.log.Run(ctx) }) // ends with ctx; rows it could not store show in its status
	return nil
}

func benchBundle(control ed25519.PrivateKey, upstream string, terms int, key string) (posture.Signed, error) {
	rules := posture.Rules{Checks: []posture.Check{
		{ID: "cn_id", Kind: "cn_id", Action: posture.Mask, Risk: "A.4.a"}, {ID: "bank_card", Kind: "bank_card", Action: posture.Mask, Risk: "A.4.a"},
	}}
	for i, t := range nonsense(terms) {
		rules.Terms = append(rules.Terms, posture.Term{ID: fmt.Sprintf("t%05d", i), Text: t, Action: posture.Mask, Risk: "A.1.a"})
	}
	p, err := posture.Compile(posture.Draft{
		OperatorID: "op", ServiceID: "svc", Models: []string{modelName},
		Deployments: []posture.Deployment{{ID: "d", BaseURL: upstream + "/v1", Model: modelName, Role: posture.RolePrimary, Filed: true, Tested: true}},
		Rules:       rules,
	})
	if err != nil {
		return posture.Signed{}, err
	}
	return posture.NewBundle(control, posture.Bundle{Epoch: 1, Revision: 1, IssuedMs: 1, Keys: []posture.GatewayKey{
		{ID: "k", Hash: posture.HashKey(key), OperatorID: "op", TenantID: "t", ServiceID: "svc", Group: "public", Kind: posture.Real, Enabled: true},
	}}, []*posture.Posture{p}, nil)
}

func (g *guarded) answer(_ context.Context, op string, _ jsontext.Value) (any, error) {
	if op != "state" {
		return nil, fmt.Errorf("unknown question %q", op)
	}
	s := gatewayState{Counters: g.gateway.Status().Counters, Stored: g.count.rows.Load()}
	if g.log != nil {
		t := g.log.Status()
		s.Stored, s.Aggregated = t.Stored, t.Aggregated
	}
	return s, nil
}

func (g *guarded) stop() {
	if g.http != nil {
		g.server.stop()
	}
	if g.gateway != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		_ = g.gateway.Stop(ctx)
		cancel()
	}
	g.cancel()
	g.loops.Wait()
	if g.log != nil {
		_ = g.log.Close()
	}
	if g.store != nil {
		_ = g.store.Close()
	}
}
