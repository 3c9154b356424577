package app

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/fengsui/fengsui/internal/api/gates"
	"github.com/fengsui/fengsui/internal/monitor/gatelink"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/containment"
)

// nodes opens the listener for gateways that are processes of their own. Without TLS it takes loopback only: what
// goes over it are credentials.
func (a *App) nodes(ctx context.Context, d *containment.Distributor, s seeds) error {
	leases := containment.NewLeases(a.House.Store, a.House.Control, a.log)
	if a.o.NodeListen != "" || a.o.Database != "" { // also of gateways that reach other nodes only, for those may die
		a.work("leases", leases.Run)
	}
	if a.o.NodeListen == "" {
		return nil
	}
	conf, shown, err := a.o.NodeTLS.server(a.o.Clock.Now, a.log)
	if err != nil {
		return err
	}
	a.certs["nodes"] = shown
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
	g := gates.New(gates.Options{Store: a.House.Store, Control: a.House.Control, Distributor: d, Leases: leases, Secrets: a.House.Secrets, Telemetry: a.House.Telemetry,
		Subject: s.subject, SpoolKey: key, PublicURL: func() string { return a.House.PageURL("") }, TakeOver: a.House.TakeOverStop, Log: a.log})
	srv := &http.Server{Handler: requests(a.o.Clock, a.log, a.o.Tracer, func(*http.Request) bool { return true }, g.Handler()), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute,
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
