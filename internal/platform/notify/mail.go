package notify

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"slices"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
)

// MailOptions say which server takes our mail.
type MailOptions struct {
	Host     string
	Port     int      // default 587, with TLS "tls" 465
	From     string   // address, with a name if wanted
	To       []string // who gets every message; default: the recipient of each
	Username string   // empty: no log-in
	Password string
	TLS      string // "starttls" (default, required), "tls" (from the first byte), "none" (loopback or a trusted network; no log-in)
	Hello    string // name in EHLO; default: the domain of From
	Timeout  time.Duration
	Dial     mail.DialContextFunc // default: net.Dialer
}

// Mail sends messages by SMTP. The recipient of a message is a mail address.
type Mail struct {
	o    MailOptions
	opts []mail.Option
	host string // right-hand side of message ids
}

// NewMail checks the options; it does not connect. Errors: fault invalid.
func NewMail(o MailOptions) (*Mail, error) {
	from, err := netmail.ParseAddress(o.From)
	switch {
	case o.Host == "":
		return nil, fault.Invalid("mail.host", "notify.mail_invalid", "problem", "host")
	case err != nil:
		return nil, fault.Invalid("mail.from", "notify.mail_invalid", "problem", "from")
	case o.TLS == "none" && o.Username != "":
		return nil, fault.Invalid("mail.tls", "notify.mail_invalid", "problem", "tls: none, username")
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	m := &Mail{o: o, host: from.Address[strings.LastIndex(from.Address, "@")+1:]}
	if o.Hello == "" {
		o.Hello = m.host
	}
	m.opts = []mail.Option{mail.WithTimeout(o.Timeout), mail.WithHELO(o.Hello)}
	port := 587
	switch o.TLS {
	case "", "starttls":
		m.opts = append(m.opts, mail.WithTLSPolicy(mail.TLSMandatory))
	case "tls":
		port = 465
		// Our dialer has TLS already, which this policy finds out; with WithSSL no log-in would be safe in its eyes.
		m.opts = append(m.opts, mail.WithTLSPolicy(mail.TLSOpportunistic))
	case "none":
		m.opts = append(m.opts, mail.WithTLSPolicy(mail.NoTLS))
	default:
		return nil, fault.Invalid("mail.tls", "notify.mail_invalid", "problem", "tls")
	}
	if o.Port > 0 {
		port = o.Port
	}
	m.opts = append(m.opts, mail.WithPort(port))
	if o.Username != "" {
		m.opts = append(m.opts, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(o.Username), mail.WithPassword(o.Password))
	}
	if _, err := mail.NewClient(o.Host, m.opts...); err != nil {
		return nil, fault.Invalid("mail", "notify.mail_invalid", "problem", err.Error())
	}
	return m, nil
}

// dial is Dial with TLS from the first byte where that is asked for: the library leaves it to a dialer that is given.
func (o MailOptions) dial(ctx context.Context, network, address string) (net.Conn, error) {
	plain, err := o.Dial(ctx, network, address)
	if err != nil || o.TLS != "tls" {
		return plain, err
	}
	conn := tls.Client(plain, &tls.Config{ServerName: o.Host, MinVersion: tls.VersionTLS12})
	if err := conn.HandshakeContext(ctx); err != nil {
		plain.Close()
		return nil, err
	}
	return conn, nil
}

// Send hands r to the server; the receipt is the server's answer. The Message-ID follows from the
// idempotency key, so that a mail sent twice is shown once by most readers.
func (m *Mail) Send(ctx context.Context, r Rendered) (string, error) {
	msg := mail.NewMsg(mail.WithCharset(mail.CharsetUTF8))
	if err := msg.From(m.o.From); err != nil {
		return "", errors.New("mail: bad sender address")
	}
	to := m.o.To
	if len(to) == 0 {
		to = []string{r.Recipient()}
	}
	if err := msg.To(to...); err != nil {
		return "", errors.New("mail: bad recipient address")
	}
	sum := sha256.Sum256([]byte(r.IdemKey()))
	msg.SetMessageIDWithValue(hex.EncodeToString(sum[:16]) + "@" + m.host)
	msg.SetDateWithValue(time.UnixMilli(r.AtMs()).In(clock.Beijing))
	msg.SetGenHeader("X-Fengsui-Idempotency-Key", headerSafe(r.IdemKey()))
	msg.SetGenHeader("X-Fengsui-Incident-Kind", r.IncidentKind())
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office answers, please
	msg.Subject(r.Subject())
	msg.SetBodyString(mail.TypeTextPlain, r.Body())
	// The library leaves a line open that it gives up before the first mail, as without TLS or after a refused log-in.
	var line net.Conn
	defer func() {
		if line != nil {
			line.Close()
		}
	}()
	client, err := mail.NewClient(m.o.Host, append(slices.Clone(m.opts), mail.WithDialContextFunc(func(ctx context.Context, network, address string) (c net.Conn, err error) {
		c, err = m.o.dial(ctx, network, address)
		line = c
		return c, err
	}))...)
	if err != nil {
		return "", fmt.Errorf("mail: %w", err)
	}
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		// A failure after the server took the mail (at QUIT, say) is not a failure to send.
		if !msg.IsDelivered() {
			return "", fmt.Errorf("mail: %w", err)
		}
	}
	return "smtp " + strings.TrimSpace(msg.ServerResponse()), nil
}
