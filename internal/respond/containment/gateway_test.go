package containment_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/monitor/gateway"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/outgoing"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/posture"
	"github.com/fengsui/fengsui/internal/respond/containment"
)

// realGate is the gateway itself as containment sees it.
type realGate struct{ *gateway.Gateway }

func (realGate) ID() string { return "gw" }

func (g realGate) Apply(ctx context.Context, s posture.Signed) (containment.Ack, error) {
	a, err := g.Gateway.Apply(ctx, s)
	return containment.Ack{Epoch: a.Epoch, Revision: a.Revision, OrderIDs: a.OrderIDs, StreamsCut: a.StreamsCut, AtMs: a.AtMs}, err
}

// rows keeps what the gateway saw and answers which deployment gave an answer.
type rows struct {
	mu   sync.Mutex
	list []gateway.Traffic
}

func (r *rows) Traffic(t gateway.Traffic) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, t)
}
func (r *rows) Signal(gateway.Signal) {}

// DeploymentOf waits for the row, which the gateway writes after the answer has left: the bench's clock
// stands still, so the prober's own second look would never come.
func (r *rows) DeploymentOf(ctx context.Context, number string) (string, error) {
	for range 500 {
		if id := r.deployment(number); id != "" {
			return id, nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return "", nil
}

func (r *rows) deployment(number string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.list {
		if t.ContentNumber == number {
			return t.DeploymentID
		}
	}
	return ""
}

// live runs control against a real gateway in front of a model that always answers the same.
func (b *bench) live(t *testing.T, deaf bool) *rows {
	t.Helper()
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"c","object":"chat.completion","created":1,"model":"u","choices":[{"index":0,"message":{"role":"assistant","content":"好"},"finish_reason":"stop"}]}`)
	}))
	t.Cleanup(model.Close)
	b.do(t, rule, func(tx *store.Tx) error {
		_, err := tx.Exec("UPDATE deployment SET upstream_url = ?", model.URL+"/v1")
		return err
	})
	seen := &rows{}
	g, err := gateway.New(gateway.Options{ID: "gw", StateDir: t.TempDir(), TrustedKeys: []ed25519.PublicKey{b.key.Public().(ed25519.PublicKey)}, Clock: clock.System(),
		Secret: func(string) (string, error) { return "", nil }, Sink: seen, SubjectKey: bytes.Repeat([]byte{9}, 32), Transport: outgoing.Guard{AllowPrivate: true}.Transport(), DANGEROUSIgnoreOrders: deaf})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(g)
	srv.Config.ConnContext = gateway.ConnContext
	srv.Start()
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		stop, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = g.Stop(stop)
		srv.Close()
	})
	run(t, containment.NewProber(b.st, b.control, containment.ProberOptions{Client: client, Addresses: map[string]string{"gw": srv.URL}, Served: seen}))
	run(t, containment.NewDistributor(b.st, b.control, containment.DistributorOptions{}, realGate{g}))
	return seen
}

func TestTheRealGatewayIsProvenOnEveryRungAndFoundOutWhenItIgnoresOrders(t *testing.T) {
	for _, rung := range containment.Rungs() {
		params := map[posture.Rung]posture.Params{posture.TopicBlock: {TopicIDs: []string{"rumour"}}, posture.AudienceLimit: {AllowedGroups: []string{"staff"}}, posture.BackupModel: {BackupID: "b1"}}[rung]
		for _, deaf := range []bool{false, true} {
			t.Run(string(rung)+map[bool]string{true: " ignored"}[deaf], func(t *testing.T) {
				b := newBench(t)
				seen := b.live(t, deaf)
				r := strict(containment.FromIncident, "i1")
				r.Rung, r.Params = rung, params
				o := b.issue(t, officer, r)
				until(t, "a probe result", func() bool { return len(b.status(t, o.ID).Probes) > 0 })
				if s := b.status(t, o.ID); s.Proven == deaf || !s.Acknowledged {
					t.Fatalf("%+v", s)
				}
				until(t, "the row of the probe", func() bool { seen.mu.Lock(); defer seen.mu.Unlock(); return len(seen.list) > 0 })
				seen.mu.Lock()
				defer seen.mu.Unlock()
				for _, row := range seen.list {
					if row.Kind != "test" || !strings.HasPrefix(row.KeyID, containment.KeyProbe) {
						t.Errorf("a probe counts as %s traffic of key %s", row.Kind, row.KeyID)
					}
					if !deaf && !slices.Contains(row.OrderIDs, o.ID) && rung != posture.ServiceOffline && rung != posture.AudienceLimit {
						t.Errorf("the order did not bind the probe: %+v", row.OrderIDs)
					}
				}
			})
		}
	}
}
