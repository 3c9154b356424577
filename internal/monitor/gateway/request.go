package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/fengsui/fengsui/internal/posture"
)

// chatRequest is every field of a chat completion request that this gateway knows and either inspects
// or can vouch for. What is not here is refused by name. The upstream gets this value written anew,
// never the client's bytes.
type chatRequest struct {
	Model               string          `json:"model"`
	Messages            []message       `json:"messages"`
	Stream              bool            `json:"stream,omitzero"`
	StreamOptions       *streamOptions  `json:"stream_options,omitzero"`
	Temperature         *float64        `json:"temperature,omitzero"`
	TopP                *float64        `json:"top_p,omitzero"`
	TopK                *int64          `json:"top_k,omitzero"`
	MinP                *float64        `json:"min_p,omitzero"`
	N                   *int64          `json:"n,omitzero"`
	Stop                *stringOrList   `json:"stop,omitzero"`
	MaxTokens           *int64          `json:"max_tokens,omitzero"`
	MaxCompletionTokens *int64          `json:"max_completion_tokens,omitzero"`
	PresencePenalty     *float64        `json:"presence_penalty,omitzero"`
	FrequencyPenalty    *float64        `json:"frequency_penalty,omitzero"`
	RepetitionPenalty   *float64        `json:"repetition_penalty,omitzero"`
	LogitBias           map[int]float64 `json:"logit_bias,omitempty"`
	Logprobs            *bool           `json:"logprobs,omitzero"`
	TopLogprobs         *int64          `json:"top_logprobs,omitzero"`
	Seed                *int64          `json:"seed,omitzero"`
	User                *string         `json:"user,omitzero"`
	SafetyIdentifier    *string         `json:"safety_identifier,omitzero"`
	Tools               []tool          `json:"tools,omitempty"`
	ToolChoice          *toolChoice     `json:"tool_choice,omitzero"`
	ParallelToolCalls   *bool           `json:"parallel_tool_calls,omitzero"`
	Functions           []function      `json:"functions,omitempty"`
	FunctionCall        *functionChoice `json:"function_call,omitzero"`
	ResponseFormat      *responseFormat `json:"response_format,omitzero"`
	ReasoningEffort     *token          `json:"reasoning_effort,omitzero"`
	Verbosity           *token          `json:"verbosity,omitzero"`
	ServiceTier         *token          `json:"service_tier,omitzero"`
	Store               *bool           `json:"store,omitzero"`
	Modalities          []string        `json:"modalities,omitempty"`
	EnableThinking      *bool           `json:"enable_thinking,omitzero"` // Qwen
	Thinking            *thinking       `json:"thinking,omitzero"`        // DeepSeek, Zhipu, Doubao
}

type streamOptions struct {
	IncludeUsage       *bool `json:"include_usage,omitzero"`
	IncludeObfuscation *bool `json:"include_obfuscation,omitzero"`
}

type thinking struct {
	Type token `json:"type"`
}

type message struct {
	Role             string        `json:"role"`
	Content          *content      `json:"content,omitzero"`
	Name             *string       `json:"name,omitzero"`
	Refusal          *string       `json:"refusal,omitzero"`
	ReasoningContent *string       `json:"reasoning_content,omitzero"`
	ToolCalls        []toolCall    `json:"tool_calls,omitempty"`
	ToolCallID       *string       `json:"tool_call_id,omitzero"`
	FunctionCall     *functionCall `json:"function_call,omitzero"`
	Audio            *never        `json:"audio,omitzero"`
}

type toolCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Function functionCall `json:"function"`
}

type functionCall struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type tool struct {
	Type     string   `json:"type"`
	Function function `json:"function"`
}

type function struct {
	Name        string     `json:"name"`
	Description *string    `json:"description,omitzero"`
	Parameters  freeObject `json:"parameters,omitzero"`
	Strict      *bool      `json:"strict,omitzero"`
}

type responseFormat struct {
	Type       string      `json:"type"`
	JSONSchema *jsonSchema `json:"json_schema,omitzero"`
}

