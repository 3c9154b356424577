package app

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/containment"
)

func TestASealedTokenWorksWhereControlAndGatewayAreOneProcess(t *testing.T) {
	o := Options{DataDir: t.TempDir() + "/data", Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0", AllowPrivateUpstreams: true}
	a, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	first, err := a.FirstService(t.Context(), FirstService{Upstream: "http://127.0.0.1:1/v1", Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(context.Background()) }()
	defer func() {
		a.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	until(t, a.GatewayURL(), first.Key, "upstream")
	var sealed posture.Signed
	err = a.House.Store.Write(t.Context(), store.Actor{ID: "p", Roles: []string{"commander"}}, func(tx *store.Tx) error {
		_, s, err := a.House.Control.IssueStop(t.Context(), tx, first.ServiceID)
		sealed = s
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(sealed)
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(o.DataDir, "gateway")
	if obeyed, err := StopHere(t.Context(), state, raw); err != nil || !obeyed {
		t.Fatal(obeyed, err)
	}
	until(t, a.GatewayURL(), first.Key, "service_offline")
	var orders []containment.Order
	for range 200 {
		if err := a.House.Store.Read().NewSelect().Model(&orders).Where("state = 'in_force'").Scan(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(orders) == 1 && len(a.Gateway.Stops()) == 0 {
			break
		}
		<-a.o.Clock.After(25e6)
	}
	if len(orders) != 1 || orders[0].IssuedBy != "p" || orders[0].IncidentID != "" || orders[0].Rung != posture.ServiceOffline || len(a.Gateway.Stops()) != 0 {
		t.Errorf("%+v", orders)
	}
	until(t, a.GatewayURL(), first.Key, "service_offline")
	if _, err := StopHere(t.Context(), state, raw); !fault.Is(err, "gateway.stop_refused") {
		t.Errorf("a spent token: %v", err)
	}
}
