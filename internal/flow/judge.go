package flow

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/fengsui/fengsui/internal/inspect"
	"github.com/fengsui/fengsui/internal/prepare/lexicon"
	"github.com/fengsui/fengsui/internal/respond/containment"
	"github.com/fengsui/fengsui/internal/service"
)

// maxAnswer bounds an upstream's answer in a service test, in bytes.
const maxAnswer = 4 << 20

// Ask puts the messages of a captured prompt to a deployment, past the gateway, and gives the text of
// every choice. Prompt is a JSON array of messages, or plain text.
func (h *House) Ask(ctx context.Context, d service.Deployment, prompt string) (string, error) {
	var messages json.RawMessage = []byte(prompt)
	if !strings.HasPrefix(strings.TrimSpace(prompt), "[") || !json.Valid(messages) {
		var err error
		if messages, err = json.Marshal([]map[string]string{{"role": "user", "content": prompt}}); err != nil {
			return "", err
		}
	}
	body, err := json.Marshal(map[string]any{"model": d.UpstreamModel, "messages": messages})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(d.UpstreamURL, "/")+"/chat/completions", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	if d.SecretRef != "" {
		key, err := h.Secrets.Get(ctx, h.Store.Read(), d.SecretRef)
		if err != nil {
			return "", err
		}
		req.Header.Set("Authorization", "Bearer "+string(key))
	}
	resp, err := h.Upstream.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the upstream answered %d", resp.StatusCode)
	}
	var a struct {
		Choices []struct {
			Message struct {
				Content          string `json:"content"`
				ReasoningContent string `json:"reasoning_content"`
				Refusal          string `json:"refusal"`
			} `json:"message"`
		} `json:"choices"`
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		return "", err
	}
	if len(a.Choices) == 0 {
		return "", fmt.Errorf("the upstream gave no choice")
	}
	var text strings.Builder
	for _, c := range a.Choices {
		text.WriteString(c.Message.Content + "\n" + c.Message.ReasoningContent + "\n" + c.Message.Refusal + "\n")
	}
	return text.String(), nil
}

// judging keeps the engine of the last rules judged by: a service test asks it many times in a row.
type judging struct {
	mu     sync.Mutex
	rules  string
	engine *inspect.Engine
}

func (h *House) compiled(rules inspect.Rules) (*inspect.Engine, error) {
	js, err := json.Marshal(rules)
	if err != nil {
		return nil, err
	}
	h.judging.mu.Lock()
	defer h.judging.mu.Unlock()
	if h.judging.rules != string(js) {
		e, err := inspect.Compile(rules)
		if err != nil {
			return nil, err
		}
		h.judging.rules, h.judging.engine = string(js), e
	}
	return h.judging.engine, nil
}

// Judge names the lexicon entries and checks that an answer hits, those of the strict set and those
// that only observe included: a test before going online is stricter than the traffic.
func (h *House) Judge(ctx context.Context, serviceID, answer string) ([]string, error) {
	entries, err := lexicon.Live(ctx, h.Store.Read(), serviceID, h.NowMs())
	if err != nil {
		return nil, err
	}
	checks, err := containment.Checks(ctx, h.Store.Read())
	if err != nil {
		return nil, err
	}
	rules := inspect.Rules{MaxHold: inspect.WidestHold}
	for _, c := range checks {
		action, err := inspect.ParseAction(string(c.Action))
		if err != nil {
			return nil, err
		}
		rules.Checks = append(rules.Checks, inspect.Check{ID: c.ID, Kind: c.Kind, Action: action, Risk: c.Risk, Ends: c.Ends})
	}
	for _, e := range entries {
		t, err := e.Rule()
		if err != nil {
			return nil, err
		}
		rules.Terms = append(rules.Terms, t)
	}
	engine, err := h.compiled(rules)
	if err != nil {
		return nil, err
	}
	hits := []string{}
	for _, m := range engine.Scan(answer).Matches {
		hits = append(hits, m.RuleID)
	}
	return hits, nil
}
