package api_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fengsui/fengsui/internal/platform/store/storetest"
)

const operator = `{"name":"n","province":"p","kind":"other"}`

func TestARepeatedRequestHasOneEffectAndTheSameAnswer(t *testing.T) {
	b := newBench(t)
	before := b.count(t, "SELECT COUNT(*) FROM operator")
	first := b.call(t, "safety_engineer", "POST", "/operators", operator, "Idempotency-Key", "k1")
	b.must(t, first, nil)
	for range 3 {
		again := b.call(t, "safety_engineer", "POST", "/operators", operator, "Idempotency-Key", "k1")
		if again.status != first.status || again.body != first.body {
			t.Errorf("%d %s, first %s", again.status, again.body, first.body)
		}
	}
	// The same thing said with other blanks and order is the same thing.
	if again := b.call(t, "safety_engineer", "POST", "/operators", `{ "kind":"other", "province":"p", "name":"n" }`, "Idempotency-Key", "k1"); again.body != first.body {
		t.Errorf("%s", again.body)
	}
	for name, c := range map[string]struct{ path, body string }{
		"another body":      {"/operators", `{"name":"m","province":"p","kind":"other"}`},
		"another operation": {"/services", `{"operator_id":"x","name":"n","model_name":"y"}`},
	} {
		if a := b.call(t, "safety_engineer", "POST", c.path, c.body, "Idempotency-Key", "k1"); a.status != 409 || a.Key != "api.idempotency_reuse" || a.Field != "Idempotency-Key" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if n := b.count(t, "SELECT COUNT(*) FROM operator"); n != before+1 {
		t.Errorf("%d operators were added", n-before)
	}
	// Another person's key of the same name is another key, and without a key each request counts.
	b.must(t, b.call(t, "system_admin", "POST", "/operators", operator, "Idempotency-Key", "k1"), nil)
	b.must(t, b.call(t, "safety_engineer", "POST", "/operators", operator), nil)
	b.must(t, b.call(t, "safety_engineer", "POST", "/operators", operator), nil)
	if n := b.count(t, "SELECT COUNT(*) FROM operator"); n != before+4 {
		t.Errorf("%d operators were added", n-before)
	}
}

func TestARefusedRequestDoesNotUseItsKeyUp(t *testing.T) {
	b := newBench(t)
	if a := b.call(t, "safety_engineer", "POST", "/operators", `{"name":" ","province":"p","kind":"other"}`, "Idempotency-Key", "k"); a.status != 422 {
		t.Fatal(a.status)
	}
	b.must(t, b.call(t, "safety_engineer", "POST", "/operators", operator, "Idempotency-Key", "k"), nil)
	// A right that was lost since does not come back with an old key.
	b.exec(t, "UPDATE person SET roles = '[\"auditor\"]' WHERE id = '"+b.person["safety_engineer"]+"'")
	if a := b.call(t, "safety_engineer", "POST", "/operators", `{"name":"new","province":"p","kind":"other"}`, "Idempotency-Key", "k2"); a.status != 403 {
		t.Errorf("%d", a.status)
	}
}

func TestManyAtOnceWithOneKeyHaveOneEffect(t *testing.T) {
	b := newBench(t)
	before := b.count(t, "SELECT COUNT(*) FROM operator")
	bodies := make([]string, 8)
	var wg sync.WaitGroup
	for k := range bodies {
		wg.Go(func() {
			bodies[k] = b.call(t, "safety_engineer", "POST", "/operators", operator, "Idempotency-Key", "k").body
		})
	}
	wg.Wait()
	for _, body := range bodies {
		if body != bodies[0] {
			t.Errorf("%s, and %s", body, bodies[0])
		}
	}
	if n := b.count(t, "SELECT COUNT(*) FROM operator"); n != before+1 {
		t.Errorf("%d operators were added", n-before)
	}
}

func TestWhatWasShownOnceIsNotShownAgainNorKept(t *testing.T) {
	b := newBench(t)
	for name, c := range map[string]struct{ role, path, body, rows, field string }{
		"a token":           {"security_admin", "/persons/" + b.person["auditor"] + "/tokens", `{}`, "SELECT COUNT(*) FROM token", "token"},
		"a gateway key":     {"safety_engineer", "/services/" + b.svc + "/keys", `{"tenant":"t","user_group":"g","traffic_kind":"real"}`, "SELECT COUNT(*) FROM gateway_key", "key"},
		"an upstream's key": {"safety_engineer", "/secrets", `{"name":"up","origin":"https://up.example.com","value":"sk-测试密钥0123456789"}`, "SELECT COUNT(*) FROM secrets", ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := b.count(t, c.rows)
			first := b.call(t, c.role, "POST", c.path, c.body, "Idempotency-Key", "k-"+name[:4])
			b.must(t, first, nil)
			again := b.call(t, c.role, "POST", c.path, c.body, "Idempotency-Key", "k-"+name[:4])
			if again.status != 409 || again.Key != "api.idempotency_shown" {
				t.Errorf("%d %s", again.status, again.body)
			}
			if n := b.count(t, c.rows); n != before+1 {
				t.Errorf("%d rows more", n-before)
			}
			clear := "测试密钥0123456789"
			if c.field != "" {
				var shown map[string]any
				if err := json.Unmarshal([]byte(first.body), &shown); err != nil {
					t.Fatal(err)
				}
				clear = shown[c.field].(string)[4:]
			}
			found := false
			for n := 0; n < 50 && !found; n++ { // a row may go from one file to another while they are read
				for _, f := range storetest.Files(t, b.app.House.Store.Dir()) {
					raw, err := os.ReadFile(f)
					if err != nil {
						continue // a folder
					}
					if bytes.Contains(raw, []byte(clear)) {
						t.Errorf("it is in clear in %s", filepath.Base(f))
					}
					found = found || bytes.Contains(raw, []byte("k-"+name[:4]))
				}
			}
			if !found {
				t.Error("the search finds nothing, not even the key's own row")
			}
			if strings.Contains(b.log.String(), clear) {
				t.Error("it is in the log")
			}
			if n := b.count(t, "SELECT COUNT(*) FROM idempotency WHERE response <> '{}' OR request_hash <> ''"); n != 0 {
				t.Errorf("%d answers or digests are kept", n)
			}
		})
	}
}

