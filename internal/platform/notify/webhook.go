package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
	"github.com/fengsui/fengsui/internal/platform/fault"
)

// Headers of a webhook call. The signature is "t=<UTC ms>,v1=<hex HMAC-SHA256 of t.body>".
const (
	HeaderIdempotency = "Idempotency-Key"
	HeaderSignature   = "X-Fengsui-Signature"
)

// Webhook posts messages as JSON to one address.
type Webhook struct {
	client  *http.Client
	address string
	secret  []byte
	clock   clock.Clock
}

// webhookBody is what the other side gets.
type webhookBody struct {
	IdempotencyKey string        `json:"idempotency_key"`
	IncidentKind   string        `json:"incident_kind"`
	Object         webhookObject `json:"object"`
	Template       string        `json:"template"`
	Lang           string        `json:"lang"`
	Recipient      string        `json:"recipient"`
	Subject        string        `json:"subject"`
	Body           string        `json:"body"`
	QueuedMs       int64         `json:"queued_ms"`
}

type webhookObject struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

// NewWebhook makes a webhook. The client brings the guard against forbidden addresses; redirects are
// never followed, and a client without a time-out gets one of 10 s.
// Errors: fault invalid for an address that is not http(s), or a secret under 16 bytes.
func NewWebhook(client *http.Client, address string, secret []byte, c clock.Clock) (*Webhook, error) {
	u, err := url.Parse(address)
	if client == nil || err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || len(secret) < 16 {
		return nil, fault.Invalid("webhook", "notify.webhook_invalid")
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if own.Timeout <= 0 {
		own.Timeout = 10 * time.Second
	}
	return &Webhook{client: &own, address: address, secret: bytes.Clone(secret), clock: c}, nil
}

// Send posts r. Any answer but 2xx is an error. The receipt is the status and, if the answer is a JSON
// object with a short string "receipt", that string.
func (w *Webhook) Send(ctx context.Context, r Rendered) (string, error) {
	kind, id := r.Object()
	body, err := json.Marshal(webhookBody{
		IdempotencyKey: r.IdemKey(), IncidentKind: r.IncidentKind(), Object: webhookObject{kind, id}, Template: r.Template(),
		Lang: string(r.Lang()), Recipient: r.Recipient(), Subject: r.Subject(), Body: r.Body(), QueuedMs: r.AtMs(),
	})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.address, bytes.NewReader(body))
	if err != nil {
		return "", errors.New("webhook: bad request")
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set(HeaderIdempotency, headerSafe(r.IdemKey()))
	req.Header.Set(HeaderSignature, Sign(w.secret, clock.Ms(w.clock), body))
	resp, err := w.client.Do(req)
	if err != nil {
		// The address may carry a secret; it stays out of the error.
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return "", fmt.Errorf("webhook: %w", err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // the status has been decided; a torn body only lacks a receipt
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return "", fmt.Errorf("webhook: answered %d", resp.StatusCode)
	}
	return strings.TrimSpace(fmt.Sprintf("http %d %s", resp.StatusCode, receiptOf(answer))), nil
}

var receiptShape = regexp.MustCompile(`^[A-Za-z0-9:_.#/-]{1,128}$`)

func receiptOf(answer []byte) string {
	var a struct {
		Receipt string `json:"receipt"`
	}
	if json.Unmarshal(answer, &a) != nil || !receiptShape.MatchString(a.Receipt) {
		return ""
	}
	return a.Receipt
}

// headerSafe keeps a key within what a header may hold; the body has it unchanged.
func headerSafe(key string) string {
	for _, r := range key {
		if r < 0x21 || r > 0x7e {
			sum := sha256.Sum256([]byte(key))
			return "sha256:" + hex.EncodeToString(sum[:])
		}
	}
	return key
}

// Sign makes the value of HeaderSignature for body at atMs.
func Sign(secret []byte, atMs int64, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%d.", atMs)
	mac.Write(body)
	return fmt.Sprintf("t=%d,v1=%s", atMs, hex.EncodeToString(mac.Sum(nil)))
}

// VerifySignature is the receiver's side: header must sign body with secret and be at most tolerance
// away from nowMs.
func VerifySignature(secret []byte, header string, body []byte, nowMs int64, tolerance time.Duration) bool {
	t, _, ok := strings.Cut(strings.TrimPrefix(header, "t="), ",")
	atMs, err := strconv.ParseInt(t, 10, 64)
	if !ok || err != nil || max(nowMs-atMs, atMs-nowMs) > tolerance.Milliseconds() {
		return false
	}
	return hmac.Equal([]byte(header), []byte(Sign(secret, atMs, body)))
}
