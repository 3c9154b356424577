package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/record"
	"github.com/fengsui/fengsui/internal/platform/secret"
	"github.com/fengsui/fengsui/internal/platform/store"
)

// RecordCmd is `fengsui record …`, all about the record (存证日志).
type RecordCmd struct {
	Verify     RecordVerifyCmd     `cmd:"" help:"Verify the record of a data folder, or an export of it. Exit code 1 if anything is wrong."`
	Proof      RecordProofCmd      `cmd:"" help:"Prove one entry: that a signed checkpoint covers it, and nothing about the others. Exit code 1 if it does not hold."`
	Export     RecordExportCmd     `cmd:"" help:"Write the record as one file that can be verified elsewhere."`
	Checkpoint RecordCheckpointCmd `cmd:"" help:"Sign the record as it is now and send the checkpoint out of the data folder."`
	Signer     RecordSignerCmd     `cmd:"" help:"Print the fingerprint of the signing key, to be pinned elsewhere."`
	RotateKey  RecordRotateKeyCmd  `cmd:"" name:"rotate-key" help:"Replace the signing key; old and new sign the change."`
}

// tongue is the language in which a command speaks.
type tongue struct {
	Lang string `enum:"zh,en" default:"zh" help:"Language of the text output: zh or en."`
}

// speech is how a command answers.
type speech struct {
	tongue
	JSON bool `name:"json" help:"Print JSON."`
}

// say prints v as JSON, or else what text writes with the catalog.
func (s *speech) say(out io.Writer, v any, text func(say func(key string, args ...any))) error {
	if s.JSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	}
	cat, err := locale.Load()
	if err != nil {
		return err
	}
	var b strings.Builder
	text(func(key string, args ...any) { b.WriteString(cat.Say(locale.Lang(s.Lang), key, args...) + "\n") })
	_, err = io.WriteString(out, b.String())
	return err
}

// explain turns a fault into the sentence a person reads; other errors pass.
func (s *tongue) explain(err error) error {
	var f *fault.Error
	if err == nil || !errors.As(err, &f) {
		return err
	}
	cat, lerr := locale.Load()
	if lerr != nil {
		return errors.Join(err, lerr)
	}
	return fmt.Errorf("%s (%w)", cat.Say(locale.Lang(s.Lang), f.Key, f.Args...), err)
}

// folders are the data folder and what lies outside it.
type folders struct {
	Config      string `placeholder:"FILE" type:"existingfile" help:"Configuration file of fengsui serve, which may name the folders; flags win over it."`
	Data        string `placeholder:"DIR" help:"Data folder; default: data."`
	Database    string `placeholder:"URL" env:"FENGSUI_DATABASE" help:"PostgreSQL database, as for fengsui serve; default: SQLite in the data folder."`
	Keys        string `placeholder:"DIR" help:"Key folder; default: DATA-keys."`
	Checkpoints string `placeholder:"DIR" help:"Folder of the checkpoints kept outside the data folder; default: DATA-checkpoints."`
}

// AfterApply takes from the configuration file what no flag named.
func (f *folders) AfterApply() error {
	c, err := ReadConfig(f.Config)
	if err != nil {
		return err
	}
	for _, p := range []struct {
		flag  *string
		value string
	}{{&f.Data, c.Data}, {&f.Data, "data"}, {&f.Database, c.Database}, {&f.Keys, c.Keys}, {&f.Checkpoints, c.Checkpoints}} {
		if *p.flag == "" {
			*p.flag = p.value
		}
	}
	return nil
}

// openKeys opens the key folder and makes nothing.
func (f *folders) openKeys() (*secret.Keys, error) {
	keys, err := secret.OpenExisting(f.keysDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.NotFound("keys", "cli.no_keys", "folder", f.keysDir()).Because(err)
	}
	return keys, err
}

func (f *folders) keysDir() string {
	if f.Keys != "" {
		return f.Keys
	}
	return secret.DefaultDir(f.Data)
}

func (f *folders) outsideDir() string {
	if f.Checkpoints != "" {
		return f.Checkpoints
	}
	return record.DefaultOutside(f.Data)
}

// outside reads the checkpoint folder; nil if none was named and the default is not there.
func (f *folders) outside() (*record.Outside, error) {
	o, err := record.ReadOutside(f.outsideDir())
	if f.Checkpoints == "" && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return o, err
}

