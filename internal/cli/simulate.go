package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/simulate"
)

// SimulateModelCmd is `fengsui simulate-model`: an OpenAI-compatible model with
// benign answers and faults that can be switched on and off.
type SimulateModelCmd struct {
	Listen     string        `default:"127.0.0.1:9090" help:"Address to listen on; the fault switches answer to this machine only."`
	APIKey     string        `name:"api-key" env:"FENGSUI_SIMULATED_KEY" help:"The only bearer token to accept; none is asked for when empty."`
	Fault      []string      `help:"Fault to start with, may be repeated; a wrong name lists them all." placeholder:"NAME"`
	ChunkDelay time.Duration `default:"20ms" help:"Pause before each streamed event."`
}

// SimulateTrafficCmd is `fengsui simulate-traffic`: gentle, labelled questions
// to a gateway on this machine.
type SimulateTrafficCmd struct {
	Gateway      string  `required:"" help:"Base URL of the gateway; a loopback address." placeholder:"URL"`
	Key          string  `required:"" env:"FENGSUI_GATEWAY_KEY" help:"Gateway key."`
	Rate         float64 `default:"1" help:"Requests a second, at most 50."`
	Model        string  `default:"fengsui-sim-1" help:"Model name to ask for."`
	TriggerEvery int     `default:"12" help:"Every n-th question is one whose answer goes wrong while the model is faulty; -1 for never."`
}

// Run serves until SIGINT or SIGTERM.
func (c *SimulateModelCmd) Run(k *kong.Context) error {
	ctx, stop := untilSignal()
	defer stop()
	return c.run(ctx, k.Stdout)
}

func (c *SimulateModelCmd) run(ctx context.Context, out io.Writer) error {
	model := simulate.NewModel(simulate.Options{APIKey: c.APIKey, Clock: clock.System(), ChunkDelay: c.ChunkDelay})
	for _, name := range c.Fault {
		if err := model.Inject(simulate.Fault{Name: simulate.FaultName(name)}); err != nil {
			return err
		}
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", c.Listen, err)
	}
	if _, err := fmt.Fprintf(out, "simulated model: http://%s/v1  faults: http://%s/faults\n", l.Addr(), l.Addr()); err != nil {
		_ = l.Close()
		return err
	}
	return model.Serve(ctx, l)
}

// Run sends traffic until SIGINT or SIGTERM, then prints the counts as JSON.
func (c *SimulateTrafficCmd) Run(k *kong.Context) error {
	ctx, stop := untilSignal()
	defer stop()
	return c.run(ctx, k.Stdout)
}

func (c *SimulateTrafficCmd) run(ctx context.Context, out io.Writer) error {
	traffic, err := simulate.NewTraffic(simulate.TrafficOptions{
		Gateway: c.Gateway, Key: c.Key, Rate: c.Rate, Model: c.Model, TriggerEvery: c.TriggerEvery, Clock: clock.System(),
	})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "simulated traffic: %v requests a second to %s, labelled %s: 1\n", c.Rate, c.Gateway, simulate.SimulatedHeader); err != nil {
		return err
	}
	if err := traffic.Run(ctx); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(traffic.Stats())
}

func untilSignal() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}
