package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// PersonCmd manages persons in a data folder, for the first start and for emergencies; who can write
// the data folder needs no token.
type PersonCmd struct {
	Add PersonAddCmd `cmd:"" help:"Add a person and print a token, once. The server need not be stopped."`
}

// PersonAddCmd adds one person.
type PersonAddCmd struct {
	Data  string   `help:"Data folder." default:"data" type:"path"`
	Name  string   `help:"Name." required:""`
	Roles []string `help:"Roles, such as duty_officer,commander." required:""`
}

// Run adds the person.
func (c *PersonAddCmd) Run(ctx context.Context, out io.Writer) error {
	if _, err := os.Stat(filepath.Join(c.Data, store.MainFile)); err != nil {
		return fmt.Errorf("%s is not a data folder of Fengsui; start `fengsui serve --data %s` once", c.Data, c.Data)
	}
	a, err := app.Offline(ctx, app.Options{DataDir: c.Data})
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