func TestAComplaintThatIsSentTwiceUnderOneKeyIsOneComplaintWithTheSameReceipt(t *testing.T) {
	b := newBench(t)
	body := func(text string) string { return `{"service_id":"` + b.svc + `","text":"` + text + `"}` }
	send := func(text string, header ...string) answer {
		return b.call(t, "", "POST", "/complaints", body(text), header...)
	}
	const letter = "测试来信甲丙戊"
	first := send(letter, "Idempotency-Key", "k-one")
	var receipt struct{ Code, Number string }
	b.must(t, first, &receipt)
	if again := send(letter, "Idempotency-Key", "k-one"); again.body != first.body || again.status != first.status {
		t.Errorf("%d %s, first %s", again.status, again.body, first.body)
	}
	if a := send("测试来信乙丁己", "Idempotency-Key", "k-one"); a.status != 409 || a.Key != "api.idempotency_reuse" {
		t.Errorf("another letter: %d %s", a.status, a.body)
	}
	if n := b.count(t, "SELECT COUNT(*) FROM complaint"); n != 1 {
		t.Errorf("%d complaints", n)
	}
	// The control: another key, or none, is another complaint.
	b.must(t, send(letter, "Idempotency-Key", "k-two"), nil)
	b.must(t, send(letter), nil)
	if n := b.count(t, "SELECT COUNT(*) FROM complaint"); n != 3 {
		t.Errorf("%d complaints", n)
	}
	// Neither letter, code nor key lies in the table.
	var rows []struct{ Actor, IdemKey, RequestHash, Response string }
	if err := b.app.House.Store.Read().NewRaw("SELECT actor, idem_key, request_hash, response FROM idempotency").Scan(t.Context(), &rows); err != nil || len(rows) != 2 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, r := range rows {
		raw, err := base64.StdEncoding.DecodeString(r.Response)
		if err != nil || len(raw) < 50 {
			t.Errorf("%q: %v", r.Response, err)
		}
		for _, clear := range []string{letter, receipt.Code, receipt.Number, "k-one", "127.0.0.1"} {
			if strings.Contains(r.IdemKey+r.RequestHash+string(raw), clear) {
				t.Errorf("%q is in clear", clear)
			}
		}
	}
}
