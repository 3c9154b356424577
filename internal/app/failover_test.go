package app

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

func TestNodesThatServeGoOnInOneNewEpochWhenAnotherServerTakesOver(t *testing.T) {
	storetest.Only(t, storetest.Postgres, "has a standby take over")
	pair := storetest.StartPair(t, "fengsui")
	// Both servers' addresses, as libpq's and pgx's connection strings take them.
	database := "postgres://fengsui@" + pair.Address() + "," + standby(t, pair) + "/fengsui?sslmode=disable&target_session_attrs=primary"
	dir := t.TempDir()
	var nodes []*App
	for _, name := range []string{"a", "b"} {
		a, err := New(t.Context(), Options{DataDir: filepath.Join(dir, name), KeysDir: filepath.Join(dir, "keys"), OutsideDir: filepath.Join(dir, name+"-outside"), Database: database, Node: name,
			Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- a.Run(context.Background()) }()
		t.Cleanup(func() {
			a.Stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		nodes = append(nodes, a)
	}
	write := func(a *App) error {
		return a.House.Store.Write(t.Context(), store.System("test"), func(tx *store.Tx) error {
			tx.Record(store.Entry{Action: "setting.change", ObjectKind: "setting", ObjectID: "x"})
			return nil
		})
	}
	epoch := func(a *App) (n, begun int64) {
		_ = a.House.Store.Read().NewRaw("SELECT epoch, (SELECT COUNT(*) FROM record_entries WHERE action = 'record.epoch') FROM record_head").Scan(t.Context(), &n, &begun)
		return n, begun
	}
	for _, a := range nodes {
		if err := write(a); err != nil {
			t.Fatal(err)
		}
	}
	if n, begun := epoch(nodes[0]); n != 1 || begun != 0 {
		t.Fatalf("before: epoch %d, %d begun", n, begun)
	}
	if err := pair.Failover(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, a := range nodes {
		var err error
		for range 3 { // a write gives up while nobody answers
			if err = write(a); err == nil {
				break
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		if n, begun := epoch(a); n != 2 || begun != 1 {
			t.Errorf("after a write: epoch %d, %d begun", n, begun)
		}
	}
	for _, a := range nodes {
		for range 200 {
			if a.Gateway.Status().Epoch == 2 {
				break
			}
			time.Sleep(25 * time.Millisecond)
		}
		if e := a.Gateway.Status().Epoch; e != 2 {
			t.Errorf("%s: its gateway obeys epoch %d", a.o.Node, e)
		}
	}
}

func standby(t *testing.T, p *storetest.Pair) string {
	t.Helper()
	at, err := store.PlaceOf(p.Standby("fengsui"))
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(at.Host, at.Port)
}