type jsonSchema struct {
	Name        string     `json:"name"`
	Description *string    `json:"description,omitzero"`
	Schema      freeObject `json:"schema,omitzero"`
	Strict      *bool      `json:"strict,omitzero"`
}

// freeObject is JSON of a form that we do not know, such as a JSON schema: all its names and strings are inspected.
type freeObject = jsontext.Value

// content is a string or a list of text parts.
type content struct {
	Text  *string
	Parts []part
}

type part struct {
	Type    string  `json:"type"`
	Text    *string `json:"text,omitzero"`
	Refusal *string `json:"refusal,omitzero"`
}

// errModality marks a part or field of a kind that nobody inspects here.
var errModality = errors.New("modality not inspected")

func (c *content) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	switch dec.PeekKind() {
	case '"':
		c.Text = new(string)
		return json.UnmarshalDecode(dec, c.Text)
	case '[':
		if _, err := dec.ReadToken(); err != nil {
			return err
		}
		c.Parts = []part{}
		for dec.PeekKind() != ']' {
			raw, err := dec.ReadValue()
			if err != nil {
				return err
			}
			var kind struct {
				Type string         `json:"type"`
				Rest jsontext.Value `json:",embed"`
			}
			// The kind first, so that an image is refused for being one and not for its unknown fields.
			if err := json.Unmarshal(raw, &kind); err != nil {
				return atPart(len(c.Parts), err)
			}
			if kind.Type != "text" && kind.Type != "refusal" {
				return &fieldError{fmt.Sprintf("/%d/type", len(c.Parts)), fmt.Errorf("%w", errModality)}
			}
			var p part
			if err := json.Unmarshal(raw, &p, json.RejectUnknownMembers(true)); err != nil {
				return atPart(len(c.Parts), err)
			}
			if (kind.Type == "text") != (p.Text != nil) || (kind.Type == "refusal") != (p.Refusal != nil) {
				return &fieldError{fmt.Sprintf("/%d/%s", len(c.Parts), kind.Type), errors.New("missing or misplaced")}
			}
			c.Parts = append(c.Parts, p)
		}
		_, err := dec.ReadToken()
		return err
	}
	return errors.New("must be a string or a list of parts")
}

// MarshalJSONTo writes the form that came in.
func (c *content) MarshalJSONTo(enc *jsontext.Encoder) error {
	if c.Text != nil {
		return enc.WriteToken(jsontext.String(*c.Text))
	}
	return json.MarshalEncode(enc, c.Parts)
}

// fieldError places an error below the place where the decoder stands.
type fieldError struct {
	below string // JSON pointer
	err   error
}

func (e *fieldError) Error() string { return e.below + ": " + e.err.Error() }
func (e *fieldError) Unwrap() error { return e.err }

func atPart(i int, err error) error {
	below := "/" + strconv.Itoa(i)
	var sem *json.SemanticError
	var syn *jsontext.SyntacticError
	switch {
	case errors.As(err, &syn):
		below += string(syn.JSONPointer)
	case errors.As(err, &sem):
		below += string(sem.JSONPointer)
	}
	return &fieldError{below, err}
}

// stringOrList is a string or a list of strings.
type stringOrList struct {
	List []string
	one  bool
}

func (s *stringOrList) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == '"' {
		s.List, s.one = make([]string, 1), true
		return json.UnmarshalDecode(dec, &s.List[0])
	}
	return json.UnmarshalDecode(dec, &s.List)
}

// MarshalJSONTo writes the form that came in.
func (s *stringOrList) MarshalJSONTo(enc *jsontext.Encoder) error {
	if s.one {
		return enc.WriteToken(jsontext.String(s.List[0]))
	}
	return json.MarshalEncode(enc, s.List)
}

// token is a short word of a setting, such as "high". It cannot carry text.
type token string

func (t *token) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	var s string
	if err := json.UnmarshalDecode(dec, &s); err != nil {
		return err
	}
	if !isToken(s, 16) {
		return errors.New("must be a short lower-case word")
	}
	*t = token(s)
	return nil
}

func isToken(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && c != '_' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// toolChoice is one word or one function by name.
type toolChoice struct {
	Word token
	Name string
}

type toolChoiceObject struct {
	Type     string   `json:"type"`
	Function nameOnly `json:"function"`
}

type nameOnly struct {
	Name string `json:"name"`
}

func (c *toolChoice) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == '"' {
		return json.UnmarshalDecode(dec, &c.Word)
	}
	var o toolChoiceObject
	if err := json.UnmarshalDecode(dec, &o); err != nil {
		return err
	}
	if o.Type != "function" || o.Function.Name == "" {
		return &fieldError{"/type", errModality}
	}
	c.Name = o.Function.Name
	return nil
}

// MarshalJSONTo writes the form that came in.
func (c *toolChoice) MarshalJSONTo(enc *jsontext.Encoder) error {
	if c.Word != "" {
		return enc.WriteToken(jsontext.String(string(c.Word)))
	}
	return json.MarshalEncode(enc, toolChoiceObject{"function", nameOnly{c.Name}})
}

// functionChoice is the old form of toolChoice.
type functionChoice struct {
	Word token
	Name string
}

func (c *functionChoice) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == '"' {
		return json.UnmarshalDecode(dec, &c.Word)
	}
	var o nameOnly
	err := json.UnmarshalDecode(dec, &o)
	c.Name = o.Name
	return err
}

// MarshalJSONTo writes the form that came in.
func (c *functionChoice) MarshalJSONTo(enc *jsontext.Encoder) error {
	if c.Word != "" {
		return enc.WriteToken(jsontext.String(string(c.Word)))
	}
	return json.MarshalEncode(enc, nameOnly{c.Name})
}

// never is a known field that may only be null.
type never struct{}

func (*never) UnmarshalJSONFrom(*jsontext.Decoder) error { return errModality }

// MarshalJSONTo is never reached; a never is always nil.
func (*never) MarshalJSONTo(*jsontext.Encoder) error { return errModality }

// parseRequest reads a request strictly: names by exact case and once only, valid UTF-8 and Unicode,
// nothing behind the end, no deeper than the limit, nothing unknown.
func parseRequest(body []byte, lim posture.Limits) (*chatRequest, *problem) {
	switch {
	case len(body) == 0:
		return nil, badRequest("invalid_json", "", "The body is empty.")
	case bytes.HasPrefix(body, []byte("\xef\xbb\xbf")), bytes.HasPrefix(body, []byte("\xff\xfe")), bytes.HasPrefix(body, []byte("\xfe\xff")), bytes.IndexByte(body, 0) >= 0:
		return nil, badRequest("invalid_encoding", "", "The body must be UTF-8 JSON without a byte order mark.")
	case !utf8.Valid(body):
		return nil, badRequest("invalid_encoding", "", "The body is not valid UTF-8.")
	case tooDeep(body, lim.MaxDepth):
		return nil, badRequest("too_deep", "", fmt.Sprintf("The JSON is nested deeper than %d.", lim.MaxDepth))
	}
	var r chatRequest
	if err := json.Unmarshal(body, &r, json.RejectUnknownMembers(true)); err != nil {
		return nil, jsonProblem(err)
	}
	if p := r.check(lim); p != nil {
		return nil, p
	}
	return &r, nil
}

