package app

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/respond/containment"
)

// renew writes a certificate for the loopback that signs itself, and gives who trusts it.
func (f TLSFiles) renew(t *testing.T, serial int64) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	for file, block := range map[string]*pem.Block{f.Cert: {Type: "CERTIFICATE", Bytes: der}, f.Key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return pool
}

func trusting(pool *x509.CertPool) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}}
}

func ask(c *http.Client, url, key, body string) (*http.Response, error) {
	req, err := http.NewRequest("POST", url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+key)
	return c.Do(req)
}

func TestProbesTrustTheAuthorityThatIsNamedAndFollowNoRedirect(t *testing.T) {
	dir := t.TempDir()
	f := TLSFiles{Cert: filepath.Join(dir, "c.pem"), Key: filepath.Join(dir, "c.key")}
	f.renew(t, 1)
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/elsewhere" {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}
	}))
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	defer srv.Close()
	for ca, trusted := range map[string]bool{"": false, f.Cert: true} {
		c, err := Options{ProbeCA: ca}.probes()
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Get(srv.URL)
		if (err == nil) != trusted {
			t.Errorf("with %q: %v", ca, err)
		}
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode != http.StatusTemporaryRedirect {
				t.Errorf("a redirect is followed: %d", resp.StatusCode)
			}
		}
		c.CloseIdleConnections()
	}
	c, err := Options{ProbeCA: f.Cert}.probes()
	if err != nil {
		t.Fatal(err)
	}
	with, err := x509.SystemCertPool()
	if err != nil {
		t.Fatal(err)
	}
	alone, err := certPool(f.Cert)
	if err != nil {
		t.Fatal(err)
	}
	if with, err = certPoolWith(with, f.Cert); err != nil {
		t.Fatal(err)
	}
	if got := c.Transport.(*http.Transport).TLSClientConfig.RootCAs; !got.Equal(with) || !with.Equal(alone) && got.Equal(alone) {
		t.Error("the authority that is named stands in the place of the system's")
	}
	if c.Transport.(*http.Transport).Proxy != nil {
		t.Error("probes go through a proxy, which resolves names where the guard cannot see")
	}
	if _, err := (Options{ProbeCA: f.Key + "x"}).probes(); !fault.Is(err, "app.tls_files") {
		t.Errorf("an authority that is not there: %v", err)
	}
	if c, err = (Options{}).probes(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get("http://169.254.169.254/"); !fault.Is(err, "outgoing.refused") {
		t.Errorf("the address of a machine's metadata: %v", err)
	}
}

