package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/identity"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/prepare/drill"
	"github.com/fengsui/fengsui/internal/simulate"
)

// driller plays drills for the console, one at a time on each node: the same runner as that of the command line, as a
// client of this server, against a simulated model of its own. It stops with the server; a drill that it
// leaves behind is shown as interrupted.
type driller struct {
	a      *App
	starts chan play
	mu     sync.Mutex
	now    string // the id of the drill that is played; "" for none
}

// play is a drill to be played.
type play struct {
	drill    drill.Drill
	token    string
	label    string // of the token
	upstream net.Listener
}

// playMs is how long the runner's token is good; no drill takes that long.
const playMs int64 = 2 * 60 * 60 * 1000

func newDriller(a *App) *driller { return &driller{a: a, starts: make(chan play, 1)} }

// playing is the id of the drill that is played here now.
func (d *driller) playing() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

// start makes the ground of a drill and has it played. Errors: those of flow.StartDrill; conflict
// drill.busy while one is played here; unavailable drill.no_loopback if the gateway may not reach a
// model on this machine.
func (d *driller) start(ctx context.Context, actor store.Actor, scenario string) (drill.Drill, error) {
	if err := identity.Require(actor, "drill.run"); err != nil {
		return drill.Drill{}, err
	}
	if err := identity.RequireDrill(actor, ""); err != nil {
		return drill.Drill{}, err
	}
	if !d.a.o.AllowPrivateUpstreams {
		return drill.Drill{}, fault.Unavailable("drill.no_loopback")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now != "" {
		return drill.Drill{}, fault.Conflict("scenario", "drill.busy")
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return drill.Drill{}, err
	}
	p := play{upstream: l}
	id := store.NewID(clock.Ms(d.a.o.Clock))
	p.label = "drill " + id
	err = d.a.House.Store.Write(ctx, actor, func(tx *store.Tx) error {
		s, err := d.a.House.StartDrill(ctx, tx, drill.StartOptions{ID: id, Scenario: scenario, UpstreamURL: "http://" + l.Addr().String() + "/v1", UpstreamModel: simulate.DefaultModelID, ByServer: true, PlayedBy: d.a.o.Node})
		if err != nil {
			return err
		}
		p.drill = s.Drill
		tx.Actor = store.System("drill") // whoever may run a drill need not be allowed to hand out tokens
		defer func() { tx.Actor = actor }()
		p.token, _, err = identity.IssueToken(ctx, tx, actor.ID, p.label, playMs)
		return err
	})
	if err != nil {
		return drill.Drill{}, errors.Join(err, l.Close())
	}
	d.now = id
	d.starts <- p // nobody else is played, so there is room
	return p.drill, nil
}

// Run plays what start was asked for until ctx ends.
func (d *driller) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-d.starts:
			d.play(ctx, p)
		}
	}
}

func (d *driller) play(ctx context.Context, p play) {
	log := d.a.log.With("drill", p.drill.ID)
	model := simulate.NewModel(simulate.Options{Clock: d.a.o.Clock})
	serving, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := model.Serve(serving, p.upstream); err != nil {
			log.Error("the simulated model of a drill failed", "error", err)
		}
	})
	transport := toOurselves(d.a.webCert, d.a.gwCert)
	res, err := drill.Run(ctx, drill.Options{Server: d.a.URL(), Gateway: d.a.GatewayURL(), Token: p.token, Upstream: "http://" + p.upstream.Addr().String() + "/v1", UpstreamModel: simulate.DefaultModelID,
		Scenario: p.drill.Scenario, DrillID: p.drill.ID, HTTP: &http.Client{Transport: transport}, Clock: d.a.o.Clock, Patience: 15 * time.Second})
	log.Info("a drill was played", "passed", res.Passed, "stage", res.FailedStage, "error", err)
	transport.CloseIdleConnections()
	stop()
	wg.Wait()
	// The token is good for nothing else, and lapses by itself if this cannot be written any more.
	revoking, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer done()
	if err := d.a.House.Store.Write(revoking, store.System("drill"), func(tx *store.Tx) error { return identity.RevokeLabelled(revoking, tx, p.label) }); err != nil {
		log.Error("the runner's token could not be revoked", "error", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = ""
}
