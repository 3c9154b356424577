// Package doctor says what is wrong with an installation: what it found, and what to do. It looks only: it makes no file, takes no
// lock for longer than a look, and works beside a server or without one.
package doctor

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"slices"
	"syscall"
	"time"

	"github.com/uptrace/bun"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/health"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/secret"
)

// Options name the installation. What serve would refuse is not refused here but found.
type Options struct {
	App       app.Options       // as for serve; of a gateway that is a process of its own only DataDir is used
	Gateway   *app.ApartOptions // set for such a gateway
	Config    string            // the configuration file, "" = none
	ConfigErr error             // why it could not be read
	Private   map[string]string // files that hold a secret: the option that names it, path
	Thorough  bool              // reads all: the whole database and the whole record

	Clock clock.Clock                                                                   // [the system's]
	Lag   time.Duration                                                                 // how far a standby may be behind [30 s]
	Room  func(path string) (free, total uint64, err error)                             // [asks the file system]
	Get   func(ctx context.Context, c *http.Client, url string) (*http.Response, error) // [by the client]
}

// State of a check.
type State string

// OK: nothing to do. Warning: works, and will not for long or not as it should. Bad: does not work, or a promise is broken.
const (
	OK      State = "ok"
	Warning State = "warning"
	Bad     State = "bad"
)

// Finding is what one check found. Key is of the catalog: its sentence says what was found; Key.do what to do, unless all is well.
type Finding struct {
	Check string `json:"check"`
	State State  `json:"state"`
	Key   string `json:"key"`
	Found string `json:"found"`
	Do    string `json:"do"`

	args []any
}

// Report is what the doctor found, in the order of the checks.
type Report struct {
	AtMs     int64        `json:"at_ms"`
	Build    health.Build `json:"build"`
	Serving  bool         `json:"serving"`
	State    State        `json:"state"` // the worst of them
	Findings []Finding    `json:"findings"`

	catalog *locale.Catalog
	lang    locale.Lang
}

// Bare is the report without what people named: paths, addresses, names of nodes, gateways and channels. Figures stay.
func (r *Report) Bare() *Report {
	bare := *r
	bare.Findings = make([]Finding, 0, len(r.Findings))
	for _, f := range r.Findings {
		args := slices.Clone(f.args)
		for i := 1; i < len(args); i += 2 {
			switch args[i].(type) {
			case int, int64, uint64, time.Duration, fs.FileMode:
			default:
				args[i] = "…"
			}
		}
		f.Found, f.args = r.catalog.Say(r.lang, f.Key, args...), nil //nolint:govet // the key is that of the finding
		bare.Findings = append(bare.Findings, f)
	}
	return &bare
}

// patient is what is looked at.
type patient struct {
	Options
	rep     *Report
	catalog *locale.Catalog
	lang    locale.Lang
	db      bun.IDB      // nil if it cannot be read
	keys    *secret.Keys // nil if they cannot be opened
	serving bool         // a process holds the folder
}

func (p *patient) ok(check, key string, args ...any)   { p.note(check, OK, key, args) }
func (p *patient) warn(check, key string, args ...any) { p.note(check, Warning, key, args) }
func (p *patient) bad(check, key string, args ...any)  { p.note(check, Bad, key, args) }

func (p *patient) note(check string, s State, key string, args []any) {
	for i := range args {
		if err, is := args[i].(error); is {
			args[i] = p.sentence(err)
		}
	}
	f := Finding{Check: check, State: s, Key: key, args: args}
	f.Found = p.catalog.Say(p.lang, key, args...)
	if s != OK {
		if t, _ := p.catalog.Text(key + ".do"); p.lang == locale.EN {
			f.Do = t.EN
		} else {
			f.Do = t.ZH
		}
	}
	if s == Bad || s == Warning && p.rep.State == OK {
		p.rep.State = s
	}
	p.rep.Findings = append(p.rep.Findings, f)
}

// sentence is what a person is told of an error.
func (p *patient) sentence(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return p.catalog.Say(p.lang, f.Key, f.Args...)
	}
	return err.Error()
}

func (p *patient) nowMs() int64 { return clock.Ms(p.Clock) }

// Examine makes every check. An error means that not even the catalog could be read.
func Examine(ctx context.Context, o Options, lang locale.Lang) (*Report, error) {
	catalog, err := locale.Load()
	if err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Lag == 0 {
		o.Lag = 30 * time.Second
	}
	if o.Room == nil {
		o.Room = room
	}
	if o.Get == nil {
		o.Get = get
	}
	o.App = o.App.WithDefaults()
	p := &patient{Options: o, catalog: catalog, lang: lang}
	p.rep = &Report{catalog: catalog, lang: lang, AtMs: p.nowMs(), Build: health.ReadBuild(""), State: OK, Findings: []Finding{}}
	p.config()
	p.private()
	if o.Gateway != nil {
		p.apart(ctx)
		return p.rep, nil
	}
	there := p.folder(o.App.DataDir)
	p.space(o.App.DataDir, o.App.KeysDir, o.App.OutsideDir)
	for _, f := range []app.TLSFiles{p.App.TLS, p.App.GatewayTLS, p.App.NodeTLS} {
		p.tls(f)
	}
	if p.App.ProbeCA != "" {
		p.authority(p.App.ProbeCA)
	}
	if there {
		p.key()
		p.serve(ctx, o.App.DataDir, o.App.Listen)
		done := p.database(ctx)
		defer done()
	}
	if !p.serving {
		p.ports(ctx)
	}
	p.rules(ctx)
	if p.db == nil {
		return p.rep, nil
	}
	for _, look := range []func(context.Context) error{p.schema, p.time, p.sealed, p.nodes, p.record, p.gateways, p.duties, p.messages, p.channels, p.thorough} {
		if err := look(ctx); err != nil {
			p.bad("database", "doctor.database_fails", "why", err)
		}
	}
	return p.rep, nil
}

func room(path string) (free, total uint64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, 0, err
	}
	return s.Bavail * uint64(s.Bsize), s.Blocks * uint64(s.Bsize), nil
}

func get(ctx context.Context, c *http.Client, address string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	c.Timeout = 5 * time.Second
	return c.Do(r)
}
