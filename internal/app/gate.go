package app

import (
	"context"
	"crypto/ed25519"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/fengsui/fengsui/internal/monitor/gateway"
	"github.com/fengsui/fengsui/internal/platform/outgoing"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/containment"
)

// gate makes the gateway of this process, unless gateways are processes of their own, and what hands out posture
// and orders.
func (a *App) gate(ctx context.Context, v *secret.Vault, s seeds) error {
	var gateways []containment.Gateway
	if !a.o.ControlOnly {
		if err := a.own(ctx, v, s); err != nil {
			return err
		}
		gateways = append(gateways, local{a.Gateway, a.door, a.o.Node})
	} else if err := containment.Retire(ctx, a.House.Store, a.o.Node); err != nil {
		return err
	}
	d := containment.NewDistributor(a.House.Store, a.House.Control, containment.DistributorOptions{Log: a.log, Tracer: a.o.Tracer}, gateways...)
	a.work("distributor", d.Run)
	return a.nodes(ctx, d, s)
}

func (a *App) own(ctx context.Context, v *secret.Vault, s seeds) error {
	if err := containment.NotMember(ctx, a.House.Store.Read(), a.o.Node); err != nil {
		return err
	}
	control := ed25519.NewKeyFromSeed(s.control).Public().(ed25519.PublicKey)
	g, err := gateway.New(gateway.Options{
		ID: a.o.Node, StateDir: filepath.Join(a.o.DataDir, "gateway"), TrustedKeys: []ed25519.PublicKey{control}, Clock: a.o.Clock,
		Secret: func(ref string) (string, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			val, err := v.Get(ctx, a.House.Store.Read(), ref)
			return string(val), err
		},
		Sink: a.sink, SubjectKey: s.subject, Transport: outgoing.Guard{AllowPrivate: a.o.AllowPrivateUpstreams}.Transport(), Logger: a.log, Tracer: a.o.Tracer,
		NoticeURL:             func(serviceID string) string { return a.House.PageURL("/notice/" + serviceID) },
		DANGEROUSIgnoreOrders: a.o.DANGEROUSIgnoreOrders,
	})
	if err != nil {
		return err
	}
	a.Gateway = g
	a.door = &door{gateway: g, told: make(chan struct{})}
	a.work("stops", func(ctx context.Context) error {
		heedStops(ctx, g, a.o.Clock, a.log, func(s posture.Signed) error { return a.House.TakeOverStop(ctx, a.o.Node, s) })
		return nil
	})
	return nil
}

// local is the gateway of this process as control sees it.
type local struct {
	*gateway.Gateway
	door *door
	id   string
}

func (l local) ID() string { return l.id }

func (l local) Apply(ctx context.Context, s posture.Signed) (containment.Ack, error) {
	a, err := l.Gateway.Apply(ctx, s)
	if err == nil {
		l.door.open()
	}
	return containment.Ack{Epoch: a.Epoch, Revision: a.Revision, OrderIDs: a.OrderIDs, StreamsCut: a.StreamsCut, AtMs: a.AtMs, GuardsSilent: l.Status().SilentGuards()}, err
}

// door stays shut until control has told this process's gateway what holds now. The bundle on disk may be
// older than the last order: a crash between an order's commit and its handing out leaves it so. A gateway
// whose control is elsewhere has to live with that; one beside its control need not.
type door struct {
	gateway http.Handler
	once    sync.Once
	told    chan struct{} // closed when the first bundle is obeyed
}

func (d *door) open() { d.once.Do(func() { close(d.told) }) }

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case <-d.told:
		d.gateway.ServeHTTP(w, r)
	default:
		shut(w)
	}
}

// starting is an error object of the OpenAI API, with the code by which the gateway itself says the same.
const starting = `{"error":{"message":"The gateway is starting and has not heard yet which orders hold, so it passes nothing. Please ask again in a moment.","type":"service_unavailable_error","param":null,"code":"no_posture"}}`
