// Package app wires the whole of Fengsui in one straight function and runs it: New, Run, Stop. It can
// be embedded in a test.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fengsui/fengsui/internal/api"
	"github.com/fengsui/fengsui/internal/flow"
	"github.com/fengsui/fengsui/internal/monitor/gateway"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/health"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/node"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/trace"
	"github.com/fengsui/fengsui/internal/platform/watch"
	"github.com/fengsui/fengsui/internal/respond/containment"
)

// Options configure an instance. Zero values mean the default in brackets.
type Options struct {
	DataDir        string         // the data folder [./data]
	Database       string         // "postgres://…" [SQLite in the data folder]
	KeysDir        string         // key-encryption keys, outside the data folder [<data>-keys]
	OutsideDir     string         // where signed checkpoints go, outside the data folder [<data>-checkpoints]
	Node           string         // this process among those that serve one database; its gateway goes by the name too [gateway-1]
	Listen         string         // API and pages [127.0.0.1:8080]
	GatewayListen  string         // the gateway [127.0.0.1:8081]
	TLS            TLSFiles       // of API and pages [plain http]
	GatewayTLS     TLSFiles       // of the gateway [plain http]
	NodeListen     string         // control's end for gateways that are processes of their own [none]
	ProbeCA        string         // authorities of gateways that are processes of their own, for probes, PEM, beside the system's [none]
	NodeTLS        TLSFiles       // of that listener [plain http, on loopback only]
	ControlOnly    bool           // no gateway in this process
	GatewayURL     string         // where clients reach the gateways, if none is in this process
	DrainWait      time.Duration  // how long /readyz says no before connections are refused at the end [0]
	TrustedProxies []netip.Prefix // reverse proxies in front of us, whose X-Forwarded-For is believed [none]
	PublicURL      string         // where browsers find API and pages [http:// and the address listened on]

	AllowPrivateUpstreams bool // upstream models may stand on private and loopback addresses
	AllowPrivateWebhooks  bool // webhooks may too
	AllowPrivateMail      bool // and mail servers
	AllowPrivateOIDC      bool // and so may identity providers, which may then speak plain http
	Webhook               string
	WebhookSecret         string

	Clock  clock.Clock   // [the system's]
	Logger *slog.Logger  // [discards]
	Tracer *trace.Tracer // [no traces]

	// DANGEROUSIgnoreOrders disables containment; only for the drills' negative control.
	DANGEROUSIgnoreOrders bool

	offline bool
}

// WithDefaults fills in what is left empty.
func (o Options) WithDefaults() Options {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&o.DataDir, "data")
	def(&o.KeysDir, secret.DefaultDir(o.DataDir))
	def(&o.OutsideDir, record.DefaultOutside(o.DataDir))
	def(&o.Node, node.Default)
	def(&o.Listen, "127.0.0.1:8080")
	def(&o.GatewayListen, "127.0.0.1:8081")
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// App is one running instance: control and gateway in one process.
type App struct {
	o        Options
	House    *flow.House
	Gateway  *gateway.Gateway
	door     *door
	api      *api.API
	log      *slog.Logger
	web, gwl net.Listener

	webCert, gwCert *reloaded // nil for plain http
	certs           expiries

	webSrv   *http.Server
	gwSrv    *http.Server
	nodeL    net.Listener
	serve    []served // in the order in which they are stopped
	workers  []worker
	teardown []func() error
	checks   *health.Checks
	draining atomic.Bool
	metrics  *health.Metrics
	sink     gateway.Sink
	cancel   context.CancelFunc
	stopped  chan struct{}
	once     sync.Once
	node     *node.Keeper // nil offline
}

// served is a server with what it listens on.
type served struct {
	srv *http.Server
	l   net.Listener
}

// worker is a loop with an owner: Run starts it, and waits for it to end.
type worker struct {
	name string
	run  func(context.Context) error
}

