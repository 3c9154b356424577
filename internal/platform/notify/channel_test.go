package notify_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/due"
	"github.com/fengsui/fengsui/internal/platform/fault"
	"github.com/fengsui/fengsui/internal/platform/notify"
	"github.com/fengsui/fengsui/internal/platform/store"
)

var secret = []byte("0123456789abcdef")

func webhook(t *testing.T, address string, timeout time.Duration) *notify.Webhook {
	t.Helper()
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	w, err := notify.NewWebhook(&http.Client{Transport: tr, Timeout: timeout}, address, secret, clock.NewFake(start))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestAWebhookIsSignedCarriesItsKeyAndKeepsTheReceiptOfTheOtherSide(t *testing.T) {
	var got struct {
		key, signature string
		body           []byte
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.key, got.signature = r.Header.Get(notify.HeaderIdempotency), r.Header.Get(notify.HeaderSignature)
		got.body, _ = io.ReadAll(r.Body)
		fmt.Fprint(w, `{"receipt":"R-77"}`)
	}))
	defer srv.Close()
	st := open(t, clock.NewFake(start))
	deliver(t, st, directory(t, phone(webhook(t, srv.URL, time.Second))), notify.Options{})
	m := hello("事件 1") // not fit for a header as it is
	m.IncidentKind = due.KindDrill
	queue(t, st, m)
	until(t, "the message leaves", func() bool { return only(t, st).State == notify.Sent })
	if it := only(t, st); it.Receipt != "http 200 R-77" {
		t.Fatalf("%+v", it)
	}
	now := start.UnixMilli()
	if !notify.VerifySignature(secret, got.signature, got.body, now+1000, time.Minute) {
		t.Fatalf("signature %s", got.signature)
	}
	for name, ok := range map[string]bool{
		"another body":   notify.VerifySignature(secret, got.signature, append([]byte(" "), got.body...), now, time.Minute),
		"another secret": notify.VerifySignature([]byte("fedcba9876543210"), got.signature, got.body, now, time.Minute),
		"too old":        notify.VerifySignature(secret, got.signature, got.body, now+120_000, time.Minute),
		"no signature":   notify.VerifySignature(secret, "", got.body, now, time.Minute),
	} {
		if ok {
			t.Errorf("%s passed", name)
		}
	}
	var body map[string]any
	if err := json.Unmarshal(got.body, &body); err != nil {
		t.Fatal(err)
	}
	if body["idempotency_key"] != "事件 1" || !strings.HasPrefix(got.key, "sha256:") || body["incident_kind"] != "drill" || !strings.HasPrefix(body["subject"].(string), notify.DrillMark) {
		t.Fatalf("%s %v", got.key, body)
	}
}

func TestAWebhookThatIsNotAnsweredWell(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer elsewhere.Close()
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		case "/broken":
			w.WriteHeader(http.StatusBadGateway)
		case "/hangs":
			io.Copy(io.Discard, r.Body)
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
	}))
	defer srv.Close()
	defer close(release)
	for path, want := range map[string]string{"/redirect": "webhook: answered 307", "/broken": "webhook: answered 502", "/hangs": "Client.Timeout"} {
		st := open(t, clock.NewFake(start))
		stop := deliver(t, st, directory(t, phone(webhook(t, srv.URL+path, 100*time.Millisecond))), notify.Options{})
		queue(t, st, hello("k"))
		until(t, "the failure is noted", func() bool { return only(t, st).LastError != "" })
		stop()
		if it := only(t, st); it.State != notify.Pending || strings.Contains(it.LastError, "127.0.0.1") || !strings.Contains(it.LastError, want) {
			t.Errorf("%s: %+v", path, it)
		}
	}
}

