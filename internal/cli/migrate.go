package cli

import (
	"context"
	"io"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/backup"
	"github.com/fengsui/fengsui/internal/platform/fault"
)

// MigrateCmd is `fengsui migrate`. It moves the data of a stopped instance from one engine to the other, all or nothing.
type MigrateCmd struct {
	folders
	speech
	From string `required:"" enum:"sqlite,postgres" help:"Where the data are: sqlite (in the data folder) or postgres (--database)."`
	To   string `required:"" enum:"sqlite,postgres" help:"Where they go."`
}

// Run moves and prints what was moved.
func (c *MigrateCmd) Run(ctx context.Context, out io.Writer) error { return c.explain(c.run(ctx, out)) }

func (c *MigrateCmd) run(ctx context.Context, out io.Writer) (err error) {
	if c.From == c.To {
		return fault.Invalid("to", "cli.same_engine")
	}
	if c.Database == "" {
		return fault.Invalid("database", "cli.no_database")
	}
	keys, err := c.openKeys()
	if err != nil {
		return err
	}
	release, err := app.Alone(c.Data)
	if err != nil {
		return err
	}
	defer release() //nolint:errcheck // the process ends
	move := backup.ToPostgres
	if c.To == "sqlite" {
		move = backup.ToSQLite
	}
	m, err := move(ctx, c.Data, c.Database, keys)
	if err != nil {
		return err
	}
	return c.say(out, m, func(say func(string, ...any)) {
		say("backup.moved", "rows", m.Rows(), "tables", len(m.Tables), "days", len(m.Days))
		say("backup.moved_to_"+c.To, "folder", c.Data)
		sayReport(say, m.Record)
	})
}
