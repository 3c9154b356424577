package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/app/doctor"
	"github.com/fengsui/fengsui/internal/platform/locale"
)

// DoctorCmd is `fengsui doctor`. It changes nothing, and runs beside a server or without one.
type DoctorCmd struct {
	folders
	speech
	setup
	Thorough bool `help:"Read the whole database and verify the whole record, too; takes a while."`
	Quiet    bool `short:"q" help:"Leave out what is in order."`
}

// AfterApply keeps the configuration for later: one that cannot be read is a finding, not a refusal.
func (c *DoctorCmd) AfterApply() error { return nil }

// ErrUnwell says that doctor printed something bad.
var ErrUnwell = errors.New("the installation is not in order")

// Run examines and prints; the error is ErrUnwell if anything is bad.
func (c *DoctorCmd) Run(ctx context.Context, out io.Writer) error { return c.explain(c.run(ctx, out)) }

func (c *DoctorCmd) run(ctx context.Context, out io.Writer) error {
	rep, err := doctor.Examine(ctx, c.options(), locale.Lang(c.Lang))
	if err != nil {
		return err
	}
	if err := c.print(out, rep); err != nil {
		return err
	}
	if rep.State == doctor.Bad {
		return ErrUnwell
	}
	return nil
}

// options reads what serve would; the configuration file is left out as far as it cannot be read.
func (c *DoctorCmd) options() doctor.Options {
	f, err := ReadConfig(c.Config)
	o := doctor.Options{Config: c.Config, ConfigErr: err, Thorough: c.Thorough, Private: map[string]string{}}
	if err != nil {
		f = Config{}
	}
	f = c.over(f)
	role := cmp.Or(f.Role, roleAll)
	private := map[string]string{"webhook.secret_file": f.Webhook.SecretFile, "tls_key": f.TLSKey, "gateway_tls_key": f.GatewayTLSKey}
	if role == roleGateway {
		private["gateway.tls_key"], private["gateway.join"] = f.Gateway.TLSKey, f.Gateway.Join
	} else {
		private["gateways.tls_key"] = f.Gates.TLSKey
	}
	for option, path := range private {
		if path != "" {
			o.Private[option] = path
		}
	}
	o.App = app.Options{DataDir: cmp.Or(c.Data, f.Data), Database: cmp.Or(c.Database, f.Database), KeysDir: cmp.Or(c.Keys, f.Keys), OutsideDir: cmp.Or(c.Checkpoints, f.Checkpoints),
		Listen: f.Listen, GatewayListen: f.GatewayListen, NodeListen: f.Gates.Listen, ProbeCA: f.Gates.ProbeCA, Webhook: f.Webhook.URL, ControlOnly: role == roleControl,
		TLS: app.TLSFiles{Cert: f.TLSCert, Key: f.TLSKey}, GatewayTLS: app.TLSFiles{Cert: f.GatewayTLSCert, Key: f.GatewayTLSKey}, NodeTLS: app.TLSFiles{Cert: f.Gates.TLSCert, Key: f.Gates.TLSKey, ClientCA: f.Gates.ClientCA}}
	if role == roleGateway {
		g := f.Gateway
		o.Gateway = &app.ApartOptions{StateDir: cmp.Or(c.Data, f.Data, "gateway"), Listen: cmp.Or(f.Listen, "127.0.0.1:8083"), GatewayListen: cmp.Or(f.GatewayListen, "127.0.0.1:8081"),
			Controls: g.Controls, JoinFile: g.Join, ControlCA: g.ControlCA, Cert: g.TLSCert, Key: g.TLSKey, GatewayTLS: app.TLSFiles{Cert: f.GatewayTLSCert, Key: f.GatewayTLSKey}}
	}
	return o
}

func (c *DoctorCmd) print(out io.Writer, rep *doctor.Report) error {
	if c.JSON {
		return c.say(out, rep, nil)
	}
	cat, err := locale.Load()
	if err != nil {
		return err
	}
	lang, counts := locale.Lang(c.Lang), map[doctor.State]int{}
	for _, f := range rep.Findings {
		counts[f.State]++
		if f.State == doctor.OK && c.Quiet {
			continue
		}
		if _, err := fmt.Fprintf(out, "%s  %s: %s\n", cat.Say(lang, "doctor.word."+string(f.State)), f.Check, f.Found); err != nil {
			return err
		}
		if f.Do != "" {
			if _, err := fmt.Fprintf(out, "      → %s\n", f.Do); err != nil {
				return err
			}
		}
	}
	_, err = fmt.Fprintln(out, cat.Say(lang, "doctor.sum."+string(rep.State), "checks", len(rep.Findings), "warnings", counts[doctor.Warning], "bad", counts[doctor.Bad]))
	return err
}