// reader opens the main database as it is: it migrates nothing and makes nothing.
func (f *folders) reader(ctx context.Context) (*bun.DB, error) {
	return store.Reader(ctx, f.Data, f.Database)
}

// with opens the data folder for writing and calls fn with its record.
func (f *folders) with(ctx context.Context, fn func(l *record.Log, st *store.Store) error) (err error) {
	db, err := f.reader(ctx)
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	keys, err := f.openKeys()
	if err != nil {
		return err
	}
	exp, err := record.NewFileExporter(f.outsideDir(), f.Data)
	if err != nil {
		return err
	}
	l := record.New(record.Options{Keys: keys, Exporters: []record.Exporter{exp}})
	st, err := store.Open(ctx, store.Options{Dir: f.Data, Database: f.Database, Clock: clock.System(), Recorder: l})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if err := l.Bind(ctx, st); err != nil {
		return err
	}
	return fn(l, st)
}

// RecordVerifyCmd is `fengsui record verify`. It reads one snapshot and may run beside a live server.
// Without --signer the best verdict is "consistent, signer unknown".
type RecordVerifyCmd struct {
	folders
	speech
	File   string `placeholder:"FILE" help:"Verify this export instead of a data folder."`
	Signer string `placeholder:"FINGERPRINT" help:"Fingerprint of a signing key that you noted elsewhere (fengsui record signer)."`
}

// ErrNotVerified says that verify printed a report with problems.
var ErrNotVerified = errors.New("the record does not verify")

// Run verifies and prints the report; the error is ErrNotVerified if anything is wrong.
func (c *RecordVerifyCmd) Run(ctx context.Context, out io.Writer) error {
	rep, err := c.report(ctx)
	if err != nil {
		return c.explain(err)
	}
	if err := c.say(out, rep, func(say func(string, ...any)) { sayReport(say, rep) }); err != nil {
		return err
	}
	if !rep.OK {
		return ErrNotVerified
	}
	return nil
}

func (c *RecordVerifyCmd) report(ctx context.Context) (*record.Report, error) {
	o := record.VerifyOptions{Signer: c.Signer}
	if c.Signer != "" {
		if _, err := record.NormalFingerprint(c.Signer); err != nil {
			return nil, fault.Invalid("signer", "record.bad_fingerprint").Because(err)
		}
	}
	var err error
	if c.File == "" || c.Checkpoints != "" { // the default folder belongs to the data folder, not to a file
		if o.Outside, err = c.outside(); err != nil {
			return nil, err
		}
	}
	if c.File != "" {
		f, err := os.Open(c.File)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return record.VerifyFile(ctx, f, o)
	}
	db, err := c.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	o.Keys, err = secret.OpenExisting(c.keysDir())
	if errors.Is(err, fs.ErrNotExist) && c.Keys == "" {
		o.Keys, err = nil, nil // an auditor need not have the keys; the report says what was not opened
	}
	if err != nil {
		return nil, err
	}
	return record.Verify(ctx, db, o)
}

func sayReport(say func(key string, args ...any), r *record.Report) {
	say(r.Verdict)
	say("record.report.size", "entries", r.Entries, "epoch", r.Epoch, "root", r.Root)
	if r.Signer != "" {
		say("record.report.signer", "signer", r.Signer)
	}
	if r.OutsideGiven {
		say("record.report.outside", "count", r.CoveredOutside)
	}
	say("record.report.signed", "count", r.Signed)
	if r.Tail != nil {
		say("record.report.tail", "count", r.Tail.Count, "from", r.Tail.From, "to", r.Tail.To)
	} else {
		say("record.report.no_tail")
	}
	say("record.report.erased", "count", r.Erased, "scopes", r.ErasedScopes)
	if r.Unopened > 0 {
		say("record.report.unopened", "count", r.Unopened)
	}
	for _, e := range r.Restores {
		if e.Lost == nil {
			say("record.report.epoch", "epoch", e.Epoch, "index", e.Index, "reason", e.Reason)
		} else {
			say("record.report.epoch_lost", "epoch", e.Epoch, "index", e.Index, "reason", e.Reason, "from", e.Lost.From, "to", e.Lost.To)
		}
	}
	for _, f := range append(append([]record.Finding(nil), r.Notices...), r.Problems...) {
		say(f.Key, f.Args...)
	}
	if more := r.ProblemCount - int64(len(r.Problems)); more > 0 {
		say("record.report.more", "count", more)
	}
}

