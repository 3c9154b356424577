package cli

import (
	"cmp"
	"slices"
	"time"
)

// setup are the flags that say how an instance is set up. fengsui doctor and support take those that serve takes, because
// what they do not hear of they would call missing.
type setup struct {
	Node                 string        `help:"Name of this process among those that serve one PostgreSQL database; its gateway goes by it too. Default: gateway-1." env:"FENGSUI_NODE"`
	Listen               string        `help:"Address of API and pages. Default: 127.0.0.1:8080."`
	GatewayListen        string        `help:"Address of the gateway. Default: 127.0.0.1:8081."`
	TLSCert              string        `help:"Certificate of API and pages (PEM); read again when it changes." type:"path"`
	TLSKey               string        `help:"Its key (PEM)." type:"path"`
	GatewayTLSCert       string        `help:"Certificate of the gateway (PEM); read again when it changes." type:"path"`
	GatewayTLSKey        string        `help:"Its key (PEM)." type:"path"`
	Role                 string        `help:"all: control and gateway in this process; control: gateways are processes of their own; gateway: such a gateway. Default: all."`
	NodeListen           string        `help:"Address at which gateways that are processes of their own reach control, such as 0.0.0.0:8082 (with TLS). Default: none."`
	NodeTLSCert          string        `help:"Certificate of that address (PEM); read again when it changes." type:"path"`
	NodeTLSKey           string        `help:"Its key (PEM)." type:"path"`
	NodeClientCA         string        `help:"Whose certificates gateways must show there (PEM); with it, TLS is mutual." type:"path"`
	ProbeCA              string        `help:"Authorities, beside the system's, whose certificate gateways that are processes of their own may show to probes (PEM)." type:"path"`
	GatewayURL           string        `help:"Where clients reach the gateways, if none is in this process; for the status page and drills."`
	Control              []string      `help:"Of a gateway: address of a control node, such as https://control-a:8082; more than once or separated by commas." placeholder:"URL"`
	Join                 string        `help:"Of a gateway: file with its join token, needed until control let it in." type:"path"`
	ControlCA            string        `help:"Of a gateway: whose certificate control must show (PEM). Default: the system's." type:"path"`
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
}

// over gives the configuration that holds: the file's, and over it what the flags say. Durations stay apart.
func (s setup) over(f Config) Config {
	for _, v := range []struct {
		into *string
		flag string
	}{
		{&f.Node, s.Node}, {&f.Listen, s.Listen}, {&f.GatewayListen, s.GatewayListen}, {&f.Role, s.Role}, {&f.PublicURL, s.PublicURL}, {&f.OTLPEndpoint, s.OTLPEndpoint},
		{&f.TLSCert, s.TLSCert}, {&f.TLSKey, s.TLSKey}, {&f.GatewayTLSCert, s.GatewayTLSCert}, {&f.GatewayTLSKey, s.GatewayTLSKey},
		{&f.Gates.Listen, s.NodeListen}, {&f.Gates.TLSCert, s.NodeTLSCert}, {&f.Gates.TLSKey, s.NodeTLSKey}, {&f.Gates.ClientCA, s.NodeClientCA}, {&f.Gates.ProbeCA, s.ProbeCA}, {&f.GatewayURL, s.GatewayURL},
		{&f.Gateway.URL, s.GatewayURL}, {&f.Gateway.TLSCert, s.NodeTLSCert}, {&f.Gateway.TLSKey, s.NodeTLSKey},
		{&f.Gateway.Join, s.Join}, {&f.Gateway.ControlCA, s.ControlCA}, {&f.Gateway.Isolation, s.Isolation},
	} {
		*v.into = cmp.Or(v.flag, *v.into)
	}
	if len(s.Control) > 0 {
		f.Gateway.Controls = s.Control
	}
	f.TrustedProxies = slices.Concat(f.TrustedProxies, s.TrustedProxy)
	f.Upstream.AllowPrivate = f.Upstream.AllowPrivate || s.AllowPrivateUpstream
	return f
}