// New opens the data folder, takes the ports and wires everything; nothing runs before Run.
// What was opened is closed again when it fails.
func New(ctx context.Context, o Options) (_ *App, err error) {
	a := &App{o: o.WithDefaults(), certs: expiries{}, stopped: make(chan struct{})}
	a.log = a.o.Logger
	if err := node.Check(a.o.Node); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	build := health.ReadBuild("")
	a.checks, a.metrics = health.NewChecks(build), health.NewMetrics(build)
	catalog, err := locale.Load()
	if err != nil {
		return nil, err
	}
	keys, outside, err := a.outside()
	if err != nil {
		return nil, err
	}
	log := record.New(record.Options{Keys: keys, Exporters: outside, Logger: a.log})
	st, err := store.Open(ctx, store.Options{Dir: a.o.DataDir, Database: a.o.Database, Clock: a.o.Clock, Recorder: log, Hub: watch.New(), Tracer: a.o.Tracer, OnWrite: func(took time.Duration, err error) { a.metrics.ObserveWrite(took, err) }})
	if err != nil {
		return nil, err
	}
	a.teardown = append(a.teardown, st.Close)
	if !a.o.offline {
		release, err := Alone(a.o.DataDir)
		if err != nil {
			return nil, err
		}
		a.teardown = append([]func() error{release}, a.teardown...) // last, after the store
		served, err := st.ServeAs(ctx, a.o.Node)
		if err != nil {
			return nil, err
		}
		a.work("serving", served)
		if a.node, err = node.New(ctx, st, node.Options{ID: a.o.Node, Version: build.Version, Modules: modules(), Log: a.log}); err != nil {
			return nil, err
		}
		a.work("node", a.node.Run)
	}
	if err := log.Bind(ctx, st); err != nil {
		return nil, err
	}
	origin, err := log.Origin(ctx, st.Read())
	if err != nil {
		return nil, err
	}
	if err := st.Confirm(origin); err != nil {
		return nil, err
	}
	if err := a.catchUp(ctx, log); err != nil {
		return nil, err
	}
	a.work("record", log.Run)
	a.work("timeline", func(ctx context.Context) error { return a.follow(ctx, log) })
	vault := secret.NewVault(keys)
	seeds, err := ensureSecrets(ctx, st, vault)
	if err != nil {
		return nil, err
	}
	if a.House, err = a.rooms(ctx, st, log, vault, catalog, seeds); err != nil {
		return nil, err
	}
	if err := a.House.EraseAgain(ctx); err != nil {
		return nil, err
	}
	if a.o.offline {
		return a, a.House.Login.Serve(a.publicURL())
	}
	if err := a.starters(ctx); err != nil {
		return nil, err
	}
	if err := a.gate(ctx, vault, seeds); err != nil {
		return nil, err
	}
	if err := a.cycles(ctx, catalog); err != nil {
		return nil, err
	}
	if err := a.listen(ctx, catalog); err != nil {
		return nil, err
	}
	return a, nil
}

// outside opens the folders that lie outside the data folder. Work offline makes neither: a folder that is
// not there was named wrongly, and new keys would open nothing of this data. What it writes is signed and
// sent out by the server, or by the next start.
func (a *App) outside() (*secret.Keys, []record.Exporter, error) {
	if a.o.offline {
		keys, err := secret.OpenExisting(a.o.KeysDir)
		return keys, nil, err
	}
	keys, err := secret.Open(a.o.KeysDir)
	if err != nil {
		return nil, nil, err
	}
	exporter, err := record.NewFileExporter(a.o.OutsideDir, a.o.DataDir)
	return keys, []record.Exporter{exporter}, err
}

// catchUp lets the record of a database that was set back go on in a new epoch.
func (a *App) catchUp(ctx context.Context, log *record.Log) error {
	if a.o.offline {
		return nil
	}
	known, err := record.ReadOutside(a.o.OutsideDir)
	if err != nil {
		return err
	}
	res, err := log.CatchUp(ctx, known)
	if res != nil {
		a.log.Warn("the database was set back, or another server took over; the record goes on in a new epoch that names the last known checkpoint", "known", len(res.Known), "erased_again", len(res.Reerased))
	}
	return err
}

// follow does the same when another server takes over while we serve; writes wait for it.
func (a *App) follow(ctx context.Context, log *record.Log) error {
	st := a.House.Store
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-st.Moved():
		}
		if err := a.catchUp(ctx, log); err != nil && ctx.Err() == nil {
			a.log.Error("another database server took over, and the record cannot go on there yet; nothing can be written", "error", err)
			select {
			case <-ctx.Done():
				return nil
			case <-a.o.Clock.After(time.Second):
			}
			continue
		}
		st.Hub().BumpAll() // what was read before may be lost; bundles have a new epoch
	}
}

// secrets that an instance needs for itself.
type seeds struct{ control, subject, probe, ack secret.Value }

// Names of the instance's own secrets.
const (
	controlKey = "fengsui.control"
	subjectKey = "fengsui.subject"
	probeKey   = "fengsui.probe"
	ackKey     = "fengsui.ack"
)

