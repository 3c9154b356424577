package app

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fengsui/fengsui/internal/monitor/behaviour"
	"github.com/fengsui/fengsui/internal/monitor/gatelink"
	"github.com/fengsui/fengsui/internal/monitor/gateway"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/health"
	"github.com/fengsui/fengsui/internal/platform/outgoing"
	"github.com/fengsui/fengsui/internal/platform/trace"
	"github.com/fengsui/fengsui/internal/posture"
)

// ApartOptions configure a gateway that is a process of its own. Zero values mean the default in brackets.
type ApartOptions struct {
	StateDir      string        // bundle, credential and what control does not have yet [./gateway]
	Listen        string        // /healthz, /readyz, /metrics [127.0.0.1:8083]
	GatewayListen string        // the gateway; "fd:3" is a listener that the process was started with [127.0.0.1:8081]
	GatewayTLS    TLSFiles      // of the gateway [plain http]
	Controls      []string      // addresses of control nodes; required
	JoinFile      string        // join token, needed until control let the gateway in
	URL           string        // where control reaches the gateway for probes [nowhere]
	ControlCA     string        // whose certificate control must show, PEM [the system's]
	Cert, Key     string        // shown to control where TLS is mutual, PEM [none]
	Isolation     string        // while control is silent: continue, strict or closed [continue]
	ContactWithin time.Duration // silence that counts as isolation [60 s]
	DrainWait     time.Duration // how long /readyz says no before connections are refused [0]
	Drain         time.Duration // how long open streams may go on at the end [30 s]
	SpoolBytes    int64         // of what control does not have yet [256 MiB]

	AllowPrivateUpstreams bool
	Clock                 clock.Clock   // [the system's]
	Logger                *slog.Logger  // [discards]
	Tracer                *trace.Tracer // [no traces]
}

// Apart is a gateway that is a process of its own: no store, no console, no clocks of the law. It goes on without control.
type Apart struct {
	o        ApartOptions
	log      *slog.Logger
	agent    *gatelink.Agent
	spool    *gatelink.Spool
	checks   *health.Checks
	metrics  *health.Metrics
	gw       atomic.Pointer[gateway.Gateway]
	made     chan struct{} // closed when there is a gateway
	draining atomic.Bool
	ops, gwl net.Listener
	gwCert   *reloaded // nil for plain http
	certs    expiries
	teardown []func() error
}

// NewApart opens the state folder and takes the ports; nothing runs before Run. What was opened is closed again when
// it fails.
func NewApart(ctx context.Context, o ApartOptions) (_ *Apart, err error) {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&o.StateDir, "gateway")
	def(&o.Listen, "127.0.0.1:8083")
	def(&o.GatewayListen, "127.0.0.1:8081")
	switch gateway.Isolation(o.Isolation) {
	case "", gateway.IsolationContinue, gateway.IsolationStrict, gateway.IsolationClosed:
	default:
		return nil, fault.Invalid("isolation", "posture.unknown_value", "field", "isolation", "value", o.Isolation)
	}
	if o.ContactWithin == 0 {
		o.ContactWithin = time.Minute
	}
	if o.Drain == 0 {
		o.Drain = 30 * time.Second
	}
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Apart{o: o, log: o.Logger, certs: expiries{}, made: make(chan struct{})}
	defer func() {
		if err != nil {
			_ = a.close()
		}
	}()
	build := health.ReadBuild("")
	a.checks, a.metrics = health.NewChecks(build), health.NewMetrics(build)
	if err := os.MkdirAll(o.StateDir, 0o700); err != nil {
		return nil, fault.Unavailable("gateway.no_state_dir", "dir", o.StateDir).Because(err)
	}
	release, err := Alone(o.StateDir)
	if err != nil {
		return nil, err
	}
	a.teardown = append(a.teardown, release)
	client, err := o.client(a.certs, a.log)
	if err != nil {
		return nil, err
	}
	token := ""
	if o.JoinFile != "" && !gatelink.Joined(o.StateDir) { // a token that was used may be gone
		raw, err := os.ReadFile(o.JoinFile)
		if err != nil {
			return nil, fault.Invalid("join", "gatelink.no_join_file", "file", o.JoinFile).Because(err)
		}
		token = strings.TrimSpace(string(raw))
	}
	if a.agent, err = gatelink.New(gatelink.Options{Controls: o.Controls, StateDir: o.StateDir, JoinToken: token, URL: o.URL, Version: build.Version,
		Client: client, ContactWithin: o.ContactWithin, Clock: o.Clock, Log: a.log}); err != nil {
		return nil, err
	}
	if a.spool, err = gatelink.OpenSpool(filepath.Join(o.StateDir, "spool"), o.SpoolBytes, o.Clock, a.log); err != nil {
		return nil, err
	}
	a.teardown = append(a.teardown, a.spool.Close)
	if a.ops, err = Listen(ctx, o.Listen, "listen"); err != nil {
		return nil, err
	}
	a.teardown = append(a.teardown, func() error { return closed(a.ops.Close()) })
	if a.gwl, err = listenOrInherit(ctx, o.GatewayListen); err != nil {
		return nil, err
	}
	a.teardown = append(a.teardown, func() error { return closed(a.gwl.Close()) })
	if a.gwl, a.gwCert, err = o.GatewayTLS.dressed(a.gwl, o.Clock.Now, a.log); err != nil {
		return nil, err
	}
	a.certs["gateway"] = a.gwCert
	return a, a.watched()
}

