package app

import (
	"context"
	"crypto/ed25519"
	"path/filepath"
	"time"

	"github.com/fengsui/fengsui/internal/monitor/gateway"
	"github.com/fengsui/fengsui/internal/platform/outgoing"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/containment"
)

// gatewayID names the gateway of the one-process default.
const gatewayID = "gateway-1"

// gate makes the gateway of this process and what hands it posture and orders.
func (a *App) gate(ctx context.Context, v *secret.Vault, s seeds) error {
	control := ed25519.NewKeyFromSeed(s.control).Public().(ed25519.PublicKey)
	g, err := gateway.New(gateway.Options{
		ID: gatewayID, StateDir: filepath.Join(a.o.DataDir, "gateway"), TrustedKeys: []ed25519.PublicKey{control}, Clock: a.o.Clock,
		Secret: func(ref string) (string, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			val, err := v.Get(ctx, a.House.Store.Read(), ref)
			return string(val), err
		},
		Sink: a.sink, SubjectKey: s.subject, Transport: outgoing.Guard{AllowPrivate: a.o.AllowPrivateUpstreams}.Transport(), Logger: a.log,
		DANGEROUSIgnoreOrders: a.o.DANGEROUSIgnoreOrders,
	})
	if err != nil {
		return err
	}
	a.Gateway = g
	d := containment.NewDistributor(a.House.Store, a.House.Control, containment.DistributorOptions{Log: a.log}, local{g})
	a.work("distributor", d.Run)
	return nil
}

// local is the gateway of this process as control sees it.
type local struct{ *gateway.Gateway }

func (local) ID() string { return gatewayID }

func (l local) Apply(ctx context.Context, s posture.Signed) (containment.Ack, error) {
	a, err := l.Gateway.Apply(ctx, s)
	return containment.Ack{Epoch: a.Epoch, Revision: a.Revision, OrderIDs: a.OrderIDs, StreamsCut: a.StreamsCut, AtMs: a.AtMs}, err
}
