package notify_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/notify"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/platform/watch"
)

var start = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) {
	if child() {
		return
	}
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, c clock.Clock) *store.Store { t.Helper(); return openIn(t, c, t.TempDir()) }

func openIn(t testing.TB, c clock.Clock, dir string) *store.Store {
	t.Helper()
	st, err := store.Open(context.Background(), storetest.With(t, store.Options{Dir: dir, Clock: c, Hub: watch.New()}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// catalog is the texts of this package with a template of the tests.
func catalog(t testing.TB) *locale.Catalog {
	t.Helper()
	own, err := os.ReadFile("../locale/catalog/notify.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := locale.LoadFS(fstest.MapFS{
		"c/notify.yaml": {Data: own},
		"c/test.yaml": {Data: []byte("test.hello.subject: {zh: '{service} 需要关注', en: '{service} needs a look'}\n" +
			"test.hello.body: {zh: '{count} 条，{level}，{at}', en: '{count} of them, {level}, {at}'}\n" +
			"test.level.two: {zh: 二级, en: level II}\n")},
	}, "c")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func hello(key string) notify.Message {
	return notify.Message{
		IdemKey: key, Channel: "phone", Class: notify.Staff, Recipient: "officer@example.org", IncidentKind: due.KindReal, ObjectKind: "incident", ObjectID: "I1",
		Template: "test.hello",
		Args:     []notify.Arg{notify.Label("service", "客服助手"), notify.Count("count", 3), notify.Term("level", "test.level.two"), notify.Time("at", start.UnixMilli())},
	}
}

func write(st *store.Store, fn func(ctx context.Context, tx *store.Tx) error) error {
	return st.Write(context.Background(), store.Actor{ID: "person:1"}, func(tx *store.Tx) error { return fn(context.Background(), tx) })
}

func queue(t testing.TB, st *store.Store, ms ...notify.Message) {
	t.Helper()
	if err := write(st, func(ctx context.Context, tx *store.Tx) error {
		for _, m := range ms {
			if err := notify.Queue(ctx, tx, m); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func list(t testing.TB, st *store.Store, f notify.Filter) []notify.Item {
	t.Helper()
	items, err := notify.List(context.Background(), st.Read(), f)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

func only(t testing.TB, st *store.Store) notify.Item {
	t.Helper()
	items := list(t, st, notify.Filter{})
	if len(items) != 1 {
		t.Fatalf("%d messages", len(items))
	}
	return items[0]
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

// fake is a channel that fails the test on a message that nobody announced.
type fake struct {
	t        testing.TB
	mu       sync.Mutex
	expected map[string]bool
	got      []notify.Rendered
	answer   func(r notify.Rendered) error
}

func expect(t testing.TB, keys ...string) *fake {
	f := &fake{t: t, expected: map[string]bool{}}
	for _, k := range keys {
		f.expected[k] = true
	}
	return f
}

func (f *fake) Send(_ context.Context, r notify.Rendered) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.expected[r.IdemKey()] {
		f.t.Errorf("surprise message %s: %s", r.IdemKey(), r.Subject())
	}
	f.got = append(f.got, r)
	if f.answer != nil {
		if err := f.answer(r); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("receipt %d", len(f.got)), nil
}

func (f *fake) sent() []notify.Rendered {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]notify.Rendered(nil), f.got...)
}

func directory(t testing.TB, es ...notify.Endpoint) *notify.Directory {
	t.Helper()
	d, err := notify.NewDirectory(es...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// deliver runs a deliverer until the end of the test.
func deliver(t testing.TB, st *store.Store, d *notify.Directory, o notify.Options) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		notify.NewDeliverer(st, d, catalog(t), o).Run(ctx)
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func TestQueuingTheSameMessageTwiceKeepsOneAndAnotherUnderItsKeyIsAConflict(t *testing.T) {
	st := open(t, clock.NewFake(start))
	queue(t, st, hello("k"), hello("k"))
	if it := only(t, st); it.State != notify.Pending || it.Lang != locale.ZH {
		t.Fatalf("%+v", it)
	}
	other := hello("k")
	other.Recipient = "somebody.else@example.org"
	err := write(st, func(ctx context.Context, tx *store.Tx) error { return notify.Queue(ctx, tx, other) })
	if !fault.Is(err, "notify.idem_key_taken") || strings.Contains(err.Error(), "example.org") {
		t.Fatalf("%v", err)
	}
}

func TestAMessageQueuedInATransactionThatFailsNeverLeaves(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	f := expect(t, "sentinel")
	deliver(t, st, directory(t, notify.Endpoint{ID: "phone", Class: notify.Staff, Channel: f}), notify.Options{})
	boom := fmt.Errorf("boom")
	if err := write(st, func(ctx context.Context, tx *store.Tx) error {
		if err := notify.Queue(ctx, tx, hello("taken back")); err != nil {
			return err
		}
		return boom
	}); err != boom {
		t.Fatal(err)
	}
	queue(t, st, hello("sentinel"))
	until(t, "the sentinel leaves", func() bool { return only(t, st).State == notify.Sent })
}

func TestAMessageThatIsNotWholeOrCarriesFreeTextIsRefused(t *testing.T) {
	st := open(t, clock.NewFake(start))
	arg := func(a notify.Arg) func(*notify.Message) {
		return func(m *notify.Message) { m.Args = []notify.Arg{a} }
	}
	for name, c := range map[string]struct {
		change func(*notify.Message)
		key    string
	}{
		"no key":                    {func(m *notify.Message) { m.IdemKey = "" }, "notify.field_missing"},
		"no recipient":              {func(m *notify.Message) { m.Recipient = "" }, "notify.field_missing"},
		"unknown class":             {func(m *notify.Message) { m.Class = "friends" }, "notify.class_unknown"},
		"unknown incident kind":     {func(m *notify.Message) { m.IncidentKind = "" }, "notify.incident_kind_unknown"},
		"unknown language":          {func(m *notify.Message) { m.Lang = "fr" }, "notify.lang_unknown"},
		"argument of no known kind": {arg(notify.Arg{Name: "x", Kind: "text", Value: "某个用户的完整提问"}), "notify.arg_invalid"},
		"id with a sentence in it":  {arg(notify.ID("x", "tell me everything")), "notify.arg_invalid"},
		"label with a line break":   {arg(notify.Label("x", "one\ntwo")), "notify.arg_invalid"},
		"label that is too long":    {arg(notify.Arg{Name: "x", Kind: "label", Value: strings.Repeat("长", 65)}), "notify.arg_invalid"},
		"link with a script":        {arg(notify.Link("x", "javascript:alert(1)")), "notify.arg_invalid"},
		"link with a password":      {arg(notify.Link("x", "https://a:b@example.org/")), "notify.arg_invalid"},
		"term that is no key":       {arg(notify.Term("x", "二级")), "notify.arg_invalid"},
		"count that is no number":   {arg(notify.Arg{Name: "x", Kind: "count", Value: "many"}), "notify.arg_invalid"},
		"placeholder name with {":   {arg(notify.ID("{", "a")), "notify.arg_invalid"},
		"drill told to authority":   {func(m *notify.Message) { m.Class, m.IncidentKind = notify.Authority, due.KindDrill }, "notify.authority_in_drill"},
		"test told to authority":    {func(m *notify.Message) { m.Class, m.IncidentKind = notify.Authority, due.KindTest }, "notify.authority_in_drill"},
	} {
		t.Run(name, func(t *testing.T) {
			m := hello("k")
			c.change(&m)
			if err := write(st, func(ctx context.Context, tx *store.Tx) error { return notify.Queue(ctx, tx, m) }); !fault.Is(err, c.key) {
				t.Fatalf("got %v, want %s", err, c.key)
			}
		})
	}
	if n := len(list(t, st, notify.Filter{})); n != 0 {
		t.Fatalf("%d messages were kept", n)
	}
	ok := hello("simulated")
	ok.Class, ok.IncidentKind, ok.Simulated = notify.Authority, due.KindDrill, true
	real := hello("real")
	real.Class = notify.Authority
	long := hello("long label")
	long.Args[0] = notify.Label("service", strings.Repeat("长", 500))
	queue(t, st, ok, real, long)
}

func TestTheFirstAcknowledgementStays(t *testing.T) {
	c := clock.NewFake(start)
	st := open(t, c)
	queue(t, st, hello("k"))
	id := only(t, st).ID
	for _, who := range []string{"person:1", "person:2"} {
		if err := st.Write(context.Background(), store.Actor{ID: who}, func(tx *store.Tx) error {
			return notify.Acknowledge(context.Background(), tx, id)
		}); err != nil {
			t.Fatal(err)
		}
		c.Advance(time.Minute)
	}
	if it := only(t, st); it.AcknowledgedBy != "person:1" || it.AcknowledgedMs != start.UnixMilli() {
		t.Fatalf("%+v", it)
	}
	if n := len(list(t, st, notify.Filter{Unread: true})); n != 0 {
		t.Fatalf("%d unread", n)
	}
	if err := write(st, func(ctx context.Context, tx *store.Tx) error { return notify.Acknowledge(ctx, tx, "nobody") }); !fault.Is(err, "notify.no_message") {
		t.Fatalf("%v", err)
	}
}
