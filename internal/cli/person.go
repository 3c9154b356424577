package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// PersonCmd manages persons in a data folder, for the first start and for emergencies; who can write
// the data folder needs no token.
type PersonCmd struct {
	Add PersonAddCmd `cmd:"" help:"Add a person and print a token, once. The server need not be stopped."`
}

// PersonAddCmd adds one person.
type PersonAddCmd struct {
	folders
	tongue
	Name  string   `help:"Name." required:""`
	Roles []string `help:"Roles, such as duty_officer,commander." required:""`
}

// Run adds the person.
func (c *PersonAddCmd) Run(ctx context.Context, out io.Writer) error {
	return c.explain(c.run(ctx, out))
}

func (c *PersonAddCmd) run(ctx context.Context, out io.Writer) error {
	if _, err := os.Stat(filepath.Join(c.Data, store.MainFile)); err != nil {
		return fault.NotFound("data", "cli.no_data_folder", "folder", c.Data).Because(err)
	}
	if _, err := c.openKeys(); err != nil {
		return err
	}
	a, err := app.Offline(ctx, app.Options{DataDir: c.Data, KeysDir: c.keysDir(), OutsideDir: c.outsideDir()})
	if err != nil {
		return err
	}
	defer a.Stop()
	id, token, err := a.AddPerson(ctx, c.Name, c.Roles...)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "person %s\ntoken (shown once) %s\n", id, token)
	return nil
}
