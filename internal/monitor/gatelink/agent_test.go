package gatelink

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/monitor/gateway"
	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/posture"
)

func signer(n byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, 32)) }

// control is one that says what the test wants, good or bad.
type control struct {
	*httptest.Server
	mu     sync.Mutex
	give   posture.Signed
	parts  map[string][]byte
	acks   []Ack
	asked  int
	facts  Facts
	answer int  // status instead of an answer
	mute   bool // neither
}

func newControl(t *testing.T, key ed25519.PrivateKey) *control {
	t.Helper()
	c := &control{facts: Facts{Digest: "d", PublicURL: "http://x", Secrets: map[string][]byte{}}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+PathEnrol, func(w http.ResponseWriter, r *http.Request) {
		var in Enrol
		_ = json.NewDecoder(r.Body).Decode(&in)
		pub, err := ecdh.X25519().NewPublicKey(in.PublicKey)
		if err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.facts.Subject, _ = SealTo(pub.Bytes(), "subject", bytes.Repeat([]byte{1}, 32))
		c.facts.Secrets["up"], _ = SealTo(pub.Bytes(), "secret:up", []byte("upstream-key"))
		_ = json.NewEncoder(w).Encode(Enrolled{GatewayID: "edge-1", ControlKey: key.Public().(ed25519.PublicKey)})
	})
	mux.HandleFunc("POST "+PathWatch, func(w http.ResponseWriter, r *http.Request) {
		var in Watch
		_ = json.NewDecoder(r.Body).Decode(&in)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asked++
		if c.mute {
			c.mu.Unlock()
			defer c.mu.Lock()
			<-r.Context().Done()
			return
		}
		if c.answer != 0 {
			w.WriteHeader(c.answer)
			return
		}
		n := News{}
		if in.Facts != c.facts.Digest {
			n.Facts = &c.facts
		}
		if c.give.Payload != nil {
			slim, parts := posture.Cut(c.give, [][]byte{c.give.Payload[:len(c.give.Payload)/2], c.give.Payload[len(c.give.Payload)/2:]})
			n.Bundle, c.parts = &slim, parts
		}
		_ = json.NewEncoder(w).Encode(n)
	})
	mux.HandleFunc("GET "+PathPart+"{digest}", func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, _ = w.Write(c.parts[r.PathValue("digest")])
	})
	mux.HandleFunc("POST "+PathAck, func(w http.ResponseWriter, r *http.Request) {
		var in Ack
		_ = json.NewDecoder(r.Body).Decode(&in)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.acks = append(c.acks, in)
		_, _ = w.Write([]byte("{}"))
	})
	c.Server = httptest.NewServer(mux)
	t.Cleanup(c.Close)
	return c
}

func (c *control) set(fn func()) { c.mu.Lock(); defer c.mu.Unlock(); fn() }

func token(key ed25519.PrivateKey) string {
	sum := sha256.Sum256(key.Public().(ed25519.PublicKey))
	return "fsj-x." + hex.EncodeToString(sum[:])
}

