package drill

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// heard is what a client of the gateway got for one question.
type heard struct {
	status    int
	code      string // of an error object
	text      string // what the model said, as it arrived
	finish    string
	contentNo string
	whole     bool // the stream said that it is complete
}

// headers of the gateway that a client may set and read.
const (
	headerSubject   = "X-Fengsui-Subject"
	headerContentNo = "X-Fengsui-Content-Number"
)

type chatChoice struct {
	Message struct {
		Content string `json:"content"`
	} `json:"message"`
	Delta struct {
		Content string `json:"content"`
	} `json:"delta"`
	FinishReason string `json:"finish_reason"`
}

type chatAnswer struct {
	Choices []chatChoice `json:"choices"`
	Error   struct {
		Code string `json:"code"`
	} `json:"error"`
}

// ask puts one question to the gateway as the official clients do, and tries again while it cannot be
// reached. What the gateway decides, also offline, is an answer.
func (c *client) ask(ctx context.Context, gateway, key, model, subject, prompt string, stream bool) (heard, error) {
	until := c.clock.Now().Add(c.patience)
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		h, err := c.askOnce(ctx, gateway, key, model, subject, prompt, stream)
		if ctx.Err() != nil {
			return h, ctx.Err()
		}
		if err == nil && !h.passing() {
			return h, nil
		}
		if c.clock.Now().After(until) {
			if err == nil {
				err = fmt.Errorf("%d %s", h.status, h.code)
			}
			return h, fmt.Errorf("the gateway gives no answer: %w", err)
		}
		if err != nil {
			c.trials++
		}
		select {
		case <-ctx.Done():
			return h, ctx.Err()
		case <-c.clock.After(wait):
		}
	}
}

// passing: the gateway is starting, stopping or not yet told about the key; an order's refusal is not passing.
func (h heard) passing() bool {
	switch h.code {
	case "no_posture", "gateway_stopping", "out_of_contact", "invalid_api_key", "model_not_found":
		return true
	}
	return false
}

func (c *client) askOnce(ctx context.Context, gateway, key, model, subject, prompt string, stream bool) (heard, error) {
	ctx, cancel := context.WithTimeout(ctx, tryOnce)
	defer cancel()
	var h heard
	res, err := c.open(ctx, gateway, key, model, subject, prompt, stream)
	if err != nil {
		return h, err
	}
	defer res.Body.Close()
	h.status, h.contentNo = res.StatusCode, res.Header.Get(headerContentNo)
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		return h, h.follow(res.Body)
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return h, err
	}
	h.take(raw)
	h.whole = true
	return h, nil
}

// open sends the question and gives the answer as it comes.
func (c *client) open(ctx context.Context, gateway, key, model, subject, prompt string, stream bool) (*http.Response, error) {
	body, err := json.Marshal(map[string]any{"model": model, "stream": stream, "messages": []map[string]string{{"role": "user", "content": prompt}}})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(gateway, "/")+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(headerSubject, subject)
	return c.http.Do(req)
}

// follow reads a stream to its end. An error is a connection that broke before the stream was whole.
func (h *heard) follow(r io.Reader) error {
	lines := bufio.NewScanner(io.LimitReader(r, maxAnswer))
	lines.Buffer(make([]byte, 64<<10), 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok {
			continue
		}
		if data = strings.TrimSpace(data); data == "[DONE]" {
			h.whole = true
			return nil
		}
		h.take([]byte(data))
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if h.code == "" && h.finish == "" {
		return io.ErrUnexpectedEOF
	}
	return nil
}

func (h *heard) take(raw []byte) {
	var a chatAnswer
	if json.Unmarshal(raw, &a) != nil {
		return
	}
	if a.Error.Code != "" {
		h.code = a.Error.Code
	}
	for _, ch := range a.Choices {
		h.text += ch.Message.Content + ch.Delta.Content
		if ch.FinishReason != "" {
			h.finish = ch.FinishReason
		}
	}
}
