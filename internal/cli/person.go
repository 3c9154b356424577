package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"github.com/fengsui/fengsui/internal/app"
)

// PersonCmd manages persons in a data folder, for the first start and for emergencies; who can write
// the data folder needs no token.
type PersonCmd struct {
	Add    PersonAddCmd    `cmd:"" help:"Add a person and print a token, once. The server need not be stopped."`
	Invite PersonInviteCmd `cmd:"" help:"Print a new one-time link for a person; older ones are void. The server need not be stopped."`
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

// offline opens an instance that stands on the folders, to work on its data beside the server.
func (f *folders) offline(ctx context.Context, o app.Options) (*app.App, error) {
	db, err := f.reader(ctx)
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	if _, err := f.openKeys(); err != nil {
		return nil, err
	}
	o.DataDir, o.Database, o.KeysDir, o.OutsideDir = f.Data, f.Database, f.keysDir(), f.outsideDir()
	return app.Offline(ctx, o)
}

func (c *PersonAddCmd) run(ctx context.Context, out io.Writer) error {
	a, err := c.offline(ctx, app.Options{})
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

// PersonInviteCmd makes a one-time link.
type PersonInviteCmd struct {
	folders
	tongue
	Name      string `arg:"" help:"Name of the person, or the id."`
	Listen    string `help:"Address that the server listens on. Default: 127.0.0.1:8080."`
	PublicURL string `help:"Where browsers find the desk. Default: the address listened on."`
}

// Run prints the link.
func (c *PersonInviteCmd) Run(ctx context.Context, out io.Writer) error {
	return c.explain(c.run(ctx, out))
}

func (c *PersonInviteCmd) run(ctx context.Context, out io.Writer) error {
	f, err := ReadConfig(c.Config)
	if err != nil {
		return err
	}
	a, err := c.offline(ctx, app.Options{Listen: cmp.Or(c.Listen, f.Listen), PublicURL: cmp.Or(c.PublicURL, f.PublicURL)})
	if err != nil {
		return err
	}
	defer a.Stop()
	url, err := a.InviteByName(ctx, c.Name)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, url)
	return nil
}
