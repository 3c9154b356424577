package app

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/monitor/gatelink"
)

func TestControlGivesNoContactToAGatewayWithAnotherBundleOfTheSameRevision(t *testing.T) {
	a, err := New(t.Context(), Options{DataDir: t.TempDir() + "/data", Listen: "127.0.0.1:0", NodeListen: "127.0.0.1:0", ControlOnly: true, AllowPrivateUpstreams: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.FirstService(t.Context(), FirstService{Upstream: "http://127.0.0.1:1/v1", Model: "m"}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(context.Background()) }()
	t.Cleanup(func() {
		a.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	token, err := a.JoinToken(t.Context(), "edge-1")
	if err != nil {
		t.Fatal(err)
	}
	const credential = "a-credential-that-is-long-enough-to-be-one-of-a-gateway"
	ask := func(path string, in, out any) (code int) {
		t.Helper()
		raw, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+a.NodeAddress()+path, bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+credential)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var in gatelink.Enrolled
	if code := ask(gatelink.PathEnrol, gatelink.Enrol{Token: token, Credential: credential, PublicKey: key.PublicKey().Bytes()}, &in); code != 200 {
		t.Fatalf("not let in: %d", code)
	}
	var n gatelink.News
	for range 200 {
		if ask(gatelink.PathWatch, gatelink.Watch{}, &n) == 200 && n.Bundle != nil {
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	var revision, epoch int64
	if err := a.House.Store.Read().NewRaw("SELECT revision, (SELECT epoch FROM record_head) FROM bundle_state").Scan(t.Context(), &revision, &epoch); err != nil {
		t.Fatal(err)
	}
	m, err := a.House.Control.Bundle(t.Context(), a.House.Store.Read())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		digest string
		want   int
	}{{m.Digest, 200}, {"", 200}, {"sha256:another", 503}} { // the last makes control give the revision a new number
		digest, want := c.digest, c.want
		var said gatelink.Refusal
		if code := ask(gatelink.PathWatch, gatelink.Watch{Epoch: epoch, Revision: revision, Digest: digest, Facts: n.Facts.Digest}, &said); code != want || code == 503 && said.Code != "gatelink.behind" {
			t.Errorf("%q: %d %s, want %d", digest, code, said.Code, want)
		}
	}
}