// listenOrInherit takes an address, or "fd:N", a listening socket that was opened before the process was started, by
// systemd (Sockets=) or by whoever starts several gateways behind one port.
func listenOrInherit(ctx context.Context, address string) (net.Listener, error) {
	n, ok := strings.CutPrefix(address, "fd:")
	if !ok {
		return Listen(ctx, address, "gateway-listen")
	}
	fd, err := strconv.Atoi(n)
	if err != nil || fd < 3 {
		return nil, fault.Invalid("gateway-listen", "app.cannot_listen", "address", address, "flag", "--gateway-listen")
	}
	f := os.NewFile(uintptr(fd), address)
	defer f.Close() // the listener has a descriptor of its own
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fault.Unavailable("app.cannot_listen", "address", address, "flag", "--gateway-listen").Because(err)
	}
	return l, nil
}

func (o ApartOptions) client(certs expiries, log *slog.Logger) (*http.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS13}
	if o.ControlCA != "" {
		pool, err := certPool(o.ControlCA)
		if err != nil {
			return nil, err
		}
		conf.RootCAs = pool
	}
	if o.Cert != "" || o.Key != "" {
		r := &reloaded{files: TLSFiles{Cert: o.Cert, Key: o.Key}, now: o.Clock.Now, log: log}
		if _, err := r.get(); err != nil {
			return nil, fault.Invalid("tls-cert", "app.tls_files", "file", o.Cert).Because(err)
		}
		certs["control"] = r
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return r.get() }
	}
	// Control is named by whoever runs the gateway and may stand anywhere, unlike what a posture names.
	return &http.Client{Transport: &http.Transport{TLSClientConfig: conf, DialContext: (&net.Dialer{Timeout: 3 * time.Second}).DialContext, TLSHandshakeTimeout: 5 * time.Second,
		IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 4}}, nil
}

// watched says what is asked from outside: /readyz and /metrics.
func (a *Apart) watched() error {
	a.checks.Add("gateway", func(context.Context) error {
		g := a.gw.Load()
		switch {
		case a.draining.Load():
			return errors.New("draining")
		case g == nil:
			return errors.New("control has not let this gateway in yet")
		}
		if st := g.Status(); !st.Effective && st.Reason != "out_of_contact" { // isolation has a policy, and may be to go on
			return errors.New(st.Reason)
		} else if st.Isolation == string(gateway.IsolationClosed) {
			return errors.New(st.Reason)
		}
		return nil
	})
	a.checks.Add("disk", func(context.Context) error {
		if g := a.gw.Load(); g != nil && g.Status().Unkept {
			return errors.New("the bundle that is obeyed is not on disk; a restart would go back to an older one")
		}
		return nil
	})
	a.checks.Add("classifiers", func(context.Context) error {
		if g := a.gw.Load(); g != nil {
			return unjudged(g.Status())
		}
		return nil
	})
	a.checks.Add("guards", func(context.Context) error {
		if g := a.gw.Load(); g != nil {
			return silentGuards(g.Status())
		}
		return nil
	})
	a.checks.Add("spool", func(context.Context) error {
		if waiting, _, _, _ := a.spool.Numbers(); waiting >= a.spool.Bound() {
			return fmt.Errorf("%d bytes wait for control, limit %d; what comes is folded", waiting, a.spool.Bound())
		}
		return nil
	})
	a.checks.Add("clock", func(context.Context) error {
		if ahead, contact := a.agent.Skew(); contact > 0 && ahead.Abs() > maxSkew {
			return fmt.Errorf("the clocks of this machine and of control are %s apart, limit %s", ahead, maxSkew)
		}
		return nil
	})
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	status := func(of func(gateway.Status) float64) func() float64 {
		return func() float64 {
			if g := a.gw.Load(); g != nil {
				return of(g.Status())
			}
			return 0
		}
	}
	for _, c := range []prometheus.Collector{
		a.certs,
		guards{func() (gateway.Status, bool) {
			if g := a.gw.Load(); g != nil {
				return g.Status(), true
			}
			return gateway.Status{}, false
		}},
		gauge("fengsui_gateway_effective", "1 while the gateway obeys a bundle and control is in touch.", status(func(s gateway.Status) float64 {
			if s.Effective {
				return 1
			}
			return 0
		})),
		gauge("fengsui_gateway_revision", "Revision of the bundle that is obeyed.", status(func(s gateway.Status) float64 { return float64(s.Revision) })),
		gauge("fengsui_gateway_contact_age_seconds", "Since control was last heard of.", status(func(s gateway.Status) float64 { return float64(clock.Ms(a.o.Clock)-s.LastContactMs) / 1000 })),
		gauge("fengsui_gateway_open_streams", "Streams open now.", status(func(s gateway.Status) float64 { return float64(s.OpenStreams) })),
		gauge("fengsui_gateway_requests", "Requests since the start.", status(func(s gateway.Status) float64 { return float64(s.Counters.Requests) })),
		gauge("fengsui_gateway_streams_cut", "Streams ended by orders since the start.", status(func(s gateway.Status) float64 { return float64(s.Counters.StreamsCut) })),
		gauge("fengsui_gateway_spool_bytes", "Bytes seen that control does not have yet.", func() float64 { n, _, _, _ := a.spool.Numbers(); return float64(n) }),
		gauge("fengsui_gateway_spool_folded_rows", "Rows folded for want of room since the start.", func() float64 { _, n, _, _ := a.spool.Numbers(); return float64(n) }),
		gauge("fengsui_gateway_spool_lost_rows", "Rows lost since the start.", func() float64 { _, _, n, _ := a.spool.Numbers(); return float64(n) }),
	} {
		if err := a.metrics.Registerer().Register(c); err != nil {
			return err
		}
	}
	return nil
}