func TestAWebhookNeedsAnAddressAndASecret(t *testing.T) {
	for name, c := range map[string]struct {
		client  *http.Client
		address string
		secret  []byte
	}{
		"no client":    {nil, "https://example.org/x", secret},
		"file address": {http.DefaultClient, "file:///etc/passwd", secret},
		"no host":      {http.DefaultClient, "https:///x", secret},
		"short secret": {http.DefaultClient, "https://example.org/x", []byte("short")},
	} {
		if _, err := notify.NewWebhook(c.client, c.address, c.secret, clock.NewFake(start)); !fault.Is(err, "notify.webhook_invalid") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// smtpServer is enough of RFC 5321 to take mail on loopback.
type smtpServer struct {
	ln    net.Listener
	mu    sync.Mutex
	mails []string
	deny  string // recipient that is refused
	lines atomic.Int32
	wg    sync.WaitGroup
}

func newSMTP(t *testing.T) *smtpServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &smtpServer{ln: ln}
	s.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() { ln.Close(); s.wg.Wait() })
	return s
}

func (s *smtpServer) port() int { return s.ln.Addr().(*net.TCPAddr).Port }

func (s *smtpServer) serve(c net.Conn) {
	s.lines.Add(1)
	defer s.lines.Add(-1)
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(c)
	say := func(line string) { fmt.Fprintf(c, "%s\r\n", line) }
	say("220 test")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.Fields(line + " x")[0]); verb {
		case "EHLO", "HELO":
			say("250-test")
			say("250 8BITMIME")
		case "RCPT":
			if s.deny != "" && strings.Contains(line, s.deny) {
				say("550 no mailbox " + s.deny)
				continue
			}
			say("250 ok")
		case "DATA":
			say("354 go on")
			var b strings.Builder
			for {
				l, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if l == ".\r\n" {
					break
				}
				b.WriteString(strings.TrimPrefix(l, "."))
			}
			s.mu.Lock()
			s.mails = append(s.mails, b.String())
			n := len(s.mails)
			s.mu.Unlock()
			say(fmt.Sprintf("250 taken as %d", n))
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *smtpServer) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.mails...)
}

