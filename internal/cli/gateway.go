package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/fengsui/fengsui/internal/app"
)

// GatewayCmd is about gateways that are processes of their own.
type GatewayCmd struct {
	Stop      GatewayStopCmd      `cmd:"" help:"Take a service offline on this host by a sealed token, without control. 就地下线。"`
	JoinToken GatewayJoinTokenCmd `cmd:"" help:"Print a token with which one gateway joins, once, within two weeks. The server need not be stopped."`
}

// GatewayJoinTokenCmd issues a join token in a data folder; who can write the folder needs no token. Through
// the API it is the operation issue-join-token.
type GatewayJoinTokenCmd struct {
	folders
	tongue
	Name string `arg:"" help:"Name of the gateway, such as edge-1; its id from then on."`
}

// Run prints the token and nothing else, so that it can be sent into a file.
func (c *GatewayJoinTokenCmd) Run(ctx context.Context, out io.Writer) error {
	return c.explain(c.run(ctx, out))
}

func (c *GatewayJoinTokenCmd) run(ctx context.Context, out io.Writer) error {
	a, err := c.offline(ctx, app.Options{})
	if err != nil {
		return err
	}
	defer a.Stop()
	token, err := a.JoinToken(ctx, c.Name)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, token)
	return nil
}

// GatewayStopCmd takes a service offline on a gateway's host. The token was sealed beforehand by the operation seal-stop.
type GatewayStopCmd struct {
	tongue
	Token string `help:"File with the sealed token." required:"" type:"existingfile"`
	Data  string `help:"State folder of the gateway; of a process that is control and gateway, the folder gateway in its data folder." default:"gateway" type:"path"`
}

// Run lays the token before the gateway and waits a moment for it to be obeyed.
func (c *GatewayStopCmd) Run(ctx context.Context, out io.Writer) error {
	return c.explain(c.run(ctx, out))
}

func (c *GatewayStopCmd) run(ctx context.Context, out io.Writer) error {
	raw, err := os.ReadFile(c.Token)
	if err != nil {
		return err
	}
	var answer struct { // what the API said, as it was saved
		Token json.RawMessage `json:"token"`
	}
	if json.Unmarshal(raw, &answer) == nil && len(answer.Token) > 0 {
		raw = answer.Token
	}
	obeyed, err := app.StopHere(ctx, c.Data, raw)
	if err != nil {
		return err
	}
	key := "cli.stop_kept"
	if obeyed {
		key = "cli.stop_obeyed"
	}
	return (&speech{tongue: c.tongue}).say(out, nil, func(say func(string, ...any)) { say(key) })
}