func ensureSecrets(ctx context.Context, st *store.Store, v *secret.Vault) (s seeds, err error) {
	err = st.Write(ctx, store.System("app"), func(tx *store.Tx) error {
		for name, into := range map[string]*secret.Value{controlKey: &s.control, subjectKey: &s.subject, probeKey: &s.probe, ackKey: &s.ack} {
			var err error
			if *into, err = v.Ensure(ctx, tx, name, secret.KeySize); err != nil {
				return err
			}
			if n := len(*into); n != secret.KeySize {
				return fmt.Errorf("the secret %s has %d bytes instead of %d; restore it from a backup", name, n, secret.KeySize)
			}
		}
		return nil
	})
	return s, err
}

// starters installs the lexicon and the plans that ship, as far as they are not there yet.
func (a *App) starters(ctx context.Context) error {
	return a.House.Store.Write(ctx, store.System("first-start"), func(tx *store.Tx) error {
		if _, err := a.House.Lexicon.InstallStarter(ctx, tx); err != nil {
			return err
		}
		_, err := a.House.PlanRules.InstallStarter(ctx, tx)
		return err
	})
}

func (a *App) work(name string, run func(context.Context) error) {
	a.workers = append(a.workers, worker{name, run})
}

func (a *App) listen(ctx context.Context, catalog *locale.Catalog) error {
	var err error
	if a.web, err = Listen(ctx, a.o.Listen, "listen"); err != nil {
		return err
	}
	a.teardown = append(a.teardown, func() error { return closed(a.web.Close()) })
	if a.web, a.webCert, err = a.o.TLS.dressed(a.web, a.o.Clock.Now, a.log); err != nil {
		return err
	}
	a.certs["pages"] = a.webCert
	probing := containment.ProberOptions{Client: &http.Client{Timeout: 10 * time.Second}, Served: counts{a}, Log: a.log}
	if !a.o.ControlOnly {
		if a.gwl, err = Listen(ctx, a.o.GatewayListen, "gateway-listen"); err != nil {
			return err
		}
		a.teardown = append(a.teardown, func() error { return closed(a.gwl.Close()) })
		if a.gwl, a.gwCert, err = a.o.GatewayTLS.dressed(a.gwl, a.o.Clock.Now, a.log); err != nil {
			return err
		}
		a.certs["gateway"] = a.gwCert
		own := probing
		own.Client = &http.Client{Timeout: 10 * time.Second, Transport: toOurselves(a.gwCert)}
		own.Addresses = map[string]string{a.o.Node: a.GatewayURL()}
		prober := containment.NewProber(a.House.Store, a.House.Control, own)
		a.work("prober", func(ctx context.Context) error {
			select { // a probe that meets the shut door would be paged about
			case <-a.door.told:
				return prober.Run(ctx)
			case <-ctx.Done():
				return nil
			}
		})
	}
	probing.Members = true
	if probing.Client, err = a.o.probes(); err != nil {
		return err
	}
	a.alone("probes", func(ctx context.Context, st *store.Store) error { // through gateways that are everybody's
		return containment.NewProber(st, a.House.Control, probing).Run(ctx)
	})
	mux := http.NewServeMux()
	a.House.GatewayURL = a.GatewayURL()
	if err := a.House.Login.Serve(a.publicURL()); err != nil {
		return err
	}
	player := newDriller(a)
	a.House.PlayDrill, a.House.PlayingDrill = player.start, player.playing
	a.work("drills", player.Run)
	a.api = api.Mount(mux, a.House, catalog, a.log)
	a.work("answers", a.forgetAnswers)
	a.pages(mux, catalog)
	a.webSrv = &http.Server{Handler: requests(a.o.Clock, a.log, a.o.Tracer, reading, behind(a.o.TrustedProxies, secureHeaders(mux))), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 60 * time.Second, WriteTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug)}
	a.webSrv.RegisterOnShutdown(a.api.EndStreams) // else Shutdown would wait for them
	a.serve = append([]served{{a.webSrv, a.web}}, a.serve...)
	if a.ControlOnly() {
		return nil
	}
	a.gwSrv = &http.Server{Handler: a.door, ConnContext: gateway.ConnContext, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug)}
	a.serve = append(a.serve, served{a.gwSrv, a.gwl})
	return nil
}

// ControlOnly says that the gateways are processes of their own.
func (a *App) ControlOnly() bool { return a.o.ControlOnly }

