package notify_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/locale"
	"github.com/fengsui/fengsui/internal/platform/notify"
	"github.com/fengsui/fengsui/internal/platform/store"
	"github.com/fengsui/fengsui/internal/platform/store/storetest"
	"github.com/fengsui/fengsui/internal/platform/watch"
)

const childDir, childMode = "FENGSUI_NOTIFY_TEST_DIR", "FENGSUI_NOTIFY_TEST_MODE"

// fatal is a channel that reaches the world and then dies with its process, before the receipt is kept.
type fatal struct{ notify.Channel }

func (f fatal) Send(ctx context.Context, r notify.Rendered) (string, error) {
	f.Channel.Send(ctx, r) //nolint:errcheck // dies anyway
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// child is the process that the tests below kill: a deliverer to a file in the folder it is given.
func child() bool {
	dir := os.Getenv(childDir)
	if dir == "" {
		return false
	}
	die := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	st, err := store.Open(context.Background(), storetest.Inherit(store.Options{Dir: dir, Clock: clock.System(), Hub: watch.New()}))
	die(err)
	c, err := locale.LoadFS(os.DirFS(dir), "texts")
	die(err)
	var channel notify.Channel = notify.NewFile(filepath.Join(dir, "sent.jsonl"))
	if os.Getenv(childMode) == "fatal" {
		channel = fatal{channel}
	}
	d, err := notify.NewDirectory(notify.Endpoint{ID: "phone", Class: notify.Staff, Channel: channel})
	die(err)
	fmt.Println("ready")
	notify.NewDeliverer(st, d, c, notify.Options{Timeout: 20 * time.Millisecond, Lease: time.Millisecond, Parallel: 4}).Run(context.Background())
	return true
}

func world(t *testing.T, messages int) (*store.Store, string) {
	t.Helper()
	dir := t.TempDir()
	st := openIn(t, clock.System(), dir)
	var ms []notify.Message
	for i := range messages {
		ms = append(ms, hello(fmt.Sprint(i)))
	}
	queue(t, st, ms...)
	if err := os.Mkdir(filepath.Join(dir, "texts"), 0o700); err != nil {
		t.Fatal(err)
	}
	text := "test.hello.subject: {zh: a, en: b}\ntest.hello.body: {zh: a, en: b}\ntest.level.two: {zh: a, en: b}\n"
	if err := os.WriteFile(filepath.Join(dir, "texts", "t.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return st, dir
}

// spawn runs the child until it dies, or kills it when lifetime has passed since it was ready.
func spawn(t *testing.T, dir, mode string, lifetime time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childMode+"="+mode)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if s, err := bufio.NewReader(out).ReadString('\n'); err != nil || s != "ready\n" {
		t.Errorf("the child said %q, %v", s, err)
	}
	gone := make(chan struct{})
	go func() { defer close(gone); cmd.Wait() }() //nolint:errcheck // it dies by a signal, its own or ours
	select {
	case <-gone:
	case <-time.After(lifetime):
		cmd.Process.Kill()
		<-gone
	}
}

// pass makes what waits in the outbox wait as if d had passed.
func pass(t *testing.T, st *store.Store, d time.Duration) {
	t.Helper()
	if err := st.Write(t.Context(), store.System("test"), func(tx *store.Tx) error {
		_, err := tx.Exec("UPDATE outbox SET next_ms = next_ms - ?, lease_until_ms = lease_until_ms - ? WHERE state = 'pending'", d.Milliseconds(), d.Milliseconds())
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// arrived counts the lines of the world by idempotency key; a torn last line did not arrive.
func arrived(t *testing.T, dir string) map[string]int {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "sent.jsonl"))
	if os.IsNotExist(err) {
		return nil
	} else if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := map[string]int{}
	for s := bufio.NewScanner(f); s.Scan(); {
		var line struct {
			Key string `json:"idempotency_key"`
		}
		if json.Unmarshal(s.Bytes(), &line) == nil {
			got[line.Key]++
		}
	}
	return got
}

func TestAMessageWhoseSenderDiedBeforeItsReceiptIsSentAgainWithTheSameKey(t *testing.T) {
	st, dir := world(t, 1)
	spawn(t, dir, "fatal", 10*time.Second) // dies by itself
	if it := only(t, st); it.State != notify.Pending || it.Attempts != 1 || arrived(t, dir)["0"] != 1 {
		t.Fatalf("%+v, %v", it, arrived(t, dir))
	}
	spawn(t, dir, "", 300*time.Millisecond)
	if it := only(t, st); it.Attempts != 1 {
		t.Fatalf("sent again while its sender may yet live: %+v", it)
	}
	for tries := 0; only(t, st).State == notify.Pending && tries < 20; tries++ {
		pass(t, st, 6*time.Second) // the lease is the sending's time-out plus five seconds
		spawn(t, dir, "", 300*time.Millisecond)
	}
	if it := only(t, st); it.State != notify.Sent || it.Attempts != 2 || arrived(t, dir)["0"] != 2 || len(arrived(t, dir)) != 1 {
		t.Fatalf("%+v, %v", it, arrived(t, dir))
	}
}

func TestKilledAtRandomInstantsNoMessageIsCalledSentThatDidNotArrive(t *testing.T) {
	const messages = 300
	st, dir := world(t, messages)
	for range 25 {
		spawn(t, dir, "", time.Duration(1+rand.IntN(25))*time.Millisecond)
		got := arrived(t, dir)
		for _, it := range list(t, st, notify.Filter{States: []notify.State{notify.Sent}, Limit: messages}) {
			if got[it.IdemKey] == 0 {
				t.Fatalf("message %s is called sent and did not arrive", it.IdemKey)
			}
		}
	}
	left := []notify.Item{{}}
	for tries := 0; len(left) > 0 && tries < 100; tries++ { // a slow machine needs more than one life
		pass(t, st, 6*time.Second) // longer than a lease
		spawn(t, dir, "", 500*time.Millisecond)
		left = list(t, st, notify.Filter{States: []notify.State{notify.Pending, notify.Failed}, Limit: messages})
	}
	if got := arrived(t, dir); len(left) != 0 || len(got) != messages {
		t.Fatalf("%d messages left, %d of %d arrived", len(left), len(got), messages)
	}
}