// tooDeep counts brackets outside of strings; syntax is somebody else's business.
func tooDeep(body []byte, limit int) bool {
	depth, inside, escaped := 0, false, false
	for _, c := range body {
		switch {
		case escaped:
			escaped = false
		case inside:
			escaped, inside = c == '\\', c != '"'
		case c == '"':
			inside = true
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

func jsonProblem(err error) *problem {
	var sem *json.SemanticError
	var syn *jsontext.SyntacticError
	var field *fieldError
	pointer := ""
	if errors.As(err, &sem) {
		pointer = string(sem.JSONPointer)
	} else if errors.As(err, &syn) {
		pointer = string(syn.JSONPointer)
	}
	if errors.As(err, &field) {
		pointer += field.below
	}
	param := paramOf(pointer)
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return badRequest("duplicate_field", param, "A field appears more than once.")
	case errors.Is(err, errModality):
		return badRequest("modality_not_inspected", param, "Only text is inspected here, so only text is accepted.")
	case errors.Is(err, json.ErrUnknownName):
		return badRequest("field_not_inspected", param, "This field is not known to the gateway, so it is not passed on. Field names are case-sensitive.")
	case errors.As(err, &syn):
		return badRequest("invalid_json", param, "The body is not valid JSON.")
	}
	return badRequest("invalid_value", param, "The field has a value of the wrong type or form.")
}

// paramOf turns a JSON pointer into the spelling of the OpenAI API: messages[0].content.
func paramOf(pointer string) string {
	var b strings.Builder
	for i, seg := range strings.Split(pointer, "/") {
		if i == 0 {
			continue
		}
		seg = strings.ReplaceAll(strings.ReplaceAll(seg, "~1", "/"), "~0", "~")
		if _, err := strconv.Atoi(seg); err == nil && b.Len() > 0 {
			b.WriteString("[" + seg + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(seg)
		if b.Len() > 120 {
			return strings.ToValidUTF8(b.String()[:120], "")
		}
	}
	return b.String()
}

func (r *chatRequest) check(lim posture.Limits) *problem {
	at := func(i int, f string) string { return fmt.Sprintf("messages[%d].%s", i, f) }
	switch {
	case r.Model == "":
		return badRequest("invalid_value", "model", "The model is missing.")
	case len(r.Messages) == 0:
		return badRequest("invalid_value", "messages", "There is no message.")
	case len(r.Messages) > lim.MaxMessages:
		return badRequest("too_many_messages", "messages", fmt.Sprintf("At most %d messages are accepted.", lim.MaxMessages))
	case r.N != nil && (*r.N < 1 || *r.N > int64(lim.MaxChoices)):
		return badRequest("too_many_choices", "n", fmt.Sprintf("n must be between 1 and %d.", lim.MaxChoices))
	case r.Logprobs != nil && *r.Logprobs, r.TopLogprobs != nil && *r.TopLogprobs > 0:
		return badRequest("logprobs_not_supported", "logprobs", "Token probabilities would show text that inspection masks, so they are not given out.")
	case r.Store != nil && *r.Store:
		return badRequest("field_not_inspected", "store", "Storing at the upstream is not passed on.")
	case r.StreamOptions != nil && !r.Stream:
		return badRequest("invalid_value", "stream_options", "stream_options needs stream.")
	}
	for i, m := range r.Modalities {
		if m != "text" {
			return badRequest("modality_not_inspected", fmt.Sprintf("modalities[%d]", i), "Only text is inspected here, so only text is accepted.")
		}
	}
	for i, t := range r.Tools {
		if t.Type != "function" {
			return badRequest("modality_not_inspected", fmt.Sprintf("tools[%d].type", i), "Only function tools are inspected here.")
		}
	}
	if f := r.ResponseFormat; f != nil && f.Type != "text" && f.Type != "json_object" && f.Type != "json_schema" {
		return badRequest("invalid_value", "response_format.type", "Unknown response format.")
	}
	for i, m := range r.Messages {
		switch m.Role {
		case "system", "developer", "user", "tool", "function":
			if m.Content == nil {
				return badRequest("invalid_value", at(i, "content"), "The content is missing.")
			}
		case "assistant":
		default:
			return badRequest("invalid_value", at(i, "role"), "The role must be system, developer, user, assistant, tool or function.")
		}
		if m.Content != nil && m.Content.Text == nil && len(m.Content.Parts) == 0 {
			return badRequest("invalid_value", at(i, "content"), "The content is empty.")
		}
		for j, tc := range m.ToolCalls {
			if tc.Type != "function" {
				return badRequest("modality_not_inspected", fmt.Sprintf("messages[%d].tool_calls[%d].type", i, j), "Only function calls are inspected here.")
			}
		}
	}
	var bad *problem
	r.texts(func(where field, s *string) {
		if bad == nil && strings.IndexByte(*s, 0) >= 0 {
			bad = badRequest("invalid_text", where.param(), "The text holds a null character.")
		}
	})
	return bad
}
