package gateway

import (
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// chunk is a chunk of a streamed answer with every field that this gateway lets through.
type chunk struct {
	ID                string        `json:"id"`
	Object            string        `json:"object"`
	Created           int64         `json:"created"`
	Model             string        `json:"model"`
	SystemFingerprint string        `json:"system_fingerprint,omitzero"`
	ServiceTier       string        `json:"service_tier,omitzero"`
	Choices           []chunkChoice `json:"choices"`
	Usage             usage         `json:"usage,omitempty"`
	Notice            *notice       `json:"fengsui,omitzero"` // only in what the gateway writes itself
}

// notice says, beside a finish that every SDK understands, why this gateway ended an answer.
type notice struct {
	Code    string `json:"code"`
	Message string `json:"message,omitzero"`
	Content string `json:"content_number"`
}

type chunkChoice struct {
	Index  *int    `json:"index"`
	Delta  delta   `json:"delta"`
	Finish *string `json:"finish_reason"`
}

type delta struct {
	Role             *string        `json:"role,omitzero"`
	Content          *string        `json:"content,omitzero"`
	ReasoningContent *string        `json:"reasoning_content,omitzero"`
	Reasoning        *string        `json:"reasoning,omitzero"`
	Refusal          *string        `json:"refusal,omitzero"`
	ToolCalls        []toolDelta    `json:"tool_calls,omitempty"`
	FunctionCall     *functionDelta `json:"function_call,omitzero"`
}

type toolDelta struct {
	Index    *int           `json:"index"`
	ID       *string        `json:"id,omitzero"`
	Type     *string        `json:"type,omitzero"`
	Function *functionDelta `json:"function,omitzero"`
}

type functionDelta struct {
	Name      *string `json:"name,omitzero"`
	Arguments *string `json:"arguments,omitzero"`
}

// usage is numbers by name, nested; everything else in it is dropped.
type usage map[string]any

func (u *usage) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	var raw any
	if err := json.UnmarshalDecode(dec, &raw); err != nil {
		return err
	}
	m, _ := raw.(map[string]any)
	*u = usage(numbersOnly(m, 0))
	return nil
}

func numbersOnly(m map[string]any, depth int) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		if !isToken(k, 64) || len(out) >= 20 {
			continue
		}
		switch v := v.(type) {
		case float64:
			if v >= 0 && v < 1e15 && v == float64(int64(v)) {
				out[k] = int64(v)
			}
		case map[string]any:
			if depth < 2 {
				out[k] = numbersOnly(v, depth+1)
			}
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func (u usage) tokens() (in, out int64) {
	in, _ = u["prompt_tokens"].(int64)
	out, _ = u["completion_tokens"].(int64)
	return in, out
}

// upstreamFault is what an upstream sends instead of a chunk when something went wrong over there.
var (
	errUpstreamFault = errors.New("the upstream reports an error")
	errNoChunk       = errors.New("the upstream sent something that is not a chunk")
)

// canonicalChunk decodes a chunk strictly and writes it anew with only the fields that are let through.
// What it writes, scan is sure about; a test holds that.
func canonicalChunk(data []byte) ([]byte, error) {
	var in struct {
		chunk
		Error jsontext.Value `json:"error"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, errNoChunk
	}
	if len(in.Error) > 0 && string(in.Error) != "null" {
		return nil, errUpstreamFault
	}
	c := &in.chunk
	c.Notice = nil
	c.Object = "chat.completion.chunk"
	c.Created = min(max(c.Created, 0), 1e14)
	for _, s := range []*string{&c.ID, &c.Model, &c.SystemFingerprint, &c.ServiceTier} {
		if !isLabel([]byte(*s)) {
			*s = ""
		}
	}
	if c.Choices == nil {
		c.Choices = []chunkChoice{}
	}
	seen := map[int]bool{}
	for i := range c.Choices {
		ch := &c.Choices[i]
		if !numbered(&ch.Index, i) || seen[*ch.Index] {
			return nil, errNoChunk
		}
		seen[*ch.Index] = true
		if ch.Finish != nil && !finishWord([]byte(*ch.Finish)) {
			if *ch.Finish == "" { // some servers write "" for null
				ch.Finish = nil
			} else {
				stop := "stop"
				ch.Finish = &stop
			}
		}
		if r := ch.Delta.Role; r != nil && *r != "assistant" {
			ch.Delta.Role = nil
		}
		for j := range ch.Delta.ToolCalls {
			t := &ch.Delta.ToolCalls[j]
			if !numbered(&t.Index, j) {
				return nil, errNoChunk
			}
			if t.Type != nil && *t.Type != "function" {
				t.Type = nil
			}
		}
	}
	return json.Marshal(c, json.Deterministic(true))
}

func numbered(index **int, position int) bool {
	if *index == nil {
		*index = &position
	}
	return **index >= 0 && **index <= 1024
}
