package simulate

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/http"
	"time"

	json "github.com/go-json-experiment/json"
)

const (
	// ChunkAsTokens cuts a streamed answer about as a tokeniser would.
	ChunkAsTokens = 0
	// ChunkWhole sends each channel of a streamed answer in one event.
	ChunkWhole = -1

	forever = time.Duration(math.MaxInt64)
)

// gibberish is what FaultGibberishEvent sends: bytes that are neither an event
// nor a comment nor JSON.
var gibberish = []byte("\x00\xfe\xff <<< da ta: {] \r\rdata\n: \xc3\n\n")

// pause waits and says whether the time ran out; false means the caller left
// or the model stops.
func (m *Model) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-m.stopped:
	}
	return false
}

// cut splits a channel's text into streamed pieces; joined they give the text.
func cut(text string, chunkRunes int) []string {
	switch {
	case text == "":
		return nil
	case chunkRunes < 0:
		return []string{text}
	case chunkRunes == ChunkAsTokens:
		return tokens(text)
	}
	var out []string
	for runes := []rune(text); len(runes) > 0; {
		n := min(chunkRunes, len(runes))
		out = append(out, string(runes[:n]))
		runes = runes[n:]
	}
	return out
}

// deltas are the `delta` objects of one choice in order, without role and finish.
func deltas(a answer, index, chunkRunes int) []map[string]any {
	var out []map[string]any
	for _, ch := range []struct{ key, text string }{
		{"reasoning_content", a.reasoning}, {"content", a.content}, {"refusal", a.refusal},
	} {
		for _, piece := range cut(ch.text, chunkRunes) {
			out = append(out, map[string]any{ch.key: piece})
		}
	}
	if a.toolName == "" {
		return out
	}
	toolCall := func(call map[string]any) map[string]any {
		call["index"] = 0
		return map[string]any{"tool_calls": []any{call}}
	}
	out = append(out, toolCall(map[string]any{
		"id": fmt.Sprintf("call_sim%d", index), "type": "function",
		"function": map[string]any{"name": a.toolName, "arguments": ""},
	}))
	for _, piece := range cut(a.toolArguments, chunkRunes) {
		out = append(out, toolCall(map[string]any{"function": map[string]any{"arguments": piece}}))
	}
	return out
}

// events are the JSON documents of a streamed answer in order: the roles, the
// pieces with the choices taking turns, the finishes, and the usage if asked for.
func (c completion) events() []map[string]any {
	event := func(choices ...any) map[string]any {
		e := map[string]any{
			"id": c.id, "object": "chat.completion.chunk", "created": c.created, "model": c.req.Model,
			"system_fingerprint": fingerprint, "choices": append([]any{}, choices...),
		}
		if c.req.StreamOptions.IncludeUsage {
			e["usage"] = nil
		}
		return e
	}
	choice := func(index int, delta map[string]any, finish any) map[string]any {
		ch := map[string]any{"index": index, "delta": delta, "finish_reason": finish, "logprobs": nil}
		if text, ok := delta["content"].(string); ok && c.req.Logprobs && text != "" {
			ch["logprobs"] = logprobs(tokens(text))
		}
		return ch
	}
	var out []map[string]any
	perChoice := make([][]map[string]any, len(c.answers))
	longest := 0
	for i, a := range c.answers {
		perChoice[i] = deltas(a, i, c.chunkRunes)
		longest = max(longest, len(perChoice[i]))
		out = append(out, event(choice(i, map[string]any{"role": "assistant", "content": ""}, nil)))
	}
	for round := range longest {
		for i, ds := range perChoice {
			if round < len(ds) {
				out = append(out, event(choice(i, ds[round], nil)))
			}
		}
	}
	for i, a := range c.answers {
		out = append(out, event(choice(i, map[string]any{}, a.finish)))
	}
	if c.req.StreamOptions.IncludeUsage {
		last := event()
		last["usage"] = c.usage()
		out = append(out, last)
	}
	return out
}

// stream answers with server-sent events; faults strike half-way through.
func (m *Model) stream(w http.ResponseWriter, r *http.Request, seen *call, c completion) {
	events := c.events()
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	write := func(b []byte) bool {
		if _, err := w.Write(b); err != nil {
			return false
		}
		return rc.Flush() == nil
	}
	var buf bytes.Buffer
	for i, e := range events {
		if m.opts.ChunkDelay > 0 && !m.pause(r.Context(), m.opts.ChunkDelay) {
			return
		}
		data, err := json.Marshal(e, json.Deterministic(true))
		if err != nil {
			return // only strings that were decoded as UTF-8 get here
		}
		if i == len(events)/2 && !m.strike(r.Context(), c, data, write) {
			return
		}
		buf.Reset()
		buf.WriteString("data: ")
		buf.Write(data)
		buf.WriteString("\n\n")
		if !write(buf.Bytes()) {
			return
		}
		seen.sent()
	}
	write([]byte("data: [DONE]\n\n"))
}

// strike lets the faults of a stream act and says whether the stream goes on.
func (m *Model) strike(ctx context.Context, c completion, data []byte, write func([]byte) bool) bool {
	if _, on := c.faults[FaultStall]; on {
		m.pause(ctx, forever)
		return false
	}
	if _, on := c.faults[FaultDie]; on {
		panic(http.ErrAbortHandler) // the documented way to cut a connection
	}
	if _, on := c.faults[FaultGibberishEvent]; on && !write(gibberish) {
		return false
	}
	if _, on := c.faults[FaultBadJSON]; on {
		return write([]byte("data: " + string(data[:len(data)/2]) + "\n\n"))
	}
	return true
}
