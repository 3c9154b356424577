package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/outgoing"
)

// TLSFiles are a certificate with its key, and whose certificates are asked of the other side. Files are read again
// when they change, so that renewing a certificate needs no restart.
type TLSFiles struct {
	Cert, Key string // PEM; both or none
	ClientCA  string // PEM; who connects must show a certificate that one of these signed ["" = none is asked for]
}

// server gives the configuration of a listener with the certificate that it shows, nil for plain http.
func (f TLSFiles) server(now func() time.Time, log *slog.Logger) (*tls.Config, *reloaded, error) {
	if f.Cert == "" && f.Key == "" && f.ClientCA == "" {
		return nil, nil, nil
	}
	r := &reloaded{files: f, now: now, log: log}
	if _, err := r.get(); err != nil {
		return nil, nil, fault.Invalid("tls-cert", "app.tls_files", "file", f.Cert).Because(err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return r.get() }}
	if f.ClientCA != "" {
		pool, err := certPool(f.ClientCA)
		if err != nil {
			return nil, nil, err
		}
		c.ClientCAs, c.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	return c, r, nil
}

func certPool(file string) (*x509.CertPool, error) { return certPoolWith(x509.NewCertPool(), file) }

// certPoolWith adds the authorities in a file to others.
func certPoolWith(pool *x509.CertPool, file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.Invalid("tls-ca", "app.tls_files", "file", file).Because(err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.Invalid("tls-ca", "app.tls_files", "file", file)
	}
	return pool, nil
}

// reloaded is a certificate that follows its files, looked at every ten seconds at most. A pair that cannot be read,
// because only half of it was renewed yet, leaves the last good one in use, and is logged once.
type reloaded struct {
	files TLSFiles
	now   func() time.Time
	log   *slog.Logger

	mu      sync.Mutex
	cert    *tls.Certificate
	looked  time.Time
	stamp   string // of the files that the certificate is from
	refused string // of files that could not be read
}

func (r *reloaded) get() (*tls.Certificate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if r.cert != nil && now.Sub(r.looked) < 10*time.Second {
		return r.cert, nil
	}
	r.looked = now
	stamp := ""
	for _, f := range []string{r.files.Cert, r.files.Key} {
		if st, err := os.Stat(f); err == nil {
			stamp += fmt.Sprint(st.ModTime().UnixNano(), st.Size(), " ")
		}
	}
	if r.cert != nil && stamp == r.stamp {
		return r.cert, nil
	}
	c, err := tls.LoadX509KeyPair(r.files.Cert, r.files.Key)
	switch {
	case err == nil:
		r.cert, r.stamp = &c, stamp
	case r.cert == nil:
		return nil, err
	case stamp != r.refused:
		r.refused = stamp
		r.log.Error("a renewed certificate cannot be used; the last one stays in use", "cert", r.files.Cert, "key", r.files.Key, "expires", r.cert.Leaf.NotAfter, "error", err)
	}
	return r.cert, nil
}

// expiries show how long the certificates in use are good, by what shows them; looking at them reads changed files, too.
type expiries map[string]*reloaded

var tlsExpires = figure("tls_expires_seconds", "Until the certificate in use expires, below zero if it has: of pages, gateway, nodes, or control (shown to it).", "of")

// Describe implements prometheus.Collector.
func (e expiries) Describe(ch chan<- *prometheus.Desc) { ch <- tlsExpires }

// Collect implements prometheus.Collector.
func (e expiries) Collect(ch chan<- prometheus.Metric) {
	for of, r := range e {
		if r == nil {
			continue
		}
		if c, err := r.get(); err == nil {
			ch <- prometheus.MustNewConstMetric(tlsExpires, prometheus.GaugeValue, c.Leaf.NotAfter.Sub(r.now()).Seconds(), of)
		}
	}
}

// dressed is a listener with TLS, if there are files for it. Clients and browsers may speak TLS 1.2.
func (f TLSFiles) dressed(l net.Listener, now func() time.Time, log *slog.Logger) (net.Listener, *reloaded, error) {
	conf, r, err := f.server(now, log)
	if conf == nil || err != nil {
		return l, nil, err
	}
	conf.MinVersion = tls.VersionTLS12
	return tls.NewListener(l, conf), r, nil
}

// scheme of the addresses of a listener that shows this certificate.
func (r *reloaded) scheme() string {
	if r == nil {
		return "http://"
	}
	return "https://"
}

// probes is a client for gateways at the addresses that they stated: anywhere a gateway may stand, but never where a redirect
// or the address of a machine's own metadata would lead. It goes there directly, past any HTTPS_PROXY: a proxy resolves names where
// the guard cannot see, and an order is proven on the gateway itself, not on what answers in its place. ProbeCA comes beside
// the system's authorities, because of several gateways some may have a public certificate.
func (o Options) probes() (*http.Client, error) {
	c := outgoing.Guard{AllowPrivate: true}.Client(10 * time.Second)
	if o.ProbeCA != "" {
		pool, err := x509.SystemCertPool()
		if err != nil { // there are none to add to
			pool = x509.NewCertPool()
		}
		if pool, err = certPoolWith(pool, o.ProbeCA); err != nil {
			return nil, err
		}
		c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	}
	return c, nil
}

// Reach is a way to a listener of this machine that shows the certificate of these files: its address from the one it was
// given, and a client that takes this certificate and no other.
func (f TLSFiles) Reach(listen string) (url string, client *http.Client) {
	r := &reloaded{files: f, now: clock.System().Now, log: slog.New(slog.DiscardHandler)}
	if f.Cert == "" {
		r = nil
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return r.scheme() + listen, &http.Client{Transport: toOurselves(r)}
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return r.scheme() + net.JoinHostPort(host, port), &http.Client{Transport: toOurselves(r)}
}

// toOurselves is a way to listeners of this process, by their addresses: it takes the certificates that they show for
// good, whatever names they bear, and no others.
func toOurselves(ours ...*reloaded) *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: 16, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error { //nolint:gosec // VerifyConnection knows better
		for _, r := range ours {
			if r == nil || len(s.PeerCertificates) == 0 {
				continue
			}
			if c, err := r.get(); err == nil && s.PeerCertificates[0].Equal(c.Leaf) {
				return nil
			}
		}
		return errors.New("another certificate than that of this process")
	}}}
}