// forgetAnswers takes away the answers kept for repeated requests when their day is over.
func (a *App) forgetAnswers(ctx context.Context) error {
	for {
		if err := api.ForgetOldAnswers(ctx, a.House.Store); err != nil && ctx.Err() == nil {
			a.log.Error("kept answers were not forgotten", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.o.Clock.After(time.Hour):
		}
	}
}

// Listen takes a TCP address. The error, fault kind unavailable, names the flag that sets it.
func Listen(ctx context.Context, address, flag string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fault.Unavailable("app.port_taken", "address", address, "flag", "--"+flag).Because(err)
	case err != nil:
		return nil, fault.Unavailable("app.cannot_listen", "address", address, "flag", "--"+flag).Because(err)
	}
	return l, nil
}

func closed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// URL is the address of API and pages.
func (a *App) URL() string { return a.webCert.scheme() + a.web.Addr().String() }

// publicURL is where browsers find us. Passkeys need a name, so the loopback is called localhost.
func (a *App) publicURL() string {
	if a.o.PublicURL != "" {
		return a.o.PublicURL
	}
	host, port, err := net.SplitHostPort(a.o.Listen)
	if a.web != nil {
		host, port, err = net.SplitHostPort(a.web.Addr().String())
	}
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())) {
		host = "localhost"
	}
	if a.o.TLS.Cert != "" {
		return "https://" + net.JoinHostPort(host, port)
	}
	return "http://" + net.JoinHostPort(host, port)
}

// PublicURL is that address; links that are handed out begin with it.
func (a *App) PublicURL() string { return a.House.Login.PublicURL() }

// GatewayURL is the address that clients use instead of the model's, without /v1.
func (a *App) GatewayURL() string {
	if a.gwl == nil {
		return a.o.GatewayURL
	}
	return a.gwCert.scheme() + a.gwl.Addr().String()
}

// Spec is the OpenAPI document.
func (a *App) Spec() ([]byte, error) { return a.api.Spec() }

// Run serves until ctx ends or Stop is called, then stops everything in order: no new requests, then
// the loops, then the gateway, then the store. It returns the first thing that went wrong.
func (a *App) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.once.Do(func() { a.cancel = cancel })
	defer close(a.stopped)
	failed := make(chan error, len(a.workers)+len(a.serve))
	var serving, working sync.WaitGroup
	// The loops outlive the servers, so that what a last request decided still goes its way.
	loops, stopLoops := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLoops()
	for _, w := range a.workers {
		working.Go(func() {
			if err := w.run(loops); err != nil && loops.Err() == nil {
				failed <- fmt.Errorf("%s: %w", w.name, err)
				cancel()
			}
		})
	}
	for _, s := range a.serve {
		serving.Go(func() {
			if err := s.srv.Serve(s.l); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
				cancel()
			}
		})
	}
	<-ctx.Done()
	a.draining.Store(true)
	if a.o.DrainWait > 0 {
		<-a.o.Clock.After(a.o.DrainWait)
	}
	down, done := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer done()
	for _, s := range a.serve {
		if s.srv.Shutdown(down) != nil {
			s.srv.Close()
		}
	}
	serving.Wait()
	stopGateway, stopped := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer stopped()
	var stopErr error
	if a.Gateway != nil {
		stopErr = a.Gateway.Stop(stopGateway)
	}
	stopLoops() // after the gateway, so that what its last calls showed is still stored
	working.Wait()
	close(failed)
	return errors.Join(<-failed, stopErr, a.close())
}

// Stop ends Run and waits for it. Before Run, or a second time, it does no harm.
func (a *App) Stop() {
	ran := true
	a.once.Do(func() { ran = false })
	if !ran || a.cancel == nil {
		a.close()
		return
	}
	a.cancel()
	<-a.stopped
}

// close tears down what was opened, last first.
func (a *App) close() error {
	var errs []error
	for i := len(a.teardown) - 1; i >= 0; i-- {
		errs = append(errs, a.teardown[i]())
	}
	a.teardown = nil
	return errors.Join(errs...)
}

func secureHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// Offline opens a data folder for work that needs neither ports nor loops, such as adding a person;
// a server may be running on it. Nothing is made: without the key folder the error is fs.ErrNotExist. Run
// must not be called.
func Offline(ctx context.Context, o Options) (*App, error) {
	o.offline = true
	return New(ctx, o)
}
