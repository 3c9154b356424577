package gateway

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/posture"
)

func TestWithoutABundleNothingPasses(t *testing.T) {
	w := newWorld(t, answers("好"))
	for _, body := range []string{ask("问"), ask("问", streamed)} {
		if r := w.post(body); r.status != 503 || r.code() != "no_posture" {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	if st := w.g.Status(); st.Effective || st.Reason != "no_bundle" || len(w.asked) != 0 {
		t.Fatalf("%+v", st)
	}
	w.apply()
	if r := w.post(ask("问")); r.status != 200 {
		t.Fatalf("control: %d", r.status)
	}
}

func TestABundleOutlivesTheProcessAndCannotBeRolledBack(t *testing.T) {
	dir := t.TempDir()
	inDir := func(o *Options, _ *posture.Draft) { o.StateDir = dir }
	w := newWorld(t, answers("好"), inDir)
	w.apply()
	old := w.bundle()
	w.apply(offline())
	_, err := w.g.Apply(t.Context(), old)
	if fault.KindOf(err) != fault.KindConflict || w.post(ask("问")).status != 503 {
		t.Fatalf("rolled back: %v", err)
	}
	foreign := old
	foreign.Signature = slices.Clone(old.Signature)
	foreign.Signature[3] ^= 1
	if _, err := w.g.Apply(t.Context(), foreign); fault.KindOf(err) != fault.KindInvalid {
		t.Fatalf("a forged bundle: %v", err)
	}
	if _, err := w.g.Apply(t.Context(), posture.Sign(ed25519.NewKeyFromSeed(make([]byte, 32)), posture.DomainBundle, old.Payload)); err == nil {
		t.Fatal("a bundle of another signer was taken")
	}

	again := newWorld(t, answers("好"), inDir)
	again.keys = w.keys
	if r := again.post(ask("问")); r.status != 503 || r.code() != "service_offline" {
		t.Fatalf("after a restart: %d %s", r.status, r.body)
	}
	if st := again.g.Status(); !st.Effective || st.Revision != 3 || !slices.Equal(st.OrderIDs, []string{"o1"}) || st.Postures["svc1"] == "" {
		t.Fatalf("%+v", st)
	}
	if _, err := again.g.Apply(t.Context(), old); fault.KindOf(err) != fault.KindConflict {
		t.Fatalf("rolled back after a restart: %v", err)
	}

	for name, spoil := range map[string]func(string) error{
		"cut":     func(p string) error { return os.Truncate(p, 100) },
		"altered": func(p string) error { b, _ := os.ReadFile(p); b[len(b)/2] ^= 1; return os.WriteFile(p, b, 0o600) },
		"empty":   func(p string) error { return os.WriteFile(p, nil, 0o600) },
	} {
		good, _ := os.ReadFile(filepath.Join(dir, bundleName))
		if err := spoil(filepath.Join(dir, bundleName)); err != nil {
			t.Fatal(err)
		}
		third := newWorld(t, answers("好"), inDir)
		third.keys = w.keys
		if r := third.post(ask("问")); r.status != 503 || r.code() != "no_posture" {
			t.Fatalf("%s: %d %s", name, r.status, r.body)
		}
		_ = os.WriteFile(filepath.Join(dir, bundleName), good, 0o600)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); len(left) != 0 {
		t.Fatalf("left behind: %v", left)
	}
}

func TestABundleIsObeyedEvenIfTheDiskRefusesIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	w := newWorld(t, answers("好"), func(o *Options, _ *posture.Draft) { o.StateDir = dir })
	w.apply()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if ack := w.apply(offline()); ack.Persisted || w.post(ask("问")).status != 503 {
		t.Fatalf("%+v", ack)
	}
	if err := w.g.KeepAgain(); err == nil || !w.g.Status().Unkept {
		t.Fatalf("it says that the bundle is on disk: %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := w.g.KeepAgain(); err != nil || w.g.Status().Unkept {
		t.Fatalf("the disk is back: %v", err)
	}
	again := newWorld(t, answers("好"), func(o *Options, _ *posture.Draft) { o.StateDir = dir })
	again.keys = w.keys
	if r := again.post(ask("问")); r.status != 503 || r.code() != "service_offline" {
		t.Fatalf("after a restart: %d %s", r.status, r.body)
	}
}

func TestAGatewayOutOfContactFollowsItsPolicy(t *testing.T) {
	for policy, want := range map[Isolation]struct{ status, strictBlocks int }{
		IsolationContinue: {200, 0}, IsolationStrict: {200, 1}, IsolationClosed: {503, 0},
	} {
		var clk Clock
		w := newWorld(t, answers("好"), func(o *Options, _ *posture.Draft) { o.Isolation, o.ContactWithin = policy, time.Minute })
		clk = w.clock
		w.g.o.Clock = clk
		w.apply()
		w.clock.Advance(30 * time.Second)
		if st := w.g.Status(); !st.Effective {
			t.Errorf("%s: %+v", policy, st)
		}
		w.clock.Advance(31 * time.Second)
		if st := w.g.Status(); st.Effective || st.Reason != "out_of_contact" || st.Isolation != string(policy) {
			t.Errorf("%s: %+v", policy, st)
		}
		r := w.post(ask(strictT))
		row := w.sink.row(t)
		if blocks := row.InputVerdict == VerdictBlock; r.status != want.status || blocks != (want.strictBlocks == 1) {
			t.Errorf("%s: %d %+v", policy, r.status, row)
		}
		w.g.Contact()
		if r := w.post(ask("问")); r.status != 200 || !w.g.Status().Effective {
			t.Errorf("%s: after contact %d", policy, r.status)
		}
	}
}

func TestStopEndsWhatIsOpenAndMayBeCalledTwice(t *testing.T) {
	gone := make(chan struct{}, 1)
	w := newWorld(t, silent(gone, "开头"))
	w.apply()
	l := w.live(ask("问", streamed))
	l.next()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := w.g.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if r, err := l.rest(); err != nil || !strings.Contains(r.events[0], "gateway_stopping") {
		t.Fatalf("%v %v", r.events, err)
	}
	<-gone
	if row := w.sink.row(t); row.CutByOrder || row.ErrorCode != "gateway_stopping" {
		t.Fatalf("%+v", row)
	}
	if err := w.g.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := w.post(ask("问")); r.status != 503 || r.code() != "gateway_stopping" || w.g.Status().Reason != "stopped" {
		t.Fatalf("%d %s", r.status, r.body)
	}
}

func TestOptionsThatAreMissingAreNamed(t *testing.T) {
	good := func() Options {
		return Options{ID: "g", StateDir: t.TempDir(), TrustedKeys: []ed25519.PublicKey{make([]byte, 32)}, Clock: realClock{}, Secret: func(string) (string, error) { return "", nil }, Sink: &recorder{}, SubjectKey: make([]byte, 32)}
	}
	for field, spoil := range map[string]func(*Options){
		"gateway.id": func(o *Options) { o.ID = "" }, "gateway.state_dir": func(o *Options) { o.StateDir = "" }, "gateway.trusted_keys": func(o *Options) { o.TrustedKeys = nil },
		"gateway.clock": func(o *Options) { o.Clock = nil }, "gateway.secret": func(o *Options) { o.Secret = nil }, "gateway.sink": func(o *Options) { o.Sink = nil },
		"gateway.subject_key": func(o *Options) { o.SubjectKey = make([]byte, 31) }, "gateway.isolation": func(o *Options) { o.Isolation = "maybe" },
	} {
		o := good()
		spoil(&o)
		_, err := New(o)
		var f *fault.Error
		if !errors.As(err, &f) || f.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := New(good()); err != nil {
		t.Error(err)
	}
}

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }
