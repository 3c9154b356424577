//go:build torture

package gates

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/monitor/gatelink"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/telemetry"
)

func TestABatchThatIsHandedInTwiceIsCountedOnceAndAForeignOneNever(t *testing.T) {
	h := open(t)
	token, err := os.ReadFile(h.invite(t, "edge-1"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	credential := strings.Repeat("c", 50)
	post := func(path, credential string, body []byte) (code int, raw []byte) {
		t.Helper()
		req, err := http.NewRequest("POST", "http://"+h.node+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+credential)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var out bytes.Buffer
		_, _ = out.ReadFrom(resp.Body)
		return resp.StatusCode, out.Bytes()
	}
	js, _ := json.Marshal(gatelink.Enrol{Token: strings.TrimSpace(string(token)), Credential: credential, PublicKey: key.PublicKey().Bytes()})
	if code, raw := post(gatelink.PathEnrol, "", js); code != 200 {
		t.Fatalf("%d %s", code, raw)
	}
	var news gatelink.News
	until(t, "the facts", func() bool {
		code, raw := post(gatelink.PathWatch, credential, []byte("{}"))
		return code == 200 && json.Unmarshal(raw, &news) == nil && news.Facts != nil
	})
	// What is sealed to it opens with the gateway's key and no other.
	if v, err := gatelink.Unseal(key, "subject", news.Facts.Subject); err != nil || len(v) < 32 {
		t.Error(err)
	}
	if _, err := gatelink.Unseal(key, "secret:subject", news.Facts.Subject); err == nil {
		t.Error("a seal passes for another")
	}
	dir := t.TempDir()
	s, err := gatelink.OpenSpool(dir, 0, clock.System(), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Configure(news.Facts.SpoolKey, false)
	for i := range 3 {
		s.PutTraffic(telemetry.Traffic{RequestID: fmt.Sprint("r", i), ServiceID: h.service, GatewayID: "another", Kind: "real", InputVerdict: "allow", OutputVerdict: "allow", EndedMs: time.Now().UnixMilli()})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.batch"))
	if len(files) != 1 {
		t.Fatal(files)
	}
	batch, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	path := gatelink.PathBatch + strings.Replace(strings.TrimSuffix(filepath.Base(files[0]), ".batch"), "-", "/", 1)
	if code, _ := post(path, "nobody's", batch); code != 401 {
		t.Errorf("nobody's batch: %d", code)
	}
	for range 3 {
		if code, raw := post(path, credential, batch); code != 200 {
			t.Fatalf("%d %s", code, raw)
		}
	}
	if n, other := h.rows(t, "edge-1"), h.rows(t, "another"); n != 3 || other != 0 {
		t.Errorf("%d rows of 3, and %d under another's name", n, other)
	}
	batch[len(batch)-1] ^= 1
	if code, raw := post(path, credential, batch); code != 422 || !bytes.Contains(raw, []byte(gatelink.CodeBad)) {
		t.Errorf("an altered batch: %d %s", code, raw)
	}
}

func TestAGatewayOnASlowLineHoldsUpNobodyAndObeysInTheEnd(t *testing.T) {
	h := open(t)
	control := newLine(t, h.node)
	slow, fast := h.join(t, "slow", control.address()), h.join(t, "fast", h.node)
	control.lag.Store(int64(1500 * time.Millisecond))
	time.Sleep(2 * time.Second) // what was under way has arrived
	s := h.stream(t, fast.url, "hi")
	until(t, "words", func() bool { return s.words.Load() > 5 })
	id := h.offline(t)
	until(t, "the fast one", func() bool { p := h.proof(t, id); return len(p.Acks) > 0 })
	if p := h.proof(t, id); len(p.Acks) != 1 || p.Acks[0].GatewayID != "fast" || p.Acknowledged {
		t.Errorf("%+v", p)
	}
	until(t, "the slow one", func() bool { return h.proof(t, id).Acknowledged })
	if code, body := chat(slow.url, h.key); code != 503 || !strings.Contains(body, "service_offline") {
		t.Errorf("%d %s", code, body)
	}
}
