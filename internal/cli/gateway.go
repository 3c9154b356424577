package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/fengsui/fengsui/internal/app"
)

// GatewayCmd is about gateways that are processes of their own.
type GatewayCmd struct {
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
