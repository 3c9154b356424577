package cli

import (
	"context"
	"io"
	"strings"

	"github.com/fengsui/fengsui/internal/platform/backup"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// BackupCmd is `fengsui backup`. It may run beside a live server.
type BackupCmd struct {
	folders
	speech
	Out string `required:"" placeholder:"FILE" help:"Backup file to write (.tar.gz); it must not exist."`
}

// Run writes the backup and prints what is in it.
func (c *BackupCmd) Run(ctx context.Context, out io.Writer) error { return c.explain(c.run(ctx, out)) }

func (c *BackupCmd) run(ctx context.Context, out io.Writer) error {
	keys, err := c.openKeys()
	if err != nil {
		return err
	}
	if place, err := store.ReadPlace(c.Data); err == nil && place != nil && c.Database == "" {
		return fault.Conflict("database", "store.elsewhere", "host", place.Host, "port", place.Port, "name", place.Database)
	}
	m, err := backup.Create(ctx, backup.Source{DataDir: c.Data, Database: c.Database, Keys: keys, Clock: clock.System()}, c.Out)
	if err != nil {
		return err
	}
	var bytes, entries int64
	for _, f := range m.Files {
		bytes += f.Size
	}
	if cp, err := record.ParseCheckpoint(m.Checkpoint); err == nil {
		entries = cp.Size
	}
	return c.say(out, m, func(say func(string, ...any)) {
		say("backup.done", "files", len(m.Files), "bytes", bytes, "entries", entries, "out", c.Out)
		say("backup.keys_apart")
	})
}

// RestoreCmd is `fengsui restore`. The record begins a new epoch; erasures that came after the backup are
// repeated from the checkpoint folder. For a rehearsal name another --checkpoints folder (a copy), or the
// rehearsal's epoch is announced to the real one.
type RestoreCmd struct {
	folders
	speech
	From   string `required:"" placeholder:"FILE" help:"Backup file."`
	Signer string `placeholder:"FINGERPRINT" help:"Fingerprint of a signing key that you noted elsewhere."`
}

// Run restores and prints the report; the error is ErrNotVerified if the record in the backup is broken.
func (c *RestoreCmd) Run(ctx context.Context, out io.Writer) error { return c.explain(c.run(ctx, out)) }

func (c *RestoreCmd) run(ctx context.Context, out io.Writer) error {
	keys, err := c.openKeys()
	if err != nil {
		return err
	}
	kept, err := c.outside()
	if err != nil {
		return err
	}
	exp, err := record.NewFileExporter(c.outsideDir(), c.Data)
	if err != nil {
		return err
	}
	res, err := backup.Restore(ctx, c.From, backup.Target{DataDir: c.Data, Database: c.Database, Keys: keys, Signer: c.Signer, Outside: kept,
		Exporters: []record.Exporter{exp}, Clock: clock.System()})
	if res == nil || res.Report == nil {
		return err
	}
	serr := c.say(out, res, func(say func(string, ...any)) {
		if err == nil {
			say("backup.restored", "folder", c.Data, "epoch", res.Report.Epoch)
			if len(res.Resumption.Reerased) > 0 {
				say("backup.reerased", "scopes", strings.Join(res.Resumption.Reerased, ", "))
			}
		}
		sayReport(say, res.Report)
	})
	if err != nil {
		return err
	}
	return serr
}
