package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/health"
	"github.com/fengsui/fengsui/internal/platform/outgoing"
	"github.com/fengsui/fengsui/internal/platform/trace"
)

// ServeCmd runs an instance. Flags win over the configuration file.
type ServeCmd struct {
	tongue
	Config   string `help:"Configuration file (YAML); an unknown key is an error." type:"existingfile"`
	Data     string `help:"Data folder. Default: data." type:"path"`
	Database string `help:"PostgreSQL database, such as postgres://fengsui@db.example.com/fengsui; the password is better kept in a file that PGPASSFILE names. Default: SQLite in the data folder." env:"FENGSUI_DATABASE"`
	setup
	IgnoreOrders bool `hidden:""`
}

// Config is the configuration file.
type Config struct {
	Data           string `yaml:"data"`
	Database       string `yaml:"database"`
	Node           string `yaml:"node"`
	Keys           string `yaml:"keys"`
	Checkpoints    string `yaml:"checkpoints"`
	Listen         string `yaml:"listen"`
	GatewayListen  string `yaml:"gateway_listen"`
	TLSCert        string `yaml:"tls_cert"`
	TLSKey         string `yaml:"tls_key"`
	GatewayTLSCert string `yaml:"gateway_tls_cert"`
	GatewayTLSKey  string `yaml:"gateway_tls_key"`
	Role           string `yaml:"role"`
	GatewayURL     string `yaml:"gateway_url"`
	Gates          struct {
		Listen   string `yaml:"listen"`
		TLSCert  string `yaml:"tls_cert"`
		TLSKey   string `yaml:"tls_key"`
		ClientCA string `yaml:"client_ca"`
		ProbeCA  string `yaml:"probe_ca"`
	} `yaml:"gateways"`
	Gateway        GatewayConfig `yaml:"gateway"`
	DrainWait      string        `yaml:"drain_wait"`
	OTLPEndpoint   string        `yaml:"otlp_endpoint"`
	PublicURL      string        `yaml:"public_url"`
	TrustedProxies []string      `yaml:"trusted_proxies"`
	Upstream       struct {
		AllowPrivate bool `yaml:"allow_private"`
	} `yaml:"upstream"`
	Webhook struct {
		URL          string `yaml:"url"`
		SecretFile   string `yaml:"secret_file"`
		AllowPrivate bool   `yaml:"allow_private"`
	} `yaml:"webhook"`
	Mail struct {
		AllowPrivate bool `yaml:"allow_private"`
	} `yaml:"mail"`
	OIDC struct {
		AllowPrivate bool `yaml:"allow_private"`
	} `yaml:"oidc"`
}

// What a process can be.
const (
	roleAll     = "all"
	roleControl = "control"
	roleGateway = "gateway"
)

// ReadConfig reads a configuration file strictly: an unknown or doubled key is an error that names it.
func ReadConfig(path string) (Config, error) {
	var c Config
	if path == "" {
		return c, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	if err := yaml.UnmarshalWithOptions(raw, &c, yaml.Strict()); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func (c *ServeCmd) options(logs io.Writer) (app.Options, error) {
	f, err := ReadConfig(c.Config)
	if err != nil {
		return app.Options{}, err
	}
	f = c.over(f)
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return app.Options{}, err
	}
	o := app.Options{DataDir: cmp.Or(c.Data, f.Data), Database: cmp.Or(c.Database, f.Database), Node: f.Node, KeysDir: f.Keys, OutsideDir: f.Checkpoints, Listen: f.Listen, GatewayListen: f.GatewayListen, PublicURL: f.PublicURL,
		AllowPrivateUpstreams: f.Upstream.AllowPrivate, Webhook: f.Webhook.URL, AllowPrivateWebhooks: f.Webhook.AllowPrivate, AllowPrivateMail: f.Mail.AllowPrivate, AllowPrivateOIDC: f.OIDC.AllowPrivate,
		DANGEROUSIgnoreOrders: c.IgnoreOrders, Logger: c.logger(logs, level)}
	o.NodeListen, o.GatewayURL, o.ProbeCA = f.Gates.Listen, f.GatewayURL, f.Gates.ProbeCA
	o.TLS = app.TLSFiles{Cert: f.TLSCert, Key: f.TLSKey}
	o.GatewayTLS = app.TLSFiles{Cert: f.GatewayTLSCert, Key: f.GatewayTLSKey}
	o.NodeTLS = app.TLSFiles{Cert: f.Gates.TLSCert, Key: f.Gates.TLSKey, ClientCA: f.Gates.ClientCA}
	switch role := f.Role; role {
	case "", roleAll:
	case roleControl:
		o.ControlOnly = true
	default:
		return o, fault.Invalid("role", "cli.bad_role", "role", role)
	}
	if err := duration(&o.DrainWait, "drain_wait", c.DrainWait, f.DrainWait); err != nil {
		return o, err
	}
	for _, s := range f.TrustedProxies {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return o, fault.Invalid("trusted-proxy", "cli.bad_network", "network", s)
		}
		o.TrustedProxies = append(o.TrustedProxies, p.Masked())
	}
	if f.Webhook.SecretFile != "" {
		secret, err := os.ReadFile(f.Webhook.SecretFile)
		if err != nil {
			return o, err
		}
		o.WebhookSecret = string(secret)
	}
	return o, nil
}

