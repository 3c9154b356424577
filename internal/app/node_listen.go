package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/fengsui/fengsui/internal/api/gates"
	"github.com/fengsui/fengsui/internal/monitor/gatelink"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/containment"
)

// TLSFiles are a certificate with its key, and whose certificates are asked of the other side. Files are read again
// when they change, so that renewing a certificate needs no restart.
type TLSFiles struct {
	Cert, Key string // PEM; both or none
	ClientCA  string // PEM; who connects must show a certificate that one of these signed ["" = none is asked for]
}

// server gives the configuration of a listener, nil for plain http.
func (f TLSFiles) server(now func() time.Time) (*tls.Config, error) {
	if f.Cert == "" && f.Key == "" && f.ClientCA == "" {
		return nil, nil
	}
	r := &reloaded{files: f, now: now}
	if _, err := r.get(); err != nil {
		return nil, fault.Invalid("tls-cert", "app.tls_files", "file", f.Cert).Because(err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return r.get() }}
	if f.ClientCA != "" {
		pool, err := certPool(f.ClientCA)
		if err != nil {
			return nil, err
		}
		c.ClientCAs, c.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	return c, nil
}

func certPool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.Invalid("tls-ca", "app.tls_files", "file", file)
	}
	return pool, nil
}

// reloaded is a certificate that follows its files, looked at every ten seconds at most. A pair that cannot be read,
// because only half of it was renewed yet, leaves the last good one in use.
type reloaded struct {
	files TLSFiles
	now   func() time.Time

	mu     sync.Mutex
	cert   *tls.Certificate
	looked time.Time
	stamp  string
}

func (r *reloaded) get() (*tls.Certificate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if r.cert != nil && now.Sub(r.looked) < 10*time.Second {
		return r.cert, nil
	}
	r.looked = now
	stamp := ""
	for _, f := range []string{r.files.Cert, r.files.Key} {
		if st, err := os.Stat(f); err == nil {
			stamp += fmt.Sprint(st.ModTime().UnixNano(), st.Size(), " ")
		}
	}
	if r.cert != nil && stamp == r.stamp {
		return r.cert, nil
	}
	c, err := tls.LoadX509KeyPair(r.files.Cert, r.files.Key)
	switch {
	case err == nil:
		r.cert, r.stamp = &c, stamp
	case r.cert == nil:
		return nil, err
	}
	return r.cert, nil
}

// nodes opens the listener for gateways that are processes of their own. Without TLS it takes loopback only: what
// goes over it are credentials.
func (a *App) nodes(ctx context.Context, d *containment.Distributor, s seeds) error {
	if a.o.NodeListen == "" {
		return nil
	}
	conf, err := a.o.NodeTLS.server(a.o.Clock.Now)
	if err != nil {
		return err
	}
	l, err := Listen(ctx, a.o.NodeListen, "node-listen")
	if err != nil {
		return err
	}
	a.teardown = append(a.teardown, func() error { return closed(l.Close()) })
	if at, ok := l.Addr().(*net.TCPAddr); conf == nil && (!ok || !at.IP.IsLoopback()) {
		return fault.Invalid("node-listen", "app.node_needs_tls", "address", a.o.NodeListen)
	}
	key, err := gatelink.SpoolKey(s.control)
	if err != nil {
		return err
	}
	leases := containment.NewLeases(a.House.Store, a.House.Control, a.log)
	a.work("leases", leases.Run)
	g := gates.New(gates.Options{Store: a.House.Store, Control: a.House.Control, Distributor: d, Leases: leases, Secrets: a.House.Secrets, Telemetry: a.House.Telemetry,
		Subject: s.subject, SpoolKey: key, PublicURL: func() string { return a.House.PageURL("") }, TakeOver: a.House.TakeOverStop, Log: a.log})
	srv := &http.Server{Handler: requests(a.o.Clock, a.log, a.o.Tracer, g.Handler()), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug)}
	srv.RegisterOnShutdown(g.Release)
	a.nodeL = l
	if conf != nil {
		l = tls.NewListener(l, conf)
	}
	a.serve = append(a.serve, served{srv, l})
	return nil
}

// NodeAddress is where gateways reach control, host and port; "" if there is no such listener.
func (a *App) NodeAddress() string {
	if a.nodeL == nil {
		return ""
	}
	return a.nodeL.Addr().String()
}

// JoinToken issues a token with which one gateway of this name joins, once.
func (a *App) JoinToken(ctx context.Context, name string) (token string, err error) {
	err = a.House.Store.Write(ctx, store.System("cli"), func(tx *store.Tx) error {
		_, token, err = a.House.Control.IssueJoin(ctx, tx, name, 0)
		return err
	})
	return token, err
}
