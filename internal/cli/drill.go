package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/prepare/drill"
	"github.com/fengsui/fengsui/internal/simulate"
)

// DrillCmd is `fengsui drill`.
type DrillCmd struct {
	Run DrillRunCmd `cmd:"" help:"Run the guide's case A.1 or A.2 from first signal to retrospective. 演练指南附录 A 的案例。"`
}

// DrillRunCmd plays one case as a client of API and gateway: against a running server, or, without
// --server, against an instance of its own that is gone afterwards.
//
//	fengsui drill run A.1
//	fengsui drill run A.2 --server http://127.0.0.1:8080 --token fst-… --json
//
// With --json it prints one object, drill.Result:
//
//	{
//	  "drill": "A.2", "drill_id": "01K…", "number": "D-DR-2026-0001",
//	  "incident": "01K…", "incident_number": "D-IN-2026-0001", "category": "content.false", "level": 2,
//	  "stages": [{"name": "prepare", "at": "2026-01-01T00:00:00.000Z", "ms": 40}, …],
//	  "passed": true,
//	  "failed_stage": "contain", "error": "…"   // only when it did not pass
//	}
//
// The exit code is 0 only when the drill passed.
type DrillRunCmd struct {
	Scenario string        `arg:"" enum:"A.1,A.2" help:"A.1 or A.2."`
	Server   string        `placeholder:"URL" help:"A running Fengsui; default: a temporary one."`
	Token    string        `env:"FENGSUI_TOKEN" placeholder:"TOKEN" help:"Token of a person who may run drills; needed with --server."`
	Upstream string        `placeholder:"URL" help:"Base URL with /v1 of a simulated model (fengsui simulate-model), as the gateway reaches it; default: a temporary one."`
	Resume   string        `placeholder:"DRILL_ID" help:"Go on with a drill that was interrupted."`
	JSON     bool          `name:"json" help:"Print JSON."`
	Lang     string        `enum:"zh,en" default:"zh" help:"Language of the output: zh or en."`
	Sabotage string        `hidden:"" enum:",fault-off,containment-off,same-approver" default:"" help:"Break one thing, to see the drill fail."`
	Settle   time.Duration `hidden:"" help:"How long an effect may take to be seen."`
}

// Run plays the drill and prints its stages to out.
func (c *DrillRunCmd) Run(ctx context.Context, out io.Writer) (err error) {
	if c.Server != "" && c.Token == "" {
		return errors.New("--server needs --token (or FENGSUI_TOKEN) of a person who may run drills")
	}
	if c.Server != "" && c.Sabotage == string(drill.ContainmentOff) {
		return errors.New("containment can be disabled in a temporary instance only; leave --server away")
	}
	if c.Server == "" && c.Resume != "" {
		return errors.New("a temporary instance is gone when its drill ends, so --resume needs --server")
	}
	ground, err := c.ground(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ground.close()) }()
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	defer transport.CloseIdleConnections()
	o := drill.Options{Server: ground.server, Token: ground.token, Upstream: ground.upstream, UpstreamModel: simulate.DefaultModelID, Scenario: c.Scenario, DrillID: c.Resume,
		Sabotage: drill.Sabotage(c.Sabotage), Bystander: ground.bystander, HTTP: &http.Client{Transport: transport}, Clock: clock.System(), Lang: c.Lang, Settle: c.Settle}
	if o.DrillID == "" {
		o.DrillID = store.NewID(clock.Ms(o.Clock))
	}
	if !c.JSON {
		fmt.Fprintf(out, "%s %s\n", o.DrillID, c.Scenario)
		o.OnStage = func(s drill.Stage, title drill.Words) {
			text := title.ZH
			if c.Lang == "en" {
				text = title.EN
			}
			fmt.Fprintf(out, "%8d ms  %-10s %s\n", s.Ms, s.Name, text)
		}
	}
	res, err := drill.Run(ctx, o)
	if c.Server != "" && (ctx.Err() != nil || errors.Is(err, drill.ErrPaused)) {
		err = fmt.Errorf("%w; to go on: fengsui drill run %s --resume %s", err, c.Scenario, o.DrillID)
	}
	if c.JSON {
		return errors.Join(err, json.NewEncoder(out).Encode(res))
	}
	if err == nil {
		fmt.Fprintf(out, "passed  %s  %s  level %d\n", res.IncidentNumber, res.Category, res.Level)
	}
	return err
}

// drillGround is where a drill takes place, and how to leave it.
type drillGround struct {
	server, token, upstream string
	bystander               *drill.Bystander
	undo                    []func() error
}

func (g *drillGround) close() error {
	var errs []error
	for i := len(g.undo) - 1; i >= 0; i-- {
		errs = append(errs, g.undo[i]())
	}
	return errors.Join(errs...)
}

// ground makes what was not given: a simulated model, and an instance in front of it.
func (c *DrillRunCmd) ground(ctx context.Context) (_ *drillGround, err error) {
	g := &drillGround{server: c.Server, token: c.Token, upstream: c.Upstream}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	if g.upstream == "" {
		if err := g.simulate(ctx); err != nil {
			return nil, err
		}
	}
	if g.server == "" {
		if err := g.instance(ctx, c.Sabotage == string(drill.ContainmentOff)); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (g *drillGround) simulate(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the simulated model: %w", err)
	}
	model := simulate.NewModel(simulate.Options{Clock: clock.System()})
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- model.Serve(ctx, l) }()
	g.upstream = "http://" + l.Addr().String() + "/v1"
	g.undo = append(g.undo, func() error { cancel(); return <-served })
	return nil
}

// instance starts Fengsui in a temporary folder with a real service, which no drill may touch.
func (g *drillGround) instance(ctx context.Context, ignoreOrders bool) error {
	dir, err := os.MkdirTemp("", "fengsui-drill-")
	if err != nil {
		return err
	}
	g.undo = append(g.undo, func() error { return os.RemoveAll(dir) })
	a, err := app.New(ctx, app.Options{DataDir: filepath.Join(dir, "data"), Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0", AllowPrivateUpstreams: true,
		DANGEROUSIgnoreOrders: ignoreOrders, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))})
	if err != nil {
		return err
	}
	first, err := a.FirstService(ctx, app.FirstService{Upstream: g.upstream, Model: simulate.DefaultModelID})
	if err == nil {
		_, g.token, err = a.AddPerson(ctx, "演练组织者", "duty_officer")
	}
	if err != nil {
		a.Stop()
		return err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	var ran error
	running.Go(func() { ran = a.Run(ctx) })
	g.undo = append(g.undo, func() error { cancel(); running.Wait(); return ran })
	g.server, g.bystander = a.URL(), &drill.Bystander{Key: first.Key, Model: simulate.DefaultModelID}
	return nil
}
