package gateway

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/fengsui/fengsui/internal/inspect"
)

// Channels: where in a request or an answer a text stands.
const (
	ChannelContent       = "content"
	ChannelReasoning     = "reasoning"
	ChannelRefusal       = "refusal"
	ChannelToolName      = "tool_name"
	ChannelToolArguments = "tool_arguments"
	ChannelToolID        = "tool_id"
	ChannelName          = "name"
	ChannelDefinition    = "definition" // tool definitions, response schema, stop words, model name
)

// field says which string of a request is meant.
type field struct {
	message int // -1: not in a message
	channel string
	path    string // for the error object
}

func (f field) param() string {
	if f.message >= 0 {
		return fmt.Sprintf("messages[%d].%s", f.message, f.path)
	}
	return f.path
}

// place says it in a verdict. Of a message one channel is nearly always one text, which needs no more words.
func (f field) place() inspect.Place {
	p := inspect.Place{Side: Input, Channel: f.channel, Choice: f.message}
	if f.path != f.channel {
		p.Part = f.path
	}
	return p
}

// texts visits every string of the request that a model could read, in reading order. visit may change it.
// A content of several parts is visited part by part; see joined for the whole.
func (r *chatRequest) texts(visit func(field, *string)) {
	opt := func(f field, s *string) {
		if s != nil {
			visit(f, s)
		}
	}
	for i := range r.Messages {
		m := &r.Messages[i]
		opt(field{i, ChannelName, "name"}, m.Name)
		opt(field{i, ChannelReasoning, "reasoning_content"}, m.ReasoningContent)
		if c := m.Content; c != nil {
			opt(field{i, ChannelContent, "content"}, c.Text)
			for j := range c.Parts {
				opt(field{i, ChannelContent, fmt.Sprintf("content[%d].text", j)}, c.Parts[j].Text)
				opt(field{i, ChannelRefusal, fmt.Sprintf("content[%d].refusal", j)}, c.Parts[j].Refusal)
			}
		}
		opt(field{i, ChannelRefusal, "refusal"}, m.Refusal)
		for j := range m.ToolCalls {
			c := &m.ToolCalls[j]
			at := fmt.Sprintf("tool_calls[%d].", j)
			visit(field{i, ChannelToolID, at + "id"}, &c.ID)
			visit(field{i, ChannelToolName, at + "function.name"}, &c.Function.Name)
			visit(field{i, ChannelToolArguments, at + "function.arguments"}, &c.Function.Arguments)
		}
		if c := m.FunctionCall; c != nil {
			visit(field{i, ChannelToolName, "function_call.name"}, &c.Name)
			visit(field{i, ChannelToolArguments, "function_call.arguments"}, &c.Arguments)
		}
		opt(field{i, ChannelToolID, "tool_call_id"}, m.ToolCallID)
	}
	for i := range r.Tools {
		r.Tools[i].Function.texts(fmt.Sprintf("tools[%d].function", i), visit)
	}
	for i := range r.Functions {
		r.Functions[i].texts(fmt.Sprintf("functions[%d]", i), visit)
	}
	if c := r.ToolChoice; c != nil {
		visit(field{-1, ChannelDefinition, "tool_choice"}, &c.Name)
	}
	if c := r.FunctionCall; c != nil {
		visit(field{-1, ChannelDefinition, "function_call"}, &c.Name)
	}
	if f := r.ResponseFormat; f != nil && f.JSONSchema != nil {
		s := f.JSONSchema
		visit(field{-1, ChannelDefinition, "response_format.json_schema.name"}, &s.Name)
		opt(field{-1, ChannelDefinition, "response_format.json_schema.description"}, s.Description)
		freeTexts(&s.Schema, "response_format.json_schema.schema", visit)
	}
	if r.Stop != nil {
		for i := range r.Stop.List {
			visit(field{-1, ChannelDefinition, fmt.Sprintf("stop[%d]", i)}, &r.Stop.List[i])
		}
	}
}

func (f *function) texts(at string, visit func(field, *string)) {
	visit(field{-1, ChannelDefinition, at + ".name"}, &f.Name)
	if f.Description != nil {
		visit(field{-1, ChannelDefinition, at + ".description"}, f.Description)
	}
	freeTexts(&f.Parameters, at+".parameters", visit)
}

// freeTexts visits names and strings of free-form JSON and writes it anew with what visit made of them.
func freeTexts(v *freeObject, at string, visit func(field, *string)) {
	if len(*v) == 0 {
		return
	}
	out, ok := rewriteStrings(*v, func(s string) string {
		visit(field{-1, ChannelDefinition, at}, &s)
		return s
	})
	if ok {
		*v = out
		return
	}
	// Masking made two names of one object equal: nothing of it can be kept.
	*v = freeObject(`{}`)
}

// rewriteStrings copies a JSON value and passes every name and string through f. It reports false if
// the value is not valid JSON or is no longer valid after f.
func rewriteStrings(v []byte, f func(string) string) ([]byte, bool) {
	dec := jsontext.NewDecoder(bytes.NewReader(v))
	var out bytes.Buffer
	enc := jsontext.NewEncoder(&out)
	for {
		tok, err := dec.ReadToken()
		if err != nil {
			return nil, false
		}
		if tok.Kind() == '"' {
			tok = jsontext.String(f(tok.String()))
		}
		if err := enc.WriteToken(tok); err != nil {
			return nil, false
		}
		if dec.StackDepth() == 0 {
			break
		}
	}
	return bytes.TrimRight(out.Bytes(), "\n"), true
}

// joined is the text of a content in several parts as the model reads it; ok is false for a single string or part.
func (c *content) joined() (string, bool) {
	return c.joinedAs(func(s *string) string { return *s })
}

// joinedAs is joined with another text for each part.
func (c *content) joinedAs(text func(*string) string) (string, bool) {
	if c == nil || len(c.Parts) < 2 {
		return "", false
	}
	var b strings.Builder
	for _, p := range c.Parts {
		if p.Text != nil {
			b.WriteString(text(p.Text))
		} else if p.Refusal != nil {
			b.WriteString(text(p.Refusal))
		}
	}
	return b.String(), true
}

// lastUser is the text of the last user message, for capture and language.
func (r *chatRequest) lastUser() string {
	for i := len(r.Messages) - 1; i >= 0; i-- {
		if c := r.Messages[i].Content; c != nil && r.Messages[i].Role == "user" {
			if c.Text != nil {
				return *c.Text
			}
			if s, ok := c.joined(); ok {
				return s
			}
			if c.Parts[0].Text != nil {
				return *c.Parts[0].Text
			}
		}
	}
	return ""
}