func TestAMailOfADrillIsMarkedAndKeepsTheAnswerOfTheServer(t *testing.T) {
	srv := newSMTP(t)
	m, err := notify.NewMail(notify.MailOptions{Host: "127.0.0.1", Port: srv.port(), From: "烽燧 <fengsui@example.org>", TLS: "none", Timeout: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	st := open(t, clock.NewFake(start))
	deliver(t, st, directory(t, phone(m)), notify.Options{})
	msg := hello("incident:I1:declared")
	msg.IncidentKind = due.KindDrill
	queue(t, st, msg)
	until(t, "the mail leaves", func() bool { return only(t, st).State == notify.Sent })
	if r := only(t, st).Receipt; !strings.Contains(r, "taken as 1") {
		t.Fatalf("receipt %q", r)
	}
	mail, err := netmail.ReadMessage(strings.NewReader(srv.taken()[0]))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(mail.Header.Get("Subject"))
	if err != nil || subject != "【演练】客服助手 需要关注" {
		t.Fatalf("%q, %v", subject, err)
	}
	if h := mail.Header; h.Get("X-Fengsui-Idempotency-Key") != "incident:I1:declared" || h.Get("X-Fengsui-Incident-Kind") != "drill" || !strings.HasSuffix(h.Get("Message-ID"), "@example.org>") || h.Get("Auto-Submitted") == "" {
		t.Fatalf("%v", h)
	}
	if to, err := mail.Header.AddressList("To"); err != nil || len(to) != 1 || to[0].Address != "officer@example.org" {
		t.Fatalf("%v, %v", to, err)
	}
}

func TestARefusedMailIsRetriedAndItsErrorNamesNobody(t *testing.T) {
	srv := newSMTP(t)
	srv.deny = "officer@example.org"
	m, err := notify.NewMail(notify.MailOptions{Host: "127.0.0.1", Port: srv.port(), From: "fengsui@example.org", TLS: "none", Timeout: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	st := open(t, clock.NewFake(start))
	deliver(t, st, directory(t, phone(m)), notify.Options{})
	queue(t, st, hello("k"))
	until(t, "the failure is noted", func() bool { return only(t, st).LastError != "" })
	if it := only(t, st); it.State != notify.Pending || strings.Contains(it.LastError, "officer@") || len(srv.taken()) != 0 {
		t.Fatalf("%+v", it)
	}
}

func TestAMailServerWithoutTLSGetsNothingUnlessThatWasAllowed(t *testing.T) {
	srv := newSMTP(t)
	m, err := notify.NewMail(notify.MailOptions{Host: "127.0.0.1", Port: srv.port(), From: "fengsui@example.org", Timeout: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	st := open(t, clock.NewFake(start))
	deliver(t, st, directory(t, phone(m)), notify.Options{})
	queue(t, st, hello("k"))
	until(t, "the failure is noted", func() bool { return only(t, st).LastError != "" })
	if len(srv.taken()) != 0 {
		t.Fatal("a mail went out in the clear")
	}
	until(t, "the line to the server ends", func() bool { return srv.lines.Load() == 0 })
}

func TestAMailChannelThatIsMisconfiguredIsRefused(t *testing.T) {
	good := notify.MailOptions{Host: "mail.example.org", From: "a@example.org"}
	if _, err := notify.NewMail(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*notify.MailOptions){
		"no host":         func(o *notify.MailOptions) { o.Host = "" },
		"no sender":       func(o *notify.MailOptions) { o.From = "nobody" },
		"unknown TLS":     func(o *notify.MailOptions) { o.TLS = "maybe" },
		"clear log-in":    func(o *notify.MailOptions) { o.TLS, o.Username = "none", "u" },
		"impossible port": func(o *notify.MailOptions) { o.Port = 70000 },
	} {
		o := good
		change(&o)
		if _, err := notify.NewMail(o); !fault.Is(err, "notify.mail_invalid") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAFileChannelAppendsOneLineAMessageAndRefusesAPipe(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "authority.jsonl")
	st := open(t, clock.NewFake(start))
	deliver(t, st, directory(t, phone(notify.NewFile(path)), notify.Endpoint{ID: "broken", Class: notify.Staff, Channel: notify.NewFile(dir)}), notify.Options{Parallel: 1})
	broken := hello("3")
	broken.Channel = "broken"
	queue(t, st, hello("1"), hello("2"), broken)
	until(t, "both leave", func() bool { return len(list(t, st, notify.Filter{States: []notify.State{notify.Sent}})) == 2 })
	until(t, "the third fails", func() bool { return list(t, st, notify.Filter{Channel: "broken"})[0].LastError != "" })
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	var second struct {
		Key string `json:"idempotency_key"`
	}
	if len(lines) != 2 || json.Unmarshal([]byte(lines[1]), &second) != nil || second.Key != "2" {
		t.Fatalf("%s", raw)
	}
	receipts := map[string]bool{}
	for _, it := range list(t, st, notify.Filter{Channel: "phone"}) {
		receipts[it.Receipt] = true
	}
	if !receipts["file 0"] || !receipts[fmt.Sprintf("file %d", len(lines[0])+1)] {
		t.Fatalf("%v", receipts)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
}

func TestAnInboxMessageStaysUntilItIsAcknowledged(t *testing.T) {
	st := open(t, clock.NewFake(start))
	deliver(t, st, directory(t, phone(notify.Inbox{})), notify.Options{})
	queue(t, st, hello("k"))
	until(t, "it is in the inbox", func() bool { return only(t, st).State == notify.Sent })
	mine := notify.Filter{Channel: "phone", Recipient: "officer@example.org", Unread: true}
	if len(list(t, st, mine)) != 1 {
		t.Fatal("the message is not in the inbox")
	}
	if err := write(st, func(ctx context.Context, tx *store.Tx) error { return notify.Acknowledge(ctx, tx, only(t, st).ID) }); err != nil {
		t.Fatal(err)
	}
	if len(list(t, st, mine)) != 0 {
		t.Fatal("the message is still unread")
	}
}