func agent(t *testing.T, dir string, key ed25519.PrivateKey, controls ...string) *Agent {
	t.Helper()
	a, err := New(Options{Controls: controls, StateDir: dir, JoinToken: token(key), Client: &http.Client{}, Clock: clock.System()})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func bundle(t *testing.T, key ed25519.PrivateKey, revision int64, padding int) posture.Signed {
	t.Helper()
	keys := []posture.GatewayKey{}
	for i := range padding {
		hash := sha256.Sum256([]byte{byte(i), byte(revision)})
		keys = append(keys, posture.GatewayKey{ID: hex.EncodeToString(hash[:4]), ServiceID: "s", Kind: posture.Real, Hash: hex.EncodeToString(hash[:])})
	}
	s, err := posture.NewBundle(key, posture.Bundle{Epoch: 1, Revision: revision, OrderSeq: revision, Keys: keys}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}

func TestAGatewayObeysOnlyTheControlThatInvitedItAndNothingOlder(t *testing.T) {
	key, dir := signer(1), t.TempDir()
	c := newControl(t, key)
	a := agent(t, dir, key, c.URL)
	a.o.Clock = brisk{clock.System()}
	if err := a.Enrol(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, err := a.Secret("up"); err != nil || v != "upstream-key" || a.ID() != "edge-1" {
		t.Fatal(v, err)
	}
	if _, err := a.Secret("other"); fault.KindOf(err) != fault.KindNotFound {
		t.Error(err)
	}
	subject, err := a.Subject()
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Options{ID: a.ID(), StateDir: dir, TrustedKeys: []ed25519.PublicKey{a.ControlKey()}, Clock: clock.System(), Secret: a.Secret, Sink: nothing{}, SubjectKey: subject})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = a.Follow(ctx, g, func() Report { return Report{} })
	}()
	defer func() { cancel(); <-done }()
	c.set(func() { c.give = bundle(t, key, 5, 40) })
	until(t, "the acknowledgement", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.acks) > 0 && c.acks[0].Revision == 5 && !c.acks[0].Failed
	})
	contact := func() int64 { return g.Status().LastContactMs }
	forged := bundle(t, signer(2), 9, 40)
	forged.KeyID = bundle(t, key, 9, 40).KeyID
	altered := bundle(t, key, 9, 40)
	altered.Payload = bytes.Replace(altered.Payload, []byte(`"revision":9`), []byte(`"revision":8`), 1)
	for name, s := range map[string]posture.Signed{"replayed older one": bundle(t, key, 4, 40), "of another signer": bundle(t, signer(2), 9, 40), "with a forged name": forged, "altered": altered} {
		var asked int
		c.set(func() { c.give, asked = s, c.asked })
		// The question that was under way may still have been answered well: the next one comes after it.
		until(t, "the next question", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.asked >= asked+1 })
		before := contact()
		until(t, "two more questions", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.asked >= asked+3 })
		if st := g.Status(); st.Revision != 5 {
			t.Errorf("a bundle %s is obeyed: %d", name, st.Revision)
		}
		if now := contact(); now > before+1 && name != "replayed older one" {
			t.Errorf("a bundle %s counts as contact", name)
		}
	}
	c.set(func() { c.give = bundle(t, key, 6, 40) })
	until(t, "the good one that follows", func() bool { return g.Status().Revision == 6 })
}

// brisk is a clock on which nobody rests long after a failure.
type brisk struct{ clock.Clock }

func (b brisk) After(d time.Duration) <-chan time.Time { return b.Clock.After(d / 20) }

type nothing struct{}

func (nothing) Traffic(gateway.Traffic) {}
func (nothing) Signal(gateway.Signal)   {}

func TestAGatewayLeavesAControlNodeThatFellSilentForAnotherWithinSeconds(t *testing.T) {
	key, dir := signer(1), t.TempDir()
	silent, other := newControl(t, key), newControl(t, key)
	a := agent(t, dir, key, silent.URL, other.URL)
	a.o.ContactWithin = 300 * time.Millisecond
	if err := a.Enrol(t.Context()); err != nil {
		t.Fatal(err)
	}
	subject, err := a.Subject()
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Options{ID: a.ID(), StateDir: dir, TrustedKeys: []ed25519.PublicKey{a.ControlKey()}, Clock: clock.System(), Secret: a.Secret, Sink: nothing{}, SubjectKey: subject})
	if err != nil {
		t.Fatal(err)
	}
	silent.set(func() { silent.mute = true })
	other.set(func() { other.give = bundle(t, key, 5, 40) })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = a.Follow(ctx, g, func() Report { return Report{} })
	}()
	defer func() { cancel(); <-done }()
	began := time.Now()
	until(t, "the order that the other knows", func() bool { return g.Status().Revision == 5 })
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("it waited %s for the silent one", took)
	}
}

func TestAGatewayIsNotLedToAnotherControlAndGoesOnToTheNextAddress(t *testing.T) {
	key := signer(1)
	other, good := newControl(t, signer(2)), newControl(t, key)
	if err := agent(t, t.TempDir(), key, other.URL).Enrol(t.Context()); !fault.Is(err, "gatelink.wrong_control") {
		t.Errorf("%v", err)
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	dir := t.TempDir()
	a := agent(t, dir, key, gone.URL, good.URL)
	if err := a.Enrol(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := New(Options{Controls: []string{gone.URL}, StateDir: dir, Client: &http.Client{}, Clock: clock.System()})
	if err != nil || again.ID() != "edge-1" {
		t.Fatal("a restart without control and token", err)
	}
	if v, err := again.Secret("up"); err != nil || v != "upstream-key" {
		t.Error(v, err)
	}
	for _, bad := range []string{"control.example.com:8082", "http://control.example.com:8082", "ftp://127.0.0.1"} {
		if _, err := New(Options{Controls: []string{bad}, StateDir: t.TempDir(), Clock: clock.System()}); fault.KindOf(err) != fault.KindInvalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
