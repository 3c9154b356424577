package cli

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fengsui/fengsui/internal/app/doctor"
)

func TestTheDoctorAndSupportTakeEveryFlagOfServe(t *testing.T) {
	serve := flagsOf(t, "serve")
	if len(serve) < 25 {
		t.Fatalf("only %d flags", len(serve))
	}
	for _, command := range []string{"doctor", "support"} {
		have := flagsOf(t, command)
		for name := range serve {
			if !have[name] {
				t.Errorf("%s does not know --%s", command, name)
			}
		}
	}
}

func TestTheDoctorExaminesWhatFlagsSetUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	join := filepath.Join(dir, "join")
	if err := os.WriteFile(join, []byte("fsj"), 0o600); err != nil {
		t.Fatal(err)
	}
	gone := filepath.Join(dir, "gone.pem")
	own := []string{"--listen", "127.0.0.1:0", "--gateway-listen", "127.0.0.1:0"}
	gateway := append([]string{"--role", "gateway", "--data", dir, "--control", "http://" + l.Addr().String(), "--join", join}, own...)
	control := append([]string{"--role", "control", "--data", filepath.Join(dir, "none"), "--node-listen", "127.0.0.1:0"}, own...)
	for name, c := range map[string]struct {
		args     []string
		bad, not []string // checks with a bad finding, and those without
	}{
		"a gateway as it should be":        {gateway, nil, []string{"control", "files", "tls", "membership"}},
		"its token is not there":           {append(slices.Clone(gateway), "--join", gone), []string{"files"}, []string{"control"}},
		"its authority is not there":       {append(slices.Clone(gateway), "--control-ca", gone), []string{"tls"}, nil},
		"its certificate to control":       {append(slices.Clone(gateway), "--node-tls-cert", gone, "--node-tls-key", gone), []string{"tls"}, nil},
		"control as far as TLS goes":       {control, nil, []string{"tls"}},
		"control, a certificate of nodes":  {append(slices.Clone(control), "--node-tls-cert", gone, "--node-tls-key", gone), []string{"tls"}, nil},
		"control, the authority of probes": {append(slices.Clone(control), "--probe-ca", gone), []string{"tls"}, nil},
		"control, a certificate of pages":  {append(slices.Clone(control), "--tls-cert", gone, "--tls-key", gone), []string{"tls"}, nil},
		"control, a certificate of its gw": {append(slices.Clone(control), "--gateway-tls-cert", gone, "--gateway-tls-key", gone), []string{"tls"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			Main(append([]string{"doctor", "--json", "--lang", "en"}, c.args...), &out, &errs)
			var rep doctor.Report
			if err := json.Unmarshal(out.Bytes(), &rep); err != nil {
				t.Fatal(err, &out, &errs)
			}
			for _, f := range rep.Findings {
				if f.State == doctor.Bad && slices.Contains(c.not, f.Check) {
					t.Errorf("%s: %s", f.Check, f.Found)
				}
			}
			for _, check := range c.bad {
				if !slices.ContainsFunc(rep.Findings, func(f doctor.Finding) bool { return f.State == doctor.Bad && f.Check == check }) {
					t.Errorf("nothing bad is found of %s: %s", check, &out)
				}
			}
		})
	}
}

func TestSupportSaysWhatFlagsSetUp(t *testing.T) {
	c := &SupportCmd{}
	c.setup = setup{Role: "gateway", NodeTLSCert: "x", Control: []string{"a", "b"}, ControlCA: "x", Node: "b", GatewayURL: "u", TrustedProxy: []string{"p"}}
	c.Data = t.TempDir()
	raw, err := json.Marshal(c.settings(c.options()))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"role":"gateway"`, `"controls":2`, `"control_ca":true`, `"node_named":true`, `"url":true`, `"trusted_proxies":1`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("%s is not in %s", want, raw)
		}
	}
}
