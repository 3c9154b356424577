package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/fengsui/fengsui/internal/platform/clock"
)

// Doer sends a request; http.Client is one.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// client calls the HTTP API as one of several persons. It tries again while the server cannot be
// reached or says that it is not available, so that the server may be killed and started beneath it;
// what changes something carries an Idempotency-Key, so that trying again changes it once.
type client struct {
	base     string
	http     Doer
	clock    clock.Clock
	lang     string
	patience time.Duration // how long one call goes on trying
	trials   int           // how often any call had to be tried again
}

// Refusal is an answer of the API that is not a success: RFC 9457 with the house's key.
type Refusal struct {
	Status int    `json:"status"`
	Key    string `json:"key"`
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

func (r *Refusal) Error() string {
	s := fmt.Sprintf("%d %s", r.Status, r.Key)
	if r.Field != "" {
		s += " (" + r.Field + ")"
	}
	if r.Detail != "" {
		s += ": " + r.Detail
	}
	return s
}

// refused reports whether err is a refusal for one of these reasons.
func refused(err error, keys ...string) bool {
	var r *Refusal
	if !errors.As(err, &r) {
		return false
	}
	for _, k := range keys {
		if r.Key == k {
			return true
		}
	}
	return false
}

// tryOnce limits one attempt, so that a server which took the request and died does not hold the call.
const tryOnce = 15 * time.Second

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 8 << 20

func (c *client) get(ctx context.Context, token, path string, out any) error {
	return c.call(ctx, http.MethodGet, token, path, "", nil, out)
}

// post changes something. key makes a repetition harmless; the caller gives the same key and body again
// when it does the same step again.
func (c *client) post(ctx context.Context, token, path, key string, in, out any) error {
	if in == nil {
		in = struct{}{}
	}
	return c.call(ctx, http.MethodPost, token, path, key, in, out)
}

func (c *client) call(ctx context.Context, method, token, path, key string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	until := c.clock.Now().Add(c.patience)
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		status, raw, err := c.once(ctx, method, token, path, key, body)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && status < 300 {
			if out == nil {
				return nil
			}
			if err := json.Unmarshal(raw, out); err != nil {
				return fmt.Errorf("%s %s: the answer is not what the API promises: %w", method, path, err)
			}
			return nil
		}
		if err == nil {
			refusal := &Refusal{Status: status}
			_ = json.Unmarshal(raw, refusal) // an answer that is no problem document keeps its status
			refusal.Status, err = status, refusal
		}
		err = fmt.Errorf("%s %s: %w", method, path, err)
		if !passing(status) || c.clock.Now().After(until) {
			return err
		}
		c.trials++
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.clock.After(wait):
		}
	}
}

// passing: 0 stands for no answer at all; the others say that the server cannot answer now.
func passing(status int) bool {
	switch status {
	case 0, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func (c *client) once(ctx context.Context, method, token, path, key string, body []byte) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, tryOnce)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(c.base, "/")+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept-Language", c.lang)
	res, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return 0, nil, err // cut off in the middle: nobody knows what was said
	}
	return res.StatusCode, raw, nil
}
