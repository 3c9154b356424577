//go:build torture

package gates

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// authority signs certificates for a test.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.file = a.write(t, "ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) write(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(a.dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (a *authority) sign(t *testing.T, name string, serial int64) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, a.cert, &k.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return a.write(t, name+".pem", "CERTIFICATE", der), a.write(t, name+".key", "PRIVATE KEY", raw)
}

func TestGatewaysSpeakToControlOverMutualTLSAndWithoutACertificateNotAtAll(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.sign(t, "control", 2)
	h := open(t, "--node-tls-cert", cert, "--node-tls-key", key, "--node-client-ca", ca.file)
	mine, mineKey := ca.sign(t, "edge-1", 3)
	g := h.join(t, "edge-1", "https://"+h.node, "--control-ca", ca.file, "--node-tls-cert", mine, "--node-tls-key", mineKey)
	id := h.offline(t)
	until(t, "the acknowledgement", func() bool { return h.proof(t, id).Acknowledged })
	if code, _ := chat(g.url, h.key); code != 503 {
		t.Errorf("%d", code)
	}
	bare := &gate{dir: filepath.Join(h.dir, "edge-2"), url: free(t), ops: free(t)}
	bare.args = []string{"serve", "--role", "gateway", "--data", bare.dir, "--listen", bare.ops, "--gateway-listen", bare.url, "--control", "https://" + h.node, "--control-ca", ca.file, "--join", h.invite(t, "edge-2"), "--allow-private-upstream"}
	bare.start(t)
	until(t, "the start", func() bool { return status("http://"+bare.ops+"/healthz") == 200 })
	time.Sleep(time.Second)
	if code, _ := chat(bare.url, h.key); code != 503 || h.effective(t, "edge-2") {
		t.Error("a gateway without a certificate was let in")
	}
	if out, err := exec.Command(binary, "serve", "--role", "control", "--data", filepath.Join(h.dir, "other"), "--listen", free(t), "--node-listen", "0.0.0.0:0").CombinedOutput(); err == nil {
		t.Errorf("credentials would go over the network in the clear: %s", out)
	}
}
