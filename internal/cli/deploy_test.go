package cli

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/fengsui/fengsui/internal/app"
	"github.com/fengsui/fengsui/internal/platform/store"
)

const deploy = "../../deploy"

// units gives the unit files as an installation has them, with a program that is there.
func units(t *testing.T) (dir string, names []string) {
	t.Helper()
	dir = t.TempDir()
	all, err := filepath.Glob(deploy + "/systemd/*")
	if err != nil || len(all) != 4 {
		t.Fatal(all, err)
	}
	program := filepath.Join(dir, "fengsui")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.Replace(filepath.Base(f), "@.", "@a.", 1)
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(f)), bytes.ReplaceAll(raw, []byte("/usr/local/bin/fengsui"), []byte(program)), 0o644); err != nil {
			t.Fatal(err)
		}
		names = append(names, filepath.Join(dir, name))
	}
	return dir, names
}

func verify(t *testing.T, dir string, names []string) string {
	t.Helper()
	cmd := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, names...)...)
	cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
	out, err := cmd.CombinedOutput()
	says := ""
	for line := range strings.Lines(string(out)) { // of units of ours; a machine has others
		if strings.Contains(line, "fengsui") {
			says += line
		}
	}
	if err != nil && says == "" {
		says = fmt.Sprintf("%v: %s", err, out)
	}
	return says
}

func TestSystemdTakesTheUnits(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed, so nothing was verified")
	}
	dir, names := units(t)
	if says := verify(t, dir, names); says != "" {
		t.Error(says)
	}
	broken := filepath.Join(dir, "fengsui.service")
	raw, err := os.ReadFile(broken)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(broken, bytes.ReplaceAll(raw, []byte("ProtectHome=yes"), []byte("ProtectHomes=yes")), 0o644); err != nil {
		t.Fatal(err)
	}
	if says := verify(t, dir, []string{broken}); says == "" {
		t.Error("a misspelt setting was not found")
	}
}

// flags are those that a command has, by its help.
func flagsOf(t *testing.T, command ...string) map[string]bool {
	t.Helper()
	var out bytes.Buffer
	Main(append(command, "--help"), &out, &out)
	have := map[string]bool{}
	for _, m := range regexp.MustCompile(`--(?:\[no-\])?([a-z0-9-]+)`).FindAllStringSubmatch(out.String(), -1) {
		have[m[1]] = true
	}
	return have
}

var usedFlag = regexp.MustCompile(`(?:^|[\s"\[])--([a-z0-9][a-z0-9-]*)`)

func TestEveryFlagInUnitsAndManifestsIsOneThatTheProgramHas(t *testing.T) {
	have := flagsOf(t, "serve")
	if !have["gateway-listen"] || have["no-such-flag"] {
		t.Fatalf("the help was not understood: %v", have)
	}
	seen := 0
	for _, f := range []string{"systemd/fengsui.service", "systemd/fengsui-control.service", "systemd/fengsui-gateway@.service", "compose/compose.yaml", "kubernetes/control.yaml", "kubernetes/gateway.yaml"} {
		raw, err := os.ReadFile(filepath.Join(deploy, f))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			if strings.HasPrefix(strings.TrimSpace(line), "#") || strings.Contains(line, "pg_isready") || strings.Contains(line, "POSTGRES_INITDB_ARGS") {
				continue
			}
			for _, m := range usedFlag.FindAllStringSubmatch(line, -1) {
				seen++
				if !have[m[1]] {
					t.Errorf("%s: fengsui serve has no --%s", f, m[1])
				}
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d flags were found", seen)
	}
}

func TestTheConfigurationsThatShipAreTaken(t *testing.T) {
	all, err := filepath.Glob(deploy + "/config/*.yaml")
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	for _, f := range all {
		if _, err := ReadConfig(f); err != nil {
			t.Error(err)
		}
	}
	var manifest struct {
		Kind string            `yaml:"kind"`
		Data map[string]string `yaml:"data"`
	}
	raw, err := os.ReadFile(deploy + "/kubernetes/control.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range strings.Split(string(raw), "\n---\n") {
		if strings.Contains(doc, "kind: ConfigMap") {
			if err := yaml.Unmarshal([]byte(doc), &manifest); err != nil {
				t.Fatal(err)
			}
		}
	}
	f := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(f, []byte(manifest.Data["control.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := ReadConfig(f); err != nil || c.Gates.Listen == "" {
		t.Errorf("%+v %v", c, err)
	}
}

var (
	used   = regexp.MustCompile(`\b((?:fengsui|process|go)_[a-z0-9_]+)(\{[^}]*\})?`)
	shown  = regexp.MustCompile(`(?m)^((?:fengsui|process|go)_[a-z0-9_]+)(?:\{([^}]*)\})?`)
	kinds  = regexp.MustCompile(`(?m)^# TYPE ([a-z0-9_]+) `)
	labels = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
	by     = regexp.MustCompile(`by \(([a-z_, ]*)\)`)
)

// scrape gives what a running server prints: the labels of each metric.
func scrape(t *testing.T, url string) map[string]map[string]bool {
	t.Helper()
	res, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]bool{}
	for _, m := range kinds.FindAllStringSubmatch(string(raw), -1) {
		out[m[1]] = map[string]bool{}
	}
	for _, m := range shown.FindAllStringSubmatch(string(raw), -1) {
		if out[m[1]] == nil {
			out[m[1]] = map[string]bool{}
		}
		for _, l := range labels.FindAllStringSubmatch(m[2], -1) {
			out[m[1]][l[1]] = true
		}
	}
	return out
}

// unknown lists what an expression uses that no server prints; instance and job are Prometheus's own.
func unknown(expr string, have map[string]map[string]bool) (out []string) {
	any := map[string]bool{"instance": true, "job": true}
	for _, m := range used.FindAllStringSubmatch(expr, -1) {
		if have[m[1]] == nil {
			out = append(out, m[1])
			continue
		}
		maps.Copy(any, have[m[1]])
		for _, l := range labels.FindAllStringSubmatch(m[2], -1) {
			if !have[m[1]][l[1]] && l[1] != "instance" && l[1] != "job" {
				out = append(out, m[1]+"{"+l[1]+"}")
			}
		}
	}
	for _, m := range by.FindAllStringSubmatch(expr, -1) {
		for _, l := range strings.Split(m[1], ",") {
			if l = strings.TrimSpace(l); !any[l] {
				out = append(out, "by "+l)
			}
		}
	}
	return out
}

// expressions are those of the alerts and of the dashboard, by where they stand.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	raw, err := os.ReadFile(deploy + "/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(raw, &rules); err != nil {
		t.Fatal(err)
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			out[r.Alert] = r.Expr
		}
	}
	if raw, err = os.ReadFile(deploy + "/grafana/fengsui.json"); err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(raw, &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		for i, target := range p.Targets {
			out[fmt.Sprint(p.Title, " ", i)] = target.Expr
		}
	}
	page, err := os.ReadFile("../../docs/operations/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range regexp.MustCompile("`(fengsui_[a-z_]+)`").FindAllStringSubmatch(string(page), -1) {
		out[fmt.Sprint("monitoring.md ", i)] = m[1]
	}
	return out
}

