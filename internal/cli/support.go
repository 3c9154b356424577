package cli

import (
	"context"
	"io"

	"github.com/fengsui/fengsui/internal/app/doctor"
	"github.com/fengsui/fengsui/internal/app/support"
	"github.com/fengsui/fengsui/internal/platform/locale"
)

// SupportCmd is `fengsui support`.
type SupportCmd struct {
	DoctorCmd
	Out        string `required:"" placeholder:"FILE" help:"Archive to write (.tar.gz); it must not exist."`
	Log        string `placeholder:"FILE" type:"existingfile" help:"A file of the server's log; of each line time, level, message, ids and known causes are kept."`
	Goroutines bool   `help:"Ask the running server where its goroutines stand."`
}

// Run packs the archive and prints what is in it.
func (c *SupportCmd) Run(ctx context.Context, out io.Writer) error {
	return c.explain(c.pack(ctx, out))
}

func (c *SupportCmd) pack(ctx context.Context, out io.Writer) (err error) {
	f, done, err := fresh(c.Out)
	if err != nil {
		return err
	}
	defer done(&err)
	o := c.options()
	list, err := support.Pack(ctx, support.Options{Doctor: o, Lang: locale.Lang(c.Lang), Settings: c.settings(o), Log: c.Log, Goroutines: c.Goroutines}, f)
	if err != nil {
		return err
	}
	return c.say(out, list, func(say func(string, ...any)) {
		for _, p := range list {
			if p.Note != "" {
				say("support.left_out", "file", p.Name, "why", p.Note)
			} else {
				say("support.packed", "file", p.Name, "bytes", p.Bytes)
			}
		}
		say("support.done", "out", c.Out)
	})
}

// settings say what is configured: switches, and whether something is set. No text goes along.
func (c *SupportCmd) settings(o doctor.Options) map[string]any {
	f, err := ReadConfig(c.Config)
	f = c.over(f)
	role := roleAll
	switch {
	case o.Gateway != nil:
		role = roleGateway
	case o.App.ControlOnly:
		role = roleControl
	}
	return map[string]any{"config_file": c.Config != "", "config_readable": err == nil, "role": role, "postgres": o.App.Database != "", "node_named": f.Node != "" && f.Node != "gateway-1",
		"keys_folder_named": o.App.KeysDir != "", "checkpoints_folder_named": o.App.OutsideDir != "", "public_url": f.PublicURL != "", "tls": f.TLSCert != "", "gateway_tls": f.GatewayTLSCert != "", "trusted_proxies": len(f.TrustedProxies),
		"allow_private": map[string]bool{"upstream": f.Upstream.AllowPrivate, "webhook": f.Webhook.AllowPrivate, "mail": f.Mail.AllowPrivate, "oidc": f.OIDC.AllowPrivate},
		"webhook":       f.Webhook.URL != "", "webhook_secret": f.Webhook.SecretFile != "",
		"gateways": map[string]bool{"listen": f.Gates.Listen != "", "tls": f.Gates.TLSCert != "", "client_ca": f.Gates.ClientCA != ""},
		"gateway":  map[string]any{"controls": len(f.Gateway.Controls), "control_ca": f.Gateway.ControlCA != "", "tls": f.Gateway.TLSCert != "", "url": f.Gateway.URL != "", "spool_mb": f.Gateway.SpoolMB}}
}
