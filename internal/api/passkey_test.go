package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
)

// authenticator is a passkey in software: ES256, one credential, a counter.
type authenticator struct {
	key     *ecdsa.PrivateKey
	id      []byte
	user    []byte
	counter uint32
	origin  string
	flags   byte // user present 1, user verified 4
}

var u64 = base64.RawURLEncoding

func (a *authenticator) data(rp string, attested bool) []byte {
	h := sha256.Sum256([]byte(rp))
	flags := a.flags
	if attested {
		flags |= 0x40
	}
	out := binary.BigEndian.AppendUint32(append(h[:], flags), a.counter)
	if !attested {
		return out
	}
	point, _ := a.key.PublicKey.Bytes() // 4, x, y
	cose, _ := webauthncbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	out = append(out, make([]byte, 16)...)
	out = binary.BigEndian.AppendUint16(out, uint16(len(a.id)))
	return append(append(out, a.id...), cose...)
}

func (a *authenticator) client(kind, challenge string) []byte {
	js, _ := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.origin, "crossOrigin": false})
	return js
}

func (a *authenticator) answer(response map[string]string) map[string]any {
	return map[string]any{"id": u64.EncodeToString(a.id), "rawId": u64.EncodeToString(a.id), "type": "public-key", "response": response, "clientExtensionResults": map[string]any{}}
}

func (a *authenticator) create(challenge string) map[string]any {
	object, _ := webauthncbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": a.data("localhost", true)})
	return a.answer(map[string]string{"clientDataJSON": u64.EncodeToString(a.client("webauthn.create", challenge)), "attestationObject": u64.EncodeToString(object)})
}

func (a *authenticator) get(challenge string) map[string]any {
	client, data := a.client("webauthn.get", challenge), a.data("localhost", false)
	h := sha256.Sum256(client)
	sum := sha256.Sum256(append(append([]byte{}, data...), h[:]...))
	sig, _ := ecdsa.SignASN1(rand.Reader, a.key, sum[:])
	return a.answer(map[string]string{"clientDataJSON": u64.EncodeToString(client), "authenticatorData": u64.EncodeToString(data), "signature": u64.EncodeToString(sig), "userHandle": u64.EncodeToString(a.user)})
}

type begun struct {
	Ceremony string
	Options  struct {
		PublicKey struct {
			Challenge        string
			RPID             string `json:"rpId"`
			UserVerification string
			User             struct{ ID string }
		}
	}
}

func (w *browser) begin(t *testing.T, path string) (out begun) {
	t.Helper()
	code, body, _ := w.do(t, "POST", path, "")
	if err := json.Unmarshal([]byte(body), &out); err != nil || code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	return out
}

func asJSON(v any) string { js, _ := json.Marshal(v); return string(js) }

func TestAPasskeyIsRegisteredAndLogsInWithoutAName(t *testing.T) {
	b := newBench(t)
	b.account(t, "engineer", "li.si")
	w := b.browser(t)
	w.want(t, 200, "in", "POST", "/login/password", `{"account":"li.si","password":"`+goodPassword+`"}`)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authenticator{key: key, id: []byte("credential-0001"), origin: b.app.PublicURL(), flags: 5, counter: 1}
	c := w.begin(t, "/me/passkeys/begin")
	if a.user, err = u64.DecodeString(c.Options.PublicKey.User.ID); err != nil || string(a.user) != b.person["engineer"] {
		t.Fatalf("%q %v", a.user, err)
	}
	finish := func(c begun, credential any) string {
		return asJSON(map[string]any{"ceremony": c.Ceremony, "label": "key", "credential": credential})
	}
	unverified := *a
	unverified.flags = 1
	w.want(t, 422, "login.bad_passkey", "POST", "/me/passkeys/finish", finish(c, unverified.create(c.Options.PublicKey.Challenge)))
	w.want(t, 422, "login.ceremony_over", "POST", "/me/passkeys/finish", finish(c, a.create(c.Options.PublicKey.Challenge))) // a ceremony serves once
	c = w.begin(t, "/me/passkeys/begin")
	w.want(t, 200, `"label":"key"`, "POST", "/me/passkeys/finish", finish(c, a.create(c.Options.PublicKey.Challenge)))
	w.want(t, 200, `"passkeys":1`, "GET", "/me", "")

	login := func(a authenticator, change func(*begun)) (int, string) {
		t.Helper()
		n := b.browser(t)
		c := n.begin(t, "/login/passkey/begin")
		if c.Options.PublicKey.UserVerification != "required" || c.Options.PublicKey.RPID != "localhost" {
			t.Errorf("%+v", c)
		}
		if change != nil {
			change(&c)
		}
		code, body, h := n.do(t, "POST", "/login/passkey/finish", asJSON(map[string]any{"ceremony": c.Ceremony, "credential": a.get(c.Options.PublicKey.Challenge)}))
		if (code == 200) != strings.Contains(h.Get("Set-Cookie"), "fengsui_session=") {
			t.Errorf("%d with the cookie %q", code, h.Get("Set-Cookie"))
		}
		return code, body
	}
	a.counter = 2
	if code, body := login(*a, nil); code != 200 || !strings.Contains(body, `"in"`) {
		t.Fatalf("%d %s", code, body)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*authenticator){
		"a counter that stands still": func(*authenticator) {},
		"another site":                func(a *authenticator) { a.counter = 9; a.origin = "https://evil.example.com" },
		"nobody verified":             func(a *authenticator) { a.counter = 9; a.flags = 1 },
		"another key":                 func(a *authenticator) { a.counter = 9; a.key = other },
		"another person":              func(a *authenticator) { a.counter = 9; a.user = []byte(b.person["auditor"]) },
	} {
		bad := *a
		spoil(&bad)
		if code, body := login(bad, nil); code != 401 || !strings.Contains(body, "login.refused") {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	a.counter = 10
	if code, body := login(*a, func(c *begun) { b.exec(t, "UPDATE ceremony SET expires_ms = 1") }); code != 422 || !strings.Contains(body, "login.ceremony_over") {
		t.Errorf("too late: %d %s", code, body)
	}
	if code, body := login(*a, nil); code != 200 {
		t.Errorf("the control: %d %s", code, body)
	}
	b.exec(t, "UPDATE person SET active = FALSE WHERE name = 'engineer'")
	a.counter = 11
	if code, _ := login(*a, nil); code != 401 {
		t.Errorf("somebody who left: %d", code)
	}
}
