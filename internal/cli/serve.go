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
	"time"

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
	Config               string        `help:"Configuration file (YAML); an unknown key is an error." type:"existingfile"`
	Data                 string        `help:"Data folder. Default: data." type:"path"`
	Database             string        `help:"PostgreSQL database, such as postgres://fengsui@db.example.com/fengsui; the password is better kept in a file that PGPASSFILE names. Default: SQLite in the data folder." env:"FENGSUI_DATABASE"`
	Node                 string        `help:"Name of this process among those that serve one PostgreSQL database; its gateway goes by it too. Default: gateway-1." env:"FENGSUI_NODE"`
	Listen               string        `help:"Address of API and pages. Default: 127.0.0.1:8080."`
	GatewayListen        string        `help:"Address of the gateway. Default: 127.0.0.1:8081."`
	TLSCert              string        `help:"Certificate of API and pages (PEM); read again when it changes." type:"existingfile"`
	TLSKey               string        `help:"Its key (PEM)." type:"existingfile"`
	GatewayTLSCert       string        `help:"Certificate of the gateway (PEM); read again when it changes." type:"existingfile"`
	GatewayTLSKey        string        `help:"Its key (PEM)." type:"existingfile"`
	Role                 string        `help:"all: control and gateway in this process; control: gateways are processes of their own; gateway: such a gateway. Default: all."`
	NodeListen           string        `help:"Address at which gateways that are processes of their own reach control, such as 0.0.0.0:8082 (with TLS). Default: none."`
	NodeTLSCert          string        `help:"Certificate of that address (PEM); read again when it changes." type:"existingfile"`
	NodeTLSKey           string        `help:"Its key (PEM)." type:"existingfile"`
	NodeClientCA         string        `help:"Whose certificates gateways must show there (PEM); with it, TLS is mutual." type:"existingfile"`
	GatewayURL           string        `help:"Where clients reach the gateways, if none is in this process; for the status page and drills."`
	Control              []string      `help:"Of a gateway: address of a control node, such as https://control-a:8082; more than once or separated by commas." placeholder:"URL"`
	Join                 string        `help:"Of a gateway: file with its join token, needed until control let it in." type:"path"`
	ControlCA            string        `help:"Of a gateway: whose certificate control must show (PEM). Default: the system's." type:"existingfile"`
	Isolation            string        `help:"Of a gateway: what to do while control is silent: continue, strict or closed. Default: continue."`
	ContactWithin        time.Duration `help:"Of a gateway: silence of control that counts as isolation. Default: 60s."`
	DrainWait            time.Duration `help:"When it is stopped: how long /readyz says no before connections are refused, for balancers. Default: 0."`
	Drain                time.Duration `help:"Of a gateway, when it is stopped: how long open streams may go on. Default: 30s."`
	PublicURL            string        `help:"Where browsers find the desk, such as https://fengsui.example.com; for links, passkeys and cookies. Default: the address listened on."`
	TrustedProxy         []string      `help:"Network of a reverse proxy in front of us, such as 10.0.0.5/32; its X-Forwarded-For is believed. May be given more than once." placeholder:"CIDR"`
	Upstream             string        `help:"OpenAI-compatible model to stand in front of, such as http://127.0.0.1:8000/v1 (with --allow-private-upstream); registers a first service at first start."`
	UpstreamModel        string        `help:"Name of the model at the upstream." default:"default"`
	UpstreamKeyFile      string        `help:"File that holds the upstream's API key." type:"existingfile"`
	AllowPrivateUpstream bool          `help:"Let upstream models stand on private and loopback addresses."`
	OTLPEndpoint         string        `name:"otlp-endpoint" help:"Collector for OpenTelemetry traces (OTLP over HTTP), such as http://collector:4318. Default: none, or what the OTEL_EXPORTER_OTLP_… variables say."`
	LogFormat            string        `help:"text or json." enum:"text,json" default:"text"`
	LogLevel             string        `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"info"`
	IgnoreOrders         bool          `hidden:""`
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
	pick := func(flag, file string) string {
		if flag != "" {
			return flag
		}
		return file
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return app.Options{}, err
	}
	o := app.Options{DataDir: pick(c.Data, f.Data), Database: pick(c.Database, f.Database), Node: pick(c.Node, f.Node), KeysDir: f.Keys, OutsideDir: f.Checkpoints, Listen: pick(c.Listen, f.Listen), GatewayListen: pick(c.GatewayListen, f.GatewayListen), PublicURL: pick(c.PublicURL, f.PublicURL),
		AllowPrivateUpstreams: c.AllowPrivateUpstream || f.Upstream.AllowPrivate, Webhook: f.Webhook.URL, AllowPrivateWebhooks: f.Webhook.AllowPrivate, AllowPrivateMail: f.Mail.AllowPrivate, AllowPrivateOIDC: f.OIDC.AllowPrivate,
		DANGEROUSIgnoreOrders: c.IgnoreOrders, Logger: c.logger(logs, level)}
	o.NodeListen, o.GatewayURL = pick(c.NodeListen, f.Gates.Listen), pick(c.GatewayURL, f.GatewayURL)
	o.TLS = app.TLSFiles{Cert: pick(c.TLSCert, f.TLSCert), Key: pick(c.TLSKey, f.TLSKey)}
	o.GatewayTLS = app.TLSFiles{Cert: pick(c.GatewayTLSCert, f.GatewayTLSCert), Key: pick(c.GatewayTLSKey, f.GatewayTLSKey)}
	o.NodeTLS = app.TLSFiles{Cert: pick(c.NodeTLSCert, f.Gates.TLSCert), Key: pick(c.NodeTLSKey, f.Gates.TLSKey), ClientCA: pick(c.NodeClientCA, f.Gates.ClientCA)}
	switch role := pick(c.Role, f.Role); role {
	case "", roleAll:
	case roleControl:
		o.ControlOnly = true
	default:
		return o, fault.Invalid("role", "cli.bad_role", "role", role)
	}
	if err := duration(&o.DrainWait, "drain_wait", c.DrainWait, f.DrainWait); err != nil {
		return o, err
	}
	for _, s := range append(f.TrustedProxies, c.TrustedProxy...) {
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
	if cmp.Or(c.Role, f.Role) == roleGateway {
		return c.apart(ctx, f, out)
	}
	o, err := c.options(os.Stderr)
	if err != nil {
		return err
	}
	if o.Tracer, err = trace.Open(ctx, trace.Options{Endpoint: cmp.Or(c.OTLPEndpoint, f.OTLPEndpoint), Node: o.Node, Version: health.ReadBuild("").Version, Log: o.Logger}); err != nil {
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
