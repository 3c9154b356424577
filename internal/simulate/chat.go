package simulate

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	json "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxChoices bounds `n`, as OpenAI does.
	maxChoices = 128
	// fingerprint is the `system_fingerprint` of every answer.
	fingerprint = "fp_fengsui_sim1"
)

// chatRequest is what the model reads of a chat completion request; it ignores
// the rest. It decodes the way forgiving servers do (a repeated key: the last
// wins), so that a gateway in front cannot lean on the model for strictness.
type chatRequest struct {
	Model         string    `json:"model"`
	Messages      []message `json:"messages"`
	Stream        bool      `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	N                   *int           `json:"n"`
	MaxTokens           *int           `json:"max_tokens"`
	MaxCompletionTokens *int           `json:"max_completion_tokens"`
	Stop                jsontext.Value `json:"stop"`
	Logprobs            bool           `json:"logprobs"`
	Tools               []struct {
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	} `json:"tools"`
	ToolChoice jsontext.Value `json:"tool_choice"`
}

type message struct {
	Role    string         `json:"role"`
	Content jsontext.Value `json:"content"`
}

// text is the text of a message, its text parts joined by line ends.
func (m message) text() string {
	var s string
	if len(m.Content) == 0 || json.Unmarshal(m.Content, &s) == nil {
		return s
	}
	var parts []struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(m.Content, &parts) != nil {
		return ""
	}
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.Text
	}
	return strings.Join(texts, "\n")
}

func readChat(r *http.Request) (chatRequest, error) {
	var req chatRequest
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequestBytes+1))
	if err != nil {
		return req, errors.New("the body could not be read")
	}
	if len(body) > maxRequestBytes {
		return req, fmt.Errorf("the body is longer than %d bytes", maxRequestBytes)
	}
	if err := json.Unmarshal(body, &req, jsontext.AllowDuplicateNames(true)); err != nil {
		return req, errors.New("the body is not a chat completion request in JSON")
	}
	if len(req.Messages) == 0 {
		return req, errors.New("messages must have at least one message")
	}
	if req.N != nil && (*req.N < 1 || *req.N > maxChoices) {
		return req, fmt.Errorf("n must be between 1 and %d", maxChoices)
	}
	if n := req.limit(); n != nil && *n < 1 {
		return req, errors.New("max_tokens must be at least 1")
	}
	return req, nil
}

// prompt is the text of the last user message, which alone decides the answer.
func (r chatRequest) prompt() string {
	for i := len(r.Messages) - 1; i >= 0; i-- {
		if r.Messages[i].Role == "user" {
			return r.Messages[i].text()
		}
	}
	return ""
}

func (r chatRequest) limit() *int {
	if r.MaxCompletionTokens != nil {
		return r.MaxCompletionTokens
	}
	return r.MaxTokens
}

func (r chatRequest) stops() []string {
	var one string
	if json.Unmarshal(r.Stop, &one) == nil && one != "" {
		return []string{one}
	}
	var many []string
	if json.Unmarshal(r.Stop, &many) != nil {
		return nil
	}
	return many
}

// tool names the tool to call, or is empty: one is called when the request
// demands it or the prompt names it, unless this is the turn after the call.
func (r chatRequest) tool(prompt string) string {
	if len(r.Tools) == 0 || r.Messages[len(r.Messages)-1].Role == "tool" {
		return ""
	}
	var word string
	if json.Unmarshal(r.ToolChoice, &word) == nil && word == "none" {
		return ""
	}
	var named struct {
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	if json.Unmarshal(r.ToolChoice, &named) == nil && named.Function.Name != "" {
		return named.Function.Name
	}
	for _, t := range r.Tools {
		if word == "required" || (t.Function.Name != "" && strings.Contains(prompt, t.Function.Name)) {
			return t.Function.Name
		}
	}
	return ""
}

// answer is one choice, whole.
type answer struct {
	reasoning, content, refusal string
	toolName, toolArguments     string
	finish                      string
}

func (a answer) completionTokens() int {
	n := 0
	for _, s := range []string{a.reasoning, a.content, a.refusal, a.toolArguments} {
		n += len(tokens(s))
	}
	return n
}

// answerTo composes one choice from the prompt and the faults that speak.
func answerTo(req chatRequest, choice int, speaking []Fault) answer {
	prompt := req.prompt()
	a := answer{content: benign(prompt, choice), finish: "stop"}
	if name := req.tool(prompt); name != "" {
		a.callTool(name, prompt)
	}
	for _, f := range speaking {
		if f.Choice == nil || *f.Choice == choice {
			a.say(f, isHan(prompt))
		}
	}
	for _, stop := range req.stops() {
		if before, _, found := strings.Cut(a.content, stop); found && stop != "" {
			a.content = before
		}
	}
	if n := req.limit(); n != nil {
		if t := tokens(a.content); len(t) > *n {
			a.content, a.finish = strings.Join(t[:*n], ""), "length"
		}
	}
	return a
}

func (a *answer) callTool(name, input string) {
	arguments, err := json.Marshal(map[string]string{"input": input})
	if err != nil {
		arguments = []byte("{}") // broken UTF-8 cannot get here: the request was decoded strictly
	}
	a.content, a.toolName, a.toolArguments, a.finish = "", name, string(arguments), "tool_calls"
}

// say puts a fault's sentence where it belongs. In the content it stands after
// the first benign sentence, so that there is good text on either side.
func (a *answer) say(f Fault, zh bool) {
	sentence := f.sentence(zh)
	switch f.Channel {
	case ChannelReasoning:
		a.reasoning += sentence
	case ChannelRefusal:
		a.refusal, a.content = a.refusal+sentence, ""
	case ChannelTool:
		name := a.toolName
		if name == "" {
			name = "echo"
		}
		a.callTool(name, sentence)
	default:
		if f.Name == FaultScripted {
			a.content = sentence
			return
		}
		for _, end := range []string{"。", ". "} {
			if head, tail, found := strings.Cut(a.content, end); found {
				a.content = head + end + sentence + tail
				return
			}
		}
		a.content += sentence
	}
}

// completion is one request being answered.
type completion struct {
	id         string
	created    int64
	req        chatRequest
	answers    []answer
	faults     map[FaultName]Fault
	chunkRunes int
}

func (m *Model) chat(w http.ResponseWriter, r *http.Request, c *call) {
	req, err := readChat(r)
	if err != nil {
		writeError(w, http.StatusBadRequest, "invalid_request_error", "invalid_request", err.Error())
		return
	}
	prompt := req.prompt()
	faults, speaking, chunkRunes := m.view(prompt)
	if _, on := faults[FaultError500]; on {
		writeError(w, http.StatusInternalServerError, "server_error", "simulated_failure", "The server had an error while processing your request.")
		return
	}
	if _, on := faults[FaultError429]; on {
		w.Header().Set("Retry-After", "7")
		writeError(w, http.StatusTooManyRequests, "requests", "rate_limit_exceeded", "Too many requests.")
		return
	}
	if f, on := faults[FaultSlow]; on && !m.pause(r.Context(), f.delay()) {
		return
	}
	n := 1
	if req.N != nil {
		n = *req.N
	}
	done := completion{
		id:      fmt.Sprintf("chatcmpl-sim%016x%06d", seed(prompt), m.serial.Add(1)),
		created: m.now(), req: req, faults: faults, chunkRunes: chunkRunes,
	}
	if done.req.Model == "" {
		done.req.Model = m.opts.ModelID
	}
	for i := range n {
		done.answers = append(done.answers, answerTo(req, i, speaking))
	}
	if req.Stream {
		m.stream(w, r, c, done)
		return
	}
	m.whole(w, r, done)
}

// usage is the token account of a completion.
func (c completion) usage() map[string]any {
	prompt, answered := 0, 0
	for _, msg := range c.req.Messages {
		prompt += 3 + len(tokens(msg.text()))
	}
	for _, a := range c.answers {
		answered += a.completionTokens()
	}
	return map[string]any{"prompt_tokens": prompt, "completion_tokens": answered, "total_tokens": prompt + answered}
}

func logprobs(pieces []string) map[string]any {
	entries := make([]map[string]any, len(pieces))
	for i, p := range pieces {
		raw := make([]int, len(p)) // a []byte would come out as base64
		for j := range len(p) {
			raw[j] = int(p[j])
		}
		entries[i] = map[string]any{"token": p, "logprob": -0.01 * float64(i%7), "bytes": raw, "top_logprobs": []any{}}
	}
	return map[string]any{"content": entries, "refusal": nil}
}

// nullable is JSON null for an empty string, as OpenAI has it for content and refusal.
func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// whole answers in one JSON document.
func (m *Model) whole(w http.ResponseWriter, r *http.Request, c completion) {
	choices := make([]map[string]any, len(c.answers))
	for i, a := range c.answers {
		msg := map[string]any{"role": "assistant", "content": nullable(a.content), "refusal": nullable(a.refusal)}
		if a.reasoning != "" {
			msg["reasoning_content"] = a.reasoning
		}
		if a.toolName != "" {
			msg["tool_calls"] = []map[string]any{{
				"id": fmt.Sprintf("call_sim%d", i), "type": "function",
				"function": map[string]any{"name": a.toolName, "arguments": a.toolArguments},
			}}
		}
		choices[i] = map[string]any{"index": i, "message": msg, "finish_reason": a.finish, "logprobs": nil}
		if c.req.Logprobs {
			choices[i]["logprobs"] = logprobs(tokens(a.content))
		}
	}
	doc := map[string]any{
		"id": c.id, "object": "chat.completion", "created": c.created, "model": c.req.Model,
		"system_fingerprint": fingerprint, "choices": choices, "usage": c.usage(),
	}
	body, err := json.Marshal(doc, json.Deterministic(true))
	if err != nil {
		writeError(w, http.StatusInternalServerError, "server_error", "encoding", "The answer could not be encoded.")
		return
	}
	if _, on := c.faults[FaultStall]; on {
		m.pause(r.Context(), forever)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if _, on := c.faults[FaultGibberishEvent]; on {
		_, _ = w.Write(gibberish)
		return
	}
	if _, on := c.faults[FaultBadJSON]; on {
		_, _ = w.Write(body[:len(body)/2])
		return
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	if _, on := c.faults[FaultDie]; on {
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler) // the documented way to cut a connection
	}
	_, _ = w.Write(body) // a caller that left is no concern of the model
}