// URL is the address of /healthz, /readyz and /metrics.
func (a *Apart) URL() string { return "http://" + a.ops.Addr().String() }

// GatewayURL is the address that clients use instead of the model's, without /v1.
func (a *Apart) GatewayURL() string { return a.gwCert.scheme() + a.gwl.Addr().String() }

// ServeHTTP is the gateway's door: shut until there is a gateway, and again when control has revoked it.
func (a *Apart) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.draining.Load() {
		w.Header().Set("Connection", "close") // the next request goes to somebody else
	}
	g := a.gw.Load()
	select {
	case <-a.agent.Revoked():
		g = nil
	default:
	}
	if g != nil {
		g.ServeHTTP(w, r)
		return
	}
	shut(w)
}

// shut is what a door says that passes nothing.
func shut(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Retry-After", "1")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, starting) // the client is gone if this fails
}

// Run serves until ctx ends; then it drains: no new connections, open streams go on for a while, what is left is cut.
func (a *Apart) Run(ctx context.Context) error {
	defer a.close()
	loops, stop := context.WithCancel(context.WithoutCancel(ctx)) // orders reach streams that are draining
	defer stop()
	failed := make(chan error, 3)
	var working sync.WaitGroup
	working.Go(func() {
		if err := a.link(loops); err != nil && loops.Err() == nil {
			failed <- err
		}
	})
	working.Go(func() { diagnostics(loops, a.o.StateDir, a.log) })
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", a.checks.Live())
	mux.Handle("GET /readyz", a.checks.Ready())
	mux.Handle("GET /metrics", a.metrics.Handler())
	quiet := slog.NewLogLogger(a.log.Handler(), slog.LevelDebug)
	ops := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet}
	open := newConnections(a.o.Clock)
	gw := &http.Server{Handler: a, ConnContext: gateway.ConnContext, ConnState: open.note, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: quiet}
	for srv, l := range map[*http.Server]net.Listener{ops: a.ops, gw: a.gwl} {
		working.Go(func() {
			if srv == gw { // a socket that others hold too must not give us requests before we can take them
				select {
				case <-a.made:
				case <-a.o.Clock.After(made):
				case <-loops.Done():
				}
			}
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) && !a.draining.Load() {
				failed <- err
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	a.drain(gw, open)
	stop()
	ops.Close()
	working.Wait()
	return err
}

// made is how long clients may wait for a gateway that starts; then they are told that it passes nothing yet.
const made = 5 * time.Second

// turnover is how long a client may leave a connection alone before a drain closes it. Common clients close one themselves
// after 4 or 5 s.
const turnover = 6 * time.Second

func (a *Apart) drain(gw *http.Server, open *connections) {
	a.draining.Store(true)
	if a.o.DrainWait > 0 {
		<-a.o.Clock.After(a.o.DrainWait)
	}
	_ = a.gwl.Close()
	end := a.o.Clock.After(a.o.Drain)
	limit, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-end:
			cancel()
		case <-limit.Done():
		}
	}()
	open.wait(turnover, limit.Done())
	_ = gw.Shutdown(limit)
	if g := a.gw.Load(); g != nil {
		short, done := context.WithTimeout(context.Background(), 3*time.Second)
		defer done()
		expired, over := context.WithCancel(short)
		over()
		if err := g.Stop(expired); err != nil && !errors.Is(err, context.Canceled) {
			a.log.Warn("the gateway was stopped with calls open", "error", err)
		}
	}
	gw.Close()
}

