package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/health"
	"github.com/fengsui/fengsui/internal/platform/trace"
)

// GatewayConfig is the part of the configuration file for a gateway that is a process of its own.
type GatewayConfig struct {
	Controls      []string `yaml:"controls"`
	Join          string   `yaml:"join"`
	ControlCA     string   `yaml:"control_ca"`
	TLSCert       string   `yaml:"tls_cert"`
	TLSKey        string   `yaml:"tls_key"`
	URL           string   `yaml:"url"`
	Isolation     string   `yaml:"isolation"`
	ContactWithin string   `yaml:"contact_within"`
	DrainWait     string   `yaml:"drain_wait"`
	Drain         string   `yaml:"drain"`
	SpoolMB       int64    `yaml:"spool_mb"`
}

// apart runs a gateway that is a process of its own; f holds what the flags say already.
func (c *ServeCmd) apart(ctx context.Context, f Config, out io.Writer) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return err
	}
	g := f.Gateway
	o := app.ApartOptions{StateDir: cmp.Or(c.Data, f.Data), Listen: f.Listen, GatewayListen: f.GatewayListen, Controls: g.Controls,
		JoinFile: g.Join, URL: g.URL, ControlCA: g.ControlCA, Cert: g.TLSCert, Key: g.TLSKey,
		GatewayTLS: app.TLSFiles{Cert: f.GatewayTLSCert, Key: f.GatewayTLSKey},
		SpoolBytes: g.SpoolMB << 20, AllowPrivateUpstreams: f.Upstream.AllowPrivate,
		Logger: c.logger(os.Stderr, level)}
	for _, d := range []struct {
		field string
		flag  time.Duration
		file  string
		into  *time.Duration
	}{{"contact_within", c.ContactWithin, g.ContactWithin, &o.ContactWithin}, {"drain_wait", c.DrainWait, g.DrainWait, &o.DrainWait}, {"drain", c.Drain, g.Drain, &o.Drain}} {
		if err := duration(d.into, d.field, d.flag, d.file); err != nil {
			return err
		}
	}
	o.Isolation = g.Isolation
	var err error
	if o.Tracer, err = trace.Open(ctx, trace.Options{Endpoint: f.OTLPEndpoint, Node: "gateway", Version: health.ReadBuild("").Version, Log: o.Logger}); err != nil {
		return err
	}
	defer o.Tracer.Close() //nolint:errcheck // traces that are lost are lost
	a, err := app.NewApart(ctx, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "烽燧 Fengsui\n  gateway       %s/v1\n  readiness     %s/readyz\n", a.GatewayURL(), a.URL())
	return a.Run(ctx)
}

// duration takes what the flag says, or else the file.
func duration(into *time.Duration, field string, flag time.Duration, file string) error {
	if *into = flag; flag != 0 || file == "" {
		return nil
	}
	v, err := time.ParseDuration(file)
	if err != nil || v < 0 {
		return fault.Invalid(field, "cli.bad_duration", "field", field, "value", file)
	}
	*into = v
	return nil
}