// certificate is one for an hour.
func certificate(t *testing.T) app.TLSFiles {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	f := app.TLSFiles{Cert: filepath.Join(dir, "c.pem"), Key: filepath.Join(dir, "k.pem")}
	for file, block := range map[string]*pem.Block{f.Cert: {Type: "CERTIFICATE", Bytes: der}, f.Key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func TestEveryMetricInAlertsAndDashboardIsOneThatARunningServerPrints(t *testing.T) {
	a := instance(t, app.Options{DataDir: filepath.Join(t.TempDir(), "data"), NodeListen: "127.0.0.1:0"})
	if _, err := a.FirstService(t.Context(), app.FirstService{Upstream: "http://127.0.0.1:1/v1", Model: "m"}); err != nil {
		t.Fatal(err)
	}
	// Some have lines only while there is something to count.
	if err := a.House.Store.Write(t.Context(), store.System("test"), func(tx *store.Tx) error {
		for _, q := range []string{
			`INSERT INTO incident (id, number, kind, operator_id, service_id, title, state, restricted, editions, declared_by, declared_ms) SELECT 'I', 'IN-1', 'test', operator_id, id, 't', 'declared', FALSE, '[]', 'x', 1 FROM service`,
			`INSERT INTO setting (name, value, changed_by, changed_ms) VALUES ('guard.address', 'http://127.0.0.1:1/v1', 'x', 1), ('guard.model', 'g', 'x', 1), ('guard.action', 'observe', 'x', 1)`,
			`INSERT INTO anomaly (id, number, kind, service_id, rule_id, fingerprint, state, first_ms, last_ms, opened_ms) SELECT 'A', 'AN-1', 'test', id, 'r', 'f', 'open', 1, 1, 1 FROM service`,
			`INSERT INTO disposal_order (id, seq, kind, service_id, cause, cause_id, incident_id, rung, measure, scope, params, release_mode, state, issued_by, issued_ms)
				SELECT 'O', 901, 'real', id, 'anomaly', 'A', '', 'strict_filter', 'adjust', '{"service_id":"' || id || '"}', '{}', 'review', 'in_force', 'x', 1 FROM service`} {
			if _, err := tx.ExecContext(t.Context(), q); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	token, err := a.JoinToken(t.Context(), "edge-1")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	go func() { done <- a.Run(context.Background()) }()
	defer func() { a.Stop(); <-done }()
	join := filepath.Join(t.TempDir(), "join")
	if err := os.WriteFile(join, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	g, err := app.NewApart(t.Context(), app.ApartOptions{StateDir: t.TempDir(), Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0", Controls: []string{"http://" + a.NodeAddress()}, JoinFile: join, Drain: time.Millisecond, GatewayTLS: certificate(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	defer func() { stop(); <-ended }()
	have := map[string]map[string]bool{}
	for range 200 {
		for _, url := range []string{a.URL(), g.URL()} {
			for name, l := range scrape(t, url) {
				if have[name] == nil {
					have[name] = map[string]bool{}
				}
				maps.Copy(have[name], l)
			}
		}
		if have["fengsui_store_write_seconds_bucket"]["le"] && have["fengsui_gateways"]["state"] && have["fengsui_guard_resting"]["service"] {
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	all := expressions(t)
	if len(all) < 40 {
		t.Fatalf("only %d expressions", len(all))
	}
	for where, expr := range all {
		if got := unknown(expr, have); len(got) > 0 {
			t.Errorf("%s: %q", where, got)
		}
	}
	for expr, want := range map[string]string{`rate(fengsui_no_such_metric[5m])`: "fengsui_no_such_metric", `fengsui_gateways{gateway="x"}`: "fengsui_gateways{gateway}", `sum by (person) (fengsui_gateways)`: "by person"} {
		if got := unknown(expr, have); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q", expr, got)
		}
	}
}