// link lets the gateway in, starts it with what is on its disk, and keeps it current.
func (a *Apart) link(ctx context.Context) error {
	select {
	case <-a.agent.Revoked():
		a.log.Error("control revoked this gateway; it passes nothing until it joins anew with an empty state folder")
		<-ctx.Done()
		return nil
	default:
	}
	if err := a.agent.Enrol(ctx); err != nil {
		return err
	}
	subject, err := a.agent.Subject()
	if err != nil {
		return err
	}
	g, err := gateway.New(gateway.Options{ID: a.agent.ID(), StateDir: a.o.StateDir, TrustedKeys: []ed25519.PublicKey{a.agent.ControlKey()}, Clock: a.o.Clock,
		Secret: a.agent.Secret, Sink: behaviour.NewSink(a.spool), SubjectKey: subject, Transport: outgoing.Guard{AllowPrivate: a.o.AllowPrivateUpstreams}.Transport(),
		Isolation: gateway.Isolation(a.o.Isolation), ContactWithin: a.o.ContactWithin, LastContact: a.agent.LastContact(), Logger: a.log, Tracer: a.o.Tracer,
		NoticeURL: func(serviceID string) string {
			f, _ := a.agent.Facts()
			return f.PublicURL + "/notice/" + serviceID
		}})
	if err != nil {
		return err
	}
	a.told()
	a.gw.Store(g)
	close(a.made)
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() {
		for {
			_, changed := a.agent.Facts()
			a.told()
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	})
	work.Go(func() { heedStops(ctx, g, a.o.Clock, a.log, nil) })
	work.Go(func() { _ = a.agent.HandIn(ctx, a.spool) })
	report := func() gatelink.Report {
		waiting, folded, lost, _ := a.spool.Numbers()
		s := g.Status()
		return gatelink.Report{SpoolBytes: waiting, Folded: folded, Lost: lost, Streams: int64(s.OpenStreams), Unkept: s.Unkept, Unjudged: s.Missing(), GuardsSilent: s.SilentGuards()}
	}
	if err := a.agent.Follow(ctx, g, report); err != nil {
		return err
	}
	if ctx.Err() == nil { // revoked: open streams end, too
		a.log.Error("control revoked this gateway; it passes nothing any more")
		now, cancel := context.WithCancel(ctx)
		cancel()
		_ = g.Stop(now)
		<-ctx.Done()
	}
	return nil
}

// told hands on what control said.
func (a *Apart) told() {
	if f, _ := a.agent.Facts(); f != nil {
		a.spool.Configure(f.SpoolKey, f.CaptureAll)
	}
}

func (a *Apart) close() error {
	var errs []error
	for i := len(a.teardown) - 1; i >= 0; i-- {
		errs = append(errs, a.teardown[i]())
	}
	a.teardown = nil
	return errors.Join(errs...)
}

// Stop gives up what was opened, if Run was never called.
func (a *Apart) Stop() { _ = a.close() }

// heedStops obeys sealed tokens as they are put into the state folder. taken is told of those that bind; nil where
// control is told otherwise.
func heedStops(ctx context.Context, g *gateway.Gateway, clk clock.Clock, log *slog.Logger, taken func(posture.Signed) error) {
	said := "" // an error that stays is logged once
	for {
		err := g.HeedStops(ctx)
		if taken != nil {
			for _, s := range g.Stops() {
				err = errors.Join(err, taken(s))
			}
		}
		switch {
		case err == nil:
			said = ""
		case ctx.Err() == nil && err.Error() != said:
			said = err.Error()
			log.Error("sealed tokens could not be looked at", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-clk.After(200 * time.Millisecond):
		}
	}
}

// StopHere takes a service offline by a sealed token on the host of a gateway whose state folder is given. obeyed is
// false if no running gateway took it within five seconds; then it binds from the gateway's next start. Error: forbidden
// gateway.stop_refused if the gateway's control did not seal it, or it was used or voided before.
func StopHere(ctx context.Context, stateDir string, sealed []byte) (obeyed bool, err error) {
	places, refused, err := gateway.PutStop(stateDir, sealed)
	if err != nil {
		return false, err
	}
	clk := clock.System()
	for range 100 {
		if _, err := os.Stat(refused); err == nil {
			return false, fault.Forbidden("gateway.stop_refused")
		}
		for _, place := range places {
			if _, err := os.Stat(place); err == nil {
				return true, nil
			}
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-clk.After(50 * time.Millisecond):
		}
	}
	return false, nil
}