func TestDeskAndGatewayServeByTLSAndAnOrderIsObeyedAndProvenThere(t *testing.T) {
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}`+"\n\n")
			if http.NewResponseController(w).Flush() != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}))
	defer model.Close()
	dir := t.TempDir()
	web := TLSFiles{Cert: filepath.Join(dir, "web.pem"), Key: filepath.Join(dir, "web.key")}
	gate := TLSFiles{Cert: filepath.Join(dir, "gate.pem"), Key: filepath.Join(dir, "gate.key")}
	webPool, gatePool := web.renew(t, 1), gate.renew(t, 2)
	a, err := New(t.Context(), Options{DataDir: dir + "/data", Listen: "127.0.0.1:0", GatewayListen: "127.0.0.1:0", AllowPrivateUpstreams: true, TLS: web, GatewayTLS: gate})
	if err != nil {
		t.Fatal(err)
	}
	first, err := a.FirstService(t.Context(), FirstService{Upstream: model.URL + "/v1", Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	_, token, err := a.AddPerson(t.Context(), "x", "duty_officer", "commander")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(context.Background()) }()
	defer func() {
		a.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	if !strings.HasPrefix(a.URL(), "https://") || !strings.HasPrefix(a.GatewayURL(), "https://") || !strings.HasPrefix(a.publicURL(), "https://localhost") {
		t.Errorf("addresses %s %s %s", a.URL(), a.GatewayURL(), a.publicURL())
	}
	if resp, err := trusting(webPool).Get(a.URL() + "/healthz"); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	for name, at := range map[string]string{"the desk": a.URL(), "the gateway": a.GatewayURL()} {
		if _, err := trusting(x509.NewCertPool()).Get(at + "/healthz"); err == nil {
			t.Errorf("%s shows another certificate than its own", name)
		}
		if resp, err := http.Get("http://" + strings.TrimPrefix(at, "https://") + "/healthz"); err == nil && resp.StatusCode == 200 {
			t.Errorf("%s answers plain http", name)
		}
	}
	client := trusting(gatePool)
	var resp *http.Response
	for range 200 {
		if resp, err = ask(client, a.GatewayURL(), first.Key, `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`); err != nil || resp.StatusCode == 200 {
			break
		}
		resp.Body.Close()
		time.Sleep(25 * time.Millisecond)
	}
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for words := 0; words < 5 && lines.Scan(); {
		if strings.Contains(lines.Text(), "word") {
			words++
		}
	}
	desk := trusting(webPool)
	post := func(path, body string) (id string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "POST", a.URL()+"/api/v1"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+token)
		var out struct{ ID string }
		raw := page200(t, 200, func() (*http.Response, error) { return desk.Do(req) })
		if err := json.Unmarshal([]byte(raw), &out); err != nil {
			t.Fatal(err)
		}
		return out.ID
	}
	incident := post("/incidents", `{"kind":"real","service_id":"`+first.ServiceID+`","title":"t"}`)
	order := post("/orders", `{"cause":"incident","cause_id":"`+incident+`","rung":"service_offline","service_id":"`+first.ServiceID+`","reason":"r"}`)
	for lines.Scan() { // to the end of the stream, which has none without the order
	}
	for range 400 {
		s, err := containment.Get(t.Context(), a.House.Store.Read(), store.Actor{ID: "p", Roles: []string{"commander"}}, order)
		if err != nil {
			t.Fatal(err)
		}
		if s.Proven {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Error("no probe proves an order through a gateway that speaks TLS")
}

func TestARenewedCertificateIsShownWithoutARestartAndHalfOfOneIsNot(t *testing.T) {
	dir := t.TempDir()
	f := TLSFiles{Cert: filepath.Join(dir, "c.pem"), Key: filepath.Join(dir, "c.key")}
	f.renew(t, 1)
	clk := clock.NewFake(time.Now())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var logs bytes.Buffer
	l, shown, err := f.dressed(l, clk.Now, slog.New(slog.NewTextHandler(&logs, nil)))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.NotFoundHandler()}
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	serial := func() int64 {
		t.Helper()
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // only looked at
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	old, err := os.ReadFile(f.Key)
	if err != nil {
		t.Fatal(err)
	}
	f.renew(t, 2)
	renewed, err := os.ReadFile(f.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.Key, old, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		clk.Advance(11 * time.Second)
		if n := serial(); n != 1 {
			t.Errorf("with half of a renewed pair it shows number %d", n)
		}
	}
	if n := strings.Count(logs.String(), "cannot be used"); n != 1 || !strings.Contains(logs.String(), f.Cert) {
		t.Errorf("a renewal that failed is logged %d times: %s", n, &logs)
	}
	if err := os.WriteFile(f.Key, renewed, 0o600); err != nil {
		t.Fatal(err)
	}
	clk.Advance(11 * time.Second)
	// Nobody connects, and still the figure follows the files.
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(expiries{"pages": shown, "nodes": nil})
	got, err := reg.Gather()
	if err != nil || len(got) != 1 || len(got[0].Metric) != 1 || got[0].Metric[0].Label[0].GetValue() != "pages" {
		t.Fatal(got, err)
	}
	if c, err := shown.get(); err != nil || c.Leaf.SerialNumber.Int64() != 2 || got[0].Metric[0].Gauge.GetValue() != c.Leaf.NotAfter.Sub(clk.Now()).Seconds() {
		t.Errorf("%v %s", err, got[0].Metric[0])
	}
	if n := serial(); n != 2 {
		t.Errorf("after a renewal it shows number %d", n)
	}
	if resp, err := (&http.Client{Transport: toOurselves(nil, shown)}).Get("https://" + l.Addr().String()); err != nil || resp.StatusCode != 404 {
		t.Error(resp, err)
	}
	if _, err := (&http.Client{Transport: toOurselves(nil)}).Get("https://" + l.Addr().String()); err == nil {
		t.Error("whoever asks itself takes any certificate")
	}
	if _, err := New(t.Context(), Options{DataDir: dir + "/data", Listen: "127.0.0.1:0", TLS: TLSFiles{Cert: f.Cert, Key: dir + "/none"}}); !fault.Is(err, "app.tls_files") {
		t.Errorf("a key that is not there: %v", err)
	}
}