// RecordExportCmd is `fengsui record export`.
type RecordExportCmd struct {
	folders
	speech
	Out         string `required:"" placeholder:"FILE" help:"File to write; it must not exist."`
	WithContent bool   `name:"with-content" help:"Put the contents in, in the clear, with their salts. Needs the key folder."`
}

// Run signs the head if the signing key is at hand, so that the file has no uncovered tail, and exports.
func (c *RecordExportCmd) Run(ctx context.Context, out io.Writer) error {
	return c.explain(c.run(ctx, out))
}

func (c *RecordExportCmd) run(ctx context.Context, out io.Writer) (err error) {
	f, done, err := fresh(c.Out)
	if err != nil {
		return err
	}
	defer done(&err)
	write := func(l *record.Log, db bun.IDB) error {
		return errors.Join(l.Export(ctx, db, f, c.WithContent), f.Sync())
	}
	keys, kerr := secret.OpenExisting(c.keysDir())
	switch {
	case errors.Is(kerr, fs.ErrNotExist): // an auditor's copy: as it is
		db, err := c.reader(ctx)
		if err != nil {
			return err
		}
		defer db.Close()
		err = write(record.New(record.Options{Keys: keys}), db)
		if err != nil {
			return err
		}
	case kerr != nil:
		return kerr
	default:
		if err := c.with(ctx, func(l *record.Log, st *store.Store) error {
			if c.WithContent { // who takes contents out leaves a trace
				if err := st.Write(ctx, store.System("cli"), func(tx *store.Tx) error {
					tx.Record(store.Entry{Action: "export.contents", ObjectKind: "record", ObjectID: "record"})
					return nil
				}); err != nil {
					return err
				}
			}
			if _, err := l.Checkpoint(ctx); err != nil {
				return err
			}
			return write(l, st.Read())
		}); err != nil {
			return err
		}
	}
	return c.say(out, map[string]string{"file": c.Out}, func(say func(string, ...any)) { say("record.report.exported", "file", c.Out) })
}

// RecordCheckpointCmd is `fengsui record checkpoint`.
type RecordCheckpointCmd struct {
	folders
	speech
}

// Run signs, exports and prints the signed note.
func (c *RecordCheckpointCmd) Run(ctx context.Context, out io.Writer) error {
	return c.explain(c.with(ctx, func(l *record.Log, _ *store.Store) error {
		cp, err := l.Checkpoint(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return c.say(out, cp, nil)
		}
		_, err = io.WriteString(out, cp.Note)
		return err
	}))
}

// RecordSignerCmd is `fengsui record signer`.
type RecordSignerCmd struct {
	folders
	speech
}

// Run prints the fingerprint alone on a line.
func (c *RecordSignerCmd) Run(ctx context.Context, out io.Writer) error {
	db, err := c.reader(ctx)
	if err != nil {
		return c.explain(err)
	}
	defer db.Close()
	fp, err := record.New(record.Options{}).Signer(ctx, db)
	if err != nil {
		return err
	}
	return c.fingerprint(out, fp)
}

// RecordRotateKeyCmd is `fengsui record rotate-key`.
type RecordRotateKeyCmd struct {
	folders
	speech
}

// Run replaces the key and prints the new fingerprint.
func (c *RecordRotateKeyCmd) Run(ctx context.Context, out io.Writer) error {
	return c.explain(c.with(ctx, func(l *record.Log, _ *store.Store) error {
		fp, err := l.RotateSigner(ctx, store.System("cli"))
		if err != nil {
			return err
		}
		return c.fingerprint(out, fp)
	}))
}

func (s *speech) fingerprint(out io.Writer, fp string) error {
	if s.JSON {
		return s.say(out, map[string]string{"fingerprint": fp}, nil)
	}
	_, err := fmt.Fprintln(out, fp)
	return err
}

// fresh makes a file that must not exist yet. done closes it, and takes it away again if there was an error.
func fresh(path string) (f *os.File, done func(err *error), err error) {
	f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	return f, func(err *error) {
		if *err = errors.Join(*err, f.Close()); *err != nil {
			*err = errors.Join(*err, os.Remove(path))
		}
	}, err
}