// logger writes lines that carry the ids of the request and the incident that they are about.
func (c *ServeCmd) logger(to io.Writer, level slog.Level) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(trace.Logs(slog.NewJSONHandler(to, o)))
	}
	return slog.New(trace.Logs(slog.NewTextHandler(to, o)))
}

// callable says before anything starts that the gateway's guard would refuse the upstream, as far as its
// address shows it; what a name resolves to is judged when it is dialled.
func callable(upstream string, allowPrivate bool) error {
	u, err := url.Parse(upstream)
	if err != nil {
		return nil // registering it says what is wrong
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761: always the loopback
		host = "127.0.0.1"
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return nil
	}
	err = outgoing.Guard{AllowPrivate: allowPrivate}.Permits(a)
	if err != nil && (outgoing.Guard{AllowPrivate: true}).Permits(a) == nil {
		return fault.Forbidden("cli.private_upstream", "upstream", u.Host)
	}
	return err
}

// kept says that a service which is registered already keeps the upstream it has.
func (s *tongue) kept(out io.Writer, model, given string, first app.First) error {
	if strings.TrimRight(first.Upstream, "/") == strings.TrimRight(given, "/") {
		return nil
	}
	return (&speech{tongue: *s}).say(out, nil, func(say func(string, ...any)) {
		say("cli.upstream_kept", "model", model, "registered", first.Upstream, "given", given)
	})
}

// printLinks shows the first administrators' links, once. Whoever is lost makes new ones with fengsui person invite.
func printLinks(out io.Writer, links []app.AdminLink) {
	if len(links) == 0 {
		return
	}
	fmt.Fprintln(out, "首次登录链接（24 小时内各用一次） first log-in, good once within 24 hours:")
	for _, l := range links {
		fmt.Fprintf(out, "  %-16s %s\n", l.Role, l.URL)
	}
}

// Run serves until interrupted.
func (c *ServeCmd) Run(ctx context.Context, out io.Writer) error { return c.explain(c.run(ctx, out)) }

func (c *ServeCmd) run(ctx context.Context, out io.Writer) error {
	f, err := ReadConfig(c.Config)
	if err != nil {
		return err
	}
	if f = c.over(f); f.Role == roleGateway {
		return c.apart(ctx, f, out)
	}
	o, err := c.options(os.Stderr)
	if err != nil {
		return err
	}
	if o.Tracer, err = trace.Open(ctx, trace.Options{Endpoint: f.OTLPEndpoint, Node: o.Node, Version: health.ReadBuild("").Version, Log: o.Logger}); err != nil {
		return err
	}
	defer o.Tracer.Close() //nolint:errcheck // traces that are lost are lost
	if c.Upstream != "" {
		if err := callable(c.Upstream, o.AllowPrivateUpstreams); err != nil {
			return err
		}
	}
	a, err := app.New(ctx, o)
	if err != nil {
		return err
	}
	if c.Upstream != "" {
		key := ""
		if c.UpstreamKeyFile != "" {
			raw, err := os.ReadFile(c.UpstreamKeyFile)
			if err != nil {
				a.Stop()
				return err
			}
			key = string(raw)
		}
		first, err := a.FirstService(ctx, app.FirstService{Upstream: c.Upstream, Model: c.UpstreamModel, UpstreamKey: key})
		if err != nil {
			a.Stop()
			return err
		}
		if first.Key != "" {
			fmt.Fprintf(out, "gateway key (shown once): %s\n", first.Key)
		} else if err := c.kept(out, c.UpstreamModel, c.Upstream, first); err != nil {
			a.Stop()
			return err
		}
	}
	links, err := a.FirstAdmins(ctx)
	if err != nil {
		a.Stop()
		return err
	}
	fmt.Fprintf(out, "烽燧 Fengsui\n  desk and API  %s\n", a.URL())
	if !a.ControlOnly() {
		fmt.Fprintf(out, "  gateway       %s/v1\n", a.GatewayURL())
	}
	if at := a.NodeAddress(); at != "" {
		fmt.Fprintf(out, "  for gateways  %s\n", at)
	}
	printLinks(out, links)
	return a.Run(ctx)
}
